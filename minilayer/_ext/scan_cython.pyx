# cython: language_level=3
"""Running products and their kin, compiled: scan_reference.py is the definition, c/scan.inc.h the loops.

What differs from the reference: float64 is multiplied in float64. Results do not depend on the number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport ML_BAD_INDEX, describe, enter, fail, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/scan.h":
    ctypedef struct scan_kernels:
        ml_kernel cumprod, cumprod_backward, cummax, cummin, add_along, logcumsumexp, logcumsumexp_backward
    const scan_kernels *scan_select(const ml_runtime *rt) noexcept

cdef const scan_kernels *K = scan_select(runtime())


cdef int run(str name, ml_kernel entry, tuple arrays) except -1:
    cdef ml_array a[4]
    cdef int i
    for i in range(len(arrays)):
        describe(arrays[i], &a[i], i, name)
    return launch(name, entry, a, NULL, 0, 8 * a[0].size)


def cumprod(x, y):
    """y_i = product of x_j over j <= i"""
    run("cumprod", K.cumprod, (x, y))


def cumprod_backward(x, y, dy, dx):
    """dx_k = sum over i >= k of dy_i times the product of the x_j with j <= i and j != k"""
    run("cumprod_backward", K.cumprod_backward, (x, y, dy, dx))


def cummax(x, y, index):
    """y_i, index_i = maximum of x_j over j <= i and the last place that has it"""
    run("cummax", K.cummax, (x, y, index))


def cummin(x, y, index):
    """y_i, index_i = minimum of x_j over j <= i and the last place that has it"""
    run("cummin", K.cummin, (x, y, index))


def add_along(dy, index, dx):
    """dx[o, index[o, i, c], c] = the sum of dy[o, i, c] over the i that have that index, else 0"""
    cdef ml_array a[3]
    cdef int status
    describe(dy, &a[0], 0, "add_along")
    describe(index, &a[1], 1, "add_along")
    describe(dx, &a[2], 2, "add_along")
    status = enter("add_along", K.add_along, a, NULL, 0, a[0].size)
    if status == ML_BAD_INDEX:
        raise IndexError(f"add_along: expected indices from 0 to {dx.shape[1] - 1}")
    if status:
        fail(status, "add_along")


def logcumsumexp(x, y):
    """y_i = log of the sum of e^x_j over j <= i"""
    run("logcumsumexp", K.logcumsumexp, (x, y))


def logcumsumexp_backward(x, y, dy, dx):
    """dx_j = sum over i >= j of dy_i e^(x_j - y_i)"""
    run("logcumsumexp_backward", K.logcumsumexp_backward, (x, y, dy, dx))
