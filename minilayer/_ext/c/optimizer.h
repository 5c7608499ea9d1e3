/* Optimiser steps over many arrays at once; optimizer_reference.py is the definition.

   The arrays of each entry are lists one after the other, `count` arrays a list, then one float64
   array of numbers that change from step to step. */
#ifndef ML_OPTIMIZER_H
#define ML_OPTIMIZER_H
#include "ml.h"

typedef struct {
    int64_t count;
    double momentum, dampening, weight_decay;
    int32_t nesterov, maximize;
} ml_sgd_settings;

typedef struct {
    int64_t count;
    double beta1, beta2, eps, weight_decay;
    int32_t decoupled, amsgrad, maximize;
} ml_adam_settings;

typedef struct { int64_t count; } ml_list_settings;

typedef struct {
    ml_kernel sgd;                  /* params, grads, (with momentum) buffers, hyper [lr, first] */
    ml_kernel adam;                 /* params, grads, m, v, (with amsgrad) top, hyper [lr, t] */
    ml_kernel norm_squared;         /* grads, total [1] */
    ml_kernel scale;                /* arrays, factor [1] */
} optimizer_kernels;

const optimizer_kernels *optimizer_select(const ml_runtime *rt);
#endif
