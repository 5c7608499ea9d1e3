"""Rows of the recurrent family: whole sequences, packed ones, and cells."""
import numpy as np

import minilayer as ml
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, out
from minilayer.layers.packed import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpad_sequence,
)
from minilayer.ops.recurrent import gru, lstm, rnn

# ---- kernels ----

SIZES = [([3, 3], 5, False), ([3, 2, 2, 1], 7, False), ([4, 2, 1], 3, True), ([1], 1, True), ([0, 0], 4, False),
         ([30, 17], 34, False), ([2, 2], 67, True), ([2], 400, False)]


def sequences(rng, dtype):
    """(batch sizes, B, N, H, reverse, normal, scaled weights, given): the last says whether what may be None is."""
    for given, (sizes, H, reverse) in enumerate(SIZES):
        sizes = np.array(sizes)
        yield (sizes, int(sizes[0]), int(sizes.sum()), H, reverse, lambda *shape: normal(rng, shape, dtype),
               lambda *shape: (normal(rng, shape, "float64") / np.sqrt(shape[-1])).astype(dtype), given % 2 == 0)


def rnn_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, w, given in sequences(rng, dtype):
        for relu in (False, True):
            yield ((sizes, x(B, H) if given else None, w(H, H), x(H) if given else None, x(N, H), out((B, H), dtype)),
                   {"relu": relu, "reverse": reverse})


def rnn_backward_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, w, given in sequences(rng, dtype):
        for relu in (False, True):
            yield ((x(N, H) if given else None, x(B, H) if not given else None, sizes, w(H, H), np.tanh(x(N, H)),
                    out((N, H), dtype), out((B, H), dtype)), {"relu": relu, "reverse": reverse})


