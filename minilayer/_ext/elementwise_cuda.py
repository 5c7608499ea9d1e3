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
        near = min(max(x, -edge), edge) if x == x else x        # beyond, P'(x) is 0, and infinity times 0 would be NaN
        return dy * (half * (one + m.erf(x * root)) + near * density * m.exp(-half * near * near))
    return gelu_backward


def _gelu_tanh_backward(real):
    scale, cubic, one, three, edge = real(2 * math.sqrt(2 / math.pi)), real(0.044715), real(1), real(3), real(40)
    sigmoid = m.device(_sigmoid(real))

    def gelu_backward(x, dy):
        x = min(max(x, -edge), edge) if x == x else x
        p = sigmoid(scale * (x + cubic * x * x * x))
        return dy * (p + x * p * (one - p) * scale * (one + three * cubic * x * x))
    return gelu_backward


_maps = {
    **{name: Map(f"elementwise.{name}", make, 1, dtypes) for name, make, dtypes in [
        ("neg", lambda real: lambda x: -x, NUMBERS), ("abs", lambda real: lambda x: m.absolute(x), _ANY), ("sign", _sign, _ANY),
        ("square", lambda real: lambda x: x * x, _ANY), ("relu", _relu, NUMBERS),
        ("reciprocal", _reciprocal, FLOATS), ("rsqrt", _rsqrt, FLOATS), ("sigmoid", _sigmoid, FLOATS),
        ("sqrt", lambda real: lambda x: m.sqrt(x), FLOATS), ("exp", lambda real: lambda x: m.exp(x), FLOATS),
        ("log", lambda real: lambda x: m.log(x), FLOATS), ("log1p", lambda real: lambda x: m.log1p(x), FLOATS),
        ("expm1", lambda real: lambda x: m.expm1(x), FLOATS), ("tanh", lambda real: lambda x: m.tanh(x), FLOATS),
        ("erf", lambda real: lambda x: m.erf(x), FLOATS), ("gelu_erf", _gelu_erf, FLOATS), ("gelu_tanh", _gelu_tanh, FLOATS),
        ("floor", _whole(m.floor), _ANY), ("ceil", _whole(m.ceil), _ANY), ("round", _whole(m.rint), _ANY),
        ("trunc", _whole(m.trunc), _ANY)]},
    # libdevice brings large angles home by a table on the stack, and float64
    **{name: Map(f"elementwise.{name}", make, 1, wide=True, stack=48) for name, make in [
        ("sin", lambda real: lambda x: m.sin(x)), ("cos", lambda real: lambda x: m.cos(x))]},
    **{name: Map(f"elementwise.{name}", make, 1, _TO_BOOL) for name, make in [
        ("isnan", _question(lambda largest: lambda x: _np.uint8(x != x), 0)),
        ("isinf", _question(lambda largest: lambda x: _np.uint8(m.absolute(x) > largest), 0)),
        ("isfinite", _question(lambda largest: lambda x: _np.uint8(m.absolute(x) <= largest), 1)),
        ("logical_not", lambda source, target: lambda x: _np.uint8(x == 0))]},
    **{name: Map(f"elementwise.{name}", make, 2) for name, make in [
        ("abs_backward", _abs_backward), ("square_backward", _square_backward),
        ("reciprocal_backward", lambda real: lambda y, dy: -dy * (y * y)), ("sqrt_backward", _sqrt_backward),
        ("rsqrt_backward", _rsqrt_backward), ("log_backward", lambda real: lambda x, dy: dy / x),
        ("tanh_backward", _tanh_backward), ("sigmoid_backward", _sigmoid_backward), ("relu_backward", _relu_backward),
        ("erf_backward", _erf_backward), ("gelu_erf_backward", _gelu_erf_backward),
        ("gelu_tanh_backward", _gelu_tanh_backward)]},
}


def neg(x, y):
    """y = -x"""
    _maps["neg"](x, y)


def abs(x, y):
    """y = |x|"""
    _maps["abs"](x, y)


def sign(x, y):
    """y = 1, 0 or -1; 0 for NaN"""
    _maps["sign"](x, y)


