"""Order: sorting, the k largest, medians and quantiles, distinct values, places in sorted tensors, histograms.

Sorting is stable, whatever `stable` says, and NaN counts as larger than every number. Two kernels do the work (sort and
topk); their gradient goes to where each value came from. The rest is made of them.
"""
from collections import namedtuple
from math import prod as _size

import numpy as np

from minilayer._ext.dispatch import family
from minilayer._ext.runtime import constant
from minilayer.device import (
    axis_as_dim,
    cast,
    contiguous,
    device_of,
    empty,
    expect_room,
    full,
    normalize_axis,
    numpy_names,
    to_device,
)
from minilayer.node import TensorBase, wrap
from minilayer.state import no_grad
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("sort")
reductions = family("reduce")
scans = family("scan")

int32, int64, boolean = np.dtype("int32"), np.dtype("int64"), np.dtype("bool")

ValuesIndices = namedtuple("ValuesIndices", "values indices")
ValuesIndices.__doc__ = "What sort, topk and their kin return."


def _line_up(x, axis):
    """x as (outer, n, inner), the axis in the middle; a 0-d one as (1, 1, 1)."""
    shape = x.shape or (1,)
    return contiguous(x).reshape((_size(shape[:axis]), shape[axis], _size(shape[axis + 1:])))


class Sort(Op):
    """y, index = x in order along one axis, y_i = x[index_i];  dx[index_i] = dy_i"""
    name = "sort"
    nondifferentiable_outputs = (1,)

    def __init__(self, axis, descending):
        self.axis = axis
        self.descending = descending

    def outputs(self, x):
        return empty(x.shape, x.dtype, x), empty(x.shape, int64, x)

    def run(self, x, y, index):
        kernels.on(x).sort(x, y, index, descending=self.descending)

    def forward(self, node, x):
        self._shape = x.shape
        y, index = self.outputs(x)
        self.run(*[_line_up(a, self.axis) for a in (x, y, index)])
        node.save(index)
        return y, index

    def backward(self, node, dy, dindex):
        (index,) = node.saved
        dx = empty(self._shape, dy.dtype, dy)
        scans.on(dy).add_along(*[_line_up(a, self.axis) for a in (dy, index, dx)])
        return dx

    def backward_graph(self, node, dy, dindex):
        index = node.saved_tensors[0]
        zeros = wrap(full(self._shape, 0, dy.array.dtype, dy.array))
        return zeros.scatter_add(self.axis, index, dy)

    def cost(self, shapes, out_shapes):
        n, m = _size(shapes[0]), _size(out_shapes[0])
        return Cost(n * max(1, n.bit_length()), m, 4 * (n + 3 * m), 4 * (n + 3 * m))


class Topk(Sort):
    """y, index = the k largest (or smallest) of x along one axis, in order;  dx[index_i] = dy_i, else 0"""
    name = "topk"

    def __init__(self, k, axis, largest):
        self.k = k
        self.axis = axis
        self.largest = largest

    def outputs(self, x):
        shape = x.shape[:self.axis] + (self.k,) + x.shape[self.axis + 1:] if x.shape else ()
        return empty(shape, x.dtype, x), empty(shape, int64, x)

    def run(self, x, y, index):
        kernels.on(x).topk(x, y, index, largest=self.largest)


# ---- sorting ----

def sort(input, dim=-1, descending=False, stable=False, *, axis=None):
    """(values, indices): input in rising order along `dim` (falling with descending), and where each value was. Equal ones
    keep their order, whatever `stable` says."""
    if axis is not None:
        dim = axis_as_dim("sort", dim, axis, -1)
    expect_tensor("sort", input)
    return ValuesIndices(*apply(Sort(normalize_axis("sort", dim, input.array.ndim), bool(descending)), input))


def argsort(input, dim=-1, descending=False, stable=False, *, axis=None):
    """The indices that sort input along `dim`."""
    if axis is not None:
        dim = axis_as_dim("argsort", dim, axis, -1)
    expect_tensor("argsort", input)
    return apply(Sort(normalize_axis("argsort", dim, input.array.ndim), bool(descending)), input.detach())[1]


def msort(input):
    """input sorted along its first axis."""
    expect_tensor("msort", input)
    return sort(input, 0).values


