"""Is everything there that people know from PyTorch? Its public classes are asked for by name, and with its arguments."""
import inspect
import json
import warnings

import numpy as np
import pytest
from agreement.compare import Library, convert, pairwise
from agreement.run import families, is_layer, rows_of
from names import GOLDEN, names_of, ours, table

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


def test_layers_forward_takes_pytorch_s_names(torch):
    """cell(input=x, hx=h), criterion(input=y, target=t)."""
    wrong = {}
    for name, theirs in classes(torch.nn, torch.nn.Module).items():
        if name not in vars(ml.nn) or name == "Module":
            continue
        wanted, got = names_of(theirs.forward)[0], names_of(getattr(ml.nn, name).forward)[0]
        if "*settings" in got:          # a lazy layer's first call
            wanted, got = wanted[:2], got[:2]
        if wanted != got and not wanted[1].startswith("*"):
            wrong[name] = (wanted, got)
    assert not wrong, wrong


def words(library, row, options):
    """What a row's layer shows of itself; None where the library refuses the options (./dev agreement compares that)."""
    try:
        return library.find(row.name)(**{n: convert(v, library, "float32") for n, v in options.items()}).extra_repr()
    except Exception:
        return None


@pytest.mark.filterwarnings("ignore")
def test_layers_show_themselves_in_pytorch_s_words(torch):
    """Where PyTorch shows nothing, ours may show more."""
    theirs, ours, different, compared = Library("torch"), Library("minilayer"), [], 0
    layers = [row for family in families() for row in rows_of(family) if is_layer(row)]
    for row, options in [(layer, options) for layer in layers for options in pairwise(layer)]:
        wanted, got = words(theirs, row, options), words(ours, row, options)
        compared += bool(wanted) and got is not None
        if wanted and None not in (wanted, got) and got != wanted:
            different.append(f"{row.name}({options}): {wanted!r}, ours {got!r}")
    assert not different, "\n".join(different)
    assert compared > 400


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


# ---- the names and order of arguments ----

NUMPY = {"dim": "axis", "keepdim": "keepdims"}          # what PyTorch's native functions take as well
# Where a list of names differs from PyTorch's, with the reason; of a function, or of an argument wherever it stands.
ELSEWHERE = {
    "tensor_indices_or_sections": "tensor_split takes a tensor as indices",
    "out_dtype": "types are promoted by one table; convert with .to",
}
NAMES = {
    "Tensor.copy_": "PyTorch's schema also says src; what it takes by keyword is other",
    "Tensor.random_": "from is a word of Python's; here it is from_",
    "Tensor.to": "PyTorch's schema says other; it takes another tensor by position only",
    "Tensor.uniform_": "from is a word of Python's; here it is from_",
    "Tensor.view": "the bits of one type are not seen as another's",
    "functional.einsum": "PyTorch's schema has its own choice of an order; its Python function takes *args",
    "functional.elu_": "scale and input_scale are for selu, which has its own function",
    "functional.isin": "one number in place of a tensor is taken by position",
    "functional.rrelu_": "what draws takes rng; PyTorch's other functions that draw take no generator either",
    "functional.unique_consecutive": "a Python function in PyTorch, which takes no axis",
}


def arguments_differ(place, name, function, overloads, native):
    """What of PyTorch's arguments ours does not take by name, or takes at another place."""
    by_position, by_name = names_of(function)
    if place == "Tensor":
        by_position = ["self", *by_position[1:]]
    taken = {*by_position, *by_name}
    wanted = {n for positional, named in overloads for n in (*positional, *named)}
    wanted |= {NUMPY[n] for n in wanted & set(NUMPY) if native}
    missing = {n for n in wanted - taken if n not in ELSEWHERE and not n.startswith("*")}
    # (where ours takes any number of sizes by position, the name of PyTorch's sequence is for keywords)
    before = next((i for i, n in enumerate(by_position) if n.startswith("*")), None)
    if not any(positional[:before] == by_position[:len(positional[:before])] for positional, _ in overloads):
        missing.add(f"the order {overloads[0][0]}, ours {by_position}")
    return missing


