"""Shapes: the same elements seen in another shape (views, which move nothing), or laid side by side (copies).

A view shares its source's memory, so it costs nothing and a write through it is seen by both; its gradient is the
incoming one, seen the other way round. Where strides do not allow a view, `reshape` copies first, by NumPy's rule.
Basic indexing (`narrow`, `select`, slices) is in indexing.py.
"""
from math import prod as _count

import numpy as np

from minilayer._ext.dispatch import family
from minilayer._ext.runtime import constant
from minilayer.device import (
    as_strided,
    axis_as_dim,
    broadcast_shapes,
    contiguous,
    device_of,
    empty,
    expect_room,
    full,
    is_contiguous,
    named_sizes,
    normalize_axes,
    normalize_axis,
    to_device,
    zeros,
)
from minilayer.device import broadcast_to as array_to
from minilayer.node import wrap
from minilayer.tape import Cost, Op, apply, elementwise_cost, expect_tensor

arithmetic = family("arithmetic")
indexing = family("indexing")
reduce = family("reduce")


# ---- arguments ----

def _integers(name, values) -> tuple:
    """(2, 3) from 2, 3 or (2, 3) or [2, 3]: how shapes and dims are given."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    for v in values:
        if not hasattr(v, "__index__") or isinstance(v, bool):
            raise TypeError(f"{name}: expected integers, got {v!r}")
        if not -2**63 <= v.__index__() < 2**63:
            raise ValueError(f"{name}: expected integers of 64 bits, got {v}")
    return tuple([v.__index__() for v in values])


def _complete_shape(name, shape, size, before) -> tuple:
    """The shape with a -1 replaced by what makes it hold `size` elements."""
    known, unknown = 1, None
    for i, n in enumerate(shape):
        if n == -1 and unknown is None:
            unknown = i
        elif n < 0:
            raise ValueError(f"{name}: expected sizes of 0 or more and at most one -1, got {shape}")
        else:
            known *= n
    if unknown is not None:
        if known == 0 or size % known:
            raise ValueError(f"{name}: expected a shape for the {size} elements of shape {before}, got {shape}; "
                             f"no size in place of -1 fits")
        return shape[:unknown] + (size // known,) + shape[unknown + 1:]
    if known != size:
        raise ValueError(f"{name}: expected a shape for the {size} elements of shape {before}, got {shape}, "
                         f"which has {known}; -1 for one size lets it be worked out")
    return shape


def view_strides(shape, strides, wanted):
    """Strides that show the same elements, in order, as shape `wanted`; None where only a copy can.

    Axes are matched in groups of equal size, left to right. A group of old axes can be split or joined freely if each
    of its axes steps over exactly what the next one covers.
    """
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    if any([n == 0 for n in shape]):
        return tuple([0] * len(wanted))
    found, i, j = [], 0, 0
    while j < len(wanted):
        if wanted[j] == 1:
            found.append(old[i][1] * old[i][0] if i < len(old) else 0)
            j += 1
            continue
        first, held, needed, group = i, old[i][0], wanted[j], [wanted[j]]
        i, j = i + 1, j + 1
        while held != needed:
            if held < needed:
                held *= old[i][0]
                i += 1
            else:
                needed *= wanted[j]
                group.append(wanted[j])
                j += 1
        for k in range(first, i - 1):
            if old[k][1] != old[k + 1][0] * old[k + 1][1]:
                return None
        step, steps = old[i - 1][1], []
        for n in reversed(group):
            steps.append(step)
            step *= n
        found += reversed(steps)
    return tuple(found)


def _reshaped(x, shape):
    """An array in another shape; a copy only where strides demand one."""
    if x.shape == shape:
        return x
    if is_contiguous(x):
        return x.reshape(shape)
    strides = view_strides(x.shape, x.strides, shape)
    return contiguous(x).reshape(shape) if strides is None else as_strided(x, shape, strides, 0)


FREE = Cost(0, 0, 0, 0)             # a view moves nothing


# ---- views ----

class Reshape(Op):
    """y = x's elements, in order, in another shape of as many; dx = dy in x's shape."""
    name = "reshape"
    view = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, node, x):
        self._before = x.shape
        if is_contiguous(x):
            return x.reshape(self.shape)
        return as_strided(x, self.shape, view_strides(x.shape, x.strides, self.shape), 0)    # callers made sure it can

    def backward(self, node, dy):
        return _reshaped(dy, self._before)

    def backward_graph(self, node, dy):
        return reshape(dy, self._before)

    def cost(self, shapes, out_shapes):
        return FREE


class Squeeze(Reshape):
    """y = x without some axes of size 1."""
    name = "squeeze"


class Unsqueeze(Reshape):
    """y = x with more axes of size 1."""
    name = "unsqueeze"


class Permute(Op):
    """y[i_dims[0], i_dims[1], ...] = x[i_0, i_1, ...]: axis d of y is axis dims[d] of x."""
    name = "permute"
    view = True

    def __init__(self, dims):
        self.dims = dims

    def inverse(self):
        back = [0] * len(self.dims)
        for i, d in enumerate(self.dims):
            back[d] = i
        return tuple(back)

    def forward(self, node, x):
        return x.transpose(self.dims)

    def backward(self, node, dy):
        return dy.transpose(self.inverse())

    def backward_graph(self, node, dy):
        return apply(Permute(self.inverse()), dy)

    def cost(self, shapes, out_shapes):
        return FREE


class Expand(Op):
    """y = x repeated along new axes and axes of size 1, by zero strides; dx = dy summed over them (by the engine)."""
    name = "expand"
    view = True
    broadcasts = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, node, x):
        return array_to(x, self.shape)

    def backward(self, node, dy):
        return dy

    def backward_graph(self, node, dy):
        return dy

    def cost(self, shapes, out_shapes):
        return FREE


class Split(Op):
    """Neighbouring parts of x along one axis, as views. dx = the parts' gradients laid side by side: one op rather
    than a slice a part, because each slice's gradient would be a whole array of zeros around its part."""
    name = "split"
    view = True

    def __init__(self, sizes, dim):
        self.sizes = sizes
        self.dim = dim

    def forward(self, node, x):
        self._before = x.shape
        return tuple([x[region] for region in _regions(self.sizes, self.dim)])

    def backward(self, node, *dys):
        like = next(dy for dy in dys if dy is not None)
        dx = empty(self._before, like.dtype, like)
        kernels = indexing.on(dx)
        for dy, region in zip(dys, _regions(self.sizes, self.dim), strict=True):
            if dy is None:
                kernels.fill(dx[region], value=0)
            else:
                kernels.copy(dy, dx[region])
        return dx

    def backward_graph(self, node, *dys):
        like = next(dy for dy in dys if dy is not None)
        parts = []
        for dy, size in zip(dys, self.sizes, strict=True):
            shape = self._before[:self.dim] + (size,) + self._before[self.dim + 1:]
            parts.append(wrap(zeros(shape, like.dtype, like.array)) if dy is None else dy)
        return apply(Concatenate(self.dim), *parts)

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 0, 8 * _count(shapes[0]))


