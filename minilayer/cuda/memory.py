"""DeviceArray: an array in GPU memory, with the small vocabulary that ops use (see minilayer/device.py).

On a GPU, memory comes from the driver's pool through cuda.core and everything is ordered on one stream of the first
device; a caching allocator, further devices and streams, and pools for graphs belong here and are still to come. In the
simulator the memory is an ndarray of bytes, filled with 255 when new: a kernel that reads what nobody wrote gets NaN.

The GPU path has not run on a GPU yet.
"""
import math
import threading

import numpy as np

from minilayer.cuda import SIMULATED, why_unavailable

DEVICE_TYPE = "cuda"
LOCK = threading.RLock()                # also, the simulator runs one kernel at a time
_here = threading.local()
_stream = None


def current():
    """(device, stream) as cuda.core knows them: one stream for all threads, so that arrays may pass between them."""
    global _stream
    device = getattr(_here, "device", None)
    if device is None:
        if why_unavailable():
            raise RuntimeError(f"cuda: {why_unavailable()}; use 'cpu'")
        from cuda.core import Device
        device = Device(0)
        device.set_current()                # each thread for itself
        _here.device = device
    with LOCK:
        if _stream is None:
            _stream = device.create_stream()
    return device, _stream


def synchronize():
    """Wait until the stream is done."""
    if not SIMULATED:
        current()[1].sync()


class Storage:
    """A block of device memory: `address` and `nbytes`. It goes back when the last array over it is dropped."""
    __slots__ = ("address", "nbytes", "host", "buffer", "__weakref__")

    def __init__(self, nbytes):
        self.nbytes = nbytes
        self.host = self.buffer = None
        if SIMULATED:
            self.host = np.full(max(nbytes, 1), 255, np.uint8)
            self.address = self.host.ctypes.data
        elif nbytes:
            device, stream = current()
            self.buffer = device.memory_resource.allocate(nbytes, stream=stream)
            self.address = int(self.buffer.handle)
        else:
            self.address = 0


class Flat:
    """The simulator's pointer: elements counted from the array's first, as a pointer on the device is indexed. Unlike
    there, an index outside the memory block raises."""
    __slots__ = ("items", "first", "type")

    def __init__(self, array):
        dtype = np.dtype(np.uint8) if array.dtype == np.bool_ else array.dtype
        self.items = array.storage.host[:array.storage.nbytes].view(dtype)
        self.first = array.offset // dtype.itemsize
        self.type = dtype.type

    def __getitem__(self, i):
        i = self.first + int(i)
        if i < 0:
            raise IndexError(f"index {i} is in front of the memory block")
        return self.items[i]

    def __setitem__(self, i, value):
        i = self.first + int(i)
        if i < 0:
            raise IndexError(f"index {i} is in front of the memory block")
        self.items[i] = value if type(value) is self.type else np.asarray(value).astype(self.type)


