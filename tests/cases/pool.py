"""Rows of the pool family."""
import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, distinct, each_shape, few, normal, out, positive
from minilayer import tape
from minilayer._ext import dispatch
from minilayer.ops import pool

# ---- kernels: volumes (N, D, H, W) ----


def fits(size, kernel, stride, padding, dilation):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p,
                 d in zip(size, kernel, stride, padding, dilation, strict=True))


WINDOWS = [             # (N, D, H, W), kernel, stride, padding, dilation
    ((6, 1, 8, 9), (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1)), ((1, 1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1)),
    ((0, 1, 4, 4), (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1)), ((2, 1, 7, 5), (1, 3, 2), (1, 2, 1), (0, 1, 1), (1, 1, 2)),
    ((2, 1, 9, 33), (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1)), ((6, 1, 5, 70), (1, 2, 3), (1, 3, 3), (0, 0, 1), (1, 2, 1)),
    ((1, 1, 3, 600), (1, 2, 2), (1, 1, 2), (0, 1, 0), (1, 1, 1)), ((32, 1, 24, 24), (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1)),
    ((2, 1, 2, 66), (1, 2, 2), (1, 2, 2), (0, 0, 0), (1, 1, 1)), ((4, 1, 1, 37), (1, 1, 3), (1, 1, 2), (0, 0, 1), (1, 1, 1)),
    ((2, 2, 5, 6), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)), ((2, 5, 6, 7), (3, 2, 3), (2, 1, 2), (1, 1, 0), (1, 2, 1)),
    ((3, 4, 9, 19), (2, 3, 2), (1, 2, 3), (1, 0, 1), (2, 1, 2)), ((12, 6, 12, 12), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)),
    ((1, 1, 40, 600), (1, 33, 2), (1, 3, 1), (0, 0, 0), (1, 1, 1))]       # the last: too many rows to keep
BINS = [((6, 1, 8, 9), (1, 1, 1)), ((1, 1, 1, 1), (1, 1, 1)), ((0, 1, 4, 4), (1, 2, 2)), ((4, 1, 7, 5), (1, 3, 2)),
        ((2, 1, 3, 4), (1, 5, 7)), ((16, 1, 17, 33), (1, 1, 1)), ((3, 1, 12, 40), (1, 4, 8)), ((4, 1, 1, 19), (1, 1, 4)),
        ((2, 5, 7, 6), (2, 3, 4)), ((2, 3, 4, 5), (5, 2, 5)), ((12, 6, 9, 9), (1, 1, 1)), ((8, 4, 11, 13), (3, 2, 5)),
        ((1, 1, 2, 3), (1, 0, 2))]
FRACTIONS = [((6, 1, 8, 9), (1, 2, 2), (1, 5, 4)), ((1, 1, 1, 1), (1, 1, 1), (1, 1, 1)), ((0, 1, 5, 5), (1, 2, 2), (1, 3, 3)),
             ((2, 5, 7, 6), (2, 3, 1), (3, 5, 4)), ((16, 1, 21, 20), (1, 3, 2), (1, 11, 19)), ((3, 4, 4, 4), (2, 2, 2), (1, 2, 3))]


def max_pool_samples(rng, dtype):
    for make in (normal, few):
        for i, (shape, kernel, stride, padding, dilation) in enumerate(WINDOWS):
            y = (shape[0], *fits(shape[1:], kernel, stride, padding, dilation))
            settings = dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
            yield (make(rng, shape, dtype), out(y, dtype), None if i % 4 == 3 else out(y, "int64")), settings


def max_pool_backward_samples(rng, dtype):
    for shape, kernel, stride, padding, dilation in WINDOWS:
        y = (shape[0], *fits(shape[1:], kernel, stride, padding, dilation))
        yield (normal(rng, y, dtype), rng.integers(-1, np.prod(shape[1:]), y), out(shape, dtype)), {}


