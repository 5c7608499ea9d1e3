"""The element types, and the one in which different types meet."""
import numpy as np

float32, float64, int64 = np.dtype("float32"), np.dtype("float64"), np.dtype("int64")
int32, uint8, boolean = np.dtype("int32"), np.dtype("uint8"), np.dtype("bool")
DTYPES = (float32, float64, int64, int32, uint8, boolean)

_HALF = ("float16", "bfloat16")
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}
_RANK = {boolean: 0, uint8: 1, int32: 2, int64: 3, float32: 4, float64: 5}


def category(dtype) -> int:
    """0 for bool, 1 for integers, 2 for floats: a value of a higher category does not fit a lower one."""
    return _CATEGORY[dtype.kind]


def result_type(*operands):
    """The dtype in which operands of different types meet, by PyTorch's rule.

    Within tensors of one or more dimensions the larger type of the highest category (bool < integer < float) wins.
    A 0-d tensor counts only where its category is higher than theirs, and a Python number only where its category is
    higher than both: `int64 tensor + 1.5` is float32, `float32 tensor + float64 0-d tensor` is float32.
    """
    groups: list = [None, None, None]       # tensors, 0-d tensors, Python numbers
    for x in operands:
        if hasattr(x, "array"):
            dtype, place = x.array.dtype, 0 if x.array.ndim else 1
        elif isinstance(x, (bool, np.bool_)):
            dtype, place = boolean, 2
        elif isinstance(x, (int, np.integer)):
            dtype, place = int64, 2
        else:
            dtype, place = float32, 2
        if groups[place] is None or _RANK[dtype] > _RANK[groups[place]]:
            groups[place] = dtype
    result = None
    for dtype in groups:
        if dtype is not None and (result is None or _CATEGORY[dtype.kind] > _CATEGORY[result.kind]):
            result = dtype
    return result


def as_dtype(dtype):
    """The NumPy dtype that a dtype argument (minilayer.float32, "float32", np.float32, float, int, bool) means."""
    if dtype is float:
        return float32
    if dtype is int:
        return int64
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in DTYPES:
        raise TypeError(f"dtype: expected one of {', '.join(map(str, DTYPES))}, got {dtype!r}"
                        + ("; half precision is read from and written to files, and computed as float32"
                           if str(dtype) in _HALF else ""))
    return found


def promote_types(type1, type2):
    """The dtype in which tensors of two dtypes meet."""
    return max(as_dtype(type1), as_dtype(type2), key=_RANK.get)


def can_cast(from_, to):
    """Does the category of `from_` (bool, integer, float) fit `to`?"""
    return category(as_dtype(from_)) <= category(as_dtype(to))


def get_default_dtype():
    """The dtype of what is made of Python floats, and of new layers: float32."""
    return float32


def set_default_dtype(d):
    """Takes the default there is, float32, so that code that sets it runs."""
    if as_dtype(d) != float32:
        raise ValueError(f"set_default_dtype: expected float32, which minilayer's default always is, got {d}; give dtype=... "
                         "to what makes tensors and layers, or move a model with .double()")
