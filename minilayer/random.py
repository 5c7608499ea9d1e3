"""Random numbers that a seed settles, on every device and for any number of threads.

A `Generator` is a seed and an offset: block n of a stream is a hash of (seed, n) and nothing else (Philox; the bits are
defined in _ext/philox_reference.py). Drawing takes a stretch of blocks and moves the offset behind it, so a number
depends on the seed and on what was drawn before, never on who computes it. Functions here return arrays of the host;
initial weights come from them.

Every function takes `rng=None`; None means the default generator, and each thread has one of its own:

- `manual_seed(seed)` sets the generator of the thread that calls it. Two threads that each call it before they build
  and train a model get the bits that they would get one after the other.
- A thread that draws without having called it gets a stretch of its own in the stream that the main thread's last
  `manual_seed` named (a random one before that). Which thread gets which stretch follows from who draws first, so
  programs that must repeat seed each thread, or hand an `rng` along.
"""
import itertools
import os
import threading

import numpy as np

from minilayer._ext import runtime
from minilayer._ext.dispatch import family

philox = family("philox")
_MASK = 2**64 - 1
_APART = 48                 # threads without a seed of their own start 2**48 blocks apart
_FLOATS = (np.dtype("float32"), np.dtype("float64"))


def _checked_seed(name, seed) -> int:
    """A seed as the unsigned 64-bit number it stands for; negative ones wrap, as in PyTorch."""
    if isinstance(seed, (bool, np.bool_)) or not hasattr(seed, "__index__"):
        raise TypeError(f"{name}: expected the seed to be an integer, got {seed!r}")
    seed = seed.__index__()
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"{name}: expected a seed in [-2**63, 2**64), got {seed}")
    return seed & _MASK


def _fresh_seed() -> int:
    return int.from_bytes(os.urandom(8), "little") >> 1


class Generator:
    """A stream of random numbers: a seed, and how far it has been drawn. Threads may share one; each draw is whole.

    >>> rng = Generator(7)
    >>> uniform((2,), rng=rng)
    """

    def __init__(self, seed=None):
        self._lock = threading.Lock()
        self._begin(_fresh_seed() if seed is None else _checked_seed("Generator", seed), 0)

    def _begin(self, seed, offset):
        runtime.cannot_repeat("a random stream that is made, seeded or set in it (manual_seed, set_rng_state, Generator)")
        self._seed, self._offset = seed, offset
        self._start = np.array([seed, 0], np.uint64).view(np.int64)

    def manual_seed(self, seed) -> "Generator":
        """Begin the stream of `seed`; returns the generator."""
        seed = _checked_seed("manual_seed", seed)
        with self._lock:
            self._begin(seed, 0)
        return self

    def seed(self) -> int:
        """Begin a stream that nobody can foretell; returns its seed."""
        self.manual_seed(_fresh_seed())
        return self._seed

    @property
    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def get_state(self) -> np.ndarray:
        """Where the stream stands: an int64 array [seed, offset], for checkpoints."""
        with self._lock:
            return np.array([self._seed, self._offset], np.uint64).view(np.int64)

    def set_state(self, state) -> "Generator":
        """Go on from where `get_state` was called."""
        state = np.asarray(state)
        if state.shape != (2,) or state.dtype != np.int64:
            raise ValueError(f"set_state: expected the int64 array [seed, offset] that get_state returned, got shape "
                             f"{state.shape} and dtype {state.dtype}")
        with self._lock:
            self._begin(int(state[0]) & _MASK, int(state[1]) & _MASK)
        return self

    def take(self, n_blocks: int) -> np.ndarray:
        """Reserve the next `n_blocks` blocks of four 32-bit words: their position, an int64 array [seed, offset] as
        the kernels of `philox` and `dropout` read it. The next call starts behind them."""
        with self._lock:
            position, offset = self._start.copy(), self._offset
            self._offset = (offset + n_blocks) & _MASK
        position[1] = offset if offset < 2**63 else offset - 2**64
        if runtime.recording() is not None:             # (every run of the program draws anew)
            runtime.constant(position)
            own = self is getattr(_local, "generator", None)        # (then it is that of the thread which calls)
            runtime.each_run(before=lambda: np.copyto(position, (default_generator() if own else self).take(n_blocks)))
        return position

    def __reduce__(self):
        return _restored, (self.get_state(),)

    def __repr__(self):
        return f"Generator(seed={self._seed}, offset={self._offset})"


def _restored(state):
    """A generator from its state (copies and pickles)."""
    return Generator(0).set_state(state)


# ---- the default generator of each thread ----

_local = threading.local()
_process: dict = {"seed": _fresh_seed(), "threads": itertools.count(1)}


def default_generator() -> Generator:
    """The generator of the calling thread."""
    found = getattr(_local, "generator", None)
    if found is None:
        found = _local.generator = Generator(_process["seed"])
        if threading.current_thread() is not threading.main_thread():
            found._offset = next(_process["threads"]) << _APART & _MASK
    return found


