"""What a row says, and helpers to make its samples."""
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FLOATS = ("float32", "float64")
INTS = ("int64", "int32", "uint8")
NUMBERS = FLOATS + INTS
EVERY = (*NUMBERS, "bool")


@dataclass
class KernelCase:
    """A function of a kernel family.

    samples(rng, dtype) yields (args, kwargs), args in the kernel's order, out arrays included: make those with `out`;
    the tests fill them with NaN or garbage first. An argument may be None or a list or tuple of arrays.
    """
    family: str
    function: str
    samples: Callable
    outs: tuple = ()            # positions of arrays the kernel overwrites
    inouts: tuple = ()          # positions of arrays it changes (running statistics, optimiser state)
    dtypes: tuple = FLOATS      # what samples is asked for
    strided: tuple = ()         # positions that may have any strides: they are also tried transposed, reversed, spaced
    accumulate: tuple | None = None     # outs that accumulate=True adds to; None: all, where the function has the setting
    bound: float = 4.0          # allowed difference from the reference, in units of rounding; 0: equal to the bit
    scale: str = "value"        # one unit of rounding is epsilon times "value": the value itself; "max": the largest
                                # value of that output; "terms": the sum of the absolute values of its terms (sums of
                                # products, found by running the reference on the absolute values of the inputs)
    special: bool = False       # also try NaN, infinities, both zeros and denormals in its float inputs

    def __str__(self):
        return f"{self.family}.{self.function}"


@dataclass
class OpCase:
    """One or more ops, through the function users call.

    samples(rng) yields tuples of float64 arrays (and index or mask arrays, or None). call gets them as tensors, the
    float64 ones asking for gradients, and returns a tensor or a tuple of tensors. Settings belong into call.
    """
    name: str
    call: Callable
    samples: Callable
    op: str | tuple = ()        # "matmul.Matmul": file and class in minilayer/ops, of each op this row answers for
    second: bool = False        # is the gradient differentiable too (create_graph=True)?
    differentiable: bool = True
    eps: float = 1e-6           # step of the gradient check
    low: bool = True            # also compare float32 with float64
    bound: float = 64.0         # for that: units of float32 rounding, relative to the largest value
    standin: bool = True        # runs on the stand-in device

    def __str__(self):
        return self.name


@dataclass
class LayerCase:
    """A layer. inputs(rng, dtype) gives the tuple of arrays that forward takes, batch on `batch_axis`."""
    name: str                   # the class's public name, with what is special about this row: "Conv2d groups"
    make: Callable              # () -> layer, parameters float32
    inputs: Callable
    batch_axis: int | None = 0  # None: has no batch (losses)
    per_item: bool = True       # a batch of n equals n singles (not: batch norm while training, dropout)
    modes: tuple = ("train", "eval")
    differentiable: bool = True # gradient check of inputs and parameters
    random: bool = False        # draws random numbers when it runs
    bound: float = 64.0         # units of rounding, relative to the largest value, for all comparisons

    @property
    def layer(self) -> str:
        return self.name.split()[0]

    def __str__(self):
        return self.name


@dataclass
class ErrorCase:
    """One misuse. name is "subject: what is wrong", the subject an op's function, a layer or a command."""
    name: str
    call: Callable
    raises: type
    match: str                  # regular expression found in the message

    @property
    def subject(self) -> str:
        return self.name.split(":")[0]

    def __str__(self):
        return self.name


# ---- helpers for samples ----

SHAPES = [(3, 5), (), (1,), (0,), (2, 0, 3), (7,), (1, 1), (2, 3, 4), (1, 17), (33, 31), (2, 1, 3, 2)]
BIG = (5, 7, 1031)              # enough elements to be shared out among threads


def normal(rng, shape, dtype="float64"):
    """Normal values; for integer dtypes small integers, for bool coin flips."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if kind in "iu":
        return np.asarray(rng.integers(0 if kind == "u" else -9, 10, shape)).astype(dtype)
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def off_zero(rng, shape, dtype="float64"):
    """Values of either sign with 0.2 < |x| < 2.2."""
    x = np.asarray(rng.uniform(0.2, 2.2, shape) * rng.choice([-1.0, 1.0], shape)).astype(dtype)
    return x


def mix(*ys):
    """One number that depends on all of several results, each in its own way."""
    total = 0.0
    for k, y in enumerate(ys, 1):
        total = total + (y * y * (0.3 + 0.1 * k)).sum() + y.sum() * k
    return total


def positive(rng, shape, dtype="float64"):
    """Values in 0.2 to 2.2."""
    return np.asarray(rng.uniform(0.2, 2.2, shape)).astype(dtype)


def distinct(rng, shape, dtype="float64"):
    """Values no two of which are closer than 0.1, in random order: maxima without ties."""
    n = math.prod(shape)
    return (0.1 * rng.permutation(n) - 0.05 * n).reshape(shape).astype(dtype)


def out(shape, dtype):
    """An out array. (Its values do not matter.)"""
    return np.empty(shape, dtype)


def each_shape(make, shapes=tuple(SHAPES)):
    """Samples of ops with one argument: (make(rng, shape),) for each shape."""
    return lambda rng: [(make(rng, shape),) for shape in shapes]


def few(rng, shape, dtype="float64"):
    """-1, 0 or 1 (0 or 1 where unsigned): many ties."""
    return np.asarray(rng.integers(0 if np.dtype(dtype).kind in "ub" else -1, 2, shape)).astype(dtype)


def few_values(rng, shape, dtype="float64"):
    """Ties, and zeros."""
    return np.asarray(rng.integers(0, 2 if np.dtype(dtype).kind == "b" else 4, shape)).astype(dtype)


def position(rng):
    """A place in the random stream, [seed, offset]."""
    return rng.integers(-2**63, 2**63 - 1, 2)


def inside(rng, shape, dtype="float64"):
    """Values in 0.1 to 0.9."""
    return np.asarray(rng.uniform(0.1, 0.9, shape)).astype(dtype)
