"""Functions of one array, element by element, on CUDA: the contract of elementwise_reference.py.

exp and its kin are computed in the dtype itself (CUDA's float32 functions are within 2 units of rounding or so), not in
float64 and rounded once. clamp has no kernel yet.
"""
import math

from minilayer.cuda import _nb as m
from minilayer.cuda.launch import FLOATS, NUMBERS, missing
from minilayer.cuda.maps import Map

__getattr__ = missing(__name__)

_ANY = (*NUMBERS, "bool")
_TO_BOOL = [(dtype, "bool") for dtype in _ANY]
_np = m.np


# ---- functions of one number; `real` makes its constants ----

def _sign(real):
    one, zero, minus = real(1), real(0), real(-1 if _np.dtype(real).kind in "if" else 0)
    return lambda x: one if x > 0 else (minus if x < 0 else zero)


def _reciprocal(real):
    one = real(1)
    return lambda x: one / x


def _rsqrt(real):
    one = real(1)
    return lambda x: one / m.sqrt(x)


def _sigmoid(real):
    one, zero = real(1), real(0)

    def sigmoid(x):
        e = m.exp(-m.absolute(x))                      # never overflows
        return (e if x < zero else one) / (one + e)
    return sigmoid


def _relu(real):
    zero = real(0)
    return lambda x: zero if x <= zero else x


def _gelu_erf(real):
    half, one, root = real(0.5), real(1), real(math.sqrt(0.5))
    return lambda x: x * half * (one + m.erf(x * root))


def _gelu_tanh(real):                           # (1 + tanh u) / 2 = sigmoid(2 u)
    scale, cubic, sigmoid = real(2 * math.sqrt(2 / math.pi)), real(0.044715), m.device(_sigmoid(real))
    return lambda x: x * sigmoid(scale * (x + cubic * x * x * x))


def _whole(table):
    """A rounding: integers stay as they are."""
    def make(real):
        if real not in table:
            return lambda x: x
        f = table[real]
        return lambda x: f(x)
    return make


def _question(of_float, otherwise):
    """A question about floats; `otherwise` is what holds for integers."""
    def make(source, target):
        if source not in (_np.float32, _np.float64):
            return lambda x: _np.uint8(otherwise)
        largest = _np.finfo(source).max
        return of_float(largest)
    return make


# ---- backward: functions of what was saved, and dy ----

def _abs_backward(real):
    zero = real(0)
    return lambda x, dy: dy if x > zero else (-dy if x < zero else zero * dy)


def _square_backward(real):
    two = real(2)
    return lambda x, dy: dy * (two * x)


def _sqrt_backward(real):
    two = real(2)
    return lambda y, dy: dy / (two * y)


def _rsqrt_backward(real):
    half = real(-0.5)
    return lambda y, dy: half * dy * (y * y * y)


def _tanh_backward(real):
    one = real(1)
    return lambda y, dy: dy * (one - y * y)


def _sigmoid_backward(real):
    one = real(1)
    return lambda y, dy: dy * ((one - y) * y)


def _relu_backward(real):
    zero = real(0)
    return lambda y, dy: zero if y <= zero else dy


def _erf_backward(real):
    scale = real(2 / math.sqrt(math.pi))
    return lambda x, dy: dy * (scale * m.exp(-x * x))


def _gelu_erf_backward(real):
    half, one, root, edge = real(0.5), real(1), real(math.sqrt(0.5)), real(40)
    density = real(1 / math.sqrt(2 * math.pi))

    def gelu_backward(x, dy):
        near = min(max(x, -edge), edge) if x == x else x        # beyond, P'(x) is 0
        return dy * (half * (one + m.erf(x * root)) + near * density * m.exp(-half * near * near) + (x - x))
    return gelu_backward


def _gelu_tanh_backward(real):
    scale, cubic, one, three, edge = real(2 * math.sqrt(2 / math.pi)), real(0.044715), real(1), real(3), real(40)
    sigmoid = m.device(_sigmoid(real))

    def gelu_backward(x, dy):
        near = min(max(x, -edge), edge) if x == x else x
        p = sigmoid(scale * (near + cubic * near * near * near))
        return dy * (p + near * p * (one - p) * scale * (one + three * cubic * near * near) + (x - x))
    return gelu_backward


