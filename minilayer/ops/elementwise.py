# cython: language_level=3
"""Functions of one tensor, element by element: exp, tanh, relu, round, clamp, isnan and their kin.

Each op names the kernel that computes it and says what its gradient reads: the input (`saves = "x"`), the output
("y"), or nothing. Where a kernel `<name>_backward(saved, dy, dx)` exists, the rule is in that kernel; the few others
compose theirs here.
"""
import builtins
import math
import numbers

import cython

from minilayer._ext.dispatch import Family, family
from minilayer.device import cast, empty, empty_like, full, zeros
from minilayer.dtypes import boolean, float32
from minilayer.inplace import apply_inplace
from minilayer.node import Node, TensorBase, wrap
from minilayer.promotion import cast as cast_tensor
from minilayer.state import no_grad
from minilayer.tape import Op, apply, elementwise_cost, expect_tensor

kernels = cython.declare(Family, family("elementwise"))
arithmetic = family("arithmetic")


class Unary(Op):
    """y = f(x), element by element; dx = f'(x) dy."""
    promotes = "float"              # integers become float32
    saves = ""
    flops = 1                       # of a value forward

    def forward(self, node: Node, x):
        y = empty_like(x)
        getattr(kernels.on(x), self.name)(x, y)
        if self.saves:
            node.save(x if self.saves == "x" else y)
        return y

    def backward(self, node: Node, dy):
        (saved,) = node.saved
        dx = empty_like(dy)
        getattr(kernels.on(dy), self.name + "_backward")(saved, dy, dx)
        return dx

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, self.flops, 2)


def _product(a, b):
    """a b as a new array of a's shape."""
    y = empty_like(a)
    arithmetic.on(a).mul(a, b, y)
    return y


# ---- signs, squares, roots ----

class Neg(Unary):
    """y = -x;  dx = -dy"""
    name = "neg"
    promotes = None

    def forward(self, node: Node, x):
        if x.dtype.kind == "b":
            raise TypeError("neg: expected numbers, got bool; use ~ or logical_not")
        return Unary.forward(self, node, x)

    def backward(self, node: Node, dy):
        dx = empty_like(dy)
        kernels.on(dy).neg(dy, dx)
        return dx

    def backward_graph(self, node: Node, dy):
        return neg(dy)


class Abs(Unary):
    """y = |x|;  dx = sign(x) dy, 0 at 0"""
    name = "abs"
    promotes = None
    saves = "x"

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy * sign(x.detach())


class Square(Unary):
    """y = x^2;  dx = 2 x dy"""
    name = "square"
    promotes = None
    saves = "x"

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy * x * 2.0


class Reciprocal(Unary):
    """y = 1 / x;  dx = -y^2 dy"""
    name = "reciprocal"
    saves = "y"

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return neg(dy * y * y)


class Sqrt(Unary):
    """y = sqrt(x);  dx = dy / (2 y), infinite at 0"""
    name = "sqrt"
    saves = "y"

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy / (y * 2.0)


class Rsqrt(Unary):
    """y = 1 / sqrt(x);  dx = -y^3 dy / 2"""
    name = "rsqrt"
    saves = "y"

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy * y * y * y * -0.5


# ---- exponentials and logarithms ----

class Exp(Unary):
    """y = e^x;  dx = y dy"""
    name = "exp"
    saves = "y"
    flops = 10

    def backward(self, node: Node, dy):
        (y,) = node.saved
        return _product(dy, y)

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy * y


class Expm1(Unary):
    """y = e^x - 1;  dx = (y + 1) dy"""
    name = "expm1"
    saves = "y"
    flops = 10

    def backward(self, node: Node, dy):
        (y,) = node.saved
        dx = _product(dy, y)
        arithmetic.on(dx).add(dx, dy, dx)
        return dx

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy * (y + 1.0)


class Log(Unary):
    """y = log x;  dx = dy / x"""
    name = "log"
    saves = "x"
    flops = 12

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy / x


class Log1p(Unary):
    """y = log(1 + x);  dx = dy / (1 + x)"""
    name = "log1p"
    saves = "x"
    flops = 14

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(dy)
        arithmetic.on(dy).add(x, full((), 1.0, x.dtype, x), dx)
        arithmetic.on(dy).div(dy, dx, dx)
        return dx

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy / (x + 1.0)


