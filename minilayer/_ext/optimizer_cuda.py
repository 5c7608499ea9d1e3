"""Optimiser steps on CUDA: the contract of optimizer_reference.py.

What changes from step to step (learning rate, step count) stays on the device: one thread reads `hyper` and works out
the few numbers of this step in float64, and the kernels for the parameters, one launch an array, read those. So a
recorded step can be replayed with other numbers in `hyper`.
"""
from minilayer._ext.indexing_cuda import fill
from minilayer._ext.optimizer_reference import _check as _expect_alike
from minilayer.cuda import _nb as m
from minilayer.cuda import memory
from minilayer.cuda.blocks import BLOCK, block_sum
from minilayer.cuda.launch import blocks_for, expect_contiguous, kernel, missing

__getattr__ = missing(__name__)

cuda = m.cuda


@kernel("D T", block=1, regs=32, wide=True)
def _sgd_numbers(real):
    def sgd_numbers(hyper, numbers):            # [-lr, first]
        numbers[0] = real(-hyper[0])
        numbers[1] = real(hyper[1])
    return sgd_numbers


@kernel("4T i 3t 4u", block=BLOCK, regs=32)
def _sgd(real):
    zero = real(0)

    def sgd(p, grad, buffer, numbers, n, momentum, new, weight_decay, has_momentum, has_decay, nesterov, maximize):
        i = cuda.grid(1)
        if i < n:
            g = -grad[i] if maximize else grad[i]
            if has_decay:
                g = g + weight_decay * p[i]
            if has_momentum:
                b = buffer[i] * momentum + new * g if numbers[1] == zero else g
                buffer[i] = b
                g = g + momentum * b if nesterov else b
            p[i] = p[i] + numbers[0] * g
    return sgd


@kernel("D T ddd", block=1, regs=64, wide=True)
def _adam_numbers(real):
    one, half = m.np.float64(1), m.np.float64(0.5)

    def adam_numbers(hyper, numbers, b1, b2, weight_decay):
        lr = hyper[0]
        t = hyper[1]
        numbers[0] = real(-(lr / (one - m.pow(b1, t))))             # step
        numbers[1] = real(one / m.pow(one - m.pow(b2, t), half))    # root
        numbers[2] = real(one - lr * weight_decay)                  # decay
    return adam_numbers


@kernel("6T i 6t 5u", block=BLOCK, regs=40)
def _adam(real):
    def adam(p, grad, exp_avg, exp_avg_sq, top_sq, numbers, n, b1, new1, b2, new2, eps, weight_decay, near, has_decay,
             decoupled, amsgrad, maximize):
        i = cuda.grid(1)
        if i < n:
            g = -grad[i] if maximize else grad[i]
            x = p[i]
            if has_decay:
                if decoupled:
                    x = x * numbers[2]
                else:
                    g = g + weight_decay * x
            a = exp_avg[i]
            a = a + new1 * (g - a) if near else g - b1 * (g - a)
            v = b2 * exp_avg_sq[i] + new2 * g * g
            exp_avg[i] = a
            exp_avg_sq[i] = v
            if amsgrad:
                top = top_sq[i]
                if v > top or v != v:
                    top = v
                top_sq[i] = top
                v = top
            p[i] = x + numbers[0] * a / (m.sqrt(v) * numbers[1] + eps)
    return adam


@kernel("T D i u", block=BLOCK, regs=40, wide=True)
def _add_squares(real):
    zero, total, wide = m.np.float64(0), block_sum(m.np.float64), m.np.float64

    def add_squares(x, result, n, first):
        s = zero
        for i in range(cuda.threadIdx.x, n, BLOCK):
            v = wide(x[i])
            s += v * v
        s = total(s)
        if cuda.threadIdx.x == 0:
            result[0] = s if first else result[0] + s
    return add_squares


@kernel("T D i", block=BLOCK, regs=24, wide=True)
def _scale(real):
    def scale(x, factor, n):
        i = cuda.grid(1)
        if i < n:
            x[i] = x[i] * real(factor[0])
    return scale


def _check(*lists):
    """Arrays of one place have one shape and dtype, and lie in C order."""
    _expect_alike(*lists)
    for arrays in lists:
        expect_contiguous("optimizer", *arrays)


def _numbers(params, make, hyper, *settings):
    """{dtype: this step's numbers} for the dtypes among the parameters."""
    made = {}
    for dtype in {p.dtype for p in params}:
        made[dtype] = memory.scratch((3,), dtype)
        make[dtype](1, hyper, made[dtype], *settings)
    return made


def sgd(params, grads, buffers, hyper, *, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    """Stochastic gradient descent, hyper = [lr, first]: params and buffers are updated in place.

    g <- g + weight_decay p                                 (g is -grad with maximize)
    b <- momentum b + (1 - dampening) g,  b <- g at first   (only with momentum; buffers is None without)
    p <- p - lr (g + momentum b  with nesterov, else b or, without momentum, g)
    """
    _check(params, grads, *([buffers] if momentum else []))
    numbers = _numbers(params, _sgd_numbers, hyper)
    for k, (p, g) in enumerate(zip(params, grads, strict=True)):
        _sgd[p.dtype](blocks_for(p.size, BLOCK), p, g, buffers[k] if momentum else None, numbers[p.dtype], p.size,
                      momentum, 1 - dampening, weight_decay, bool(momentum), bool(weight_decay), bool(nesterov),
                      bool(maximize))


def adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8,
         weight_decay=0.0, decoupled=False, amsgrad=False, maximize=False):
    """Adam, and with decoupled=True AdamW; hyper = [lr, t], t = 1 at the first step. All lists but grads are updated.

    g <- g + weight_decay p   (Adam)      p <- (1 - lr weight_decay) p   (AdamW)      (g is -grad with maximize)
    m <- m + (1 - b1) (g - m)
    v <- b2 v + (1 - b2) g^2,      top <- max(top, v) with amsgrad (max_exp_avg_sqs, else None), else top = v
    p <- p - lr / (1 - b1^t) * m / (sqrt(top) / sqrt(1 - b2^t) + eps)
    """
    _check(params, grads, exp_avgs, exp_avg_sqs, *([max_exp_avg_sqs] if amsgrad else []))
    b1, b2 = betas
    numbers = _numbers(params, _adam_numbers, hyper, b1, b2, weight_decay)
    for k, (p, g, a, v) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        _adam[p.dtype](blocks_for(p.size, BLOCK), p, g, a, v, max_exp_avg_sqs[k] if amsgrad else None,
                       numbers[p.dtype], p.size, b1, 1 - b1, b2, 1 - b2, eps, weight_decay, 1 - b1 < 0.5,
                       bool(weight_decay), bool(decoupled), bool(amsgrad), bool(maximize))


def norm_squared(grads, total):
    """total[0] = the sum of the squares of all values, summed in float64."""
    expect_contiguous("norm_squared", *grads)
    if not grads:
        fill(total, value=0.0)
    for k, g in enumerate(grads):
        _add_squares[g.dtype](1, g, total, g.size, k == 0)


def scale(arrays, factor):
    """Multiply every value by factor[0], in place."""
    expect_contiguous("scale", *arrays)
    for x in arrays:
        _scale[x.dtype](blocks_for(x.size, BLOCK), x, factor, x.size)
