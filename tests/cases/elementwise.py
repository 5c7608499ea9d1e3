"""Rows of the elementwise family."""

import numpy as np

from cases.base import (
    BIG,
    NUMBERS,
    SHAPES,
    KernelCase,
    OpCase,
    each_shape,
    few,
    inside,
    normal,
    off_zero,
    out,
    positive,
)
from minilayer.ops import elementwise


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
KERNELS = [
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


OPS = [
    row("neg", "Neg"), row("abs", "Abs", off_zero), row("square", "Square"), row("reciprocal", "Reciprocal", off_zero),
    row("sqrt", "Sqrt", positive), row("rsqrt", "Rsqrt", positive), row("exp", "Exp"), row("expm1", "Expm1"),
    row("log", "Log", positive), row("log1p", "Log1p", above_minus_one), row("sin", "Sin"), row("cos", "Cos"),
    row("tanh", "Tanh"), row("sigmoid", "Sigmoid"), row("relu", "Relu", off_zero), row("erf", "Erf"),
    row("gelu", "Gelu"),
    OpCase("gelu tanh", lambda x: elementwise.gelu(x, approximate="tanh"), each_shape(normal), op="elementwise.Gelu",
           second=True),
    OpCase("clamp between tensors", lambda x, a: [elementwise.clamp(x, *bounds) for bounds in ((a, a + 0.5), (a, None), (None, a), (a, a - 0.5), (a, 0.9))],
           lambda rng: [(normal(rng, (3, 4)), normal(rng, (4,)))], op="elementwise.ClampBetween", second=True),
    OpCase("clamp", lambda x: [elementwise.clamp(x, *bounds) for bounds in ((-0.45, 0.7), (0.2, None), (None, 0.2))],
           each_shape(between_whole), op="elementwise.Clamp", second=True),
    row("sign", "Sign", off_zero), row("floor", "Floor", between_whole), row("ceil", "Ceil", between_whole),
    row("round", "Round", between_whole), row("trunc", "Trunc", between_whole),
    OpCase("questions", lambda x: [f(x) for f in (elementwise.isnan, elementwise.isinf, elementwise.isfinite,
                                                  elementwise.logical_not)],
           each_shape(few), op=tuple(f"elementwise.{name}" for name in ("IsNan", "IsInf", "IsFinite", "LogicalNot")),
           differentiable=False),
]
LAYERS = []
