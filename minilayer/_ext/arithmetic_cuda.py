"""Arithmetic between arrays that broadcast against one another, on CUDA: the contract of arithmetic_reference.py.

Products and sums may be fused by the compiler where they follow one another; single operations are rounded as IEEE 754
says, as on the CPU. Division of integers, shifts and powers have no kernel yet.
"""
from minilayer.cuda import _nb as m
from minilayer.cuda.blocks import larger, smaller
from minilayer.cuda.launch import FLOATS, NUMBERS, missing
from minilayer.cuda.maps import Map

__getattr__ = missing(__name__)

_ANY = (*NUMBERS, "bool")
_WHOLE = tuple(dtype for dtype in NUMBERS if "float" not in dtype)
_TO_BOOL = [(dtype, "bool") for dtype in _ANY]


def _by_type(f, of_bool):
    """f for numbers, `of_bool` for bool (a byte, 0 or 1)."""
    return lambda real: of_bool if real is m.np.bool_ else f


def _one_side(of_true):
    """(condition, dy) -> dy where the condition is `of_true`, else 0."""
    def make(real):
        zero = real(0)
        if of_true:
            return lambda c, dy: dy if c else zero
        return lambda c, dy: zero if c else dy
    return make


def _share(above):
    """(a, b, dy) -> all of dy where a wins or either is NaN, half of it at a tie, else 0 of its sign."""
    def make(real):
        zero, half = real(0), real(0.5)
        if above:
            return lambda a, b, dy: dy * half if a == b else (dy * zero if a < b else dy)
        return lambda a, b, dy: dy * half if a == b else (dy * zero if a > b else dy)
    return make


# ---- ways to call: y from a and b, y a byte from a and b, da and db from a, b and dy ----

def _number(name, make, dtypes, accumulates=False):
    """(a, b, y): numbers of one dtype."""
    return Map(f"arithmetic.{name}", make, 2, dtypes, accumulates=accumulates)


def _truth(name, f):
    """(a, b, y): a truth about numbers of one dtype, as a byte."""
    return Map(f"arithmetic.{name}", lambda source, target: f, 2, _TO_BOOL)


def _two_gradients(name, make):
    """(a, b, dy, da, db): a's share of dy, and b's by the same rule; da or db may be None."""
    share = Map(f"arithmetic.{name}", make, 3, FLOATS)

    def backward(a, b, dy, da, db):
        if da is not None:
            share(a, b, dy, da)
        if db is not None:
            share(b, a, dy, db)
    return backward


add = _number("add", _by_type(lambda a, b: a + b, lambda a, b: a | b), _ANY, accumulates=True)
sub = _number("sub", lambda real: lambda a, b: a - b, NUMBERS, accumulates=True)
mul = _number("mul", _by_type(lambda a, b: a * b, lambda a, b: a & b), _ANY, accumulates=True)
div = _number("div", lambda real: lambda a, b: a / b, FLOATS, accumulates=True)
maximum = _number("maximum", lambda real: lambda a, b: larger(a, b), _ANY)
minimum = _number("minimum", lambda real: lambda a, b: smaller(a, b), _ANY)

eq = _truth("eq", lambda a, b: m.np.uint8(a == b))
ne = _truth("ne", lambda a, b: m.np.uint8(a != b))
lt = _truth("lt", lambda a, b: m.np.uint8(a < b))
le = _truth("le", lambda a, b: m.np.uint8(a <= b))
gt = _truth("gt", lambda a, b: m.np.uint8(a > b))
ge = _truth("ge", lambda a, b: m.np.uint8(a >= b))
logical_and = _truth("logical_and", lambda a, b: m.np.uint8((a != 0) & (b != 0)))
logical_or = _truth("logical_or", lambda a, b: m.np.uint8((a != 0) | (b != 0)))
logical_xor = _truth("logical_xor", lambda a, b: m.np.uint8((a != 0) != (b != 0)))

bitwise_and = _number("bitwise_and", lambda real: lambda a, b: a & b, (*_WHOLE, "bool"))
bitwise_or = _number("bitwise_or", lambda real: lambda a, b: a | b, (*_WHOLE, "bool"))
bitwise_xor = _number("bitwise_xor", lambda real: lambda a, b: a ^ b, (*_WHOLE, "bool"))

where = Map("arithmetic.where", lambda real: lambda c, a, b: a if c else b, 3, _ANY, letters="BTT")
_where_true = Map("arithmetic.where_true", _one_side(True), 2, FLOATS, letters="BT")
_where_false = Map("arithmetic.where_false", _one_side(False), 2, FLOATS, letters="BT")

maximum_backward = _two_gradients("share_of_larger", _share(True))
minimum_backward = _two_gradients("share_of_smaller", _share(False))


def where_backward(condition, dy, da, db):
    """da = dy where condition holds, else 0; db the other way round"""
    if da is not None:
        _where_true(condition, dy, da)
    if db is not None:
        _where_false(condition, dy, db)