@pytest.mark.parametrize("place", sorted(ours()))
def test_functions_take_pytorch_s_arguments(place):
    """By PyTorch's names, at its places, and axis and keepdims where it takes them: as goldens/names.json has them."""
    kept, wrong = json.loads(GOLDEN.read_text(encoding="utf-8"))[place], {}
    for name, function in ours()[place].items():
        if name in kept and f"{place}.{name}" not in NAMES:
            different = arguments_differ(place, name, function, *kept[name])
            if different:
                wrong[f"{place}.{name}"] = sorted(different)
    assert not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items())


def test_the_kept_names_are_this_pytorch_s(torch):
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == table(torch), "python tests/names.py"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_exception_is_still_needed(name):
    place, _, function = name.partition(".")
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))[place][function]
    assert arguments_differ(place, function, ours()[place][function], *kept), f"{name} is as in PyTorch: leave it out of NAMES"


# ---- keywords at work ----

X = np.arange(24.0).reshape(2, 3, 4)
CALLS = {       # f(library, x): numbers, as PyTorch's users write it
    "input": lambda m, x: m.sum(input=x, dim=1),
    "functional": lambda m, x: m.nn.functional.cross_entropy(input=x[0], target=m.tensor([0, 1, 3])),
    "embedding": lambda m, x: m.nn.functional.embedding(input=m.tensor([1, 0]), weight=x[0]),
    "layer": lambda m, x: m.nn.MSELoss()(input=x, target=x + 1),
    "axis": lambda m, x: x.sum(axis=1) + x.mean(axis=(1,), keepdims=True).squeeze(axis=1),
    "axis of joined": lambda m, x: m.cat([x, x], axis=1).amax(axis=1) + m.stack([x, x], axis=0).argmax(axis=0).amin(axis=1),
    "axis and keepdims": lambda m, x: m.max(x, axis=2, keepdims=True).values + m.std(x, axis=2, keepdims=True),
    "axis, then more": lambda m, x: m.gather(x, axis=1, index=m.tensor([[[0, 2, 1, 0]]])),
    "axis of a part": lambda m, x: x.narrow(axis=0, start=1, length=1) + x.select(axis=0, index=1),
    "axis of scatter": lambda m, x: x.scatter_add(axis=0, index=m.zeros(1, 3, 4).long(), src=x[1:]),
    "index along an axis": lambda m, x: x.index_select(axis=2, index=m.tensor([3, 0])).softmax(axis=2),
    "axis in place": lambda m, x: x.clone().cumsum_(axis=1).unsqueeze_(axis=0).squeeze_(axis=0),
    "sort": lambda m, x: m.sort(x, axis=0, descending=True).values + x.topk(2, axis=0).values,
    "linalg": lambda m, x: m.linalg.vector_norm(x, axis=1, keepdims=True) + m.linalg.vecdot(x, x, axis=1).unsqueeze(1),
    "diagonal": lambda m, x: m.linalg.diagonal(A=x),
    "dims": lambda m, x: x.flip(dims=(0,)) + m.flip(x, dims=(0, 2)) + x.roll(shifts=1, dims=0),
    "order": lambda m, x: x.permute(dims=(2, 0, 1)).tile(dims=(2,)),
    "shape": lambda m, x: x.reshape(shape=(4, 6)) + x.view(size=(4, 6)) + m.reshape(input=x, shape=(4, -1)),
    "size": lambda m, x: x[:, :1].expand(size=(2, 3, 4)) + x.new_ones(size=(3, 4)),
    "repeats": lambda m, x: x.repeat(repeats=(2, 1, 1)),
    "counts": lambda m, x: m.repeat_interleave(m.tensor([2, 0, 3])) + m.repeat_interleave(repeats=m.tensor([5])),
    "sections": lambda m, x: m.hsplit(x, sections=3)[2] + x.tensor_split(indices=(1,), dim=1)[0],
    "split size": lambda m, x: x.split(split_size=2, dim=1)[1] + m.split(tensor=x, split_size_or_sections=1, dim=1)[0],
    "swapped": lambda m, x: m.swapaxes(x, axis0=0, axis1=2) + x.swapdims(dim0=0, dim1=2),
    "other": lambda m, x: m.max(x, other=10 - x) + x.min(other=x * x),
    "products": lambda m, x: m.matmul(input=x[0], other=x[1].T) + x[0, 0].vdot(other=x[0, 1]) + x[0, 0].dot(tensor=x[0, 1]),
    "arange": lambda m, x: m.arange(end=3) + m.arange(start=1, end=4),
    "obj": lambda m, x: m.asarray(obj=[1.0, 2.0]),
    "in place": lambda m, x: x.clone().div_(2, rounding_mode="floor").pow_(exponent=2).copy_(x, non_blocking=True),
    "log2": lambda m, x: x.logaddexp2(other=x * 2),
    "to": lambda m, x: x.to("cpu", non_blocking=True).to(m.float32, copy=True).to("cpu", m.float64, False, True),
    "strides": lambda m, x: m.tensor([x.stride(dim=1), x.stride(0), x.size(dim=2), x.size(axis=1)]),
    "places": lambda m, x: m.searchsorted(sorted_sequence=x[0, 0], input=x[0, 1] - 3),
    "init": lambda m, x: m.nn.init.uniform_(x.clone(), a=2.0, b=2.0, generator=None),
}


