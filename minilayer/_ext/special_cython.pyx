# cython: language_level=3
"""Functions of mathematics, compiled: special_reference.py is the definition, c/special.inc.h the loops.

What differs from the reference: float32 is computed in float32 where the C library has the function.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/special.h":
    ctypedef struct special_kernels:
        ml_kernel tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, exp2, log2, log10
        ml_kernel erfc, erfinv, lgamma, digamma, trigamma
        ml_kernel fmod, atan2, hypot, logaddexp, copysign, fmax, fmin
    const special_kernels *special_select(const ml_runtime *rt) noexcept

cdef const special_kernels *K = special_select(runtime())


cdef int one(str name, ml_kernel entry, x, y) except -1:
    cdef ml_array a[2]
    describe(x, &a[0], 0, name)
    describe(y, &a[1], 1, name)
    return launch(name, entry, a, NULL, 0, 16 * a[0].size)


cdef int two(str name, ml_kernel entry, a, b, y) except -1:
    cdef ml_array d[3]
    describe(a, &d[0], 0, name)
    describe(b, &d[1], 1, name)
    describe(y, &d[2], 2, name)
    return launch(name, entry, d, NULL, 0, 16 * d[0].size)


def tan(x, y):
    """y = tan x"""
    one("tan", K.tan, x, y)


def asin(x, y):
    """y = the angle whose sine is x"""
    one("asin", K.asin, x, y)


def acos(x, y):
    """y = the angle whose cosine is x"""
    one("acos", K.acos, x, y)


def atan(x, y):
    """y = the angle whose tangent is x"""
    one("atan", K.atan, x, y)


def sinh(x, y):
    """y = (e^x - e^-x) / 2"""
    one("sinh", K.sinh, x, y)


def cosh(x, y):
    """y = (e^x + e^-x) / 2"""
    one("cosh", K.cosh, x, y)


def asinh(x, y):
    """y = log(x + sqrt(x^2 + 1))"""
    one("asinh", K.asinh, x, y)


def acosh(x, y):
    """y = log(x + sqrt(x^2 - 1))"""
    one("acosh", K.acosh, x, y)


def atanh(x, y):
    """y = log((1 + x) / (1 - x)) / 2"""
    one("atanh", K.atanh, x, y)


def exp2(x, y):
    """y = 2^x"""
    one("exp2", K.exp2, x, y)


def log2(x, y):
    """y = log x / log 2"""
    one("log2", K.log2, x, y)


def log10(x, y):
    """y = log x / log 10"""
    one("log10", K.log10, x, y)


def erfc(x, y):
    """y = 1 - erf x"""
    one("erfc", K.erfc, x, y)


def erfinv(x, y):
    """y = the number whose erf is x; infinite at -1 and 1, NaN beyond"""
    one("erfinv", K.erfinv, x, y)


def lgamma(x, y):
    """y = log |gamma(x)|; infinite at 0, -1, -2, ..."""
    one("lgamma", K.lgamma, x, y)


def digamma(x, y):
    """y = the derivative of log gamma(x)"""
    one("digamma", K.digamma, x, y)


def trigamma(x, y):
    """y = the derivative of digamma(x)"""
    one("trigamma", K.trigamma, x, y)


def fmod(a, b, y):
    """y = a - trunc(a / b) b, of the dividend's sign"""
    two("fmod", K.fmod, a, b, y)


def atan2(a, b, y):
    """y = the angle of the point (b, a), in (-pi, pi]"""
    two("atan2", K.atan2, a, b, y)


def hypot(a, b, y):
    """y = sqrt(a^2 + b^2)"""
    two("hypot", K.hypot, a, b, y)


def logaddexp(a, b, y):
    """y = log(e^a + e^b)"""
    two("logaddexp", K.logaddexp, a, b, y)


def copysign(a, b, y):
    """y = |a| with b's sign"""
    two("copysign", K.copysign, a, b, y)


def fmax(a, b, y):
    """y = max(a, b); the other where one is NaN"""
    two("fmax", K.fmax, a, b, y)


def fmin(a, b, y):
    """y = min(a, b); the other where one is NaN"""
    two("fmin", K.fmin, a, b, y)
