"""Rows of the upsample family, and of layers that put elements in another order."""
import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, each_shape, normal, out
from minilayer import tape
from minilayer._ext import dispatch
from minilayer.ops import upsample

RESIZED = [             # (N, H, W), (P, Q), places that make up a row and a column (0: the axis stays as it is)
    ((3, 4, 5), (7, 9), 2, 2), ((1, 1, 1), (1, 1), 1, 1), ((0, 3, 3), (2, 2), 2, 2), ((2, 5, 6), (5, 3), 0, 4), ((2, 5, 6), (9, 6), 4, 0),
    ((6, 12, 17), (24, 34), 1, 1), ((2, 9, 70), (5, 33), 3, 2), ((4, 1, 40), (1, 80), 0, 1), ((20, 16, 16), (32, 32), 2, 2), ((2, 3, 33), (1, 1), 1, 2)]


def resize_samples(backward):
    def samples(rng, dtype):
        for i, (x, y, K, L) in enumerate(RESIZED):
            tables = []
            for n, m, k in zip(x[1:], y, (K, L), strict=True):
                places = rng.integers(-1 if i % 3 == 2 else 0, n, (m, k)) if k else None
                tables += [places, normal(rng, (m, k), dtype) if k and (k > 1 or i % 2) else None]
            first, last = ((x[0], *y), x) if backward else (x, (x[0], *y))
            yield (normal(rng, first, dtype), out(last, dtype), *tables), {}
    return samples


KERNELS = [
    KernelCase("upsample", "resize", resize_samples(False), outs=(1,), bound=16, scale="terms"),
    KernelCase("upsample", "resize_backward", resize_samples(True), outs=(1,), bound=32, scale="terms"),
]

SEQUENCES, IMAGES, VOLUMES = [(2, 3, 5), (0, 1, 3), (1, 1, 1)], [(2, 3, 4, 5), (0, 1, 3, 3), (1, 1, 2, 3)], [(2, 1, 3, 4, 2), (0, 1, 2, 2, 2)]


def several(mode, sizes, factors, **settings):
    """Outputs of all these sizes and factors."""
    return lambda x: (*(F.interpolate(x, size, mode=mode, **settings) for size in sizes),
                      *(F.interpolate(x, scale_factor=f, mode=mode, **settings) for f in factors))


OPS = [
    *[OpCase(f"interpolate {mode} {len(shapes[0]) - 2}d", several(mode, (7, 2, 1), (2, 1.3)), each_shape(normal, shapes), op="upsample.Resize", second=True)
      for mode in ("nearest", "nearest-exact", "area") for shapes in (SEQUENCES, IMAGES, VOLUMES)],
    *[OpCase(f"interpolate {mode} {'with' if align else 'without'} corners", several(mode, (7, 2, 1), (2, 1.3), align_corners=align), each_shape(normal, shapes),
             op="upsample.Resize", second=True)
      for mode, shapes in (("linear", SEQUENCES), ("bilinear", IMAGES), ("bicubic", IMAGES), ("trilinear", VOLUMES)) for align in (False, True)],
    *[OpCase(f"interpolate {mode} antialiased", several(mode, (6, 2, 1), (2, 0.7), antialias=True), each_shape(normal, IMAGES), op="upsample.Resize", second=True)
      for mode in ("bilinear", "bicubic", "lanczos")],
    OpCase("interpolate one axis", lambda x: (F.interpolate(x, (4, 9), mode="bilinear"), F.interpolate(x, (2, 5)), F.interpolate(x, (4, 5)),
                                              F.interpolate(x, scale_factor=(1, 2), mode="bicubic", recompute_scale_factor=True)),
           each_shape(normal, IMAGES[:1]), op="upsample.Resize", second=True),
    OpCase("interpolate depth", lambda x: (F.interpolate(x, (5, 4, 2), mode="trilinear"), F.interpolate(x, (3, 4, 5))), each_shape(normal, VOLUMES[:1]), op="upsample.Resize", second=True),
    OpCase("upsample", lambda x: (F.upsample(x, 6), F.upsample_nearest(x, scale_factor=2), F.upsample_bilinear(x, (3, 7))), each_shape(normal, IMAGES),
           op="upsample.Resize", second=True),
    OpCase("gradient of a resizing", lambda x: gradient_of_resizing(x), each_shape(normal, [(2, 1, 5, 7)]), op="upsample.ResizeGradient", second=True),
    OpCase("pixel_shuffle", lambda x: (F.pixel_shuffle(x, 2), F.pixel_shuffle(x[0], 1)), each_shape(normal, [(2, 8, 3, 2), (1, 4, 1, 1)]),
           op=("shape.Reshape", "shape.Permute"), second=True),
    OpCase("pixel_unshuffle", lambda x: (F.pixel_unshuffle(x, 2), F.pixel_unshuffle(x[0], 1)), each_shape(normal, [(2, 3, 4, 2), (1, 1, 2, 2)]),
           op=("shape.Reshape", "shape.Permute"), second=True),
    OpCase("channel_shuffle", lambda x: (F.channel_shuffle(x, 2), F.channel_shuffle(x, 1)), each_shape(normal, [(2, 4, 3), (1, 2, 3, 2)]), op="shape.Reshape", second=True),
]


