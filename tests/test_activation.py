"""Activations and dropout where rows cannot look: at NaN and infinity, at their bends, in place, and by chance."""
import math
from math import inf, nan

import numpy as np
import pytest

import minilayer as ml
import minilayer.functional as F

# y and dx at these x, as PyTorch 2.13 has them
AT = [nan, inf, -inf, 0.0, -0.0, 3.0, -3.0, 0.5, -0.5, 1.0, -1.0]
EDGES = {
    "relu6": (F.relu6, [nan, 6, 0, 0, 0, 3, 0, .5, 0, 1, 0], [0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0]),
    "hardtanh": (F.hardtanh, [nan, 1, -1, 0, 0, 1, -1, .5, -.5, 1, -1], [0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]),
    "leaky_relu": (F.leaky_relu, [nan, inf, -inf, 0, 0, 3, -.03, .5, -.005, 1, -.01],
                   [.01, 1, .01, .01, .01, 1, .01, 1, .01, 1, .01]),
    "elu": (F.elu, [nan, inf, -1, 0, 0, 3, math.expm1(-3), .5, math.expm1(-.5), 1, math.expm1(-1)],
            [nan, 1, 0, 1, 1, 1, math.exp(-3), 1, math.exp(-.5), 1, math.exp(-1)]),
    "silu": (lambda x: F.silu(x)[:5], [nan, inf, nan, 0, 0], [nan, nan, nan, .5, .5, 0, 0, 0, 0, 0, 0]),
    "mish": (lambda x: F.mish(x)[:5], [nan, inf, nan, 0, 0], [nan, nan, nan, .6, .6, 0, 0, 0, 0, 0, 0]),
    "logsigmoid": (lambda x: F.logsigmoid(x)[:5], [nan, 0, -inf, -math.log(2), -math.log(2)],
                   [nan, 0, 1, .5, .5, 0, 0, 0, 0, 0, 0]),
    "softplus": (lambda x: F.softplus(x)[:5], [nan, inf, 0, math.log(2), math.log(2)], [nan, 1, 0, .5, .5, 0, 0, 0, 0, 0, 0]),
    "softsign": (F.softsign, [nan, nan, nan, 0, 0, .75, -.75, 1 / 3, -1 / 3, .5, -.5],
                 [nan, nan, nan, 1, 1, 1 / 16, 1 / 16, 4 / 9, 4 / 9, .25, .25]),
    "softshrink": (F.softshrink, [nan, inf, -inf, 0, 0, 2.5, -2.5, 0, 0, .5, -.5], [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]),
    "hardshrink": (F.hardshrink, [nan, inf, -inf, 0, 0, 3, -3, 0, 0, 1, -1], [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]),
    "hardsigmoid": (F.hardsigmoid, [nan, 1, 0, .5, .5, 1, 0, 7 / 12, 5 / 12, 2 / 3, 1 / 3],
                    [0, 0, 0, 1 / 6, 1 / 6, 0, 0, 1 / 6, 1 / 6, 1 / 6, 1 / 6]),
    "hardswish": (F.hardswish, [nan, inf, nan, 0, 0, 3, 0, .5 * 3.5 / 6, -.5 * 2.5 / 6, 4 / 6, -2 / 6],
                  [nan, 1, 0, .5, .5, 1, 0, .5 + .5 / 3, .5 - .5 / 3, .5 + 1 / 3, .5 - 1 / 3]),
    "threshold": (lambda x: F.threshold(x, .5, 7.0), [nan, inf, 7, 7, 7, 3, 7, 7, 7, 1, 7], [1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0]),
    "tanhshrink": (lambda x: F.tanhshrink(x)[:5], [nan, inf, -inf, 0, 0], [nan, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EDGES)
def test_edges(name, dtype):
    f, y, dx = EDGES[name]
    x = ml.tensor(AT, dtype=dtype, requires_grad=True)
    found = f(x)
    found.sum().backward()
    np.testing.assert_allclose(found.detach().numpy(), y, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(x.grad.numpy(), dx, rtol=1e-6, atol=1e-7)


def test_far_out_nothing_overflows():
    x = ml.tensor([-1e4, -100.0, 100.0, 1e4], requires_grad=True)
    for f in (F.softplus, F.logsigmoid, F.silu, F.mish, F.elu, F.selu, lambda v: F.softplus(v, 1.0, 1e9)):
        x.grad = None
        y = f(x)
        y.sum().backward()
        assert np.isfinite(y.detach().numpy()).all() and np.isfinite(x.grad.numpy()).all()
    assert F.softplus(ml.tensor([1e4]), 1.0, 1e9).tolist() == [1e4]


def test_in_place_forms_write_into_their_input():
    for f, settings in ((F.relu_, ()), (F.elu_, (0.5,)), (F.leaky_relu_, (-0.2,)), (F.threshold_, (0.0, 3.0)),
                        (F.hardtanh_, (-0.25, 0.75)), (F.selu_, ()), (F.celu_, (0.5,)), (F.rrelu_, (0.1, 0.3)),
                        (lambda x: F.silu(x, True), ()), (lambda x: F.dropout(x, 0.5, inplace=True), ()),
                        (lambda x: F.alpha_dropout(x, 0.5, True, True), ())):
        x = ml.tensor([-1.0, 2.0, -0.5])
        before = x.tolist()
        assert f(x, *settings) is x and x.tolist() != before
    x = ml.tensor([-1.0, 2.0], requires_grad=True)
    y = x * 1.0
    assert ml.LeakyReLU(-0.5, inplace=True)(y) is y         # (PyTorch cannot: it keeps the output alone)
    y.sum().backward()
    assert y.tolist() == [0.5, 2.0] and x.grad.tolist() == [-0.5, 1.0]
    assert F.relu6(ml.tensor([7, -1]), True).tolist() == [6, 0] and F.hardtanh(ml.tensor([7, -1])).tolist() == [1, -1]


def test_softmax_without_dim_guesses_and_warns():
    x = ml.tensor([[1.0, 2.0], [3.0, 5.0]])
    for f in (F.softmax, F.log_softmax):
        with pytest.warns(UserWarning, match=f"{f.__name__}: dim is not given.*pass dim=1"):
            assert f(x).tolist() == f(x, 1).tolist()
        assert f(x, 0, dtype="float64").dtype == ml.float64
    with pytest.warns(UserWarning, match="pass dim=0"):
        assert ml.Softmin()(x[0]).tolist() == F.softmax(-x[0], 0).tolist()


def test_rrelu_draws_slopes_between_its_bounds():
    x = ml.full((20_000,), -1.0)
    y = F.rrelu(x, 0.25, 0.75, training=True, rng=ml.Generator(1))
    slopes = -y.numpy()
    assert slopes.min() >= 0.25 and slopes.max() < 0.75 and abs(slopes.mean() - 0.5) < 0.01
    assert (F.rrelu(x, 0.25, 0.75, training=True, rng=ml.Generator(1)) == y).all()
    assert F.rrelu(ml.tensor([-1.0, 2.0]), 0.25, 0.75).tolist() == [-0.5, 2.0]


def test_channel_dropouts_drop_whole_channels():
    for f, shape, lead in ((F.dropout1d, (40, 50, 3), 2), (F.dropout1d, (2000, 3), 1), (F.dropout2d, (40, 50, 3, 2), 2),
                           (F.dropout2d, (40, 50, 3), 2), (F.dropout3d, (40, 50, 1, 3, 2), 2), (F.dropout3d, (2000, 3, 1, 2), 1)):
        y = f(ml.ones(*shape), 0.3, rng=ml.Generator(2)).numpy()
        y = y.reshape(math.prod(shape[:lead]), -1)
        assert (y == y[:, :1]).all() and set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
        assert abs((y[:, 0] == 0).mean() - 0.3) < 0.04
    y = F.feature_alpha_dropout(ml.ones(40, 50, 3), 0.3, True, rng=ml.Generator(2)).numpy().reshape(2000, 3)
    assert (y == y[:, :1]).all() and len(np.unique(y)) == 2


def test_alpha_dropout_keeps_mean_and_variance():
    x = ml.manual_seed(0) and ml.randn(200_000)
    y = F.alpha_dropout(x, 0.3, True, rng=ml.Generator(4)).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    assert F.alpha_dropout(x, 1.0, True).numpy().max() == 0 and F.alpha_dropout(x) is x
    a = ((0.7) * (1 + 0.3 * 1.7580993408473766**2)) ** -0.5
    low = 1.7580993408473766 * a * (0.3 - 1)
    dropped = y[np.isclose(y, low, atol=1e-6)]
    assert abs(len(dropped) / y.size - 0.3) < 0.01


def test_gumbel_softmax():
    logits = ml.tensor([0.0, 1.0, -1.0]).expand(30_000, 3)
    ml.manual_seed(3)
    y = F.gumbel_softmax(logits, hard=True)
    assert set(np.unique(y.numpy())) == {0.0, 1.0} and (y.sum(1) == 1).all()
    want = F.softmax(logits[0], 0).numpy()
    np.testing.assert_allclose(y.numpy().mean(0), want, atol=0.01)      # the shares are the softmax's
    x = ml.zeros(4, 3, requires_grad=True)
    hard = F.gumbel_softmax(x, 0.5, True, rng=ml.Generator(1))
    (hard * ml.tensor([1.0, 2.0, 3.0])).sum().backward()
    soft = ml.zeros(4, 3, requires_grad=True)
    (F.gumbel_softmax(soft, 0.5, rng=ml.Generator(1)) * ml.tensor([1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), soft.grad.numpy(), rtol=1e-5, atol=1e-6)
    assert hard.argmax(1).tolist() == F.gumbel_softmax(x.detach(), 0.5, rng=ml.Generator(1)).argmax(1).tolist()


def test_prelu_sums_its_gradient_over_batch_and_places():
    x = ml.tensor(np.arange(-12.0, 12.0).reshape(2, 3, 4))
    w = ml.tensor([0.1, 0.2, 0.3], dtype="float64", requires_grad=True)
    F.prelu(x, w).sum().backward()
    flat = np.minimum(x.numpy(), 0).sum((0, 2))
    np.testing.assert_allclose(w.grad.numpy(), flat)
    one = ml.tensor([0.5], dtype="float64", requires_grad=True)
    F.prelu(x, one).sum().backward()
    np.testing.assert_allclose(one.grad.numpy(), [flat.sum()])
