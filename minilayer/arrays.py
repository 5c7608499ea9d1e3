"""From what people pass as data to an array of a supported type."""
import numpy as np

from minilayer import device
from minilayer._ext.runtime import constant
from minilayer.dtypes import DTYPES, float32, float64
from minilayer.node import TensorBase


def array_from(data, dtype=None):
    """An ndarray (or device array) of supported dtype from whatever people pass as data; no copy where none is needed."""
    if isinstance(data, TensorBase):
        data = data.array
    if not isinstance(data, np.ndarray) and hasattr(data, "device_type"):
        return data if dtype is None or data.dtype == dtype else device.cast(data, dtype)
    if isinstance(data, np.generic) or not isinstance(data, (np.ndarray, list, tuple)) and hasattr(data, "__array__"):
        data = np.asarray(data)
    if isinstance(data, np.ndarray):
        array = data.view(np.ndarray) if type(data) is not np.ndarray else data
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if not array.flags.writeable:           # a tensor's memory can be written
            array = array.copy()
    else:
        try:
            array = np.array(_without_tensors(data))
        except ValueError as error:
            raise ValueError(f"tensor: expected rows of equal length, got nested sequences that differ: {error}") from None
        if dtype is None and array.dtype == float64 and not _has_numpy(data):
            array = array.astype(float32)
        if array.size == 0 and dtype is None and not _has_numpy(data):
            array = array.astype(float32)
    if array.dtype in DTYPES if dtype is None else array.dtype == dtype:
        return array if isinstance(data, np.ndarray) else constant(array)
    if dtype is None or array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: expected {', '.join(map(str, DTYPES))}, got {array.dtype}"
                        + ("; pass dtype=..." if array.dtype.kind in "fiu" else ""))
    with np.errstate(invalid="ignore", over="ignore"):
        return constant(array.astype(dtype))


def _without_tensors(data):
    if isinstance(data, TensorBase):
        return device.read(data.array)
    if isinstance(data, (list, tuple)):
        return [_without_tensors(x) for x in data]
    return data


def _has_numpy(data):
    """Does nested data hold NumPy values or tensors, whose dtype is to be kept?"""
    if isinstance(data, (list, tuple)):
        return bool(data) and _has_numpy(data[0])
    return isinstance(data, (np.ndarray, np.generic, TensorBase))
