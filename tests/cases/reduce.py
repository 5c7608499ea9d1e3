"""Rows of the reduce family."""
import math

import numpy as np

import minilayer as ml
from cases.base import (
    EVERY,
    ErrorCase,
    KernelCase,
    OpCase,
    distinct,
    each_shape,
    few_values,
    normal,
    off_zero,
    out,
)
from minilayer.ops import reduce

REDUCTIONS = [((3, 5), (1,)), ((3, 5), (0,)), ((3, 5), (0, 1)), ((3, 5), ()), ((), ()), ((1,), (0,)), ((0,), (0,)), ((2, 0, 3), (1,)),
              ((2, 0, 3), (0,)), ((2, 3, 4), (0, 2)), ((2, 3, 4), (1,)), ((33, 31), (0,)), ((1, 700), (1,)), ((2, 3, 1, 5), (1, 3)),
              ((40, 600), (0,)), ((600, 5), (1,)), ((2, 35, 1031), (0, 2)), ((70000, 2), (0,)), ((3, 33000), (1,)), ((90000,), (0,))]


def kept(shape, axes):
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def reductions(make=normal, y_dtype=None, nonempty=False, shapes=tuple(REDUCTIONS)):
    """Kernel samples (x, ->y)."""
    def samples(rng, dtype):
        for shape, axes in shapes:
            if not nonempty or math.prod(shape) or not math.prod(kept(shape, axes)):
                wide = "int64" if np.dtype(dtype).kind in "iub" else dtype
                yield (make(rng, shape, dtype), out(kept(shape, axes), y_dtype(dtype, wide) if y_dtype else dtype)), {}
    return samples


def near_one(rng, shape, dtype="float64"):
    """Values whose products stay in range."""
    return np.asarray(rng.choice([1.0, -1.0], shape) * rng.uniform(0.99, 1.01, shape)).astype(dtype) if np.dtype(dtype).kind == "f" \
        else normal(rng, shape, dtype)


def along_axis(n_outs, make=few_values):
    """Kernel samples (x, ->y, ->index, *, axis), y only where there are two outs."""
    def samples(rng, dtype):
        for shape, axis in [((3, 5), 0), ((3, 5), -1), ((1,), 0), ((7,), 0), ((2, 3, 4), 1), ((0, 3), 1), ((2, 1, 3), 1), ((33, 31), 0),
                            ((33, 31), 1), ((3, 700), 1), ((300, 300), 0), ((9, 2, 600), 0)]:
            y = tuple(1 if d == axis % len(shape) else n for d, n in enumerate(shape))
            yield (make(rng, shape, dtype), *([out(y, dtype)] if n_outs == 2 else []), out(y, "int64")), {"axis": axis}
    return samples


def max_backward_samples(rng, dtype):
    for (shape, axes), low in zip(REDUCTIONS[:16] * 2, [False] * 16 + [True] * 16, strict=True):
        if math.prod(shape):
            x = few_values(rng, shape, dtype)
            y = x.min(axes, keepdims=True) if low else x.max(axes, keepdims=True)
            yield (x, np.asarray(y), normal(rng, kept(shape, axes), dtype), out(shape, dtype)), {}
    for nan_to_all in (False, True):
        x = few_values(rng, (5, 7), dtype)
        x[[1, 3, 3], [2, 0, 6]] = np.nan
        yield (x, x.max(1, keepdims=True), normal(rng, (5, 1), dtype), out((5, 7), dtype)), dict(nan_to_all=nan_to_all)


def scatter_axis_samples(rng, dtype):
    for shape, axis in [((3, 5), 0), ((3, 5), -1), ((1,), 0), ((2, 3, 4), 1), ((0, 3), 1), ((33, 31), 0), ((300, 300), 0), ((300, 300), 1)]:
        y = tuple(1 if d == axis % len(shape) else n for d, n in enumerate(shape))
        yield (normal(rng, y, dtype), rng.integers(0, shape[axis], y), out(shape, dtype)), {"axis": axis}


def prod_backward_samples(rng, dtype):
    for shape, axes in REDUCTIONS[:14]:
        x = near_one(rng, shape, dtype)
        if x.ndim == 2 and x.size:
            x[0, 0] = 0
        yield (x, normal(rng, kept(shape, axes), dtype), out(shape, dtype)), {}


def cumsum_samples(rng, dtype):
    wide = "int64" if np.dtype(dtype).kind in "iub" else dtype
    for shape, axis in [((3, 5), 0), ((3, 5), -1), ((1,), 0), ((0, 3), 0), ((0, 3), 1), ((2, 3, 4), 1), ((33, 31), 0), ((300, 300), 0), ((300, 300), 1)]:
        for reverse in (False, True):
            yield (normal(rng, shape, dtype), out(shape, wide)), {"axis": axis, "reverse": reverse}



