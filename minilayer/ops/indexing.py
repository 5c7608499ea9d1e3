"""Indexing, reading and writing: x[...], x[...] = v, and the functions built on them.

    getitem     ints, slices, None and Ellipsis give a view (Slice). Masks and integer arrays give a copy: every index
                becomes one flat row number, checked against the bounds, and the rows are taken (Take).
    setitem     the same two ways, written in place (PutSlice, or Put).

Take and its mirror image Spread (add rows into zeros) are each other's gradient, so both can be differentiated again.
Rules and placement are PyTorch's: ints are applied first; index arrays side by side put their axes in their place,
index arrays with slices between them put theirs in front; a slice's step must be positive.
"""
from math import prod as _size

import numpy as np

from minilayer._ext.dispatch import family
from minilayer._ext.runtime import constant
from minilayer.device import (
    address,
    axis_as_dim,
    broadcast_shapes,
    broadcast_to,
    cast,
    contiguous,
    copy,
    device_of,
    empty,
    empty_like,
    full,
    normalize_axis,
    zeros,
)
from minilayer.device import to_device as move
from minilayer.inplace import apply_inplace
from minilayer.node import TensorBase, wrap
from minilayer.promotion import NUMBERS
from minilayer.promotion import cast as cast_tensor
from minilayer.state import no_grad
from minilayer.tape import Cost, Op, apply, elementwise_cost, expect_tensor

arithmetic = family("arithmetic")
kernels = family("indexing")
reductions = family("reduce")
scatters = family("scatter")

int32, int64, boolean = np.dtype("int32"), np.dtype("int64"), np.dtype("bool")


def _nothing(x, shape):
    """Zeros of any shape that take one element of memory: the gradient of what was overwritten."""
    return broadcast_to(full((), 0, x.dtype, x), shape)


# ---- reading and writing whole tensors ----

class Clone(Op):
    """y = x in memory of its own, C order; dx = dy"""
    name = "clone"

    def forward(self, node, x):
        return copy(x)

    def backward(self, node, dy):
        return dy

    def backward_graph(self, node, dy):
        return dy

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class ToDevice(Op):
    """y = x on another device; dx = dy, brought back"""
    name = "to_device"

    def __init__(self, device):
        self.device = device

    def forward(self, node, x):
        self._source = device_of(x)
        return move(x, self.device)

    def backward(self, node, dy):
        return move(contiguous(dy), self._source)

    def backward_graph(self, node, dy):
        return apply(ToDevice(self._source), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class Copy(Op):
    """target = value, broadcast and cast, in place; dvalue = dy, and nothing flows to what the target was."""
    name = "copy"
    broadcasts = True

    def forward_inplace(self, node, target, value):
        self._dtype = value.dtype
        kernels.on(target).copy(value, target)

    def forward(self, node, target, value):
        y = empty_like(target)
        self.forward_inplace(node, y, value)
        return y

    def backward(self, node, dy):
        return _nothing(dy, dy.shape), dy if dy.dtype == self._dtype else cast(dy, self._dtype)

    def backward_graph(self, node, dy):
        return wrap(_nothing(dy.array, dy.shape)), cast_tensor(dy, self._dtype)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class Fill(Op):
    """target = one number everywhere, in place; nothing flows to what the target was."""
    name = "fill"

    def __init__(self, value):
        self.value = value

    def forward_inplace(self, node, target):
        kernels.on(target).fill(target, value=self.value)

    def forward(self, node, target):
        return full(target.shape, self.value, target.dtype, target)

    def backward(self, node, dy):
        return _nothing(dy, dy.shape)

    def backward_graph(self, node, dy):
        return wrap(_nothing(dy.array, dy.shape))

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 4 * _size(out_shapes[0]), 0)


def clone(input):
    """A copy of input in memory of its own; gradients flow through it."""
    expect_tensor("clone", input)
    return apply(Clone(), input)


def to_device(x, device):
    """x on "cpu", "cuda" or a registered device; x itself when it is there already."""
    expect_tensor("to_device", x)
    if str(device).partition(":")[0] == device_of(x.array):
        return x
    return apply(ToDevice(str(device)), x)


def copy_(x, other, non_blocking=False):
    """Write another tensor's values into x, broadcast and cast. (Copies always wait, also with PyTorch's `non_blocking`.)"""
    if not isinstance(other, TensorBase):
        raise TypeError(f"copy_: expected a tensor to copy from, got {type(other).__name__}")
    return _write("copy_", x, other)


def fill_(x, value):
    """Write one number (or the value of a 0-d tensor) everywhere into x."""
    if isinstance(value, TensorBase):
        if value.array.ndim:
            raise ValueError(f"fill_: expected a number or a 0-d tensor, got shape {value.array.shape}")
        return _write("fill_", x, value)
    return apply_inplace(Fill(fitting("fill_", value, x.array.dtype)), x)


def fitting(name, value, dtype):
    """A number that fits a dtype, as it is (written into an integer, a float loses its fraction); an error otherwise."""
    if not isinstance(value, NUMBERS) or isinstance(value, np.complexfloating):
        raise TypeError(f"{name}: expected a number or a tensor, got {type(value).__name__}")
    try:
        if dtype.kind in "iu":
            least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
            fits = least <= int(value) <= most
        else:
            fits = float(value) is not None
    except (OverflowError, ValueError):         # infinite, NaN, or an integer beyond all floats
        fits = False
    if not fits:
        raise ValueError(f"{name}: the number {value} does not fit in {dtype}; use a number that does, or .float()")
    return value


def _write(name, target, value):
    value = _fitted(name, value, target, target.array.shape, False)
    if target.array.dtype.kind != "f" and value.requires_grad:
        value = value.detach()
    return apply_inplace(Copy(), target, value, name=name)


# ---- basic indexing: a view ----

