"""Running products, maxima and logarithms of sums along one axis. (Running sums are in reduce.py.)

The kernels take (outer, n, inner) in C order and run along the middle; `_line_up` brings a tensor there.
"""
from collections import namedtuple
from math import prod as _size

import numpy as np

from minilayer._ext.dispatch import family
from minilayer.device import axis_as_dim, contiguous, empty, full, normalize_axis, zeros
from minilayer.node import wrap
from minilayer.promotion import cast as cast_tensor
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("scan")

int64 = np.dtype("int64")

ValuesIndices = namedtuple("ValuesIndices", "values indices")
ValuesIndices.__doc__ = "What `cummax` and `cummin` return."


def _line_up(x, axis):
    """x as (outer, n, inner), the axis in the middle; a 0-d one as (1, 1, 1)."""
    shape = x.shape or (1,)
    return contiguous(x).reshape((_size(shape[:axis]), shape[axis], _size(shape[axis + 1:])))


class _Scan(Op):
    """What ops along one axis share."""

    def __init__(self, axis):
        self.axis = axis

    def cost(self, shapes, out_shapes):
        n = _size(shapes[0])
        return Cost(n, 4 * n, 8 * n, 16 * n)


def _last(axis, *tensors):
    """The tensors with the axis at the end, 0-d ones as 1-d."""
    return [t.transpose(axis, -1) if t.array.ndim else t.reshape(1) for t in tensors]


def _not_above(x):
    """(n, n) bools for the n of x's last axis: is the row's place at or behind the column's?"""
    n = x.array.shape[-1]
    return wrap(full((n, n), 1.0, x.array.dtype, x.array)).tril() > 0


class Cumprod(_Scan):
    """y_i = product of x_j over j <= i;  dx_k = sum over i >= k of dy_i times the product without x_k"""
    name = "cumprod"

    def forward(self, node, x):
        y = empty(x.shape, x.dtype if x.dtype.kind == "f" else int64, x)
        kernels.on(x).cumprod(_line_up(x, self.axis), _line_up(y, self.axis))
        node.save(x, y)
        return y

    def backward(self, node, dy):
        x, y = node.saved
        dx = empty(x.shape, x.dtype, x)
        kernels.on(x).cumprod_backward(*[_line_up(a, self.axis) for a in (x, y, dy, dx)])
        return dx

    def backward_graph(self, node, dy):
        x = node.saved_tensors[0]
        shape = x.array.shape
        x, dy = _last(self.axis, x, dy)
        lower = _not_above(x)                                               # row k, column i; n x n numbers a line
        others = x.unsqueeze(-2).expand(*x.array.shape, x.array.shape[-1]).masked_fill(lower & lower.transpose(0, 1), 1.0)
        others = cumprod(others, -1).masked_fill(~lower.transpose(0, 1), 0.0)
        dx = (dy.unsqueeze(-2) * others).sum(-1)
        return dx.transpose(self.axis, -1) if shape else dx.reshape(shape)


class Cummax(_Scan):
    """y_i, index_i = maximum of x_j over j <= i and the last place that has it;  dx = dy summed there"""
    name = "cummax"
    nondifferentiable_outputs = (1,)

    def forward(self, node, x):
        y, index = empty(x.shape, x.dtype, x), empty(x.shape, int64, x)
        getattr(kernels.on(x), self.name)(*[_line_up(a, self.axis) for a in (x, y, index)])
        node.save(index)
        return y, index

    def backward(self, node, dy, dindex):
        (index,) = node.saved
        dx = empty(index.shape, dy.dtype, dy)
        kernels.on(dy).add_along(*[_line_up(a, self.axis) for a in (dy, index, dx)])
        return dx

    def backward_graph(self, node, dy, dindex):
        index = node.saved_tensors[0]
        return (dy * 0.0).scatter_add(self.axis, index, dy)


class Cummin(Cummax):
    """y_i, index_i = minimum of x_j over j <= i and the last place that has it;  dx = dy summed there"""
    name = "cummin"


class LogCumsumExp(_Scan):
    """y_i = log of the sum of e^x_j over j <= i;  dx_j = sum over i >= j of dy_i e^(x_j - y_i)"""
    name = "logcumsumexp"

    def forward(self, node, x):
        y = empty(x.shape, x.dtype, x)
        kernels.on(x).logcumsumexp(_line_up(x, self.axis), _line_up(y, self.axis))
        node.save(x, y)
        return y

    def backward(self, node, dy):
        x, y = node.saved
        dx = zeros(x.shape, x.dtype, x)
        kernels.on(x).logcumsumexp_backward(*[_line_up(a, self.axis) for a in (x, y, dy, dx)])
        return dx

    def backward_graph(self, node, dy):
        x, y = node.saved_tensors
        shape = x.array.shape
        x, y, dy = _last(self.axis, x, y, dy)
        exponents = x.unsqueeze(-2) - y.unsqueeze(-1)                       # row i, column j; n x n numbers a line
        dx = (dy.unsqueeze(-1) * exponents.masked_fill(~_not_above(x), float("-inf")).exp()).sum(-2)
        return dx.transpose(self.axis, -1) if shape else dx.reshape(shape)

    def cost(self, shapes, out_shapes):
        n = _size(shapes[0])
        return Cost(30 * n, 25 * n, 8 * n, 16 * n)


# ---- the functions people call ----

def _axis(name, dim, x):
    expect_tensor(name, x)
    return normalize_axis(name, dim, x.array.ndim)


def cumprod(input, dim=None, *, dtype=None, axis=None):
    """Running product along `dim`; of integers and bools in int64. `dtype` casts input first."""
    if axis is not None:
        dim = axis_as_dim("cumprod", dim, axis)
    axis = _axis("cumprod", dim, input)
    if dtype is not None:
        input = cast_tensor(input, np.dtype(dtype))
    return apply(Cumprod(axis), input)


def cummax(input, dim=None, *, axis=None):
    """(values, indices): the largest element up to each along `dim`, and where it is, the last of equal ones."""
    if axis is not None:
        dim = axis_as_dim("cummax", dim, axis)
    return ValuesIndices(*apply(Cummax(_axis("cummax", dim, input)), input))


def cummin(input, dim=None, *, axis=None):
    """(values, indices): the smallest element up to each along `dim`, and where it is, the last of equal ones."""
    if axis is not None:
        dim = axis_as_dim("cummin", dim, axis)
    return ValuesIndices(*apply(Cummin(_axis("cummin", dim, input)), input))


def logcumsumexp(input, dim=None, *, axis=None):
    """log of the running sum of exp(input) along `dim`, without overflow."""
    if axis is not None:
        dim = axis_as_dim("logcumsumexp", dim, axis)
    axis = _axis("logcumsumexp", dim, input)
    if input.array.dtype.kind != "f":
        raise TypeError(f"logcumsumexp: expected float32 or float64, got {input.array.dtype}; convert it with .float() first")
    return apply(LogCumsumExp(axis), input)