KERNELS = [
    KernelCase("reduce", "sum", reductions(y_dtype=lambda dtype, wide: wide), outs=(1,), dtypes=EVERY, strided=(0, 1), scale="terms",
               special=True),
    KernelCase("reduce", "mean", reductions(), outs=(1,), strided=(0, 1), scale="terms", special=True),
    KernelCase("reduce", "prod", reductions(near_one, lambda dtype, wide: wide, shapes=REDUCTIONS[:16]), outs=(1,), dtypes=EVERY,
               strided=(0, 1), bound=2048),
    *[KernelCase("reduce", name, reductions(nonempty=True), outs=(1,), dtypes=EVERY, strided=(0, 1), bound=0, special=True)
      for name in ("max", "min")],
    *[KernelCase("reduce", name, reductions(few_values, lambda dtype, wide: "bool"), outs=(1,), dtypes=EVERY, strided=(0, 1), special=True)
      for name in ("any", "all")],
    *[KernelCase("reduce", name, along_axis(1), outs=(1,), dtypes=EVERY, strided=(0, 1), special=True) for name in ("argmax", "argmin")],
    *[KernelCase("reduce", name, along_axis(2), outs=(1, 2), dtypes=EVERY, strided=(0, 1, 2), bound=0, special=True)
      for name in ("max_with_index", "min_with_index")],
    KernelCase("reduce", "max_backward", max_backward_samples, outs=(3,), strided=(1, 2, 3), bound=0),
    KernelCase("reduce", "scatter_axis", scatter_axis_samples, outs=(2,), strided=(0, 1, 2), bound=0),
    KernelCase("reduce", "prod_backward", prod_backward_samples, outs=(2,), strided=(0, 1, 2), bound=64),
    KernelCase("reduce", "cumsum", cumsum_samples, outs=(1,), dtypes=EVERY, strided=(0, 1), scale="terms", bound=16),
]

DIMS = [((3, 5), 1), ((3, 5), 0), ((3, 5), None), ((), None), ((1,), 0), ((2, 3, 4), (0, 2)), ((2, 3, 4), -2), ((17, 2), 0)]


def over_dims(f, make=normal, shapes=tuple(DIMS)):
    """Op call and samples: f(x, dim, keepdim) over shapes and dims. (The dims ride along in a sample as plain values.)"""
    return {"call": f, "samples": lambda rng: [(make(rng, shape), dim, keepdim) for shape, dim in shapes for keepdim in (False, True)]}


SINGLE_DIMS = [((3, 5), 1), ((3, 5), 0), ((), 0), ((1,), 0), ((2, 3, 4), -2), ((17, 2), 0)]