def topk(input, k, dim=-1, largest=True, sorted=True, *, axis=None):
    """(values, indices) of the k largest elements along `dim` (smallest with largest=False), in order; of equal ones
    the first. (`sorted=False` would allow any order; it is sorted all the same.)"""
    if axis is not None:
        dim = axis_as_dim("topk", dim, axis, -1)
    expect_tensor("topk", input)
    axis = normalize_axis("topk", dim, input.array.ndim)
    n = input.array.shape[axis] if input.array.ndim else 1
    if not hasattr(k, "__index__") or isinstance(k, bool):
        raise TypeError(f"topk: expected k to be an integer, got {k!r}")
    if not 0 <= k.__index__() <= n or (not input.array.ndim and k.__index__() != 1):
        raise ValueError(f"topk: expected k in [0, {n}], the size of dim {dim}, got {k}")
    return ValuesIndices(*apply(Topk(k.__index__(), axis, bool(largest)), input))


def _pick(x, axis, place, keepdim):
    """(values, indices) at one place along an axis of the sorted x."""
    values, indices = sort(x, axis)
    if not x.array.ndim:
        return ValuesIndices(values, indices)
    values, indices = values.narrow(axis, place, 1), indices.narrow(axis, place, 1)
    return ValuesIndices(*[t.clone() if keepdim else t.squeeze(axis).clone() for t in (values, indices)])


def kthvalue(input, k, dim=-1, keepdim=False, *, axis=None, keepdims=None):
    """(values, indices) of the k-th smallest element along `dim`, counted from 1."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("kthvalue", dim, axis, keepdim, keepdims, -1)
    expect_tensor("kthvalue", input)
    axis = normalize_axis("kthvalue", dim, input.array.ndim)
    n = input.array.shape[axis] if input.array.ndim else 1
    if not 1 <= k <= n:
        raise ValueError(f"kthvalue: expected k in [1, {n}], the size of dim {dim}, got {k}")
    return _pick(input, axis, k - 1, keepdim)


class Middle(Op):
    """y = median of all x;  dx = dy, shared evenly among the x that equal y"""
    name = "median"

    def __init__(self, name):
        self.name = name                        # or nanmedian

    def forward(self, node, x):
        with no_grad():
            y = _median(self.name, wrap(x).reshape(-1), 0, False).values.array
        node.save(x, y)                         # dx is found by comparing them
        return y

    def backward(self, node, dy):
        x, y = node.saved
        one = (1,) * x.ndim
        dx = empty(x.shape, x.dtype, x)
        reductions.on(x).max_backward(x, y.reshape(one), dy.reshape(one), dx)
        return dx

    def backward_graph(self, node, dy):
        x, y = [t.detach() for t in node.saved_tensors]
        others = ~((x == y) | ((x != x) & (y != y)))
        return (dy / (~others).sum()).expand(x.array.shape).masked_fill(others, 0)

    def cost(self, shapes, out_shapes):
        n = _size(shapes[0])
        return Cost(20 * n, 2 * n, 20 * n, 20 * n)


def median(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """Without `dim`, the median of all elements: the lower one of the two in the middle. With it, (values, indices)
    along that axis. NaN where there is one."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("median", dim, axis, keepdim, keepdims)
    return _median("median", input, dim, keepdim)


def nanmedian(input, dim=None, keepdim=False, *, axis=None, keepdims=None):
    """`median` of what is not NaN."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("nanmedian", dim, axis, keepdim, keepdims)
    return _median("nanmedian", input, dim, keepdim)


def _median(name, x, dim, keepdim):
    expect_tensor(name, x)
    if dim is None:
        if not x.array.size:
            if x.array.dtype.kind != "f":
                raise ValueError(f"{name}: expected at least one element, got shape {x.array.shape}")
            return wrap(full((), float("nan"), x.array.dtype, x.array))
        return apply(Middle(name), x)
    axis = normalize_axis(name, dim, x.array.ndim)
    if not x.array.ndim:
        return ValuesIndices(x.clone(), wrap(full((), 0, int64, x.array)))
    n = x.array.shape[axis]
    if not n:
        raise ValueError(f"{name}: expected at least one element along dim {dim}, got shape {x.array.shape}")
    values, indices = sort(x, axis)
    numbers = (~values.detach().isnan()).sum(axis, keepdim=True)        # NaN is sorted last
    place = (numbers - 1).clamp(min=0).div(2, rounding_mode="floor")
    if name == "median":                                                # the first NaN, where there is one
        place = numbers.where(numbers < n, (numbers * 0 + (n - 1) // 2))
    found = [t.gather(axis, place) for t in (values, indices)]
    return ValuesIndices(*[t if keepdim else t.squeeze(axis) for t in found])


def mode(input, dim=-1, keepdim=False, *, axis=None, keepdims=None):
    """(values, indices) of the commonest value along `dim`, the smallest of several, and the last place that has it."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("mode", dim, axis, keepdim, keepdims, -1)
    expect_tensor("mode", input)
    axis = normalize_axis("mode", dim, input.array.ndim)
    if not input.array.ndim:
        return ValuesIndices(input.clone(), wrap(full((), 0, int64, input.array)))
    n = input.array.shape[axis]
    if not n:
        raise ValueError(f"mode: expected at least one element along dim {dim}, got shape {input.array.shape}")
    values, indices = sort(input.transpose(axis, -1), -1)
    v = values.detach()
    place = _places(n, input).expand(v.array.shape)
    begins = place * (v[..., :1] != v[..., :1]).long()                  # zeros, in the right shape
    if n > 1:
        new = (v[..., 1:] != v[..., :-1]).long()
        begins = _joined(begins[..., :1], place[..., 1:] * new)
    run = place - begins.cummax(-1).values                              # how many equal ones lie before, in a row
    last = run.argmax(-1, True)
    found = [t.gather(-1, last).transpose(axis, -1) for t in (values, indices)]
    return ValuesIndices(*[t if keepdim else t.squeeze(axis) for t in found])