def _regions(sizes, dim) -> list:
    """The index of each part along axis `dim`, for parts of these sizes."""
    regions, start = [], 0
    for size in sizes:
        regions.append((slice(None),) * dim + (slice(start, start + size),))
        start += size
    return regions


class Unbind(Op):
    """The slices of x along one axis, as views without that axis; dx = their gradients stacked."""
    name = "unbind"
    view = True

    def __init__(self, dim):
        self.dim = dim

    def forward(self, node, x):
        self._before = x.shape
        lead = (slice(None),) * self.dim
        return tuple([x[(*lead, i, Ellipsis)] for i in range(x.shape[self.dim])])

    def backward(self, node, *dys):
        like = next(dy for dy in dys if dy is not None)
        dx = empty(self._before, like.dtype, like)
        lead = (slice(None),) * self.dim
        for i, dy in enumerate(dys):
            if dy is None:
                indexing.on(dx).fill(dx[(*lead, i, Ellipsis)], value=0)
            else:
                indexing.on(dx).copy(dy, dx[(*lead, i, Ellipsis)])
        return dx

    def backward_graph(self, node, *dys):
        like = next(dy for dy in dys if dy is not None)
        empty_part = wrap(zeros(like.shape, like.dtype, like.array))
        return apply(Stack(self.dim), *[empty_part if dy is None else dy for dy in dys])

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 0, 8 * _count(shapes[0]))


def _diagonal_of(x, offset, a, b):
    """An array's view whose last axis runs along a diagonal of axes a and b (`offset` above the main one)."""
    rows, columns = x.shape[a], x.shape[b]
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = (offset * x.strides[b] if offset >= 0 else -offset * x.strides[a]) if count else 0
    rest = [d for d in range(x.ndim) if d not in (a, b)]
    return as_strided(x, tuple([x.shape[d] for d in rest] + [count]),
                      tuple([x.strides[d] for d in rest] + [x.strides[a] + x.strides[b]]), start)


class Diagonal(Op):
    """y = a diagonal of two axes of x, as a view whose last axis runs along it; dx = dy there, else 0"""
    name = "diagonal"
    view = True

    def __init__(self, offset, dim1, dim2):
        self.offset = offset
        self.dim1 = dim1
        self.dim2 = dim2

    def forward(self, node, x):
        self._before = x.shape
        return _diagonal_of(x, self.offset, self.dim1, self.dim2)

    def backward(self, node, dy):
        dx = zeros(self._before, dy.dtype, dy)
        indexing.on(dy).copy(dy, _diagonal_of(dx, self.offset, self.dim1, self.dim2))
        return dx

    def backward_graph(self, node, dy):
        return apply(DiagonalEmbed(self.offset, self.dim1, self.dim2, self._before), dy)

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 0, 4 * (_count(shapes[0]) + 2 * _count(out_shapes[0])))


