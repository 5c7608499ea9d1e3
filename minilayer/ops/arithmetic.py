# cython: language_level=3
"""Arithmetic between tensors: + - * / ** // %, maximum and minimum, comparisons, logic, and where.

All broadcast, and meet in one dtype by PyTorch's rule before they come here. A rule gives each gradient in the shape
of the output; the engine sums it back to the input's shape where that was broadcast. The arrays saved are those that
a wanted gradient reads and no others, so that the rest may be changed in place or let go.
"""
import builtins

import cython

from minilayer._ext.dispatch import Family, family
from minilayer.device import broadcast_shapes, cast, empty, empty_broadcast, empty_like, zeros
from minilayer.dtypes import boolean, float32, result_type
from minilayer.node import Node, TensorBase, wrap
from minilayer.promotion import cast as cast_tensor
from minilayer.promotion import constant
from minilayer.tape import Op, apply, apply2, elementwise_cost, expect_tensor

kernels = cython.declare(Family, family("arithmetic"))
elementwise = family("elementwise")


class Binary(Op):
    """y = f(a, b), element by element."""
    broadcasts = True
    promotes = "same"
    accepts_bool = True

    def forward(self, node: Node, a, b):
        if not self.accepts_bool and a.dtype.kind == "b":
            raise TypeError(f"{self.name}: expected numbers, got bool; convert with .long() or .float(), or use the "
                            "logical operators & | ^")
        y = empty_broadcast(self.name, a, b)
        getattr(kernels.on(a), self.name)(a, b, y)
        self.save(node, a, b)
        return y

    def save(self, node: Node, a, b):
        """Keep what backward reads."""

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 1)


class Add(Op):
    """y = a + b;  da = db = dy.  On bool: or."""
    name = "add"
    broadcasts = True
    promotes = "same"

    def forward(self, node: Node, a, b):
        y = empty_broadcast("add", a, b)
        kernels.on(a).add(a, b, y)
        return y

    def backward(self, node: Node, dy):
        return dy, dy

    def backward_graph(self, node: Node, dy):
        return dy, dy

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 0)


class Sub(Binary):
    """y = a - b;  da = dy, db = -dy"""
    name = "sub"
    accepts_bool = False

    def backward(self, node: Node, dy):
        if not node.needs(1):
            return dy, None
        db = empty_like(dy)
        elementwise.on(dy).neg(dy, db)
        return dy, db

    def backward_graph(self, node: Node, dy):
        return dy, -dy if node.needs(1) else None


class Mul(Op):
    """y = a b;  da = dy b, db = dy a.  On bool: and."""
    name = "mul"
    broadcasts = True
    promotes = "same"

    def forward(self, node: Node, a, b):
        y = empty_broadcast("mul", a, b)
        kernels.on(a).mul(a, b, y)
        if node.recording:
            node.save(a if node.needs(1) else None, b if node.needs(0) else None)
        return y

    def backward(self, node: Node, dy):
        a, b = node.saved
        da = db = None
        if node.needs(0):
            da = empty_like(dy)
            kernels.on(dy).mul(dy, b, da)
        if node.needs(1):
            db = empty_like(dy)
            kernels.on(dy).mul(dy, a, db)
        return da, db

    def backward_graph(self, node: Node, dy):
        a, b = node.saved_tensors
        return dy * b if node.needs(0) else None, dy * a if node.needs(1) else None

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 1)


class Div(Binary):
    """y = a / b;  da = dy / b, db = -(dy / b) (a / b).  Integers become float32."""
    name = "div"
    promotes = "float"

    def forward(self, node: Node, a, b):
        if a.dtype.kind != "f":
            a, b = cast(a, float32), cast(b, float32)
        return Binary.forward(self, node, a, b)

    def save(self, node: Node, a, b):
        if node.recording:
            node.save(a if node.needs(1) else None, b)

    def backward(self, node: Node, dy):
        a, b = node.saved
        da = empty_like(dy)
        kernels.on(dy).div(dy, b, da)
        if not node.needs(1):
            return da, None
        db = empty_like(dy)
        kernels.on(dy).div(a, b, db)
        kernels.on(dy).mul(db, da, db)
        elementwise.on(dy).neg(db, db)
        return da, db

    def backward_graph(self, node: Node, dy):
        a, b = node.saved_tensors
        da = dy / b
        return da, -(da * (a / b)) if node.needs(1) else None


