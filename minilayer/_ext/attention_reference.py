"""Attention in NumPy: the definition of the `attention` kernels.

    score[b,h,t,s] = scale * sum_d q[b,h,t,d] * k[b,g,s,d] + mask[b,h,t,s]        g = h // (H / G): the head's group
    weight = exp(score - max) / sum                  over s, where max and sum are those of the row (b,h,t)
    y[b,h,t,e] = sum_s weight[b,h,t,s] * keep[b,h,t,s] * v[b,g,s,e]

q (B,H,T,D), k (B,G,S,D), v (B,G,S,E), y (B,H,T,E): B batch, H heads, G groups of H/G heads that share keys and values,
T queries, S keys. `mask` (B,H,T,S) is added, or where it is bool, True lets a query see a key (-inf is added where it
is False); None for 0. `causal` lets query t see the keys 0..t alone. A row that sees nothing gives y = 0.

`stats` (2,B,H,T) keeps max and sum of each row: backward makes the weights again from them, so that nobody holds a
(T,S) matrix but this reference, which makes it whole (0 and 0 in rows that see nothing).

Dropout, for p > 0: keep = 1/(1-p) where u >= p, else 0. Row (b,h,t) takes ceil(S/4) blocks of the stream at `position`,
rows in order; u of key s is the float32 uniform of word s % 4 of the row's block s // 4. So backward draws it again.
"""
import numpy as np

from minilayer._ext import philox_reference

QUIET = dict(invalid="ignore", divide="ignore", over="ignore")     # infinities and NaN go through without a warning


def _spread(x, heads):
    """x (B,G,S,D) in float64, each group's values repeated for its heads: (B,H,S,D)."""
    return np.repeat(x.astype(np.float64), heads // max(x.shape[1], 1), axis=1)


def _gathered(x, groups):
    """x (B,H,S,D) summed over the heads of each group: (B,G,S,D)."""
    B, H, S, D = x.shape
    return x.reshape(B, groups, H // max(groups, 1), S, D).sum(2)


def _scores(q, k, mask, scale, causal):
    """The scores (B,H,T,S) in float64."""
    x = scale * (q.astype(np.float64) @ _spread(k, q.shape[1]).swapaxes(2, 3))
    if mask is not None:
        x = np.where(mask, x, -np.inf) if mask.dtype == bool else x + mask
    if causal:
        x = np.where(np.tri(*x.shape[2:], dtype=bool), x, -np.inf)
    return x


def _kept(position, shape, p):
    """keep (B,H,T,S)."""
    if p == 0:
        return 1.0
    S = shape[-1]
    u = np.empty((*shape[:-1], -(-S // 4) * 4), np.float32)
    philox_reference.uniform(position, u)
    return np.where(u[..., :S].astype(np.float64) >= p, 1 / (1 - p) if p < 1 else 0.0, 0.0)


@np.errstate(**QUIET)
def attention(q, k, v, mask, position, y, stats, *, scale, causal=False, p=0.0):
    """y and stats as above."""
    x = _scores(q, k, mask, scale, causal)
    m = x.max(3, initial=-np.inf)
    m = np.where(m == -np.inf, 0, m)
    e = np.exp(x - m[..., None])
    total = e.sum(3)
    w = e * _inverse(total)[..., None]
    stats[0], stats[1] = m, total
    y[...] = (w * _kept(position, x.shape, p)) @ _spread(v, q.shape[1])


def _inverse(total):
    return np.where(total == 0, 0, 1 / total)


@np.errstate(**QUIET)
def attention_backward(dy, q, k, v, mask, position, y, stats, dq, dk, dv, dmask, *, scale, causal=False, p=0.0):
    """With w the weights, made again from stats, and heads summed over their group:

        dv[s,e] = sum_t w[t,s] keep[t,s] dy[t,e]            dw[t,s] = keep[t,s] sum_e dy[t,e] v[s,e]
        dmask = dscore = w * (dw - sum_e dy * y)            (sum_s w dw = sum_e dy y)
        dq[t,d] = scale * sum_s dscore[t,s] k[s,d]          dk[s,d] = scale * sum_t dscore[t,s] q[t,d]

    Each of dq, dk, dv, dmask (B,H,T,S) may be None.
    """
    x = _scores(q, k, mask, scale, causal)
    w = np.exp(x - stats[0][..., None]) * _inverse(stats[1].astype(np.float64))[..., None]
    keep = _kept(position, x.shape, p)
    dy = dy.astype(np.float64)
    delta = (dy * y).sum(3, keepdims=True)
    ds = w * (keep * (dy @ _spread(v, q.shape[1]).swapaxes(2, 3)) - delta)
    groups = k.shape[1]
    if dv is not None:
        dv[...] = _gathered((w * keep).swapaxes(2, 3) @ dy, groups)
    if dq is not None:
        dq[...] = scale * (ds @ _spread(k, q.shape[1]))
    if dk is not None:
        dk[...] = scale * _gathered(ds.swapaxes(2, 3) @ q.astype(np.float64), groups)
    if dmask is not None:
        dmask[...] = ds


def rotary(x, cosine, sine, y, *, interleaved=False, inverse=False):
    """Pairs of features turned by their place's angle; with c = cosine[t,i], s = sine[t,i], i < D/2:

        y[b,h,t,i] = x[b,h,t,i] c - x[b,h,t,i+D/2] s,    y[b,h,t,i+D/2] = x[b,h,t,i+D/2] c + x[b,h,t,i] s

    x, y (B,H,T,D); cosine, sine (T,D/2). `interleaved` pairs the features 2i and 2i+1 instead; `inverse` turns back,
    by -s, which is also the gradient.
    """
    half = x.shape[3] // 2
    first, second = ((slice(0, None, 2), slice(1, None, 2)) if interleaved else (slice(half), slice(half, None)))
    a, b, s = x[..., first], x[..., second], -sine if inverse else sine
    y[..., first], y[..., second] = a * cosine - b * s, b * cosine + a * s
