# cython: language_level=3
"""Compiled arithmetic between arrays: arithmetic_reference.py says what each function computes, c/arithmetic.inc.h how.

A call on single numbers costs about as much as the Python call itself; that is what a chain of small ops is made of.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/arithmetic.h":
    ctypedef struct arithmetic_settings:
        int32_t accumulate
    ctypedef struct arithmetic_kernels:
        ml_kernel add, sub, mul, div
        ml_kernel floor_divide, trunc_divide, remainder, pow, maximum, minimum
        ml_kernel eq, ne, lt, le, gt, ge, logical_and, logical_or, logical_xor, where
        ml_kernel bitwise_and, bitwise_or, bitwise_xor, bitwise_left_shift, bitwise_right_shift
        ml_kernel maximum_backward, minimum_backward, pow_backward, where_backward
    const arithmetic_kernels *arithmetic_select(const ml_runtime *)

cdef const arithmetic_kernels *K = arithmetic_select(runtime())


cdef inline int binary(str name, ml_kernel kernel, object a, object b, object y, bint accumulate) except -1:
    cdef ml_array d[3]
    cdef arithmetic_settings s
    describe(a, &d[0], 0, name)
    describe(b, &d[1], 1, name)
    describe(y, &d[2], 2, name)
    s.accumulate = accumulate
    return launch(name, kernel, d, &s, sizeof(s), d[2].size)


def add(a, b, y, *, bint accumulate=False):
    """y = a + b"""
    binary("add", K.add, a, b, y, accumulate)


def sub(a, b, y, *, bint accumulate=False):
    """y = a - b"""
    binary("sub", K.sub, a, b, y, accumulate)


def mul(a, b, y, *, bint accumulate=False):
    """y = a b"""
    binary("mul", K.mul, a, b, y, accumulate)


def div(a, b, y, *, bint accumulate=False):
    """y = a / b"""
    binary("div", K.div, a, b, y, accumulate)


def floor_divide(a, b, y):
    """y = floor(a / b)"""
    binary("floor_divide", K.floor_divide, a, b, y, False)


def trunc_divide(a, b, y):
    """y = a / b, rounded towards zero"""
    binary("trunc_divide", K.trunc_divide, a, b, y, False)


def remainder(a, b, y):
    """y = a - floor(a / b) b"""
    binary("remainder", K.remainder, a, b, y, False)


def pow(a, b, y):
    """y = a ** b"""
    binary("pow", K.pow, a, b, y, False)


def maximum(a, b, y):
    """y = max(a, b)"""
    binary("maximum", K.maximum, a, b, y, False)


def minimum(a, b, y):
    """y = min(a, b)"""
    binary("minimum", K.minimum, a, b, y, False)


def eq(a, b, y):
    """y = a == b"""
    binary("eq", K.eq, a, b, y, False)


def ne(a, b, y):
    """y = a != b"""
    binary("ne", K.ne, a, b, y, False)


def lt(a, b, y):
    """y = a < b"""
    binary("lt", K.lt, a, b, y, False)


def le(a, b, y):
    """y = a <= b"""
    binary("le", K.le, a, b, y, False)


def gt(a, b, y):
    """y = a > b"""
    binary("gt", K.gt, a, b, y, False)


def ge(a, b, y):
    """y = a >= b"""
    binary("ge", K.ge, a, b, y, False)


def logical_and(a, b, y):
    """y = a and b"""
    binary("logical_and", K.logical_and, a, b, y, False)


def logical_or(a, b, y):
    """y = a or b"""
    binary("logical_or", K.logical_or, a, b, y, False)


def logical_xor(a, b, y):
    """y = bool(a) != bool(b)"""
    binary("logical_xor", K.logical_xor, a, b, y, False)


def bitwise_and(a, b, y):
    """y = a & b"""
    binary("bitwise_and", K.bitwise_and, a, b, y, False)


def bitwise_or(a, b, y):
    """y = a | b"""
    binary("bitwise_or", K.bitwise_or, a, b, y, False)


def bitwise_xor(a, b, y):
    """y = a ^ b"""
    binary("bitwise_xor", K.bitwise_xor, a, b, y, False)


def bitwise_left_shift(a, b, y):
    """y = a << b"""
    binary("bitwise_left_shift", K.bitwise_left_shift, a, b, y, False)


def bitwise_right_shift(a, b, y):
    """y = a >> b"""
    binary("bitwise_right_shift", K.bitwise_right_shift, a, b, y, False)


def where(condition, a, b, y):
    """y = a where condition holds, else b"""
    cdef ml_array d[4]
    describe(condition, &d[0], 0, "where")
    describe(a, &d[1], 1, "where")
    describe(b, &d[2], 2, "where")
    describe(y, &d[3], 3, "where")
    launch("where", K.where, d, NULL, 0, d[3].size)


cdef int backward(str name, ml_kernel kernel, object a, object b, object dy, object da, object db) except -1:
    cdef ml_array d[5]
    describe(a, &d[0], 0, name)
    describe(b, &d[1], 1, name)
    describe(dy, &d[2], 2, name)
    describe(da, &d[3], 3, name)
    describe(db, &d[4], 4, name)
    return launch(name, kernel, d, NULL, 0, d[2].size)


def maximum_backward(a, b, dy, da, db):
    """da = dy where a > b, dy / 2 where a = b, 0 elsewhere; db the other way round"""
    backward("maximum_backward", K.maximum_backward, a, b, dy, da, db)


def minimum_backward(a, b, dy, da, db):
    """da = dy where a < b, dy / 2 where a = b, 0 elsewhere; db the other way round"""
    backward("minimum_backward", K.minimum_backward, a, b, dy, da, db)


def pow_backward(a, b, dy, da, db):
    """da = dy b a**(b-1), db = dy a**b log(a)"""
    backward("pow_backward", K.pow_backward, a, b, dy, da, db)


def where_backward(condition, dy, da, db):
    """da = dy where condition holds, else 0; db the other way round"""
    cdef ml_array d[4]
    describe(condition, &d[0], 0, "where_backward")
    describe(dy, &d[1], 1, "where_backward")
    describe(da, &d[2], 2, "where_backward")
    describe(db, &d[3], 3, "where_backward")
    launch("where_backward", K.where_backward, d, NULL, 0, d[1].size)
