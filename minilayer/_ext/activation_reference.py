"""Activations, element by element, in NumPy: the definition.

x, y, dy and dx have one shape and dtype (float32 or float64) and any strides; glu, prelu and rrelu take C order. exp and
its kin are computed in float64 and rounded once. NaN goes through, and comparisons treat it as PyTorch does.
"""
import numpy as np

from minilayer._ext import philox_reference


def _quiet():
    """Infinities and NaN are results, not news."""
    return np.errstate(all="ignore")


def _sigmoid(x):
    e = np.exp(-np.abs(x))              # never overflows
    return np.where(x < 0, e, 1) / (1 + e)


def _tanh_softplus(x):
    """t = tanh(log(1 + e^x)) and 1 - t, both with all their digits. With e = e^-|x|: (1 + e^x)^2 -+ 1 by hand."""
    e = np.exp(-np.abs(x))
    above, rest = np.where(x < 0, e * (e + 2), 1 + 2 * e), np.where(x < 0, 2, 2 * e * e)
    return above / (above + rest), rest / (above + rest)


def hardtanh(x, y, *, low, high):
    """y = min(max(x, low), high), NaN where x is"""
    with _quiet():
        low, high = x.dtype.type(low), x.dtype.type(high)
        y[...] = np.where(x < low, low, np.where(x > high, high, x))


def hardtanh_backward(x, dy, dx, *, low, high):
    """dx = dy where low < x < high, else 0"""
    with _quiet():
        low, high = x.dtype.type(low), x.dtype.type(high)
        dx[...] = np.where((x > low) & (x < high), dy, 0)


def leaky_relu(x, y, *, slope):
    """y = x where x > 0, else slope x"""
    with _quiet():
        y[...] = np.where(x > 0, x, x * x.dtype.type(slope))


def leaky_relu_backward(x, dy, dx, *, slope):
    """dx = dy where x > 0, else slope dy"""
    with _quiet():
        dx[...] = np.where(x > 0, dy, dy * dy.dtype.type(slope))


def elu(x, y, *, alpha, scale, input_scale):
    """y = scale x where x > 0, else scale alpha (e^(input_scale x) - 1)"""
    with _quiet():
        x = np.asarray(x, np.float64)
        y[...] = np.where(x > 0, scale * x, scale * alpha * np.expm1(x * input_scale))


def elu_backward(x, dy, dx, *, alpha, scale, input_scale):
    """dx = scale dy where x > 0, else scale alpha input_scale e^(input_scale x) dy"""
    with _quiet():
        x = np.asarray(x, np.float64)
        dx[...] = dy * np.where(x > 0, scale, scale * alpha * input_scale * np.exp(x * input_scale))


def silu(x, y):
    """y = x sigmoid(x)"""
    with _quiet():
        x = np.asarray(x, np.float64)
        y[...] = x * _sigmoid(x)


def silu_backward(x, dy, dx):
    """dx = s (1 + x (1 - s)) dy, s = sigmoid(x)"""
    with _quiet():
        x = np.asarray(x, np.float64)
        s = _sigmoid(x)
        dx[...] = dy * (s * (1 + x * (1 - s)))


def mish(x, y):
    """y = x tanh(log(1 + e^x))"""
    with _quiet():
        x = np.asarray(x, np.float64)
        y[...] = x * _tanh_softplus(x)[0]


def mish_backward(x, dy, dx):
    """dx = (t + x sigmoid(x) (1 - t^2)) dy, t = tanh(log(1 + e^x))"""
    with _quiet():
        x = np.asarray(x, np.float64)
        t, rest = _tanh_softplus(x)                 # 1 - t^2 = (1 - t) (1 + t)
        dx[...] = dy * (t + x * _sigmoid(x) * rest * (1 + t))


def log_sigmoid(x, y):
    """y = log sigmoid(x) = min(x, 0) - log(1 + e^-|x|)"""
    with _quiet():
        x = np.asarray(x, np.float64)
        y[...] = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


def log_sigmoid_backward(x, dy, dx):
    """dx = sigmoid(-x) dy"""
    with _quiet():
        dx[...] = dy * _sigmoid(-np.asarray(x, np.float64))


def tanhshrink(x, y):
    """y = x - tanh x"""
    with _quiet():
        x = np.asarray(x, np.float64)
        y[...] = x - np.tanh(x)


def tanhshrink_backward(x, dy, dx):
    """dx = tanh(x)^2 dy"""
    with _quiet():
        dx[...] = dy * np.tanh(np.asarray(x, np.float64)) ** 2


def softplus(x, y, *, beta, threshold):
    """y = log(1 + e^(beta x)) / beta; x itself where beta x > threshold"""
    with _quiet():
        bx = np.asarray(x, np.float64) * beta
        soft = np.maximum(bx, 0) + np.log1p(np.exp(-np.abs(bx)))         # never overflows
        y[...] = np.where(bx > threshold, x, np.divide(soft, beta))


