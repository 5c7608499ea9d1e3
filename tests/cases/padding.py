"""Rows of the padding family."""
import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import EVERY, ErrorCase, KernelCase, LayerCase, OpCase, each_shape, normal, out
from minilayer import tape
from minilayer._ext import dispatch
from minilayer.ops import padding

MODES = ("reflect", "replicate", "circular")
PADDED = [              # (N, D, H, W), before, after
    ((3, 1, 4, 5), (0, 1, 2), (0, 2, 1)), ((1, 1, 1, 1), (0, 0, 0), (0, 0, 0)), ((0, 1, 3, 3), (0, 1, 1), (0, 0, 2)),
    ((2, 3, 4, 5), (2, 1, 0), (1, 3, 4)), ((2, 1, 1, 9), (0, 0, 8), (0, 0, 3)), ((7, 1, 60, 65), (0, 1, 1), (0, 1, 1)),
    ((1, 2, 3, 131), (1, 0, 7), (0, 0, 64))]


def grown(shape, before, after):
    return (shape[0], *(b + n + a for b, n, a in zip(before, shape[1:], after, strict=True)))


def pad_samples(rng, dtype):
    for shape, before, after in PADDED:
        for mode in MODES:
            yield (normal(rng, shape, dtype), out(grown(shape, before, after), dtype)), {"before": before, "mode": mode}
    yield (normal(rng, (2, 1, 1, 1), dtype), out((2, 2, 4, 6), dtype)), {"before": (1, 3, 2), "mode": "replicate"}


def pad_backward_samples(rng, dtype):
    for shape, before, after in PADDED:
        for mode in MODES:
            yield (normal(rng, grown(shape, before, after), dtype), out(shape, dtype)), {"before": before, "mode": mode}
    yield (normal(rng, (2, 2, 4, 6), dtype), out((2, 1, 1, 1), dtype)), {"before": (1, 3, 2), "mode": "replicate"}


KERNELS = [
    KernelCase("padding", "pad", pad_samples, outs=(1,), dtypes=EVERY, bound=0, special=True),
    KernelCase("padding", "pad_backward", pad_backward_samples, outs=(1,), bound=16, scale="terms"),
]

CUBES = [(2, 3, 4), (2, 1, 3), (0, 3, 2)]
OPS = [
    OpCase("pad", lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 2, 0), value=1.5), F.pad(x, (-1, 1)), F.pad(x, [0, 0, 0, 0, 1, 0])),
           each_shape(normal, CUBES), op="padding.Pad", second=True),
    OpCase("pad with the tensor's own values", lambda x: tuple(F.pad(x, (1, 2), mode) for mode in MODES),
           each_shape(normal, [(2, 3, 4), (1, 3), (0, 2, 3)]), op="padding.EdgePad", second=True),
    OpCase("pad two and three axes", lambda x: (*(F.pad(x, (2, 1, 0, 1), mode) for mode in MODES if x.ndim == 4), *(F.pad(x, (1, 0, 0, 1, 1, 1), mode) for mode in MODES)),
           each_shape(normal, [(2, 2, 3, 4), (1, 2, 2, 2, 3)]), op="padding.EdgePad", second=True),
    OpCase("pad and cut", lambda x: tuple(F.pad(x, (-1, 2, 1, -1), mode) for mode in MODES), each_shape(normal, [(2, 3, 4)]), op="padding.EdgePad", second=True),
    OpCase("gradient of a padding", lambda x: tape.apply(padding.EdgeSum(padding.EdgePad((1, 2), (1, 0), "reflect"), (2, 3, 4)), x),
           each_shape(normal, [(2, 5, 6)]), op="padding.EdgeSum", second=True),
]

SHAPE = {1: (3, 2, 5), 2: (2, 2, 4, 5), 3: (2, 2, 3, 4, 5)}
SIDES = {1: (2, 1), 2: (2, 1, 0, 3), 3: (2, 1, 0, 3, 1, 2)}
LAYERS = []
for n in (1, 2, 3):
    def inputs(rng, dtype, n=n):
        return (normal(rng, SHAPE[n], dtype),)
    LAYERS += [LayerCase(f"ConstantPad{n}d", lambda n=n: getattr(ml, f"ConstantPad{n}d")(1, 2.5), inputs),
               LayerCase(f"ConstantPad{n}d sides", lambda n=n: getattr(ml, f"ConstantPad{n}d")(SIDES[n], -1), inputs)]
    for name, most in (("ZeroPad", 3), ("ReflectionPad", 2), ("ReplicationPad", 7), ("CircularPad", 3)):
        sides = tuple(min(s, most) for s in SIDES[n])
        LAYERS += [LayerCase(f"{name}{n}d", lambda n=n, name=name: getattr(ml, f"{name}{n}d")(1), inputs),
                   LayerCase(f"{name}{n}d sides", lambda n=n, name=name, sides=sides: getattr(ml, f"{name}{n}d")(sides), inputs),
                   LayerCase(f"{name}{n}d cutting", lambda n=n, name=name: getattr(ml, f"{name}{n}d")((-1, 1) * n), inputs)]

X = ml.ones(2, 3, 4)


def kernel(variant, function, *arrays, **settings):
    def call():
        with dispatch.use_backend(variant):
            getattr(dispatch.family("padding").cpu, function)(*arrays, **settings)
    return call


