# cython: language_level=3
"""Matrix products: `matmul` by NumPy's and PyTorch's rule for any number of axes, and `linear`, the layer's own form.

Both run on one kernel family that takes any strides, so nothing is copied to transpose a matrix or to repeat it along
a batch. `linear` adds the bias and applies relu while a tile of the result is still in registers.
"""
from math import prod as _product

import cython

from minilayer._ext.dispatch import Family, family
from minilayer.device import axis_as_dim, broadcast_shapes, broadcast_to, contiguous, empty, empty_like, normalize_axis
from minilayer.node import Node
from minilayer.tape import Cost, Op, apply, apply2, expect_tensor

kernels = cython.declare(Family, family("matmul"))
elementwise = cython.declare(Family, family("elementwise"))
reduce = cython.declare(Family, family("reduce"))
arithmetic, indexing = family("arithmetic"), family("indexing")

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
        if a.dtype.kind not in "iu" or a.dtype != b.dtype:
            _check_dtypes("matmul", a, b)
        multiply = kernels.on(a).matmul if a.dtype.kind == "f" else _product_of_integers
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
            multiply(a, b, y)                               # (M, N)
            return y
        if row:
            a = a.reshape((1, a.shape[0]))
        if column:
            b = b.reshape((b.shape[0], 1))
        lead = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
        a = broadcast_to(a, lead + a.shape[-2:])
        b = broadcast_to(b, lead + b.shape[-2:])
        y = empty((*lead, a.shape[-2], b.shape[-1]), a.dtype, a)
        multiply(a, b, y)                                   # (..., M, N)
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


def _product_of_integers(a, b, y):
    """y = a b, one column of a times one row of b after the other."""
    if not a.shape[-1]:
        indexing.on(y).fill(y, value=0)
    for k in range(a.shape[-1]):
        arithmetic.on(y).mul(a[..., k:k + 1], b[..., k:k + 1, :], y, accumulate=k > 0)


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

def matmul(input, other):
    """The matrix product of two tensors of floats, or of integers of one type (for which there is no fast kernel).

    (M, K) (K, N) -> (M, N). A 1-D first tensor is a row, a 1-D second one a column, and that axis is left out of the
    result: (K) (K) -> (). With more than two axes the last two are matrices and the axes in front broadcast:
    (B, 1, M, K) (H, K, N) -> (B, H, M, N).
    """
    return apply2(Matmul(), input, other)


def linear(input, weight, bias=None, activation=None):
    """y = act(input weight^T + bias).

    input       (..., in)
    weight      (out, in)
    bias        (out,) or None
    activation  None or "relu": applied while the result is written, for the price of none
    Returns shape (..., out).
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"linear: expected activation to be None or 'relu', got {activation!r}")
    return apply(Linear(activation), input, weight, bias)


# ---- products of a given number of axes ----

def _expect_axes(name, *wanted):
    """Refuse tensors that have not the number of axes they should; wanted: (tensor, number), ..."""
    for x, n in wanted:
        expect_tensor(name, x)
        if x.array.ndim != n:
            raise ValueError(f"{name}: expected tensors of {' and '.join([str(n) for _, n in wanted])} dimensions, got shapes "
                             f"{' and '.join([str(getattr(t, 'shape', t)) for t, _ in wanted])}; matmul takes any number")


def mm(input, mat2):
    """The product of two matrices: (M, K) (K, N) -> (M, N)."""
    _expect_axes("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


def bmm(input, mat2):
    """The products of two batches of matrices: (B, M, K) (B, K, N) -> (B, M, N)."""
    _expect_axes("bmm", (input, 3), (mat2, 3))
    if input.array.shape[0] != mat2.array.shape[0]:
        raise ValueError(f"bmm: expected batches of one size, got shapes {input.array.shape} and {mat2.array.shape}; "
                         "matmul broadcasts them")
    return matmul(input, mat2)


def mv(input, vec):
    """A matrix times a vector: (M, K) (K) -> (M)."""
    _expect_axes("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


def dot(input, tensor):
    """The sum of the products of two vectors' elements: (K) (K) -> ()."""
    _expect_axes("dot", (input, 1), (tensor, 1))
    return matmul(input, tensor)


def vdot(input, other):
    """`dot`, whose second argument PyTorch calls by another name."""
    _expect_axes("vdot", (input, 1), (other, 1))
    return matmul(input, other)


def inner(input, other):
    """The products of the last axes: (..., K) (*, K) -> (..., *)."""
    expect_tensor("inner", input)
    expect_tensor("inner", other)
    if not input.array.ndim or not other.array.ndim:
        return input * other
    if input.array.shape[-1] != other.array.shape[-1]:
        raise ValueError(f"inner: expected last axes of one size, got shapes {input.array.shape} and {other.array.shape}")
    k = input.array.shape[-1]
    y = matmul(input.reshape(-1, k) if k else input.reshape(_product(input.array.shape[:-1]), 0),
               (other.reshape(-1, k) if k else other.reshape(_product(other.array.shape[:-1]), 0)).transpose(0, 1))
    return y.reshape(input.array.shape[:-1] + other.array.shape[:-1])


