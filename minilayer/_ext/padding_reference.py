"""Padding with an array's own values in NumPy: the definition of the `padding` kernels.

x (N, D, H, W) becomes y (N, O, P, Q): `before` places are added in front of each of the last three axes, and as many
behind as y's shape has room for. Mode "reflect" mirrors an axis at its first and last element, without repeating them,
"replicate" repeats those two, "circular" goes on at the other end:

    a b c d    reflect  c b | a b c d | c b     replicate  a a | a b c d | d d     circular  c d | a b c d | a b
"""
import numpy as np


def pad(x, y, *, before, mode):
    """y[n,o,p,q] = x[n, place(o), place(p), place(q)]; any dtype."""
    d, h, w = _places(x.shape, y.shape, before, mode)
    y[...] = x[:, d[:, None, None], h[:, None], w]


def pad_backward(dy, dx, *, before, mode):
    """dx[n, place(o), place(p), place(q)] += dy[n,o,p,q], from zero."""
    d, h, w = _places(dx.shape, dy.shape, before, mode)
    total = np.zeros(dx.shape, np.float64)
    np.add.at(total, (slice(None), d[:, None, None], h[:, None], w), dy)
    dx[...] = total


def _places(shape, out_shape, before, mode):
    """For the last three axes, which element each element of y shows."""
    every = []
    for n, m, b in zip(shape[1:], out_shape[1:], before):
        limit = {"reflect": n - 1, "replicate": m if n else 0, "circular": n}.get(mode)
        if limit is None or b < 0 or b > limit or m - n - b > limit or m - n - b < 0:
            raise ValueError(f"pad: expected mode 'reflect', 'replicate' or 'circular' and no more padding than the axis "
                             f"has for it, got {mode!r} and {b} before {n} elements of {m}")
        i = np.arange(-b, m - b)
        if mode == "circular":
            every.append(i % max(n, 1))
        elif mode == "replicate":
            every.append(i.clip(0, n - 1))
        else:
            i = abs(i)
            every.append(np.where(i >= n, 2 * (n - 1) - i, i))
    return every