class DiagonalEmbed(Op):
    """y = zeros of some shape, but for x on a diagonal of two axes; dx = that diagonal of dy"""
    name = "diag_embed"

    def __init__(self, offset, dim1, dim2, shape):
        self.offset = offset
        self.dim1 = dim1
        self.dim2 = dim2
        self.shape = shape

    def forward(self, node, x):
        y = zeros(self.shape, x.dtype, x)
        indexing.on(x).copy(x, _diagonal_of(y, self.offset, self.dim1, self.dim2))
        return y

    def backward(self, node, dy):
        return _diagonal_of(dy, self.offset, self.dim1, self.dim2)

    def backward_graph(self, node, dy):
        return apply(Diagonal(self.offset, self.dim1, self.dim2), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class Windows(Op):
    """y[.., i, .., k] = x[.., step i + k, ..]: windows along one axis, as a view; dx = dy summed over the windows that
    an element lies in"""
    name = "unfold"
    view = True

    def __init__(self, dim, size, step):
        self.dim = dim
        self.size = size
        self.step = step

    def count(self, n):
        return (n - self.size) // self.step + 1

    def forward(self, node, x):
        self._before, d = x.shape, self.dim
        shape = x.shape[:d] + (self.count(x.shape[d]),) + x.shape[d + 1:] + (self.size,)
        strides = x.strides[:d] + (self.step * x.strides[d],) + x.strides[d + 1:] + (x.strides[d],)
        return as_strided(x, shape, strides, 0)

    def backward(self, node, dy):
        return _windows_added(dy, self._before, self.dim, self.size, self.step)

    def backward_graph(self, node, dy):
        return apply(WindowsAdded(self._before, self.dim, self.size, self.step), dy)

    def cost(self, shapes, out_shapes):
        return Cost(0, _count(out_shapes[0]), 0, 4 * (_count(shapes[0]) + 3 * _count(out_shapes[0])))


def _windows_added(dy, shape, dim, size, step):
    dx = zeros(shape, dy.dtype, dy)
    lead = (slice(None),) * dim
    for k in range(size):
        part = dx[(*lead, slice(k, k + step * (dy.shape[dim] - 1) + 1, step))]
        arithmetic.on(dx).add(part, dy[(Ellipsis, k)], part)
    return dx


class WindowsAdded(Op):
    """y = zeros of some shape, with windows along one axis added in where they came from; dx = dy's windows"""
    name = "windows_added"

    def __init__(self, shape, dim, size, step):
        self.shape = shape
        self.dim = dim
        self.size = size
        self.step = step

    def forward(self, node, x):
        return _windows_added(x, self.shape, self.dim, self.size, self.step)

    def backward(self, node, dy):
        return Windows.forward(Windows(self.dim, self.size, self.step), node, dy)

    def backward_graph(self, node, dy):
        return apply(Windows(self.dim, self.size, self.step), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 0)


def reshape(input, *sizes, shape=None):
    """input's elements, in order, in another shape; one size may be -1. A view where strides allow, else a copy.

    >>> reshape(x, 2, -1)           # (6,) -> (2, 3)
    """
    expect_tensor("reshape", input)
    array = input.array
    if shape is not None:
        sizes = named_sizes("reshape", "shape", sizes, shape)
    shape = _complete_shape("reshape", _integers("reshape", sizes), array.size, array.shape)
    if not is_contiguous(array) and view_strides(array.shape, array.strides, shape) is None:
        input = input.contiguous()
    return apply(Reshape(shape), input)


def view(x, *shape, size=None):
    """x's elements in another shape, sharing x's memory; an error where that would need a copy."""
    expect_tensor("view", x)
    if size is not None:
        shape = named_sizes("view", "size", shape, size)
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)) and not hasattr(shape[0], "__index__"):
        raise TypeError(f"view: expected a shape, got {shape[0]!r}; convert types with .to(dtype)")
    array = x.array
    shape = _complete_shape("view", _integers("view", shape), array.size, array.shape)
    if not is_contiguous(array) and view_strides(array.shape, array.strides, shape) is None:
        raise ValueError(f"view: a tensor of shape {array.shape} and strides {x.stride()} cannot be seen as {shape} "
                         "without a copy; use reshape, or .contiguous() first")
    return apply(Reshape(shape), x)


def flatten(input, start_dim=0, end_dim=-1):
    """Axes start_dim to end_dim as one: (B, C, H, W) -> (B, C H W) with start_dim=1."""
    expect_tensor("flatten", input)
    shape = input.array.shape
    if not shape:
        return reshape(input, 1)
    first, last = normalize_axis("flatten", start_dim, len(shape)), normalize_axis("flatten", end_dim, len(shape))
    if first > last:
        raise ValueError(f"flatten: expected start_dim before end_dim, got {start_dim} and {end_dim} for shape {shape}")
    return reshape(input, shape[:first] + (_count(shape[first:last + 1]),) + shape[last + 1:])


def unflatten(input, dim=None, sizes=None, *, axis=None):
    """Axis `dim` as several axes of these sizes, one of which may be -1."""
    if axis is not None:
        dim = axis_as_dim("unflatten", dim, axis)
    expect_tensor("unflatten", input)
    shape = input.array.shape
    axis = normalize_axis("unflatten", dim, len(shape))
    sizes = _complete_shape("unflatten", _integers("unflatten", (sizes,)), shape[axis], (shape[axis],))
    return reshape(input, shape[:axis] + sizes + shape[axis + 1:])


def squeeze(input, dim=None, *, axis=None):
    """input without its axes of size 1: all of them, or those among `dim` (an integer or several)."""
    if axis is not None:
        dim = axis_as_dim("squeeze", dim, axis)
    expect_tensor("squeeze", input)
    shape = input.array.shape
    axes = normalize_axes("squeeze", dim, len(shape))
    return apply(Squeeze(tuple([n for d, n in enumerate(shape) if n != 1 or d not in axes])), input)


def unsqueeze(input, dim=None, *, axis=None):
    """input with an axis of size 1 put in at `dim`."""
    if axis is not None:
        dim = axis_as_dim("unsqueeze", dim, axis)
    expect_tensor("unsqueeze", input)
    shape = input.array.shape
    axis = normalize_axis("unsqueeze", dim, len(shape) + 1)
    return apply(Unsqueeze(shape[:axis] + (1,) + shape[axis:]), input)


def permute(input, *order, dims=None):
    """The axes in another order: axis d of the result is axis dims[d] of input."""
    expect_tensor("permute", input)
    ndim = input.array.ndim
    dims = _integers("permute", order if dims is None else named_sizes("permute", "dims", order, dims))
    if len(dims) != ndim:
        raise ValueError(f"permute: expected each of the {ndim} dims of shape {input.array.shape} once, got {dims}")
    axes = tuple([normalize_axis("permute", d, ndim) for d in dims])
    if len(set(axes)) != ndim:
        raise ValueError(f"permute: expected each of the {ndim} dims of shape {input.array.shape} once, got {dims}")
    return apply(Permute(axes), input)


def transpose(input, dim0, dim1):
    """Two axes swapped."""
    expect_tensor("transpose", input)
    ndim = input.array.ndim
    axes = list(range(ndim))
    a, b = normalize_axis("transpose", dim0, ndim), normalize_axis("transpose", dim1, ndim)
    if ndim:
        axes[a], axes[b] = b, a
    return apply(Permute(tuple(axes)), input)


swapdims = transpose


def swapaxes(input, axis0, axis1):
    """Two axes swapped."""
    return transpose(input, axis0, axis1)


def adjoint(input):
    """The last two axes swapped."""
    return transpose(input, -2, -1)


