# cython: language_level=3
"""Layer and batch normalisation, compiled: the contract of norm_reference.py over the loops of c/norm.typed.h.

What differs from the reference: values are read in their own type and only sums over blocks join a double; arrays
must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/norm.h":
    ctypedef struct norm_settings:
        double eps
        int accumulate
    ctypedef struct norm_kernels:
        ml_kernel layer_norm
        ml_kernel layer_norm_backward
        ml_kernel batch_norm
        ml_kernel batch_norm_eval
        ml_kernel batch_norm_backward
        ml_kernel batch_norm_eval_backward
    const norm_kernels *norm_select(const ml_runtime *rt) noexcept

cdef const norm_kernels *K = norm_select(runtime())


def layer_norm(x, w, b, y, mean, rstd, *, double eps=1e-5):
    """y = (x - mean) * rstd * w + b over the rows of x (R,D)."""
    cdef ml_array a[6]
    cdef norm_settings s
    describe(x, &a[0], 0, "layer_norm")
    describe(w, &a[1], 1, "layer_norm")
    describe(b, &a[2], 2, "layer_norm")
    describe(y, &a[3], 3, "layer_norm")
    describe(mean, &a[4], 4, "layer_norm")
    describe(rstd, &a[5], 5, "layer_norm")
    s.eps = eps
    launch("layer_norm", K.layer_norm, a, &s, a[0].size)


def layer_norm_backward(dy, x, w, mean, rstd, dx, dw, db, *, bint accumulate=False):
    """dx = rstd * (g - mean_d(g) - xhat * mean_d(g * xhat)), g = dy * w; dw = sum_r dy * xhat; db = sum_r dy."""
    cdef ml_array a[8]
    cdef norm_settings s
    describe(dy, &a[0], 0, "layer_norm_backward")
    describe(x, &a[1], 1, "layer_norm_backward")
    describe(w, &a[2], 2, "layer_norm_backward")
    describe(mean, &a[3], 3, "layer_norm_backward")
    describe(rstd, &a[4], 4, "layer_norm_backward")
    describe(dx, &a[5], 5, "layer_norm_backward")
    describe(dw, &a[6], 6, "layer_norm_backward")
    describe(db, &a[7], 7, "layer_norm_backward")
    s.accumulate = accumulate
    launch("layer_norm_backward", K.layer_norm_backward, a, &s, a[0].size)


def batch_norm(x, w, b, y, mean, rstd, running_mean, running_var, momentum, *, double eps=1e-5):
    """Training: y = (x - mean[c]) * rstd[c] * w[c] + b[c], x (B,C,L); the running statistics move towards these."""
    cdef ml_array a[9]
    cdef norm_settings s
    describe(x, &a[0], 0, "batch_norm")
    describe(w, &a[1], 1, "batch_norm")
    describe(b, &a[2], 2, "batch_norm")
    describe(y, &a[3], 3, "batch_norm")
    describe(mean, &a[4], 4, "batch_norm")
    describe(rstd, &a[5], 5, "batch_norm")
    describe(running_mean, &a[6], 6, "batch_norm")
    describe(running_var, &a[7], 7, "batch_norm")
    describe(momentum, &a[8], 8, "batch_norm")
    s.eps = eps
    launch("batch_norm", K.batch_norm, a, &s, a[0].size)


def batch_norm_eval(x, w, b, running_mean, running_var, y, *, double eps=1e-5):
    """y = (x - running_mean[c]) / sqrt(running_var[c] + eps) * w[c] + b[c]."""
    cdef ml_array a[6]
    cdef norm_settings s
    describe(x, &a[0], 0, "batch_norm_eval")
    describe(w, &a[1], 1, "batch_norm_eval")
    describe(b, &a[2], 2, "batch_norm_eval")
    describe(running_mean, &a[3], 3, "batch_norm_eval")
    describe(running_var, &a[4], 4, "batch_norm_eval")
    describe(y, &a[5], 5, "batch_norm_eval")
    s.eps = eps
    launch("batch_norm_eval", K.batch_norm_eval, a, &s, a[0].size)


def batch_norm_backward(dy, x, w, mean, rstd, dx, dw, db):
    """dx = w * rstd * (dy - db/n - xhat * dw/n); dw = sum dy * xhat; db = sum dy, over B and L."""
    cdef ml_array a[8]
    cdef norm_settings s
    describe(dy, &a[0], 0, "batch_norm_backward")
    describe(x, &a[1], 1, "batch_norm_backward")
    describe(w, &a[2], 2, "batch_norm_backward")
    describe(mean, &a[3], 3, "batch_norm_backward")
    describe(rstd, &a[4], 4, "batch_norm_backward")
    describe(dx, &a[5], 5, "batch_norm_backward")
    describe(dw, &a[6], 6, "batch_norm_backward")
    describe(db, &a[7], 7, "batch_norm_backward")
    launch("batch_norm_backward", K.batch_norm_backward, a, &s, a[0].size)


def batch_norm_eval_backward(dy, x, w, running_mean, running_var, dx, dw, db, *, double eps=1e-5):
    """The running statistics are constants: dx = dy * w * r, dw = sum dy * (x - running_mean) * r, db = sum dy."""
    cdef ml_array a[8]
    cdef norm_settings s
    describe(dy, &a[0], 0, "batch_norm_eval_backward")
    describe(x, &a[1], 1, "batch_norm_eval_backward")
    describe(w, &a[2], 2, "batch_norm_eval_backward")
    describe(running_mean, &a[3], 3, "batch_norm_eval_backward")
    describe(running_var, &a[4], 4, "batch_norm_eval_backward")
    describe(dx, &a[5], 5, "batch_norm_eval_backward")
    describe(dw, &a[6], 6, "batch_norm_eval_backward")
    describe(db, &a[7], 7, "batch_norm_eval_backward")
    s.eps = eps
    launch("batch_norm_eval_backward", K.batch_norm_eval_backward, a, &s, a[0].size)
