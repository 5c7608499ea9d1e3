"""minilayer.nn.utils: weights told otherwise (weight norm, spectral norm, parametrisations), parameters as one vector."""
import copy
import doctest
import itertools

import numpy as np
import pytest

import minilayer as ml
import minilayer.functional as F
from minilayer.nn import utils
from minilayer.nn.utils import parametrizations, parametrize
from minilayer.nn.utils.hooked import Hooked
from minilayer.nn.utils.parametrize import register_parametrization as parametrized
from minilayer.nn.utils.parametrize import remove_parametrizations as unparametrized

STYLES = {"weight_norm": utils.weight_norm, "spectral_norm": utils.spectral_norm,
          "parametrizations.weight_norm": parametrizations.weight_norm,
          "parametrizations.spectral_norm": parametrizations.spectral_norm}
LAYERS = {"Linear": (lambda nn: nn.Linear(3, 2), (4, 3)), "Conv2d": (lambda nn: nn.Conv2d(2, 4, 3), (2, 2, 5, 5)),
          "LayerNorm": (lambda nn: nn.LayerNorm(3), (4, 3))}


def removed(style, layer):
    if style == "weight_norm":
        return utils.remove_weight_norm(layer)
    if style == "spectral_norm":
        return utils.remove_spectral_norm(layer)
    return unparametrized(layer, "weight")


def input_of(name):
    return np.random.default_rng(0).standard_normal(LAYERS[name][1])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", LAYERS)
def test_weight_is_what_it_says(style, name):
    layer = LAYERS[name][0](ml.nn).double()
    before = layer.weight.detach().clone().numpy()
    rng = {} if style.endswith("weight_norm") else {"rng": ml.Generator(1)}
    assert STYLES[style](layer, **rng) is layer and type(layer).__name__.endswith(name)
    layer(ml.tensor(input_of(name)))
    weight = layer.eval().weight.detach().numpy()
    if style.endswith("weight_norm"):
        np.testing.assert_allclose(weight, before, rtol=1e-12)
    elif style.startswith("param"):     # fifteen steps of the power method: nearly there
        top = np.linalg.svd(before.reshape(before.shape[0], -1))[1][0] if before.ndim > 1 else np.linalg.norm(before)
        np.testing.assert_allclose(weight, before / top, rtol=0.05)
    x = ml.tensor(input_of(name))
    want = layer(x).detach().numpy()
    state = {k: v.clone() for k, v in layer.state_dict().items()}
    other = STYLES[style](LAYERS[name][0](ml.nn).double(), **rng).eval()
    other.load_state_dict(state)
    np.testing.assert_array_equal(other(x).detach().numpy(), want)
    if style.startswith("param"):
        np.testing.assert_array_equal(copy.deepcopy(layer)(x).detach().numpy(), want)
    assert removed(style, layer) is layer and sorted(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer(x).detach().numpy(), want, rtol=1e-9, atol=1e-12)
    assert type(layer).__name__ == name and isinstance(layer.weight, ml.nn.Parameter)


@pytest.mark.parametrize("style", STYLES)
def test_gradients(style):
    layer = STYLES[style](ml.Linear(3, 2).double()).eval()
    ml.gradcheck(lambda x, *_: layer(x), ml.tensor(input_of("Linear"), requires_grad=True), *layer.parameters())


@pytest.mark.parametrize("style, name, dim", list(itertools.product(STYLES, ("Linear", "Conv2d"), (None, 0, 1))))
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_agrees_with_pytorch(style, name, dim):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.utils
    for part in style.split("."):
        theirs = getattr(theirs, part)
    settings = {} if dim is None and style.endswith("spectral_norm") else {"dim": dim}
    t, m = theirs(LAYERS[name][0](torch.nn).double(), **settings), STYLES[style](LAYERS[name][0](ml.nn).double(), **settings)
    assert list(t.state_dict()) == list(m.state_dict())
    m.load_state_dict({k: v.numpy().copy() for k, v in t.state_dict().items()})
    descents = torch.optim.SGD(t.parameters(), 0.05), ml.optim.SGD(m.parameters(), 0.05)
    x = input_of(name)
    for step in range(3):
        if step == 2:
            t.eval(), m.eval()
        a, b = t(torch.from_numpy(x)), m(ml.tensor(x))
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-10, atol=1e-10)
        for y, descent in zip((a, b), descents, strict=True):
            descent.zero_grad()
            (y * y).mean().backward()
            descent.step()
        for key, value in t.state_dict().items():
            np.testing.assert_allclose(m.state_dict()[key].numpy(), value.numpy(), rtol=1e-10, atol=1e-10, err_msg=key)


