"""A kernel as the `_cuda.py` files write it, and how it gets to run.

    @kernel("TTT i t", block=BLOCK, regs=32)
    def _scaled_sum(real):                              # real: the NumPy scalar type of this instance
        def scaled_sum(a, b, y, n, factor): ...         # one thread's work, in numba's dialect (see _nb.py)
        return scaled_sum

    _scaled_sum[x.dtype](blocks, a, b, y, n, 0.5)

The signature has a letter for each parameter, with a count in front where it repeats:

    T  pointer to the dtype         t  number of the dtype          S  pointer to the dtype that is read (see below)
    B  pointer to bytes (bool)      I  pointer to int64             D  pointer to float64
    u  uint32                       i  int64                        d  float64

A kernel with an S is made for a pair of dtypes, `recipe[read, written]`, by a function of two types. `regs` is the
number of registers that a thread may need on any architecture, `stack` the bytes of memory of its own (a test looks);
`wide` says that a float32 instance computes in float64 here and there, because the contract has a float64 array in it.

An instance is compiled when it is first launched. In the simulator a pointer is a `Flat`; on a GPU, launches go through
cuda.core on the one stream of memory.py. The GPU path has not run on a GPU yet.
"""
import ctypes
import functools
import importlib
import re

import numpy as np

from minilayer.cuda import SIMULATED, _nb, memory

FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int64", "int32", "uint8")
RECIPES: list = []                      # every kernel of the files imported so far

_POINTED = {"B": np.dtype(np.uint8), "I": np.dtype(np.int64), "D": np.dtype(np.float64)}
_C_TYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double, "int64": ctypes.c_int64, "int32": ctypes.c_int32,
            "uint8": ctypes.c_uint8, "bool": ctypes.c_uint8}


def kernel(signature, *, block, regs, wide=False, stack=0, dtypes=FLOATS, name=None, family=None):
    """Make a Recipe of a function from types to a kernel. `block`: threads, or (x, y). `dtypes`: what it is made for,
    or pairs of them."""
    def make(factory):
        recipe = Recipe(name or factory.__name__.lstrip("_"), family or _family_of(factory.__module__), factory,
                        "".join(letter * int(count or 1) for count, letter in re.findall(r"(\d*)([A-Za-z])", signature)),
                        block, regs, wide, stack, dtypes)
        RECIPES.append(recipe)
        return recipe
    return make


def _family_of(module: str) -> str:
    return module.rpartition(".")[2].removesuffix("_cuda")


class Recipe:
    """A kernel for any of its dtypes: `recipe[dtype]` is the one for that."""

    def __init__(self, name, family, factory, parameters, block, regs_max, wide, stack_max, dtypes):
        self.name, self.family, self.factory, self.parameters = name, family, factory, parameters
        self.block, self.regs_max, self.wide, self.stack_max = block, regs_max, wide, stack_max
        self.dtypes = [key if isinstance(key, tuple) else (key,) for key in dtypes]
        self._made: dict = {}

    def __getitem__(self, key):
        made = self._made.get(key)
        if made is None:
            names = tuple(str(np.dtype(d)) for d in (key if isinstance(key, tuple) else (key,)))
            if names not in self.dtypes:
                raise TypeError(f"{self.family}.{self.name}: has no CUDA kernel for {' to '.join(names)}, only for "
                                f"{', '.join(' to '.join(d) for d in self.dtypes)}; convert with .to(dtype), or move the "
                                "tensors with .to('cpu')")
            made = self._made[key] = Kernel(self, [np.dtype(d) for d in names])
        return made

    def examples(self, dtypes):
        """Its kernels for dtypes (what it reads) among those named."""
        return [self[tuple(np.dtype(d) for d in key) if len(key) > 1 else np.dtype(key[0])]
                for key in self.dtypes if key[0] in dtypes]

    def __repr__(self):
        return f"{self.family}.{self.name}"


