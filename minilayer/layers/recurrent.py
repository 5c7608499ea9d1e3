"""Recurrent layers, which read a sequence step by step and carry a state along: RNN, LSTM, GRU, and their cells."""
import math
import warnings

from minilayer import functional as F
from minilayer.init import uniform_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.packed import PackedSequence
from minilayer.layers.settings import positive_int, probability
from minilayer.ops.recurrent import gru, lstm, rnn
from minilayer.tensor import Tensor

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _flag(layer, name, value):
    if not isinstance(value, bool):
        raise TypeError(f"{layer}: expected {name} to be True or False, got {value!r}")
    return value


class RNNBase(Layer):
    """What RNN, LSTM and GRU share: layers on top of each other, each in one direction or both, and their states.

    Shapes: x (T, B, I), batch_first (B, T, I), without B a single sequence, or a PackedSequence
        -> y (T, B, D P) alike, h_n (L D, B, P), where L = num_layers, D = 2 if bidirectional, else 1, P = hidden_size or
        proj_size; states in the order layer 0 forwards, layer 0 backwards, layer 1 forwards, ..., batch second also with
        batch_first.
        weight_ih_l{k} (G H, I or D P), weight_hh_l{k} (G H, P), bias_ih_l{k}, bias_hh_l{k} (G H,), with G gates;
        `_reverse` at the end of a name for the second direction; weight_hr_l{k} (P, H) with proj_size.
    Starting values: all from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).
    Arguments: `mode` "LSTM", "GRU", "RNN_TANH" or "RNN_RELU"; `dropout` between layers, on all outputs but the last
        layer's; `bias=False` leaves both biases out; `proj_size` (LSTM) multiplies the state down to so many features.

    >>> RNNBase("GRU", 10, 20).weight_ih_l0.shape
    (60, 10)
    """

    def __init__(self, mode, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, proj_size=0, device=None, dtype=None, rng=None):
        super().__init__()
        name = type(self).__name__
        if mode not in GATES:
            raise ValueError(f"{name}: expected mode to be one of {', '.join(GATES)}, got {mode!r}")
        self.mode = mode
        self.input_size = positive_int(name, "input_size", input_size)
        self.hidden_size = positive_int(name, "hidden_size", hidden_size)
        self.num_layers = positive_int(name, "num_layers", num_layers)
        self.bias = _flag(name, "bias", bias)
        self.batch_first = _flag(name, "batch_first", batch_first)
        self.dropout = float(probability(name, "dropout", dropout))
        self.bidirectional = _flag(name, "bidirectional", bidirectional)
        self.proj_size = positive_int(name, "proj_size", proj_size, zero=True)
        self.rng = rng
        if self.proj_size and mode != "LSTM":
            raise ValueError(f"{name}: expected proj_size=0, which only LSTM has, got {proj_size}")
        if self.proj_size >= self.hidden_size:
            raise ValueError(f"{name}: expected proj_size below hidden_size={hidden_size}, got {proj_size}")
        if self.dropout and self.num_layers == 1:
            warnings.warn(f"{name}: dropout={dropout} does nothing with num_layers=1; it acts between layers", stacklevel=3)
        G, P = GATES[mode] * self.hidden_size, self.proj_size or self.hidden_size
        directions = ("", "_reverse") if self.bidirectional else ("",)
        self._names = []                            # of each layer's and direction's parameters
        for k in range(self.num_layers):
            features = self.input_size if k == 0 else P * len(directions)
            for suffix in directions:
                shapes = {"weight_ih": (G, features), "weight_hh": (G, P)}
                if self.bias:
                    shapes |= {"bias_ih": (G,), "bias_hh": (G,)}
                if self.proj_size:
                    shapes["weight_hr"] = P, self.hidden_size
                self._names.append({key: f"{key}_l{k}{suffix}" for key in shapes})
                for key, shape in shapes.items():
                    self.register_parameter(f"{key}_l{k}{suffix}", Parameter(F.empty(*shape, dtype=dtype)))
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p, -bound, bound, rng)

    @property
    def all_weights(self):
        """The parameters of each layer and direction, as a list of lists."""
        return [[getattr(self, name) for name in names.values()] for names in self._names]

    def flatten_parameters(self):
        """Does nothing: PyTorch lays the weights out for cuDNN here."""

    def forward(self, input, hx=None):
        name = type(self).__name__
        packed = input if isinstance(input, PackedSequence) else None
        sizes = None
        if packed is not None:
            input, sizes = packed.data, packed.batch_sizes
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: expected a tensor or a PackedSequence, got {type(input).__name__}")
        if input.ndim != 2 and (packed is not None or input.ndim != 3):
            raise ValueError(f"{name}: expected an input of shape ({'batch, steps' if self.batch_first else 'steps, batch'}, "
                             f"features) or (steps, features), got {input.shape}")
        if input.shape[-1] != self.input_size:
            raise ValueError(f"{name}: expected input_size={self.input_size} features on the last axis, got shape {input.shape}")
        if input.dtype != self.weight_ih_l0.dtype:
            raise TypeError(f"{name}: expected an input of the weights' dtype {self.weight_ih_l0.dtype}, got {input.dtype}; "
                            "convert one of them with .to(...)")
        single = packed is None and input.ndim == 2
        if single:
            input = input.unsqueeze(1)
        elif self.batch_first and packed is None:
            input = input.transpose(0, 1)                                       # (T, B, I)
        if not input.shape[0]:
            raise ValueError(f"{name}: expected at least one step, got an input of shape {input.shape}")
        B = input.shape[1] if packed is None else int(sizes[0])
        states = self._states(name, hx, B, single, None if packed is None else packed.sorted_indices)
        last = [[] for _ in states]
        for k in range(self.num_layers):
            outs = []
            for reverse in range(1 + self.bidirectional):
                i = len(last[0])
                y, *ends = self._one(i, input, [None if s is None else s[i] for s in states], sizes, bool(reverse))
                outs.append(y)
                for ended, end in zip(last, ends, strict=True):
                    ended.append(end)
            input = F.cat(outs, -1) if self.bidirectional else outs[0]      # (T, B, D P)
            if self.dropout and k < self.num_layers - 1:
                input = F.dropout(input, self.dropout, self.training, rng=self.rng)
        ends = [ended[0].unsqueeze(0) if len(ended) == 1 else F.stack(ended) for ended in last]     # (L D, B, P)
        if packed is not None:
            input = packed._replace(data=input)
            if packed.unsorted_indices is not None:
                ends = [end[:, packed.unsorted_indices] for end in ends]
        elif single:
            input, ends = input.squeeze(1), [end.squeeze(1) for end in ends]
        elif self.batch_first:
            input = input.transpose(0, 1)
        return input, tuple(ends) if self.mode == "LSTM" else ends[0]

    def _states(self, name, hx, B, single, order):
        """The initial states, h and for an LSTM c, each (L D, B, features) or None."""
        widths = {"h": self.proj_size or self.hidden_size}
        if self.mode == "LSTM":
            widths["c"] = self.hidden_size
        if hx is None:
            return [None] * len(widths)
        if self.mode != "LSTM":
            hx = (hx,)
        elif not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise TypeError(f"{name}: expected the initial states as a pair (h, c), got {type(hx).__name__}")
        states = []
        for (what, width), state in zip(widths.items(), hx, strict=True):
            shape = (self.num_layers * (1 + self.bidirectional), *(() if single else (B,)), width)
            if not isinstance(state, Tensor):
                raise TypeError(f"{name}: expected the initial {what} to be a tensor, got {type(state).__name__}")
            if state.shape != shape or state.dtype != self.weight_ih_l0.dtype:
                raise ValueError(f"{name}: expected an initial {what} of shape {shape} and dtype {self.weight_ih_l0.dtype}, "
                                 f"got {state.shape} and {state.dtype}; its first axis is layers times directions, the "
                                 "second the batch, also with batch_first")
            states.append(state.unsqueeze(1) if single else state if order is None else state[:, order])
        return states

    def _one(self, i, x, states, sizes, reverse):
        """Layer and direction number i over a whole sequence."""
        w = {key: getattr(self, path) for key, path in self._names[i].items()}
        weights = w["weight_ih"], w["weight_hh"], w.get("bias_ih"), w.get("bias_hh")
        if self.mode == "LSTM":
            return lstm(x, *states, *weights, w.get("weight_hr"), batch_sizes=sizes, reverse=reverse)
        if self.mode == "GRU":
            return gru(x, *states, *weights, batch_sizes=sizes, reverse=reverse)
        return rnn(x, *states, *weights, relu=self.mode == "RNN_RELU", batch_sizes=sizes, reverse=reverse)

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0),
                              ("bidirectional", False)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


