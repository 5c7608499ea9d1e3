"""Rows of the indexing family."""
import math

import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import (
    BIG,
    EVERY,
    NUMBERS,
    SHAPES,
    ErrorCase,
    KernelCase,
    OpCase,
    distinct,
    each_shape,
    few_values,
    mix,
    normal,
    out,
)
from minilayer import tape
from minilayer.ops import indexing


def copy_samples(rng, dtype):
    for x, y in [((3, 5), (3, 5)), ((), ()), ((1,), (1,)), ((0, 3), (0, 3)), ((), (2, 3)), ((4, 1), (2, 4, 6)), ((2, 3, 4), (2, 3, 4)),
                 ((33, 31), (33, 31)), ((1, 17), (33, 17)), ((2, 1, 3, 2), (2, 5, 3, 2)), ((130, 140), (130, 140)), ((40000,), (40000,))]:
        for y_dtype in EVERY if math.prod(y) < 1000 else (dtype, "float64"):
            yield (normal(rng, x, dtype), out(y, y_dtype)), {}


def fill_samples(rng, dtype):
    for shape in [*SHAPES, BIG]:
        for value in (0, 1, True, 2.5 if dtype[0] == "f" else 3):
            yield (out(shape, dtype),), {"value": value}


def flatten_index_samples(rng, dtype):
    def places(size, *shape):
        return rng.integers(-size, size, shape)
    yield ((places(5, 4),), out((4,), "int64")), {"sizes": (5,)}
    yield ((places(5, 3, 1), places(7, 4)), out((3, 4), "int64")), {"sizes": (5, 7)}
    yield ((0, places(7, 4)), out((3, 4), "int64")), {"sizes": (3, 7)}
    yield ((places(7, 3, 1), 1, places(2, 4)), out((3, 4), "int64")), {"sizes": (7, 4, 2), "strides": (100, 3, 1)}
    yield ((np.array(-1),), out((), "int64")), {"sizes": (3,)}
    yield ((places(2, 0, 1), 1), out((0, 3), "int64")), {"sizes": (2, 3)}
    yield ((places(300, 300), 1), out((200, 300), "int64")), {"sizes": (300, 300)}


ROW_NUMBERS = [(5, 3, 7), (1, 1, 1), (10, 1, 40), (0, 3, 0), (4, 0, 3), (3, 300, 50), (100, 40, 900)]       # rows of x, their length, indices


def take_rows_samples(rng, dtype):
    for rows, length, n in ROW_NUMBERS:
        yield (normal(rng, (rows, length), dtype), rng.integers(0, max(rows, 1), n), out((n, length), dtype)), {}


def write_rows_samples(rng, dtype):
    for rows, length, n in ROW_NUMBERS:
        yield (normal(rng, (rows, length), dtype), rng.integers(0, max(rows, 1), n), normal(rng, (n, length), dtype)), {}


def nonzero_samples(rng, dtype):
    for shape in [*SHAPES, (300, 70)]:
        x = few_values(rng, shape, dtype)
        for mask in (x, x.T):
            yield (mask, out((np.count_nonzero(mask), mask.ndim), "int64")), {}


KERNELS = [
    KernelCase("indexing", "copy", copy_samples, outs=(1,), dtypes=EVERY, strided=(0, 1), bound=0),
    KernelCase("indexing", "fill", fill_samples, outs=(0,), dtypes=EVERY, strided=(0,), bound=0),
    KernelCase("indexing", "flatten_index", flatten_index_samples, outs=(1,), dtypes=("int64",), strided=(0, 1)),
    KernelCase("indexing", "take_rows", take_rows_samples, outs=(2,), dtypes=EVERY, strided=(1, 2), bound=0, special=True),
    KernelCase("indexing", "put_rows", write_rows_samples, inouts=(0,), dtypes=EVERY, strided=(1, 2), bound=0),
    KernelCase("indexing", "add_rows", write_rows_samples, inouts=(0,), dtypes=NUMBERS, strided=(1, 2), bound=0, special=True),
    KernelCase("indexing", "count_nonzero", lambda rng, dtype: [((few_values(rng, s, dtype),), {}) for s in [*SHAPES, (300, 70)]],
               dtypes=EVERY, strided=(0,)),
    KernelCase("indexing", "nonzero", nonzero_samples, outs=(1,), dtypes=EVERY, strided=(1,)),
]


def changed(f):
    """f changes a fresh copy of x in place."""
    def call(x, *others):
        y = x * 1.0
        f(y, *others)
        return y
    return call


def set_item(index):
    return changed(lambda y, v: indexing.setitem(y, index, v))


MASK = np.array([True, False, True])

