"""Is everything there that people know from PyTorch? Its public classes are asked for by name, and with its arguments."""
import inspect
import warnings

import pytest
from agreement.compare import Library, convert, pairwise
from agreement.run import families, is_layer, rows_of

import minilayer as ml

LEFT_OUT = {
    "nn": {"Container", "CrossMapLRN2d", "DataParallel", "NLLLoss2d", "SyncBatchNorm"},   # deprecated, or distributed
    "optim": {"SparseAdam", "ASGD"},
}
TYPES = {"device", "dtype", "size_average", "reduce"}          # where and in which type; deprecated


def classes(module, base=object):
    return {name: cls for name, cls in vars(module).items()
            if inspect.isclass(cls) and issubclass(cls, base) and not name.startswith("_")}


def arguments(cls):
    return [p.name for p in inspect.signature(cls).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def test_every_class_of_torch_nn(torch):
    missing = {n for n in classes(torch.nn) if not hasattr(ml.nn, n)} - LEFT_OUT["nn"]
    assert not missing, sorted(missing)


def test_every_class_of_torch_optim(torch):
    assert not {n for n in classes(torch.optim) if not hasattr(ml.optim, n)} - LEFT_OUT["optim"]
    schedules = torch.optim.lr_scheduler
    wanted = {n for n in classes(schedules, schedules.LRScheduler) if not n.startswith("_")}
    assert not {n for n in wanted if not hasattr(ml.optim.lr_scheduler, n)}


def test_layers_take_pytorch_s_arguments_in_its_order(torch):
    wrong = {}
    for name, theirs in classes(torch.nn, torch.nn.Module).items():
        ours = getattr(ml.nn, name, None)
        if ours is None or name in ("Module", "Sequential", "ModuleList", "ModuleDict"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = [a for a in arguments(theirs) if a not in TYPES]
            got = [a for a in arguments(ours) if a not in TYPES and a != "rng"]
        if got[:len(wanted)] != wanted:
            wrong[name] = (wanted, got)
    assert not wrong, wrong


def words(library, row, options):
    """What a row's layer shows of itself; None where the library refuses the options (./dev agreement compares that)."""
    try:
        return library.find(row.name)(**{n: convert(v, library, "float32") for n, v in options.items()}).extra_repr()
    except Exception:       # noqa: BLE001
        return None


@pytest.mark.filterwarnings("ignore")
def test_layers_show_themselves_in_pytorch_s_words(torch):
    """Where PyTorch shows nothing, ours may show more."""
    theirs, ours, different = Library("torch"), Library("minilayer"), []
    layers = [row for family in families() for row in rows_of(family) if is_layer(row)]
    for row, options in [(layer, options) for layer in layers for options in pairwise(layer)]:
        wanted, got = words(theirs, row, options), words(ours, row, options)
        if wanted and None not in (wanted, got) and got != wanted:
            different.append(f"{row.name}({options}): {wanted!r}, ours {got!r}")
    assert not different, "\n".join(different)


def test_optimizers_take_pytorch_s_arguments(torch):
    wrong = {}
    for name, theirs in classes(torch.optim, torch.optim.Optimizer).items():
        if name in LEFT_OUT["optim"] | {"Optimizer"}:
            continue
        if set(arguments(theirs)) - set(arguments(getattr(ml.optim, name))):
            wrong[name] = set(arguments(theirs)) - set(arguments(getattr(ml.optim, name)))
    assert not wrong, wrong


def test_functions_of_torch_nn_functional(torch):
    """Those of the classes' functional twins, and their relatives."""
    F = torch.nn.functional
    public = {n for n, f in vars(F).items() if callable(f) and not n.startswith("_") and not inspect.isclass(f)
              and getattr(f, "__module__", "").startswith("torch")}
    missing = {n for n in public if not hasattr(ml.functional, n)} - NOT_OURS
    assert not missing, sorted(missing)


# What serves PyTorch itself and its quantised and distributed parts; and (the last two) what no class of torch.nn is made of.
NOT_OURS = {"assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
            "has_torch_function_variadic", "conv_tbc", "grouped_mm", "scaled_mm", "scaled_grouped_mm", "native_channel_shuffle",
            "affine_grid", "grid_sample"}