class RNN(RNNBase):
    """The plain recurrent layer: the state is one dense layer of the input and of the state before.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu in place of tanh

    Shapes: x (T, B, I) -> y (T, B, D H), h_n (L D, B, H); all forms, weights, starting values and arguments as in RNNBase,
        with G = 1.
    Arguments: `nonlinearity` "tanh" or "relu".
    Paper: Elman, Finding structure in time, 1990.

    >>> y, h = RNN(10, 20, num_layers=2)(ones(5, 3, 10))
    >>> y.shape, h.shape
    ((5, 3, 20), (2, 3, 20))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, device=None, dtype=None, rng=None, *, proj_size=0):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: expected nonlinearity to be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, proj_size, device, dtype, rng)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory: a cell that gates let values into, keep them in, and let them out of.

    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, four blocks in this order
    c_t = f c_(t-1) + i g,  h_t = o tanh(c_t), with proj_size h_t = W_hr (o tanh(c_t))

    Shapes: x (T, B, I) -> y (T, B, D P), (h_n (L D, B, P), c_n (L D, B, H)); all forms, weights, starting values and
        arguments as in RNNBase, with G = 4. The initial states are a pair (h_0, c_0).
    Paper: Hochreiter and Schmidhuber, Long short-term memory, 1997.

    >>> y, (h, c) = LSTM(10, 20, bidirectional=True)(ones(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    ((5, 3, 40), (2, 3, 20), (2, 3, 20))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 proj_size=0, device=None, dtype=None, rng=None):
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
                         device, dtype, rng)


class GRU(RNNBase):
    """Gated recurrent unit: the new state lies between the old one and a fresh one, as far as a gate says.

    r, z = sigmoid of W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, the first two of three blocks, and with the third
    n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn)),  h_t = (1 - z) n + z h_(t-1)

    Shapes: x (T, B, I) -> y (T, B, D H), h_n (L D, B, H); all forms, weights, starting values and arguments as in RNNBase,
        with G = 3.
    Paper: Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine translation, 2014.

    >>> y, h = GRU(10, 20, batch_first=True)(ones(3, 5, 10))
    >>> y.shape, h.shape
    ((3, 5, 20), (1, 3, 20))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 device=None, dtype=None, rng=None, *, proj_size=0):
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
                         device, dtype, rng)


