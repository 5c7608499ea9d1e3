"""Learning rates that change as training goes on. Call `scheduler.step()` after the optimizer's steps: once an epoch,
or, with CyclicLR and OneCycleLR, once a batch.

Most schedules multiply the rate that a group has now, so that several can act on one optimizer (ChainedScheduler);
their `closed_form` says the same rate from the initial one, for schedules that begin in the middle (SequentialLR).
"""
import math
from bisect import bisect_right
from collections import Counter

from minilayer._ext.runtime import cannot_repeat
from minilayer.optim.checks import check_number, check_positive, whole
from minilayer.optim.optimizer import Optimizer


class LRScheduler:
    """The base of schedules: counts epochs, and asks `get_lr()` for the rate of each group."""
    closed_form = None          # a method where the rates follow from the initial ones and last_epoch alone
    KEPT_OUT: tuple = ("optimizer", "lr_lambdas", "scale_fn", "schedulers", "_is_initial")      # of state_dict
    PYTORCH: dict = {}          # what PyTorch's state_dict calls an entry: our name
    _is_initial = False         # is this the step that __init__ makes, or a schedule of schedules in its place?

    def __init__(self, optimizer, last_epoch: int = -1):
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{name}: expected initial_lr in group {i} to go on from epoch "
                               f"{last_epoch}; load the optimizer's state_dict first")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list = []
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates to begin with."""
        self._step_count, self._is_initial = 0, True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list:
        """The rate of each group in epoch `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__}: an LRScheduler defines get_lr()")

    def get_last_lr(self) -> list:
        """The rates that the last step set."""
        return self._last_lr

    def step(self, epoch=None) -> None:
        """Begin the next epoch, or the one named."""
        self._step_count += 1
        self._go(epoch)

    def _go(self, epoch) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        rates = self.closed_form() if epoch is not None and self.closed_form is not None else self.get_lr()
        self._set(rates)

    def _set(self, rates) -> None:
        cannot_repeat(f"the step of {type(self).__name__}; call it after the compiled one")
        self._last_lr = [float(lr) for lr in rates]
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def _now(self) -> list:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict:
        """Where the schedule stands: plain numbers. (The optimizer and functions are left out.)"""
        return {k: list(v) if isinstance(v, list) else v for k, v in vars(self).items() if k not in self.KEPT_OUT}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from where `state_dict` was called. Load the optimizer's too: it holds the current rates."""
        vars(self).update(self._fitting(state_dict))

    def _fitting(self, state_dict) -> dict:
        """The entries of `state_dict` under our names. Raises where one is missing; others are left aside."""
        expected = set(self.state_dict())
        given = ({self.PYTORCH.get(k, k): v for k, v in state_dict.items()} if isinstance(state_dict, dict) else {})
        if not expected <= set(given):
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected {', '.join(sorted(expected))}, got "
                             f"{sorted(map(str, state_dict)) if isinstance(state_dict, dict) else repr(state_dict)}")
        return {k: list(given[k]) if isinstance(given[k], list) else given[k] for k in expected}


class LambdaLR(LRScheduler):
    """lr_t = lr_0 f(t); `lr_lambda` is f, or a list with one for each group."""

    def __init__(self, optimizer, lr_lambda, last_epoch: int = -1):
        self.lr_lambdas = _functions(type(self).__name__, optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LambdaLR):
    """lr_t = lr_(t-1) f(t); `lr_lambda` is f, or a list with one for each group."""

    def get_lr(self):
        if self._is_initial:
            return self._now()
        return [lr * f(self.last_epoch) for lr, f in zip(self._now(), self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """Every `step_size` epochs the rate becomes gamma times what it was."""

    def __init__(self, optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = whole("StepLR", "step_size", step_size), gamma
        check_number("StepLR", "gamma", gamma, low=-float("inf"))
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        now = self._now()
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return now
        return [lr * self.gamma for lr in now]

    def closed_form(self):
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """At each epoch of `milestones` the rate becomes gamma times what it was (twice so where one is named twice)."""

    def __init__(self, optimizer, milestones, gamma: float = 0.1, last_epoch: int = -1):
        self.milestones = Counter(_milestones("MultiStepLR", milestones))
        check_number("MultiStepLR", "gamma", gamma, low=-float("inf"))
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._now()]

    def _fitting(self, state_dict):
        found = super()._fitting(state_dict)            # (a file gives back a dict, JSON one of strings)
        if not isinstance(found["milestones"], dict):
            raise ValueError(f"MultiStepLR.load_state_dict: expected milestones as a dict from epoch to how often, got "
                             f"{found['milestones']!r}")
        return {**found, "milestones": Counter({int(m): int(n) for m, n in found["milestones"].items()})}

    def closed_form(self):
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * self.gamma ** passed for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """`factor` times the rate for the first `total_iters` epochs, then the rate itself."""

    def __init__(self, optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        self.factor, self.total_iters = _part("ConstantLR", "factor", factor), total_iters
        check_number("ConstantLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._now()]
        if self.last_epoch != self.total_iters:
            return self._now()
        return [lr * (1.0 / self.factor) for lr in self._now()]

    def closed_form(self):
        return [lr * (1.0 if self.last_epoch >= self.total_iters else self.factor) for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """From start_factor times the rate to end_factor times the rate, in a straight line of `total_iters` epochs: the
    usual warm-up."""

    def __init__(self, optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
                 last_epoch: int = -1):
        if start_factor == 0:
            raise ValueError("LinearLR: expected start_factor in (0, 1], got 0; the rate could never grow from it")
        self.start_factor = _part("LinearLR", "start_factor", start_factor)
        self.end_factor, self.total_iters = _part("LinearLR", "end_factor", end_factor), total_iters
        check_number("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t, rise = self.last_epoch, self.end_factor - self.start_factor
        if t == 0:
            return [lr * self.start_factor for lr in self._now()]
        if self._is_initial or t > self.total_iters:
            return self._now()
        return [lr * (1.0 + rise / (self.total_iters * self.start_factor + (t - 1) * rise)) for lr in self._now()]

    def closed_form(self):
        part = min(self.total_iters, self.last_epoch) / self.total_iters if self.total_iters else 1.0
        return [lr * (self.start_factor + (self.end_factor - self.start_factor) * part) for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Each epoch the rate becomes gamma times what it was."""

    def __init__(self, optimizer, gamma: float, last_epoch: int = -1):
        check_number("ExponentialLR", "gamma", gamma, low=-float("inf"))
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return self._now() if self._is_initial else [lr * self.gamma for lr in self._now()]

    def closed_form(self):
        return [lr * self.gamma ** self.last_epoch for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """lr_t = lr_0 (1 - t / total_iters)^power, and 0 from total_iters on."""

    def __init__(self, optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        check_number("PolynomialLR", "total_iters", total_iters)
        check_number("PolynomialLR", "power", power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t, n = self.last_epoch, self.total_iters
        if self._is_initial or t > n:
            return self._now()
        return [lr * ((1.0 - t / n) / (1.0 - (t - 1) / n)) ** self.power for lr in self._now()]

    def closed_form(self):
        part = min(self.total_iters, self.last_epoch) / self.total_iters if self.total_iters else 1.0
        return [lr * (1.0 - part) ** self.power for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to eta_min in T_max epochs (and up again in the next T_max):

        lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2

    told from one epoch to the next, so that other schedules may act on the rate too.
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(self, optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = whole("CosineAnnealingLR", "T_max", T_max), eta_min
        check_number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        now = self._now()
        if self._is_initial:
            return now
        if (t - 1 - period) % (2 * period) == 0:        # leaving the bottom, where the ratio below has no value
            return [lr + (base - low) * (1 - math.cos(math.pi / period)) / 2
                    for lr, base in zip(now, self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return [low + ratio * (lr - low) for lr in now]

    def closed_form(self):
        return [self.eta_min + (lr - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
                for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to eta_min in T_0 epochs, then again from the initial rate, each time T_mult times as long.

    `step(epoch)` takes fractions of epochs. Loshchilov and Hutter, "SGDR", ICLR 2017.
    """

    def __init__(self, optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_0 = self.T_i = whole("CosineAnnealingWarmRestarts", "T_0", T_0)
        self.T_mult, self.eta_min = whole("CosineAnnealingWarmRestarts", "T_mult", T_mult), eta_min
        check_number("CosineAnnealingWarmRestarts", "eta_min", eta_min)
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [self.eta_min + (lr - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
                for lr in self.base_lrs]

    def step(self, epoch=None):
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        elif epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts.step: expected an epoch of 0 or more, got {epoch}")
        else:
            runs = 0 if epoch < self.T_0 or self.T_mult == 1 else \
                int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_i = self.T_0 * self.T_mult ** runs
            before = self.T_0 * (self.T_mult ** runs - 1) / max(self.T_mult - 1, 1)
            self.T_cur = epoch % self.T_0 if self.T_mult == 1 else epoch - before
        self._step_count += 1
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class _MomentumToo(LRScheduler):
    """Schedules that move the momentum (or Adam's first beta) against the rate."""

    def _check_momentum(self, optimizer):
        if not any("momentum" in g or "betas" in g for g in getattr(optimizer, "param_groups", ())):
            raise ValueError(f"{type(self).__name__}: cycle_momentum=True needs an optimizer with momentum or betas, got "
                             f"{type(optimizer).__name__}; pass cycle_momentum=False")

    @staticmethod
    def _set_momentum(group, value):
        if "betas" in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_MomentumToo):
    """Up from base_lr to max_lr in step_size_up batches and down again in step_size_down, over and over.

    mode     "triangular"; "triangular2" halves the height each cycle; "exp_range" multiplies it by gamma each batch
    scale_fn a height of your own, of the cycle (scale_mode "cycle") or the batch ("iterations"), in place of `mode`
    The momentum goes from max_momentum to base_momentum and back meanwhile, unless cycle_momentum=False.
    Smith, "Cyclical learning rates for training neural networks", WACV 2017.
    """

    def __init__(self, optimizer, base_lr, max_lr, step_size_up: int = 2000, step_size_down=None,
                 mode: str = "triangular", gamma: float = 1.0, scale_fn=None, scale_mode: str = "cycle",
                 cycle_momentum: bool = True, base_momentum=0.8, max_momentum=0.9, last_epoch: int = -1):
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"CyclicLR: expected mode 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: expected scale_mode 'cycle' or 'iterations', got {scale_mode!r}")
        lows = _each_group("CyclicLR", "base_lr", optimizer, base_lr)
        self.max_lrs = _each_group("CyclicLR", "max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        check_positive("CyclicLR", "step_size_up", step_size_up)
        check_number("CyclicLR", "step_size_down", down)
        check_number("CyclicLR", "gamma", gamma)
        self.total_size, self.step_ratio = float(step_size_up) + float(down), step_size_up / (step_size_up + down)
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, lows, strict=True):
                group["lr"] = low
        if cycle_momentum:
            self._check_momentum(optimizer)
            self.base_momentums = _each_group("CyclicLR", "base_momentum", optimizer, base_momentum)
            self.max_momentums = _each_group("CyclicLR", "max_momentum", optimizer, max_momentum)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def _scale(self, x):
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return {"triangular": 1.0, "triangular2": 1 / (2.0 ** (x - 1)), "exp_range": self.gamma ** x}[self.mode]

    def get_lr(self):
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, top in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True):
                self._set_momentum(group, top - (top - low) * height)
        return [low + (top - low) * height for low, top in zip(self.base_lrs, self.max_lrs, strict=True)]


class OneCycleLR(_MomentumToo):
    """One rise from max_lr / div_factor to max_lr over the first `pct_start` of all batches, then one fall far below.

    total_steps  how many batches in all, or `epochs` times `steps_per_epoch`
    anneal_strategy "cos" or "linear"; three_phase falls to the initial rate first, as fast as it rose, then further
    The fall ends at (max_lr / div_factor) / final_div_factor. The momentum goes from max_momentum to base_momentum and
    back meanwhile, unless cycle_momentum=False.
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017.
    """
    PYTORCH = {"_schedule_phases": "phases", "_anneal_func_type": "anneal_strategy"}

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum=0.85, max_momentum=0.95,
                 div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
                 last_epoch: int = -1):
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch, got neither")
        if total_steps is not None:
            self.total_steps = whole("OneCycleLR", "total_steps", total_steps)
        else:
            self.total_steps = (whole("OneCycleLR", "epochs", epochs)
                                * whole("OneCycleLR", "steps_per_epoch", steps_per_epoch))
        if isinstance(pct_start, bool) or not isinstance(pct_start, (int, float)) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: expected pct_start in [0, 1], got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}")
        check_positive("OneCycleLR", "div_factor", div_factor)
        check_positive("OneCycleLR", "final_div_factor", final_div_factor)
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        rise, last = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        if three_phase:         # (end of the phase, rate at its begin and end, momentum at its begin and end)
            self.phases = [(rise, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                           (float(2 * pct_start * self.total_steps) - 2, "max_lr", "initial_lr", "base_momentum",
                            "max_momentum"),
                           (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
        else:
            self.phases = [(rise, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
                           (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        if cycle_momentum:
            self._check_momentum(optimizer)
            lows = _each_group("OneCycleLR", "base_momentum", optimizer, base_momentum)
            tops = _each_group("OneCycleLR", "max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for i, (group, top) in enumerate(zip(optimizer.param_groups, _each_group("OneCycleLR", "max_lr", optimizer,
                                                                                     max_lr), strict=True)):
                group["initial_lr"] = top / div_factor
                group["max_lr"], group["min_lr"] = top, group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["base_momentum"], group["max_momentum"] = lows[i], tops[i]
        super().__init__(optimizer, last_epoch)

    def _fitting(self, state_dict):
        found = super()._fitting(state_dict)
        names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
        return {**found, "phases": [tuple(p[n] for n in names) if isinstance(p, dict) else tuple(p)
                                    for p in found["phases"]]}

    def _between(self, start, end, part):
        if self.anneal_strategy == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)

    def get_lr(self):
        t = self.last_epoch
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: expected at most total_steps={self.total_steps} steps, got step {t}; make the "
                             "schedule as long as the training")
        begin = 0.0
        for phase in self.phases[:-1]:
            if t <= phase[0]:
                break
            begin = phase[0]
        else:
            phase = self.phases[-1]
        end, *names = phase
        part = (t - begin) / (end - begin) if end != begin else math.nan
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[names[0]], group[names[1]], part))
            if self.cycle_momentum:
                self._set_momentum(group, self._between(group[names[2]], group[names[3]], part))
        return rates


class _Several(LRScheduler):
    """A schedule made of schedules of one optimizer."""
    KEPT_OUT = (*LRScheduler.KEPT_OUT, "_step_count")
    PYTORCH = {"_schedulers": "schedulers", "_milestones": "milestones"}

    def _take(self, schedulers, optimizer) -> None:
        name = type(self).__name__
        if not hasattr(schedulers, "__iter__"):
            raise TypeError(f"{name}: expected a list of schedules, got {schedulers!r}")
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ValueError(f"{name}: expected at least one schedule, got none")
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
                raise TypeError(f"{name}: expected schedules that go by the epoch alone, got {type(schedule).__name__} at "
                                f"place {i}")
            if optimizer is None:
                optimizer = schedule.optimizer
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{name}: expected schedules of one optimizer, but that at place {i} has another")
        self.optimizer = optimizer

    def state_dict(self):
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def _fitting(self, state_dict):
        """Our own entries, and under "schedulers" those of each schedule: all are looked at before one is changed."""
        found = super()._fitting(state_dict)
        states = found["schedulers"]
        if not isinstance(states, (list, tuple)) or len(states) != len(self.schedulers):
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected the states of {len(self.schedulers)} schedules "
                             f"under 'schedulers', got {len(states) if isinstance(states, (list, tuple)) else repr(states)}")
        for schedule, state in zip(self.schedulers, states, strict=True):
            schedule._fitting(state)
        return found

    def load_state_dict(self, state_dict):
        found = self._fitting(state_dict)
        for schedule, state in zip(self.schedulers, found.pop("schedulers"), strict=True):
            schedule.load_state_dict(state)
        vars(self).update(found)


class SequentialLR(_Several):
    """One schedule after another: schedulers[i + 1] takes over at epoch milestones[i], and begins at its epoch 0.

    All must be made for `optimizer` before; making them has moved its rates, which this takes back. A schedule of
    schedules can only come first: there is no telling where it begins from the initial rates.
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch: int = -1):
        self._take(schedulers, optimizer)
        self.milestones = _milestones("SequentialLR", milestones)
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(f"SequentialLR: expected a milestone between each two of the {len(self.schedulers)} schedules, "
                             f"got {len(self.milestones)}")
        first = bisect_right(self.milestones, 0)
        for i, schedule in enumerate(self.schedulers[first + 1:], first + 1):
            if isinstance(schedule, _Several):
                raise ValueError(f"SequentialLR: expected a schedule of schedules only at the beginning, got "
                                 f"{type(schedule).__name__} at place {i}; name its schedules here, with their milestones")
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        self.schedulers[first]._initial_step()
        self._last_lr = self.schedulers[first].get_last_lr()

    def step(self):
        self.last_epoch += 1
        place = bisect_right(self.milestones, self.last_epoch)
        schedule = self.schedulers[place]
        if place > 0 and self.milestones[place - 1] == self.last_epoch:
            schedule._go(0)
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Several):
    """Several schedules that act on one optimizer at once, each on the rate that the one before left."""

    def __init__(self, schedulers, optimizer=None):
        self._take(schedulers, optimizer)
        self._last_lr = self._now()

    def step(self):
        for schedule in self.schedulers:
            schedule.step()
        self._last_lr = self._now()


def _undo(schedule):
    """Take back the step that making a schedule, or each of its schedules, was."""
    if isinstance(schedule, _Several):
        for one in schedule.schedulers:
            _undo(one)
    else:
        schedule.last_epoch -= 1


class ReduceLROnPlateau(LRScheduler):
    """Makes the rate `factor` times as large when a measure has not got better for `patience` epochs: `step(measure)`.

    mode            "min": lower is better, "max": higher is
    threshold       how much better counts: a part of the best so far (threshold_mode "rel") or so much ("abs")
    cooldown        epochs after a change in which nothing is counted
    min_lr          the rate's floor, one or one a group; a change of at most `eps` is left out
    """

    def __init__(self, optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10, threshold: float = 1e-4,
                 threshold_mode: str = "rel", cooldown: int = 0, min_lr=0.0, eps: float = 1e-8):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"ReduceLROnPlateau: expected an Optimizer, got {type(optimizer).__name__}")
        check_number("ReduceLROnPlateau", "factor", factor, low=-math.inf, below=1.0)
        for name, value, known in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if value not in known:
                raise ValueError(f"ReduceLROnPlateau: expected {name} {known[0]!r} or {known[1]!r}, got {value!r}")
        check_number("ReduceLROnPlateau", "threshold", threshold, low=-math.inf)
        check_number("ReduceLROnPlateau", "eps", eps, low=-math.inf)
        whole("ReduceLROnPlateau", "patience", patience, least=0)
        whole("ReduceLROnPlateau", "cooldown", cooldown, least=0)
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = _each_group("ReduceLROnPlateau", "min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.last_epoch = 0
        self._last_lr = self._now()
        self._reset()

    def _reset(self):
        """Forget the best measure and what was counted."""
        self.best = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0

    def is_better(self, a, best) -> bool:
        """Is measure a better than the best so far, by more than the threshold?"""
        sign = 1 if self.mode == "max" else -1
        goal = best * (1.0 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return a > goal if self.mode == "max" else a < goal

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def step(self, metrics, epoch=None):
        """Take this epoch's measure into account."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, floor in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lower = max(group["lr"] * self.factor, floor)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._now()


# ---- checks ----

def _milestones(who, given) -> list:
    """Epochs: integers of 0 or more."""
    if not hasattr(given, "__iter__"):
        raise TypeError(f"{who}: expected milestones to be a list of integers, got {given!r}")
    return [whole(who, "milestones", m, least=0) for m in given]

def _part(who, name, value) -> float:
    """A number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{who}: expected {name} to be a number, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{who}: expected {name} in [0, 1], got {value}")
    return value


def _each_group(who, name, optimizer, value) -> list:
    """A setting for each group: one for all, or a list of as many as there are groups."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{who}: expected an Optimizer, got {type(optimizer).__name__}")
    groups = len(optimizer.param_groups)
    if isinstance(value, (list, tuple)):
        if len(value) != groups:
            raise ValueError(f"{who}: expected {name} for each of the {groups} groups, got {len(value)}")
        values = list(value)
    else:
        values = [value] * groups
    for one in values:
        check_number(who, name, one)
    return values


def _functions(who, optimizer, given) -> list:
    """A function from epoch to factor for each group."""
    groups = len(getattr(optimizer, "param_groups", ()))
    functions = list(given) if isinstance(given, (list, tuple)) else [given] * groups
    if isinstance(optimizer, Optimizer) and len(functions) != groups:
        raise ValueError(f"{who}: expected a function for each of the {groups} groups, got {len(functions)}")
    for f in functions:
        if not callable(f):
            raise TypeError(f"{who}: expected a function from epoch to factor, got {f!r}")
    return functions
