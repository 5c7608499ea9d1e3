"""Reductions: sums, means, products, extremes and what is made of them, over all axes or some.

`dim` is None (all axes), an integer or several; `keepdim` leaves reduced axes with size 1. Integers and bools are
summed in int64. A sum adds in an order fixed by the shape, so its bits do not depend on the number of threads. Inside
an op, arrays keep the reduced axes with size 1 (`_kept`): so the kernels want them, and so gradients broadcast.
"""
import builtins
import math
from collections import namedtuple
from math import prod as _size

import numpy as np

from minilayer._ext.dispatch import family
from minilayer.device import (
    axis_as_dim,
    broadcast_to,
    empty,
    empty_like,
    full,
    normalize_axes,
    normalize_axis,
    numpy_names,
)
from minilayer.node import TensorBase, wrap
from minilayer.promotion import cast as cast_tensor
from minilayer.tape import Cost, Op, apply, expect_tensor

arithmetic = family("arithmetic")
elementwise = family("elementwise")
kernels = family("reduce")

int64, boolean = np.dtype("int64"), np.dtype("bool")

ValuesIndices = namedtuple("ValuesIndices", "values indices")
ValuesIndices.__doc__ = "What `max` and `min` along one axis return."


def _kept(shape, axes) -> tuple:
    """The shape with size 1 on the reduced axes."""
    return tuple([1 if d in axes else n for d, n in enumerate(shape)])


def _left(shape, axes, keepdim) -> tuple:
    """The shape of the result."""
    return tuple([1 if d in axes else n for d, n in enumerate(shape) if keepdim or d not in axes])


def _count(shape, axes) -> int:
    return _size([shape[d] for d in axes])


def _places(n, like):
    """0, 1, ..., n - 1 as a tensor on the device of another."""
    return cumsum(wrap(full((n,), 1, int64, like.array)), 0) - 1


class _Reduction(Op):
    """What reductions over `axes` share."""

    def __init__(self, axes, keepdim):
        self.axes = axes
        self.keepdim = keepdim

    def result(self, x, dtype):
        """An unset result, and the same memory with the reduced axes kept."""
        self._shape = x.shape
        y = empty(_left(x.shape, self.axes, self.keepdim), dtype, x)
        return y, y.reshape(_kept(x.shape, self.axes))

    def spread(self, dy):
        """dy as a view of x's shape."""
        return broadcast_to(dy.reshape(_kept(self._shape, self.axes)), self._shape)

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(n, n, 4 * (n + m), 4 * (n + m))


class Sum(_Reduction):
    """y = sum of x over axes; dx = dy, seen in x's shape."""
    name = "sum"

    def forward(self, node, x):
        y, kept = self.result(x, x.dtype if x.dtype.kind == "f" else int64)
        kernels.on(x).sum(x, kept)
        return y

    def backward(self, node, dy):
        return self.spread(dy)

    def backward_graph(self, node, dy):
        return dy.reshape(_kept(self._shape, self.axes)).expand(self._shape)

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(n, 0, 4 * (n + m), 0)


class Mean(Sum):
    """y = sum of x over axes / n, n the number of elements in each sum; dx = dy / n."""
    name = "mean"

    def forward(self, node, x):
        y, kept = self.result(x, x.dtype)
        kernels.on(x).mean(x, kept)
        return y

    def backward(self, node, dy):
        n = _count(self._shape, self.axes)
        share = empty_like(dy)
        arithmetic.on(dy).div(dy, full((), n, dy.dtype, dy), share)
        return self.spread(share)

    def backward_graph(self, node, dy):
        return Sum.backward_graph(self, node, dy / builtins.max(1, _count(self._shape, self.axes)))


