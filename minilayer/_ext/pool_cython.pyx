# cython: language_level=3
"""Pooling, compiled: the contract of pool_reference.py over the loops of c/pool.typed.h.

What differs from the reference: averages are summed in x's own type, a window's row at a time; arrays must be in C
order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport ML_BAD_INDEX, describe, enter, fail, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/pool.h":
    ctypedef struct pool_settings:
        int64_t kernel[3]
        int64_t stride[3]
        int64_t padding[3]
        int64_t dilation[3]
        int count_include_pad
        double divisor
    ctypedef struct pool_kernels:
        ml_kernel max_pool, max_pool_backward, adaptive_max_pool, fractional_max_pool, max_unpool, max_unpool_backward
        ml_kernel avg_pool, avg_pool_backward, adaptive_avg_pool, adaptive_avg_pool_backward
    const pool_kernels *pool_select(const ml_runtime *rt) noexcept

cdef const pool_kernels *K = pool_select(runtime())


cdef int fill(pool_settings *s, str name, kernel, stride, padding, dilation) except -1:
    """Copy the triples, which the loops divide by and index with, so they are checked here once more."""
    cdef int i
    s.kernel[0], s.kernel[1], s.kernel[2] = kernel
    s.stride[0], s.stride[1], s.stride[2] = stride
    s.padding[0], s.padding[1], s.padding[2] = padding
    s.dilation[0], s.dilation[1], s.dilation[2] = dilation
    for i in range(3):
        if s.kernel[i] < 1 or s.stride[i] < 1 or s.dilation[i] < 1 or s.padding[i] < 0:
            raise ValueError(f"{name}: expected kernel, stride and dilation of at least 1 and padding of at least 0, got "
                             f"kernel={kernel}, stride={stride}, padding={padding}, dilation={dilation}")
        if max(s.kernel[i], s.stride[i], s.padding[i], s.dilation[i]) >= 2147483648:    # products fit in 64 bits
            raise ValueError(f"{name}: expected kernel, stride, padding and dilation below 2**31, got kernel={kernel}, "
                             f"stride={stride}, padding={padding}, dilation={dilation}")
    return 0


def max_pool(x, y, index, *, kernel, stride, padding=(0, 0, 0), dilation=(1, 1, 1)):
    """y = the largest value in each window, index its place (d*H + h)*W + w (or None)."""
    cdef ml_array a[3]
    cdef pool_settings s
    describe(x, &a[0], 0, "max_pool")
    describe(y, &a[1], 1, "max_pool")
    describe(index, &a[2], 2, "max_pool")
    fill(&s, "max_pool", kernel, stride, padding, dilation)
    launch("max_pool", K.max_pool, a, &s, sizeof(s), a[0].size)


cdef int places(str name, ml_kernel entry, first, second, third) except -1:
    """A kernel of three arrays without settings."""
    cdef ml_array a[3]
    cdef pool_settings s
    describe(first, &a[0], 0, name)
    describe(second, &a[1], 1, name)
    describe(third, &a[2], 2, name)
    try:
        return launch(name, entry, a, &s, sizeof(s), a[0].size + a[2].size)
    except IndexError as error:
        raise IndexError(f"{error}, got {second.min()} .. {second.max()}") from None


def max_pool_backward(dy, index, dx):
    """dx[n,index] += dy, zero elsewhere."""
    places("max_pool_backward", K.max_pool_backward, dy, index, dx)


def adaptive_max_pool(x, y, index):
    """y = the largest value of each bin, index its place (or None)."""
    places("adaptive_max_pool", K.adaptive_max_pool, x, y, index)


def fractional_max_pool(x, samples, y, index, *, kernel):
    """y = the largest value of windows that begin where samples say, index its place (or None)."""
    cdef ml_array a[4]
    cdef pool_settings s
    cdef int status
    describe(x, &a[0], 0, "fractional_max_pool")
    describe(samples, &a[1], 1, "fractional_max_pool")
    describe(y, &a[2], 2, "fractional_max_pool")
    describe(index, &a[3], 3, "fractional_max_pool")
    fill(&s, "fractional_max_pool", kernel, (1, 1, 1), (0, 0, 0), (1, 1, 1))
    status = enter("fractional_max_pool", K.fractional_max_pool, a, &s, sizeof(s), a[0].size)
    if status == ML_BAD_INDEX:
        raise ValueError("fractional_max_pool: expected samples in [0, 1), got one outside")
    if status:
        fail(status, "fractional_max_pool")


def max_unpool(x, index, y):
    """y[n,index] = x, zero elsewhere."""
    places("max_unpool", K.max_unpool, x, index, y)


def max_unpool_backward(dy, index, dx):
    """dx = dy[n,index]; 0 where index is -1."""
    places("max_unpool_backward", K.max_unpool_backward, dy, index, dx)


def avg_pool(x, y, *, kernel, stride, padding=(0, 0, 0), bint count_include_pad=True, divisor_override=None):
    """y = the sum over each window divided by its size, or by divisor_override."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(x, &a[0], 0, "avg_pool")
    describe(y, &a[1], 1, "avg_pool")
    fill(&s, "avg_pool", kernel, stride, padding, (1, 1, 1))
    s.count_include_pad = count_include_pad
    s.divisor = 0 if divisor_override is None else divisor_override
    launch("avg_pool", K.avg_pool, a, &s, sizeof(s), a[0].size)


def avg_pool_backward(dy, dx, *, kernel, stride, padding=(0, 0, 0), bint count_include_pad=True, divisor_override=None):
    """dx = sum of dy / divisor over the windows that hold a place."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(dy, &a[0], 0, "avg_pool_backward")
    describe(dx, &a[1], 1, "avg_pool_backward")
    fill(&s, "avg_pool_backward", kernel, stride, padding, (1, 1, 1))
    s.count_include_pad = count_include_pad
    s.divisor = 0 if divisor_override is None else divisor_override
    launch("avg_pool_backward", K.avg_pool_backward, a, &s, sizeof(s), a[1].size)


def adaptive_avg_pool(x, y):
    """y = the mean of each bin."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(x, &a[0], 0, "adaptive_avg_pool")
    describe(y, &a[1], 1, "adaptive_avg_pool")
    launch("adaptive_avg_pool", K.adaptive_avg_pool, a, &s, sizeof(s), a[0].size)


def adaptive_avg_pool_backward(dy, dx):
    """Each bin's dy, divided by the bin's size, goes to all of its places."""
    cdef ml_array a[2]
    cdef pool_settings s
    describe(dy, &a[0], 0, "adaptive_avg_pool_backward")
    describe(dx, &a[1], 1, "adaptive_avg_pool_backward")
    launch("adaptive_avg_pool_backward", K.adaptive_avg_pool_backward, a, &s, sizeof(s), a[1].size)
