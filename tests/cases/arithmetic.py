"""Rows of the arithmetic family."""
import math

import numpy as np

import minilayer as ml
from cases.base import (
    BIG,
    INTS,
    NUMBERS,
    SHAPES,
    ErrorCase,
    KernelCase,
    OpCase,
    distinct,
    each_shape,
    few,
    normal,
    off_zero,
    out,
    positive,
)
from minilayer.ops import arithmetic

BROADCASTS = [((3, 5), (3, 5)), ((), ()), ((1,), (1,)), ((0, 3), (3,)), ((2, 1, 4), (3, 1)), ((4, 1), (1, 6)),
              ((), (2, 3)), ((1, 17), (33, 1)), ((2, 3, 4), (2, 3, 4)), ((31, 33), (33,)), ((1, 1, 3), (2, 5, 3)), ((2, 40001), (2, 1))]


def binary(make_a=normal, make_b=normal, shapes=tuple(BROADCASTS), y_dtype=None):
    """Kernel samples (a, b, ->y) over broadcasting shapes."""
    def samples(rng, dtype):
        for a, b in [*shapes, (BIG, BIG[1:])]:
            yield (make_a(rng, a, dtype), make_b(rng, b, dtype), out(np.broadcast_shapes(a, b), y_dtype or dtype)), {}
    return samples


def divisor(rng, shape, dtype):
    """Floats of any size; integers other than 0."""
    b = normal(rng, shape, dtype)
    return b if b.dtype.kind == "f" else np.where(b == 0, 1, b).astype(dtype)


def positive_or_whole(rng, shape, dtype):
    """What can be raised to any power: positive floats, any integers."""
    return positive(rng, shape, dtype) if np.dtype(dtype).kind == "f" else normal(rng, shape, dtype)


def exponent(rng, shape, dtype):
    """Floats, some of them whole; integers of either sign."""
    if np.dtype(dtype).kind == "f":
        return np.where(rng.random(shape) < 0.3, few(rng, shape, dtype), normal(rng, shape, dtype)).astype(dtype)
    return np.asarray(rng.integers(0 if np.dtype(dtype).kind == "u" else -3, 6, shape)).astype(dtype)


def wide(rng, shape, dtype):
    """Integers of every size, and some of them near 0."""
    bounds = np.iinfo(dtype)
    x = rng.integers(bounds.min, bounds.max, shape, dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.3, np.asarray(rng.integers(0, 5, shape)).astype(dtype), x)


def shift(rng, shape, dtype):
    """Counts of bits to shift by: some negative where there is a sign, some beyond the last bit."""
    bits = 8 * np.dtype(dtype).itemsize
    x = rng.integers(0 if np.dtype(dtype).kind == "u" else -2, bits + 3, shape)
    return np.where(rng.random(shape) < 0.1, np.iinfo(dtype).max, x).astype(dtype)


def one_exponent(rng, dtype):
    """x to a single power: those with a loop of their own, and another."""
    for power in (2, -1, 0.5, 3):
        for shape in ((7,), (2, 3), (2, 0), (33, 31)):
            yield (positive(rng, shape, dtype), np.asarray(power, dtype), out(shape, dtype)), {}


def where_samples(rng, dtype):
    for c, a, b in [((3, 5), (3, 5), (3, 5)), ((), (), ()), ((1,), (1,), (1,)), ((4, 1), (1, 600), ()),
                    ((0, 2), (2,), (1, 1)),
                    ((33, 31), (), (33, 1)), (BIG, BIG, ())]:
        y = np.broadcast_shapes(c, a, b)
        yield (normal(rng, c, "bool"), normal(rng, a, dtype), normal(rng, b, dtype), out(y, dtype)), {}


def where_backward_samples(rng, dtype):
    for c, dy in [((3, 5), (3, 5)), ((), ()), ((1,), (2, 3)), ((4, 1), (4, 600)), ((0,), (0,)), (BIG, BIG)]:
        for a, b in ((True, True), (True, False), (False, True)):
            yield (normal(rng, c, "bool"), normal(rng, dy, dtype),
                   out(dy, dtype) if a else None, out(dy, dtype) if b else None), {}


def binary_backward(make_a, make_b):
    """Kernel samples (a, b, dy, ->da, ->db), with one of da and db left out now and then."""
    def samples(rng, dtype):
        for i, (a, b) in enumerate([*BROADCASTS, (BIG, BIG[1:])]):
            y = np.broadcast_shapes(a, b)
            yield (make_a(rng, a, dtype), make_b(rng, b, dtype), normal(rng, y, dtype),
                   out(y, dtype) if i % 3 != 1 else None, out(y, dtype) if i % 3 != 2 else None), {}
    return samples


