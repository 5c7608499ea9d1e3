"""Containers: what they hold, in which order and under which names, as PyTorch's do."""
import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minilayer as ml


def layers(n):
    return [ml.Linear(i + 1, 1) for i in range(n)]


def names(container):
    return [name for name, _ in container.named_children()]


@pytest.mark.parametrize("kind", [ml.ModuleList, lambda items: ml.Sequential(*items)])
def test_numbered_containers_are_lists(kind):
    a, b, c, d = layers(4)
    held = kind([a, b])
    assert held.insert(0, c) is held and list(held) == [c, a, b] and names(held) == ["0", "1", "2"]
    assert held.insert(-1, d) is held and list(held) == [c, a, d, b]
    assert held.pop(1) is a and list(held) == [c, d, b] and names(held) == ["0", "1", "2"]
    assert held.append(a) is held and held[-1] is a and list(held[1:3]) == [d, b]
    del held[::2]
    assert list(held) == [d, a] and names(held) == ["0", "1"]
    both = held + kind([b])
    assert list(both) == [d, a, b] and list(held) == [d, a] and type(both) is type(held)
    held += kind([b, c])
    assert list(held) == [d, a, b, c] and held.extend(held) is held and len(held) == 8
    assert "0" not in dir(held) and "append" in dir(held)
    assert list(held.state_dict())[:2] == ["0.weight", "0.bias"]


def test_sequential_times():
    a, b = layers(2)
    held = ml.Sequential(a, b)
    assert list(held * 2) == [a, b, a, b] == list(2 * held) and list(held) == [a, b]
    held *= 3
    assert list(held) == [a, b] * 3 and len(list(held.parameters())) == 4
    named = ml.Sequential(OrderedDict(first=a, second=b))
    assert list(named + ml.Sequential(a)) == [a, b, a] and list(named) == [a, b]
    assert ml.Sequential(*layers(1))(ml.ones(2, 1)).shape == (2, 1)


def test_module_dict():
    a, b, c = layers(3)
    held = ml.ModuleDict({"x": a, "y": b})
    held.update([("z", c), ("x", b)])
    assert list(held) == ["x", "y", "z"] and held["x"] is b and held.pop("y") is b and "y" not in held
    held.update(ml.ModuleDict({"w": a}))
    assert held.keys() == ["x", "z", "w"] and held.values() == [b, c, a] and len(held.items()) == 3
    held.clear()
    assert len(held) == 0 and not list(held.parameters())


def test_parameter_list():
    w = ml.Parameter(ml.ones(2))
    held = ml.ParameterList([w, ml.zeros(3), "a note"])
    assert held[0] is w and isinstance(held[1], ml.Parameter) and held[-1] == "a note" and len(held) == 3
    assert [n for n, _ in held.named_parameters()] == ["0", "1"] and list(held.state_dict()) == ["0", "1"]
    held += [ml.ones(1)]
    assert [n for n, _ in held.named_parameters()] == ["0", "1", "3"] and list(held[:1]) == [w] and "0" not in dir(held)
    held[0] = 5                                     # a plain value takes a parameter's place
    assert held[0] == 5 and [n for n, _ in held.named_parameters()] == ["1", "3"]
    held[0] = ml.ones(4)
    for again in (copy.deepcopy(held), pickle.loads(pickle.dumps(held))):
        assert len(again) == 4 and again[0].shape == (4,) and again[2] == "a note" and len(list(again.parameters())) == 3


def test_parameter_dict():
    w = ml.Parameter(ml.ones(2))
    held = ml.ParameterDict({"b": w, "a": ml.zeros(3)})
    assert list(held) == ["a", "b"] and held["b"] is w and isinstance(held["a"], ml.Parameter)      # a plain dict by its keys
    assert list(ml.ParameterDict(OrderedDict(b=w, a=w))) == ["b", "a"] and list(reversed(held)) == ["b", "a"]
    assert held.get("c") is None and held.get("b") is w and held.setdefault("c", ml.ones(1)).shape == (1,)
    assert list(held.keys()) == ["a", "b", "c"] and len(held.values()) == 3 and held.items()[1] == ("b", w)
    assert held.popitem()[0] == "c" and held.pop("a").shape == (3,) and list(held) == ["b"]
    other = held | {"d": ml.ones(1)}
    assert list(other) == ["b", "d"] and list(held) == ["b"] and list({"d": w} | held) == ["d", "b"]
    held |= other
    assert list(held) == ["b", "d"] and held["b"] is w and [n for n, _ in held.named_parameters()] == ["b", "d"]
    assert held.copy()["b"] is w and list(held.fromkeys(["x", "y"], 1).values()) == [1, 1]
    del held["b"]
    held.clear()
    assert not len(held) and not list(held.parameters())


def test_none_keeps_a_place():
    """As in PyTorch: a layer that is left out."""
    layers = ml.ModuleList([None, ml.Linear(2, 3), None])
    assert len(layers) == 3 and layers[0] is None and list(layers)[2] is None
    assert list(layers.state_dict()) == ["1.weight", "1.bias"] and len(list(layers.children())) == 1
    layers[0] = layers[1]
    layers[1] = None
    layers.insert(0, None)
    layers.append(None)
    assert [layer is None for layer in layers] == [True, False, True, True, True] and layers[1:3][1] is None
    layers.load_state_dict({"1.weight": ml.ones(3, 2), "1.bias": ml.zeros(3)})
    named = ml.ModuleDict({"a": None})
    assert named["a"] is None and list(named.keys()) == ["a"] and not named.state_dict()
    with pytest.raises(TypeError, match="expected Layers, got NoneType"):
        ml.Sequential(None)


@pytest.mark.parametrize("half", [np.float32(0.5), np.float64(0.5)])
def test_settings_may_be_numpys_numbers(half):
    assert str(ml.Dropout(half)) == "Dropout(p=0.5, inplace=False)"
    assert ml.LeakyReLU(half)(ml.tensor([-2.0])).tolist() == [-1.0]
    assert ml.LayerNorm(2, eps=half).eps == 0.5
    F, x = ml.functional, ml.ones(2, 3)
    assert F.dropout(x, half, False).tolist() == x.tolist()
    assert F.huber_loss(x, x, delta=half).item() == F.smooth_l1_loss(x, x, beta=half).item() == 0.0
    assert F.cross_entropy(x, ml.tensor([0, 1]), label_smoothing=half).shape == ()
    assert F.batch_norm(x, None, None, training=True, momentum=half).shape == (2, 3)
    F.embedding(ml.tensor([0]), table := ml.ones(2, 4), max_norm=half, norm_type=half * 4)
    assert table[0].norm().item() < 0.5001
