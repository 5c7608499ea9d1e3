"""Copies (of minilayer/cuda/copies.py) and fills on CUDA: the contract of indexing_reference.py. Rows by index have no
kernel yet."""
import numpy as np

from minilayer.cuda import _nb as m
from minilayer.cuda.blocks import BLOCK
from minilayer.cuda.copies import copy
from minilayer.cuda.launch import NUMBERS, blocks_for, kernel, missing
from minilayer.cuda.layout import padded, pieces, spread
from minilayer.cuda.maps import AXES, place

__all__ = ["copy", "fill"]
__getattr__ = missing(__name__)

cuda, uint32 = m.cuda, m.uint32
_ANY = (*NUMBERS, "bool")


@kernel("T 4u 4i t", block=BLOCK, regs=24, dtypes=_ANY)
def _fill(number):
    def fill(y, n, n1, n2, n3, y0, y1, y2, y3, value):
        i = uint32(cuda.grid(1))
        if i < n:
            y[place(i, n1, n2, n3, y0, y1, y2, y3)] = value
    return fill


def fill(y, *, value):
    """y = value everywhere; a Python number, cast to y's dtype as `copy` does. OverflowError where it does not fit."""
    number = np.empty((), y.dtype)
    with np.errstate(over="ignore"):
        number[...] = value
    for sizes, strides, (offset,) in pieces(y.shape, [spread(y, y.shape)], AXES):
        n = int(np.prod(sizes, dtype=np.int64))
        sizes, (own,) = padded(sizes, strides, AXES)
        _fill[y.dtype](blocks_for(n, BLOCK), y.at(offset), n, *sizes[1:], *own, number.item())