class Prod(_Reduction):
    """y = product of x over axes; dx_i = dy * product of the other x, right where some are 0."""
    name = "prod"

    def forward(self, node, x):
        y, kept = self.result(x, x.dtype if x.dtype.kind == "f" else int64)
        kernels.on(x).prod(x, kept)
        node.save(x)                            # dx needs the other factors
        return y

    def backward(self, node, dy):
        (x,) = node.saved
        dx = empty_like(x)
        kernels.on(x).prod_backward(x, dy.reshape(_kept(x.shape, self.axes)), dx)
        return dx

    def backward_graph(self, node, dy):
        x = node.saved_tensors[0]
        dy = dy.reshape(_kept(x.shape, self.axes))
        y = prod(x, self.axes, True)
        if ((y.detach().abs() >= np.finfo(x.dtype).tiny) & y.detach().isfinite()).all().item():
            return dy * (y / x)
        # Rows of factors, each written n times; copy i has 1 in place of factor i, so that its product is what x_i is
        # multiplied by. (n times the memory: for factors of 0, and products that leave the range of numbers.)
        order = [d for d in range(x.ndim) if d not in self.axes] + list(self.axes)
        turned = x.permute(order)
        rows = turned.reshape(*turned.shape[:len(order) - len(self.axes)], 1, _count(x.shape, self.axes))
        n = rows.shape[-1]
        place = _places(n, x)
        others = prod(rows.expand(*rows.shape[:-2], n, n).masked_fill(place == place.reshape(n, 1), 1), -1)
        return dy * others.reshape(turned.shape).permute([order.index(d) for d in range(x.ndim)])

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(n, 4 * n, 4 * (n + m), 16 * n)


class Max(_Reduction):
    """y = maximum of x over axes; dx = dy, shared evenly among the x that equal y."""
    name = "max"
    kernel = "max"
    nan_to_all = False

    def forward(self, node, x):
        y, kept = self.result(x, x.dtype)
        getattr(kernels.on(x), self.kernel)(x, kept)
        node.save(x, y)                         # dx is found by comparing them
        return y

    def backward(self, node, dy):
        x, y = node.saved
        kept = _kept(x.shape, self.axes)
        dx = empty_like(x)
        kernels.on(x).max_backward(x, y.reshape(kept), dy.reshape(kept), dx, nan_to_all=self.nan_to_all)
        return dx

    def backward_graph(self, node, dy):
        x, y = node.saved_tensors
        kept = _kept(x.shape, self.axes)
        y = y.reshape(kept)
        others = ~((x == y) | ((x != x) & (y != y)))
        share = dy.reshape(kept) / sum(~others, self.axes, True)
        dx = share.expand(x.shape).masked_fill(others, 0)
        return dx.masked_fill(y != y, math.nan) if self.nan_to_all else dx


class Min(Max):
    """y = minimum of x over axes; dx = dy, shared evenly among the x that equal y."""
    name = "min"
    kernel = "min"


class Amax(Max):
    """As Max, but a NaN in y makes NaN of all dx, as in PyTorch."""
    name = "amax"
    nan_to_all = True


class Amin(Min):
    """As Min, but a NaN in y makes NaN of all dx, as in PyTorch."""
    name = "amin"
    nan_to_all = True


class _AlongAxis(Op):
    """What ops along one axis share: a 0-d tensor counts as a 1-d one of one element."""

    def __init__(self, axis, keepdim=False):
        self.axis = axis
        self.keepdim = keepdim

    def line_up(self, x):
        """x with an axis to go along, and the shape with size 1 there."""
        if x.ndim == 0:
            x = x.reshape((1,))
        return x, x.shape[:self.axis] + (1,) + x.shape[self.axis + 1:]

    def left(self, shape):
        if not shape:
            return ()
        return shape[:self.axis] + ((1,) if self.keepdim else ()) + shape[self.axis + 1:]

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(n, 0, 4 * (n + 3 * m), 4 * (n + 3 * m))


