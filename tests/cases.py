"""One row per kernel, op and layer: what to call and on which samples. Generic tests do the rest.

    KERNELS  test_kernels.py   contract equal in all variants, agreement with the reference, poisoned outputs, untouched
                               inputs, strides, accumulate, same bits for every thread count
    OPS      test_ops.py       dtypes and backends agree, gradient checks, both tellings of backward, the stand-in device
    LAYERS   test_layers.py    shapes, dtypes, state round trip, repr, batch of n = n singles, train and eval, gradients

A kernel, op or layer without a row fails the suite, and so does an op without a cost rule. Misuse has a table of its
own in test_errors.py. Each family has one section here, in the order of the files; keep to yours.

Samples should cover odd sizes, empty, size 1, 0-d where it has a meaning, and sizes that straddle a tile. Keep them
small: a row should cost tens of milliseconds. Give values that stay away from kinks (|x| > 0.1 for relu and abs; no
ties for max): a gradient check differs from the truth there, not the rule.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import minilayer as ml
from minilayer.ops import arithmetic, elementwise, matmul

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

BROADCASTS = [((3, 5), (3, 5)), ((), ()), ((1,), (1,)), ((0, 3), (3,)), ((2, 1, 4), (3, 1)), ((4, 1), (1, 6)), ((), (2, 3)),
              ((1, 17), (33, 1)), ((2, 3, 4), (2, 3, 4)), ((31, 33), (33,)), ((1, 1, 3), (2, 5, 3))]


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
    for c, a, b in [((3, 5), (3, 5), (3, 5)), ((), (), ()), ((1,), (1,), (1,)), ((4, 1), (1, 600), ()), ((0, 2), (2,), (1, 1)),
                    ((33, 31), (), (33, 1)), (BIG, BIG, ())]:
        y = np.broadcast_shapes(c, a, b)
        yield (normal(rng, c, "bool"), normal(rng, a, dtype), normal(rng, b, dtype), out(y, dtype)), {}


def where_backward_samples(rng, dtype):
    for c, dy in [((3, 5), (3, 5)), ((), ()), ((1,), (2, 3)), ((4, 1), (4, 600)), ((0,), (0,)), (BIG, BIG)]:
        for a, b in ((True, True), (True, False), (False, True)):
            yield (normal(rng, c, "bool"), normal(rng, dy, dtype), out(dy, dtype) if a else None, out(dy, dtype) if b else None), {}


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
    *[KernelCase("arithmetic", name, binary(normal, divisor), outs=(2,), strided=(0, 1, 2), dtypes=NUMBERS, bound=0, special=True)
      for name in ("floor_divide", "trunc_divide", "remainder")],
    KernelCase("arithmetic", "pow", binary(positive_or_whole, exponent), outs=(2,), strided=(0, 1, 2), dtypes=NUMBERS, special=True),
    KernelCase("arithmetic", "pow", one_exponent, outs=(2,), strided=(0, 2), special=True),
    *[KernelCase("arithmetic", name, binary(few, few, y_dtype="bool"), outs=(2,), strided=(0, 1, 2), dtypes=(*NUMBERS, "bool"),
                 special=True)
      for name in ("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor")],
    KernelCase("arithmetic", "where", where_samples, outs=(3,), strided=(0, 1, 2, 3), dtypes=(*NUMBERS, "bool"), bound=0,
               special=True),
    KernelCase("arithmetic", "where_backward", where_backward_samples, outs=(2, 3), strided=(0, 1, 2, 3), bound=0),
    *[KernelCase("arithmetic", name, binary_backward(few, few), outs=(3, 4), strided=(0, 1, 2, 3, 4), bound=0, special=True)
      for name in ("maximum_backward", "minimum_backward")],
    KernelCase("arithmetic", "pow_backward", binary_backward(positive_or_whole, exponent), outs=(3, 4), strided=(0, 1, 2, 3, 4),
               bound=8),
]
OPS += [
    OpCase("add", lambda a, b: a + b, pairs(), op="arithmetic.Add", second=True),
    OpCase("sub", lambda a, b: a - b, pairs(), op="arithmetic.Sub", second=True),
    OpCase("mul", lambda a, b: a * b, pairs(), op="arithmetic.Mul", second=True),
    OpCase("div", lambda a, b: a / b, pairs(normal, off_zero), op="arithmetic.Div", second=True),
    OpCase("pow", lambda a, b: a ** b, pairs(positive, normal), op="arithmetic.Pow", second=True),
    OpCase("pow with a number", lambda a: (a ** 2, a ** 3, 2.0 ** a, 1.0 / a), each_shape(off_zero), op=("arithmetic.Pow", "arithmetic.Div"),
           second=True),
    OpCase("maximum", arithmetic.maximum, apart, op="arithmetic.Maximum", second=True),
    OpCase("minimum", arithmetic.minimum, apart, op="arithmetic.Minimum", second=True),
    OpCase("remainder", lambda a, b: a % b, off_whole, op="arithmetic.Remainder", second=True),
    OpCase("where", lambda c, a, b: arithmetic.where(c, a, b), lambda rng: [
        (normal(rng, c, "bool"), normal(rng, a), normal(rng, b))
        for c, a, b in [((3, 5), (3, 5), (3, 5)), ((), (), ()), ((4, 1), (1, 3), ()), ((0, 2), (2,), (1, 1)), ((3,), (2, 3), (2, 1))]],
        op="arithmetic.Where", second=True),
    OpCase("where with numbers", lambda c, a: (arithmetic.where(c, a, 0.5), arithmetic.where(c, -1, a)),
           lambda rng: [(normal(rng, s, "bool"), normal(rng, s)) for s in SHAPES], op="arithmetic.Where", second=True),
    OpCase("comparisons", lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b), pairs(few, few),
           op=tuple(f"arithmetic.{name}" for name in ("Eq", "Ne", "Lt", "Le", "Gt", "Ge")), differentiable=False),
    OpCase("logic", lambda a, b: (arithmetic.logical_and(a, b), arithmetic.logical_or(a, b), arithmetic.logical_xor(a, b)), pairs(few, few),
           op=("arithmetic.LogicalAnd", "arithmetic.LogicalOr", "arithmetic.LogicalXor"), differentiable=False),
    OpCase("rounded division", lambda a, b: (a // b, arithmetic.div(a, b, rounding_mode="floor"), arithmetic.div(a, b, rounding_mode="trunc")),
           off_whole, op=("arithmetic.FloorDivide", "arithmetic.TruncDivide"), differentiable=False),
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
    return np.asarray(np.round(4 * normal(rng, shape)) / 2).astype(dtype) if np.dtype(dtype).kind == "f" else normal(rng, shape, dtype)


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
    *[KernelCase("elementwise", name, unary(), dtypes=("bool",), bound=0, **FIRST) for name in ("abs", "sign", "square")],
    *[KernelCase("elementwise", name, unary(positive), bound=0, special=True, **FIRST) for name in ("reciprocal", "sqrt", "rsqrt")],
    *[KernelCase("elementwise", name, unary(halves), dtypes=(*NUMBERS, "bool"), bound=0, special=True, **FIRST)
      for name in ("floor", "ceil", "round", "trunc")],
    *[KernelCase("elementwise", name, unary(wide), special=True, **FIRST)
      for name in ("exp", "expm1", "sin", "cos", "tanh", "sigmoid", "erf")],
    *[KernelCase("elementwise", name, unary(positive), special=True, **FIRST) for name in ("log", "log1p")],
    *[KernelCase("elementwise", "gelu", unary(gelu_range, approximate=how), bound=32, **FIRST) for how in ("none", "tanh")],
    *[KernelCase("elementwise", "clamp", unary(halves, **bounds), dtypes=NUMBERS, bound=0, special=True, **FIRST)
      for bounds in (dict(low=1, high=3), dict(low=1), dict(high=2), {})],
    *[KernelCase("elementwise", name, unary(few, y_dtype="bool"), dtypes=(*NUMBERS, "bool"), special=True, **FIRST)
      for name in ("isnan", "isinf", "isfinite", "logical_not")],
    *[KernelCase("elementwise", f"{name}_backward", unary_backward(few), bound=0, special=True, **BACK) for name in ("abs", "relu")],
    *[KernelCase("elementwise", f"{name}_backward", unary_backward(off_zero), bound=4, **BACK)
      for name in ("square", "reciprocal", "sqrt", "rsqrt", "log")],
    *[KernelCase("elementwise", f"{name}_backward", unary_backward(inside), bound=4, **BACK) for name in ("tanh", "sigmoid")],
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
    row("tanh", "Tanh"), row("sigmoid", "Sigmoid"), row("relu", "Relu", off_zero), row("erf", "Erf"), row("gelu", "Gelu"),
    OpCase("gelu tanh", lambda x: elementwise.gelu(x, approximate="tanh"), each_shape(normal), op="elementwise.Gelu", second=True),
    OpCase("clamp", lambda x: (elementwise.clamp(x, -0.45, 0.7), elementwise.clamp(x, min=0.2), elementwise.clamp(x, max=0.2)),
           each_shape(between_whole), op="elementwise.Clamp", second=True),
    row("sign", "Sign", off_zero), row("floor", "Floor", between_whole), row("ceil", "Ceil", between_whole),
    row("round", "Round", between_whole), row("trunc", "Trunc", between_whole),
    OpCase("questions", lambda x: (elementwise.isnan(x), elementwise.isinf(x), elementwise.isfinite(x), elementwise.logical_not(x)),
           each_shape(few), op=tuple(f"elementwise.{name}" for name in ("IsNan", "IsInf", "IsFinite", "LogicalNot")), differentiable=False),
]
LAYERS += []


# ---- reduce ----

KERNELS += []
OPS += []


# ---- indexing ----

KERNELS += []
OPS += []


# ---- shape ----

OPS += []


# ---- matmul ----

def matmul_samples(rng, dtype):
    for batch, m, k, n in [((), 3, 4, 5), ((), 1, 1, 1), ((), 0, 3, 2), ((), 3, 0, 2), ((2,), 7, 5, 3), ((2, 3), 4, 6, 8),
                           ((), 17, 33, 65), ((), 97, 129, 50), ((0,), 3, 2, 4), ((), 1, 40, 70), ((), 70, 40, 1),
                           ((), 15, 400, 33), ((9,), 30, 16, 31), ((2,), 130, 70, 130)]:
        yield (normal(rng, (*batch, m, k), dtype), normal(rng, (*batch, k, n), dtype), out((*batch, m, n), dtype)), {}
    a, b = normal(rng, (3, 1, 5, 6), dtype), normal(rng, (1, 2, 6, 7), dtype)          # an op broadcasts by zero strides
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
    for a, b in [((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)),
                 ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((1, 3, 4), (2, 4, 1)),
                 ((0, 4), (4, 5)), ((3, 0), (0, 5)), ((0, 3, 4), (4, 5)), ((1, 1), (1, 1)), ((2, 17, 33), (33, 31))]:
        yield normal(rng, a), normal(rng, b)


def linear_arguments(rng):
    for x, n in [((5, 4), 3), ((4,), 3), ((2, 3, 4), 5), ((0, 4), 3), ((3, 0), 2), ((1, 1), 1), ((2, 17, 33), 31)]:
        for bias in (True, False):
            yield normal(rng, x), normal(rng, (n, x[-1])), normal(rng, n) if bias else None


KERNELS += [
    KernelCase("matmul", "matmul", matmul_samples, outs=(2,), strided=(0, 1, 2), bound=16, scale="terms"),
    KernelCase("matmul", "linear", linear_samples(None), outs=(3,), strided=(0, 1, 2, 3), bound=16, scale="terms"),
    KernelCase("matmul", "linear", linear_samples("relu"), outs=(3,), strided=(0, 1, 2, 3), bound=16, scale="terms",
               accumulate=()),      # relu is applied to the whole sum
]
OPS += [
    OpCase("matmul", lambda a, b: a @ b, pairs_of_matrices, op="matmul.Matmul", second=True),
    OpCase("matmul transposed", lambda a, b: b.transpose(-1, -2) @ a.transpose(-1, -2),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, (4, 5))), (normal(rng, (2, 3, 4)), normal(rng, (4, 5)))],
           op="matmul.Matmul", second=True),
    OpCase("linear", lambda x, w, b: ml.functional.linear(x, w, b), linear_arguments, op="matmul.Linear", second=True),
    OpCase("linear relu", lambda x, w, b: matmul.linear(x, w, b, activation="relu"),
           lambda rng: [(off_zero(rng, (5, 1)), off_zero(rng, (3, 1)), None), (normal(rng, (2, 6, 4)), normal(rng, (7, 4)), normal(rng, 7))],
           op="matmul.Linear", second=True),
]
LAYERS += [
    LayerCase("Linear", lambda: ml.Linear(4, 3), lambda rng, dtype: (normal(rng, (5, 4), dtype),)),
    LayerCase("Linear without bias", lambda: ml.Linear(4, 3, bias=False), lambda rng, dtype: (normal(rng, (5, 2, 4), dtype),)),
]


# ---- conv ----

# x (B, C, H, W), (O, K, L), stride, padding (top, left), dilation, groups
CONVOLUTIONS = [
    ((2, 3, 7, 9), (4, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 9, 8), (6, 3, 2), (2, 3), (1, 2), (2, 1), 2), ((2, 6, 5, 6), (6, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((2, 3, 6, 6), (4, 1, 1), (2, 2), (0, 0), (1, 1), 1), ((1, 2, 2, 2), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 3, 6, 6), (2, 3, 2), (3, 2), (5, 4), (2, 3), 1), ((1, 5, 1, 40), (7, 1, 5), (1, 2), (0, 2), (1, 1), 1),
    ((0, 2, 5, 5), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((2, 0, 5, 5), (3, 3, 3), (1, 1), (1, 1), (1, 1), 1)]
LARGE = [((3, 17, 13, 12), (33, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((2, 50, 6, 7), (20, 3, 3), (2, 2), (1, 1), (1, 1), 1)]


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
                for activation in (None, "relu"):
                    yield (x, w, normal(rng, o, dtype) if i % 2 else None, out(dy.shape, dtype)), {**settings, "activation": activation}
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
    OpCase("conv2d stride dilation", lambda x, w, b: ml.functional.conv2d(x, w, b, stride=(2, 1), padding=(2, 1), dilation=(1, 2)),
           conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d same", lambda x, w, b: ml.functional.conv2d(x, w, b, padding="same", dilation=(2, 1)), conv_arguments, op="conv.Conv2d"),
    OpCase("conv2d groups", lambda x, w: (ml.functional.conv2d(x, w, groups=2, padding="valid"), ml.functional.conv2d(x.transpose(-1, -2), w, groups=2)),
           lambda rng: [(normal(rng, (2, 4, 4, 5)), normal(rng, (6, 2, 3, 2)))], op="conv.Conv2d"),
]
LAYERS += [
    LayerCase("Conv2d", lambda: ml.Conv2d(3, 4, 3, padding=1), lambda rng, dtype: (normal(rng, (2, 3, 6, 5), dtype),)),
    LayerCase("Conv2d groups", lambda: ml.Conv2d(4, 6, (3, 2), stride=2, dilation=(1, 2), groups=2, bias=False),
              lambda rng, dtype: (normal(rng, (2, 4, 7, 8), dtype),)),
]


# ---- pool ----

KERNELS += []
OPS += []
LAYERS += []


# ---- norm ----

KERNELS += []
OPS += []
LAYERS += []


# ---- softmax, losses ----

KERNELS += []
OPS += []
LAYERS += []


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