def gradient_of_resizing(x):
    resize = upsample.Resize("bilinear", (5, 7), None, False, False)
    with ml.no_grad():
        tape.apply(resize, ml.zeros(2, 1, 3, 4, dtype=x.dtype).to(x.device))
    return tape.apply(upsample.ResizeGradient(resize, (2, 1, 3, 4)), x)


def inputs(*shape):
    return lambda rng, dtype: (normal(rng, shape, dtype),)


LAYERS = [
    LayerCase("Upsample", lambda: ml.Upsample(scale_factor=2), inputs(2, 3, 4, 5)),
    LayerCase("Upsample nearest-exact", lambda: ml.Upsample(7, mode="nearest-exact"), inputs(3, 2, 5)),
    LayerCase("Upsample linear", lambda: ml.Upsample(scale_factor=1.7, mode="linear", align_corners=True), inputs(2, 3, 5)),
    LayerCase("Upsample bilinear", lambda: ml.Upsample((7, 3), mode="bilinear", align_corners=False), inputs(2, 3, 4, 5)),
    LayerCase("Upsample bicubic", lambda: ml.Upsample(scale_factor=(1.5, 2), mode="bicubic", recompute_scale_factor=True), inputs(2, 2, 4, 5)),
    LayerCase("Upsample trilinear", lambda: ml.Upsample(scale_factor=2, mode="trilinear"), inputs(2, 1, 2, 3, 2)),
    LayerCase("Upsample area", lambda: ml.Upsample((3, 2), mode="area"), inputs(2, 1, 4, 5)),
    LayerCase("UpsamplingNearest2d", lambda: ml.UpsamplingNearest2d(scale_factor=2), inputs(2, 3, 3, 2)),
    LayerCase("UpsamplingBilinear2d", lambda: ml.UpsamplingBilinear2d((5, 7)), inputs(2, 3, 3, 2)),
    LayerCase("PixelShuffle", lambda: ml.PixelShuffle(2), inputs(2, 8, 3, 2)),
    LayerCase("PixelUnshuffle", lambda: ml.PixelUnshuffle(2), inputs(2, 3, 4, 2)),
    LayerCase("ChannelShuffle", lambda: ml.ChannelShuffle(3), inputs(2, 6, 4)),
    LayerCase("Unflatten", lambda: ml.Unflatten(1, (2, -1)), inputs(3, 6)),
]

X, S = ml.ones(1, 4, 4, 6), ml.ones(1, 2, 5)


def kernel(variant, *arrays):
    def call():
        with dispatch.use_backend(variant):
            dispatch.family("upsample").cpu.resize(*arrays)
    return call


