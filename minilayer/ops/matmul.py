"""Matrix products: `matmul` by NumPy's and PyTorch's rule for any number of axes, and `linear`, the layer's own form.

Both run on one kernel family that takes any strides, so nothing is copied to transpose a matrix or to repeat it along
a batch. `linear` adds the bias and applies relu while a tile of the result is still in registers.
"""
from minilayer._ext.dispatch import family
from minilayer.device import broadcast_shapes, broadcast_to, contiguous, empty, empty_like
from minilayer.tape import Cost, Op, apply

kernels = family("matmul")
elementwise = family("elementwise")
reduce = family("reduce")

ACTIVATIONS = (None, "relu")


def _product(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def _flipped(x):
    """x with its last two axes exchanged: a view."""
    n = x.ndim
    return x.transpose((*range(n - 2), n - 1, n - 2))


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

    def forward(self, node, a, b):
        _check_dtypes("matmul", a, b)
        if a.ndim == 0 or b.ndim == 0:
            raise ValueError(f"matmul: expected tensors of 1 or more dimensions, got shapes {a.shape} and {b.shape}; "
                             "multiply by a number with *")
        node.save(a, b)                                     # da needs b, db needs a
        row, column = a.ndim == 1, b.ndim == 1
        if a.shape[-1] != b.shape[-1 if column else -2]:
            raise ValueError(
                f"matmul: expected the last axis of the first tensor to be as long as the "
                f"{'only' if column else 'second-last'} axis of the second, got shapes {a.shape} and {b.shape}; "
                "transpose one of them with .transpose(-1, -2)")
        if row:
            a = a.reshape((1, a.shape[0]))
        if column:
            b = b.reshape((b.shape[0], 1))
        if a.ndim == 2 and b.ndim == 2:
            y = empty((a.shape[0], b.shape[1]), a.dtype, a)
        else:
            lead = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
            a = broadcast_to(a, lead + a.shape[-2:])
            b = broadcast_to(b, lead + b.shape[-2:])
            y = empty((*lead, a.shape[-2], b.shape[-1]), a.dtype, a)
        kernels.on(a).matmul(a, b, y)                       # (..., M, N)
        if row or column:
            y = y.reshape(y.shape[:-2] + (() if row else y.shape[-2:-1]) + (() if column else y.shape[-1:]))
        return y

    def backward(self, node, dy):
        a, b = node.saved
        row, column = a.ndim == 1, b.ndim == 1
        a2 = a.reshape((1, a.shape[0])) if row else a
        b2 = b.reshape((b.shape[0], 1)) if column else b
        dy = dy.reshape(_grown(dy.shape, row, column))      # (..., M, N)
        da = db = None
        if node.needs(0):
            da, accumulate = (None, False) if row or a.ndim > 2 else node.gradient(0, a.shape, a.dtype)
            da = _product_to(a2.shape, dy, _flipped(b2), da, accumulate)
            if row:
                da = da.reshape(a.shape)
        if node.needs(1):
            db, accumulate = (None, False) if column or b.ndim > 2 else node.gradient(1, b.shape, b.dtype)
            if b2.ndim == 2 and a2.ndim > 2:                # one b for the whole batch: its rows are one long matrix
                a2 = contiguous(a2).reshape((_product(a2.shape[:-1]), a2.shape[-1]))
                dy = contiguous(dy).reshape((_product(dy.shape[:-1]), dy.shape[-1]))
            db = _product_to(b2.shape, _flipped(a2), dy, db, accumulate)
            if column:
                db = db.reshape(b.shape)
        return da, db

    def backward_graph(self, node, dy):
        a, b = node.saved_tensors
        row, column = len(a.shape) == 1, len(b.shape) == 1
        a2 = a.reshape(1, a.shape[0]) if row else a
        b2 = b.reshape(b.shape[0], 1) if column else b
        dy = dy.reshape(*_grown(dy.shape, row, column))
        da = db = None
        if node.needs(0):
            da = _summed_to(dy @ b2.transpose(-1, -2), a2.shape).reshape(*a.shape)
        if node.needs(1):
            db = _summed_to(a2.transpose(-1, -2) @ dy, b2.shape).reshape(*b.shape)
        return da, db

    def cost(self, shapes, out_shapes):
        terms = _product(out_shapes[0]) * shapes[0][-1]
        a, b, y = _product(shapes[0]), _product(shapes[1]), _product(out_shapes[0])
        return Cost(2 * terms, 4 * terms, 4 * (a + b + y), 4 * 2 * (a + b + y))


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
    lead = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
    whole = (*lead, a.shape[-2], b.shape[-1])
    if whole != tuple(shape):
        total = empty(whole, a.dtype, a)
        kernels.on(a).matmul(broadcast_to(a, lead + a.shape[-2:]), broadcast_to(b, lead + b.shape[-2:]), total)
        if y is None:
            y = empty(shape, a.dtype, a)
        reduce.on(a).sum(total, y.reshape((1,) * (len(whole) - len(shape)) + tuple(shape)), accumulate=accumulate)
        return y
    if y is None:
        y = empty(shape, a.dtype, a)
    kernels.on(a).matmul(broadcast_to(a, lead + a.shape[-2:]), broadcast_to(b, lead + b.shape[-2:]), y,
                         accumulate=accumulate)
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

    def forward(self, node, x, w, b):
        _check_dtypes("linear", x, w)
        if w.ndim != 2:
            raise ValueError(f"linear: expected a weight of shape (out, in), got {w.shape}")
        if x.ndim == 0 or x.shape[-1] != w.shape[1]:
            raise ValueError(f"linear: expected an input of shape (..., {w.shape[1]}) for a weight of shape {w.shape}, "
                             f"got {x.shape}; weights are (out, in)")
        if b is not None and (b.shape != (w.shape[0],) or b.dtype != w.dtype):
            raise ValueError(f"linear: expected a bias of shape ({w.shape[0]},) and dtype {w.dtype}, "
                             f"got {b.shape} and {b.dtype}")
        y = empty((*x.shape[:-1], w.shape[0]), x.dtype, x)
        kernels.on(x).linear(_rows(x), w, b, _rows(y), activation=self.activation)
        if self.activation is None:
            node.save(x, w)                                 # dw needs x, dx needs w
        else:
            node.save(x, w, y)                              # and y > 0 is where relu let the sum through
        return y

    def backward(self, node, dy):
        x, w = node.saved[:2]
        if self.activation is not None:
            y = node.saved[2]
            dz = empty_like(y)
            elementwise.on(y).relu_backward(y, dy, dz)
            dy = dz
        dy = _rows(dy)                                      # (R, N)
        dx = dw = db = None
        if node.needs(0):
            dx = empty(x.shape, x.dtype, x)
            kernels.on(x).matmul(dy, w, _rows(dx))
        if node.needs(1):
            dw, accumulate = node.gradient(1, w.shape, w.dtype)
            kernels.on(x).matmul(_flipped(dy), _rows(x), dw, accumulate=accumulate)
        if node.needs(2):
            db, accumulate = node.gradient(2, w.shape[:1], w.dtype)
            reduce.on(x).sum(dy, db.reshape((1, w.shape[0])), accumulate=accumulate)
        return dx, dw, db

    def backward_graph(self, node, dy):
        x, w = node.saved_tensors[:2]
        if self.activation is not None:
            dy = dy * (node.saved_tensors[2] > 0)
        rows, (n, k) = _product(x.shape[:-1]), w.shape
        dy = dy.reshape(rows, n)
        dx = dw = db = None
        if node.needs(0):
            dx = (dy @ w).reshape(*x.shape)
        if node.needs(1):
            dw = dy.transpose(0, 1) @ x.reshape(rows, k)
        if node.needs(2):
            db = dy.sum(0)
        return dx, dw, db

    def cost(self, shapes, out_shapes):
        x, w, y = _product(shapes[0]), _product(shapes[1]), _product(out_shapes[0])
        terms, bias = y * shapes[1][1], len(shapes) > 2 and shapes[2] is not None
        return Cost(2 * terms + bias * y, 4 * terms + bias * y, 4 * (x + w + y), 4 * 2 * (x + w + y))


def _rows(x):
    """x (..., K) as a matrix (R, K): a view, or a copy where its strides do not allow one."""
    if x.ndim == 2:
        return x
    return contiguous(x).reshape((_product(x.shape[:-1]), x.shape[-1]))


# ---- what users call ----

def matmul(a, b):
    """The matrix product of two tensors, float32 or float64.

    (M, K) (K, N) -> (M, N). A 1-D first tensor is a row, a 1-D second one a column, and that axis is left out of the
    result: (K) (K) -> (). With more than two axes the last two are matrices and the axes in front broadcast:
    (B, 1, M, K) (H, K, N) -> (B, H, M, N).
    """
    return apply(Matmul(), a, b)


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
