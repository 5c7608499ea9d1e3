# cython: language_level=3
"""Compiled activations: activation_reference.py says what each computes, c/activation.typed.h how."""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/activation.h":
    ctypedef struct activation_settings:
        double a, b, c
    ctypedef struct gradient_settings:
        int accumulate
    ctypedef struct activation_kernels:
        ml_kernel hardtanh, hardtanh_backward
        ml_kernel leaky_relu, leaky_relu_backward
        ml_kernel elu, elu_backward
        ml_kernel silu, silu_backward
        ml_kernel mish, mish_backward
        ml_kernel log_sigmoid, log_sigmoid_backward
        ml_kernel tanhshrink, tanhshrink_backward
        ml_kernel softplus, softplus_backward
        ml_kernel softsign, softsign_backward
        ml_kernel softshrink, softshrink_backward
        ml_kernel hardshrink, hardshrink_backward
        ml_kernel hardsigmoid, hardsigmoid_backward
        ml_kernel hardswish, hardswish_backward
        ml_kernel threshold, threshold_backward
        ml_kernel glu, glu_backward, prelu, prelu_backward, rrelu
    const activation_kernels *activation_select(const ml_runtime *)

cdef const activation_kernels *K = activation_select(runtime())


cdef inline int forward(str name, ml_kernel kernel, object x, object y, double a=0, double b=0, double c=0) except -1:
    cdef ml_array d[2]
    cdef activation_settings s
    s.a, s.b, s.c = a, b, c
    describe(x, &d[0], 0, name)
    describe(y, &d[1], 1, name)
    return launch(name, kernel, d, &s, sizeof(s), d[1].size)


cdef inline int backward(str name, ml_kernel kernel, object x, object dy, object dx, double a=0, double b=0,
                         double c=0) except -1:
    cdef ml_array d[3]
    cdef activation_settings s
    s.a, s.b, s.c = a, b, c
    describe(x, &d[0], 0, name)
    describe(dy, &d[1], 1, name)
    describe(dx, &d[2], 2, name)
    return launch(name, kernel, d, &s, sizeof(s), d[2].size)


def hardtanh(x, y, *, double low, double high):
    """y = min(max(x, low), high), NaN where x is"""
    forward("hardtanh", K.hardtanh, x, y, low, high)


def hardtanh_backward(x, dy, dx, *, double low, double high):
    """dx = dy where low < x < high, else 0"""
    backward("hardtanh_backward", K.hardtanh_backward, x, dy, dx, low, high)


def leaky_relu(x, y, *, double slope):
    """y = x where x > 0, else slope x"""
    forward("leaky_relu", K.leaky_relu, x, y, slope)


def leaky_relu_backward(x, dy, dx, *, double slope):
    """dx = dy where x > 0, else slope dy"""
    backward("leaky_relu_backward", K.leaky_relu_backward, x, dy, dx, slope)


def elu(x, y, *, double alpha, double scale, double input_scale):
    """y = scale x where x > 0, else scale alpha (e^(input_scale x) - 1)"""
    forward("elu", K.elu, x, y, alpha * scale, scale, input_scale)


def elu_backward(x, dy, dx, *, double alpha, double scale, double input_scale):
    """dx = scale dy where x > 0, else scale alpha input_scale e^(input_scale x) dy"""
    backward("elu_backward", K.elu_backward, x, dy, dx, alpha * scale, scale, input_scale)


def silu(x, y):
    """y = x sigmoid(x)"""
    forward("silu", K.silu, x, y)


def silu_backward(x, dy, dx):
    """dx = s (1 + x (1 - s)) dy, s = sigmoid(x)"""
    backward("silu_backward", K.silu_backward, x, dy, dx)


def mish(x, y):
    """y = x tanh(log(1 + e^x))"""
    forward("mish", K.mish, x, y)


def mish_backward(x, dy, dx):
    """dx = (t + x sigmoid(x) (1 - t^2)) dy, t = tanh(log(1 + e^x))"""
    backward("mish_backward", K.mish_backward, x, dy, dx)


def log_sigmoid(x, y):
    """y = log sigmoid(x) = min(x, 0) - log(1 + e^-|x|)"""
    forward("log_sigmoid", K.log_sigmoid, x, y)


def log_sigmoid_backward(x, dy, dx):
    """dx = sigmoid(-x) dy"""
    backward("log_sigmoid_backward", K.log_sigmoid_backward, x, dy, dx)


def tanhshrink(x, y):
    """y = x - tanh x"""
    forward("tanhshrink", K.tanhshrink, x, y)


def tanhshrink_backward(x, dy, dx):
    """dx = tanh(x)^2 dy"""
    backward("tanhshrink_backward", K.tanhshrink_backward, x, dy, dx)


