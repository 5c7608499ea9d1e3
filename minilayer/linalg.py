"""Norms and products under the names of torch.linalg. (Decompositions, inverses and solvers are not here: NumPy has them.)"""
from minilayer.ops.matmul import cross as _cross
from minilayer.ops.matmul import matmul, matrix_power, multi_dot
from minilayer.ops.reduce import norm as _norm
from minilayer.ops.shape import diagonal as _diagonal
from minilayer.tape import expect_tensor

__all__ = ["cross", "diagonal", "matmul", "matrix_norm", "matrix_power", "multi_dot", "norm", "vecdot", "vector_norm"]


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """(sum |x|^ord)^(1/ord) over `dim`, or all of x: ord a number; inf and -inf mean the largest and smallest |x|, 0 how
    many are not 0."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("vector_norm", dim, axis, keepdim, keepdims)
    expect_tensor("vector_norm", x)
    return _norm(x, ord, dim, keepdim, dtype)


def matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """A norm of matrices: "fro" (the root of the sum of squares), 1 or -1 (the largest or smallest sum of |x| down a
    column), inf or -inf (along a row)."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("matrix_norm", dim, axis, keepdim, keepdims, (-2, -1))
    expect_tensor("matrix_norm", x)
    n = x.array.ndim
    if n < 2 or len(dim) != 2 or dim[0] % n == dim[1] % n:
        raise ValueError(f"matrix_norm: expected two different dims of a tensor of at least 2 dimensions, got {dim} and "
                         f"shape {x.array.shape}")
    if ord == "fro":
        return _norm(x, 2, tuple(dim), keepdim, dtype)
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise ValueError(f"matrix_norm: expected ord 'fro', 1, -1, inf or -inf, got {ord!r}; minilayer has no singular values")
    rows, columns = dim if abs(ord) == 1 else reversed(dim)
    sums = _norm(x, 1, rows, True, dtype)
    most = sums.amax(columns, True) if ord > 0 else sums.amin(columns, True)
    return most if keepdim else most.squeeze(tuple(dim))


def norm(x, ord=None, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """`matrix_norm` where two dims are named (or x is a matrix and ord is given), else `vector_norm`; with neither ord nor
    dim, the root of the sum of all squares."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("norm", dim, axis, keepdim, keepdims)
    expect_tensor("norm", x)
    if ord is not None and (isinstance(dim, (tuple, list)) and len(dim) == 2 or dim is None and x.array.ndim == 2):
        return matrix_norm(x, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def vecdot(x, y, *, dim=-1, axis=None):
    """The sum of the products of two tensors' elements along `dim`."""
    if axis is not None:
        dim = axis_as_dim("vecdot", dim, axis, -1)
    expect_tensor("vecdot", x)
    return (x * y).sum(dim)


def cross(x, other, *, dim=-1, axis=None):
    """The cross product of vectors of three elements along `dim`."""
    if axis is not None:
        dim = axis_as_dim("cross", dim, axis, -1)
    return _cross(x, other, dim)


def diagonal(x, *, offset=0, dim1=-2, dim2=-1):
    """A diagonal of the last two axes, as a view."""
    return _diagonal(x, offset, dim1, dim2)
