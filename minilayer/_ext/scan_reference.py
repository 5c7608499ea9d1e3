"""Running products, extremes and logarithms of sums along one axis, in NumPy: the definition.

Arrays are (outer, n, inner) in C order, and everything runs along the middle axis. Indices are int64.
"""
import numpy as np


def _wide(x):
    return np.float64 if x.dtype.kind == "f" else np.int64


def cumprod(x, y):
    """y_i = product of x_j over j <= i; of integers in int64"""
    with np.errstate(all="ignore"):
        y[...] = np.cumprod(x, 1, dtype=_wide(x))


def cumprod_backward(x, y, dy, dx):
    """dx_k = sum over i >= k of dy_i times the product of the x_j with j <= i and j != k: (dy_i y_i summed) / x_k up to
    the first 0; at it, with products that leave it out; behind it nothing."""
    with np.errstate(all="ignore"):
        for o in range(x.shape[0]):
            for c in range(x.shape[2]):
                v, t, g = (a[o, :, c].astype(np.float64) for a in (x, y, dy))
                zeros = np.flatnonzero(v == 0)
                first = zeros[0] if len(zeros) else len(v)
                d = np.zeros(len(v))
                d[:first] = np.cumsum((g * t)[:first][::-1])[::-1] / v[:first]
                if first < len(v):
                    others = np.cumprod(np.concatenate([[t[first - 1] if first else 1.0], v[first + 1:]]))
                    d[first] = (g[first:] * others).sum()
                dx[o, :, c] = d


def _extreme(x, y, index, better):
    n = x.shape[1]
    if not n:
        return
    y[:, 0] = x[:, 0]
    index[:, 0] = 0
    for i in range(1, n):
        before = y[:, i - 1]
        new = (better(x[:, i], before) & (before == before)) | (x[:, i] != x[:, i])
        y[:, i] = np.where(new, x[:, i], before)
        index[:, i] = np.where(new, i, index[:, i - 1])


def cummax(x, y, index):
    """y_i = maximum of x_j over j <= i, index_i the last place that has it; from a NaN on, NaN"""
    _extreme(x, y, index, np.greater_equal)


def cummin(x, y, index):
    """y_i = minimum of x_j over j <= i, index_i the last place that has it; from a NaN on, NaN"""
    _extreme(x, y, index, np.less_equal)


def add_along(dy, index, dx):
    """dx[o, index[o, i, c], c] = the sum of dy[o, i, c] over the i that have that index, else 0"""
    dx[...] = 0
    if index.size and not (index.min() >= 0 and index.max() < dx.shape[1]):
        raise IndexError(f"add_along: expected indices from 0 to {dx.shape[1] - 1}")
    outer, n, inner = index.shape
    np.add.at(dx, (np.arange(outer)[:, None, None], index, np.arange(inner)[None, None, :]), dy)


def logcumsumexp(x, y):
    """y_i = log of the sum of e^x_j over j <= i"""
    total = np.full((x.shape[0], x.shape[2]), -np.inf)
    with np.errstate(all="ignore"):
        for i in range(x.shape[1]):
            total = np.logaddexp(total, x[:, i].astype(np.float64))
            y[:, i] = total


def logcumsumexp_backward(x, y, dy, dx):
    """dx_j = sum over i >= j of dy_i e^(x_j - y_i), by r_i = dy_i + r_(i+1) e^(y_i - y_(i+1)), whose exponent is never
    above 0: dx_j = r_j e^(x_j - y_j), NaN where both are the same infinity, as in PyTorch"""
    n = x.shape[1]
    r = np.zeros((x.shape[0], x.shape[2]))
    with np.errstate(all="ignore"):
        for i in range(n - 1, -1, -1):
            t = y[:, i].astype(np.float64)
            if i + 1 < n:
                r = r * np.where(t == y[:, i + 1], 1.0, np.exp(t - y[:, i + 1]))
            r = r + dy[:, i]
            dx[:, i] = r * np.exp(x[:, i].astype(np.float64) - t)
