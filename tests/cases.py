"""One row per kernel, op and layer: what to call and on which samples. Generic tests do the rest.

    KERNELS  test_kernels.py   contract equal in all variants, agreement with the reference, poisoned outputs, untouched
                               inputs, strides, accumulate, same bits for every thread count
    OPS      test_ops.py       dtypes and backends agree, gradient checks, both tellings of backward, the stand-in device
    LAYERS   test_layers.py    shapes, dtypes, state round trip, repr, batch of n = n singles, train and eval, gradients

A kernel, op or layer without a row fails the suite, and so does an op without a cost rule, or one without three kinds
of misuse in ERRORS (for what the project comes with, that table is in test_errors.py). Each family has one section here, in the order of the files; keep to yours.

Samples should cover odd sizes, empty, size 1, 0-d where it has a meaning, and sizes that straddle a tile. Keep them
small: a row should cost tens of milliseconds. Give values that stay away from kinks (|x| > 0.1 for relu and abs; no
ties for max): a gradient check differs from the truth there, not the rule.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import minilayer as ml
from minilayer import tape
from minilayer.ops import arithmetic, elementwise, indexing, matmul, reduce
from minilayer.ops import shape as shaping
from minilayer.ops.boundary import Boundary

FLOATS = ("float32", "float64")
INTS = ("int64", "int32", "uint8")
NUMBERS = FLOATS + INTS


@dataclass
class KernelCase:
    """A function of a kernel family.

    samples(rng, dtype) yields (args, kwargs), args in the kernel's order, out arrays included: make those with `out`;
    the tests fill them with NaN or garbage first. An argument may be None or a list or tuple of arrays.
    """
    family: str
    function: str
    samples: Callable
    outs: tuple = ()            # positions of arrays the kernel overwrites
    inouts: tuple = ()          # positions of arrays it changes (running statistics, optimiser state)
    dtypes: tuple = FLOATS      # what samples is asked for
    strided: tuple = ()         # positions that may have any strides: they are also tried transposed, reversed, spaced
    accumulate: tuple | None = None     # outs that accumulate=True adds to; None: all, where the function has the setting
    bound: float = 4.0          # allowed difference from the reference, in units of rounding; 0: equal to the bit
    scale: str = "value"        # one unit of rounding is epsilon times "value": the value itself; "max": the largest
                                # value of that output; "terms": the sum of the absolute values of its terms (sums of
                                # products, found by running the reference on the absolute values of the inputs)
    special: bool = False       # also try NaN, infinities, both zeros and denormals in its float inputs

    def __str__(self):
        return f"{self.family}.{self.function}"


@dataclass
class OpCase:
    """One or more ops, through the function users call.

    samples(rng) yields tuples of float64 arrays (and index or mask arrays, or None). call gets them as tensors, the
    float64 ones asking for gradients, and returns a tensor or a tuple of tensors. Settings belong into call.
    """
    name: str
    call: Callable
    samples: Callable
    op: str | tuple = ()        # "matmul.Matmul": file and class in minilayer/ops, of each op this row answers for
    second: bool = False        # is the gradient differentiable too (create_graph=True)?
    differentiable: bool = True
    eps: float = 1e-6           # step of the gradient check
    low: bool = True            # also compare float32 with float64
    bound: float = 64.0         # for that: units of float32 rounding, relative to the largest value
    standin: bool = True        # runs on the stand-in device

    def __str__(self):
        return self.name


@dataclass
class LayerCase:
    """A layer. inputs(rng, dtype) gives the tuple of arrays that forward takes, batch on `batch_axis`."""
    name: str                   # the class's public name, with what is special about this row: "Conv2d groups"
    make: Callable              # () -> layer, parameters float32
    inputs: Callable
    batch_axis: int | None = 0  # None: has no batch (losses)
    per_item: bool = True       # a batch of n equals n singles (not: batch norm while training, dropout)
    modes: tuple = ("train", "eval")
    differentiable: bool = True # gradient check of inputs and parameters
    random: bool = False        # draws random numbers when it runs
    bound: float = 64.0         # units of rounding, relative to the largest value, for all comparisons

    @property
    def layer(self) -> str:
        return self.name.split()[0]

    def __str__(self):
        return self.name


@dataclass
class ErrorCase:
    """One misuse. name is "subject: what is wrong", the subject an op's function, a layer or a command."""
    name: str
    call: Callable
    raises: type
    match: str                  # regular expression found in the message

    @property
    def subject(self) -> str:
        return self.name.split(":")[0]

    def __str__(self):
        return self.name


KERNELS: list = []
OPS: list = []
LAYERS: list = []
ERRORS: list = []             # most of them are in test_errors.py


# ---- helpers for samples ----

SHAPES = [(3, 5), (), (1,), (0,), (2, 0, 3), (7,), (1, 1), (2, 3, 4), (1, 17), (33, 31), (2, 1, 3, 2)]
BIG = (5, 7, 1031)              # enough elements to be shared out among threads


