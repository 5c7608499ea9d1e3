"""Kernels that apply one small function to every element, whatever the strides.

    add = Map("arithmetic.add", lambda real: lambda a, b: a + b, 2, accumulates=True)
    add(a, b, y, accumulate=False)              # a and b broadcast to y's shape

A map is called as the reference's function is, so a kernel file is a list of them. Each is two kernels. `flat` walks
one axis, which most arrays are after merging: contiguous ones, single values repeated, every n-th element. `strided`
finds an element's place along four axes by divisions of 32-bit numbers. One thread an element; neighbouring threads
take neighbouring elements of y.
"""
import math

from minilayer.cuda._nb import cuda, device, uint32
from minilayer.cuda.blocks import BLOCK
from minilayer.cuda.launch import FLOATS, blocks_for, kernel
from minilayer.cuda.layout import padded, pieces, spread

AXES = 4


@device
def place(i, n1, n2, n3, s0, s1, s2, s3):
    """Where element i of a shape (any, n1, n2, n3) lies. Several arrays' calls share the divisions once compiled."""
    q = uint32(i // n3)
    i3 = uint32(i - q * n3)
    r = uint32(q // n2)
    i2 = uint32(q - r * n2)
    i0 = uint32(r // n1)
    i1 = uint32(r - i0 * n1)
    return i0 * s0 + i1 * s1 + i2 * s2 + i3 * s3


@device
def put(y, at, value, accumulate):
    """y[at] = value, or y[at] += value."""
    if accumulate:
        y[at] = y[at] + value
    else:
        y[at] = value


class Map:
    """y = f(inputs...), element by element. `make(types...)` gives f for the types of one entry of `dtypes`: a dtype
    that all arrays have, or a pair (of the inputs, of y). `letters` names the inputs' where they differ: B for a mask.
    `accumulates`: two inputs, and accumulate=True adds to y.
    """

    def __init__(self, name, make, inputs=1, dtypes=FLOATS, letters=None, accumulates=False, **limits):
        self.name, self.inputs, self.accumulates = name, inputs, accumulates
        self.paired = isinstance(dtypes[0], tuple)
        family, _, name = name.partition(".")
        arrays = (letters or ("S" if self.paired else "T") * inputs) + "T"
        flag = "u" if inputs == 2 else ""

        def kernels(axes, kind, bodies):
            return kernel(f"{arrays} {axes}u {axes * (inputs + 1)}i {flag}", block=BLOCK, regs=32, dtypes=dtypes,
                          name=f"{name}_{kind}", family=family, **limits)(lambda *types: bodies[inputs](device(make(*types))))

        self.by_axes = {1: kernels(1, "flat", FLAT), AXES: kernels(AXES, "strided", STRIDED)}

    def __call__(self, *arrays, accumulate=False):
        """The last array is y; those before it broadcast to its shape."""
        if len(arrays) != self.inputs + 1 or (accumulate and not self.accumulates):
            raise TypeError(f"{self.name}: expected {self.inputs} arrays to read, one to write"
                            f"{'' if self.accumulates else ', and no accumulate'}; got {len(arrays)} arrays, {accumulate=}")
        y = arrays[-1]
        key = (arrays[0].dtype, y.dtype) if self.paired else y.dtype
        flag = (bool(accumulate),) if self.inputs == 2 else ()
        for sizes, strides, offsets in pieces(y.shape, [spread(x, y.shape) for x in arrays], AXES):
            axes = 1 if len(sizes) <= 1 else AXES
            sizes, strides = padded(sizes, strides, axes)
            n = math.prod(sizes)
            parts = [x if o == 0 else x.at(o) for x, o in zip(arrays, offsets, strict=True)]
            self.by_axes[axes][key](blocks_for(n, BLOCK), *parts, n, *sizes[1:], *[s for own in strides for s in own], *flag)


def _flat1(f):
    def flat(a, y, n, sa, sy):
        i = uint32(cuda.grid(1))
        if i < n:
            y[i * sy] = f(a[i * sa])
    return flat


def _strided1(f):
    def strided(a, y, n, n1, n2, n3, a0, a1, a2, a3, y0, y1, y2, y3):
        i = uint32(cuda.grid(1))
        if i < n:
            y[place(i, n1, n2, n3, y0, y1, y2, y3)] = f(a[place(i, n1, n2, n3, a0, a1, a2, a3)])
    return strided


def _flat2(f):
    def flat(a, b, y, n, sa, sb, sy, accumulate):
        i = uint32(cuda.grid(1))
        if i < n:
            put(y, i * sy, f(a[i * sa], b[i * sb]), accumulate)
    return flat


def _strided2(f):
    def strided(a, b, y, n, n1, n2, n3, a0, a1, a2, a3, b0, b1, b2, b3, y0, y1, y2, y3, accumulate):
        i = uint32(cuda.grid(1))
        if i < n:
            v = f(a[place(i, n1, n2, n3, a0, a1, a2, a3)], b[place(i, n1, n2, n3, b0, b1, b2, b3)])
            put(y, place(i, n1, n2, n3, y0, y1, y2, y3), v, accumulate)
    return strided


def _flat3(f):
    def flat(a, b, c, y, n, sa, sb, sc, sy):
        i = uint32(cuda.grid(1))
        if i < n:
            y[i * sy] = f(a[i * sa], b[i * sb], c[i * sc])
    return flat


def _strided3(f):
    def strided(a, b, c, y, n, n1, n2, n3, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, y0, y1, y2, y3):
        i = uint32(cuda.grid(1))
        if i < n:
            y[place(i, n1, n2, n3, y0, y1, y2, y3)] = f(
                a[place(i, n1, n2, n3, a0, a1, a2, a3)], b[place(i, n1, n2, n3, b0, b1, b2, b3)],
                c[place(i, n1, n2, n3, c0, c1, c2, c3)])
    return strided


FLAT = {1: _flat1, 2: _flat2, 3: _flat3}            # number of inputs -> (f -> kernel)
STRIDED = {1: _strided1, 2: _strided2, 3: _strided3}