class Slice(Op):
    """y = x[index] for ints, slices and None, as a view; dx = 0 but for dx[index] = dy"""
    name = "slice"
    view = True

    def __init__(self, index):
        self._index = index

    def forward(self, node, x):
        self._shape = x.shape
        if node.recording:
            node.save(empty((0,), x.dtype, x))          # node.gradient needs an array on the device, not x
        return x[(*self._index, Ellipsis)]

    def backward(self, node, dy):
        # Many slices of one x: those after the second add into the sum that is there, not each a whole array.
        dx, accumulate = node.gradient(0, self._shape, dy.dtype)
        region = dx[(*self._index, Ellipsis)]
        if accumulate:
            arithmetic.on(dy).add(region, dy, region)
        else:
            kernels.on(dy).fill(dx, value=0)
            kernels.on(dy).copy(dy, region)
        return dx

    def backward_graph(self, node, dy):
        return apply(Unslice(self._index, self._shape), dy)

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 0, 4 * (_size(shapes[0]) + 2 * _size(out_shapes[0])))

    def settings(self):
        return show_index(self._index)


class Unslice(Op):
    """y = zeros but for y[index] = x, the gradient of a slice; dx = dy[index]"""
    name = "unslice"

    def __init__(self, index, shape):
        self._index = index
        self.shape = shape

    def forward(self, node, x):
        y = zeros(self.shape, x.dtype, x)
        kernels.on(x).copy(x, y[(*self._index, Ellipsis)])
        return y

    def backward(self, node, dy):
        return dy[(*self._index, Ellipsis)]

    def backward_graph(self, node, dy):
        return apply(Slice(self._index), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class PutSlice(Op):
    """target[index] = value, in place (`value` a tensor, or a number in the op); dvalue = dy[index], dtarget = dy with
    zeros there."""
    name = "put_slice"
    broadcasts = True

    def __init__(self, index, number=None):
        self._index = index
        self.number = number

    def write(self, target, *value):
        region = target[(*self._index, Ellipsis)]
        if value:
            kernels.on(target).copy(value[0], region)
        else:
            kernels.on(target).fill(region, value=self.number)

    def forward_inplace(self, node, target, *value):
        self.write(target, *value)

    def forward(self, node, target, *value):
        y = copy(target)
        self.write(y, *value)
        return y

    def backward(self, node, dy):
        dtarget = None
        if node.needs(0):
            dtarget = copy(dy)
            kernels.on(dy).fill(dtarget[(*self._index, Ellipsis)], value=0)
        return dtarget if self.number is not None else (dtarget, dy[(*self._index, Ellipsis)])

    def backward_graph(self, node, dy):
        dtarget = apply(PutSlice(self._index, 0), dy)
        return dtarget if self.number is not None else (dtarget, apply(Slice(self._index), dy))

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 8 * _size(shapes[-1]), 8 * _size(out_shapes[0]))

    def settings(self):
        return show_index(self._index) + ("" if self.number is None else f", {self.number}")


def show_index(index) -> str:
    """(slice(0, 3, 1), 2) as "[0:3, 2]"."""
    return "[" + ", ".join([f"{i.start}:{i.stop}" + (f":{i.step}" if i.step != 1 else "") if isinstance(i, slice)
                            else str(i) for i in index]) + "]"


# ---- rows by number ----

class Take(Op):
    """y = the rows of x that `flat` names: x seen as (rows, L), y as (flat.size, L), y_i = x_flat[i];
    dx = Spread(dy): rows named several times add up."""
    name = "take"

    def __init__(self, rows, shape):
        self.rows = rows                # how many rows x is seen as
        self.shape = shape              # of y

    def forward(self, node, x, flat):
        self._before = x.shape
        y = empty(self.shape, x.dtype, x)
        n = flat.size
        if y.size:
            kernels.on(x).take_rows(contiguous(x).reshape((self.rows, -1)), flat.reshape((n,)), y.reshape((n, -1)))
        node.save(flat)
        return y

    def backward(self, node, dy):
        (flat,) = node.saved
        dx, accumulate = node.gradient(0, self._before, dy.dtype)
        if not accumulate:
            kernels.on(dx).fill(dx, value=0)
        _add_rows(dx, self.rows, flat, dy)
        return dx, None

    def backward_graph(self, node, dy):
        flat = node.saved_tensors[0]
        return apply(Spread(self.rows, self._before), dy, flat), None

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(0, m, 8 * m, 4 * (n + 3 * m))


def _add_rows(dx, rows, flat, v):
    """dx[flat[i]] += v[i], both seen as rows."""
    if v.size:
        n = flat.size
        kernels.on(dx).add_rows(dx.reshape((rows, -1)), flat.reshape((n,)), contiguous(v).reshape((n, -1)))


class Spread(Op):
    """y = zeros with x's rows added where `flat` says: y_flat[i] += x_i; dx = Take(dy)"""
    name = "spread"

    def __init__(self, rows, shape):
        self.rows = rows
        self.shape = shape

    def forward(self, node, x, flat):
        self._before = x.shape
        y = zeros(self.shape, x.dtype, x)
        _add_rows(y, self.rows, flat, x)
        node.save(flat)
        return y

    def backward(self, node, dy):
        (flat,) = node.saved
        dx, n = empty(self._before, dy.dtype, dy), flat.size
        if dx.size:
            kernels.on(dy).take_rows(contiguous(dy).reshape((self.rows, -1)), flat.reshape((n,)), dx.reshape((n, -1)))
        return dx, None

    def backward_graph(self, node, dy):
        return apply(Take(self.rows, self._before), dy, node.saved_tensors[0]), None

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(n, 0, 4 * (3 * n + m), 8 * n)


