"""Losses of two arrays, element by element: each value, or all of them summed in the same pass.

`x`, `target` and what is made of them are float arrays of one size. Forward, y has that size (one loss an element), or
one value: the sum of all, times `scale` (1/n for a mean). Backward, dy has x's size or one value, and

    dx = dy scale dloss/dx        dtarget = dy scale dloss/dtarget        (None where it is not wanted)
"""
import numpy as np

TINY = np.float32(1e-12)                # PyTorch keeps it as a float, also for doubles
QUIET = dict(divide="ignore", invalid="ignore", over="ignore", under="ignore")


def _write(loss, y, scale):
    if y.size == loss.size:
        y[...] = (loss * loss.dtype.type(scale)).reshape(y.shape)
    else:
        y[...] = loss.sum(dtype=np.float64) * scale


def _write_backward(slope_x, slope_target, dy, dx, dtarget, scale):
    g = dy.reshape(-1) * dy.dtype.type(scale)
    for to, slope in ((dx, slope_x), (dtarget, slope_target)):
        if to is not None:
            to[...] = (slope.reshape(-1) * g).reshape(to.shape)


def _sign(d):
    return np.where(d > 0, 1, np.where(d < 0, -1, 0)).astype(d.dtype)


@np.errstate(**QUIET)
def l1_loss(x, target, y, *, scale=1.0):
    """loss = |x - target|"""
    _write(np.abs(x - target), y, scale)


@np.errstate(**QUIET)
def l1_loss_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = sign(x - target) = -dloss/dtarget"""
    slope = _sign(x - target)
    _write_backward(slope, -slope, dy, dx, dtarget, scale)


@np.errstate(**QUIET)
def mse_loss(x, target, y, *, scale=1.0):
    """loss = (x - target)^2"""
    _write((x - target)**2, y, scale)


@np.errstate(**QUIET)
def mse_loss_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = 2 (x - target) = -dloss/dtarget"""
    slope = 2 * (x - target)
    _write_backward(slope, -slope, dy, dx, dtarget, scale)


@np.errstate(**QUIET)
def smooth_l1_loss(x, target, y, *, beta, scale=1.0):
    """With d = |x - target|: loss = d^2 / (2 beta) where d < beta, else d - beta/2"""
    d = np.abs(x - target)
    beta = d.dtype.type(beta)
    _write(np.where(d < beta, d * d / beta / 2, d - beta / 2), y, scale)


@np.errstate(**QUIET)
def smooth_l1_loss_backward(x, target, dy, dx, dtarget, *, beta, scale=1.0):
    """With d = x - target: dloss/dx = d / beta within -1 and 1, = -dloss/dtarget"""
    d = x - target
    beta = d.dtype.type(beta)
    slope = np.where(np.abs(d) >= beta, _sign(d), d / beta)
    _write_backward(slope, -slope, dy, dx, dtarget, scale)


@np.errstate(**QUIET)
def huber_loss(x, target, y, *, delta, scale=1.0):
    """With d = |x - target|: loss = d^2 / 2 where d <= delta, else delta (d - delta/2)"""
    d = np.abs(x - target)
    delta = d.dtype.type(delta)
    _write(np.where(d <= delta, d * d / 2, delta * (d - delta / 2)), y, scale)


@np.errstate(**QUIET)
def huber_loss_backward(x, target, dy, dx, dtarget, *, delta, scale=1.0):
    """With d = x - target: dloss/dx = d within -delta and delta, = -dloss/dtarget"""
    d = x - target
    delta = d.dtype.type(delta)
    slope = np.where(np.abs(d) >= delta, delta * _sign(d), d)
    _write_backward(slope, -slope, dy, dx, dtarget, scale)


@np.errstate(**QUIET)
def binary_cross_entropy(x, target, y, *, scale=1.0):
    """loss = -(target log x + (1 - target) log(1 - x)), each logarithm at least -100. ValueError unless both
    are in [0, 1]."""
    for what, a in (("probabilities", x), ("a target", target)):
        inside = (a >= 0) & (a <= 1)
        if not inside.all():
            raise ValueError(f"binary_cross_entropy: expected {what} in [0, 1], got {a[~inside].flat[0]}")
    low = x.dtype.type(-100)
    _write((target - 1) * np.maximum(np.log1p(-x), low) - target * np.maximum(np.log(x), low), y, scale)


@np.errstate(**QUIET)
def binary_cross_entropy_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = (x - target) / max(x (1 - x), 1e-12); dloss/dtarget = log(1 - x) - log x"""
    slope = (x - target) / np.maximum((1 - x) * x, x.dtype.type(TINY))
    _write_backward(slope, np.log1p(-x) - np.log(x), dy, dx, dtarget, scale)


def _softplus_of_minus(x):
    """log(1 + e^-x)"""
    return np.log1p(np.exp(-np.abs(x))) + np.where(x < 0, -x, 0)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


@np.errstate(**QUIET)
def binary_cross_entropy_with_logits(x, target, pos_weight, y, *, scale=1.0):
    """loss = (1 - target) x + (1 + (p - 1) target) log(1 + e^-x), p = pos_weight (of x's size, or None: 1)"""
    p = 1 if pos_weight is None else pos_weight
    _write((1 - target) * x + (1 + (p - 1) * target) * _softplus_of_minus(x), y, scale)


@np.errstate(**QUIET)
def binary_cross_entropy_with_logits_backward(x, target, pos_weight, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = (p target + 1 - target) sigmoid(x) - p target; dloss/dtarget = (p - 1) log(1 + e^-x) - x"""
    p = x.dtype.type(1) if pos_weight is None else pos_weight
    slope = (p * target + (1 - target)) * _sigmoid(x) - p * target
    _write_backward(slope, (p - 1) * _softplus_of_minus(x) - x, dy, dx, dtarget, scale)


@np.errstate(**QUIET)
def kl_div(x, target, y, *, scale=1.0):
    """loss = target (log target - x), x the logarithm of a probability; where target = 0, target log target is 0"""
    _write(np.where(target == 0, 0, target * np.log(target)) - target * x, y, scale)


@np.errstate(**QUIET)
def kl_div_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = -target; dloss/dtarget = log target + 1 - x"""
    _write_backward(-target, np.log(target) + 1 - x, dy, dx, dtarget, scale)


@np.errstate(**QUIET)
def kl_div_log(x, target, y, *, scale=1.0):
    """loss = e^target (target - x): kl_div of targets given as logarithms"""
    _write(np.exp(target) * (target - x), y, scale)


@np.errstate(**QUIET)
def kl_div_log_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = -e^target; dloss/dtarget = e^target (target - x + 1)"""
    e = np.exp(target)
    _write_backward(-e, e * (target - x) + e, dy, dx, dtarget, scale)
