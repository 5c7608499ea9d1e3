"""Pooling in NumPy: the definition of the `pool` kernels.

Output (p, q) looks through a window of K x L places,

    h = p * stride_h - padding_h + k * dilation_h        w = q * stride_w - padding_w + l * dilation_w

of which those outside the image do not take part. The shape of y says how many windows there are, so ceil_mode is the
op's business. Shapes: x (B,C,H,W), y (B,C,P,Q); settings are pairs (height, width).
"""
import numpy as np


def max_pool2d(x, y, index, *, kernel, stride, padding=(0, 0), dilation=(1, 1)):
    """y = the largest value in each window; index (int64, like y, or None) = its place h*W + w.

    Of equal values the first counts, in reading order; a NaN beats every number, and a later NaN an earlier one (as in
    PyTorch). A window with no place inside the image gives -inf and index -1.
    """
    best, where = np.full(y.shape, -np.inf, x.dtype), np.full(y.shape, -1, np.int64)
    for v, inside, place in _windows(x, y.shape, kernel, stride, padding, dilation):
        take = inside & ((where < 0) | (v > best) | np.isnan(v))
        best, where = np.where(take, v, best), np.where(take, place, where)
    y[...] = best
    if index is not None:
        index[...] = where


def max_pool2d_backward(dy, index, dx):
    """dx[b,c,index] += dy, zero elsewhere; index -1 is passed over, one outside the image raises IndexError."""
    H, W = dx.shape[2:]
    flat = np.zeros((dx.shape[0] * dx.shape[1], H * W), dx.dtype)
    at, g = (a.reshape(len(flat), dy.shape[2] * dy.shape[3]) for a in (index, dy))
    if at.size and not (-1 <= at.min() and at.max() < H * W):
        raise IndexError(f"max_pool2d_backward: expected places in [0, {H * W}), got {at.min()} .. {at.max()}")
    rows = np.broadcast_to(np.arange(len(flat))[:, None], at.shape)
    np.add.at(flat, (rows[at >= 0], at[at >= 0]), g[at >= 0])
    dx[...] = flat.reshape(dx.shape)


def avg_pool2d(x, y, *, kernel, stride, padding=(0, 0), count_include_pad=True, divisor_override=None):
    """y = the sum over each window divided by its size.

    The size counts the places inside the image, with count_include_pad those in the padding too (but none beyond it,
    where ceil_mode lets a window hang over); divisor_override replaces it.
    """
    total = np.zeros(y.shape, np.float64)
    for v, inside, _ in _windows(x, y.shape, kernel, stride, padding, (1, 1)):
        total += np.where(inside, v, 0)
    y[...] = total / _divisor(x.shape, y.shape, kernel, stride, padding, count_include_pad, divisor_override)


def avg_pool2d_backward(dy, dx, *, kernel, stride, padding=(0, 0), count_include_pad=True, divisor_override=None):
    """dx[h,w] = sum of dy[p,q] / divisor[p,q] over the windows that hold (h, w)."""
    g = dy / _divisor(dx.shape, dy.shape, kernel, stride, padding, count_include_pad, divisor_override)
    total = np.zeros((dx.shape[0], dx.shape[1], dx.shape[2] * dx.shape[3]), np.float64)
    for _, inside, place in _windows(dx, dy.shape, kernel, stride, padding, (1, 1)):
        np.add.at(total, (slice(None), slice(None), place[inside]), g[:, :, inside])
    dx[...] = total.reshape(dx.shape)


def adaptive_avg_pool2d(x, y):
    """y[p,q] = the mean over bin rows [floor(p*H/P), ceil((p+1)*H/P)) and columns likewise."""
    for p, q, rows, columns in _bins(x.shape, y.shape):
        y[:, :, p, q] = x[:, :, rows, columns].mean((2, 3), dtype=np.float64)


def adaptive_avg_pool2d_backward(dy, dx):
    """Each bin's dy, divided by the bin's size, goes to all of its places (bins may overlap)."""
    total = np.zeros(dx.shape, np.float64)
    for p, q, rows, columns in _bins(dx.shape, dy.shape):
        size = (rows.stop - rows.start) * (columns.stop - columns.start)
        total[:, :, rows, columns] += dy[:, :, p, q, None, None] / size
    dx[...] = total


def _windows(x, out_shape, kernel, stride, padding, dilation):
    """For each place (k, l) of the window, in reading order: the values there for all outputs (B,C,P,Q), whether they
    are inside the image (P,Q), and where, h*W + w (P,Q)."""
    H, W = x.shape[2:]
    for k in range(kernel[0]):
        h = np.arange(out_shape[2]) * stride[0] - padding[0] + k * dilation[0]
        for l in range(kernel[1]):  # noqa: E741
            w = np.arange(out_shape[3]) * stride[1] - padding[1] + l * dilation[1]
            inside = ((h >= 0) & (h < H))[:, None] & ((w >= 0) & (w < W))
            v = x[:, :, h.clip(0, H - 1)][..., w.clip(0, W - 1)]
            yield v, inside, h[:, None] * W + w


def _divisor(shape, out_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """What each output's sum is divided by, (P,Q)."""
    if divisor_override is not None:
        return np.float64(divisor_override)
    sides = []
    for axis in (0, 1):
        size, pad = shape[2 + axis], padding[axis]
        first = np.arange(out_shape[2 + axis]) * stride[axis] - pad
        low, high = (-pad, size + pad) if count_include_pad else (0, size)
        sides.append(np.minimum(first + kernel[axis], high) - np.maximum(first, low))
    return sides[0][:, None] * sides[1].astype(np.float64)


def _bins(shape, out_shape):
    """(p, q, rows, columns) of every bin."""
    (H, W), (P, Q) = shape[2:], out_shape[2:]
    for p in range(P):
        for q in range(Q):
            yield p, q, slice(p * H // P, -(-(p + 1) * H // P)), slice(q * W // Q, -(-(q + 1) * W // Q))