class Put(Op):
    """target's rows = value's where `flat` says, in place (of equal rows the last wins); dvalue = dy's rows there,
    dtarget = dy with zeros there."""
    name = "put"
    broadcasts = True

    def __init__(self, rows, shape):
        self.rows = rows
        self.shape = shape              # that value is broadcast to

    def write(self, target, value, flat):
        n = flat.size
        if not _size(self.shape):
            return
        whole = contiguous(target)
        value = contiguous(broadcast_to(value, self.shape)).reshape((n, -1))
        kernels.on(target).put_rows(whole.reshape((self.rows, -1)), flat.reshape((n,)), value)
        if whole is not target:
            kernels.on(target).copy(whole, target)

    def forward_inplace(self, node, target, value, flat):
        self.write(target, value, flat)
        node.save(flat)

    def forward(self, node, target, value, flat):
        y = copy(target)
        self.write(y, value, flat)
        node.save(flat)
        return y

    def backward(self, node, dy):
        (flat,) = node.saved
        dtarget = dvalue = None
        n = flat.size
        if node.needs(0):
            dtarget = copy(dy)
            self.write(dtarget, full((), 0, dy.dtype, dy), flat)
        if node.needs(1):
            dvalue = empty(self.shape, dy.dtype, dy)
            if dvalue.size:
                kernels.on(dy).take_rows(contiguous(dy).reshape((self.rows, -1)), flat.reshape((n,)),
                                         dvalue.reshape((n, -1)))
        return dtarget, dvalue, None

    def backward_graph(self, node, dy):
        flat = node.saved_tensors[0]
        zero = wrap(full((), 0, dy.dtype, dy.array))
        return apply(Put(self.rows, self.shape), dy, zero, flat), apply(Take(self.rows, self.shape), dy, flat), None

    def cost(self, shapes, out_shapes):
        n, m = _size(out_shapes[0]), _size(self.shape)
        return Cost(0, 0, 8 * m, 4 * (2 * n + 3 * m))


class MaskedFill(Op):
    """y = value (0-d) where mask, else x; dx = 0 where mask, else dy; dvalue = the sum of dy where mask"""
    name = "masked_fill"
    broadcasts = True

    def forward(self, node, x, mask, value):
        y = empty(broadcast_shapes("masked_fill", x.shape, mask.shape), x.dtype, x)
        arithmetic.on(x).where(mask, value, x, y)
        node.save(mask)
        return y

    def forward_inplace(self, node, target, mask, value):
        broadcast_to(mask, target.shape)        # raises where the mask has more axes than the target
        arithmetic.on(target).where(mask, value, target, target)
        node.save(mask)

    def backward(self, node, dy):
        (mask,) = node.saved
        zero, dx, dvalue = full((), 0, dy.dtype, dy), None, None
        if node.needs(0):
            dx = empty_like(dy)
            arithmetic.on(dy).where(mask, zero, dy, dx)
        if node.needs(2):
            dvalue = empty_like(dy)
            arithmetic.on(dy).where(mask, dy, zero, dvalue)
        return dx, None, dvalue

    def backward_graph(self, node, dy):
        mask = node.saved_tensors[0]
        return masked_fill(dy, mask, 0), None, masked_fill(dy, ~mask, 0)

    def cost(self, shapes, out_shapes):
        n = _size(out_shapes[0])
        return Cost(0, 0, 9 * n, 9 * n)


# ---- understanding an index ----

def _is_basic(i) -> bool:
    return i is None or i is Ellipsis or type(i) is int or isinstance(i, slice)


def _as_index_array(name, i, x):
    """An index array, on x's device, as int64 or bool; or an int where it is a 0-d integer."""
    if isinstance(i, TensorBase):
        array = i.array
        if not array.ndim and array.dtype.kind in "iu":
            return i.item()
    else:
        if isinstance(i, (list, tuple, range)):
            i = np.array([j.item() if isinstance(j, TensorBase) and not j.array.ndim else j for j in i])
            i = constant(i if i.size else i.astype(int64))
        if not isinstance(i, np.ndarray):
            raise IndexError(f"{name}: expected ints, slices, None, ... or arrays of integers or bools as index, "
                             f"got {type(i).__name__}")
        array = i
        if array.dtype.kind == "u" and array.dtype.itemsize > 1 or array.dtype.kind == "i" and array.dtype != int64:
            array = array.astype(int64)
    if array.dtype == "uint8":
        raise IndexError(f"{name}: a uint8 index is ambiguous; use .bool() for a mask or .long() for places")
    if array.dtype.kind not in "ib":
        raise IndexError(f"{name}: expected integers or bools as index, got {array.dtype}")
    array = move(array, device_of(x))
    return array if array.dtype in (int64, boolean) else cast(array, int64)


def parse_index(name, x, index):
    """(basic, advanced): a tuple of ints, slices and None to apply first, and {axis of what that gives: int64 or bool
    array}. A mask of m dimensions stands at its first axis; `rows_of` spreads it. A single bool is a mask of no
    dimensions: a new axis of size 1 of which it takes all or nothing."""
    if not isinstance(index, tuple):
        index = (index,)
    items, used = [], 0
    for i in index:
        if not _is_basic(i):
            if isinstance(i, (bool, np.bool_)):
                i = _as_index_array(name, np.array(i), x)
            elif hasattr(i, "__index__") and not isinstance(i, (TensorBase, np.ndarray)):
                i = i.__index__()
            else:
                i = _as_index_array(name, i, x)
        items.append(i)
        if i is not None and i is not Ellipsis:
            used += i.ndim if not isinstance(i, (int, slice)) and i.dtype == boolean else 1
    if used > x.ndim:
        raise IndexError(f"{name}: too many indices: got {used} for a tensor of shape {x.shape}")
    dots = [k for k, i in enumerate(items) if i is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"{name}: expected at most one Ellipsis, got {len(dots)}")
    at = dots[0] if dots else len(items)
    items[at:at + 1] = [slice(None)] * (x.ndim - used)

    basic, advanced, axis, place = [], {}, 0, 0         # axis of x, axis of the result of the basic part
    for i in items:
        if i is None:
            basic.append(None)
            place += 1
        elif isinstance(i, int):
            n = x.shape[axis]
            if not -n <= i < n:
                raise IndexError(f"{name}: index {i} is out of bounds for axis {axis} with size {n}")
            basic.append(i + n if i < 0 else i)
            axis += 1
        elif isinstance(i, slice):
            basic.append(_plain_slice(name, i, x.shape[axis]))
            axis += 1
            place += 1
        else:
            count = i.ndim if i.dtype == boolean else 1
            if i.dtype == boolean:
                if i.ndim == 0:
                    basic.append(None)
                    advanced[place] = i.reshape((1,))
                    place += 1
                    continue
                if i.shape != x.shape[axis:axis + count]:
                    raise IndexError(f"{name}: the mask's shape {i.shape} does not match the tensor's shape {x.shape} "
                                     f"at axis {axis}")
            advanced[place] = i
            for n in x.shape[axis:axis + count]:
                basic.append(slice(0, n, 1))
            axis += count
            place += count
    return tuple(basic), advanced