class Kernel:
    """One compiled, or simulated, function on the device: `kernel(blocks, *arguments)`."""

    def __init__(self, recipe, dtypes):
        self.name, self.family, self.parameters = recipe.name, recipe.family, recipe.parameters
        self.source, self.dtype = dtypes[0], dtypes[-1]
        self.wide = recipe.wide or np.float64 in dtypes
        self.regs_max = recipe.regs_max * 2 if np.float64 in dtypes else recipe.regs_max    # each such number takes two
        self.stack_max = recipe.stack_max
        self.function = recipe.factory(*[d.type for d in dtypes])
        self.block = _triple(recipe.block)
        self._loaded: dict = {}

    def __call__(self, blocks, *arguments):
        grid = _triple(blocks)
        if len(arguments) != len(self.parameters):
            raise TypeError(f"{self}: expected {len(self.parameters)} arguments, got {len(arguments)}")
        if 0 in grid:
            return
        passed = [self._pass(i, letter, a) for i, (letter, a) in enumerate(zip(self.parameters, arguments, strict=True))]
        if SIMULATED:
            with memory.LOCK:
                _nb.simulate(self.function, grid, self.block, passed)
        else:
            self._launch(grid, passed)

    def _pass(self, place, letter, a):
        """An argument as the kernel gets it."""
        if letter.isupper():
            wanted = _POINTED.get(letter) or (self.source if letter == "S" else self.dtype)
            if a is None:
                return None if SIMULATED else 0
            if not isinstance(a, memory.DeviceArray):
                raise TypeError(f"{self}: expected a CUDA array as argument {place}, got {type(a).__name__}; "
                                "move the tensors of one call to one device")
            if a.dtype != wanted and (a.dtype != np.bool_ or wanted != np.uint8):
                raise TypeError(f"{self}: expected {wanted} as argument {place}, got {a.dtype}")
            return memory.Flat(a) if SIMULATED else a.address
        if letter in "ui":
            return int(a) if SIMULATED else (ctypes.c_uint32 if letter == "u" else ctypes.c_int64)(a)
        if letter == "d":
            return np.float64(a) if SIMULATED else ctypes.c_double(a)
        return self.dtype.type(a) if SIMULATED else _C_TYPES[str(self.dtype)](a)

    def _launch(self, grid, passed):
        """Has not run on a GPU yet."""
        from cuda.core import LaunchConfig, launch
        device, stream = memory.current()
        loaded = self._loaded.get(device.device_id)
        if loaded is None:
            from minilayer.cuda import compile
            capability = device.compute_capability
            code, entry = compile.cubin(self, (capability.major, capability.minor))
            loaded = self._loaded[device.device_id] = code.get_kernel(entry)
        launch(stream, LaunchConfig(grid=grid, block=self.block), loaded, *passed)

    def __repr__(self):
        return f"{self.family}.{self.name}[{self.dtype}]"


def _triple(n):
    return (*n, 1, 1)[:3] if isinstance(n, tuple) else (int(n), 1, 1)


def blocks_for(n, block) -> int:
    """How many blocks give each of n elements a thread."""
    return -(-n // block)


# ---- what kernel files share ----

def missing(module: str):
    """The `__getattr__` of a kernel file: functions that the reference has and this file lacks raise, naming the file."""
    family = _family_of(module)

    @functools.cache
    def reference():
        return importlib.import_module(module.removesuffix("_cuda") + "_reference")

    def __getattr__(name):
        if name.startswith("_") or not hasattr(reference(), name):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise NotImplementedError(f"{family}.{name}: there is no CUDA kernel yet; write it in "
                                  f"{module.replace('.', '/')}.py, or move the tensors with .to('cpu')")
    return __getattr__


def expect_contiguous(name, *arrays):
    """ValueError unless all arrays (None is left out) lie in C order."""
    for i, x in enumerate(arrays):
        if x is not None and not x.is_contiguous:
            raise ValueError(f"{name}: expected C order of array {i}, got shape {x.shape} with strides {x.strides}; "
                             "make it contiguous first")


class Alarm:
    """How a kernel says that it met a bad value: it writes [1, value] into `array`. Asking for it waits for the kernel;
    a later design lets the next copy to the host ask."""

    def __init__(self):
        self.array = memory.from_numpy(np.zeros(2, np.int64))

    def value(self):
        """The bad value, or None."""
        found, value = memory.contiguous_to_numpy(self.array).tolist()
        return value if found else None
