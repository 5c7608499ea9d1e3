# cython: language_level=3
"""Matrix products, compiled: one packed GEMM (c/gemm.inc.h) for every layout of its operands.

Differs from the reference in rounding only: the terms of a sum are added in blocks, with fused multiply-add where the
processor has it. Results do not depend on the number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime import register_epilogue

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/matmul.h":
    enum:
        ML_LINEAR_NONE
        ML_LINEAR_RELU
    ctypedef struct matmul_settings:
        int accumulate
        int activation
    ctypedef struct matmul_kernels:
        ml_kernel matmul
        ml_kernel linear
    const matmul_kernels *matmul_select(const ml_runtime *rt) noexcept

cdef const matmul_kernels *K = matmul_select(runtime())

ACTIVATIONS = (None, "relu")
cdef matmul_settings _form
register_epilogue("linear", 3, <char *> &_form.activation - <char *> &_form, ML_LINEAR_RELU)


def matmul(a, b, y, *, bint accumulate=False):
    """y[..., i, j] = sum_p a[..., i, p] b[..., p, j], added to y where `accumulate`."""
    cdef ml_array d[3]
    cdef matmul_settings s
    s.accumulate = accumulate
    s.activation = ML_LINEAR_NONE
    describe(a, &d[0], 0, "matmul")
    describe(b, &d[1], 1, "matmul")
    describe(y, &d[2], 2, "matmul")
    launch("matmul", K.matmul, d, &s, sizeof(s), d[0].size + d[1].size + d[2].size)


def linear(x, w, b, y, *, activation=None, bint accumulate=False):
    """y[i, j] = act(sum_p x[i, p] w[j, p] + b[j]); with `accumulate`, act(y + x w^T + b)."""
    cdef ml_array d[4]
    cdef matmul_settings s
    s.accumulate = accumulate
    if activation is None:
        s.activation = ML_LINEAR_NONE
    elif activation == "relu":
        s.activation = ML_LINEAR_RELU
    else:
        raise ValueError(f"linear: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
    describe(x, &d[0], 0, "linear")
    describe(w, &d[1], 1, "linear")
    describe(b, &d[2], 2, "linear")
    describe(y, &d[3], 3, "linear")
    launch("linear", K.linear, d, &s, sizeof(s), d[0].size + d[1].size + d[3].size)
