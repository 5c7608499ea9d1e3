"""Rows of the conv family."""

import minilayer as ml
from cases.base import KernelCase, LayerCase, OpCase, normal, out

# x (B, C, H, W), (O, K, L), stride, padding (top, left), dilation, groups
CONVOLUTIONS = [
    ((2, 3, 7, 9), (4, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 9, 8), (6, 3, 2), (2, 3), (1, 2), (2, 1), 2), ((2, 6, 5, 6), (6, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((2, 3, 6, 6), (4, 1, 1), (2, 2), (0, 0), (1, 1), 1), ((1, 2, 2, 2), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 3, 6, 6), (2, 3, 2), (3, 2), (5, 4), (2, 3), 1), ((1, 5, 1, 40), (7, 1, 5), (1, 2), (0, 2), (1, 1), 1),
    ((0, 2, 5, 5), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((2, 0, 5, 5), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1)]
LARGE = [((3, 17, 13, 12), (33, 3, 3), (1, 1), (1, 1), (1, 1), 1),
         ((2, 50, 6, 7), (20, 3, 3), (2, 2), (1, 1), (1, 1), 1)]


def conv_samples(kernel):
    """(x, w, bias, ->y), (dy, w, ->dx) or (dy, x, ->dw)"""
    def samples(rng, dtype):
        for i, (shape, (o, k, l), stride, padding, dilation, groups) in enumerate(CONVOLUTIONS + LARGE):
            size = [(n + 2 * t - d * (m - 1) - 1) // s + 1
                    for n, t, d, m, s in zip(shape[2:], padding, dilation, (k, l), stride, strict=True)]
            x, w = normal(rng, shape, dtype), normal(rng, (o, shape[1] // groups, k, l), dtype)
            dy = normal(rng, (shape[0], o, *size), dtype)
            settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            if kernel == "conv2d":
                bias = normal(rng, o, dtype) if i % 2 else None
                for activation in (None, "relu"):
                    yield (x, w, bias, out(dy.shape, dtype)), {**settings, "activation": activation}
            elif kernel == "input":
                yield (dy, w, out(x.shape, dtype)), settings
            else:
                yield (dy, x, out(w.shape, dtype)), settings
    return samples


def conv_arguments(rng):
    for shape in [(2, 3, 6, 5), (3, 6, 5), (1, 3, 3, 3), (0, 3, 6, 5)]:
        for bias in (True, False):
            yield normal(rng, shape), normal(rng, (4, 3, 3, 2)), normal(rng, 4) if bias else None


KERNELS = [
    KernelCase("conv", "conv2d", conv_samples("conv2d"), outs=(3,), bound=32, scale="terms"),
    KernelCase("conv", "conv2d_backward_input", conv_samples("input"), outs=(2,), bound=32, scale="terms"),
    KernelCase("conv", "conv2d_backward_weight", conv_samples("weight"), outs=(2,), bound=32, scale="terms"),
]
OPS = [
    OpCase("conv2d", lambda x, w, b: ml.functional.conv2d(x, w, b, padding=1), conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d stride dilation", lambda x, w, b: ml.functional.conv2d(
        x, w, b, stride=(2, 1), padding=(2, 1), dilation=(1, 2)), conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d same", lambda x, w, b: ml.functional.conv2d(x, w, b, padding="same", dilation=(2, 1)),
           conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d groups", lambda x, w: (ml.functional.conv2d(x, w, groups=2, padding="valid"),
                                          ml.functional.conv2d(x.transpose(-1, -2), w, groups=2)),
           lambda rng: [(normal(rng, (2, 4, 4, 5)), normal(rng, (6, 2, 3, 2)))], op="conv.Conv2d"),
]
LAYERS = [
    LayerCase("Conv2d", lambda: ml.Conv2d(3, 4, 3, padding=1), lambda rng, dtype: (normal(rng, (2, 3, 6, 5), dtype),)),
    LayerCase("Conv2d groups", lambda: ml.Conv2d(4, 6, (3, 2), stride=2, dilation=(1, 2), groups=2, bias=False),
              lambda rng, dtype: (normal(rng, (2, 4, 7, 8), dtype),)),
]
