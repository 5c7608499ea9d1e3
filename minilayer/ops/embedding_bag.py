"""Sums, means and maxima over bags of a table's rows, without the rows in between.

The gradient is dense, and summed in the order of the indices, as embedding's is.
"""
import numpy as np

from minilayer._ext.dispatch import family
from minilayer._ext.runtime import constant
from minilayer.device import contiguous, device_of, empty, to_device
from minilayer.dtypes import int64
from minilayer.node import TensorBase, wrap
from minilayer.promotion import cast
from minilayer.tables import check_table, padding_row, refuse_sparse, renorm
from minilayer.tape import Cost, Op, apply

kernels = family("embedding")
indexing = family("indexing")


class EmbeddingBag(Op):
    """y[b, :] = sum of s[i] weight[index[i], :], or their mean or max, over the bag's i: offsets[b] <= i < offsets[b + 1]

    dweight[v, :] = sum of s[i] dy[b, :] over index[i] = v (mean: divided by the bag's size; max: to the row it came from);
    ds[i] = dy[b, :] . weight[index[i], :]. index, s (n,), offsets (B + 1,), weight (V, D), y (B, D); s None: 1. Row
    `padding_idx` counts in no bag and gets no gradient.
    """
    name = "embedding_bag"
    required = 3

    def __init__(self, mode, padding_idx, scale_grad_by_freq):
        self.mode = mode
        self.padding_idx = padding_idx
        self.scale_grad_by_freq = scale_grad_by_freq

    def forward(self, node, index, weight, offsets, scales):
        index, weight, offsets = contiguous(check_table("embedding_bag", index, weight)), contiguous(weight), contiguous(offsets)
        if scales is not None:
            if scales.dtype != weight.dtype:
                raise TypeError(f"embedding_bag: expected per_sample_weights of the weight's dtype {weight.dtype}, got "
                                f"{scales.dtype}; use .to(weight.dtype)")
            scales = contiguous(scales)
        y = empty((offsets.size - 1, weight.shape[1]), weight.dtype, weight)
        picks = empty(y.shape, int64, weight) if self.mode == "max" else None
        kernels.on(weight).embedding_bag(weight, index, offsets, scales, y, picks, mode=self.mode,
                                         padding_idx=self.padding_idx)
        node.save(index, offsets, scales, picks, weight if node.recording and node.needs(3) else None)  # only ds reads weight
        self._shape = weight.shape
        return y

    def backward(self, node, dy):
        index, offsets, scales, picks, weight = node.saved
        dy = contiguous(dy)
        dweight = dscales = None
        if node.needs(1):
            dweight, accumulate = node.gradient(1, self._shape, dy.dtype)
            kernels.on(dy).embedding_bag_backward(dy, index, offsets, scales, picks, dweight, mode=self.mode,
                                                  padding_idx=self.padding_idx, by_frequency=self.scale_grad_by_freq,
                                                  accumulate=accumulate)
        if node.needs(3):
            dscales = empty(scales.shape, dy.dtype, dy)
            kernels.on(dy).embedding_bag_backward_scales(dy, weight, index, offsets, dscales, padding_idx=self.padding_idx)
        return None, dweight, None, dscales

    def cost(self, shapes, out_shapes):
        (n,), (rows, features), (bags, _) = shapes[0], shapes[1], out_shapes[0]
        return Cost(n * features, 2 * n * features, 4 * (n + bags) * features, 4 * (2 * n + bags + rows) * features)


def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
                  per_sample_weights=None, include_last_offset=False, padding_idx=None):
    """Sums, means or maxima of the rows of `weight` that a bag of indices names, without the rows in between.

    input               int64 or int32: (B, n), bags of n, or all bags one after another, with
    offsets             (B,) the place in input where each bag begins, the first 0; with include_last_offset, B + 1 of them,
                        the last input's length
    weight              the table, (V, D)
    max_norm, norm_type, scale_grad_by_freq  as in embedding
    mode                "sum", "mean" or "max"; an empty bag gives 0
    per_sample_weights  of input's shape: what each row is multiplied with (mode "sum" only)
    padding_idx         a row that does not count, and gets no gradient
    Returns (B, D).
    """
    name = "embedding_bag"
    refuse_sparse(name, sparse)
    for what, t in (("input", input), ("weight", weight), ("offsets", offsets), ("per_sample_weights", per_sample_weights)):
        if not isinstance(t, TensorBase) and (t is not None or what in ("input", "weight")):
            raise TypeError(f"{name}: expected {what} to be a tensor, got {type(t).__name__}; make it one with "
                            "minilayer.tensor(...)")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"{name}: expected mode 'sum', 'mean' or 'max', got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(f"{name}: expected scale_grad_by_freq=False with mode 'max', whose gradient goes to single values")
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(f"{name}: per_sample_weights are for mode 'sum', got mode {mode!r}")
        if per_sample_weights.shape != input.shape:
            raise ValueError(f"{name}: expected per_sample_weights of input's shape {input.shape}, got "
                             f"{per_sample_weights.shape}")
    padding_idx = padding_row(name, padding_idx, weight)
    array, n = input.array, input.array.size
    if array.ndim == 2:
        if offsets is not None:
            raise ValueError(f"{name}: expected no offsets with an input of shape {array.shape}, which is bags of one length")
        ends = wrap(to_device(constant(np.arange(array.shape[0] + 1, dtype=np.int64) * array.shape[1]), device_of(array)))
        input = input.reshape(n)
        per_sample_weights = None if per_sample_weights is None else per_sample_weights.reshape(n)
    elif array.ndim != 1:
        raise ValueError(f"{name}: expected an input of one or two dimensions, got shape {array.shape}")
    else:
        ends = _ends(name, offsets, n, include_last_offset)
    if max_norm is not None:
        renorm(name, input, weight, max_norm, norm_type)
    op = EmbeddingBag(mode, padding_idx, bool(scale_grad_by_freq))
    return apply(op, input, weight, ends, per_sample_weights)


def _ends(name, offsets, n, include_last_offset):
    """The places where bags begin, and the last one's end."""
    if offsets is None or offsets.array.ndim != 1 or offsets.array.dtype.kind != "i":
        raise ValueError(f"{name}: expected offsets, int64 of one dimension, with an index of one, got "
                         + ("None" if offsets is None else f"{offsets.array.dtype} of shape {offsets.array.shape}"))
    if include_last_offset and not offsets.array.size:
        raise ValueError(f"{name}: expected at least one offset with include_last_offset=True, the end of the last bag")
    offsets = cast(offsets, int64)
    if include_last_offset:
        return offsets                      # the caller's tensor itself: a write to it before backward is noticed
    begins = offsets.array
    ends = empty((begins.size + 1,), int64, begins)
    indexing.on(begins).copy(begins, ends[:begins.size])
    indexing.on(begins).fill(ends[begins.size:], value=n)
    return wrap(ends)