class Pow(Binary):
    """y = a^b;  da = dy b a^(b-1), 0 where b = 0;  db = dy y log a, 0 where a = 0 and b >= 0"""
    name = "pow"
    accepts_bool = False

    def save(self, node: Node, a, b):
        node.save(a, b)

    def backward(self, node: Node, dy):
        a, b = node.saved
        da = empty_like(dy) if node.needs(0) else None
        db = empty_like(dy) if node.needs(1) else None
        kernels.on(dy).pow_backward(a, b, dy, da, db)
        return da, db

    def backward_graph(self, node: Node, dy):
        a, b = node.saved_tensors
        da = db = None
        if node.needs(0):
            zero = eq(b, 0)
            da = where(zero, 0.0, dy * b * pow(a, where(zero, 1.0, b - 1)))     # a^-1 could be infinite, and spoil it
        if node.needs(1):
            flat = logical_and(eq(a, 0), ge(b, 0))
            a = where(flat, 1.0, a)         # 1 in place of 0: a log that is infinite would spoil the masked gradient
            db = where(flat, 0.0, dy * pow(a, b) * a.log())
        return da, db

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 20, 40)


class Maximum(Binary):
    """y = max(a, b), NaN where either is;  the larger takes dy, equal ones half each"""
    name = "maximum"

    def save(self, node: Node, a, b):
        node.save(a, b)

    def backward(self, node: Node, dy):
        a, b = node.saved
        da = empty_like(dy) if node.needs(0) else None
        db = empty_like(dy) if node.needs(1) else None
        getattr(kernels.on(dy), self.name + "_backward")(a, b, dy, da, db)
        return da, db

    def loses(self, a, b):
        """Where a is not the result."""
        return lt(a, b)

    def backward_graph(self, node: Node, dy):
        a, b = node.saved_tensors
        half = where(eq(a, b), dy * 0.5, dy)
        return (where(self.loses(a, b), 0.0, half) if node.needs(0) else None,
                where(self.loses(b, a), 0.0, half) if node.needs(1) else None)


class Minimum(Maximum):
    """y = min(a, b), NaN where either is;  the smaller takes dy, equal ones half each"""
    name = "minimum"

    def loses(self, a, b):
        return gt(a, b)


class FloorDivide(Binary):
    """y = floor(a / b);  da = db = 0"""
    name = "floor_divide"
    accepts_bool = False

    def backward(self, node: Node, dy):
        return (zeros(dy.shape, dy.dtype, dy) if node.needs(0) else None,
                zeros(dy.shape, dy.dtype, dy) if node.needs(1) else None)

    def backward_graph(self, node: Node, dy):
        return dy * 0.0 if node.needs(0) else None, dy * 0.0 if node.needs(1) else None


class TruncDivide(FloorDivide):
    """y = a / b, rounded towards zero;  da = db = 0"""
    name = "trunc_divide"


class Remainder(Binary):
    """y = a - floor(a / b) b, of the divisor's sign as in Python;  da = dy, db = -dy floor(a / b)"""
    name = "remainder"
    accepts_bool = False

    def save(self, node: Node, a, b):
        if node.recording and node.needs(1):
            node.save(a, b)

    def backward(self, node: Node, dy):
        if not node.needs(1):
            return dy, None
        a, b = node.saved
        db = empty_like(dy)
        kernels.on(dy).floor_divide(a, b, db)
        kernels.on(dy).mul(db, dy, db)
        elementwise.on(dy).neg(db, db)
        return dy, db

    def backward_graph(self, node: Node, dy):
        if not node.needs(1):
            return dy, None
        a, b = node.saved_tensors
        return dy, -(dy * floor_divide(a, b))


