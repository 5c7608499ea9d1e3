"""Softmax and the losses on it in NumPy: the definition of the `softmax` kernels.

Softmax arrays are viewed as (outer, D, inner) and normalised over D. Losses take logits x (B,C,L): B batch, C classes,
L everything behind them; one loss an item (B,L). For these, `lse` = log(sum_c exp(x)) is all that backward needs
beside x: the softmax is made again from it, exp(x - lse), rather than kept. Large logits cancel in x - lse, so it is
kept with twice x's digits, as the sum of two numbers: lse (2,B,L) holds the rounded value and what the rounding lost.
"""
import numpy as np

QUIET = dict(invalid="ignore", divide="ignore")     # infinities and NaN go through without a warning


@np.errstate(**QUIET)
def softmax(x, y):
    """y = exp(x - max) / sum exp(x - max), over axis 1."""
    e = np.exp(x - _largest(x))
    y[...] = e / e.sum(1, keepdims=True)


@np.errstate(**QUIET)
def log_softmax(x, y):
    """y = (x - max) - log(sum exp(x - max)), over axis 1."""
    shifted = x - _largest(x)
    y[...] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


@np.errstate(**QUIET)
def softmax_backward(y, dy, dx):
    """dx = y * (dy - sum(dy * y)), y = softmax(x)."""
    dx[...] = y * (dy - (dy * y).sum(1, keepdims=True))


@np.errstate(**QUIET)
def log_softmax_backward(y, dy, dx):
    """dx = dy - exp(y) * sum(dy), y = log_softmax(x)."""
    dx[...] = dy - np.exp(y) * dy.sum(1, keepdims=True)


@np.errstate(**QUIET)
def cross_entropy(x, target, weight, loss, lse, *, ignore_index=-100, label_smoothing=0.0):
    """loss = (1 - s) * w[t] * (lse - x[t]) + s/C * sum_c w[c] * (lse - x[c]), s the label smoothing.

    target int64 (B,L) with labels in [0, C), else IndexError; weight (C,) or None (ones); loss (B,L), zero where the
    label is ignore_index; lse (2,B,L).
    """
    kept, t = _labels("cross_entropy", target, ignore_index, x.shape[1])
    surprise = _log_sum_exp(x, lse) - x                             # (B,C,L): minus the log-probabilities
    w = np.ones(x.shape[1]) if weight is None else weight
    if x.shape[1] == 0:
        loss[...] = 0
        return
    value = w[t] * np.take_along_axis(surprise, t[:, None], 1)[:, 0]
    if label_smoothing:
        value = (1 - label_smoothing) * value
        value += label_smoothing / x.shape[1] * (w[:, None] * surprise).sum(1)
    loss[...] = np.where(kept, value, 0)


@np.errstate(**QUIET)
def cross_entropy_backward(x, target, weight, lse, dloss, dx, *, ignore_index=-100, label_smoothing=0.0):
    """With p = exp(x - lse):  dx[c] = dloss * (((1-s) w[t] + s/C sum(w)) p[c] - (1-s) w[t] [c = t] - s/C w[c]).

    dloss (B,L), or one value for all; zero where the label is ignore_index.
    """
    kept, t = _labels("cross_entropy_backward", target, ignore_index, x.shape[1])
    if x.size == 0:
        return
    C = x.shape[1]
    w = np.ones(C) if weight is None else weight.astype(np.float64)
    a = (1 - label_smoothing) * w[t][:, None] * (np.arange(C)[:, None] == t[:, None])
    a = a + label_smoothing / C * w[:, None]                        # (B,C,L): what each class is to have
    value = _spread(dloss) * (np.exp(x - _whole(lse)) * a.sum(1, keepdims=True) - a)
    dx[...] = np.where(kept[:, None], value, 0)


@np.errstate(**QUIET)
def cross_entropy_probs(x, target, weight, loss, lse, *, label_smoothing=0.0):
    """loss = sum_c a[c] * (lse - x[c]),  a = w * ((1 - s) * target + s/C); target (B,C,L) like x, probabilities."""
    loss[...] = (_wanted(target, weight, label_smoothing) * (_log_sum_exp(x, lse) - x)).sum(1)