OPS = [
    OpCase("clone", indexing.clone, each_shape(normal), op="indexing.Clone", second=True),
    OpCase("to_device", lambda x: tape.apply(indexing.ToDevice("cpu"), x), each_shape(normal), op="indexing.ToDevice", second=True, standin=False),
    OpCase("copy_", changed(indexing.copy_), lambda rng: [(normal(rng, (3, 5)), normal(rng, s)) for s in [(3, 5), (5,), (3, 1), ()]],
           op="indexing.Copy", second=True),
    OpCase("fill_", changed(lambda y, v: indexing.fill_(y, 2.0)), lambda rng: [(normal(rng, (3, 5)), None), (normal(rng, ()), None)],
           op="indexing.Fill", second=True),
    OpCase("getitem as a view", lambda x: (x[1], x[:, 1:], x[..., None, 0], x[-1, ::2], x[1:1]), each_shape(normal, [(3, 5), (2, 3, 4)]),
           op="indexing.Slice", second=True),
    OpCase("getitem, many slices of one tensor", lambda x: x[0] * x[1] + x[2] * x[0], each_shape(normal, [(3, 5)]), op="indexing.Slice",
           second=True),
    OpCase("gradient of a slice", lambda x: tape.apply(indexing.Unslice((1, slice(0, 6, 2)), (3, 7)), x), each_shape(normal, [(3,)]),
           op="indexing.Unslice", second=True),
    OpCase("getitem by places", lambda x: (x[[0, 2, 0, -1]], x[:, [1, 1]], x[[0, 1], :, [2, 0]], x[1:, [[0], [2]], 1], x[[]]),
           each_shape(normal, [(3, 4, 3)]), op="indexing.Take", second=True),
    OpCase("getitem by a single bool", lambda x: (x[True], x[False], x[..., True], x[1, True], x[[0, 2], :, True], x[True, [0, 0]]),
           each_shape(normal, [(3, 4)]), op=("indexing.Slice", "indexing.Take"), second=True),
    OpCase("setitem by a single bool", set_item((1, True)),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, s)) for s in [(4,), (1, 4), ()]], op="indexing.Put", second=True),
    OpCase("getitem by a mask", lambda x, m, r: (x[m], x[r], x[r, :, [0, 1]], x[m, 0]),
           lambda rng: [(normal(rng, (3, 4, 3)), normal(rng, (3, 4), "bool"), MASK)], op="indexing.Take", second=True),
    OpCase("gradient of taking", lambda x, places: indexing.scatter_add(x, 0, places, x),
           lambda rng: [(normal(rng, (3, 4)), rng.integers(0, 3, (3, 4)))], op="indexing.Spread", second=True),
    OpCase("setitem by places", set_item((slice(None), [0, 2])), lambda rng: [(normal(rng, (3, 4)), normal(rng, s)) for s in [(3, 2), (2,), (3, 1), ()]],
           op="indexing.Put", second=True),
    OpCase("setitem by all places", set_item([2, 0, 1]), lambda rng: [(normal(rng, (3, 4)), normal(rng, (3, 4)))], op="indexing.Put", second=True),
    OpCase("setitem in a view", set_item((slice(None), 1)), lambda rng: [(normal(rng, (3, 4)), normal(rng, s)) for s in [(3,), (1,), ()]],
           op="indexing.PutSlice", second=True),
    OpCase("setitem to a number", changed(lambda y: indexing.setitem(y, (0, slice(1, 3)), 2.0)), each_shape(normal, [(3, 4)]),
           op="indexing.PutSlice", second=True),
    OpCase("setitem by a mask", changed(lambda y, m, v: (indexing.setitem(y, m, 2.0), indexing.setitem(y, ~m, v))),
           lambda rng: [(normal(rng, (3, 4)), MASK, normal(rng, (4,)))], op=("indexing.MaskedFill", "indexing.Put"), second=True),
    OpCase("masked_fill", lambda x, m: (indexing.masked_fill(x, m, -2.0), indexing.masked_fill(x, m, x.sum())),
           lambda rng: [(normal(rng, s), normal(rng, m, "bool")) for s, m in [((3, 4), (3, 4)), ((), ()), ((2, 3, 4), (3, 1)), ((4,), (3, 4))]],
           op="indexing.MaskedFill", second=True),
    OpCase("gather", lambda x, i: indexing.gather(x, 1, i), lambda rng: [(normal(rng, (3, 4)), rng.integers(0, 4, (3, 6))),
                                                                       (normal(rng, (3, 4)), rng.integers(0, 4, (2, 1)))],
           op="indexing.Take", second=True),
    OpCase("scatter", lambda x, i, v: indexing.scatter(x, 1, i, v),
           lambda rng: [(normal(rng, (3, 4)), np.array([[0, 3], [1, 2], [2, 0]]), normal(rng, (3, 2)))], op="indexing.Put", second=True),
    OpCase("index_select", lambda x, i: indexing.index_select(x, 1, i), lambda rng: [(normal(rng, (3, 4)), np.array([1, 1, 3]))],
           op="indexing.Take", second=True),
    OpCase("masked_select", lambda x, m: indexing.masked_select(x, m), lambda rng: [(normal(rng, (3, 4)), normal(rng, (4,), "bool"))],
           op="indexing.Take", second=True),
    OpCase("scatter_reduce", lambda x, i, v: [indexing.scatter_reduce(x, 1, i, v, r, include_self=s) for r in ("sum", "prod", "mean", "amax", "amin") for s in (True, False)],
           lambda rng: [(distinct(rng, (3, 4)) + 0.03, rng.integers(0, 4, (3, n)), distinct(rng, (3, n)) + 0.05) for n in (6, 4)], op=("indexing.Combine", "indexing.Spread"), second=True),
    OpCase("scatter_reduce of zeros", lambda x, i, v: indexing.scatter_reduce(x, 0, i, v, "prod"), lambda rng: [(np.array([0.0, 2.0, 3.0]), np.array([0, 1, 1, 2, 2]), np.array([1.5, 0.0, 2.0, 0.0, 0.0]))],
           op="indexing.Combine"),
    OpCase("index_add and its like", lambda x, i, v: mix(indexing.index_add(x, 1, i, v, alpha=0.5), indexing.index_copy(x, 1, i, v), indexing.index_fill(x, 1, i, 2.0), indexing.index_reduce(x, 1, i, v, "amax"),
                                                      indexing.index_put(x, (slice(None), i), v), indexing.index_put(x, (i, i), v[0], True), indexing.masked_scatter(x, x.detach() > 0, v.repeat(1, 3))),
           lambda rng: [(distinct(rng, (3, 4)) + 0.03, np.array([2, 0]), distinct(rng, (3, 2)) + 0.05)], op=("indexing.Spread", "indexing.Put", "indexing.Combine"), second=True),
    OpCase("take", lambda x, i: (indexing.take(x, i), indexing.take_along_dim(x, i, 1), indexing.take_along_dim(x, i.clamp(min=0))), lambda rng: [(normal(rng, (3, 4)), np.array([[1, -2, 3]]))], op="indexing.Take", second=True),
    OpCase("in place", lambda x, v: mix((x * 1.0).tanh_(), (x * 1.0).log1p_().sin_(), (x * 1.0).lerp_(v, 0.3), (x * 1.0)[1:].exp2_()), lambda rng: [(abs(normal(rng, (3, 4))) + 0.5, normal(rng, (4,)))], op="indexing.Copy", second=True),
]