# ---- ways to call: y from x, y a byte from x, dx from what was saved and dy ----

def _number(name, make, dtypes=FLOATS, **limits):
    """(x, y): numbers of one dtype."""
    return Map(f"elementwise.{name}", make, 1, dtypes, **limits)


def _truth(name, make):
    """(x, y): a truth about a number, as a byte."""
    return Map(f"elementwise.{name}", make, 1, _TO_BOOL)


def _gradient(name, make):
    """(x or y, dy, dx)"""
    return Map(f"elementwise.{name}", make, 2)


neg = _number("neg", lambda real: lambda x: -x, NUMBERS)
abs = _number("abs", lambda real: lambda x: m.absolute(x), _ANY)
sign = _number("sign", _sign, _ANY)
square = _number("square", lambda real: lambda x: x * x, _ANY)
reciprocal = _number("reciprocal", _reciprocal)
sqrt = _number("sqrt", lambda real: lambda x: m.sqrt(x))
rsqrt = _number("rsqrt", _rsqrt)
exp = _number("exp", lambda real: lambda x: m.exp(x))
log = _number("log", lambda real: lambda x: m.log(x))
log1p = _number("log1p", lambda real: lambda x: m.log1p(x))
expm1 = _number("expm1", lambda real: lambda x: m.expm1(x))
# libdevice brings large angles home by a table on the stack, and float64
sin = _number("sin", lambda real: lambda x: m.sin(x), wide=True, stack=48)
cos = _number("cos", lambda real: lambda x: m.cos(x), wide=True, stack=48)
tanh = _number("tanh", lambda real: lambda x: m.tanh(x))
sigmoid = _number("sigmoid", _sigmoid)
relu = _number("relu", _relu, NUMBERS)
erf = _number("erf", lambda real: lambda x: m.erf(x))
floor = _number("floor", _whole(m.floor), _ANY)
ceil = _number("ceil", _whole(m.ceil), _ANY)
round = _number("round", _whole(m.rint), _ANY)
trunc = _number("trunc", _whole(m.trunc), _ANY)

isnan = _truth("isnan", _question(lambda largest: lambda x: _np.uint8(x != x), 0))
isinf = _truth("isinf", _question(lambda largest: lambda x: _np.uint8(m.absolute(x) > largest), 0))
isfinite = _truth("isfinite", _question(lambda largest: lambda x: _np.uint8(m.absolute(x) <= largest), 1))
logical_not = _truth("logical_not", lambda source, target: lambda x: _np.uint8(x == 0))

abs_backward = _gradient("abs_backward", _abs_backward)
square_backward = _gradient("square_backward", _square_backward)
reciprocal_backward = _gradient("reciprocal_backward", lambda real: lambda y, dy: -dy * (y * y))
sqrt_backward = _gradient("sqrt_backward", _sqrt_backward)
rsqrt_backward = _gradient("rsqrt_backward", _rsqrt_backward)
log_backward = _gradient("log_backward", lambda real: lambda x, dy: dy / x)
tanh_backward = _gradient("tanh_backward", _tanh_backward)
sigmoid_backward = _gradient("sigmoid_backward", _sigmoid_backward)
relu_backward = _gradient("relu_backward", _relu_backward)
erf_backward = _gradient("erf_backward", _erf_backward)

_gelu = {"none": _number("gelu_erf", _gelu_erf), "tanh": _number("gelu_tanh", _gelu_tanh)}
_gelu_gradient = {"none": _gradient("gelu_erf_backward", _gelu_erf_backward),
                  "tanh": _gradient("gelu_tanh_backward", _gelu_tanh_backward)}


def gelu(x, y, *, approximate="none"):
    """y = x (1 + erf(x / sqrt 2)) / 2; "tanh": y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    _gelu[approximate](x, y)


def gelu_backward(x, dy, dx, *, approximate="none"):
    """dx = (P(x) + x P'(x)) dy with y = x P(x)"""
    _gelu_gradient[approximate](x, dy, dx)
