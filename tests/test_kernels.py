"""Every kernel against its reference: the same contract, the same numbers, nothing else touched.

The reference is the definition. Compiled kernels are called directly, whatever backend the suite runs on; CUDA twins
are compared in test_cuda.py, in a process with the simulator, and here only by their signatures.
"""
import ast
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
from cases import KERNELS
from cases.base import normal
from rounding import check_close, same_bits

import minilayer._ext
from minilayer._ext import dispatch, runtime

VARIANTS = {family: table for family, table in dispatch.variants().items()
            if table.get("reference", "").startswith("minilayer.")}
COMPILED = [case for case in KERNELS if "cython" in VARIANTS.get(case.family, {})]
WITH_DTYPE = [pytest.param(case, dtype, id=f"{case}-{dtype}") for case in KERNELS if case.family in VARIANTS
              for dtype in case.dtypes]
COMPILED_WITH_DTYPE = [pytest.param(case, dtype, id=f"{case}-{dtype}") for case in COMPILED for dtype in case.dtypes]
LAYOUTS = ("transposed", "reversed", "spaced")


def module(family, variant):
    return importlib.import_module(VARIANTS[family][variant])


def functions(mod):
    """{name: function} of what a kernel module defines for others."""
    return {name: f for name, f in vars(mod).items()
            if not name.startswith("_") and callable(f) and not inspect.isclass(f)
            and getattr(f, "__module__", None) == mod.__name__}


def plain(signature):
    """A signature as [(name, kind, default)]: annotations are not part of the contract."""
    return [(p.name, str(p.kind), p.default) for p in signature.parameters.values()]


def arrays_of(argument):
    """The arrays in one argument: itself, or the members of a list."""
    members = argument if isinstance(argument, (list, tuple)) else [argument]
    return [x for x in members if isinstance(x, np.ndarray)]


def map_arrays(f, argument):
    if isinstance(argument, (list, tuple)):
        return type(argument)(map_arrays(f, x) for x in argument)
    return f(argument) if isinstance(argument, np.ndarray) else argument


def samples_of(case, rng, dtype):
    """A row's samples; NumPy's scalars as 0-d arrays."""
    return [([np.asarray(x) if isinstance(x, np.generic) else x for x in args], kwargs)
            for args, kwargs in case.samples(rng, dtype)]


def poison(array, kind):
    """Fill an out array with what no kernel would leave there: NaN or garbage, another garbage for the reference."""
    if array.dtype.kind == "f":
        array[...] = np.nan if kind == 0 else -7.25e5
    elif array.dtype.kind == "b":
        array[...] = kind == 0
    else:
        array[...] = 90 + kind


def lay_out(array, layout):
    """An equal array with other strides."""
    if layout == "transposed":
        return array.T.copy().T
    if layout == "reversed":
        steps = (slice(None, None, -1),) * array.ndim
        return array[steps].copy()[steps] if array.ndim else array.copy()
    wide = np.zeros(tuple(2 * n + 1 for n in array.shape), array.dtype)     # "spaced": every second one of a larger
    view = wide[(slice(1, None, 2),) * array.ndim + (Ellipsis,)]            # array; the Ellipsis keeps 0-d an array
    view[...] = array
    return view


def prepare(case, args, kind=0, layout=None, base=None):
    """Copies of the arguments; outs poisoned, or set to `base` (then accumulate=True adds to it); strided ones laid
    out anew, each in a layout of its own so that kernels meet mixed strides."""
    ready = []
    for i, argument in enumerate(args):
        copied = map_arrays(np.copy, argument)
        for j, array in enumerate(arrays_of(copied)):
            if i in case.outs:
                poison(array, kind)
                if base is not None:
                    array[...] = base[i][j]
        if layout is not None and i in case.strided:
            copied = map_arrays(lambda a, i=i: lay_out(a, LAYOUTS[(layout + i) % 3]), copied)
        ready.append(copied)
    return ready


def run(function, case, args, kwargs):
    """Call a kernel and check that it left its inputs alone."""
    changing = (*case.outs, *case.inouts)
    before = [map_arrays(np.copy, a) for a in args]
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs)
    for i, (now, was) in enumerate(zip(args, before, strict=True)):
        if i not in changing:
            for a, b in zip(arrays_of(now), arrays_of(was), strict=True):
                assert same_bits(a, b), f"{case}: changed its input, argument {i}"
    return result


def describe(args, kwargs):
    shown = [[x.shape for x in arrays_of(a)] if isinstance(a, (list, tuple)) else getattr(a, "shape", a) for a in args]
    return f"{shown} {kwargs}"


