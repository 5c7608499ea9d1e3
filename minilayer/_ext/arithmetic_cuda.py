"""Arithmetic between arrays that broadcast against one another, on CUDA: the contract of arithmetic_reference.py.

Products and sums may be fused by the compiler where they follow one another; single operations are rounded as IEEE 754
says, as on the CPU. Division of integers and powers have no kernel yet.
"""
from minilayer.cuda import _nb as m
from minilayer.cuda.blocks import larger, smaller
from minilayer.cuda.launch import FLOATS, NUMBERS, missing
from minilayer.cuda.maps import Map

__getattr__ = missing(__name__)

_ANY = (*NUMBERS, "bool")
_TO_BOOL = [(dtype, "bool") for dtype in _ANY]


def _by_type(f, of_bool):
    """f for numbers, `of_bool` for bool (a byte, 0 or 1)."""
    return lambda real: of_bool if real is m.np.bool_ else f


def _truth(f):
    """A comparison as a byte."""
    return lambda source, target: f


_add = Map("arithmetic.add", _by_type(lambda a, b: a + b, lambda a, b: a | b), 2, _ANY)
_sub = Map("arithmetic.sub", lambda real: lambda a, b: a - b, 2, NUMBERS)
_mul = Map("arithmetic.mul", _by_type(lambda a, b: a * b, lambda a, b: a & b), 2, _ANY)
_div = Map("arithmetic.div", lambda real: lambda a, b: a / b, 2, FLOATS)
_maximum = Map("arithmetic.maximum", lambda real: lambda a, b: larger(a, b), 2, _ANY)
_minimum = Map("arithmetic.minimum", lambda real: lambda a, b: smaller(a, b), 2, _ANY)
_eq = Map("arithmetic.eq", _truth(lambda a, b: m.np.uint8(a == b)), 2, _TO_BOOL)
_ne = Map("arithmetic.ne", _truth(lambda a, b: m.np.uint8(a != b)), 2, _TO_BOOL)
_lt = Map("arithmetic.lt", _truth(lambda a, b: m.np.uint8(a < b)), 2, _TO_BOOL)
_le = Map("arithmetic.le", _truth(lambda a, b: m.np.uint8(a <= b)), 2, _TO_BOOL)
_gt = Map("arithmetic.gt", _truth(lambda a, b: m.np.uint8(a > b)), 2, _TO_BOOL)
_ge = Map("arithmetic.ge", _truth(lambda a, b: m.np.uint8(a >= b)), 2, _TO_BOOL)
_logical_and = Map("arithmetic.logical_and", _truth(lambda a, b: m.np.uint8((a != 0) & (b != 0))), 2, _TO_BOOL)
_logical_or = Map("arithmetic.logical_or", _truth(lambda a, b: m.np.uint8((a != 0) | (b != 0))), 2, _TO_BOOL)
_logical_xor = Map("arithmetic.logical_xor", _truth(lambda a, b: m.np.uint8((a != 0) != (b != 0))), 2, _TO_BOOL)
_where = Map("arithmetic.where", lambda real: lambda c, a, b: a if c else b, 3, _ANY, letters="BTT")


def _one_side(of_true):
    def make(real):
        zero = real(0)
        if of_true:
            return lambda c, dy: dy if c else zero
        return lambda c, dy: zero if c else dy
    return make


_where_true = Map("arithmetic.where_true", _one_side(True), 2, FLOATS, letters="BT")
_where_false = Map("arithmetic.where_false", _one_side(False), 2, FLOATS, letters="BT")


def _share(above):
    """(a, b, dy) -> all of dy where a wins or either is NaN, half of it at a tie, else 0 of its sign."""
    def make(real):
        zero, half = real(0), real(0.5)
        if above:
            return lambda a, b, dy: dy * half if a == b else (dy * zero if a < b else dy)
        return lambda a, b, dy: dy * half if a == b else (dy * zero if a > b else dy)
    return make


_share_of_larger = Map("arithmetic.share_of_larger", _share(True), 3, FLOATS)
_share_of_smaller = Map("arithmetic.share_of_smaller", _share(False), 3, FLOATS)


def add(a, b, y, *, accumulate=False):
    """y = a + b  (bool: or)"""
    _add(a, b, y, accumulate=accumulate)


def sub(a, b, y, *, accumulate=False):
    """y = a - b"""
    _sub(a, b, y, accumulate=accumulate)


def mul(a, b, y, *, accumulate=False):
    """y = a b  (bool: and)"""
    _mul(a, b, y, accumulate=accumulate)


def div(a, b, y, *, accumulate=False):
    """y = a / b  (floats)"""
    _div(a, b, y, accumulate=accumulate)


def maximum(a, b, y):
    """y = max(a, b); NaN where either is"""
    _maximum(a, b, y)


def minimum(a, b, y):
    """y = min(a, b); NaN where either is"""
    _minimum(a, b, y)


def eq(a, b, y):
    """y = a == b"""
    _eq(a, b, y)


def ne(a, b, y):
    """y = a != b"""
    _ne(a, b, y)


def lt(a, b, y):
    """y = a < b"""
    _lt(a, b, y)


def le(a, b, y):
    """y = a <= b"""
    _le(a, b, y)


def gt(a, b, y):
    """y = a > b"""
    _gt(a, b, y)


def ge(a, b, y):
    """y = a >= b"""
    _ge(a, b, y)


def logical_and(a, b, y):
    """y = a and b, where what is not zero holds"""
    _logical_and(a, b, y)


def logical_or(a, b, y):
    """y = a or b, where what is not zero holds"""
    _logical_or(a, b, y)


def logical_xor(a, b, y):
    """y = bool(a) != bool(b)"""
    _logical_xor(a, b, y)


def where(condition, a, b, y):
    """y = a where condition (bool) holds, else b"""
    _where(condition, a, b, y)


def maximum_backward(a, b, dy, da, db):
    """da = dy where a > b, dy / 2 where a = b, 0 elsewhere; db the other way round. Both take all of dy next to a NaN."""
    if da is not None:
        _share_of_larger(a, b, dy, da)
    if db is not None:
        _share_of_larger(b, a, dy, db)


def minimum_backward(a, b, dy, da, db):
    """da = dy where a < b, dy / 2 where a = b, 0 elsewhere; db the other way round. Both take all of dy next to a NaN."""
    if da is not None:
        _share_of_smaller(a, b, dy, da)
    if db is not None:
        _share_of_smaller(b, a, dy, db)


def where_backward(condition, dy, da, db):
    """da = dy where condition holds, else 0; db the other way round"""
    if da is not None:
        _where_true(condition, dy, da)
    if db is not None:
        _where_false(condition, dy, db)
