# cython: language_level=3
"""Windows of images as columns, and back, compiled: fold_reference.py is the definition, c/fold.inc.h the loops.

What differs from the reference: arrays must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/fold.h":
    ctypedef struct fold_settings:
        int64_t stride[2]
        int64_t padding[2]
        int64_t dilation[2]
    ctypedef struct fold_kernels:
        ml_kernel unfold, fold
    const fold_kernels *fold_select(const ml_runtime *rt) noexcept

cdef const fold_kernels *K = fold_select(runtime())


cdef int run(str name, ml_kernel entry, a, b, int windows, stride, padding, dilation) except -1:
    """`windows`: which of the two arrays holds them."""
    cdef ml_array d[2]
    cdef fold_settings s
    s.stride[0], s.stride[1] = stride
    s.padding[0], s.padding[1] = padding
    s.dilation[0], s.dilation[1] = dilation
    describe(a, &d[0], 0, name)
    describe(b, &d[1], 1, name)
    return launch(name, entry, d, &s, sizeof(s), d[windows].size)


def unfold(x, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """y[b,c,k,l,p,q] = x[b, c, p s + k d - t, q s + l d - t], 0 outside of x"""
    run("unfold", K.unfold, x, y, 1, stride, padding, dilation)


def fold(y, x, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """x[b, c, p s + k d - t, q s + l d - t] = sum of y[b,c,k,l,p,q] over all that meet there"""
    run("fold", K.fold, y, x, 0, stride, padding, dilation)
