"""Rows of the special family."""
import minilayer.functional as F
from cases.base import SHAPES, ErrorCase, KernelCase, OpCase, each_shape, inside, normal, off_zero, out, positive
from minilayer.ops import special
from minilayer.tape import apply

ALL = (*SHAPES, (5, 7, 251))


def one(make):
    return lambda rng, dtype: [((make(rng, s, dtype), out(s, dtype)), {}) for s in ALL]


def two(make):
    return lambda rng, dtype: [((make(rng, s, dtype), make(rng, s, dtype), out(s, dtype)), {}) for s in ALL]


def above_one(rng, shape, dtype="float64"):
    return positive(rng, shape, dtype) + 1


def within_one(rng, shape, dtype="float64"):
    return (inside(rng, shape, dtype) * 2 - 1).astype(dtype)


def gamma_points(rng, shape, dtype="float64"):
    """Positive ones, and negative ones away from the poles and from lgamma's zeros."""
    x = normal(rng, shape, dtype)
    return (abs(x) + 2.2 if rng.random() < 0.5 else -(abs(x) % 0.6) - 4.2).astype(dtype)


KERNELS = [
    *[KernelCase("special", n, one(off_zero), outs=(1,), special=True, bound=16) for n in ("tan", "atan", "sinh", "cosh", "asinh", "exp2", "erfc")],
    *[KernelCase("special", n, one(within_one), outs=(1,), special=True, bound=64) for n in ("asin", "acos", "atanh", "erfinv")],
    *[KernelCase("special", n, one(positive), outs=(1,), special=True, bound=64) for n in ("log2", "log10")],
    KernelCase("special", "acosh", one(above_one), outs=(1,), special=True, bound=64),
    *[KernelCase("special", n, one(gamma_points), outs=(1,), special=True, bound=512) for n in ("lgamma", "digamma", "trigamma")],
    *[KernelCase("special", n, two(off_zero), outs=(2,), special=True, bound=16) for n in ("atan2", "hypot", "copysign", "fmax", "fmin")],
    KernelCase("special", "logaddexp", two(off_zero), outs=(2,), special=True, scale="max"),
    KernelCase("special", "fmod", two(off_zero), outs=(2,), special=True, bound=0),
]

FEW = [(3, 4), (), (0, 2), (1,)]


def row(name, make, **more):
    return OpCase(name, getattr(special, name), each_shape(make, FEW), op=f"special.{name.capitalize()}", second=True, **more)


def row2(name, make=off_zero):
    return OpCase(name, getattr(special, name), lambda rng: [(make(rng, s), make(rng, t)) for s, t in [((3, 4), (4,)), ((), ()), ((2, 1), (1, 3)), ((0,), (1,))]],
                  op=f"special.{name.capitalize()}", second=True)


OPS = [
    *[row(n, off_zero) for n in ("tan", "atan", "sinh", "cosh", "asinh", "exp2", "erfc")], *[row(n, within_one) for n in ("asin", "acos", "atanh", "erfinv")],
    *[row(n, positive) for n in ("log2", "log10")], row("acosh", above_one), row("lgamma", above_one),
    OpCase("digamma", special.digamma, each_shape(above_one, FEW), op="special.Digamma"),
    OpCase("trigamma", lambda x: apply(special.Trigamma(), x), each_shape(above_one, FEW), op="special.Trigamma", differentiable=False),
    *[row2(n) for n in ("atan2", "hypot", "logaddexp", "copysign", "fmax", "fmin")],
    OpCase("logit", lambda x: (special.logit(x), special.logit(x, 0.2)), each_shape(inside, FEW), op="special.Logit", second=True),
    row("sinc", off_zero), row2("xlogy", positive),
    OpCase("fmod", special.fmod, lambda rng: [(positive(rng, (3, 4)) * 0.05 + 1.3, positive(rng, (4,)) * 0.05 + 0.5)], op="special.Fmod", second=True),
]


ONE = ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "exp2", "log2", "log10", "erfc", "erfinv", "lgamma", "digamma", "deg2rad", "rad2deg",
       "frac", "sgn", "signbit", "logit", "nan_to_num", "sinc", "isposinf", "isneginf")
ERRORS = []
for _name in ONE:
    _f = getattr(F, _name)
    ERRORS += [ErrorCase(f"{_name}: {what}", lambda f=_f, x=x: f(x), TypeError, f"{_name}: expected a tensor, got {got}")
               for what, x, got in [("a list", [1.0], "list"), ("a number", 1.0, "float"), ("nothing", None, "None")]]
for _name in ("fmod", "atan2", "hypot", "logaddexp", "logaddexp2", "copysign", "fmax", "fmin", "xlogy", "heaviside"):
    _f = getattr(F, _name)
    _two = F.ones(2)
    ERRORS += [
        ErrorCase(f"{_name}: shapes that do not broadcast", lambda f=_f: f(F.zeros(2, 3), F.zeros(2, 4)), ValueError, r"\(2, 3\) and \(2, 4\)"),
        ErrorCase(f"{_name}: texts", lambda f=_f: f("a", "b"), TypeError, "expected"),
        ErrorCase(f"{_name}: lists", lambda f=_f: f([1.0], [1.0]), TypeError, "expected"),
    ]
ERRORS += [
    ErrorCase("heaviside: two types", lambda: F.heaviside(F.ones(2), F.ones(2, dtype="float64")), TypeError, "one dtype, got float32 and float64"),
    ErrorCase("clamp_min: a list", lambda: F.clamp_min([1.0], 0), TypeError, "clamp_min: expected a tensor, got list"),
    ErrorCase("clamp_max: a list", lambda: F.clamp_max([1.0], 0), TypeError, "clamp_max: expected a tensor, got list"),
    ErrorCase("round: decimals of integers", lambda: F.round(F.arange(3), decimals=1), TypeError, "round: expected float32 or float64"),
]
