"""The training loop and the Trainer: they learn, keep a record, and go on after a stop with the same bits."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minilayer as ml
from minilayer.data import DataLoader, TensorDataset
from minilayer.serialization import load, save
from minilayer.train import (
    BEST,
    CHECKPOINT,
    LOG,
    Meter,
    Stopped,
    Trainer,
    accuracy,
    evaluate,
    load_checkpoint,
    train_epoch,
)

ROOT = Path(ml.__file__).parent.parent


def blobs(n=60, seed=0):
    """Three clouds of points in the plane, and which cloud each is of."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 2)) * 0.5 + np.array([[0, 2], [2, -1], [-2, -1]])[y]
    return TensorDataset(x.astype(np.float32), y)


def make(out=None, lr=0.05, hidden=8, n=60, loss_fn=None, **settings):
    """A Trainer with everything in it that has a state: momentum, dropout, running statistics, schedule, shuffling."""
    ml.manual_seed(1)
    model = ml.Sequential(ml.Linear(2, hidden), ml.BatchNorm1d(hidden), ml.ReLU(), ml.Dropout(0.2),
                          ml.Linear(hidden, 3))
    optimizer = ml.optim.Adam(model.parameters(), lr=lr)
    return Trainer(model, loss_fn or ml.CrossEntropyLoss(), optimizer, DataLoader(blobs(n), 8, shuffle=True),
                   DataLoader(blobs(30, seed=1), 30), scheduler=ml.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
                   out=out, progress=False, **settings)


