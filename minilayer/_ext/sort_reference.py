"""Order: sorting, the k largest, and places in sorted rows, in NumPy: the definition.

x is (outer, n, inner) in C order and is sorted along the middle axis. Equal elements stay in their order; NaN is above
every number, and -0 equals 0. Indices are int64.
"""
import numpy as np


def _order(x, descending):
    """The stable order of each line of x along axis 1."""
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    if not descending:
        return np.argsort(x, 1, kind="stable")          # (NumPy puts NaN last)
    n = x.shape[1]                                      # backwards twice: equal ones keep their order
    return (n - 1 - np.argsort(x[:, ::-1], 1, kind="stable"))[:, ::-1]


def sort(x, y, index, *, descending=False):
    """y = x sorted, y_i = x[index_i]"""
    order = _order(x, descending)
    index[...] = order
    y[...] = np.take_along_axis(x, order, 1)


def topk(x, y, index, *, largest=True):
    """y (outer, k, inner) = the k largest (or smallest) of x, the first of equal ones, in falling (rising) order"""
    order = _order(x, largest)[:, :y.shape[1]]
    index[...] = order
    y[...] = np.take_along_axis(x, order, 1)


def searchsorted(rows, values, index, *, right=False):
    """index[r, i] = where values[r, i] belongs in the sorted rows[r]: before the elements not below it, or with `right`
    behind those not above it. rows (R, n) or (1, n), shared by all; values and index (R, m). A NaN is above all."""
    for r in range(len(values)):
        index[r] = np.searchsorted(rows[r if len(rows) > 1 else 0], values[r], "right" if right else "left")
