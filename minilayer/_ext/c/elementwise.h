/* Functions of one array, element by element. What each computes stands in elementwise_reference.py;
   here are its C entries. */
#ifndef ML_ELEMENTWISE_H
#define ML_ELEMENTWISE_H

#include "ml.h"

typedef struct { int32_t approximate; } gelu_settings;      /* 0: by erf, 1: by tanh */
typedef struct {
    double low, high;                                       /* for floats; -inf, inf where there is no bound */
    int64_t whole_low, whole_high;                          /* for integers */
} clamp_settings;

typedef struct {
    ml_kernel neg, abs, sign, square, reciprocal, sqrt, rsqrt;
    ml_kernel exp, log, log1p, expm1, sin, cos, tanh, sigmoid, relu, erf, gelu;
    ml_kernel floor, ceil, round, trunc, clamp, isnan, isinf, isfinite, logical_not;
    ml_kernel abs_backward, square_backward, reciprocal_backward, sqrt_backward, rsqrt_backward, log_backward;
    ml_kernel tanh_backward, sigmoid_backward, relu_backward, erf_backward, gelu_backward, clamp_backward;
} elementwise_kernels;

const elementwise_kernels *elementwise_select(const ml_runtime *rt);

#endif
