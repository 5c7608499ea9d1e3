# cython: language_level=3
"""Pooling, compiled: the contract of pool_reference.py over the loops of c/pool.typed.h.

What differs from the reference: averages are summed in x's own type, a window's row at a time; arrays must be in C
order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/pool.h":
    ctypedef struct pool_settings:
        int64_t kernel[2]
        int64_t stride[2]
        int64_t padding[2]
        int64_t dilation[2]
        int count_include_pad
        double divisor
    ctypedef struct pool_kernels:
        ml_kernel max_pool2d
        ml_kernel max_pool2d_backward
        ml_kernel avg_pool2d
        ml_kernel avg_pool2d_backward
        ml_kernel adaptive_avg_pool2d
        ml_kernel adaptive_avg_pool2d_backward
    const pool_kernels *pool_select(const ml_runtime *rt) noexcept

cdef const pool_kernels *K = pool_select(runtime())


cdef int fill(pool_settings *s, str name, kernel, stride, padding, dilation) except -1:
    """Copy the pairs, which the loops divide by and index with, so they are checked here once more."""
    s.kernel[0], s.kernel[1] = kernel
    s.stride[0], s.stride[1] = stride
    s.padding[0], s.padding[1] = padding
    s.dilation[0], s.dilation[1] = dilation
    if min(s.kernel[0], s.kernel[1], s.stride[0], s.stride[1], s.dilation[0], s.dilation[1]) < 1 \
            or min(s.padding[0], s.padding[1]) < 0:
        raise ValueError(f"{name}: expected kernel, stride and dilation of at least 1 and padding of at least 0, got "
                         f"kernel={kernel}, stride={stride}, padding={padding}, dilation={dilation}")
    return 0


def max_pool2d(x, y, index, *, kernel, stride, padding=(0, 0), dilation=(1, 1)):
    """y = the largest value in each window, index its place h*W + w (or None)."""
    cdef ml_array a[3]
    cdef pool_settings s
    describe(x, &a[0], 0, "max_pool2d")
    describe(y, &a[1], 1, "max_pool2d")
    describe(index, &a[2], 2, "max_pool2d")
    fill(&s, "max_pool2d", kernel, stride, padding, dilation)
    launch("max_pool2d", K.max_pool2d, a, &s, a[0].size)


def max_pool2d_backward(dy, index, dx):
    """dx[b,c,index] += dy, zero elsewhere."""
    cdef ml_array a[3]
    cdef pool_settings s
    describe(dy, &a[0], 0, "max_pool2d_backward")
    describe(index, &a[1], 1, "max_pool2d_backward")
    describe(dx, &a[2], 2, "max_pool2d_backward")
    launch("max_pool2d_backward", K.max_pool2d_backward, a, &s, a[2].size)


def avg_pool2d(x, y, *, kernel, stride, padding=(0, 0), bint count_include_pad=True, divisor_override=None):
    """y = the sum over each window divided by its size, or by divisor_override."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(x, &a[0], 0, "avg_pool2d")
    describe(y, &a[1], 1, "avg_pool2d")
    fill(&s, "avg_pool2d", kernel, stride, padding, (1, 1))
    s.count_include_pad = count_include_pad
    s.divisor = 0 if divisor_override is None else divisor_override
    launch("avg_pool2d", K.avg_pool2d, a, &s, a[0].size)


def avg_pool2d_backward(dy, dx, *, kernel, stride, padding=(0, 0), bint count_include_pad=True,
                        divisor_override=None):
    """dx[h,w] = sum of dy[p,q] / divisor[p,q] over the windows that hold (h, w)."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(dy, &a[0], 0, "avg_pool2d_backward")
    describe(dx, &a[1], 1, "avg_pool2d_backward")
    fill(&s, "avg_pool2d_backward", kernel, stride, padding, (1, 1))
    s.count_include_pad = count_include_pad
    s.divisor = 0 if divisor_override is None else divisor_override
    launch("avg_pool2d_backward", K.avg_pool2d_backward, a, &s, a[1].size)


def adaptive_avg_pool2d(x, y):
    """y[p,q] = the mean over bin rows [floor(p*H/P), ceil((p+1)*H/P)) and columns likewise."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(x, &a[0], 0, "adaptive_avg_pool2d")
    describe(y, &a[1], 1, "adaptive_avg_pool2d")
    launch("adaptive_avg_pool2d", K.adaptive_avg_pool2d, a, &s, a[0].size)


def adaptive_avg_pool2d_backward(dy, dx):
    """Each bin's dy, divided by the bin's size, goes to all of its places."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(dy, &a[0], 0, "adaptive_avg_pool2d_backward")
    describe(dx, &a[1], 1, "adaptive_avg_pool2d_backward")
    launch("adaptive_avg_pool2d_backward", K.adaptive_avg_pool2d_backward, a, &s, a[1].size)
