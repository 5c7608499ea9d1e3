# cython: language_level=3
"""Matrix products: `matmul` by NumPy's and PyTorch's rule for any number of axes, and `linear`, the layer's own form.

Both run on one kernel family that takes any strides, so nothing is copied to transpose a matrix or to repeat it along
a batch. `linear` adds the bias and applies relu while a tile of the result is still in registers.
"""
from math import prod as _product

import cython

from minilayer._ext.dispatch import Family, family
from minilayer.device import broadcast_shapes, broadcast_to, contiguous, empty, empty_like
from minilayer.node import Node
from minilayer.tape import Cost, Op, apply, apply2

kernels = cython.declare(Family, family("matmul"))
elementwise = cython.declare(Family, family("elementwise"))
reduce = cython.declare(Family, family("reduce"))

ACTIVATIONS = (None, "relu")


def _flipped(x):
    """x with its last two axes exchanged: a view."""
    n = x.ndim
    if n == 2:
        return x.transpose((1, 0))
    return x.transpose((*range(n - 2), n - 1, n - 2))


def _rows(x):
    """x (..., K) as a matrix (R, K): a view, or a copy where its strides do not allow one."""
    shape = x.shape
    if len(shape) == 2:
        return x
    return contiguous(x).reshape((_product(shape[:-1]), shape[-1]))


def _check_dtypes(name, a, b):
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        raise TypeError(f"{name}: expected float32 or float64 tensors, got {a.dtype} and {b.dtype}; "
                        "convert them with .float()")
    if a.dtype != b.dtype:
        raise TypeError(f"{name}: expected tensors of one dtype, got {a.dtype} and {b.dtype}; "
                        "convert one with .to(other.dtype)")


class Matmul(Op):
    """y[..., i, j] = sum_p a[..., i, p] b[..., p, j];  da = dy b^T, db = a^T dy

    a (..., M, K), b (..., K, N), y (..., M, N); the axes in front broadcast. A 1-D a is a row and a 1-D b a column,
    and that axis is left out of y.
    """
    name = "matmul"
    required = 2

    def forward(self, node: Node, a, b):
        _check_dtypes("matmul", a, b)
        node.save(a if node.needs(1) else None, b if node.needs(0) else None)       # da needs b, db needs a
        self._shapes = p, q = a.shape, b.shape
        row, column = len(p) == 1, len(q) == 1
        if not p or not q:
            raise ValueError(f"matmul: expected tensors of 1 or more dimensions, got shapes {p} and {q}; "
                             "multiply by a number with *")
        if p[-1] != q[-1 if column else -2]:
            raise ValueError(
                f"matmul: expected the last axis of the first tensor to be as long as the "
                f"{'only' if column else 'second-last'} axis of the second, got shapes {p} and {q}; "
                "transpose one of them with .transpose(-1, -2)")
        if len(p) == 2 and len(q) == 2:
            y = empty((p[0], q[1]), a.dtype, a)
            kernels.on(a).matmul(a, b, y)                   # (M, N)
            return y
        if row:
            a = a.reshape((1, a.shape[0]))
        if column:
            b = b.reshape((b.shape[0], 1))
        lead = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
        a = broadcast_to(a, lead + a.shape[-2:])
        b = broadcast_to(b, lead + b.shape[-2:])
        y = empty((*lead, a.shape[-2], b.shape[-1]), a.dtype, a)
        kernels.on(a).matmul(a, b, y)                       # (..., M, N)
        if row or column:
            y = y.reshape(y.shape[:-2] + (() if row else y.shape[-2:-1]) + (() if column else y.shape[-1:]))
        return y

    def backward(self, node: Node, dy):
        a, b = node.saved
        p, q = self._shapes
        row, column = len(p) == 1, len(q) == 1
        if row or column:
            dy = dy.reshape(_grown(dy.shape, row, column))  # (..., M, N)
        da = db = None
        if node.needs(0):
            if column:
                b = b.reshape((q[0], 1))
            da = _product_to(_as_row(p), dy, _flipped(b), None, False)
            if row:
                da = da.reshape(p)
        if node.needs(1):
            if row:
                a = a.reshape((1, p[0]))
            db, accumulate = node.gradient(1, q, dy.dtype) if len(q) == 2 else (None, False)
            if len(q) <= 2 and a.ndim > 2:                  # one b for the whole batch: its rows are one long matrix
                a, dy = _rows(a), _rows(dy)
            db = _product_to(_as_column(q), _flipped(a), dy, db, accumulate)
            if column:
                db = db.reshape(q)
        return da, db

    def backward_graph(self, node: Node, dy):
        a, b = node.saved_tensors
        p, q = self._shapes
        row, column = len(p) == 1, len(q) == 1
        dy = dy.reshape(*_grown(dy.shape, row, column))
        da = db = None
        if node.needs(0):
            b = b.reshape(q[0], 1) if column else b
            da = _summed_to(dy @ b.transpose(-1, -2), _as_row(p)).reshape(*p)
        if node.needs(1):
            a = a.reshape(1, p[0]) if row else a
            db = _summed_to(a.transpose(-1, -2) @ dy, _as_column(q)).reshape(*q)
        return da, db

    def cost(self, shapes, out_shapes):
        terms = _product(out_shapes[0]) * shapes[0][-1]
        a, b, y = _product(shapes[0]), _product(shapes[1]), _product(out_shapes[0])
        return Cost(2 * terms, 4 * terms, 4 * (a + b + y), 4 * 2 * (a + b + y))


def _as_row(shape):
    return (1, *shape) if len(shape) == 1 else shape


def _as_column(shape):
    return (*shape, 1) if len(shape) == 1 else shape


