/* Softmax and the losses on it: settings and entries. The formulas are in softmax_reference.py. */
#ifndef ML_SOFTMAX_H
#define ML_SOFTMAX_H
#include "ml.h"

typedef struct {
    int64_t ignore_index;
    double label_smoothing;
    int mean;                           /* reduce_loss */
} softmax_settings;

typedef struct {
    ml_kernel softmax;                  /* x y */
    ml_kernel log_softmax;              /* x y */
    ml_kernel softmax_backward;         /* y dy dx */
    ml_kernel log_softmax_backward;     /* y dy dx */
    ml_kernel cross_entropy;            /* x target weight loss lse */
    ml_kernel cross_entropy_backward;   /* x target weight lse dloss dx */
    ml_kernel cross_entropy_probs;      /* x target weight loss lse */
    ml_kernel cross_entropy_probs_backward;         /* x target weight lse dloss dx */
    ml_kernel cross_entropy_probs_backward_target;  /* x weight lse dloss dtarget */
    ml_kernel nll_loss;                 /* x target weight loss */
    ml_kernel nll_loss_backward;        /* target weight dloss dx */
    ml_kernel reduce_loss;              /* loss target weight total divisor */
} softmax_kernels;

const softmax_kernels *softmax_select(const ml_runtime *rt);
#endif