GRID = ml.ones(3, 4)
PLACES = ml.tensor([[0, 1]])


def at(name, *args, **kwargs):
    return lambda: getattr(F, name)(*args, **kwargs)


ERRORS = []
for _n, _more in (("index_add", (ml.ones(3, 1),)), ("index_copy", (ml.ones(3, 1),)), ("index_fill", (1.0,)), ("index_reduce", (ml.ones(3, 1), "amax"))):
    _one = ml.tensor([0])
    ERRORS += [
        ErrorCase(f"{_n}: a list", at(_n, [1.0], 0, _one, *_more), TypeError, f"{_n}: expected a tensor"), ErrorCase(f"{_n}: an axis that is not there", at(_n, GRID, 2, _one, *_more), IndexError, f"{_n}: expected dim"),
        ErrorCase(f"{_n}: a float index", at(_n, GRID, 1, ml.ones(1), *_more), TypeError, f"{_n}: expected a 1-d int64 or int32"), ErrorCase(f"{_n}: beyond the end", at(_n, GRID, 1, ml.tensor([4]), *_more), IndexError, f"{_n}: .*4"),
        ErrorCase(f"{_n}: before the start", at(_n, GRID, 1, ml.tensor([-5]), *_more), IndexError, f"{_n}: .*-5"), ErrorCase(f"{_n}: no tensor as index", at(_n, GRID, 1, [0], *_more), TypeError, "got list"),
    ]
    if _n != "index_fill":
        ERRORS += [ErrorCase(f"{_n}: from the end", at(_n, GRID, 1, ml.tensor([-1]), *_more), IndexError, f"{_n}: index -1"),
                   ErrorCase(f"{_n}: a source of another shape", at(_n, GRID, 1, _one, ml.ones(3, 2), *_more[1:]), ValueError, rf"{_n}: expected a source of shape \(3, 1\)"),
                   ErrorCase(f"{_n}: a number as source", at(_n, GRID, 1, _one, 1.0, *_more[1:]), TypeError, f"{_n}: expected a tensor")]
