"""What the tables of rows cannot say about losses: edges, broadcasting, chunks, and that distributions sum to 1."""
import itertools
import math

import numpy as np
import pytest

import minilayer as ml
import minilayer.functional as F

PAIRS = ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
         "kl_div")


@pytest.mark.parametrize("name", PAIRS)
def test_the_mean_of_nothing_is_nan_and_its_sum_0(name):
    f, nothing = getattr(F, name), ml.zeros(0, 3, requires_grad=True)
    assert math.isnan(f(nothing, ml.zeros(0, 3)).item()) and f(nothing, ml.zeros(0, 3), reduction="sum").item() == 0
    f(nothing, ml.zeros(0, 3)).backward()
    assert nothing.grad.shape == (0, 3)


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss"])
def test_other_shapes_are_broadcast_with_a_warning(name):
    x, t = ml.ones(3, 1, requires_grad=True), ml.zeros(4)
    with pytest.warns(UserWarning, match=rf"{name}: the target's shape \(4,\) is not the input's, \(3, 1\)"):
        loss = getattr(F, name)(x, t, reduction="none")
    assert loss.shape == (3, 4)
    loss.sum().backward()
    assert x.grad.shape == (3, 1)


def test_certainty_costs_100_and_not_infinity():
    x = ml.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, ml.tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert loss.tolist() == [0, 0, 100, 100]
    loss.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("x", [-1e4, -90.0, 90.0, 1e4])
def test_logits_do_not_overflow(x):
    logits = ml.tensor([x, x], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logits, ml.tensor([0.0, 1.0]), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [max(x, 0), max(-x, 0)], atol=1e-6)
    loss.sum().backward()
    assert np.isfinite(logits.grad.numpy()).all()


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_chunks_change_nothing(rows, reduction, rng):
    """The scores of `rows` items at a time, or of all of them: the same loss and gradients. Twice, as gradients add up."""
    def run(options):
        x, w, b = (ml.tensor(a.copy(), requires_grad=True) for a in arrays)
        for _ in range(2):
            loss = F.linear_cross_entropy(x, w, labels, linear_bias=b, weight=weight, reduction=reduction, ignore_index=0,
                                          options=options)
            (loss * scale if reduction == "none" else loss).sum().backward()
        return [loss.detach().numpy(), *[t.grad.numpy() for t in (x, w, b)]]
    arrays = rng.standard_normal((7, 4)), rng.standard_normal((5, 4)), rng.standard_normal(5)
    labels, weight, scale = ml.tensor(rng.integers(0, 5, 7)), ml.tensor(rng.random(5)), ml.tensor(rng.standard_normal(7))
    for a, b in zip(run(None), run(ml.nn.LinearCrossEntropyOptions(batch_chunk_size=rows, chunking_method=None)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)


def test_chunks_of_nothing():
    x, w, b = ml.zeros(0, 4, requires_grad=True), ml.ones(5, 4, requires_grad=True), ml.ones(5, requires_grad=True)
    loss = F.linear_cross_entropy(x, w, ml.zeros(0).long(), linear_bias=b, reduction="sum",
                                  options=ml.nn.LinearCrossEntropyOptions())
    loss.backward()
    assert loss.item() == 0 and not w.grad.numpy().any() and not b.grad.numpy().any() and x.grad.shape == (0, 4)


@pytest.mark.parametrize("method, rows", [("auto", 8), ("aspect_ratio", 16), ("aspect_ratio:4", 4), (None, 1000)])
def test_how_many_rows_a_chunk_has(method, rows):
    assert ml.nn.LinearCrossEntropyOptions(chunking_method=method).rows(1000, 10, 1000) == rows


def test_adaptive_softmax_is_a_distribution(rng):
    layer = ml.AdaptiveLogSoftmaxWithLoss(8, 30, [5, 12], div_value=2.0).double()
    x, target = ml.tensor(rng.standard_normal((50, 8)) * 5), ml.tensor(rng.integers(0, 30, 50))
    every = layer.log_prob(x)
    np.testing.assert_allclose(every.exp().sum(1).detach().numpy(), 1, rtol=1e-12)
    output, loss = layer(x, target)
    np.testing.assert_allclose(output.detach().numpy(), every.detach().numpy()[np.arange(50), target.numpy()], rtol=1e-10)
    np.testing.assert_allclose(loss.item(), -output.mean().item())
    assert (layer.predict(x).numpy() == every.detach().numpy().argmax(1)).all()
    first = layer.predict(x[:1])
    assert first.shape == (1,) and layer(x[0], target[0]).output.shape == ()
    before = layer.head.weight.detach().numpy().copy()
    layer.reset_parameters()
    assert (layer.head.weight.detach().numpy() != before).any()


def test_ctc_counts_every_alignment(rng):
    """Against the sum over all paths, written out."""
    x = rng.standard_normal((4, 1, 3))
    p = np.exp(x - np.log(np.exp(x).sum(-1, keepdims=True)))[:, 0]

    def read(path):
        return [c for i, c in enumerate(path) if c != 0 and (i == 0 or path[i - 1] != c)]
    for target in ([1], [1, 2], [1, 1], [], [2, 2, 2]):
        paths = [path for path in itertools.product(range(3), repeat=4) if read(path) == target]
        total = sum(math.prod(p[t, c] for t, c in enumerate(path)) for path in paths)
        labels = ml.tensor(np.array([target], np.int64).reshape(1, -1))
        loss = F.ctc_loss(F.log_softmax(ml.tensor(x), -1), labels, (4,), (len(target),), reduction="sum")
        assert (math.isinf(loss.item()) and total == 0) or math.isclose(loss.item(), -math.log(total), rel_tol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_sums_do_not_depend_on_threads(threads, rng):
    ml.set_num_threads(threads)
    x, t = np.random.default_rng(0).standard_normal((2, 300, 333)).astype(np.float32)
    got = [getattr(F, name)(ml.tensor(x), ml.tensor(t)).item() for name in ("l1_loss", "mse_loss", "huber_loss")]
    ml.set_num_threads(1)
    assert got == [getattr(F, name)(ml.tensor(x), ml.tensor(t)).item() for name in ("l1_loss", "mse_loss", "huber_loss")]
