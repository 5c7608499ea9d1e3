"""Misuse of the learning-rate schedules. (What they compute: tests/agreement/schedule.py, test_optim.py.)"""
import minilayer as ml
from cases.base import ErrorCase
from minilayer.optim import lr_scheduler as schedules


def sgd(momentum=0.9, groups=1):
    return ml.optim.SGD([{"params": [ml.zeros(2, requires_grad=True)]} for _ in range(groups)], lr=0.1, momentum=momentum)


def adadelta_like():
    """An optimizer without momentum."""
    optimizer = sgd()
    for group in optimizer.param_groups:
        del group["momentum"]
    return optimizer


ERRORS = [
    ErrorCase("MultiStepLR: half an epoch", lambda: schedules.MultiStepLR(sgd(), [1.5]), TypeError, "milestones to be an integer"),
    ErrorCase("MultiStepLR: before the first", lambda: schedules.MultiStepLR(sgd(), [-1]), ValueError, "milestones of 0 or more"),
    ErrorCase("MultiStepLR: a growing rate's gamma as a word", lambda: schedules.MultiStepLR(sgd(), [1], gamma="x"), TypeError, "gamma to be a number"),
    ErrorCase("MultiplicativeLR: no function", lambda: schedules.MultiplicativeLR(sgd(), 0.5), TypeError, "a function from epoch"),
    ErrorCase("MultiplicativeLR: too few functions", lambda: schedules.MultiplicativeLR(sgd(groups=2), [abs]), ValueError, "each of the 2 groups"),
    ErrorCase("MultiplicativeLR: no optimizer", lambda: schedules.MultiplicativeLR(None, abs), TypeError, "expected an Optimizer"),
    ErrorCase("ConstantLR: a factor above 1", lambda: schedules.ConstantLR(sgd(), 2.0), ValueError, r"factor in \[0, 1\]"),
    ErrorCase("ConstantLR: a factor as a word", lambda: schedules.ConstantLR(sgd(), "half"), TypeError, "factor to be a number"),
    ErrorCase("ConstantLR: no optimizer", lambda: schedules.ConstantLR([1]), TypeError, "expected an Optimizer"),
    ErrorCase("LinearLR: from nothing", lambda: schedules.LinearLR(sgd(), 0), ValueError, "start_factor in"),
    ErrorCase("LinearLR: a factor above 1", lambda: schedules.LinearLR(sgd(), 1.5), ValueError, "start_factor in"),
    ErrorCase("LinearLR: an end above 1", lambda: schedules.LinearLR(sgd(), 0.5, 2), ValueError, "end_factor in"),
    ErrorCase("CosineAnnealingWarmRestarts: no epochs", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 0), ValueError, "T_0 of 1 or more"),
    ErrorCase("CosineAnnealingWarmRestarts: half a restart", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 2, 1.5), TypeError, "T_mult to be an integer"),
    ErrorCase("CosineAnnealingWarmRestarts: before the first", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 2).step(-1), ValueError, "an epoch of 0 or more"),
    ErrorCase("CyclicLR: unknown mode", lambda: schedules.CyclicLR(sgd(), 0.1, 0.2, mode="square"), ValueError, "triangular"),
    ErrorCase("CyclicLR: unknown scale_mode", lambda: schedules.CyclicLR(sgd(), 0.1, 0.2, scale_mode="week"), ValueError, "scale_mode"),
    ErrorCase("CyclicLR: too few rates", lambda: schedules.CyclicLR(sgd(), [0.1, 0.2], 0.2), ValueError, "base_lr for each of the 1 groups"),
    ErrorCase("CyclicLR: no momentum to cycle", lambda: schedules.CyclicLR(adadelta_like(), 0.1, 0.2), ValueError, "cycle_momentum=False"),
    ErrorCase("CyclicLR: no optimizer", lambda: schedules.CyclicLR(3, 0.1, 0.2), TypeError, "expected an Optimizer"),
    ErrorCase("OneCycleLR: no length", lambda: schedules.OneCycleLR(sgd(), 0.1), ValueError, "total_steps, or epochs"),
    ErrorCase("OneCycleLR: a share above 1", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, pct_start=2), ValueError, "pct_start in"),
    ErrorCase("OneCycleLR: unknown strategy", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, anneal_strategy="exp"), ValueError, "'cos' or 'linear'"),
    ErrorCase("OneCycleLR: beyond the end", lambda: [s.step() for s in [schedules.OneCycleLR(sgd(), 0.1, 2)] for _ in range(4)], ValueError, "at most total_steps=2"),
    ErrorCase("ReduceLROnPlateau: a growing factor", lambda: schedules.ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "factor in"),
    ErrorCase("ReduceLROnPlateau: unknown mode", lambda: schedules.ReduceLROnPlateau(sgd(), "best"), ValueError, "mode 'min' or 'max'"),
    ErrorCase("ReduceLROnPlateau: too few floors", lambda: schedules.ReduceLROnPlateau(sgd(), min_lr=[0, 0]), ValueError, "min_lr for each of the 1 groups"),
    ErrorCase("ReduceLROnPlateau: no optimizer", lambda: schedules.ReduceLROnPlateau(0.1), TypeError, "expected an Optimizer"),
    ErrorCase("SequentialLR: no schedules", lambda: schedules.SequentialLR(sgd(), [], []), ValueError, "at least one"),
    ErrorCase("SequentialLR: a plateau", lambda: [schedules.SequentialLR(o, [schedules.ReduceLROnPlateau(o)], []) for o in [sgd()]], TypeError, "by the epoch alone"),
    ErrorCase("SequentialLR: two optimizers", lambda: schedules.SequentialLR(sgd(), [schedules.ExponentialLR(sgd(), 0.9)], []), ValueError, "one optimizer"),
    ErrorCase("SequentialLR: too many milestones", lambda: [schedules.SequentialLR(o, [schedules.ExponentialLR(o, 0.9)], [3]) for o in [sgd()]], ValueError, "a milestone between"),
    ErrorCase("SequentialLR: a state of other schedules", lambda: [schedules.SequentialLR(o, [schedules.ExponentialLR(o, 0.9)], []).load_state_dict({"schedulers": []}) for o in [sgd()]], ValueError, "states of 1 schedules"),
    ErrorCase("ChainedScheduler: no schedules", lambda: schedules.ChainedScheduler([]), ValueError, "at least one"),
    ErrorCase("ChainedScheduler: a plateau", lambda: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(sgd())]), TypeError, "by the epoch alone"),
    ErrorCase("ChainedScheduler: two optimizers", lambda: schedules.ChainedScheduler([schedules.ExponentialLR(sgd(), 0.9)], sgd()), ValueError, "one optimizer"),
]
