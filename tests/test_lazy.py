"""Lazy layers before, at and after their first input."""
import copy
import pickle

import numpy as np
import pytest

import minilayer as ml
from minilayer.layers.layer import Buffer, UninitializedBuffer, UninitializedParameter


def model():
    return ml.Sequential(ml.LazyConv2d(4, 3), ml.LazyBatchNorm2d(), ml.Flatten(), ml.LazyLinear(3))


def host(t):
    return t.detach().numpy()


def test_parameters_keep_their_identity_so_that_an_optimizer_may_hold_them():
    net = model()
    before = list(net.parameters())
    assert all(type(p) is UninitializedParameter for p in before)
    optimizer = ml.optim.SGD(net.parameters(), lr=0.1)
    net(ml.randn(2, 3, 5, 5)).sum().backward()
    assert list(map(id, net.parameters())) == list(map(id, before))
    assert all(type(p) is ml.nn.Parameter and p.requires_grad and p.is_leaf for p in before)
    values = [host(p).copy() for p in before]
    optimizer.step()
    assert any((host(p) != v).any() for p, v in zip(before, values, strict=True))


def test_the_first_call_makes_an_ordinary_layer_with_ordinary_starting_values():
    x = ml.randn(2, 3, 5, 5)
    for lazy, ordinary in ((lambda: ml.LazyConv2d(4, 3), lambda: ml.Conv2d(3, 4, 3)),
                           (lambda: ml.LazyConvTranspose2d(4, 3), lambda: ml.ConvTranspose2d(3, 4, 3)),
                           (lambda: ml.LazyLinear(4), lambda: ml.Linear(5, 4))):
        ml.manual_seed(3)
        want = ordinary()
        ml.manual_seed(3)
        got = lazy()
        y = got(x)
        assert type(got) is type(want) and repr(got) == repr(want)
        assert (host(got.weight) == host(want.weight)).all() and (host(got.bias) == host(want.bias)).all()
        assert (host(y) == host(want(x))).all()


def test_a_generator_given_is_the_one_drawn_from():
    got = ml.LazyLinear(4, rng=ml.Generator(5))
    got(ml.ones(2, 3))
    assert (host(got.weight) == host(ml.Linear(3, 4, rng=ml.Generator(5)).weight)).all()


def test_type_and_place_are_settled_before():
    layer = ml.LazyBatchNorm1d().double()
    assert layer.weight.dtype == layer.running_mean.dtype == np.float64
    layer(ml.randn(4, 3).double())
    assert layer.weight.dtype == layer.running_mean.dtype == np.float64 and type(layer.running_mean) is Buffer
    assert ml.LazyLinear(3, dtype="float64", device="cpu").weight.dtype == np.float64
    assert (host(layer.running_var) != 1).all() and layer.num_batches_tracked.item() == 1


def test_state_of_a_used_layer_settles_the_shapes():
    net, other = model(), model()
    x = ml.randn(2, 3, 5, 5)
    net(x)
    result = other.load_state_dict(net.state_dict())
    assert not result.missing_keys and not result.unexpected_keys and not other[0].has_uninitialized_params()
    assert (host(other.eval()(x)) == host(net.eval()(x))).all()
    assert type(other[1]) is ml.BatchNorm2d and other[1].num_features == 4


def test_state_without_shapes_loads_into_a_lazy_layer_alone():
    layer = ml.LazyLinear(3)
    state = layer.state_dict()
    assert list(state) == ["weight", "bias"] and repr(state["weight"]) == "<UninitializedParameter>"
    ml.LazyLinear(3).load_state_dict(state)
    with pytest.raises(RuntimeError, match="without a shape yet"):
        ml.Linear(2, 3).load_state_dict(state)
    with pytest.raises(RuntimeError, match="missing: bias"):
        layer.load_state_dict({"weight": ml.ones(3, 2)})
    assert layer.has_uninitialized_params()             # nothing was loaded


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_lazy_too(again):
    other = again(model())
    assert other(ml.ones(2, 3, 5, 5)).shape == (2, 3) and type(other[3]) is ml.Linear
    assert type(again(UninitializedBuffer(dtype="float64"))) is UninitializedBuffer


def test_what_does_not_fit_leaves_the_layer_lazy():
    layer = ml.LazyConv2d(4, 3, groups=2)
    with pytest.raises(ValueError, match="divisible"):
        layer(ml.ones(1, 3, 5, 5))
    assert layer.has_uninitialized_params() and layer.in_channels == 0
    assert layer(ml.ones(1, 4, 5, 5)).shape == (1, 4, 3, 3)


def test_resetting_before_the_first_input_does_nothing():
    for layer in (ml.LazyLinear(3), ml.LazyConv1d(3, 2), ml.LazyBatchNorm1d()):
        layer.reset_parameters()
        assert layer.has_uninitialized_params() and "follow from the first input" in repr(layer)
    layer.reset_running_stats()


def test_arguments_of_forward_pass_through():
    assert ml.LazyConvTranspose1d(3, 3, stride=2)(ml.ones(1, 2, 4), output_size=[10]).shape == (1, 3, 10)
