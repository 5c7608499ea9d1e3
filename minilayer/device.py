"""Where arrays live, and how ops ask for them.

On the CPU an array is a NumPy array; on another device it is an array class of that device with the same small
vocabulary: shape, strides (bytes), dtype, ndim, size, reshape, transpose, basic slicing, and `device_type`; this file
asks it besides for `is_contiguous` and `address`. An op uses that vocabulary, the functions of this file and kernels, so
that the same op runs wherever its arrays live.

The third argument of `empty`, `zeros` and `full` is an array already on the wanted device.

Called, this module is PyTorch's `torch.device`: `minilayer.device("cpu")` is a `Device`.
"""
import sys
from math import prod as size_of
from types import ModuleType

import cython
from numpy import dtype as dtype_of
from numpy import may_share_memory, ndarray

from minilayer._ext.dispatch import family

if cython.compiled:
    from cython.cimports.minilayer._ext import runtime
else:
    from minilayer._ext import runtime

indexing = family("indexing")
_devices: dict = {}


def register(device_type: str, module) -> None:
    """Make a device known: `module` has `is_available()`, `why_unavailable()`, `empty(shape, dtype)`,
    `from_numpy(ndarray)`, `to_numpy(array)` and `as_strided(array, shape, strides, offset)`."""
    _devices[device_type] = module


def module_of(device_type: str):
    """The module behind a device's name; raises where it is unknown or cannot be used here."""
    if device_type not in _devices and device_type == "cuda":
        import minilayer.cuda  # registers itself; imported at first use, because most runs need no GPU
        _devices.setdefault("cuda", minilayer.cuda)
    module = _devices.get(device_type)
    if module is None:
        raise ValueError(f"device: expected 'cpu' or 'cuda', got {device_type!r}")
    if not module.is_available():
        raise RuntimeError(f"device {device_type!r} cannot be used here: {module.why_unavailable()}; use 'cpu'")
    return module


class Device(str):
    """A device's name, "cpu", "cuda" or "cuda:0", with its parts: `type` and `index` (None where it is not given). It is
    that string, so it is taken, compared and hashed wherever the name is."""

    def __new__(cls, type, index=None):
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = f"cuda:{type}", None
        if not isinstance(type, str):
            raise TypeError(f"device: expected a name as 'cpu' or 'cuda:0', got {type!r}")
        if index is not None:
            type = f"{type}:{index}"
        kind, colon, number = str(type).partition(":")
        if kind not in ("cpu", "cuda", *_devices) or colon and not (number.isascii() and number.isdigit()):
            raise ValueError(f"device: expected 'cpu' or 'cuda', alone or with a number as 'cuda:0', got {str(type)!r}")
        return super().__new__(cls, type)

    @property
    def type(self):
        """Its name without a number."""
        return str(self).partition(":")[0]

    @property
    def index(self):
        """Its number, or None."""
        number = str(self).partition(":")[2]
        return int(number) if number else None

    def __repr__(self):
        return f"device(type={self.type!r}{'' if self.index is None else f', index={self.index}'})"


class _Callable(ModuleType):
    """This module with what torch.device, a class, can do: make one, know one, stand in an annotation."""

    def __call__(self, type, index=None):
        return Device(type, index)

    def __instancecheck__(self, x):
        return isinstance(x, Device)

    def __or__(self, other):
        return Device | other

    def __ror__(self, other):
        return other | Device


def device_of(x) -> str:
    """The name of the device an array lives on."""
    return "cpu" if type(x) is ndarray else x.device_type


def to_device(x, device: str):
    """The same values on `device` ("cpu", "cuda" or a registered one); x itself when it is there already."""
    device = str(device).partition(":")[0]
    here = device_of(x)
    if device == here:
        return x
    if device == "cpu":
        return _devices[here].to_numpy(x)
    return module_of(device).from_numpy(to_device(x, "cpu"))


def read(x):
    """An array as an ndarray, for Python to look at the values."""
    runtime.cannot_repeat("a tensor's values read by Python (item, tolist, numpy, print, if, ...)")
    return to_device(x, "cpu")


