"""Functions made of other functions: softmin, gumbel_softmax, normalize. Their gradients come with their parts."""

from minilayer._ext.dispatch import family
from minilayer.device import device_of, empty, normalize_axis, to_device
from minilayer.node import wrap
from minilayer.ops.elementwise import log
from minilayer.ops.indexing import scatter
from minilayer.ops.reduce import argmax, norm
from minilayer.ops.softmax import softmax
from minilayer.promotion import real
from minilayer.random import generator_for
from minilayer.tape import expect_tensor


def _need_float(name, x):
    expect_tensor(name, x)
    if x.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 tensor, got {x.array.dtype}; convert it with .float()")


def normalize(input, p=2.0, dim=1, eps=1e-12):
    """input divided by its p-norm along `dim` (by eps, where the norm is smaller): vectors of length 1.

    dim  an axis or several
    """
    _need_float("normalize", input)
    return input / norm(input, real("normalize", "p", p), dim, True).clamp(min=real("normalize", "eps", eps))


def softmin(input, dim=None, dtype=None):
    """softmax of -input: the smallest number gets the most"""
    expect_tensor("softmin", input)
    return softmax(-input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1, rng=None):
    """A draw from the categories with these logits, softened so that it has a gradient: softmax((logits + g) / tau)
    along `dim`, g from the Gumbel distribution.

    tau   the lower, the closer to a one-hot vector
    hard  a one-hot vector forward, with the gradient of the soft one
    eps   has no effect, as in PyTorch
    rng   where g is drawn from, the calling thread's generator where it is None
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", 2017.
    """
    _need_float("gumbel_softmax", logits)
    axis = normalize_axis("gumbel_softmax", dim, logits.array.ndim)
    tau, generator = real("gumbel_softmax", "tau", tau), generator_for(rng, "gumbel_softmax")
    u = empty(logits.array.shape, logits.array.dtype, logits.array)
    position = to_device(generator.take(-(-u.size * u.dtype.itemsize // 16)), device_of(u))
    family("philox").on(u).uniform(position, u)
    wait = (-log(1.0 - wrap(u))).clamp(min=2.0**(-25 if u.dtype.itemsize == 4 else -54))
    g = -log(wait)                              # (u may be 0, of which the logarithm's logarithm would be infinite)
    soft = softmax((logits + g) / tau, axis)
    if not hard:
        return soft
    flat = soft.detach()
    return scatter(flat * 0.0, axis, argmax(flat, axis, True), 1.0) - flat + soft