# ---- trigonometry ----

class Sin(Unary):
    """y = sin x;  dx = cos(x) dy"""
    name = "sin"
    saves = "x"
    flops = 15

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(dy)
        kernels.on(dy).cos(x, dx)
        arithmetic.on(dy).mul(dx, dy, dx)
        return dx

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy * cos(x)


class Cos(Unary):
    """y = cos x;  dx = -sin(x) dy"""
    name = "cos"
    saves = "x"
    flops = 15

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(dy)
        kernels.on(dy).sin(x, dx)
        arithmetic.on(dy).mul(dx, dy, dx)
        kernels.on(dy).neg(dx, dx)
        return dx

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return neg(dy * sin(x))


# ---- activations ----

class Tanh(Unary):
    """y = tanh x;  dx = (1 - y^2) dy"""
    name = "tanh"
    saves = "y"
    flops = 14

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy * (1.0 - y * y)


class Sigmoid(Unary):
    """y = 1 / (1 + e^-x);  dx = y (1 - y) dy"""
    name = "sigmoid"
    saves = "y"
    flops = 14

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy * ((1.0 - y) * y)


class Relu(Unary):
    """y = max(x, 0), NaN where x is;  dx = dy where x > 0, else 0"""
    name = "relu"
    promotes = None
    saves = "y"

    def forward(self, node: Node, x):
        if x.dtype.kind == "b":
            raise TypeError("relu: expected numbers, got bool; convert with .float()")
        return Unary.forward(self, node, x)

    def backward_graph(self, node: Node, dy):
        (y,) = node.saved_tensors
        return dy * cast_tensor(y.detach() > 0, dy.array.dtype)


class Erf(Unary):
    """y = erf x = 2 / sqrt(pi) integral of e^-t^2 from 0 to x;  dx = 2 / sqrt(pi) e^-x^2 dy"""
    name = "erf"
    saves = "x"
    flops = 20

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy * exp(neg(x * x)) * (2 / math.sqrt(math.pi))


