"""The one file that imports numba: what kernels are written in.

Kernels say `cuda.threadIdx`, `cuda.shared.array`, `m.exp` (this module as `m`). Compiled, these are numba-cuda's; in
the simulator they are NumPy's and Python's, which give infinities and NaN where Python's `math` would raise. Another
compiler of the same dialect (numba-cuda-mlir) would change this file alone.

The rules of the dialect, each learned from machine code (a test looks for what breaking them leaves behind): - number
constants are made by `real(0.5)`, real = np.float32 or np.float64: a bare 0.5 turns the sum into float64 - functions
that kernels call are wrapped in `device`, which puts their code where they are called - index arithmetic is `uint32`
where it divides; a pointer's index is not checked and does not wrap - two shared arrays are made on two lines: the
simulator tells them apart by the line
"""
import math
from typing import Any

import numpy as np

from minilayer.cuda import SIMULATED

if not hasattr(np, "row_stack"):        # numba-cuda 0.30 still asks NumPy for it; NumPy 2.5 has dropped it
    np.row_stack = np.vstack

import numba.cuda

types: Any = numba.cuda.types
# rounding by dtype, to a float
floor: dict
ceil: dict
rint: dict
trunc: dict
absolute = abs          # kernel files define functions called abs

if SIMULATED:
    from numba.cuda.simulator import kernel as _simulator

    class _Context:
        """The simulated `cuda` of the kernel that runs now, for kernels and for the functions they call."""

        def __getattr__(self, name):
            return getattr(_simulator._get_kernel_context(), name)

    cuda = _Context()
    exp, expm1, log, log1p, sin, cos, tanh, sqrt = (
        np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos, np.tanh, np.sqrt)
    pow = np.power
    floor = dict.fromkeys((np.float32, np.float64), np.floor)
    ceil = dict.fromkeys((np.float32, np.float64), np.ceil)
    rint = dict.fromkeys((np.float32, np.float64), np.rint)
    trunc = dict.fromkeys((np.float32, np.float64), np.trunc)

    def erf(x):
        return type(x)(math.erf(x))

    def uint32(i):
        return int(i) & 0xFFFFFFFF

    def device(f):
        """A function that kernels call."""
        return f
else:
    from numba.cuda import libdevice

    cuda = numba.cuda
    exp, expm1, log, log1p, sin, cos, tanh, sqrt, pow, erf = (
        math.exp, math.expm1, math.log, math.log1p, math.sin, math.cos, math.tanh, math.sqrt, math.pow, math.erf)
    floor = {np.float32: libdevice.floorf, np.float64: libdevice.floor}     # math.floor gives an integer
    ceil = {np.float32: libdevice.ceilf, np.float64: libdevice.ceil}
    rint = {np.float32: libdevice.rintf, np.float64: libdevice.rint}
    trunc = {np.float32: libdevice.truncf, np.float64: libdevice.trunc}
    uint32 = types.uint32

    def device(f):
        """A function that kernels call: compiled into each of them."""
        return numba.cuda.jit(device=True, inline="always")(f)


def converter(target):
    """x -> x as the type `target` (a NumPy scalar type; bool is a byte, 1 for all but 0)."""
    if target is np.bool_:
        return device(lambda x: np.uint8(x != 0))
    if SIMULATED:
        return lambda x: x              # the array it is written to converts, as C does
    return device(lambda x: target(x))


def compile_ptx(function, parameters, cc):
    """PTX text of a kernel for a compute capability like (9, 0). `parameters`: numba types."""
    text, _ = numba.cuda.compile_ptx(function, types.void(*parameters), cc=cc)
    return text


def simulate(function, grid, block, arguments):
    """Run a kernel in the simulator: grid and block are triples."""
    def quiet(*arguments):              # runs once a thread; each has its own error state
        with np.errstate(all="ignore"):
            function(*arguments)
    numba.cuda.jit(quiet)[grid, block](*arguments)
