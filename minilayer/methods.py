"""Methods of tensors that no op file has as a function: those that write into the tensor, and the like.

tensor.py takes them over by name. An in-place method without an op of its own computes what the function gives, on a copy
where a gradient will be asked for, and writes that into the tensor: `indexing.in_place` makes it from the function.
"""
from minilayer import device as devices
from minilayer import gradients
from minilayer.arrays import array_from
from minilayer.dtypes import as_dtype
from minilayer.inplace import apply_inplace, refuse_expanded
from minilayer.node import wrap
from minilayer.ops import arithmetic, elementwise, indexing, matmul, reduce, scan, shape, special
from minilayer.ops.indexing import in_place


def clamp_(x, min=None, max=None):
    """x kept between min and max, in place."""
    if x.array.dtype.kind != "f" and (isinstance(min, float) or isinstance(max, float)):
        raise TypeError(f"clamp_: the result would not fit in the tensor's {x.array.dtype}; "
                        "give whole numbers, or use .float().clamp(...)")
    if hasattr(min, "array") or hasattr(max, "array"):
        return _clamped(x, min, max)
    return apply_inplace(elementwise.Clamp(min, max), x)


def exp_(x):
    """e to the power of x, in place."""
    return apply_inplace(elementwise.Exp(), x)


def relu_(x):
    """max(x, 0), in place."""
    return apply_inplace(elementwise.Relu(), x)


def neg_(x):
    """-x, in place."""
    return apply_inplace(elementwise.Neg(), x)


def sqrt_(x):
    """The square root, in place."""
    return apply_inplace(elementwise.Sqrt(), x)


def fill_diagonal_(x, fill_value, wrap=False):
    """Write one number along a matrix's main diagonal."""
    if wrap or x.array.ndim != 2:
        raise ValueError(f"fill_diagonal_: expected a matrix and wrap=False, got shape {x.array.shape}, wrap={wrap}")
    refuse_expanded("fill_diagonal_", x.array)
    shape.diagonal(x).fill_(fill_value)
    return x


masked_fill_ = in_place(indexing.masked_fill)
_clamped = in_place(elementwise.clamp)
clip_ = clamp_

abs_, square_, sign_, reciprocal_, rsqrt_ = map(in_place, (
    elementwise.abs, elementwise.square, elementwise.sign, elementwise.reciprocal, elementwise.rsqrt))
log_, log1p_, expm1_, sin_, cos_, tanh_, sigmoid_, erf_ = map(in_place, (
    elementwise.log, elementwise.log1p, elementwise.expm1, elementwise.sin, elementwise.cos, elementwise.tanh,
    elementwise.sigmoid, elementwise.erf))
floor_, ceil_, round_, trunc_, logical_not_ = map(in_place, (
    elementwise.floor, elementwise.ceil, elementwise.round, elementwise.trunc, elementwise.logical_not))
tan_, asin_, acos_, atan_, sinh_, cosh_, exp2_, log2_, log10_ = map(in_place, (
    special.tan, special.asin, special.acos, special.atan, special.sinh, special.cosh, special.exp2, special.log2,
    special.log10))
erfc_, erfinv_, lgamma_, digamma_, frac_, logit_, fmod_, copysign_, nan_to_num_, clamp_min_, clamp_max_ = map(in_place, (
    special.erfc, special.erfinv, special.lgamma, special.digamma, special.frac, special.logit, special.fmod,
    special.copysign, special.nan_to_num, special.clamp_min, special.clamp_max))
bitwise_and_, bitwise_or_, bitwise_xor_, bitwise_not_, bitwise_left_shift_, bitwise_right_shift_ = map(in_place, (
    arithmetic.bitwise_and, arithmetic.bitwise_or, arithmetic.bitwise_xor, arithmetic.bitwise_not,
    arithmetic.bitwise_left_shift, arithmetic.bitwise_right_shift))
logical_and_, logical_or_, logical_xor_ = map(in_place, (
    arithmetic.logical_and, arithmetic.logical_or, arithmetic.logical_xor))
floor_divide_, remainder_, addcmul_, addcdiv_, lerp_ = map(in_place, (
    arithmetic.floor_divide, arithmetic.remainder, arithmetic.addcmul, arithmetic.addcdiv, arithmetic.lerp))
addmm_, baddbmm_, cumsum_, cumprod_, tril_, triu_ = map(in_place, (
    matmul.addmm, matmul.baddbmm, reduce.cumsum, scan.cumprod, shape.tril, shape.triu))
