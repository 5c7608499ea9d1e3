# cython: language_level=3
"""Resizing by tables of places and weights, compiled: upsample_reference.py is the definition, c/upsample.typed.h the
loops.

What differs from the reference: sums are made in x's own type; arrays must be in C order. Results do not depend on the
number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/upsample.h":
    ctypedef struct upsample_kernels:
        ml_kernel resize, resize_backward
    const upsample_kernels *upsample_select(const ml_runtime *rt) noexcept

cdef const upsample_kernels *K = upsample_select(runtime())


cdef int run(str name, ml_kernel entry, x, y, rows, row_weights, columns, column_weights) except -1:
    cdef ml_array a[6]
    if rows is None and columns is None:
        raise ValueError(f"{name}: expected a table of rows, of columns or both, got None")
    describe(x, &a[0], 0, name)
    describe(y, &a[1], 1, name)
    describe(rows, &a[2], 2, name)
    describe(row_weights, &a[3], 3, name)
    describe(columns, &a[4], 4, name)
    describe(column_weights, &a[5], 5, name)
    return launch(name, entry, a, NULL, 0, a[0].size + a[1].size)


def resize(x, y, rows, row_weights, columns, column_weights):
    """y = the weighted sums."""
    run("resize", K.resize, x, y, rows, row_weights, columns, column_weights)


def resize_backward(dy, dx, rows, row_weights, columns, column_weights):
    """dx[n, rows[p,k], columns[q,l]] += row_weights[p,k] column_weights[q,l] dy[n,p,q], from zero."""
    run("resize_backward", K.resize_backward, dy, dx, rows, row_weights, columns, column_weights)