def _plain_slice(name, s, n):
    """A slice with start, stop and step as numbers inside an axis of size n."""
    if s.step is not None and s.step.__index__() <= 0:
        raise ValueError(f"{name}: expected a slice step above 0, got {s.step}; use flip to reverse an axis")
    start, stop, step = s.indices(n)
    return slice(start, max(start, stop), step)


def _whole(basic, shape) -> bool:
    """Does the basic part leave x as it is?"""
    return len(basic) == len(shape) and all([isinstance(i, slice) and i == slice(0, n, 1)
                                             for i, n in zip(basic, shape, strict=True)])


def rows_of(name, x, advanced):
    """Index arrays as row numbers: (flat, rows, shape of x[index]).

    x is seen as (rows, L), L the axes after the last index array. `flat` has the shape of the result without L.
    """
    arrays = {}                             # axis -> int64 array
    for axis, i in advanced.items():
        if i.dtype == boolean:
            count = kernels.on(i).count_nonzero(i)
            places = empty((count, i.ndim), int64, i)
            kernels.on(i).nonzero(i, places)
            for d in range(i.ndim):
                arrays[axis + d] = places[:, d]
        else:
            arrays[axis] = i
    axes = sorted(arrays)
    last = axes[-1] + 1
    try:
        shared = broadcast_shapes(name, *[a.shape for a in arrays.values()])
    except ValueError:
        raise IndexError(f"{name}: expected index arrays that broadcast together, got shapes "
                         f"{', '.join(str(a.shape) for a in arrays.values())}") from None
    between = [d for d in range(last) if d not in arrays]
    side_by_side = axes == list(range(axes[0], last))
    if side_by_side:                        # the arrays' axes come where they stand: after those before them
        shape = tuple([x.shape[d] for d in between]) + shared
        first, behind = 0, ()
    else:                                   # else in front
        shape = shared + tuple([x.shape[d] for d in between])
        first, behind = len(shared), (1,) * len(between)
    indices, sizes = [], x.shape[:last]
    for d in range(last):
        if d in arrays:
            indices.append(arrays[d].reshape(arrays[d].shape + behind))
        else:
            indices.append(first + between.index(d))
    flat = empty(shape, int64, x)
    try:
        kernels.on(x).flatten_index(tuple(indices), flat, sizes=sizes)
    except IndexError as error:
        raise IndexError(f"{name}: {error}") from None
    return flat, _size(sizes), shape + x.shape[last:]


def getitem(x, index):
    """x[index], as PyTorch and NumPy index: a view for ints, slices, None and Ellipsis, else a copy."""
    array = x.array
    if type(index) is int and array.ndim:                   # by far the commonest
        n = array.shape[0]
        if not -n <= index < n:
            raise IndexError(f"getitem: index {index} is out of bounds for axis 0 with size {n}")
        return apply(Slice((index + n if index < 0 else index,)), x)
    basic, advanced = parse_index("getitem", array, index)
    if not advanced:
        return apply(Slice(basic), x)
    if not _whole(basic, array.shape):
        x = apply(Slice(basic), x)
    flat, rows, shape = rows_of("getitem", x.array, advanced)
    return apply(Take(rows, shape), x, wrap(flat))


def setitem(x, index, value):
    """x[index] = value, in place: a number, a tensor or an array that broadcasts to x[index]."""
    array = x.array
    if isinstance(value, (np.ndarray, list, tuple)):
        try:
            values = np.asarray(value, array.dtype)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"setitem: expected numbers that fit in {array.dtype}, in rows of equal length, got "
                             f"{str(value)[:80]} ({error})") from None
        value = wrap(move(constant(values), device_of(array)))
    elif not isinstance(value, TensorBase):
        value = fitting("setitem", value, array.dtype)
    basic, advanced = parse_index("setitem", array, index)
    if not advanced:
        if not isinstance(value, TensorBase):
            apply_inplace(PutSlice(basic, value), x)
            return
        region = array[(*basic, Ellipsis)]
        base = x if x.base is None else x.base
        if value.base is not base or not _same_place(value.array, region):      # x[i] += v ends with x[i] = x[i]
            apply_inplace(PutSlice(basic), x, _fitted("setitem", value, x, region.shape))
        return
    part = x if _whole(basic, array.shape) else apply(Slice(basic), x)
    number = not isinstance(value, TensorBase)
    if number:
        value = wrap(full((), value, array.dtype, array))
    if number and len(advanced) == 1:
        ((axis, mask),) = advanced.items()
        if mask.dtype == boolean:           # every element has its bool: nothing to look up
            mask = mask.reshape(mask.shape + (1,) * (part.array.ndim - axis - mask.ndim))
            if part.requires_grad or value.requires_grad:           # the caller may write to the mask before backward
                mask = copy(mask)
            apply_inplace(MaskedFill(), part, wrap(mask), value)
            return
    flat, rows, shape = rows_of("setitem", part.array, advanced)
    value = _fitted("setitem", value, part, shape)
    apply_inplace(Put(rows, shape), part, value, wrap(flat))


