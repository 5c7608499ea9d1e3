"""A device that is the CPU in disguise: its arrays refuse to become NumPy arrays anywhere but inside a kernel.

An op that calls np.something(array), adds two arrays with +, or reads a value on the way, works on the CPU and breaks
on a GPU. On this device it breaks too, on any machine. Kernels are the CPU's own, so results are equal to the bit.
"""
import types

import numpy as np

from minilayer import device
from minilayer._ext import dispatch, runtime

NAME = "standin"


class StandinArray:
    """The vocabulary an op may use on an array, and nothing else."""
    __slots__ = ("_hidden", "__weakref__")
    __array_ufunc__ = None
    device_type = NAME

    def __init__(self, hidden):
        self._hidden = hidden

    shape = property(lambda self: self._hidden.shape)
    strides = property(lambda self: self._hidden.strides)
    dtype = property(lambda self: self._hidden.dtype)
    ndim = property(lambda self: self._hidden.ndim)
    size = property(lambda self: self._hidden.size)
    owns = property(lambda self: runtime.owns(self._hidden))
    is_contiguous = property(lambda self: runtime.is_contiguous(self._hidden))
    address = property(lambda self: self._hidden.ctypes.data)

    def reshape(self, *shape):
        view = self._hidden.reshape(*shape)
        if view.size and not np.shares_memory(view, self._hidden):
            raise TypeError(f"standin: reshape of a strided array {self.shape} would have to copy; make it contiguous first")
        return StandinArray(view)

    def transpose(self, *axes):
        return StandinArray(self._hidden.transpose(*axes))

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        for part in index:
            if not (isinstance(part, (int, slice)) or part is Ellipsis or part is None):
                raise TypeError(f"standin: only basic slicing, got {part!r}")
        whole = index if any(part is Ellipsis for part in index) else (*index, Ellipsis)    # an array, also of 0 dimensions
        return StandinArray(self._hidden[whole])

    def _refuse(self, *args, **kwargs):
        raise TypeError("standin: an op looked at the values of an array outside a kernel")

    __array__ = __float__ = __int__ = __index__ = __bool__ = __iter__ = __len__ = __setitem__ = __eq__ = _refuse
    __array_interface__ = __buffer__ = __dlpack__ = property(_refuse)
    __hash__ = None

    def __repr__(self):
        return f"StandinArray(shape={self.shape}, dtype={self.dtype})"


def _uncover(argument, where):
    if isinstance(argument, StandinArray):
        return argument._hidden
    if isinstance(argument, (list, tuple)):
        return type(argument)(_uncover(x, where) for x in argument)
    if isinstance(argument, np.ndarray):
        raise TypeError(f"standin: {where} was given a CPU array of shape {argument.shape}")
    return argument


class _Kernels:
    """A kernel family whose functions take StandinArrays and run the CPU's kernels."""

    def __init__(self, name):
        self._family = dispatch.family(name)

    def __getattr__(self, function):
        if function.startswith("_"):
            raise AttributeError(function)

        def kernel(*args, **kwargs):
            where = f"{self._family.name}.{function}"
            return getattr(self._family.cpu, function)(*[_uncover(a, where) for a in args], **kwargs)
        return kernel


def _module():
    module = types.SimpleNamespace()
    module.is_available = lambda: True
    module.why_unavailable = lambda: ""
    module.empty = lambda shape, dtype: StandinArray(runtime.empty(tuple(shape), np.dtype(dtype)))
    module.from_numpy = lambda x: StandinArray(x.copy())
    module.to_numpy = lambda x: x._hidden.copy()
    module.as_strided = lambda x, shape, strides, offset=0: StandinArray(
        runtime.as_strided(x._hidden, tuple(shape), tuple(strides), offset))
    return module


def register():
    """Make `.to("standin")` work."""
    dispatch.register_device(NAME, _Kernels)
    device.register(NAME, _module())
