/* Losses of two arrays: settings and entries. losses_reference.py says what each computes. */
#ifndef ML_LOSSES_H
#define ML_LOSSES_H
#include "ml.h"

typedef struct {
    double bend;                    /* smooth_l1's beta, huber's delta */
    double scale;
} losses_settings;

typedef struct {
    /* x target pos_weight y; x target pos_weight dy dx dtarget (pos_weight is NULL where there is none) */
    ml_kernel l1_loss, l1_loss_backward;
    ml_kernel mse_loss, mse_loss_backward;
    ml_kernel smooth_l1_loss, smooth_l1_loss_backward;
    ml_kernel huber_loss, huber_loss_backward;
    ml_kernel binary_cross_entropy, binary_cross_entropy_backward;
    ml_kernel binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_backward;
    ml_kernel kl_div, kl_div_backward;
    ml_kernel kl_div_log, kl_div_log_backward;
} losses_kernels;

const losses_kernels *losses_select(const ml_runtime *rt);
#endif
