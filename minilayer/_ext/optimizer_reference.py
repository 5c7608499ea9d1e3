"""Optimiser steps over lists of arrays: parameters, gradients and state that are updated together in one call.

params, grads and the state lists run in parallel; arrays of one place have one shape and dtype. What changes from step
to step (learning rate, step count) is read from the float64 array `hyper`. Order of operations as in PyTorch.
"""
import numpy as np


def _check(*lists):
    """Arrays of one place have one shape and dtype (NumPy would broadcast them)."""
    for arrays in zip(*lists, strict=True):
        if any(x.shape != arrays[0].shape or x.dtype != arrays[0].dtype for x in arrays):
            raise ValueError(f"optimizer: expected arrays of one shape and dtype at each place of the lists, got "
                             f"{', '.join(f'{x.shape} {x.dtype}' for x in arrays)}")


def _gradient(p, g, weight_decay, maximize):
    """g, or -g with maximize, plus weight_decay p."""
    g = -g if maximize else g
    return g + p.dtype.type(weight_decay) * p if weight_decay else g


def _toward(m, g, beta):
    """beta m + (1 - beta) g, from the nearer end, which is exact at both (beta = 0 gives g)."""
    number = m.dtype.type
    return m + number(1 - beta) * (g - m) if 1 - beta < 0.5 else g - number(beta) * (g - m)


def _moments(p, g, m, v, betas, lr, weight_decay, decoupled, maximize):
    """How Adam and its kin begin; returns g.

    g <- g + weight_decay p,   or decoupled:  p <- (1 - lr weight_decay) p       (g is -grad with maximize)
    m <- m + (1 - b1) (g - m),   v <- b2 v + (1 - b2) g^2
    """
    number, g = p.dtype.type, _gradient(p, g, 0.0 if decoupled else weight_decay, maximize)
    if decoupled and weight_decay:
        p *= number(1 - lr * weight_decay)
    m[...] = _toward(m, g, betas[0])
    v[...] = number(betas[1]) * v + number(1 - betas[1]) * g * g
    return g


@np.errstate(all="ignore")
def sgd(params, grads, buffers, hyper, *, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
        maximize=False):
    """Stochastic gradient descent, hyper = [lr, first]: params and buffers are updated in place.

    g <- g + weight_decay p                                 (g is -grad with maximize)
    b <- momentum b + (1 - dampening) g,  b <- g at first   (only with momentum; buffers is None without)
    p <- p - lr (g + momentum b  with nesterov, else b or, without momentum, g)
    """
    _check(params, grads, *([buffers] if momentum else []))
    lr, first = hyper
    for k, (p, g) in enumerate(zip(params, grads, strict=True)):
        number, g = p.dtype.type, _gradient(p, g, weight_decay, maximize)
        if momentum:
            b = buffers[k]
            b[...] = g if first else b * number(momentum) + number(1 - dampening) * g
            g = g + number(momentum) * b if nesterov else b
        p[...] = p + number(-lr) * g


@np.errstate(all="ignore")
def adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8,
         weight_decay=0.0, decoupled=False, amsgrad=False, maximize=False):
    """Adam, and with decoupled=True AdamW; hyper = [lr, t], t = 1 at the first step. All lists but grads are updated.

    g <- g + weight_decay p   (Adam)      p <- (1 - lr weight_decay) p   (AdamW)      (g is -grad with maximize)
    m <- m + (1 - b1) (g - m)
    v <- b2 v + (1 - b2) g^2,      top <- max(top, v) with amsgrad (max_exp_avg_sqs, else None), else top = v
    p <- p - lr / (1 - b1^t) * m / (sqrt(top) / sqrt(1 - b2^t) + eps)

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; Loshchilov and Hutter, "Decoupled weight
    decay regularization", ICLR 2019; Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018.
    """
    _check(params, grads, exp_avgs, exp_avg_sqs, *([max_exp_avg_sqs] if amsgrad else []))
    lr, t = hyper.tolist()
    b1, b2 = betas
    step, root = -(lr / (1 - b1**t)), 1 / (1 - b2**t)**0.5
    for k, (p, g, m, v) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        number = p.dtype.type
        _moments(p, g, m, v, betas, lr, weight_decay, decoupled, maximize)
        top = v
        if amsgrad:
            top = np.maximum(max_exp_avg_sqs[k], v, out=max_exp_avg_sqs[k])
        p[...] = p + number(step) * m / (np.sqrt(top) * number(root) + number(eps))


