"""Functions of mathematics that no layer is made of: trigonometric and hyperbolic functions and their inverses, other
bases of exponentials and logarithms, the gamma and error functions, and a few of two arguments (fmod, atan2, fmax).

Each op names its kernel; its gradient is told twice: once on arrays, by the same formula as on tensors below it
(`slope`), since none of these is a hot spot.
"""
import math

import numpy as np

from minilayer._ext.dispatch import family
from minilayer.device import broadcast_shapes, broadcast_to, contiguous, empty, empty_like, full, zeros
from minilayer.node import TensorBase, wrap
from minilayer.promotion import cast as cast_tensor
from minilayer.state import no_grad
from minilayer.tape import Op, apply, apply2, elementwise_cost, expect_tensor

kernels = family("special")


class Function(Op):
    """y = f(x), element by element; dx = dy f'(x)."""
    promotes = "float"              # integers become float32

    def forward(self, node, x):
        y = empty_like(x)
        getattr(kernels.on(x), self.name)(contiguous(x), y)
        node.save(x)
        return y

    def slope(self, x):
        """f'(x), in functions on tensors."""
        raise NotImplementedError(f"{type(self).__name__}: a Function that is differentiable defines slope(x)")

    def backward(self, node, dy):
        (x,) = node.saved
        with no_grad():
            return (wrap(dy) * self.slope(wrap(x))).array

    def backward_graph(self, node, dy):
        (x,) = node.saved_tensors
        return dy * self.slope(x)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 20, 10)


class Tan(Function):
    """y = tan x;  dx = dy (1 + y^2)"""
    name = "tan"

    def slope(self, x):
        return tan(x).square() + 1.0


class Asin(Function):
    """y = asin x;  dx = dy / sqrt(1 - x^2)"""
    name = "asin"

    def slope(self, x):
        return (1.0 - x * x).rsqrt()


class Acos(Function):
    """y = acos x;  dx = -dy / sqrt(1 - x^2)"""
    name = "acos"

    def slope(self, x):
        return -(1.0 - x * x).rsqrt()


class Atan(Function):
    """y = atan x;  dx = dy / (1 + x^2)"""
    name = "atan"

    def slope(self, x):
        return (x * x + 1.0).reciprocal()


class Sinh(Function):
    """y = sinh x;  dx = dy cosh x"""
    name = "sinh"

    def slope(self, x):
        return cosh(x)


class Cosh(Function):
    """y = cosh x;  dx = dy sinh x"""
    name = "cosh"

    def slope(self, x):
        return sinh(x)


class Asinh(Function):
    """y = asinh x;  dx = dy / sqrt(x^2 + 1)"""
    name = "asinh"

    def slope(self, x):
        return (x * x + 1.0).rsqrt()


class Acosh(Function):
    """y = acosh x;  dx = dy / sqrt(x^2 - 1)"""
    name = "acosh"

    def slope(self, x):
        return (x * x - 1.0).rsqrt()


class Atanh(Function):
    """y = atanh x;  dx = dy / (1 - x^2)"""
    name = "atanh"

    def slope(self, x):
        return (1.0 - x * x).reciprocal()


class Exp2(Function):
    """y = 2^x;  dx = dy y log 2"""
    name = "exp2"

    def slope(self, x):
        return exp2(x) * math.log(2)


class Log2(Function):
    """y = log2 x;  dx = dy / (x log 2)"""
    name = "log2"

    def slope(self, x):
        return (x * math.log(2)).reciprocal()


class Log10(Function):
    """y = log10 x;  dx = dy / (x log 10)"""
    name = "log10"

    def slope(self, x):
        return (x * math.log(10)).reciprocal()


class Erfc(Function):
    """y = 1 - erf x;  dx = -2 / sqrt(pi) e^-x^2 dy"""
    name = "erfc"

    def slope(self, x):
        return (-(x * x)).exp() * (-2 / math.sqrt(math.pi))


class Erfinv(Function):
    """erf y = x;  dx = sqrt(pi) / 2 e^y^2 dy"""
    name = "erfinv"

    def slope(self, x):
        return erfinv(x).square().exp() * (math.sqrt(math.pi) / 2)