@pytest.mark.parametrize("name", CALLS)
def test_keywords_of_pytorch_s_users(torch, name):
    ours, theirs = CALLS[name](ml, ml.tensor(X)), CALLS[name](torch, torch.tensor(X))
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")


@pytest.mark.parametrize("name", CALLS)
def test_keywords_are_taken(name):
    """The same where PyTorch is not installed."""
    assert isinstance(CALLS[name](ml, ml.tensor(X)), ml.Tensor)


def test_copies_that_were_asked_for():
    x = ml.ones(3)
    assert x.to("cpu") is x and x.to(ml.float32) is x and x.to() is x
    assert x.to(copy=True) is not x and x.to("cpu", False, True) is not x and x.to(ml.float64, copy=True).dtype == ml.float64
    assert ml.from_dlpack(x, copy=True).add_(1).sum() == 6 and x.sum() == 3
    assert ml.asarray(x) is x and ml.asarray(x, copy=True) is not x


@pytest.mark.parametrize("start", ["Tensor", "autograd"])
def test_backward_into_some_inputs(start):
    x, w = ml.ones(3, requires_grad=True), ml.ones(3, requires_grad=True)

    def backward(inputs):
        y = x * 2
        loss = (y * w).sum()
        if start == "Tensor":
            loss.backward(inputs=[y, *inputs] if inputs is not w else w)
        else:
            ml.autograd.backward([loss], inputs=[y, *inputs] if inputs is not w else w)
        return y
    y = backward([x])
    assert w.grad is None and x.grad.tolist() == [2.0] * 3 and y.grad.tolist() == [1.0] * 3
    backward(w)
    backward(w)
    assert w.grad.tolist() == [4.0] * 3 and x.grad.tolist() == [2.0] * 3


def test_import_statements():
    import minilayer.nn.functional as F
    import minilayer.nn.init as init
    import minilayer.nn.utils.rnn as rnn
    from minilayer.nn.functional import relu
    from minilayer.nn.init import xavier_uniform_
    assert F is ml.functional and relu is ml.relu and init is ml.init and xavier_uniform_ is ml.init.xavier_uniform_
    assert rnn is ml.nn.utils.rnn