@np.errstate(all="ignore")
def rmsprop(params, grads, square_avgs, grad_avgs, buffers, hyper, *, alpha=0.99, eps=1e-8, weight_decay=0.0,
            momentum=0.0, centered=False, maximize=False):
    """RMSprop, hyper = [lr, t]. grad_avgs is None unless centered, buffers is None without momentum.

    v <- alpha v + (1 - alpha) g^2,   a <- alpha a + (1 - alpha) g,   s = sqrt(v - a^2 with centered, else v) + eps
    b <- momentum b + g / s,   p <- p - lr (b with momentum, else g / s)

    Hinton, "Neural networks for machine learning", lecture 6, 2012; centered: Graves, "Generating sequences with
    recurrent neural networks", 2013.
    """
    _check(params, grads, square_avgs, *([grad_avgs] if centered else []), *([buffers] if momentum else []))
    for k, (p, g, v) in enumerate(zip(params, grads, square_avgs, strict=True)):
        number, g = p.dtype.type, _gradient(p, g, weight_decay, maximize)
        v[...] = number(alpha) * v + number(1 - alpha) * g * g
        spread = v
        if centered:
            a = grad_avgs[k]
            a[...] = _toward(a, g, alpha)
            spread = v - a * a
        step = np.sqrt(spread) + number(eps)
        if momentum:
            buffers[k][...] = number(momentum) * buffers[k] + g / step
            p[...] = p + number(-hyper[0]) * buffers[k]
        else:
            p[...] = p + number(-hyper[0]) * g / step


@np.errstate(all="ignore")
def adagrad(params, grads, sums, hyper, *, lr_decay=0.0, eps=1e-10, weight_decay=0.0, maximize=False):
    """Adagrad, hyper = [lr, t]:   v <- v + g^2,   p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps)

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning", JMLR 2011.
    """
    _check(params, grads, sums)
    rate = hyper[0] / (1 + (hyper[1] - 1) * lr_decay)
    for p, g, v in zip(params, grads, sums, strict=True):
        number, g = p.dtype.type, _gradient(p, g, weight_decay, maximize)
        v[...] = v + g * g
        p[...] = p + number(-rate) * g / (np.sqrt(v) + number(eps))


@np.errstate(all="ignore")
def adadelta(params, grads, square_avgs, deltas, hyper, *, rho=0.9, eps=1e-6, weight_decay=0.0, maximize=False):
    """Adadelta, hyper = [lr, t].

    v <- rho v + (1 - rho) g^2,   d = sqrt(u + eps) / sqrt(v + eps) g,   u <- rho u + (1 - rho) d^2,   p <- p - lr d

    Zeiler, "Adadelta: an adaptive learning rate method", 2012.
    """
    _check(params, grads, square_avgs, deltas)
    for p, g, v, u in zip(params, grads, square_avgs, deltas, strict=True):
        number, g = p.dtype.type, _gradient(p, g, weight_decay, maximize)
        v[...] = number(rho) * v + number(1 - rho) * g * g
        d = np.sqrt(u + number(eps)) / np.sqrt(v + number(eps)) * g
        u[...] = number(rho) * u + number(1 - rho) * d * d
        p[...] = p + number(-hyper[0]) * d


@np.errstate(all="ignore")
def adamax(params, grads, exp_avgs, exp_infs, hyper, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, maximize=False):
    """Adamax, hyper = [lr, t]:   m as Adam's,   u <- max(b2 u, |g| + eps),   p <- p - lr / (1 - b1^t) m / u

    Kingma and Ba, "Adam", ICLR 2015, section 7.
    """
    _check(params, grads, exp_avgs, exp_infs)
    lr, t = hyper.tolist()
    for p, g, m, u in zip(params, grads, exp_avgs, exp_infs, strict=True):
        number, g = p.dtype.type, _gradient(p, g, weight_decay, maximize)
        m[...] = _toward(m, g, betas[0])
        u[...] = np.maximum(number(betas[1]) * u, np.abs(g) + number(eps))
        p[...] = p + number(-(lr / (1 - betas[0]**t))) * m / u


