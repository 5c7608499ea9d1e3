"""Rows of the norm family."""

import numpy as np

import minilayer as ml
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, off_zero, out, positive

F = ml.functional
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


def rms_norm_samples(rng, dtype):
    for i, (r, d) in enumerate(ROWS):
        yield (shifted(rng, (r, d), dtype), normal(rng, (d,), dtype) if i % 3 != 2 else None, out((r, d), dtype),
               out((r,), dtype)), {"eps": 1e-3}


def rms_norm_backward_samples(rng, dtype):
    for i, (r, d) in enumerate(ROWS):
        x = normal(rng, (r, d), dtype)
        rstd = (1 / np.sqrt((x.astype("float64")**2).mean(1) + 0.25)).astype(dtype) if d else np.ones(r, dtype)
        yield (shifted(rng, (r, d), dtype), x, normal(rng, (d,), dtype) if i % 3 != 2 else None, rstd,
               out((r, d), dtype) if i % 4 != 2 else None, out((d,), dtype) if i % 5 != 3 else None), {}


# (B, C, L), groups
GROUPS = [((4, 6, 1), 2), ((2, 6, 7), 3), ((3, 4, 40), 1), ((0, 4, 4), 2), ((2, 4, 0), 4), ((9, 17, 1), 1), ((5, 33, 3), 33),
          ((3, 12, 16), 4), ((2, 4, 2100), 2), ((1, 2, 2500), 2), ((40, 64, 5), 8)]


def group_norm_samples(rng, dtype):
    for i, ((b, c, l), g) in enumerate(GROUPS):  # noqa: E741
        w, bias = (normal(rng, (c,), dtype) if i % n != n - 1 else None for n in (3, 2))
        yield (shifted(rng, (b, c, l), dtype), w, bias, out((b, c, l), dtype), out((b, g), dtype), out((b, g), dtype),
               out((b, g), dtype) if i % 2 else None), {"groups": g, "eps": 1e-5}


