"""Rows of CTC."""
import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, out
from minilayer._ext import ctc_cython, ctc_reference

# (time steps, classes, input_lengths, target_lengths): a target that just fits, one that does not, empty ones
BATCHES = [(9, 5, (9, 7, 4), (4, 2, 0)), (1, 2, (1,), (1,)), (3, 4, (3, 0, 0), (5, 0, 1)), (40, 33, (40, 38), (17, 3)), (2, 3, (), ())]


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def sequences(rng, T, C, steps, lengths, dtype="float64"):
    """(log_probs, labels of all sequences, where each begins, input_lengths, target_lengths)"""
    steps, lengths = np.array(steps, np.int64), np.array(lengths, np.int64)
    labels = rng.integers(1, C, int(lengths.sum()))
    return log_softmax(normal(rng, (T, len(steps), C)) * 2).astype(dtype), labels, np.cumsum(lengths) - lengths, steps, lengths


def kernel_samples(backward):
    def samples(rng, dtype):
        for batch in BATCHES:
            p, labels, starts, steps, lengths = sequences(rng, *batch, dtype)
            T, B, C = p.shape
            shape = (B, T, 2 * max(batch[3], default=0) + 1)
            if not backward:
                yield (p, labels, starts, steps, lengths, out((B,), dtype), out(shape, dtype)), {"blank": 0}
                continue
            loss, alpha = np.empty(B, dtype), np.empty(shape, dtype)
            ctc_reference.ctc_loss(p, labels, starts, steps, lengths, loss, alpha)
            for zero_infinity in (True, False) if np.isfinite(loss).all() else (True,):
                yield ((normal(rng, (B,), dtype), p, labels, starts, steps, lengths, loss, alpha, out(p.shape, dtype)),
                       {"zero_infinity": zero_infinity})
    return samples


KERNELS = [
    KernelCase("ctc", "ctc_loss", kernel_samples(False), outs=(5, 6), bound=256, scale="max"),
    KernelCase("ctc", "ctc_loss_backward", kernel_samples(True), outs=(8,), bound=512, scale="max"),
]


def padded(x, targets):
    """Of scores, as the gradient is theirs."""
    p, n, lengths = F.log_softmax(x, -1), x.shape[0], (3, 0, 2)
    return (*[F.ctc_loss(p, targets, (n, n - 1, n - 2), lengths, reduction=how, zero_infinity=True) for how in ("mean", "sum", "none")],
            F.ctc_loss(p[:, 0], targets[0], (n,), (targets.shape[1],), blank=3))


OPS = [
    OpCase("ctc_loss", padded, lambda rng: [(normal(rng, (8, 3, 4)), np.array([[1, 2, 2], [0, 0, 0], [2, 1, 0]]))], op="ctc.Ctc"),
]


class OfScores(ml.CTCLoss):
    """CTCLoss behind a log_softmax, whose gradient a difference quotient can check."""

    def forward(self, x, *rest):
        return super().forward(F.log_softmax(x, -1), *rest)


OfScores.__name__ = "CTCLoss"
LAYERS = [
    LayerCase("CTCLoss", lambda: OfScores(zero_infinity=True), lambda rng, dtype: (
        normal(rng, (7, 2, 4), dtype), np.array([[1, 2, 3], [1, 1, 0]]), np.array([7, 6]), np.array([3, 2])), batch_axis=None),
]

P, T = ml.zeros(5, 2, 4), ml.tensor([[1, 2], [3, 3]])


def ctc(p=P, targets=T, steps=(5, 5), lengths=(2, 2), **settings):
    return lambda: F.ctc_loss(p, targets, steps, lengths, **settings)


def kernel(module, labels=(1, 2), starts=(0,), steps=(3,), lengths=(2,), blank=0):
    arrays = [np.array(a, np.int64) for a in (labels, starts, steps, lengths)]
    return lambda: module.ctc_loss(np.zeros((3, 1, 4)), *arrays, np.zeros(1), np.zeros((1, 3, 9)), blank=blank)


ERRORS = [
    ErrorCase("ctc_loss: an unknown reduction", ctc(reduction="avg"), ValueError, "'avg'"),
    ErrorCase("ctc_loss: a list", ctc(targets=[1, 2]), TypeError, "ctc_loss: expected a tensor, got list"),
    ErrorCase("ctc_loss: one axis", ctc(p=ml.zeros(4)), ValueError, r"\(time, batch, classes\)"),
    ErrorCase("ctc_loss: float targets", ctc(targets=T.float()), TypeError, r"\.long\(\)"),
    ErrorCase("ctc_loss: targets for one sequence", ctc(p=P[:, 0], steps=(5,), lengths=(2,)), ValueError, r"targets \(labels,\)"),
    ErrorCase("ctc_loss: a blank past the classes", ctc(blank=4), ValueError, "4 classes, 0 to 3, got 4"),
    ErrorCase("ctc_loss: an input_length past the end", ctc(steps=(6, 5)), ValueError, "at most 5.*got 6"),
    ErrorCase("ctc_loss: float lengths", ctc(steps=ml.ones(2)), TypeError, "input_lengths to be integers, got float32"),
    ErrorCase("ctc_loss: half a length", ctc(lengths=(0.5, 1)), TypeError, "target_lengths to be integers"),
    ErrorCase("ctc_loss: lengths of one sequence", ctc(lengths=(2,)), ValueError, "2 target_lengths, one a sequence, got 1"),
    ErrorCase("ctc_loss: a negative length", ctc(lengths=(-1, 2)), ValueError, "0 or more, got -1"),
    ErrorCase("ctc_loss: a row of other labels", ctc(targets=ml.tensor([1, 2, 3])), ValueError, "sum to 3, the number of labels, got 4"),
    ErrorCase("ctc_loss: targets too short", ctc(lengths=(3, 2)), ValueError, r"at least 3"),
    ErrorCase("ctc_loss: a label past the classes", ctc(targets=T + 2), IndexError, r"labels in \[0, 4\), got 4"),
    *[case for module in (ctc_cython, ctc_reference) for case in (
        ErrorCase(f"ctc kernel: blank ({module.__name__})", kernel(module, blank=7), IndexError, "blank"),
        ErrorCase(f"ctc kernel: steps ({module.__name__})", kernel(module, steps=(4,)), IndexError, r"input_lengths in \[0, 3\], got 4"),
        ErrorCase(f"ctc kernel: labels that are not there ({module.__name__})", kernel(module, starts=(1,)), IndexError, "to hold 2 from 1 on"))],
    ErrorCase("CTCLoss: a negative blank", lambda: ml.CTCLoss(-1), ValueError, "blank >= 0"),
]
