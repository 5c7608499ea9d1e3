"""Training: a loop that anyone could retype, and a Trainer that adds what a long run needs.

The reading path ends here: tensor, tape, an op, a layer and an optimizer meet in the six lines of `train_epoch`.

The Trainer adds a progress bar, a log (one JSON object a line), checkpoints, and going on after Ctrl-C, `kill -9` or a
power cut. A run that was stopped and resumed ends with the same bits as one that was not: a checkpoint holds the
weights, the optimizer's and the schedule's state, the position in the random stream and in the epoch's batches, and
the sums for the metrics so far.
"""
import json
import time
from pathlib import Path

from tqdm import tqdm

from minilayer import random
from minilayer.optim import LBFGS
from minilayer.optim.lr_scheduler import ReduceLROnPlateau
from minilayer.serialization import load, save, write_atomic
from minilayer.signals import signals_noted
from minilayer.state import no_grad

CHECKPOINT, BEST, LOG = "checkpoint.safetensors", "best.safetensors", "log.jsonl"


def accuracy(output, target) -> float:
    """The share of rows of output (B, classes, ...) whose largest value stands at the target's class."""
    right = output.argmax(1) == target
    return right.sum().item() / right.numel()


class Meter:
    """Means over a pass of the data: each batch's loss and metrics, weighted by its items."""

    def __init__(self, metrics: dict):
        self.metrics = metrics
        self.items, self.sums = 0, dict.fromkeys(["loss", *metrics], 0.0)

    def add(self, loss: float, output, target) -> None:
        """Count one batch."""
        n = len(target)
        self.items += n
        self.sums["loss"] += loss * n
        for name, metric in self.metrics.items():
            self.sums[name] += metric(output, target) * n

    def means(self) -> dict:
        """{name: mean so far}; NaN where nothing was counted."""
        return {name: total / self.items if self.items else float("nan") for name, total in self.sums.items()}


