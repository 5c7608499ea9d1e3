"""Embedding: rows of a table picked by index, alone or in bags, and the sums back into the rows."""
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


def embedding_backward(dy, index, dweight, *, padding_idx=None, by_frequency=False, accumulate=False):
    """dweight[v, :] = sum of dy[i, :] over the i with index[i] = v, in rising i; row `padding_idx` gets nothing.

    by_frequency: each dy[i, :] / (how often index[i] is among the indices). dy (n, D), index int64 (n,), dweight (V, D);
    accumulate adds the same to what dweight holds.
    """
    _check("embedding_backward", index, dweight.shape[0])
    if not accumulate:
        dweight[...] = 0
    if by_frequency:
        dy = dy * _shares(index, dweight.shape[0], dy.dtype)[:, None]
    if padding_idx is not None:
        dy, index = dy[index != padding_idx], index[index != padding_idx]
    np.add.at(dweight, index, dy)


def _shares(index, rows, dtype):
    """1 / (how often the index is among the indices), of each."""
    return dtype.type(1) / np.bincount(index, minlength=rows)[index].astype(dtype)


def embedding_renorm(weight, index, *, max_norm, norm_type=2.0):
    """weight[v, :] *= max_norm / (|weight[v, :]| + 1e-7) for each v among the indices, where the norm_type-norm of the row is
    above max_norm. weight (V, D) is changed in place; index int64 (n,)."""
    _check("embedding_renorm", index, weight.shape[0])
    rows = np.unique(index)
    size = np.abs(weight[rows].astype(np.float64))
    if np.isinf(norm_type):
        length = size.max(1, initial=0)
    else:
        length = (size**norm_type).sum(1)**(1 / norm_type)
    over = length > max_norm
    weight[rows[over]] *= (max_norm / (length[over] + 1e-7)).astype(weight.dtype)[:, None]


def _bags(name, index, offsets, rows, padding_idx):
    """(the bag of each index, which indices count, how many count in each bag)"""
    _check(name, index, rows)
    if offsets[0] != 0 or offsets[-1] != index.size or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name}: expected offsets that rise from 0 to {index.size}, the number of indices, got "
                         f"{offsets.tolist()}")
    bag = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    counts = np.ones(index.size, bool) if padding_idx is None else index != padding_idx
    return bag, counts, np.bincount(bag[counts], minlength=offsets.size - 1)


def embedding_bag(weight, index, offsets, scales, y, picks, *, mode, padding_idx=None):
    """y[b, :] = sum (mode "sum"), mean or max of weight[index[i], :] over the bag's i, offsets[b] <= i < offsets[b + 1];
    a bag of none gives 0. Indices equal to padding_idx do not count.

    weight (V, D), index int64 (n,), offsets int64 (B + 1,) from 0 to n, scales (n,) or None: what each row is multiplied
    with; y (B, D); picks int64 (B, D), for mode "max" (else None): the row each maximum came from, the first of equal
    ones, -1 in a bag of none.
    """
    bag, counts, sizes = _bags("embedding_bag", index, offsets, weight.shape[0], padding_idx)
    y[...] = 0
    if mode == "max":
        picks[...] = -1
        for b in range(offsets.size - 1):
            rows = index[offsets[b]:offsets[b + 1]]
            rows = rows[counts[offsets[b]:offsets[b + 1]]]
            if rows.size:
                picks[b] = rows[weight[rows].argmax(0)]
                y[b] = weight[rows].max(0)
        return
    values = weight[index[counts]]
    if scales is not None:
        values = values * scales[counts][:, None]
    np.add.at(y, bag[counts], values)
    if mode == "mean":
        y /= np.maximum(sizes, 1).astype(y.dtype)[:, None]


def embedding_bag_backward(dy, index, offsets, scales, picks, dweight, *, mode, padding_idx=None, by_frequency=False,
                           accumulate=False):
    """dweight[v, :] = sum of f dy[b, :] over the i with index[i] = v, b the bag of i, in rising i: f = scales[i], or 1,
    divided by the bag's size (mode "mean") and by how often v is among the indices (by_frequency). Mode "max":
    dweight[picks[b, d], d] = sum of dy[b, d]. Row `padding_idx` gets nothing.

    dy (B, D), dweight (V, D); accumulate adds the same to what dweight holds.
    """
    bag, counts, sizes = _bags("embedding_bag_backward", index, offsets, dweight.shape[0], padding_idx)
    if not accumulate:
        dweight[...] = 0
    if mode == "max":
        b, d = np.nonzero(picks >= 0)
        np.add.at(dweight, (picks[b, d], d), dy[b, d])
        return
    f = np.ones(index.size, dy.dtype) if scales is None else scales
    if by_frequency:
        f = f * _shares(index, dweight.shape[0], dy.dtype)
    if mode == "mean":
        f = f / np.maximum(sizes, 1).astype(dy.dtype)[bag]
    np.add.at(dweight, index[counts], f[counts][:, None] * dy[bag[counts]])


def embedding_bag_backward_scales(dy, weight, index, offsets, dscales, *, padding_idx=None):
    """dscales[i] = dy[b, :] . weight[index[i], :], b the bag of i; 0 where index[i] is padding_idx."""
    bag, counts, _ = _bags("embedding_bag_backward_scales", index, offsets, weight.shape[0], padding_idx)
    dscales[...] = (dy[bag].astype(np.float64) * weight[index]).sum(1)
    dscales[~counts] = 0