def outer(input, vec2):
    """Every product of an element of one vector and one of another: (M) (N) -> (M, N)."""
    _expect_axes("outer", (input, 1), (vec2, 1))
    return input.unsqueeze(1) * vec2


ger = outer


def _plus(name, x, product, beta, alpha):
    """beta x + alpha product; what x holds, NaN too, is ignored where beta is 0."""
    expect_tensor(name, x)
    if alpha != 1:
        product = product * alpha
    if not beta:
        return product
    return product + (x * beta if beta != 1 else x)


def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """beta input + alpha mat1 mat2"""
    _expect_axes("addmm", (mat1, 2), (mat2, 2))
    return _plus("addmm", input, matmul(mat1, mat2), beta, alpha)


def addmv(input, mat, vec, *, beta=1, alpha=1):
    """beta input + alpha mat vec"""
    _expect_axes("addmv", (mat, 2), (vec, 1))
    return _plus("addmv", input, matmul(mat, vec), beta, alpha)


def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta input + alpha outer(vec1, vec2)"""
    _expect_axes("addr", (vec1, 1), (vec2, 1))
    return _plus("addr", input, outer(vec1, vec2), beta, alpha)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta input + alpha batch1 batch2, matrix by matrix"""
    _expect_axes("baddbmm", (batch1, 3), (batch2, 3))
    return _plus("baddbmm", input, bmm(batch1, batch2), beta, alpha)


def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta input + alpha times the sum of the products of two batches of matrices"""
    _expect_axes("addbmm", (batch1, 3), (batch2, 3))
    return _plus("addbmm", input, bmm(batch1, batch2).sum(0), beta, alpha)


def matrix_power(input, n):
    """A square matrix (or a batch of them) multiplied n times with itself; n = 0 gives the identity."""
    expect_tensor("matrix_power", input)
    shape = input.array.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"matrix_power: expected square matrices, got shape {shape}")
    if n < 0:
        raise ValueError(f"matrix_power: expected n of 0 or more, got {n}; minilayer has no matrix inverse")
    y = None
    square = input
    while n:                                    # the bits of n: x, x^2, x^4, ...
        if n & 1:
            y = square if y is None else matmul(y, square)
        n >>= 1
        square = matmul(square, square) if n else square
    if y is None:
        k = shape[-1]
        y = (input * 0).detach()
        if k:
            y.reshape(-1, k * k)[:, ::k + 1] = 1
        return y
    return y


def chain_matmul(*matrices):
    """The product of several matrices, multiplied in the cheapest order."""
    return multi_dot(matrices)


def multi_dot(tensors):
    """The product of two or more matrices, multiplied in the cheapest order; the first and last may be vectors."""
    tensors = list(tensors)
    for x in tensors:
        expect_tensor("multi_dot", x)
    if len(tensors) < 2:
        raise ValueError(f"multi_dot: expected at least two tensors, got {len(tensors)}")
    row, column = tensors[0].array.ndim == 1, tensors[-1].array.ndim == 1
    if row:
        tensors[0] = tensors[0].unsqueeze(0)
    if column:
        tensors[-1] = tensors[-1].unsqueeze(1)
    _expect_axes("multi_dot", *[(t, 2) for t in tensors])
    sizes = [t.array.shape[0] for t in tensors] + [tensors[-1].array.shape[1]]
    n = len(tensors)
    best = {(i, i): (0, tensors[i]) for i in range(n)}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            best[i, j] = min([(best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                              for k in range(i, j)])

    def product(i, j):
        return tensors[i] if i == j else matmul(product(i, best[i, j][1]), product(best[i, j][1] + 1, j))
    y = product(0, n - 1)
    y = y.squeeze(0) if row else y
    return y.squeeze(-1) if column else y


def kron(input, other):
    """Every product of an element of input and the whole of other, laid out in blocks."""
    expect_tensor("kron", input)
    expect_tensor("kron", other)
    n = max(input.array.ndim, other.array.ndim)
    a, b = [(1,) * (n - t.array.ndim) + t.array.shape for t in (input, other)]
    y = input.reshape([s for m in a for s in (m, 1)]) * other.reshape([s for m in b for s in (1, m)])
    return y.reshape([p * q for p, q in zip(a, b, strict=True)])


def cross(input, other, dim=None, *, axis=None):
    """The cross product of vectors of three elements along `dim` (by default the first axis of size 3)."""
    if axis is not None:
        dim = axis_as_dim("cross", dim, axis)
    expect_tensor("cross", input)
    expect_tensor("cross", other)
    shape = broadcast_shapes("cross", input.array.shape, other.array.shape)
    if dim is None:
        dim = next((d for d, n in enumerate(shape) if n == 3), 0)
    axis = normalize_axis("cross", dim, len(shape))
    if not shape or shape[axis] != 3:
        raise ValueError(f"cross: expected size 3 along dim {dim}, got shapes {input.array.shape} and {other.array.shape}")
    a, b = input.expand(shape), other.expand(shape)
    turned = [(t.roll(-1, axis), t.roll(-2, axis)) for t in (a, b)]
    return turned[0][0] * turned[1][1] - turned[0][1] * turned[1][0]


def trace(input):
    """The sum of a matrix's diagonal."""
    _expect_axes("trace", (input, 2))
    return input.diagonal().sum()