class MaxDim(_AlongAxis):
    """y, index = maximum of x along one axis and its first place; dx = dy at that place, else 0."""
    name = "max"
    kernel = "max_with_index"
    nondifferentiable_outputs = (1,)

    def forward(self, node, x):
        self._shape = x.shape
        line, kept = self.line_up(x)
        y = empty(self.left(x.shape), x.dtype, x)
        index = empty(y.shape, int64, x)
        getattr(kernels.on(x), self.kernel)(line, y.reshape(kept), index.reshape(kept), axis=self.axis)
        node.save(index)                        # where dy goes
        return y, index

    def backward(self, node, dy, dindex):
        (index,) = node.saved
        dx = empty(self._shape, dy.dtype, dy)
        line, kept = self.line_up(dx)
        kernels.on(dx).scatter_axis(dy.reshape(kept), index.reshape(kept), line, axis=self.axis)
        return dx

    def backward_graph(self, node, dy, dindex):
        index = node.saved_tensors[0]
        if not self._shape:
            return dy
        kept = _kept(self._shape, (self.axis,))
        place = _places(self._shape[self.axis], dy).reshape((-1,) + (1,) * (len(kept) - self.axis - 1))
        return dy.reshape(kept).expand(self._shape).masked_fill(index.reshape(kept) != place, 0)


class MinDim(MaxDim):
    """y, index = minimum of x along one axis and its first place; dx = dy at that place, else 0."""
    name = "min"
    kernel = "min_with_index"


class Argmax(_AlongAxis):
    """index = first place of x's maximum along one axis."""
    name = "argmax"
    differentiable = False

    def forward(self, node, x):
        line, kept = self.line_up(x)
        index = empty(self.left(x.shape), int64, x)
        getattr(kernels.on(x), self.name)(line, index.reshape(kept), axis=self.axis)
        return index


class Argmin(Argmax):
    """index = first place of x's minimum along one axis."""
    name = "argmin"


class Any(_Reduction):
    """y = is any element over axes not 0?"""
    name = "any"
    differentiable = False

    def forward(self, node, x):
        y, kept = self.result(x, boolean)
        getattr(kernels.on(x), self.name)(x, kept)
        return y


class All(Any):
    """y = are all elements over axes not 0?"""
    name = "all"


class Cumsum(_AlongAxis):
    """y_i = sum of x_j over j <= i along one axis (j >= i with reverse); dx = dy's running sum from the other end."""
    name = "cumsum"

    def __init__(self, axis, reverse=False):
        self.axis = axis
        self.reverse = reverse

    def forward(self, node, x):
        y = empty(x.shape, x.dtype if x.dtype.kind == "f" else int64, x)
        kernels.on(x).cumsum(self.line_up(x)[0], self.line_up(y)[0], axis=self.axis, reverse=self.reverse)
        return y

    def backward(self, node, dy):
        dx = empty_like(dy)
        kernels.on(dy).cumsum(self.line_up(dy)[0], self.line_up(dx)[0], axis=self.axis, reverse=not self.reverse)
        return dx

    def backward_graph(self, node, dy):
        return apply(Cumsum(self.axis, not self.reverse), dy)

    def cost(self, shapes, out_shapes):
        n = _size(shapes[0])
        return Cost(n, n, 8 * n, 8 * n)


