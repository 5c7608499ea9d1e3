/* Connectionist temporal classification; ctc_reference.py is the definition. */
#ifndef ML_CTC_H
#define ML_CTC_H
#include "ml.h"

typedef struct {
    int64_t blank;
    int zero_infinity;
} ctc_settings;

typedef struct {
    ml_kernel ctc_loss;             /* log_probs targets starts input_lengths target_lengths loss alpha */
    ml_kernel ctc_loss_backward;    /* dloss log_probs targets starts input_lengths target_lengths loss alpha dlog_probs */
} ctc_kernels;

const ctc_kernels *ctc_select(const ml_runtime *rt);
#endif
