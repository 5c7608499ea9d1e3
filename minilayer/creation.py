"""Making tensors: from data that is there, of constants and ranges, of random numbers."""
import math

import numpy as np

from minilayer import device as devices
from minilayer import random
from minilayer.arrays import array_from
from minilayer.device import named_sizes, shape_from
from minilayer.dtypes import as_dtype
from minilayer.node import TensorBase
from minilayer.ops.indexing import fitting
from minilayer.ops.like import expect_range
from minilayer.tape import expect_tensor
from minilayer.tensor import Tensor


def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """A tensor with a copy of `data`: numbers, nested sequences, an ndarray or a tensor.

    An ndarray keeps its dtype; Python floats become float32, integers int64, bools bool.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    array = array_from(data, None if dtype is None else as_dtype(dtype))
    if type(array) is np.ndarray:
        source, array = array, devices.empty(array.shape, array.dtype, array)
        array[...] = source
    elif isinstance(data, TensorBase):
        array = devices.copy(array)
    return Tensor(array if device is None else devices.to_device(array, device), requires_grad=requires_grad)


def from_numpy(array):
    """A tensor over an ndarray's own memory. Writes through either are seen by both, but not by the tape."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}; use minilayer.tensor(...)")
    if not array.flags.writeable:
        raise ValueError("from_numpy: expected a writeable ndarray, got a read-only one; pass array.copy()")
    if not array.dtype.isnative:
        raise ValueError(f"from_numpy: expected this machine's byte order, got {array.dtype.str!r}; use minilayer.tensor(array)")
    return Tensor(array)


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where none is needed."""
    if isinstance(data, Tensor):
        return data.to(device, dtype) if device is not None or dtype is not None else data
    array = array_from(data, None if dtype is None else as_dtype(dtype))
    return Tensor(array if device is None else devices.to_device(array, device))


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor over the memory of any CPU object with `__dlpack__` (another library's array), or a copy of it."""
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got {type(ext_tensor).__name__}; "
                        "use minilayer.tensor(...)")
    y = from_numpy(np.from_dlpack(ext_tensor))
    return y if device is None and not copy else y.to(device, copy=bool(copy))


# ---- of constants, ranges and random numbers ----

def _integer(name, what, n):
    """n as an int, where it is a whole number of any type."""
    try:
        if not isinstance(n, bool):
            return n.__index__()
    except (AttributeError, TypeError):
        pass
    raise TypeError(f"{name}: expected {what} to be integers, got {n!r}")


def _check_numbers(name, *values):
    for v in values:
        if isinstance(v, (bool, np.bool_)) or not isinstance(v, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name}: expected numbers, got {v!r}")


def _made(array, requires_grad, device):
    return Tensor(array if device is None else devices.to_device(array, device), requires_grad=requires_grad)


def _on_cpu(shape, dtype):
    return devices.empty(shape, as_dtype(dtype if dtype is not None else "float32"), _HOST)


def _ours(values, dtype):
    """NumPy's values in memory of our own (64-byte aligned where it is large), cast to dtype."""
    array = _on_cpu(values.shape, dtype)
    array[...] = values
    return array


_HOST = np.empty(0, np.float32)