# ---- making arrays ----

def empty(shape, dtype, like):
    """Unset values, C order."""
    if type(like) is ndarray:
        return runtime.empty(shape, dtype)
    return _devices[like.device_type].empty(shape, dtype)


def empty_like(x):
    """Unset values in x's shape and dtype, C order."""
    if type(x) is ndarray:
        return runtime.empty_like(x)
    return _devices[x.device_type].empty(x.shape, x.dtype)


def empty_broadcast(name, a, b, dtype=None):
    """Unset values in the shape that a and b broadcast to; `name` is the operation, for the error."""
    if type(a) is ndarray:
        return runtime.empty_broadcast(name, a, b, dtype)
    return empty(broadcast_shapes(name, a.shape, b.shape), dtype or a.dtype, a)


def empty_result(name, shape, x, remedy="ask for a smaller size"):
    """Unset values of x's dtype, in a shape that the settings of an operation led to and no memory may hold; `name` and
    `remedy` are for that error."""
    try:
        if size_of(shape) <= 2**40:
            return empty(shape, x.dtype, x)
    except MemoryError:
        pass
    raise MemoryError(f"{name}: no memory for a result of shape {shape} and {x.dtype}; {remedy}")


def full(shape, value, dtype, like):
    """An array filled with one number."""
    x = empty(tuple(shape), dtype_of(dtype), like)
    indexing.on(x).fill(x, value=value)
    return x


def zeros(shape, dtype, like):
    """An array of zeros."""
    return full(shape, 0, dtype, like)


def copy(x):
    """A new array with x's values, C order."""
    y = empty_like(x)
    indexing.on(x).copy(x, y)
    return y


def cast(x, dtype):
    """A new array with x's values as another dtype, C order."""
    y = empty(x.shape, dtype, x)
    indexing.on(x).copy(x, y)
    return y


# ---- layout ----

def is_contiguous(x) -> bool:
    """Does x lie in C order without gaps?"""
    return runtime.is_contiguous(x) if type(x) is ndarray else x.is_contiguous


def is_expanded(x) -> bool:
    """Does x show one memory place several times?"""
    return x.size > 0 and any([size > 1 and stride == 0 for size, stride in zip(x.shape, x.strides)])


def contiguous(x):
    """x itself where it lies in C order without gaps, else a copy that does."""
    return x if is_contiguous(x) else copy(x)


def as_strided(x, shape, strides, offset=0):
    """A view of x's memory with any shape and strides (bytes), `offset` bytes from its first element. The caller
    answers for its staying inside that memory."""
    if type(x) is ndarray:
        return runtime.as_strided(x, shape, strides, offset)
    return _devices[x.device_type].as_strided(x, shape, strides, offset)


def broadcast_to(x, shape):
    """A view of x in a larger shape, with zero strides where an axis is repeated."""
    if type(x) is ndarray:
        return runtime.broadcast_to(x, shape)
    lead = len(shape) - x.ndim
    strides = [0] * lead
    for size, stride, wanted in zip(x.shape, x.strides, shape[lead:], strict=True):
        if size != wanted and size != 1:
            raise ValueError(f"broadcast_to: cannot broadcast shape {x.shape} to {shape}")
        strides.append(stride if size == wanted else 0)
    return as_strided(x, shape, tuple(strides), 0)


def may_overlap(a, b) -> bool:
    """Might writing one of these arrays change the other? (By the ends of their memory: gaps count as theirs.)"""
    if type(a) is ndarray and type(b) is ndarray:
        return may_share_memory(a, b)
    low, high = extent(a.shape, a.strides, a.dtype.itemsize)
    bottom, top = extent(b.shape, b.strides, b.dtype.itemsize)
    between = address(a) - address(b)
    return between + low < top and bottom < between + high


def extent(shape, strides, itemsize) -> tuple:
    """The lowest and highest byte that an array of these strides reaches, from its first element."""
    low = sum([(n - 1) * s for n, s in zip(shape, strides) if s < 0 and n])
    high = sum([(n - 1) * s for n, s in zip(shape, strides) if s > 0 and n]) + itemsize
    return low, high