def _grown(shape, row, column):
    """The shape of y as a (..., M, N) matrix, with the axes that a 1-D operand left out."""
    shape = tuple(shape)
    if column:
        shape = (*shape, 1)
    if row:
        shape = (*shape[:-1], 1, shape[-1])
    return shape


def _product_to(shape, a, b, y, accumulate):
    """a b, with the batch axes that `shape` lacks or has as 1 summed; into y where one is given."""
    p, q = a.shape, b.shape
    if y is None:
        y = empty(shape, a.dtype, a)
    if len(p) == 2 and len(q) == 2:
        kernels.on(a).matmul(a, b, y, accumulate=accumulate)
        return y
    lead = broadcast_shapes("matmul", p[:-2], q[:-2])
    whole = (*lead, p[-2], q[-1])
    a, b = broadcast_to(a, lead + p[-2:]), broadcast_to(b, lead + q[-2:])
    if whole == tuple(shape):
        kernels.on(a).matmul(a, b, y, accumulate=accumulate)
    else:
        total = empty(whole, a.dtype, a)
        kernels.on(a).matmul(a, b, total)
        reduce.on(a).sum(total, y.reshape((1,) * (len(whole) - len(shape)) + tuple(shape)), accumulate=accumulate)
    return y


def _summed_to(t, shape):
    """A tensor summed over the batch axes that `shape` lacks or has as 1."""
    lead = len(t.shape) - len(shape)
    dims = [i for i, n in enumerate(t.shape) if i < lead or (shape[i - lead] == 1 and n != 1)]
    return t.sum(dims, keepdim=True).reshape(*shape) if dims else t


class Linear(Op):
    """y = act(x w^T + b);  dz = dy act'(y), dx = dz w, dw = dz^T x, db = sum over rows of dz

    x (..., K), w (N, K), b (N,) or None, y (..., N). relu'(0) = 0, so y > 0 tells where the gradient passes.
    """
    name = "linear"
    required = 2

    def __init__(self, activation=None):
        self.activation = activation

    def forward(self, node: Node, x, w, b):
        _check_dtypes("linear", x, w)
        p, q = x.shape, w.shape
        if len(q) != 2:
            raise ValueError(f"linear: expected a weight of shape (out, in), got {q}")
        if not p or p[-1] != q[1]:
            raise ValueError(f"linear: expected an input of shape (..., {q[1]}) for a weight of shape {q}, "
                             f"got {p}; weights are (out, in)")
        if b is not None and (b.shape != q[:1] or b.dtype != w.dtype):
            raise ValueError(f"linear: expected a bias of shape ({q[0]},) and dtype {w.dtype}, "
                             f"got {b.shape} and {b.dtype}")
        y = empty((*p[:-1], q[0]), x.dtype, x)
        kernels.on(x).linear(_rows(x), w, b, _rows(y), activation=self.activation)
        node.save(x if node.needs(1) else None,             # dw needs x
                  w if node.needs(0) else None,             # dx needs w
                  None if self.activation is None else y)   # y > 0 is where relu let the sum through
        return y

    def backward(self, node: Node, dy):
        x, w, y = node.saved
        if self.activation is not None:
            dz = empty_like(y)
            elementwise.on(y).relu_backward(y, dy, dz)
            dy = dz
        dz = _rows(dy)                                      # (R, N)
        n = dz.shape[1]
        dx = dw = db = None
        if node.needs(0):
            dx = empty((*dy.shape[:-1], w.shape[1]), dz.dtype, dz)
            kernels.on(dz).matmul(dz, w, _rows(dx))
        if node.needs(1):
            dw, accumulate = node.gradient(1, (n, x.shape[-1]), dz.dtype)
            kernels.on(dz).matmul(_flipped(dz), _rows(x), dw, accumulate=accumulate)
        if node.needs(2):
            db, accumulate = (empty((n,), dz.dtype, dz), False) if x is None else node.gradient(2, (n,), dz.dtype)
            reduce.on(dz).sum(dz, db.reshape((1, n)), accumulate=accumulate)
        return dx, dw, db

    def backward_graph(self, node: Node, dy):
        x, w, y = node.saved_tensors
        if self.activation is not None:
            dy = dy * (y > 0)
        lead, n = dy.shape[:-1], dy.shape[-1]
        rows = _product(lead)
        dy = dy.reshape(rows, n)
        dx = dw = db = None
        if node.needs(0):
            dx = (dy @ w).reshape(*lead, w.shape[1])
        if node.needs(1):
            dw = dy.transpose(0, 1) @ x.reshape(rows, x.shape[-1])
        if node.needs(2):
            db = dy.sum(0)
        return dx, dw, db

    def cost(self, shapes, out_shapes):
        x, w, y = _product(shapes[0]), _product(shapes[1]), _product(out_shapes[0])
        terms, bias = y * shapes[1][1], len(shapes) > 2 and shapes[2] is not None
        return Cost(2 * terms + bias * y, 4 * terms + bias * y, 4 * (x + w + y), 4 * 2 * (x + w + y))


# ---- what users call ----

def matmul(a, b):
    """The matrix product of two tensors, float32 or float64.

    (M, K) (K, N) -> (M, N). A 1-D first tensor is a row, a 1-D second one a column, and that axis is left out of the
    result: (K) (K) -> (). With more than two axes the last two are matrices and the axes in front broadcast:
    (B, 1, M, K) (H, K, N) -> (B, H, M, N).
    """
    return apply2(Matmul(), a, b)


def linear(x, weight, bias=None, activation=None):
    """y = act(x weight^T + bias).

    x           (..., in)
    weight      (out, in)
    bias        (out,) or None
    activation  None or "relu": applied while the result is written, for the price of none
    Returns shape (..., out).
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"linear: expected activation to be None or 'relu', got {activation!r}")
    return apply(Linear(activation), x, weight, bias)