def test_spectral_norm_of_transposed_convolutions_goes_by_outputs():
    class ConvTranspose2d(ml.Layer):
        def __init__(self):
            self.weight = ml.nn.Parameter(ml.randn(2, 5, 3, 3))
    assert utils.spectral_norm(ConvTranspose2d()).weight_u.shape == (5,)
    assert parametrizations.spectral_norm(ConvTranspose2d()).parametrizations.weight[0]._u.shape == (5,)


class Symmetric(ml.Layer):
    """x with its upper half below too."""

    def forward(self, x):
        return F.triu(x) + F.triu(x, 1).T

    def right_inverse(self, value):
        return F.triu(value)


class Doubled(ml.Layer):
    def forward(self, x):
        return x * 2.0


def test_parametrisations_of_ones_own():
    layer = ml.Linear(3, 3)
    before = layer.weight
    assert not parametrize.is_parametrized(layer)
    parametrized(layer, "weight", Symmetric())
    assert (layer.weight == layer.weight.T).all() and layer.parametrizations.weight.original is before
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    layer.weight = ml.ones(3, 3)
    assert layer.weight.tolist() == [[1.0] * 3] * 3 and layer.parametrizations.weight.original[1, 0].item() == 0.0
    layer.bias = ml.nn.Parameter(ml.zeros(3))
    parametrized(layer, "weight", Doubled())
    assert layer.weight.tolist() == [[2.0] * 3] * 3 and len(layer.parametrizations.weight) == 2
    layer(ml.ones(1, 3)).sum().backward()
    assert before.grad.tolist() == [[2.0, 4.0, 4.0], [0.0, 2.0, 4.0], [0.0, 0.0, 2.0]]
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    unparametrized(layer, "weight", leave_parametrized=False)
    assert layer.weight is before and type(layer) is ml.Linear and layer.weight[1, 0].item() == 0.0


def test_two_tensors_and_a_buffer():
    layer = ml.BatchNorm1d(3)
    parametrizations.weight_norm(layer, "weight")
    parametrized(layer, "running_mean", Doubled())
    assert "parametrizations.running_mean.original" in layer.state_dict()
    unparametrized(layer, "weight")
    assert parametrize.is_parametrized(layer, "running_mean") and layer.running_mean.tolist() == [0.0] * 3
    unparametrized(layer, "running_mean")
    assert type(layer) is ml.BatchNorm1d and sorted(n for n, _ in layer.named_buffers()) == [
        "num_batches_tracked", "running_mean", "running_var"]


def test_parameters_and_vectors():
    model = ml.Sequential(ml.Linear(3, 2), ml.Linear(2, 1))
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.tolist() == [v for p in model.parameters() for v in p.reshape(-1).tolist()]
    vector.sum().backward()
    assert model[0].weight.grad.tolist() == [[1.0] * 3] * 2
    utils.vector_to_parameters(ml.arange(11.0), model.parameters())
    assert model[0].weight.tolist() == [[0, 1, 2], [3, 4, 5]] and model[1].bias.tolist() == [10]


def test_gradients_clipped_by_value():
    p = ml.nn.Parameter(ml.zeros(3))
    (p * ml.tensor([-5.0, 0.5, 5.0])).sum().backward()
    utils.clip_grad_value_([p], 1.0)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0]


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "parameters_to_vector", "parametrizations.weight_norm",
                                  "parametrizations.spectral_norm"])
