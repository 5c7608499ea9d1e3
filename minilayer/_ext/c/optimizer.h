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

typedef struct {                    /* of the rules from rmsprop to rprop, which read what is theirs */
    int64_t count;
    double beta1, beta2, eps, weight_decay, momentum, low, high;
    int32_t decoupled, centered, maximize;
} ml_rule_settings;

typedef struct { int64_t count; } ml_list_settings;

typedef struct {
    ml_kernel sgd;                  /* params, grads, (with momentum) buffers, hyper [lr, first] */
    ml_kernel adam;                 /* params, grads, m, v, (with amsgrad) top, hyper [lr, t] */
    ml_kernel rmsprop;              /* params, grads, v, (centered) a, (with momentum) b, hyper [lr, t] */
    ml_kernel adagrad;              /* params, grads, v, hyper [lr, t]; low is lr_decay */
    ml_kernel adadelta;             /* params, grads, v, u, hyper [lr, t]; beta1 is rho */
    ml_kernel adamax;               /* params, grads, m, u, hyper [lr, t] */
    ml_kernel nadam;                /* params, grads, m, v, hyper [lr, t, product]; momentum is momentum_decay */
    ml_kernel radam;                /* params, grads, m, v, hyper [lr, t] */
    ml_kernel rprop;                /* params, grads, previous, d, hyper [lr, t]; beta1, beta2 are etas */
    ml_kernel norm_squared;         /* grads, total [1] */
    ml_kernel scale;                /* arrays, factor [1] */
} optimizer_kernels;

const optimizer_kernels *optimizer_select(const ml_runtime *rt);
#endif
