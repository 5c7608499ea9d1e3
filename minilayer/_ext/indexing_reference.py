"""Copies, fills, and rows by index, as NumPy defines them: the specification of the compiled and CUDA twins.

Arrays may have any strides, except where a row matrix `(R, L)` is said to be in C order. Indices are int64.
"""
import numpy as np


def copy(x, y):
    """y = x, broadcast to y's shape and cast to y's dtype: floats are cut towards zero to integers, and any value other
    than 0 is True. x and y may share memory: y becomes what x was."""
    with np.errstate(invalid="ignore", over="ignore"):
        y[...] = x


def fill(y, *, value):
    """y = value everywhere; a Python number, cast to y's dtype as `copy` does. OverflowError where it does not fit."""
    with np.errstate(over="ignore"):
        y[...] = value


def flatten_index(indices, flat, *, sizes, strides=None):
    """flat = sum over k of indices[k] * strides[k], with the indices broadcast to flat's shape.

    `sizes[k]` is the size of the axis that indices[k] points into: an index must lie in [-size, size), and counts from
    the end where it is negative. `strides` are in elements; by default those of a C-ordered array of shape `sizes`. An
    int d in place of an array stands for the position along axis d of flat, as `arange` would.
    """
    if strides is None:
        strides = _c_strides(sizes)
    total = np.zeros(flat.shape, np.int64)
    for k, (index, size, stride) in enumerate(zip(indices, sizes, strides)):
        if isinstance(index, int):
            index = np.arange(flat.shape[index]).reshape((-1,) + (1,) * (flat.ndim - 1 - index))
        _check_index(index, size, k)
        total += np.where(index < 0, index + size, index) * stride
    flat[...] = total


def _c_strides(sizes) -> tuple:
    """Strides, in elements, of a C-ordered array of shape `sizes`."""
    strides, step = [], 1
    for size in reversed(sizes):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _check_index(index, size, axis):
    """IndexError naming the first index outside [-size, size)."""
    bad = (index < -size) | (index >= size)
    if bad.any():
        raise IndexError(f"index {index[bad].flat[0]} is out of bounds for axis {axis} with size {size}")


def _check_rows(x, flat):
    if flat.size and not (flat.min() >= 0 and flat.max() < len(x)):
        raise IndexError(f"row index out of bounds: expected 0 to {len(x) - 1}, got {flat.min()} to {flat.max()}")


def take_rows(x, flat, y):
    """y[i] = x[flat[i]]; x (R, L) in C order, flat (n,), y (n, L)."""
    _check_rows(x, flat)
    y[...] = x[flat]


def put_rows(x, flat, v):
    """x[flat[i]] = v[i], in place; x (R, L) in C order, v (n, L). Of equal indices the last wins."""
    _check_rows(x, flat)
    for i, row in enumerate(flat.tolist()):
        x[row] = v[i]


def add_rows(x, flat, v):
    """x[flat[i]] += v[i], in place; x (R, L) in C order, v (n, L). Equal indices add up, in their order."""
    _check_rows(x, flat)
    np.add.at(x, flat, v)


def count_nonzero(mask) -> int:
    """How many elements are not 0."""
    return int(np.count_nonzero(mask))


def nonzero(mask, index):
    """index[r] = the coordinates of the r-th element that is not 0, in C order; index (count, ndim)."""
    index[...] = np.argwhere(mask)
