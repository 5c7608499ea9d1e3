"""Starting values: their formulas by bounds and moments, the host's stream, and PyTorch's gains."""
import math

import numpy as np
import pytest

import minilayer as ml
from minilayer import init


def drawn(function, *shape, seed=3, **settings):
    """A float64 tensor of that shape after the function, as an array."""
    return function(ml.empty(*shape, dtype="float64"), rng=ml.Generator(seed), **settings).numpy()


def looks_uniform(x, bound):
    """Within the bounds, near both, and with the standard deviation bound / sqrt(3), to five of its standard errors."""
    assert np.abs(x).max() <= bound and x.max() > 0.99 * bound and x.min() < -0.99 * bound
    assert abs(x.std() / (bound / math.sqrt(3)) - 1) < 5 * math.sqrt(0.2 / x.size)
    assert abs(x.mean()) < 5 * x.std() / math.sqrt(x.size)


def looks_normal(x, std):
    assert abs(x.std() / std - 1) < 5 / math.sqrt(2 * x.size) and abs(x.mean()) < 5 * std / math.sqrt(x.size)
    assert abs((np.abs(x) < std).mean() - 0.6827) < 0.03


def test_uniform_and_normal():
    looks_uniform(drawn(init.uniform_, 50, 100, a=-2.0, b=2.0), 2.0)
    looks_normal(drawn(init.normal_, 50, 100, std=0.3), 0.3)


@pytest.mark.parametrize("shape", [(50, 80), (30, 20, 3, 3)])
def test_xavier_and_kaiming(shape):
    size = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * size, shape[0] * size
    looks_uniform(drawn(init.xavier_uniform_, *shape, gain=2.0), 2 * math.sqrt(6 / (fan_in + fan_out)))
    looks_normal(drawn(init.xavier_normal_, *shape), math.sqrt(2 / (fan_in + fan_out)))
    looks_uniform(drawn(init.kaiming_uniform_, *shape), math.sqrt(2) * math.sqrt(3 / fan_in))
    looks_uniform(drawn(init.kaiming_uniform_, *shape, a=math.sqrt(5)), 1 / math.sqrt(fan_in))
    looks_normal(drawn(init.kaiming_normal_, *shape, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / fan_out))


def test_trunc_normal_stays_within_absolute_bounds():
    x = drawn(init.trunc_normal_, 50, 100, mean=0.5, std=1.0, a=-1.0, b=0.75)
    assert -1 <= x.min() < -0.95 and 0.74 < x.max() <= 0.75


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3)])
def test_orthogonal(shape):
    x = drawn(init.orthogonal_, *shape, gain=2.0).reshape(shape[0], -1)
    small = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_sparse_sets_a_share_of_each_column_to_zero():
    x = drawn(init.sparse_, 20, 30, sparsity=0.33, std=0.5)
    assert ((x == 0).sum(0) == 7).all()
    looks_normal(x[x != 0], 0.5)


def test_dirac_hands_channels_through():
    w = init.dirac_(ml.empty(4, 2, 3, 3), groups=2)
    x = ml.randn(1, 4, 5, 5)
    y = ml.functional.conv2d(x, w, padding=1, groups=2)
    np.testing.assert_array_equal(y.numpy(), x.numpy())


def test_the_same_seed_gives_the_same_values():
    assert np.array_equal(drawn(init.kaiming_normal_, 3, 4), drawn(init.kaiming_normal_, 3, 4))
    assert not np.array_equal(drawn(init.kaiming_normal_, 3, 4), drawn(init.kaiming_normal_, 3, 4, seed=4))


@pytest.mark.parametrize("call, error, match", [
    (lambda: init.dirac_(ml.ones(2, 2)), ValueError, "dirac_: expected a weight of 3, 4 or 5"),
    (lambda: init.dirac_(ml.ones(3, 2, 3), groups=2), ValueError, "groups to divide the 3 outputs"),
    (lambda: init.dirac_(3), TypeError, "expected a float tensor"),
    (lambda: init.sparse_(ml.ones(2), 0.5), ValueError, "sparse_: expected a matrix"),
    (lambda: init.sparse_(ml.ones(2, 2), 1.5), ValueError, r"sparsity in \[0, 1\]"),
    (lambda: init.sparse_(ml.ones(2, 2, dtype="int64"), 0.5), TypeError, "expected a float tensor"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_constants_fit_every_dtype_and_fans_have_pytorch_s_name():
    assert init.zeros_(ml.ones(2, dtype="int64")).tolist() == [0, 0] and init.constant_(ml.tensor([1, 2]), 7).tolist() == [7, 7]
    with pytest.raises(TypeError, match="init.constant_: expected a tensor, got list"):
        init.zeros_([1.0])
    assert init._calculate_fan_in_and_fan_out(ml.ones(3, 4, 5)) == (20, 15)
    with pytest.raises(ValueError, match="init._calculate_fan_in_and_fan_out: expected a tensor with at least 2 dimensions"):
        init._calculate_fan_in_and_fan_out(ml.ones(3))
