# cython: language_level=3
"""Compiled functions of one array: elementwise_reference.py says what each computes, c/elementwise.inc.h how."""
cimport numpy as cnp
from libc.math cimport INFINITY
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t

from minilayer._ext.runtime cimport ML_F32, ML_F64, describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/elementwise.h":
    ctypedef struct gelu_settings:
        int32_t approximate
    ctypedef struct clamp_settings:
        double low, high
        int64_t whole_low, whole_high
    ctypedef struct elementwise_kernels:
        ml_kernel neg, abs, sign, square, reciprocal, sqrt, rsqrt
        ml_kernel exp, log, log1p, expm1, sin, cos, tanh, sigmoid, relu, erf, gelu
        ml_kernel floor, ceil, round, trunc, clamp, isnan, isinf, isfinite, logical_not
        ml_kernel abs_backward, square_backward, reciprocal_backward, sqrt_backward, rsqrt_backward, log_backward
        ml_kernel tanh_backward, sigmoid_backward, relu_backward, erf_backward, gelu_backward, clamp_backward
    const elementwise_kernels *elementwise_select(const ml_runtime *)

cdef const elementwise_kernels *K = elementwise_select(runtime())


cdef inline int unary(str name, ml_kernel kernel, object x, object y) except -1:
    cdef ml_array d[2]
    describe(x, &d[0], 0, name)
    describe(y, &d[1], 1, name)
    return launch(name, kernel, d, NULL, 0, d[1].size)


cdef inline int backward(str name, ml_kernel kernel, object saved, object dy, object dx) except -1:
    cdef ml_array d[3]
    describe(saved, &d[0], 0, name)
    describe(dy, &d[1], 1, name)
    describe(dx, &d[2], 2, name)
    return launch(name, kernel, d, NULL, 0, d[2].size)


def neg(x, y):
    """y = -x"""
    unary("neg", K.neg, x, y)


def abs(x, y):
    """y = |x|"""
    unary("abs", K.abs, x, y)


def sign(x, y):
    """y = 1, 0 or -1; 0 for NaN"""
    unary("sign", K.sign, x, y)


def square(x, y):
    """y = x^2"""
    unary("square", K.square, x, y)


def reciprocal(x, y):
    """y = 1 / x"""
    unary("reciprocal", K.reciprocal, x, y)


def sqrt(x, y):
    """y = sqrt(x)"""
    unary("sqrt", K.sqrt, x, y)


def rsqrt(x, y):
    """y = 1 / sqrt(x)"""
    unary("rsqrt", K.rsqrt, x, y)


def exp(x, y):
    """y = e^x"""
    unary("exp", K.exp, x, y)


def log(x, y):
    """y = log x"""
    unary("log", K.log, x, y)


def log1p(x, y):
    """y = log(1 + x)"""
    unary("log1p", K.log1p, x, y)


def expm1(x, y):
    """y = e^x - 1"""
    unary("expm1", K.expm1, x, y)


def sin(x, y):
    """y = sin x"""
    unary("sin", K.sin, x, y)


def cos(x, y):
    """y = cos x"""
    unary("cos", K.cos, x, y)


def tanh(x, y):
    """y = tanh x"""
    unary("tanh", K.tanh, x, y)


def sigmoid(x, y):
    """y = 1 / (1 + e^-x)"""
    unary("sigmoid", K.sigmoid, x, y)


def relu(x, y):
    """y = 0 where x <= 0, else x"""
    unary("relu", K.relu, x, y)


def erf(x, y):
    """y = erf x"""
    unary("erf", K.erf, x, y)


def floor(x, y):
    """y = the largest integer <= x"""
    unary("floor", K.floor, x, y)


def ceil(x, y):
    """y = the smallest integer >= x"""
    unary("ceil", K.ceil, x, y)


def round(x, y):
    """y = the nearest integer, halves to the even one"""
    unary("round", K.round, x, y)


def trunc(x, y):
    """y = x without its fraction"""
    unary("trunc", K.trunc, x, y)


def isnan(x, y):
    """y = x is not a number"""
    unary("isnan", K.isnan, x, y)


def isinf(x, y):
    """y = x is infinite"""
    unary("isinf", K.isinf, x, y)