def test_examples(name):
    f = utils
    for part in name.split("."):
        f = getattr(f, part)
    names = {**vars(ml.nn), "weight_norm": utils.weight_norm, "spectral_norm": utils.spectral_norm,
             "parameters_to_vector": utils.parameters_to_vector, "parametrizations": parametrizations}
    examples = doctest.DocTestParser().get_doctest(f.__doc__, names, name, None, 0)
    report = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert tried and not failed, "".join(report)


class Wider(ml.Layer):
    def forward(self, x):
        return F.cat([x, x])


class Strange(Doubled):
    def right_inverse(self, value):
        return "nothing"


class Reshaping(Doubled):
    def right_inverse(self, value):
        return value.reshape(-1)


def made(style, *settings):
    return STYLES[style](ml.Linear(3, 2), *settings)


def assigned(step):
    """A weight that was assigned to, through a parametrisation."""
    layer = ml.Linear(3, 2)
    layer = parametrized(layer, "weight", Doubled())
    layer.parametrizations.weight.add_module("0", step)
    layer.weight = ml.ones(2, 3)


@pytest.mark.parametrize("call, error, match", [
    (lambda: utils.weight_norm(made("weight_norm")), RuntimeError, "'weight' of Linear.*has it already"),
    (lambda: utils.spectral_norm(made("spectral_norm")), RuntimeError, "spectral_norm: 'weight'.*has it already"),
    (lambda: utils.weight_norm(ml.Linear(3, 2), "wat"), ValueError, "a parameter named 'wat'.*: weight, bias"),
    (lambda: utils.spectral_norm(ml.ReLU()), ValueError, "spectral_norm: expected a parameter named 'weight'.*: none"),
    (lambda: made("weight_norm", "weight", 2), IndexError, r"weight_norm: expected dim in \[-2, 1\].*got 2"),
    (lambda: made("spectral_norm", "weight", 0), ValueError, "n_power_iterations >= 1, got 0"),
    (lambda: made("parametrizations.spectral_norm", "weight", 0), ValueError, "n_power_iterations >= 1, got 0"),
    (lambda: utils.remove_weight_norm(ml.Linear(3, 2)), ValueError, "remove_weight_norm: Linear.*no weight_norm on 'weight'"),
    (lambda: utils.remove_spectral_norm(ml.Linear(3, 2)), ValueError, "has no spectral_norm on 'weight'"),
    (lambda: made("parametrizations.weight_norm", "wat"), ValueError, "weight_norm: expected the name of a parameter or buffer"),
    (lambda: made("parametrizations.spectral_norm", 3), ValueError, "spectral_norm: expected the name of a parameter"),
    (lambda: parametrized(ml.Linear(3, 2), "training", Doubled()), ValueError, "got 'training'"),
    (lambda: parametrized(ml.Linear(3, 2), "weight", abs), TypeError, "expected a Layer, got"),
    (lambda: parametrized(ml.Linear(3, 2), "weight", Wider()), ValueError, r"keep shape \(2, 3\).*\(4, 3\)"),
    (lambda: parametrized(made("parametrizations.weight_norm"), "weight", Wider()), ValueError,
     r"keep shape \(2, 3\).*\(4, 3\)"),
    (lambda: parametrized(ml.Linear(3, 2), "weight", Strange()), ValueError, "right_inverse to return a tensor"),
    (lambda: assigned(Doubled()), RuntimeError, "Doubled: has no right_inverse"),
    (lambda: assigned(Reshaping()), ValueError, r"right_inverse: expected a value of shape \(2, 3\), got \(6,\)"),
    (lambda: unparametrized(ml.Linear(3, 2), "weight"), ValueError, "has no parametrisation on 'weight'"),
    (lambda: unparametrized(made("parametrizations.weight_norm"), "weight", False), ValueError, "made of 2 tensors"),
    (lambda: utils.parameters_to_vector([]), ValueError, "at least one parameter"),
    (lambda: utils.vector_to_parameters([1.0], []), TypeError, "expected a tensor, got list"),
    (lambda: utils.vector_to_parameters(ml.ones(3), ml.Linear(2, 2).parameters()), ValueError, r"a vector of 6 values.*\(3,\)"),
    (lambda: Hooked().value(None), NotImplementedError, "Hooked: define value"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()