ERRORS = [
    ErrorCase("pad: an unknown mode", lambda: F.pad(X, (1, 1), "mirror"), ValueError, "pad: expected mode .*'mirror'"),
    ErrorCase("pad: a number", lambda: F.pad(X, 2), TypeError, "pad: expected a tuple of integers"),
    ErrorCase("pad: a float", lambda: F.pad(X, (1, 1.5)), TypeError, "pad: expected integers, got 1.5"),
    ErrorCase("pad: an odd count", lambda: F.pad(X, (1, 1, 1)), ValueError, "pad: expected a pair of numbers"),
    ErrorCase("pad: beyond 64 bits", lambda: F.pad(X, (2**70, 0)), ValueError, r"between -2\*\*31 and 2\*\*31, got 1180"),
    ErrorCase("pad: sums beyond 64 bits", lambda: F.pad(X, (2**62, 2**62), "replicate"), ValueError, r"pad: expected integers between -2\*\*31 and 2\*\*31"),
    ErrorCase("pad: no memory for a constant", lambda: F.pad(X, (2**31 - 1,) * 4), MemoryError, "pad: no memory for a result of shape .2, 4294967297, 4294967298. and float32"),
    ErrorCase("pad: no memory for edges", lambda: F.pad(X, (2**31 - 1,) * 4, "replicate"), MemoryError, "pad: no memory for a result of shape"),
    ErrorCase("pad: NaN among integers", lambda: F.pad(ml.ones(3, dtype="int64"), (1, 1), value=float("nan")), ValueError, r"pad: expected a value that int64 holds, got nan; .*\.float\(\)"),
    ErrorCase("pad: a value too large", lambda: F.pad(ml.ones(3, dtype="uint8"), (1, 1), value=256), ValueError, "a value that uint8 holds, got 256"),
    ErrorCase("pad: a value too small", lambda: F.pad(ml.ones(3, dtype="int32"), (1, 1), value=-2**31 - 1), ValueError, "a value that int32 holds"),
    ErrorCase("pad: a text as value", lambda: F.pad(X, (1, 1), value="1"), TypeError, "pad: expected value to be a number, got '1'"),
    ErrorCase("pad: an integer beyond floats", lambda: F.pad(X, (1, 1), value=2**2000), TypeError, "pad: expected value to be a number"),
    ErrorCase("pad: too much cut off", lambda: F.pad(X, (-3, -3)), ValueError, "cuts off more"),
    ErrorCase("pad: a value with a mode of its own", lambda: F.pad(X, (1, 1), "reflect", 1.0), ValueError, "no value with mode 'reflect'"),
    ErrorCase("pad: four axes", lambda: F.pad(ml.ones(2, 2, 2, 2, 2), (1, 1) * 4, "circular"), ValueError, "at most three axes"),
    *[ErrorCase(f"pad: {words}", lambda shape=shape, pad=pad, mode=mode: F.pad(ml.ones(*shape), pad, mode), ValueError,
                rf"pad: with mode '{mode}', expected numbers for all axes behind the channels, .*got {len(pad)} numbers for shape")
      for words, shape, pad, mode in (("no channels", (5,), (1, 1), "reflect"), ("images and one axis", (1, 1, 2, 3), (1, 1), "circular"),
                                      ("all of three axes", (1, 2, 3), (1, 1, 1, 1, 0, 0), "replicate"),
                                      ("volumes and two axes", (1, 1, 2, 2, 3), (0,) * 4, "reflect"))],
    ErrorCase("pad: a mirror image too wide", lambda: F.pad(X, (4, 0), "reflect"), ValueError, "at most 3 elements"),
    ErrorCase("pad: more than a turn", lambda: F.pad(X, (5, 0), "circular"), ValueError, "at most 4 elements"),
]
for n in (1, 2, 3):
    for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular"):
        name = f"{kind}Pad{n}d"

        def make(padding, name=name, more=(1.0,) if kind == "Constant" else ()):
            return lambda: getattr(ml, name)(padding, *more)
        ERRORS += [
            ErrorCase(f"{name}: a wrong count", make((1,) * (2 * n + 1)), ValueError, f"{name}: expected padding to be an integer or {2 * n} of them"),
            ErrorCase(f"{name}: a float", make(1.5), TypeError, f"{name}: expected padding to be integers, got 1.5"),
            ErrorCase(f"{name}: a bool", make(True), TypeError, f"{name}: expected padding to be integers, got True"),
        ]
        if kind == "Constant":
            ERRORS.append(ErrorCase(f"{name}: a text", lambda name=name: getattr(ml, name)(1, "0"), TypeError, f"{name}: expected value to be a number"))
        elif kind != "Zero":
            ERRORS += [
                ErrorCase(f"{name}: too many axes", lambda name=name, n=n: getattr(ml, name)(1)(ml.ones(*(2,) * (n + 3))), ValueError, f"{name}: expected an input with {n} axes"),
                ErrorCase(f"{name}: a list", lambda name=name: getattr(ml, name)(1)([1.0]), ValueError, f"{name}: .*got list"),
            ]
for variant in ("reference", "compiled"):
    ERRORS += [
        ErrorCase(f"padding kernel: an unknown mode, {variant}", kernel(variant, "pad", np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 4)), before=(0, 0, 1), mode="mirror"), ValueError, "'mirror'"),
        ErrorCase(f"padding kernel: a mirror image too wide, {variant}", kernel(variant, "pad_backward", np.ones((1, 1, 2, 6)), np.ones((1, 1, 2, 2)), before=(0, 0, 2), mode="reflect"),
                  ValueError, "."),
    ]
