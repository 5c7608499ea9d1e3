"""The operators of a tensor: what they meet, and what they write in place."""
import operator

import numpy as np
import pytest

import minilayer as ml
from minilayer.ops import special


class Foreign:
    """A class of somebody's that knows tensors: it answers whatever operator they meet in."""

    def answer(self, other):
        return "answered"

    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = answer
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = answer


BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift"]
INPLACE = [f"i{name.rstrip('_')}" for name in BINARY if name != "matmul"]


@pytest.mark.parametrize("name", BINARY + INPLACE)
def test_an_operator_asks_a_foreign_object(name):
    """Python asks it where the tensor does not know it, and names both where it does not answer either."""
    x, f = ml.tensor([1, 2]), getattr(operator, name)
    assert f(x, Foreign()) == "answered"
    for other in ([1, 2], None, "a", object()) if "mul" not in name or "mat" in name else (None, object()):
        with pytest.raises(TypeError, match=rf"unsupported operand type\(s\) for .*Tensor' and '{type(other).__name__}'"):
            f(x, other)
    if name in BINARY and name not in ("mod",):         # "a" % x formats
        for other in (None, "a", object()):
            with pytest.raises(TypeError):
                f(other, x)


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_a_comparison_asks_a_foreign_object(name):
    x, f = ml.tensor([1, 2]), getattr(operator, name)
    assert f(x, Foreign()) == "answered"
    if name in ("eq", "ne"):
        assert f(x, None) is (name == "ne") and f(x, "a") is (name == "ne")
    else:
        with pytest.raises(TypeError, match="not supported between instances of .*Tensor' and 'NoneType'"):
            f(x, None)


def test_bits_in_place():
    """As in PyTorch: what does not fit the tensor's type is cut, a category above it refused."""
    for f, want in ((operator.iand, [200, 7, 0]), (operator.ior, [251, 7, 1]), (operator.ixor, [51, 0, 1]),
                    (operator.ilshift, [0, 128, 1]), (operator.irshift, [0, 0, 1])):
        x = ml.tensor([200, 7, 1], dtype=ml.uint8)
        y = f(x, ml.tensor([-5, 7, 0]))
        assert y is x and x.tolist() == want and x.dtype == ml.uint8
    mask = ml.tensor([True, False])
    mask &= ml.tensor([True, True])
    mask |= False
    mask ^= True
    assert mask.tolist() == [False, True] and mask.dtype == ml.boolean
    assert ml.ones(2).logical_and_(mask).tolist() == [0.0, 1.0] and ml.tensor([3]).bitwise_not_().tolist() == [-4]


class Halved(ml.Op):
    """An op of somebody's whose rule gives a gradient of another shape than its input's."""
    name = "halved"

    def __init__(self, gradient):
        self._gradient = gradient

    def forward(self, node, x):
        return x.copy()

    def backward(self, node, dy):
        return self._gradient(dy)

    def backward_graph(self, node, dy):
        return self._gradient(dy)


@pytest.mark.parametrize("leaf", [True, False])
@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("gradient, got", [(lambda dy: dy[:1], r"shape \(1,\)"), (lambda dy: dy.sum(), r"(shape \(\)|float32)"),
                                           (lambda dy: 1.0, "float")])
def test_a_gradient_of_another_shape_names_its_op(gradient, got, graph, leaf):
    x = ml.ones(3, requires_grad=True)
    y = ml.apply(Halved(gradient), x if leaf else x * 2)
    with pytest.raises(RuntimeError, match=f"halved: backward returned a gradient of {got}.* for input 0; expected shape"):
        (y * 2).sum().backward(create_graph=graph)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8"])
@pytest.mark.parametrize("number, plain", [(np.float64(2), 2.0), (np.float32(2), 2.0), (np.int64(2), 2), (np.int32(2), 2),
                                           (np.uint8(2), 2), (np.bool_(True), True)])
@pytest.mark.parametrize("name", ["add", "mul", "truediv", "pow", "floordiv", "mod", "eq", "lt"])
def test_a_numpy_number_counts_as_python_s(name, number, plain, dtype):
    """It has no say about the type beyond its kind, on either side."""
    x, f = ml.tensor(np.array([3, 4], dtype)), getattr(operator, name)
    for got, want in ((f(x, number), f(x, plain)), (f(number, x), f(plain, x))):
        assert isinstance(got, ml.Tensor) and got.dtype == want.dtype and got.tolist() == want.tolist()


def test_what_a_function_s_class_must_define():
    class Sine(special.Function):
        name = "sinh"

    class Modulo(special.Function2):
        name = "fmod"

    class Nothing(special._Composed):
        name = "nothing"

    x = ml.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"Sine: a Function that is differentiable defines slope\(x\)"):
        ml.apply(Sine(), x).sum().backward()
    with pytest.raises(NotImplementedError, match=r"Modulo: a Function2 that is differentiable defines slopes\(a, b\)"):
        ml.apply(Modulo(), x, x).sum().backward()
    with pytest.raises(NotImplementedError, match=r"Nothing: a function without a kernel defines value\(x\)"):
        ml.apply(Nothing(), x)