def empty(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of unset values (float32 unless given)."""
    size = named_sizes("empty", "size", sizes, size)
    return _made(_on_cpu(shape_from("empty", size), dtype), requires_grad, device)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor filled with one number, of the number's type (float32, int64 or bool) unless given."""
    if isinstance(fill_value, np.generic):
        fill_value = fill_value.item()              # (NumPy's numbers count as Python's of their kind)
    if dtype is None:
        dtype = "bool" if isinstance(fill_value, bool) else "int64" if isinstance(fill_value, int) else "float32"
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    _check_numbers("full", int(fill_value) if isinstance(fill_value, bool) else fill_value)
    shape, dtype = shape_from("full", size), as_dtype(dtype)
    return _made(devices.full(shape, fitting("full", fill_value, dtype), dtype, _HOST), requires_grad, device)


def zeros(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros (float32 unless given)."""
    shape = shape_from("zeros", named_sizes("zeros", "size", sizes, size))
    return full(shape, 0, dtype=dtype or "float32", device=device, requires_grad=requires_grad)


def ones(*sizes, size=None, dtype=None, device=None, requires_grad=False):
    """A tensor of ones (float32 unless given)."""
    shape = shape_from("ones", named_sizes("ones", "size", sizes, size))
    return full(shape, 1, dtype=dtype or "float32", device=device, requires_grad=requires_grad)


def zeros_like(input, *, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros in the shape, dtype and place of another."""
    expect_tensor("zeros_like", input)
    dtype = input.dtype if dtype is None else as_dtype(dtype)
    return _made(devices.zeros(input.shape, dtype, input.array), requires_grad, device)


def ones_like(input, *, dtype=None, device=None, requires_grad=False):
    """A tensor of ones in the shape, dtype and place of another."""
    expect_tensor("ones_like", input)
    dtype = input.dtype if dtype is None else as_dtype(dtype)
    return _made(devices.full(input.shape, 1, dtype, input.array), requires_grad, device)


def arange(start=None, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """The numbers start, start + step, ... below end (int64 for integers, else float32); start is 0 where it is left out."""
    if end is None:
        start, end = None, start
    start = 0 if start is None else start
    _check_numbers("arange", start, end, step)
    if step == 0:
        raise ValueError("arange: expected a step other than 0, got 0")
    start, end, step = (n.item() if isinstance(n, np.generic) else n for n in (start, end, step))
    integers = not [n for n in (start, end, step) if not isinstance(n, int)]
    kind = "int64" if integers else "float64"
    try:
        np.array([start, end, step], kind)
        count = -((start - end) // step) if integers else math.ceil((end - start) / step)
    except (OverflowError, ValueError):         # infinite, NaN or too large
        raise ValueError(f"arange: expected finite numbers that fit in {kind}, got {start} to {end} in steps of {step}") from None
    if (end - start) * step < 0:
        raise ValueError(f"arange: expected end to lie in the step's direction, got {start} to {end} in steps of {step}")
    shape_from("arange", (count,))
    return _made(_ours(np.arange(start, end, step), dtype or ("int64" if integers else "float32")), requires_grad, device)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    """`steps` numbers from start to end, both included."""
    _check_numbers("linspace", start, end)
    steps = _integer("linspace", "steps", steps)
    if steps < 0:
        raise ValueError(f"linspace: expected steps >= 0, got {steps}")
    shape_from("linspace", (steps,))
    return _made(_ours(_evenly(start, end, steps, dtype), dtype), requires_grad, device)


def _evenly(start, end, steps, dtype):
    """From start upward in the first half and from end downward in the second, in the type asked for, as PyTorch does."""
    kind = as_dtype(dtype or "float32")
    if kind.kind != "f" or steps < 2:
        return np.linspace(start, end, steps)
    first, last = kind.type(start), kind.type(end)
    step, i = np.float64((last - first) / kind.type(steps - 1)), np.arange(steps)
    return np.where(i < steps // 2, first + step * i, last - step * (steps - 1 - i))


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """A matrix with ones on its diagonal, zeros elsewhere."""
    n, m = shape_from("eye", (n, n if m is None else m))
    array = devices.zeros((n, m), as_dtype(dtype or "float32"), _HOST)
    np.fill_diagonal(array, 1)
    return _made(array, requires_grad, device)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False):
    """`steps` numbers from base^start to base^end, evenly spaced in their exponents."""
    _check_numbers("logspace", start, end, base)
    steps = _integer("logspace", "steps", steps)
    if steps < 0:
        raise ValueError(f"logspace: expected steps >= 0, got {steps}")
    shape_from("logspace", (steps,))
    return _made(_ours(np.logspace(start, end, steps, base=base), dtype), requires_grad, device)


def tril_indices(row, col, offset=0, *, dtype="int64", device=None):
    """The rows and columns (2, count) of the places on and below a diagonal of a matrix."""
    return _triangle_places("tril_indices", row, col, offset, dtype, device, False)


def triu_indices(row, col, offset=0, *, dtype="int64", device=None):
    """The rows and columns (2, count) of the places on and above a diagonal of a matrix."""
    return _triangle_places("triu_indices", row, col, offset, dtype, device, True)


def _triangle_places(name, row, col, offset, dtype, device, upper):
    row, col = shape_from(name, (row, col))
    offset = max(-row - 1, min(_integer(name, "offset", offset), col + 1))      # (beyond a corner it makes no difference)
    below = np.tri(row, col, offset - upper, dtype=bool)
    return _made(_ours(np.stack(np.nonzero(~below if upper else below)), dtype), False, device)


def rand(*sizes, size=None, generator=None, rng=None, dtype=None, device=None, requires_grad=False):
    """Numbers from U(0, 1). (`generator` is PyTorch's name for rng.)"""
    shape = shape_from("rand", named_sizes("rand", "size", sizes, size))
    array = random.uniform(shape, 0.0, 1.0, as_dtype(dtype or "float32"), generator or rng)
    return _made(array, requires_grad, device)


def randn(*sizes, size=None, generator=None, rng=None, dtype=None, device=None, requires_grad=False):
    """Numbers from N(0, 1)."""
    shape = shape_from("randn", named_sizes("randn", "size", sizes, size))
    array = random.normal(shape, 0.0, 1.0, as_dtype(dtype or "float32"), generator or rng)
    return _made(array, requires_grad, device)


def randint(low, high=None, size=(), *, generator=None, rng=None, dtype=None, device=None, requires_grad=False):
    """Integers from low (0 where it is left out: `randint(high, size=...)`) to high - 1."""
    if high is None:
        low, high = 0, low
    elif isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    low, high = _integer("randint", "bounds", low), _integer("randint", "bounds", high)
    if not low < high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    expect_range("randint", low, high - 1, as_dtype(dtype or "int64"))
    array = random.integers(shape_from("randint", size if isinstance(size, (tuple, list)) else (size,)), low, high,
                            generator or rng)
    return _made(array if dtype is None else _ours(array, dtype), requires_grad, device)


def randperm(n, *, generator=None, rng=None, dtype=None, device=None, requires_grad=False):
    """The integers 0 ... n-1 in random order."""
    (n,) = shape_from("randperm", (n,))
    expect_range("randperm", 0, n - 1, as_dtype(dtype or "int64"))
    array = random.permutation(n, generator or rng)
    return _made(array if dtype is None else _ours(array, dtype), requires_grad, device)


# ---- questions about what one has ----

def is_tensor(obj):
    """Is it a tensor?"""
    return isinstance(obj, TensorBase)


def is_floating_point(input):
    """Is it a tensor of float32 or float64?"""
    expect_tensor("is_floating_point", input)
    return input.is_floating_point()


def numel(input):
    """How many elements a tensor has."""
    expect_tensor("numel", input)
    return input.numel()


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`obj` as a tensor, without a copy where none is needed (copy=True: with one)."""
    y = tensor(obj, dtype=dtype, device=device) if copy else as_tensor(obj, dtype, device)
    return y.requires_grad_() if requires_grad else y