scatter_, scatter_add_, scatter_reduce_ = map(in_place, (indexing.scatter, indexing.scatter_add, indexing.scatter_reduce))
index_add_, index_copy_, index_fill_ = map(in_place, (indexing.index_add, indexing.index_copy, indexing.index_fill))
index_put_, masked_scatter_ = map(in_place, (indexing.index_put, indexing.masked_scatter))


def zero_(x):
    """Write 0 everywhere."""
    return indexing.fill_(x, 0)


# ---- types, and tensors of the same type ----

def type(x, dtype=None, non_blocking=False):
    """x with another dtype; without one, its dtype's name."""
    return str(x.array.dtype) if dtype is None else x.to(dtype)


def type_as(x, other):
    """x with another tensor's dtype."""
    return x.to(other.dtype)


def is_floating_point(x):
    """Is it of float32 or float64?"""
    return x.array.dtype.kind == "f"


def element_size(x):
    """Bytes an element takes."""
    return x.array.dtype.itemsize


def stride(x, dim=None, *, axis=None):
    """Steps between neighbours along each axis, or along one, in elements."""
    if axis is not None:
        dim = devices.axis_as_dim("stride", dim, axis)
    steps = tuple([s // x.array.dtype.itemsize for s in x.array.strides])
    return steps if dim is None else steps[devices.normalize_axis("stride", dim, x.array.ndim)]


def cpu(x):
    """x on the CPU."""
    return x.to("cpu")


def cuda(x, device=None, non_blocking=False):
    """x on the GPU."""
    return x.to("cuda" if device is None else device)


def tolist(x):
    """Its values as nested lists of Python numbers."""
    return devices.read(x.array).tolist()


def numpy(x, *, force=False):
    """Its memory as an ndarray (CPU tensors without a gradient; `.detach()` first otherwise, or force=True, which also
    copies from a GPU). Writes through it are not seen by the tape."""
    if force:
        x = x.detach().cpu()
    if x.requires_grad:
        raise RuntimeError("numpy: this tensor requires a gradient, which NumPy would lose; use .detach().numpy()")
    if devices.device_of(x.array) != "cpu":
        raise TypeError(f"numpy: expected a tensor on the CPU, got one on {x.device}; use .cpu().numpy()")
    return devices.read(x.array)


def retain_grad(x):
    """Keep this tensor's gradient in `.grad` at backward, though it is no leaf."""
    gradients.retain_grad(x)


def register_hook(x, hook):
    """Call `hook(gradient)` when this tensor's gradient is known; a tensor it returns takes the gradient's place."""
    return gradients.add_hook(x, hook)


itemsize = property(lambda x: x.array.dtype.itemsize, doc="Bytes an element takes.")
nbytes = property(lambda x: x.array.size * x.array.dtype.itemsize, doc="Bytes the elements take.")
is_cuda = property(lambda x: x.device == "cuda", doc="Is it on a GPU?")


def new_tensor(x, data, *, dtype=None, device=None, requires_grad=False):
    """A tensor with a copy of `data`, of x's dtype and device unless told otherwise."""
    array = devices.copy(array_from(data, x.array.dtype if dtype is None else as_dtype(dtype)))
    y = wrap(devices.to_device(array, x.device if device is None else device))
    return y.requires_grad_() if requires_grad else y


def where(x, condition, other):
    """x where the condition holds, else other."""
    return arithmetic.where(condition, x, other)


# ---- another shape in place ----

def _become(name, x, view):
    """Let a tensor show a view of its own memory from now on."""
    if x.requires_grad:
        raise RuntimeError(f"{name}: a tensor that requires a gradient cannot change its shape in place; use {name[:-1]}")
    x.data = view
    return x


def split(x, split_size, dim=0):
    """x in neighbouring views along `dim`: of one size each (the last may be smaller), or of the sizes in a list."""
    return shape.split(x, split_size, dim)


def unsqueeze_(x, dim=None, *, axis=None):
    """x with an axis of size 1 put in at `dim`, in place."""
    if axis is not None:
        dim = devices.axis_as_dim("unsqueeze_", dim, axis)
    return _become("unsqueeze_", x, shape.unsqueeze(x.detach(), dim))


def squeeze_(x, dim=None, *, axis=None):
    """x without its axes of size 1, in place."""
    if axis is not None:
        dim = devices.axis_as_dim("squeeze_", dim, axis)
    return _become("squeeze_", x, shape.squeeze(x.detach(), dim))


def t_(x):
    """A matrix transposed in place."""
    return _become("t_", x, shape.t(x.detach()))


def transpose_(x, dim0, dim1):
    """Two axes swapped in place."""
    return _become("transpose_", x, shape.transpose(x.detach(), dim0, dim1))
