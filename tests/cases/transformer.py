"""Rows of the transformer layers."""
import minilayer as ml
from cases.base import ErrorCase, LayerCase, normal

F = ml.functional


def sequence(*shapes):
    return lambda rng, dtype: tuple(normal(rng, s, dtype) for s in shapes)


def padding(rng, n, t):
    mask = rng.random((n, t)) < 0.3
    mask[:, 0] = False
    return mask


SMALL = dict(dim_feedforward=5, dropout=0.0, activation="gelu")      # (relu has kinks)
LAYERS = [
    LayerCase("TransformerEncoderLayer", lambda: ml.TransformerEncoderLayer(6, 2, **SMALL), sequence((4, 3, 6)),
              batch_axis=1),
    LayerCase("TransformerEncoderLayer norm first", lambda: ml.TransformerEncoderLayer(
        6, 2, 5, 0.0, F.tanh, norm_first=True, batch_first=True, bias=False), sequence((3, 4, 6))),
    LayerCase("TransformerEncoderLayer dropout", lambda: ml.TransformerEncoderLayer(
        6, 2, 5, 0.3, ml.GELU(), batch_first=True), sequence((2, 4, 6)), random=True),
    LayerCase("TransformerEncoderLayer padding", lambda: ml.TransformerEncoderLayer(6, 2, batch_first=True, **SMALL),
              lambda rng, dtype: (normal(rng, (3, 4, 6), dtype), None, padding(rng, 3, 4))),
    LayerCase("TransformerEncoderLayer unbatched", lambda: ml.TransformerEncoderLayer(6, 2, **SMALL), sequence((4, 6)),
              batch_axis=None),
    LayerCase("TransformerDecoderLayer", lambda: ml.TransformerDecoderLayer(6, 2, **SMALL),
              sequence((4, 3, 6), (5, 3, 6)), batch_axis=1),
    LayerCase("TransformerDecoderLayer norm first", lambda: ml.TransformerDecoderLayer(
        6, 2, norm_first=True, batch_first=True, bias=False, **SMALL), sequence((3, 4, 6), (3, 5, 6))),
    LayerCase("TransformerDecoderLayer dropout", lambda: ml.TransformerDecoderLayer(6, 3, 5, 0.3, "gelu", batch_first=True),
              sequence((2, 3, 6), (2, 4, 6)), random=True),
    LayerCase("TransformerEncoder", lambda: ml.TransformerEncoder(
        ml.TransformerEncoderLayer(6, 2, batch_first=True, **SMALL), 2, ml.LayerNorm(6)), sequence((3, 4, 6))),
    LayerCase("TransformerEncoder causal", lambda: ml.TransformerEncoder(ml.TransformerEncoderLayer(6, 2, **SMALL), 2),
              lambda rng, dtype: (normal(rng, (4, 2, 6), dtype),
                                  ml.Transformer.generate_square_subsequent_mask(4).numpy() < 0),
              batch_axis=None),
    LayerCase("TransformerDecoder", lambda: ml.TransformerDecoder(
        ml.TransformerDecoderLayer(6, 2, batch_first=True, **SMALL), 2, ml.LayerNorm(6)), sequence((2, 4, 6), (2, 3, 6))),
    LayerCase("Transformer", lambda: ml.Transformer(6, 2, 1, 2, batch_first=True, **SMALL),
              sequence((2, 3, 6), (2, 4, 6))),
    LayerCase("Transformer custom", lambda: ml.Transformer(6, 2, 1, 1, norm_first=True, bias=False, custom_encoder=(
        ml.TransformerEncoder(ml.TransformerEncoderLayer(6, 1, **SMALL), 1)), **SMALL), sequence((3, 2, 6), (4, 2, 6)),
        batch_axis=1),
]


def run(make, *shapes, **settings):
    return lambda: make()(*(ml.ones(*s) for s in shapes), **settings)


def encoder_layer(**settings):
    return ml.TransformerEncoderLayer(6, 2, 5, **settings)


def decoder_layer(**settings):
    return ml.TransformerDecoderLayer(6, 2, 5, **settings)


def transformer(**settings):
    return ml.Transformer(6, 2, 1, 1, 5, **settings)