class Var(_Reduction):
    """y = sum of (x - mean x)^2 over axes / (n - correction); dx = dy 2 (x - mean x) / (n - correction)"""
    name = "var"

    def __init__(self, axes, keepdim, correction):
        self.axes = axes
        self.keepdim = keepdim
        self.correction = correction

    def divisor(self):
        return builtins.max(0, _count(self._shape, self.axes) - self.correction)

    def centred(self, x):
        """x - mean x"""
        mean = empty(_kept(x.shape, self.axes), x.dtype, x)
        kernels.on(x).mean(x, mean)
        d = empty_like(x)
        arithmetic.on(x).sub(x, mean, d)
        return d

    def variance(self, x):
        y, kept = self.result(x, x.dtype)
        d = self.centred(x)
        elementwise.on(x).square(d, d)
        kernels.on(x).sum(d, kept)
        arithmetic.on(x).div(y, full((), self.divisor(), y.dtype, y), y)
        return y

    def forward(self, node, x):
        node.save(x)                            # dx needs x - mean, which costs less to compute again than to keep
        return self.variance(x)

    def scale(self, node, dy):
        """dx / (x - mean x), of dy's shape."""
        factor = empty_like(dy)
        arithmetic.on(dy).mul(dy, full((), _ratio(2, self.divisor()), dy.dtype, dy), factor)
        return factor

    def backward(self, node, dy):
        dx = self.centred(node.saved[0])
        arithmetic.on(dx).mul(dx, self.scale(node, dy).reshape(_kept(dx.shape, self.axes)), dx)
        return dx

    def backward_graph(self, node, dy):
        x = node.saved_tensors[0]
        return (x - mean(x, self.axes, True)) * (dy * _ratio(2, self.divisor())).reshape(_kept(x.shape, self.axes))

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(4 * n, 4 * n, 4 * (5 * n + m), 4 * (6 * n + m))


def _ratio(a, b):
    """a / b as floats divide."""
    return a / b if b else float("inf")


class Std(Var):
    """y = sqrt(var x); dx = dy (x - mean x) / ((n - correction) y), and 0 where y is 0"""
    name = "std"

    def forward(self, node, x):
        y = self.variance(x)
        elementwise.on(y).sqrt(y, y)
        node.save(x, y)
        return y

    def scale(self, node, dy):
        y = node.saved[1]
        factor = empty_like(dy)
        arithmetic.on(dy).mul(dy, full((), _ratio(1, self.divisor()), dy.dtype, dy), factor)
        return _divide_or_zero(factor, y)

    def backward_graph(self, node, dy):
        x, y = node.saved_tensors
        factor = (dy * _ratio(1, self.divisor()) / y).masked_fill(y == 0, 0)
        return (x - mean(x, self.axes, True)) * factor.reshape(_kept(x.shape, self.axes))


def _divide_or_zero(a, b):
    """a / b, and 0 where b is 0."""
    q, zero = empty_like(a), full((), 0, a.dtype, a)
    is_zero = empty(b.shape, boolean, b)
    k = arithmetic.on(a)
    k.div(a, b, q)
    k.eq(b, zero, is_zero)
    k.where(is_zero, zero, q, q)
    return q


class Norm(_Reduction):
    """y = sqrt(sum of x^2 over axes); dx = dy x / y, and 0 where y is 0"""
    name = "norm"

    def forward(self, node, x):
        y, kept = self.result(x, x.dtype)
        squares = empty_like(x)
        elementwise.on(x).square(x, squares)
        kernels.on(x).sum(squares, kept)
        elementwise.on(y).sqrt(y, y)
        node.save(x, y)
        return y

    def backward(self, node, dy):
        x, y = node.saved
        dx = empty_like(x)
        arithmetic.on(x).mul(x, _divide_or_zero(dy, y).reshape(_kept(x.shape, self.axes)), dx)
        return dx

    def backward_graph(self, node, dy):
        x, y = node.saved_tensors
        return x * (dy / y).masked_fill(y == 0, 0).reshape(_kept(x.shape, self.axes))


