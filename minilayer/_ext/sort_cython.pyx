# cython: language_level=3
"""Order, compiled: sort_reference.py is the definition, c/sort.inc.h the loops.

The same results as the reference. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/sort.h":
    ctypedef struct ml_sort_settings:
        int32_t flag
    ctypedef struct sort_kernels:
        ml_kernel sort, topk, searchsorted
    const sort_kernels *sort_select(const ml_runtime *rt) noexcept

cdef const sort_kernels *K = sort_select(runtime())


cdef int run(str name, ml_kernel entry, x, y, index, bint flag) except -1:
    cdef ml_array a[3]
    cdef ml_sort_settings s
    s.flag = flag
    describe(x, &a[0], 0, name)
    describe(y, &a[1], 1, name)
    describe(index, &a[2], 2, name)
    return launch(name, entry, a, &s, sizeof(s), 8 * (a[0].size + a[1].size))


def sort(x, y, index, *, descending=False):
    """y = x sorted along the middle axis, y_i = x[index_i]"""
    run("sort", K.sort, x, y, index, descending)


def topk(x, y, index, *, largest=True):
    """y (outer, k, inner) = the k largest (or smallest) of x"""
    run("topk", K.topk, x, y, index, largest)


def searchsorted(rows, values, index, *, right=False):
    """index[r, i] = where values[r, i] belongs in the sorted rows[r]"""
    run("searchsorted", K.searchsorted, rows, values, index, right)