def group_norm_backward_samples(rng, dtype):
    for i, ((b, c, l), g) in enumerate(GROUPS):  # noqa: E741
        x = shifted(rng, (b, c, l), dtype)
        mean, rstd = (v.reshape(b, g) for v in measured(x.reshape(b * g, c // g * l), 1, dtype))
        yield (shifted(rng, (b, c, l), dtype), x, normal(rng, (c,), dtype) if i % 3 != 2 else None, mean, rstd,
               out((b, c, l), dtype) if i % 4 != 2 else None, out((c,), dtype) if i % 5 != 3 else None,
               out((c,), dtype) if i % 5 != 4 else None), {"groups": g}


def instance_statistics_samples(rng, dtype):
    for i, (b, c) in enumerate([(3, 4), (1, 1), (0, 3), (5, 33), (2, 0)]):
        mean, var = (positive(rng, (c,), dtype) if i % n != n - 1 else None for n in (4, 5))
        yield (shifted(rng, (b, c), dtype), positive(rng, (b, c), dtype), mean, var, np.array([0.3])), {"n": 1 + 6 * i}


WINDOWS = [((2, 5, 7), 3), ((1, 1, 1), 1), ((0, 3, 4), 2), ((2, 3, 0), 2), ((3, 4, 5), 9), ((2, 7, 300), 4), ((3, 33, 70), 5)]
RESPONSE = dict(alpha=0.7, beta=0.75)


def local_response_norm_samples(rng, dtype):
    for shape, size in WINDOWS:
        yield (normal(rng, shape, dtype), out(shape, dtype), out(shape, dtype)), {"size": size, "k": 1.5, **RESPONSE}


def local_response_norm_backward_samples(rng, dtype):
    for shape, size in WINDOWS:
        yield (normal(rng, shape, dtype), normal(rng, shape, dtype), positive(rng, shape, dtype), out(shape, dtype)), \
            {"size": size, **RESPONSE}


KERNELS = [
    KernelCase("norm", "layer_norm", layer_norm_samples, outs=(3, 4, 5), bound=16, scale="max"),
    KernelCase("norm", "layer_norm_backward", layer_norm_backward_samples, outs=(5, 6, 7), accumulate=(6, 7), bound=64,
               scale="max"),
    KernelCase("norm", "batch_norm", batch_norm_samples, outs=(3, 4, 5), inouts=(6, 7), bound=16, scale="max"),
    KernelCase("norm", "batch_norm_eval", batch_norm_eval_samples, outs=(5,), bound=16, scale="max"),
    KernelCase("norm", "batch_norm_backward", batch_norm_backward_samples(True), outs=(5, 6, 7), bound=64, scale="max"),
    KernelCase("norm", "batch_norm_eval_backward", batch_norm_backward_samples(False), outs=(5, 6, 7), bound=64,
               scale="max"),
    KernelCase("norm", "rms_norm", rms_norm_samples, outs=(2, 3), bound=16, scale="max"),
    KernelCase("norm", "rms_norm_backward", rms_norm_backward_samples, outs=(4, 5), accumulate=(5,), bound=64, scale="max"),
    KernelCase("norm", "group_norm", group_norm_samples, outs=(3, 4, 5, 6), bound=16, scale="max"),
    KernelCase("norm", "group_norm_backward", group_norm_backward_samples, outs=(5, 6, 7), bound=64, scale="max"),
    KernelCase("norm", "instance_statistics", instance_statistics_samples, inouts=(2, 3), bound=16, scale="max"),
    KernelCase("norm", "local_response_norm", local_response_norm_samples, outs=(1, 2), bound=16, scale="max"),
    KernelCase("norm", "local_response_norm_backward", local_response_norm_backward_samples, outs=(3,), bound=64,
               scale="max"),
]
BATCHES = [(4, 3), (3, 2, 5), (2, 3, 2, 4), (3, 1, 1, 2, 2)]
OPS = [
    OpCase("layer_norm", lambda x, w, b: ml.functional.layer_norm(x, w.shape, w, b), lambda rng: [
        (normal(rng, s), normal(rng, n), normal(rng, n)) for s,
        n in [((3, 5), (5,)), ((2, 3, 4), (3, 4)), ((0, 4), (4,)), ((6, 17), (17,))]],
        op="norm.LayerNorm", second=True),
    OpCase("layer_norm without weights", lambda x: (ml.functional.layer_norm(x, x.shape[-1]),
                                                    ml.functional.layer_norm(x, x.shape[1:], eps=0.1)),
           lambda rng: [(normal(rng, s),) for s in [(3, 5), (2, 3, 4)]], op="norm.LayerNorm", second=True),
    OpCase("batch_norm training", lambda x, w, b: ml.functional.batch_norm(x, None, None, w, b, training=True),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2])) for s in BATCHES],
           op="norm.BatchNorm", second=True),
    OpCase("batch_norm", lambda x, w, b: ml.functional.batch_norm(
               x, *(ml.Tensor(v.astype(str(x.dtype))).to(x.device) for v in (np.linspace(-1, 1, x.shape[1]),
                   np.linspace(0.5, 2, x.shape[1]))), w, b),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2])) for s in [*BATCHES, (0, 3),
               (1, 2)]], op="norm.BatchNorm", second=True),
    OpCase("rms_norm", lambda x, w: ml.functional.rms_norm(x, w.shape, w), lambda rng: [
        (normal(rng, s), normal(rng, n)) for s, n in [((3, 5), (5,)), ((2, 3, 4), (3, 4)), ((0, 4), (4,)), ((6, 17), (17,))]],
        op="norm.RmsNorm", second=True),
    OpCase("rms_norm without weight", lambda x: (ml.functional.rms_norm(x, x.shape[-1], eps=0.1),
                                                 ml.functional.rms_norm(x, x.shape[1:], eps=0.0)),
           lambda rng: [(normal(rng, s),) for s in [(3, 5), (2, 3, 4)]], op="norm.RmsNorm", second=True),
    OpCase("group_norm", lambda x, w, b: ml.functional.group_norm(x, 2, w, b),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2]))
                        for s in [(4, 6), (3, 2, 5), (2, 4, 2, 4), (3, 4, 1, 2, 2), (0, 2, 3), (2, 4, 40)]],
           op="norm.GroupNorm", second=True),
    OpCase("group_norm without weights", lambda x: (ml.functional.group_norm(x, 1), ml.functional.group_norm(x, 4, eps=0.1)),
           lambda rng: [(normal(rng, s),) for s in [(4, 4, 3), (2, 4, 2, 9)]], op="norm.GroupNorm", second=True),
    OpCase("instance_norm", lambda x, w, b: ml.functional.instance_norm(x, weight=w, bias=b),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2]))
                        for s in [(4, 3, 6), (3, 2, 5, 2), (0, 2, 3), (2, 2, 0), (1, 2, 2, 1, 20)]], op="norm.InstanceNorm", second=True),
    OpCase("instance_norm by running statistics", lambda x, w, b: ml.functional.instance_norm(
               x, *(ml.Tensor(v.astype(str(x.dtype))).to(x.device) for v in (np.linspace(-1, 1, x.shape[1]),
                   np.linspace(0.5, 2, x.shape[1]))), w, b, use_input_stats=False),
           lambda rng: [(normal(rng, s), normal(rng, s[1:2]), normal(rng, s[1:2])) for s in [(4, 3, 6), (0, 3, 2), (1, 2, 1)]],
           op="norm.InstanceNormEval", second=True),
    OpCase("local_response_norm", lambda x: [ml.functional.local_response_norm(x, size, 0.8, 0.6, 1.2) for size in (1, 4, 5)],
           lambda rng: [(normal(rng, s),) for s in [(4, 3, 6), (2, 6, 3, 2), (1, 1, 1), (0, 2, 3), (2, 7, 300)]],
           op="norm.LocalResponseNorm"),
    OpCase("normalize", lambda x: [F.normalize(x, p, dim) for p, dim in ((2.0, 1), (1, -1), (2, (0, 1)))],
           lambda rng: [(off_zero(rng, s),) for s in [(4, 3), (2, 6, 3)]], op=("reduce.Norm", "arithmetic.Div"), second=True),
]