@np.errstate(**QUIET)
def cross_entropy_probs_backward(x, target, weight, lse, dloss, dx, *, label_smoothing=0.0):
    """dx[c] = dloss * (exp(x[c] - lse) * sum(a) - a[c]); dloss (B,L), or one value for all."""
    a = _wanted(target, weight, label_smoothing)
    dx[...] = _spread(dloss) * (np.exp(x - _whole(lse)) * a.sum(1, keepdims=True) - a)


@np.errstate(**QUIET)
def cross_entropy_probs_backward_target(x, weight, lse, dloss, dtarget, *, label_smoothing=0.0):
    """dtarget[c] = dloss * (1 - s) * w[c] * (lse - x[c])."""
    w = 1.0 if weight is None else weight[:, None]
    dtarget[...] = _spread(dloss) * ((1 - label_smoothing) * w * (_whole(lse) - x))


@np.errstate(**QUIET)
def nll_loss(x, target, weight, loss, *, ignore_index=-100):
    """loss = -w[t] * x[t], x (B,C,L) log-probabilities; zero where the label is ignore_index."""
    kept, t = _labels("nll_loss", target, ignore_index, x.shape[1])
    if x.shape[1] == 0:
        loss[...] = 0
        return
    value = -np.take_along_axis(x, t[:, None], 1)[:, 0]
    loss[...] = np.where(kept, value if weight is None else weight[t] * value, 0)


def nll_loss_backward(target, weight, dloss, dx, *, ignore_index=-100):
    """dx[t] = -w[t] * dloss, zero elsewhere; dloss (B,L), or one value for all."""
    kept, t = _labels("nll_loss_backward", target, ignore_index, dx.shape[1])
    dx[...] = 0
    if dx.size:
        value = -np.broadcast_to(dloss, t.shape)
        value = np.where(kept, value if weight is None else weight[t] * value, 0)
        np.put_along_axis(dx, t[:, None], value[:, None].astype(dx.dtype), 1)


@np.errstate(**QUIET)
def reduce_loss(loss, target, weight, total, divisor, *, ignore_index=-100, mean=True):
    """total = sum(loss) / divisor; divisor = sum of w[t] over the labels that are not ignore_index (their number
    without weights, the number of losses without target), or 1 where no mean is wanted. Nothing to divide by: NaN.

    loss (B,L); total, divisor one value each.
    """
    n = float(loss.size)
    if mean and target is not None:
        kept = target != ignore_index
        n = kept.sum() if weight is None else weight[target[kept]].sum(dtype=np.float64)
    divisor[...] = n if mean else 1
    total[...] = loss.sum(dtype=np.float64) / np.float64(n if mean else 1)


def _largest(x):
    return x.max(1, keepdims=True, initial=-np.inf)


def _log_sum_exp(x, lse):
    """log(sum_c exp(x)) over axis 1, float64 (B,1,L); also written to lse as two numbers."""
    wide = x.astype(np.float64)
    m = _largest(wide)
    value = m + np.log(np.exp(wide - m).sum(1, keepdims=True))
    lse[0] = value[:, 0]
    lse[1] = value[:, 0] - lse[0]
    return value


def _whole(lse):
    """The two numbers of lse as one, float64 (B,1,L)."""
    return (lse[0].astype(np.float64) + lse[1])[:, None]


def _labels(name, target, ignore_index, C):
    """(which labels count, labels with 0 for those that do not)."""
    kept = target != ignore_index
    wrong = target[kept & ((target < 0) | (target >= C))]
    if wrong.size:
        raise IndexError(f"{name}: expected labels in [0, {C}) for {C} classes (or ignore_index={ignore_index}), "
                         f"got {wrong[0]}")
    return kept, np.where(kept, target, 0)


def _wanted(target, weight, label_smoothing):
    """a = w * ((1 - s) * target + s/C), (B,C,L)."""
    a = target.astype(np.float64)
    if label_smoothing:
        a = (1 - label_smoothing) * a + label_smoothing / max(target.shape[1], 1)
    return a if weight is None else a * weight[:, None]


def _spread(dloss):
    """dloss (B,L) or one value, to be multiplied with (B,C,L)."""
    return dloss.reshape(1, 1, 1) if dloss.size == 1 else dloss[:, None]
