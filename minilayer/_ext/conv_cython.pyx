# cython: language_level=3
"""Two-dimensional convolution, compiled: implicit GEMM (c/conv.inc.h).

Differs from the reference in rounding only; arrays must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/conv.h":
    enum:
        ML_CONV_NONE
        ML_CONV_RELU
    ctypedef struct conv_settings:
        int64_t stride[2]
        int64_t padding[2]
        int64_t dilation[2]
        int64_t groups
        int activation
        int accumulate
    ctypedef struct conv_kernels:
        ml_kernel conv2d
        ml_kernel conv2d_backward_input
        ml_kernel conv2d_backward_weight
    const conv_kernels *conv_select(const ml_runtime *rt) noexcept

cdef const conv_kernels *K = conv_select(runtime())

ACTIVATIONS = (None, "relu")


cdef int fill(conv_settings *s, stride, padding, dilation, int64_t groups) except -1:
    s.stride[0], s.stride[1] = stride
    s.padding[0], s.padding[1] = padding
    s.dilation[0], s.dilation[1] = dilation
    s.groups = groups
    s.activation = ML_CONV_NONE
    s.accumulate = 0
    return 0


def conv2d(x, w, b, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, activation=None):
    """y[b,o,p,q] = act(sum_(c,k,l) x[b, c, p s + k d - t, q s + l d - t] w[o,c,k,l] + bias[o])"""
    cdef ml_array d[4]
    cdef conv_settings s
    fill(&s, stride, padding, dilation, groups)
    if activation is not None:
        if activation != "relu":
            raise ValueError(f"conv2d: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
        s.activation = ML_CONV_RELU
    describe(x, &d[0], 0, "conv2d")
    describe(w, &d[1], 1, "conv2d")
    describe(b, &d[2], 2, "conv2d")
    describe(y, &d[3], 3, "conv2d")
    launch("conv2d", K.conv2d, d, &s, d[3].size * 16)


def conv2d_backward_input(dy, w, dx, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
                          bint accumulate=False):
    """dx[b, c, p s + k d - t, q s + l d - t] = sum of dy[b,o,p,q] w[o,c,k,l] over all (o,k,l,p,q) that meet there."""
    cdef ml_array d[3]
    cdef conv_settings s
    fill(&s, stride, padding, dilation, groups)
    s.accumulate = accumulate
    describe(dy, &d[0], 0, "conv2d_backward_input")
    describe(w, &d[1], 1, "conv2d_backward_input")
    describe(dx, &d[2], 2, "conv2d_backward_input")
    launch("conv2d_backward_input", K.conv2d_backward_input, d, &s, d[2].size * 16)


def conv2d_backward_weight(dy, x, dw, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
                           bint accumulate=False):
    """dw[o,c,k,l] = sum_(b,p,q) dy[b,o,p,q] x[b, c, p s + k d - t, q s + l d - t]"""
    cdef ml_array d[3]
    cdef conv_settings s
    fill(&s, stride, padding, dilation, groups)
    s.accumulate = accumulate
    describe(dy, &d[0], 0, "conv2d_backward_weight")
    describe(x, &d[1], 1, "conv2d_backward_weight")
    describe(dw, &d[2], 2, "conv2d_backward_weight")
    launch("conv2d_backward_weight", K.conv2d_backward_weight, d, &s, d[0].size * 16)
