# cython: language_level=3
"""Rows of a table by index, compiled: embedding_reference.py is the definition, c/embedding.inc.h the loops.

The same bits as the reference: both add in the order of the indices.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from minilayer._ext.runtime cimport ML_BAD_INDEX, describe, fail, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/embedding.h":
    ctypedef struct ml_embedding_settings:
        int64_t padding_idx
        int32_t accumulate
    ctypedef struct embedding_kernels:
        ml_kernel embedding, embedding_backward
    const embedding_kernels *embedding_select(const ml_runtime *rt)

cdef const embedding_kernels *K = embedding_select(runtime())


cdef int run(str name, ml_kernel entry, const ml_array *a, const ml_embedding_settings *s, int table) except -1:
    """Launch, and name the first index outside the table a[table] where there is one."""
    cdef int status
    cdef int64_t i
    cdef const int64_t *index
    with nogil:
        status = entry(a, s)
    if status == ML_BAD_INDEX:
        index = <const int64_t *> a[1].data
        for i in range(a[1].size):
            if index[i] < 0 or index[i] >= a[table].shape[0]:
                raise IndexError(f"{name}: expected indices in [0, {a[table].shape[0]}), the rows of the table, "
                                 f"got {index[i]} at position {i}")
    if status:
        fail(status, name)
    return 0


def embedding(weight, index, y):
    """y[i, :] = weight[index[i], :]."""
    cdef ml_array a[3]
    describe(weight, &a[0], 0, "embedding")
    describe(index, &a[1], 1, "embedding")
    describe(y, &a[2], 2, "embedding")
    run("embedding", K.embedding, a, NULL, 0)


def embedding_backward(dy, index, dweight, *, padding_idx=None, accumulate=False):
    """dweight[v, :] = sum of dy[i, :] over the i with index[i] = v; row `padding_idx` gets nothing."""
    cdef ml_array a[3]
    cdef ml_embedding_settings s
    s.padding_idx = -1 if padding_idx is None else padding_idx
    s.accumulate = accumulate
    describe(dy, &a[0], 0, "embedding_backward")
    describe(index, &a[1], 1, "embedding_backward")
    describe(dweight, &a[2], 2, "embedding_backward")
    run("embedding_backward", K.embedding_backward, a, &s, 2)
