"""Norms and products under the names of torch.linalg. (Decompositions, inverses and solvers are not here: NumPy has them.)"""
from minilayer.device import axis_as_dim as _axis_as_dim
from minilayer.device import numpy_names as _numpy_names
from minilayer.ops.matmul import cross as _cross
from minilayer.ops.matmul import matmul, matrix_power, multi_dot
from minilayer.ops.reduce import norm as _norm
from minilayer.ops.shape import diagonal as _diagonal
from minilayer.tape import expect_tensor

__all__ = ["cross", "diagonal", "matmul", "matrix_norm", "matrix_power", "multi_dot", "norm", "vecdot", "vector_norm"]


def vector_norm(input, ord=2, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """(sum |input|^ord)^(1/ord) over `dim`, or all of input: ord a number; inf and -inf mean the largest and smallest
    |input|, 0 how many are not 0."""
    if axis is not None or keepdims is not None:
        dim, keepdim = _numpy_names("vector_norm", dim, axis, keepdim, keepdims)
    expect_tensor("vector_norm", input)
    return _norm(input, ord, dim, keepdim, dtype)


def matrix_norm(input, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """A norm of matrices: "fro" (the root of the sum of squares), 1 or -1 (the largest or smallest sum of |input| down a
    column), inf or -inf (along a row)."""
    if axis is not None or keepdims is not None:
        dim, keepdim = _numpy_names("matrix_norm", dim, axis, keepdim, keepdims, (-2, -1))
    expect_tensor("matrix_norm", input)
    n = input.array.ndim
    if n < 2 or len(dim) != 2 or dim[0] % n == dim[1] % n:
        raise ValueError(f"matrix_norm: expected two different dims of a tensor of at least 2 dimensions, got {dim} and "
                         f"shape {input.array.shape}")
    if ord == "fro":
        return _norm(input, 2, tuple(dim), keepdim, dtype)
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise ValueError(f"matrix_norm: expected ord 'fro', 1, -1, inf or -inf, got {ord!r}; minilayer has no singular values")
    rows, columns = dim if abs(ord) == 1 else reversed(dim)
    sums = _norm(input, 1, rows, True, dtype)
    most = sums.amax(columns, True) if ord > 0 else sums.amin(columns, True)
    return most if keepdim else most.squeeze(tuple(dim))


def norm(input, ord=None, dim=None, keepdim=False, *, dtype=None, axis=None, keepdims=None):
    """`matrix_norm` where two dims are named (or input is a matrix and ord is given), else `vector_norm`; with neither ord nor
    dim, the root of the sum of all squares."""
    if axis is not None or keepdims is not None:
        dim, keepdim = _numpy_names("norm", dim, axis, keepdim, keepdims)
    expect_tensor("norm", input)
    if ord is not None and (isinstance(dim, (tuple, list)) and len(dim) == 2 or dim is None and input.array.ndim == 2):
        return matrix_norm(input, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(input, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def vecdot(x, y, *, dim=-1, axis=None):
    """The sum of the products of two tensors' elements along `dim`."""
    if axis is not None:
        dim = _axis_as_dim("vecdot", dim, axis, -1)
    expect_tensor("vecdot", x)
    return (x * y).sum(dim)


def cross(input, other, *, dim=-1, axis=None):
    """The cross product of vectors of three elements along `dim`."""
    if axis is not None:
        dim = _axis_as_dim("cross", dim, axis, -1)
    return _cross(input, other, dim)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """A diagonal of the last two axes, as a view."""
    return _diagonal(A, offset, dim1, dim2)