def _fitted(name, value, target, shape, in_dtype=True):
    """A tensor to write, on target's device, in its dtype and with no more axes than `shape` (PyTorch drops leading
    axes of size 1 here)."""
    own = value.array.shape
    while len(own) > len(shape) and own[0] == 1:
        own = own[1:]
    if len(own) > len(shape) or any([n not in (1, m) for n, m in zip(reversed(own), reversed(shape))]):
        raise ValueError(f"{name}: expected values that broadcast to shape {shape}, got {value.array.shape}")
    if own != value.array.shape:
        value = value.reshape(own)
    if device_of(value.array) != device_of(target.array):
        value = apply(ToDevice(device_of(target.array)), value)
    return cast_tensor(value, target.array.dtype) if in_dtype else value


def _same_place(a, b) -> bool:
    return (a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype and type(a) is type(b)
            and address(a) == address(b))


class Combine(Op):
    """y = target combined with v at the places `flat` names, by "amax", "amin" or "prod". Equal ones share an extreme's
    gradient evenly, among them the target's: or, as PyTorch counts, what `own` holds, the target before its values at
    those places were left out."""
    name = "combine"
    required = 3

    def __init__(self, reduce):
        self.reduce = reduce

    def forward(self, node, target, v, flat, own):
        y = copy(target)
        kernel = {"amax": "maximum_at", "amin": "minimum_at", "prod": "multiply_at"}[self.reduce]
        getattr(scatters.on(y), kernel)(y.reshape((-1,)), flat.reshape((-1,)), contiguous(v).reshape((-1,)))
        node.save(target, v, flat, y, target if own is None else own)
        return y

    def backward(self, node, dy):
        with no_grad():
            dtarget, dv = self.gradients(*[wrap(a) for a in node.saved], wrap(dy))
        return dtarget.array, dv.array, None, None

    def backward_graph(self, node, dy):
        target, v = node.saved_tensors[:2]
        if self.reduce == "prod" and ((target == 0).any().item() or (v == 0).any().item()):
            raise RuntimeError("scatter_reduce: gradients of gradients (create_graph=True) are not written for products of "
                               "which some factor is 0")
        dtarget, dv = self.gradients(*node.saved_tensors, dy)
        return dtarget, dv, None, None

    def gradients(self, target, v, flat, y, own, dy):
        n = target.array.size
        if self.reduce == "prod":           # dy times the product of the others: without 0s, y over each factor
            zeros = [cast_tensor(t.detach() == 0, t.array.dtype) for t in (target, v)]
            filled = [t.masked_fill(t.detach() == 0, 1.0) for t in (target, v)]
            count = zeros[0] + apply(Spread(n, target.array.shape), zeros[1], flat)
            rest = apply(Combine("prod"), filled[0], filled[1], flat, None)       # the product of what is not 0

            def share(factor, zero, count, rest, dy):
                others = count - zero               # 0s among the other factors: with any, nothing flows
                return (dy * rest / factor).masked_fill(others.detach() != 0, 0.0)
            at = [apply(Take(n, v.array.shape), t, flat) for t in (count, rest, dy)]
            return (share(filled[0], zeros[0], count, rest, dy), share(filled[1], zeros[1], *at))
        here = cast_tensor(own.detach() == y.detach(), y.array.dtype)
        there = cast_tensor(v.detach() == apply(Take(n, v.array.shape), y.detach(), flat), y.array.dtype)
        share = dy / (here + apply(Spread(n, target.array.shape), there, flat))
        return (share * here), apply(Take(n, v.array.shape), share, flat) * there

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(shapes[1])
        return Cost(m, 6 * (n + m), 4 * (2 * n + 4 * m), 32 * (n + m))


# ---- functions ----

def masked_fill(input, mask, value):
    """input with `value` (a number or 0-d tensor) where the bool mask, which broadcasts with input, is True."""
    expect_tensor("masked_fill", input)
    if not isinstance(mask, TensorBase) or mask.array.dtype != boolean:
        raise TypeError(f"masked_fill: expected a bool tensor as mask, got "
                        f"{mask.array.dtype if isinstance(mask, TensorBase) else type(mask).__name__}; "
                        "compare, as in mask == 0, or use .bool()")
    if isinstance(value, TensorBase):
        if value.array.ndim:
            raise ValueError(f"masked_fill: expected a number or a 0-d tensor as value, got shape {value.array.shape}")
        value = cast_tensor(value, input.array.dtype)
    else:
        value = fitting("masked_fill", value, input.array.dtype)
        if input.array.dtype.kind != "f" and not float(value).is_integer():
            raise TypeError(f"masked_fill: the value {value} does not fit in {input.array.dtype}; use x.float()")
        value = wrap(full((), value, input.array.dtype, input.array))
    return apply(MaskedFill(), input, mask, value)


def masked_select(input, mask):
    """The elements of input where the bool mask, which broadcasts with input, is True, as a 1-d tensor."""
    expect_tensor("masked_select", input)
    shape = broadcast_shapes("masked_select", input.array.shape, mask.array.shape)
    return input.expand(shape)[mask.expand(shape)]


def _places(name, x, dim, index):
    """For gather and scatter: the flat number of x[.., index[i..], ..]."""
    array = x.array
    if not isinstance(index, TensorBase) or index.array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected an integer tensor as index, got "
                        f"{index.array.dtype if isinstance(index, TensorBase) else type(index).__name__}; use .long()")
    axis = normalize_axis(name, dim, array.ndim)
    places = index.array if index.array.dtype == int64 else cast(index.array, int64)
    shape = array.shape or (1,)
    _refuse_negative(name, places, axis, shape[axis])
    if places.ndim == 0:
        places = places.reshape((1,))
    if places.ndim != len(shape) or any([d != axis and n > shape[d] for d, n in enumerate(places.shape)]):
        raise ValueError(f"{name}: expected an index of {array.ndim} dimensions, no larger than shape {array.shape} "
                         f"but along dim {dim}, got shape {index.array.shape}")
    flat = empty(places.shape, int64, array)
    indices = tuple([places if d == axis else d for d in range(len(shape))])
    if places.size:
        try:
            kernels.on(array).flatten_index(indices, flat, sizes=shape)
        except IndexError as error:
            raise IndexError(f"{name}: {error}") from None
    return flat


