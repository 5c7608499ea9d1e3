"""The same bits whatever runs beside: thread counts, Python threads, forks, repeats."""
import os
import threading

import numpy as np
import pytest
from rounding import same_bits

import minilayer as ml
import minilayer.functional as F
from minilayer._ext import runtime


def train(seed, steps=6, width=48):
    """A small convolutional network, trained for some steps; its losses and parameters."""
    ml.manual_seed(seed)
    model = ml.Sequential(ml.Conv2d(1, 6, 3, padding=1), ml.BatchNorm2d(6), ml.ReLU(), ml.MaxPool2d(2), ml.Flatten(),
                          ml.Dropout(0.2), ml.Linear(6 * 16, width), ml.LayerNorm(width), ml.GELU(), ml.Linear(width, 10))
    optimizer = ml.optim.Adam(model.parameters(), lr=1e-2)
    generator = np.random.default_rng(seed)
    x = ml.tensor(generator.standard_normal((128, 1, 8, 8)).astype("float32"))
    target = ml.tensor(generator.integers(0, 10, 128))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy().copy() for p in model.parameters()]


def equal(a, b):
    return a[0] == b[0] and all(same_bits(x, y) for x, y in zip(a[1], b[1], strict=True))


def test_training_learns():
    losses, _ = train(0, steps=15)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_training_does_not_depend_on_the_number_of_threads(threads):
    want = train(1)
    runtime.set_num_threads(threads)
    assert runtime.get_num_threads() == threads
    assert equal(train(1), want)


def test_twenty_repeats_of_a_step_give_the_same_bits():
    want = train(2, steps=1)
    for _ in range(20):
        assert equal(train(2, steps=1), want)


def test_two_python_threads_train_two_models_at_once():
    want = [train(3), train(4)]
    for _ in range(3):
        got, failed = [None, None], []

        def body(i, got=got, failed=failed):
            try:
                got[i] = train(3 + i)
            except BaseException as error:
                failed.append(error)
        threads = [threading.Thread(target=body, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed, failed
        assert equal(got[0], want[0]) and equal(got[1], want[1])


def test_many_python_threads_share_the_pool():
    runtime.set_num_threads(4)
    want = runtime.parallel_harmonic(1_000_000, 10_000)
    results = []
    threads = [threading.Thread(target=lambda: results.extend(runtime.parallel_harmonic(1_000_000, 10_000)
                                                              for _ in range(10))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [want] * 80
    assert abs(want - 14.392726722865724) < 1e-12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")    # what this test is about
def test_a_forked_child_computes():
    """The pool's workers do not survive a fork; the child runs on one thread, and may start its own pool."""
    runtime.set_num_threads(4)
    want = train(5, steps=2)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"error"
        try:
            alone = equal(train(5, steps=2), want)
            runtime.set_num_threads(3)
            answer = b"equal" if alone and equal(train(5, steps=2), want) else b"other"
        finally:
            os.write(write, answer)
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    assert answer == b"equal"
    assert equal(train(5, steps=2), want)               # and the parent's pool still works


def test_set_num_threads_refuses():
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="set_num_threads: expected"):
            runtime.set_num_threads(wrong)
