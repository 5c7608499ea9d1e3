"""Rows of the softmax family and of the losses built on it."""
import numpy as np

import minilayer as ml
from cases.base import (
    KernelCase,
    LayerCase,
    OpCase,
    each_shape,
    inside,
    normal,
    out,
    positive,
)

LINES = [(3, 5, 1), (1, 1, 1), (0, 3, 1), (2, 3, 0), (7, 16, 1), (5, 17, 1), (2, 3000, 1), (2, 7, 5), (3, 20, 33),
         (130, 65, 1), (2, 100, 64)]                  # (outer, D, inner), or (B, C, L)


def spread_out(rng, shape, dtype="float64"):
    """Scores of a confident classifier."""
    return (normal(rng, shape) * 4).astype(dtype)


def with_y(function):
    """(y, dy, ->dx) where y is what the forward kernel made."""
    def samples(rng, dtype):
        for s in LINES:
            y = spread_out(rng, s)
            y = np.exp(y - y.max(1, keepdims=True)) if s[1] else y
            y = y / y.sum(1, keepdims=True)
            yield (np.asarray(y if function == "softmax" else np.log(y)).astype(dtype), normal(rng, s, dtype),
                   out(s, dtype)), {}
    return samples


def loss_samples(*names, **settings):
    """Arguments of the loss kernels by name, with and without weights, smoothing and ignored labels."""
    def samples(rng, dtype):
        for s in LINES:
            b, c, l = s  # noqa: E741
            for weighted, smoothing, ignored, one in ((0, 0.0, -100, 0), (1, 0.0, 1, 1), (0, 0.2, -100, 1),
                                                      (1, 0.2, 2, 0)):
                x = spread_out(rng, s, dtype)
                target = np.where(rng.random((b, l)) < 0.2, ignored, rng.integers(0, max(c, 1), (b, l)))
                with np.errstate(divide="ignore", invalid="ignore"):
                    lse = np.log(np.exp(x.astype("float64")).sum(1))
                parts = {
                    "x": x, "target": target, "weight": positive(rng, (c,), dtype) if weighted else None,
                    "probs": np.asarray(rng.random(s)).astype(dtype),
                    "lse": np.array([lse.astype(dtype), lse - lse.astype(dtype)]).astype(dtype),
                    "dloss": normal(rng, () if one else (b, l), dtype), "dx": out(s, dtype), "loss": out((b, l), dtype),
                    "new lse": out((2, b, l), dtype), "losses": normal(rng, (b, l), dtype), "total": out((), dtype)}
                values = {"ignore_index": ignored, "label_smoothing": smoothing}
                yield tuple(parts[n] for n in names), {k: values[k] for k in values if settings.get(k, True)}
    return samples


LABELS_ONLY = dict(label_smoothing=False)
PROBS_ONLY = dict(ignore_index=False)
KERNELS = [
    *[KernelCase("softmax", name, lambda rng, dtype: [((spread_out(rng, s, dtype), out(s, dtype)), {}) for s in LINES],
                 outs=(1,), bound=16, scale="max", special=True)
      for name in ("softmax", "log_softmax")],
    *[KernelCase("softmax", f"{name}_backward", with_y(name), outs=(2,), bound=16, scale="max")
      for name in ("softmax", "log_softmax")],
    KernelCase("softmax", "cross_entropy", loss_samples("x", "target", "weight", "loss", "new lse"), outs=(3, 4),
               bound=32, scale="max"),
    KernelCase("softmax", "cross_entropy", loss_samples("x", "target", "weight", "loss", "new lse", **LABELS_ONLY),
               outs=(3, 4), bound=32, scale="max", special=True),
    KernelCase("softmax", "cross_entropy_backward", loss_samples("x", "target", "weight", "lse", "dloss", "dx"),
               outs=(5,), bound=16, scale="max"),
    KernelCase("softmax", "cross_entropy_probs", loss_samples("x", "probs", "weight", "loss", "new lse", **PROBS_ONLY),
               outs=(3, 4), bound=32, scale="max"),
    KernelCase("softmax", "cross_entropy_probs_backward",
               loss_samples("x", "probs", "weight", "lse", "dloss", "dx", **PROBS_ONLY), outs=(5,), bound=16,
               scale="max"),
    KernelCase("softmax", "cross_entropy_probs_backward_target",
               loss_samples("x", "weight", "lse", "dloss", "dx", **PROBS_ONLY), outs=(4,), bound=16, scale="max"),
    KernelCase("softmax", "nll_loss", loss_samples("x", "target", "weight", "loss", **LABELS_ONLY), outs=(3,),
               special=True),
    KernelCase("softmax", "nll_loss_backward", loss_samples("target", "weight", "dloss", "dx", **LABELS_ONLY),
               outs=(3,), special=True),
    KernelCase("softmax", "reduce_loss", loss_samples("losses", "target", "weight", "total", "total", **LABELS_ONLY),
               outs=(3, 4), bound=8, scale="terms"),
    KernelCase("softmax", "reduce_loss", lambda rng, dtype: [
        ((normal(rng, s, dtype), None, None, out((), dtype), out((), dtype)), {"mean": mean}) for s in [(3, 1), (7, 5),
            (0, 1), (70, 40)]
        for mean in (True, False)], outs=(3, 4), bound=8, scale="terms"),
]