def t(input):
    """A matrix transposed; a tensor of fewer than two dimensions as it is."""
    expect_tensor("t", input)
    if input.array.ndim > 2:
        raise ValueError(f"t: expected at most 2 dimensions, got shape {input.array.shape}; use transpose or permute")
    return apply(Permute(tuple(reversed(range(input.array.ndim)))), input)


def movedim(input, source, destination):
    """Axes moved from `source` to `destination` (integers, or equally many), the others in their order."""
    expect_tensor("movedim", input)
    ndim = input.array.ndim
    source = [normalize_axis("movedim", d, ndim) for d in _integers("movedim", (source,))]
    destination = [normalize_axis("movedim", d, ndim) for d in _integers("movedim", (destination,))]
    if len(source) != len(destination) or len(set(source)) != len(source) or len(set(destination)) != len(destination):
        raise ValueError(f"movedim: expected as many different dims to move from as to, got {source} and {destination}")
    axes = [d for d in range(ndim) if d not in source]
    for to, axis in sorted(zip(destination, source, strict=True)):
        axes.insert(to, axis)
    return apply(Permute(tuple(axes)), input)


moveaxis = movedim


def ravel(input):
    """input's elements in one axis."""
    expect_tensor("ravel", input)
    return reshape(input, -1)


def view_as(x, other):
    """x seen in another tensor's shape; an error where that would need a copy."""
    expect_tensor("view_as", x)
    return view(x, other.array.shape)


def reshape_as(x, other):
    """x in another tensor's shape."""
    expect_tensor("reshape_as", x)
    return reshape(x, other.array.shape)


def atleast_1d(*tensors):
    """Tensors (or one) with at least one axis."""
    return _at_least("atleast_1d", tensors, lambda x: reshape(x, 1) if not x.array.ndim else x)


def atleast_2d(*tensors):
    """Tensors (or one) with at least two axes: new ones in front."""
    return _at_least("atleast_2d", tensors, lambda x: reshape(x, (1,) * (2 - x.array.ndim) + x.array.shape)
                     if x.array.ndim < 2 else x)


def atleast_3d(*tensors):
    """Tensors (or one) with at least three axes: n numbers become (1, n, 1), a matrix (n, m, 1)."""
    def grown(x):
        shape = x.array.shape
        return x if len(shape) > 2 else reshape(x, *((1, 1, 1), (1, *shape, 1), (*shape, 1))[len(shape)])
    return _at_least("atleast_3d", tensors, grown)


def _at_least(name, tensors, grown):
    several = len(tensors) != 1 or isinstance(tensors[0], (tuple, list))
    if len(tensors) == 1 and several:
        tensors = tensors[0]
    for x in tensors:
        expect_tensor(name, x)
    made = tuple([grown(x) for x in tensors])
    return made if several else made[0]


def expand(input, *sizes, size=None):
    """input in a larger shape, repeated along axes of size 1 and new leading axes without a copy; -1 keeps a size."""
    expect_tensor("expand", input)
    before = input.array.shape
    sizes = _integers("expand", sizes if size is None else named_sizes("expand", "size", sizes, size))
    lead = len(sizes) - len(before)
    shape = []
    for i, n in enumerate(sizes):
        own = before[i - lead] if 0 <= lead <= i else None
        if n == -1 and own is not None:
            n = own
        if lead < 0 or n < 0 or (own is not None and own not in (1, n)):
            raise ValueError(f"expand: expected sizes that shape {before} broadcasts to, got {sizes}; only axes of "
                             "size 1 and new leading axes can grow")
        shape.append(n)
    if lead < 0:
        raise ValueError(f"expand: expected at least {len(before)} sizes for shape {before}, got {sizes}")
    return apply(Expand(tuple(expect_room("expand", shape))), input)


def expand_as(x, other):
    """x expanded to another tensor's shape."""
    expect_tensor("expand_as", x)
    return expand(x, other.array.shape)


def broadcast_to(input, size):
    """input expanded to a shape."""
    return expand(input, size)


def broadcast_tensors(*tensors):
    """All tensors expanded to the shape they broadcast to."""
    for x in tensors:
        expect_tensor("broadcast_tensors", x)
    shape = broadcast_shapes("broadcast_tensors", *[x.array.shape for x in tensors])
    return tuple([expand(x, shape) for x in tensors])


def narrow(input, dim=None, start=None, length=None, *, axis=None):
    """The `length` elements from `start` on along axis `dim`, as a view."""
    if axis is not None:
        dim = axis_as_dim("narrow", dim, axis)
    expect_tensor("narrow", input)
    axis = normalize_axis("narrow", dim, input.array.ndim)
    if start is None or length is None:
        raise TypeError(f"narrow: expected start and length, got {start} and {length}")
    size = input.array.shape[axis] if input.array.ndim else 0
    first = start + size if start < 0 else start
    if length < 0 or first < 0 or first + length > size:
        raise IndexError(f"narrow: expected start and length within the {size} elements of dim {dim}, "
                         f"got start {start}, length {length}")
    return input[(slice(None),) * axis + (slice(first, first + length),)]


def diagonal(input, offset=0, dim1=0, dim2=1):
    """A diagonal of two axes, as a view whose last axis runs along it; `offset` above the main one."""
    expect_tensor("diagonal", input)
    a, b = normalize_axis("diagonal", dim1, input.array.ndim), normalize_axis("diagonal", dim2, input.array.ndim)
    if a == b:
        raise ValueError(f"diagonal: expected two different dims of a tensor of shape {input.array.shape}, got {dim1} and {dim2}")
    return apply(Diagonal(offset, a, b), input)


def unfold(x, dimension, size, step):
    """Windows of `size` elements along an axis, each `step` after the one before, as a view: that axis counts the
    windows, and a new last one runs within them."""
    expect_tensor("unfold", x)
    if not x.array.ndim:
        x = reshape(x, 1)
    axis = normalize_axis("unfold", dimension, x.array.ndim)
    n = x.array.shape[axis]
    (size,), (step,) = _integers("unfold", (size,)), _integers("unfold", (step,))
    if not 0 <= size <= n:
        raise ValueError(f"unfold: expected a size of 0 to {n}, the size of dim {dimension}, got {size}")
    if step < 1:
        raise ValueError(f"unfold: expected a step above 0, got {step}")
    return apply(Windows(axis, size, min(step, n + 1)), x)      # (a step beyond the end leaves one window, however long)


