"""The functions people call, in one flat namespace under PyTorch's names and argument orders.

Each is defined beside its mathematics in `ops/`; this file only gathers them, adds the ones that make tensors from
nothing, and imports nothing above it. `import minilayer.functional as F` is the usual spelling; everything here is also
`minilayer.<name>`.
"""
import numpy as np

from minilayer import device as devices
from minilayer import random
from minilayer.creation import as_tensor, from_dlpack, from_numpy, tensor
from minilayer.dtypes import as_dtype
from minilayer.ops.arithmetic import (
    add,
    div,
    eq,
    floor_divide,
    ge,
    gt,
    le,
    logical_and,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    pow,
    remainder,
    sub,
    true_divide,
    where,
)
from minilayer.ops.conv import conv2d
from minilayer.ops.dropout import dropout
from minilayer.ops.elementwise import (
    abs,
    ceil,
    clamp,
    cos,
    erf,
    exp,
    expm1,
    floor,
    gelu,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    logical_not,
    neg,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    tanh,
    trunc,
)
from minilayer.ops.embedding import embedding
from minilayer.ops.indexing import gather, masked_fill, one_hot
from minilayer.ops.losses import mse_loss
from minilayer.ops.matmul import linear, matmul
from minilayer.ops.norm import batch_norm, layer_norm
from minilayer.ops.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from minilayer.ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumsum,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from minilayer.ops.shape import (
    cat,
    chunk,
    expand,
    flatten,
    flip,
    narrow,
    pad,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    tril,
    triu,
    unsqueeze,
)
from minilayer.ops.softmax import cross_entropy, log_softmax, nll_loss, softmax
from minilayer.tape import expect_tensor
from minilayer.tensor import Tensor

__all__ = [name for name in dir() if not name.startswith("_")
           and name not in ("np", "devices", "random", "Tensor", "as_dtype", "expect_tensor")]
__all__ += ["empty", "zeros", "ones", "full", "zeros_like", "ones_like", "arange", "linspace", "eye",
            "rand", "randn", "randint", "randperm"]


def _shape(name, sizes):
    """A shape given as numbers or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    shape = tuple(_integer(name, "sizes", n) for n in sizes)
    for n in shape:
        if n < 0:
            raise ValueError(f"{name}: expected sizes of 0 or more, got {shape}")
    return shape


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
        if isinstance(v, bool) or not isinstance(v, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name}: expected numbers, got {v!r}")


def _made(array, requires_grad, device):
    return Tensor(array if device is None else devices.to_device(array, device), requires_grad=requires_grad)


def _on_cpu(shape, dtype):
    return devices.empty(shape, as_dtype(dtype if dtype is not None else "float32"), _HOST)


_HOST = np.empty(0, np.float32)


def empty(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of unset values (float32 unless given)."""
    return _made(_on_cpu(_shape("empty", size), dtype), requires_grad, device)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """A tensor filled with one number, of the number's type (float32, int64 or bool) unless given."""
    if dtype is None:
        dtype = "bool" if isinstance(fill_value, bool) else "int64" if isinstance(fill_value, int) else "float32"
    size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    _check_numbers("full", int(fill_value) if isinstance(fill_value, bool) else fill_value)
    return _made(devices.full(_shape("full", size), fill_value, as_dtype(dtype), _HOST), requires_grad, device)


def zeros(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros (float32 unless given)."""
    return full(_shape("zeros", size), 0, dtype=dtype or "float32", device=device, requires_grad=requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of ones (float32 unless given)."""
    return full(_shape("ones", size), 1, dtype=dtype or "float32", device=device, requires_grad=requires_grad)


def zeros_like(x, *, dtype=None, requires_grad=False):
    """A tensor of zeros in the shape, dtype and place of another."""
    expect_tensor("zeros_like", x)
    return _made(devices.zeros(x.shape, x.dtype if dtype is None else as_dtype(dtype), x.array), requires_grad, None)


def ones_like(x, *, dtype=None, requires_grad=False):
    """A tensor of ones in the shape, dtype and place of another."""
    expect_tensor("ones_like", x)
    return _made(devices.full(x.shape, 1, x.dtype if dtype is None else as_dtype(dtype), x.array), requires_grad, None)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    """The numbers start, start + step, ... below end (int64 for integers, else float32)."""
    if end is None:
        start, end = 0, start
    _check_numbers("arange", start, end, step)
    if step == 0:
        raise ValueError("arange: expected a step other than 0, got 0")
    if (end - start) * step < 0:
        raise ValueError(f"arange: expected end to lie in the step's direction, got {start} to {end} in steps of {step}")
    if dtype is None:
        dtype = "int64" if isinstance(start + end + step, (int, np.integer)) else "float32"
    return _made(np.arange(start, end, step).astype(as_dtype(dtype)), requires_grad, device)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    """`steps` numbers from start to end, both included."""
    _check_numbers("linspace", start, end)
    steps = _integer("linspace", "steps", steps)
    if steps < 0:
        raise ValueError(f"linspace: expected steps >= 0, got {steps}")
    return _made(np.linspace(start, end, steps).astype(as_dtype(dtype or "float32")), requires_grad, device)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    """A matrix with ones on its diagonal, zeros elsewhere."""
    n, m = _shape("eye", (n, n if m is None else m))
    return _made(np.eye(n, m, dtype=as_dtype(dtype or "float32")), requires_grad, device)


def rand(*size, rng=None, dtype=None, device=None, requires_grad=False):
    """Numbers from U(0, 1)."""
    return _made(random.uniform(_shape("rand", size), 0.0, 1.0, as_dtype(dtype or "float32"), rng), requires_grad, device)


def randn(*size, rng=None, dtype=None, device=None, requires_grad=False):
    """Numbers from N(0, 1)."""
    return _made(random.normal(_shape("randn", size), 0.0, 1.0, as_dtype(dtype or "float32"), rng), requires_grad, device)


def randint(low, high=None, size=(), *, rng=None, dtype=None, device=None):
    """Integers from low (0 where it is left out: `randint(high, size=...)`) to high - 1."""
    if high is None:
        low, high = 0, low
    elif isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    low, high = _integer("randint", "bounds", low), _integer("randint", "bounds", high)
    if not low < high:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    array = random.integers(_shape("randint", size if isinstance(size, (tuple, list)) else (size,)), low, high, rng)
    return _made(array.astype(as_dtype(dtype or "int64")), False, device)


def randperm(n, *, rng=None, device=None):
    """The integers 0 ... n-1 in random order."""
    return _made(random.permutation(_shape("randperm", (n,))[0], rng), False, device)