def sizes_of_terms(case, args, kwargs):
    """For scale "terms": what the reference makes of the inputs' absolute values."""
    ready = prepare(case, args, kind=1)
    for i in range(len(args)):
        if i not in case.outs:
            ready[i] = map_arrays(lambda x: np.abs(x) if x.dtype.kind == "f" else x, ready[i])
    with np.errstate(all="ignore"):
        getattr(module(case.family, "reference"), case.function)(*ready, **kwargs)
    return ready


def compare(case, got_args, want_args, kwargs, what):
    """Outs and inouts agree within the row's bound. (The inputs among want_args are as they were.)"""
    sizes = sizes_of_terms(case, want_args, kwargs) if case.scale == "terms" else None
    for i in (*case.outs, *case.inouts):
        for j, (a, b) in enumerate(zip(arrays_of(got_args[i]), arrays_of(want_args[i]), strict=True)):
            scale = case.scale if sizes is None else arrays_of(sizes[i])[j]
            check_close(a, b, case.bound, f"{case} {what}, argument {i}", scale)


def agree(case, args, kwargs, layouts=(None,)):
    reference, compiled = (getattr(module(case.family, v), case.function) for v in ("reference", "cython"))
    want = prepare(case, args, kind=1)
    want_value = run(reference, case, want, kwargs)
    for layout in layouts:
        got = prepare(case, args, kind=0, layout=layout)
        got_value = run(compiled, case, got, kwargs)
        what = describe(args, kwargs) + ("" if layout is None else f" layout {layout}")
        compare(case, got, want, kwargs, what)
        assert got_value == want_value, f"{case} {what}: returned {got_value!r}, expected {want_value!r}"


def size(args):
    return max((x.size for a in args for x in arrays_of(a)), default=0)


# ---- the contract ----

@pytest.mark.parametrize("family", sorted(VARIANTS))
def test_every_function_has_a_row(family):
    rows = {case.function for case in KERNELS if case.family == family}
    missing = set(functions(module(family, "reference"))) - rows
    assert not missing, f"add rows to tests/cases/{family}.py: {sorted(missing)}"


@pytest.mark.parametrize("family", sorted(VARIANTS))
def test_reference_is_documented(family):
    mod = module(family, "reference")
    assert mod.__doc__
    bare = [name for name, f in functions(mod).items() if not f.__doc__]
    assert not bare, f"{family}_reference.py: no docstring (the formula) for {bare}"


@pytest.mark.parametrize("family", sorted(f for f in VARIANTS if "cython" in VARIANTS[f]))
def test_compiled_contract_equals_reference(family):
    want, got = (functions(module(family, v)) for v in ("reference", "cython"))
    assert sorted(got) == sorted(want)
    for name, f in want.items():
        assert plain(inspect.signature(got[name])) == plain(inspect.signature(f)), f"{family}.{name}"


@pytest.mark.parametrize("family", sorted(f for f in VARIANTS if "cuda" in VARIANTS[f]))
def test_cuda_contract_equals_reference(family):
    """By the source alone: importing it would need numba. A CUDA twin may lack functions; calling those raises."""
    def signatures(variant):
        path = Path(minilayer._ext.__file__).parent / f"{family}_{variant}.py"
        return {node.name: ast.unparse(node.args) for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    want = signatures("reference")
    for name, arguments in signatures("cuda").items():
        assert arguments == want.get(name), f"{family}_cuda.{name}"


def test_rows_name_kernels():
    for case in KERNELS:
        assert case.family in VARIANTS, f"{case}: no file {case.family}_reference.py"
        assert case.function in functions(module(case.family, "reference")), f"{case}: {case.family} has no {case.function}"


@pytest.mark.parametrize("case", [case for case in KERNELS if case.family in VARIANTS], ids=str)
def test_settings_are_keywords_and_rows_fit(case, rng):
    """Arrays by position, settings by keyword; the row names positions that exist."""
    signature = inspect.signature(getattr(module(case.family, "reference"), case.function))
    positional = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    samples = samples_of(case, rng, case.dtypes[0])
    assert samples, f"{case}: no samples"
    for args, kwargs in samples:
        assert len(args) == len(positional), f"{case}: {len(args)} arrays for {[p.name for p in positional]}"
        signature.bind(*args, **kwargs)
    assert all(p.default is p.empty for p in positional), f"{case}: an array argument has a default"
    assert all(i < len(positional) for i in (*case.outs, *case.inouts, *case.strided))


# ---- the numbers ----

@pytest.mark.parametrize("case, dtype", COMPILED_WITH_DTYPE)
def test_compiled_agrees_with_reference(case, dtype, rng):
    for args, kwargs in samples_of(case, rng, dtype):
        agree(case, args, kwargs)


@pytest.mark.parametrize("case, dtype", [p for p in COMPILED_WITH_DTYPE if p.values[0].strided])
def test_any_strides(case, dtype, rng):
    for args, kwargs in samples_of(case, rng, dtype):
        if size(args) <= 20_000:
            agree(case, args, kwargs, layouts=range(3))


@pytest.mark.parametrize("case, dtype", [p for p in COMPILED_WITH_DTYPE if p.values[0].strided])
def test_repeated_axes(case, dtype, rng):
    """Zero strides, as broadcasting makes them, for inputs that take any strides."""
    changing = (*case.outs, *case.inouts)
    for args, kwargs in samples_of(case, rng, dtype):
        for axis in (0, -1):
            flat = list(args)
            for i in case.strided:
                if i not in changing and isinstance(args[i], np.ndarray) and args[i].ndim and args[i].size:
                    first = np.take(args[i], [0], axis)
                    flat[i] = np.broadcast_to(first, args[i].shape)
            if size(args) <= 20_000:
                reference, compiled = (getattr(module(case.family, v), case.function) for v in ("reference", "cython"))
                want, got = prepare(case, flat, kind=1), prepare(case, flat, kind=0)
                for i in case.strided:
                    if i not in changing:
                        got[i] = flat[i]
                run(reference, case, want, kwargs)
                run(compiled, case, got, kwargs)
                compare(case, got, want, kwargs, f"{describe(args, kwargs)} axis {axis} repeated")


@pytest.mark.parametrize("case, dtype", [p for p in COMPILED_WITH_DTYPE if p.values[0].special and p.values[1][0] == "f"])
def test_special_values(case, dtype, rng):
    """NaN, infinities, both zeros and denormals travel as they do in NumPy."""
    info = np.finfo(dtype)
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, -info.tiny, info.max, -1.0, 1.0], dtype)
    changing = (*case.outs, *case.inouts)
    for args, kwargs in samples_of(case, rng, dtype):
        special = list(args)
        for i, a in enumerate(args):
            if i not in changing and isinstance(a, np.ndarray) and a.dtype == dtype:
                special[i] = np.where(rng.random(a.shape) < 0.5, rng.choice(values, a.shape), a)
        if size(args) <= 20_000:
            agree(case, special, kwargs)


