# cython: language_level=3
"""Copies, fills, and rows by index: the compiled twin of indexing_reference.py (loops in c/indexing.inc.h)."""
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from minilayer._ext.runtime cimport (ML_BAD_INDEX, ML_BOOL, ML_F32, ML_F64, ML_I32, ML_I64, ML_MAX_DIMS, ML_OK,
                                     cannot_repeat, describe, enter, fail, launch, ml_array, ml_kernel, ml_runtime, runtime)

import numpy as np

from minilayer._ext.indexing_reference import _check_index

cnp.import_array()

cdef extern from "c/indexing.h":
    ctypedef struct ml_fill_settings:
        double real
        int64_t integer
    ctypedef struct ml_flatten_settings:
        int32_t count
        int32_t axis[16]
        int64_t sizes[16]
        int64_t strides[16]
    ctypedef struct ml_count_settings:
        int64_t *count
    ctypedef struct indexing_kernels:
        ml_kernel copy, fill, flatten_index, take_rows, put_rows, add_rows, count_nonzero, nonzero
    const indexing_kernels *indexing_select(const ml_runtime *)

cdef const indexing_kernels *K = indexing_select(runtime())


def copy(x, y):
    """y = x, broadcast and cast."""
    cdef ml_array a[2]
    describe(x, &a[0], 0, "copy")
    describe(y, &a[1], 1, "copy")
    launch("copy", K.copy, a, NULL, 0, a[1].size)


def fill(y, *, value):
    """y = value everywhere."""
    cdef ml_array a[1]
    cdef ml_fill_settings s
    cdef int t
    describe(y, &a[0], 0, "fill")
    t = a[0].dtype
    s.real = 0
    s.integer = 0
    if t == ML_F32 or t == ML_F64:
        s.real = value
    elif t == ML_BOOL:
        s.integer = bool(value)
    else:
        value = int(value)
        low, high = ((-2 ** 63, 2 ** 63 - 1) if t == ML_I64 else
                     (-2 ** 31, 2 ** 31 - 1) if t == ML_I32 else (0, 255))
        if not low <= value <= high:
            raise OverflowError(f"fill: {value} does not fit in {y.dtype}")
        s.integer = value
    launch("fill", K.fill, a, &s, sizeof(s), a[0].size)


def flatten_index(indices, flat, *, sizes, strides=None):
    """flat = sum over k of indices[k] * strides[k], bounds checked, negative indices from the end."""
    cdef ml_array a[17]
    cdef ml_flatten_settings s
    cdef int k, n = <int> len(indices), status
    cdef int64_t step = 1
    if n == 0 or n > ML_MAX_DIMS or len(sizes) != n or (strides is not None and len(strides) != n):
        raise ValueError(f"flatten_index: expected 1 to {ML_MAX_DIMS} indices with a size each, "
                         f"got {n} and sizes {sizes}")
    s.count = n
    for k in range(n - 1, -1, -1):
        s.sizes[k] = sizes[k]
        s.strides[k] = step if strides is None else strides[k]
        step *= s.sizes[k]
        s.axis[k] = -1
        a[k].data = NULL
        if isinstance(indices[k], int):
            s.axis[k] = indices[k]
        else:
            describe(indices[k], &a[k], k, "flatten_index")
    describe(flat, &a[n], n, "flatten_index")
    status = enter("flatten_index", K.flatten_index, a, &s, sizeof(s), a[n].size)
    if status == ML_BAD_INDEX:
        for k in range(n):
            if s.axis[k] < 0:
                _check_index(np.asarray(indices[k]), sizes[k], k)
    if status != ML_OK:
        fail(status, "flatten_index")


def take_rows(x, flat, y):
    """y[i] = x[flat[i]]"""
    cdef ml_array a[3]
    describe(x, &a[0], 0, "take_rows")
    describe(flat, &a[1], 1, "take_rows")
    describe(y, &a[2], 2, "take_rows")
    launch("take_rows", K.take_rows, a, NULL, 0, a[2].size)


def put_rows(x, flat, v):
    """x[flat[i]] = v[i], the last of equal indices wins"""
    cdef ml_array a[3]
    describe(x, &a[0], 0, "put_rows")
    describe(flat, &a[1], 1, "put_rows")
    describe(v, &a[2], 2, "put_rows")
    launch("put_rows", K.put_rows, a, NULL, 0, a[2].size)


def add_rows(x, flat, v):
    """x[flat[i]] += v[i], equal indices add up in their order"""
    cdef ml_array a[3]
    describe(x, &a[0], 0, "add_rows")
    describe(flat, &a[1], 1, "add_rows")
    describe(v, &a[2], 2, "add_rows")
    launch("add_rows", K.add_rows, a, NULL, 0, a[2].size)


def count_nonzero(mask) -> int:
    """How many elements are not 0."""
    cdef ml_array a[1]
    cdef ml_count_settings s
    cdef int64_t count = 0
    cannot_repeat("a mask, or nonzero(): how many elements that finds depends on values")
    s.count = &count
    describe(mask, &a[0], 0, "count_nonzero")
    launch("count_nonzero", K.count_nonzero, a, &s, sizeof(s), a[0].size)
    return count


def nonzero(mask, index):
    """index[r] = the coordinates of the r-th nonzero element"""
    cdef ml_array a[2]
    describe(mask, &a[0], 0, "nonzero")
    describe(index, &a[1], 1, "nonzero")
    launch("nonzero", K.nonzero, a, NULL, 0, a[0].size)