def _refuse_negative(name, places, axis, size):
    """Places in gather's and its like's index count from 0; only in x[...] do negative ones count from the end."""
    if places.size:
        least = empty((1,) * places.ndim, places.dtype, places)
        reductions.on(places).min(places, least)
        least = wrap(least).item()
        if least < 0:
            raise IndexError(f"{name}: index {least} is out of bounds for dimension {axis} with size {size}; "
                             f"places count from 0 here, so add {size} to those that count from the end")


def gather(input, dim=None, index=None, *, sparse_grad=False, axis=None):
    """y[i, j, k] = input[index[i, j, k], j, k] for dim 0, and alike for the others; y has index's shape."""
    if axis is not None:
        dim = axis_as_dim("gather", dim, axis)
    if sparse_grad:
        raise NotImplementedError("gather: gradients are dense here, of the input's shape; leave out sparse_grad=True")
    expect_tensor("gather", input)
    flat = _places("gather", input, dim, index)
    return apply(Take(input.array.size, index.array.shape), input, wrap(flat))


def scatter(input, dim=None, index=None, src=None, *, value=None, reduce=None, axis=None):
    """input with y[index[i, j, k], j, k] = src[i, j, k] for dim 0, and alike for the others; src a tensor or a number (also
    as `value`). Of equal places the last wins; with reduce="add" or "multiply" they are added or multiplied in."""
    if axis is not None:
        dim = axis_as_dim("scatter", dim, axis)
    expect_tensor("scatter", input)
    src = value if src is None else src
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise ValueError(f'scatter: expected reduce to be None, "add" or "multiply", got {reduce!r}')
        if not isinstance(src, TensorBase):
            src = wrap(full(index.array.shape, fitting("scatter", src, input.array.dtype), input.array.dtype, input.array))
        return scatter_reduce(input, dim, index, src, {"add": "sum", "multiply": "prod"}[reduce])
    flat = _places("scatter", input, dim, index)
    if isinstance(src, TensorBase):
        src = _corner("scatter", src, index, input)
    else:
        src = wrap(full((), fitting("scatter", src, input.array.dtype), input.array.dtype, input.array))
    return apply(Put(input.array.size, index.array.shape), input, src, wrap(flat))


def scatter_reduce(input, dim=None, index=None, src=None, reduce=None, *, include_self=True, axis=None):
    """input with src[i, j, k] combined into [index[i, j, k], j, k] for dim 0, and alike for the others, by "sum", "prod",
    "mean", "amax" or "amin"; without include_self, only the src count at the places they go to."""
    if axis is not None:
        dim = axis_as_dim("scatter_reduce", dim, axis)
    expect_tensor("scatter_reduce", input)
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ValueError(f'scatter_reduce: expected reduce to be "sum", "prod", "mean", "amax" or "amin", got {reduce!r}')
    flat = wrap(_places("scatter_reduce", input, dim, index))
    src = _corner("scatter_reduce", src, index, input)
    return _combined(input, src, flat, reduce, include_self)


def _combined(x, src, flat, reduce, include_self):
    """x with src combined in at flat places."""
    rows, shape, own = x.array.size, x.array.shape, x.detach()
    if not include_self:
        start = {"sum": 0, "mean": 0, "prod": 1, "amax": _least(x.array.dtype), "amin": _most(x.array.dtype)}[reduce]
        x = apply(Put(rows, flat.array.shape), x, wrap(full((), start, x.array.dtype, x.array)), flat)
    if reduce in ("sum", "mean"):
        y = x + apply(Spread(rows, shape), src, flat)
        if reduce == "sum":
            return y
        count = apply(Spread(rows, shape), wrap(full(flat.array.shape, 1, x.array.dtype, x.array)), flat)
        count = (count + 1 if include_self else count.masked_fill(count == 0, 1)).detach()
        return y / count if x.array.dtype.kind == "f" else y.div(count, rounding_mode="floor")
    return apply(Combine(reduce), x, src, flat, own if reduce != "prod" else None)


def _least(dtype):
    return float("-inf") if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _most(dtype):
    return float("inf") if dtype.kind == "f" else int(np.iinfo(dtype).max)


def scatter_add(input, dim=None, index=None, src=None, *, axis=None):
    """input with src[i, j, k] added at [index[i, j, k], j, k] for dim 0, and alike for the others; equal places add up."""
    if axis is not None:
        dim = axis_as_dim("scatter_add", dim, axis)
    expect_tensor("scatter_add", input)
    flat = _places("scatter_add", input, dim, index)
    src = _corner("scatter_add", src, index, input)
    return input + apply(Spread(input.array.size, input.array.shape), src, wrap(flat))


def _corner(name, src, index, x):
    """The part of src, of x's type, that an index of its number of dimensions covers."""
    if not isinstance(src, TensorBase) or src.array.dtype != x.array.dtype:
        raise TypeError(f"{name}: expected src as a tensor in x's {x.array.dtype}, got "
                        f"{src.array.dtype if isinstance(src, TensorBase) else type(src).__name__}; use .to(x.dtype)")
    shape = index.array.shape
    if src.array.ndim != len(shape) or any([n > m for n, m in zip(shape, src.array.shape, strict=True)]):
        raise ValueError(f"{name}: expected a source of at least index's shape {shape}, got {src.array.shape}")
    return src if src.array.shape == shape else src[tuple([slice(0, n) for n in shape])]


