"""Every layer, by the rows of LAYERS in cases/: shapes, types, state, repr, batches, modes, gradients, devices."""
import builtins
import copy
import doctest
import inspect
import pickle

import numpy as np
import pytest
import standin
from cases import LAYERS
from rounding import check_close, same_bits

import minilayer as ml
from minilayer.gradcheck import gradcheck

standin.register()
MODES = [pytest.param(case, mode, id=f"{case}-{mode}") for case in LAYERS for mode in case.modes]
BATCHED = [p for p in MODES if p.values[0].batch_axis is not None]
BASES = {"Layer", "Module", "RNNCellBase"}                     # no operation of their own
HOLDERS = {"ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}     # hold layers and compute nothing


def made(case, mode="train", dtype="float32"):
    """The row's layer, the same weights every time."""
    ml.manual_seed(11)
    layer = case.make()
    layer.train(mode == "train")
    return layer.double() if dtype == "float64" else layer


def inputs(case, rng, dtype="float32"):
    return [ml.Tensor(a) if isinstance(a, np.ndarray) else a for a in case.inputs(rng, dtype)]


def flat(result):
    """The tensors of a layer's output, which may be tuples of them."""
    return [t for part in result for t in flat(part)] if isinstance(result, (tuple, list)) else [result]


def call(layer, arguments):
    """The layer's outputs as a list; random layers draw the same numbers every time."""
    ml.manual_seed(5)
    return flat(layer(*arguments))


def host(t):
    return t.detach().cpu().numpy()


def layer_classes():
    return {name: cls for name, cls in vars(ml).items()
            if inspect.isclass(cls) and issubclass(cls, ml.Layer) and name not in BASES}


def test_every_layer_has_a_row():
    missing = set(layer_classes()) - HOLDERS - {case.layer for case in LAYERS}
    assert not missing, f"add rows to tests/cases/ for {sorted(missing)}"


@pytest.mark.parametrize("name", sorted(layer_classes()))
def test_documented_example_runs(name):
    """The docstring has an example, and it prints what it says."""
    cls = layer_classes()[name]
    names = {k: v for k, v in vars(ml).items() if not hasattr(builtins, k)} | {"F": ml.functional, "minilayer": ml}
    examples = doctest.DocTestParser().get_doctest(cls.__doc__ or "", names, name, None, 0)
    assert examples.examples, f"{name}: its docstring has no example"
    report = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert not failed, "".join(report)


@pytest.mark.parametrize("case, mode", MODES)
def test_types_follow_inputs_and_parameters(case, mode, rng):
    """float32 by default, float64 after .double(), the same numbers within rounding; inputs unchanged."""
    wide = inputs(case, rng, "float64")
    narrow = [t.float() if isinstance(t, ml.Tensor) and t.is_floating_point() else t for t in wide]
    before = [host(t).copy() for t in narrow if isinstance(t, ml.Tensor)]
    want = call(made(case, mode, "float64"), wide)
    got = call(made(case, mode), narrow)
    for a, b in zip(want, got, strict=True):
        assert a.dtype == ml.float64 and b.dtype == ml.float32
        check_close(host(b), host(a), case.bound, str(case), "max", np.float32)
    for was, t in zip(before, [t for t in narrow if isinstance(t, ml.Tensor)], strict=True):
        assert same_bits(was, host(t)), f"{case} changed its input"


@pytest.mark.parametrize("case, mode", MODES)
def test_same_seed_same_bits(case, mode, rng):
    arguments = inputs(case, rng)
    first, second = made(case, mode), made(case, mode)
    for (name, a), (_, b) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert same_bits(host(a), host(b)), name
    for a, b in zip(call(first, arguments), call(second, arguments), strict=True):
        assert same_bits(host(a), host(b))


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_state_round_trip(case, rng):
    """state_dict into another layer, a deep copy and a pickle: the same outputs to the bit."""
    arguments = inputs(case, rng)
    layer = made(case)
    call(layer, arguments)                      # moves running statistics off their starting values
    state = layer.state_dict()
    ml.manual_seed(99)
    other = case.make()
    result = other.load_state_dict(state)
    assert not result.missing_keys and not result.unexpected_keys
    want = call(layer.eval(), arguments)
    for again in (other.eval(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert list(again.state_dict()) == list(state)
        for a, b in zip(want, call(again, arguments), strict=True):
            assert same_bits(host(a), host(b))
    for name in state:
        with pytest.raises(RuntimeError, match="missing"):
            case.make().load_state_dict({k: v for k, v in state.items() if k != name})
    with pytest.raises(RuntimeError, match="unexpected"):
        case.make().load_state_dict({**state, "nobody.knows": ml.ones(1)})


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_repr_names_layer_shapes_and_counts(case):
    layer = made(case)
    text = repr(layer)
    assert text.startswith(case.layer.removeprefix("Lazy"))     # a lazy layer is of the ordinary class by now
    for name, p in layer.named_parameters():
        assert str(tuple(p.shape)) in text, f"{name} {p.shape} is not shown in {text}"
    count = sum(p.numel() for p in layer.parameters())
    if count:
        assert f"{count:,}" in text


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_modes_and_walks_reach_everything(case):
    layer = made(case)
    assert all(not child.training for child in layer.eval().modules())
    assert all(child.training for child in layer.train().modules())
    assert len({id(p) for p in layer.parameters()}) == len(list(layer.parameters()))
    assert all(p.requires_grad and p.is_leaf for p in layer.parameters())
    names = [name for name, _ in layer.named_parameters()] + [name for name, _ in layer.named_buffers()]
    assert set(layer.state_dict()) <= set(names)
    visited = []
    assert layer.apply(visited.append) is layer
    assert visited[-1] is layer and len(visited) == len(list(layer.modules()))


@pytest.mark.parametrize("case, mode", BATCHED)
def test_batch_equals_singles(case, mode, rng):
    if not case.per_item and mode == "train" or case.random and mode == "train":
        pytest.skip("mixes the members of a batch, or draws anew for each, while training")
    arguments = inputs(case, rng, "float64")
    layer = made(case, mode, "float64")
    whole = call(layer, arguments)
    axis = case.batch_axis
    n = arguments[0].shape[axis]
    for i in range(n):
        one = call(layer, [ml.Tensor(np.take(host(t), [i], axis)) if isinstance(t, ml.Tensor) else t for t in arguments])
        for a, b in zip(whole, one, strict=True):
            check_close(host(b), np.take(host(a), [i], axis), case.bound, f"{case}, item {i} of {n}", "max")


@pytest.mark.parametrize("case, mode", BATCHED)
def test_empty_batch(case, mode, rng):
    """A batch of none gives none, forward and backward (in batch norm while training too, as in PyTorch)."""
    arguments = [ml.Tensor(np.take(host(t), [], case.batch_axis)) if isinstance(t, ml.Tensor) else t
                 for t in inputs(case, rng)]
    layer = made(case, mode)
    full = call(layer, inputs(case, rng))
    empty = call(layer, arguments)
    for a, b in zip(full, empty, strict=True):
        want = list(a.shape)
        want[case.batch_axis] = 0
        assert list(b.shape) == want
    if empty[0].requires_grad:
        empty[0].sum().backward()
        for p in layer.parameters():
            assert p.grad is None or not host(p.grad).any()


@pytest.mark.parametrize("case", [case for case in LAYERS if "eval" in case.modes], ids=str)
def test_eval_repeats_itself_and_learns_nothing(case, rng):
    arguments = inputs(case, rng)
    layer = made(case, "eval")
    before = {name: host(t).copy() for name, t in layer.state_dict().items()}
    first = [host(y) for y in layer_outputs(layer, arguments)]
    second = [host(y) for y in layer_outputs(layer, arguments)]
    for a, b in zip(first, second, strict=True):
        assert same_bits(a, b)
    for name, t in layer.state_dict().items():
        assert same_bits(before[name], host(t)), f"{name} changed in eval mode"


def layer_outputs(layer, arguments):
    """As `call`, without seeding: what depends on a random stream differs from call to call."""
    return flat(layer(*arguments))


@pytest.mark.parametrize("case, mode", [p for p in MODES if p.values[0].differentiable])
def test_gradients_of_inputs_and_parameters(case, mode, rng):
    layer = made(case, mode, "float64")
    arguments = inputs(case, rng, "float64")
    state = {name: host(t).copy() for name, t in layer.named_buffers()}
    checked = [t for t in arguments if isinstance(t, ml.Tensor) and t.is_floating_point()]
    for t in checked:
        t.requires_grad_()

    def function(*moved):
        for name, t in layer.named_buffers():       # running statistics start from the same values each time
            t.detach().copy_(ml.tensor(state[name]))
        values = iter(moved)
        return tuple(call(layer, [next(values) if isinstance(t, ml.Tensor) and t.is_floating_point() else t
                                  for t in arguments]))
    every = [*checked, *layer.parameters()]
    if every:
        gradcheck(lambda *all_of_them: function(*all_of_them[:len(checked)]), *every)


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_forward_hooks_are_called(case, rng):
    layer = made(case)
    seen = []
    before = layer.register_forward_pre_hook(lambda l, x: seen.append(("before", l, len(x))))
    after = layer.register_forward_hook(lambda l, x, y: seen.append(("after", l, len(x))))
    arguments = inputs(case, rng)
    call(layer, arguments)
    assert seen == [("before", layer, len(arguments)), ("after", layer, len(arguments))]
    before.remove()
    after.remove()
    call(layer, arguments)
    assert len(seen) == 2


@pytest.mark.parametrize("case, mode", MODES)
def test_stand_in_device(case, mode, rng):
    """Moved to another device, the layer computes the same bits, forward and backward."""
    arguments = inputs(case, rng)
    want_layer, got_layer = made(case, mode), made(case, mode).to(device="standin")
    moved = [t.to("standin") if isinstance(t, ml.Tensor) else t for t in arguments]
    want, got = call(want_layer, arguments), call(got_layer, moved)
    for a, b in zip(want, got, strict=True):
        assert b.device == "standin"
        check_close(host(b), host(a), 0, f"{case} on the stand-in device")
    if case.differentiable and want[0].requires_grad:
        want[0].sum().backward()
        got[0].sum().backward()
        for (name, p), (_, q) in zip(want_layer.named_parameters(), got_layer.named_parameters(), strict=True):
            if p.grad is not None:
                check_close(host(q.grad), host(p.grad), 0, f"{case}, gradient of {name} on the stand-in device")


def test_backward_hooks_see_and_replace_gradients():
    """A layer's output may be changed in place, hooks or not: what the layer saved stays as it was."""
    for hooked in (False, True):
        layer, seen = ml.ReLU(), []
        if hooked:
            layer.register_full_backward_hook(lambda _, dx, dy, seen=seen: seen.append((dx, dy)))
        x = ml.tensor([-0.5, 0.5], requires_grad=True)
        if hooked:
            layer(x * 1.0).add_(1.0).sum().backward()
            assert x.grad.tolist() == [0.0, 1.0]
            ((dx,), (dy,)), = seen
            assert dx.tolist() == [0.0, 1.0] and dy.tolist() == [1.0, 1.0]
        else:
            with pytest.raises(RuntimeError, match="relu saved its output"):
                layer(x * 1.0).add_(1.0).sum().backward()
    layer = ml.ReLU()
    handle = layer.register_full_backward_hook(lambda _, dx, dy: (dx[0] * 10,))
    x = ml.tensor([-0.5, 0.5], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [0.0, 10.0]
    handle.remove()
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


def test_backward_hooks_see_every_input_in_its_place():
    class Scaled(ml.Layer):
        """y = x * scale, and the largest of each row."""

        def forward(self, scale, x, factor=1):
            return (x * scale * factor).max(1)
    layer, seen = Scaled(), []
    layer.register_full_backward_hook(lambda _, dx, dy: seen.append((dx, dy)))
    x = ml.tensor([[1.0, 2.0]], requires_grad=True)
    found = layer(ml.tensor(3.0), x, 2)
    assert found.indices.tolist() == [1]                # still a pair with names
    found.values.sum().backward()
    layer(ml.tensor(3.0), x.detach())                   # nothing to hook to, and nothing said
    ((scale, dx, factor), (dy, index)), = seen
    assert factor is index is None
    assert scale.shape == () and scale.item() == 0.0    # no gradient was asked for, but it is a tensor
    assert dx.tolist() == [[0.0, 6.0]] and dy.tolist() == [1.0]
    layer.register_full_backward_hook(lambda _, dx, dy: (None, dx[1].double()))
    with pytest.raises(RuntimeError, match="Scaled: a backward hook returned .*float64.*expected None or a tensor in place of"):
        layer(ml.tensor(3.0), x).values.sum().backward()


def test_backward_hooks_see_zeros_for_inputs_without_influence():
    """As in PyTorch: where one input requires a gradient, all tensors among the inputs show one."""
    class First(ml.Layer):
        """y = 2 a, 3 b"""

        def forward(self, a, b, n):
            return a * 2.0, b * 3.0
    layer, seen = First(), []
    layer.register_full_backward_hook(lambda _, dx, dy: seen.append((dx, dy)))
    a, b = ml.ones(2, requires_grad=True), ml.ones(3, dtype="float64", requires_grad=True)
    layer(a, b, ml.tensor([1]))[0].sum().backward()
    ((da, db, dn), (dy, dz)), = seen
    assert da.tolist() == [2.0, 2.0] and dy.tolist() == [1.0, 1.0] and dz is None
    assert db.tolist() == [0.0] * 3 and db.dtype == ml.float64 and b.grad.tolist() == [0.0] * 3
    assert dn.tolist() == [0] and dn.dtype == ml.int64
    seen.clear()
    layer(a, b.detach(), 3)[0].sum().backward(create_graph=True)
    ((da, db, dn), _), = seen
    assert da.tolist() == [2.0, 2.0] and db.tolist() == [0.0] * 3 and dn is None


def test_two_hooked_inputs_keep_their_gradients_apart():
    class Sum(ml.Layer):
        """y = a + 2 b."""

        def forward(self, a, b):
            return a + b * 2.0
    layer = Sum()
    layer.register_full_backward_hook(lambda *_: None)
    a, b, v = (ml.ones(2, requires_grad=True) for _ in range(3))
    other, late = v * 1.0, a * 5
    (layer(a, b) + other + late).backward(ml.ones(2))
    assert (a.grad.tolist(), b.grad.tolist(), v.grad.tolist()) == ([6, 6], [2, 2], [1, 1])


def test_parts_of_a_sequential_keep_their_names():
    whole = ml.Sequential(ml.Linear(2, 2), ml.ReLU(), ml.Linear(2, 2))
    assert list(whole[1:].state_dict()) == ["2.weight", "2.bias"]
    assert list(ml.ModuleList(whole)[1:].state_dict()) == ["1.weight", "1.bias"]


def test_a_parameter_in_place_of_a_passing_buffer_is_saved():
    layer = ml.ReLU()
    layer.register_buffer("scale", ml.ones(1), persistent=False)
    assert "scale" not in layer.state_dict()
    layer.scale = ml.Parameter(ml.ones(1))
    assert "scale" in layer.state_dict()


def test_a_buffer_that_is_assigned_is_registered():
    layer = ml.Layer()
    layer.kept, layer.lost = ml.nn.Buffer(ml.ones(2)), ml.nn.Buffer(ml.zeros(3), persistent=False)
    assert [n for n, _ in layer.named_buffers()] == ["kept", "lost"] and list(layer.state_dict()) == ["kept"]
    layer.lost = ml.nn.Buffer(ml.zeros(3))
    assert list(layer.state_dict()) == ["kept", "lost"]
    layer.kept = ml.ones(2) * 2                         # a plain tensor may take its place
    assert layer.state_dict()["kept"].tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match="kept"):
        layer.kept = 3
