"""Tensors made like another one (its shape, type and place), and random numbers drawn into tensors.

Numbers are drawn on the host, by the generator that every library part draws from (random.py), and moved to where the
tensor lives, so that a seed gives the same numbers everywhere. `generator` (PyTorch's name) and `rng` mean the same.
"""
from math import prod as _size

import numpy as np

from minilayer import random
from minilayer.device import device_of, empty, expect_room, named_sizes, read, shape_from, to_device
from minilayer.dtypes import as_dtype
from minilayer.node import TensorBase, wrap
from minilayer.tape import expect_tensor

int64 = np.dtype("int64")


def _placed(array, like, device=None):
    return wrap(to_device(array, device_of(like) if device is None else device))


def _leaf(x, requires_grad):
    return x.requires_grad_() if requires_grad else x


# ---- of constants ----

def full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor of one number in the shape, dtype and place of another."""
    expect_tensor("full_like", input)
    return new_full(input, input.array.shape, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_like(input, *, dtype=None, device=None, requires_grad=False):
    """A tensor of unset values in the shape, dtype and place of another."""
    expect_tensor("empty_like", input)
    return new_empty(input, input.array.shape, dtype=dtype, device=device, requires_grad=requires_grad)


def new_empty(x, *sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of unset values, of another's dtype and place unless told otherwise."""
    dtype = x.array.dtype if dtype is None else as_dtype(dtype)
    y = wrap(empty(shape_from("new_empty", named_sizes("new_empty", "size", sizes, size)), dtype, x.array))
    return _leaf(y if device is None else y.to(device), requires_grad)