def adaptive_max_samples(rng, dtype):
    for make in (normal, few):
        for i, (shape, bins) in enumerate(BINS):
            y = (shape[0], *bins)
            yield (make(rng, shape, dtype), out(y, dtype), None if i % 4 == 3 else out(y, "int64")), {}


def fractional_samples(rng, dtype):
    for make in (normal, few):
        for i, (shape, kernel, sizes) in enumerate(FRACTIONS):
            y = (shape[0], *sizes)
            u = np.floor(rng.random((shape[0], 3)) * 64) / 64           # (absolute values of x leave the windows alone)
            yield (make(rng, shape, dtype), u.astype(dtype), out(y, dtype), None if i % 4 == 3 else out(y, "int64")), \
                {"kernel": kernel}


def unpool_samples(backward):
    """Small volumes into large ones, or back."""
    def samples(rng, dtype):
        for small, large in [((6, 1, 3, 4), (6, 1, 8, 9)), ((2, 2, 3, 4), (2, 4, 5, 6)), ((0, 1, 2, 2), (0, 1, 4, 4)),
                             ((1, 1, 1, 1), (1, 1, 1, 1)), ((40, 1, 9, 9), (40, 1, 18, 18)), ((3, 1, 1, 5), (3, 1, 1, 2))]:
            index = rng.integers(-1 if backward else 0, np.prod(large[1:]), small)
            first, last = (large, small) if backward else (small, large)
            yield (normal(rng, first, dtype), index, out(last, dtype)), {}
    return samples


def avg_pool_samples(backward):
    def samples(rng, dtype):
        for shape, kernel, stride, padding, _ in WINDOWS:
            for more in ({}, dict(count_include_pad=False), dict(divisor_override=3)):
                y = (shape[0], *fits(shape[1:], kernel, stride, padding, (1, 1, 1)))
                first, last = (y, shape) if backward else (shape, y)
                settings = dict(kernel=kernel, stride=stride, padding=padding, **more)
                yield (normal(rng, first, dtype), out(last, dtype)), settings
    return samples


KERNELS = [
    KernelCase("pool", "max_pool", max_pool_samples, outs=(1, 2), bound=0, special=True),
    KernelCase("pool", "max_pool_backward", max_pool_backward_samples, outs=(2,), scale="terms"),
    KernelCase("pool", "adaptive_max_pool", adaptive_max_samples, outs=(1, 2), bound=0, special=True),
    KernelCase("pool", "fractional_max_pool", fractional_samples, outs=(2, 3), bound=0),
    KernelCase("pool", "max_unpool", unpool_samples(False), outs=(2,), bound=0),
    KernelCase("pool", "max_unpool_backward", unpool_samples(True), outs=(2,), bound=0),
    KernelCase("pool", "avg_pool", avg_pool_samples(False), outs=(1,), bound=8, scale="terms"),
    KernelCase("pool", "avg_pool_backward", avg_pool_samples(True), outs=(1,), bound=8, scale="terms"),
    KernelCase("pool", "adaptive_avg_pool", lambda rng, dtype: [
        ((normal(rng, shape, dtype), out((shape[0], *y), dtype)), {}) for shape, y in BINS], outs=(1,), bound=8,
        scale="terms"),
    KernelCase("pool", "adaptive_avg_pool_backward", lambda rng, dtype: [
        ((normal(rng, (shape[0], *y), dtype), out(shape, dtype)), {}) for shape, y in BINS], outs=(1,), bound=8,
        scale="terms"),
]

# ---- ops ----

SEQUENCES = [(2, 3, 7), (1, 5), (0, 2, 4)]
IMAGES = [(2, 3, 6, 7), (1, 5, 5), (0, 2, 4, 4), (1, 1, 3, 3)]
VOLUMES = [(2, 1, 4, 3, 5), (1, 3, 3, 3), (0, 2, 4, 4, 4)]
SHAPES = {1: SEQUENCES, 2: IMAGES, 3: VOLUMES}


