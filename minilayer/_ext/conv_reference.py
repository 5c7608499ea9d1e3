"""Two-dimensional convolution in NumPy: what `conv_cython` and `conv_cuda` must compute.

Cross-correlation, as everywhere in deep learning: the kernel is not flipped. With s stride, d dilation, t padding at
the top or left, tap k of output p reads input row h = p s + k d - t, and 0 where that row does not exist. y's shape
settles how far the padding reaches at the bottom and right. With groups, output channels are shared out among groups
of input channels.
"""
import numpy as np

ACTIVATIONS = (None, "relu")


def _taps(x, kernel, out, stride, padding, dilation):
    """X[b, c, k, l, p, q] = x[b, c, p s + k d - t, q s + l d - t]: a view of x with its border of zeros (the im2col
    matrix, never written out), and that padded copy."""
    (kh, kw), (p, q), (sh, sw), (ph, pw), (dh, dw) = kernel, out, stride, padding, dilation
    rows, cols = (p - 1) * sh + (kh - 1) * dh + 1, (q - 1) * sw + (kw - 1) * dw + 1
    padded = np.zeros((*x.shape[:2], max(rows, x.shape[2] + ph), max(cols, x.shape[3] + pw)), x.dtype)
    padded[:, :, ph:ph + x.shape[2], pw:pw + x.shape[3]] = x
    b, c, h, w = padded.strides
    view = np.lib.stride_tricks.as_strided(padded, (*x.shape[:2], kh, kw, p, q), (b, c, h * dh, w * dw, h * sh, w * sw))
    return view, padded


def conv2d(x, w, b, y, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, activation=None):
    """y[b,o,p,q] = act(sum_(c,k,l) x[b, c, p s + k d - t, q s + l d - t] w[o,c,k,l] + bias[o])

    x (B, C, H, W), w (O, C/groups, K, L), b (O,) or None, y (B, O, P, Q). `activation`: None or "relu".
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"conv2d: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
    if y.size:
        taps, _ = _taps(x, w.shape[2:], y.shape[2:], stride, padding, dilation)
        cg, og = w.shape[1], w.shape[0] // groups
        for g in range(groups):
            y[:, g * og:(g + 1) * og] = np.einsum("bcklpq,ockl->bopq", taps[:, g * cg:(g + 1) * cg],
                                                  w[g * og:(g + 1) * og], optimize=True)
    if b is not None:
        y += b[:, None, None]
    if activation == "relu":
        np.maximum(y, 0, out=y)


def conv2d_backward_input(dy, w, dx, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, accumulate=False):
    """dx[b, c, p s + k d - t, q s + l d - t] = sum of dy[b,o,p,q] w[o,c,k,l] over all (o,k,l,p,q) that meet there."""
    if not accumulate:
        dx[...] = 0
    if dy.size == 0 or dx.size == 0:
        return
    taps, padded = _taps(np.zeros_like(dx), w.shape[2:], dy.shape[2:], stride, padding, dilation)
    cg, og = w.shape[1], w.shape[0] // groups
    for g in range(groups):
        for k in range(w.shape[2]):
            for tap in range(w.shape[3]):
                taps[:, g * cg:(g + 1) * cg, k, tap] += np.einsum("bopq,oc->bcpq", dy[:, g * og:(g + 1) * og],
                                                                  w[g * og:(g + 1) * og, :, k, tap], optimize=True)
    dx += padded[:, :, padding[0]:padding[0] + dx.shape[2], padding[1]:padding[1] + dx.shape[3]]


def conv2d_backward_weight(dy, x, dw, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, accumulate=False):
    """dw[o,c,k,l] = sum_(b,p,q) dy[b,o,p,q] x[b, c, p s + k d - t, q s + l d - t]"""
    if not accumulate:
        dw[...] = 0
    if dy.size == 0 or dw.size == 0:
        return
    taps, _ = _taps(x, dw.shape[2:], dy.shape[2:], stride, padding, dilation)
    cg, og = dw.shape[1], dw.shape[0] // groups
    for g in range(groups):
        dw[g * og:(g + 1) * og] += np.einsum("bopq,bcklpq->ockl", dy[:, g * og:(g + 1) * og],
                                             taps[:, g * cg:(g + 1) * cg], optimize=True)
