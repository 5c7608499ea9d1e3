"""Pooling in NumPy: the definition of the `pool` kernels.

Volumes (N, D, H, W), N the batch and channels together; images are volumes of depth 1, sequences of height 1 too.
Output (o, p, q) looks through a window of places

    d = o * stride_d - padding_d + k * dilation_d,   h and w likewise

of which those outside the volume do not take part. The shape of y says how many windows there are, so ceil_mode is the
op's business. Shapes: x (N,D,H,W), y (N,O,P,Q); settings are triples (depth, height, width). A place is the number
(d*H + h)*W + w.
"""
from itertools import product
from math import prod

import numpy as np


def max_pool(x, y, index, *, kernel, stride, padding=(0, 0, 0), dilation=(1, 1, 1)):
    """y = the largest value in each window; index (int64, like y, or None) = its place.

    Of equal values the first counts, in reading order; a NaN beats every number, and a later NaN an earlier one (as in
    PyTorch). A window with no place inside the volume gives -inf and index -1.
    """
    best, where = np.full(y.shape, -np.inf, x.dtype), np.full(y.shape, -1, np.int64)
    for v, inside, place in _windows(x, y.shape, kernel, stride, padding, dilation):
        take = inside & ((where < 0) | (v > best) | np.isnan(v))
        best, where = np.where(take, v, best), np.where(take, place, where)
    y[...] = best
    if index is not None:
        index[...] = where


def max_pool_backward(dy, index, dx):
    """dx[n,index] += dy, zero elsewhere; index -1 is passed over, one outside the volume raises IndexError."""
    places = prod(dx.shape[1:])
    flat = np.zeros((dx.shape[0], places), dx.dtype)
    at, g = (a.reshape(len(flat), prod(dy.shape[1:])) for a in (index, dy))
    _check_places("max_pool_backward", at, -1, places)
    rows = np.broadcast_to(np.arange(len(flat))[:, None], at.shape)
    np.add.at(flat, (rows[at >= 0], at[at >= 0]), g[at >= 0])
    dx[...] = flat.reshape(dx.shape)


def adaptive_max_pool(x, y, index):
    """y[o,p,q] = the largest value of bin [floor(o*D/O), ceil((o+1)*D/O)) x ...; index and ties as in max_pool."""
    for at, bin in _bins(x.shape, y.shape):
        best, where = _largest(x, bin)
        y[(slice(None), *at)] = best
        if index is not None:
            index[(slice(None), *at)] = where


def fractional_max_pool(x, samples, y, index, *, kernel):
    """y = the largest value of windows of size `kernel` that begin, along an axis of n windows, at

        floor((i + u) a) - floor(u a),   a = (size - kernel) / (n - 1),   and the last at size - kernel

    with u in [0, 1) from samples (N, 3), one a volume and axis, in x's type. index and ties as in max_pool.
    """
    if samples.size and not ((samples >= 0) & (samples < 1)).all():
        raise ValueError("fractional_max_pool: expected samples in [0, 1), got one outside")
    for n in range(len(x)):
        starts = []
        for u, size, k, count in zip(samples[n], x.shape[1:], kernel, y.shape[1:]):
            i = np.arange(count - 1).astype(x.dtype)
            a = x.dtype.type(size - k) / x.dtype.type(max(count - 1, 1))
            starts.append([*(((i + u) * a).astype(np.int64) - np.int64(u * a)), size - k])
        for at in product(*map(range, y.shape[1:])):
            corner = [s[i] for s, i in zip(starts, at)]
            best, where = _largest(x[n:n + 1], [slice(c, c + k) for c, k in zip(corner, kernel)])
            y[(n, *at)] = best[0]
            if index is not None:
                index[(n, *at)] = where[0]


def max_unpool(x, index, y):
    """y[n,index] = x, zero elsewhere; of two values for one place the last wins."""
    places = prod(y.shape[1:])
    flat = np.zeros((len(y), places), y.dtype)
    at, v = (a.reshape(len(flat), prod(x.shape[1:])) for a in (index, x))
    _check_places("max_unpool", at, 0, places)
    for i in range(at.shape[1]):
        flat[np.arange(len(flat)), at[:, i]] = v[:, i]
    y[...] = flat.reshape(y.shape)


def max_unpool_backward(dy, index, dx):
    """dx = dy[n,index]; 0 where index is -1."""
    places = prod(dy.shape[1:])
    _check_places("max_unpool_backward", index, -1, places)
    at, flat = index.reshape(len(dx), prod(dx.shape[1:])), dy.reshape(len(dx), places)
    taken = np.take_along_axis(flat, at.clip(0), 1) if at.size else np.zeros(at.shape, dx.dtype)
    dx[...] = np.where(at < 0, 0, taken).reshape(dx.shape)


