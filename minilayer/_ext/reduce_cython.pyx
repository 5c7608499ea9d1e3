# cython: language_level=3
"""Reductions over any axes: the compiled twin of reduce_reference.py (loops in c/reduce.inc.h).

Float sums add at most 16 values in a row in x's dtype, then in float64, in an order fixed by the shape.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t

from minilayer._ext.runtime cimport ML_F32, ML_F64, describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/reduce.h":
    ctypedef struct ml_reduce_settings:
        int32_t accumulate
        double divisor
    ctypedef struct ml_axis_settings:
        int32_t axis, reverse
    ctypedef struct reduce_kernels:
        ml_kernel sum, prod, max, min, any, all
        ml_kernel argmax, argmin, max_with_index, min_with_index
        ml_kernel max_backward, scatter_axis, prod_backward, cumsum
    const reduce_kernels *reduce_select(const ml_runtime *)

cdef const reduce_kernels *K = reduce_select(runtime())


cdef inline int reduce(str name, ml_kernel entry, object x, object y, int accumulate=0, bint divide=False) except -1:
    cdef ml_array a[2]
    cdef ml_reduce_settings s
    describe(x, &a[0], 0, name)
    describe(y, &a[1], 1, name)
    s.accumulate = accumulate
    s.divisor = 1
    if divide:
        if a[0].dtype != ML_F32 and a[0].dtype != ML_F64:
            raise TypeError(f"{name}: expected float32 or float64, got {x.dtype}")
        s.divisor = 0 if a[1].size == 0 else <double> a[0].size / <double> a[1].size
    return launch(name, entry, a, &s, sizeof(s), a[0].size)


def sum(x, y, *, accumulate=False):
    """y (+)= sum of x over y's axes of size 1"""
    reduce("sum", K.sum, x, y, bool(accumulate))


def mean(x, y, *, accumulate=False):
    """y (+)= mean of x over y's axes of size 1"""
    reduce("mean", K.sum, x, y, bool(accumulate), True)


def prod(x, y):
    """y = product of x over y's axes of size 1"""
    reduce("prod", K.prod, x, y)


def max(x, y):
    """y = maximum of x over y's axes of size 1"""
    reduce("max", K.max, x, y)


def min(x, y):
    """y = minimum of x over y's axes of size 1"""
    reduce("min", K.min, x, y)


def any(x, y):
    """y = is any element not 0?"""
    reduce("any", K.any, x, y)


def all(x, y):
    """y = are all elements not 0?"""
    reduce("all", K.all, x, y)


cdef inline int along(str name, ml_kernel entry, object x, object y, object z, int axis, int reverse=0) except -1:
    cdef ml_array a[3]
    cdef ml_axis_settings s
    describe(x, &a[0], 0, name)
    describe(y, &a[1], 1, name)
    if z is not None:
        describe(z, &a[2], 2, name)
    s.axis = axis if axis >= 0 else axis + a[0].ndim
    s.reverse = reverse
    return launch(name, entry, a, &s, sizeof(s), a[0].size)


def argmax(x, index, *, axis):
    """index = place of the first maximum along `axis`"""
    along("argmax", K.argmax, x, index, None, axis)


def argmin(x, index, *, axis):
    """index = place of the first minimum along `axis`"""
    along("argmin", K.argmin, x, index, None, axis)


def max_with_index(x, y, index, *, axis):
    """y, index = maximum along `axis` and its first place"""
    if index is None:
        raise TypeError("max_with_index: expected an index array, got None")
    along("max_with_index", K.max_with_index, x, y, index, axis)


def min_with_index(x, y, index, *, axis):
    """y, index = minimum along `axis` and its first place"""
    if index is None:
        raise TypeError("min_with_index: expected an index array, got None")
    along("min_with_index", K.min_with_index, x, y, index, axis)


def max_backward(x, y, dy, dx, *, bint nan_to_all=False):
    """dx = dy shared among the x equal to y, else 0"""
    cdef ml_array a[4]
    cdef int spread = nan_to_all
    describe(x, &a[0], 0, "max_backward")
    describe(y, &a[1], 1, "max_backward")
    describe(dy, &a[2], 2, "max_backward")
    describe(dx, &a[3], 3, "max_backward")
    launch("max_backward", K.max_backward, a, &spread, sizeof(spread), a[0].size)


def scatter_axis(dy, index, dx, *, axis):
    """dx = 0 but for dx[index] = dy along `axis`"""
    if dx is None:
        raise TypeError("scatter_axis: expected an array dx, got None")
    along("scatter_axis", K.scatter_axis, dy, index, dx, axis)


def prod_backward(x, dy, dx):
    """dx_i = dy * product of the other x"""
    cdef ml_array a[3]
    describe(x, &a[0], 0, "prod_backward")
    describe(dy, &a[1], 1, "prod_backward")
    describe(dx, &a[2], 2, "prod_backward")
    launch("prod_backward", K.prod_backward, a, NULL, 0, a[0].size)


def cumsum(x, y, *, axis, reverse=False):
    """y = running sum of x along `axis`, from its end with reverse"""
    along("cumsum", K.cumsum, x, y, None, axis, bool(reverse))