def address(x) -> int:
    """Where an array's first element lies."""
    return x.ctypes.data if type(x) is ndarray else x.address


def broadcast_shapes(name, *shapes) -> tuple:
    """The shape that all of these broadcast to; `name` is the operation, for the error."""
    ndim = max(len(s) for s in shapes)
    result = [1] * ndim
    for shape in shapes:
        for axis, size in enumerate(shape, ndim - len(shape)):
            if size != 1 and result[axis] != 1 and result[axis] != size:
                raise ValueError(
                    f"{name}: expected shapes that broadcast (equal or 1 on every axis, counted from the last), "
                    f"got {' and '.join(map(str, shapes))}; reshape or transpose one of them")
            if size != 1:
                result[axis] = size
    return tuple(result)


def expect_room(name, shape) -> tuple:
    """The shape, of a tensor that some memory could hold. (Sizes beside a 0 count too: NumPy, whose arrays these are, makes
    no difference.)"""
    room = 1
    for n in shape:
        room *= n or 1
    if room >= 2**60:               # times 8 bytes: more than an address can tell apart
        raise ValueError(f"{name}: expected sizes whose product is below 2**60, got {tuple(shape)}"
                         f"{' (where a 0 counts as 1)' if 0 in shape else ''}; make it smaller, or work through it in parts")
    return shape


def shape_from(name, sizes) -> tuple:
    """A shape given as numbers or as one sequence, of a tensor that some memory could hold."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    for n in sizes:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"{name}: expected sizes to be integers, got {n!r}")
    shape = tuple([n.__index__() for n in sizes])
    for n in shape:
        if n < 0:
            raise ValueError(f"{name}: expected sizes of 0 or more, got {shape}")
    return expect_room(name, shape)


def normalize_axis(name, dim, ndim) -> int:
    """The axis a `dim` argument means, 0 <= axis < ndim; negative ones count from the end."""
    if not hasattr(dim, "__index__") or isinstance(dim, bool):
        raise TypeError(f"{name}: expected dim to be an integer, got {dim!r}")
    axis = dim.__index__()
    if not -max(ndim, 1) <= axis < max(ndim, 1):
        raise IndexError(f"{name}: expected dim in [{-max(ndim, 1)}, {max(ndim, 1) - 1}] for a tensor with {ndim} "
                         f"dimensions, got {axis}")
    return axis % max(ndim, 1)


def normalize_axes(name, dim, ndim) -> tuple:
    """The axes that a `dim` argument (None for all, an integer, or several) means, in rising order."""
    if dim is None:
        return tuple(range(ndim))
    if hasattr(dim, "__index__"):
        dim = (dim,)
    axes = sorted(normalize_axis(name, d, ndim) for d in dim)
    for first, second in zip(axes, axes[1:], strict=False):
        if first == second:
            raise ValueError(f"{name}: expected each dim once, got {tuple(dim)} for a tensor with {ndim} dimensions")
    return tuple(axes) if ndim else ()


def axis_as_dim(name, dim, axis, default=None):
    """`dim` where `axis` was given, NumPy's name for it, which PyTorch takes too."""
    if dim != default:
        raise TypeError(f"{name}: expected dim or axis, which mean the same, got dim={dim} and axis={axis}")
    return axis


def numpy_names(name, dim, axis, keepdim, keepdims, default=None):
    """`dim` and `keepdim` where NumPy's names for them, `axis` and `keepdims`, were given."""
    if keepdims is not None:
        if keepdim:
            raise TypeError(f"{name}: expected keepdim or keepdims, which mean the same, got both")
        keepdim = keepdims
    return dim if axis is None else axis_as_dim(name, dim, axis, default), keepdim


def named_sizes(name, what, sizes, named) -> tuple:
    """Sizes given one by one or as one sequence, or as PyTorch's keyword `what` for them."""
    if named is None:
        return sizes
    if sizes:
        raise TypeError(f"{name}: expected {what} once, got {sizes} and {what}={named}")
    return tuple(named) if isinstance(named, (tuple, list)) else (named,)


sys.modules[__name__].__class__ = _Callable
