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
    ErrorCase("MultiStepLR: one milestone", lambda: schedules.MultiStepLR(sgd(), 5), TypeError, "milestones to be a list of integers, got 5"),
    ErrorCase("MultiStepLR: a state without counts", lambda: [s.load_state_dict({**s.state_dict(), "milestones": [5]}) for s in [schedules.MultiStepLR(sgd(), [5])]], ValueError, "milestones as a dict from epoch"),
    ErrorCase("MultiplicativeLR: no function", lambda: schedules.MultiplicativeLR(sgd(), 0.5), TypeError, "a function from epoch"),
    ErrorCase("MultiplicativeLR: too few functions", lambda: schedules.MultiplicativeLR(sgd(groups=2), [abs]), ValueError, "each of the 2 groups"),
    ErrorCase("MultiplicativeLR: no optimizer", lambda: schedules.MultiplicativeLR(None, abs), TypeError, "expected an Optimizer"),
    ErrorCase("ConstantLR: a factor above 1", lambda: schedules.ConstantLR(sgd(), 2.0), ValueError, r"factor in \[0, 1\]"),
    ErrorCase("ConstantLR: a factor as a word", lambda: schedules.ConstantLR(sgd(), "half"), TypeError, "factor to be a number"),
    ErrorCase("ConstantLR: no optimizer", lambda: schedules.ConstantLR([1]), TypeError, "expected an Optimizer"),
    ErrorCase("ConstantLR: epochs as a word", lambda: schedules.ConstantLR(sgd(), total_iters="a"), TypeError, "ConstantLR: expected total_iters to be a number, got 'a'"),
    ErrorCase("LinearLR: epochs as a word", lambda: schedules.LinearLR(sgd(), total_iters="a"), TypeError, "LinearLR: expected total_iters to be a number, got 'a'"),
    ErrorCase("PolynomialLR: epochs as a word", lambda: schedules.PolynomialLR(sgd(), total_iters="5"), TypeError, "total_iters to be a number, got '5'"),
    ErrorCase("PolynomialLR: a power as a word", lambda: schedules.PolynomialLR(sgd(), power="a"), TypeError, "power to be a number, got 'a'"),
    ErrorCase("PolynomialLR: no optimizer", lambda: schedules.PolynomialLR(None), TypeError, "expected an Optimizer"),
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
    ErrorCase("CyclicLR: no way up", lambda: schedules.CyclicLR(sgd(), 0.1, 0.2, step_size_up=0), ValueError, "step_size_up above 0, got 0"),
    ErrorCase("CyclicLR: a rate as a word", lambda: schedules.CyclicLR(sgd(), "a", 0.2), TypeError, "base_lr to be a number, got 'a'"),
    ErrorCase("OneCycleLR: a rate as a word", lambda: schedules.OneCycleLR(sgd(), "a", 10), TypeError, "max_lr to be a number, got 'a'"),
    ErrorCase("OneCycleLR: divided by nothing", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, div_factor=0), ValueError, "div_factor above 0, got 0"),
    ErrorCase("OneCycleLR: no length", lambda: schedules.OneCycleLR(sgd(), 0.1), ValueError, "total_steps, or epochs"),
    ErrorCase("OneCycleLR: a share above 1", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, pct_start=2), ValueError, "pct_start in"),
    ErrorCase("OneCycleLR: unknown strategy", lambda: schedules.OneCycleLR(sgd(), 0.1, 10, anneal_strategy="exp"), ValueError, "'cos' or 'linear'"),
    ErrorCase("OneCycleLR: beyond the end", lambda: [s.step() for s in [schedules.OneCycleLR(sgd(), 0.1, 2)] for _ in range(4)], ValueError, "at most total_steps=2"),
    ErrorCase("ReduceLROnPlateau: a growing factor", lambda: schedules.ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "factor in"),
    ErrorCase("ReduceLROnPlateau: unknown mode", lambda: schedules.ReduceLROnPlateau(sgd(), "best"), ValueError, "mode 'min' or 'max'"),
    ErrorCase("ReduceLROnPlateau: too few floors", lambda: schedules.ReduceLROnPlateau(sgd(), min_lr=[0, 0]), ValueError, "min_lr for each of the 1 groups"),
    ErrorCase("ReduceLROnPlateau: no optimizer", lambda: schedules.ReduceLROnPlateau(0.1), TypeError, "expected an Optimizer"),
    ErrorCase("ReduceLROnPlateau: patience as a word", lambda: schedules.ReduceLROnPlateau(sgd(), patience="a"), TypeError, "patience to be an integer, got 'a'"),
    ErrorCase("ReduceLROnPlateau: cooldown below 0", lambda: schedules.ReduceLROnPlateau(sgd(), cooldown=-1), ValueError, "cooldown of 0 or more, got -1"),
    ErrorCase("ReduceLROnPlateau: threshold as a word", lambda: schedules.ReduceLROnPlateau(sgd(), threshold="a"), TypeError, "threshold to be a number, got 'a'"),
    ErrorCase("SequentialLR: no list", lambda: schedules.SequentialLR(sgd(), 5, []), TypeError, "a list of schedules, got 5"),
    ErrorCase("SequentialLR: half a milestone", lambda: [schedules.SequentialLR(o, [schedules.ExponentialLR(o, 0.9)] * 2, [1.5]) for o in [sgd()]], TypeError, "milestones to be an integer, got 1.5"),
    ErrorCase("SequentialLR: a chain that comes later", lambda: [schedules.SequentialLR(o, [s, schedules.ChainedScheduler([s])], [3]) for o in [sgd()] for s in [schedules.StepLR(o, 2)]], ValueError, "only at the beginning, got ChainedScheduler at place 1"),
    ErrorCase("ChainedScheduler: no list", lambda: schedules.ChainedScheduler(5), TypeError, "a list of schedules, got 5"),
    ErrorCase("SequentialLR: no schedules", lambda: schedules.SequentialLR(sgd(), [], []), ValueError, "at least one"),
    ErrorCase("SequentialLR: a plateau", lambda: [schedules.SequentialLR(o, [schedules.ReduceLROnPlateau(o)], []) for o in [sgd()]], TypeError, "by the epoch alone"),
    ErrorCase("SequentialLR: two optimizers", lambda: schedules.SequentialLR(sgd(), [schedules.ExponentialLR(sgd(), 0.9)], []), ValueError, "one optimizer"),
    ErrorCase("SequentialLR: too many milestones", lambda: [schedules.SequentialLR(o, [schedules.ExponentialLR(o, 0.9)], [3]) for o in [sgd()]], ValueError, "a milestone between"),
    ErrorCase("SequentialLR: a state of other schedules", lambda: [s.load_state_dict({**s.state_dict(), "schedulers": []}) for o in [sgd()] for s in [schedules.SequentialLR(o, [schedules.ExponentialLR(o, 0.9)], [])]], ValueError, "states of 1 schedules"),
    ErrorCase("ChainedScheduler: no state", lambda: schedules.ChainedScheduler([schedules.ExponentialLR(sgd(), 0.9)]).load_state_dict(3), ValueError, "ChainedScheduler.load_state_dict: expected _last_lr, schedulers, got 3"),
    ErrorCase("ChainedScheduler: no schedules", lambda: schedules.ChainedScheduler([]), ValueError, "at least one"),
    ErrorCase("ChainedScheduler: a plateau", lambda: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(sgd())]), TypeError, "by the epoch alone"),
    ErrorCase("ChainedScheduler: two optimizers", lambda: schedules.ChainedScheduler([schedules.ExponentialLR(sgd(), 0.9)], sgd()), ValueError, "one optimizer"),
]
