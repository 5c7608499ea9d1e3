"""What code written for torch.nn.Module asks of a layer beside forward: state with prefixes, hooks with their options, paths."""
import copy
from collections import OrderedDict

import pytest

import minilayer as ml
from minilayer import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 1)
        self.register_buffer("scale", ml.ones(1))

    def forward(self, x, factor=1.0):
        return self.head(self.body(x)) * self.scale * factor


X = ml.tensor([[1.0, 2.0], [3.0, 5.0]])


def test_state_dict_takes_a_prefix_a_destination_and_the_parameters_themselves():
    net, given = Net(), OrderedDict(first=1)
    assert net.state_dict(destination=given, prefix="net.") is given
    assert list(given)[:4] == ["first", "net.scale", "net.body.0.weight", "net.body.0.bias"]
    assert "ascale" in net.state_dict(prefix="a")               # the prefix brings its dot
    assert net.state_dict(keep_vars=True)["head.weight"] is net.head.weight
    assert not net.state_dict()["head.weight"].requires_grad


def test_load_state_dict_says_that_all_fits_or_what_does_not():
    net = Net()
    assert repr(net.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    found = net.load_state_dict({"scale": ml.zeros(1), "more": ml.zeros(1)}, strict=False)
    assert found.unexpected_keys == ["more"] and "missing_keys=['body.0.weight'" in repr(found)


@pytest.mark.parametrize("make", [Net, lambda: nn.LSTM(2, 3, bidirectional=True), lambda: nn.ParameterList([ml.ones(2)])],
                         ids=["Net", "LSTM", "ParameterList"])
def test_assign_takes_the_values_themselves(make):
    net, other = make(), make().double()
    next(net.parameters()).requires_grad_(False)
    state = other.state_dict()
    net.load_state_dict(state, assign=True)
    for (name, value), mine in zip(state.items(), net.state_dict().values(), strict=True):
        assert mine.dtype == value.dtype and mine.array.ctypes.data == value.array.ctypes.data, name
    learned = list(net.parameters())
    assert all(isinstance(p, nn.Parameter) for p in learned)
    assert [p.requires_grad for p in learned] == [False, *[True] * (len(learned) - 1)]
    if isinstance(net, Net):
        assert net(X.double()).dtype == ml.float64
    lazy = nn.LazyLinear(3)
    lazy.load_state_dict(nn.Linear(2, 3).state_dict(), assign=True)
    assert lazy(X).shape == (2, 3)


def test_a_copy_of_a_model_has_no_gradients():
    net = Net()
    net(X).sum().backward()
    assert all(p.grad is None for p in copy.deepcopy(net).parameters())
    assert all(p.grad is not None for p in net.parameters())


def test_forward_hooks_with_their_options():
    net, seen = Net().eval(), []
    net.register_forward_pre_hook(lambda layer, x: seen.append("second"))
    net.register_forward_pre_hook(lambda layer, x: seen.append("first"), prepend=True)
    net.register_forward_pre_hook(lambda layer, x, named: (x, {"factor": named["factor"] * 2}), with_kwargs=True)
    handle = net.register_forward_hook(lambda layer, x, named, y: seen.append(named), with_kwargs=True)
    net.register_forward_hook(lambda layer, x, y: y * 0, prepend=True)
    assert net(X, factor=3.0).tolist() == [[0.0], [0.0]] and seen == ["first", "second", {"factor": 6.0}]
    handle.remove()
    net(X, factor=3.0)
    assert len(seen) == 5
    net.register_forward_pre_hook(lambda layer, x, named: x, with_kwargs=True)
    with pytest.raises(RuntimeError, match="Net: a forward pre-hook with kwargs returned a tuple; expected None or a pair"):
        net(X, factor=1.0)
    with pytest.raises(TypeError, match="expected a function, got int"):
        net.register_forward_pre_hook(3, with_kwargs=True)


def test_a_hook_that_is_always_called_sees_a_failure():
    layer, seen = nn.Linear(2, 3), []
    layer.register_forward_hook(lambda layer, x, y: seen.append(y), always_call=True)
    with pytest.raises(ValueError):
        layer(ml.ones(1, 5))
    assert seen == [None]
    layer(X)
    assert seen[1].shape == (2, 3)


def test_backward_pre_hooks_replace_the_gradients_that_come_in():
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda layer, dx, dy: seen.append(dy[0].tolist()))
    handle = layer.register_full_backward_pre_hook(lambda layer, dy: (dy[0] * 10,))
    layer(X).sum().backward()
    assert layer.bias.grad.tolist() == [20.0] and seen == [[[10.0], [10.0]]]
    handle.remove()
    layer.zero_grad()
    layer(X).sum().backward()
    assert layer.bias.grad.tolist() == [2.0]
    layer.register_full_backward_pre_hook(lambda layer, dy: dy * 2)
    with pytest.raises(RuntimeError, match="Linear: a backward hook returned 2 gradients, expected 1"):
        layer(X).sum().backward()


def test_state_hooks_run_on_every_layer():
    net, seen = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1, bias=False)), []
    for path, layer in net.named_modules():
        layer.register_state_dict_pre_hook(lambda layer, *given, path=path: seen.append((path, *given)))
        layer.register_state_dict_post_hook(lambda layer, state, prefix, _, path=path: seen.append((path, prefix, len(state))))
    state = net.state_dict(prefix="q.", keep_vars=True)
    assert seen == [("", "q.", True), ("0", "q.0.", True), ("1", "q.1.", True), ("1", "q.1.", 3), ("0", "q.0.", 3), ("", "q.", 3)]
    net[0].register_state_dict_post_hook(lambda layer, state, prefix, _: state.pop(prefix + "bias") and None)
    assert list(net.state_dict()) == ["0.weight", "1.weight"] and len(state) == 3
    net.load_state_dict(nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1, bias=False)).state_dict())      # (asks for all)
    handle = net.register_state_dict_post_hook(lambda layer, state, prefix, _: state)
    with pytest.raises(RuntimeError, match="state_dict: expected a hook of .* to return None"):
        net.state_dict()
    handle.remove()
    net.state_dict()


