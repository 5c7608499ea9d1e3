"""Rows of the scan family."""
import numpy as np

import minilayer.functional as F
from cases.base import EVERY, ErrorCase, KernelCase, OpCase, distinct, few_values, normal, off_zero, out
from minilayer.ops import scan

BLOCKS = [(1, 7, 1), (3, 5, 4), (2, 1, 3), (2, 0, 3), (0, 4, 2), (1, 1, 1), (2, 300, 33), (5, 700, 1)]


def wide(dtype):
    return dtype if np.dtype(dtype).kind == "f" else "int64"


def near_one(rng, shape, dtype):
    return (rng.uniform(0.97, 1.03, shape) * rng.choice([1.0, -1.0], shape)).astype(dtype) if np.dtype(dtype).kind == "f" else few_values(rng, shape, dtype)


def cumprod_samples(rng, dtype):
    return [((near_one(rng, s, dtype), out(s, wide(dtype))), {}) for s in BLOCKS]


def cumprod_backward_samples(rng, dtype):
    for s in BLOCKS:
        for zeros in (False, True):
            x = near_one(rng, s, dtype)
            if zeros:
                x[rng.random(s) < 0.2] = 0
            y = np.cumprod(x.astype(np.float64), 1).astype(dtype)
            yield (x, y, normal(rng, s, dtype), out(s, dtype)), {}


def extremes(rng, dtype):
    return [((few_values(rng, s, dtype), out(s, dtype), out(s, "int64")), {}) for s in BLOCKS]


def add_along_samples(rng, dtype):
    for s, m in [(s, max(1, s[1] + k)) for s in BLOCKS for k in (0, -1, 2)]:
        yield (normal(rng, s, dtype), rng.integers(0, m, s), out((s[0], m, s[2]), dtype)), {}


def logs(rng, dtype):
    return [((normal(rng, s, dtype) * 5, out(s, dtype)), {}) for s in BLOCKS]


def logs_backward(rng, dtype):
    for s in BLOCKS:
        x = normal(rng, s, dtype) * 5
        x = x.astype(dtype)
        y = np.logaddexp.accumulate(x.astype(np.float64), 1).astype(dtype)
        yield (x, y, normal(rng, s, dtype), out(s, dtype)), {}


KERNELS = [
    KernelCase("scan", "cumprod", cumprod_samples, outs=(1,), dtypes=EVERY, special=True, bound=2048),
    KernelCase("scan", "cumprod_backward", cumprod_backward_samples, outs=(3,), bound=4096, scale="max"),
    *[KernelCase("scan", n, extremes, outs=(1, 2), dtypes=EVERY, bound=0, special=True) for n in ("cummax", "cummin")],
    KernelCase("scan", "add_along", add_along_samples, outs=(2,), bound=16, scale="terms"),
    KernelCase("scan", "logcumsumexp", logs, outs=(1,), special=True, bound=64, scale="max"),
    KernelCase("scan", "logcumsumexp_backward", logs_backward, outs=(3,), special=True, bound=1024, scale="max"),
]

DIMS = [((3, 5), 1), ((3, 5), 0), ((2, 3, 4), -2), ((), 0), ((1,), 0), ((0, 2), 0)]


def along(f, make):
    return {"call": f, "samples": lambda rng: [(make(rng, s), d) for s, d in DIMS]}


OPS = [
    OpCase("cumprod", **along(scan.cumprod, off_zero), op="scan.Cumprod", second=True),
    OpCase("cumprod with zeros", lambda x: (scan.cumprod(x, 1), scan.cumprod(x, 0)), lambda rng: [(np.array([[0.0, 2.0, 3.0], [1.0, 0.0, 0.0], [1.5, 2.0, -3.0]]),)], op="scan.Cumprod", second=True),
    OpCase("cummax", **along(scan.cummax, distinct), op="scan.Cummax", second=True), OpCase("cummin", **along(scan.cummin, distinct), op="scan.Cummin", second=True),
    OpCase("logcumsumexp", **along(scan.logcumsumexp, normal), op="scan.LogCumsumExp", second=True),
]
ERRORS = []
for _n in ("cumprod", "cummax", "cummin", "logcumsumexp"):
    _f = getattr(F, _n)
    ERRORS += [
        ErrorCase(f"{_n}: an axis that is not there", lambda f=_f: f(F.ones(2, 3), 2), IndexError, rf"{_n}: expected dim in \[-2, 1\].*got 2"),
        ErrorCase(f"{_n}: half an axis", lambda f=_f: f(F.ones(2, 3), 0.5), TypeError, f"{_n}: expected dim to be an integer, got 0.5"),
        ErrorCase(f"{_n}: a list", lambda f=_f: f([1.0], 0), TypeError, f"{_n}: expected a tensor, got list"),
    ]
ERRORS += [ErrorCase("logcumsumexp: integers", lambda: F.logcumsumexp(F.arange(3), 0), TypeError, "logcumsumexp: expected float32 or float64")]