class Gelu(Unary):
    """y = x P(x), P the normal distribution function (1 + erf(x / sqrt 2)) / 2;  dx = (P(x) + x P'(x)) dy.

    approximate="tanh": y = x (1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3).
    Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    name = "gelu"
    flops = 25

    def __init__(self, approximate="none"):
        self.approximate = approximate

    def forward(self, node: Node, x):
        y = empty_like(x)
        kernels.on(x).gelu(x, y, approximate=self.approximate)
        node.save(x)
        return y

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(dy)
        kernels.on(dy).gelu_backward(x, dy, dx, approximate=self.approximate)
        return dx

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        if self.approximate == "none":
            density = exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
            return dy * ((erf(x * math.sqrt(0.5)) + 1.0) * 0.5 + x * density)
        root = math.sqrt(2 / math.pi)
        t = tanh((x + x * x * x * 0.044715) * root)
        du = (x * x * (3 * 0.044715) + 1.0) * root
        return dy * ((t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * du)


class Clamp(Unary):
    """y = min(max(x, low), high), NaN where x or a bound is;  dx = dy where low <= x <= high, else 0"""
    name = "clamp"
    promotes = None

    def __init__(self, min=None, max=None):
        for bound in (min, max):
            if bound is not None and (not isinstance(bound, numbers.Real) or isinstance(bound, bool)):
                raise TypeError(f"clamp: expected numbers as bounds, got {type(bound).__name__}; "
                                "maximum and minimum take tensors")
        if min is None and max is None:
            raise ValueError("clamp: expected at least one of min and max")
        self.min = min
        self.max = max

    def forward(self, node: Node, x):
        if x.dtype.kind == "b":
            raise TypeError("clamp: expected numbers, got bool; convert with .float()")
        if x.dtype.kind != "f" and (isinstance(self.min, float) or isinstance(self.max, float)):
            x = cast(x, float32)
        if x.dtype.kind != "f":
            bits = 8 * x.dtype.itemsize - (x.dtype.kind == "i")
            for bound in (self.min, self.max):
                if bound is not None and not (0 if x.dtype.kind == "u" else -(1 << bits)) <= bound < 1 << bits:
                    raise ValueError(f"clamp: the bound {bound} does not fit in {x.dtype}; leave it out, or convert "
                                     "with .float()")
        node.save(x)
        if self.min != self.min or self.max != self.max:        # a bound that is NaN
            return full(x.shape, math.nan, x.dtype, x)
        y = empty_like(x)
        kernels.on(x).clamp(x, y, low=self.min, high=self.max)
        return y

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(dy)
        kernels.on(dy).clamp_backward(x, dy, dx, low=self.min, high=self.max)
        return dx

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        inside = None
        x = x.detach()
        if self.min is not None:
            inside = x >= self.min
        if self.max is not None:
            inside = x <= self.max if inside is None else inside & (x <= self.max)
        return dy * cast_tensor(inside, dy.array.dtype)


class ClampBetween(Op):
    """y = min(max(x, low), high) of tensors, or with one of the bounds; NaN where one of them is.

    dx = dy where low <= x <= high, dlow = dy where x < low < high, dhigh = dy where x > high or high < low, else 0.
    """
    name = "clamp"
    broadcasts = True
    promotes = "same"

    def __init__(self, low, high):
        self.low = low                  # is there one?
        self.high = high

    def forward(self, node: Node, x, *bounds):
        node.save(x, *bounds)
        with no_grad():
            y = wrap(x)
            if self.low:
                y = y.maximum(wrap(bounds[0]))
            return (y.minimum(wrap(bounds[-1])) if self.high else y).array

    def backward(self, node: Node, dy):
        with no_grad():
            return tuple([d.array for d in self.gradients(wrap(dy), *[wrap(a) for a in node.saved])])

    def backward_graph(self, node: Node, dy):
        return self.gradients(dy, *[t.detach() for t in node.saved_tensors])

    def gradients(self, dy, x, *bounds):
        low, high = bounds[0], bounds[-1]
        if self.low and self.high:
            places = (x >= low) & (x <= high), (x < low) & (low < high), (x > high) | (high < low)
        else:
            places = (x >= low, x < low) if self.low else (x <= high, x > high)
        return tuple([dy.masked_fill(logical_not(place), 0.0) for place in places])

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 2, 6)


# ---- steps: their gradient is 0 wherever they have one ----

class Step(Unary):
    """A function that is constant between jumps: dx = 0."""
    promotes = None

    def backward(self, node: Node, dy):
        return zeros(dy.shape, dy.dtype, dy)

    def backward_graph(self, node: Node, dy):
        return dy * 0.0

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 0)


class Sign(Step):
    """y = 1, 0 or -1; 0 for NaN, as in PyTorch"""
    name = "sign"


class Floor(Step):
    """y = the largest integer <= x"""
    name = "floor"


class Ceil(Step):
    """y = the smallest integer >= x"""
    name = "ceil"


class Round(Step):
    """y = the nearest integer, the even one of two as near"""
    name = "round"


class Trunc(Step):
    """y = x without its fraction"""
    name = "trunc"


# ---- questions: bool, no gradient ----

class Question(Op):
    """y = whether x is so, a bool"""
    differentiable = False

    def forward(self, node: Node, x):
        y = empty(x.shape, boolean, x)
        getattr(kernels.on(x), self.name)(x, y)
        return y

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 0)


class IsNan(Question):
    """y = x is not a number"""
    name = "isnan"


class IsInf(Question):
    """y = x is infinite"""
    name = "isinf"


class IsFinite(Question):
    """y = x is neither infinite nor NaN"""
    name = "isfinite"


class LogicalNot(Question):
    """y = x == 0"""
    name = "logical_not"


# ---- the public functions ----

_NEG, _ABS, _SIGN, _SQUARE, _RECIPROCAL = Neg(), Abs(), Sign(), Square(), Reciprocal()
_SQRT, _RSQRT, _EXP, _EXPM1, _LOG, _LOG1P = Sqrt(), Rsqrt(), Exp(), Expm1(), Log(), Log1p()
_SIN, _COS, _TANH, _SIGMOID, _RELU, _ERF = Sin(), Cos(), Tanh(), Sigmoid(), Relu(), Erf()
_FLOOR, _CEIL, _ROUND, _TRUNC = Floor(), Ceil(), Round(), Trunc()
_ISNAN, _ISINF, _ISFINITE, _LOGICAL_NOT = IsNan(), IsInf(), IsFinite(), LogicalNot()
_CLAMP_LOW, _CLAMP_HIGH, _CLAMP_BETWEEN = ClampBetween(True, False), ClampBetween(False, True), ClampBetween(True, True)
_GELU = {"none": Gelu("none"), "tanh": Gelu("tanh")}


def _apply(op, input):
    expect_tensor(op.name, input)
    return apply(op, input)


def neg(input):
    """-input"""
    return _apply(_NEG, input)


def abs(input):
    """|input|; gradient 0 at 0"""
    return _apply(_ABS, input)


def sign(input):
    """1, 0 or -1"""
    return _apply(_SIGN, input)


def square(input):
    """input times itself"""
    return _apply(_SQUARE, input)


def reciprocal(input):
    """1 / input"""
    return _apply(_RECIPROCAL, input)


def sqrt(input):
    """The square root; its gradient at 0 is infinite"""
    return _apply(_SQRT, input)


def rsqrt(input):
    """1 / sqrt(input)"""
    return _apply(_RSQRT, input)


def exp(input):
    """e to the power of input"""
    return _apply(_EXP, input)


def expm1(input):
    """e^input - 1, exact also near 0"""
    return _apply(_EXPM1, input)


def log(input):
    """The natural logarithm"""
    return _apply(_LOG, input)


def log1p(input):
    """log(1 + input), exact also near 0"""
    return _apply(_LOG1P, input)


def sin(input):
    """The sine of an angle in radians"""
    return _apply(_SIN, input)


def cos(input):
    """The cosine of an angle in radians"""
    return _apply(_COS, input)


def tanh(input):
    """The hyperbolic tangent"""
    return _apply(_TANH, input)


def sigmoid(input):
    """1 / (1 + e^-input)"""
    return _apply(_SIGMOID, input)


def relu(input, inplace=False):
    """max(input, 0); gradient 0 at 0. inplace=True writes into the input's own memory"""
    return relu_(input) if inplace else _apply(_RELU, input)