def scores_and_labels(rng):
    """(scores, labels, class weights or None)"""
    for i, s in enumerate([(4, 5), (5,), (2, 5, 3), (2, 4, 2, 3), (3, 1)]):
        c = s[0] if len(s) == 1 else s[1]
        labels = np.asarray(rng.integers(0, c, s[:min(1, len(s) - 1)] + s[2:]))
        yield spread_out(rng, s), labels, np.linspace(0.5, 1.5, c).astype("float32") if i % 2 else None


def classify(function, **settings):
    """A loss of scores and labels, each reduction; weights in the scores' dtype."""
    def call(x, labels, weight):
        weight = None if weight is None else weight.to(x.dtype)
        return tuple(function(x, labels, weight, reduction=how, **settings) for how in ("mean", "sum", "none"))
    return call


def classify_probs(x, target, weight):
    return tuple(ml.functional.cross_entropy(x, target, weight.to(x.dtype), reduction=how, label_smoothing=s)
                 for how, s in (("mean", 0.0), ("sum", 0.1), ("none", 0.3)))


def over_every_dim(function):
    return lambda x: tuple(function(x, dim) for dim in range(max(x.ndim, 1)))


OPS = [
    OpCase("softmax", over_every_dim(ml.functional.softmax), each_shape(normal), op="softmax.Softmax", second=True),
    OpCase("log_softmax", over_every_dim(ml.functional.log_softmax), each_shape(normal), op="softmax.LogSoftmax",
           second=True),
    OpCase("cross_entropy", classify(ml.functional.cross_entropy), scores_and_labels, op="softmax.CrossEntropy"),
    OpCase("cross_entropy with smoothing", classify(ml.functional.cross_entropy, label_smoothing=0.2, ignore_index=0),
           lambda rng: [(spread_out(rng, (4, 5)), np.array([0, 3, 1, 4]), None),
                        (spread_out(rng, (2, 3, 2)), np.array([[0, 1], [2, 2]]), None)],
           op="softmax.CrossEntropy"),
    OpCase("cross_entropy with probabilities", classify_probs, lambda rng: [
        (spread_out(rng, s), inside(rng, s), np.linspace(0.5, 1.5, c).astype("float32")) for s,
        c in [((4, 5), 5), ((5,), 5), ((2, 4, 3), 4)]],
        op="softmax.CrossEntropyProbs"),
    OpCase("nll_loss", classify(ml.functional.nll_loss), scores_and_labels, op="softmax.NllLoss"),
]
LAYERS = [
    LayerCase("Softmax", lambda: ml.Softmax(-1), lambda rng, dtype: (normal(rng, (4, 5), dtype),)),
    LayerCase("LogSoftmax", lambda: ml.LogSoftmax(1), lambda rng, dtype: (normal(rng, (4, 5, 2), dtype),)),
    LayerCase("CrossEntropyLoss", lambda: ml.CrossEntropyLoss(),
              lambda rng, dtype: (normal(rng, (4, 3), dtype), np.array([0, 2, 1, 2])),
              batch_axis=None),
]
