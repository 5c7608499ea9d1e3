"""The random stream: known answers, the laws it claims, its place in a checkpoint, and what threads get."""
import copy
import math
import pickle
import threading

import numpy as np
import pytest

import minilayer as ml
from minilayer import random
from minilayer._ext import philox_reference
from minilayer.random import Generator

STREAM = random.philox


def words(seed, offset, n):
    y = np.empty(n, np.int64)
    STREAM.cpu.random_bits(np.array([seed, offset], np.uint64).view(np.int64), y)
    return [f"{w:08x}" for w in y.tolist()]


def test_known_answer():
    """The published vector of Philox4x32-10 for a counter and a key of zeros."""
    assert words(0, 0, 4) == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def test_a_stream_may_be_cut_anywhere():
    whole = words(5, 2**32 - 3, 40)             # the counter's carry into its second word included
    assert whole == words(5, 2**32 - 3, 12) + words(5, 2**32, 28)
    assert words(5, 2**64 - 1, 8) == words(5, 2**64 - 1, 4) + words(5, 0, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_and_normal_follow_their_laws(dtype):
    n = 40000
    u = random.uniform(n, dtype=dtype, rng=Generator(1))
    assert 0 <= u.min() and u.max() < 1
    counts = np.bincount((u * 20).astype(int), minlength=20)
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 43.8         # chi-square, 19 degrees, one in a thousand
    z = random.normal(n, dtype=dtype, rng=Generator(2)).astype(float)
    assert abs(z.mean()) < 4 / math.sqrt(n) and abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((np.abs(z) < 1).mean() - 0.6827) < 0.01
    assert abs(np.mean(z[::2] * z[1::2])) < 4 / math.sqrt(n / 2)    # the two of a pair are independent


def test_bounds():
    y = random.uniform(10000, -3, -2.999, rng=Generator(3))
    assert y.dtype == np.float32 and y.min() >= -3 and y.max() < np.float32(-2.999)
    assert (random.uniform(3, 2.0, 2.0) == 2).all()
    z = random.normal((200, 50), 5.0, 0.1, rng=Generator(3))
    assert z.shape == (200, 50) and abs(z.mean() - 5) < 0.01
    k = random.integers((1000,), -3, 4, rng=Generator(4))
    assert k.dtype == np.int64 and sorted(set(k.tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    assert random.integers((), 5, 6) == 5
    b = random.bernoulli((2000,), 0.25, rng=Generator(5))
    assert set(b.tolist()) == {0.0, 1.0} and abs(b.mean() - 0.25) < 0.05
    assert random.bernoulli(3, [0, 1, 0]).tolist() == [0, 1, 0]
    assert random.uniform(0).shape == (0,) and random.permutation(0).shape == (0,)


def test_integers_over_the_whole_range():
    low, high = -(2**63), 2**63 - 1
    y = random.integers((5000,), low, high, rng=Generator(6)).astype(float)
    assert abs(y.mean()) < 4 * 2**63 / math.sqrt(3 * 5000)


def test_permutation():
    p = random.permutation(1000, Generator(7))
    assert sorted(p.tolist()) == list(range(1000)) and p.tolist() != list(range(1000))
    assert (p == random.permutation(1000, Generator(7))).all()
    firsts = [random.permutation(4, rng)[0] for rng in [Generator(8)] for _ in range(400)]
    assert all(60 < firsts.count(k) < 140 for k in range(4))


def test_draws_do_not_overlap_and_state_returns():
    rng = Generator(9)
    a = random.uniform(5, rng=rng)              # two blocks
    state = rng.get_state()
    assert state.tolist() == [9, 2]
    b = random.uniform(5, rng=rng)
    assert words(9, 2, 5) == [f"{int(v * 2**24) :06x}" + w[6:] for v, w in zip(b, words(9, 2, 5), strict=True)]
    assert not set(a) & set(b)
    assert (random.uniform(5, rng=rng.set_state(state)) == b).all()
    other = pickle.loads(pickle.dumps(rng))
    assert (random.normal(3, rng=copy.deepcopy(rng)) == random.normal(3, rng=other)).all()
    assert (other.manual_seed(9).get_state() == [9, 0]).all() and other.initial_seed == 9
    assert Generator(-1).initial_seed == 2**64 - 1 and repr(Generator(3)) == "Generator(seed=3, offset=0)"
    assert Generator().initial_seed != Generator().initial_seed and rng.seed() == rng.initial_seed


def test_default_generator():
    before = random.get_rng_state()
    try:
        assert random.manual_seed(11) is random.default_generator() and random.initial_seed() == 11
        a = random.uniform(3)
        random.set_rng_state(np.array([11, 0]))
        assert (random.uniform(3) == a).all()
        assert random.seed() == random.initial_seed() != 11
        assert 0 <= random.random_seed(Generator(1)) < 2**63
    finally:
        random.set_rng_state(before)


def in_thread(f):
    results = []
    thread = threading.Thread(target=lambda: results.append(f()))
    thread.start()
    thread.join()
    return results[0]


def test_each_thread_has_its_own_generator():
    before = random.get_rng_state()
    try:
        def draw():
            random.manual_seed(12)
            return random.normal(9).tolist(), random.uniform(5).tolist()
        here = draw()
        assert in_thread(draw) == here          # a thread that seeds itself gets what any other would
        random.manual_seed(13)
        a, b = in_thread(random.get_rng_state), in_thread(random.get_rng_state)
        assert a.tolist() == [13, 2**48] and b.tolist() == [13, 2 * 2**48]
        assert random.get_rng_state().tolist() == [13, 0]       # and nobody moved this one
    finally:
        random.set_rng_state(before)


def test_threads_may_share_a_generator():
    rng, taken = Generator(14), []
    threads = [threading.Thread(target=lambda: taken.extend(rng.take(1)[1] for _ in range(500))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(taken) == list(range(2000))


def test_dropout_uses_the_stream():
    x = ml.ones(1000, requires_grad=True)
    y = ml.functional.dropout(x, 0.3, rng=Generator(15))
    kept = y.detach().numpy()
    u = np.empty(1000, np.float32)
    philox_reference.uniform(np.array([15, 0]), u)
    assert (kept == np.where(u.astype(float) >= 0.3, np.float32(1 / 0.7), 0)).all()
    y.sum().backward()
    assert (x.grad.numpy() == kept).all()         # the mask is drawn again, and is the same
    assert ml.functional.dropout(x, 0.3, training=False) is x and ml.functional.dropout(x, 0.0) is x
    assert (ml.functional.dropout(x, 1.0).detach().numpy() == 0).all()


@pytest.mark.parametrize("call, error, match", [
    (lambda: Generator(1.5), TypeError, "Generator: expected the seed to be an integer, got 1.5"),
    (lambda: Generator(True), TypeError, "got True"),
    (lambda: random.manual_seed("7"), TypeError, "manual_seed: .*'7'"),
    (lambda: random.manual_seed(2**64), ValueError, "seed in"),
    (lambda: random.manual_seed(-2**63 - 1), ValueError, "seed in"),
    (lambda: Generator(1).set_state([1, 2, 3]), ValueError, r"set_state: .*\(3,\)"),
    (lambda: Generator(1).set_state(np.zeros(2)), ValueError, "float64"),
    (lambda: random.uniform(3, rng=7), TypeError, "uniform: expected rng to be a minilayer.Generator"),
    (lambda: random.uniform(3, 1.0, 0.0), ValueError, "low <= high"),
    (lambda: random.uniform(3, 0.0, float("inf")), ValueError, "finite"),
    (lambda: random.uniform((2, -1)), ValueError, r"shape of integers .*\(2, -1\)"),
    (lambda: random.uniform(3, dtype="int64"), TypeError, "float32 or float64, got int64"),
    (lambda: random.normal(3, 0.0, -1.0), ValueError, "std of 0 or more"),
    (lambda: random.normal(3, 0.0, float("nan")), ValueError, "std"),
    (lambda: random.integers(3, 5, 5), ValueError, "low < high"),
    (lambda: random.integers(3, 0, 2**63), ValueError, "64-bit"),
    (lambda: random.integers(3, 0.5, 2), TypeError, "expected low to be an integer"),
    (lambda: random.bernoulli(3, 1.5), ValueError, r"probabilities in \[0, 1\]"),
    (lambda: random.permutation(2.0), TypeError, "permutation: expected an integer"),
    (lambda: random.permutation(-1), ValueError, "n of 0 or more"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()
