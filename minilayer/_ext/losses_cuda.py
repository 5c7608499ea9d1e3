"""Losses of two arrays on CUDA: the contract of losses_reference.py. Those with logarithms have no kernel yet.

A thread for each element; where the losses are summed, one block, whose threads carry their rounding errors along (Kahan).
"""
from minilayer.cuda import _nb as m
from minilayer.cuda.blocks import BLOCK, block_sum
from minilayer.cuda.launch import blocks_for, expect_contiguous, kernel, missing

__getattr__ = missing(__name__)

cuda = m.cuda


def _each_of(value):
    """y = value(x - target) scale, element by element."""
    def make(real):
        f = m.device(value(real))

        def each(x, target, y, n, bend, scale):
            i = cuda.grid(1)
            if i < n:
                y[i] = f(x[i] - target[i], bend) * scale
        return each
    return make


def _sum_of(value):
    """y = sum of value(x - target), times scale. One block."""
    def make(real):
        f, zero, total = m.device(value(real)), real(0), block_sum(real)

        def summed(x, target, y, n, bend, scale):
            s = zero
            error = zero
            for i in range(cuda.threadIdx.x, n, BLOCK):
                v = f(x[i] - target[i], bend) - error
                t = s + v
                error = (t - s) - v if t - t == zero else zero          # an infinity stays one
                s = t
            s = total(s)
            if cuda.threadIdx.x == 0:
                y[0] = s * scale
        return summed
    return make


def _slope_of(slope):
    """to = slope(x - target) dy scale, with dy one value where `one`."""
    def make(real):
        f = m.device(slope(real))

        def sloped(x, target, dy, to, n, bend, scale, one):
            i = cuda.grid(1)
            if i < n:
                g = dy[0] if one else dy[i]
                to[i] = f(x[i] - target[i], bend) * (g * scale)
        return sloped
    return make


def _absolute(real):
    zero = real(0)
    return lambda d, bend: -d if d < zero else d


def _square(real):
    return lambda d, bend: d * d


def _smooth(real):
    zero, half = real(0), real(0.5)

    def smooth(d, beta):
        a = -d if d < zero else d
        return d * d / beta * half if a < beta else a - beta * half
    return smooth


def _huber(real):
    zero, half = real(0), real(0.5)

    def huber(d, delta):
        a = -d if d < zero else d
        return d * d * half if a <= delta else delta * (a - delta * half)
    return huber


def _sign(real):
    zero, one = real(0), real(1)
    return lambda d, bend: one if d > zero else (-one if d < zero else zero)


def _twice(real):
    two = real(2)
    return lambda d, bend: two * d


def _smooth_slope(real):
    one = real(1)
    return lambda d, beta: one if d >= beta else (-one if d <= -beta else d / beta)


def _huber_slope(real):
    return lambda d, delta: delta if d >= delta else (-delta if d <= -delta else d)


def _recipes(name, value, slope):
    return (kernel("TTT i tt", block=BLOCK, regs=32, name=f"{name}_each")(_each_of(value)),
            kernel("TTT i tt", block=BLOCK, regs=48, name=f"{name}_sum")(_sum_of(value)),
            kernel("TTTT i tt u", block=BLOCK, regs=32, name=f"{name}_slope")(_slope_of(slope)))


_KERNELS = {name: _recipes(name, value, slope) for name, value, slope in (
    ("l1_loss", _absolute, _sign), ("mse_loss", _square, _twice), ("smooth_l1_loss", _smooth, _smooth_slope),
    ("huber_loss", _huber, _huber_slope))}


def _forward(name, x, target, y, bend, scale):
    expect_contiguous(name, x, target, y)
    each, summed, _ = _KERNELS[name]
    if y.size == x.size:
        each[x.dtype](blocks_for(x.size, BLOCK), x, target, y, x.size, bend, scale)
    else:
        summed[x.dtype](1, x, target, y, x.size, bend, scale)


def _backward(name, x, target, dy, dx, dtarget, bend, scale):
    expect_contiguous(f"{name}_backward", x, target, dy, dx, dtarget)
    for to, sign in ((dx, 1.0), (dtarget, -1.0)):
        if to is not None:
            _KERNELS[name][2][x.dtype](blocks_for(x.size, BLOCK), x, target, dy, to, x.size, bend, sign * scale, dy.size == 1)


def l1_loss(x, target, y, *, scale=1.0):
    """loss = |x - target|"""
    _forward("l1_loss", x, target, y, 0.0, scale)


def l1_loss_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = sign(x - target) = -dloss/dtarget"""
    _backward("l1_loss", x, target, dy, dx, dtarget, 0.0, scale)


def mse_loss(x, target, y, *, scale=1.0):
    """loss = (x - target)^2"""
    _forward("mse_loss", x, target, y, 0.0, scale)


def mse_loss_backward(x, target, dy, dx, dtarget, *, scale=1.0):
    """dloss/dx = 2 (x - target) = -dloss/dtarget"""
    _backward("mse_loss", x, target, dy, dx, dtarget, 0.0, scale)


def smooth_l1_loss(x, target, y, *, beta, scale=1.0):
    """With d = |x - target|: loss = d^2 / (2 beta) where d < beta, else d - beta/2"""
    _forward("smooth_l1_loss", x, target, y, beta, scale)


def smooth_l1_loss_backward(x, target, dy, dx, dtarget, *, beta, scale=1.0):
    """With d = x - target: dloss/dx = d / beta within -1 and 1, = -dloss/dtarget"""
    _backward("smooth_l1_loss", x, target, dy, dx, dtarget, beta, scale)


def huber_loss(x, target, y, *, delta, scale=1.0):
    """With d = |x - target|: loss = d^2 / 2 where d <= delta, else delta (d - delta/2)"""
    _forward("huber_loss", x, target, y, delta, scale)


def huber_loss_backward(x, target, dy, dx, dtarget, *, delta, scale=1.0):
    """With d = x - target: dloss/dx = d within -delta and delta, = -dloss/dtarget"""
    _backward("huber_loss", x, target, dy, dx, dtarget, delta, scale)