class Lgamma(Function):
    """y = log |gamma(x)|;  dx = dy digamma(x)"""
    name = "lgamma"

    def slope(self, x):
        return digamma(x)


class Digamma(Function):
    """y = (log gamma)'(x);  dx = dy (log gamma)''(x)"""
    name = "digamma"
    backward_graph = None           # the next derivative of log gamma has no kernel

    def slope(self, x):
        return apply(Trigamma(), x)


class Trigamma(Function):
    """y = (log gamma)''(x)"""
    name = "trigamma"
    differentiable = False


class _Composed(Function):
    """A function without a kernel: `value` is told in functions on tensors, as the slope is."""

    def value(self, x):
        raise NotImplementedError(f"{type(self).__name__}: a function without a kernel defines value(x)")

    def forward(self, node, x):
        node.save(x)
        with no_grad():
            return self.value(wrap(x)).array


class Logit(_Composed):
    """y = log(x / (1 - x));  dx = dy / (x (1 - x)), NaN outside [0, 1]; with eps, of x between eps and 1 - eps, and dx = 0
    beyond them"""
    name = "logit"

    def __init__(self, eps):
        self.eps = eps

    def value(self, x):
        if self.eps is not None:
            x = x.clamp(max=1.0 - self.eps).masked_fill(x < self.eps, self.eps)
        return (x / (1.0 - x)).log()

    def slope(self, x):
        flat = x.detach()
        low, high = (0.0, 1.0) if self.eps is None else (self.eps, 1.0 - self.eps)
        outside = ~((flat >= low) & (flat <= high))
        x = x.masked_fill(outside, 0.5)
        return (x * (1.0 - x)).reciprocal().masked_fill(outside, math.nan if self.eps is None else 0.0)


class Sinc(_Composed):
    """y = sin(pi x) / (pi x), 1 at 0;  dx = dy (cos(pi x) - y) / x, 0 at 0"""
    name = "sinc"

    def value(self, x):
        zero = x == 0
        angle = x.masked_fill(zero, 1) * math.pi
        return (angle.sin() / angle).masked_fill(zero, 1.0)

    def slope(self, x):
        zero = x.detach().square() == 0             # also what is too small to be divided by
        x = x.masked_fill(zero, 1.0)
        angle = x * math.pi
        return ((angle * angle.cos() - angle.sin()) / (angle * x)).masked_fill(zero, 0.0)


# ---- of two arguments ----

class Function2(Op):
    """y = f(a, b), element by element; da = dy df/da, db = dy df/db."""
    broadcasts = True
    promotes = "float"

    def forward(self, node, a, b):
        y = empty(broadcast_shapes(self.name, a.shape, b.shape), a.dtype, a)
        getattr(kernels.on(a), self.name)(contiguous(broadcast_to(a, y.shape)), contiguous(broadcast_to(b, y.shape)), y)
        node.save(a, b)
        return y

    def slopes(self, a, b):
        """df/da and df/db, in functions on tensors; None for 0."""
        raise NotImplementedError(f"{type(self).__name__}: a Function2 that is differentiable defines slopes(a, b)")

    def backward(self, node, dy):
        a, b = node.saved
        with no_grad():
            return tuple([t.array for t in self.gradients(wrap(a), wrap(b), wrap(dy))])

    def backward_graph(self, node, dy):
        return self.gradients(*node.saved_tensors, dy)

    def gradients(self, a, b, dy):
        none = wrap(zeros(dy.array.shape, dy.array.dtype, dy.array))
        return tuple([none if slope is None else dy * slope for slope in self.slopes(a, b)])

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 20, 10)


class Fmod(Function2):
    """y = a - trunc(a / b) b, of the dividend's sign;  da = dy, db = -dy trunc(a / b)"""
    name = "fmod"

    def slopes(self, a, b):
        return 1.0, -(a.detach() / b.detach()).trunc()


