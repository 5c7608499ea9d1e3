"""Rows of the norm family."""

import numpy as np

import minilayer as ml
from cases.base import KernelCase, LayerCase, OpCase, normal, out, positive

ROWS = [(3, 5), (1, 1), (0, 4), (4, 0), (7, 1), (33, 17), (5, 130), (2, 2500), (300, 31), (40, 128)]       # (R, D)
CHANNELS = [(4, 3, 1), (2, 5, 7), (3, 1, 40), (0, 3, 4), (16, 17, 1), (70, 33, 1), (6, 9, 16), (5, 2, 4100),
            (4, 3, 2500)]   # (B, C, L)


def shifted(rng, shape, dtype):
    """Values around 3: a mean to take off."""
    return (normal(rng, shape, "float64") * 2 + 3).astype(dtype)


def measured(x, axes, dtype):
    """(mean, 1/sqrt(var + eps)) over some axes, in dtype."""
    if x.size == 0:
        n = x.shape[0] if axes == 1 else x.shape[1]
        return np.zeros(n, dtype), np.ones(n, dtype)
    wide = x.astype("float64")
    return wide.mean(axes).astype(dtype), (1 / np.sqrt(wide.var(axes) + 1e-5)).astype(dtype)


def layer_norm_samples(rng, dtype):
    for i, (r, d) in enumerate(ROWS):
        w, b = (normal(rng, (d,), dtype) if i % n != n - 1 else None for n in (3, 2))
        yield (shifted(rng, (r, d), dtype), w, b, out((r, d), dtype), out((r,), dtype), out((r,), dtype)), {"eps": 1e-5}


def layer_norm_backward_samples(rng, dtype):
    for i, (r, d) in enumerate(ROWS):
        x = shifted(rng, (r, d), dtype)
        yield (shifted(rng, (r, d), dtype), x, normal(rng, (d,), dtype) if i % 3 != 2 else None, *measured(x, 1, dtype),
               out((r, d), dtype) if i % 4 != 2 else None, out((d,), dtype) if i % 5 != 3 else None,
               out((d,), dtype) if i % 5 != 4 else None), {}


def batch_norm_samples(rng, dtype):
    for i, (b, c, l) in enumerate(CHANNELS):  # noqa: E741
        w, bias, mean, var = (positive(rng, (c,), dtype) if i % n != n - 1 else None for n in (3, 2, 4, 5))
        yield (shifted(rng, (b, c, l), dtype), w, bias, out((b, c, l), dtype), out((c,), dtype), out((c,), dtype),
               mean, var, np.array([0.3])), {"eps": 1e-5}


def batch_norm_eval_samples(rng, dtype):
    for i, (b, c, l) in enumerate(CHANNELS):  # noqa: E741
        w, bias = (normal(rng, (c,), dtype) if i % n != n - 1 else None for n in (3, 2))
        yield (shifted(rng, (b, c, l), dtype), w, bias, shifted(rng, (c,), dtype), positive(rng, (c,), dtype),
               out((b, c, l), dtype)), {"eps": 1e-5}


def batch_norm_backward_samples(training):
    def samples(rng, dtype):
        for i, (b, c, l) in enumerate(CHANNELS):  # noqa: E741
            x = shifted(rng, (b, c, l), dtype)
            running = shifted(rng, (c,), dtype), positive(rng, (c,), dtype)
            statistics = measured(x, (0, 2), dtype) if training else running
            yield (shifted(rng, (b, c, l), dtype), x, normal(rng, (c,), dtype) if i % 3 != 2 else None, *statistics,
                   out((b, c, l), dtype) if i % 4 != 2 else None, out((c,), dtype) if i % 5 != 3 else None,
                   out((c,), dtype) if i % 5 != 4 else None), {} if training else {"eps": 1e-5}
    return samples


KERNELS = [
    KernelCase("norm", "layer_norm", layer_norm_samples, outs=(3, 4, 5), bound=16, scale="max"),
    KernelCase("norm", "layer_norm_backward", layer_norm_backward_samples, outs=(5, 6, 7), accumulate=(6, 7), bound=64,
               scale="max"),
    KernelCase("norm", "batch_norm", batch_norm_samples, outs=(3, 4, 5), inouts=(6, 7), bound=16, scale="max"),
    KernelCase("norm", "batch_norm_eval", batch_norm_eval_samples, outs=(5,), bound=16, scale="max"),
    KernelCase("norm", "batch_norm_backward", batch_norm_backward_samples(True), outs=(5, 6, 7), bound=64, scale="max"),
    KernelCase("norm", "batch_norm_eval_backward", batch_norm_backward_samples(False), outs=(5, 6, 7), bound=64,
               scale="max"),
]
BATCHES = [(4, 3), (3, 2, 5), (2, 3, 2, 4), (3, 1, 1, 2, 2)]
OPS = [
    OpCase("layer_norm", lambda x, w, b: ml.functional.layer_norm(x, w.shape, w, b), lambda rng: [
        (normal(rng, s), normal(rng, n), normal(rng, n)) for s,
        n in [((3, 5), (5,)), ((2, 3, 4), (3, 4)), ((0, 4), (4,)), ((6, 17), (17,))]],
        op="norm.LayerNorm"),
    OpCase("layer_norm without weights", lambda x: (ml.functional.layer_norm(x, x.shape[-1]),
                                                    ml.functional.layer_norm(x, x.shape[1:], eps=0.1)),
           lambda rng: [(normal(rng, s),) for s in [(3, 5), (2, 3, 4)]], op="norm.LayerNorm"),
    OpCase("batch_norm training", lambda x, w, b: ml.functional.batch_norm(x, None, None, w, b, training=True),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2])) for s in BATCHES],
           op="norm.BatchNorm"),
    OpCase("batch_norm", lambda x, w, b: ml.functional.batch_norm(
               x, *(ml.Tensor(v.astype(str(x.dtype))).to(x.device) for v in (np.linspace(-1, 1, x.shape[1]),
                   np.linspace(0.5, 2, x.shape[1]))), w, b),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2])) for s in [*BATCHES, (0, 3),
               (1, 2)]], op="norm.BatchNorm"),
]
LAYERS = [
    LayerCase("BatchNorm1d", lambda: ml.BatchNorm1d(3), lambda rng, dtype: (normal(rng, (5, 3), dtype),),
              per_item=False),
    LayerCase("BatchNorm1d sequences", lambda: ml.BatchNorm1d(3, momentum=None),
              lambda rng, dtype: (normal(rng, (4, 3, 5), dtype),), per_item=False),
    LayerCase("BatchNorm2d", lambda: ml.BatchNorm2d(2), lambda rng, dtype: (normal(rng, (3, 2, 4, 3), dtype),),
              per_item=False),
    LayerCase("LayerNorm", lambda: ml.LayerNorm(6), lambda rng, dtype: (normal(rng, (4, 6), dtype),)),
    LayerCase("LayerNorm two axes", lambda: ml.LayerNorm((3, 4), elementwise_affine=False),
              lambda rng, dtype: (normal(rng, (2, 3, 4), dtype),)),
]