class LogSumExp(_Reduction):
    """y = log(sum of exp(x) over axes), with the maximum taken out first so that nothing overflows;
    dx = dy exp(x - y)"""
    name = "logsumexp"

    def forward(self, node, x):
        y, kept = self.result(x, x.dtype)
        top = empty(kept.shape, x.dtype, x)
        k = elementwise.on(x)
        if x.size:
            kernels.on(x).max(x, top)
        else:
            full_zero = full((), 0, x.dtype, x)
            arithmetic.on(x).add(full_zero, full_zero, top)
        largest = float(np.finfo(x.dtype).max)
        k.clamp(top, top, low=-largest, high=largest)       # inf - inf would be NaN
        e = empty_like(x)
        arithmetic.on(x).sub(x, top, e)
        k.exp(e, e)
        kernels.on(x).sum(e, kept)
        k.log(kept, kept)
        arithmetic.on(x).add(kept, top, kept)
        node.save(x, y)
        return y

    def backward(self, node, dy):
        x, y = node.saved
        kept = _kept(x.shape, self.axes)
        dx = empty_like(x)
        arithmetic.on(x).sub(x, y.reshape(kept), dx)
        elementwise.on(x).exp(dx, dx)
        arithmetic.on(x).mul(dx, dy.reshape(kept), dx)
        return dx

    def backward_graph(self, node, dy):
        x, y = node.saved_tensors
        kept = _kept(x.shape, self.axes)
        return (x - y.reshape(kept)).exp() * dy.reshape(kept)

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(4 * n, 3 * n, 4 * (6 * n + 2 * m), 4 * (5 * n + 2 * m))


# ---- the functions people call ----

def _axes(name, dim, x) -> tuple:
    """The axes that `dim` means; several that are none, dim=(), mean all."""
    return normalize_axes(name, None if isinstance(dim, (tuple, list)) and not dim else dim, x.array.ndim)


