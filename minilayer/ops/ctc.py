"""CTC: the loss of a sequence of labels whose places in the input are not known, as in speech and handwriting.

Forward sums the probabilities of all alignments by going through the time steps once, and keeps that table (alpha);
backward goes through them once more, from the end. All in logarithms.
"""
import numpy as np

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, device_of, empty, to_device
from minilayer.dtypes import int64
from minilayer.node import TensorBase, wrap
from minilayer.promotion import cast
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("ctc")


class Ctc(Op):
    """loss[b] = -log sum over alignments of prod over t of exp(log_probs[t, b, symbol at t]);  ctc_reference.py has the sums

    The gradient is that of what went into the log_softmax which made log_probs, as PyTorch's is. log_probs (T, B, C);
    targets, all labels in one row; starts, input_lengths, target_lengths (B,).
    """
    name = "ctc_loss"
    required = 5

    def __init__(self, blank, zero_infinity, longest):
        self.blank = blank
        self.zero_infinity = zero_infinity
        self.longest = longest

    def forward(self, node, log_probs, targets, starts, input_lengths, target_lengths):
        log_probs = contiguous(log_probs)
        T, B, _ = log_probs.shape
        loss = empty((B,), log_probs.dtype, log_probs)
        alpha = empty((B, T, 2 * self.longest + 1), log_probs.dtype, log_probs)
        kernels.on(log_probs).ctc_loss(log_probs, targets, starts, input_lengths, target_lengths, loss, alpha, blank=self.blank)
        node.save(log_probs, targets, starts, input_lengths, target_lengths, loss, alpha)   # backward meets alpha halfway
        return loss

    def backward(self, node, dy):
        log_probs, *arrays = node.saved
        dlog_probs = empty(log_probs.shape, log_probs.dtype, log_probs)
        kernels.on(log_probs).ctc_loss_backward(contiguous(dy), log_probs, *arrays, dlog_probs, blank=self.blank,
                                                zero_infinity=self.zero_infinity)
        return dlog_probs, None, None, None, None

    def cost(self, shapes, out_shapes):
        T, B, C = shapes[0]
        n = T * B * (2 * self.longest + 1)
        return Cost(60 * n, 60 * n + 40 * T * B * C, 4 * (T * B * C + n), 4 * (2 * T * B * C + n))


def _lengths(name, what, value, B):
    """Lengths as int64 of shape (B,) on the host."""
    if isinstance(value, TensorBase):
        if value.dtype.kind not in "iu":
            raise TypeError(f"{name}: expected {what} to be integers, got {value.dtype}; convert them with .long()")
        value = value.detach().cpu().numpy()
    lengths = np.asarray(value)
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise TypeError(f"{name}: expected {what} to be integers, got {value!r}")
    lengths = lengths.astype(np.int64).reshape(-1)
    if lengths.shape != (B,):
        raise ValueError(f"{name}: expected {B} {what}, one a sequence, got {lengths.size}")
    if (lengths < 0).any():
        raise ValueError(f"{name}: expected {what} of 0 or more, got {lengths.min()}")
    return lengths


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """How surprised a network is by a sequence of labels, over all ways to place them in time.

    log_probs       (T, B, C) or (T, C): logarithms of probabilities, as log_softmax gives them, of the classes and a blank
    targets         int64 (B, S), labels of each sequence and anything behind them; or all labels in one row, one sequence
                    after another; (S,) for (T, C)
    input_lengths, target_lengths  (B,) tensors, or tuples of integers: how much of each is meant
    blank           which class is the blank
    reduction       "mean": each loss is divided by its target's length, then averaged; "sum"; "none"
    zero_infinity   0, and no gradient, where a target does not fit into its input (else the loss is infinite)
    Graves et al., "Connectionist temporal classification", 2006.
    """
    name = "ctc_loss"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{name}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    for t in (log_probs, targets):
        expect_tensor(name, t)
    if log_probs.dtype.kind != "f" or log_probs.ndim not in (2, 3):
        raise ValueError(f"{name}: expected float log_probs of shape (time, batch, classes) or (time, classes), got "
                         f"{log_probs.dtype} of shape {log_probs.shape}")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integer targets, got {targets.dtype}; convert them with .long()")
    single = log_probs.ndim == 2
    if single:
        if targets.ndim != 1:
            raise ValueError(f"{name}: expected targets (labels,) for log_probs of shape {log_probs.shape}, got {targets.shape}")
        log_probs = log_probs.unsqueeze(1)
    T, B, C = log_probs.shape
    if isinstance(blank, bool) or not hasattr(blank, "__index__") or not 0 <= blank < C:
        raise ValueError(f"{name}: expected blank to be one of {C} classes, 0 to {C - 1}, got {blank!r}")
    steps, lengths = _lengths(name, "input_lengths", input_lengths, B), _lengths(name, "target_lengths", target_lengths, B)
    if B and steps.max() > T:
        raise ValueError(f"{name}: expected input_lengths of at most {T}, the time steps of log_probs, got {steps.max()}")
    longest = int(lengths.max()) if B else 0
    if targets.ndim == 1:
        starts = np.cumsum(lengths) - lengths
        if lengths.sum() != targets.numel():
            raise ValueError(f"{name}: expected target_lengths that sum to {targets.numel()}, the number of labels, got "
                             f"{lengths.sum()}")
    elif targets.ndim == 2 and targets.shape[0] == B and longest <= targets.shape[1]:
        starts = np.arange(B) * targets.shape[1]
    else:
        raise ValueError(f"{name}: expected targets ({B}, at least {longest}) or one row of all labels, got {targets.shape}")
    device = device_of(log_probs.array)
    labels = cast(targets.detach(), int64).contiguous().reshape(-1)         # a view, so that a write to targets is noticed
    numbers = [wrap(to_device(np.ascontiguousarray(a, np.int64), device)) for a in (starts, steps, lengths)]
    loss = apply(Ctc(blank.__index__(), bool(zero_infinity), longest), log_probs, labels, *numbers)
    if zero_infinity:
        loss = loss.masked_fill(loss == float("inf"), 0)
    if reduction == "mean":
        divisor = wrap(to_device(np.maximum(lengths, 1).astype(loss.dtype), device))
        return (loss / divisor).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.reshape(()) if single else loss