def test_hooks_before_loading_may_rename_and_refuse():
    net, state = nn.Sequential(nn.Linear(2, 1)), {"0.kernel": ml.ones(1, 2), "0.bias": ml.zeros(1)}

    def rename(layer, state, prefix, metadata, strict, missing, unexpected, errors):
        assert (layer is net[0], prefix, strict, missing, unexpected, errors) == (True, "0.", True, [], [], [])
        state[prefix + "weight"] = state.pop(prefix + "kernel")

    handle = net[0].register_load_state_dict_pre_hook(rename)
    net.load_state_dict(state)
    assert net[0].weight.tolist() == [[1.0, 1.0]] and "0.kernel" in state
    handle.remove()
    with pytest.raises(RuntimeError, match="missing: 0.weight; unexpected: 0.kernel"):
        net.load_state_dict(state)
    net[0].register_load_state_dict_pre_hook(lambda *given: given[-1].append("too old"))
    with pytest.raises(RuntimeError, match="does not fit Sequential: too old"):
        net.load_state_dict(net.state_dict())


def test_hooks_after_loading_may_forgive():
    net, state = nn.Sequential(nn.Linear(2, 1)), {"0.weight": ml.ones(1, 2), "steps": ml.ones(1)}
    with pytest.raises(RuntimeError, match="missing: 0.bias; unexpected: steps"):
        net.load_state_dict(state)
    assert net[0].weight.tolist() != [[1.0, 1.0]]           # nothing was changed
    net.register_load_state_dict_post_hook(lambda layer, names: names.missing_keys.clear())
    with pytest.raises(RuntimeError, match="Sequential: unexpected: steps"):
        net.load_state_dict(state)
    net.register_load_state_dict_post_hook(lambda layer, names: names.unexpected_keys.clear())
    assert net.load_state_dict(state) == ([], []) and net[0].weight.tolist() == [[1.0, 1.0]]
    net.register_load_state_dict_post_hook(lambda layer, names: names)
    with pytest.raises(RuntimeError, match="load_state_dict: expected a hook after loading to return None"):
        net.load_state_dict(state)


def test_values_and_layers_by_path():
    net = Net()
    assert net.get_parameter("body.0.weight") is net.body[0].weight and net.get_buffer("scale") is net.scale
    with pytest.raises(AttributeError, match="'body.0.scale' is not a parameter of Net; at 'body.0' there are: weight, bias"):
        net.get_parameter("body.0.scale")
    with pytest.raises(AttributeError, match="get_buffer: 'head.weight' is not a buffer"):
        net.get_buffer("head.weight")
    net.set_submodule("body.0", nn.Linear(2, 3, bias=False))
    assert net.body[0].bias is None
    for wrong in (lambda: net.set_submodule("", nn.ReLU()), lambda: net.set_submodule("head", 3)):
        with pytest.raises(ValueError, match="set_submodule: expected the path of a layer and a Layer"):
            wrong()
    with pytest.raises(AttributeError, match="get_submodule: Net has no layer 'tail'"):
        net.set_submodule("tail", nn.ReLU())


def test_what_is_registered_can_be_looked_at():
    net = Net()
    assert list(net._modules) == ["body", "head"] and list(net._buffers) == ["scale"] and not net._parameters
    assert net.head._parameters["bias"] is net.head.bias and net._get_name() == "Net"
    with pytest.raises(TypeError):                              # writing there would change nothing: set the attribute
        net._modules["head"] = nn.ReLU()


def test_a_name_is_of_one_kind():
    net = Net()
    for register in (lambda: net.register_buffer("head", ml.ones(1)), lambda: net.add_module("scale", nn.ReLU())):
        with pytest.raises(KeyError, match="already; choose another name"):
            register()
    net.extra = nn.Parameter(ml.ones(1))
    net.scale = nn.Parameter(ml.ones(1))                        # a buffer that is learned from now on
    assert [n for n, _ in net.named_parameters()][:2] == ["extra", "scale"] and not list(net._buffers)


def test_types_and_places():
    net = Net()
    assert net.to("cpu", non_blocking=True).type(ml.float64).head.weight.dtype == ml.float64
    for half in (net.half, net.bfloat16):
        with pytest.raises(TypeError, match="float.*half precision is read from and written to files"):
            half()
    assert nn.Parameter().shape == (0,)


def test_the_input_by_pytorch_s_name():
    layer, target = nn.Linear(2, 3), ml.tensor([0, 2])
    y = layer(X)
    assert layer(input=X).tolist() == y.tolist() and nn.Sequential(layer)(input=X).tolist() == y.tolist()
    assert nn.CrossEntropyLoss()(input=y, target=target).item() == nn.CrossEntropyLoss()(y, target).item()
    assert nn.Embedding(5, 2)(input=target).shape == (2, 2)
    with pytest.raises(TypeError, match="multiple values for argument .input"):
        layer(X, input=X)

    class Own(nn.Module):                                       # a layer of one's own names its arguments itself
        def forward(self, other, input=None):
            return other if input is None else input
    assert Own()(1, input=2) == 2
