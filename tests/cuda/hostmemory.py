"""ndarrays as DeviceArrays of the simulator and back, with their strides, without any kernel of ours."""
import ctypes

import numpy as np

from minilayer.cuda import memory


def bounds(x):
    """(first byte, one behind the last) of an array's elements."""
    low = high = x.ctypes.data
    for n, s in zip(x.shape, x.strides, strict=True):
        low, high = low + min(s * (n - 1), 0), high + max(s * (n - 1), 0)
    return low, high + x.itemsize


def on_device(x):
    """A DeviceArray with x's values and x's strides, zero and negative ones too. None, numbers and lists as they are."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(on_device, x))
    if not isinstance(x, np.ndarray):
        return x
    if x.size == 0:
        return memory.from_numpy(x)
    low, high = bounds(x)
    storage = memory.Storage(high - low)
    storage.host[...] = np.frombuffer(ctypes.string_at(low, high - low), np.uint8)
    return memory.DeviceArray(storage, x.shape, x.strides, x.dtype, x.ctypes.data - low, owns=True)


def on_host(x):
    """A DeviceArray's values."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(on_host, x))
    if not isinstance(x, memory.DeviceArray):
        return x
    if x.size == 0:
        return np.empty(x.shape, x.dtype)
    return np.ndarray(x.shape, x.dtype, x.storage.host.data, x.offset, x.strides).copy()