def avg_pool(x, y, *, kernel, stride, padding=(0, 0, 0), count_include_pad=True, divisor_override=None):
    """y = the sum over each window divided by its size.

    The size counts the places inside the volume, with count_include_pad those in the padding too (but none beyond it,
    where ceil_mode lets a window hang over); divisor_override replaces it.
    """
    total = np.zeros(y.shape, np.float64)
    for v, inside, _ in _windows(x, y.shape, kernel, stride, padding, (1, 1, 1)):
        total += np.where(inside, v, 0)
    y[...] = total / _divisor(x.shape, y.shape, kernel, stride, padding, count_include_pad, divisor_override)


def avg_pool_backward(dy, dx, *, kernel, stride, padding=(0, 0, 0), count_include_pad=True, divisor_override=None):
    """dx = sum of dy[o,p,q] / divisor[o,p,q] over the windows that hold a place."""
    g = dy / _divisor(dx.shape, dy.shape, kernel, stride, padding, count_include_pad, divisor_override)
    total = np.zeros((len(dx), prod(dx.shape[1:])), np.float64)
    for _, inside, place in _windows(dx, dy.shape, kernel, stride, padding, (1, 1, 1)):
        np.add.at(total, (slice(None), place[inside]), g[:, inside])
    dx[...] = total.reshape(dx.shape)


def adaptive_avg_pool(x, y):
    """y[o,p,q] = the mean over bin [floor(o*D/O), ceil((o+1)*D/O)) x rows likewise x columns likewise."""
    for at, bin in _bins(x.shape, y.shape):
        y[(slice(None), *at)] = x[(slice(None), *bin)].mean((1, 2, 3), dtype=np.float64)


def adaptive_avg_pool_backward(dy, dx):
    """Each bin's dy, divided by the bin's size, goes to all of its places (bins may overlap)."""
    total = np.zeros(dx.shape, np.float64)
    for at, bin in _bins(dx.shape, dy.shape):
        size = prod(b.stop - b.start for b in bin)
        total[(slice(None), *bin)] += dy[(slice(None), *at)][:, None, None, None] / size
    dx[...] = total


def _windows(x, out_shape, kernel, stride, padding, dilation):
    """For each place of the window, in reading order: the values there for all outputs (N,O,P,Q), whether they are
    inside the volume (O,P,Q), and their places (O,P,Q)."""
    D, H, W = x.shape[1:]
    for tap in product(*map(range, kernel)):
        d, h, w = (np.arange(n) * s - p + t * dil
                   for n, s, p, t, dil in zip(out_shape[1:], stride, padding, tap, dilation))
        d, h, w = d[:, None, None], h[:, None], w
        inside = (d >= 0) & (d < D) & (h >= 0) & (h < H) & (w >= 0) & (w < W)
        yield x[:, d.clip(0, D - 1), h.clip(0, H - 1), w.clip(0, W - 1)], inside, (d * H + h) * W + w


def _divisor(shape, out_shape, kernel, stride, padding, count_include_pad, divisor_override):
    """What each output's sum is divided by, (O,P,Q)."""
    if divisor_override is not None:
        return np.float64(divisor_override)
    sides = []
    for size, n, k, s, pad in zip(shape[1:], out_shape[1:], kernel, stride, padding):
        first = np.arange(n) * s - pad
        low, high = (-pad, size + pad) if count_include_pad else (0, size)
        sides.append((np.minimum(first + k, high) - np.maximum(first, low)).astype(np.float64))
    return sides[0][:, None, None] * sides[1][:, None] * sides[2]


def _bins(shape, out_shape):
    """((o, p, q), the slices of its bin) for every bin."""
    for at in product(*map(range, out_shape[1:])):
        yield at, [slice(i * size // n, -(-(i + 1) * size // n)) for i, size, n in zip(at, shape[1:], out_shape[1:])]


def _largest(x, box):
    """The largest value in a box of each volume, and its place: the last NaN, else the first of equals."""
    H, W = x.shape[2:]
    v = x[(slice(None), *box)]
    shape, v = v.shape[1:], v.reshape(len(x), prod(v.shape[1:]))
    last_nan = v.shape[1] - 1 - np.isnan(v)[:, ::-1].argmax(1)
    i = np.where(np.isnan(v).any(1), last_nan, np.where(np.isnan(v), -np.inf, v).argmax(1))
    d, h, w = (b.start + a for b, a in zip(box, np.unravel_index(i, shape)))
    return v[np.arange(len(x)), i], (d * H + h) * W + w


def _check_places(name, at, least, places):
    if at.size and not (least <= at.min() and at.max() < places):
        raise IndexError(f"{name}: expected places in [{least}, {places}), got {at.min()} .. {at.max()}")
