"""Checks of options that optimisers and schedules share."""
import numpy as np


def check_number(who, name, value, low=0.0, below=None):
    """A real number with low <= value, and value < below where that is given."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{who}: expected {name} to be a number, got {value!r}")
    if not (low <= value < float("inf") if below is None else low <= value < below):
        raise ValueError(f"{who}: expected {name} {f'of {low} or more' if below is None else f'in [{low}, {below})'}, "
                         f"got {value}")


def check_pair(who, name, value, low=0.0, below=None):
    """Two numbers, each as `check_number` wants it."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{who}: expected {name} to be a pair of numbers, got {value!r}")
    for i, number in enumerate(value):
        check_number(who, f"{name}[{i}]", number, low, below)


def check_positive(who, name, value):
    """A real number above 0."""
    check_number(who, name, value)
    if value == 0:
        raise ValueError(f"{who}: expected {name} above 0, got {value}")


def whole(who, name, value, least=1) -> int:
    """A count: an integer, not below `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{who}: expected {name} to be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{who}: expected {name} of {least} or more, got {value}")
    return int(value)


def check_implementation(who, differentiable, capturable=False, foreach=None, fused=None):
    """PyTorch's switches between its implementations. There is one here: it is fused over all parameters, and reads
    what changes from arrays, so that it can be captured. It cannot be differentiated through."""
    if differentiable:
        raise ValueError(f"{who}: differentiable=True is not supported: steps are not recorded on the tape; write the "
                         "update with tensors' own operations")
