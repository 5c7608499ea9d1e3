"""Numbers drawn into tensors: their moments, bounds and frequencies, and that a seed gives them again."""
import numpy as np
import pytest

import minilayer as ml

N = 40_000


def drawn(name, *args, dtype="float64", **kwargs):
    return getattr(ml.empty(N, dtype=dtype), name)(*args, **kwargs).numpy()


@pytest.mark.parametrize("name, args, mean, std", [
    ("normal_", (), 0, 1), ("normal_", (2.0, 0.5), 2, 0.5), ("uniform_", (), 0.5, 12 ** -0.5),
    ("uniform_", (-3, 1), -1, 4 * 12 ** -0.5), ("bernoulli_", (0.3,), 0.3, 0.21 ** 0.5), ("exponential_", (2.0,), 0.5, 0.5),
    ("random_", (10,), 4.5, 8.25 ** 0.5), ("random_", (5, 8), 6, (2 / 3) ** 0.5), ("geometric_", (0.25,), 4, 12 ** 0.5), ("log_normal_", (0.0, 0.25), np.exp(1 / 32), 0.2621)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments(name, args, mean, std, dtype):
    ml.manual_seed(0)
    x = drawn(name, *args, dtype=dtype).astype(np.float64)
    assert abs(x.mean() - mean) < 5 * std / N ** 0.5 and abs(x.std() / std - 1) < 0.05
    assert np.isfinite(x).all()


def test_cauchy_quartiles():
    ml.manual_seed(0)
    low, middle, high = np.quantile(drawn("cauchy_", 1.0, 2.0), [0.25, 0.5, 0.75])
    assert abs(low + 1) < 0.1 and abs(middle - 1) < 0.1 and abs(high - 3) < 0.1


def test_integers_reach_both_ends():
    x = ml.empty(N, dtype="int64").random_(-2, 3)
    assert set(x.tolist()) == {-2, -1, 0, 1, 2}
    assert set(ml.empty(100, dtype="bool").random_().tolist()) == {True, False}
    assert int(ml.empty(N, dtype="uint8").random_().max()) == 255
    assert ml.empty(N).random_().max() > 2**23


def test_multinomial_follows_its_weights():
    ml.manual_seed(0)
    weights = ml.tensor([0.0, 1.0, 3.0, 0.0, 4.0])
    many = ml.multinomial(weights, N, replacement=True)
    frequency = ml.bincount(many, minlength=5).numpy() / N
    assert abs(frequency - np.array([0, 1, 3, 0, 4]) / 8).max() < 0.015 and frequency[0] == frequency[3] == 0
    first = ml.multinomial(weights.expand(N, 5), 2)
    assert first.shape == (N, 2) and (first[:, 0] != first[:, 1]).all()
    assert abs(ml.bincount(first[:, 0], minlength=5).numpy() / N - np.array([0, 1, 3, 0, 4]) / 8).max() < 0.015


def test_normal_of_tensors():
    ml.manual_seed(0)
    x = ml.normal(ml.tensor([0.0, 100.0]).expand(N, 2), ml.tensor([1.0, 5.0])).numpy()
    assert abs(x.mean(0) - [0, 100]).max() < 0.2 and abs(x.std(0) - [1, 5]).max() < 0.1
    assert ml.normal(2.0, 0.0, (3,)).tolist() == [2.0] * 3 and ml.normal(ml.ones(3), 0.0).tolist() == [1.0] * 3


@pytest.mark.parametrize("draw", [
    lambda g: ml.randn(3, generator=g), lambda g: ml.rand(3, generator=g), lambda g: ml.randint(0, 99, (5,), generator=g),
    lambda g: ml.randperm(9, generator=g), lambda g: ml.multinomial(ml.ones(9), 5, generator=g),
    lambda g: ml.bernoulli(ml.full((9,), 0.5), generator=g), lambda g: ml.normal(0.0, 1.0, (3,), generator=g),
    lambda g: ml.empty(3).normal_(generator=g), lambda g: ml.empty(3).uniform_(generator=g),
    lambda g: ml.rand_like(ml.ones(3), generator=g), lambda g: ml.randn_like(ml.ones(3), generator=g),
    lambda g: ml.randint_like(ml.ones(5), 99, generator=g), lambda g: ml.empty(3).exponential_(generator=g)])
def test_a_generator_gives_the_same_again(draw):
    first, second = draw(ml.Generator(3)), draw(ml.Generator(3))
    assert first.tolist() == second.tolist()
    g = ml.Generator(3)
    assert draw(g).tolist() == first.tolist() != draw(g).tolist()


def test_shapes_in_place():
    x = ml.arange(6.0).reshape(2, 3)
    y = x.clone().unsqueeze_(0)
    assert y.shape == (1, 2, 3) and y.squeeze_().shape == (2, 3) and y.t_().shape == (3, 2) and y.transpose_(0, 1).shape == (2, 3)
    assert y.tolist() == x.tolist()
    y.fill_diagonal_(9)
    assert y.tolist() == [[9, 1, 2], [3, 9, 5]]


def test_made_like_another():
    x = ml.ones(2, dtype="float64")
    assert x.new_zeros(2, 3).dtype == x.dtype and x.new_full((2,), 3).tolist() == [3, 3] and x.new_tensor([1, 2]).dtype == x.dtype
    assert x.new_ones((2,), dtype="int64").dtype == ml.int64 and x.new_empty(3).shape == (3,)
    assert ml.full_like(x, 2, requires_grad=True).requires_grad and ml.empty_like(x).shape == (2,)


@pytest.mark.parametrize("number, dtype", [(np.int64(3), "int64"), (np.uint8(3), "int64"), (np.float64(3), "float32"),
                                           (np.float32(3), "float32"), (np.True_, "bool"), (True, "bool"), (3, "int64")])
def test_full_takes_a_numpy_number_as_python_s(number, dtype):
    y = ml.full((2,), number)
    assert y.dtype == dtype and y.tolist() == [number] * 2
    assert ml.full((2,), number, dtype="float64").dtype == "float64"
