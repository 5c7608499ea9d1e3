# cython: language_level=3
"""Normalisation, compiled: the contract of norm_reference.py over the loops of c/norm.typed.h.

What differs from the reference: values are read in their own type and only sums over blocks join a double; arrays
must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/norm.h":
    ctypedef struct norm_settings:
        double eps
        int accumulate
        int64_t groups
        int64_t n
    ctypedef struct response_settings:
        int64_t size
        double alpha, beta, k
    ctypedef struct norm_kernels:
        ml_kernel layer_norm
        ml_kernel layer_norm_backward
        ml_kernel batch_norm
        ml_kernel batch_norm_eval
        ml_kernel batch_norm_backward
        ml_kernel batch_norm_eval_backward
        ml_kernel rms_norm
        ml_kernel rms_norm_backward
        ml_kernel group_norm
        ml_kernel group_norm_backward
        ml_kernel instance_statistics
        ml_kernel local_response_norm
        ml_kernel local_response_norm_backward
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
    launch("layer_norm", K.layer_norm, a, &s, sizeof(s), a[0].size)


def layer_norm_backward(dy, x, w, mean, rstd, dx, dw, db, *, bint accumulate=False):
    """dx = rstd * (g - mean_d(g) - xhat * mean_d(g * xhat)), g = dy * w; dw = sum_r dy * xhat; db = sum_r dy.

    `accumulate` adds to dw and db."""
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
    launch("layer_norm_backward", K.layer_norm_backward, a, &s, sizeof(s), a[0].size)


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
    launch("batch_norm", K.batch_norm, a, &s, sizeof(s), a[0].size)


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
    launch("batch_norm_eval", K.batch_norm_eval, a, &s, sizeof(s), a[0].size)


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
    launch("batch_norm_backward", K.batch_norm_backward, a, &s, sizeof(s), a[0].size)


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
    launch("batch_norm_eval_backward", K.batch_norm_eval_backward, a, &s, sizeof(s), a[0].size)


def rms_norm(x, w, y, rstd, *, double eps=1e-5):
    """y = x * rstd * w over the rows of x (R,D), rstd = 1/sqrt(mean_d(x^2) + eps)."""
    cdef ml_array a[4]
    cdef norm_settings s
    describe(x, &a[0], 0, "rms_norm")
    describe(w, &a[1], 1, "rms_norm")
    describe(y, &a[2], 2, "rms_norm")
    describe(rstd, &a[3], 3, "rms_norm")
    s.eps = eps
    launch("rms_norm", K.rms_norm, a, &s, sizeof(s), a[0].size)


def rms_norm_backward(dy, x, w, rstd, dx, dw, *, bint accumulate=False):
    """dx = rstd * (g - xhat * mean_d(g * xhat)), g = dy * w; dw = sum_r dy * xhat (`accumulate` adds to it)."""
    cdef ml_array a[6]
    cdef norm_settings s
    describe(dy, &a[0], 0, "rms_norm_backward")
    describe(x, &a[1], 1, "rms_norm_backward")
    describe(w, &a[2], 2, "rms_norm_backward")
    describe(rstd, &a[3], 3, "rms_norm_backward")
    describe(dx, &a[4], 4, "rms_norm_backward")
    describe(dw, &a[5], 5, "rms_norm_backward")
    s.accumulate = accumulate
    launch("rms_norm_backward", K.rms_norm_backward, a, &s, sizeof(s), a[0].size)


def group_norm(x, w, b, y, mean, rstd, variance, *, int64_t groups, double eps=1e-5):
    """y = (x - mean[b,g]) * rstd[b,g] * w[c] + b[c], x (B,C,L), g the group of channel c."""
    cdef ml_array a[7]
    cdef norm_settings s
    describe(x, &a[0], 0, "group_norm")
    describe(w, &a[1], 1, "group_norm")
    describe(b, &a[2], 2, "group_norm")
    describe(y, &a[3], 3, "group_norm")
    describe(mean, &a[4], 4, "group_norm")
    describe(rstd, &a[5], 5, "group_norm")
    describe(variance, &a[6], 6, "group_norm")
    s.groups = groups
    s.eps = eps
    launch("group_norm", K.group_norm, a, &s, sizeof(s), a[0].size)


def group_norm_backward(dy, x, w, mean, rstd, dx, dw, db, *, int64_t groups):
    """dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * w; dw = sum dy * xhat; db = sum dy."""
    cdef ml_array a[8]
    cdef norm_settings s
    describe(dy, &a[0], 0, "group_norm_backward")
    describe(x, &a[1], 1, "group_norm_backward")
    describe(w, &a[2], 2, "group_norm_backward")
    describe(mean, &a[3], 3, "group_norm_backward")
    describe(rstd, &a[4], 4, "group_norm_backward")
    describe(dx, &a[5], 5, "group_norm_backward")
    describe(dw, &a[6], 6, "group_norm_backward")
    describe(db, &a[7], 7, "group_norm_backward")
    s.groups = groups
    launch("group_norm_backward", K.group_norm_backward, a, &s, sizeof(s), a[0].size)


def instance_statistics(mean, variance, running_mean, running_var, momentum, *, int64_t n):
    """running = (1 - momentum) * running + momentum * mean_b(measured), the variance unbiased."""
    cdef ml_array a[5]
    cdef norm_settings s
    describe(mean, &a[0], 0, "instance_statistics")
    describe(variance, &a[1], 1, "instance_statistics")
    describe(running_mean, &a[2], 2, "instance_statistics")
    describe(running_var, &a[3], 3, "instance_statistics")
    describe(momentum, &a[4], 4, "instance_statistics")
    s.n = n
    launch("instance_statistics", K.instance_statistics, a, &s, sizeof(s), a[0].size)


def local_response_norm(x, y, scale, *, int64_t size, double alpha, double beta, double k):
    """y = x / scale^beta, scale = k + alpha/size * sum of x^2 over `size` channels around each."""
    cdef ml_array a[3]
    cdef response_settings s
    describe(x, &a[0], 0, "local_response_norm")
    describe(y, &a[1], 1, "local_response_norm")
    describe(scale, &a[2], 2, "local_response_norm")
    s.size = size
    s.alpha = alpha
    s.beta = beta
    s.k = k
    launch("local_response_norm", K.local_response_norm, a, &s, sizeof(s), a[0].size)


def local_response_norm_backward(dy, x, scale, dx, *, int64_t size, double alpha, double beta):
    """dx = dy scale^-beta - 2 alpha beta / size * x * sum over the windows of dy x scale^(-beta-1)."""
    cdef ml_array a[4]
    cdef response_settings s
    describe(dy, &a[0], 0, "local_response_norm_backward")
    describe(x, &a[1], 1, "local_response_norm_backward")
    describe(scale, &a[2], 2, "local_response_norm_backward")
    describe(dx, &a[3], 3, "local_response_norm_backward")
    s.size = size
    s.alpha = alpha
    s.beta = beta
    launch("local_response_norm_backward", K.local_response_norm_backward, a, &s, sizeof(s), a[0].size)
