"""Functions of one array, element by element, in NumPy: the definition.

x and y have one shape and dtype (float32 or float64; int64, int32, uint8 and bool where that makes sense), and any
strides; questions (isnan, ...) write bool. exp and its kin are computed in float64 and rounded once. A `_backward`
reads what its op saved (x, or the output y), and dy.
"""
import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _quiet():
    """Infinities and NaN are results, not news."""
    return np.errstate(all="ignore")


def _round_once(f, x, y):
    """y = f(x), computed in float64."""
    with _quiet():
        y[...] = f(np.asarray(x, np.float64))


def _is_float(x):
    return x.dtype.kind == "f"


# ---- signs, squares, roots ----

def neg(x, y):
    """y = -x"""
    y[...] = np.negative(x)


def abs(x, y):
    """y = |x|"""
    y[...] = np.absolute(x)


def sign(x, y):
    """y = 1, 0 or -1; 0 for NaN"""
    y[...] = np.greater(x, 0).astype(np.int8) - np.less(x, 0).astype(np.int8)


def square(x, y):
    """y = x^2"""
    with _quiet():
        y[...] = np.multiply(x, x)


def reciprocal(x, y):
    """y = 1 / x"""
    with _quiet():
        y[...] = np.divide(1, x, dtype=x.dtype)


def sqrt(x, y):
    """y = sqrt(x)"""
    with _quiet():
        y[...] = np.sqrt(x)


def rsqrt(x, y):
    """y = 1 / sqrt(x)"""
    with _quiet():
        y[...] = np.divide(1, np.sqrt(x), dtype=x.dtype)


# ---- exponentials, logarithms, trigonometry, activations ----

def exp(x, y):
    """y = e^x"""
    _round_once(np.exp, x, y)


def log(x, y):
    """y = log x"""
    _round_once(np.log, x, y)


def log1p(x, y):
    """y = log(1 + x)"""
    _round_once(np.log1p, x, y)


def expm1(x, y):
    """y = e^x - 1"""
    _round_once(np.expm1, x, y)


def sin(x, y):
    """y = sin x"""
    _round_once(np.sin, x, y)


def cos(x, y):
    """y = cos x"""
    _round_once(np.cos, x, y)


def tanh(x, y):
    """y = tanh x"""
    _round_once(np.tanh, x, y)


def _sigmoid(x):
    e = np.exp(-np.abs(x))              # never overflows
    return np.where(x < 0, e, 1) / (1 + e)


def sigmoid(x, y):
    """y = 1 / (1 + e^-x)"""
    _round_once(_sigmoid, x, y)


def relu(x, y):
    """y = 0 where x <= 0, else x (NaN stays)"""
    y[...] = np.where(np.less_equal(x, 0), np.zeros_like(x), x)


def erf(x, y):
    """y = 2 / sqrt(pi) integral of e^-t^2 from 0 to x"""
    _round_once(_erf, x, y)


def _gelu_erf(x):
    return x * 0.5 * (1 + _erf(x * math.sqrt(0.5)))


def _gelu_tanh(x):                      # (1 + tanh u) / 2 = sigmoid(2 u)
    return x * _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def gelu(x, y, *, approximate="none"):
    """y = x (1 + erf(x / sqrt 2)) / 2; "tanh": y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"""
    _round_once(_gelu_tanh if approximate == "tanh" else _gelu_erf, x, y)


# ---- rounding and bounds ----

def floor(x, y):
    """y = the largest integer <= x"""
    y[...] = np.floor(x) if _is_float(x) else x


def ceil(x, y):
    """y = the smallest integer >= x"""
    y[...] = np.ceil(x) if _is_float(x) else x


def round(x, y):
    """y = the nearest integer, the even one of two as near"""
    y[...] = np.rint(x) if _is_float(x) else x


def trunc(x, y):
    """y = x without its fraction"""
    y[...] = np.trunc(x) if _is_float(x) else x


def clamp(x, y, *, low=None, high=None):
    """y = min(max(x, low), high); None is no bound; NaN stays"""
    bound = x.dtype.type if _is_float(x) else np.int64
    value = np.asarray(x, None if _is_float(x) else np.int64)
    if low is not None:
        value = np.where(np.less(value, bound(low)), bound(low), value)
    if high is not None:
        value = np.where(np.greater(value, bound(high)), bound(high), value)
    y[...] = value


# ---- questions ----

def isnan(x, y):
    """y = x is not a number"""
    y[...] = np.isnan(x)


def isinf(x, y):
    """y = x is infinite"""
    y[...] = np.isinf(x)


def isfinite(x, y):
    """y = x is neither infinite nor NaN"""
    y[...] = np.isfinite(x)


def logical_not(x, y):
    """y = x == 0"""
    y[...] = np.equal(x, 0)


# ---- backward ----

def abs_backward(x, dy, dx):
    """dx = sign(x) dy"""
    with _quiet():
        dx[...] = np.where(x > 0, dy, np.where(x < 0, -dy, 0 * dy))


def square_backward(x, dy, dx):
    """dx = 2 x dy"""
    with _quiet():
        dx[...] = dy * (2 * x)


def reciprocal_backward(y, dy, dx):
    """dx = -y^2 dy"""
    with _quiet():
        dx[...] = -dy * (y * y)


def sqrt_backward(y, dy, dx):
    """dx = dy / (2 y)"""
    with _quiet():
        dx[...] = dy / (2 * y)


def rsqrt_backward(y, dy, dx):
    """dx = -y^3 dy / 2"""
    with _quiet():
        dx[...] = -0.5 * dy * (y * y * y)


def log_backward(x, dy, dx):
    """dx = dy / x"""
    with _quiet():
        dx[...] = dy / x


def tanh_backward(y, dy, dx):
    """dx = (1 - y^2) dy"""
    with _quiet():
        dx[...] = dy * (1 - y * y)


def sigmoid_backward(y, dy, dx):
    """dx = y (1 - y) dy"""
    with _quiet():
        dx[...] = dy * ((1 - y) * y)


def relu_backward(y, dy, dx):
    """dx = 0 where y <= 0, else dy"""
    dx[...] = np.where(np.less_equal(y, 0), np.zeros_like(dy), dy)


def erf_backward(x, dy, dx):
    """dx = 2 / sqrt(pi) e^-x^2 dy"""
    with _quiet():
        wide = np.asarray(x, np.float64)
        dx[...] = dy * (2 / math.sqrt(math.pi) * np.exp(-wide * wide))


def gelu_backward(x, dy, dx, *, approximate="none"):
    """dx = (P(x) + x P'(x)) dy with y = x P(x)"""
    with _quiet():
        wide = np.asarray(x, np.float64)
        near = np.clip(wide, -40, 40)       # beyond, P'(x) is 0
        if approximate == "tanh":
            p = _sigmoid(2 * math.sqrt(2 / math.pi) * (near + 0.044715 * near**3))
            slope = p + near * p * (1 - p) * 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * near**2)
        else:
            density = np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi)
            slope = 0.5 * (1 + _erf(wide * math.sqrt(0.5))) + near * density
        dx[...] = dy * (slope + (wide - wide))      # NaN where x is infinite, as in PyTorch


def clamp_backward(x, dy, dx, *, low=None, high=None):
    """dx = dy where low <= x <= high, else 0"""
    inside = ~np.isnan(x)
    if low is not None:
        inside &= np.greater_equal(x, x.dtype.type(low))
    if high is not None:
        inside &= np.less_equal(x, x.dtype.type(high))
    dx[...] = np.where(inside, dy, np.zeros_like(dy))