def manual_seed(seed) -> Generator:
    """Seed the calling thread's generator, and return it. In the main thread it also names the stream that threads
    started later draw from, unless they seed themselves."""
    generator = default_generator().manual_seed(seed)
    if threading.current_thread() is threading.main_thread():
        _process.update(seed=generator.initial_seed, threads=itertools.count(1))
    return generator


def seed() -> int:
    """Seed the calling thread's generator with a number that nobody can foretell; returns it."""
    return manual_seed(_fresh_seed()).initial_seed


def initial_seed() -> int:
    """The seed of the calling thread's generator."""
    return default_generator().initial_seed


def get_rng_state() -> np.ndarray:
    """Where the calling thread's generator stands, for checkpoints."""
    return default_generator().get_state()


def set_rng_state(state) -> None:
    """Let the calling thread's generator go on from where `get_rng_state` was called."""
    default_generator().set_state(state)


def generator_for(rng, name) -> Generator:
    """The generator that an `rng` argument means; `name` is the operation, for the error."""
    if rng is None:
        return default_generator()
    if not isinstance(rng, Generator):
        raise TypeError(f"{name}: expected rng to be a minilayer.Generator or None, got {type(rng).__name__}; "
                        "make one with minilayer.Generator(seed)")
    return rng


# ---- drawing arrays ----

def _empty(name, shape, dtype, allowed=_FLOATS):
    shape = (shape,) if hasattr(shape, "__index__") else tuple(shape)
    if any(isinstance(d, bool) or not hasattr(d, "__index__") or d < 0 for d in shape):
        raise ValueError(f"{name}: expected a shape of integers of 0 or more, got {shape}")
    if np.dtype(dtype) not in allowed:
        raise TypeError(f"{name}: expected dtype {' or '.join(map(str, allowed))}, got {dtype}")
    return runtime.empty(shape, np.dtype(dtype))


def _draw(kernel, y, rng, **settings):
    """Fill y with the next numbers of a generator: two 32-bit words a value, one for float32."""
    position = rng.take(-(-y.size * y.itemsize // 16))
    getattr(philox.on(y), kernel)(position, y, **settings)
    return y


def uniform(shape, low=0.0, high=1.0, dtype=np.float32, rng=None) -> np.ndarray:
    """Values uniform in [low, high)."""
    if not -np.inf < low <= high < np.inf:
        raise ValueError(f"uniform: expected finite bounds with low <= high, got low={low}, high={high}")
    y = _draw("uniform", _empty("uniform", shape, dtype), generator_for(rng, "uniform"))
    if (low, high) != (0, 1):
        y *= y.dtype.type(high) - y.dtype.type(low)
        y += y.dtype.type(low)
        if low < high:      # rounding may reach high
            np.minimum(y, np.nextafter(y.dtype.type(high), y.dtype.type(low)), out=y)
    return y


def normal(shape, mean=0.0, std=1.0, dtype=np.float32, rng=None) -> np.ndarray:
    """Values of the normal distribution with this mean and standard deviation."""
    if not std >= 0:
        raise ValueError(f"normal: expected std of 0 or more, got {std}")
    y = _draw("normal", _empty("normal", shape, dtype), generator_for(rng, "normal"))
    if (mean, std) != (0, 1):
        y *= y.dtype.type(std)
        y += y.dtype.type(mean)
    return y


def integers(shape, low, high, rng=None) -> np.ndarray:
    """int64 values uniform over low, low + 1, ..., high - 1."""
    for name, bound in (("low", low), ("high", high)):
        if isinstance(bound, bool) or not hasattr(bound, "__index__"):
            raise TypeError(f"integers: expected {name} to be an integer, got {bound!r}")
    if not -(2**63) <= low < high < 2**63:
        raise ValueError(f"integers: expected low < high, both 64-bit, got low={low}, high={high}")
    return _draw("integers", _empty("integers", shape, np.int64, (np.dtype("int64"),)), generator_for(rng, "integers"),
                 low=int(low), high=int(high))


def bernoulli(shape, p=0.5, dtype=np.float32, rng=None) -> np.ndarray:
    """1 with probability p, else 0; p is a number or an array that broadcasts to the shape."""
    if not np.all((np.asarray(p) >= 0) & (np.asarray(p) <= 1)):
        raise ValueError(f"bernoulli: expected probabilities in [0, 1], got {p}")
    draws = uniform(shape, dtype=np.float64, rng=generator_for(rng, "bernoulli"))
    y = runtime.empty(draws.shape, np.dtype(dtype))
    np.less(draws, p, out=y, casting="unsafe")
    return y


def permutation(n, rng=None) -> np.ndarray:
    """0, 1, ..., n - 1 in random order (int64): sorted by a 64-bit random key each."""
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"permutation: expected an integer, got {n!r}")
    if n < 0:
        raise ValueError(f"permutation: expected n of 0 or more, got {n}")
    keys = integers((int(n),), -(2**63), 2**63 - 1, generator_for(rng, "permutation"))
    y = runtime.empty(keys.shape, np.dtype("int64"))
    y[...] = np.argsort(keys, kind="stable")
    return y


def random_seed(rng=None) -> int:
    """A seed drawn from a generator, for something that keeps a stream of its own."""
    return int(integers((), 0, 2**63 - 1, generator_for(rng, "random_seed")))