def softplus_backward(x, dy, dx, *, beta, threshold):
    """dx = sigmoid(beta x) dy; dy itself where beta x > threshold"""
    with _quiet():
        bx = np.asarray(x, np.float64) * beta
        dx[...] = np.where(bx > threshold, dy, dy * _sigmoid(bx))


def softsign(x, y):
    """y = x / (1 + |x|)"""
    with _quiet():
        y[...] = x / (1 + np.abs(x))


def softsign_backward(x, dy, dx):
    """dx = dy / (1 + |x|)^2; NaN where x is infinite, as y is"""
    with _quiet():
        r = 1 / (1 + np.abs(x))
        dx[...] = dy * (r * r + 0 * (x * r))


def softshrink(x, y, *, lambd):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0 (NaN stays)"""
    with _quiet():
        lambd = x.dtype.type(lambd)
        y[...] = np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, np.where(np.isnan(x), x, 0)))


def softshrink_backward(x, dy, dx, *, lambd):
    """dx = dy where |x| > lambd, else 0"""
    with _quiet():
        lambd = x.dtype.type(lambd)
        dx[...] = np.where((x > lambd) | (x < -lambd), dy, 0)


def hardshrink(x, y, *, lambd):
    """y = x where |x| > lambd, else 0 (NaN stays)"""
    with _quiet():
        lambd = x.dtype.type(lambd)
        y[...] = np.where((x >= -lambd) & (x <= lambd), 0, x)


def hardshrink_backward(x, dy, dx, *, lambd):
    """dx = dy where |x| > lambd, else 0"""
    with _quiet():
        lambd = x.dtype.type(lambd)
        dx[...] = np.where((x > lambd) | (x < -lambd), dy, 0)


def hardsigmoid(x, y):
    """y = min(max(x + 3, 0), 6) / 6"""
    with _quiet():
        y[...] = np.clip(x + 3, 0, 6) / 6


def hardsigmoid_backward(x, dy, dx):
    """dx = dy / 6 where -3 < x < 3, else 0; 1/6 is rounded to float32 for both dtypes, as in PyTorch"""
    with _quiet():
        dx[...] = np.where((x > -3) & (x < 3), dy * dy.dtype.type(np.float32(1 / 6)), 0)


def hardswish(x, y):
    """y = x min(max(x + 3, 0), 6) / 6"""
    with _quiet():
        y[...] = x * np.clip(x + 3, 0, 6) / 6


def hardswish_backward(x, dy, dx):
    """dx = 0 where x <= -3, dy where x >= 3, else (x / 3 + 1/2) dy"""
    with _quiet():
        dx[...] = np.where(x <= -3, 0, np.where(x >= 3, dy, dy * (x / 3 + x.dtype.type(0.5))))


def threshold(x, y, *, threshold, value):
    """y = value where x <= threshold, else x"""
    with _quiet():
        y[...] = np.where(x <= x.dtype.type(threshold), x.dtype.type(value), x)


def threshold_backward(x, dy, dx, *, threshold):
    """dx = 0 where x <= threshold, else dy"""
    with _quiet():
        dx[...] = np.where(x <= x.dtype.type(threshold), 0, dy)


def glu(x, y):
    """y[r,l] = x[r,0,l] sigmoid(x[r,1,l]): the gated linear unit. x (R,2,L), y (R,L)."""
    with _quiet():
        y[...] = x[:, 0] * _sigmoid(np.asarray(x[:, 1], np.float64))


def glu_backward(x, dy, dx):
    """dx[r,0,l] = s dy, dx[r,1,l] = x[r,0,l] s (1 - s) dy, s = sigmoid(x[r,1,l])"""
    with _quiet():
        s = _sigmoid(np.asarray(x[:, 1], np.float64))
        dx[:, 0] = dy * s
        dx[:, 1] = dy * x[:, 0] * s * (1 - s)


def prelu(x, w, y):
    """y[b,c,l] = x where x > 0, else w[c] x. x, y (B,C,L); w (C,)."""
    with _quiet():
        y[...] = np.where(x > 0, x, w[None, :, None] * x)


def prelu_backward(x, w, dy, dx, dw, *, accumulate=False):
    """dx = dy where x > 0, else w[c] dy; dw[c] = sum of x dy over b and l where not x > 0. dx, dw may be None."""
    with _quiet():
        if dx is not None:
            dx[...] = np.where(x > 0, dy, w[None, :, None] * dy)
        if dw is not None:
            total = np.where(x > 0, 0, x.astype(np.float64) * dy).sum((0, 2))
            dw[...] = dw + total if accumulate else total


def rrelu(x, v, position, y, *, lower, upper):
    """y = v r where x <= 0, r = lower + (upper - lower) u, else v: forward with v = x, backward with v = dy.

    u are the float32 uniforms of the stream at `position`, for both dtypes: element i takes word i % 4 of block i // 4.
    """
    u = np.empty(x.shape, np.float32)
    philox_reference.uniform(position, u)
    with _quiet():
        y[...] = np.where(x <= 0, v * (lower + (upper - lower) * u.astype(np.float64)), v)