def _joined(a, b):
    """a and b one behind the other along the last axis."""
    n = a.array.shape[-1]
    y = wrap(empty(a.array.shape[:-1] + (n + b.array.shape[-1],), a.array.dtype, a.array))
    y[..., :n] = a
    y[..., n:] = b
    return y


def _places(n, like):
    """0, 1, ..., n - 1 as a tensor on the device of another."""
    return wrap(full((n,), 1, int64, like.array)).cumsum(0) - 1


_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", axis=None, keepdims=None):
    """The q-quantile (q in [0, 1], a number or a 1-d tensor, whose axis comes first in the result) of all elements or
    along `dim`: place q (n - 1) of the sorted ones; between two, what `interpolation` says: "linear", "lower",
    "higher", "midpoint" or "nearest". NaN where there is one."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("quantile", dim, axis, keepdim, keepdims)
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", axis=None, keepdims=None):
    """`quantile` of what is not NaN."""
    if axis is not None or keepdims is not None:
        dim, keepdim = numpy_names("nanquantile", dim, axis, keepdim, keepdims)
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)


def _quantile(name, x, q, dim, keepdim, interpolation):
    expect_tensor(name, x)
    if x.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected float32 or float64, got {x.array.dtype}; convert it with .float() first")
    if interpolation not in _BETWEEN:
        raise ValueError(f"{name}: expected interpolation to be one of {', '.join(_BETWEEN)}, got {interpolation!r}")
    if isinstance(q, TensorBase) and (q.array.ndim > 1 or q.array.dtype != x.array.dtype):
        raise ValueError(f"{name}: expected q to be a number, or a tensor of at most one dimension in x's {x.array.dtype}, "
                         f"got shape {q.array.shape} and dtype {q.array.dtype}")
    several = isinstance(q, TensorBase) and q.array.ndim == 1
    wanted = q.detach().reshape(-1).tolist() if isinstance(q, TensorBase) else [q]
    for v in wanted:
        if not 0 <= v <= 1:
            raise ValueError(f"{name}: expected q in [0, 1], got {v}")
    if not x.array.size:
        raise ValueError(f"{name}: expected at least one element, got shape {x.array.shape}")
    ndim = x.array.ndim
    axis = None if dim is None else normalize_axis(name, dim, ndim)
    rows = x.reshape(1, -1) if dim is None or not ndim else x.transpose(axis, -1)
    values = sort(rows, -1).values
    n = values.array.shape[-1]
    numbers = (~values.detach().isnan()).sum(-1, keepdim=True)
    last = (numbers - 1).clamp(min=0) if name == "nanquantile" else numbers * 0 + (n - 1)
    steps = wrap(to_device(constant(np.array(wanted, x.array.dtype)), device_of(x.array)))
    place = last * steps                                                # (..., q)
    if name == "quantile":                                              # the last is NaN where one of them is
        place = place.where(numbers == n, (numbers * 0 + (n - 1)).to(place.dtype))
    if interpolation in ("lower", "higher", "nearest"):
        rounded = {"lower": place.floor, "higher": place.ceil, "nearest": place.round}[interpolation]()
        found = values.gather(-1, rounded.long())
    else:
        low, high = place.floor(), place.ceil()
        weight = place - low if interpolation == "linear" else (high > low).to(place.dtype) * 0.5
        a, b = values.gather(-1, low.long()), values.gather(-1, high.long())
        found = a.lerp(b, weight)               # (exact at both ends, also where one is infinite)
    if dim is None:
        found = found.reshape((-1,) + (1,) * (ndim if keepdim else 0))
    else:
        found = found.unsqueeze(0).transpose(0, -1).squeeze(-1) if ndim else found.reshape(-1)      # q's axis in front
        if ndim:                            # (q, ..., last in place of axis): the axis that was last goes back
            rest = [n for d, n in enumerate(rows.array.shape[:-1])]
            found = found.reshape(len(wanted), *rest)
            found = _axis_back(found, axis, ndim, keepdim)
    return found if several else found.squeeze(0)


def _axis_back(found, axis, ndim, keepdim):
    """found (q, the axes of x but for its last in the place of `axis`) with the axes in their order again."""
    found = found.unsqueeze(-1).transpose(axis + 1, -1)                 # (q, ..., 1 at axis, ..., last)
    return found if keepdim else found.squeeze(axis + 1)


# ---- distinct values ----

def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements of input, in rising order, or with `dim` its distinct slices along that axis; where asked for,
    also which of them each element is, and how often each occurs. Each NaN is distinct."""
    expect_tensor("unique", input)
    input = input.detach()
    if dim is not None:
        rows, order, axis = _rows_in_order("unique", input, dim)
        taken = rows[order]
        new = _new_rows(taken)
        return _distinct(taken, new, order, (rows.array.shape[0],), return_inverse, return_counts,
                         lambda t: t.reshape(-1, *_moved(input, axis)[1:]).movedim(0, axis))
    flat, order = sort(input.reshape(-1), 0)
    return _distinct(flat, _new_rows(flat.unsqueeze(-1)), order, input.array.shape, return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """input without elements (with `dim`, slices) that equal the one before them; where asked for, also which of the rest
    each is, and how often each occurs."""
    expect_tensor("unique_consecutive", input)
    input = input.detach()
    if dim is not None:
        axis = normalize_axis("unique_consecutive", dim, input.array.ndim)
        rows = input.movedim(axis, 0).reshape(input.array.shape[axis], -1)
        return _distinct(rows, _new_rows(rows), None, (rows.array.shape[0],), return_inverse, return_counts,
                         lambda t: t.reshape(-1, *_moved(input, axis)[1:]).movedim(0, axis))
    flat = input.reshape(-1)
    return _distinct(flat, _new_rows(flat.unsqueeze(-1)), None, input.array.shape, return_inverse, return_counts)


def _moved(x, axis):
    shape = x.array.shape
    return (shape[axis], *shape[:axis], *shape[axis + 1:])


def _rows_in_order(name, x, dim):
    """x as rows along an axis, the order that sorts them by their first element, then the second, ..., and the axis."""
    axis = normalize_axis(name, dim, x.array.ndim)
    rows = x.movedim(axis, 0).reshape(x.array.shape[axis], -1)
    order = _places(rows.array.shape[0], x)
    for column in range(rows.array.shape[1] - 1, -1, -1):       # stable sorts, the least important first
        order = order[argsort(rows[:, column][order], 0)]
    return rows, order, axis


def _new_rows(rows):
    """Where a row differs from the one before it."""
    new = wrap(full((rows.array.shape[0],), 1, boolean, rows.array))
    if rows.array.shape[0] > 1:
        new[1:] = (rows[1:] != rows[:-1]).any(-1)
    return new


def _distinct(rows, new, order, shape, return_inverse, return_counts, shaped=None):
    kept = rows[new]
    found = [kept if shaped is None else shaped(kept)]
    number = new.long().cumsum(0) - 1               # which of the distinct ones each is, in the order of the rows
    if return_inverse:
        inverse = number
        if order is not None:
            inverse = wrap(full(number.array.shape, 0, int64, rows.array))
            inverse[order] = number
        found.append(inverse.reshape(shape))
    if return_counts:
        found.append(bincount(number, minlength=kept.array.shape[0]))
    return found[0] if len(found) == 1 else tuple(found)


# ---- counting ----

def bincount(input, weights=None, minlength=0):
    """How often each of 0, 1, ..., max(input) occurs in a 1-d integer tensor (or the sum of the weights there)."""
    expect_tensor("bincount", input)
    if input.array.ndim != 1 or input.array.dtype.kind not in "iu":
        raise TypeError(f"bincount: expected a 1-d integer tensor, got shape {input.array.shape} and dtype {input.array.dtype}")
    if weights is not None and weights.array.shape != input.array.shape:
        raise ValueError(f"bincount: expected a weight an element, of shape {input.array.shape}, got {weights.array.shape}")
    if minlength < 0:
        raise ValueError(f"bincount: expected minlength of 0 or more, got {minlength}")
    n = minlength
    if input.array.size:
        if input.min().item() < 0:
            raise ValueError(f"bincount: expected numbers of 0 or more, got {input.min().item()}")
        n = max(n, int(input.max().item()) + 1)
    expect_room("bincount", (n,))
    if weights is None:
        weights = wrap(full(input.array.shape, 1, int64, input.array))
    elif weights.array.dtype.kind != "f":
        weights = weights.double()
    return wrap(full((n,), 0, weights.array.dtype, input.array)).scatter_add(0, input.long(), weights.detach())


def histc(input, bins=100, min=0, max=0):
    """How many elements fall into each of `bins` equal parts of [min, max] (both 0: the range of input), as input's dtype; what
    lies outside is not counted."""
    expect_tensor("histc", input)
    if input.array.dtype.kind != "f":
        raise TypeError(f"histc: expected float32 or float64, got {input.array.dtype}; convert it with .float() first")
    if bins < 1:
        raise ValueError(f"histc: expected at least 1 bin, got {bins}")
    expect_room("histc", (bins,))
    if min > max:
        raise ValueError(f"histc: expected min <= max, got {min} and {max}")
    input = input.detach().reshape(-1)
    if min == max and input.array.size:
        min, max = float(input.min().item()), float(input.max().item())
        if not max - min < float("inf"):
            raise ValueError(f"histc: expected a finite range, got {min} to {max}; give min and max")
    if min == max:
        min, max = min - 1, max + 1
    inside = input[(input >= min) & (input <= max)]
    place = ((inside - min) * (bins / (max - min))).long().clamp(0, bins - 1)
    return bincount(place, minlength=bins).to(input.dtype)


# ---- places in sorted tensors ----

def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each value belongs in the sorted last axis of `sorted_sequence` (1-d: shared by all): before the elements
    equal to it, or behind them with `right` or side="right". int64, or int32 with out_int32."""
    expect_tensor("searchsorted", sorted_sequence)
    if side not in (None, "left", "right"):
        raise ValueError(f'searchsorted: expected side "left" or "right", got {side!r}')
    if side == "left" and right:
        raise ValueError('searchsorted: expected side and right to agree, got side="left" and right=True')
    if sorter is not None:
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    number = not isinstance(input, TensorBase)
    if number:
        input = wrap(full((), input, sorted_sequence.array.dtype, sorted_sequence.array))
    return _places_in("searchsorted", sorted_sequence.detach(), input.detach(), right or side == "right", out_int32)


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """Which of the intervals between sorted 1-d boundaries each element lies in: boundaries[i - 1] < input <= boundaries[i],
    or with `right`, boundaries[i - 1] <= input < boundaries[i]."""
    expect_tensor("bucketize", boundaries)
    if boundaries.array.ndim != 1:
        raise ValueError(f"bucketize: expected 1-d boundaries, got shape {boundaries.array.shape}")
    if not isinstance(input, TensorBase):
        input = wrap(full((), input, boundaries.array.dtype if isinstance(input, int) else np.dtype("float32"), boundaries.array))
    return _places_in("bucketize", boundaries.detach(), input.detach(), right, out_int32)


def _places_in(name, rows, values, right, out_int32):
    a, b = rows.array, values.array
    dtype = a.dtype if a.dtype == b.dtype else np.result_type(a.dtype, b.dtype) if "f" in (a.dtype.kind, b.dtype.kind) else int64
    a, b = [t if t.dtype == dtype else cast(t, dtype) for t in (a, b)]
    if a.ndim != 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError(f"{name}: expected a 1-d sorted sequence, or values whose axes but the last are those of its "
                         f"shape {a.shape}, got {b.shape}")
    lead = _size(a.shape[:-1])
    index = empty(b.shape, int64, b)
    if b.size:
        kernels.on(b).searchsorted(contiguous(a).reshape((lead, a.shape[-1])), contiguous(b).reshape((lead, b.size // lead)),
                                   index.reshape((lead, b.size // lead)), right=bool(right))
    return wrap(cast(index, int32) if out_int32 else index)
