"""Resizing in NumPy: the definition of the `upsample` kernels.

Every element of the output is a weighted sum of some elements of the input, along rows and then along columns:

    y[n,p,q] = sum over k, l of row_weights[p,k] column_weights[q,l] x[n, rows[p,k], columns[q,l]]

x (N, H, W), y (N, P, Q); rows (P, K) and columns (Q, L) int64, their weights alike in x's type. None for `rows` leaves
that axis as it is, None for its weights means 1, and a place of -1 stands for nothing. Nearest neighbours have K = 1,
linear 2, cubic 4, and a mean over bins of different sizes fills up with -1.
"""
import numpy as np


def resize(x, y, rows, row_weights, columns, column_weights):
    """y = the weighted sums."""
    total = x.astype(np.float64)
    for axis, index, weights in ((1, rows, row_weights), (2, columns, column_weights)):
        if index is not None:
            taken = np.take(total, _checked(index, total.shape[axis]).clip(0), axis)
            terms = np.moveaxis(taken, (axis, axis + 1), (-2, -1)) * (1 if weights is None else weights.astype(np.float64))
            total = np.moveaxis(np.where(index < 0, 0, terms).sum(-1), -1, axis)
    y[...] = total


def resize_backward(dy, dx, rows, row_weights, columns, column_weights):
    """dx[n, rows[p,k], columns[q,l]] += row_weights[p,k] column_weights[q,l] dy[n,p,q], from zero."""
    total = dy.astype(np.float64)
    for axis, index, weights in ((1, rows, row_weights), (2, columns, column_weights)):
        if index is not None:
            spread = np.zeros((dx.shape[axis], *np.delete(total.shape, axis)))
            for k in range(_checked(index, dx.shape[axis]).shape[1]):
                g = np.moveaxis(total, axis, 0)
                w = np.ones(len(index)) if weights is None else weights[:, k].astype(np.float64)
                there = index[:, k] >= 0
                np.add.at(spread, index[there, k], (g * w[:, None, None])[there])
            total = np.moveaxis(spread, 0, axis)
    dx[...] = total


def _checked(index, size):
    if index.size and not (-1 <= index.min() and index.max() < size):
        raise IndexError(f"resize: expected places in [-1, {size}), got {index.min()} .. {index.max()}")
    return index
