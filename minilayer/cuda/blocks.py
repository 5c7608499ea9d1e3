"""Sums and maxima over the threads of a block, through shared memory.

A tree of additions in a fixed order: the same bits on every run. (Warp shuffles would be quicker by a few hundred
nanoseconds a block; Numba's own simulator has none, and these kernels run there as they are.)
"""
from minilayer.cuda._nb import SIMULATED, cuda, device

# Threads a block. A simulated thread costs about 10 us whatever it does.
BLOCK = 32 if SIMULATED else 256


def over_block(real, join):
    """A function value -> the `join` of all threads' values, in every thread. Each thread of the block must call it."""
    @device
    def reduced(value):
        part = cuda.shared.array(BLOCK, real)
        t = cuda.threadIdx.x
        part[t] = value
        cuda.syncthreads()
        step = BLOCK // 2
        while step > 0:
            if t < step:
                part[t] = join(part[t], part[t + step])
            cuda.syncthreads()
            step //= 2
        result = part[0]
        cuda.syncthreads()              # the next one may use the same memory
        return result
    return reduced


@device
def plus(a, b):
    return a + b


@device
def larger(a, b):
    """max(a, b), with NaN of either kept."""
    return a if a > b or a != a else b


@device
def smaller(a, b):
    """min(a, b), with NaN of either kept."""
    return a if a < b or a != a else b


def block_sum(real):
    """value -> the sum of all threads' values."""
    return over_block(real, plus)


def block_max(real):
    """value -> the largest of all threads' values."""
    return over_block(real, larger)
