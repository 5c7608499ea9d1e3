"""Rows of the sort and scatter families."""
import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import EVERY, NUMBERS, ErrorCase, KernelCase, OpCase, distinct, few_values, normal, out
from minilayer._ext import scan_cython, scan_reference, scatter_cython, scatter_reference
from minilayer.ops import sort

BLOCKS = [(1, 7, 1), (3, 5, 4), (2, 1, 3), (2, 0, 3), (0, 4, 2), (1, 1, 1), (2, 48, 2), (2, 49, 2), (3, 300, 3), (1, 5000, 1)]


def sort_samples(rng, dtype):
    for s in BLOCKS:
        for make in (few_values, normal):
            for descending in (False, True):
                yield (make(rng, s, dtype), out(s, dtype), out(s, "int64")), {"descending": descending}


def topk_samples(rng, dtype):
    for s in BLOCKS:
        for k in {0, min(1, s[1]), s[1] // 9, s[1] // 2, s[1]}:
            y = (s[0], k, s[2])
            for largest in (True, False):
                yield (few_values(rng, s, dtype) if k % 2 else normal(rng, s, dtype), out(y, dtype), out(y, "int64")), {"largest": largest}


def search_samples(rng, dtype):
    for rows, n, m in [(1, 5, 7), (3, 5, 7), (1, 0, 3), (3, 1, 0), (4, 300, 600)]:
        for right in (False, True):
            table = np.sort(few_values(rng, (rows, n), dtype), 1)
            for r in {rows, 1}:
                yield (table[:r], few_values(rng, (rows, m), dtype), out((rows, m), "int64")), {"right": right}


def scatter_samples(rng, dtype):
    for n, m in [(5, 7), (1, 1), (3, 0), (40, 2000)]:
        x = rng.uniform(0.95, 1.05, n) if np.dtype(dtype).kind == "f" else few_values(rng, n, dtype)
        v = rng.uniform(0.95, 1.05, m) if np.dtype(dtype).kind == "f" else np.minimum(few_values(rng, m, dtype), 1)
        yield (x.astype(dtype), rng.integers(0, n, m), v.astype(dtype)), {}


KERNELS = [
    KernelCase("sort", "sort", sort_samples, outs=(1, 2), dtypes=EVERY, bound=0, special=True),
    KernelCase("sort", "topk", topk_samples, outs=(1, 2), dtypes=EVERY, bound=0, special=True),
    KernelCase("sort", "searchsorted", search_samples, outs=(2,), dtypes=EVERY, bound=0),
    *[KernelCase("scatter", n, scatter_samples, inouts=(0,), dtypes=NUMBERS, bound=16) for n in ("multiply_at", "maximum_at", "minimum_at")],
]

DIMS = [((3, 5), 1), ((3, 5), 0), ((2, 3, 4), -2), ((), 0), ((1,), 0), ((0, 2), 1)]


def along(f, shapes=tuple(DIMS)):
    return {"call": f, "samples": lambda rng: [(distinct(rng, s), d) for s, d in shapes]}


FULL = tuple(DIMS[:3])
OPS = [
    OpCase("sort", **along(lambda x, d: (*sort.sort(x, d), sort.sort(x, d, True).values)), op="sort.Sort", second=True),
    OpCase("argsort", **along(lambda x, d: (sort.argsort(x, d), sort.msort(x) if x.ndim else x.detach())[:1]), op="sort.Sort", differentiable=False),
    OpCase("topk", **along(lambda x, d: (*sort.topk(x, 2, d), sort.topk(x, 1, d, False).values), FULL), op="sort.Topk", second=True),
    OpCase("median of all", lambda x: (sort.median(x), sort.nanmedian(x)), lambda rng: [(distinct(rng, s),) for s in ((3, 5), (), (1,), (2, 3, 2))], op="sort.Middle", second=True),
    OpCase("kthvalue, medians", **along(lambda x, d: (*sort.kthvalue(x, 2, d), *sort.median(x, d), sort.nanmedian(x), sort.median(x, d, True).values), FULL), op="sort.Sort", second=True),
    OpCase("mode", lambda x, d: sort.mode(x, d), lambda rng: [(distinct(rng, s), d) for s, d in FULL], op="sort.Sort", second=True),
    OpCase("quantiles", **along(lambda x, d: (sort.quantile(x, 0.3, d), sort.nanquantile(x, 0.7, d, True), sort.quantile(x, 0.4)), FULL), op="sort.Sort", second=True),
]


def at(name, *args, **kwargs):
    return lambda: getattr(F, name)(*args, **kwargs)


X = ml.arange(6.0).reshape(2, 3)
ERRORS = []
for _n in ("sort", "argsort", "msort", "unique", "unique_consecutive", "bincount", "histc", "median", "nanmedian", "mode"):
    ERRORS += [ErrorCase(f"{_n}: {what}", at(_n, x), TypeError, f"{_n}: expected a tensor, got {got}") for what, x, got in [("a list", [1.0], "list"), ("a number", 1.0, "float"), ("nothing", None, "None")]]
for _n in ("sort", "argsort", "median", "nanmedian", "mode"):
    ERRORS += [ErrorCase(f"{_n}: an axis that is not there", at(_n, X, 2), IndexError, f"{_n}: expected dim"), ErrorCase(f"{_n}: half an axis", at(_n, X, 0.5), TypeError, "integer, got 0.5")]
for _n in ("median", "nanmedian", "mode"):
    ERRORS += [ErrorCase(f"{_n}: nothing to choose from", at(_n, ml.zeros(0, 3), 0), ValueError, f"{_n}: expected at least one element")]
ERRORS += [
    ErrorCase("median: of nothing", at("median", ml.zeros(0, dtype="int64")), ValueError, "median: expected at least one element"), ErrorCase("histc: infinite", at("histc", ml.tensor([1.0, float("inf")])), ValueError, "histc: expected a finite range"),
    ErrorCase("topk: more than there are", at("topk", X, 4), ValueError, r"topk: expected k in \[0, 3\], the size of dim -1, got 4"),
    ErrorCase("topk: half a one", at("topk", X, 1.5), TypeError, "topk: expected k to be an integer, got 1.5"),
    ErrorCase("topk: a list", at("topk", [1.0], 1), TypeError, "topk: expected a tensor, got list"), ErrorCase("topk: an axis that is not there", at("topk", X, 1, 2), IndexError, "topk: expected dim"),
    ErrorCase("kthvalue: the zeroth", at("kthvalue", X, 0), ValueError, r"kthvalue: expected k in \[1, 3\]"), ErrorCase("kthvalue: a list", at("kthvalue", [1.0], 1), TypeError, "kthvalue: expected a tensor"),
    ErrorCase("kthvalue: an axis that is not there", at("kthvalue", X, 1, 2), IndexError, "kthvalue: expected dim"),
    ErrorCase("bincount: floats", at("bincount", ml.ones(3)), TypeError, "bincount: expected a 1-d integer tensor"), ErrorCase("bincount: below 0", at("bincount", ml.tensor([-1])), ValueError, "bincount: .*got -1"),
    ErrorCase("bincount: weights of another shape", at("bincount", ml.tensor([1]), ml.ones(2)), ValueError, "bincount: expected a weight an element"),
    ErrorCase("bincount: fewer than none", at("bincount", ml.tensor([1]), None, -1), ValueError, "minlength of 0 or more, got -1"),
    ErrorCase("histc: integers", at("histc", ml.tensor([1])), TypeError, "histc: expected float32 or float64"), ErrorCase("histc: no bins", at("histc", X, 0), ValueError, "at least 1 bin, got 0"),
    ErrorCase("histc: the wrong way round", at("histc", X, 3, 2, 1), ValueError, "histc: expected min <= max, got 2 and 1"),
    ErrorCase("searchsorted: a list", at("searchsorted", [1.0], 1.0), TypeError, "searchsorted: expected a tensor"), ErrorCase("searchsorted: an unknown side", at("searchsorted", X, 1.0, side="up"), ValueError, "got 'up'"),
    ErrorCase("searchsorted: two sides", at("searchsorted", X, X, side="left", right=True), ValueError, "side and right to agree"), ErrorCase("searchsorted: rows that do not match", at("searchsorted", X, ml.ones(3, 2)), ValueError, r"\(2, 3\), got \(3, 2\)"),
    ErrorCase("bucketize: a list", at("bucketize", X, [1.0]), TypeError, "bucketize: expected a tensor"), ErrorCase("bucketize: a matrix", at("bucketize", X, X), ValueError, "1-d boundaries"), ErrorCase("bucketize: nothing", at("bucketize", X, None), TypeError, "bucketize"),
]
for _n in ("quantile", "nanquantile"):
    ERRORS += [
        ErrorCase(f"{_n}: integers", at(_n, ml.tensor([1]), 0.5), TypeError, f"{_n}: expected float32 or float64"), ErrorCase(f"{_n}: beyond 1", at(_n, X, 1.5), ValueError, rf"{_n}: expected q in \[0, 1\], got 1.5"),
        ErrorCase(f"{_n}: an unknown way between", at(_n, X, 0.5, interpolation="cubic"), ValueError, "'cubic'"), ErrorCase(f"{_n}: of nothing", at(_n, ml.zeros(0), 0.5), ValueError, "at least one element"),
        ErrorCase(f"{_n}: a list", at(_n, [1.0], 0.5), TypeError, f"{_n}: expected a tensor"), ErrorCase(f"{_n}: q of another type", at(_n, X, ml.tensor([1])), ValueError, "dtype int64"),
    ]
_three, _far = np.zeros((1, 2, 1)), np.array([[[5], [0]]])
for _m in (scan_reference, scan_cython):
    ERRORS += [ErrorCase(f"add_along: beyond the end in {_m.__name__}", lambda m=_m: m.add_along(_three, _far, np.zeros((1, 2, 1))), IndexError, "add_along: expected indices from 0 to 1")]
for _m in (scatter_reference, scatter_cython):
    for _n in ("multiply_at", "maximum_at", "minimum_at"):
        ERRORS += [ErrorCase(f"{_n}: beyond the end in {_m.__name__}", lambda m=_m, n=_n: getattr(m, n)(np.ones(2), np.array([2]), np.ones(1)), IndexError, f"{_n}: expected indices from 0 to 1")]
