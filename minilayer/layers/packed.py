"""Sequences of different lengths in one batch: padded, or packed.

Padded, all are filled up to the longest: (T, B, ...). Packed, the fill is left out: the rows of step 0 of all sequences,
then those of step 1 of the sequences that have one, and so on, sequences sorted by length, longest first. Recurrent
layers take both; packed, they spend nothing on the fill, and the last state is that of each sequence's own end.

    a a a a                             data         a b c a b c a b a
    b b b .   -- packed, step by step   batch_sizes  3     3     2   1
    c c . .
"""
from typing import NamedTuple

import numpy as np

from minilayer import functional as F
from minilayer.tensor import Tensor


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences packed step by step; made by pack_padded_sequence and pack_sequence.

    data              (rows, ...): the steps' rows, one step after the other
    batch_sizes       (T,) int64 on the CPU: how many rows each step has
    sorted_indices    (B,) int64: which sequence of the batch each row of a step is, None for 0, 1, 2, ...
    unsorted_indices  its inverse
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise TypeError("PackedSequence: expected data and batch_sizes, or a pair of them, got "
                                f"{type(data).__name__} alone; pack with pack_padded_sequence")
            data, batch_sizes = data
        B = _sizes("PackedSequence", data, batch_sizes)[0]
        order = _permutation("PackedSequence", "sorted_indices", sorted_indices, B)
        back = _permutation("PackedSequence", "unsorted_indices", unsorted_indices, B)
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        elif sorted_indices is not None and (order[back] != np.arange(B)).any():
            raise ValueError("PackedSequence: expected unsorted_indices to undo sorted_indices, got "
                             f"{back.tolist()} for {order.tolist()}; leave them out")
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """The same with data on another device or of another dtype."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if t is None else t.to(device=data.device) for t in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self):
        return self.to(device="cpu")

    def cuda(self):
        return self.to(device="cuda")

    def float(self):
        return self.to(dtype="float32")

    def double(self):
        return self.to(dtype="float64")

    def long(self):
        return self.to(dtype="int64")

    def int(self):
        return self.to(dtype="int32")

    @property
    def is_cuda(self):
        return self.data.device.startswith("cuda")


def invert_permutation(permutation):
    """The permutation that undoes this one: result[permutation[i]] = i. None for None.

    >>> invert_permutation(tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    if permutation is None:
        return None
    order = _permutation("invert_permutation", "permutation", permutation)
    return Tensor(np.argsort(order, kind="stable")).to(device=permutation.device)


def _permutation(name, what, x, count=None):
    """A tensor that holds each of 0 .. count-1 once (default: as many as it has), as an array; None for None."""
    if x is None:
        return None
    if not isinstance(x, Tensor) or x.dtype.kind not in "iu" or x.ndim != 1:
        raise TypeError(f"{name}: expected {what} to be a tensor of integers of one axis, got {x!r:.200}")
    array = x.cpu().numpy()
    count = len(array) if count is None else count
    if not np.array_equal(np.sort(array), np.arange(count)):
        raise ValueError(f"{name}: expected {what} with each of 0 to {count - 1} once, one a sequence, got {array.tolist()}")
    return array


def _sizes(name, data, batch_sizes):
    """A packed sequence's batch sizes as an array, after checks that they fit its data."""
    if not isinstance(data, Tensor) or not data.ndim:
        raise TypeError(f"{name}: expected data to be a tensor of shape (rows, ...), got "
                        f"{data.shape if isinstance(data, Tensor) else type(data).__name__}")
    if not isinstance(batch_sizes, Tensor) or batch_sizes.dtype.kind not in "iu" or batch_sizes.ndim != 1:
        raise TypeError(f"{name}: expected batch_sizes to be a tensor of integers of one axis, got {batch_sizes!r:.200}; make "
                        "it with tensor([...]), or pack with pack_padded_sequence")
    if batch_sizes.device != "cpu":
        raise ValueError(f"{name}: expected batch_sizes on the CPU, got them on {batch_sizes.device}")
    sizes = batch_sizes.numpy()
    if not len(sizes) or sizes[0] < 1 or sizes[-1] < 0 or (sizes[1:] > sizes[:-1]).any() or sizes.sum() != len(data):
        raise ValueError(f"{name}: expected batch_sizes that begin with the number of sequences, do not rise, and add up to "
                         f"the {len(data)} rows of data, got {sizes.tolist()}")
    return sizes


def _lengths(name, lengths, count, longest):
    """Lengths of `count` sequences as an array, each in 1 .. longest."""
    if isinstance(lengths, Tensor):
        lengths = lengths.detach().cpu().numpy()
    array = np.asarray(lengths)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected lengths to be integers, one a sequence, got {array.dtype} of shape {array.shape}")
    if len(array) != count:
        raise ValueError(f"{name}: expected {count} lengths, one a sequence, got {len(array)}")
    if count and not (1 <= array.min() and array.max() <= longest):
        raise ValueError(f"{name}: expected lengths from 1 to {longest}, the steps of the input, got {array.tolist()}")
    return array.astype(np.int64)


def _padded(name, x, batch_first):
    """x with time first, after its checks."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}")
    if x.ndim < 2:
        raise ValueError(f"{name}: expected padded sequences of shape (steps, batch, ...), got {x.shape}")
    return x.transpose(0, 1) if batch_first else x


def _places(batch_sizes):
    """(step, sequence) of every packed row."""
    starts = np.cumsum(batch_sizes) - batch_sizes
    step = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    return step, np.arange(len(step)) - starts[step]


def _filled(rows, index, padding_value):
    """rows[index], and padding where index = len(rows)."""
    if (index == len(rows)).any():
        fill = F.full((1, *rows.shape[1:]), padding_value, dtype=rows.dtype, device=rows.device)
        rows = F.cat([rows, fill])
    return rows[Tensor(index).to(device=rows.device)]


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Leave the padding out: (T, B, ...), or (B, T, ...) with batch_first, to a PackedSequence.

    lengths         of each sequence, a list or a tensor of B integers, each from 1 to T
    enforce_sorted  True: the longest sequence comes first, as it is (an error if not); False: they are sorted here, and
                    come back in their own order from recurrent layers' states and from pad_packed_sequence

    >>> packed = pack_padded_sequence(tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]]), [2, 1, 3], True, False)
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([4, 1, 3, 5, 2, 6], [3, 2, 1])
    """
    x = _padded("pack_padded_sequence", input, batch_first)
    T, B = x.shape[:2]
    if B == 0:
        raise ValueError(f"pack_padded_sequence: expected at least one sequence, got shape {input.shape}")
    lengths = _lengths("pack_padded_sequence", lengths, B, T)
    order = indices = None
    if not enforce_sorted:
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        indices = Tensor(order).to(device=x.device)
    elif (np.diff(lengths) > 0).any():
        raise ValueError(f"pack_padded_sequence: expected lengths that do not rise, got {lengths.tolist()}; sort the "
                         "sequences, longest first, or pass enforce_sorted=False")
    sizes = (lengths[None, :] > np.arange(lengths[0])[:, None]).sum(1)
    step, sequence = _places(sizes)
    if order is not None:
        sequence = order[sequence]
    rows = x.reshape(T * B, *x.shape[2:])
    return PackedSequence(rows[Tensor(step * B + sequence).to(device=x.device)], Tensor(sizes), indices)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Put the padding back: a PackedSequence to ((T, B, ...), lengths), or (B, T, ...) with batch_first.

    total_length  pads to more steps than the longest sequence has

    >>> y, lengths = pad_packed_sequence(pack_sequence([ones(3), ones(1)]), batch_first=True)
    >>> y.tolist(), lengths.tolist()
    ([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], [3, 1])
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"pad_packed_sequence: expected a PackedSequence, got {type(sequence).__name__}")
    sizes = _sizes("pad_packed_sequence", sequence.data, sequence.batch_sizes)     # (they may have been written to)
    T = len(sizes)
    if total_length is not None:
        if isinstance(total_length, bool) or not hasattr(total_length, "__index__"):
            raise TypeError(f"pad_packed_sequence: expected total_length to be an integer, got {total_length!r}")
        if total_length < T:
            raise ValueError(f"pad_packed_sequence: expected total_length of {T} or more, the longest sequence, got "
                             f"{total_length}")
        T = total_length
    lengths = (sizes[:, None] > np.arange(sizes[0])[None, :]).sum(0)
    step, place = _places(sizes)
    index = np.full((T, sizes[0]), len(step))
    index[step, place] = np.arange(len(step))
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.cpu().numpy()
        index, lengths = index[:, back], lengths[back]
    if batch_first:
        index = index.T
    return _filled(sequence.data, np.ascontiguousarray(index), padding_value), Tensor(lengths)


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stack sequences (L, ...) of different lengths, filled up to the longest: (T, B, ...), or (B, T, ...).

    >>> pad_sequence([ones(25, 300), ones(22, 300), ones(15, 300)]).shape
    (25, 3, 300)
    """
    sequences = list(sequences) if isinstance(sequences, (list, tuple, Tensor)) else sequences
    if not isinstance(sequences, list) or not sequences or not all(isinstance(s, Tensor) and s.ndim for s in sequences):
        raise TypeError(f"pad_sequence: expected a list of one or more tensors of shape (steps, ...), got {sequences!r:.200}")
    if len({s.shape[1:] for s in sequences}) > 1:
        raise ValueError("pad_sequence: expected tensors alike in all axes but the first, got shapes "
                         + ", ".join(str(s.shape) for s in sequences))
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: expected padding_side 'right' or 'left', got {padding_side!r}")
    lengths = np.array([len(s) for s in sequences])
    T, ends = lengths.max(), np.cumsum(lengths)
    index = np.full((len(sequences), T), ends[-1])
    for b, (n, end) in enumerate(zip(lengths, ends, strict=True)):
        first = T - n if padding_side == "left" else 0
        index[b, first:first + n] = np.arange(end - n, end)
    return _filled(F.cat(sequences), np.ascontiguousarray(index if batch_first else index.T), padding_value)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The sequences (L, ...) of a padded batch, as a list.

    >>> [len(s) for s in unpad_sequence(ones(3, 2), tensor([3, 1]))]
    [3, 1]
    """
    x = _padded("unpad_sequence", padded_sequences, batch_first)
    return [x[:int(n), b] for b, n in enumerate(_lengths("unpad_sequence", lengths, x.shape[1], x.shape[0]))]


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences (L, ...); see pack_padded_sequence.

    >>> pack_sequence([tensor([1, 2, 3]), tensor([4, 5]), tensor([6])]).data.tolist()
    [1, 4, 6, 2, 5, 3]
    """
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """The sequences (L, ...) of a PackedSequence, as a list.

    >>> [s.tolist() for s in unpack_sequence(pack_sequence([tensor([1, 2, 3]), tensor([4])]))]
    [[1, 2, 3], [4]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