def train_epoch(model, loader, loss_fn, optimizer, *, meter: Meter | None = None, after_step=None) -> dict:
    """One pass over the data, a step for each batch; returns the mean loss and metrics.

    Raises FloatingPointError when the loss is no longer a number.
    """
    meter = meter or Meter({"accuracy": accuracy})
    model.train()
    for x, target in loader:
        output = model(x)
        loss = loss_fn(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        meter.add(_finite(loss.item()), output, target)
        if after_step is not None:
            after_step(meter)
    return meter.means()


@no_grad()
def evaluate(model, loader, loss_fn, *, metrics: dict | None = None) -> dict:
    """The mean loss and metrics over the data; the model is left in evaluation mode."""
    meter = Meter({"accuracy": accuracy} if metrics is None else metrics)
    model.eval()
    for x, target in loader:
        output = model(x)
        meter.add(loss_fn(output, target).item(), output, target)
    return meter.means()


def _finite(loss: float) -> float:
    if loss - loss != 0:            # inf and NaN
        raise FloatingPointError(f"train: the loss is {loss}; lower the learning rate, or look for NaN in the data")
    return loss


class Stopped(KeyboardInterrupt):
    """Training was stopped by Ctrl-C (or SIGTERM) and is saved; the message says how to go on."""


class Trainer:
    """Train a model, keep a record, and be able to go on.

    >>> trainer = Trainer(model, CrossEntropyLoss(), Adam(model.parameters()), train_loader, test_loader, out="runs/a")
    >>> trainer.fit(20)                 # or, in a later process: trainer.resume(); trainer.fit(20)

    out         folder for checkpoint.safetensors (to go on from), best.safetensors (the weights of the best epoch) and
                log.jsonl; None keeps nothing
    optimizer   any but LBFGS, which computes the loss several times a step
    scheduler   stepped after every epoch (ReduceLROnPlateau: with the loss on the test data, or else the training's)
    metrics     {name: function(output, target) -> mean over the batch}; the first one says which epoch was best
    config      plain values kept in the checkpoint, for whoever has to build the same model again
    on_epoch    called with each epoch's record, a dict
    how_to_resume   what a stopped run tells its user to do
    """

    def __init__(self, model, loss_fn, optimizer, train_loader, test_loader=None, *, scheduler=None, out=None,
                 metrics: dict | None = None, config: dict | None = None, on_epoch=None, progress: bool = True,
                 how_to_resume: str = "make the Trainer again, then trainer.resume() and trainer.fit(epochs)"):
        if isinstance(optimizer, LBFGS):
            raise TypeError("Trainer: expected an optimizer whose step() needs no closure, got LBFGS; call "
                            "optimizer.step(closure) in a loop of your own, on the whole data")
        self.model, self.loss_fn, self.optimizer, self.scheduler = model, loss_fn, optimizer, scheduler
        self.train_loader, self.test_loader = train_loader, test_loader
        self.metrics = {"accuracy": accuracy} if metrics is None else metrics
        self.out = None if out is None else Path(out)
        self.config, self.on_epoch, self.progress, self.how_to_resume = config or {}, on_epoch, progress, how_to_resume
        self.epoch = 0                          # epochs finished
        self.history: list[dict] = []           # their records
        self.seconds = 0.0                      # time spent in the epoch under way, also before a stop
        self.meter = Meter(self.metrics)        # the epoch under way

    def fit(self, epochs: int) -> list[dict]:
        """Train until `epochs` epochs are finished in all; returns the record of each."""
        if self.out is not None:
            _make_folder(self.out)
        with signals_noted() as signals:
            while self.epoch < epochs:
                self._one_epoch(epochs, signals)
        return self.history

    def _one_epoch(self, epochs: int, signals: list) -> None:
        start = time.perf_counter() - self.seconds
        rate = self.optimizer.param_groups[0]["lr"]
        bar = tqdm(total=len(self.train_loader), initial=self.train_loader.position, leave=False, unit="batch",
                   desc=f"epoch {self.epoch + 1}/{epochs}", disable=None if self.progress else True)

        def after_step(meter):
            if bar.update():                    # it was drawn just now, which is not at every step
                bar.set_postfix({name: f"{mean:.4f}" for name, mean in meter.means().items()}, refresh=False)
            if signals:
                self.seconds = time.perf_counter() - start
                raise Stopped

        try:
            with bar:
                trained = train_epoch(self.model, self.train_loader, self.loss_fn, self.optimizer,
                                      meter=self.meter, after_step=after_step)
        except Stopped:
            raise Stopped(self._stop()) from None
        record = {"epoch": self.epoch + 1, "lr": rate, **{f"train_{name}": mean for name, mean in trained.items()}}
        if self.test_loader is not None:
            tested = evaluate(self.model, self.test_loader, self.loss_fn, metrics=self.metrics)
            record.update({f"test_{name}": mean for name, mean in tested.items()})
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(record.get("test_loss", record["train_loss"]))
        elif self.scheduler is not None:
            self.scheduler.step()
        record["seconds"] = round(time.perf_counter() - start, 3)
        self.epoch, self.seconds, self.meter = self.epoch + 1, 0.0, Meter(self.metrics)
        self.history.append(record)
        self._keep(record)
        if self.on_epoch is not None:
            self.on_epoch(record)

    # ---- keeping and going on ----

    def _keep(self, record: dict) -> None:
        if self.out is None:
            return
        if self.best()["epoch"] == record["epoch"]:
            save(self.model.state_dict(), self.out / BEST)
        save(self.state_dict(), self.out / CHECKPOINT)
        with open(self.out / LOG, "a", encoding="utf-8") as log:       # after the checkpoint: resume() writes it anew
            log.write(_json_line(record))

    def _stop(self) -> str:
        batches = f"{self.train_loader.position} of {len(self.train_loader)} batches"
        done = f"stopped in epoch {self.epoch + 1}, after {batches}"
        if self.out is None:
            return f"{done}; nothing is saved, because no folder was given"
        save(self.state_dict(), self.out / CHECKPOINT)
        return f"{done}; saved in {self.out}. To go on: {self.how_to_resume}"

    def best(self) -> dict:
        """The record of the best epoch: highest first metric (or lowest loss without metrics), on the test data where
        there are any; the first of equals."""
        part = "train" if self.test_loader is None else "test"
        name = next(iter(self.metrics), None)
        if name is None:
            return min(self.history, key=lambda record: record[f"{part}_loss"])
        return max(self.history, key=lambda record: record[f"{part}_{name}"])

    def state_dict(self) -> dict:
        """All that the rest of the run depends on."""
        return {"config": self.config, "epoch": self.epoch, "history": self.history, "seconds": self.seconds,
                "meter": {"items": self.meter.items, "sums": self.meter.sums},
                "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
                "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
                "loader": self.train_loader.state_dict(), "random": random.get_rng_state()}

    def load_state_dict(self, state: dict) -> None:
        """Stand where the trainer stood that gave this state; model, optimizer and data must be made the same way."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.train_loader.load_state_dict(state["loader"])
        random.set_rng_state(state["random"])
        self.epoch, self.history, self.seconds = state["epoch"], state["history"], state["seconds"]
        self.meter = Meter(self.metrics)
        self.meter.items, self.meter.sums = state["meter"]["items"], state["meter"]["sums"]

    def resume(self, folder=None) -> None:
        """Go on from the checkpoint in `folder` (default: the run's own)."""
        folder = self.out if folder is None else Path(folder)
        if folder is None:
            raise ValueError("Trainer.resume: expected a folder, here or as out=... of the Trainer")
        state = load_checkpoint(folder)
        try:
            self.load_state_dict(state)
        except (KeyError, TypeError) as error:
            raise ValueError(f"Trainer.resume: {folder / CHECKPOINT} does not fit this run ({error!r}); make model, "
                             "optimizer and data as they were when it was saved") from None
        if self.out is not None:                # the log may have more lines than the checkpoint knows of, or fewer
            _make_folder(self.out)
            write_atomic(self.out / LOG, "".join(map(_json_line, self.history)).encode())


def load_checkpoint(folder) -> dict:
    """The state that a Trainer saved in a folder. Raises FileNotFoundError or ValueError, naming the file."""
    path = Path(folder) / CHECKPOINT
    if not path.is_file():
        raise FileNotFoundError(f"resume: expected a checkpoint {path}, found none; name the folder of an earlier run")
    state = load(path)
    expected = {"config", "epoch", "history", "seconds", "meter", "model", "optimizer", "scheduler", "loader", "random"}
    if not isinstance(state, dict) or set(state) != expected:
        raise ValueError(f"resume: {path} is not a Trainer's checkpoint; name the folder of an earlier run")
    return state


def _json_line(record: dict) -> str:
    plain = {key: None if isinstance(value, float) and value - value != 0 else value for key, value in record.items()}
    return json.dumps(plain, allow_nan=False) + "\n"            # NaN is not JSON: null


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"train: cannot make the folder {folder} ({error.strerror}); "
                                   "choose another one to write to") from None