ERRORS = [
    ErrorCase("TransformerEncoderLayer: activation", lambda: encoder_layer(activation="selu"), ValueError,
              "TransformerEncoderLayer: expected activation 'relu', 'gelu'"),
    ErrorCase("TransformerEncoderLayer: no activation", lambda: encoder_layer(activation=3), TypeError, "got 3"),
    ErrorCase("TransformerEncoderLayer: heads", lambda: ml.TransformerEncoderLayer(6, 4), ValueError, "num_heads divides"),
    ErrorCase("TransformerEncoderLayer: features", run(encoder_layer, (3, 2, 5)), ValueError, "a query of 6 features"),
    ErrorCase("TransformerEncoderLayer: mask", run(encoder_layer, (3, 2, 6), src_mask=ml.ones(2, 2)), ValueError,
              "attn_mask of shape"),
    ErrorCase("TransformerDecoderLayer: activation", lambda: decoder_layer(activation="selu"), ValueError,
              "TransformerDecoderLayer: expected activation"),
    ErrorCase("TransformerDecoderLayer: memory", run(decoder_layer, (3, 2, 6), (3, 4, 6)), ValueError, "one batch size"),
    ErrorCase("TransformerDecoderLayer: mask", run(decoder_layer, (3, 2, 6), (4, 2, 6), memory_mask=ml.ones(4, 3)),
              ValueError, r"attn_mask of shape \(queries, keys\) = \(3, 4\)"),
    ErrorCase("TransformerEncoder: no layer", lambda: ml.TransformerEncoder(3, 2), TypeError, "expected a layer to copy"),
    ErrorCase("TransformerEncoder: count", lambda: ml.TransformerEncoder(encoder_layer(), -1), ValueError, "num_layers >= 0"),
    ErrorCase("TransformerEncoder: mask", run(lambda: ml.TransformerEncoder(encoder_layer(), 1), (3, 2, 6),
              mask=ml.ones(3, 3).long()), TypeError, "attn_mask of dtype bool"),
    ErrorCase("TransformerDecoder: no layer", lambda: ml.TransformerDecoder("x", 2), TypeError, "expected a layer to copy"),
    ErrorCase("TransformerDecoder: count", lambda: ml.TransformerDecoder(decoder_layer(), 1.5), TypeError, "an integer"),
    ErrorCase("TransformerDecoder: causal", run(lambda: ml.TransformerDecoder(decoder_layer(), 1), (3, 2, 6), (3, 2, 6),
              memory_is_causal=True), ValueError, "needs one"),
    *(ErrorCase(f"{name}: {what}", call, TypeError, match) for name, made, inputs in (
        ("TransformerEncoder", lambda n=None: ml.TransformerEncoder(encoder_layer(), 1, n), 1),
        ("TransformerDecoder", lambda n=None: ml.TransformerDecoder(decoder_layer(), 1, n), 2))
      for what, call, match in (
        ("no norm", lambda m=made: m(3), f"{name}: expected norm to be a layer or None, got 3"),
        ("a list", lambda m=made, n=inputs: m()(*[[1.0]] * n), "expected a tensor, got list"),
        ("a list as mask", lambda m=made, n=inputs: m()(*[ml.ones(3, 2, 6)] * n, [1.0]), "attn_mask: expected a tensor"))),
    ErrorCase("TransformerEncoder: one number", run(lambda: ml.TransformerEncoder(encoder_layer(), 1), ()), ValueError,
              "a query of 6 features"),
    ErrorCase("Transformer: a list", lambda: transformer()([1.0], ml.ones(3, 2, 6)), TypeError, "src to be a tensor, got list"),
    ErrorCase("Transformer: features", run(transformer, (3, 2, 5), (3, 2, 6)), ValueError, "d_model=6 features"),
    ErrorCase("Transformer: batches", run(transformer, (3, 2, 6), (3, 4, 6)), ValueError, "one batch size on axis 1"),
    ErrorCase("Transformer: heads", lambda: ml.Transformer(6, 4), ValueError, "num_heads divides"),
    ErrorCase("generate_square_subsequent_mask: size", lambda: ml.Transformer.generate_square_subsequent_mask(-1),
              ValueError, "sz >= 0"),
]
