"""Agreement of the transformer layers."""
import warnings

import numpy as np

from agreement.row import Each, Row

warnings.filterwarnings("ignore", message="enable_nested_tensor is True", module="torch")     # why it takes the slow path
N, T, S = 6, 16, 14
BLOCKED = np.triu(np.ones((T, T), bool), 1)
FAR = np.where(BLOCKED, -np.inf, 0.0)
PADDING = np.arange(T) >= np.array([[T], [3], [T - 1], [9], [T], [7]])
TANH = Each(lambda lib: lib.root.tanh, "tanh")
LAYER = dict(d_model=[32, 48], nhead=[2, 4], dim_feedforward=[40, 64], dropout=[0.0, 1.0], activation=["relu", "gelu", TANH],
             layer_norm_eps=[1e-5, 0.1], batch_first=[False, True], norm_first=[False, True], bias=[True, False])


def sequence(rng, o, length):
    size = o.get("d_model", 32)
    return rng.standard_normal((N, length, size) if o.get("batch_first") else (length, N, size))


def one(rng, o):
    return (sequence(rng, o, T),)


def two(rng, o):
    return sequence(rng, o, T), sequence(rng, o, S)


def encoder_of(kind, **settings):
    """A stack's layer, each library's own."""
    return Each(lambda lib: getattr(lib.nn, kind)(32, 4, 48, 0.0, **settings), f"{kind}({settings})")


def norm_of(lib):
    return lib.nn.LayerNorm(32)


def masked_rows(name, options, make, mask_name, padding_name, **more):
    """Rows in which forward gets masks under these names."""
    def call(layer, inputs, o):
        *sequences, mask, padding = inputs
        return layer(*sequences, **{mask_name: mask, padding_name: padding})
    return [Row(name, options=options, inputs=lambda rng, o, masks=masks: (*make(rng, o), *masks), call=call, modes=("train",),
                **more)
            for masks in ((BLOCKED, None), (None, PADDING), (FAR, None), (BLOCKED, PADDING))]


FAST = dict.fromkeys(["enable_nested_tensor", "mask_check"], "chooses PyTorch's fast path of padded batches, outside training")
STACK = dict(num_layers=[1, 2], norm=[None, Each(norm_of, "LayerNorm(32)")])
ENCODER = dict(encoder_layer=[encoder_of("TransformerEncoderLayer", activation="gelu"),
                              encoder_of("TransformerEncoderLayer", norm_first=True, activation="gelu")],
               enable_nested_tensor=[True, False], mask_check=[True, False], **STACK)
DECODER = dict(decoder_layer=[encoder_of("TransformerDecoderLayer", activation="gelu"),
                              encoder_of("TransformerDecoderLayer", norm_first=True, activation="gelu")], **STACK)


ROWS = [
    Row("TransformerEncoderLayer", options=LAYER, inputs=one, samples=2),
    *masked_rows("TransformerEncoderLayer", LAYER, one, "src_mask", "src_key_padding_mask"),
    Row("TransformerDecoderLayer", options=LAYER, inputs=two, samples=2),
    *masked_rows("TransformerDecoderLayer", LAYER, two, "tgt_mask", "tgt_key_padding_mask"),
    Row("TransformerEncoder", options=ENCODER, inputs=one, inert=FAST),
    *masked_rows("TransformerEncoder", ENCODER, one, "mask", "src_key_padding_mask", inert=FAST),
    Row("TransformerDecoder", options=DECODER, inputs=two),
    *masked_rows("TransformerDecoder", DECODER, two, "tgt_mask", "tgt_key_padding_mask"),
    Row("Transformer", options=LAYER | dict(num_encoder_layers=[1, 2], num_decoder_layers=[2, 1]), inputs=two,
        only={"custom_encoder": "tried below", "custom_decoder": "tried below"}),
    Row("Transformer", options=dict(
        custom_encoder=[None, Each(lambda lib: lib.nn.TransformerEncoder(lib.nn.TransformerEncoderLayer(32, 1, 20, 0.0), 1), "own")],
        custom_decoder=[None, Each(lambda lib: lib.nn.TransformerDecoder(lib.nn.TransformerDecoderLayer(32, 1, 20, 0.0), 1), "own")],
        d_model=[32], nhead=[2], num_encoder_layers=[1], num_decoder_layers=[1], dim_feedforward=[40], dropout=[0.0]),
        inputs=two, only=dict.fromkeys(["d_model", "nhead", "num_encoder_layers", "num_decoder_layers", "dim_feedforward",
                                        "dropout", "activation", "layer_norm_eps", "batch_first", "norm_first", "bias"],
                                       "tried above")),
    *masked_rows("Transformer", LAYER | dict(num_encoder_layers=[1], num_decoder_layers=[1]),
                 lambda rng, o: two(rng, o)[::-1], "tgt_mask", "tgt_key_padding_mask",
                 only=dict.fromkeys(["num_encoder_layers", "num_decoder_layers", "custom_encoder", "custom_decoder"],
                                    "tried above")),
]
