"""Normalisation in NumPy: the definition of the `norm` kernels (layer, RMS, batch, group, local response).

Statistics are taken in float64, two passes (the mean, then the squares around it), so that a large mean does not
cancel them away. `mean` and `rstd` = 1/sqrt(var + eps) are kept in x's type; backward reads them instead of measuring
again. Shapes: R rows of D features; B batch, C channels, L everything behind the channels.
"""
import numpy as np


def layer_norm(x, w, b, y, mean, rstd, *, eps=1e-5):
    """y[r,d] = (x[r,d] - mean[r]) * rstd[r] * w[d] + b[d], the variance biased (divided by D).

    x, y (R,D); w, b (D,) or None (1 and 0); mean, rstd (R,).
    """
    wide = x.astype(np.float64)
    m = wide.mean(1, keepdims=True) if x.shape[1] else np.full((x.shape[0], 1), np.nan)
    centred = wide - m
    variance = (centred * centred).mean(1, keepdims=True) if x.shape[1] else m
    r = 1 / np.sqrt(variance + eps)
    mean[...] = m[:, 0]
    rstd[...] = r[:, 0]
    y[...] = _affine(centred * r, w, b)


def layer_norm_backward(dy, x, w, mean, rstd, dx, dw, db, *, accumulate=False):
    """With xhat = (x - mean) * rstd and g = dy * w:

        dx = rstd * (g - mean_d(g) - xhat * mean_d(g * xhat))     dw = sum_r dy * xhat     db = sum_r dy

    dx, dw, db may be None; `accumulate` adds to dw and db.
    """
    xhat = (x.astype(np.float64) - mean[:, None]) * rstd[:, None]
    if dx is not None and x.size:
        g = dy.astype(np.float64) if w is None else dy.astype(np.float64) * w
        dx[...] = rstd[:, None] * (g - g.mean(1, keepdims=True) - xhat * (g * xhat).mean(1, keepdims=True))
    _store(dw, (dy * xhat).sum(0), accumulate)
    _store(db, dy.sum(0, dtype=np.float64), accumulate)


def rms_norm(x, w, y, rstd, *, eps=1e-5):
    """y[r,d] = x[r,d] * rstd[r] * w[d], rstd[r] = 1/sqrt(mean_d(x[r,d]^2) + eps).

    x, y (R,D); w (D,) or None (1); rstd (R,).
    """
    wide = x.astype(np.float64)
    square = (wide * wide).mean(1) if x.shape[1] else np.full(x.shape[0], np.nan)
    r = 1 / np.sqrt(square + eps)
    rstd[...] = r
    y[...] = _affine(wide * r[:, None], w, None)


def rms_norm_backward(dy, x, w, rstd, dx, dw, *, accumulate=False):
    """With xhat = x * rstd and g = dy * w:  dx = rstd * (g - xhat * mean_d(g * xhat))     dw = sum_r dy * xhat

    dx, dw may be None; `accumulate` adds to dw.
    """
    xhat = x.astype(np.float64) * rstd[:, None]
    if dx is not None and x.size:
        g = dy.astype(np.float64) if w is None else dy.astype(np.float64) * w
        dx[...] = rstd[:, None] * (g - xhat * (g * xhat).mean(1, keepdims=True))
    _store(dw, (dy * xhat).sum(0), accumulate)


