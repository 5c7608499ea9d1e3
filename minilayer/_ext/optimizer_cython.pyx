# cython: language_level=3
"""Optimiser steps over lists of arrays, compiled: optimizer_reference.py is the definition, c/optimizer.inc.h the loops.

All but norm_squared, which adds in another order (in float64 too), give the reference's bits.
"""
cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/optimizer.h":
    ctypedef struct ml_sgd_settings:
        int64_t count
        double momentum, dampening, weight_decay
        int32_t nesterov, maximize
    ctypedef struct ml_adam_settings:
        int64_t count
        double beta1, beta2, eps, weight_decay
        int32_t decoupled, amsgrad, maximize
    ctypedef struct ml_rule_settings:
        int64_t count
        double beta1, beta2, eps, weight_decay, momentum, low, high
        int32_t decoupled, centered, maximize
    ctypedef struct ml_list_settings:
        int64_t count
    ctypedef struct optimizer_kernels:
        ml_kernel sgd, adam, rmsprop, adagrad, adadelta, adamax, nadam, radam, rprop, norm_squared, scale
    const optimizer_kernels *optimizer_select(const ml_runtime *rt)

cdef const optimizer_kernels *K = optimizer_select(runtime())


cdef int step(str name, ml_kernel entry, tuple lists, Py_ssize_t count, numbers, const void *settings,
              size_t settings_bytes) except -1:
    """Describe the arrays of the lists one after the other, then `numbers`, and run."""
    cdef Py_ssize_t k, place = 0
    cdef int64_t work = 0
    cdef ml_array *a = <ml_array *> PyMem_Malloc((count * len(lists) + 1) * sizeof(ml_array))
    if a == NULL:
        raise MemoryError(f"{name}: no memory to describe {count} arrays")
    try:
        for arrays in lists:
            if len(arrays) != count:
                raise ValueError(f"{name}: expected lists of one length, got {count} and {len(arrays)} arrays")
            for k in range(count):
                describe(arrays[k], &a[place], <int> place, name)
                work += a[place].size
                place += 1
        describe(numbers, &a[place], <int> place, name)
        launch(name, entry, a, settings, settings_bytes, work)
    finally:
        PyMem_Free(a)
    return 0


def sgd(params, grads, buffers, hyper, *, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
        maximize=False):
    """One step of stochastic gradient descent, hyper = [lr, first]."""
    cdef ml_sgd_settings s
    s.count = len(params)
    s.momentum = momentum
    s.dampening = dampening
    s.weight_decay = weight_decay
    s.nesterov = nesterov
    s.maximize = maximize
    step("sgd", K.sgd, (params, grads, buffers) if s.momentum != 0 else (params, grads), s.count, hyper, &s, sizeof(s))


def adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8,
         weight_decay=0.0, decoupled=False, amsgrad=False, maximize=False):
    """One step of Adam or AdamW, hyper = [lr, t]."""
    cdef ml_adam_settings s
    s.count = len(params)
    s.beta1, s.beta2 = betas
    s.eps = eps
    s.weight_decay = weight_decay
    s.decoupled = decoupled
    s.amsgrad = amsgrad
    s.maximize = maximize
    step("adam", K.adam, (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs) if amsgrad else
         (params, grads, exp_avgs, exp_avg_sqs), s.count, hyper, &s, sizeof(s))


cdef ml_rule_settings rule(params, bint maximize, double weight_decay=0.0, double eps=0.0, double beta1=0.0,
                           double beta2=0.0):
    """The settings that most rules have; the others are 0."""
    cdef ml_rule_settings s
    s.count = len(params)
    s.maximize = maximize
    s.weight_decay = weight_decay
    s.eps = eps
    s.beta1 = beta1
    s.beta2 = beta2
    s.momentum = s.low = s.high = 0
    s.decoupled = s.centered = 0
    return s


def rmsprop(params, grads, square_avgs, grad_avgs, buffers, hyper, *, alpha=0.99, eps=1e-8, weight_decay=0.0,
            momentum=0.0, centered=False, maximize=False):
    """One step of RMSprop, hyper = [lr, t]."""
    cdef ml_rule_settings s = rule(params, maximize, weight_decay, eps, alpha)
    s.momentum = momentum
    s.centered = centered
    step("rmsprop", K.rmsprop, (params, grads, square_avgs, *([grad_avgs] if centered else []),
                                *([buffers] if s.momentum != 0 else [])), s.count, hyper, &s, sizeof(s))


def adagrad(params, grads, sums, hyper, *, lr_decay=0.0, eps=1e-10, weight_decay=0.0, maximize=False):
    """One step of Adagrad, hyper = [lr, t]."""
    cdef ml_rule_settings s = rule(params, maximize, weight_decay, eps)
    s.low = lr_decay
    step("adagrad", K.adagrad, (params, grads, sums), s.count, hyper, &s, sizeof(s))


def adadelta(params, grads, square_avgs, deltas, hyper, *, rho=0.9, eps=1e-6, weight_decay=0.0, maximize=False):
    """One step of Adadelta, hyper = [lr, t]."""
    cdef ml_rule_settings s = rule(params, maximize, weight_decay, eps, rho)
    step("adadelta", K.adadelta, (params, grads, square_avgs, deltas), s.count, hyper, &s, sizeof(s))


def adamax(params, grads, exp_avgs, exp_infs, hyper, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, maximize=False):
    """One step of Adamax, hyper = [lr, t]."""
    cdef ml_rule_settings s = rule(params, maximize, weight_decay, eps, betas[0], betas[1])
    step("adamax", K.adamax, (params, grads, exp_avgs, exp_infs), s.count, hyper, &s, sizeof(s))


def nadam(params, grads, exp_avgs, exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
          momentum_decay=0.004, decoupled=False, maximize=False):
    """One step of NAdam, hyper = [lr, t, mu_product]; the last is multiplied by this step's mu."""
    cdef ml_rule_settings s = rule(params, maximize, weight_decay, eps, betas[0], betas[1])
    s.momentum = momentum_decay
    s.decoupled = decoupled
    step("nadam", K.nadam, (params, grads, exp_avgs, exp_avg_sqs), s.count, hyper, &s, sizeof(s))


def radam(params, grads, exp_avgs, exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
          decoupled=False, maximize=False):
    """One step of RAdam, hyper = [lr, t]."""
    cdef ml_rule_settings s = rule(params, maximize, weight_decay, eps, betas[0], betas[1])
    s.decoupled = decoupled
    step("radam", K.radam, (params, grads, exp_avgs, exp_avg_sqs), s.count, hyper, &s, sizeof(s))


def rprop(params, grads, previous, step_sizes, hyper, *, etas=(0.5, 1.2), step_limits=(1e-6, 50.0), maximize=False):
    """One step of Rprop."""
    cdef ml_rule_settings s = rule(params, maximize, 0.0, 0.0, etas[0], etas[1])
    s.low, s.high = step_limits
    step("rprop", K.rprop, (params, grads, previous, step_sizes), s.count, hyper, &s, sizeof(s))


def norm_squared(grads, total):
    """total[0] = the sum of the squares of all values."""
    cdef ml_list_settings s
    s.count = len(grads)
    step("norm_squared", K.norm_squared, (grads,), s.count, total, &s, sizeof(s))


def scale(arrays, factor):
    """Multiply every value by factor[0], in place."""
    cdef ml_list_settings s
    s.count = len(arrays)
    step("scale", K.scale, (arrays,), s.count, factor, &s, sizeof(s))
