"""Making tensors from data that is there: numbers, sequences, NumPy's and other libraries' arrays."""
import numpy as np

from minilayer import device as devices
from minilayer.arrays import array_from
from minilayer.dtypes import as_dtype
from minilayer.node import TensorBase
from minilayer.tensor import Tensor


def tensor(data, *, dtype=None, device=None, requires_grad=False):
    """A tensor with a copy of `data`: numbers, nested sequences, an ndarray or a tensor.

    An ndarray keeps its dtype; Python floats become float32, integers int64, bools bool.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    array = array_from(data, None if dtype is None else as_dtype(dtype))
    if type(array) is np.ndarray:
        source, array = array, devices.empty(array.shape, array.dtype, array)
        array[...] = source
    elif isinstance(data, TensorBase):
        array = devices.copy(array)
    return Tensor(array if device is None else devices.to_device(array, device), requires_grad=requires_grad)


def from_numpy(array):
    """A tensor over an ndarray's own memory. Writes through either are seen by both, but not by the tape."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}; use minilayer.tensor(...)")
    if not array.flags.writeable:
        raise ValueError("from_numpy: expected a writeable ndarray, got a read-only one; pass array.copy()")
    if not array.dtype.isnative:
        raise ValueError(f"from_numpy: expected this machine's byte order, got {array.dtype.str!r}; use minilayer.tensor(array)")
    return Tensor(array)


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where none is needed."""
    if isinstance(data, Tensor):
        return data.to(device, dtype) if device is not None or dtype is not None else data
    array = array_from(data, None if dtype is None else as_dtype(dtype))
    return Tensor(array if device is None else devices.to_device(array, device))


def from_dlpack(source):
    """A tensor over the memory of any CPU object with `__dlpack__` (another library's array)."""
    if not hasattr(source, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got {type(source).__name__}; "
                        "use minilayer.tensor(...)")
    return from_numpy(np.from_dlpack(source))
