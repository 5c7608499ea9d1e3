"""Arithmetic between arrays that broadcast against one another, in NumPy: the definition.

Inputs have any strides and broadcast to the output's shape; a, b and y share one dtype (float32, float64, int64, int32,
uint8; bool where it says so), and comparisons write bool. Integers wrap around. An output may be one of the inputs
itself.
"""
import numpy as np


def _quiet():
    """Infinities and NaN are results, not news. (NumPy lets each errstate be entered once.)"""
    return np.errstate(all="ignore")


def _put(y, value, accumulate):
    if accumulate:
        np.add(y, value, out=y)
    else:
        y[...] = value


def _refuse_zero(name, a, b):
    """An integer divided by zero has no value."""
    if b.dtype.kind in "iu" and np.broadcast(a, b).size and not np.all(b):
        raise ZeroDivisionError(f"{name}: an integer was divided by zero; divide floats, or mask the zeros first")


def add(a, b, y, *, accumulate=False):
    """y = a + b  (bool: or)"""
    with _quiet():
        _put(y, np.add(a, b), accumulate)


def sub(a, b, y, *, accumulate=False):
    """y = a - b"""
    with _quiet():
        _put(y, np.subtract(a, b), accumulate)


def mul(a, b, y, *, accumulate=False):
    """y = a b  (bool: and)"""
    with _quiet():
        _put(y, np.multiply(a, b), accumulate)


def div(a, b, y, *, accumulate=False):
    """y = a / b  (floats)"""
    with _quiet():
        _put(y, np.divide(a, b), accumulate)


def floor_divide(a, b, y):
    """y = floor(a / b)"""
    _refuse_zero("floor_divide", a, b)
    with _quiet():
        y[...] = np.floor_divide(a, b)


def trunc_divide(a, b, y):
    """y = a / b, rounded towards zero"""
    _refuse_zero("trunc_divide", a, b)
    with _quiet():
        if y.dtype.kind == "f":
            y[...] = np.trunc(np.divide(a, b))
        else:
            q, r = np.floor_divide(a, b), np.remainder(a, b)
            y[...] = q + ((r != 0) & ((np.less(a, 0)) != np.less(b, 0)))


def remainder(a, b, y):
    """y = a - floor(a / b) b, of the divisor's sign"""
    _refuse_zero("remainder", a, b)
    with _quiet():
        y[...] = np.remainder(a, b)


def pow(a, b, y):
    """y = a ** b; an integer to a negative power is 0, except for 1 and -1"""
    with _quiet():
        if y.dtype.kind == "f":
            b = np.broadcast_to(b, y.shape).copy()      # for a single 0.5 NumPy takes sqrt, which is NaN at -inf
            y[...] = np.power(a, b)
        else:
            unit = np.where(np.equal(b % 2, 0), a * a, a)       # 1 and -1 to a negative power
            y[...] = np.where(np.less(b, 0), np.where(np.equal(a * a, 1), unit, 0), np.power(a, np.maximum(b, 0)))


def maximum(a, b, y):
    """y = max(a, b); NaN where either is"""
    y[...] = np.maximum(a, b)


def minimum(a, b, y):
    """y = min(a, b); NaN where either is"""
    y[...] = np.minimum(a, b)


def eq(a, b, y):
    """y = a == b"""
    y[...] = np.equal(a, b)


def ne(a, b, y):
    """y = a != b"""
    y[...] = np.not_equal(a, b)


def lt(a, b, y):
    """y = a < b"""
    y[...] = np.less(a, b)


def le(a, b, y):
    """y = a <= b"""
    y[...] = np.less_equal(a, b)


def gt(a, b, y):
    """y = a > b"""
    y[...] = np.greater(a, b)


def ge(a, b, y):
    """y = a >= b"""
    y[...] = np.greater_equal(a, b)


def logical_and(a, b, y):
    """y = a and b, where what is not zero holds"""
    y[...] = np.logical_and(a, b)


def logical_or(a, b, y):
    """y = a or b, where what is not zero holds"""
    y[...] = np.logical_or(a, b)


def logical_xor(a, b, y):
    """y = bool(a) != bool(b)"""
    y[...] = np.logical_xor(a, b)


def bitwise_and(a, b, y):
    """y = a & b, bit by bit: bool or integers, as the next four"""
    y[...] = np.bitwise_and(a, b)


def bitwise_or(a, b, y):
    """y = a | b"""
    y[...] = np.bitwise_or(a, b)


def bitwise_xor(a, b, y):
    """y = a ^ b"""
    y[...] = np.bitwise_xor(a, b)


def _outside(b):
    """Where a shift is negative or moves out every bit."""
    return np.less(b, 0) | np.greater_equal(b, 8 * b.dtype.itemsize)


def bitwise_left_shift(a, b, y):
    """y = a << b of integers; 0 where b is negative or moves out every bit"""
    out = _outside(b)
    y[...] = np.where(out, 0, np.left_shift(a, np.where(out, 0, b)))


def bitwise_right_shift(a, b, y):
    """y = a >> b of integers, which keeps the sign; 0, or -1 for a negative a, where b is negative or moves out every bit"""
    out = _outside(b)
    y[...] = np.where(out, np.where(np.less(a, 0), -1, 0).astype(y.dtype), np.right_shift(a, np.where(out, 0, b)))


def where(condition, a, b, y):
    """y = a where condition (bool) holds, else b"""
    y[...] = np.where(condition, a, b)


# ---- backward: inputs broadcast to dy's shape, outputs have it; an output given as None is not wanted ----

def _share(winner, equal, dy):
    """All of dy where `winner`, half of it where `equal`, else none."""
    return dy * np.where(equal, 0.5, np.where(winner, 1.0, 0.0)).astype(dy.dtype)


def maximum_backward(a, b, dy, da, db):
    """da = dy where a > b, dy / 2 where a = b, 0 elsewhere; db the other way round. Both take dy next to a NaN."""
    with _quiet():
        if da is not None:
            da[...] = _share(~np.less(a, b), np.equal(a, b), dy)
        if db is not None:
            db[...] = _share(~np.less(b, a), np.equal(a, b), dy)


def minimum_backward(a, b, dy, da, db):
    """da = dy where a < b, dy / 2 where a = b, 0 elsewhere; db the other way round. Both take dy next to a NaN."""
    with _quiet():
        if da is not None:
            da[...] = _share(~np.greater(a, b), np.equal(a, b), dy)
        if db is not None:
            db[...] = _share(~np.greater(b, a), np.equal(a, b), dy)


def pow_backward(a, b, dy, da, db):
    """da = dy b a**(b-1), 0 where b = 0;  db = dy a**b log(a), 0 where a = 0 and b >= 0"""
    with _quiet():
        if da is not None:
            da[...] = np.where(np.equal(b, 0), 0, dy * (b * np.power(a, b - 1)))
        if db is not None:
            db[...] = np.where(np.equal(a, 0) & np.greater_equal(b, 0), 0, dy * (np.power(a, b) * np.log(a)))


def where_backward(condition, dy, da, db):
    """da = dy where condition holds, else 0; db the other way round"""
    if da is not None:
        da[...] = np.where(condition, dy, 0)
    if db is not None:
        db[...] = np.where(condition, 0, dy)
