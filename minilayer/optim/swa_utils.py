"""Averages of weights over the steps of training, which often test better than the last weights: PyTorch's names.

    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    ...                                     # after each step
    average.update_parameters(model)
    update_bn(loader, average)              # once, at the end, where the model has batch normalisation
"""
import copy
import itertools
import math

from minilayer.creation import zeros
from minilayer.layers.layer import Layer
from minilayer.layers.normalization import BatchNorm1d
from minilayer.optim.checks import check_number
from minilayer.optim.lr_scheduler import LRScheduler
from minilayer.state import no_grad

_BatchNorm = BatchNorm1d.__mro__[1]


class AveragedModel(Layer):
    """A copy of a model whose weights are averages of the model's over the calls of `update_parameters`.

    avg_fn(averaged, current, count) gives the new average of one parameter (default: the mean of all so far);
    multi_avg_fn(averaged list, current list, count) writes those of all. `use_buffers` averages buffers too; else they are
    copied. The copy is `module`, the count `n_averaged`.
    Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if not isinstance(model, Layer):
            raise TypeError(f"AveragedModel: expected a Layer, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", zeros((), dtype="int64"))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers
        if device is not None:
            self.to(device)

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model):
        """Take the model's weights as they are now into the averages."""
        def parts(layer):
            return [x.detach() for x in itertools.chain(layer.parameters(), layer.buffers() if self.use_buffers else ())]
        averaged, current = parts(self.module), parts(model)
        current = [c.to(a.device) for a, c in zip(averaged, current, strict=True)]
        count = int(self.n_averaged)
        if count == 0:
            for a, c in zip(averaged, current, strict=True):
                a.copy_(c)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averaged, current, self.n_averaged)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for a, c in zip(averaged, current, strict=True):
                a.copy_(average(a, c, self.n_averaged))
        if not self.use_buffers:
            for a, c in zip(self.module.buffers(), model.buffers(), strict=True):
                a.copy_(c.to(a.device))
        self.n_averaged.add_(1)


def _decay(decay):
    check_number("get_ema_avg_fn", "decay", decay)
    if decay > 1:
        raise ValueError(f"get_ema_avg_fn: expected decay in [0, 1], got {decay}")
    return decay


def _towards(averaged, current, part):
    """averaged + part (current - averaged), from the nearer end."""
    if averaged.dtype.kind != "f":
        return averaged + ((current - averaged) * part).to(averaged.dtype)
    return averaged + (current - averaged) * part if part < 0.5 else current - (current - averaged) * (1 - part)


def get_ema_avg_fn(decay=0.999):
    """An avg_fn: decay averaged + (1 - decay) current."""
    decay = _decay(decay)
    return lambda averaged, current, count: averaged * decay + current * (1 - decay)


def get_swa_avg_fn():
    """An avg_fn: the mean of all so far."""
    return lambda averaged, current, count: averaged + (current - averaged) / (int(count) + 1)


def get_ema_multi_avg_fn(decay=0.999):
    """A multi_avg_fn: decay averaged + (1 - decay) current."""
    decay = _decay(decay)

    @no_grad()
    def average(averaged, current, count):
        for a, c in zip(averaged, current, strict=True):
            a.copy_(_towards(a, c, 1 - decay))
    return average


def get_swa_multi_avg_fn():
    """A multi_avg_fn: the mean of all so far."""
    @no_grad()
    def average(averaged, current, count):
        for a, c in zip(averaged, current, strict=True):
            a.copy_(_towards(a, c, 1 / (int(count) + 1)))
    return average


@no_grad()
def update_bn(loader, model, device=None):
    """Measure a model's batch statistics anew over all batches of `loader` (tensors, or tuples that begin with one), as
    averaged weights need it."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    kept, mode = [m.momentum for m in layers], model.training
    for m in layers:
        m.reset_running_stats()
        m.momentum = None               # the plain mean of all batches
    model.train()
    try:
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for m, momentum in zip(layers, kept, strict=True):
            m.momentum = momentum
        model.train(mode)


class SWALR(LRScheduler):
    """From the current rates to `swa_lr` (one, or one a group) in anneal_epochs epochs, by "cos" or "linear", then constant.
    The rate for averaging weights."""
    PYTORCH = {"_anneal_strategy": "anneal_strategy"}

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}")
        if isinstance(anneal_epochs, bool) or not hasattr(anneal_epochs, "__index__") or anneal_epochs < 0:
            raise ValueError(f"SWALR: expected anneal_epochs to be an integer of 0 or more, got {anneal_epochs!r}")
        groups = len(getattr(optimizer, "param_groups", ()))
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * groups
        if len(rates) != groups:
            raise ValueError(f"SWALR: expected swa_lr for each of the {groups} groups, got {len(rates)}")
        for rate in rates:
            check_number("SWALR", "swa_lr", rate)
        for group, rate in zip(getattr(optimizer, "param_groups", ()), rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _part(self, t):
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self):
        """Told from one epoch to the next: what was left of the first rate is found back from the last one."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self._part(max(0, min(1, (step - 1) / max(1, self.anneal_epochs))))
        now = self._part(max(0, min(1, step / max(1, self.anneal_epochs))))
        rates = []
        for group in self.optimizer.param_groups:
            rate, goal = group["lr"], group["swa_lr"]
            first = goal if before == 1 else (rate - before * goal) / (1 - before)
            rates.append(goal * now + first * (1 - now))
        return rates
