"""Checks that layers make on their settings, with errors that finish the sentence."""


def positive_int(layer, name, value, zero=False):
    """`value` as an int >= 1 (>= 0 with `zero`)."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{layer}: expected {name} to be an integer, got {value!r}")
    value = value.__index__()
    if value < (0 if zero else 1):
        raise ValueError(f"{layer}: expected {name} >= {0 if zero else 1}, got {value}")
    return value


def sizes(layer, name, value, axes, minimum):
    """`value`, an integer or one for each of 1 to 3 axes, as a tuple of so many, each >= minimum."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        what = ("one in a tuple", "a pair (height, width)", "three (depth, height, width)")[axes - 1]
        raise ValueError(f"{layer}: expected {name} to be an integer or {what}, got {value!r}")
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{layer}: expected {name} to be integers, got {value!r}")
        if v.__index__() < minimum:
            raise ValueError(f"{layer}: expected {name} >= {minimum}, got {value!r}")
    return tuple(v.__index__() for v in values)


def probability(layer, name, value):
    """`value` as a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{layer}: expected {name} to be a number, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{layer}: expected {name} in [0, 1], got {value}")
    return value


def number(layer, name, value):
    """`value` as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{layer}: expected {name} to be a number, got {value!r}")
    return float(value)
