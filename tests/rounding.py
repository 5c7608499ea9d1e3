"""How far two computations of the same thing may differ: so many units of rounding, never a number that happens to pass.

One unit is the dtype's epsilon times the size of what was rounded: the value itself where each result stands alone
(scale "value"), the largest value of the array where results are sums whose terms cancel (scale "max"). Denormal
results have a unit of their own, the smallest number of the dtype. NaN equals NaN, an infinity only itself, and
integers and bools are exact.
"""
import numpy as np


def units(values, bound, scale="value", dtype=None):
    """The allowed difference at each place."""
    info = np.finfo(dtype or values.dtype)
    size = np.abs(np.where(np.isfinite(values), values, 0)).astype(np.float64)
    if isinstance(scale, np.ndarray):
        size = np.where(np.isfinite(scale), scale, 0).astype(np.float64)
    elif scale == "max":
        size = np.full(values.shape, size.max(initial=0))
    return bound * (float(info.eps) * size + float(info.smallest_subnormal))


def difference(got, want, bound, scale="value", dtype=None):
    """None where the arrays agree, else a sentence on the worst place. `dtype` is the coarser type when they differ."""
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if dtype is None and got.dtype != want.dtype:
        return f"dtype {got.dtype}, expected {want.dtype}"
    if got.dtype.kind != "f" or bound == 0:
        wrong = (got != want) & ~((got != got) & (want != want))
        excess = wrong.astype(np.float64)
        unit = np.ones(got.shape)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            a, b = got.astype(np.float64), want.astype(np.float64)
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            gap = np.where(same, 0, np.abs(a - b))
        gap = np.where(np.isnan(gap), np.inf, gap)
        unit = units(want, 1.0, scale, dtype or got.dtype)
        excess = gap / unit
        wrong = ~(gap <= unit * bound)
    if not wrong.any():
        return None
    worst = np.unravel_index(np.argmax(excess), excess.shape) if excess.ndim else ()
    where = tuple(int(i) for i in worst)
    return (f"{int(wrong.sum())} of {wrong.size} values differ, worst at {where}: got {got[worst]!r}, "
            f"expected {want[worst]!r}, {excess[worst]:.3g} units of rounding apart, {bound} allowed")


def check_close(got, want, bound, what="", scale="value", dtype=None):
    """Fail with the worst place named unless the arrays agree."""
    text = difference(np.asarray(got), np.asarray(want), bound, scale, dtype)
    assert text is None, f"{what}: {text}"


def same_bits(a, b):
    """Equal to the last bit, NaN payloads and the sign of zero included."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