def select(input, dim=None, index=None, *, axis=None):
    """Element `index` along axis `dim`, as a view without that axis."""
    if axis is not None:
        dim = axis_as_dim("select", dim, axis)
    expect_tensor("select", input)
    if index is None:
        raise TypeError("select: expected an index along dim, got None")
    return input[(slice(None),) * normalize_axis("select", dim, input.array.ndim) + (index,)]


def split(tensor, split_size_or_sections, dim=0):
    """tensor in neighbouring views along `dim`: of one size each (the last may be smaller), or of the sizes in a list."""
    expect_tensor("split", tensor)
    shape = tensor.array.shape
    axis = normalize_axis("split", dim, len(shape))
    if not shape:
        raise ValueError("split: expected at least one dimension, got a 0-d tensor")
    size = shape[axis]
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = _integers("split", (split_size_or_sections,))
        if sum(sizes) != size or any([n < 0 for n in sizes]):
            raise ValueError(f"split: expected sizes that sum to {size}, the size of dim {dim}, got {sizes}")
    else:
        (step,) = _integers("split", (split_size_or_sections,))
        if step < 0 or (step == 0 and size):
            raise ValueError(f"split: expected a size above 0, got {step}")
        sizes = tuple([min(step, size - i) for i in range(0, size, step)]) if size else (0,)
    return apply(Split(sizes, axis), tensor)


