"""Numba's CUDA simulator, made quick and strict for the tests.

The simulator runs each CUDA thread as a thread of the system and polls them at barriers: seconds for a tiny matrix
product. Here each is a greenlet, switched to in order: 30 to 80 times as fast, and the same every time. What the
simulator lets pass raises: blocks of more than 1024 threads, threads of one block that wait at different barriers, and
barriers that some threads of a block never reach, which on a GPU hang or corrupt. Shared memory begins as NaN, or 255,
for each block, so that a missing barrier shows.

It replaces private classes of numba-cuda's simulator: the version is pinned in requirements/cuda.lock.
"""
import sys

import greenlet
import numpy as np
from numba.cuda.simulator import kernel as _kernel
from numba.cuda.simulator import kernelapi as _api

_running: list = [None]             # the CUDA thread that runs now


class BarrierError(RuntimeError):
    """Threads of a block do not meet at one barrier."""


class Thread:
    """One CUDA thread."""
    __slots__ = ("threadIdx", "blockIdx", "greenlet")

    def __init__(self, thread, block, run, parent):
        self.threadIdx, self.blockIdx = thread, block
        self.greenlet = greenlet.greenlet(run, parent)


class BlockManager:
    """Runs a block: every thread up to its next barrier, then again, until all have returned."""

    def __init__(self, f, grid_dim, block_dim, debug):
        self.f, self.block_dim = f, block_dim
        x, y, z = block_dim
        if x * y * z > 1024:
            raise ValueError(f"a block of {x * y * z} threads; 1024 is the most")

    def run(self, grid_point, *args):
        _kernel._get_kernel_context().shared._allocations.clear()
        here = greenlet.getcurrent()
        block = _api.Dim3(*grid_point)
        x, y, z = self.block_dim
        threads = [Thread(_api.Dim3(i, j, k), block, lambda: self.f(*args), here)
                   for k in range(z) for j in range(y) for i in range(x)]
        waiting = threads
        while waiting:
            places, still = set(), []
            for thread in waiting:
                _running[0] = thread
                try:
                    place = thread.greenlet.switch()
                except Exception:
                    _stop(waiting)
                    raise
                if not thread.greenlet.dead:
                    places.add(place)
                    still.append(thread)
            if still and (len(places) > 1 or len(still) != len(threads)):
                _stop(still)
                raise BarrierError(f"{len(still)} of {len(threads)} threads wait at barriers {sorted(places)}")
            waiting = still
        _running[0] = None


def _stop(threads):
    for thread in threads:
        if not thread.greenlet.dead:
            thread.greenlet.throw(greenlet.GreenletExit)


class Shared(_api.FakeCUDAShared):
    """Shared arrays, one for each place in the code that asks for one, poisoned at first."""

    def array(self, shape, dtype, alignment=None):
        frame = sys._getframe(1)
        key = (frame.f_code, frame.f_lasti)
        found = self._allocations.get(key)
        if found is None:
            poison = np.nan if np.dtype(dtype).kind == "f" else 255
            found = self._allocations[key] = np.full(shape, poison, dtype)
        return found


class Module(_api.FakeCUDAModule):
    """`cuda` inside a kernel."""

    def __init__(self, grid_dim, block_dim, dynshared_size):
        super().__init__(grid_dim, block_dim, dynshared_size)
        self._shared = Shared(dynshared_size)

    threadIdx = property(lambda self: _running[0].threadIdx)
    blockIdx = property(lambda self: _running[0].blockIdx)

    def syncthreads(self):
        """Wait at this place of the code for all threads of the block."""
        thread = _running[0]
        frame = sys._getframe(1)
        thread.greenlet.parent.switch(f"{frame.f_code.co_name}:{frame.f_lineno}")
        _running[0] = thread

    def grid(self, n):
        if n != 1:
            raise NotImplementedError("grid(1) only")
        thread = _running[0]
        return thread.blockIdx.x * self.blockDim.x + thread.threadIdx.x


def install():
    """Use these from now on."""
    _kernel.BlockManager = BlockManager
    _kernel.FakeCUDAModule = Module