OPS = [
    OpCase("sum", **over_dims(reduce.sum, shapes=(*DIMS, ((0,), 0), ((2, 0), 0))), op="reduce.Sum", second=True),
    OpCase("mean", **over_dims(reduce.mean), op="reduce.Mean", second=True),
    OpCase("prod", **over_dims(reduce.prod, off_zero), op="reduce.Prod", second=True),
    OpCase("prod with zeros", lambda x: (reduce.prod(x, 1), reduce.prod(x), reduce.prod(x.reshape(3, 1, 3), (0, 1))),
           lambda rng: [(np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.5], [1.0, 2.0, -3.0]]),)], op="reduce.Prod", second=True),
    OpCase("square of extremes", lambda x: (reduce.amax((x + 9.0) ** 2, (0, -1)), reduce.min((x + 9.0) ** 2, 1).values), each_shape(distinct, [(2, 3, 4)]),
           op=("reduce.Amax", "reduce.MinDim"), second=True),
    OpCase("amax", **over_dims(reduce.amax, distinct), op="reduce.Amax", second=True),
    OpCase("amin", **over_dims(reduce.amin, distinct), op="reduce.Amin", second=True),
    OpCase("max over all", lambda x: reduce.max(x), each_shape(distinct, [(3, 5), (), (2, 3, 4)]), op="reduce.Max", second=True),
    OpCase("min over all", lambda x: reduce.min(x), each_shape(distinct, [(3, 5), (), (2, 3, 4)]), op="reduce.Min", second=True),
    OpCase("max", **over_dims(reduce.max, distinct, SINGLE_DIMS), op="reduce.MaxDim", second=True),
    OpCase("min", **over_dims(reduce.min, distinct, SINGLE_DIMS), op="reduce.MinDim", second=True),
    OpCase("argmax", **over_dims(reduce.argmax, distinct, SINGLE_DIMS), op="reduce.Argmax", differentiable=False),
    OpCase("argmin", **over_dims(reduce.argmin, distinct, SINGLE_DIMS), op="reduce.Argmin", differentiable=False),
    OpCase("any", **over_dims(lambda x, dim, keepdim: reduce.any(x > 0, dim, keepdim)), op="reduce.Any", differentiable=False),
    OpCase("all", **over_dims(lambda x, dim, keepdim: reduce.all(x, dim, keepdim), few_values), op="reduce.All", differentiable=False),
    OpCase("cumsum", **over_dims(lambda x, dim, keepdim: reduce.cumsum(x, dim), shapes=SINGLE_DIMS), op="reduce.Cumsum", second=True),
    OpCase("var", **over_dims(reduce.var, shapes=[c for c in DIMS if math.prod(c[0]) > 1]), op="reduce.Var", second=True),
    OpCase("var biased", lambda x: reduce.var(x, -1, correction=0), each_shape(normal, [(3, 5), (2, 3, 4), (4, 1)]), op="reduce.Var", second=True),
    OpCase("std", lambda x: (reduce.std(x, 1), reduce.std(x, 0, False), reduce.std(x, None, True, True)),
           each_shape(normal, [(3, 5), (2, 3, 4)]), op="reduce.Std", second=True),
    OpCase("norm", **over_dims(lambda x, dim, keepdim: reduce.norm(x, 2, dim, keepdim), off_zero), op="reduce.Norm", second=True),
    OpCase("norms of other orders", lambda x: (reduce.norm(x, 1, 0), reduce.norm(x, 3, 1), reduce.norm(x, float("inf"))),
           lambda rng: [(distinct(rng, (3, 5)) + 2.0,)], op=("reduce.Sum", "reduce.Max"), second=True),
    OpCase("logsumexp", **over_dims(reduce.logsumexp), op="reduce.LogSumExp", second=True),
    OpCase("norms at zeros", lambda x: (reduce.norm(x, 2, 1), reduce.norm(x, 3, 1), reduce.norm(x, "fro")), lambda rng: [(off_zero(rng, (3, 4)),)], op=("reduce.Norm", "reduce.Sum"), second=True),
    OpCase("norms that count", lambda x, y: (reduce.norm(x, 0, 1), reduce.norm(x, 0), reduce.cdist(x, y, 0)), lambda rng: [(normal(rng, (3, 4)), normal(rng, (5, 4)))],
           op=("elementwise.Ceil", "reduce.Sum"), second=True),
    OpCase("distances", lambda x, y: (reduce.dist(x, y[:3]), reduce.cdist(x, y), reduce.cdist(x, y, 3.0), reduce.dist(x, y[:3], 3)), lambda rng: [(normal(rng, (3, 4)), normal(rng, (5, 4)))], op="reduce.Norm", second=True),
    OpCase("made of sums", lambda x: (reduce.nansum(x, 1), reduce.nanmean(x), *reduce.var_mean(x, 1), *reduce.std_mean(x, 0), *reduce.aminmax(x, dim=1), reduce.cov(x), reduce.corrcoef(x)[0, 1], reduce.diff(x, 2), reduce.diff(x, 1, 0, x[:1] * 2.0, x)),
           lambda rng: [(distinct(rng, (3, 5)),)], op=("reduce.Sum", "reduce.Var", "reduce.Std", "reduce.Amax", "reduce.Amin"), second=True),
]

M = ml.ones(2, 3)
ERRORS = []
for _f in (reduce.nansum, reduce.nanmean, reduce.var_mean, reduce.std_mean, reduce.cov, reduce.corrcoef, reduce.diff, reduce.aminmax, reduce.count_nonzero):
    ERRORS += [ErrorCase(f"{_f.__name__}: {what}", lambda f=_f, x=x: f(x), TypeError, f"{_f.__name__}: expected a tensor, got {got}") for what, x, got in [("a list", [1.0], "list"), ("a number", 1.0, "float"), ("nothing", None, "None")]]
for _f in (reduce.dist, reduce.cdist):
    ERRORS += [ErrorCase(f"{_f.__name__}: {what}", lambda f=_f, x=x: f(M, x), TypeError, f"{_f.__name__}: expected a tensor, got {got}") for what, x, got in [("a list", [1.0], "list"), ("a number", 1.0, "float"), ("nothing", None, "None")]]
ERRORS += [
    ErrorCase("nanmean: integers", lambda: reduce.nanmean(ml.arange(3)), TypeError, "nanmean: expected float32 or float64"), ErrorCase("cdist: rows that differ", lambda: reduce.cdist(M, ml.ones(2, 2)), ValueError, "cdist: expected rows of one length"),
    ErrorCase("cov: weights", lambda: reduce.cov(M, fweights=M), ValueError, "no weighted covariance"), ErrorCase("cov: a cube", lambda: reduce.cov(ml.ones(2, 2, 2)), ValueError, "cov: expected at most 2"), ErrorCase("diff: fewer than none", lambda: reduce.diff(M, -1), ValueError, "diff: expected n of 0 or more"),
    ErrorCase("norm: a bool for p", lambda: reduce.norm(M, True), TypeError, "norm: .*True"),
]
