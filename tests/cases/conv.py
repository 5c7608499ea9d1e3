"""Rows of the conv family."""

import numpy as np

import minilayer as ml
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, out
from minilayer._ext import conv_reference
from minilayer.ops.conv import ConvWeight

F = ml.functional

# x (B, C, H, W), (O, K, L), stride, padding (top, left), dilation, groups
CONVOLUTIONS = [
    ((2, 3, 7, 9), (4, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 9, 8), (6, 3, 2), (2, 3), (1, 2), (2, 1), 2), ((2, 6, 5, 6), (6, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((2, 3, 6, 6), (4, 1, 1), (2, 2), (0, 0), (1, 1), 1), ((1, 2, 2, 2), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 3, 6, 6), (2, 3, 2), (3, 2), (5, 4), (2, 3), 1), ((1, 5, 1, 40), (7, 1, 5), (1, 2), (0, 2), (1, 1), 1),
    ((2, 4, 3, 5), (6, 1, 1), (1, 1), (0, 0), (1, 1), 2),
    ((0, 2, 5, 5), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((2, 0, 5, 5), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1)]
LARGE = [((3, 17, 13, 12), (33, 3, 3), (1, 1), (1, 1), (1, 1), 1),
         ((2, 50, 6, 7), (20, 3, 3), (2, 2), (1, 1), (1, 1), 1)]
# x (B, C, D, H, W), (O, J, K, L), ...
VOLUMES = [
    ((2, 3, 4, 5, 6), (4, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((2, 4, 6, 7, 5), (6, 2, 3, 2), (2, 3, 1), (1, 2, 0), (2, 1, 2), 2),
    ((1, 4, 5, 4, 6), (4, 3, 2, 3), (3, 1, 2), (2, 1, 1), (1, 2, 1), 4), ((1, 1, 1, 1, 1), (1, 1, 1, 1), *((n,) * 3 for n in (1, 0, 1)), 1),
    ((2, 3, 2, 3, 4), (5, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    ((1, 2, 5, 4, 4), (3, 1, 1, 1), (2, 3, 2), (0, 0, 0), (1, 1, 1), 1),
    ((0, 2, 3, 3, 3), (3, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((2, 17, 5, 7, 9), (18, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    ((1, 40, 4, 18, 17), (4, 3, 3, 3), (1, 2, 1), (1, 1, 1), (1, 1, 1), 1)]


def conv_samples(kernel, axes):
    """(x, w, bias, ->y), (dy, w, ->dx), (dy, x, ->dw), or (y, w, bias, ->x) for the transposed ones"""
    def samples(rng, dtype):
        for i, (shape, (o, *taps), stride, padding, dilation, groups) in enumerate(CONVOLUTIONS + LARGE if axes == 2 else VOLUMES):
            size = [(n + 2 * t - d * (m - 1) - 1) // s + 1
                    for n, t, d, m, s in zip(shape[2:], padding, dilation, taps, stride, strict=True)]
            x, w = normal(rng, shape, dtype), normal(rng, (o, shape[1] // groups, *taps), dtype)
            dy = normal(rng, (shape[0], o, *size), dtype)
            settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            if kernel == "conv":
                bias = normal(rng, o, dtype) if i % 2 else None
                for activation in (None, "relu"):
                    yield (x, w, bias, out(dy.shape, dtype)), {**settings, "activation": activation}
            elif kernel == "transpose":
                for bias in (None, normal(rng, shape[1], dtype)):
                    yield (dy, w, bias, out(x.shape, dtype)), settings
            elif kernel == "input":
                yield (dy, w, out(x.shape, dtype)), settings
            else:
                yield (dy, x, out(w.shape, dtype)), settings
    return samples


def conv_arguments(rng):
    for shape in [(2, 3, 6, 5), (3, 6, 5), (1, 3, 3, 3), (0, 3, 6, 5)]:
        for bias in (True, False):
            yield normal(rng, shape), normal(rng, (4, 3, 3, 2)), normal(rng, 4) if bias else None


def sequences(rng):
    for shape in [(2, 4, 7), (4, 7), (1, 4, 3), (0, 4, 5)]:
        for bias in (True, False):
            yield normal(rng, shape), normal(rng, (6, 2, 3)), normal(rng, 6) if bias else None


def volumes(rng):
    for shape in [(2, 2, 4, 3, 3), (2, 3, 4, 3), (0, 2, 3, 3, 3)]:
        for bias in (True, False):
            yield normal(rng, shape), normal(rng, (4, 1, 3, 2, 2)), normal(rng, 4) if bias else None


def to_spread(axes):
    """x, w (in, out/groups, ...) for groups=2, bias"""
    def arguments(rng):
        size = [(4,), (3, 4), (2, 3, 2)][axes - 1]
        for shape in [(2, 4, *size), (4, *size), (0, 4, *size)]:
            for bias in (True, False):
                yield normal(rng, shape), normal(rng, (4, 3, 3, 2, 2)[:axes + 2]), normal(rng, 6) if bias else None
    return arguments


def weight_op(axes, *geometry):
    return lambda y, x: ml.apply(ConvWeight(axes, *geometry), y, x)


KERNELS = [
    case for axes in (2, 3) for case in (
        KernelCase("conv", f"conv{axes}d", conv_samples("conv", axes), outs=(3,), bound=32, scale="terms"),
        KernelCase("conv", f"conv_transpose{axes}d", conv_samples("transpose", axes), outs=(3,), bound=32, scale="terms"),
        KernelCase("conv", f"conv{axes}d_backward_input", conv_samples("input", axes), outs=(2,), bound=32, scale="terms"),
        KernelCase("conv", f"conv{axes}d_backward_weight", conv_samples("weight", axes), outs=(2,), bound=32, scale="terms"))]
OPS = [
    OpCase("conv1d", lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1, groups=2), sequences, op="conv.Conv1d", second=True),
    OpCase("conv1d same", lambda x, w: (F.conv1d(x, w, padding="same", dilation=2), F.conv1d(x.transpose(0, 1), w, stride=(3,))),
           lambda rng: [(normal(rng, (3, 3, 6)), normal(rng, (2, 3, 2)))], op="conv.Conv1d", second=True),
    OpCase("conv2d", lambda x, w, b: F.conv2d(x, w, b, padding=1), conv_arguments, op="conv.Conv2d", second=True),
    OpCase("conv2d stride dilation", lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(2, 1), dilation=(1, 2)),
           conv_arguments, op="conv.Conv2d", second=True),
    OpCase("conv2d same", lambda x, w, b: F.conv2d(x, w, b, padding="same", dilation=(2, 1)),
           conv_arguments, op="conv.Conv2d", second=True),
    OpCase("conv2d groups", lambda x, w: (F.conv2d(x, w, groups=2, padding="valid"), F.conv2d(x.transpose(-1, -2), w, groups=2)),
           lambda rng: [(normal(rng, (2, 4, 4, 5)), normal(rng, (6, 2, 3, 2)))], op="conv.Conv2d", second=True),
    OpCase("conv2d of turned weights", lambda x, w: F.conv2d(x, w.transpose(0, 1), padding=1),
           lambda rng: [(normal(rng, (2, 3, 4, 3)), normal(rng, (3, 4, 2, 3)))], op="conv.Conv2d", second=True),
    OpCase("conv3d", lambda x, w, b: F.conv3d(x, w, b, stride=(2, 1, 1), padding=1, dilation=(1, 2, 1), groups=2), volumes,
           op="conv.Conv3d", second=True),
    OpCase("conv3d same", lambda x, w: F.conv3d(x, w, padding="same"),
           lambda rng: [(normal(rng, (1, 2, 3, 2, 3)), normal(rng, (2, 2, 2, 3, 2)))], op="conv.Conv3d", second=True),
    OpCase("conv_transpose1d", lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1, 2), to_spread(1),
           op="conv.ConvTranspose1d", second=True),
    OpCase("conv_transpose2d", lambda x, w, b: F.conv_transpose2d(x, w, b, (2, 3), 1, (1, 2), 2, (1, 2)), to_spread(2),
           op="conv.ConvTranspose2d", second=True),
    OpCase("conv_transpose2d plain", lambda x, w, b: F.conv_transpose2d(x, w, b, groups=2), to_spread(2),
           op="conv.ConvTranspose2d", second=True),
    OpCase("conv_transpose3d", lambda x, w, b: F.conv_transpose3d(x, w, b, (1, 2, 2), (0, 1, 0), (0, 1, 0), 2, (2, 1, 1)),
           to_spread(3), op="conv.ConvTranspose3d", second=True),
    OpCase("conv_weight", weight_op(2, (2, 1), (1, 0), (1, 2), 2, (4, 2, 3, 2)),
           lambda rng: [(normal(rng, (2, 4, 3, 4)), normal(rng, (2, 4, 5, 6)))], op="conv.ConvWeight", second=True),
    OpCase("conv_weight 1d", weight_op(1, (2,), (1,), (1,), 1, (4, 2, 3)),
           lambda rng: [(normal(rng, (2, 4, 3)), normal(rng, (2, 2, 5))), (normal(rng, (4, 3)), normal(rng, (2, 5)))],
           op="conv.ConvWeight", second=True),
    OpCase("conv_weight 3d", weight_op(3, (1, 2, 1), (1, 1, 0), (1, 1, 1), 1, (2, 2, 3, 3, 2)),
           lambda rng: [(normal(rng, (1, 2, 3, 2, 2)), normal(rng, (1, 2, 3, 3, 3)))], op="conv.ConvWeight", second=True),
]


def inputs(*shape):
    return lambda rng, dtype: (normal(rng, shape, dtype),)


LAYERS = [
    LayerCase("Conv1d", lambda: ml.Conv1d(3, 4, 3, stride=2, padding=1), inputs(2, 3, 8)),
    LayerCase("Conv1d of no channels", lambda: ml.Conv1d(0, 4, 3), inputs(2, 0, 8)),
    LayerCase("ConvTranspose1d of no channels", lambda: ml.ConvTranspose1d(0, 4, 3), inputs(2, 0, 8)),
    LayerCase("Conv1d circular", lambda: ml.Conv1d(4, 6, 3, padding=2, dilation=2, groups=2, bias=False, padding_mode="circular"),
              inputs(2, 4, 7)),
    LayerCase("Conv2d", lambda: ml.Conv2d(3, 4, 3, padding=1), inputs(2, 3, 6, 5)),
    LayerCase("Conv2d groups", lambda: ml.Conv2d(4, 6, (3, 2), stride=2, dilation=(1, 2), groups=2, bias=False),
              inputs(2, 4, 7, 8)),
    LayerCase("Conv2d reflect", lambda: ml.Conv2d(2, 3, (2, 3), padding="same", padding_mode="reflect"), inputs(2, 2, 4, 5)),
    LayerCase("Conv2d replicate", lambda: ml.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="replicate"), inputs(2, 2, 3, 4)),
    LayerCase("Conv2d valid", lambda: ml.Conv2d(2, 3, 3, padding="valid", padding_mode="reflect"), inputs(2, 2, 3, 4)),
    LayerCase("Conv3d", lambda: ml.Conv3d(2, 3, (2, 3, 3), stride=(1, 2, 1), padding=1), inputs(2, 2, 3, 4, 3)),
    LayerCase("Conv3d circular", lambda: ml.Conv3d(2, 2, 3, padding="same", groups=2, padding_mode="circular"), inputs(2, 2, 3, 2, 3)),
    LayerCase("ConvTranspose1d", lambda: ml.ConvTranspose1d(4, 3, 4, stride=2, padding=1), inputs(2, 4, 5)),
    LayerCase("ConvTranspose2d", lambda: ml.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), inputs(2, 4, 3, 4)),
    LayerCase("ConvTranspose2d groups", lambda: ml.ConvTranspose2d(4, 6, (3, 2), groups=2, bias=False, dilation=(1, 2)),
              inputs(2, 4, 3, 4)),
    LayerCase("ConvTranspose3d", lambda: ml.ConvTranspose3d(2, 3, 2, stride=(2, 1, 2), output_padding=(1, 0, 1)), inputs(2, 2, 2, 3, 2)),
]

ONES = ml.ones
ERRORS = [
    *[ErrorCase(f"conv{n}d: a {what} beyond 2**31", lambda n=n, what=what: getattr(F, f"conv{n}d")(ml.ones(1, 1, *(5,) * n), ml.ones(1, 1, *(3,) * n), **{what: 2**62, **({"padding": 2**62} if what == "dilation" else {})}), ValueError, "below 2\\*\\*31")
      for n in (1, 2, 3) for what in ("stride", "padding", "dilation")],
    ErrorCase("conv_transpose1d: a stride beyond 2**31", lambda: F.conv_transpose1d(ml.ones(1, 1, 1), ml.ones(1, 1, 3), stride=2**62), ValueError, "below 2\\*\\*31"),
    ErrorCase("conv2d: dilation for more memory than there is, in the reference", lambda: conv_reference.conv2d(
        np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), None, np.ones((1, 1, 5, 5)), padding=(2**31 - 1,) * 2,
        dilation=(2**31 - 1,) * 2), MemoryError, "conv2d: no memory for a padded copy"),
    ErrorCase("conv2d: dilation for more memory than there is", lambda: F.conv2d(ml.ones(1, 1, 5, 5), ml.ones(1, 1, 3, 3), dilation=2**31 - 1, padding=2**31 - 1), MemoryError, "conv2d"),
    ErrorCase("conv2d: strides that do not end", lambda: F.conv2d(ml.ones(1, 1, 2, 2), ml.ones(1, 1, 1, 1), stride=2**20, padding=2**20), ValueError, "product is at most"),]
for n, call, letters in ((1, F.conv1d, "L"), (2, F.conv2d, "H, W"), (3, F.conv3d, "D, H, W")):
    fine = (ONES(1, 4, *[5] * n), ONES(2, 4, *[3] * n))
    name = f"conv{n}d"
    spread = getattr(F, f"conv_transpose{n}d")
    ERRORS += [
        ErrorCase(f"{name}: other channels", lambda f=call, n=n: f(ONES(1, 3, *[5] * n), ONES(2, 4, *[3] * n)), ValueError,
                  f"{name}: expected an input of 4 channels .*got 3"),
        ErrorCase(f"{name}: too few axes", lambda f=call, n=n: f(ONES(*[5] * n), ONES(2, 4, *[3] * n)), ValueError,
                  rf"{name}: expected an input of shape \(B, C, {letters}\)"),
        ErrorCase(f"{name}: a kernel that does not fit", lambda f=call, n=n: f(ONES(4, *[2] * n), ONES(2, 4, *[3] * n)), ValueError,
                  f"{name}: .* holds the kernel .*2 \\+ 0 \\(padding\\)"),
        ErrorCase(f"{name}: too many strides", lambda f=call, fine=fine: f(*fine, stride=(1,) * 4), TypeError,
                  f"{name}: expected stride to be an integer or"),
        ErrorCase(f"{name}: dilation 0", lambda f=call, fine=fine: f(*fine, dilation=0), ValueError, f"{name}: expected dilation of 1"),
        ErrorCase(f"{name}: same with a stride", lambda f=call, fine=fine: f(*fine, stride=2, padding="same"), ValueError, "needs stride 1"),
        ErrorCase(f"{name}: an unknown padding", lambda f=call, fine=fine: f(*fine, padding="full"), ValueError, f"{name}: .*'full'"),
        ErrorCase(f"{name}: a list", lambda f=call, fine=fine: f([1.0], fine[1]), TypeError, f"{name}: expected tensors, got list"),
        ErrorCase(f"conv_transpose{n}d: other channels", lambda f=spread, n=n: f(ONES(1, 3, *[5] * n), ONES(4, 2, *[3] * n)), ValueError,
                  f"conv_transpose{n}d: expected an input of 4 channels .*got 3"),
        ErrorCase(f"conv_transpose{n}d: a weight with too few axes", lambda f=spread, n=n: f(ONES(1, 3, *[5] * n), ONES(3, 2)), ValueError,
                  f"conv_transpose{n}d: expected a weight of shape \\(in, out/groups"),
        ErrorCase(f"conv_transpose{n}d: groups that do not divide", lambda f=spread, n=n: f(ONES(1, 3, *[5] * n), ONES(3, 2, *[2] * n), groups=2),
                  ValueError, f"conv_transpose{n}d: expected groups to divide the 3 input channels"),
        ErrorCase(f"conv_transpose{n}d: a bias of another size",
                  lambda f=spread, n=n: f(ONES(1, 3, *[5] * n), ONES(3, 2, *[2] * n), ONES(3)), ValueError, r"expected a bias of shape \(2,\)"),
        ErrorCase(f"conv_transpose{n}d: too much output_padding",
                  lambda f=spread, n=n: f(ONES(1, 3, *[5] * n), ONES(3, 2, *[2] * n), output_padding=1), ValueError,
                  f"conv_transpose{n}d: expected output_padding smaller than the stride"),
        ErrorCase(f"conv_transpose{n}d: nothing left", lambda f=spread, n=n: f(ONES(1, 3, *[1] * n), ONES(3, 2, *[1] * n), padding=1),
                  ValueError, f"conv_transpose{n}d: expected an output with at least one element, got .*-1"),
    ]
    conv, back = getattr(ml, f"Conv{n}d"), getattr(ml, f"ConvTranspose{n}d")
    for cls, what in ((conv, f"Conv{n}d"), (back, f"ConvTranspose{n}d")):
        ERRORS += [
            ErrorCase(f"{what}: channels that groups do not divide", lambda cls=cls: cls(4, 6, 3, groups=4), ValueError,
                      f"{what}: expected out_channels to be divisible by groups=4, got 6"),
            ErrorCase(f"{what}: no groups", lambda cls=cls: cls(4, 6, 3, groups=0), ValueError, f"{what}: expected groups >= 1"),
            ErrorCase(f"{what}: half a kernel", lambda cls=cls: cls(4, 6, 1.5), TypeError, f"{what}: expected kernel_size to be integers"),
            ErrorCase(f"{what}: too many numbers", lambda cls=cls: cls(4, 6, 3, stride=(1, 1, 1, 1)), ValueError,
                      f"{what}: expected stride to be an integer or"),
            ErrorCase(f"{what}: stride 0", lambda cls=cls: cls(4, 6, 3, stride=0), ValueError, f"{what}: expected stride >= 1"),
        ]
    ERRORS += [
        ErrorCase(f"Conv{n}d: an unknown padding", lambda cls=conv: cls(4, 6, 3, padding="full"), ValueError, "'full'"),
        ErrorCase(f"Conv{n}d: same with a stride", lambda cls=conv: cls(4, 6, 3, stride=2, padding="same"), ValueError, "expected stride 1"),
        ErrorCase(f"Conv{n}d: an unknown mode", lambda cls=conv: cls(4, 6, 3, padding_mode="mirror"), ValueError, "padding_mode .*'mirror'"),
        ErrorCase(f"ConvTranspose{n}d: a padding mode", lambda cls=back: cls(4, 6, 3, padding_mode="reflect"), ValueError,
                  f"ConvTranspose{n}d: expected padding_mode 'zeros'"),
        ErrorCase(f"ConvTranspose{n}d: a size out of reach",
                  lambda cls=back, n=n: cls(4, 6, 3, stride=2)(ONES(1, 4, *[5] * n), output_size=[13] * n), ValueError,
                  "expected an output_size from 11 to 12 .*got"),
        ErrorCase(f"ConvTranspose{n}d: a size of other axes",
                  lambda cls=back, n=n: cls(4, 6, 3, stride=2)(ONES(1, 4, *[5] * n), output_size=[11] * 7), ValueError,
                  f"expected output_size with {n} numbers"),
    ]
