"""Embedding: rows of a table picked by index, and the sum back into the rows."""
import numpy as np


def _check(name, index, rows):
    bad = (index < 0) | (index >= rows)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise IndexError(f"{name}: expected indices in [0, {rows}), the rows of the table, "
                         f"got {index[i]} at position {i}")


def embedding(weight, index, y):
    """y[i, :] = weight[index[i], :].  weight (V, D), index int64 (n,), y (n, D). IndexError outside [0, V)."""
    _check("embedding", index, weight.shape[0])
    y[...] = weight[index]


def embedding_backward(dy, index, dweight, *, padding_idx=None, accumulate=False):
    """dweight[v, :] = sum of dy[i, :] over the i with index[i] = v, in rising i; row `padding_idx` gets nothing.

    dy (n, D), index int64 (n,), dweight (V, D); accumulate adds the same to what dweight holds.
    """
    _check("embedding_backward", index, dweight.shape[0])
    if not accumulate:
        dweight[...] = 0
    if padding_idx is not None:
        dy, index = dy[index != padding_idx], index[index != padding_idx]
    np.add.at(dweight, index, dy)
