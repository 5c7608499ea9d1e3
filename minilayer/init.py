"""Starting values for parameters, in place: PyTorch's names, arguments and formulas.

Each function writes into a tensor's memory and returns the tensor. Numbers are always drawn on the host, so that a
seed gives the same starting point on every device; `rng`, or PyTorch's name for it, `generator`, is a
`minilayer.Generator` (default: the global one).

fan_in is the number of inputs that one output sums over: weight.shape[1] times the kernel's size; fan_out is
weight.shape[0] times it.
"""
import math

import numpy as np

from minilayer import random
from minilayer.creation import from_numpy
from minilayer.state import no_grad
from minilayer.tensor import Tensor


def _check(tensor, name):
    if not isinstance(tensor, Tensor) or tensor.dtype.kind != "f":
        got = f"{tensor.dtype}" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"init.{name}: expected a float tensor, got {got}")


def _write(tensor, array):
    with no_grad():
        return tensor.copy_(from_numpy(np.asarray(array)))


def uniform_(tensor, a=0.0, b=1.0, generator=None, rng=None):
    """Values from U(a, b)."""
    _check(tensor, "uniform_")
    if not a <= b:
        raise ValueError(f"init.uniform_: expected a <= b, got {a} and {b}")
    return _write(tensor, random.uniform(tensor.shape, a, b, tensor.dtype, generator or rng))


def normal_(tensor, mean=0.0, std=1.0, generator=None, rng=None):
    """Values from N(mean, std^2)."""
    _check(tensor, "normal_")
    if std < 0:
        raise ValueError(f"init.normal_: expected std >= 0, got {std}")
    return _write(tensor, random.normal(tensor.shape, mean, std, tensor.dtype, generator or rng))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None, rng=None):
    """Values from N(mean, std^2) kept within [a, b] (absolute bounds, not in units of std), by drawing again."""
    _check(tensor, "trunc_normal_")
    if std <= 0:
        raise ValueError(f"init.trunc_normal_: expected std > 0, got {std}")
    if not a < b:
        raise ValueError(f"init.trunc_normal_: expected a < b, got {a} and {b}")
    inside = (math.erf((b - mean) / std / math.sqrt(2)) - math.erf((a - mean) / std / math.sqrt(2))) / 2
    if inside < 1e-3:
        raise ValueError(f"init.trunc_normal_: only {inside:.1e} of N({mean}, {std}^2) lies in [{a}, {b}]; "
                         "move the bounds to where the values are")
    count = math.prod(tensor.shape)
    values = np.empty(0, tensor.dtype)
    while values.size < count:
        more = random.normal((count,), mean, std, tensor.dtype, generator or rng)
        values = np.concatenate([values, more[(more >= a) & (more <= b)]])
    return _write(tensor, values[:count].reshape(tensor.shape))


def constant_(tensor, val):
    """Every value `val`, of a tensor of any dtype."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"init.constant_: expected a tensor, got {type(tensor).__name__}")
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor):
    """Every value 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """Every value 0."""
    return constant_(tensor, 0.0)


def eye_(tensor):
    """A matrix with ones on its diagonal, zeros elsewhere."""
    _check(tensor, "eye_")
    if tensor.ndim != 2:
        raise ValueError(f"init.eye_: expected a matrix, got shape {tensor.shape}")
    return _write(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


def calculate_gain(nonlinearity, param=None):
    """The factor on the standard deviation that keeps a signal's size through `nonlinearity`.

    linear, conv, sigmoid: 1; tanh: 5/3; relu: sqrt(2); leaky_relu: sqrt(2 / (1 + slope^2)); selu: 3/4.
    """
    if nonlinearity in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
                        "conv_transpose3d", "sigmoid"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"calculate_gain: expected linear, conv*, sigmoid, tanh, relu, leaky_relu or selu, "
                     f"got {nonlinearity!r}")


def _fans(tensor, name):
    if tensor.ndim < 2:
        raise ValueError(f"init.{name}: expected a tensor with at least 2 dimensions (outputs, inputs, ...), "
                         f"got shape {tensor.shape}; use uniform_ or normal_ for it")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _calculate_fan_in_and_fan_out(tensor):
    """Both fans, under the name by which ported layers ask PyTorch for them."""
    return _fans(tensor, "_calculate_fan_in_and_fan_out")


def _kaiming_std(tensor, a, mode, nonlinearity, name):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init.{name}: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor, name)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def xavier_uniform_(tensor, gain=1.0, generator=None, rng=None):
    """U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    _check(tensor, "xavier_uniform_")
    bound = gain * math.sqrt(6.0 / max(sum(_fans(tensor, "xavier_uniform_")), 1))
    return uniform_(tensor, -bound, bound, generator or rng)


def xavier_normal_(tensor, gain=1.0, generator=None, rng=None):
    """N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    _check(tensor, "xavier_normal_")
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(sum(_fans(tensor, "xavier_normal_")), 1)), generator or rng)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None, rng=None):
    """U(-b, b), b = gain sqrt(3 / fan) (He et al., 2015); `a` is the slope that leaky_relu's gain is taken for."""
    _check(tensor, "kaiming_uniform_")
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(tensor, -bound, bound, generator or rng)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None, rng=None):
    """N(0, std^2), std = gain / sqrt(fan) (He et al., 2015)."""
    _check(tensor, "kaiming_normal_")
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_normal_"), generator or rng)


def orthogonal_(tensor, gain=1.0, generator=None, rng=None):
    """Rows (or columns, if fewer) that are orthogonal and of length `gain` (Saxe et al., 2014)."""
    _check(tensor, "orthogonal_")
    if tensor.ndim < 2:
        raise ValueError(f"init.orthogonal_: expected at least 2 dimensions, got shape {tensor.shape}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = random.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, np.float64, generator or rng)
    q, r = np.linalg.qr(flat)
    q = q * np.sign(np.diag(r))
    return _write(tensor, (gain * (q.T if rows < columns else q)).reshape(tensor.shape).astype(tensor.dtype))


def dirac_(tensor, groups=1):
    """A convolution's weight (out, in, ...) that hands as many channels through as it can: 1 at the middle of the kernel
    of channel i for output i, 0 elsewhere; in each of `groups` groups of outputs."""
    _check(tensor, "dirac_")
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"init.dirac_: expected a weight of 3, 4 or 5 dimensions, got shape {tensor.shape}")
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"init.dirac_: expected groups to divide the {tensor.shape[0]} outputs, got {groups!r}")
    values = np.zeros(tensor.shape, tensor.dtype)
    outputs = tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for i in range(min(outputs, tensor.shape[1])):
            values[(group * outputs + i, i, *middle)] = 1
    return _write(tensor, values)


def sparse_(tensor, sparsity, std=0.01, generator=None, rng=None):
    """A matrix of N(0, std^2) with a part `sparsity` of each column, at random places, set to 0 (Martens, 2010)."""
    _check(tensor, "sparse_")
    if tensor.ndim != 2:
        raise ValueError(f"init.sparse_: expected a matrix, got shape {tensor.shape}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"init.sparse_: expected sparsity in [0, 1], got {sparsity}")
    rows, columns = tensor.shape
    values = random.normal(tensor.shape, 0.0, std, tensor.dtype, generator or rng)
    zeros = math.ceil(sparsity * rows)
    for column in range(columns):
        values[random.permutation(rows, generator or rng)[:zeros], column] = 0
    return _write(tensor, values)