def fixed(x, n):
    """Samples for fractional pooling, the same for every call."""
    *batch, channels = (1, *x.shape)[-n - 2:-n]
    u = np.random.default_rng(3).random((*batch, channels, n))
    return ml.Tensor(u.astype(x.dtype)).to(x.device)


def unpool_arguments(n):
    def samples(rng):
        for shape in SHAPES[n]:
            small = (*shape[:-n], *[s // 2 for s in shape[-n:]])
            rows = int(np.prod(small[:-n]))
            places = np.stack([rng.permutation(int(np.prod([s // 2 * 2 for s in shape[-n:]])))[:int(np.prod(small[-n:]))]
                               for _ in range(rows)] or [[]]) if rows else np.empty(0)
            yield normal(rng, small), places.reshape(small).astype(np.int64)
    return samples


OPS = [
    OpCase("max_pool2d", lambda x: (F.max_pool2d(x, 2), F.max_pool2d(x, 3, 2, 1, 1, True), F.max_pool2d(x, (2, 3), 1, (1, 1), (2, 1))),
           lambda rng: [(distinct(rng, s),) for s in IMAGES], op="pool.MaxPool", second=True),
    OpCase("max_pool2d with indices", lambda x: F.max_pool2d(x, 2, return_indices=True),
           lambda rng: [(distinct(rng, s),) for s in IMAGES], op="pool.MaxPool", second=True),
    OpCase("max_pool1d", lambda x: (F.max_pool1d(x, 2), *F.max_pool1d_with_indices(x, 3, 2, 1, 1, True), F.max_pool1d(x, (2,), 1, 1, 2)),
           lambda rng: [(distinct(rng, s),) for s in SEQUENCES], op="pool.MaxPool", second=True),
    OpCase("max_pool3d", lambda x: (F.max_pool3d(x, 2), *F.max_pool3d_with_indices(x, 3, 2, 1, 1, True), F.max_pool3d(x, (1, 2, 2), 1, (0, 1, 1), (1, 2, 1))),
           lambda rng: [(distinct(rng, s),) for s in VOLUMES], op="pool.MaxPool", second=True),
    OpCase("avg_pool2d", lambda x: (F.avg_pool2d(x, 2), F.avg_pool2d(x, 3, 2, 1, True, False), F.avg_pool2d(x, (3, 2), 1, (1, 0), divisor_override=5)),
           each_shape(normal, IMAGES), op="pool.AvgPool", second=True),
    OpCase("avg_pool1d", lambda x: (F.avg_pool1d(x, 2), F.avg_pool1d(x, 3, 2, 1, True, False), F.avg_pool1d(x, 3, 1, 1)),
           each_shape(normal, SEQUENCES), op="pool.AvgPool", second=True),
    OpCase("avg_pool3d", lambda x: (F.avg_pool3d(x, 2), F.avg_pool3d(x, 3, 2, 1, True, False), F.avg_pool3d(x, (3, 2, 1), 1, (1, 0, 0), divisor_override=5)),
           each_shape(normal, VOLUMES), op="pool.AvgPool", second=True),
    OpCase("adaptive_avg_pool2d", lambda x: (F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, (2, None)), F.adaptive_avg_pool2d(x, (4, 5))),
           each_shape(normal, IMAGES), op="pool.AdaptiveAvgPool", second=True),
    OpCase("adaptive_avg_pool1d", lambda x: (F.adaptive_avg_pool1d(x, 1), F.adaptive_avg_pool1d(x, 4)), each_shape(normal, SEQUENCES), op="pool.AdaptiveAvgPool", second=True),
    OpCase("adaptive_avg_pool3d", lambda x: (F.adaptive_avg_pool3d(x, 1), F.adaptive_avg_pool3d(x, (2, None, 3))), each_shape(normal, VOLUMES),
           op="pool.AdaptiveAvgPool", second=True),
    *[OpCase(f"{kind}_pool{n}d with settings far beyond the input", lambda x, n=n, kind=kind: beyond(kind, n, x),
             lambda rng, n=n: [(distinct(rng, SHAPES[n][0]),)], op=f"pool.{kind.title()}Pool", second=True) for kind in ("max", "avg") for n in (1, 2, 3)],
    *[OpCase(f"adaptive_max_pool{n}d", lambda x, n=n: (getattr(F, f"adaptive_max_pool{n}d")(x, 4), getattr(F, f"adaptive_max_pool{n}d")(x, (2, 1, None)[:n])),
             lambda rng, n=n: [(distinct(rng, s),) for s in SHAPES[n]], op="pool.AdaptiveMaxPool", second=True) for n in (1, 2, 3)],
    *[OpCase(f"adaptive_max_pool{n}d with indices", lambda x, n=n: getattr(F, f"adaptive_max_pool{n}d_with_indices")(x, 2),
             lambda rng, n=n: [(distinct(rng, s),) for s in SHAPES[n]], op="pool.AdaptiveMaxPool", second=True) for n in (1, 2, 3)],
    OpCase("fractional_max_pool2d", lambda x: (F.fractional_max_pool2d(x, 2, output_size=2, _random_samples=fixed(x, 2)),
                                               *F.fractional_max_pool2d_with_indices(x, (1, 2), output_ratio=(0.7, 0.4), _random_samples=fixed(x, 2))),
           lambda rng: [(distinct(rng, s),) for s in IMAGES], op="pool.FractionalMaxPool", second=True),
    OpCase("fractional_max_pool3d", lambda x: (F.fractional_max_pool3d(x, 1, output_size=2, _random_samples=fixed(x, 3)),
                                               *F.fractional_max_pool3d_with_indices(x, (2, 1, 1), output_ratio=0.4, _random_samples=fixed(x, 3))),
           lambda rng: [(distinct(rng, s),) for s in VOLUMES], op="pool.FractionalMaxPool", second=True),
    *[OpCase(f"max_unpool{n}d", lambda x, index, n=n: getattr(F, f"max_unpool{n}d")(x, index, 2), unpool_arguments(n), op="pool.MaxUnpool", second=True)
      for n in (1, 2, 3)],
    *[OpCase(f"lp_pool{n}d", lambda x, n=n: (getattr(F, f"lp_pool{n}d")(x, 2, 2), getattr(F, f"lp_pool{n}d")(x, 3, 2, 1, True), getattr(F, f"lp_pool{n}d")(x, 1.5, 1)),
             each_shape(positive, SHAPES[n]), op="pool.AvgPool", second=True) for n in (1, 2, 3)],
    *[OpCase(f"lp_pool{n}d of inf", lambda x, n=n: (getattr(F, f"lp_pool{n}d")(x, float("inf"), 2), getattr(F, f"lp_pool{n}d")(x, -float("inf"), 2, 1)),
             lambda rng, n=n: [(distinct(rng, s) + 30,) for s in SHAPES[n]], op="pool.MaxPool", second=True) for n in (1, 2, 3)],
    OpCase("gradient of an average", lambda x: gradient_of_average(x), each_shape(normal, [(2, 3, 2, 3)]), op="pool.AverageGradient", second=True),
    OpCase("gradient of an unpooling", lambda x, index: tape.apply(pool.Gather(2), x, index),
           lambda rng: [(normal(rng, (2, 3, 4, 5)), rng.integers(-1, 20, (2, 3, 3, 2)))], op="pool.Gather", second=True),
    OpCase("gradient of a max pooling", lambda x, index: tape.apply(pool.Scatter(2, (2, 3, 4, 5)), x, index),
           lambda rng: [(normal(rng, (2, 3, 3, 2)), rng.integers(-1, 20, (2, 3, 3, 2)))], op="pool.Scatter", second=True),
]


def beyond(kind, n, x):
    """Windows as wide as 31 bits allow, which see no more than the input: memory and time stay those of the input."""
    f, far = getattr(F, f"{kind}_pool{n}d"), 2**31 - 1
    more = (f(x, 2, 1, 1, 2),) if kind == "max" else (f(x, far, far, 0, True, False),)
    return f(x, 1, far), f(x, 1, far, 0, ceil_mode=True), f(x, far, far, 0, ceil_mode=True), f(x, 6, 1, 3), f(x, 7, 3, 3), *more


def gradient_of_average(x):
    average = pool.AvgPool((2, 3), (2, 1), (0, 1), False, False, None)
    with ml.no_grad():
        tape.apply(average, ml.zeros(2, 3, 4, 3, dtype=x.dtype).to(x.device))
    return tape.apply(pool.AverageGradient(average), x)


# ---- layers ----

SHAPE = {1: (3, 2, 7), 2: (2, 2, 6, 5), 3: (2, 2, 4, 5, 3)}


def inputs(n, make=distinct):
    return lambda rng, dtype: (make(rng, SHAPE[n], dtype),)


def unpool_inputs(n):
    small = {1: (3, 2, 4), 2: (2, 2, 3, 2), 3: (2, 2, 2, 2, 2)}[n]

    def make(rng, dtype):
        count = int(np.prod(small[2:]))
        places = np.stack([rng.permutation(count * 2 ** n)[:count] for _ in range(small[0] * small[1])])
        return normal(rng, small, dtype), places.reshape(small)
    return make


def layer(name, *arguments, **settings):
    return lambda: getattr(ml, name)(*arguments, **settings)


LAYERS = [
    LayerCase("MaxPool2d", lambda: ml.MaxPool2d(2), lambda rng, dtype: (distinct(rng, (3, 2, 4, 6), dtype),)),
    LayerCase("MaxPool2d padded", lambda: ml.MaxPool2d(3, 2, 1, ceil_mode=True), inputs(2)),
    LayerCase("MaxPool2d dilated", lambda: ml.MaxPool2d((2, 3), (2, 1), (1, 0), (2, 1)), inputs(2)),
    LayerCase("AvgPool2d", lambda: ml.AvgPool2d(3, 2, 1, count_include_pad=False), inputs(2, normal)),
    LayerCase("AvgPool2d with a divisor", lambda: ml.AvgPool2d((2, 3), 1, divisor_override=4, ceil_mode=True), inputs(2, normal)),
    LayerCase("AdaptiveAvgPool2d", lambda: ml.AdaptiveAvgPool2d((2, None)), lambda rng, dtype: (normal(rng, (2, 3, 5, 3), dtype),)),
    LayerCase("AdaptiveAvgPool2d growing", lambda: ml.AdaptiveAvgPool2d(7), inputs(2, normal)),
    LayerCase("LPPool2d of odd order", layer("LPPool2d", 3, (2, 3), 1), inputs(2, positive)),
    LayerCase("LPPool2d maximum", layer("LPPool2d", float("inf"), 2), lambda rng, dtype: (distinct(rng, (2, 2, 6, 5), dtype) + 10,)),
    LayerCase("AdaptiveMaxPool2d of None", layer("AdaptiveMaxPool2d", (None, 3)), inputs(2)),
    LayerCase("MaxUnpool2d wide", layer("MaxUnpool2d", (3, 2), (2, 3), (1, 0)), unpool_inputs(2)),
]
for n in (1, 2, 3):
    LAYERS += [
        LayerCase(f"LPPool{n}d", layer(f"LPPool{n}d", 2, 2, ceil_mode=True), inputs(n, positive)),
        LayerCase(f"AdaptiveMaxPool{n}d", layer(f"AdaptiveMaxPool{n}d", 2), inputs(n)),
        LayerCase(f"MaxUnpool{n}d", layer(f"MaxUnpool{n}d", 2), unpool_inputs(n)),
    ]
for n in (1, 3):
    LAYERS += [
        LayerCase(f"MaxPool{n}d", layer(f"MaxPool{n}d", 2), inputs(n)),
        LayerCase(f"MaxPool{n}d padded", layer(f"MaxPool{n}d", 3, 2, 1, ceil_mode=True), inputs(n)),
        LayerCase(f"MaxPool{n}d dilated", layer(f"MaxPool{n}d", 2, 1, 1, 2), inputs(n)),
        LayerCase(f"AvgPool{n}d", layer(f"AvgPool{n}d", 2), inputs(n, normal)),
        LayerCase(f"AvgPool{n}d padded", layer(f"AvgPool{n}d", 3, 2, 1, True, False), inputs(n, normal)),
        LayerCase(f"AdaptiveAvgPool{n}d", layer(f"AdaptiveAvgPool{n}d", 2), inputs(n, normal)),
        LayerCase(f"AdaptiveAvgPool{n}d growing", layer(f"AdaptiveAvgPool{n}d", 8), inputs(n, normal)),
    ]
for n in (2, 3):
    LAYERS += [
        LayerCase(f"FractionalMaxPool{n}d", layer(f"FractionalMaxPool{n}d", 2, output_size=(2, 2, 1)[:n]), inputs(n), modes=("train",), per_item=False, random=True),
        LayerCase(f"FractionalMaxPool{n}d held", lambda n=n: getattr(ml, f"FractionalMaxPool{n}d")(
            1, output_ratio=0.7, _random_samples=ml.full((3, 2, n), 0.25)), inputs(n)),
    ]

# ---- misuse ----

X = {1: ml.ones(1, 2, 6), 2: ml.ones(1, 2, 6, 6), 3: ml.ones(1, 2, 6, 6, 6)}
PLACES = {n: ml.zeros(*X[n].shape, dtype="int64") for n in X}
ERRORS = []


def on(name, *arguments, **settings):
    """A call of a function, or the making of a layer, for later."""
    place = ml if name[0].isupper() else F
    return lambda: getattr(place, name)(*arguments, **settings)


def misuse(name, *rows):
    for what, call, raises, match in rows:
        ERRORS.append(ErrorCase(f"{name}: {what}", call, raises, match))


for n in (1, 2, 3):
    x, flat = X[n], ml.ones(*X[n].shape[2:])
    for f in (f"max_pool{n}d", f"max_pool{n}d_with_indices", f"avg_pool{n}d"):
        misuse(f, ("too few axes", on(f, flat, 2), ValueError, f"{f.removesuffix('_with_indices')}: expected .*batch, channels.*unsqueeze"),
               ("too many sizes", on(f, x, (2,) * (n + 1)), ValueError, "kernel_size to be an integer"),
               ("a window that does not fit", on(f, x, 7), ValueError, "at least as large as a window.*smaller kernel"),
               ("padding over half the kernel", on(f, x, 3, 1, 2), ValueError, "half the kernel size"),
               ("a list", on(f, [1.0], 2), TypeError, "got list"))
    f = f"lp_pool{n}d"
    misuse(f, ("an order of 0", on(f, x, 0, 2), ValueError, f"{f}: expected norm_type"), ("a text", on(f, x, "2", 2), ValueError, "norm_type"),
           ("a kernel of 0", on(f, x, 2, 0), ValueError, f"{f}: expected kernel_size of at least 1"), ("a list", on(f, [1.0], 2, 2), TypeError, "list"))
    for f in (f"adaptive_max_pool{n}d", f"adaptive_max_pool{n}d_with_indices", f"adaptive_avg_pool{n}d"):
        misuse(f, ("too few axes", on(f, flat, 2), ValueError, "batch, channels"), ("a negative size", on(f, x, -1), ValueError, "at least 0, got -1"),
               ("too many sizes", on(f, x, (2,) * (n + 1)), ValueError, "output_size"), ("a float size", on(f, x, 1.5), TypeError, r"1\.5"))
    f = f"max_unpool{n}d"
    misuse(f, ("other places than values", on(f, x, PLACES[n][:, :1], 2), ValueError, f"{f}: expected int64 indices of the input's shape"),
           ("float places", on(f, x, x, 2), ValueError, "int64 indices"), ("a place beyond the end", on(f, x, PLACES[n] + 9999, 2), IndexError, "max_unpool"),
           ("a size too far off", on(f, x, PLACES[n], 2, output_size=(99,) * n), ValueError, "output_size within stride"),
           ("too few axes", on(f, flat, PLACES[n], 2), ValueError, "batch, channels"), ("a list", on(f, [1.0], PLACES[n], 2), TypeError, "list"))
for n in (2, 3):
    x = X[n]
    for f in (f"fractional_max_pool{n}d", f"fractional_max_pool{n}d_with_indices"):
        misuse(f, ("no size at all", on(f, x, 2), ValueError, "expected an output_size, or an output_ratio"),
               ("a ratio above 1", on(f, x, 2, output_ratio=1.5), ValueError, "in \\(0, 1\\)"),
               ("windows that do not fit", on(f, x, 3, 5), ValueError, "kernel_size \\+ output_size - 1.*smaller kernel"),
               ("samples of another shape", on(f, x, 2, 3, _random_samples=ml.zeros(1, 3, n)), ValueError, "_random_samples of float32 and shape"),
               ("samples of 1", on(f, x, 2, 3, _random_samples=ml.ones(1, 2, n)), ValueError, "expected samples in \\[0, 1\\)"),
               ("too few axes", on(f, ml.ones(3, 3), 2, 2), ValueError, "batch, channels"), ("a list", on(f, [1.0], 2, 2), TypeError, "list"))
for name in ("MaxPool1d", "MaxPool2d", "MaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"):
    misuse(name, ("a kernel of 0", on(name, 0), ValueError, f"{name}: expected kernel_size >= 1, got 0"),
           ("four sizes", on(name, (2, 2, 2, 2)), ValueError, f"{name}: expected kernel_size to be an integer"),
           ("a float stride", on(name, 2, 1.5), TypeError, f"{name}: expected stride to be integers, got 1.5"),
           ("padding over half the kernel", on(name, 2, 2, 2), ValueError, f"{name}: expected padding of at most half"))
for name in ("AvgPool2d", "AvgPool3d"):
    misuse(name, ("a divisor of 0", on(name, 2, divisor_override=0), ValueError, f"{name}: expected divisor_override"))
for name in ("LPPool1d", "LPPool2d", "LPPool3d"):
    misuse(name, ("an order of 0", on(name, 0, 2), ValueError, f"{name}: expected norm_type to be a number other than 0"),
           ("a kernel of 0", on(name, 2, 0), ValueError, f"{name}: expected kernel_size >= 1"), ("a float stride", on(name, 2, 2, 0.5), TypeError, "stride"))
for n, name in ((n, f"Adaptive{kind}Pool{n}d") for n in (1, 2, 3) for kind in ("Max", "Avg")):
    misuse(name, ("too many sizes", on(name, (2,) * (n + 1)), ValueError, f"{name}: expected output_size to be an integer"),
           ("a negative size", on(name, -1), ValueError, f"{name}: expected output_size >= 0, got -1"),
           ("a float size", on(name, 1.5), TypeError, f"{name}: expected output_size to be integers"))
for name in ("FractionalMaxPool2d", "FractionalMaxPool3d"):
    misuse(name, ("neither size nor ratio", on(name, 2), ValueError, f"{name}: expected either output_size or output_ratio"),
           ("size and ratio", on(name, 2, 2, 0.5), ValueError, "either output_size or output_ratio"),
           ("a ratio above 1", on(name, 2, output_ratio=1.5), ValueError, f"{name}: expected output_ratio"),
           ("a kernel of 0", on(name, 0, 2), ValueError, f"{name}: expected kernel_size >= 1"))


def reference(function, *arrays, variant="reference", **settings):
    def call():
        with dispatch.use_backend(variant):
            getattr(dispatch.family("pool").cpu, function)(*arrays, **settings)
    return call


misuse("fractional_max_pool", ("samples of 1, reference", reference("fractional_max_pool", np.ones((1, 1, 4, 4)), np.ones((1, 3)), np.ones((1, 1, 2, 2)), None,
                                                                    kernel=(1, 2, 2)), ValueError, "samples in \\[0, 1\\)"),
       ("windows that do not fit", reference("fractional_max_pool", np.ones((1, 1, 4, 4)), np.zeros((1, 3)), np.ones((1, 1, 9, 2)), None, variant="compiled",
                                               kernel=(1, 2, 2)), ValueError, "."))

for n in (1, 2, 3):
    x, huge = X[n], 2**62
    for f in (f"max_pool{n}d", f"avg_pool{n}d"):
        misuse(f, ("a stride beyond 31 bits", on(f, x, 2, huge), ValueError, rf"{f}: expected stride below 2\*\*31, got {huge}"),
               ("a kernel and padding beyond 31 bits", on(f, x, huge + 1, 1, huge // 2), ValueError, rf"{f}: expected kernel_size below 2\*\*31"),
               ("padding far beyond the input", on(f, x, 2**22, 1, 2**21), ValueError, rf"{f}: expected padding of at most 2\*\*20 or the input's size"))
    misuse(f"max_pool{n}d", ("a hanging window's stride beyond 31 bits", on(f"max_pool{n}d", x, 1, 2**63 - 1, 0, 1, True), ValueError, r"stride below 2\*\*31"),
           ("dilation beyond 31 bits", on(f"max_pool{n}d", x, 1, 1, 0, 2**70), ValueError, r"dilation below 2\*\*31"))
    f = f"max_unpool{n}d"
    misuse(f, ("sizes beyond 64 bits", on(f, x, PLACES[n], 2**70), ValueError, rf"{f}: expected kernel_size below 2\*\*31"),
           ("a stride beyond 64 bits", on(f, x, PLACES[n], 2, 2**64), ValueError, rf"{f}: expected stride below 2\*\*31"),
           ("where the index lies", on(f, x, PLACES[n] + 9999, 2), IndexError, rf"{f}: expected indices in \[0, {12**n}\), .*got 9999 .. 9999; pass .*output_size"))
    for f in (f"adaptive_max_pool{n}d", f"adaptive_avg_pool{n}d"):
        misuse(f, ("a size beyond 31 bits", on(f, x, huge), ValueError, rf"{f}: expected output_size below 2\*\*31"))
        if n > 1:
            misuse(f, ("no memory", on(f, x, 2**31 - 1), MemoryError, f"{f}: no memory for a result of shape .*; ask for a smaller size"))
    f = f"lp_pool{n}d"
    misuse(f, ("integers", on(f, PLACES[n], 2, 2), TypeError, f"{f}: expected a float32 or float64 input, got int64"),
           ("bools", on(f, PLACES[n].bool(), 2, 2), TypeError, f"{f}: expected a float32 or float64 input, got bool"),
           ("a stride beyond 31 bits", on(f, x, 2, 2, huge), ValueError, rf"{f}: expected stride below 2\*\*31"),
           ("an order beyond floats", on(f, x, 10**400, 2), ValueError, f"{f}: expected norm_type between"))
for n in (2, 3):
    f = f"fractional_max_pool{n}d"
    misuse(f, ("sizes beyond 31 bits", on(f, X[n], 2**62, 1), ValueError, rf"{f}: expected kernel_size below 2\*\*31"),
           ("an output beyond 31 bits", on(f, X[n], 1, 2**62), ValueError, rf"{f}: expected output_size below 2\*\*31"))
    misuse(f"avg_pool{n}d", ("a divisor beyond 31 bits", on(f"avg_pool{n}d", X[n], 2, divisor_override=2**2000), ValueError, "divisor_override between"))
for kernel, more in (("max_pool", (None,)), ("avg_pool", ()), ("avg_pool_backward", ())):
    misuse(kernel, ("a stride beyond 31 bits", reference(kernel, np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), *more, variant="compiled",
                                                           kernel=(1, 1, 1), stride=(1, 1, 2**62)), ValueError, r"stride, padding and dilation below 2\*\*31"))