class Atan2(Function2):
    """y = the angle of the point (b, a);  da = dy b / (a^2 + b^2), db = -dy a / (a^2 + b^2), 0 at the origin"""
    name = "atan2"

    def slopes(self, a, b):
        square = a * a + b * b
        share = square.masked_fill(square == 0, math.inf).reciprocal()      # 0
        return b * share, -a * share


class Hypot(Function2):
    """y = sqrt(a^2 + b^2);  da = dy a / y, db = dy b / y"""
    name = "hypot"

    def slopes(self, a, b):
        y = hypot(a, b)
        return a / y, b / y


class Logaddexp(Function2):
    """y = log(e^a + e^b);  da = dy e^(a - y), db = dy e^(b - y)"""
    name = "logaddexp"

    def slopes(self, a, b):
        return (a - b).sigmoid(), (b - a).sigmoid()


class Copysign(Function2):
    """y = |a| with b's sign;  da = dy or -dy, whichever sign was changed (0 at 0), db = 0"""
    name = "copysign"

    def slopes(self, a, b):
        a = a.detach().clamp(-1.0, 1.0)                 # (an infinity has a sign, NaN has none)
        return (copysign(a, b.detach()) / a).masked_fill(a == 0, 0.0), None


class Fmax(Function2):
    """y = max(a, b), the other where one is NaN;  a takes dy where a >= b, else b"""
    name = "fmax"
    promotes = "same"

    def chosen(self, a, b):
        return (a >= b) | b.isnan()

    def slopes(self, a, b):
        a, b = a.detach(), b.detach()
        first = cast_tensor(self.chosen(a, b), a.array.dtype)
        return first, 1.0 - first


class Fmin(Fmax):
    """y = min(a, b), the other where one is NaN;  a takes dy where a <= b, else b"""
    name = "fmin"

    def chosen(self, a, b):
        return (a <= b) | b.isnan()


class Xlogy(Function2):
    """y = a log b, 0 where a is 0 unless b is NaN;  da = dy log b, 0 where a = 0 and b <= 0; db = dy a / b"""
    name = "xlogy"

    def forward(self, node, a, b):
        node.save(a, b)
        with no_grad():
            a, b = wrap(a), wrap(b)
            return (a * b.log()).masked_fill((a == 0) & (b == b), 0.0).array

    def gradients(self, a, b, dy):
        da = xlogy(dy, b).masked_fill((a.detach() == 0) & (b.detach() <= 0), 0.0)
        return da, dy * a / b


# ---- the functions people call ----

def _one(op):
    name, text = op.name, op.__doc__.partition(";")[0]

    def function(input):
        expect_tensor(name, input)
        return apply(op(), input)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{text}, element by element. Integers become float32."
    return function


tan, asin, acos, atan = _one(Tan), _one(Asin), _one(Acos), _one(Atan)
sinh, cosh, asinh, acosh, atanh = _one(Sinh), _one(Cosh), _one(Asinh), _one(Acosh), _one(Atanh)
exp2, log2, log10 = _one(Exp2), _one(Log2), _one(Log10)
erfc, erfinv, lgamma, digamma = _one(Erfc), _one(Erfinv), _one(Lgamma), _one(Digamma)
arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh


def deg2rad(input):
    """Degrees as radians."""
    expect_tensor("deg2rad", input)
    return input * (math.pi / 180)


def rad2deg(input):
    """Radians as degrees."""
    expect_tensor("rad2deg", input)
    return input * (180 / math.pi)


def frac(input):
    """input - trunc(input), the part behind the point."""
    expect_tensor("frac", input)
    return input - input.detach().trunc()


def sgn(input):
    """1, 0 or -1: the sign."""
    expect_tensor("sgn", input)
    return input.sign()


def signbit(input):
    """Where input is below 0, or -0."""
    expect_tensor("signbit", input)
    if input.array.dtype.kind != "f":
        return input < 0
    one = wrap(full(input.array.shape, 1, input.array.dtype, input.array))
    return copysign(one, input.detach()) < 0


