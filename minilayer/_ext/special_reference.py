"""Functions of mathematics beyond the four operations and exp, in NumPy: the definition.

x, y and the rest are float32 or float64 of one shape, in C order.
"""
import math

import numpy as np


def _quiet():
    """Infinities and NaN are results, not news."""
    return np.errstate(all="ignore")


def _each(function, x):
    """A function of one Python float, of every element."""
    return np.array([function(v) for v in x.ravel().tolist()], np.float64).reshape(x.shape)


def tan(x, y):
    """y = tan x"""
    with _quiet():
        y[...] = np.tan(x)


def asin(x, y):
    """y = the angle whose sine is x"""
    with _quiet():
        y[...] = np.arcsin(x)


def acos(x, y):
    """y = the angle whose cosine is x"""
    with _quiet():
        y[...] = np.arccos(x)


def atan(x, y):
    """y = the angle whose tangent is x"""
    y[...] = np.arctan(x)


def sinh(x, y):
    """y = (e^x - e^-x) / 2"""
    with _quiet():
        y[...] = np.sinh(x)


def cosh(x, y):
    """y = (e^x + e^-x) / 2"""
    with _quiet():
        y[...] = np.cosh(x)


def asinh(x, y):
    """y = log(x + sqrt(x^2 + 1))"""
    y[...] = np.arcsinh(x)


def acosh(x, y):
    """y = log(x + sqrt(x^2 - 1))"""
    with _quiet():
        y[...] = np.arccosh(x)


def atanh(x, y):
    """y = log((1 + x) / (1 - x)) / 2"""
    with _quiet():
        y[...] = np.arctanh(x)


def exp2(x, y):
    """y = 2^x"""
    with _quiet():
        y[...] = np.exp2(x)


def log2(x, y):
    """y = log x / log 2"""
    with _quiet():
        y[...] = np.log2(x)


def log10(x, y):
    """y = log x / log 10"""
    with _quiet():
        y[...] = np.log10(x)


def erfc(x, y):
    """y = 1 - erf x"""
    y[...] = _each(math.erfc, x)


def _erfinv(p):
    """Where erf is p: a first guess, then Newton's steps on the complement, which keeps its digits near 1."""
    if not -1 <= p <= 1:
        return math.nan
    if abs(p) == 1 or p == 0:
        return p * math.inf if p else p
    q = abs(p)
    w = -math.log((1 - q) * (1 + q))
    t = 2 / (math.pi * 0.147) - w / 2
    z = math.sqrt(math.sqrt(t * t + w / 0.147) - t)         # Winitzki's approximation, good to 0.002
    for _ in range(4):
        f = math.erf(z) - q if q < 0.5 else (1 - q) - math.erfc(z)
        step = f / (2 / math.sqrt(math.pi) * math.exp(-z * z))
        z -= step / (1 + z * step)                          # Halley's: the second derivative is known
    return math.copysign(z, p)


def erfinv(x, y):
    """y = the number whose erf is x; infinite at -1 and 1, NaN beyond"""
    y[...] = _each(_erfinv, x)


def _lgamma(x):
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):         # at 0, -1, -2, ...; where the result is too large
        return math.inf


def lgamma(x, y):
    """y = log |gamma(x)|; infinite at 0, -1, -2, ..."""
    with _quiet():
        y[...] = _each(_lgamma, x)


def _digamma(x):
    if x == 0:
        return math.copysign(math.inf, -x)
    if math.isinf(x):
        return x if x > 0 else math.nan
    total = 0.0
    if x < 0:
        whole = math.trunc(x)
        if x == whole:
            return math.nan
        total = -math.pi / math.tan(math.pi * (x - whole))                  # reflection; x - floor(x) would lose digits
        x = 1 - x
    while x < 10:
        total -= 1 / x                                                      # psi(x) = psi(x + 1) - 1 / x
        x += 1
    r = 1 / (x * x)
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r * (1 / 132 - r * (691 / 32760 - r / 12))))))
    return total + math.log(x) - 0.5 / x - series


def digamma(x, y):
    """y = the derivative of log gamma(x): a recurrence up to 10, then the asymptotic series"""
    with _quiet():
        y[...] = _each(_digamma, x)


def _trigamma(x):
    sign, total = 1.0, 0.0
    if x < 0.5:
        s = math.sin(math.pi * math.modf(x)[0]) if math.isfinite(x) else math.nan
        if s == 0:
            return math.inf
        sign, total = -1.0, -(math.pi / s) * (math.pi / s)
        x = 1 - x
    while x < 10:
        total += 1 / (x * x)
        x += 1
    r = 1 / (x * x)
    series = r * (1 / 6 - r * (1 / 30 - r * (1 / 42 - r * (1 / 30 - r * (5 / 66 - r * (691 / 2730 - r * 7 / 6))))))
    return sign * (total + (1 + 0.5 / x + series) / x)


def trigamma(x, y):
    """y = the derivative of digamma(x)"""
    with _quiet():
        y[...] = _each(_trigamma, x)


# ---- of two arrays ----

def fmod(a, b, y):
    """y = a - trunc(a / b) b, of the dividend's sign"""
    with _quiet():
        y[...] = np.fmod(a, b)


def atan2(a, b, y):
    """y = the angle of the point (b, a), in (-pi, pi]"""
    y[...] = np.arctan2(a, b)


def hypot(a, b, y):
    """y = sqrt(a^2 + b^2)"""
    with _quiet():
        y[...] = np.hypot(a, b)


def logaddexp(a, b, y):
    """y = log(e^a + e^b)"""
    with _quiet():
        y[...] = np.logaddexp(a, b)


def copysign(a, b, y):
    """y = |a| with b's sign"""
    y[...] = np.copysign(a, b)


def fmax(a, b, y):
    """y = max(a, b); the other where one is NaN"""
    y[...] = np.fmax(a, b)


def fmin(a, b, y):
    """y = min(a, b); the other where one is NaN"""
    y[...] = np.fmin(a, b)
