"""Elements combined where an index says, in NumPy: the definition.

x and v are 1-d and in C order; index (n,) is int64, v (n,), and x changes in place in the order of the index.
"""
import numpy as np


def _check(x, index, name):
    if index.size and not (index.min() >= 0 and index.max() < x.size):
        raise IndexError(f"{name}: expected indices from 0 to {x.size - 1}")


def multiply_at(x, index, v):
    """x[index[i]] *= v[i]"""
    _check(x, index, "multiply_at")
    with np.errstate(all="ignore"):
        np.multiply.at(x, index, v)


def maximum_at(x, index, v):
    """x[index[i]] = max(x[index[i]], v[i]); NaN where either is"""
    _check(x, index, "maximum_at")
    np.maximum.at(x, index, v)


def minimum_at(x, index, v):
    """x[index[i]] = min(x[index[i]], v[i]); NaN where either is"""
    _check(x, index, "minimum_at")
    np.minimum.at(x, index, v)