ERRORS = [
    ErrorCase("interpolate: a list", lambda: F.interpolate([1.0], 2), TypeError, "interpolate: expected a tensor, got list"),
    ErrorCase("interpolate: integers", lambda: F.interpolate(ml.ones(1, 1, 3, dtype="int64"), 2), TypeError, "float32 or float64 input, got int64"),
    ErrorCase("interpolate: an unknown mode", lambda: F.interpolate(X, 2, mode="quadratic"), ValueError, "interpolate: expected mode .*'quadratic'"),
    ErrorCase("interpolate: a mode for images", lambda: F.interpolate(S, 2, mode="bilinear"), ValueError, r"'bilinear' expects an input of shape \(B, C, H, W\)"),
    ErrorCase("interpolate: no places", lambda: F.interpolate(ml.ones(1, 2, 0), 2), ValueError, r"only the batch empty, got \(1, 2, 0\)"),
    ErrorCase("interpolate: corners of nearest", lambda: F.interpolate(X, 2, align_corners=True), ValueError, "align_corners is for"),
    ErrorCase("interpolate: antialias of nearest", lambda: F.interpolate(X, 2, antialias=True), ValueError, "antialias is for"),
    ErrorCase("interpolate: lanczos without antialias", lambda: F.interpolate(X, 2, mode="lanczos"), ValueError, "'lanczos' expects antialias=True"),
    ErrorCase("interpolate: neither size nor factor", lambda: F.interpolate(X), ValueError, "either size or scale_factor"),
    ErrorCase("interpolate: size and factor", lambda: F.interpolate(X, 2, 2.0), ValueError, "either size or scale_factor"),
    ErrorCase("interpolate: a size to recompute", lambda: F.interpolate(X, 2, recompute_scale_factor=True), ValueError, "recompute_scale_factor is for"),
    ErrorCase("interpolate: three sizes", lambda: F.interpolate(X, (1, 2, 3)), ValueError, "size to be one number or 2"),
    ErrorCase("interpolate: a float size", lambda: F.interpolate(X, 2.5), TypeError, "size to be integers, got 2.5"),
    ErrorCase("interpolate: a negative factor", lambda: F.interpolate(X, scale_factor=-1.0), ValueError, "scale_factor above 0"),
    ErrorCase("interpolate: nothing left", lambda: F.interpolate(X, scale_factor=0.1), ValueError, "leaves at least one element"),
    ErrorCase("interpolate: an infinite factor", lambda: F.interpolate(X, scale_factor=float("inf")), ValueError, r"interpolate: expected scale_factor below 2\*\*31, got inf"),
    ErrorCase("interpolate: a factor beyond 31 bits", lambda: F.interpolate(X, scale_factor=1e30), ValueError, r"interpolate: expected scale_factor below 2\*\*31"),
    ErrorCase("interpolate: a factor to a size beyond 31 bits", lambda: F.interpolate(X, scale_factor=2.0**30), ValueError, r"leads to a size below 2\*\*31, got 1073741824.0"),
    ErrorCase("interpolate: a size beyond 31 bits", lambda: F.interpolate(X, 2**62), ValueError, r"interpolate: expected size below 2\*\*31"),
    ErrorCase("interpolate: no memory", lambda: F.interpolate(X, 2**31 - 1), MemoryError, "interpolate: no memory for a result of shape .*float32; ask for a smaller size"),
    ErrorCase("pixel_shuffle: a factor beyond all channels", lambda: F.pixel_shuffle(ml.ones(0, 2, 2), 2**31 - 1), ValueError, r"pixel_shuffle: expected upscale_factor below 2\*\*16"),
    ErrorCase("pixel_unshuffle: a factor beyond all sizes", lambda: F.pixel_unshuffle(ml.ones(1, 0, 0), 2**70), ValueError, r"downscale_factor below 2\*\*16"),
    ErrorCase("channel_shuffle: groups beyond 31 bits", lambda: F.channel_shuffle(ml.ones(1, 0, 2), 2**70), ValueError, r"groups below 2\*\*31"),
    ErrorCase("pixel_shuffle: too few axes", lambda: F.pixel_shuffle(ml.ones(4, 4), 2), ValueError, "pixel_shuffle: expected at least 3 dimensions"),
    ErrorCase("pixel_shuffle: channels that do not divide", lambda: F.pixel_shuffle(X, 3), ValueError, "channels divisible by upscale_factor\\^2 = 9"),
    ErrorCase("pixel_shuffle: a float", lambda: F.pixel_shuffle(X, 2.0), TypeError, "upscale_factor to be an integer"),
    ErrorCase("pixel_unshuffle: a size that does not divide", lambda: F.pixel_unshuffle(X, 4), ValueError, "height and width divisible by downscale_factor 4"),
    ErrorCase("pixel_unshuffle: a factor of 0", lambda: F.pixel_unshuffle(X, 0), ValueError, "downscale_factor of at least 1"),
    ErrorCase("pixel_unshuffle: a list", lambda: F.pixel_unshuffle([1.0], 2), TypeError, "got list"),
    ErrorCase("channel_shuffle: groups that do not divide", lambda: F.channel_shuffle(X, 3), ValueError, "channels divisible by groups 3"),
    ErrorCase("channel_shuffle: too few axes", lambda: F.channel_shuffle(ml.ones(4, 4), 2), ValueError, "at least 3 dimensions"),
    ErrorCase("channel_shuffle: a float", lambda: F.channel_shuffle(X, 2.0), TypeError, "groups to be an integer"),
    ErrorCase("unflatten: sizes that do not fit", lambda: F.unflatten(X, 1, (3, 2)), ValueError, "unflatten: expected a shape for the 4 elements"),
    ErrorCase("unflatten: an axis that is not there", lambda: F.unflatten(X, 4, (2, 2)), IndexError, "unflatten: expected dim"),
    ErrorCase("unflatten: a list", lambda: F.unflatten([1.0], 0, (1, 1)), TypeError, "unflatten: expected a tensor, got list"),
    ErrorCase("Unflatten: a name", lambda: ml.Unflatten("features", (2, 3)), TypeError, "Unflatten: expected dim to be an integer"),
    ErrorCase("Unflatten: a number", lambda: ml.Unflatten(1, 6), TypeError, "Unflatten: expected unflattened_size to be a tuple"),
    ErrorCase("Unflatten: a float", lambda: ml.Unflatten(1, (2, 3.0)), TypeError, "Unflatten: expected unflattened_size to be integers"),
    ErrorCase("resize: no table, compiled", kernel("compiled", np.ones((1, 2, 2)), np.ones((1, 2, 2)), None, None, None, None), ValueError, "table of rows, of columns"),
    *[ErrorCase(f"resize: a place beyond the end, {variant}", kernel(variant, np.ones((1, 2, 2)), np.ones((1, 1, 2)), np.array([[2]]), None, None, None),
                IndexError, "resize") for variant in ("reference", "compiled")],
]
for f in ("upsample", "upsample_nearest", "upsample_bilinear"):
    ERRORS += [
        ErrorCase(f"{f}: a list", lambda f=f: getattr(F, f)([1.0], 2), TypeError, "got list"),
        ErrorCase(f"{f}: neither size nor factor", lambda f=f: getattr(F, f)(X), ValueError, "either size or scale_factor"),
        ErrorCase(f"{f}: a matrix", lambda f=f: getattr(F, f)(ml.ones(3, 3), 2), ValueError, r"got \(3, 3\)"),
    ]