def pairs(make_a=normal, make_b=normal):
    """Op samples (a, b) over broadcasting shapes."""
    return lambda rng: [(make_a(rng, a), make_b(rng, b)) for a, b in BROADCASTS]


def apart(rng):
    """(a, b) without ties: their differences are odd multiples of 0.05."""
    for a, b in BROADCASTS:
        yield distinct(rng, a), distinct(rng, b) + 0.05 * (1 - math.prod(b) % 2 + math.prod(a) % 2) + 0.025


def off_whole(rng):
    """(a, b) with a / b at least 0.2 from an integer on both sides."""
    for a, b in BROADCASTS:
        d = np.full(b, 0.5) * rng.choice([-1.0, 1.0], b)
        yield np.asarray(rng.integers(-9, 9, a)) * 0.5 + rng.uniform(0.1, 0.4, a), d


KERNELS = [
    *[KernelCase("arithmetic", name, binary(), outs=(2,), strided=(0, 1, 2), dtypes=NUMBERS, bound=0, special=True)
      for name in ("add", "sub", "mul", "maximum", "minimum")],
    *[KernelCase("arithmetic", name, binary(), outs=(2,), strided=(0, 1, 2), dtypes=("bool",), bound=0)
      for name in ("add", "mul", "maximum", "minimum")],
    KernelCase("arithmetic", "div", binary(), outs=(2,), strided=(0, 1, 2), bound=0, special=True),
    *[KernelCase("arithmetic", name, binary(normal, divisor), outs=(2,), strided=(0, 1, 2), dtypes=NUMBERS, bound=0,
                 special=True)
      for name in ("floor_divide", "trunc_divide", "remainder")],
    KernelCase("arithmetic", "pow", binary(positive_or_whole, exponent), outs=(2,), strided=(0, 1, 2), dtypes=NUMBERS,
               special=True),
    KernelCase("arithmetic", "pow", one_exponent, outs=(2,), strided=(0, 2), special=True),
    *[KernelCase("arithmetic", name, binary(few, few, y_dtype="bool"), outs=(2,), strided=(0, 1, 2),
                 dtypes=(*NUMBERS, "bool"), special=True)
      for name in ("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor")],
    *[KernelCase("arithmetic", f"bitwise_{name}", binary(wide, wide), outs=(2,), strided=(0, 1, 2), dtypes=INTS, bound=0)
      for name in ("and", "or", "xor")],
    *[KernelCase("arithmetic", f"bitwise_{name}", binary(), outs=(2,), strided=(0, 1, 2), dtypes=("bool",), bound=0)
      for name in ("and", "or", "xor")],
    *[KernelCase("arithmetic", f"bitwise_{name}_shift", binary(wide, shift), outs=(2,), strided=(0, 1, 2), dtypes=INTS, bound=0)
      for name in ("left", "right")],
    KernelCase("arithmetic", "where", where_samples, outs=(3,), strided=(0, 1, 2, 3), dtypes=(*NUMBERS, "bool"),
               bound=0, special=True),
    KernelCase("arithmetic", "where_backward", where_backward_samples, outs=(2, 3), strided=(0, 1, 2, 3), bound=0),
    *[KernelCase("arithmetic", name, binary_backward(few, few), outs=(3, 4), strided=(0, 1, 2, 3, 4), bound=0,
                 special=True)
      for name in ("maximum_backward", "minimum_backward")],
    KernelCase("arithmetic", "pow_backward", binary_backward(positive_or_whole, exponent), outs=(3, 4),
               strided=(0, 1, 2, 3, 4), bound=8),
]
OPS = [
    OpCase("add", lambda a, b: a + b, pairs(), op="arithmetic.Add", second=True),
    OpCase("sub", lambda a, b: a - b, pairs(), op="arithmetic.Sub", second=True),
    OpCase("mul", lambda a, b: a * b, pairs(), op="arithmetic.Mul", second=True),
    OpCase("div", lambda a, b: a / b, pairs(normal, off_zero), op="arithmetic.Div", second=True),
    OpCase("pow", lambda a, b: a ** b, pairs(positive, normal), op="arithmetic.Pow", second=True),
    OpCase("pow with a number", lambda a: (a ** 2, a ** 3, 2.0 ** a, 1.0 / a), each_shape(off_zero),
           op=("arithmetic.Pow", "arithmetic.Div"), second=True),
    OpCase("maximum", arithmetic.maximum, apart, op="arithmetic.Maximum", second=True),
    OpCase("minimum", arithmetic.minimum, apart, op="arithmetic.Minimum", second=True),
    OpCase("remainder", lambda a, b: a % b, off_whole, op="arithmetic.Remainder", second=True),
    OpCase("where", lambda c, a, b: arithmetic.where(c, a, b), lambda rng: [
        (normal(rng, c, "bool"), normal(rng, a), normal(rng, b))
        for c, a, b in [((3, 5), (3, 5), (3, 5)), ((), (), ()), ((4, 1), (1, 3), ()), ((0, 2), (2,), (1, 1)),
                        ((3,), (2, 3), (2, 1))]],
        op="arithmetic.Where", second=True),
    OpCase("where with numbers", lambda c, a: (arithmetic.where(c, a, 0.5), arithmetic.where(c, -1, a)),
           lambda rng: [(normal(rng, s, "bool"), normal(rng, s)) for s in SHAPES], op="arithmetic.Where", second=True),
    OpCase("comparisons", lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b), pairs(few, few),
           op=tuple(f"arithmetic.{name}" for name in ("Eq", "Ne", "Lt", "Le", "Gt", "Ge")), differentiable=False),
    OpCase("logic", lambda a, b: [f(a, b) for f in (arithmetic.logical_and, arithmetic.logical_or,
                                                    arithmetic.logical_xor)],
           pairs(few, few), op=("arithmetic.LogicalAnd", "arithmetic.LogicalOr", "arithmetic.LogicalXor"),
           differentiable=False),
    OpCase("bitwise", lambda a, b: (a & b, a | b, a ^ b, ~a, a << b, a >> b, a & 5, 5 ^ a), lambda rng: [
        (wide(rng, a, dtype), shift(rng, b, dtype)) for a, b in BROADCASTS for dtype in INTS],
        op=tuple(f"arithmetic.{name}" for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "LeftShift", "RightShift")),
        differentiable=False, low=False),
    OpCase("bitwise of bools", lambda a, b: (a & b, a | b, a ^ b, ~a, a & True, a | 1), lambda rng: [
        (normal(rng, a, "bool"), normal(rng, b, "bool")) for a, b in BROADCASTS],
        op=tuple(f"arithmetic.{name}" for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")), differentiable=False, low=False),
    OpCase("rounded division",
           lambda a, b: (a // b, *[arithmetic.div(a, b, rounding_mode=mode) for mode in ("floor", "trunc")]), off_whole,
           op=("arithmetic.FloorDivide", "arithmetic.TruncDivide"), second=True),
    OpCase("compositions", lambda a, b: (arithmetic.addcmul(a, b, b, value=0.5), arithmetic.addcdiv(a, b, b + 9.0), arithmetic.lerp(a, b, 0.2), arithmetic.lerp(a, b, 0.7), arithmetic.lerp(a, b, a.sigmoid()), arithmetic.rsub(a, b),
                                        a.clamp(b, b + 1.0)), lambda rng: [(normal(rng, (3, 4)), normal(rng, (4,)))], op=("arithmetic.Add", "arithmetic.Where"), second=True),
    OpCase("float_power", lambda a, b: arithmetic.float_power(a, b), lambda rng: [(positive(rng, (3, 4)), normal(rng, (4,)))], op="arithmetic.Pow", second=True, low=False),
]

TWO, TWICE = ml.ones(2), ml.ones(2, dtype="float64")
ERRORS = [ErrorCase(f"{f.__name__}: {what}", lambda f=f, x=x: f(x, x), TypeError, f"{f.__name__}: expected") for f in (arithmetic.isclose, arithmetic.equal) for what, x in [("lists", [1.0]), ("numbers", 1.0), ("nothing", None)]]
ERRORS += [ErrorCase(f"lerp: {what}", lambda x=x: arithmetic.lerp(x, x, 0.5), TypeError, "lerp: expected") for what, x in [("lists", [1.0]), ("numbers", 1.0), ("nothing", None)]]
ERRORS += [
    ErrorCase("lerp: integers", lambda: arithmetic.lerp(ml.arange(2), TWO, 0.5), TypeError, "lerp: expected float32 or float64, got int64"),
    ErrorCase("isclose: two types", lambda: arithmetic.isclose(TWO, TWICE), TypeError, "one dtype, got float32 and float64"), ErrorCase("clamp: a list as bounds", lambda: TWO.clamp([1.0]), TypeError, "clamp: expected numbers as bounds, got list"),
    ErrorCase("clamp: a tensor that does not broadcast", lambda: TWO.clamp(ml.ones(3)), ValueError, "expected shapes that broadcast"), ErrorCase("where: one side", lambda: arithmetic.where(TWO > 0, TWO), (TypeError, ValueError), "where"),
]