def logit(input, eps=None):
    """log(input / (1 - input)), sigmoid's inverse; input is first kept within eps and 1 - eps where eps is given."""
    expect_tensor("logit", input)
    return apply(Logit(None if eps is None or eps < 0 else eps), input)


def clamp_min(input, min):
    """input, but at least min (a number or a tensor)."""
    expect_tensor("clamp_min", input)
    return input.clamp(min=min)


def clamp_max(input, max):
    """input, but at most max (a number or a tensor)."""
    expect_tensor("clamp_max", input)
    return input.clamp(max=max)


def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    """input with NaN as `nan`, and infinities as the largest and smallest number of input's type unless given."""
    expect_tensor("nan_to_num", input)
    if input.array.dtype.kind != "f":
        return input.clone()
    limits = np.finfo(input.array.dtype)
    input = input.masked_fill(input.isnan(), nan if nan is not None else 0.0)
    infinite = input.detach().isinf()
    input = input.masked_fill(infinite & (input.detach() > 0), float(limits.max) if posinf is None else posinf)
    return input.masked_fill(infinite & (input.detach() < 0), float(limits.min) if neginf is None else neginf)


def sinc(input):
    """sin(pi input) / (pi input), 1 at 0."""
    expect_tensor("sinc", input)
    return apply(Sinc(), input)


def isposinf(input):
    """Where input is infinite and above 0."""
    expect_tensor("isposinf", input)
    return input.isinf() & (input > 0)


def isneginf(input):
    """Where input is infinite and below 0."""
    expect_tensor("isneginf", input)
    return input.isinf() & (input < 0)


def fmod(input, other):
    """input - trunc(input / other) other, with the dividend's sign (remainder has the divisor's)."""
    if isinstance(input, TensorBase) and input.array.dtype.kind != "f" and not _has_float(other):
        return input - input.div(other, rounding_mode="trunc") * other
    return apply2(Fmod(), input, other)


def _has_float(x):
    return x.array.dtype.kind == "f" if isinstance(x, TensorBase) else isinstance(x, float)


def atan2(input, other):
    """The angle of the point (other, input), in (-pi, pi]."""
    return apply2(Atan2(), input, other)


arctan2 = atan2


def hypot(input, other):
    """sqrt(input^2 + other^2)."""
    return apply2(Hypot(), input, other)


def logaddexp(input, other):
    """log(e^input + e^other), without overflow."""
    return apply2(Logaddexp(), input, other)


def logaddexp2(input, other):
    """log2(2^input + 2^other), without overflow."""
    expect_tensor("logaddexp2", input)
    return apply2(Logaddexp(), input * math.log(2), other * math.log(2)) / math.log(2)


def copysign(input, other):
    """|input| with other's sign."""
    return apply2(Copysign(), input, other)


def fmax(input, other):
    """The larger of the two; where one is NaN, the other."""
    return _unless_nan("fmax", Fmax, input, other)


def fmin(input, other):
    """The smaller of the two; where one is NaN, the other."""
    return _unless_nan("fmin", Fmin, input, other)


def _unless_nan(name, op, x, other):
    expect_tensor(name, x)
    expect_tensor(name, other)
    if x.array.dtype.kind != "f" and other.array.dtype.kind != "f":
        return x.maximum(other) if name == "fmax" else x.minimum(other)
    return apply2(op(), x, other)


def xlogy(input, other):
    """input log(other), 0 where input is 0, whatever other is but NaN."""
    return apply2(Xlogy(), input, other)


def heaviside(input, values):
    """0 where input < 0, `values` where input is 0, else 1."""
    expect_tensor("heaviside", input)
    expect_tensor("heaviside", values)
    if input.array.dtype != values.array.dtype:
        raise TypeError(f"heaviside: expected tensors of one dtype, got {input.array.dtype} and {values.array.dtype}; "
                        "convert one with .to(other.dtype)")
    shape = broadcast_shapes("heaviside", input.array.shape, values.array.shape)
    input, values = input.detach().expand(shape), values.detach().expand(shape)
    return cast_tensor(input > 0, input.array.dtype) + values.masked_fill(input != 0, 0)