# ---- comparisons and logic: bool, no gradient ----

class Comparison(Op):
    """y = a ? b, a bool"""
    broadcasts = True
    promotes = "same"
    differentiable = False

    def forward(self, node: Node, a, b):
        y = empty_broadcast(self.name, a, b, boolean)
        getattr(kernels.on(a), self.name)(a, b, y)
        return y

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 0)


class Eq(Comparison):
    """y = a == b"""
    name = "eq"


class Ne(Comparison):
    """y = a != b"""
    name = "ne"


class Lt(Comparison):
    """y = a < b"""
    name = "lt"


class Le(Comparison):
    """y = a <= b"""
    name = "le"


class Gt(Comparison):
    """y = a > b"""
    name = "gt"


class Ge(Comparison):
    """y = a >= b"""
    name = "ge"


class LogicalAnd(Comparison):
    """y = a and b; what is not zero holds"""
    name = "logical_and"


class LogicalOr(Comparison):
    """y = a or b; what is not zero holds"""
    name = "logical_or"


class LogicalXor(Comparison):
    """y = just one of a and b; what is not zero holds"""
    name = "logical_xor"


class Bitwise(Binary):
    """y = a ? b, bit by bit, of bools and integers"""
    differentiable = False

    def forward(self, node: Node, a, b):
        if a.dtype.kind == "f":
            raise TypeError(f"{self.name}: expected bools or integers, got {a.dtype}; compare first, as in (x != 0), or convert "
                            "with .long()")
        return Binary.forward(self, node, a, b)


class BitwiseAnd(Bitwise):
    """y = a & b"""
    name = "bitwise_and"


class BitwiseOr(Bitwise):
    """y = a | b"""
    name = "bitwise_or"


class BitwiseXor(Bitwise):
    """y = a ^ b"""
    name = "bitwise_xor"


class LeftShift(Bitwise):
    """y = a << b; 0 where b is negative or moves out every bit"""
    name = "bitwise_left_shift"
    accepts_bool = False


class RightShift(Bitwise):
    """y = a >> b, which keeps the sign; where b is negative or moves out every bit, nothing but the sign is left"""
    name = "bitwise_right_shift"
    accepts_bool = False


# ---- where ----

class Where(Op):
    """y = a where c holds, else b;  da = dy where c holds, else 0;  db the other way round"""
    name = "where"
    broadcasts = True

    def forward(self, node: Node, c, a, b):
        if c.dtype.kind != "b":
            raise TypeError(f"where: expected a condition of bools, got {c.dtype}; compare it, as in "
                            "where(x != 0, a, b)")
        y = empty(broadcast_shapes("where", c.shape, a.shape, b.shape), a.dtype, a)
        kernels.on(a).where(c, a, b, y)
        node.save(c)
        return y

    def backward(self, node: Node, dy):
        (c,) = node.saved
        da = empty_like(dy) if node.needs(1) else None
        db = empty_like(dy) if node.needs(2) else None
        kernels.on(dy).where_backward(c, dy, da, db)
        return None, da, db

    def backward_graph(self, node: Node, dy):
        (c,) = node.saved_tensors
        return None, where(c, dy, 0.0) if node.needs(1) else None, where(c, 0.0, dy) if node.needs(2) else None

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


# ---- the public functions ----