def square(x, y):
    """y = x^2"""
    _maps["square"](x, y)


def reciprocal(x, y):
    """y = 1 / x"""
    _maps["reciprocal"](x, y)


def sqrt(x, y):
    """y = sqrt(x)"""
    _maps["sqrt"](x, y)


def rsqrt(x, y):
    """y = 1 / sqrt(x)"""
    _maps["rsqrt"](x, y)


def exp(x, y):
    """y = e^x"""
    _maps["exp"](x, y)


def log(x, y):
    """y = log x"""
    _maps["log"](x, y)


def log1p(x, y):
    """y = log(1 + x)"""
    _maps["log1p"](x, y)


def expm1(x, y):
    """y = e^x - 1"""
    _maps["expm1"](x, y)


def sin(x, y):
    """y = sin x"""
    _maps["sin"](x, y)


def cos(x, y):
    """y = cos x"""
    _maps["cos"](x, y)


def tanh(x, y):
    """y = tanh x"""
    _maps["tanh"](x, y)


def sigmoid(x, y):
    """y = 1 / (1 + e^-x)"""
    _maps["sigmoid"](x, y)


def relu(x, y):
    """y = 0 where x <= 0, else x (NaN stays)"""
    _maps["relu"](x, y)


def erf(x, y):
    """y = 2 / sqrt(pi) integral of e^-t^2 from 0 to x"""
    _maps["erf"](x, y)


def gelu(x, y, *, approximate="none"):
    """y = x (1 + erf(x / sqrt 2)) / 2; "tanh": y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    _maps["gelu_tanh" if approximate == "tanh" else "gelu_erf"](x, y)


def floor(x, y):
    """y = the largest integer <= x"""
    _maps["floor"](x, y)


def ceil(x, y):
    """y = the smallest integer >= x"""
    _maps["ceil"](x, y)


def round(x, y):
    """y = the nearest integer, the even one of two as near"""
    _maps["round"](x, y)


def trunc(x, y):
    """y = x without its fraction"""
    _maps["trunc"](x, y)


def isnan(x, y):
    """y = x is not a number"""
    _maps["isnan"](x, y)


def isinf(x, y):
    """y = x is infinite"""
    _maps["isinf"](x, y)


def isfinite(x, y):
    """y = x is neither infinite nor NaN"""
    _maps["isfinite"](x, y)


def logical_not(x, y):
    """y = x == 0"""
    _maps["logical_not"](x, y)


def abs_backward(x, dy, dx):
    """dx = sign(x) dy"""
    _maps["abs_backward"](x, dy, dx)


def square_backward(x, dy, dx):
    """dx = 2 x dy"""
    _maps["square_backward"](x, dy, dx)


def reciprocal_backward(y, dy, dx):
    """dx = -y^2 dy"""
    _maps["reciprocal_backward"](y, dy, dx)


def sqrt_backward(y, dy, dx):
    """dx = dy / (2 y)"""
    _maps["sqrt_backward"](y, dy, dx)


def rsqrt_backward(y, dy, dx):
    """dx = -y^3 dy / 2"""
    _maps["rsqrt_backward"](y, dy, dx)


def log_backward(x, dy, dx):
    """dx = dy / x"""
    _maps["log_backward"](x, dy, dx)


def tanh_backward(y, dy, dx):
    """dx = (1 - y^2) dy"""
    _maps["tanh_backward"](y, dy, dx)


def sigmoid_backward(y, dy, dx):
    """dx = y (1 - y) dy"""
    _maps["sigmoid_backward"](y, dy, dx)


def relu_backward(y, dy, dx):
    """dx = 0 where y <= 0, else dy"""
    _maps["relu_backward"](y, dy, dx)


def erf_backward(x, dy, dx):
    """dx = 2 / sqrt(pi) e^-x^2 dy"""
    _maps["erf_backward"](x, dy, dx)


def gelu_backward(x, dy, dx, *, approximate="none"):
    """dx = (P(x) + x P'(x)) dy with y = x P(x)"""
    _maps["gelu_tanh_backward" if approximate == "tanh" else "gelu_erf_backward"](x, dy, dx)