def statistics(layer):
    """The running statistics off their starting values: what eval mode scales by."""
    with ml.no_grad():
        n = layer.num_features
        layer.running_mean.copy_(ml.linspace(-0.5, 0.5, n))
        layer.running_var.copy_(ml.linspace(0.5, 2, n))
    return layer


LAYERS = [
    LayerCase("BatchNorm1d", lambda: ml.BatchNorm1d(3), lambda rng, dtype: (normal(rng, (5, 3), dtype),),
              per_item=False),
    LayerCase("BatchNorm1d sequences", lambda: ml.BatchNorm1d(3, momentum=None),
              lambda rng, dtype: (normal(rng, (4, 3, 5), dtype),), per_item=False),
    LayerCase("BatchNorm2d", lambda: ml.BatchNorm2d(2), lambda rng, dtype: (normal(rng, (3, 2, 4, 3), dtype),),
              per_item=False),
    LayerCase("LayerNorm", lambda: ml.LayerNorm(6), lambda rng, dtype: (normal(rng, (4, 6), dtype),)),
    LayerCase("LayerNorm of nothing", lambda: ml.LayerNorm(0), lambda rng, dtype: (normal(rng, (4, 0), dtype),)),
    LayerCase("RMSNorm of nothing", lambda: ml.RMSNorm(0), lambda rng, dtype: (normal(rng, (4, 0), dtype),)),
    LayerCase("LayerNorm two axes", lambda: ml.LayerNorm((3, 4), elementwise_affine=False),
              lambda rng, dtype: (normal(rng, (2, 3, 4), dtype),)),
    LayerCase("BatchNorm3d", lambda: ml.BatchNorm3d(2, bias=False), lambda rng, dtype: (normal(rng, (3, 2, 2, 3, 2), dtype),),
              per_item=False),
    LayerCase("InstanceNorm1d", lambda: ml.InstanceNorm1d(3, affine=True), lambda rng, dtype: (normal(rng, (4, 3, 5), dtype),)),
    LayerCase("InstanceNorm1d without a batch", lambda: ml.InstanceNorm1d(3),
              lambda rng, dtype: (normal(rng, (3, 5), dtype),), batch_axis=None),
    LayerCase("InstanceNorm2d", lambda: ml.InstanceNorm2d(2), lambda rng, dtype: (normal(rng, (3, 2, 4, 3), dtype),)),
    LayerCase("InstanceNorm2d tracked", lambda: statistics(ml.InstanceNorm2d(2, affine=True, track_running_stats=True)),
              lambda rng, dtype: (normal(rng, (3, 2, 4, 3), dtype),)),
    LayerCase("InstanceNorm3d", lambda: ml.InstanceNorm3d(2, affine=True, bias=False),
              lambda rng, dtype: (normal(rng, (3, 2, 2, 3, 2), dtype),)),
    LayerCase("GroupNorm", lambda: ml.GroupNorm(2, 4), lambda rng, dtype: (normal(rng, (3, 4, 5), dtype),)),
    LayerCase("GroupNorm without weights", lambda: ml.GroupNorm(3, 6, affine=False),
              lambda rng, dtype: (normal(rng, (4, 6), dtype),)),
    LayerCase("GroupNorm images", lambda: ml.GroupNorm(1, 4, bias=False), lambda rng, dtype: (normal(rng, (3, 4, 2, 5), dtype),)),
    LayerCase("RMSNorm", lambda: ml.RMSNorm(6), lambda rng, dtype: (normal(rng, (4, 6), dtype),)),
    LayerCase("RMSNorm two axes", lambda: ml.RMSNorm((3, 4), eps=1e-3, elementwise_affine=False),
              lambda rng, dtype: (normal(rng, (2, 3, 4), dtype),)),
    LayerCase("LayerNorm without bias", lambda: ml.LayerNorm(6, bias=False), lambda rng, dtype: (normal(rng, (4, 6), dtype),)),
    LayerCase("LocalResponseNorm", lambda: ml.LocalResponseNorm(3, alpha=0.5), lambda rng, dtype: (normal(rng, (2, 4, 3), dtype),)),
]