class RNNCellBase(Layer):
    """What the cells share: one step of a recurrent layer.

    Shapes: x (B, I) or (I,), state (B, H) or (H,) -> state; weight_ih (G H, I), weight_hh (G H, H), bias_ih, bias_hh (G H,).
    Starting values: all from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).
    Arguments: `num_chunks`, the number G of gates.

    >>> RNNCellBase(10, 20, True, 3).weight_hh.shape
    (60, 20)
    """

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None, rng=None):
        super().__init__()
        name = type(self).__name__
        self.input_size = positive_int(name, "input_size", input_size)
        self.hidden_size = positive_int(name, "hidden_size", hidden_size)
        self.bias = _flag(name, "bias", bias)
        G = positive_int(name, "num_chunks", num_chunks) * self.hidden_size
        self.weight_ih = Parameter(F.empty(G, self.input_size, dtype=dtype))
        self.weight_hh = Parameter(F.empty(G, self.hidden_size, dtype=dtype))
        for key in ("bias_ih", "bias_hh"):
            self.register_parameter(key, Parameter(F.empty(G, dtype=dtype)) if self.bias else None)
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            uniform_(p, -bound, bound, rng)

    def _step(self, function, x, states, **settings):
        """The states after one step, with x and them as a sequence of length 1."""
        name = type(self).__name__
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}")
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"{name}: expected an input of shape (batch, {self.input_size}) or ({self.input_size},), got "
                             f"{x.shape}")
        if x.dtype != self.weight_ih.dtype:
            raise TypeError(f"{name}: expected an input of the weights' dtype {self.weight_ih.dtype}, got {x.dtype}; "
                            "convert one of them with .to(...)")
        shape = (*x.shape[:-1], self.hidden_size)
        for state in states:
            if state is not None and not isinstance(state, Tensor):
                raise TypeError(f"{name}: expected a state to be a tensor, got {type(state).__name__}")
            if state is not None and (state.shape != shape or state.dtype != x.dtype):
                raise ValueError(f"{name}: expected a state of shape {shape} and dtype {x.dtype} for an input of shape "
                                 f"{x.shape}, got {state.shape} and {state.dtype}")
        single = x.ndim == 1
        if single:
            x, states = x.unsqueeze(0), [None if s is None else s.unsqueeze(0) for s in states]
        _, *after = function(x.unsqueeze(0), *states, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, **settings)
        return [s.squeeze(0) for s in after] if single else after

    def extra_repr(self):
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of RNN.

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu in place of tanh

    Shapes: x (B, I) or (I,), h (B, H) or (H,), zeros where it is None -> h'; weights as in RNNCellBase, with G = 1.
    Starting values: all from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).
    Arguments: `nonlinearity` "tanh" or "relu"; `bias=False` leaves both biases out.
    Paper: Elman, Finding structure in time, 1990.

    >>> RNNCell(10, 20)(ones(3, 10)).shape
    (3, 20)
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None, rng=None):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: expected nonlinearity to be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype, rng)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        return self._step(rnn, input, [hx], relu=self.nonlinearity == "relu")[0]

    def extra_repr(self):
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of LSTM.

    i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_ih x + b_ih + W_hh h + b_hh;  c' = f c + i g,  h' = o tanh(c')

    Shapes: x (B, I) or (I,), (h, c) each (B, H) or (H,), zeros where None -> (h', c'); weights as in RNNCellBase, with
        G = 4.
    Starting values: all from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).
    Arguments: `bias=False` leaves both biases out.
    Paper: Hochreiter and Schmidhuber, Long short-term memory, 1997.

    >>> h, c = LSTMCell(10, 20)(ones(3, 10))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None, rng=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype, rng)

    def forward(self, input, hx=None):
        if hx is None:
            hx = None, None
        elif not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise TypeError(f"LSTMCell: expected the states as a pair (h, c), got {type(hx).__name__}")
        return tuple(self._step(lstm, input, list(hx)))


class GRUCell(RNNCellBase):
    """One step of GRU.

    r, z = sigmoid of W_ih x + b_ih + W_hh h + b_hh, n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h' = (1 - z) n + z h

    Shapes: x (B, I) or (I,), h (B, H) or (H,), zeros where it is None -> h'; weights as in RNNCellBase, with G = 3.
    Starting values: all from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size)).
    Arguments: `bias=False` leaves both biases out.
    Paper: Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine translation, 2014.

    >>> GRUCell(10, 20)(ones(3, 10)).shape
    (3, 20)
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None, rng=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype, rng)

    def forward(self, input, hx=None):
        return self._step(gru, input, [hx])[0]
