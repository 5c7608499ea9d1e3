# cython: language_level=3
"""Rows of a table by index, compiled: embedding_reference.py is the definition, c/embedding.inc.h the loops.

The same bits as the reference: both add in the order of the indices.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from minilayer._ext.runtime cimport ML_BAD_INDEX, describe, enter, fail, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/embedding.h":
    ctypedef struct ml_embedding_settings:
        int64_t padding_idx
        double max_norm, norm_type
        int32_t mode, by_frequency, accumulate
    ctypedef struct embedding_kernels:
        ml_kernel embedding, embedding_backward, embedding_renorm
        ml_kernel embedding_bag, embedding_bag_backward, embedding_bag_backward_scales
    const embedding_kernels *embedding_select(const ml_runtime *rt)

cdef const embedding_kernels *K = embedding_select(runtime())


cdef int run(str name, ml_kernel entry, const ml_array *a, const ml_embedding_settings *s, int table, int indices=1,
             offsets=None) except -1:
    """Launch, and name the first of the a[indices] outside the table a[table] where there is one."""
    cdef int status
    cdef int64_t i
    cdef const int64_t *index
    status = enter(name, entry, a, s, sizeof(s[0]), a[0].size)
    if status == ML_BAD_INDEX:
        index = <const int64_t *> a[indices].data
        for i in range(a[indices].size):
            if index[i] < 0 or index[i] >= a[table].shape[0]:
                raise IndexError(f"{name}: expected indices in [0, {a[table].shape[0]}), the rows of the table, "
                                 f"got {index[i]} at position {i}")
        if offsets is not None:
            raise ValueError(f"{name}: expected offsets that rise from 0 to {a[indices].size}, the number of indices, got "
                             f"{offsets.tolist()}")
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


cdef int fill(ml_embedding_settings *s, str name, padding_idx, by_frequency, accumulate, mode) except -1:
    s.padding_idx = -1 if padding_idx is None else padding_idx
    s.max_norm = s.norm_type = 0
    s.by_frequency = by_frequency
    s.accumulate = accumulate
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: expected mode 'sum', 'mean' or 'max', got {mode!r}")
    s.mode = ("sum", "mean", "max").index(mode)
    return 0


def embedding_backward(dy, index, dweight, *, padding_idx=None, by_frequency=False, accumulate=False):
    """dweight[v, :] = sum of dy[i, :] over the i with index[i] = v; row `padding_idx` gets nothing."""
    cdef ml_array a[3]
    cdef ml_embedding_settings s
    fill(&s, "embedding_backward", padding_idx, by_frequency, accumulate, "sum")
    describe(dy, &a[0], 0, "embedding_backward")
    describe(index, &a[1], 1, "embedding_backward")
    describe(dweight, &a[2], 2, "embedding_backward")
    run("embedding_backward", K.embedding_backward, a, &s, 2)


def embedding_renorm(weight, index, *, double max_norm, double norm_type=2.0):
    """weight[v, :] *= max_norm / (|weight[v, :]| + 1e-7) for each v among the indices whose row is longer than max_norm."""
    cdef ml_array a[2]
    cdef ml_embedding_settings s
    fill(&s, "embedding_renorm", None, False, False, "sum")
    s.max_norm = max_norm
    s.norm_type = norm_type
    describe(weight, &a[0], 0, "embedding_renorm")
    describe(index, &a[1], 1, "embedding_renorm")
    run("embedding_renorm", K.embedding_renorm, a, &s, 0)


def embedding_bag(weight, index, offsets, scales, y, picks, *, mode, padding_idx=None):
    """y[b, :] = sum, mean or max of weight[index[i], :] over offsets[b] <= i < offsets[b + 1]."""
    cdef ml_array a[6]
    cdef ml_embedding_settings s
    cdef int i
    fill(&s, "embedding_bag", padding_idx, False, False, mode)
    for i, array in enumerate((weight, index, offsets, scales, y, picks)):
        describe(array, &a[i], i, "embedding_bag")
    run("embedding_bag", K.embedding_bag, a, &s, 0, 1, offsets)


def embedding_bag_backward(dy, index, offsets, scales, picks, dweight, *, mode, padding_idx=None, by_frequency=False,
                           accumulate=False):
    """dweight[v, :] = sum of f dy[b, :] over the i with index[i] = v, b the bag of i; the reference says what f is."""
    cdef ml_array a[6]
    cdef ml_embedding_settings s
    cdef int i
    fill(&s, "embedding_bag_backward", padding_idx, by_frequency, accumulate, mode)
    for i, array in enumerate((dy, index, offsets, scales, picks, dweight)):
        describe(array, &a[i], i, "embedding_bag_backward")
    run("embedding_bag_backward", K.embedding_bag_backward, a, &s, 5, 1, offsets)


def embedding_bag_backward_scales(dy, weight, index, offsets, dscales, *, padding_idx=None):
    """dscales[i] = dy[b, :] . weight[index[i], :], b the bag of i; 0 where index[i] is padding_idx."""
    cdef ml_array a[5]
    cdef ml_embedding_settings s
    cdef int i
    fill(&s, "embedding_bag_backward_scales", padding_idx, False, False, "sum")
    for i, array in enumerate((dy, weight, index, offsets, dscales)):
        describe(array, &a[i], i, "embedding_bag_backward_scales")
    run("embedding_bag_backward_scales", K.embedding_bag_backward_scales, a, &s, 1, 2, offsets)