def lstm_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, w, given in sequences(rng, dtype):
        for P in (H, max(1, H // 2)):
            projected = P != H
            yield ((sizes, x(B, P) if given else None, x(B, H) if given else None, w(4 * H, P), x(4 * H) if given else None,
                    w(P, H) if projected else None, x(N, 4 * H), out((N, H), dtype),
                    out((N, H), dtype) if projected else None, out((N, P), dtype), out((B, P), dtype), out((B, H), dtype)),
                   {"reverse": reverse})


def lstm_backward_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, w, given in sequences(rng, dtype):
        for P in (H, max(1, H // 2)):
            projected = P != H
            yield ((x(N, P) if given else None, x(B, P) if not given else None, x(B, H) if given else None, sizes,
                    x(B, H) if given else None, w(4 * H, P), w(P, H) if projected else None,
                    np.abs(np.tanh(x(N, 4 * H))), x(N, H), out((N, 4 * H), dtype), out((N, P), dtype) if projected else None,
                    out((B, P), dtype), out((B, H), dtype)), {"reverse": reverse})


def gru_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, w, given in sequences(rng, dtype):
        yield ((sizes, x(B, H) if given else None, w(3 * H, H), x(3 * H) if given else None, x(N, 3 * H),
                out((N, H), dtype), out((N, H), dtype), out((B, H), dtype)), {"reverse": reverse})


def gru_backward_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, w, given in sequences(rng, dtype):
        yield ((x(N, H) if given else None, x(B, H) if not given else None, sizes, x(B, H) if given else None, w(3 * H, H),
                np.abs(np.tanh(x(N, 3 * H))), x(N, H), np.tanh(x(N, H)), out((N, 3 * H), dtype), out((N, H), dtype),
                out((B, H), dtype)), {"reverse": reverse})


def previous_samples(rng, dtype):
    for sizes, B, N, H, reverse, x, _, given in sequences(rng, dtype):
        yield (sizes, x(B, H) if given else None, x(N, H), out((N, H), dtype)), {"reverse": reverse}


KERNELS = [
    KernelCase("recurrent", "previous", previous_samples, outs=(3,), bound=0),
    KernelCase("recurrent", "rnn", rnn_samples, outs=(5,), inouts=(4,), bound=32, scale="max"),
    KernelCase("recurrent", "rnn_backward", rnn_backward_samples, outs=(5, 6), bound=32, scale="max"),
    KernelCase("recurrent", "lstm", lstm_samples, outs=(7, 8, 9, 10, 11), inouts=(6,), bound=32, scale="max"),
    KernelCase("recurrent", "lstm_backward", lstm_backward_samples, outs=(9, 10, 11, 12), bound=128, scale="max"),
    KernelCase("recurrent", "gru", gru_samples, outs=(5, 6, 7), inouts=(4,), bound=32, scale="max"),
    KernelCase("recurrent", "gru_backward", gru_backward_samples, outs=(8, 9, 10), bound=32, scale="max"),
]

# ---- ops ----


def op_samples(gates, cell=False, P=None):
    """Equally long sequences, and packed ones, which the call tells by the axes of x."""
    def samples(rng):
        for x, B, H, bias, state in (((2, 3, 2), 3, 3, True, True), ((6, 2), 3, 2, True, True), ((3, 2, 4), 2, 1, False, False),
                                     ((6, 1), 3, 4, False, False)):
            features = P or H
            if P and P >= H:
                continue
            states = [normal(rng, (B, features)) if state else None]
            if cell:
                states.append(normal(rng, (B, H)) if state else None)
            biases = [normal(rng, (gates * H,)) if bias else None for _ in range(2)]
            yield (normal(rng, x), *states, normal(rng, (gates * H, x[-1])), normal(rng, (gates * H, features)), *biases,
                   *([normal(rng, (P, H))] if P else []))
    return samples


def packing(x):
    return {} if x.ndim == 3 else {"batch_sizes": ml.tensor([3, 2, 1])}


def both_ways(function, **settings):
    """Forwards and in reverse, each with its own outputs."""
    def call(x, *others):
        return tuple([y for reverse in (False, True)
                      for y in function(x, *others, **packing(x), **settings, reverse=reverse)])
    return call


OPS = [
    OpCase("rnn", both_ways(rnn), op_samples(1), op="recurrent.Rnn"),
    OpCase("rnn relu", both_ways(rnn, relu=True), op_samples(1), op="recurrent.Rnn"),
    OpCase("lstm", both_ways(lstm), op_samples(4, cell=True), op="recurrent.Lstm"),
    OpCase("lstm projected", both_ways(lstm), op_samples(4, cell=True, P=2), op="recurrent.Lstm"),
    OpCase("gru", both_ways(gru), op_samples(3), op="recurrent.Gru"),
    OpCase("pack and pad", lambda x: pad_packed_sequence(pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False),
                                                         padding_value=0.5, total_length=5)[0],
           lambda rng: [(normal(rng, (4, 3, 2)),)], op="indexing.Take", second=True),
]

# ---- layers ----


class PackedLSTM(ml.LSTM):
    """An LSTM that packs its input first: sequences of lengths 2, 4, 1."""

    def forward(self, x):
        packed = pack_padded_sequence(x, [2, 4, 1][:x.shape[1]], enforce_sorted=False)
        y, states = super().forward(packed)
        return pad_packed_sequence(y, total_length=4)[0], states


def steps(*shape):
    return lambda rng, dtype: (normal(rng, shape, dtype),)


def from_state(rng, dtype):
    return normal(rng, (3, 2, 4), dtype), normal(rng, (2, 2, 5), dtype)


LAYERS = [
    LayerCase("RNNBase", lambda: ml.RNNBase("RNN_RELU", 4, 3), steps(3, 2, 4), batch_axis=1),
    LayerCase("RNN", lambda: ml.RNN(4, 5), steps(3, 2, 4), batch_axis=1),
    LayerCase("RNN deep", lambda: ml.RNN(4, 3, 2, "relu", bidirectional=True), steps(3, 2, 4), batch_axis=1),
    LayerCase("LSTM", lambda: ml.LSTM(4, 5), steps(3, 2, 4), batch_axis=1),
    LayerCase("LSTM deep", lambda: ml.LSTM(2, 3, 2, bidirectional=True), steps(3, 2, 2), batch_axis=1),
    LayerCase("LSTM projected", lambda: ml.LSTM(4, 5, bias=False, proj_size=2), steps(3, 2, 4), batch_axis=1),
    LayerCase("LSTM batch first", lambda: ml.LSTM(4, 3, batch_first=True), steps(2, 3, 4), batch_axis=None),
    LayerCase("LSTM single", lambda: ml.LSTM(4, 3), steps(3, 4), batch_axis=None),
    LayerCase("LSTM dropout", lambda: ml.LSTM(4, 3, 2, dropout=0.5), steps(3, 2, 4), batch_axis=1, random=True),
    LayerCase("PackedLSTM", lambda: PackedLSTM(3, 2, bidirectional=True), steps(4, 3, 3), batch_axis=None),
    LayerCase("GRU", lambda: ml.GRU(4, 5), steps(3, 2, 4), batch_axis=1),
    LayerCase("GRU from a state", lambda: ml.GRU(4, 5, 2), from_state, batch_axis=1),
    LayerCase("RNNCell", lambda: ml.RNNCell(4, 5), steps(2, 4)),
    LayerCase("RNNCell relu", lambda: ml.RNNCell(4, 5, False, "relu"), steps(2, 4)),
    LayerCase("LSTMCell", lambda: ml.LSTMCell(4, 5), steps(2, 4)),
    LayerCase("GRUCell", lambda: ml.GRUCell(4, 5), steps(2, 4)),
    LayerCase("GRUCell single", lambda: ml.GRUCell(4, 5, bias=False), steps(4), batch_axis=None),
]

# ---- misuse ----

X = ml.ones(3, 2, 4)
PACKED = pack_sequence([ml.ones(3, 4), ml.ones(2, 4)])


def weights(gates, H=5, features=4):
    return ml.ones(gates * H, features), ml.ones(gates * H, H)


ERRORS = [
    *(ErrorCase(f"{name}: {what}", call, error, match) for name, make, call_of, gates in (
        ("rnn", rnn, lambda x, *w, **k: rnn(x, None, *w, **k), 1), ("gru", gru, lambda x, *w, **k: gru(x, None, *w, **k), 3),
        ("lstm", lstm, lambda x, *w, **k: lstm(x, None, None, *w, **k), 4))
      for what, call, error, match in (
        ("integers", lambda f=call_of, g=gates: f(X.long(), *weights(g)), TypeError, f"{name}: expected a float32"),
        ("an array", lambda f=call_of, g=gates: f(np.ones((3, 2, 4)), *weights(g)), TypeError, "expected tensors"),
        ("two axes without batch sizes", lambda f=call_of, g=gates: f(ml.ones(3, 4), *weights(g)), ValueError,
         f"{name}: expected an input of shape \\(steps, batch, features\\)"),
        ("no steps", lambda f=call_of, g=gates: f(ml.ones(0, 2, 4), *weights(g)), ValueError, "at least one step"),
        ("no weights", lambda f=call_of: f(X, None, None), (TypeError, ValueError)[1], "expected weights w_ih and w_hh"),
        ("other features", lambda f=call_of, g=gates: f(X, *weights(g, features=3)), ValueError, "expected w_ih of shape"),
        ("batch sizes in a list", lambda f=call_of, g=gates: f(ml.ones(3, 4), *weights(g), batch_sizes=[2, 1]), TypeError,
         "batch_sizes to be an int64 tensor"),
        ("batch sizes that rise", lambda f=call_of, g=gates: f(ml.ones(3, 4), *weights(g), batch_sizes=ml.tensor([1, 2])),
         ValueError, "batch_sizes that do not rise"))),
    ErrorCase("lstm: a cell state of other features",
              lambda: lstm(X, None, ml.ones(2, 4), *weights(4)), ValueError, r"expected c0 of shape \(2, 5\)"),

    *(ErrorCase(f"{name}: {what}", call, error, match) for name, cls in (("RNN", ml.RNN), ("LSTM", ml.LSTM), ("GRU", ml.GRU))
      for what, call, error, match in (
        ("no features", lambda c=cls: c(0, 5), ValueError, f"{name}: expected input_size >= 1, got 0"),
        ("half a layer", lambda c=cls: c(4, 5, 0.5), TypeError, "expected num_layers to be an integer"),
        ("bias of another type", lambda c=cls: c(4, 5, bias=1), TypeError, "expected bias to be True or False, got 1"),
        ("dropout beyond 1", lambda c=cls: c(4, 5, 2, dropout=1.5), ValueError, r"expected dropout in \[0, 1\]"),
        ("an array", lambda c=cls: c(4, 5)(np.ones((3, 2, 4))), TypeError, "a tensor or a PackedSequence, got ndarray"),
        ("four axes", lambda c=cls: c(4, 5)(ml.ones(1, 3, 2, 4)), ValueError, r"\(steps, batch, features\) or \(steps, f"),
        ("other features", lambda c=cls: c(3, 5)(X), ValueError, f"{name}: expected input_size=3 features"),
        ("another dtype", lambda c=cls: c(4, 5)(X.double()), TypeError, "weights' dtype float32, got float64; convert"),
        ("no steps", lambda c=cls: c(4, 5)(ml.ones(0, 2, 4)), ValueError, f"{name}: expected at least one step"))),
    ErrorCase("RNN: another nonlinearity", lambda: ml.RNN(4, 5, nonlinearity="gelu"), ValueError, "'tanh' or 'relu', got"),
    ErrorCase("RNN: state of another batch", lambda: ml.RNN(4, 5)(X, ml.ones(1, 3, 5)), ValueError,
              r"RNN: expected an initial h of shape \(1, 2, 5\)"),
    ErrorCase("GRU: state as an array", lambda: ml.GRU(4, 5)(X, np.ones((1, 2, 5))), TypeError, "initial h to be a tensor"),
    ErrorCase("GRU: unbatched state of a batch", lambda: ml.GRU(4, 5)(ml.ones(3, 4), ml.ones(1, 1, 5)), ValueError,
              r"expected an initial h of shape \(1, 5\)"),
    ErrorCase("LSTM: one state alone", lambda: ml.LSTM(4, 5)(X, ml.ones(1, 2, 5)), TypeError, r"as a pair \(h, c\)"),
    ErrorCase("LSTM: a projection to more", lambda: ml.LSTM(4, 5, proj_size=5), ValueError, "proj_size below hidden_size=5"),
    ErrorCase("LSTM: packed sequences of other features", lambda: ml.LSTM(3, 5)(PACKED), ValueError, "input_size=3 features"),
    ErrorCase("LSTM: packed images", lambda: ml.LSTM(4, 5)(pack_sequence([ml.ones(3, 2, 4)])), ValueError,
              "LSTM: expected an input of shape"),
    ErrorCase("LSTM: c of another size", lambda: ml.LSTM(4, 5)(X, (ml.ones(1, 2, 5), ml.ones(1, 2, 4))), ValueError,
              r"expected an initial c of shape \(1, 2, 5\)"),
    *[ErrorCase(f"{name}: a projection", lambda name=name: getattr(ml, name)(4, 5, proj_size=2), ValueError,
                f"{name}: expected proj_size=0, which only LSTM has, got 2") for name in ("RNN", "GRU")],
    ErrorCase("RNNBase: an unknown mode", lambda: ml.RNNBase("QRNN", 4, 5), ValueError, "mode to be one of LSTM, GRU"),
    ErrorCase("RNNBase: a projection without an LSTM", lambda: ml.RNNBase("GRU", 4, 5, proj_size=2), ValueError,
              "expected proj_size=0, which only LSTM has"),
    ErrorCase("RNNBase: no hidden units", lambda: ml.RNNBase("GRU", 4, 0), ValueError, "expected hidden_size >= 1"),

    *(ErrorCase(f"{name}: {what}", call, error, match) for name, cls in (
        ("RNNCell", ml.RNNCell), ("LSTMCell", ml.LSTMCell), ("GRUCell", ml.GRUCell))
      for what, call, error, match in (
        ("an array", lambda c=cls: c(4, 5)(np.ones((2, 4))), TypeError, f"{name}: expected a tensor, got ndarray"),
        ("three axes", lambda c=cls: c(4, 5)(X), ValueError, r"\(batch, 4\) or \(4,\), got \(3, 2, 4\)"),
        ("another dtype", lambda c=cls: c(4, 5)(ml.ones(2, 4).double()), TypeError, "weights' dtype float32"),
        ("bias of another type", lambda c=cls: c(4, 5, None), TypeError, "expected bias to be True or False"))),
    ErrorCase("RNNCell: another nonlinearity", lambda: ml.RNNCell(4, 5, True, "gelu"), ValueError, "'tanh' or 'relu'"),
    ErrorCase("GRUCell: state of another batch", lambda: ml.GRUCell(4, 5)(ml.ones(2, 4), ml.ones(3, 5)), ValueError,
              r"expected a state of shape \(2, 5\)"),
    ErrorCase("GRUCell: state as a list", lambda: ml.GRUCell(4, 5)(ml.ones(2, 4), [0.0] * 5), TypeError, "got list"),
    ErrorCase("LSTMCell: one state alone", lambda: ml.LSTMCell(4, 5)(ml.ones(2, 4), ml.ones(2, 5)), TypeError, "a pair"),
    ErrorCase("RNNCellBase: no gates", lambda: ml.RNNCellBase(4, 5, True, 0), ValueError, "expected num_chunks >= 1"),
    ErrorCase("RNNCellBase: no features", lambda: ml.RNNCellBase(0, 5, True, 1), ValueError, "expected input_size >= 1"),
    ErrorCase("RNNCellBase: bias of another type", lambda: ml.RNNCellBase(4, 5, 1, 1), TypeError, "True or False, got 1"),

    ErrorCase("PackedSequence: data alone", lambda: PackedSequence(ml.ones(3)), TypeError, "data and batch_sizes"),
    ErrorCase("PackedSequence: batch sizes elsewhere",
              lambda: PackedSequence(ml.ones(3), ml.tensor([2, 1]).to("standin")), ValueError, "batch_sizes on the CPU"),
    *(ErrorCase(f"PackedSequence: {what}", lambda a=arguments: PackedSequence(*a), error, f"PackedSequence: .*{match}")
      for what, arguments, error, match in (
        ("no data", (None, ml.tensor([2, 1])), TypeError, "data to be a tensor of shape"),
        ("one number as data", (ml.tensor(1.0), ml.tensor([1])), TypeError, "data to be a tensor of shape"),
        ("batch sizes as a list", (ml.ones(3), [2, 1]), TypeError, r"batch_sizes to be a tensor of integers .* got \[2, 1\]"),
        ("batch sizes of two axes", (ml.ones(3), ml.tensor([[2, 1]])), TypeError, "batch_sizes to be a tensor of integers"),
        ("half batch sizes", (ml.ones(3), ml.tensor([1.5, 1.5])), TypeError, "batch_sizes to be a tensor of integers"),
        ("batch sizes that rise", (ml.ones(3), ml.tensor([1, 2])), ValueError, r"do not rise.* got \[1, 2\]"),
        ("batch sizes of other data", (ml.ones(3), ml.tensor([2, 2])), ValueError, "add up to the 3 rows"),
        ("an order as a list", (ml.ones(3), ml.tensor([2, 1]), [0, 1]), TypeError, "sorted_indices to be a tensor of integers"),
        ("half an order", (ml.ones(3), ml.tensor([2, 1]), ml.tensor([0.0, 1.0])), TypeError, "sorted_indices to be a tensor"),
        ("an order with one twice", (ml.ones(3), ml.tensor([2, 1]), ml.tensor([0, 0])), ValueError, "each of 0 to 1 once"),
        ("an order of fewer", (ml.ones(3), ml.tensor([2, 1]), ml.tensor([0])), ValueError, "each of 0 to 1 once"),
        ("an order from the end", (ml.ones(3), ml.tensor([2, 1]), ml.tensor([0, -1])), ValueError, "each of 0 to 1 once"),
        ("a way back out of bounds", (ml.ones(3), ml.tensor([2, 1]), None, ml.tensor([1, 2])), ValueError, "unsorted_indices"),
        ("another way back", (ml.ones(3), ml.tensor([2, 1]), ml.tensor([1, 0]), ml.tensor([0, 1])), ValueError,
         "unsorted_indices to undo sorted_indices"))),
    ErrorCase("invert_permutation: no permutation", lambda: invert_permutation(ml.tensor([0, 2])), ValueError,
              r"permutation with each of 0 to 1 once, .* got \[0, 2\]"),
    ErrorCase("pack_padded_sequence: an array", lambda: pack_padded_sequence(np.ones((3, 2)), [3, 1]), TypeError, "a tensor"),
    ErrorCase("pack_padded_sequence: one axis", lambda: pack_padded_sequence(ml.ones(3), [3]), ValueError, "padded sequences"),
    ErrorCase("pack_padded_sequence: no sequence", lambda: pack_padded_sequence(ml.ones(3, 0), []), ValueError,
              "at least one sequence"),
    ErrorCase("pack_padded_sequence: a length too many", lambda: pack_padded_sequence(ml.ones(3, 2), [3, 2, 1]), ValueError,
              "expected 2 lengths, one a sequence, got 3"),
    ErrorCase("pack_padded_sequence: longer than the input", lambda: pack_padded_sequence(ml.ones(3, 2), [4, 1]), ValueError,
              r"lengths from 1 to 3, the steps of the input, got \[4, 1\]"),
    ErrorCase("pack_padded_sequence: an empty sequence", lambda: pack_padded_sequence(ml.ones(3, 2), [3, 0]), ValueError,
              "lengths from 1 to 3"),
    ErrorCase("pack_padded_sequence: unsorted", lambda: pack_padded_sequence(ml.ones(3, 2), [1, 3]), ValueError,
              "pass enforce_sorted=False"),
    ErrorCase("pack_padded_sequence: half lengths", lambda: pack_padded_sequence(ml.ones(3, 2), [2.5, 1]), TypeError,
              "lengths to be integers"),
    ErrorCase("pad_packed_sequence: a tensor", lambda: pad_packed_sequence(X), TypeError, "a PackedSequence, got Tensor"),
    ErrorCase("pad_packed_sequence: too short", lambda: pad_packed_sequence(PACKED, total_length=2), ValueError,
              "total_length of 3 or more"),
    ErrorCase("pad_sequence: no sequences", lambda: pad_sequence([]), TypeError, "a list of one or more tensors"),
    ErrorCase("pad_sequence: other features", lambda: pad_sequence([ml.ones(3, 2), ml.ones(3, 4)]), ValueError,
              "alike in all axes but the first"),
    ErrorCase("pad_sequence: on no side", lambda: pad_sequence([ml.ones(3)], padding_side="top"), ValueError, "'right' or"),
    ErrorCase("unpad_sequence: one length", lambda: unpad_sequence(ml.ones(3, 2), [3]), ValueError, "expected 2 lengths"),
]
