"""Rows of the pool family."""

import minilayer as ml
from cases.base import KernelCase, LayerCase, OpCase, distinct, each_shape, few, normal, out


def fits(size, kernel, stride, padding, dilation):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p,
                 d in zip(size, kernel, stride, padding, dilation, strict=True))


WINDOWS = [             # (B, C, H, W), kernel, stride, padding, dilation
    ((2, 3, 8, 9), (2, 2), (2, 2), (0, 0), (1, 1)), ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)), ((2, 1, 7, 5), (3, 2), (2, 1), (1, 1), (1, 2)),
    ((1, 2, 9, 33), (3, 3), (1, 1), (1, 1), (1, 1)), ((3, 2, 5, 70), (2, 3), (3, 3), (0, 1), (2, 1)),
    ((1, 1, 3, 600), (2, 2), (1, 2), (1, 0), (1, 1)), ((4, 8, 24, 24), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((2, 1, 2, 66), (2, 2), (2, 2), (0, 0), (1, 1))]
BINS = [((2, 3, 8, 9), (1, 1)), ((1, 1, 1, 1), (1, 1)), ((0, 2, 4, 4), (2, 2)), ((2, 2, 7, 5), (3, 2)),
        ((1, 2, 3, 4), (5, 7)),
        ((2, 8, 17, 33), (1, 1)), ((3, 1, 12, 40), (4, 8))]


def max_pool_samples(rng, dtype):
    for make in (normal, few):
        for i, (shape, kernel, stride, padding, dilation) in enumerate(WINDOWS):
            y = (*shape[:2], *fits(shape[2:], kernel, stride, padding, dilation))
            settings = dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
            yield (make(rng, shape, dtype), out(y, dtype), None if i % 4 == 3 else out(y, "int64")), settings


def max_pool_backward_samples(rng, dtype):
    for shape, kernel, stride, padding, dilation in WINDOWS:
        y = (*shape[:2], *fits(shape[2:], kernel, stride, padding, dilation))
        yield (normal(rng, y, dtype), rng.integers(-1, shape[2] * shape[3], y), out(shape, dtype)), {}


def avg_pool_samples(backward):
    def samples(rng, dtype):
        for shape, kernel, stride, padding, _ in WINDOWS:
            for more in ({}, dict(count_include_pad=False), dict(divisor_override=3)):
                y = (*shape[:2], *fits(shape[2:], kernel, stride, padding, (1, 1)))
                first, last = (y, shape) if backward else (shape, y)
                settings = dict(kernel=kernel, stride=stride, padding=padding, **more)
                yield (normal(rng, first, dtype), out(last, dtype)), settings
    return samples


KERNELS = [
    KernelCase("pool", "max_pool2d", max_pool_samples, outs=(1, 2), bound=0, special=True),
    KernelCase("pool", "max_pool2d_backward", max_pool_backward_samples, outs=(2,), scale="terms"),
    KernelCase("pool", "avg_pool2d", avg_pool_samples(False), outs=(1,), bound=8, scale="terms"),
    KernelCase("pool", "avg_pool2d_backward", avg_pool_samples(True), outs=(1,), bound=8, scale="terms"),
    KernelCase("pool", "adaptive_avg_pool2d", lambda rng, dtype: [
        ((normal(rng, shape, dtype), out((*shape[:2], *y), dtype)), {}) for shape, y in BINS], outs=(1,), bound=8,
        scale="terms"),
    KernelCase("pool", "adaptive_avg_pool2d_backward", lambda rng, dtype: [
        ((normal(rng, (*shape[:2], *y), dtype), out(shape, dtype)), {}) for shape, y in BINS], outs=(1,), bound=8,
        scale="terms"),
]
IMAGES = [(2, 3, 6, 7), (1, 5, 5), (0, 2, 4, 4), (1, 1, 3, 3)]
OPS = [
    OpCase("max_pool2d", lambda x: (ml.functional.max_pool2d(x, 2), ml.functional.max_pool2d(x, 3, 2, 1, 1, True),
                                    ml.functional.max_pool2d(x, (2, 3), 1, (1, 1), (2, 1))),
           lambda rng: [(distinct(rng, s),) for s in IMAGES], op="pool.MaxPool2d"),
    OpCase("max_pool2d with indices", lambda x: ml.functional.max_pool2d(x, 2, return_indices=True),
           lambda rng: [(distinct(rng, s),) for s in IMAGES], op="pool.MaxPool2d"),
    OpCase("avg_pool2d", lambda x: (ml.functional.avg_pool2d(x, 2), ml.functional.avg_pool2d(x, 3, 2, 1, True, False),
                                    ml.functional.avg_pool2d(x, (3, 2), 1, (1, 0), divisor_override=5)),
           each_shape(normal, IMAGES), op="pool.AvgPool2d"),
    OpCase("adaptive_avg_pool2d", lambda x: (ml.functional.adaptive_avg_pool2d(x, 1),
                                             ml.functional.adaptive_avg_pool2d(x, (2, None)),
                                             ml.functional.adaptive_avg_pool2d(x, (4, 5))),
           each_shape(normal, IMAGES), op="pool.AdaptiveAvgPool2d"),
]
LAYERS = [
    LayerCase("MaxPool2d", lambda: ml.MaxPool2d(2), lambda rng, dtype: (distinct(rng, (3, 2, 4, 6), dtype),)),
    LayerCase("MaxPool2d padded", lambda: ml.MaxPool2d(3, 2, 1, ceil_mode=True),
              lambda rng, dtype: (distinct(rng, (2, 2, 6, 5), dtype),)),
    LayerCase("AvgPool2d", lambda: ml.AvgPool2d(3, 2, 1, count_include_pad=False),
              lambda rng, dtype: (normal(rng, (2, 2, 6, 5), dtype),)),
    LayerCase("AdaptiveAvgPool2d", lambda: ml.AdaptiveAvgPool2d((2, None)),
              lambda rng, dtype: (normal(rng, (2, 3, 5, 3), dtype),)),
]