def index_select(input, dim=None, index=None, *, axis=None):
    """The slices of input along `dim` that a 1-d index names."""
    if axis is not None:
        dim = axis_as_dim("index_select", dim, axis)
    expect_tensor("index_select", input)
    axis = normalize_axis("index_select", dim, input.array.ndim)
    if not isinstance(index, TensorBase) or index.array.ndim > 1:
        raise ValueError("index_select: expected a 1-d integer tensor as index, got "
                         + (f"shape {index.array.shape}" if isinstance(index, TensorBase) else type(index).__name__))
    if index.array.dtype not in (int64, int32):
        raise TypeError(f"index_select: expected int64 or int32 as index, got {index.array.dtype}; use .long()")
    _refuse_negative("index_select", index.array, axis, input.array.shape[axis] if input.array.ndim else 1)
    if not input.array.ndim:
        return getitem(input.reshape(1), (index.reshape(-1),)).reshape(())
    return getitem(input, (slice(None),) * axis + (index.reshape(-1),))


def _rows_at(name, x, dim, index, source=None):
    """For index_add and its like: (axis, flat places of whole slices of x along dim, source in their shape)."""
    expect_tensor(name, x)
    axis = normalize_axis(name, dim, x.array.ndim)
    if not isinstance(index, TensorBase) or index.array.ndim > 1 or index.array.dtype not in (int64, int32):
        raise TypeError(f"{name}: expected a 1-d int64 or int32 tensor as index, got "
                        + (f"shape {index.array.shape} and dtype {index.array.dtype}" if isinstance(index, TensorBase)
                           else type(index).__name__))
    shape = x.array.shape or (1,)
    n = index.array.size
    wanted = shape[:axis] + (n,) + shape[axis + 1:]
    if source is not None:
        expect_tensor(name, source)
        if (source.array.shape or (1,)) != wanted:
            raise ValueError(f"{name}: expected a source of shape {wanted}, as x {x.array.shape} but for the {n} places "
                             f"along dim {dim}, got {source.array.shape}")
        source = source.reshape(wanted)
        _refuse_negative(name, index.array, axis, shape[axis])
    places = index.array if index.array.dtype == int64 else cast(index.array, int64)
    flat = empty(wanted, int64, x.array)
    places = places.reshape((n,) + (1,) * (len(shape) - axis - 1))
    if flat.size:
        try:
            kernels.on(x.array).flatten_index(tuple([places if d == axis else d for d in range(len(shape))]), flat,
                                              sizes=shape)
        except IndexError as error:
            raise IndexError(f"{name}: {error}") from None
    return axis, wrap(flat), source


def index_add(input, dim=None, index=None, source=None, *, alpha=1, axis=None):
    """input with alpha times source's slices along `dim` added to the slices that a 1-d index names; equal places add up."""
    if axis is not None:
        dim = axis_as_dim("index_add", dim, axis)
    expect_tensor("index_add", source)
    _, flat, source = _rows_at("index_add", input, dim, index, source)
    if source.array.dtype != input.array.dtype:
        raise TypeError(f"index_add: expected a source in x's {input.array.dtype}, got {source.array.dtype}; use .to(x.dtype)")
    if alpha != 1:
        source = source * alpha
    return input + apply(Spread(input.array.size, input.array.shape), source, flat)


def index_copy(input, dim=None, index=None, source=None, *, axis=None):
    """input with source's slices along `dim` in place of those that a 1-d index names; of equal places the last wins."""
    if axis is not None:
        dim = axis_as_dim("index_copy", dim, axis)
    expect_tensor("index_copy", source)
    _, flat, source = _rows_at("index_copy", input, dim, index, source)
    return apply(Put(input.array.size, flat.array.shape), input, cast_tensor(source, input.array.dtype), flat)


def index_fill(input, dim=None, index=None, value=None, *, axis=None):
    """input with one number (or 0-d tensor) in all slices along `dim` that a 1-d index names; -1 is the last of them."""
    if axis is not None:
        dim = axis_as_dim("index_fill", dim, axis)
    _, flat, _ = _rows_at("index_fill", input, dim, index)
    if isinstance(value, TensorBase):
        if value.array.ndim:
            raise ValueError(f"index_fill: expected a number or a 0-d tensor as value, got shape {value.array.shape}")
        value = cast_tensor(value, input.array.dtype)
    else:
        value = wrap(full((), fitting("index_fill", value, input.array.dtype), input.array.dtype, input.array))
    return apply(Put(input.array.size, flat.array.shape), input, value, flat)


def index_reduce(input, dim=None, index=None, source=None, reduce=None, *, include_self=True, axis=None):
    """input with source's slices along `dim` combined into those that a 1-d index names, by "prod", "mean", "amax" or
    "amin"."""
    if axis is not None:
        dim = axis_as_dim("index_reduce", dim, axis)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ValueError(f'index_reduce: expected reduce to be "prod", "mean", "amax" or "amin", got {reduce!r}')
    expect_tensor("index_reduce", source)
    _, flat, source = _rows_at("index_reduce", input, dim, index, source)
    return _combined(input, source, flat, reduce, include_self)


def index_put(input, indices, values, accumulate=False):
    """input with input[indices] = values, indices a tuple of index tensors; with accumulate, equal places add up."""
    expect_tensor("index_put", input)
    y = input.clone()
    if accumulate:
        flat, rows, shape = rows_of("index_put", input.array, parse_index("index_put", input.array, tuple(indices))[1])
        values = cast_tensor(values, input.array.dtype).expand(shape)
        return y + apply(Spread(rows, input.array.shape), values, wrap(flat))
    setitem(y, tuple(indices), values)
    return y


def take(input, index):
    """The elements of the flattened input at these places (negative ones count from the end), in index's shape."""
    expect_tensor("take", input)
    if not isinstance(index, TensorBase) or index.array.dtype != int64:
        raise TypeError("take: expected an int64 tensor as index, got "
                        f"{index.array.dtype if isinstance(index, TensorBase) else type(index).__name__}; use .long()")
    return getitem(input.reshape(-1), index)