def bits(state):
    """A state as something that is equal only where every bit is."""
    if isinstance(state, dict):
        return {k: bits(v) for k, v in state.items() if k not in ("seconds",)}
    if isinstance(state, list | tuple):
        return [bits(v) for v in state]
    if isinstance(state, ml.Tensor):
        state = state.detach().numpy()
    return (state.dtype.str, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else state


# ---- the loop ----

def test_the_loop_learns():
    ml.manual_seed(0)
    model = ml.Linear(2, 3)
    optimizer = ml.optim.SGD(model.parameters(), lr=0.2)
    loader, loss_fn = DataLoader(blobs(), 10, shuffle=True), ml.CrossEntropyLoss()
    first = train_epoch(model, loader, loss_fn, optimizer)
    for _ in range(10):
        last = train_epoch(model, loader, loss_fn, optimizer)
    assert last["loss"] < 0.5 * first["loss"] and last["accuracy"] > 0.95


def test_evaluate_uses_evaluation_mode_and_records_nothing():
    seen = []
    model = ml.Sequential(ml.Linear(2, 3), ml.Dropout(0.9))
    model.train()
    loader, loss_fn = DataLoader(blobs(), 16), ml.CrossEntropyLoss()

    def watching(output, target):
        seen.append((output.requires_grad, model.training))
        return loss_fn(output, target)

    results = [evaluate(model, loader, watching, metrics={"accuracy": accuracy, "count": lambda o, t: 1.0})
               for _ in range(2)]
    assert results[0] == results[1] and set(results[0]) == {"loss", "accuracy", "count"} and results[0]["count"] == 1
    assert seen == [(False, False)] * 8


def test_means_are_weighted_by_the_items_of_a_batch():
    meter = Meter({"accuracy": accuracy})
    assert meter.means()["loss"] != meter.means()["loss"]           # NaN: nothing counted
    meter.add(1.0, ml.tensor([[1.0, 0.0]] * 3), ml.tensor([0, 0, 1]))
    meter.add(3.0, ml.tensor([[1.0, 0.0]]), ml.tensor([0]))
    assert meter.means()["loss"] == 1.5 and abs(meter.means()["accuracy"] - 0.75) < 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")       # the reference backend is NumPy, which warns of inf
def test_a_loss_that_is_no_number_stops_training(value):
    model = ml.Linear(2, 3)
    data = TensorDataset(np.full((4, 2), value, np.float32), np.zeros(4, np.int64))
    with pytest.raises(FloatingPointError, match="train: the loss is nan; lower the learning rate, or look for NaN"):
        train_epoch(model, DataLoader(data, 2), ml.CrossEntropyLoss(), ml.optim.SGD(model.parameters(), lr=0.1))


# ---- the Trainer ----

def test_the_trainer_keeps_a_record(tmp_path):
    seen = []
    trainer = make(tmp_path / "runs" / "a", on_epoch=seen.append, config={"job": "blobs"})
    history = trainer.fit(5)
    assert seen == history and [r["epoch"] for r in history] == [1, 2, 3, 4, 5]
    assert history[-1]["test_accuracy"] > 0.9 and history[-1]["train_loss"] < history[0]["train_loss"]
    assert [r["lr"] for r in history] == [0.05, 0.05, 0.025, 0.025, 0.0125]
    assert sorted(p.name for p in trainer.out.iterdir()) == sorted([BEST, CHECKPOINT, LOG])
    assert [json.loads(line) for line in (trainer.out / LOG).read_text().splitlines()] == history
    state = load_checkpoint(trainer.out)
    assert state["config"] == {"job": "blobs"} and state["epoch"] == 5
    assert bits(state) == bits(trainer.state_dict())
    best = max(history, key=lambda r: r["test_accuracy"])
    assert trainer.best() == best
    trainer.model.load_state_dict(load(trainer.out / BEST))
    assert evaluate(trainer.model, trainer.test_loader, trainer.loss_fn)["accuracy"] == best["test_accuracy"]
    assert trainer.fit(5) == history                        # nothing left to do


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make().fit(2)
    assert list(tmp_path.iterdir()) == []


def test_without_test_data_or_metrics():
    trainer = make()
    trainer.test_loader, trainer.metrics = None, {}
    trainer.meter = Meter({})
    history = trainer.fit(3)
    assert set(history[0]) == {"epoch", "lr", "train_loss", "seconds"}
    assert trainer.best() == min(history, key=lambda r: r["train_loss"])


@pytest.mark.parametrize("tested", [True, False])
def test_a_plateau_is_told_the_loss(tested):
    trainer, told = make(), []
    schedule = trainer.scheduler = ml.optim.lr_scheduler.ReduceLROnPlateau(trainer.optimizer, patience=0, threshold=1e9,
                                                                           threshold_mode="abs")
    schedule.is_better = lambda loss, best: told.append(loss)
    trainer.test_loader = trainer.test_loader if tested else None
    history = trainer.fit(2)
    assert told == [record["test_loss" if tested else "train_loss"] for record in history]
    assert [record["lr"] for record in history] == pytest.approx([0.05, 0.005])


def test_an_optimizer_that_needs_a_closure_is_refused():
    model = ml.Linear(2, 3)
    with pytest.raises(TypeError, match="Trainer: expected an optimizer whose step.. needs no closure, got LBFGS"):
        Trainer(model, ml.CrossEntropyLoss(), ml.optim.LBFGS(model.parameters()), DataLoader(blobs(), 8))


@pytest.mark.parametrize("inside", [False, True])
def test_milestones_are_the_same_after_a_checkpoint(tmp_path, inside):
    def trainer(out=None):
        made, schedules = make(out), ml.optim.lr_scheduler
        steps = schedules.MultiStepLR(made.optimizer, [1, 2, 3])
        made.scheduler = schedules.SequentialLR(made.optimizer, [steps], []) if inside else steps
        return made
    whole = trainer().fit(5)
    trainer(tmp_path).fit(2)
    resumed = trainer(tmp_path)
    resumed.resume()
    assert [record["lr"] for record in resumed.fit(5)] == [record["lr"] for record in whole]


@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_resumed_after_an_epoch_to_the_same_bits(tmp_path, epochs):
    whole = make()
    whole.fit(5)
    make(tmp_path).fit(epochs)
    with open(tmp_path / LOG, "a") as log:                  # killed between checkpoint and log, or after a longer run
        log.write('{"epoch": 99}\n')
    resumed = make(tmp_path)
    ml.manual_seed(77)                                      # whatever happens to the random stream in between
    resumed.resume()
    resumed.fit(5)
    assert bits(resumed.state_dict()) == bits(whole.state_dict())
    assert [json.loads(line)["epoch"] for line in (tmp_path / LOG).read_text().splitlines()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("step", [1, 7, 8, 9, 20])          # 8 batches an epoch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_and_resumed_to_the_same_bits(tmp_path, step, number):
    whole = make()
    whole.fit(4)
    before = signal.getsignal(number)
    count, cross_entropy = iter(range(1, 1000)), ml.CrossEntropyLoss()

    def loss_fn(output, target):
        if output.requires_grad and next(count) == step:
            os.kill(os.getpid(), number)
        return cross_entropy(output, target)

    stopped = make(tmp_path, loss_fn=loss_fn, how_to_resume="type this")
    with pytest.raises(Stopped, match=r"stopped in epoch \d, after \d of 8 batches; saved in .* To go on: type this"):
        stopped.fit(4)
    assert signal.getsignal(number) == before
    assert stopped.epoch == (step - 1) // 8
    resumed = make(tmp_path)
    resumed.resume()
    resumed.fit(4)
    assert bits(resumed.state_dict()) == bits(whole.state_dict())
    assert bits(resumed.history) == bits(whole.history)


def test_stopped_without_a_folder_says_so():
    trainer = make()
    loss_fn = trainer.loss_fn
    trainer.loss_fn = lambda output, target: os.kill(os.getpid(), signal.SIGINT) or loss_fn(output, target)
    with pytest.raises(KeyboardInterrupt, match="nothing is saved"):
        trainer.fit(1)


def test_a_second_signal_stops_at_once():
    steps = []

    def loss_fn(output, target):
        steps.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second Ctrl-C was not heard")

    with pytest.raises(KeyboardInterrupt) as caught:
        make(loss_fn=loss_fn).fit(1)
    assert type(caught.value) is KeyboardInterrupt and len(steps) == 1


def test_in_another_thread():
    trainers = []

    def work():
        trainers.append(make())
        trainers[0].fit(2)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    whole = make()
    whole.fit(2)
    assert bits(trainers[0].history) == bits(whole.history)


RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from test_train import make
trainer = make(sys.argv[1], n=2000, on_epoch=lambda record: print(record["epoch"], flush=True))
if sys.argv[3] == "resume":
    trainer.resume()
trainer.fit(int(sys.argv[4]))
"""


def test_killed_and_resumed_to_the_same_bits(tmp_path):
    """kill -9 in the middle of an epoch: going on from the last checkpoint ends with the same bits."""
    whole = make(n=2000)
    whole.fit(4)
    command = [sys.executable, "-c", RUN, tmp_path, Path(__file__).parent]
    process = subprocess.Popen([*command, "start", "1000"], cwd=ROOT, stdout=subprocess.PIPE)
    process.stdout.readline()
    time.sleep(0.02)
    process.kill()
    process.wait()
    process.stdout.close()
    assert 1 <= load_checkpoint(tmp_path)["epoch"] < 4
    subprocess.run([*command, "resume", "4"], cwd=ROOT, check=True, capture_output=True)
    assert bits(load_checkpoint(tmp_path)) == bits(whole.state_dict())


# ---- misuse ----

def test_resume_needs_a_checkpoint_that_fits(tmp_path):
    with pytest.raises(ValueError, match="expected a folder"):
        make().resume()
    with pytest.raises(FileNotFoundError, match="resume: expected a checkpoint .*, found none; name the folder"):
        make(tmp_path).resume()
    save({"model": {}}, tmp_path / CHECKPOINT)
    with pytest.raises(ValueError, match="is not a Trainer's checkpoint"):
        make(tmp_path).resume()
    (tmp_path / CHECKPOINT).write_bytes(b"\x80\x04garbage")
    with pytest.raises(ValueError, match="load: .*another copy"):
        make(tmp_path).resume()
    make(tmp_path).fit(1)
    with pytest.raises((RuntimeError, ValueError), match="weight|shape"):
        make(tmp_path, hidden=9).resume()
    with pytest.raises(ValueError, match="expected items 61 .* got 60"):
        make(tmp_path, n=61).resume()
    state = load_checkpoint(tmp_path)
    state["meter"] = {}
    save(state, tmp_path / CHECKPOINT)
    with pytest.raises(ValueError, match="does not fit this run"):
        make(tmp_path).resume()


@pytest.mark.parametrize("folder", ["a file/x", "/proc/x"])
def test_a_folder_that_cannot_be_made(tmp_path, folder):
    (tmp_path / "a file").write_text("")
    with pytest.raises(OSError, match="train: cannot make the folder .* choose another one"):
        make(tmp_path / folder).fit(1)


def test_nan_metrics_are_null_in_the_log(tmp_path):
    trainer = make(tmp_path, metrics={"odd": lambda output, target: float("nan")})
    trainer.fit(1)
    assert json.loads((tmp_path / LOG).read_text())["test_odd"] is None
