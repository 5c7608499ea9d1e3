"""Optimiser steps over lists of arrays: parameters, gradients and state that are updated together in one call.

params, grads and the state lists run in parallel; arrays of one place have one shape and dtype. What changes from step
to step (learning rate, step count) is read from the float64 array `hyper`. Order of operations as in PyTorch.
"""
import numpy as np


def _check(*lists):
    """Arrays of one place have one shape and dtype (NumPy would broadcast them)."""
    for arrays in zip(*lists, strict=True):
        if any(x.shape != arrays[0].shape or x.dtype != arrays[0].dtype for x in arrays):
            raise ValueError(f"optimizer: expected arrays of one shape and dtype at each place of the lists, got "
                             f"{', '.join(f'{x.shape} {x.dtype}' for x in arrays)}")


@np.errstate(all="ignore")
def sgd(params, grads, buffers, hyper, *, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
        maximize=False):
    """Stochastic gradient descent, hyper = [lr, first]: params and buffers are updated in place.

    g <- g + weight_decay p                                 (g is -grad with maximize)
    b <- momentum b + (1 - dampening) g,  b <- g at first   (only with momentum; buffers is None without)
    p <- p - lr (g + momentum b  with nesterov, else b or, without momentum, g)
    """
    _check(params, grads, *([buffers] if momentum else []))
    lr, first = hyper
    for k, (p, g) in enumerate(zip(params, grads, strict=True)):
        number = p.dtype.type
        g = -g if maximize else g
        if weight_decay:
            g = g + number(weight_decay) * p
        if momentum:
            b = buffers[k]
            b[...] = g if first else b * number(momentum) + number(1 - dampening) * g
            g = g + number(momentum) * b if nesterov else b
        p[...] = p + number(-lr) * g


@np.errstate(all="ignore")
def adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8,
         weight_decay=0.0, decoupled=False, amsgrad=False, maximize=False):
    """Adam, and with decoupled=True AdamW; hyper = [lr, t], t = 1 at the first step. All lists but grads are updated.

    g <- g + weight_decay p   (Adam)      p <- (1 - lr weight_decay) p   (AdamW)      (g is -grad with maximize)
    m <- m + (1 - b1) (g - m)
    v <- b2 v + (1 - b2) g^2,      top <- max(top, v) with amsgrad (max_exp_avg_sqs, else None), else top = v
    p <- p - lr / (1 - b1^t) * m / (sqrt(top) / sqrt(1 - b2^t) + eps)

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; Loshchilov and Hutter, "Decoupled weight
    decay regularization", ICLR 2019; Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018.
    """
    _check(params, grads, exp_avgs, exp_avg_sqs, *([max_exp_avg_sqs] if amsgrad else []))
    lr, t = hyper.tolist()
    b1, b2 = betas
    step, root = -(lr / (1 - b1**t)), 1 / (1 - b2**t)**0.5
    for k, (p, g, m, v) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        number = p.dtype.type
        g = -g if maximize else g
        if weight_decay and decoupled:
            p *= number(1 - lr * weight_decay)
        elif weight_decay:
            g = g + number(weight_decay) * p
        # from the nearer end, which is exact at both (b1 = 0 gives m = g)
        m[...] = m + number(1 - b1) * (g - m) if 1 - b1 < 0.5 else g - number(b1) * (g - m)
        v[...] = number(b2) * v + number(1 - b2) * g * g
        top = v
        if amsgrad:
            top = np.maximum(max_exp_avg_sqs[k], v, out=max_exp_avg_sqs[k])
        p[...] = p + number(step) * m / (np.sqrt(top) * number(root) + number(eps))


@np.errstate(all="ignore")
def norm_squared(grads, total):
    """total[0] = the sum of the squares of all values, summed in float64."""
    total[0] = sum((float(np.sum(np.square(g, dtype=np.float64))) for g in grads), 0.0)


@np.errstate(all="ignore")
def scale(arrays, factor):
    """Multiply every value by factor[0], in place."""
    for x in arrays:
        x *= x.dtype.type(factor[0])
