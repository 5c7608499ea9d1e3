"""How arrays of many axes become what a kernel takes: a few sizes, and a stride for each array and axis.

Strides are in elements. Neighbouring axes that are stepped through alike in every array are one axis; most arrays end
as one or two. What is left over beyond the kernel's axes is looped over on the host, one launch each.
"""
LARGEST = 2**31 - 1             # elements in one launch: index arithmetic is 32 bits wide


def spread(x, shape):
    """x's strides in elements, as a view broadcast to `shape` (axes aligned right, stride 0 where repeated)."""
    lead = len(shape) - x.ndim
    size = x.dtype.itemsize
    return [0] * lead + [s // size if n == wanted else 0
                         for n, s, wanted in zip(x.shape, x.strides, shape[lead:], strict=True)]


def merged(shape, strides):
    """(sizes, strides of each array) with axes of size 1 dropped and neighbours merged where all arrays allow it."""
    sizes, steps = [], [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(s[-1] == own[axis] * n for s, own in zip(steps, strides, strict=True)):
            sizes[-1] *= n
            for s, own in zip(steps, strides, strict=True):
                s[-1] = own[axis]
        else:
            sizes.append(n)
            for s, own in zip(steps, strides, strict=True):
                s.append(own[axis])
    return sizes, steps


def pieces(shape, strides, axes):
    """Yield (sizes, strides of each array, offset of each array): together they cover `shape`, each with at most `axes`
    axes. Nothing where the shape is empty."""
    if 0 in shape:
        return
    sizes, steps = merged(shape, strides)
    outer = max(len(sizes) - axes, 0)
    while _product(sizes[outer:]) > LARGEST:
        if outer == len(sizes) - 1:             # one long axis: as two
            n = sizes[outer]
            half = n // 2
            for start, length in ((0, half), (half, n - half)):
                cut = [*sizes[:outer], length]
                for s, own, offset in pieces(cut, steps, axes):
                    yield s, own, [o + start * step[outer] for o, step in zip(offset, steps, strict=True)]
            return
        outer += 1
    for at in _indices(sizes[:outer]):
        offsets = [sum(i * s for i, s in zip(at, own)) for own in steps]
        yield sizes[outer:], [own[outer:] for own in steps], offsets


def padded(sizes, strides, axes):
    """The same with exactly `axes` axes: size 1 and stride 0 in front."""
    more = axes - len(sizes)
    return [1] * more + list(sizes), [[0] * more + list(own) for own in strides]


def _product(sizes):
    n = 1
    for d in sizes:
        n *= d
    return n


def _indices(sizes):
    """Every index of a shape, in C order."""
    if not sizes:
        yield ()
        return
    for first in range(sizes[0]):
        for rest in _indices(sizes[1:]):
            yield (first, *rest)