def isfinite(x, y):
    """y = x is neither infinite nor NaN"""
    unary("isfinite", K.isfinite, x, y)


def logical_not(x, y):
    """y = x == 0"""
    unary("logical_not", K.logical_not, x, y)


def gelu(x, y, *, approximate="none"):
    """y = x (1 + erf(x / sqrt 2)) / 2, or its "tanh" approximation"""
    cdef ml_array d[2]
    cdef gelu_settings s
    describe(x, &d[0], 0, "gelu")
    describe(y, &d[1], 1, "gelu")
    s.approximate = approximate == "tanh"
    launch("gelu", K.gelu, d, &s, sizeof(s), d[1].size)


def gelu_backward(x, dy, dx, *, approximate="none"):
    """dx = (P(x) + x P'(x)) dy with y = x P(x)"""
    cdef ml_array d[3]
    cdef gelu_settings s
    describe(x, &d[0], 0, "gelu_backward")
    describe(dy, &d[1], 1, "gelu_backward")
    describe(dx, &d[2], 2, "gelu_backward")
    s.approximate = approximate == "tanh"
    launch("gelu_backward", K.gelu_backward, d, &s, sizeof(s), d[2].size)


cdef clamp_settings bounds(object low, object high, int dtype) except *:
    """The bounds as floats or as integers, by the array's dtype."""
    cdef clamp_settings s
    s.low = -INFINITY
    s.high = INFINITY
    s.whole_low = INT64_MIN
    s.whole_high = INT64_MAX
    if dtype == ML_F32 or dtype == ML_F64:
        if low is not None:
            s.low = low
        if high is not None:
            s.high = high
    else:
        if low is not None:
            s.whole_low = int(low)
        if high is not None:
            s.whole_high = int(high)
    return s


def clamp(x, y, *, low=None, high=None):
    """y = min(max(x, low), high); None is no bound"""
    cdef ml_array d[2]
    cdef clamp_settings s
    describe(x, &d[0], 0, "clamp")
    describe(y, &d[1], 1, "clamp")
    s = bounds(low, high, d[0].dtype)
    launch("clamp", K.clamp, d, &s, sizeof(s), d[1].size)


def clamp_backward(x, dy, dx, *, low=None, high=None):
    """dx = dy where low <= x <= high, else 0"""
    cdef ml_array d[3]
    cdef clamp_settings s
    describe(x, &d[0], 0, "clamp_backward")
    describe(dy, &d[1], 1, "clamp_backward")
    describe(dx, &d[2], 2, "clamp_backward")
    s = bounds(low, high, d[0].dtype)
    launch("clamp_backward", K.clamp_backward, d, &s, sizeof(s), d[2].size)


def abs_backward(x, dy, dx):
    """dx = sign(x) dy"""
    backward("abs_backward", K.abs_backward, x, dy, dx)


def square_backward(x, dy, dx):
    """dx = 2 x dy"""
    backward("square_backward", K.square_backward, x, dy, dx)


def reciprocal_backward(y, dy, dx):
    """dx = -y^2 dy"""
    backward("reciprocal_backward", K.reciprocal_backward, y, dy, dx)


def sqrt_backward(y, dy, dx):
    """dx = dy / (2 y)"""
    backward("sqrt_backward", K.sqrt_backward, y, dy, dx)


def rsqrt_backward(y, dy, dx):
    """dx = -y^3 dy / 2"""
    backward("rsqrt_backward", K.rsqrt_backward, y, dy, dx)


def log_backward(x, dy, dx):
    """dx = dy / x"""
    backward("log_backward", K.log_backward, x, dy, dx)


def tanh_backward(y, dy, dx):
    """dx = (1 - y^2) dy"""
    backward("tanh_backward", K.tanh_backward, y, dy, dx)


def sigmoid_backward(y, dy, dx):
    """dx = y (1 - y) dy"""
    backward("sigmoid_backward", K.sigmoid_backward, y, dy, dx)


def relu_backward(y, dy, dx):
    """dx = 0 where y <= 0, else dy"""
    backward("relu_backward", K.relu_backward, y, dy, dx)


def erf_backward(x, dy, dx):
    """dx = 2 / sqrt(pi) e^-x^2 dy"""
    backward("erf_backward", K.erf_backward, x, dy, dx)
