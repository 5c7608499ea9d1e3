# cython: language_level=3
# ruff: noqa: F811, I001   (the imports in the class make functions its methods, grouped by what they do)
"""Tensor: an array, the device it lives on, and the gradient it collects.

What a tensor can do is written out here as calls into `ops/`, where the mathematics is: to see what `x * y` computes
and how its gradient flows back, follow `__mul__` to `ops/arithmetic.py`. How operations are recorded and walked back is
in `tape.py`, on the graph of `node.py`. Names, arguments and conventions are PyTorch's.
"""
import copy
import numbers

import cython
import numpy as np

from minilayer import device as devices
from minilayer import autograd, tape
from minilayer.arrays import array_from
from minilayer.dtypes import as_dtype, boolean, float32, float64, int32, int64, uint8
from minilayer.inplace import apply_inplace
from minilayer.node import TensorBase, register_tensor, wrap
from minilayer.ops import arithmetic, elementwise, indexing
from minilayer.ops import matmul as products
from minilayer.ops import shape as shaping
from minilayer.promotion import cast

if cython.compiled:
    from cython.cimports.minilayer.tape import apply2
else:
    from minilayer.tape import apply2

_ADD, _SUB, _MUL, _DIV, _POW = (arithmetic.Add(), arithmetic.Sub(), arithmetic.Mul(), arithmetic.Div(),
                                arithmetic.Pow())
_CPU = devices.Device("cpu")
_OPERANDS = (np.ndarray, numbers.Number, np.bool_)


def _rebuild(cls, array, requires_grad):
    """A tensor from its pickled parts."""
    made = cls.__new__(cls)
    Tensor.__init__(made, array, requires_grad=requires_grad)
    return made


def _unpickle(cls, array, requires_grad):
    """`_rebuild`, in memory of our own, which is aligned."""
    return _rebuild(cls, devices.copy(array), requires_grad)


@cython.cfunc
def _operand(x) -> cython.bint:
    """Does an operator take x? (Else its own class, whose `__radd__` or `__eq__` may know tensors, is asked.)"""
    return isinstance(x, TensorBase) or type(x) is float or type(x) is int or isinstance(x, _OPERANDS)


@cython.cfunc
def _factor(x) -> cython.bint:
    """The same for *; a list, too, so that the error comes from here: left to Python it would be repeated `tensor` times."""
    return _operand(x) or isinstance(x, (list, tuple, str, bytes))