def group_norm(x, w, b, y, mean, rstd, variance, *, groups, eps=1e-5):
    """y[b,c,l] = (x[b,c,l] - mean[b,g]) * rstd[b,g] * w[c] + b[c], g = c // (C/groups) the group of channel c.

    Mean and biased variance are those of one item's group: C/groups channels times L values. With groups = C each
    channel of each item has its own (instance norm). x, y (B,C,L); w, b (C,) or None; mean, rstd (B,groups), and
    variance alike or None.
    """
    B, C, L = x.shape
    wide = x.reshape(B, groups, C // groups * L).astype(np.float64)
    m = wide.mean(2, keepdims=True) if wide.shape[2] else np.full((B, groups, 1), np.nan)
    centred = wide - m
    var = (centred * centred).mean(2, keepdims=True) if wide.shape[2] else m
    r = 1 / np.sqrt(var + eps)
    mean[...] = m[:, :, 0]
    rstd[...] = r[:, :, 0]
    if variance is not None:
        variance[...] = var[:, :, 0]
    y[...] = _affine((centred * r).reshape(x.shape), _channels(w), _channels(b))


def group_norm_backward(dy, x, w, mean, rstd, dx, dw, db, *, groups):
    """With xhat = (x - mean) * rstd, g = dy * w and means over each item's group:

        dx = rstd * (g - mean(g) - xhat * mean(g * xhat))     dw = sum_(b,l) dy * xhat     db = sum_(b,l) dy

    dx, dw, db may be None.
    """
    B, C, L = x.shape
    grouped = (B, groups, C // groups * L)
    m, r = mean.reshape(B, groups, 1), rstd.reshape(B, groups, 1)
    xhat = (x.reshape(grouped).astype(np.float64) - m) * r
    if dx is not None and x.size:
        g = dy.astype(np.float64) if w is None else dy.astype(np.float64) * _channels(w)
        g = g.reshape(grouped)
        dx[...] = (r * (g - g.mean(2, keepdims=True) - xhat * (g * xhat).mean(2, keepdims=True))).reshape(x.shape)
    _store(dw, (dy * xhat.reshape(x.shape)).sum((0, 2)), False)
    _store(db, dy.sum((0, 2), dtype=np.float64), False)


def instance_statistics(mean, variance, running_mean, running_var, momentum, *, n):
    """The running statistics of instance norm move towards the means over the items' own:

        running = (1 - momentum) * running + momentum * mean_b(measured)

    mean, variance (B,C), the variance biased over n values and made unbiased here; running_mean, running_var (C,) or
    None; momentum float64 (1,).
    """
    for running, measured in ((running_mean, mean), (running_var, variance * (n / max(n - 1, 1)))):
        if running is not None and len(measured):
            running[...] = (1 - momentum[0]) * running + momentum[0] * measured.mean(0, dtype=np.float64)


def local_response_norm(x, y, scale, *, size, alpha, beta, k):
    """y[b,c,l] = x[b,c,l] / scale[b,c,l]^beta, scale = k + alpha/size * sum of x[b,j,l]^2 over `size` channels j

    around c: c - size//2 <= j <= c + (size-1)//2, those that exist. x, y, scale (B,C,L).
    """
    wide = x.astype(np.float64)
    s = k + alpha / size * _window(wide * wide, size // 2, (size - 1) // 2)
    scale[...] = s
    with np.errstate(all="ignore"):
        y[...] = wide * s ** -beta


def local_response_norm_backward(dy, x, scale, dx, *, size, alpha, beta):
    """dx[c] = dy[c] scale[c]^-beta - 2 alpha beta / size * x[c] * sum_j dy[j] x[j] scale[j]^(-beta-1)

    over the channels j whose window holds c: c - (size-1)//2 <= j <= c + size//2.
    """
    s = scale.astype(np.float64)
    with np.errstate(all="ignore"):
        p = s ** -beta
        t = _window(dy * x * p / s, (size - 1) // 2, size // 2)
        dx[...] = dy * p - 2 * alpha * beta / size * x * t


def _window(t, before, after):
    """Sums of t (B,C,L) over channels c - before .. c + after."""
    total = np.zeros_like(t)
    for shift in range(-min(before, t.shape[1] - 1), min(after, t.shape[1] - 1) + 1):
        to = slice(max(0, -shift), t.shape[1] - max(0, shift))
        total[:, to] += t[:, max(0, shift):t.shape[1] + min(0, shift)]
    return total


def batch_norm(x, w, b, y, mean, rstd, running_mean, running_var, momentum, *, eps=1e-5):
    """Training: y = (x - mean[c]) * rstd[c] * w[c] + b[c] with the statistics of each channel over B and L.

    The variance that normalises is biased; the one that enters running_var is not (divided by B*L - 1):

        running = (1 - momentum) * running + momentum * measured

    x, y (B,C,L); w, b, running_mean, running_var (C,) or None; mean, rstd (C,); momentum float64 (1,), an array
    because it may change from step to step. With B*L = 0 the statistics are NaN and the running ones stay.
    """
    wide = x.astype(np.float64)
    n = x.shape[0] * x.shape[2]
    if n == 0:
        mean[...] = np.nan
        rstd[...] = np.nan
        return
    m = wide.mean((0, 2), keepdims=True)
    centred = wide - m
    variance = (centred * centred).mean((0, 2), keepdims=True)
    r = 1 / np.sqrt(variance + eps)
    mean[...] = m[0, :, 0]
    rstd[...] = r[0, :, 0]
    if running_mean is not None:
        running_mean[...] = (1 - momentum[0]) * running_mean + momentum[0] * m[0, :, 0]
    if running_var is not None:
        unbiased = variance[0, :, 0] * n / max(n - 1, 1)
        running_var[...] = (1 - momentum[0]) * running_var + momentum[0] * unbiased
    y[...] = _affine(centred * r, _channels(w), _channels(b))


def batch_norm_eval(x, w, b, running_mean, running_var, y, *, eps=1e-5):
    """y = (x - running_mean[c]) / sqrt(running_var[c] + eps) * w[c] + b[c]."""
    r = 1 / np.sqrt(running_var.astype(np.float64) + eps)
    y[...] = _affine((x - _channels(running_mean).astype(np.float64)) * _channels(r), _channels(w), _channels(b))


def batch_norm_backward(dy, x, w, mean, rstd, dx, dw, db):
    """With xhat = (x - mean) * rstd and n = B*L, sums over B and L:

        dx = w * rstd * (dy - db/n - xhat * dw/n)     dw = sum dy * xhat     db = sum dy

    dx, dw, db may be None.
    """
    xhat = (x.astype(np.float64) - _channels(mean)) * _channels(rstd)
    n = x.shape[0] * x.shape[2]
    sum_dy, sum_dy_xhat = dy.sum((0, 2), dtype=np.float64), (dy * xhat).sum((0, 2))
    if dx is not None and x.size:
        scale = rstd if w is None else rstd.astype(np.float64) * w
        dx[...] = _channels(scale) * (dy - _channels(sum_dy) / n - xhat * _channels(sum_dy_xhat) / n)
    _store(dw, sum_dy_xhat, False)
    _store(db, sum_dy, False)


def batch_norm_eval_backward(dy, x, w, running_mean, running_var, dx, dw, db, *, eps=1e-5):
    """The running statistics are constants here: dx = dy * w * r, dw = sum dy * (x - running_mean) * r, db = sum dy,
    with r = 1/sqrt(running_var + eps). dx, dw, db may be None."""
    r = 1 / np.sqrt(running_var.astype(np.float64) + eps)
    if dx is not None:
        dx[...] = dy * _channels(r if w is None else r * w)
    if dw is not None:
        dw[...] = (dy * ((x - _channels(running_mean).astype(np.float64)) * _channels(r))).sum((0, 2))
    _store(db, dy.sum((0, 2), dtype=np.float64), False)


def _channels(v):
    """(C,) as (1,C,1)."""
    return None if v is None else v[None, :, None]


def _affine(xhat, w, b):
    y = xhat if w is None else xhat * w
    return y if b is None else y + b


def _store(out, value, accumulate):
    if out is not None:
        out[...] = out + value if accumulate else value