def sum(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """Sum over `dim`. Integers and bools are summed in int64; `dtype` casts input first."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("sum", dim, axis, keepdim, keepdims)
    expect_tensor("sum", input)
    if dtype is not None:
        input = cast_tensor(input, np.dtype(dtype))
    return apply(Sum(_axes("sum", dim, input), keepdim), input)


def mean(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """Mean over `dim` (no elements: NaN); `dtype` casts input first."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("mean", dim, axis, keepdim, keepdims)
    expect_tensor("mean", input)
    if dtype is not None:
        input = cast_tensor(input, np.dtype(dtype))
    _need_float("mean", input)
    return apply(Mean(_axes("mean", dim, input), keepdim), input)


def prod(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """Product over `dim`. Integers and bools are multiplied in int64; `dtype` casts input first."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("prod", dim, axis, keepdim, keepdims)
    expect_tensor("prod", input)
    if dtype is not None:
        input = cast_tensor(input, np.dtype(dtype))
    return apply(Prod(normalize_axes("prod", dim, input.array.ndim), keepdim), input)


def _need_float(name, x):
    if x.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected float32 or float64, got {x.array.dtype}; convert it with .float() first")


def _need_elements(name, x, axes):
    if x.array.size == 0 and _count(x.array.shape, axes) == 0:
        raise ValueError(f"{name}: expected at least one element to choose from, got shape {x.array.shape}")


def amax(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Maximum over `dim`; its gradient is shared evenly among equal maxima."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("amax", dim, axis, keepdim, keepdims)
    expect_tensor("amax", input)
    axes = _axes("amax", dim, input)
    _need_elements("amax", input, axes)
    return apply(Amax(axes, keepdim), input)


def amin(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Minimum over `dim`; its gradient is shared evenly among equal minima."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("amin", dim, axis, keepdim, keepdims)
    expect_tensor("amin", input)
    axes = _axes("amin", dim, input)
    _need_elements("amin", input, axes)
    return apply(Amin(axes, keepdim), input)


def max(input, dim=None, keepdim=False, *, other=None, axis=None, keepdims=None):
    """Without `dim`, the maximum of all elements; with it, (values, indices) along that axis, of
    equal maxima the first, which also gets the gradient; with a tensor in its place (`other`), the larger of both, element by
    element."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("max", dim, axis, keepdim, keepdims)
    expect_tensor("max", input)
    if other is not None or isinstance(dim, TensorBase):
        return input.maximum(dim if other is None else other)
    return _extreme("max", input, dim, keepdim, Max, MaxDim)


def min(input, dim=None, keepdim=False, *, other=None, axis=None, keepdims=None):
    """Without `dim`, the minimum of all elements; with it, (values, indices) along that axis, of
    equal minima the first, which also gets the gradient; with a tensor in its place (`other`), the smaller of both, element by
    element."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("min", dim, axis, keepdim, keepdims)
    expect_tensor("min", input)
    if other is not None or isinstance(dim, TensorBase):
        return input.minimum(dim if other is None else other)
    return _extreme("min", input, dim, keepdim, Min, MinDim)


def _extreme(name, x, dim, keepdim, over_all, along):
    if dim is None:
        axes = normalize_axes(name, None, x.array.ndim)
        _need_elements(name, x, axes)
        return apply(over_all(axes, keepdim), x)
    axis = normalize_axis(name, dim, x.array.ndim)
    _need_elements(name, x, (axis,) if x.array.ndim else ())
    return ValuesIndices(*apply(along(axis, keepdim), x))


def argmax(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Place of the maximum along `dim`, or among all elements in C order; the first of equal ones, or of NaNs."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("argmax", dim, axis, keepdim, keepdims)
    expect_tensor("argmax", input)
    return _place("argmax", input, dim, keepdim, Argmax)


def argmin(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Place of the minimum along `dim`, or among all elements in C order; the first of equal ones, or of NaNs."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("argmin", dim, axis, keepdim, keepdims)
    expect_tensor("argmin", input)
    return _place("argmin", input, dim, keepdim, Argmin)


def _place(name, x, dim, keepdim, op):
    if dim is None:
        _need_elements(name, x, tuple(range(x.array.ndim)))
        place = apply(op(0), x.detach().reshape(-1))
        return place.reshape((1,) * x.array.ndim) if keepdim else place
    axis = normalize_axis(name, dim, x.array.ndim)
    _need_elements(name, x, (axis,) if x.array.ndim else ())
    return apply(op(axis, keepdim), x)


def any(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Is any element over `dim` not 0?"""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("any", dim, axis, keepdim, keepdims)
    expect_tensor("any", input)
    return _as_asked(apply(Any(normalize_axes("any", dim, input.array.ndim), keepdim), input), input)


def _as_asked(y, x):
    """An answer as bool; of uint8, which was bool before there was one, as uint8."""
    return cast_tensor(y, x.array.dtype) if x.array.dtype.kind == "u" else y


def all(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Are all elements over `dim` not 0?"""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("all", dim, axis, keepdim, keepdims)
    expect_tensor("all", input)
    return _as_asked(apply(All(normalize_axes("all", dim, input.array.ndim), keepdim), input), input)


def cumsum(input, dim=None, *, dtype=None, axis=None):
    """Running sum along `dim`; of integers and bools in int64."""
    if axis is not None:
        dim = axis_as_dim("cumsum", dim, axis)
    expect_tensor("cumsum", input)
    if dtype is not None:
        input = cast_tensor(input, np.dtype(dtype))
    return apply(Cumsum(normalize_axis("cumsum", dim, input.array.ndim)), input)


def var(input, dim=None, unbiased=True, keepdim=False, *, correction=None, axis=None, keepdims=None):
    """Variance over `dim`: sum of squared distances from the mean / (n - correction), correction 1 unless told
    otherwise (`unbiased=False` is correction 0)."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("var", dim, axis, keepdim, keepdims)
    expect_tensor("var", input)
    return _spread_of("var", Var, input, dim, unbiased, keepdim, correction)


def std(input, dim=None, unbiased=True, keepdim=False, *, correction=None, axis=None, keepdims=None):
    """Standard deviation over `dim`: the square root of `var`."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("std", dim, axis, keepdim, keepdims)
    expect_tensor("std", input)
    return _spread_of("std", Std, input, dim, unbiased, keepdim, correction)


def _spread_of(name, op, x, dim, unbiased, keepdim, correction):
    if isinstance(dim, bool):                   # x.var(False)
        dim, unbiased = None, dim
    _need_float(name, x)
    if correction is None:
        correction = 1 if unbiased else 0
    return apply(op(_axes(name, dim, x), keepdim, correction), x)


def norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    """The p-norm over `dim`: (sum |input|^p)^(1/p); p = inf or -inf: the largest or smallest |input|; 0: how many are not 0.
    "fro" is 2. Its gradient is 0 where it is 0, and everywhere for p = 0."""
    expect_tensor("norm", input)
    if dtype is not None:
        input = cast_tensor(input, np.dtype(dtype))
    _need_float("norm", input)
    axes = _axes("norm", dim, input)
    if p is None or p == "fro":
        p = 2
    if isinstance(p, bool) or not isinstance(p, (int, float)):
        raise TypeError(f"norm: expected a number or 'fro' for p, got {p!r}")
    if p == 2:
        return apply(Norm(axes, keepdim), input)
    if builtins.abs(p) == math.inf:
        _need_elements("norm", input, axes)
        return apply((Max if p > 0 else Min)(axes, keepdim), input.abs())
    if p == 0:
        return sum(input.masked_fill(input != 0, 1.0).ceil(), axes, keepdim)        # (ceil: its gradient is 0)
    if p == 1:
        return sum(input.abs(), axes, keepdim)
    size = input.abs()
    if p < 1:                           # away from 0, where the slope is infinite: what is 0 adds nothing
        zero = size.detach() == 0
        powers = size.masked_fill(zero, 1.0) ** p
        total = sum(powers.masked_fill(zero, 0.0 if p > 0 else float("inf")), axes, keepdim)
    else:
        total = sum(size ** p, axes, keepdim)
    none = total.detach() == 0
    return (total.masked_fill(none, 1.0) ** (1 / p)).masked_fill(none, 0.0 if p > 0 else math.inf)


def dist(input, other, p=2):
    """The p-norm of input - other."""
    expect_tensor("dist", input)
    expect_tensor("dist", other)
    return norm(input - other, p)


def cdist(x1, x2, p=2.0, compute_mode=None):
    """The p-norm of the difference of every row of x1 and every row of x2: (..., P, M) (..., R, M) -> (..., P, R)."""
    expect_tensor("cdist", x1)
    expect_tensor("cdist", x2)
    a, b = x1.array.shape, x2.array.shape
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-1]:
        raise ValueError(f"cdist: expected rows of one length, (..., P, M) and (..., R, M), got shapes {a} and {b}")
    return distance(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def distance(d, p, dim):
    """The p-norm of differences d; for p = 0 how many are not 0, but NaN where one is NaN."""
    if p == 0:
        return sum(d.masked_fill((d < 0) | (d > 0), 1.0).ceil(), dim)
    return norm(d, p, dim)


def nansum(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """`sum`, of what is not NaN."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("nansum", dim, axis, keepdim, keepdims)
    expect_tensor("nansum", input)
    return sum(_without_nan(input), dim, keepdim, dtype=dtype)


def nanmean(input, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """`mean`, of what is not NaN."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("nanmean", dim, axis, keepdim, keepdims)
    expect_tensor("nanmean", input)
    _need_float("nanmean", input)
    return sum(_without_nan(input), dim, keepdim, dtype=dtype) / sum(input == input, dim, keepdim)


def _without_nan(x):
    return x.masked_fill(x.detach() != x.detach(), 0) if x.array.dtype.kind == "f" else x


def var_mean(input, dim=None, unbiased=True, keepdim=False, *, correction=None, axis=None, keepdims=None):
    """(var, mean) over `dim`."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("var_mean", dim, axis, keepdim, keepdims)
    expect_tensor("var_mean", input)
    return _with_mean("var_mean", Var, input, dim, unbiased, keepdim, correction)


def std_mean(input, dim=None, unbiased=True, keepdim=False, *, correction=None, axis=None, keepdims=None):
    """(std, mean) over `dim`."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("std_mean", dim, axis, keepdim, keepdims)
    expect_tensor("std_mean", input)
    return _with_mean("std_mean", Std, input, dim, unbiased, keepdim, correction)


def _with_mean(name, op, x, dim, unbiased, keepdim, correction):
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return _spread_of(name, op, x, dim, unbiased, keepdim, correction), mean(x, dim, keepdim)


MinMax = namedtuple("MinMax", "min max")
MinMax.__doc__ = "What `aminmax` returns."


def aminmax(input, *, dim=None, keepdim=False, axis=None, keepdims=None):
    """(min, max) over all elements or along `dim`."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("aminmax", dim, axis, keepdim, keepdims)
    expect_tensor("aminmax", input)
    if dim is None and input.array.ndim and keepdim:
        dim = tuple(range(input.array.ndim))
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance of variables (rows) over observations (columns)."""
    expect_tensor("cov", input)
    if fweights is not None or aweights is not None:
        raise ValueError("cov: expected fweights and aweights to be None: minilayer has no weighted covariance")
    input = input if input.array.dtype.kind == "f" else input.float()
    if input.array.ndim > 2:
        raise ValueError(f"cov: expected at most 2 dimensions, got shape {input.array.shape}")
    rows = input.reshape(1, -1) if input.array.ndim < 2 else input
    d = rows - mean(rows, 1, True)
    y = d @ d.transpose(0, 1) / builtins.max(0, rows.array.shape[1] - correction)
    return y.squeeze() if input.array.ndim < 2 else y


def corrcoef(input):
    """The correlation coefficients of variables (rows) over observations (columns)."""
    expect_tensor("corrcoef", input)
    c = cov(input)
    if not c.array.ndim:
        return c / c
    spread = c.diagonal().sqrt()
    return (c / spread.unsqueeze(1) / spread).clamp(-1, 1)


def diff(input, n=1, dim=-1, prepend=None, append=None, *, axis=None):
    """Each element along `dim` minus the one before it, n times over; prepend and append are joined on first."""
    if axis is not None:
        dim = axis_as_dim("diff", dim, axis, -1)
    expect_tensor("diff", input)
    axis = normalize_axis("diff", dim, input.array.ndim)
    if n < 0:
        raise ValueError(f"diff: expected n of 0 or more, got {n}")
    for part, behind in ((prepend, False), (append, True)):
        if part is not None:
            lead = input.array.shape[axis]
            sizes = [part.array.shape[axis], lead]
            parts = [input, part] if behind else [part, input]
            shape = list(input.array.shape)
            shape[axis] = builtins.sum(sizes)
            whole = wrap(empty(tuple(shape), input.array.dtype, input.array))
            at = (slice(None),) * axis
            first = parts[0].array.shape[axis]
            whole[(*at, slice(0, first))] = parts[0]
            whole[(*at, slice(first, shape[axis]))] = parts[1]
            input = whole
    for _ in range(n):
        size = input.array.shape[axis]
        if size < 1:
            break
        at = (slice(None),) * axis
        a, b = input[(*at, slice(1, size))], input[(*at, slice(0, size - 1))]
        input = a.logical_xor(b) if input.array.dtype == boolean else a - b
    return input


def logsumexp(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """log of the sum of exp(input) over `dim`, without overflow."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("logsumexp", dim, axis, keepdim, keepdims)
    expect_tensor("logsumexp", input)
    if input.array.dtype.kind != "f":
        input = input.float()
    return apply(LogSumExp(normalize_axes("logsumexp", dim, input.array.ndim), keepdim), input)


def count_nonzero(input, dim=None, *, axis=None):
    """How many elements over `dim` are not 0, as int64."""
    if axis is not None:
        dim = axis_as_dim("count_nonzero", dim, axis)
    expect_tensor("count_nonzero", input)
    return sum(input != 0, dim)