for name in ("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"):
    ERRORS += [
        ErrorCase(f"{name}: neither size nor factor", lambda name=name: getattr(ml, name)(), ValueError, f"{name}: expected either size or scale_factor"),
        ErrorCase(f"{name}: size and factor", lambda name=name: getattr(ml, name)(2, 2), ValueError, f"{name}: expected either size or scale_factor"),
        ErrorCase(f"{name}: a factor of 0", lambda name=name: getattr(ml, name)(scale_factor=0), ValueError, f"{name}: expected scale_factor"),
    ]
ERRORS.append(ErrorCase("Upsample: an unknown mode", lambda: ml.Upsample(2, mode="cubic"), ValueError, "Upsample: expected mode .*'cubic'"))
for name, what in (("PixelShuffle", "upscale_factor"), ("PixelUnshuffle", "downscale_factor"), ("ChannelShuffle", "groups")):
    ERRORS += [
        ErrorCase(f"{name}: a factor of 0", lambda name=name: getattr(ml, name)(0), ValueError, f"{name}: expected {what} >= 1"),
        ErrorCase(f"{name}: a float", lambda name=name: getattr(ml, name)(2.0), TypeError, f"{name}: expected {what} to be an integer"),
        ErrorCase(f"{name}: what does not divide", lambda name=name: getattr(ml, name)(5)(X), ValueError, "divisible"),
    ]