_ADD, _SUB, _MUL, _DIV, _POW = Add(), Sub(), Mul(), Div(), Pow()
_MAXIMUM, _MINIMUM, _REMAINDER = Maximum(), Minimum(), Remainder()
_FLOOR_DIVIDE, _TRUNC_DIVIDE, _WHERE = FloorDivide(), TruncDivide(), Where()
_EQ, _NE, _LT, _LE, _GT, _GE = Eq(), Ne(), Lt(), Le(), Gt(), Ge()
_AND, _OR, _XOR = LogicalAnd(), LogicalOr(), LogicalXor()
_BITWISE_AND, _BITWISE_OR, _BITWISE_XOR = BitwiseAnd(), BitwiseOr(), BitwiseXor()
_LEFT_SHIFT, _RIGHT_SHIFT = LeftShift(), RightShift()


def add(input, other, *, alpha=1):
    """input + alpha other"""
    return apply2(_ADD, input, other if alpha == 1 else other * alpha)


def sub(input, other, *, alpha=1):
    """input - alpha other"""
    return apply2(_SUB, input, other if alpha == 1 else other * alpha)


def mul(input, other):
    """input times other, element by element"""
    return apply2(_MUL, input, other)


def div(input, other, *, rounding_mode=None):
    """input / other as floats; rounding_mode "floor" rounds down and "trunc" towards zero, integers staying integers"""
    return apply2(_DIV if rounding_mode is None else division(rounding_mode, "div"), input, other)


def division(rounding_mode, name):
    """The op that divides so."""
    if rounding_mode is None:
        return _DIV
    if rounding_mode == "floor":
        return _FLOOR_DIVIDE
    if rounding_mode == "trunc":
        return _TRUNC_DIVIDE
    raise ValueError(f'{name}: expected rounding_mode None, "floor" or "trunc", got {rounding_mode!r}')


def true_divide(input, other):
    """input / other as floats"""
    return apply2(_DIV, input, other)


def floor_divide(input, other):
    """floor(input / other); a division of integers by zero raises ZeroDivisionError"""
    return apply2(_FLOOR_DIVIDE, input, other)


def remainder(input, other):
    """input - floor(input / other) other: Python's %, with the divisor's sign"""
    return apply2(_REMAINDER, input, other)


def pow(input, exponent):
    """input to the power of exponent"""
    if (isinstance(exponent, builtins.int) and exponent < 0 and isinstance(input, TensorBase)
            and input.array.dtype.kind != "f"):
        raise ValueError(f"pow: an integer tensor to the negative power {exponent} has no integer result; "
                         "convert it with .float()")
    return apply2(_POW, input, exponent)


def maximum(input, other):
    """The larger of the two, element by element; NaN where either is"""
    return apply2(_MAXIMUM, input, other)


def minimum(input, other):
    """The smaller of the two, element by element; NaN where either is"""
    return apply2(_MINIMUM, input, other)


def eq(input, other):
    """Where input == other"""
    return apply(_EQ, input, other)


def ne(input, other):
    """Where input != other"""
    return apply(_NE, input, other)


def lt(input, other):
    """Where input < other"""
    return apply(_LT, input, other)


def le(input, other):
    """Where input <= other"""
    return apply(_LE, input, other)


def gt(input, other):
    """Where input > other"""
    return apply(_GT, input, other)


def ge(input, other):
    """Where input >= other"""
    return apply(_GE, input, other)


def logical_and(input, other):
    """Where both hold (are not zero)"""
    return apply(_AND, input, other)


def logical_or(input, other):
    """Where at least one holds (is not zero)"""
    return apply(_OR, input, other)


def logical_xor(input, other):
    """Where just one holds (is not zero)"""
    return apply(_XOR, input, other)


def bitwise_and(input, other):
    """input & other, bit by bit: both hold, for bools"""
    return apply(_BITWISE_AND, input, other)


def bitwise_or(input, other):
    """input | other, bit by bit: at least one holds, for bools"""
    return apply(_BITWISE_OR, input, other)


def bitwise_xor(input, other):
    """input ^ other, bit by bit: just one holds, for bools"""
    return apply(_BITWISE_XOR, input, other)


