"""Every CUDA kernel against its reference, in the simulator: the rows of tests/cases/, at sizes it can bear.

Outs begin poisoned, inputs must stay as they are, any strides are tried where the contract allows them, and an index
outside an array's memory raises. Sums and exponentials are float32 in float32 kernels, where the reference takes
float64: a few units of rounding are allowed even where the compiled CPU kernels must be equal to the bit.
"""
import importlib
import inspect
import math

import numpy as np
import pytest
from cases import KERNELS
from hostmemory import on_device, on_host
from rounding import check_close
from test_kernels import accumulates, arrays_of, describe, map_arrays, plain, prepare, samples_of, sizes_of_terms

from minilayer._ext import dispatch
from minilayer.cuda.maps import Map

FAMILIES = sorted(name for name, table in dispatch.variants().items() if "cuda" in table)
LEAST = 4.0                     # units of rounding
MOST_ELEMENTS = 1200
MOST_PRODUCTS = 12_000          # of a matrix product


def module(family, variant):
    return importlib.import_module(f"minilayer._ext.{family}_{variant}")


def exists(case):
    return case.family in FAMILIES and case.function in vars(module(case.family, "cuda"))


CASES = [case for case in KERNELS if exists(case)]
WITH_DTYPE = [pytest.param(case, dtype, id=f"{case}-{dtype}") for case in CASES for dtype in case.dtypes]


def bearable(case, args):
    """Is a sample small enough for the simulator?"""
    if case.family == "matmul":
        y = args[-1]
        return math.prod(y.shape) * args[0].shape[-1] <= MOST_PRODUCTS
    return sum(x.size for a in args for x in arrays_of(a)) <= MOST_ELEMENTS


def bound(case):
    exact = case.bound == 0 and case.family in ("arithmetic", "elementwise", "indexing")
    return 0 if exact else max(case.bound, LEAST)


def compare(case, got, want, kwargs, dtype, what):
    sizes = sizes_of_terms(case, want, kwargs) if case.scale == "terms" else None
    for i in (*case.outs, *case.inouts):
        for j, (a, b) in enumerate(zip(arrays_of(got[i]), arrays_of(want[i]), strict=True)):
            scale = case.scale if sizes is None else arrays_of(sizes[i])[j]
            coarser = dtype if a.dtype.kind == "f" and np.dtype(dtype).kind == "f" else None     # a float64 out of float32
            assert a.dtype == b.dtype, f"{case} {what}, argument {i}: {a.dtype}, expected {b.dtype}"
            check_close(a, b, bound(case), f"{case} {what}, argument {i}", scale, coarser)


def run(case, args, kwargs):
    """Call the CUDA kernel on copies; returns the arguments afterwards, on the host."""
    given = [on_device(a) for a in args]
    getattr(module(case.family, "cuda"), case.function)(*given, **kwargs)
    after = [on_host(a) for a in given]
    for i, (now, was) in enumerate(zip(after, args, strict=True)):
        if i not in (*case.outs, *case.inouts):
            for a, b in zip(arrays_of(now), arrays_of(was), strict=True):
                assert a.tobytes() == b.tobytes(), f"{case}: changed its input, argument {i}"
    return after


def samples(case, rng, dtype):
    found = [s for s in samples_of(case, rng, dtype) if bearable(case, s[0])]
    assert found, f"{case}: no sample is small enough for the simulator"
    return found


def agree(case, dtype, args, kwargs, layout=None):
    want = prepare(case, args, kind=1)
    with np.errstate(all="ignore"):
        getattr(module(case.family, "reference"), case.function)(*want, **kwargs)
    got = run(case, prepare(case, args, kind=0, layout=layout), kwargs)
    compare(case, got, want, kwargs, dtype, describe(args, kwargs) + ("" if layout is None else f" layout {layout}"))


def test_the_families_of_the_classifier_are_here():
    assert {"arithmetic", "elementwise", "indexing", "matmul", "norm", "optimizer", "reduce", "softmax"} <= set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_contract_equals_reference(family):
    """Functions have the reference's arguments; a map takes as many arrays, and `accumulate` where the reference does."""
    reference = module(family, "reference")
    for name, f in vars(module(family, "cuda")).items():
        if name.startswith("_") or not inspect.isfunction(getattr(reference, name, None)):
            continue
        want = inspect.signature(getattr(reference, name))
        if isinstance(f, Map):
            settings = {p.name: p.default for p in want.parameters.values() if p.kind is p.KEYWORD_ONLY}
            assert settings == ({"accumulate": False} if f.accumulates else {}), f"{family}.{name}"
            assert len(want.parameters) - len(settings) == f.inputs + 1, f"{family}.{name}"
        else:
            assert plain(inspect.signature(f)) == plain(want), f"{family}.{name}"


