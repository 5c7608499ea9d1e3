"""Windows of images as columns, and back, in NumPy: what the compiled kernels must compute.

With s stride, d dilation, t padding at the top or left, tap k of window p is row h = p s + k d - t of the image, and 0
where that row does not exist; columns alike. The arrays' shapes say how many windows and taps there are.
"""
import numpy as np


def _places(n, taps, windows, stride, padding, dilation):
    """Rows (or columns) [tap, window] of the image, and which of them exist."""
    i = np.arange(windows) * stride + np.arange(taps)[:, None] * dilation - padding
    inside = (i >= 0) & (i < n)
    return np.where(inside, i, 0), inside


def _grid(x, y, stride, padding, dilation):
    """(rows, columns, inside) of all taps and windows, to broadcast: [k, 1, p, 1], [1, l, 1, q], [k, l, p, q]."""
    (h, w), (k, l, p, q) = x.shape[2:], y.shape[2:]
    rows, above = _places(h, k, p, stride[0], padding[0], dilation[0])
    columns, beside = _places(w, l, q, stride[1], padding[1], dilation[1])
    return rows[:, None, :, None], columns[None, :, None, :], above[:, None, :, None] & beside[None, :, None, :]


def unfold(x, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """y[b,c,k,l,p,q] = x[b, c, p s + k d - t, q s + l d - t], 0 outside of x

    x (B, C, H, W), y (B, C, K, L, P, Q).
    """
    rows, columns, inside = _grid(x, y, stride, padding, dilation)
    y[...] = np.where(inside, x[:, :, rows, columns], 0) if x.size else 0


def fold(y, x, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """x[b, c, p s + k d - t, q s + l d - t] = sum of y[b,c,k,l,p,q] over all that meet there; y and x as in unfold"""
    rows, columns, inside = _grid(x, y, stride, padding, dilation)
    x[...] = 0
    if x.size:
        np.add.at(x, (slice(None), slice(None), rows, columns), np.where(inside, y, 0))