X = ml.ones(2, 4, 3)
WHOLE = ml.tensor([[[1, 2]]])
ERRORS = [
    ErrorCase("rms_norm: other last axes", lambda: F.rms_norm(X, 4), ValueError, r"rms_norm: .*normalized_shape=\(4,\)"),
    ErrorCase("rms_norm: integers", lambda: F.rms_norm(WHOLE, 2), TypeError, "rms_norm: expected a float32 or float64 .*int64"),
    ErrorCase("rms_norm: a weight of another shape", lambda: F.rms_norm(X, 3, ml.ones(4)), ValueError, "rms_norm: expected a weight"),
    ErrorCase("rms_norm: no axes", lambda: F.rms_norm(X, ()), ValueError, "rms_norm: .*at least one axis"),
    ErrorCase("rms_norm: half an axis", lambda: F.rms_norm(X, 1.5), TypeError, "rms_norm: .*1.5"),
    ErrorCase("group_norm: groups that do not divide", lambda: F.group_norm(X, 3), ValueError, "divide the 4 channels"),
    ErrorCase("group_norm: one axis", lambda: F.group_norm(ml.ones(4), 2), ValueError, "group_norm: .*channels"),
    ErrorCase("group_norm: integers", lambda: F.group_norm(WHOLE, 1), TypeError, "group_norm: .*int64"),
    ErrorCase("group_norm: no groups", lambda: F.group_norm(X, 0), ValueError, "num_groups of 1 or more, got 0"),
    ErrorCase("group_norm: half a group", lambda: F.group_norm(X, 0.5), TypeError, "num_groups .*0.5"),
    ErrorCase("group_norm: a bias of another dtype", lambda: F.group_norm(X, 2, None, ml.ones(4).double()), TypeError,
              "a bias of the input's dtype"),
    ErrorCase("group_norm: one value a group", lambda: F.group_norm(ml.ones(1, 4), 4), ValueError, "more than one value a group"),
    ErrorCase("instance_norm: one place", lambda: F.instance_norm(ml.ones(2, 3, 1)), ValueError, "more than one place"),
    ErrorCase("instance_norm: no statistics", lambda: F.instance_norm(X, use_input_stats=False), ValueError,
              "expected running_mean with use_input_stats=False, got None"),
    ErrorCase("instance_norm: statistics of another shape", lambda: F.instance_norm(X, ml.ones(3), ml.ones(3)), ValueError,
              r"running_mean of shape \(4,\)"),
    ErrorCase("instance_norm: a list as statistics", lambda: F.instance_norm(X, [1.0] * 4), TypeError, "running_mean .*got list"),
    ErrorCase("instance_norm: momentum no number", lambda: F.instance_norm(X, momentum="a"), TypeError, "momentum .*'a'"),
    ErrorCase("local_response_norm: no places", lambda: F.local_response_norm(ml.ones(2, 3), 2), ValueError, r"got \(2, 3\)"),
    ErrorCase("local_response_norm: no window", lambda: F.local_response_norm(X, 0), ValueError, "size of 1 or more, got 0"),
    ErrorCase("local_response_norm: half a window", lambda: F.local_response_norm(X, 1.5), TypeError, "size .*1.5"),
    ErrorCase("local_response_norm: integers", lambda: F.local_response_norm(WHOLE, 1), TypeError, "int64"),
    ErrorCase("GroupNorm: groups that do not divide", lambda: ml.GroupNorm(3, 4), ValueError, "divide num_channels=4, got 3"),
    ErrorCase("GroupNorm: no groups", lambda: ml.GroupNorm(0, 4), ValueError, "GroupNorm: expected num_groups >= 1"),
    ErrorCase("GroupNorm: eps below 0", lambda: ml.GroupNorm(2, 4, -1.0), ValueError, "GroupNorm: expected eps"),
    ErrorCase("GroupNorm: other channels", lambda: ml.GroupNorm(2, 4)(ml.ones(2, 6, 3)), ValueError, "a weight of shape"),
    ErrorCase("RMSNorm: no axes", lambda: ml.RMSNorm(()), ValueError, "RMSNorm: .*at least one axis"),
    ErrorCase("RMSNorm: half an axis", lambda: ml.RMSNorm(1.5), TypeError, "RMSNorm: expected normalized_shape"),
    ErrorCase("RMSNorm: eps without bound", lambda: ml.RMSNorm(3, float("inf")), ValueError, "RMSNorm: expected eps below inf, got inf"),
    ErrorCase("RMSNorm: eps a text", lambda: ml.RMSNorm(3, "a"), TypeError, "RMSNorm: expected eps to be a number"),
    ErrorCase("LocalResponseNorm: no window", lambda: ml.LocalResponseNorm(0), ValueError, "LocalResponseNorm: expected size >= 1"),
    ErrorCase("LocalResponseNorm: alpha a text", lambda: ml.LocalResponseNorm(2, "a"), TypeError, "expected alpha to be a number"),
    ErrorCase("LocalResponseNorm: no places", lambda: ml.LocalResponseNorm(2)(ml.ones(2, 3)), ValueError, "at least one axis of places"),
    ErrorCase("BatchNorm1d: eps 0 in training", lambda: ml.BatchNorm1d(3, eps=0)(ml.ones(2, 3)), ValueError,
              r"batch_norm: expected eps above 0 in training mode, got 0.0: .*\.eval\(\)"),
    ErrorCase("layer_norm: an eps past the largest float", lambda: F.layer_norm(ml.ones(2, 3), 3, eps=10**400), ValueError,
              "layer_norm: expected eps below 1.8e308"),
    ErrorCase("group_norm: eps as a word", lambda: F.group_norm(ml.ones(2, 3), 1, eps="a"), TypeError, "group_norm: expected eps to be a number"),
    ErrorCase("LayerNorm: an eps past the largest float", lambda: ml.LayerNorm(3, eps=10**400), ValueError,
              "LayerNorm: expected eps below 1.8e308"),
    ErrorCase("BatchNorm3d: images", lambda: ml.BatchNorm3d(3)(ml.ones(2, 3, 4, 4)), ValueError, "BatchNorm3d: .*5 dimensions"),
    ErrorCase("BatchNorm3d: no channels", lambda: ml.BatchNorm3d(0), ValueError, "BatchNorm3d: expected num_features >= 1"),
    ErrorCase("BatchNorm3d: other channels", lambda: ml.BatchNorm3d(3)(ml.ones(2, 2, 2, 2, 2)), ValueError, "a weight of shape"),
]
for _name, _rank in (("InstanceNorm1d", 3), ("InstanceNorm2d", 4), ("InstanceNorm3d", 5)):
    _layer = getattr(ml, _name)
    ERRORS += [
        ErrorCase(f"{_name}: another rank", lambda f=_layer, n=_rank: f(3)(ml.ones(*[3] * (n + 1))), ValueError,
                  f"{_name}: expected an input with {_rank} dimensions, or {_rank - 1} without a batch"),
        ErrorCase(f"{_name}: other channels", lambda f=_layer, n=_rank: f(3, affine=True)(ml.ones(*[2] * n)), ValueError,
                  f"{_name}: expected 3 channels"),
        ErrorCase(f"{_name}: one place", lambda f=_layer, n=_rank: f(3)(ml.ones(2, 3, *[1] * (n - 2))), ValueError, "one place"),
        ErrorCase(f"{_name}: half a channel", lambda f=_layer: f(0.5), TypeError, f"{_name}: expected num_features"),
    ]
