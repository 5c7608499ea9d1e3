# cython: language_level=3
"""Types that meet: the dtype in which an operation computes, and the casts that take its inputs there."""
import numbers

import cython
import numpy as np

from minilayer import device
from minilayer._ext.runtime import scalar_like
from minilayer.dtypes import DTYPES, float32, result_type
from minilayer.node import TensorBase, wrap
from minilayer.tape import Op, apply, elementwise_cost, register_promotion

ndarray = cython.declare(type, np.ndarray)
NUMBERS = (int, float, np.number, np.bool_)


def constant(x, like, name):
    """An array for an operand that is no tensor: a Python number."""
    if isinstance(x, NUMBERS) and not isinstance(x, np.complexfloating):
        try:
            return scalar_like(x, like) if type(like) is ndarray else device.full((), x, like.dtype, like)
        except OverflowError:
            raise ValueError(f"{name}: the number {x} does not fit in {like.dtype}") from None
    raise TypeError(f"{name}: expected a tensor or a number, got {type(x).__name__}; "
                    "make it a tensor with minilayer.tensor(...) first")


def real(name, what, value) -> float:
    """A setting as a float: any real number but a bool; `what` is its name, for the error."""
    if type(value) is float:            # (the commonest, without asking an abstract class)
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {what} to be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected {what} below 1.8e308, the largest float, got a larger number") from None


class Cast(Op):
    """y = x as another dtype; the gradient is cast back."""
    name = "to"

    def __init__(self, dtype):
        self.dtype = dtype

    def forward(self, node, x):
        node.save(empty_of(x))      # only its dtype is read
        return device.cast(x, self.dtype)

    def backward(self, node, dy):
        return device.cast(dy, node.saved[0].dtype)

    def backward_graph(self, node, dy):
        return apply(Cast(node.saved[0].dtype), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


def empty_of(x):
    """No values in x's dtype: remembers a dtype without holding x's memory."""
    return device.empty((0,), x.dtype, x)


def cast(x, dtype):
    """The tensor x as another dtype; x itself where it has it. An integer or bool result has no gradient."""
    if x.array.dtype == dtype:
        return x
    if dtype.kind == "f" and x.array.dtype.kind == "f":
        return apply(Cast(dtype), x)
    return wrap(device.cast(x.array, dtype))


def _operand(name, x, like):
    """A tensor or a number as it is, an ndarray as a tensor on like's device; nothing else. (On the CPU that is a tensor over
    the ndarray's own memory, as from_numpy makes it: backward does not see what is written there meanwhile.)"""
    if type(x) is ndarray:
        if x.dtype not in DTYPES:
            raise TypeError(f"{name}: expected an array of {', '.join(map(str, DTYPES))}, got {x.dtype}; "
                            "convert it with .astype(...)")
        return wrap(device.to_device(x, device.device_of(like)))
    if not isinstance(x, (TensorBase, *NUMBERS)):
        constant(x, like, name)             # raises
    return x


def promote(op, inputs: tuple) -> tuple:
    """The inputs in one dtype, numbers as 0-d tensors on the device of the first tensor."""
    like = None
    alike: cython.bint = True           # the common case: tensors of one dtype, which is fit already
    for x in inputs:
        if not isinstance(x, TensorBase):
            alike = False
        elif like is None:
            like = cython.cast(TensorBase, x).array
        elif cython.cast(TensorBase, x).array.dtype is not like.dtype:
            alike = False
    if alike and like is not None and (like.dtype.kind == "f" or op.promotes == "same"):
        return inputs
    if like is None:
        raise TypeError(f"{op.name}: expected at least one tensor, got {', '.join([type(x).__name__ for x in inputs])}")
    inputs = tuple([_operand(op.name, x, like) for x in inputs])
    dtype = result_type(*inputs)
    if op.promotes == "float" and dtype.kind != "f":
        dtype = float32
    result = []
    typed = None
    for x in inputs:
        if isinstance(x, TensorBase):
            result.append(cast(x, dtype))
        else:
            if typed is None:
                typed = like if like.dtype == dtype else device.empty((0,), dtype, like)
            result.append(wrap(constant(x, typed, op.name)))
    return tuple(result)


register_promotion(promote)