@np.errstate(all="ignore")
def nadam(params, grads, exp_avgs, exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
          momentum_decay=0.004, decoupled=False, maximize=False):
    """NAdam, hyper = [lr, t, mu_product], the product of all mu before step t; the kernel multiplies it by mu_t.

    mu_t = b1 (1 - 0.96^(t momentum_decay) / 2),   m, v as Adam's,   s = sqrt(v / (1 - b2^t)) + eps
    p <- p - lr (1 - mu_t) / (1 - mu_1 ... mu_t) g / s - lr mu_(t+1) / (1 - mu_1 ... mu_(t+1)) m / s

    Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """
    _check(params, grads, exp_avgs, exp_avg_sqs)
    lr, t, product = hyper.tolist()
    mu, following = (betas[0] * (1 - 0.5 * 0.96**(n * momentum_decay)) for n in (t, t + 1))
    hyper[2] = product = float(np.float32(product) * np.float32(mu))      # in float32, where PyTorch keeps it
    now, later = -lr * (1 - mu) / (1 - product), -lr * following / (1 - product * following)
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        number = p.dtype.type
        g = _moments(p, g, m, v, betas, lr, weight_decay, decoupled, maximize)
        s = np.sqrt(v / number(1 - betas[1]**t)) + number(eps)
        p[...] = p + number(now) * g / s + number(later) * m / s


@np.errstate(all="ignore")
def radam(params, grads, exp_avgs, exp_avg_sqs, hyper, *, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
          decoupled=False, maximize=False):
    """RAdam, hyper = [lr, t]: Adam whose adaptive part waits until the variance of v can be known, and is rectified.

    r_inf = 2 / (1 - b2) - 1,   r_t = r_inf - 2 t b2^t / (1 - b2^t),   m^ = m / (1 - b1^t)
    p <- p - lr m^ sqrt((r_t - 4)(r_t - 2) r_inf / ((r_inf - 4)(r_inf - 2) r_t)) sqrt(1 - b2^t) / (sqrt(v) + eps)
    where r_t > 5, else   p <- p - lr m^

    Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020.
    """
    _check(params, grads, exp_avgs, exp_avg_sqs)
    lr, t = hyper.tolist()
    b1, b2 = betas
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    step = -lr / (1 - b1**t)
    if length > 5:
        step *= ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))**0.5 * (1 - b2**t)**0.5
    for p, g, m, v in zip(params, grads, exp_avgs, exp_avg_sqs, strict=True):
        number = p.dtype.type
        _moments(p, g, m, v, betas, lr, weight_decay, decoupled, maximize)
        p[...] = p + number(step) * m / (np.sqrt(v) + number(eps)) if length > 5 else p + number(step) * m


@np.errstate(all="ignore")
def rprop(params, grads, previous, step_sizes, hyper, *, etas=(0.5, 1.2), step_limits=(1e-6, 50.0), maximize=False):
    """Rprop, hyper = [lr, t] (both unread: the step sizes are state).

    d <- d etas[1] where g keeps its sign, d etas[0] (and g <- 0) where it changed, within step_limits
    p <- p - sign(g) d

    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993.
    """
    _check(params, grads, previous, step_sizes)
    for p, g, before, d in zip(params, grads, previous, step_sizes, strict=True):
        number, g = p.dtype.type, _gradient(p, g, 0.0, maximize)
        turn = g * before
        factor = np.where(turn > 0, number(etas[1]), np.where(turn < 0, number(etas[0]), number(1)))
        d[...] = np.minimum(np.maximum(d * factor, number(step_limits[0])), number(step_limits[1]))
        before[...] = np.where(turn < 0, number(0), g)
        p[...] = p - np.sign(before) * d


@np.errstate(all="ignore")
def norm_squared(grads, total):
    """total[0] = the sum of the squares of all values, summed in float64."""
    total[0] = sum((float(np.sum(np.square(g, dtype=np.float64))) for g in grads), 0.0)


@np.errstate(all="ignore")
def scale(arrays, factor):
    """Multiply every value by factor[0], in place."""
    for x in arrays:
        x *= x.dtype.type(factor[0])