def normal(rng, shape, dtype="float64"):
    """Normal values; for integer dtypes small integers, for bool coin flips."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if kind in "iu":
        return np.asarray(rng.integers(0 if kind == "u" else -9, 10, shape)).astype(dtype)
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def off_zero(rng, shape, dtype="float64"):
    """Values of either sign with 0.2 < |x| < 2.2."""
    x = np.asarray(rng.uniform(0.2, 2.2, shape) * rng.choice([-1.0, 1.0], shape)).astype(dtype)
    return x


def positive(rng, shape, dtype="float64"):
    """Values in 0.2 to 2.2."""
    return np.asarray(rng.uniform(0.2, 2.2, shape)).astype(dtype)


def distinct(rng, shape, dtype="float64"):
    """Values no two of which are closer than 0.1, in random order: maxima without ties."""
    n = math.prod(shape)
    return (0.1 * rng.permutation(n) - 0.05 * n).reshape(shape).astype(dtype)


def out(shape, dtype):
    """An out array. (Its values do not matter.)"""
    return np.empty(shape, dtype)


def each_shape(make, shapes=tuple(SHAPES)):
    """Samples of ops with one argument: (make(rng, shape),) for each shape."""
    return lambda rng: [(make(rng, shape),) for shape in shapes]


# ---- arithmetic ----

BROADCASTS = [((3, 5), (3, 5)), ((), ()), ((1,), (1,)), ((0, 3), (3,)), ((2, 1, 4), (3, 1)), ((4, 1), (1, 6)),
              ((), (2, 3)), ((1, 17), (33, 1)), ((2, 3, 4), (2, 3, 4)), ((31, 33), (33,)), ((1, 1, 3), (2, 5, 3))]


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


def few(rng, shape, dtype="float64"):
    """-1, 0 or 1 (0 or 1 where unsigned): many ties."""
    return np.asarray(rng.integers(0 if np.dtype(dtype).kind in "ub" else -1, 2, shape)).astype(dtype)


def positive_or_whole(rng, shape, dtype):
    """What can be raised to any power: positive floats, any integers."""
    return positive(rng, shape, dtype) if np.dtype(dtype).kind == "f" else normal(rng, shape, dtype)


def exponent(rng, shape, dtype):
    """Floats, some of them whole; integers of either sign."""
    if np.dtype(dtype).kind == "f":
        return np.where(rng.random(shape) < 0.3, few(rng, shape, dtype), normal(rng, shape, dtype)).astype(dtype)
    return np.asarray(rng.integers(0 if np.dtype(dtype).kind == "u" else -3, 6, shape)).astype(dtype)


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


KERNELS += [
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
    KernelCase("arithmetic", "where", where_samples, outs=(3,), strided=(0, 1, 2, 3), dtypes=(*NUMBERS, "bool"),
               bound=0, special=True),
    KernelCase("arithmetic", "where_backward", where_backward_samples, outs=(2, 3), strided=(0, 1, 2, 3), bound=0),
    *[KernelCase("arithmetic", name, binary_backward(few, few), outs=(3, 4), strided=(0, 1, 2, 3, 4), bound=0,
                 special=True)
      for name in ("maximum_backward", "minimum_backward")],
    KernelCase("arithmetic", "pow_backward", binary_backward(positive_or_whole, exponent), outs=(3, 4),
               strided=(0, 1, 2, 3, 4), bound=8),
]
OPS += [
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
    OpCase("rounded division",
           lambda a, b: (a // b, *[arithmetic.div(a, b, rounding_mode=mode) for mode in ("floor", "trunc")]), off_whole,
           op=("arithmetic.FloorDivide", "arithmetic.TruncDivide"), differentiable=False),
]


# ---- elementwise ----


def unary(make=normal, y_dtype=None, **settings):
    """Kernel samples (x, ->y)."""
    def samples(rng, dtype):
        for shape in [*SHAPES, BIG]:
            yield (make(rng, shape, dtype), out(shape, y_dtype or dtype)), settings
    return samples


def unary_backward(make=normal, **settings):
    """Kernel samples (x or y, dy, ->dx)."""
    def samples(rng, dtype):
        for shape in [*SHAPES, BIG]:
            yield (make(rng, shape, dtype), normal(rng, shape, dtype), out(shape, dtype)), settings
    return samples


def inside(rng, shape, dtype="float64"):
    """Values in 0.1 to 0.9."""
    return np.asarray(rng.uniform(0.1, 0.9, shape)).astype(dtype)


def halves(rng, shape, dtype="float64"):
    """Multiples of 1/2, for ties; integers as they are."""
    if np.dtype(dtype).kind != "f":
        return normal(rng, shape, dtype)
    return np.asarray(np.round(4 * normal(rng, shape)) / 2).astype(dtype)


def between_whole(rng, shape, dtype="float64"):
    """Values at least 0.1 from a multiple of 1/2: floor and round do not jump there."""
    return (0.5 * rng.integers(-5, 5, shape) + rng.uniform(0.1, 0.4, shape)).astype(dtype)


def wide(rng, shape, dtype="float64"):
    """Values of all sizes a function meets, up to about 100."""
    return np.asarray(normal(rng, shape) * 10.0 ** rng.uniform(-3, 2, shape)).astype(dtype)


def small(rng, shape, dtype="float64"):
    """Values within 4 of 0."""
    return np.asarray(rng.uniform(-4, 4, shape)).astype(dtype)


def gelu_range(rng, shape, dtype="float64"):
    """Values from -2, where 1 + erf keeps digits, to 4, none near -0.75, where the slope is 0."""
    return np.where(rng.random(shape) < 0.3, rng.uniform(-2, -1, shape), rng.uniform(-0.5, 4, shape)).astype(dtype)


def above_minus_one(rng, shape, dtype="float64"):
    """Values above -0.8."""
    return positive(rng, shape, dtype) - np.dtype(dtype).type(1)


FIRST = dict(outs=(1,), strided=(0, 1))
BACK = dict(outs=(2,), strided=(0, 1, 2))
KERNELS += [
    *[KernelCase("elementwise", name, unary(), dtypes=NUMBERS, bound=0, special=True, **FIRST)
      for name in ("neg", "abs", "sign", "square", "relu")],
    *[KernelCase("elementwise", name, unary(), dtypes=("bool",), bound=0, **FIRST)
      for name in ("abs", "sign", "square")],
    *[KernelCase("elementwise", name, unary(positive), bound=0, special=True, **FIRST)
      for name in ("reciprocal", "sqrt", "rsqrt")],
    *[KernelCase("elementwise", name, unary(halves), dtypes=(*NUMBERS, "bool"), bound=0, special=True, **FIRST)
      for name in ("floor", "ceil", "round", "trunc")],
    *[KernelCase("elementwise", name, unary(wide), special=True, **FIRST)
      for name in ("exp", "expm1", "sin", "cos", "tanh", "sigmoid", "erf")],
    *[KernelCase("elementwise", name, unary(positive), special=True, **FIRST) for name in ("log", "log1p")],
    *[KernelCase("elementwise", "gelu", unary(gelu_range, approximate=how), bound=32, **FIRST)
      for how in ("none", "tanh")],
    *[KernelCase("elementwise", "clamp", unary(halves, **bounds), dtypes=NUMBERS, bound=0, special=True, **FIRST)
      for bounds in (dict(low=1, high=3), dict(low=1), dict(high=2), {})],
    *[KernelCase("elementwise", name, unary(few, y_dtype="bool"), dtypes=(*NUMBERS, "bool"), special=True, **FIRST)
      for name in ("isnan", "isinf", "isfinite", "logical_not")],
    *[KernelCase("elementwise", f"{name}_backward", unary_backward(few), bound=0, special=True, **BACK)
      for name in ("abs", "relu")],
    *[KernelCase("elementwise", f"{name}_backward", unary_backward(off_zero), bound=4, **BACK)
      for name in ("square", "reciprocal", "sqrt", "rsqrt", "log")],
    *[KernelCase("elementwise", f"{name}_backward", unary_backward(inside), bound=4, **BACK)
      for name in ("tanh", "sigmoid")],
    KernelCase("elementwise", "erf_backward", unary_backward(small), bound=64, **BACK),
    *[KernelCase("elementwise", "gelu_backward", unary_backward(gelu_range, approximate=how), bound=64, **BACK)
      for how in ("none", "tanh")],
    *[KernelCase("elementwise", "clamp_backward", unary_backward(halves, **bounds), bound=0, special=True, **BACK)
      for bounds in (dict(low=-0.5, high=1), dict(low=0), dict(high=0.5))],
]


def row(name, op, make=normal, **more):
    """A row for a function of one tensor."""
    return OpCase(name, getattr(elementwise, name), each_shape(make), op=f"elementwise.{op}", second=True, **more)


OPS += [
    row("neg", "Neg"), row("abs", "Abs", off_zero), row("square", "Square"), row("reciprocal", "Reciprocal", off_zero),
    row("sqrt", "Sqrt", positive), row("rsqrt", "Rsqrt", positive), row("exp", "Exp"), row("expm1", "Expm1"),
    row("log", "Log", positive), row("log1p", "Log1p", above_minus_one), row("sin", "Sin"), row("cos", "Cos"),
    row("tanh", "Tanh"), row("sigmoid", "Sigmoid"), row("relu", "Relu", off_zero), row("erf", "Erf"),
    row("gelu", "Gelu"),
    OpCase("gelu tanh", lambda x: elementwise.gelu(x, approximate="tanh"), each_shape(normal), op="elementwise.Gelu",
           second=True),
    OpCase("clamp", lambda x: [elementwise.clamp(x, *bounds) for bounds in ((-0.45, 0.7), (0.2, None), (None, 0.2))],
           each_shape(between_whole), op="elementwise.Clamp", second=True),
    row("sign", "Sign", off_zero), row("floor", "Floor", between_whole), row("ceil", "Ceil", between_whole),
    row("round", "Round", between_whole), row("trunc", "Trunc", between_whole),
    OpCase("questions", lambda x: [f(x) for f in (elementwise.isnan, elementwise.isinf, elementwise.isfinite,
                                                  elementwise.logical_not)],
           each_shape(few), op=tuple(f"elementwise.{name}" for name in ("IsNan", "IsInf", "IsFinite", "LogicalNot")),
           differentiable=False),
]
LAYERS += []


# ---- reduce ----

REDUCTIONS = [((3, 5), (1,)), ((3, 5), (0,)), ((3, 5), (0, 1)), ((3, 5), ()), ((), ()), ((1,), (0,)), ((0,), (0,)), ((2, 0, 3), (1,)),
              ((2, 0, 3), (0,)), ((2, 3, 4), (0, 2)), ((2, 3, 4), (1,)), ((33, 31), (0,)), ((1, 700), (1,)), ((2, 3, 1, 5), (1, 3)),
              ((40, 600), (0,)), ((600, 5), (1,)), ((2, 35, 1031), (0, 2)), ((70000, 2), (0,)), ((3, 33000), (1,)), ((90000,), (0,))]


def kept(shape, axes):
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def reductions(make=normal, y_dtype=None, nonempty=False, shapes=tuple(REDUCTIONS)):
    """Kernel samples (x, ->y)."""
    def samples(rng, dtype):
        for shape, axes in shapes:
            if not nonempty or math.prod(shape) or not math.prod(kept(shape, axes)):
                wide = "int64" if np.dtype(dtype).kind in "iub" else dtype
                yield (make(rng, shape, dtype), out(kept(shape, axes), y_dtype(dtype, wide) if y_dtype else dtype)), {}
    return samples


def near_one(rng, shape, dtype="float64"):
    """Values whose products stay in range."""
    return np.asarray(rng.choice([1.0, -1.0], shape) * rng.uniform(0.99, 1.01, shape)).astype(dtype) if np.dtype(dtype).kind == "f" \
        else normal(rng, shape, dtype)


def few_values(rng, shape, dtype="float64"):
    """Ties, and zeros."""
    return np.asarray(rng.integers(0, 2 if np.dtype(dtype).kind == "b" else 4, shape)).astype(dtype)


def along_axis(n_outs, make=few_values):
    """Kernel samples (x, ->y, ->index, *, axis), y only where there are two outs."""
    def samples(rng, dtype):
        for shape, axis in [((3, 5), 0), ((3, 5), -1), ((1,), 0), ((7,), 0), ((2, 3, 4), 1), ((0, 3), 1), ((2, 1, 3), 1), ((33, 31), 0),
                            ((33, 31), 1), ((3, 700), 1), ((300, 300), 0), ((9, 2, 600), 0)]:
            y = tuple(1 if d == axis % len(shape) else n for d, n in enumerate(shape))
            yield (make(rng, shape, dtype), *([out(y, dtype)] if n_outs == 2 else []), out(y, "int64")), {"axis": axis}
    return samples


def max_backward_samples(rng, dtype):
    for (shape, axes), low in zip(REDUCTIONS[:16] * 2, [False] * 16 + [True] * 16, strict=True):
        if math.prod(shape):
            x = few_values(rng, shape, dtype)
            y = x.min(axes, keepdims=True) if low else x.max(axes, keepdims=True)
            yield (x, np.asarray(y), normal(rng, kept(shape, axes), dtype), out(shape, dtype)), {}


def scatter_axis_samples(rng, dtype):
    for shape, axis in [((3, 5), 0), ((3, 5), -1), ((1,), 0), ((2, 3, 4), 1), ((0, 3), 1), ((33, 31), 0), ((300, 300), 0), ((300, 300), 1)]:
        y = tuple(1 if d == axis % len(shape) else n for d, n in enumerate(shape))
        yield (normal(rng, y, dtype), rng.integers(0, shape[axis], y), out(shape, dtype)), {"axis": axis}


def prod_backward_samples(rng, dtype):
    for shape, axes in REDUCTIONS[:14]:
        x = near_one(rng, shape, dtype)
        if x.ndim == 2 and x.size:
            x[0, 0] = 0
        yield (x, normal(rng, kept(shape, axes), dtype), out(shape, dtype)), {}


def cumsum_samples(rng, dtype):
    wide = "int64" if np.dtype(dtype).kind in "iub" else dtype
    for shape, axis in [((3, 5), 0), ((3, 5), -1), ((1,), 0), ((0, 3), 0), ((0, 3), 1), ((2, 3, 4), 1), ((33, 31), 0), ((300, 300), 0), ((300, 300), 1)]:
        for reverse in (False, True):
            yield (normal(rng, shape, dtype), out(shape, wide)), {"axis": axis, "reverse": reverse}


EVERY = (*NUMBERS, "bool")

KERNELS += [
    KernelCase("reduce", "sum", reductions(y_dtype=lambda dtype, wide: wide), outs=(1,), dtypes=EVERY, strided=(0, 1), scale="terms",
               special=True),
    KernelCase("reduce", "mean", reductions(), outs=(1,), strided=(0, 1), scale="terms", special=True),
    KernelCase("reduce", "prod", reductions(near_one, lambda dtype, wide: wide, shapes=REDUCTIONS[:16]), outs=(1,), dtypes=EVERY,
               strided=(0, 1), bound=2048),
    *[KernelCase("reduce", name, reductions(nonempty=True), outs=(1,), dtypes=EVERY, strided=(0, 1), bound=0, special=True)
      for name in ("max", "min")],
    *[KernelCase("reduce", name, reductions(few_values, lambda dtype, wide: "bool"), outs=(1,), dtypes=EVERY, strided=(0, 1), special=True)
      for name in ("any", "all")],
    *[KernelCase("reduce", name, along_axis(1), outs=(1,), dtypes=EVERY, strided=(0, 1), special=True) for name in ("argmax", "argmin")],
    *[KernelCase("reduce", name, along_axis(2), outs=(1, 2), dtypes=EVERY, strided=(0, 1, 2), bound=0, special=True)
      for name in ("max_with_index", "min_with_index")],
    KernelCase("reduce", "max_backward", max_backward_samples, outs=(3,), strided=(1, 2, 3), bound=0),
    KernelCase("reduce", "scatter_axis", scatter_axis_samples, outs=(2,), strided=(0, 1, 2), bound=0),
    KernelCase("reduce", "prod_backward", prod_backward_samples, outs=(2,), strided=(0, 1, 2), bound=64),
    KernelCase("reduce", "cumsum", cumsum_samples, outs=(1,), dtypes=EVERY, strided=(0, 1), scale="terms", bound=16),
]

DIMS = [((3, 5), 1), ((3, 5), 0), ((3, 5), None), ((), None), ((1,), 0), ((2, 3, 4), (0, 2)), ((2, 3, 4), -2), ((17, 2), 0)]


def over_dims(f, make=normal, shapes=tuple(DIMS)):
    """Op call and samples: f(x, dim, keepdim) over shapes and dims. (The dims ride along in a sample as plain values.)"""
    return {"call": f, "samples": lambda rng: [(make(rng, shape), dim, keepdim) for shape, dim in shapes for keepdim in (False, True)]}


SINGLE_DIMS = [((3, 5), 1), ((3, 5), 0), ((), 0), ((1,), 0), ((2, 3, 4), -2), ((17, 2), 0)]

OPS += [
    OpCase("sum", **over_dims(reduce.sum, shapes=(*DIMS, ((0,), 0), ((2, 0), 0))), op="reduce.Sum", second=True),
    OpCase("mean", **over_dims(reduce.mean), op="reduce.Mean", second=True),
    OpCase("prod", **over_dims(reduce.prod, off_zero), op="reduce.Prod", second=True),
    OpCase("prod with zeros", lambda x: (reduce.prod(x, 1), reduce.prod(x), reduce.prod(x.reshape(3, 1, 3), (0, 1))),
           lambda rng: [(np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.5], [1.0, 2.0, -3.0]]),)], op="reduce.Prod", second=True),
    OpCase("square of extremes", lambda x: (reduce.amax((x + 9.0) ** 2, (0, -1)), reduce.min((x + 9.0) ** 2, 1).values), each_shape(distinct, [(2, 3, 4)]),
           op=("reduce.Max", "reduce.MinDim"), second=True),
    OpCase("amax", **over_dims(reduce.amax, distinct), op="reduce.Max", second=True),
    OpCase("amin", **over_dims(reduce.amin, distinct), op="reduce.Min", second=True),
    OpCase("max over all", lambda x: reduce.max(x), each_shape(distinct, [(3, 5), (), (2, 3, 4)]), op="reduce.Max", second=True),
    OpCase("min over all", lambda x: reduce.min(x), each_shape(distinct, [(3, 5), (), (2, 3, 4)]), op="reduce.Min", second=True),
    OpCase("max", **over_dims(reduce.max, distinct, SINGLE_DIMS), op="reduce.MaxDim", second=True),
    OpCase("min", **over_dims(reduce.min, distinct, SINGLE_DIMS), op="reduce.MinDim", second=True),
    OpCase("argmax", **over_dims(reduce.argmax, distinct, SINGLE_DIMS), op="reduce.Argmax", differentiable=False),
    OpCase("argmin", **over_dims(reduce.argmin, distinct, SINGLE_DIMS), op="reduce.Argmin", differentiable=False),
    OpCase("any", **over_dims(lambda x, dim, keepdim: reduce.any(x > 0, dim, keepdim)), op="reduce.Any", differentiable=False),
    OpCase("all", **over_dims(lambda x, dim, keepdim: reduce.all(x, dim, keepdim), few_values), op="reduce.All", differentiable=False),
    OpCase("cumsum", **over_dims(lambda x, dim, keepdim: reduce.cumsum(x, dim), shapes=SINGLE_DIMS), op="reduce.Cumsum", second=True),
    OpCase("var", **over_dims(reduce.var, shapes=[c for c in DIMS if math.prod(c[0]) > 1]), op="reduce.Var", second=True),
    OpCase("var biased", lambda x: reduce.var(x, -1, correction=0), each_shape(normal, [(3, 5), (2, 3, 4), (4, 1)]), op="reduce.Var", second=True),
    OpCase("std", lambda x: (reduce.std(x, 1), reduce.std(x, 0, False), reduce.std(x, None, True, True)),
           each_shape(normal, [(3, 5), (2, 3, 4)]), op="reduce.Std", second=True),
    OpCase("norm", **over_dims(lambda x, dim, keepdim: reduce.norm(x, 2, dim, keepdim), off_zero), op="reduce.Norm", second=True),
    OpCase("norms of other orders", lambda x: (reduce.norm(x, 1, 0), reduce.norm(x, 3, 1), reduce.norm(x, float("inf"))),
           lambda rng: [(distinct(rng, (3, 5)) + 2.0,)], op=("reduce.Sum", "reduce.Max"), second=True),
    OpCase("logsumexp", **over_dims(reduce.logsumexp), op="reduce.LogSumExp", second=True),
]


# ---- indexing ----

def copy_samples(rng, dtype):
    for x, y in [((3, 5), (3, 5)), ((), ()), ((1,), (1,)), ((0, 3), (0, 3)), ((), (2, 3)), ((4, 1), (2, 4, 6)), ((2, 3, 4), (2, 3, 4)),
                 ((33, 31), (33, 31)), ((1, 17), (33, 17)), ((2, 1, 3, 2), (2, 5, 3, 2)), ((130, 140), (130, 140)), ((40000,), (40000,))]:
        for y_dtype in EVERY if math.prod(y) < 1000 else (dtype, "float64"):
            yield (normal(rng, x, dtype), out(y, y_dtype)), {}


def fill_samples(rng, dtype):
    for shape in [*SHAPES, BIG]:
        for value in (0, 1, True, 2.5 if dtype[0] == "f" else 3):
            yield (out(shape, dtype),), {"value": value}


def flatten_index_samples(rng, dtype):
    def places(size, *shape):
        return rng.integers(-size, size, shape)
    yield ((places(5, 4),), out((4,), "int64")), {"sizes": (5,)}
    yield ((places(5, 3, 1), places(7, 4)), out((3, 4), "int64")), {"sizes": (5, 7)}
    yield ((0, places(7, 4)), out((3, 4), "int64")), {"sizes": (3, 7)}
    yield ((places(7, 3, 1), 1, places(2, 4)), out((3, 4), "int64")), {"sizes": (7, 4, 2), "strides": (100, 3, 1)}
    yield ((np.array(-1),), out((), "int64")), {"sizes": (3,)}
    yield ((places(2, 0, 1), 1), out((0, 3), "int64")), {"sizes": (2, 3)}
    yield ((places(300, 300), 1), out((200, 300), "int64")), {"sizes": (300, 300)}


ROW_NUMBERS = [(5, 3, 7), (1, 1, 1), (10, 1, 40), (0, 3, 0), (4, 0, 3), (3, 300, 50), (100, 40, 900)]       # rows of x, their length, indices


def take_rows_samples(rng, dtype):
    for rows, length, n in ROW_NUMBERS:
        yield (normal(rng, (rows, length), dtype), rng.integers(0, max(rows, 1), n), out((n, length), dtype)), {}


def write_rows_samples(rng, dtype):
    for rows, length, n in ROW_NUMBERS:
        yield (normal(rng, (rows, length), dtype), rng.integers(0, max(rows, 1), n), normal(rng, (n, length), dtype)), {}


def nonzero_samples(rng, dtype):
    for shape in [*SHAPES, (300, 70)]:
        x = few_values(rng, shape, dtype)
        for mask in (x, x.T):
            yield (mask, out((np.count_nonzero(mask), mask.ndim), "int64")), {}


KERNELS += [
    KernelCase("indexing", "copy", copy_samples, outs=(1,), dtypes=EVERY, strided=(0, 1), bound=0),
    KernelCase("indexing", "fill", fill_samples, outs=(0,), dtypes=EVERY, strided=(0,), bound=0),
    KernelCase("indexing", "flatten_index", flatten_index_samples, outs=(1,), dtypes=("int64",), strided=(0, 1)),
    KernelCase("indexing", "take_rows", take_rows_samples, outs=(2,), dtypes=EVERY, strided=(1, 2), bound=0, special=True),
    KernelCase("indexing", "put_rows", write_rows_samples, inouts=(0,), dtypes=EVERY, strided=(1, 2), bound=0),
    KernelCase("indexing", "add_rows", write_rows_samples, inouts=(0,), dtypes=NUMBERS, strided=(1, 2), bound=0, special=True),
    KernelCase("indexing", "count_nonzero", lambda rng, dtype: [((few_values(rng, s, dtype),), {}) for s in [*SHAPES, (300, 70)]],
               dtypes=EVERY, strided=(0,)),
    KernelCase("indexing", "nonzero", nonzero_samples, outs=(1,), dtypes=EVERY, strided=(1,)),
]


def changed(f):
    """f changes a fresh copy of x in place."""
    def call(x, *others):
        y = x * 1.0
        f(y, *others)
        return y
    return call


def set_item(index):
    return changed(lambda y, v: indexing.setitem(y, index, v))


MASK = np.array([True, False, True])

OPS += [
    OpCase("clone", indexing.clone, each_shape(normal), op="indexing.Clone", second=True),
    OpCase("to_device", lambda x: indexing.to_device(x, "cpu"), each_shape(normal), op="indexing.ToDevice", second=True, standin=False),
    OpCase("copy_", changed(indexing.copy_), lambda rng: [(normal(rng, (3, 5)), normal(rng, s)) for s in [(3, 5), (5,), (3, 1), ()]],
           op="indexing.Copy", second=True),
    OpCase("fill_", changed(lambda y, v: indexing.fill_(y, 2.0)), lambda rng: [(normal(rng, (3, 5)), None), (normal(rng, ()), None)],
           op="indexing.Fill", second=True),
    OpCase("getitem as a view", lambda x: (x[1], x[:, 1:], x[..., None, 0], x[-1, ::2], x[1:1]), each_shape(normal, [(3, 5), (2, 3, 4)]),
           op="indexing.Slice", second=True),
    OpCase("getitem, many slices of one tensor", lambda x: x[0] * x[1] + x[2] * x[0], each_shape(normal, [(3, 5)]), op="indexing.Slice",
           second=True),
    OpCase("gradient of a slice", lambda x: tape.apply(indexing.Unslice((1, slice(0, 6, 2)), (3, 7)), x), each_shape(normal, [(3,)]),
           op="indexing.Unslice", second=True),
    OpCase("getitem by places", lambda x: (x[[0, 2, 0, -1]], x[:, [1, 1]], x[[0, 1], :, [2, 0]], x[1:, [[0], [2]], 1], x[[]]),
           each_shape(normal, [(3, 4, 3)]), op="indexing.Take", second=True),
    OpCase("getitem by a single bool", lambda x: (x[True], x[False], x[..., True], x[1, True], x[[0, 2], :, True], x[True, [0, 0]]),
           each_shape(normal, [(3, 4)]), op=("indexing.Slice", "indexing.Take"), second=True),
    OpCase("setitem by a single bool", set_item((1, True)),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, s)) for s in [(4,), (1, 4), ()]], op="indexing.Put", second=True),
    OpCase("getitem by a mask", lambda x, m, r: (x[m], x[r], x[r, :, [0, 1]], x[m, 0]),
           lambda rng: [(normal(rng, (3, 4, 3)), normal(rng, (3, 4), "bool"), MASK)], op="indexing.Take", second=True),
    OpCase("gradient of taking", lambda x, places: indexing.scatter_add(x, 0, places, x),
           lambda rng: [(normal(rng, (3, 4)), rng.integers(0, 3, (3, 4)))], op="indexing.Spread", second=True),
    OpCase("setitem by places", set_item((slice(None), [0, 2])), lambda rng: [(normal(rng, (3, 4)), normal(rng, s)) for s in [(3, 2), (2,), (3, 1), ()]],
           op="indexing.Put", second=True),
    OpCase("setitem by all places", set_item([2, 0, 1]), lambda rng: [(normal(rng, (3, 4)), normal(rng, (3, 4)))], op="indexing.Put", second=True),
    OpCase("setitem in a view", set_item((slice(None), 1)), lambda rng: [(normal(rng, (3, 4)), normal(rng, s)) for s in [(3,), (1,), ()]],
           op="indexing.PutSlice", second=True),
    OpCase("setitem to a number", changed(lambda y: indexing.setitem(y, (0, slice(1, 3)), 2.0)), each_shape(normal, [(3, 4)]),
           op="indexing.PutSlice", second=True),
    OpCase("setitem by a mask", changed(lambda y, m, v: (indexing.setitem(y, m, 2.0), indexing.setitem(y, ~m, v))),
           lambda rng: [(normal(rng, (3, 4)), MASK, normal(rng, (4,)))], op=("indexing.MaskedFill", "indexing.Put"), second=True),
    OpCase("masked_fill", lambda x, m: (indexing.masked_fill(x, m, -2.0), indexing.masked_fill(x, m, x.sum())),
           lambda rng: [(normal(rng, s), normal(rng, m, "bool")) for s, m in [((3, 4), (3, 4)), ((), ()), ((2, 3, 4), (3, 1)), ((4,), (3, 4))]],
           op="indexing.MaskedFill", second=True),
    OpCase("gather", lambda x, i: indexing.gather(x, 1, i), lambda rng: [(normal(rng, (3, 4)), rng.integers(0, 4, (3, 6))),
                                                                       (normal(rng, (3, 4)), rng.integers(0, 4, (2, 1)))],
           op="indexing.Take", second=True),
    OpCase("scatter", lambda x, i, v: indexing.scatter(x, 1, i, v),
           lambda rng: [(normal(rng, (3, 4)), np.array([[0, 3], [1, 2], [2, 0]]), normal(rng, (3, 2)))], op="indexing.Put", second=True),
    OpCase("index_select", lambda x, i: indexing.index_select(x, 1, i), lambda rng: [(normal(rng, (3, 4)), np.array([1, 1, 3]))],
           op="indexing.Take", second=True),
    OpCase("masked_select", lambda x, m: indexing.masked_select(x, m), lambda rng: [(normal(rng, (3, 4)), normal(rng, (4,), "bool"))],
           op="indexing.Take", second=True),
]


# ---- shape ----

CUBES = [(2, 3, 4), (2, 1, 3), (0, 3, 2)]

OPS += [
    OpCase("reshape", lambda x: (shaping.reshape(x, -1), shaping.reshape(x.transpose(0, 1), (-1,)), shaping.flatten(x, 1),
                                 shaping.view(x, x.shape)), each_shape(normal, [(2, 3, 4), (2, 1, 3)]), op="shape.Reshape", second=True),
    OpCase("unflatten", lambda x: shaping.unflatten(x, 1, (2, -1)), each_shape(normal, [(3, 6)]), op="shape.Reshape", second=True),
    OpCase("squeeze", lambda x: (shaping.squeeze(x), shaping.squeeze(x, 1)), each_shape(normal, [*CUBES, (1, 1)]), op="shape.Squeeze", second=True),
    OpCase("unsqueeze", lambda x: (shaping.unsqueeze(x, 0), shaping.unsqueeze(x, -1)), each_shape(normal), op="shape.Unsqueeze", second=True),
    OpCase("permute", lambda x: (shaping.permute(x, 2, 0, 1), shaping.transpose(x, 0, 2), x.T, shaping.movedim(x, 0, -1)),
           each_shape(normal, CUBES), op="shape.Permute", second=True),
    OpCase("expand", lambda x: (shaping.expand(x, 5, -1, 3), shaping.expand(x, 4, 3)), lambda rng: [(normal(rng, (4, 1)),)],
           op="shape.Expand", second=True),
    OpCase("split", lambda x: shaping.split(x, 2, 1), each_shape(normal, CUBES[:2]), op="shape.Split", second=True),
    OpCase("split, one part used", lambda x: shaping.chunk(x, 2, 2)[1], each_shape(normal, CUBES[:2]), op="shape.Split", second=True),
    OpCase("unbind", lambda x: shaping.unbind(x, 1), each_shape(normal, CUBES), op="shape.Unbind", second=True),
    OpCase("unbind, one part used", lambda x: shaping.unbind(x)[1], each_shape(normal, CUBES[:2]), op="shape.Unbind", second=True),
    OpCase("cat", lambda x, y: (shaping.cat((x, y), 1), shaping.cat([y, y], -1)), lambda rng: [
        (normal(rng, (2, 3, 4)), normal(rng, (2, 1, 4))), (normal(rng, (2, 0)), normal(rng, (2, 2))), (normal(rng, (2, 3)), normal(rng, (2, 3))), (normal(rng, (33, 5)), normal(rng, (33, 40)))],
           op="shape.Concatenate", second=True),
    OpCase("stack", lambda x, y: (shaping.stack((x, y)), shaping.stack([x, y, x], -1)), lambda rng: [
        (normal(rng, s), normal(rng, s)) for s in [(3, 5), (), (0, 2)]], op="shape.Stack", second=True),
    OpCase("flip", lambda x: (shaping.flip(x, 0, 2), shaping.flip(x, (1,))), each_shape(normal, CUBES), op="shape.Flip", second=True),
    OpCase("roll", lambda x: (shaping.roll(x, 1, 1), shaping.roll(x, 5)), each_shape(normal, CUBES[:2]), op="shape.Concatenate", second=True),
    OpCase("pad", lambda x: (shaping.pad(x, (1, 2)), shaping.pad(x, (0, 1, 2, 0), value=1.5), shaping.pad(x, (-1, 1))),
           each_shape(normal, CUBES), op="shape.Pad", second=True),
    OpCase("pad with the tensor's own values", lambda x: tuple(shaping.pad(x, (1, 2), mode) for mode in ("reflect", "replicate", "circular")),
           each_shape(normal, [(2, 3, 4), (1, 3)]), op="indexing.Take", second=True),
    OpCase("repeat", lambda x: (shaping.repeat(x, 2, 1, 3), shaping.tile(x, (2,))), each_shape(normal, [(3, 4), (1, 0), (2,), ()]),
           op="shape.Repeat", second=True),
    OpCase("repeat_interleave", lambda x: (shaping.repeat_interleave(x, 2, 1), shaping.repeat_interleave(x, 3)), each_shape(normal, [(3, 4)]),
           op="shape.Expand", second=True),
    OpCase("triangles", lambda x: (shaping.tril(x), shaping.triu(x, 1), shaping.tril(x, -1), shaping.triu(x, -2)),
           each_shape(normal, [(4, 4), (3, 5), (2, 4, 3), (0, 3)]), op="shape.Triangle", second=True),
]


# ---- matmul ----

def matmul_samples(rng, dtype):
    for batch, m, k, n in [((), 3, 4, 5), ((), 1, 1, 1), ((), 0, 3, 2), ((), 3, 0, 2), ((2,), 7, 5, 3),
                           ((2, 3), 4, 6, 8), ((), 17, 33, 65), ((), 97, 129, 50), ((0,), 3, 2, 4), ((), 1, 40, 70), ((), 70, 40, 1),
                           ((), 15, 400, 33), ((9,), 30, 16, 31), ((2,), 130, 70, 130)]:
        yield (normal(rng, (*batch, m, k), dtype), normal(rng, (*batch, k, n), dtype), out((*batch, m, n), dtype)), {}
    a, b = normal(rng, (3, 1, 5, 6), dtype), normal(rng, (1, 2, 6, 7), dtype)      # an op broadcasts by zero strides
    yield (np.broadcast_to(a, (3, 2, 5, 6)), np.broadcast_to(b, (3, 2, 6, 7)), out((3, 2, 5, 7), dtype)), {}


def linear_samples(activation):
    def samples(rng, dtype):
        for m, k, n in [(3, 4, 5), (1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (32, 128, 64), (17, 33, 65), (90, 50, 129),
                        (1, 70, 40)]:
            for bias in (True, False):
                yield (normal(rng, (m, k), dtype), normal(rng, (n, k), dtype), normal(rng, n, dtype) if bias else None,
                       out((m, n), dtype)), {"activation": activation}
    return samples


def pairs_of_matrices(rng):
    for a, b in [((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)),
                 ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)),
                 ((2, 3, 4), (4,)), ((1, 3, 4), (2, 4, 1)),
                 ((0, 4), (4, 5)), ((3, 0), (0, 5)), ((0, 3, 4), (4, 5)), ((1, 1), (1, 1)), ((2, 17, 33), (33, 31))]:
        yield normal(rng, a), normal(rng, b)


def linear_arguments(rng):
    for x, n in [((5, 4), 3), ((4,), 3), ((2, 3, 4), 5), ((0, 4), 3), ((3, 0), 2), ((1, 1), 1), ((2, 17, 33), 31)]:
        for bias in (True, False):
            yield normal(rng, x), normal(rng, (n, x[-1])), normal(rng, n) if bias else None


KERNELS += [        # K equal terms, as a repeated axis makes them, round the same way K times: K/2 units, not sqrt(K)
    KernelCase("matmul", "matmul", matmul_samples, outs=(2,), strided=(0, 1, 2), bound=64, scale="terms"),
    KernelCase("matmul", "linear", linear_samples(None), outs=(3,), strided=(0, 1, 2, 3), bound=64, scale="terms"),
    KernelCase("matmul", "linear", linear_samples("relu"), outs=(3,), strided=(0, 1, 2, 3), bound=64, scale="terms",
               accumulate=()),      # relu is applied to the whole sum
]
OPS += [
    OpCase("matmul", lambda a, b: a @ b, pairs_of_matrices, op="matmul.Matmul", second=True),
    OpCase("matmul transposed", lambda a, b: b.transpose(-1, -2) @ a.transpose(-1, -2),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, (4, 5))), (normal(rng, (2, 3, 4)), normal(rng, (4, 5)))],
           op="matmul.Matmul", second=True),
    OpCase("linear", lambda x, w, b: ml.functional.linear(x, w, b), linear_arguments, op="matmul.Linear", second=True),
    OpCase("linear relu", lambda x, w, b: matmul.linear(x, w, b, activation="relu"),
           lambda rng: [(off_zero(rng, (5, 1)), off_zero(rng, (3, 1)), None),
                        (normal(rng, (2, 6, 4)), normal(rng, (7, 4)), normal(rng, 7))],
           op="matmul.Linear", second=True),
]
LAYERS += [
    LayerCase("Linear", lambda: ml.Linear(4, 3), lambda rng, dtype: (normal(rng, (5, 4), dtype),)),
    LayerCase("Linear without bias", lambda: ml.Linear(4, 3, bias=False),
              lambda rng, dtype: (normal(rng, (5, 2, 4), dtype),)),
]


# ---- conv ----

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


KERNELS += [
    KernelCase("conv", "conv2d", conv_samples("conv2d"), outs=(3,), bound=32, scale="terms"),
    KernelCase("conv", "conv2d_backward_input", conv_samples("input"), outs=(2,), bound=32, scale="terms"),
    KernelCase("conv", "conv2d_backward_weight", conv_samples("weight"), outs=(2,), bound=32, scale="terms"),
]
OPS += [
    OpCase("conv2d", lambda x, w, b: ml.functional.conv2d(x, w, b, padding=1), conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d stride dilation", lambda x, w, b: ml.functional.conv2d(
        x, w, b, stride=(2, 1), padding=(2, 1), dilation=(1, 2)), conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d same", lambda x, w, b: ml.functional.conv2d(x, w, b, padding="same", dilation=(2, 1)),
           conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d groups", lambda x, w: (ml.functional.conv2d(x, w, groups=2, padding="valid"),
                                          ml.functional.conv2d(x.transpose(-1, -2), w, groups=2)),
           lambda rng: [(normal(rng, (2, 4, 4, 5)), normal(rng, (6, 2, 3, 2)))], op="conv.Conv2d"),
]
LAYERS += [
    LayerCase("Conv2d", lambda: ml.Conv2d(3, 4, 3, padding=1), lambda rng, dtype: (normal(rng, (2, 3, 6, 5), dtype),)),
    LayerCase("Conv2d groups", lambda: ml.Conv2d(4, 6, (3, 2), stride=2, dilation=(1, 2), groups=2, bias=False),
              lambda rng, dtype: (normal(rng, (2, 4, 7, 8), dtype),)),
]


# ---- pool ----

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


KERNELS += [
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
OPS += [
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
LAYERS += [
    LayerCase("MaxPool2d", lambda: ml.MaxPool2d(2), lambda rng, dtype: (distinct(rng, (3, 2, 4, 6), dtype),)),
    LayerCase("MaxPool2d padded", lambda: ml.MaxPool2d(3, 2, 1, ceil_mode=True),
              lambda rng, dtype: (distinct(rng, (2, 2, 6, 5), dtype),)),
    LayerCase("AvgPool2d", lambda: ml.AvgPool2d(3, 2, 1, count_include_pad=False),
              lambda rng, dtype: (normal(rng, (2, 2, 6, 5), dtype),)),
    LayerCase("AdaptiveAvgPool2d", lambda: ml.AdaptiveAvgPool2d((2, None)),
              lambda rng, dtype: (normal(rng, (2, 3, 5, 3), dtype),)),
]


# ---- norm ----

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


KERNELS += [
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
OPS += [
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
LAYERS += [
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


# ---- softmax, losses ----

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
KERNELS += [
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


OPS += [
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
    OpCase("mse_loss", lambda x, y: tuple(ml.functional.mse_loss(x, y, reduction=how) for how in ("mean", "sum",
        "none")),
           lambda rng: [(normal(rng, s), normal(rng, s)) for s in SHAPES if math.prod(s)], op="arithmetic.Mul",
           second=True),
]
LAYERS += [
    LayerCase("Softmax", lambda: ml.Softmax(-1), lambda rng, dtype: (normal(rng, (4, 5), dtype),)),
    LayerCase("LogSoftmax", lambda: ml.LogSoftmax(1), lambda rng, dtype: (normal(rng, (4, 5, 2), dtype),)),
    LayerCase("MSELoss", lambda: ml.MSELoss(),
              lambda rng, dtype: (normal(rng, (4, 3), dtype), normal(rng, (4, 3), dtype)), batch_axis=None),
    LayerCase("CrossEntropyLoss", lambda: ml.CrossEntropyLoss(),
              lambda rng, dtype: (normal(rng, (4, 3), dtype), np.array([0, 2, 1, 2])),
              batch_axis=None),
]


# ---- embedding ----

def embedding_samples(backward):
    def samples(rng, dtype):
        for rows, features, n in [(5, 3, 7), (1, 1, 1), (4, 2, 0), (4, 0, 3), (0, 3, 0), (10, 17, 33), (7, 130, 300)]:
            index = rng.integers(0, max(rows, 1), n)
            if not backward:
                yield (normal(rng, (rows, features), dtype), index, out((n, features), dtype)), {}
                continue
            for padding_idx in (None, 0) if rows else (None,):
                yield ((normal(rng, (n, features), dtype), index, out((rows, features), dtype)),
                       {"padding_idx": padding_idx})
    return samples


KERNELS += [
    KernelCase("embedding", "embedding", embedding_samples(False), outs=(2,), bound=0),
    KernelCase("embedding", "embedding_backward", embedding_samples(True), outs=(2,), bound=0, scale="terms"),
]
OPS += [
    OpCase("embedding", lambda i, w: ml.functional.embedding(i, w), lambda rng: [
        (np.array([[0, 2, 2], [4, 0, 2]]), normal(rng, (5, 3))), (np.array(3), normal(rng, (4, 2))),
        (np.zeros((2, 0), np.int64), normal(rng, (3, 2))), (np.array([1, 1, 1, 0], np.int32), normal(rng, (2, 1)))],
        op="embedding.Embedding"),
]
LAYERS += [
    LayerCase("Embedding", lambda: ml.Embedding(7, 3), lambda rng, dtype: (rng.integers(0, 7, (4, 2)),)),
]


# ---- dropout ----

def position(rng):
    """A place in the random stream, [seed, offset]."""
    return rng.integers(-2**63, 2**63 - 1, 2)


KERNELS += [
    KernelCase("dropout", "dropout", lambda rng, dtype: [
        ((normal(rng, shape, dtype), position(rng), out(shape, dtype)), {"p": p})
        for shape in [*SHAPES, (129,), BIG] for p in (0.0, 0.1, 0.5, 1.0)], outs=(2,), bound=0, special=True),
]
OPS += [
    OpCase("dropout", lambda x: ml.functional.dropout(x, 0.4, rng=ml.Generator(3)), each_shape(normal),
           op="dropout.Dropout", second=True),
]
LAYERS += [
    LayerCase("Dropout", lambda: ml.Dropout(0.4), lambda rng, dtype: (normal(rng, (4, 6), dtype),), random=True),
]


# ---- philox ----

def stream_samples(*settings, y_dtype=None):
    """Samples (position, ->y), small and straddling the runs of blocks."""
    def samples(rng, dtype):
        for n in [(0,), (), (1,), (2,), (3,), (5,), (3, 21), (64,), (65,), (130,), (40000,)]:
            for kwargs in settings or ({},):
                yield (position(rng), out(n, y_dtype or dtype)), kwargs
    return samples


KERNELS += [
    KernelCase("philox", "random_bits", stream_samples(), outs=(1,), dtypes=("int64",), bound=0),
    KernelCase("philox", "uniform", stream_samples(), outs=(1,), bound=0),
    KernelCase("philox", "normal", stream_samples(), outs=(1,), bound=4, scale="max"),
    KernelCase("philox", "integers", stream_samples({"low": -3, "high": 4}, {"low": 0, "high": 1},
               {"low": -2**63, "high": 2**63 - 1}, {"low": 5, "high": 2**40}), outs=(1,), dtypes=("int64",), bound=0),
]


# ---- optimizer ----

LISTS = [[], [(0,)], [()], [(3, 5), (), (0, 2), (17,), (1,), (8191,), (131, 65), (16,)]]


def step_samples(states, hyper, *settings):
    """Samples (params, grads, lists of state..., [numbers]): several arrays in one call."""
    def samples(rng, dtype):
        for shapes in LISTS:
            for numbers in hyper:
                for kwargs in settings:
                    lists = [[normal(rng, shape, dtype) for shape in shapes] for _ in range(2)]
                    lists += [[positive(rng, shape, dtype) for shape in shapes] if wanted(kwargs) else None
                              for wanted in states]
                    yield (*lists, np.array(numbers)), kwargs
    return samples


KERNELS += [
    KernelCase("optimizer", "sgd", step_samples(
        [lambda kw: "momentum" in kw], [(0.1, 0.0), (0.1, 1.0)], {}, {"weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9, "dampening": 0.2}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        inouts=(0, 2), bound=0),
    KernelCase("optimizer", "adam", step_samples(
        [lambda kw: True, lambda kw: True, lambda kw: "amsgrad" in kw], [(0.01, 1.0), (0.01, 7.0)], {},
        {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True, "maximize": True},
        {"betas": (0.3, 0.5), "eps": 1e-4, "amsgrad": True}), inouts=(0, 2, 3, 4), bound=0),
    KernelCase("optimizer", "norm_squared", lambda rng, dtype: [
        (([normal(rng, shape, dtype) for shape in shapes], out((1,), "float64")), {}) for shapes in LISTS],
        outs=(1,), bound=64),
    KernelCase("optimizer", "scale", lambda rng, dtype: [
        (([normal(rng, shape, dtype) for shape in shapes], np.array([0.3])), {}) for shapes in LISTS],
        inouts=(0,), bound=0),
]


# ---- layers made of other layers, and without kernels of their own ----

def images(rng, dtype):
    return (normal(rng, (3, 2, 4, 5), dtype),)


def off_kinks(rng, dtype):
    return (off_zero(rng, (4, 3, 2), dtype),)


OPS += [
    OpCase("boundary", lambda a, b: ml.apply(Boundary(lambda gradients: gradients), a, b),
           lambda rng: [(normal(rng, s), normal(rng, t)) for s, t in [((3, 2), (4,)), ((), (0, 2)), ((3,), (3,))]],
           op="boundary.Boundary", second=True),
]
LAYERS += [
    LayerCase("Sequential", lambda: ml.Sequential(ml.Linear(4, 3), ml.ReLU(), ml.Linear(3, 2)),
              lambda rng, dtype: (normal(rng, (5, 4), dtype),)),
    LayerCase("Sequential of blocks", lambda: ml.Sequential(
        ml.Conv2d(2, 3, 3, padding=1), ml.BatchNorm2d(3), ml.Tanh(), ml.AvgPool2d(2), ml.Flatten(), ml.Linear(12, 5)),
              images, per_item=False),
    LayerCase("Identity", lambda: ml.Identity(54, unused=True), images),
    LayerCase("Flatten", lambda: ml.Flatten(), images),
    LayerCase("Flatten two axes", lambda: ml.Flatten(2, 3), images),
    LayerCase("ReLU", lambda: ml.ReLU(), off_kinks),
    LayerCase("Sigmoid", lambda: ml.Sigmoid(), off_kinks),
    LayerCase("Tanh", lambda: ml.Tanh(), off_kinks),
    LayerCase("GELU", lambda: ml.GELU(), off_kinks),
    LayerCase("GELU tanh", lambda: ml.GELU("tanh"), off_kinks),
]
