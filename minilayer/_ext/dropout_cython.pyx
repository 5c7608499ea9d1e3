# cython: language_level=3
"""Dropout, compiled: dropout_reference.py is the definition, c/dropout.inc.h the loop. The same bits."""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/dropout.h":
    ctypedef struct ml_dropout_settings:
        double p, scale, shift, dropped
    ctypedef struct dropout_kernels:
        ml_kernel dropout, dropout_rows
    const dropout_kernels *dropout_select(const ml_runtime *rt)

cdef const dropout_kernels *K = dropout_select(runtime())


def dropout(x, position, y, *, p):
    """y[i] = x[i] / (1 - p) where u[i] >= p, else 0."""
    cdef ml_array a[3]
    cdef ml_dropout_settings s
    s.p = p
    describe(x, &a[0], 0, "dropout")
    describe(position, &a[1], 1, "dropout")
    describe(y, &a[2], 2, "dropout")
    launch("dropout", K.dropout, a, &s, sizeof(s), a[0].size)


def dropout_rows(x, position, y, *, double p, double scale, double shift, double dropped):
    """y[r,l] = scale x[r,l] + shift where u[r] >= p, else `dropped`."""
    cdef ml_array a[3]
    cdef ml_dropout_settings s
    s.p = p
    s.scale = scale
    s.shift = shift
    s.dropped = dropped
    describe(x, &a[0], 0, "dropout_rows")
    describe(position, &a[1], 1, "dropout_rows")
    describe(y, &a[2], 2, "dropout_rows")
    launch("dropout_rows", K.dropout_rows, a, &s, sizeof(s), a[0].size)