def bitwise_not(input):
    """~input, every bit turned round: what does not hold, for bools"""
    expect_tensor("bitwise_not", input)
    if input.array.dtype.kind == "f":
        raise TypeError(f"bitwise_not: expected bools or integers, got {input.array.dtype}; use logical_not, or convert with "
                        ".long()")
    return apply(_BITWISE_XOR, input, {"b": True, "u": 255, "i": -1}[input.array.dtype.kind])


def bitwise_left_shift(input, other):
    """input << other of integers; 0 where other is negative or moves out every bit"""
    return apply(_LEFT_SHIFT, input, other)


def bitwise_right_shift(input, other):
    """input >> other of integers, which keeps the sign; only that is left where other is negative or moves out every bit"""
    return apply(_RIGHT_SHIFT, input, other)


def where(condition, input=None, other=None):
    """input where condition (bool) holds, else other; either may be a number. Gradients flow to the chosen side. Without
    both, the places where the condition is not 0: an index tensor for each axis."""
    if not isinstance(condition, TensorBase):
        raise TypeError(f"where: expected a tensor of bools as condition, got {type(condition).__name__}")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    dtype = result_type(input, other)
    like = condition.array if condition.array.dtype == dtype else empty((0,), dtype, condition.array)
    sides = [cast_tensor(x, dtype) if isinstance(x, TensorBase) else wrap(constant(x, like, "where"))
             for x in (input, other)]
    return apply(_WHERE, condition, *sides)


subtract, multiply, divide = sub, mul, div
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne


def rsub(input, other, *, alpha=1):
    """other - alpha input"""
    return sub(other, input, alpha=alpha)


def float_power(input, exponent):
    """input to the power of exponent, in float64"""
    return pow(*[t.double() if isinstance(t, TensorBase) else builtins.float(t) for t in (input, exponent)])


def addcmul(input, tensor1, tensor2, *, value=1):
    """input + value tensor1 tensor2"""
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else product * value)


def addcdiv(input, tensor1, tensor2, *, value=1):
    """input + value tensor1 / tensor2"""
    quotient = div(tensor1, tensor2)
    return add(input, quotient if value == 1 else quotient * value)


def lerp(input, end, weight):
    """input + weight (end - input): on the way from one to the other"""
    expect_tensor("lerp", input)
    expect_tensor("lerp", end)
    if input.array.dtype.kind != "f":
        raise TypeError(f"lerp: expected float32 or float64, got {input.array.dtype}; convert it with .float()")
    if not isinstance(weight, TensorBase):          # from the nearer end, so that weight 1 gives `end` itself
        return input + (end - input) * weight if builtins.abs(weight) < 0.5 else end - (end - input) * (1 - weight)
    return where(weight.abs() < 0.5, input + weight * (end - input), end - (end - input) * (1 - weight))


def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where |input - other| <= atol + rtol |other|; infinities are close to themselves, NaN where equal_nan says so"""
    expect_tensor("isclose", input)
    expect_tensor("isclose", other)
    if input.array.dtype != other.array.dtype:
        raise TypeError(f"isclose: expected tensors of one dtype, got {input.array.dtype} and {other.array.dtype}; "
                        "convert one with .to(other.dtype)")
    input, other = input.detach(), other.detach()
    near = logical_or(eq(input, other), False)
    if equal_nan:
        near = logical_or(near, logical_and(ne(input, input), ne(other, other)))
    if rtol == 0 and atol == 0:
        return near
    if input.array.dtype.kind != "f":
        input, other = input.double(), other.double()
    distance = (input - other).abs()
    return logical_or(near, logical_and(distance.isfinite(), le(distance, other.abs() * rtol + atol)))


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Are all elements close, as `isclose` says? A bool."""
    return builtins.bool(isclose(input, other, rtol, atol, equal_nan).all().item())


def equal(input, other):
    """Do two tensors have one shape and equal elements? A bool."""
    expect_tensor("equal", input)
    expect_tensor("equal", other)
    return input.array.shape == other.array.shape and builtins.bool(eq(input, other).all().item())
