"""Convolution of images and volumes in NumPy: what `conv_cython` and `conv_cuda` must compute.

Cross-correlation, as everywhere in deep learning: the kernel is not flipped. With s stride, d dilation, t padding at
the start of an axis, tap k of output p reads input element h = p s + k d - t, and 0 where that does not exist. y's
shape settles how far the padding reaches at the end. With groups, output channels are shared out among groups of input
channels. The formulas are those of images (B, C, H, W); volumes (B, C, D, H, W) have one more axis of each kind.
"""
from itertools import product

import numpy as np

ACTIVATIONS = (None, "relu")


def _taps(x, kernel, out, stride, padding, dilation):
    """X[b, c, k, l, p, q] = x[b, c, p s + k d - t, q s + l d - t]: a view of x with its border of zeros (the im2col
    matrix, never written out), and that padded copy."""
    reach = [(p - 1) * s + (k - 1) * d + 1 for p, s, k, d in zip(out, stride, kernel, dilation, strict=True)]
    shape = (*x.shape[:2], *[max(r, n + t) for r, n, t in zip(reach, x.shape[2:], padding, strict=True)])
    try:
        padded = np.zeros(shape, x.dtype)
    except (MemoryError, ValueError):       # ValueError: more bytes than an address can count
        raise MemoryError(f"conv{len(kernel)}d: no memory for a padded copy of shape {shape}; use a smaller dilation or "
                          f"padding") from None
    padded[_inside(padding, x.shape)] = x
    steps = padded.strides[2:]
    view = np.lib.stride_tricks.as_strided(
        padded, (*x.shape[:2], *kernel, *out),
        (*padded.strides[:2], *[n * d for n, d in zip(steps, dilation, strict=True)],
         *[n * s for n, s in zip(steps, stride, strict=True)]))
    return view, padded


def _inside(padding, shape):
    """Where x lies in its padded copy."""
    return (slice(None), slice(None), *[slice(t, t + n) for t, n in zip(padding, shape[2:], strict=True)])


def conv2d(x, w, b, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, activation=None):
    """y[b,o,p,q] = act(sum_(c,k,l) x[b, c, p s + k d - t, q s + l d - t] w[o,c,k,l] + bias[o])

    x (B, C, H, W), w (O, C/groups, K, L), b (O,) or None, y (B, O, P, Q). `activation`: None or "relu".
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"conv{y.ndim - 2}d: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
    if y.size:
        taps, _ = _taps(x, w.shape[2:], y.shape[2:], stride, padding, dilation)
        cg, og = w.shape[1], w.shape[0] // groups
        formula = "bcklpq,ockl->bopq" if y.ndim == 4 else "bcjklrpq,ocjkl->borpq"
        for g in range(groups):
            y[:, g * og:(g + 1) * og] = np.einsum(formula, taps[:, g * cg:(g + 1) * cg], w[g * og:(g + 1) * og],
                                                  optimize=True)
    if b is not None:
        y += b.reshape(-1, *(1,) * (y.ndim - 2))
    if activation == "relu":
        np.maximum(y, 0, out=y)


def conv3d(x, w, b, y, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1, activation=None):
    """conv2d with one more axis, in front of the two."""
    conv2d(x, w, b, y, stride=stride, padding=padding, dilation=dilation, groups=groups, activation=activation)


def conv_transpose2d(x, w, b, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """y[b, c, p s + k d - t, q s + l d - t] = sum of x[b,o,p,q] w[o,c,k,l] over all that meet there, + bias[c]

    x (B, O, P, Q), w (O, C/groups, K, L), b (C,) or None, y (B, C, H, W): the gradient of conv2d for its input.
    """
    conv2d_backward_input(x, w, y, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if b is not None:
        y += b.reshape(-1, *(1,) * (y.ndim - 2))


def conv_transpose3d(x, w, b, y, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1):
    """conv_transpose2d with one more axis, in front of the two."""
    conv_transpose2d(x, w, b, y, stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv2d_backward_input(dy, w, dx, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, accumulate=False):
    """dx[b, c, p s + k d - t, q s + l d - t] = sum of dy[b,o,p,q] w[o,c,k,l] over all (o,k,l,p,q) that meet there."""
    if not accumulate:
        dx[...] = 0
    if dy.size == 0 or dx.size == 0:
        return
    taps, padded = _taps(np.zeros_like(dx), w.shape[2:], dy.shape[2:], stride, padding, dilation)
    cg, og = w.shape[1], w.shape[0] // groups
    for g in range(groups):
        for tap in product(*map(range, w.shape[2:])):
            taps[:, g * cg:(g + 1) * cg, *tap] += np.einsum("bo...,oc->bc...", dy[:, g * og:(g + 1) * og],
                                                            w[g * og:(g + 1) * og, :, *tap], optimize=True)
    dx += padded[_inside(padding, dx.shape)]


def conv3d_backward_input(dy, w, dx, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1,
                          accumulate=False):
    """conv2d_backward_input with one more axis."""
    conv2d_backward_input(dy, w, dx, stride=stride, padding=padding, dilation=dilation, groups=groups,
                          accumulate=accumulate)


def conv2d_backward_weight(dy, x, dw, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, accumulate=False):
    """dw[o,c,k,l] = sum_(b,p,q) dy[b,o,p,q] x[b, c, p s + k d - t, q s + l d - t]"""
    if not accumulate:
        dw[...] = 0
    if dy.size == 0 or dw.size == 0:
        return
    taps, _ = _taps(x, dw.shape[2:], dy.shape[2:], stride, padding, dilation)
    cg, og = dw.shape[1], dw.shape[0] // groups
    formula = "bopq,bcklpq->ockl" if dy.ndim == 4 else "borpq,bcjklrpq->ocjkl"
    for g in range(groups):
        dw[g * og:(g + 1) * og] += np.einsum(formula, dy[:, g * og:(g + 1) * og], taps[:, g * cg:(g + 1) * cg],
                                             optimize=True)


def conv3d_backward_weight(dy, x, dw, *, stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1,
                           accumulate=False):
    """conv2d_backward_weight with one more axis."""
    conv2d_backward_weight(dy, x, dw, stride=stride, padding=padding, dilation=dilation, groups=groups,
                           accumulate=accumulate)
