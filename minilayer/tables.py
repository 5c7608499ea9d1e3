"""Tables of vectors that are looked up by number: the checks of embedding and embedding_bag, and the bound on their rows."""
from minilayer._ext.dispatch import family
from minilayer.device import cast, contiguous
from minilayer.dtypes import int64
from minilayer.node import TensorBase
from minilayer.promotion import real

kernels = family("embedding")


def check_table(name, index, weight):
    """The indices as int64."""
    if index.dtype.kind != "i":
        raise TypeError(f"{name}: expected int64 or int32 indices, got {index.dtype}; convert them with .long()")
    if weight.ndim != 2:
        raise ValueError(f"{name}: expected a weight of shape (rows, features), got {weight.shape}")
    if weight.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 weight, got {weight.dtype}")
    return index if index.dtype == int64 else cast(index, int64)


def padding_row(name, padding_idx, weight):
    """padding_idx as a row of the table, or None."""
    if padding_idx is None:
        return None
    shape = getattr(weight, "shape", ())
    rows = shape[0] if len(shape) == 2 else 0
    if isinstance(padding_idx, bool) or not hasattr(padding_idx, "__index__"):
        raise TypeError(f"{name}: expected padding_idx to be an integer or None, got {padding_idx!r}")
    if not -rows <= padding_idx < rows:
        raise ValueError(f"{name}: expected padding_idx in [{-rows}, {rows}) for a table of {rows} rows, got {padding_idx}")
    return padding_idx.__index__() % rows


def refuse_sparse(name, sparse):
    if sparse:
        raise NotImplementedError(f"{name}: gradients are dense here, a row for every row of the table; leave out sparse=True")


def renorm(name, index, weight, max_norm, norm_type):
    """Shorten the rows of the table that are asked for and longer than max_norm, in place."""
    max_norm, norm_type = real(name, "max_norm", max_norm), real(name, "norm_type", norm_type)
    if not norm_type > 0:
        raise ValueError(f"{name}: expected norm_type above 0, got {norm_type}")
    for t in (index, weight):
        if not isinstance(t, TensorBase):
            raise TypeError(f"{name}: expected tensors, got {type(t).__name__}; make it one with minilayer.tensor(...)")
    flat = contiguous(check_table(name, index.array, weight.array)).reshape((-1,))
    table = contiguous(weight.array)
    kernels.on(table).embedding_renorm(table, flat, max_norm=max_norm, norm_type=norm_type)
    if table is not weight.array:
        family("indexing").on(table).copy(table, weight.array)
    weight.mark_written(f"{name} with max_norm")
