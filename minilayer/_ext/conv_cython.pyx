# cython: language_level=3
"""Convolution of images and volumes, compiled: implicit GEMM (c/conv.inc.h).

Differs from the reference in rounding only; arrays must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime import register_epilogue

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/conv.h":
    enum:
        ML_CONV_NONE
        ML_CONV_RELU
    ctypedef struct conv_settings:
        int64_t stride[3]
        int64_t padding[3]
        int64_t dilation[3]
        int64_t groups
        int activation
        int accumulate
    ctypedef struct conv_kernels:
        ml_kernel conv
        ml_kernel conv_transpose
        ml_kernel conv_backward_input
        ml_kernel conv_backward_weight
    const conv_kernels *conv_select(const ml_runtime *rt) noexcept

cdef const conv_kernels *K = conv_select(runtime())

ACTIVATIONS = (None, "relu")
cdef conv_settings _form
for _name in ("conv2d", "conv3d"):
    register_epilogue(_name, 3, <char *> &_form.activation - <char *> &_form, ML_CONV_RELU)


cdef int fill2(conv_settings *s, stride, padding, dilation, int64_t groups) except -1:
    s.stride[0], s.padding[0], s.dilation[0] = 1, 0, 1
    s.stride[1], s.stride[2] = stride
    s.padding[1], s.padding[2] = padding
    s.dilation[1], s.dilation[2] = dilation
    s.groups = groups
    s.activation = ML_CONV_NONE
    s.accumulate = 0
    return 0


cdef int fill3(conv_settings *s, stride, padding, dilation, int64_t groups) except -1:
    s.stride[0], s.stride[1], s.stride[2] = stride
    s.padding[0], s.padding[1], s.padding[2] = padding
    s.dilation[0], s.dilation[1], s.dilation[2] = dilation
    s.groups = groups
    s.activation = ML_CONV_NONE
    s.accumulate = 0
    return 0


cdef int three(str name, ml_kernel entry, conv_settings *s, a, b, c, int64_t work) except -1:
    """A backward kernel of three arrays; `work`: which of them its size is."""
    cdef ml_array d[3]
    describe(a, &d[0], 0, name)
    describe(b, &d[1], 1, name)
    describe(c, &d[2], 2, name)
    return launch(name, entry, d, s, sizeof(s[0]), d[work].size * 16)


cdef int four(str name, ml_kernel entry, conv_settings *s, x, w, b, y) except -1:
    cdef ml_array d[4]
    describe(x, &d[0], 0, name)
    describe(w, &d[1], 1, name)
    describe(b, &d[2], 2, name)
    describe(y, &d[3], 3, name)
    return launch(name, entry, d, s, sizeof(s[0]), d[3].size * 16)


cdef int activate(str name, conv_settings *s, activation) except -1:
    if activation is not None:
        if activation != "relu":
            raise ValueError(f"{name}: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
        s.activation = ML_CONV_RELU
    return 0


def conv2d(x, w, b, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, activation=None):
    """y[b,o,p,q] = act(sum_(c,k,l) x[b, c, p s + k d - t, q s + l d - t] w[o,c,k,l] + bias[o])"""
    cdef conv_settings s
    fill2(&s, stride, padding, dilation, groups)
    activate("conv2d", &s, activation)
    four("conv2d", K.conv, &s, x, w, b, y)


def conv3d(x, w, b, y, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1, activation=None):
    """conv2d with one more axis, in front of the two."""
    cdef conv_settings s
    fill3(&s, stride, padding, dilation, groups)
    activate("conv3d", &s, activation)
    four("conv3d", K.conv, &s, x, w, b, y)


def conv_transpose2d(x, w, b, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """y[b, c, p s + k d - t, q s + l d - t] = sum of x[b,o,p,q] w[o,c,k,l] over all that meet there, + bias[c]"""
    cdef conv_settings s
    fill2(&s, stride, padding, dilation, groups)
    four("conv_transpose2d", K.conv_transpose, &s, x, w, b, y)


def conv_transpose3d(x, w, b, y, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1):
    """conv_transpose2d with one more axis, in front of the two."""
    cdef conv_settings s
    fill3(&s, stride, padding, dilation, groups)
    four("conv_transpose3d", K.conv_transpose, &s, x, w, b, y)


def conv2d_backward_input(dy, w, dx, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
                          bint accumulate=False):
    """dx[b, c, p s + k d - t, q s + l d - t] = sum of dy[b,o,p,q] w[o,c,k,l] over all (o,k,l,p,q) that meet there."""
    cdef conv_settings s
    fill2(&s, stride, padding, dilation, groups)
    s.accumulate = accumulate
    three("conv2d_backward_input", K.conv_backward_input, &s, dy, w, dx, 2)


def conv3d_backward_input(dy, w, dx, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1,
                          bint accumulate=False):
    """conv2d_backward_input with one more axis."""
    cdef conv_settings s
    fill3(&s, stride, padding, dilation, groups)
    s.accumulate = accumulate
    three("conv3d_backward_input", K.conv_backward_input, &s, dy, w, dx, 2)


def conv2d_backward_weight(dy, x, dw, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
                           bint accumulate=False):
    """dw[o,c,k,l] = sum_(b,p,q) dy[b,o,p,q] x[b, c, p s + k d - t, q s + l d - t]"""
    cdef conv_settings s
    fill2(&s, stride, padding, dilation, groups)
    s.accumulate = accumulate
    three("conv2d_backward_weight", K.conv_backward_weight, &s, dy, x, dw, 0)


def conv3d_backward_weight(dy, x, dw, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1,
                           bint accumulate=False):
    """conv2d_backward_weight with one more axis."""
    cdef conv_settings s
    fill3(&s, stride, padding, dilation, groups)
    s.accumulate = accumulate
    three("conv3d_backward_weight", K.conv_backward_weight, &s, dy, x, dw, 0)