ERRORS += [
    ErrorCase("index_add: another type", at("index_add", GRID, 1, ml.tensor([0]), ml.ones(3, 1, dtype="float64")), TypeError, "in x's float32, got float64"), ErrorCase("index_fill: many values", at("index_fill", GRID, 1, ml.tensor([0]), GRID), ValueError, "0-d tensor as value"),
    ErrorCase("index_reduce: an unknown way", at("index_reduce", GRID, 1, ml.tensor([0]), GRID, "sum"), ValueError, "got 'sum'"), ErrorCase("scatter: an unknown way", at("scatter", GRID, 0, PLACES, 1.0, reduce="mean"), ValueError, "got 'mean'"),
    ErrorCase("scatter_reduce: an unknown way", at("scatter_reduce", GRID, 0, PLACES, GRID, "max"), ValueError, "got 'max'"), ErrorCase("scatter_reduce: another type", at("scatter_reduce", GRID, 0, PLACES, ml.ones(3, 4, dtype="float64"), "sum"), TypeError, "in x's float32, got float64"),
    ErrorCase("scatter_reduce: a list", at("scatter_reduce", [1.0], 0, PLACES, GRID, "sum"), TypeError, "scatter_reduce: expected a tensor"), ErrorCase("scatter_reduce: a float index", at("scatter_reduce", GRID, 0, GRID, GRID, "sum"), TypeError, "scatter_reduce: expected an integer"),
    ErrorCase("index_put: a list", at("index_put", [1.0], (PLACES,), 1.0), TypeError, "index_put: expected a tensor"), ErrorCase("index_put: floats", at("index_put", GRID, (GRID,), 1.0), IndexError, "integers or bools"), ErrorCase("index_put: beyond the end", at("index_put", GRID, (ml.tensor([3]),), GRID[0], True), IndexError, "index_put: .*3"),
    ErrorCase("take: a float index", at("take", GRID, GRID), TypeError, "take: expected an int64"), ErrorCase("take: a list", at("take", [1.0], PLACES), TypeError, "take: expected a tensor"), ErrorCase("take: beyond the end", at("take", GRID, ml.tensor([12])), IndexError, "12"),
    ErrorCase("take_along_dim: a float index", at("take_along_dim", GRID, GRID, 0), TypeError, "take_along_dim: expected an int64"), ErrorCase("take_along_dim: a list", at("take_along_dim", [1.0], PLACES, 0), TypeError, "take_along_dim: expected a tensor"),
    *[ErrorCase(f"{_n}: src of another type", at(_n, GRID, 0, PLACES, GRID.double()), TypeError, f"{_n}: expected src as a tensor in x's float32, got float64")
      for _n in ("scatter", "scatter_add")],
    ErrorCase("scatter_add: a number", at("scatter_add", GRID, 0, PLACES, 1.0), TypeError, "scatter_add: expected src as a tensor in x's float32, got float"),
    *[ErrorCase(f"{_n}_: an expanded tensor", lambda n=_n, a=args: getattr(ml.zeros(1, 4).expand(3, 4), n + "_")(*a), RuntimeError,
                f"{_n}_: expected one memory place an element")
      for _n, *args in (("scatter", 0, PLACES, 1.0), ("index_add", 0, ml.tensor([0]), ml.ones(1, 4)), ("masked_fill", GRID > 0, 1.0))],
    ErrorCase("take_along_dim: another rank", at("take_along_dim", GRID, ml.tensor([0]), 0), ValueError, "indices of 2 dimensions"), ErrorCase("masked_scatter: a mask of numbers", at("masked_scatter", GRID, GRID, GRID), TypeError, "bool tensor as mask, got float32"),
    ErrorCase("masked_scatter: another type", at("masked_scatter", GRID, GRID > 0, ml.ones(12, dtype="float64")), TypeError, "in x's float32"), ErrorCase("masked_scatter: too few", at("masked_scatter", GRID, GRID > 0, ml.ones(3)), ValueError, "at least 12 elements"),
    ErrorCase("masked_scatter: a list", at("masked_scatter", [1.0], GRID > 0, GRID), TypeError, "masked_scatter: expected a tensor"), ErrorCase("isin: no tensor", at("isin", 1, 2), TypeError, "isin: expected at least one tensor"),
    ErrorCase("in place: another shape", lambda: ml.ones(4).lerp_(GRID, 0.5), ValueError, r"lerp_: expected a result of the tensor's shape \(4,\), got \(3, 4\)"), ErrorCase("in place: floats into integers", lambda: ml.arange(3).tan_(), TypeError, "tan_: the result is float32, which does not fit in the tensor's int64"),
    ErrorCase("in place: a leaf", lambda: ml.ones(2, requires_grad=True).tan_(), RuntimeError, "a leaf that requires a gradient"),
]