def chunk(input, chunks, dim=0, *, axis=None):
    """input in at most `chunks` views of equal size along `dim` (the last may be smaller)."""
    if axis is not None:
        dim = axis_as_dim("chunk", dim, axis, 0)
    expect_tensor("chunk", input)
    axis = normalize_axis("chunk", dim, input.array.ndim)
    if chunks < 1:
        raise ValueError(f"chunk: expected at least 1 chunk, got {chunks}")
    size = input.array.shape[axis] if input.array.ndim else 0
    if size == 0:
        return split(input, [0] * chunks, axis)
    return split(input, -(-size // chunks), axis)


def tensor_split(input, sections=None, dim=0, *, indices=None, axis=None):
    """input in neighbouring views along `dim`: in so many parts, the first of them one longer where it does not divide, or
    cut before each of the given places. (`sections` and `indices` mean the same.)"""
    if axis is not None:
        dim = axis_as_dim("tensor_split", dim, axis, 0)
    expect_tensor("tensor_split", input)
    return _cut("tensor_split", input, _one_of("tensor_split", sections, indices), dim)


def _one_of(name, sections, indices):
    """PyTorch's two names for one argument."""
    if (sections is None) == (indices is None):
        raise TypeError(f"{name}: expected sections or indices, got " + ("neither" if sections is None else "both"))
    return indices if sections is None else sections


def _cut(name, x, indices_or_sections, dim):
    if not x.array.ndim:
        raise ValueError(f"{name}: expected at least one dimension, got a 0-d tensor")
    axis = normalize_axis(name, dim, x.array.ndim)
    size = x.array.shape[axis]
    if hasattr(indices_or_sections, "array"):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        if n < 1:
            raise ValueError(f"{name}: expected at least 1 section, got {n}")
        places = [i * (size // n) + min(i, size % n) for i in range(n + 1)]
    else:
        places = [0, *_integers(name, (tuple(indices_or_sections),)), size]
    parts = []
    for first, last in zip(places, places[1:], strict=False):
        first, last, _ = slice(first, last).indices(size)
        parts.append(x[(slice(None),) * axis + (slice(first, max(first, last)),)])
    return tuple(parts)


def _split_evenly(name, x, indices_or_sections, dim, least):
    expect_tensor(name, x)
    if x.array.ndim < least:
        raise ValueError(f"{name}: expected at least {least} dimensions, got shape {x.array.shape}")
    n = indices_or_sections
    if isinstance(n, int) and (n < 1 or x.array.shape[dim] % n):
        raise ValueError(f"{name}: expected a number of sections that divides {x.array.shape[dim]}, the size of dim {dim}, "
                         f"got {n}; tensor_split takes any")
    return _cut(name, x, n, dim)


def hsplit(input, sections=None, *, indices=None):
    """`tensor_split` along axis 1 (of one axis alone, 0), in equal parts."""
    expect_tensor("hsplit", input)
    n = _one_of("hsplit", sections, indices)
    return _split_evenly("hsplit", input, n, 0 if input.array.ndim == 1 else 1, 1)


def vsplit(input, sections=None, *, indices=None):
    """`tensor_split` along axis 0, in equal parts."""
    return _split_evenly("vsplit", input, _one_of("vsplit", sections, indices), 0, 2)


def dsplit(input, sections=None, *, indices=None):
    """`tensor_split` along axis 2, in equal parts."""
    return _split_evenly("dsplit", input, _one_of("dsplit", sections, indices), 2, 3)


def unbind(input, dim=0, *, axis=None):
    """The slices along axis `dim`, as views without that axis."""
    if axis is not None:
        dim = axis_as_dim("unbind", dim, axis, 0)
    expect_tensor("unbind", input)
    if not input.array.ndim:
        raise ValueError("unbind: expected at least one dimension, got a 0-d tensor")
    axis = normalize_axis("unbind", dim, input.array.ndim)
    return apply(Unbind(axis), input) if input.array.shape[axis] else ()


# ---- copies ----

class Concatenate(Op):
    """y = the inputs one behind the other along one axis; dx_i = its part of dy."""
    name = "cat"
    promotes = "same"

    def __init__(self, dim):
        self.dim = dim

    def forward(self, node, *xs):
        dim = self.dim
        self._sizes = tuple([x.shape[dim] for x in xs])
        y = empty(xs[0].shape[:dim] + (sum(self._sizes),) + xs[0].shape[dim + 1:], xs[0].dtype, xs[0])
        kernels = indexing.on(y)
        for x, region in zip(xs, _regions(self._sizes, dim), strict=True):
            kernels.copy(x, y[region])
        return y

    def backward(self, node, dy):
        return tuple([dy[region] for region in _regions(self._sizes, self.dim)])

    def backward_graph(self, node, dy):
        return tuple([dy[region] for region in _regions(self._sizes, self.dim)])

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 8 * _count(out_shapes[0]), 0)


class Stack(Op):
    """y = the inputs, all of one shape, along a new axis; dx_i = dy's slice i."""
    name = "stack"
    promotes = "same"

    def __init__(self, dim):
        self.dim = dim

    def forward(self, node, *xs):
        shape, lead = xs[0].shape, (slice(None),) * self.dim
        self._count = len(xs)
        y = empty(shape[:self.dim] + (len(xs),) + shape[self.dim:], xs[0].dtype, xs[0])
        kernels = indexing.on(y)
        for i, x in enumerate(xs):
            kernels.copy(x, y[(*lead, i, Ellipsis)])
        return y

    def backward(self, node, dy):
        lead = (slice(None),) * self.dim
        return tuple([dy[(*lead, i, Ellipsis)] for i in range(self._count)])

    def backward_graph(self, node, dy):
        lead = (slice(None),) * self.dim
        return tuple([dy[(*lead, i)] for i in range(self._count)])

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 8 * _count(out_shapes[0]), 0)


def _mirrored(x, axes):
    """An array's view with some axes reversed."""
    if not x.size:
        return x
    offset, strides = 0, list(x.strides)
    for d in axes:
        offset += (x.shape[d] - 1) * strides[d]
        strides[d] = -strides[d]
    return as_strided(x, x.shape, tuple(strides), offset)


class Flip(Op):
    """y = x with some axes reversed; dx = dy with the same axes reversed."""
    name = "flip"

    def __init__(self, dims):
        self.dims = dims

    def forward(self, node, x):
        y = empty(x.shape, x.dtype, x)
        indexing.on(x).copy(_mirrored(x, self.dims), y)
        return y

    def backward(self, node, dy):
        return _mirrored(dy, self.dims)

    def backward_graph(self, node, dy):
        return apply(Flip(self.dims), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class Repeat(Op):
    """y = x laid out repeats[d] times along each axis d; dx = the sum of dy over the repeats."""
    name = "repeat"

    def __init__(self, repeats):
        self.repeats = repeats

    def forward(self, node, x):
        shape = (1,) * (len(self.repeats) - x.ndim) + x.shape
        self._before = x.shape
        self._pairs = tuple([n for pair in zip(self.repeats, shape, strict=True) for n in pair])   # r0, n0, r1, ...
        self._single = tuple([n for size in shape for n in (1, size)])
        y = empty(tuple([r * n for r, n in zip(self.repeats, shape, strict=True)]), x.dtype, x)
        indexing.on(x).copy(_reshaped(x, self._single), y.reshape(self._pairs))
        return y

    def backward(self, node, dy):
        dx = empty(self._before, dy.dtype, dy)
        reduce.on(dy).sum(_reshaped(dy, self._pairs), dx.reshape(self._single))
        return dx

    def backward_graph(self, node, dy):
        return reshape(reshape(dy, self._pairs).sum(tuple(range(0, len(self._pairs), 2))), self._before)

    def cost(self, shapes, out_shapes):
        n, m = _count(shapes[0]), _count(out_shapes[0])
        return Cost(0, m, 4 * (n + m), 4 * (n + m))


class Triangle(Op):
    """y = x on and below (tril) or on and above (triu) a diagonal of its last two axes, else 0; dx = dy, cut alike."""
    name = "triangle"

    def __init__(self, diagonal, upper):
        self.diagonal = diagonal
        self.upper = upper
        self.name = "triu" if upper else "tril"

    def cut(self, x):
        rows, columns = x.shape[-2:]
        diagonal = max(-rows, min(self.diagonal, columns))             # (beyond a corner it makes no difference)
        mask = np.tri(rows, columns, diagonal - 1 if self.upper else diagonal, dtype=bool)
        mask = to_device(constant(~mask if self.upper else mask), device_of(x))
        y = empty(x.shape, x.dtype, x)
        arithmetic.on(x).where(mask, x, full((), 0, x.dtype, x), y)
        return y

    def forward(self, node, x):
        return self.cut(x)

    def backward(self, node, dy):
        return self.cut(dy)

    def backward_graph(self, node, dy):
        return apply(Triangle(self.diagonal, self.upper), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


def _same_but(name, tensors, dim):
    """The axis `dim` means for tensors that agree on all other axes; an error otherwise."""
    shape = tensors[0].array.shape
    axis = normalize_axis(name, dim, len(shape))
    for x in tensors:
        other = x.array.shape
        if (len(other) != len(shape) or not shape or other[:axis] != shape[:axis]
                or other[axis + 1:] != shape[axis + 1:]):
            raise ValueError(f"{name}: expected tensors of one shape but for dim {dim}, "
                             f"got {', '.join(str(x.array.shape) for x in tensors)}")
    return axis


def _sequence(name, tensors) -> tuple:
    if hasattr(tensors, "array") or not isinstance(tensors, (tuple, list)) or not tensors:
        raise TypeError(f"{name}: expected a tuple or list of tensors, at least one, got {tensors!r}"[:200])
    for x in tensors:
        if not hasattr(x, "array"):
            raise TypeError(f"{name}: expected tensors, got {type(x).__name__}")
    return tuple(tensors)


def cat(tensors, dim=0, *, axis=None):
    """Tensors one behind the other along an axis they have; they agree on all others."""
    if axis is not None:
        dim = axis_as_dim("cat", dim, axis, 0)
    tensors = _sequence("cat", tensors)
    full_ones = tuple([x for x in tensors if x.array.shape != (0,)])    # PyTorch lets an empty 1-d tensor join anything
    axis = _same_but("cat", full_ones or tensors[:1], dim)
    return apply(Concatenate(axis), *(full_ones or tensors))


concat = concatenate = cat


def stack(tensors, dim=0, *, axis=None):
    """Tensors of one shape along a new axis."""
    if axis is not None:
        dim = axis_as_dim("stack", dim, axis, 0)
    tensors = _sequence("stack", tensors)
    shape = tensors[0].array.shape
    for x in tensors:
        if x.array.shape != shape:
            raise ValueError(f"stack: expected tensors of one shape, got "
                             f"{', '.join(str(x.array.shape) for x in tensors)}; "
                             "use cat to join along an axis they have")
    return apply(Stack(normalize_axis("stack", dim, len(shape) + 1)), *tensors)


def hstack(tensors):
    """Tensors side by side: along axis 1, or 0 where they have one axis."""
    tensors = atleast_1d(_sequence("hstack", tensors))
    return cat(tensors, 0 if tensors[0].array.ndim == 1 else 1)


def vstack(tensors):
    """Tensors one below the other: along axis 0, vectors as rows."""
    return cat(atleast_2d(_sequence("vstack", tensors)), 0)


row_stack = vstack


def dstack(tensors):
    """Tensors one behind the other: along axis 2."""
    return cat(atleast_3d(_sequence("dstack", tensors)), 2)


def column_stack(tensors):
    """Vectors as the columns of a matrix (and matrices beside them)."""
    tensors = _sequence("column_stack", tensors)
    return cat([x if x.array.ndim > 1 else reshape(x, x.array.size, 1) for x in tensors], 1)


def block_diag(*tensors):
    """A matrix with the given ones along its diagonal, zeros elsewhere."""
    tensors = atleast_2d(_sequence("block_diag", tensors))
    for x in tensors:
        if x.array.ndim > 2:
            raise ValueError(f"block_diag: expected tensors of at most 2 dimensions, got shape {x.array.shape}")
    columns, before, rows = sum([x.array.shape[1] for x in tensors]), 0, []
    for x in tensors:
        n, m = x.array.shape
        zero = [wrap(zeros((n, k), x.array.dtype, x.array)) for k in (before, columns - before - m)]
        rows.append(cat([zero[0], x, zero[1]], 1))
        before += m
    return cat(rows, 0)


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Zeros with input's last axis on a diagonal of two new axes, `offset` above the main one."""
    expect_tensor("diag_embed", input)
    if not input.array.ndim:
        raise ValueError("diag_embed: expected at least one dimension, got a 0-d tensor")
    (offset,) = _integers("diag_embed", (offset,))
    ndim, n = input.array.ndim + 1, input.array.shape[-1] + abs(offset)
    expect_room("diag_embed", (*input.array.shape[:-1], n, n))
    a, b = normalize_axis("diag_embed", dim1, ndim), normalize_axis("diag_embed", dim2, ndim)
    if a == b:
        raise ValueError(f"diag_embed: expected two different dims, got {dim1} and {dim2}")
    rest = iter(input.array.shape[:-1])
    return apply(DiagonalEmbed(offset, a, b, tuple([n if d in (a, b) else next(rest) for d in range(ndim)])), input)


def diag(input, diagonal=0):
    """Of a vector, the matrix with it on a diagonal; of a matrix, a copy of that diagonal."""
    expect_tensor("diag", input)
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise ValueError(f"diag: expected 1 or 2 dimensions, got shape {input.array.shape}; use diagonal or diag_embed")
    return apply(Diagonal(diagonal, 0, 1), input).clone()


def diagflat(input, offset=0):
    """A matrix with input's elements on a diagonal."""
    expect_tensor("diagflat", input)
    return diag_embed(reshape(input, -1), offset)


def flip(input, *axes, dims=None):
    """input with these axes (`dims`) reversed (a copy)."""
    expect_tensor("flip", input)
    dims = _integers("flip", axes if dims is None else named_sizes("flip", "dims", axes, dims))
    return apply(Flip(normalize_axes("flip", dims, input.array.ndim)), input)


def fliplr(input):
    """input with axis 1 reversed."""
    expect_tensor("fliplr", input)
    if input.array.ndim < 2:
        raise ValueError(f"fliplr: expected at least 2 dimensions, got shape {input.array.shape}")
    return flip(input, 1)


def flipud(input):
    """input with axis 0 reversed."""
    expect_tensor("flipud", input)
    if not input.array.ndim:
        raise ValueError("flipud: expected at least one dimension, got a 0-d tensor")
    return flip(input, 0)


def rot90(input, k=1, dims=(0, 1)):
    """input turned k times by 90 degrees, from the first of two axes towards the second."""
    expect_tensor("rot90", input)
    if len(dims) != 2 or input.array.ndim < 2:
        raise ValueError(f"rot90: expected two dims and a tensor of at least 2 dimensions, got {dims} and shape "
                         f"{input.array.shape}")
    a, b = normalize_axis("rot90", dims[0], input.array.ndim), normalize_axis("rot90", dims[1], input.array.ndim)
    if a == b:
        raise ValueError(f"rot90: expected two different dims, got {dims}")
    return [lambda: input.clone(), lambda: transpose(flip(input, b), a, b), lambda: flip(input, a, b),
            lambda: flip(transpose(input, a, b), b)][k % 4]()


def roll(input, shifts, dims=None):
    """input with its elements moved on by `shifts` along `dims`, those beyond the end to the front; flattened where dims
    is None."""
    expect_tensor("roll", input)
    if dims is None:
        return reshape(roll(reshape(input, -1), shifts, 0), input.array.shape)
    shifts, dims = _integers("roll", (shifts,)), _integers("roll", (dims,))
    if len(shifts) != len(dims):
        raise ValueError(f"roll: expected as many shifts as dims, got {shifts} and {dims}")
    before = input
    for shift, dim in zip(shifts, dims, strict=True):
        axis = normalize_axis("roll", dim, input.array.ndim)
        size = input.array.shape[axis] if input.array.ndim else 0
        shift = shift % size if size else 0
        if shift:
            lead = (slice(None),) * axis
            input = cat((input[(*lead, slice(size - shift, size))], input[(*lead, slice(0, size - shift))]), axis)
    return input.clone() if input is before else input


def repeat(x, *sizes, repeats=None):
    """x laid out sizes[d] times along each axis; more sizes than axes put new axes in front."""
    expect_tensor("repeat", x)
    sizes = _integers("repeat", sizes if repeats is None else named_sizes("repeat", "repeats", sizes, repeats))
    if len(sizes) < x.array.ndim or any([n < 0 for n in sizes]):
        raise ValueError(f"repeat: expected {x.array.ndim} or more sizes of at least 0 for shape {x.array.shape}, "
                         f"got {sizes}")
    expect_room("repeat", (*sizes, *x.array.shape))
    return apply(Repeat(sizes), x)


def tile(input, *sizes, dims=None):
    """`repeat`, with missing leading sizes taken as 1."""
    expect_tensor("tile", input)
    dims = _integers("tile", sizes if dims is None else named_sizes("tile", "dims", sizes, dims))
    return repeat(input, (1,) * (input.array.ndim - len(dims)) + dims)


def repeat_interleave(input=None, repeats=None, dim=None, *, output_size=None, axis=None):
    """Each element (dim=None: of the flattened input) or slice along `dim` `repeats` times in a row: one number, or a 1-d
    integer tensor of one each. Such a tensor alone, without input, repeats the places: i comes repeats[i] times."""
    if axis is not None:
        dim = axis_as_dim("repeat_interleave", dim, axis)
    if repeats is None or input is None and hasattr(repeats, "array"):
        repeats = input if repeats is None else repeats
        expect_tensor("repeat_interleave", repeats)
        if repeats.array.ndim != 1:
            raise ValueError(f"repeat_interleave: expected repeats of one dimension, got shape {repeats.array.shape}")
        input = wrap(to_device(np.arange(repeats.array.size, dtype=repeats.array.dtype), device_of(repeats.array)))
    expect_tensor("repeat_interleave", input)
    if dim is None:
        input, dim = reshape(input, -1), 0
    axis = normalize_axis("repeat_interleave", dim, input.array.ndim)
    shape = input.array.shape or (1,)
    if hasattr(repeats, "array") and repeats.array.size != 1:
        counts = repeats.tolist()
        if repeats.array.ndim != 1 or repeats.array.dtype.kind != "i" or len(counts) != shape[axis] or min(counts, default=0) < 0:
            raise ValueError(f"repeat_interleave: expected a number of 0 or more for each of the {shape[axis]} slices along "
                             f"dim {dim}, got {counts}")
        expect_room("repeat_interleave", (sum(counts),))
        places = wrap(to_device(np.repeat(np.arange(len(counts)), counts), device_of(input.array)))
        return input[(slice(None),) * axis + (places,)]
    (repeats,) = _integers("repeat_interleave", (repeats.item() if hasattr(repeats, "array") else repeats,))
    if repeats < 0:
        raise ValueError(f"repeat_interleave: expected repeats of 0 or more, got {repeats}")
    expect_room("repeat_interleave", (*shape, repeats))
    input = reshape(input, shape)
    grown = expand(unsqueeze(input, axis + 1), shape[:axis + 1] + (repeats,) + shape[axis + 1:])
    return reshape(grown, shape[:axis] + (shape[axis] * repeats,) + shape[axis + 1:])


def meshgrid(*tensors, indexing="ij"):
    """Vectors of n, m, ... elements (or numbers) as grids of shape (n, m, ...), the first varying along axis 0; with
    indexing="xy" the first two axes of the grids are swapped."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    tensors = [reshape(x, 1) if not x.array.ndim else x for x in _sequence("meshgrid", tuple(tensors))]
    if indexing not in (None, "ij", "xy"):
        raise ValueError(f'meshgrid: expected indexing "ij" or "xy", got {indexing!r}')
    for x in tensors:
        if x.array.ndim > 1:
            raise ValueError(f"meshgrid: expected vectors or numbers, got shape {x.array.shape}")
    swap = indexing == "xy" and len(tensors) > 1
    order = [1, 0, *range(2, len(tensors))] if swap else list(range(len(tensors)))
    shape = tuple([tensors[i].array.size for i in order])
    grids = []
    for i, x in enumerate(tensors):
        at = order.index(i)
        grids.append(expand(reshape(x, (1,) * at + (x.array.size,) + (1,) * (len(shape) - at - 1)), shape))
    return tuple(grids)


def cartesian_prod(*tensors):
    """All combinations of the elements of some vectors, as rows."""
    tensors = _sequence("cartesian_prod", tensors)
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, -1) for g in meshgrid(*tensors)], 1)


def tril(input, diagonal=0):
    """The lower triangle of the last two axes: 0 above the diagonal (`diagonal` above the main one)."""
    expect_tensor("tril", input)
    return _triangle("tril", input, diagonal, False)


def triu(input, diagonal=0):
    """The upper triangle of the last two axes: 0 below the diagonal (`diagonal` above the main one)."""
    expect_tensor("triu", input)
    return _triangle("triu", input, diagonal, True)


def _triangle(name, x, diagonal, upper):
    if x.array.ndim < 2:
        raise ValueError(f"{name}: expected at least 2 dimensions, got shape {x.array.shape}")
    return apply(Triangle(*_integers(name, (diagonal,)), upper), x)