class DeviceArray:
    """An array in device memory. It refuses to become a NumPy array: what needs the values asks for a copy, with
    `minilayer.device.to_device(x, "cpu")` or a tensor's `.cpu()`."""
    __slots__ = ("storage", "shape", "strides", "dtype", "offset", "owns", "__weakref__")
    __array_ufunc__ = None
    device_type = DEVICE_TYPE

    def __init__(self, storage, shape, strides, dtype, offset=0, owns=False):
        self.storage, self.shape, self.strides, self.dtype, self.offset = storage, shape, strides, dtype, offset
        self.owns = owns                # does it have its memory alone, rather than view another array's?

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    nbytes = property(lambda self: self.size * self.dtype.itemsize)
    address = property(lambda self: self.storage.address + self.offset)

    @property
    def is_contiguous(self):
        """Does it lie in C order without gaps?"""
        wanted = c_strides(self.shape, self.dtype.itemsize)
        return self.size == 0 or all(n == 1 or s == w for n, s, w in zip(self.shape, self.strides, wanted, strict=True))

    def _view(self, shape, strides, offset=0):
        return DeviceArray(self.storage, tuple(shape), tuple(strides), self.dtype, self.offset + offset)

    def at(self, step):
        """The same view, begun `step` elements further on."""
        return self._view(self.shape, self.strides, step * self.dtype.itemsize)

    def reshape(self, *shape):
        """A view in another shape; raises where that would take a copy."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        known = math.prod(n for n in shape if n != -1)
        if -1 in shape:
            shape = tuple(self.size // max(known, 1) if n == -1 else n for n in shape)
        if math.prod(shape) != self.size:
            raise ValueError(f"reshape: expected a shape of {self.size} elements, got {tuple(shape)}")
        strides = reshaped(self.shape, self.strides, shape, self.dtype.itemsize)
        if strides is None:
            raise ValueError(f"reshape: {self.shape} with strides {self.strides} cannot be seen as {tuple(shape)} without "
                             "a copy; make it contiguous first")
        return self._view(shape, strides)

    def transpose(self, *axes):
        """A view with the axes in another order, reversed by default."""
        axes = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        axes = axes or tuple(reversed(range(self.ndim)))
        if sorted(a % max(self.ndim, 1) for a in axes) != list(range(self.ndim)):
            raise ValueError(f"transpose: expected every axis of {self.ndim} once, got {tuple(axes)}")
        return self._view([self.shape[a] for a in axes], [self.strides[a] for a in axes])

    def __getitem__(self, index):
        """Basic slicing: integers, slices, None and Ellipsis. A view."""
        index = index if isinstance(index, tuple) else (index,)
        taken = sum(part is not None and part is not Ellipsis for part in index)
        if taken > self.ndim:
            raise IndexError(f"index: expected at most {self.ndim} indices, got {taken}")
        if Ellipsis not in index:
            index = (*index, Ellipsis)
        shape, strides, offset, axis = [], [], 0, 0
        for part in index:
            if part is None:
                shape.append(1)
                strides.append(0)
                continue
            if part is Ellipsis:
                rest = self.ndim - taken
                shape += self.shape[axis:axis + rest]
                strides += self.strides[axis:axis + rest]
                axis += rest
                continue
            n, step = self.shape[axis], self.strides[axis]
            if isinstance(part, slice):
                chosen = range(n)[part]
                shape.append(len(chosen))
                strides.append(step * chosen.step)
                offset += step * chosen.start if len(chosen) else 0
            elif hasattr(part, "__index__") and not isinstance(part, (bool, np.bool_)):
                i = part.__index__()
                if not -n <= i < n:
                    raise IndexError(f"index {i} is out of bounds for axis {axis} with size {n}")
                offset += step * (i % n)
            else:
                raise TypeError(f"index: a CUDA array takes integers, slices, None and ..., got {part!r}")
            axis += 1
        return self._view(shape, strides, offset)

    def _refuse(self, *args, **kwargs):
        raise TypeError("a CUDA array has its values on the GPU; copy them to the host first, with .cpu()")

    __array__ = __float__ = __int__ = __index__ = __bool__ = __iter__ = __len__ = __setitem__ = __eq__ = _refuse
    __array_interface__ = property(_refuse)
    __hash__ = None

    def __repr__(self):
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={DEVICE_TYPE!r})"


def c_strides(shape, itemsize) -> tuple:
    """Strides of an array of that shape in C order."""
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def reshaped(shape, strides, new, itemsize):
    """The strides that show the same memory as shape `new` (of as many elements), or None where none do."""
    if 0 in new:
        return c_strides(new, itemsize)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result = [itemsize] * len(new)
    i = 0
    axes = [axis for axis, n in enumerate(new) if n != 1]
    while axes:
        # as many old axes and new axes as have one product; the old ones must lie in a row
        (n, step), take = old[i], [axes.pop(0)]
        i += 1
        product = new[take[0]]
        while n != product:
            if product < n:
                take.append(axes.pop(0))
                product *= new[take[-1]]
            else:
                if step != old[i][0] * old[i][1]:
                    return None
                n, step = n * old[i][0], old[i][1]
                i += 1
        for axis in reversed(take):
            result[axis] = step
            step *= new[axis]
    return tuple(result)


def empty(shape, dtype):
    """An unset array in C order."""
    shape, dtype = tuple(shape), np.dtype(dtype)
    strides = c_strides(shape, dtype.itemsize)
    return DeviceArray(Storage(math.prod(shape) * dtype.itemsize), shape, strides, dtype, owns=True)


def from_numpy(x):
    """A copy of an ndarray on the device, in C order."""
    x = np.ascontiguousarray(x).reshape(x.shape)
    made = empty(x.shape, x.dtype)
    if SIMULATED:
        made.storage.host[:x.nbytes] = np.frombuffer(x.tobytes(), np.uint8)
    elif x.nbytes:
        _copy("cuMemcpyHtoDAsync", made.address, x.ctypes.data, x.nbytes)
    return made


def contiguous_to_numpy(x):
    """A copy on the host of an array in C order. (`minilayer.cuda.to_numpy` brings others into that order first.)"""
    y = np.empty(x.shape, x.dtype)
    if SIMULATED:
        y.reshape(-1).view(np.uint8)[...] = x.storage.host[x.offset:x.offset + x.nbytes]
    elif x.nbytes:
        _copy("cuMemcpyDtoHAsync", y.ctypes.data, x.address, x.nbytes)
    return y


def as_strided(x, shape, strides, offset=0):
    """A view of x's memory with any shape and strides (bytes), `offset` bytes from its first element. The caller
    answers for its staying inside that memory."""
    return x._view(shape, strides, offset)


def _copy(function, target, source, nbytes):
    """Copy between host and device and wait for it. Has not run on a GPU yet."""
    from cuda.bindings import driver
    _, stream = current()
    (status,) = getattr(driver, function)(target, source, nbytes, int(stream.handle))
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"cuda: copying {nbytes} bytes failed ({status.name})")
    stream.sync()


def scratch(shape, dtype):
    """Unset memory for one call's intermediate values: this thread's own, used again by the next call of that shape."""
    key = (tuple(shape), np.dtype(dtype))
    held = _here.__dict__.setdefault("scratch", {})
    if key not in held:
        held[key] = empty(*key)
    return held[key]