def take_along_dim(input, indices, dim=None, *, axis=None):
    """input's elements at these places along `dim`, the other axes broadcast; -1 is the last. Of the flattened input where
    dim is None (there none count from the end, as in PyTorch)."""
    if axis is not None:
        dim = axis_as_dim("take_along_dim", dim, axis)
    expect_tensor("take_along_dim", input)
    if not isinstance(indices, TensorBase) or indices.array.dtype != int64:
        raise TypeError("take_along_dim: expected an int64 tensor as indices, got "
                        f"{indices.array.dtype if isinstance(indices, TensorBase) else type(indices).__name__}; use .long()")
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    axis = normalize_axis("take_along_dim", dim, input.array.ndim)
    if input.array.ndim:
        indices = indices.where(indices >= 0, indices + input.array.shape[axis])        # (gather takes none from the end)
    a, b = list(input.array.shape), list(indices.array.shape)
    if len(a) != len(b):
        raise ValueError(f"take_along_dim: expected indices of {len(a)} dimensions, got shape {indices.array.shape}")
    shape = list(broadcast_shapes("take_along_dim", (*a[:axis], 1, *a[axis + 1:]), (*b[:axis], 1, *b[axis + 1:])))
    return gather(input.expand(*shape[:axis], a[axis], *shape[axis + 1:]), axis,
                  indices.expand(*shape[:axis], b[axis], *shape[axis + 1:]))


def masked_scatter(input, mask, source):
    """input with the elements of `source`, in order, where the bool mask, which broadcasts with input, is True."""
    expect_tensor("masked_scatter", input)
    if not isinstance(mask, TensorBase) or mask.array.dtype != boolean:
        raise TypeError("masked_scatter: expected a bool tensor as mask, got "
                        f"{mask.array.dtype if isinstance(mask, TensorBase) else type(mask).__name__}; use .bool()")
    if source.array.dtype != input.array.dtype:
        raise TypeError(f"masked_scatter: expected a source in x's {input.array.dtype}, got {source.array.dtype}; "
                        "use .to(x.dtype)")
    shape = broadcast_shapes("masked_scatter", input.array.shape, mask.array.shape)
    y, mask = input.expand(shape).clone(), mask.expand(shape)
    count = kernels.on(mask.array).count_nonzero(mask.array)
    if source.array.size < count:
        raise ValueError(f"masked_scatter: expected a source of at least {count} elements, one for each True of the mask, "
                         f"got {source.array.size}")
    y[mask] = source.reshape(-1)[:count]
    return y


def nonzero(input, *, as_tuple=False):
    """The coordinates of the elements that are not 0, in C order: int64, (count, input.ndim); or, as_tuple, a 1-d tensor for
    each axis, by which input can be indexed."""
    expect_tensor("nonzero", input)
    if as_tuple and not input.array.ndim:
        input = input.reshape(1)
    count = kernels.on(input.array).count_nonzero(input.array)
    index = empty((count, input.array.ndim), int64, input.array)
    kernels.on(input.array).nonzero(input.array, index)
    return tuple([wrap(copy(index[:, d])) for d in range(input.array.ndim)]) if as_tuple else wrap(index)


def argwhere(input):
    """`nonzero`: the coordinates of the elements that are not 0."""
    return nonzero(input)


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Which elements equal any of the test elements (with invert, none of them); either may be a number."""
    tensors = [t for t in (elements, test_elements) if isinstance(t, TensorBase)]
    if not tensors:
        raise TypeError("isin: expected at least one tensor, got "
                        f"{type(elements).__name__} and {type(test_elements).__name__}")
    elements, tests = [t if isinstance(t, TensorBase) else wrap(full((), t, tensors[0].array.dtype, tensors[0].array))
                       for t in (elements, test_elements)]
    found = (elements.unsqueeze(-1) == tests.reshape(-1)).any(-1)
    return ~found if invert else found


# ---- in place ----

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


def in_place(function):
    """x.f_(...) for a function f(x, ...): what f gives, written into x's memory."""
    name = function.__name__ + "_"

    def changed(x, *args, **kwargs):
        source = x.clone() if x.requires_grad else x            # f keeps values of x that are about to be overwritten
        y = function(source, *args, **kwargs)
        if y.array.shape != x.array.shape:
            raise ValueError(f"{name}: expected a result of the tensor's shape {x.array.shape}, got {y.array.shape}; "
                             "use the out-of-place form")
        if _CATEGORY[y.array.dtype.kind] > _CATEGORY[x.array.dtype.kind]:
            raise TypeError(f"{name}: the result is {y.array.dtype}, which does not fit in the tensor's {x.array.dtype}; "
                            "use the out-of-place form")
        return _write(name, x, y)
    changed.__name__ = changed.__qualname__ = name
    changed.__doc__ = f"`{function.__name__}`, written into the tensor's own memory."
    changed.__wrapped__ = function          # (whose arguments it shows)
    return changed


def one_hot(input, num_classes=-1):
    """y[..., c] = 1 where input[...] = c, else 0: int64, one more axis, of size num_classes (by default the largest label
    plus 1)."""
    expect_tensor("one_hot", input)
    array = input.array
    if array.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integer labels, got {array.dtype}; use .long()")
    if array.size and int(input.min().item()) < 0:
        raise IndexError(f"one_hot: expected labels of 0 or more, got {int(input.min().item())}")
    if num_classes == -1:
        if not array.size:
            raise ValueError("one_hot: cannot tell num_classes from no labels; pass it")
        num_classes = int(input.max().item()) + 1
    if not 0 < num_classes < 2**63:
        raise ValueError(f"one_hot: expected num_classes above 0 and below 2**63, got {num_classes}")
    y = zeros((*array.shape, num_classes), int64, array)
    n = array.size
    if n:
        labels = cast(array, int64).reshape((n,))
        flat = empty((n,), int64, array)
        try:
            kernels.on(array).flatten_index((0, labels), flat, sizes=(n, num_classes))
        except IndexError as error:
            raise IndexError(f"one_hot: expected labels below num_classes = {num_classes}: {error}") from None
        kernels.on(array).put_rows(y.reshape((-1, 1)), flat, broadcast_to(full((), 1, int64, array), (n, 1)))
    return wrap(y)