def test_maps_refuse_what_the_contract_lacks():
    x = on_device(np.ones(2))
    for arguments, settings in [((x, x), {}), ((x, x, x), {"accumulate": True})]:
        with pytest.raises(TypeError, match="maximum: expected 2 arrays to read"):
            module("arithmetic", "cuda").maximum(*arguments, **settings)


@pytest.mark.parametrize("case, dtype", WITH_DTYPE)
def test_agrees_with_reference(case, dtype, rng):
    for args, kwargs in samples(case, rng, dtype):
        agree(case, dtype, args, kwargs)


@pytest.mark.parametrize("case, dtype", [p for p in WITH_DTYPE if p.values[0].strided])
def test_any_strides(case, dtype, rng):
    for k, (args, kwargs) in enumerate(samples(case, rng, dtype)):
        if sum(x.size for a in args for x in arrays_of(a)) <= 400:
            agree(case, dtype, args, kwargs, layout=k % 3)


@pytest.mark.parametrize("case, dtype", [p for p in WITH_DTYPE if p.values[0].special and p.values[1][0] == "f"])
def test_special_values(case, dtype, rng):
    """NaN, infinities, both zeros and denormals travel as they do in NumPy."""
    info = np.finfo(dtype)
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, -info.tiny, -1.0, 1.0], dtype)
    changing = (*case.outs, *case.inouts)
    for args, kwargs in samples(case, rng, dtype)[:6]:
        special = [np.where(rng.random(a.shape) < 0.5, rng.choice(values, a.shape), a)
                   if i not in changing and isinstance(a, np.ndarray) and a.dtype == dtype else a for i, a in enumerate(args)]
        agree(case, dtype, special, kwargs)


@pytest.mark.parametrize("case, dtype", [p for p in WITH_DTYPE if accumulates(p.values[0])])
def test_accumulate_adds(case, dtype, rng):
    reference = getattr(module(case.family, "reference"), case.function)
    for args, kwargs in samples(case, rng, dtype)[:5]:
        base = {i: [np.asarray(rng.integers(1, 9, x.shape)).astype(x.dtype) for x in arrays_of(args[i])] for i in case.outs}
        kwargs = {**kwargs, "accumulate": True}
        want = prepare(case, args, base=base)
        with np.errstate(all="ignore"):
            reference(*want, **kwargs)
        got = run(case, prepare(case, args, base=base), kwargs)
        for i in case.outs:
            for a, b in zip(arrays_of(got[i]), arrays_of(want[i]), strict=True):
                check_close(a, b, case.bound + 16, f"{case} {describe(args, kwargs)}, argument {i} with accumulate=True", "max")


@pytest.mark.parametrize("case, dtype", [p for p in WITH_DTYPE if p.values[0].strided])
def test_repeated_axes(case, dtype, rng):
    """Zero strides, as broadcasting makes them."""
    changing = (*case.outs, *case.inouts)
    for args, kwargs in samples(case, rng, dtype)[:4]:
        flat = [np.broadcast_to(np.take(a, [0], 0), a.shape) if i in case.strided and i not in changing
                and isinstance(a, np.ndarray) and a.ndim and a.size else a for i, a in enumerate(args)]
        want = prepare(case, [map_arrays(np.array, a) for a in flat], kind=1)
        with np.errstate(all="ignore"):
            getattr(module(case.family, "reference"), case.function)(*want, **kwargs)
        given = prepare(case, args, kind=0)
        for i in case.strided:
            if i not in changing:
                given[i] = flat[i]
        compare(case, run(case, given, kwargs), want, kwargs, dtype, f"{describe(args, kwargs)} with repeated axes")


def test_layer_norm_of_a_large_mean(rng):
    """A float32 mean is off by up to half a unit of its size, 3e5 here, where values differ by 1."""
    x = (3e5 + rng.standard_normal((3, 70))).astype("float32")
    args = [x, None, None, np.empty_like(x), np.empty(3, "float32"), np.empty(3, "float32")]
    want = [None if a is None else a.copy() for a in args]
    module("norm", "reference").layer_norm(*want, eps=1e-5)
    given = [on_device(a) for a in args]
    module("norm", "cuda").layer_norm(*given, eps=1e-5)
    for i in (3, 4, 5):
        check_close(on_host(given[i]), want[i], 8, f"layer_norm, argument {i}", "max")
