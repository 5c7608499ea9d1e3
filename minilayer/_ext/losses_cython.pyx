# cython: language_level=3
"""Compiled losses of two arrays: losses_reference.py says what each computes, c/losses.typed.h how.

What differs from the reference: values are summed in runs of their own type, the runs as doubles; arrays must be in C
order. Results do not depend on the number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/losses.h":
    ctypedef struct losses_settings:
        double bend, scale
    ctypedef struct losses_kernels:
        ml_kernel l1_loss, l1_loss_backward
        ml_kernel mse_loss, mse_loss_backward
        ml_kernel smooth_l1_loss, smooth_l1_loss_backward
        ml_kernel huber_loss, huber_loss_backward
        ml_kernel binary_cross_entropy, binary_cross_entropy_backward
        ml_kernel binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_backward
        ml_kernel kl_div, kl_div_backward
        ml_kernel kl_div_log, kl_div_log_backward
    const losses_kernels *losses_select(const ml_runtime *) noexcept

cdef const losses_kernels *K = losses_select(runtime())


cdef int run(str name, ml_kernel kernel, tuple arrays, double scale, double bend=0) except -1:
    """A loss of (x, target, pos_weight, y), or its gradients of (x, target, pos_weight, dy, dx, dtarget)."""
    cdef ml_array a[6]
    cdef losses_settings s
    cdef int i
    s.bend, s.scale = bend, scale
    for i in range(len(arrays)):
        describe(arrays[i], &a[i], i, name)
    return launch(name, kernel, a, &s, sizeof(s), a[0].size)


def l1_loss(x, target, y, *, scale=1.0):
    """loss = |x - target|"""
    run("l1_loss", K.l1_loss, (x, target, None, y), scale)


def l1_loss_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = sign(x - target) = -dloss/dtarget"""
    run("l1_loss_backward", K.l1_loss_backward, (x, target, None, dy, dx, dtarget), scale)


def mse_loss(x, target, y, *, scale=1.0):
    """loss = (x - target)^2"""
    run("mse_loss", K.mse_loss, (x, target, None, y), scale)


def mse_loss_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = 2 (x - target) = -dloss/dtarget"""
    run("mse_loss_backward", K.mse_loss_backward, (x, target, None, dy, dx, dtarget), scale)


def smooth_l1_loss(x, target, y, *, beta, scale=1.0):
    """With d = |x - target|: loss = d^2 / (2 beta) where d < beta, else d - beta/2"""
    run("smooth_l1_loss", K.smooth_l1_loss, (x, target, None, y), scale, beta)


def smooth_l1_loss_backward(x, target, dy, dx, dtarget, *, beta, scale=1.0):
    """With d = x - target: dloss/dx = d / beta within -1 and 1, = -dloss/dtarget"""
    run("smooth_l1_loss_backward", K.smooth_l1_loss_backward, (x, target, None, dy, dx, dtarget), scale, beta)


def huber_loss(x, target, y, *, delta, scale=1.0):
    """With d = |x - target|: loss = d^2 / 2 where d <= delta, else delta (d - delta/2)"""
    run("huber_loss", K.huber_loss, (x, target, None, y), scale, delta)


def huber_loss_backward(x, target, dy, dx, dtarget, *, delta, scale=1.0):
    """With d = x - target: dloss/dx = d within -delta and delta, = -dloss/dtarget"""
    run("huber_loss_backward", K.huber_loss_backward, (x, target, None, dy, dx, dtarget), scale, delta)


def binary_cross_entropy(x, target, y, *, scale=1.0):
    """loss = -(target log x + (1 - target) log(1 - x)), each logarithm at least -100. ValueError unless both
    are in [0, 1]."""
    try:
        run("binary_cross_entropy", K.binary_cross_entropy, (x, target, None, y), scale)
    except IndexError:
        for what, a in (("probabilities", x), ("a target", target)):
            outside = a[~((a >= 0) & (a <= 1))]
            if outside.size:
                raise ValueError(f"binary_cross_entropy: expected {what} in [0, 1], got {outside[0]}") from None


def binary_cross_entropy_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = (x - target) / max(x (1 - x), 1e-12); dloss/dtarget = log(1 - x) - log x"""
    run("binary_cross_entropy_backward", K.binary_cross_entropy_backward, (x, target, None, dy, dx, dtarget), scale)


def binary_cross_entropy_with_logits(x, target, pos_weight, y, *, scale=1.0):
    """loss = (1 - target) x + (1 + (p - 1) target) log(1 + e^-x), p = pos_weight (of x's size, or None: 1)"""
    run("binary_cross_entropy_with_logits", K.binary_cross_entropy_with_logits, (x, target, pos_weight, y), scale)


def binary_cross_entropy_with_logits_backward(x, target, pos_weight, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = (p target + 1 - target) sigmoid(x) - p target; dloss/dtarget = (p - 1) log(1 + e^-x) - x"""
    run("binary_cross_entropy_with_logits_backward", K.binary_cross_entropy_with_logits_backward,
        (x, target, pos_weight, dy, dx, dtarget), scale)


def kl_div(x, target, y, *, scale=1.0):
    """loss = target (log target - x), x the logarithm of a probability; where target = 0, target log target is 0"""
    run("kl_div", K.kl_div, (x, target, None, y), scale)


def kl_div_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = -target; dloss/dtarget = log target + 1 - x"""
    run("kl_div_backward", K.kl_div_backward, (x, target, None, dy, dx, dtarget), scale)


def kl_div_log(x, target, y, *, scale=1.0):
    """loss = e^target (target - x): kl_div of targets given as logarithms"""
    run("kl_div_log", K.kl_div_log, (x, target, None, y), scale)


def kl_div_log_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = -e^target; dloss/dtarget = e^target (target - x + 1)"""
    run("kl_div_log_backward", K.kl_div_log_backward, (x, target, None, dy, dx, dtarget), scale)