def softplus(x, y, *, double beta, double threshold):
    """y = log(1 + e^(beta x)) / beta; x itself where beta x > threshold"""
    forward("softplus", K.softplus, x, y, beta, threshold)


def softplus_backward(x, dy, dx, *, double beta, double threshold):
    """dx = sigmoid(beta x) dy; dy itself where beta x > threshold"""
    backward("softplus_backward", K.softplus_backward, x, dy, dx, beta, threshold)


def softsign(x, y):
    """y = x / (1 + |x|)"""
    forward("softsign", K.softsign, x, y)


def softsign_backward(x, dy, dx):
    """dx = dy / (1 + |x|)^2; NaN where x is infinite, as y is"""
    backward("softsign_backward", K.softsign_backward, x, dy, dx)


def softshrink(x, y, *, double lambd):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0 (NaN stays)"""
    forward("softshrink", K.softshrink, x, y, lambd)


def softshrink_backward(x, dy, dx, *, double lambd):
    """dx = dy where |x| > lambd, else 0"""
    backward("softshrink_backward", K.softshrink_backward, x, dy, dx, lambd)


def hardshrink(x, y, *, double lambd):
    """y = x where |x| > lambd, else 0 (NaN stays)"""
    forward("hardshrink", K.hardshrink, x, y, lambd)


def hardshrink_backward(x, dy, dx, *, double lambd):
    """dx = dy where |x| > lambd, else 0"""
    backward("hardshrink_backward", K.hardshrink_backward, x, dy, dx, lambd)


def hardsigmoid(x, y):
    """y = min(max(x + 3, 0), 6) / 6"""
    forward("hardsigmoid", K.hardsigmoid, x, y)


def hardsigmoid_backward(x, dy, dx):
    """dx = dy / 6 where -3 < x < 3, else 0 (1/6 as a float)"""
    backward("hardsigmoid_backward", K.hardsigmoid_backward, x, dy, dx)


def hardswish(x, y):
    """y = x min(max(x + 3, 0), 6) / 6"""
    forward("hardswish", K.hardswish, x, y)


def hardswish_backward(x, dy, dx):
    """dx = 0 where x <= -3, dy where x >= 3, else (x / 3 + 1/2) dy"""
    backward("hardswish_backward", K.hardswish_backward, x, dy, dx)


def threshold(x, y, *, double threshold, double value):
    """y = value where x <= threshold, else x"""
    forward("threshold", K.threshold, x, y, threshold, value)


def threshold_backward(x, dy, dx, *, double threshold):
    """dx = 0 where x <= threshold, else dy"""
    backward("threshold_backward", K.threshold_backward, x, dy, dx, threshold)


def glu(x, y):
    """y[r,l] = x[r,0,l] sigmoid(x[r,1,l])"""
    forward("glu", K.glu, x, y)


def glu_backward(x, dy, dx):
    """dx[r,0,l] = s dy, dx[r,1,l] = x[r,0,l] s (1 - s) dy, s = sigmoid(x[r,1,l])"""
    backward("glu_backward", K.glu_backward, x, dy, dx)


def prelu(x, w, y):
    """y[b,c,l] = x where x > 0, else w[c] x"""
    cdef ml_array d[3]
    describe(x, &d[0], 0, "prelu")
    describe(w, &d[1], 1, "prelu")
    describe(y, &d[2], 2, "prelu")
    launch("prelu", K.prelu, d, NULL, 0, d[0].size)


def prelu_backward(x, w, dy, dx, dw, *, bint accumulate=False):
    """dx = dy where x > 0, else w[c] dy; dw[c] = sum of x dy over b and l where not x > 0 (`accumulate` adds to it)"""
    cdef ml_array d[5]
    cdef gradient_settings s
    describe(x, &d[0], 0, "prelu_backward")
    describe(w, &d[1], 1, "prelu_backward")
    describe(dy, &d[2], 2, "prelu_backward")
    describe(dx, &d[3], 3, "prelu_backward")
    describe(dw, &d[4], 4, "prelu_backward")
    s.accumulate = accumulate
    launch("prelu_backward", K.prelu_backward, d, &s, sizeof(s), d[0].size)


def rrelu(x, v, position, y, *, double lower, double upper):
    """y = v r where x <= 0, r random in [lower, upper), else v"""
    cdef ml_array d[4]
    cdef activation_settings s
    describe(x, &d[0], 0, "rrelu")
    describe(v, &d[1], 1, "rrelu")
    describe(position, &d[2], 2, "rrelu")
    describe(y, &d[3], 3, "rrelu")
    s.a, s.b, s.c = lower, upper, 0
    launch("rrelu", K.rrelu, d, &s, sizeof(s), d[0].size)
