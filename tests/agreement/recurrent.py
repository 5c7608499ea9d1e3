"""Rows of the recurrent family."""
from agreement.row import Row

SIZES = dict(input_size=[3, 20], hidden_size=[4, 17], num_layers=[1, 2], bias=[True, False], batch_first=[False, True],
             dropout=[0.0, 1.0], bidirectional=[False, True])
PROJECTED = SIZES | dict(hidden_size=[5, 17], proj_size=[0, 4])


def valid(o):
    return o.get("num_layers", 1) > 1 or not o.get("dropout")          # PyTorch warns that it does nothing


def states(rng, o, B, gates):
    """The initial states: h, and for an LSTM (gates = 4) c."""
    first = o["num_layers"] * (1 + o["bidirectional"])
    widths = [o.get("proj_size") or o["hidden_size"], o["hidden_size"]][:2 if gates == 4 else 1]
    return [rng.standard_normal((first, *([] if B is None else [B]), width)) for width in widths]


def sequence(B, T=5, gates=0):
    """x, and with `gates` the initial states; B None for a single sequence."""
    def inputs(rng, o):
        shape = (T,) if B is None else (B, T) if o["batch_first"] else (T, B)
        x = rng.standard_normal((*shape, o["input_size"]))
        return (x, *states(rng, o, B, gates)) if gates else (x,)
    return inputs


def with_states(layer, inputs, o):
    x, *hx = inputs
    return layer(x, hx[0] if len(hx) == 1 else tuple(hx))


def utilities(layer):
    """The library's nn.utils.rnn, the layer being one of its own."""
    import importlib
    return importlib.import_module(f"{type(layer).__module__.partition('.')[0]}.nn.utils.rnn")


def packed(lengths, enforce_sorted):
    def call(layer, inputs, o):
        rnn = utilities(layer)
        x, *hx = inputs
        x = rnn.pack_padded_sequence(x, lengths, o["batch_first"], enforce_sorted)
        y, end = layer(x, *([hx[0] if len(hx) == 1 else tuple(hx)] if hx else []))
        return rnn.pad_packed_sequence(y, o["batch_first"], total_length=6), end
    return call


def rows(name, options, gates):
    known = {"dropout": "tried above", "num_layers": "tried above"}
    single = {"batch_first": "a single sequence has no batch"}
    fewer = {n: v for n, v in options.items() if n not in known}
    with_layers = fewer | dict(num_layers=[2])
    return [
        Row(name, options=options, inputs=sequence(3), valid=valid),
        Row(name, options=options, inputs=sequence(2, gates=gates), call=with_states, valid=valid),
        Row(name, options=with_layers, inputs=sequence(None), only=known, inert=single),
        Row(name, options=with_layers, inputs=sequence(None, gates=gates), call=with_states, only=known, inert=single),
        Row(name, options=with_layers, inputs=sequence(4), call=packed([5, 3, 3, 1], True), only=known),
        Row(name, options=with_layers, inputs=sequence(4, gates=gates), call=packed([2, 5, 1, 4], False), only=known),
    ]


def cell(inputs_of):
    return lambda rng, o: inputs_of(rng, o["input_size"], o["hidden_size"])


def pair(layer, inputs, o):
    return layer(inputs[0], (inputs[1], inputs[2]))


CELL = dict(input_size=[3, 20], hidden_size=[4, 17], bias=[True, False])


def cells(name, options, count):
    call = pair if count == 2 else None
    return [
        Row(name, options=options, inputs=cell(lambda rng, n, h: (rng.standard_normal((3, n)),))),
        Row(name, options=options, inputs=cell(lambda rng, n, h: (rng.standard_normal((3, n)), *(
            rng.standard_normal((3, h)) for _ in range(count)))), call=call),
        Row(name, options=options, inputs=cell(lambda rng, n, h: (rng.standard_normal(n), *(
            rng.standard_normal(h) for _ in range(count)))), call=call),
    ]


ROWS = [
    *rows("RNN", SIZES | dict(nonlinearity=["tanh", "relu"]), 1),
    *rows("LSTM", PROJECTED, 4),
    *rows("GRU", SIZES, 3),
    *cells("RNNCell", CELL | dict(nonlinearity=["tanh", "relu"]), 1),
    *cells("LSTMCell", CELL, 2),
    *cells("GRUCell", CELL, 1),
]
