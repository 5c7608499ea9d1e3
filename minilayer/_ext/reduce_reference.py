"""Reductions, as NumPy defines them: the specification of the compiled and CUDA twins.

y has as many axes as x, with size 1 on those that are reduced; arrays may have any strides. Integers and bools are
summed and multiplied in int64. Float sums are promised to be at least as accurate as pairwise summation in x's dtype.
A NaN among the elements makes a sum, product, maximum or minimum NaN.
"""
import numpy as np


def _axes(x, y):
    return tuple(d for d in range(x.ndim) if y.shape[d] == 1 and x.shape[d] != 1)


def _wide(x):
    """The type to add up in: more exact than any order of adding in x's own."""
    return np.int64 if x.dtype.kind != "f" else np.longdouble if x.dtype == np.float64 else np.float64


def sum(x, y, *, accumulate=False):
    """y = sum of x over y's axes of size 1; with accumulate, y += it."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = x.sum(_axes(x, y), dtype=_wide(x), keepdims=True).astype(y.dtype)
        y[...] = y + total if accumulate else total


def mean(x, y, *, accumulate=False):
    """y = sum of x over y's axes of size 1, divided by how many elements each sum has (none: NaN)."""
    count = 1
    for d in _axes(x, y):
        count *= x.shape[d]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        total = (x.sum(_axes(x, y), dtype=_wide(x), keepdims=True).astype(np.float64) / count).astype(y.dtype)
        y[...] = y + total if accumulate else total


def prod(x, y):
    """y = product of x over y's axes of size 1."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        y[...] = x.prod(_axes(x, y), dtype=np.float64 if x.dtype.kind == "f" else np.int64, keepdims=True)


def max(x, y):
    """y = maximum of x over y's axes of size 1."""
    y[...] = x.max(_axes(x, y), keepdims=True)


def min(x, y):
    """y = minimum of x over y's axes of size 1."""
    y[...] = x.min(_axes(x, y), keepdims=True)


def any(x, y):
    """y = is any element of x over y's axes of size 1 not 0?"""
    y[...] = (x != 0).any(_axes(x, y), keepdims=True)


def all(x, y):
    """y = are all elements of x over y's axes of size 1 not 0?"""
    y[...] = (x != 0).all(_axes(x, y), keepdims=True)


def argmax(x, index, *, axis):
    """index = place of the first maximum along `axis` (the first NaN where there is one); index has size 1 there."""
    index[...] = x.argmax(axis, keepdims=True)


def argmin(x, index, *, axis):
    """index = place of the first minimum along `axis` (the first NaN where there is one)."""
    index[...] = x.argmin(axis, keepdims=True)


def max_with_index(x, y, index, *, axis):
    """y = maximum along `axis`, index = the first place that has it."""
    argmax(x, index, axis=axis)
    y[...] = np.take_along_axis(x, index, axis)


def min_with_index(x, y, index, *, axis):
    """y = minimum along `axis`, index = the first place that has it."""
    argmin(x, index, axis=axis)
    y[...] = np.take_along_axis(x, index, axis)


def max_backward(x, y, dy, dx, *, nan_to_all=False):
    """dx = dy / (number of x equal to y) where x equals y, else 0: ties share evenly. For the minimum too.
    y and dy have size 1 on the reduced axes. Where y is NaN, the NaN of x share, or with `nan_to_all` all dx are NaN."""
    chosen = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        dx[...] = np.where(chosen, dy / chosen.sum(_axes(x, y), keepdims=True).astype(x.dtype), 0)
    if nan_to_all:
        dx[...] = np.where(np.isnan(y), y, dx)


def scatter_axis(dy, index, dx, *, axis):
    """dx = 0 but for dx[..., index, ...] = dy along `axis`; dy and index have size 1 there."""
    if index.size and not (index.min() >= 0 and index.max() < dx.shape[axis]):
        raise IndexError(f"scatter_axis: expected indices from 0 to {dx.shape[axis] - 1}")
    dx[...] = 0
    np.put_along_axis(dx, index, dy, axis)


def prod_backward(x, dy, dx):
    """dx_i = dy * product of all x_j with j != i: right where some x are 0 too. dy has size 1 on reduced axes."""
    axes = _axes(x, dy)
    kept = tuple(d for d in range(x.ndim) if d not in axes)
    if x.size == 0:
        return
    ordered = x.transpose(kept + axes).astype(np.float64)
    rows = ordered.reshape([x.shape[d] for d in kept] + [-1])
    before, after = np.ones_like(rows), np.ones_like(rows)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        before[..., 1:] = np.cumprod(rows[..., :-1], -1)
        after[..., :-1] = np.cumprod(rows[..., :0:-1], -1)[..., ::-1]
        dx[...] = (before * after).reshape(ordered.shape).transpose(np.argsort(kept + axes)) * dy


def cumsum(x, y, *, axis, reverse=False):
    """y_i = sum of x_j over j <= i along `axis`; over j >= i with reverse. Integers add up in an int64 y."""
    with np.errstate(over="ignore", invalid="ignore"):
        if reverse:
            y[...] = np.flip(np.cumsum(np.flip(x, axis), axis, dtype=_wide(x)), axis)
        else:
            y[...] = np.cumsum(x, axis, dtype=_wide(x))