def accumulates(case):
    function = getattr(module(case.family, "reference"), case.function, None) if case.family in VARIANTS else None
    return function is not None and "accumulate" in inspect.signature(function).parameters


@pytest.mark.parametrize("case, dtype", [p for p in WITH_DTYPE if accumulates(p.values[0])])
@pytest.mark.parametrize("variant", ["reference", "cython"])
def test_accumulate_adds(case, dtype, variant, rng):
    if variant not in VARIANTS[case.family]:
        pytest.skip(f"{case.family} has no {variant} variant")
    reference, tested = (getattr(module(case.family, v), case.function) for v in ("reference", variant))
    added = case.outs if case.accumulate is None else case.accumulate
    for args, kwargs in samples_of(case, rng, dtype):
        base = {i: [normal(rng, x.shape, x.dtype) for x in arrays_of(args[i])] for i in case.outs}
        want, got = prepare(case, args, kind=1), prepare(case, args, base=base)
        run(reference, case, want, kwargs)
        run(tested, case, got, {**kwargs, "accumulate": True})
        if kwargs.get("activation"):            # the activation sees the sum: only the reference can say
            want = prepare(case, args, base=base)
            run(reference, case, want, {**kwargs, "accumulate": True})
        else:
            for i in added:
                for x, start in zip(arrays_of(want[i]), base[i], strict=True):
                    x += start
        sizes = sizes_of_terms(case, args, kwargs) if case.scale == "terms" else want
        for i in case.outs:
            for a, b, size, start in zip(arrays_of(got[i]), arrays_of(want[i]), arrays_of(sizes[i]), base[i], strict=True):
                room = np.abs(size) + (np.abs(start) if i in added else 0)         # the two parts may cancel
                if case.scale == "max":
                    room = np.full(room.shape, room.max(initial=0))
                check_close(a, b, case.bound + 2, f"{case} {describe(args, kwargs)}, argument {i} with accumulate=True",
                            room + 2 * np.abs(start))


@pytest.mark.parametrize("case, dtype", COMPILED_WITH_DTYPE)
def test_same_bits_for_every_thread_count(case, dtype, rng):
    compiled = getattr(module(case.family, "cython"), case.function)
    samples = samples_of(case, rng, dtype)
    large = [s for s in samples if size(s[0]) >= 4096] or [max(samples, key=lambda s: size(s[0]))]
    for args, kwargs in large:
        results = []
        for threads in (1, 2, 4, 4):
            runtime.set_num_threads(threads)
            ready = prepare(case, args)
            compiled(*ready, **kwargs)
            results.append([x for i in (*case.outs, *case.inouts) for x in arrays_of(ready[i])])
        for result in results[1:]:
            assert all(same_bits(a, b) for a, b in zip(result, results[0], strict=True)), \
                f"{case} {describe(args, kwargs)}: bits depend on the number of threads"