def new_full(x, size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor of one number, of another's dtype and place unless told otherwise."""
    y = new_empty(x, *shape_from("new_full", (size,)), dtype=dtype, device=device).fill_(fill_value)
    return _leaf(y, requires_grad)


def new_zeros(x, *sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros, of another's dtype and place unless told otherwise."""
    shape = shape_from("new_zeros", named_sizes("new_zeros", "size", sizes, size))
    return new_full(x, shape, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def new_ones(x, *sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of ones, of another's dtype and place unless told otherwise."""
    shape = shape_from("new_ones", named_sizes("new_ones", "size", sizes, size))
    return new_full(x, shape, 1, dtype=dtype, device=device, requires_grad=requires_grad)


# ---- random numbers, drawn into a tensor ----

def _drawn(name, x, array):
    """x with the numbers of a host array written into it."""
    return x.copy_(_placed(array, x.array))


def _float_type(name, x):
    if x.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 tensor, got {x.array.dtype}; convert it with .float()")
    return x.array.dtype


def normal_(x, mean=0, std=1, *, generator=None, rng=None):
    """Numbers of the normal distribution, into x."""
    return _drawn("normal_", x, random.normal(x.array.shape, mean, std, _float_type("normal_", x), generator or rng))


def uniform_(x, from_=0, to=1, *, generator=None, rng=None):
    """Numbers uniform in [from, to), into x."""
    return _drawn("uniform_", x, random.uniform(x.array.shape, from_, to, _float_type("uniform_", x), generator or rng))


def expect_range(name, low, high, dtype):
    """Refuse integers from low to high that a dtype would wrap around."""
    if dtype.kind == "f":
        return
    least, most = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if low < least or high > most:
        raise ValueError(f"{name}: expected numbers that fit in {dtype}, {least} to {most}, got {low} to {high}; "
                         "use a larger dtype")


def random_(x, from_=None, to=None, *, generator=None, rng=None):
    """Integers from `from` to `to` - 1, into x; `random_(to)` begins at 0, and without both they reach as far as x's
    type counts exactly."""
    if to is None and from_ is not None:
        from_, to = 0, from_
    elif to is None:
        dtype = x.array.dtype
        from_, to = 0, 2 if dtype.kind == "b" else 2**24 + 1 if dtype.itemsize == 4 and dtype.kind == "f" else \
            2**53 + 1 if dtype.kind == "f" else min(int(np.iinfo(dtype).max) + 1, 2**63 - 1)
    if not from_ < to:
        raise ValueError(f"random_: expected from < to, got {from_} and {to}")
    expect_range("random_", from_, to - 1, x.array.dtype)
    return _drawn("random_", x, random.integers(x.array.shape, from_, to, generator or rng))


def bernoulli_(x, p=0.5, *, generator=None, rng=None):
    """1 with probability p (a number, or a tensor that broadcasts), else 0, into x."""
    p = read(p.array) if isinstance(p, TensorBase) else p
    return _drawn("bernoulli_", x, random.bernoulli(x.array.shape, p, np.float32, generator or rng))


def exponential_(x, lambd=1, *, generator=None, rng=None):
    """Numbers of the exponential distribution with rate lambd, into x."""
    if not lambd > 0:
        raise ValueError(f"exponential_: expected lambd above 0, got {lambd}")
    u = random.uniform(x.array.shape, 0.0, 1.0, np.float64, generator or rng)
    return _drawn("exponential_", x, (-np.log1p(-u) / lambd).astype(_float_type("exponential_", x)))


def log_normal_(x, mean=1, std=2, *, generator=None, rng=None):
    """e to the power of numbers of the normal distribution, into x."""
    return _drawn("log_normal_", x, np.exp(random.normal(x.array.shape, mean, std, _float_type("log_normal_", x),
                                                         generator or rng)))


def cauchy_(x, median=0, sigma=1, *, generator=None, rng=None):
    """Numbers of the Cauchy distribution, into x."""
    u = random.uniform(x.array.shape, 0.0, 1.0, np.float64, generator or rng)
    return _drawn("cauchy_", x, (median + sigma * np.tan(np.pi * (u - 0.5))).astype(_float_type("cauchy_", x)))


def geometric_(x, p, *, generator=None, rng=None):
    """How many draws of probability p until the first that comes true, into x."""
    if not 0 < p < 1:
        raise ValueError(f"geometric_: expected p in (0, 1), got {p}")
    u = random.uniform(x.array.shape, 0.0, 1.0, np.float64, generator or rng)
    return _drawn("geometric_", x, np.ceil(np.log1p(-u) / np.log1p(-p)).clip(1))


# ---- random tensors ----

def rand_like(input, *, dtype=None, device=None, requires_grad=False, generator=None, rng=None):
    """Numbers from U(0, 1) in the shape, dtype and place of another."""
    return _leaf(uniform_(empty_like(input, dtype=dtype, device=device), generator=generator, rng=rng), requires_grad)


def randn_like(input, *, dtype=None, device=None, requires_grad=False, generator=None, rng=None):
    """Numbers from N(0, 1) in the shape, dtype and place of another."""
    return _leaf(normal_(empty_like(input, dtype=dtype, device=device), generator=generator, rng=rng), requires_grad)


def randint_like(input, low=0, high=None, *, dtype=None, device=None, requires_grad=False, generator=None, rng=None):
    """Integers from low (0 where it is left out) to high - 1 in the shape, dtype and place of another."""
    if high is None:
        low, high = 0, low
    if not low < high:
        raise ValueError(f"randint_like: expected low < high, got {low} and {high}")
    y = empty_like(input, dtype=dtype, device=device)
    expect_range("randint_like", low, high - 1, y.array.dtype)
    return _leaf(random_(y, low, high, generator=generator, rng=rng), requires_grad)


def bernoulli(input, p=None, *, generator=None, rng=None):
    """1 with the probability that each element of input is, else 0, in input's dtype; p in place of the elements, if given."""
    expect_tensor("bernoulli", input)
    y = empty_like(input)
    return bernoulli_(y, input.detach() if p is None else p, generator=generator, rng=rng)


def normal(mean, std=1.0, size=None, *, dtype=None, device=None, requires_grad=False, generator=None, rng=None):
    """Numbers of normal distributions with these means and standard deviations (tensors, one a number, or numbers and a
    size)."""
    tensors = [t for t in (mean, std) if isinstance(t, TensorBase)]
    if size is not None and tensors:
        raise TypeError("normal: expected numbers for mean and std where a size is given, got tensors")
    if not tensors:
        if size is None:
            raise TypeError("normal: expected a size where mean and std are numbers, got none")
        y = random.normal(shape_from("normal", (tuple(size) if hasattr(size, "__len__") else (size,),)), mean, std,
                          as_dtype(dtype or "float32"), generator or rng)
        return _leaf(_placed(y, y, device), requires_grad)
    if isinstance(std, TensorBase) and std.array.size and std.min().item() < 0:
        raise ValueError(f"normal: expected standard deviations of 0 or more, got {std.min().item()}")
    like = (mean * 1.0 + std * 0.0).detach()
    noise = normal_(like.clone(), generator=generator, rng=rng)
    return noise * (std.detach() if isinstance(std, TensorBase) else std) + (
        mean.detach() if isinstance(mean, TensorBase) else mean)


def multinomial(input, num_samples, replacement=False, *, generator=None, rng=None):
    """num_samples places of each row of input (or of input, where it has one axis), drawn with the probabilities that input's
    elements are in proportion to; each place at most once, or with replacement any number of times."""
    expect_tensor("multinomial", input)
    shape = input.array.shape
    if len(shape) not in (1, 2):
        raise ValueError(f"multinomial: expected 1 or 2 dimensions, got shape {shape}")
    _float_type("multinomial", input)
    if num_samples < 1 or (not replacement and num_samples > shape[-1]):
        raise ValueError(f"multinomial: expected num_samples in [1, {shape[-1]}] (any number with replacement=True), "
                         f"got {num_samples}")
    rng = random.generator_for(generator or rng, "multinomial")
    weights = input.detach().double().reshape(-1, shape[-1])
    if _size(shape) and not (weights.isfinite() & (weights >= 0)).all().item():
        raise ValueError("multinomial: expected finite weights of 0 or more")
    if _size(shape) and not (weights.sum(-1) > 0).all().item():
        raise ValueError("multinomial: expected a weight above 0 in every row")
    rows = weights.array.shape[0]
    expect_room("multinomial", (rows, num_samples))
    if replacement:
        u = _placed(random.uniform((rows, num_samples), 0.0, 1.0, np.float64, rng), input.array)
        running = weights.cumsum(-1)
        found = (running.searchsorted(u * running[:, -1:], right=True)).clamp(max=shape[-1] - 1)
    else:
        if (((weights > 0).sum(-1)) < num_samples).any().item():
            raise ValueError(f"multinomial: expected {num_samples} weights above 0 in every row, to draw without replacement")
        waits = _placed(-np.log1p(-random.uniform(weights.array.shape, 0.0, 1.0, np.float64, rng)), input.array)
        found = (weights / (waits + 5e-324)).topk(num_samples, -1).indices        # an exponential race
    return found if len(shape) == 2 else found.reshape(-1)
