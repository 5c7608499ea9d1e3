"""Learning rates that change from epoch to epoch. Call `scheduler.step()` once an epoch, after the optimizer's steps.

A schedule multiplies the rate that a group has (StepLR, CosineAnnealingLR), so several can act on one optimizer, or
sets it from the initial one (LambdaLR).
"""
import math

from minilayer.optim.optimizer import Optimizer, check_number


class LRScheduler:
    """The base of schedules: counts epochs, and asks `get_lr()` for the rate of each group."""

    def __init__(self, optimizer, last_epoch: int = -1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: expected initial_lr in group {i} to go on from epoch "
                               f"{last_epoch}; load the optimizer's state_dict first")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list = []
        self.step()

    def get_lr(self) -> list:
        """The rate of each group in epoch `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__}: an LRScheduler defines get_lr()")

    def get_last_lr(self) -> list:
        """The rates that the last step set."""
        return self._last_lr

    def step(self) -> None:
        """Begin the next epoch."""
        self._step_count += 1
        self.last_epoch += 1
        self._last_lr = [float(lr) for lr in self.get_lr()]
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict:
        """Where the schedule stands: plain numbers. (The optimizer and functions are left out.)"""
        return {k: list(v) if isinstance(v, list) else v for k, v in vars(self).items()
                if k not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from where `state_dict` was called. Load the optimizer's too: it holds the current rates."""
        expected = set(self.state_dict())
        if not isinstance(state_dict, dict) or not expected <= set(state_dict) | {"lr_lambdas"}:
            raise ValueError(f"{type(self).__name__}.load_state_dict: expected {', '.join(sorted(expected))}, got "
                             f"{sorted(map(str, state_dict)) if isinstance(state_dict, dict) else state_dict!r}")
        vars(self).update({k: state_dict[k] for k in expected})


class StepLR(LRScheduler):
    """Every `step_size` epochs the rate becomes gamma times what it was."""

    def __init__(self, optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = _whole("StepLR", "step_size", step_size), gamma
        check_number("StepLR", "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        now = [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return now
        return [lr * self.gamma for lr in now]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate down to eta_min in T_max epochs (and up again in the next T_max):

        lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2

    told from one epoch to the next, so that other schedules may act on the rate too.
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(self, optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = _whole("CosineAnnealingLR", "T_max", T_max), eta_min
        check_number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        now = [group["lr"] for group in self.optimizer.param_groups]
        if t == 0:
            return now
        if self._step_count == 1:           # going on from a later epoch
            return [low + (lr - low) * (1 + math.cos(math.pi * t / period)) / 2 for lr in self.base_lrs]
        if (t - 1 - period) % (2 * period) == 0:        # leaving the bottom, where the ratio below has no value
            return [lr + (base - low) * (1 - math.cos(math.pi / period)) / 2
                    for lr, base in zip(now, self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return [low + ratio * (lr - low) for lr in now]


class LambdaLR(LRScheduler):
    """lr_t = lr_0 f(t); `lr_lambda` is f, or a list with one for each group."""

    def __init__(self, optimizer, lr_lambda, last_epoch: int = -1):
        groups = len(getattr(optimizer, "param_groups", ()))
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if isinstance(optimizer, Optimizer) and len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: expected a function for each of the {groups} groups, "
                             f"got {len(self.lr_lambdas)}")
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError(f"LambdaLR: expected a function from epoch to factor, got {f!r}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


def _whole(who, name, value) -> int:
    """A number of epochs: an integer of 1 or more."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{who}: expected {name} to be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{who}: expected {name} of 1 or more, got {value}")
    return int(value)
