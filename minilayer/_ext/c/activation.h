/* Activations: settings and entries. activation_reference.py says what each computes. */
#ifndef ML_ACTIVATION_H
#define ML_ACTIVATION_H
#include "ml.h"

typedef struct { double a, b, c; } activation_settings;     /* a kernel's numbers, in the order of its arguments (elu:
                                                               alpha * scale, scale, input_scale) */
typedef struct { int accumulate; } gradient_settings;

typedef struct {
    /* x y; x dy dx */
    ml_kernel hardtanh, hardtanh_backward;
    ml_kernel leaky_relu, leaky_relu_backward;
    ml_kernel elu, elu_backward;
    ml_kernel silu, silu_backward;
    ml_kernel mish, mish_backward;
    ml_kernel log_sigmoid, log_sigmoid_backward;
    ml_kernel tanhshrink, tanhshrink_backward;
    ml_kernel softplus, softplus_backward;
    ml_kernel softsign, softsign_backward;
    ml_kernel softshrink, softshrink_backward;
    ml_kernel hardshrink, hardshrink_backward;
    ml_kernel hardsigmoid, hardsigmoid_backward;
    ml_kernel hardswish, hardswish_backward;
    ml_kernel threshold, threshold_backward;
    ml_kernel glu, glu_backward;
    ml_kernel prelu;                /* x w y */
    ml_kernel prelu_backward;       /* x w dy dx dw */
    ml_kernel rrelu;                /* x v position y */
} activation_kernels;

const activation_kernels *activation_select(const ml_runtime *rt);
#endif