def relu_(input):
    """relu written into the input's own memory"""
    expect_tensor("relu_", input)
    return apply_inplace(_RELU, input)


def erf(input):
    """The error function"""
    return _apply(_ERF, input)


def gelu(input, approximate="none"):
    """input times the normal distribution function of input; approximate="tanh" for the cheaper formula"""
    if approximate not in _GELU:
        raise ValueError(f'gelu: expected approximate="none" or "tanh", got {approximate!r}')
    if isinstance(input, TensorBase) and input.array.dtype.kind != "f":
        raise TypeError(f"gelu: expected a float32 or float64 tensor, got {input.array.dtype}; convert it with .float()")
    return _apply(_GELU[approximate], input)


def floor(input):
    """The largest integer not above input"""
    return _apply(_FLOOR, input)


def ceil(input):
    """The smallest integer not below input"""
    return _apply(_CEIL, input)


def round(input, *, decimals=0):
    """The nearest integer; halves go to the even one. With `decimals`, the nearest number of so many digits behind the
    point (before it, where negative)"""
    if decimals:
        expect_tensor("round", input)
        if input.array.dtype.kind != "f":
            raise TypeError(f"round: expected float32 or float64 to round to decimals, got {input.array.dtype}")
        scale = 10.0 ** builtins.abs(decimals)
        return round(input * scale) / scale if decimals > 0 else round(input / scale) * scale
    return _apply(_ROUND, input)


def trunc(input):
    """input without its fraction"""
    return _apply(_TRUNC, input)


def clamp(input, min=None, max=None):
    """input kept between min and max (numbers or tensors; None for no bound); gradient 1 at both"""
    if isinstance(min, TensorBase) or isinstance(max, TensorBase):
        expect_tensor("clamp", input)
        if max is None:
            return apply(_CLAMP_LOW, input, min)
        return apply(_CLAMP_HIGH, input, max) if min is None else apply(_CLAMP_BETWEEN, input, min, max)
    return _apply(Clamp(min, max), input)


def isnan(input):
    """Where input is NaN"""
    return _apply(_ISNAN, input)


def isinf(input):
    """Where input is infinite"""
    return _apply(_ISINF, input)


def isfinite(input):
    """Where input is neither infinite nor NaN"""
    return _apply(_ISFINITE, input)


def logical_not(input):
    """Where input is zero (or False)"""
    return _apply(_LOGICAL_NOT, input)
