"""Checks of options that optimisers and schedules share."""
import numpy as np

from minilayer.tensor import Tensor

LISTS = ("params", "param_names")   # entries of a group that are lists; options of several numbers are tuples


def check_parameters(who, group, others):
    """A group with "params" as a list of leaf tensors that are in none of the `others`, and, where they came as (name, tensor)
    pairs, their "param_names"."""
    params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    if params and all(isinstance(p, tuple) and len(p) == 2 for p in params):
        group = {**group, "param_names": [n for n, _ in params]}
        params = [p for _, p in params]
    if others and ("param_names" in group) != ("param_names" in others[0]):
        raise ValueError(f"{who}: expected names for the parameters of all groups or of none; pass named_parameters() "
                         "everywhere, or parameters()")
    known = {id(p) for g in others for p in g["params"]}
    for i, p in enumerate(params):
        if not isinstance(p, Tensor):
            raise TypeError(f"{who}: expected tensors as parameters, got {type(p).__name__} at place {i}")
        if not p.is_leaf:
            raise ValueError(f"{who}: expected leaf tensors, but parameter {i} of shape {p.shape} is the result of an operation; "
                             "its values would be computed anew in the next step")
        if p.array.dtype.kind != "f":
            raise TypeError(f"{who}: expected float32 or float64 parameters, got {p.array.dtype} at place {i}")
        if id(p) in known:
            raise ValueError(f"{who}: parameter {i} of shape {p.shape} is there twice; a step would update it twice")
        known.add(id(p))
    return {**group, "params": params}


def plain_options(who, group):
    """Bring a group's options into the form in which they are kept: lists of numbers as tuples, a tensor lr as a number."""
    group.update({k: tuple(v) for k, v in group.items() if isinstance(v, list) and k not in LISTS})
    if isinstance(group.get("lr"), Tensor):
        if group["lr"].numel() != 1:
            raise ValueError(f"{who}: expected a tensor lr of one element, got shape {group['lr'].shape}")
        group["lr"] = group["lr"].item()


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


IMPLEMENTATION = ("foreach", "fused", "capturable", "differentiable")     # PyTorch's switches between its own loops


def check_implementation(who, differentiable, foreach=None, fused=None):
    """PyTorch's switches between its implementations. There is one here: it is fused over all parameters, and reads
    what changes from arrays, so that it can be captured. It cannot be differentiated through."""
    if foreach and fused:
        raise RuntimeError(f"{who}: expected at most one of foreach and fused to be True; leave both out: there is one "
                           "implementation")
    if differentiable:
        raise ValueError(f"{who}: differentiable=True is not supported: steps are not recorded on the tape; write the "
                         "update with tensors' own operations")
