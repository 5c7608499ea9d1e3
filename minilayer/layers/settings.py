"""Checks that layers make on their settings, with errors that finish the sentence."""
import sys
from operator import ge, gt, lt

import numpy as np


def positive_int(layer, name, value, zero=False):
    """`value` as an int >= 1 (>= 0 with `zero`)."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{layer}: expected {name} to be an integer, got {value!r}")
    value = value.__index__()
    if value < (0 if zero else 1):
        raise ValueError(f"{layer}: expected {name} >= {0 if zero else 1}, got {value}")
    return value


def integers(layer, name, value, count, words, least=None):
    """`value`, an integer or `count` of them, as a tuple of so many, each >= least; `words` say what the many are."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * count
    if len(values) != count:
        raise ValueError(f"{layer}: expected {name} to be an integer or {words}, got {value!r}")
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{layer}: expected {name} to be integers, got {value!r}")
        if least is not None and v.__index__() < least:
            raise ValueError(f"{layer}: expected {name} >= {least}, got {value!r}")
    return tuple(v.__index__() for v in values)


def sizes(layer, name, value, axes, minimum):
    """`value`, an integer or one for each of 1 to 3 axes, as a tuple of so many, each >= minimum."""
    words = ("one in a tuple", "a pair (height, width)", "three (depth, height, width)")[axes - 1]
    return integers(layer, name, value, axes, words, minimum)


def number(layer, name, value, least=None, above=None, below=None):
    """`value` as it was given (NumPy's numbers as Python's), with least <= value, above < value and value < below."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{layer}: expected {name} to be a number, got {value!r}")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError(f"{layer}: expected {name} below 1.8e308, the largest float, got a larger number")
    for bound, fits, words in ((least, ge, "of {} or more"), (above, gt, "above {}"), (below, lt, "below {}")):
        if bound is not None and not fits(value, bound):
            raise ValueError(f"{layer}: expected {name} {words.format(bound)}, got {value}")
    return value


def probability(layer, name, value):
    """`value` as `number` gives it, in [0, 1]."""
    value = number(layer, name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{layer}: expected {name} in [0, 1], got {value}")
    return value