@cython.cclass
class Tensor(TensorBase):
    """A multi-dimensional array of one dtype that can be differentiated through.

    Made by `minilayer.tensor(...)` and by every operation; this constructor takes an array's memory as it is.
    `requires_grad=True` on a float tensor makes a leaf that collects d(loss)/d(it) in `.grad` at `loss.backward()`.
    """
    __array_ufunc__ = None          # ndarray * Tensor comes here instead of dropping the graph

    def __init__(self, data, dtype=None, requires_grad=False):
        self.array = array_from(data, None if dtype is None else as_dtype(dtype))
        if isinstance(data, TensorBase) and self.array is data.array:
            self.version = data.version_counter()
        if requires_grad:
            self.requires_grad = True

    def __hash__(self):             # by identity, as == compares element by element
        return object.__hash__(self)

    # ---- what it is ----

    @property
    def shape(self):
        """Sizes of its axes."""
        return self.array.shape

    @property
    def dtype(self):
        """Type of its elements."""
        return self.array.dtype

    @property
    def ndim(self):
        """Number of axes."""
        return self.array.ndim

    @property
    def device(self):
        """"cpu" or "cuda", as a `minilayer.device`."""
        return _CPU if type(self.array) is np.ndarray else devices.Device(self.array.device_type)

    def dim(self):
        return self.array.ndim

    def size(self, dim=None, *, axis=None):
        """Its shape, or the size of one axis."""
        dim = axis if dim is None else dim
        return self.array.shape if dim is None else self.array.shape[devices.normalize_axis("size", dim, self.array.ndim)]

    def numel(self):
        """Number of elements."""
        return self.array.size

    ndimension, nelement = dim, numel

    def is_contiguous(self):
        return devices.is_contiguous(self.array)

    def __len__(self):
        if not self.array.ndim:
            raise TypeError("len: expected a tensor with at least one dimension, got a 0-d one; use .item()")
        return self.array.shape[0]

    def __repr__(self):
        text = np.array2string(devices.read(self.array), separator=", ", prefix="tensor(")
        if not self.array.size and self.array.ndim > 1:
            text += f", size={self.array.shape}"
        if self.array.dtype not in (float32, int64, boolean):
            text += f", dtype={self.array.dtype}"
        if self.device != "cpu":
            text += f", device='{self.device}'"
        if not self.is_leaf:
            text += f", grad_fn=<{self.node.op.name}>"
        elif self.wants_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __format__(self, spec):
        return format(self.item(), spec) if not self.array.ndim or self.array.size == 1 and spec else repr(self)

    # ---- its values ----

    def item(self):
        """Its one value as a Python number."""
        if self.array.size != 1:
            raise ValueError(f"item: expected a tensor of one element, got shape {self.array.shape}; "
                             "index it first, or use .tolist()")
        return devices.read(self.array).item()

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: expected {array.dtype}, to need no copy, got {dtype}; leave out copy=False")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **kwargs):
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.numpy().__dlpack_device__()

    def __bool__(self):
        if self.array.size != 1:
            raise ValueError(f"the truth of a tensor of shape {self.array.shape} is not one value; use .any() or .all()")
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.array.size != 1 or self.array.dtype.kind not in "iub":
            raise TypeError(f"only an integer tensor of one element can be an index, got {self.array.dtype} "
                            f"of shape {self.array.shape}")
        return int(self.item())

    def __iter__(self):
        if not self.array.ndim:
            raise TypeError("iter: expected a tensor with at least one dimension, got a 0-d one")
        return iter([self[i] for i in range(self.array.shape[0])])

    def __contains__(self, value):
        found = self == value
        return isinstance(found, TensorBase) and bool(found.any())

    # ---- copies, types, places ----

    @property
    def data(self):
        """The same memory as a tensor outside the graph; assigning replaces the values."""
        return self.detach()

    @data.setter
    def data(self, value):
        array = array_from(value)
        if array.dtype.kind != "f" and self.requires_grad:
            raise TypeError(f"data: expected float32 or float64 for a tensor that requires a gradient, got {array.dtype}")
        self.array = array
        self.version = self.base = None         # it shows the new memory now, and is no view of another tensor

    def detach(self):
        """The same memory as a tensor outside the graph."""
        made = cython.declare(Tensor, wrap(self.array))
        made.version = self.version_counter()
        return made

    def detach_(self):
        """Cut this tensor from the operations that made it."""
        if self.base is not None:
            raise RuntimeError("detach_: a view cannot be cut from its base in place; use .detach()")
        self.node = None
        self.slot = 0
        self.wants_grad = self.retains = False
        return self

    def clone(self):
        """A copy with memory of its own; gradients flow through it."""
        return indexing.clone(self)

    def contiguous(self):
        """This tensor where it lies in C order, else a copy that does."""
        return self if devices.is_contiguous(self.array) else indexing.clone(self)

    def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False):
        """This tensor with another dtype, on another device, or both: `to(dtype)`, `to("cuda")`, `to(other)`. A new one in
        any case with `copy=True`. (Copies always wait, also with PyTorch's `non_blocking`; both may follow by position.)"""
        copy = copy or [a for a in args if isinstance(a, bool)][1:] == [True]
        for a in args:
            if isinstance(a, TensorBase):
                device, dtype = a.device, a.dtype
            elif isinstance(a, str) and a.partition(":")[0] in ("cpu", "cuda"):
                device = a
            elif a is not None and not isinstance(a, bool):
                if isinstance(a, str) and not hasattr(np, a):
                    device = a          # a registered device, or the error that names the known ones
                else:
                    dtype = a
        result = self if dtype is None else cast(self, as_dtype(dtype))
        if device is not None and str(device).partition(":")[0] != result.device:
            result = indexing.to_device(result, device)
        return indexing.clone(self) if copy and result is self else result

    def float(self):
        return cast(self, float32)

    def double(self):
        return cast(self, float64)

    def long(self):
        return cast(self, int64)

    def int(self):
        return cast(self, int32)

    def byte(self):
        return cast(self, uint8)

    def bool(self):
        return cast(self, boolean)

    def _attributes(self, name):
        """What was set on it from outside, for a copy; only a leaf is copied, as a copy has no place in the graph."""
        if not self.is_leaf:
            raise RuntimeError(f"{name}: expected a tensor made by you, got the result of recorded operations; "
                               f"{name} its .detach()")
        return {k: v for k, v in vars(self).items() if not hasattr(TensorBase, k)}

    def __copy__(self):
        made = cython.declare(Tensor, _rebuild(type(self), self.array, self.wants_grad))
        made.version = self.version_counter()
        vars(made).update(self._attributes("copy"))
        return made

    def __deepcopy__(self, memo):
        attributes = self._attributes("deepcopy")
        made = memo[id(self)] = _rebuild(type(self), devices.copy(self.array), self.wants_grad)
        vars(made).update(copy.deepcopy(attributes, memo))
        if self.grad is not None:
            made.grad = copy.deepcopy(self.grad, memo)
        return made

    def __reduce__(self):
        return _unpickle, (type(self), devices.read(self.array), self.wants_grad), self._attributes("pickle")

    def __setstate__(self, attributes):
        vars(self).update(attributes)

    # ---- gradients ----

    def requires_grad_(self, requires_grad=True):
        """Let this leaf collect its gradient from now on, or not; returns it."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad_fn(self):
        """The recorded operation that made this tensor, or None."""
        return self.node if self.requires_grad else None

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Add d self / d leaf to the `.grad` of every leaf that self depends on.

        `gradient` weights the elements of self (required unless it has just one). `retain_graph=True` keeps the saved
        values for another pass; `create_graph=True` makes the gradients differentiable themselves. With `inputs`, tensors,
        only theirs are added to.
        """
        if inputs is not None:
            return autograd.backward(self, gradient, retain_graph, create_graph, inputs)
        tape.backward(self, gradient, retain_graph, create_graph)

    @property
    def retains_grad(self):
        return self.retains

    # ---- arithmetic ----  (+ - * / apply their op at once: apply2 is what arithmetic.add(...) does)

    def __add__(self, other):
        return apply2(_ADD, self, other) if _operand(other) else NotImplemented

    def __radd__(self, other):
        return apply2(_ADD, other, self) if _operand(other) else NotImplemented

    def __sub__(self, other):
        return apply2(_SUB, self, other) if _operand(other) else NotImplemented

    def __rsub__(self, other):
        return apply2(_SUB, other, self) if _operand(other) else NotImplemented

    def __mul__(self, other):
        return apply2(_MUL, self, other) if _factor(other) else NotImplemented

    def __rmul__(self, other):
        return apply2(_MUL, other, self) if _factor(other) else NotImplemented

    def __truediv__(self, other):
        return apply2(_DIV, self, other) if _operand(other) else NotImplemented

    def __rtruediv__(self, other):
        return apply2(_DIV, other, self) if _operand(other) else NotImplemented

    def __floordiv__(self, other):
        return arithmetic.floor_divide(self, other) if _operand(other) else NotImplemented

    def __rfloordiv__(self, other):
        return arithmetic.floor_divide(other, self) if _operand(other) else NotImplemented

    def __mod__(self, other):
        return arithmetic.remainder(self, other) if _operand(other) else NotImplemented

    def __rmod__(self, other):
        return arithmetic.remainder(other, self) if _operand(other) else NotImplemented

    def __pow__(self, other):
        return arithmetic.pow(self, other) if _operand(other) else NotImplemented

    def __rpow__(self, other):
        return arithmetic.pow(other, self) if _operand(other) else NotImplemented

    def __matmul__(self, other):
        return products.matmul(self, other) if _operand(other) else NotImplemented

    def __rmatmul__(self, other):
        return products.matmul(other, self) if _operand(other) else NotImplemented

    def __neg__(self):
        return elementwise.neg(self)

    def __pos__(self):
        return self

    def __abs__(self):
        return elementwise.abs(self)

    def __invert__(self):
        return arithmetic.bitwise_not(self)

    def __and__(self, other):
        return arithmetic.bitwise_and(self, other) if _operand(other) else NotImplemented

    def __rand__(self, other):
        return arithmetic.bitwise_and(other, self) if _operand(other) else NotImplemented

    def __or__(self, other):
        return arithmetic.bitwise_or(self, other) if _operand(other) else NotImplemented

    def __ror__(self, other):
        return arithmetic.bitwise_or(other, self) if _operand(other) else NotImplemented

    def __xor__(self, other):
        return arithmetic.bitwise_xor(self, other) if _operand(other) else NotImplemented

    def __rxor__(self, other):
        return arithmetic.bitwise_xor(other, self) if _operand(other) else NotImplemented

    def __lshift__(self, other):
        return arithmetic.bitwise_left_shift(self, other) if _operand(other) else NotImplemented

    def __rlshift__(self, other):
        return arithmetic.bitwise_left_shift(other, self) if _operand(other) else NotImplemented

    def __rshift__(self, other):
        return arithmetic.bitwise_right_shift(self, other) if _operand(other) else NotImplemented

    def __rrshift__(self, other):
        return arithmetic.bitwise_right_shift(other, self) if _operand(other) else NotImplemented

    def __eq__(self, other):
        return arithmetic.eq(self, other) if _operand(other) else NotImplemented

    def __ne__(self, other):
        return arithmetic.ne(self, other) if _operand(other) else NotImplemented

    def __lt__(self, other):
        return arithmetic.lt(self, other) if _operand(other) else NotImplemented

    def __le__(self, other):
        return arithmetic.le(self, other) if _operand(other) else NotImplemented

    def __gt__(self, other):
        return arithmetic.gt(self, other) if _operand(other) else NotImplemented

    def __ge__(self, other):
        return arithmetic.ge(self, other) if _operand(other) else NotImplemented

    # In place: `x += y` writes into x's memory.

    def add_(self, other, *, alpha=1):
        return apply_inplace(_ADD, self, other if alpha == 1 else other * alpha)

    def sub_(self, other, *, alpha=1):
        return apply_inplace(_SUB, self, other if alpha == 1 else other * alpha)

    def mul_(self, other):
        return apply_inplace(_MUL, self, other)

    def div_(self, other, *, rounding_mode=None):
        return apply_inplace(arithmetic.division(rounding_mode, "div_"), self, other)

    def pow_(self, exponent):
        return apply_inplace(_POW, self, exponent)

    def __iadd__(self, other):
        return apply_inplace(_ADD, self, other) if _operand(other) else NotImplemented

    def __isub__(self, other):
        return apply_inplace(_SUB, self, other) if _operand(other) else NotImplemented

    def __imul__(self, other):
        return apply_inplace(_MUL, self, other) if _factor(other) else NotImplemented

    def __itruediv__(self, other):
        return apply_inplace(_DIV, self, other) if _operand(other) else NotImplemented

    def __ipow__(self, other):
        return apply_inplace(_POW, self, other) if _operand(other) else NotImplemented

    def __ifloordiv__(self, other):
        return self.floor_divide_(other) if _operand(other) else NotImplemented

    def __imod__(self, other):
        return self.remainder_(other) if _operand(other) else NotImplemented

    def __iand__(self, other):
        return self.bitwise_and_(other) if _operand(other) else NotImplemented

    def __ior__(self, other):
        return self.bitwise_or_(other) if _operand(other) else NotImplemented

    def __ixor__(self, other):
        return self.bitwise_xor_(other) if _operand(other) else NotImplemented

    def __ilshift__(self, other):
        return self.bitwise_left_shift_(other) if _operand(other) else NotImplemented

    def __irshift__(self, other):
        return self.bitwise_right_shift_(other) if _operand(other) else NotImplemented

    subtract_, multiply_, divide_ = sub_, mul_, div_

    # ---- indexing ----

    def __getitem__(self, index):
        return indexing.getitem(self, index)

    def __setitem__(self, index, value):
        indexing.setitem(self, index, value)

    # ---- shape ----

    @property
    def T(self):
        """The axes in reverse order."""
        return shaping.permute(self, tuple(reversed(range(self.array.ndim))))

    @property
    def mT(self):
        """The last two axes swapped."""
        return shaping.transpose(self, -2, -1)

    # The rest are functions with the tensor as their first argument. A name that ends in _ writes into the tensor.

    from minilayer.ops.arithmetic import add, sub, mul, div, subtract, multiply, divide, true_divide, floor_divide
    from minilayer.ops.arithmetic import remainder, pow, float_power, maximum, minimum, addcmul, addcdiv, lerp
    from minilayer.ops.arithmetic import eq, ne, lt, le, gt, ge, greater, greater_equal, less, less_equal, not_equal
    from minilayer.ops.arithmetic import logical_and, logical_or, logical_xor, isclose, allclose, equal, bitwise_not
    from minilayer.ops.arithmetic import bitwise_and, bitwise_or, bitwise_xor, bitwise_left_shift, bitwise_right_shift
    from minilayer.ops.elementwise import abs, neg, sign, square, reciprocal, sqrt, rsqrt, exp, expm1, log, log1p
    from minilayer.ops.elementwise import sin, cos, tanh, sigmoid, relu, erf, floor, ceil, round, trunc, clamp
    from minilayer.ops.elementwise import isnan, isinf, isfinite, logical_not
    from minilayer.ops.special import tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, arcsin, arccos, arctan
    from minilayer.ops.special import exp2, log2, log10, erfc, erfinv, lgamma, digamma, logit, sinc, deg2rad, rad2deg
    from minilayer.ops.special import frac, sgn, signbit, nan_to_num, isposinf, isneginf, clamp_min, clamp_max
    from minilayer.ops.special import fmod, atan2, arctan2, hypot, logaddexp, logaddexp2, copysign, fmax, fmin, xlogy, heaviside
    from minilayer.ops.softmax import softmax, log_softmax
    absolute, negative, clip, fix = abs, neg, clamp, trunc

    from minilayer.ops.reduce import sum, nansum, mean, nanmean, prod, var, std, norm, dist, logsumexp, count_nonzero
    from minilayer.ops.reduce import max, min, amax, amin, aminmax, argmax, argmin, any, all, cumsum, diff, cov, corrcoef
    from minilayer.ops.scan import cumprod, cummax, cummin, logcumsumexp
    from minilayer.ops.sort import sort, argsort, msort, topk, kthvalue, median, nanmedian, mode, quantile, nanquantile
    from minilayer.ops.sort import unique, unique_consecutive, bincount, histc, searchsorted

    from minilayer.ops.matmul import matmul, mm, bmm, mv, dot, vdot, inner, outer, ger, addmm, addmv, addr, baddbmm, addbmm
    from minilayer.ops.matmul import matrix_power, kron, cross, trace

    from minilayer.ops.shape import reshape, view, reshape_as, view_as, flatten, unflatten, ravel, squeeze, unsqueeze
    from minilayer.ops.shape import t, permute, transpose, swapaxes, swapdims, movedim, moveaxis, adjoint
    from minilayer.ops.shape import expand, expand_as, broadcast_to, repeat, repeat_interleave, tile
    from minilayer.ops.shape import narrow, select, diagonal, diag, diag_embed, diagflat, unfold, tril, triu
    from minilayer.ops.shape import chunk, tensor_split, hsplit, vsplit, dsplit, unbind, flip, fliplr, flipud, roll, rot90

    from minilayer.ops.indexing import gather, scatter, scatter_add, scatter_reduce, index_select, index_add, index_copy
    from minilayer.ops.indexing import index_fill, index_reduce, index_put, take, take_along_dim, masked_fill, masked_select
    from minilayer.ops.indexing import masked_scatter, nonzero, argwhere, isin, copy_, fill_
    from minilayer.ops.like import new_empty, new_full, new_zeros, new_ones, bernoulli, multinomial

    from minilayer.methods import clamp_, clip_, exp_, relu_, neg_, sqrt_, masked_fill_, fill_diagonal_, abs_, square_, sign_
    from minilayer.methods import reciprocal_, rsqrt_, log_, log1p_, expm1_, sin_, cos_, tanh_, sigmoid_, erf_, floor_, ceil_
    from minilayer.methods import round_, trunc_, logical_not_, tan_, asin_, acos_, atan_, sinh_, cosh_, exp2_, log2_, log10_
    from minilayer.methods import erfc_, erfinv_, lgamma_, digamma_, frac_, logit_, fmod_, copysign_, nan_to_num_, clamp_min_
    from minilayer.methods import clamp_max_, floor_divide_, remainder_, addcmul_, addcdiv_, lerp_, addmm_, baddbmm_, cumsum_
    from minilayer.methods import cumprod_, tril_, triu_, scatter_, scatter_add_, scatter_reduce_, index_add_, index_copy_
    from minilayer.methods import index_fill_, index_put_, masked_scatter_, unsqueeze_, squeeze_, t_, transpose_, zero_, where
    from minilayer.methods import bitwise_and_, bitwise_or_, bitwise_xor_, bitwise_not_, bitwise_left_shift_
    from minilayer.methods import bitwise_right_shift_, logical_and_, logical_or_, logical_xor_
    from minilayer.methods import type, type_as, itemsize, element_size, nbytes, stride, is_floating_point, is_cuda, cpu, cuda
    from minilayer.methods import split, tolist, numpy, retain_grad, register_hook, new_tensor
    from minilayer.ops.like import normal_, uniform_, random_, bernoulli_, exponential_, log_normal_, cauchy_, geometric_


register_tensor(Tensor)
