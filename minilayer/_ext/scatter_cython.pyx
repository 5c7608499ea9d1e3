# cython: language_level=3
"""Elements combined where an index says, compiled: scatter_reference.py is the definition, c/scatter.inc.h the loops."""
cimport numpy as cnp

from minilayer._ext.runtime cimport ML_BAD_INDEX, describe, enter, fail, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/scatter.h":
    ctypedef struct scatter_kernels:
        ml_kernel multiply_at, maximum_at, minimum_at
    const scatter_kernels *scatter_select(const ml_runtime *rt) noexcept

cdef const scatter_kernels *K = scatter_select(runtime())


cdef int run(str name, ml_kernel entry, x, index, v) except -1:
    cdef ml_array a[3]
    cdef int status
    describe(x, &a[0], 0, name)
    describe(index, &a[1], 1, name)
    describe(v, &a[2], 2, name)
    status = enter(name, entry, a, NULL, 0, a[1].size)
    if status == ML_BAD_INDEX:
        raise IndexError(f"{name}: expected indices from 0 to {x.size - 1}")
    if status:
        fail(status, name)
    return 0


def multiply_at(x, index, v):
    """x[index[i]] *= v[i]"""
    run("multiply_at", K.multiply_at, x, index, v)


def maximum_at(x, index, v):
    """x[index[i]] = max(x[index[i]], v[i]); NaN where either is"""
    run("maximum_at", K.maximum_at, x, index, v)


def minimum_at(x, index, v):
    """x[index[i]] = min(x[index[i]], v[i]); NaN where either is"""
    run("minimum_at", K.minimum_at, x, index, v)
