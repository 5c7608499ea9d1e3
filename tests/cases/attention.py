"""Rows of the attention family."""
import numpy as np

import minilayer as ml
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, out, position
from minilayer._ext import attention_reference

F = ml.functional
SIZES = [(2, 3, 3, 5, 7, 4, 6), (1, 1, 1, 1, 1, 1, 1), (2, 4, 2, 65, 130, 5, 3), (1, 2, 1, 130, 64, 16, 16),
         (0, 2, 2, 3, 3, 2, 2), (2, 2, 2, 0, 3, 2, 2), (2, 2, 2, 3, 0, 2, 2), (1, 2, 2, 3, 4, 0, 2), (1, 2, 2, 3, 4, 2, 0),
         (2, 0, 2, 3, 4, 2, 3),
         (1, 1, 1, 70, 300, 33, 17), (3, 2, 2, 9, 9, 8, 8), (1, 6, 3, 129, 257, 8, 40),
         (3, 3, 3, 5, 260, 3, 2)]       # B H G T S D E


def masks(rng, B, H, T, S, dtype):
    """None; bool, one row of it all False; float, with -inf; one number for all."""
    keep = rng.random((B, H, T, S)) < 0.6
    keep[:, :, T // 2:T // 2 + 1] = False
    added = normal(rng, (B, H, T, S), dtype)
    added[..., -1:] = -np.inf
    return None, keep, added, np.broadcast_to(np.full((1, 1, 1, 1), 0.5, dtype), (B, H, T, S))


def attention_samples(rng, dtype):
    for i, (B, H, G, T, S, D, E) in enumerate(SIZES):
        q, k, v = normal(rng, (B, H, T, D), dtype), normal(rng, (B, G, S, D), dtype), normal(rng, (B, G, S, E), dtype)
        for j, mask in enumerate(masks(rng, B, H, T, S, dtype)):
            if i > 4 and (i + j) % 2:
                continue
            p = (0.0, 0.3, 0.0, 1.0)[(i + j) % 4]
            yield ((q, k, v, mask, position(rng) if p else None, out((B, H, T, E), dtype), out((2, B, H, T), dtype)),
                   {"scale": (0.5, -0.3)[i % 2], "causal": mask is None and i % 3 != 1, "p": p})


def attention_backward_samples(rng, dtype):
    for i, (args, settings) in enumerate(attention_samples(rng, dtype)):
        if args[1].shape[2] == 1:                   # dw - delta is 0 but for rounding
            continue
        attention_reference.attention(*args, **settings)
        q, k, v, mask, place, y, stats = args
        outs = [out(x.shape, dtype) for x in (q, k, v)] + [out((*q.shape[:3], k.shape[2]), dtype)]
        yield ((normal(rng, y.shape, dtype), q, k, v, mask, place, y, stats,
                *(None if i % n == n - 1 else x for x, n in zip(outs, (3, 4, 5, 2), strict=True))), settings)


KERNELS = [
    KernelCase("attention", "attention", attention_samples, outs=(5, 6), strided=(0, 1, 2, 3), bound=256,
               scale="max"),         # (a score of 60 is off by 60 units, and its exp by as many)
    KernelCase("attention", "attention_backward", attention_backward_samples, outs=(8, 9, 10, 11),
               strided=(0, 1, 2, 3, 4, 6), bound=512, scale="max"),
    KernelCase("attention", "rotary", lambda rng, dtype: [
        ((normal(rng, (B, H, T, D), dtype), normal(rng, (T, D // 2), dtype), normal(rng, (T, D // 2), dtype),
          out((B, H, T, D), dtype)), {"interleaved": i, "inverse": j})
        for B, H, T, D in [(2, 3, 5, 6), (1, 1, 1, 2), (0, 2, 3, 4), (2, 1, 3, 0), (1, 2, 40, 66), (3, 2, 17, 64)]
        for i, j in [(False, False), (True, False), (False, True), (True, True)]], outs=(3,), strided=(0,), scale="max"),
]


def three(rng, q, k=None, v=None):
    k = q if k is None else k
    return normal(rng, q), normal(rng, k), normal(rng, k if v is None else v)


def keep(rng, shape):
    mask = rng.random(shape) < 0.6
    mask[..., 0] = True
    mask.reshape(-1, shape[-1])[0] = False          # a row that sees nothing
    return mask


OPS = [
    OpCase("scaled_dot_product_attention", F.scaled_dot_product_attention, lambda rng: [
        three(rng, (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)), three(rng, (3, 4)), three(rng, (2, 3, 4)),
        three(rng, (1, 2, 3, 4), (3, 1, 5, 4), (2, 5, 2)), three(rng, (2, 1, 2, 3, 4)), three(rng, (1, 2, 0, 3), (1, 2, 2, 3)),
        three(rng, (1, 2, 2, 3), (1, 2, 0, 3))], op="attention.Attention"),
    OpCase("scaled_dot_product_attention causal", lambda q, k, v: (
        F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7)), lambda rng: [
        three(rng, (2, 3, 5, 4)), three(rng, (1, 2, 3, 4), (1, 2, 6, 4)), three(rng, (1, 2, 6, 4), (1, 2, 3, 4))],
        op="attention.Attention"),
    OpCase("scaled_dot_product_attention masks", F.scaled_dot_product_attention, lambda rng: [
        (*three(rng, (2, 3, 5, 4)), keep(rng, (5, 5))), (*three(rng, (2, 3, 5, 4)), keep(rng, (2, 1, 1, 5))),
        (*three(rng, (2, 3, 5, 4)), normal(rng, (5, 5))), (*three(rng, (2, 3, 4, 4)), normal(rng, (3, 1, 4)))],
        op="attention.Attention"),
    OpCase("scaled_dot_product_attention groups", lambda q, k, v: (
        F.scaled_dot_product_attention(q, k, v, enable_gqa=True)), lambda rng: [
        three(rng, (2, 6, 3, 4), (2, 2, 5, 4)), three(rng, (4, 3, 4), (1, 5, 4)),
        three(rng, (2, 6, 3, 4), (2, 3, 5, 4), (2, 2, 5, 4))], op="attention.Attention"),
    OpCase("scaled_dot_product_attention dropout", lambda q, k, v: (
        F.scaled_dot_product_attention(q, k, v, dropout_p=0.4, rng=ml.Generator(3))), lambda rng: [
        three(rng, (2, 3, 5, 4)), three(rng, (1, 4), (7, 4))], op="attention.Attention"),
    *(OpCase(f"rotary interleaved={i}", lambda x, i=i: F.rotary(x, *(
        ml.Tensor(f(np.arange(x.shape[-2])[:, None] / 10 ** np.arange(x.shape[-1] // 2)).astype(str(x.dtype))).to(x.device)
        for f in (np.cos, np.sin)), interleaved=i), lambda rng: [
        (normal(rng, s),) for s in [(2, 3, 5, 4), (5, 6), (2, 0, 4), (2, 2, 1, 3, 2)]], op="attention.Rotary", second=True)
      for i in (False, True)),
]


class MultiheadAttentionOutput(ml.MultiheadAttention):
    """Its output alone, by way of the kernel."""

    def forward(self, query, key, value, key_padding_mask=None, attn_mask=None, is_causal=False):
        return super().forward(query, key, value, key_padding_mask, False, attn_mask, is_causal=is_causal)[0]


def x3(q, k=None, v=None):
    return lambda rng, dtype: tuple(normal(rng, s or q, dtype) for s in (q, k or q, v or k or q))


def padded(rng, n, s):
    mask = rng.random((n, s)) < 0.3
    mask[:, 0] = False
    return mask


LAYERS = [
    LayerCase("MultiheadAttention", lambda: ml.MultiheadAttention(6, 2, batch_first=True), x3((3, 4, 6))),
    LayerCase("MultiheadAttention sizes", lambda: ml.MultiheadAttention(
        6, 3, bias=False, kdim=5, vdim=4, batch_first=True), x3((2, 4, 6), (2, 5, 5), (2, 5, 4))),
    LayerCase("MultiheadAttention one more key", lambda: ml.MultiheadAttention(
        6, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True), x3((2, 3, 6), (2, 4, 6))),
    LayerCase("MultiheadAttention dropout", lambda: ml.MultiheadAttention(6, 2, dropout=0.3, batch_first=True),
              x3((2, 3, 6), (2, 4, 6)), random=True),
    LayerCase("MultiheadAttention unbatched", lambda: ml.MultiheadAttention(6, 2), x3((3, 6), (4, 6)), batch_axis=None),
    LayerCase("MultiheadAttention padding", lambda: ml.MultiheadAttention(6, 2, batch_first=True),
              lambda rng, dtype: (*x3((3, 4, 6))(rng, dtype), padded(rng, 3, 4))),
    LayerCase("MultiheadAttention kernel", lambda: MultiheadAttentionOutput(6, 2), x3((4, 3, 6), (5, 3, 6)),
              batch_axis=1),
    LayerCase("MultiheadAttention kernel dropout", lambda: MultiheadAttentionOutput(
        6, 2, dropout=0.3, add_bias_kv=True, batch_first=True), x3((3, 4, 6), (3, 5, 6)), random=True),
    LayerCase("MultiheadAttention kernel masks", lambda: MultiheadAttentionOutput(6, 2, batch_first=True),
              lambda rng, dtype: (*x3((3, 4, 6))(rng, dtype), padded(rng, 3, 4), normal(rng, (4, 4), dtype)),
              batch_axis=None),
    LayerCase("SinusoidalPositions", lambda: ml.SinusoidalPositions(6, 20), lambda rng, dtype: (
        normal(rng, (3, 4, 6), dtype),)),
    LayerCase("SinusoidalPositions odd", lambda: ml.SinusoidalPositions(5, 20, dropout=0.2, batch_first=False),
              lambda rng, dtype: (normal(rng, (4, 3, 5), dtype), 7), batch_axis=1, random=True),
    LayerCase("RotaryPositions", lambda: ml.RotaryPositions(6, 20), lambda rng, dtype: (
        normal(rng, (3, 2, 4, 6), dtype),)),
    LayerCase("RotaryPositions interleaved", lambda: ml.RotaryPositions(6, 20, interleaved=True), lambda rng, dtype: (
        normal(rng, (3, 2, 4, 6), dtype), 5)),
]


def sdpa(*shapes, **settings):
    return lambda: F.scaled_dot_product_attention(*(ml.ones(*s) for s in shapes), **settings)


def mha(*shapes, layer=None, **settings):
    return lambda: (layer or ml.MultiheadAttention(6, 2))(*(ml.ones(*s) for s in shapes), **settings)


def forward(*shapes, **settings):
    """multi_head_attention_forward with weights that fit 6 features and 2 heads."""
    given = dict(in_proj_weight=ml.ones(18, 6), in_proj_bias=None, bias_k=None, bias_v=None, add_zero_attn=False,
                 dropout_p=0.0, out_proj_weight=ml.ones(6, 6), out_proj_bias=None) | settings
    return lambda: F.multi_head_attention_forward(*(ml.ones(*s) for s in shapes), 6, 2, **given)


SAME = ((2, 3, 4),) * 3
SEQ = ((3, 2, 6),) * 3
S, M, P = "scaled_dot_product_attention", "MultiheadAttention", "multi_head_attention_forward"
ERRORS = [
    ErrorCase(f"{S}: a scale by position", lambda: F.scaled_dot_product_attention(*[ml.ones(2, 3)] * 3, None, 0.0, False, 1.0), TypeError,
              "positional arguments"),
    ErrorCase(f"{S}: an array", lambda: F.scaled_dot_product_attention(np.ones((2, 3)), ml.ones(2, 3), ml.ones(2, 3)),
              TypeError, "expected a tensor, got ndarray"),
    ErrorCase(f"{S}: integers", lambda: F.scaled_dot_product_attention(*[ml.ones(2, 3).long()] * 3), TypeError,
              "expected a float32 or float64 query, got int64"),
    ErrorCase(f"{S}: two dtypes", lambda: F.scaled_dot_product_attention(ml.ones(2, 3), ml.ones(2, 3).double(),
              ml.ones(2, 3)), TypeError, "of one dtype"),
    ErrorCase(f"{S}: one axis", sdpa((3,), (2, 3), (2, 3)), ValueError, r"a query of shape \(..., length, features\)"),
    ErrorCase(f"{S}: other features", sdpa((2, 3), (2, 4), (2, 4)), ValueError, "equally many features"),
    ErrorCase(f"{S}: other lengths", sdpa((2, 3), (2, 3), (4, 3)), ValueError, "expected a value for each key"),
    ErrorCase(f"{S}: other batches", sdpa((2, 3, 4), (3, 3, 4), (3, 3, 4)), ValueError, "expected shapes that broadcast"),
    ErrorCase(f"{S}: mask of integers", sdpa(*SAME, attn_mask=ml.ones(3, 3).long()), TypeError,
              "expected attn_mask of dtype bool or float32"),
    ErrorCase(f"{S}: mask of one axis", sdpa(*SAME, attn_mask=ml.ones(3)), ValueError, "attn_mask of shape"),
    ErrorCase(f"{S}: mask too large", sdpa(*SAME, attn_mask=ml.ones(5, 2, 3, 3)), ValueError,
              "expected attn_mask to broadcast to"),
    ErrorCase(f"{S}: mask of another size", sdpa(*SAME, attn_mask=ml.ones(3, 4)), ValueError, "attn_mask: expected shapes"),
    ErrorCase(f"{S}: mask and causal", sdpa(*SAME, attn_mask=ml.ones(3, 3), is_causal=True), ValueError,
              "attn_mask=None with is_causal=True"),
    ErrorCase(f"{S}: dropout above 1", sdpa(*SAME, dropout_p=1.5), ValueError, r"probability dropout_p in \[0, 1\]"),
    ErrorCase(f"{S}: dropout no number", sdpa(*SAME, dropout_p="0.1"), TypeError, "dropout_p to be a number"),
    ErrorCase(f"{S}: scale too large", sdpa(*SAME, scale=10**400), ValueError, "scale below"),
    ErrorCase(f"{S}: scale no number", sdpa(*SAME, scale="big"), TypeError, "scale to be a number"),
    ErrorCase(f"{S}: groups that do not divide", sdpa((4, 2, 3), (3, 2, 3), (3, 2, 3), enable_gqa=True), ValueError,
              "the query's 4 heads to be a multiple of the key's"),
    ErrorCase(f"{M}: heads that do not divide", lambda: ml.MultiheadAttention(6, 4), ValueError, "num_heads divides"),
    ErrorCase(f"{M}: no heads", lambda: ml.MultiheadAttention(6, 0), ValueError, "num_heads >= 1"),
    ErrorCase(f"{M}: dropout", lambda: ml.MultiheadAttention(6, 2, dropout=2), ValueError, "dropout in"),
    ErrorCase(f"{M}: other features", mha((3, 2, 5), *SEQ[1:]), ValueError, "a query of 6 features"),
    ErrorCase(f"{M}: kdim", mha(*SEQ, layer=ml.MultiheadAttention(6, 2, kdim=5)), ValueError, "a key of 5 features"),
    ErrorCase(f"{M}: ranks", mha((3, 6), *SEQ[1:]), ValueError, "all alike"),
    ErrorCase(f"{M}: batch sizes", mha((3, 2, 6), (4, 3, 6), (4, 3, 6)), ValueError, "one batch size on axis 1"),
    ErrorCase(f"{M}: keys without values", mha((3, 2, 6), (4, 2, 6), (5, 2, 6)), ValueError, "a value for each key"),
    ErrorCase(f"{M}: shape of attn_mask", mha(*SEQ, attn_mask=ml.ones(3, 4)), ValueError,
              r"attn_mask of shape \(queries, keys\) = \(3, 3\)"),
    ErrorCase(f"{M}: dtype of attn_mask", mha(*SEQ, attn_mask=ml.ones(3, 3).long()), TypeError, "attn_mask of dtype bool"),
    ErrorCase(f"{M}: shape of key_padding_mask", mha(*SEQ, key_padding_mask=ml.zeros(3, 3)), ValueError,
              r"key_padding_mask of shape \(batch, keys\) = \(2, 3\)"),
    ErrorCase(f"{M}: causal without a mask", mha(*SEQ, is_causal=True), ValueError, "is_causal=True says that attn_mask"),
    ErrorCase(f"{P}: features", forward((3, 2, 5), *SEQ[1:]), ValueError, "embed_dim_to_check"),
    *(ErrorCase(f"{P}: {heads} heads", lambda h=heads: F.multi_head_attention_forward(
        *[ml.ones(3, 2, 6)] * 3, 6, h, ml.ones(18, 6), None, None, None, False, 0.0, ml.ones(6, 6), None), error, "num_heads")
      for heads, error in ((0, ValueError), (-2, ValueError), (2.0, TypeError), (True, TypeError))),
    ErrorCase(f"{P}: no weight", forward(*SEQ, in_proj_weight=None), ValueError, "expected in_proj_weight with"),
    ErrorCase(f"{P}: no separate weights", forward(*SEQ, use_separate_proj_weight=True), ValueError, "q_, k_ and v_proj"),
    ErrorCase(f"{P}: uneven heads", lambda: F.multi_head_attention_forward(
        *[ml.ones(3, 2, 6)] * 3, 6, 4, ml.ones(18, 6), None, None, None, False, 0.0, ml.ones(6, 6), None), ValueError,
        "4 heads can share evenly"),
    ErrorCase(f"{P}: one bias", forward(*SEQ, bias_k=ml.ones(1, 1, 6)), ValueError, "both or neither"),
    ErrorCase(f"{P}: bias and static", forward(*SEQ, bias_k=ml.ones(1, 1, 6), bias_v=ml.ones(1, 1, 6),
              static_k=ml.ones(4, 3, 3)), ValueError, "cannot be added to static"),
    ErrorCase(f"{P}: static shape", forward(*SEQ, static_v=ml.ones(3, 3, 3)), ValueError, "static_v of shape"),
    ErrorCase(f"{P}: static lengths", forward(*SEQ, static_v=ml.ones(4, 5, 3)), ValueError, "as many static values"),
    *(ErrorCase(f"{name}: {what}", lambda call=call, cls=cls: call(cls), error, f"{name}: .*{match}")
      for name, cls in (("SinusoidalPositions", ml.SinusoidalPositions), ("RotaryPositions", ml.RotaryPositions))
      for what, call, error, match in (
        ("no features", lambda cls: cls(0), ValueError, ">= 1, got 0"),
        ("no places", lambda cls: cls(6, 0), ValueError, "max_len >= 1"),
        ("a base too large", lambda cls: cls(6, base=10**400), ValueError, "base to be a number above 1"),
        ("integers", lambda cls: cls(6, dtype="int64"), TypeError, "dtype float32 or float64, got int64"),
        ("an array", lambda cls: cls(6)(np.ones((3, 6))), TypeError, "expected a tensor, got ndarray"),
        ("half a start", lambda cls: cls(6)(ml.ones(2, 3, 6), 0.5), TypeError, "start to be an integer, got 0.5"),
        ("a start below 0", lambda cls: cls(6)(ml.ones(2, 3, 6), -1), ValueError, "start >= 0, got -1"))),
    ErrorCase("SinusoidalPositions: features", lambda: ml.SinusoidalPositions(6)(ml.ones(2, 3, 5)), ValueError,
              r"\(N, T, 6\)"),
    ErrorCase("SinusoidalPositions: too long", lambda: ml.SinusoidalPositions(6, 4)(ml.ones(2, 3, 6), 2), ValueError,
              "places within max_len=4"),
    ErrorCase("SinusoidalPositions: base", lambda: ml.SinusoidalPositions(6, base=0), ValueError, "a number above 1"),
    ErrorCase("rotary: integers", lambda: F.rotary(ml.ones(2, 4).long(), ml.ones(2, 2), ml.ones(2, 2)), TypeError,
              "expected a float32 or float64 input"),
    ErrorCase("rotary: odd", lambda: F.rotary(ml.ones(2, 3), ml.ones(2, 1), ml.ones(2, 1)), ValueError, "with D even"),
    ErrorCase("rotary: other lengths", lambda: F.rotary(ml.ones(2, 4), ml.ones(3, 2), ml.ones(2, 2)), ValueError,
              r"cosine of shape \(T, D/2\) = \(2, 2\)"),
    ErrorCase("rotary: a cosine to learn", lambda: F.rotary(ml.ones(2, 4), ml.ones(2, 2).requires_grad_(), ml.ones(2, 2)),
              RuntimeError, "cosine and sine that need no gradient"),
    ErrorCase("RotaryPositions: odd", lambda: ml.RotaryPositions(5), ValueError, "turn in pairs"),
    ErrorCase("RotaryPositions: features", lambda: ml.RotaryPositions(6)(ml.ones(2, 3, 4)), ValueError, r"\(..., T, 6\)"),
    ErrorCase("RotaryPositions: too long", lambda: ml.RotaryPositions(6, 4)(ml.ones(2, 5, 6)), ValueError, "max_len=4"),
    ErrorCase("KeyValueCache: capacity", lambda: ml.KeyValueCache(0), ValueError, "capacity >= 1"),
    ErrorCase("KeyValueCache: no tensor", lambda: ml.KeyValueCache(4).append(np.ones((1, 2)), ml.ones(1, 2)), TypeError,
              "expected a key tensor"),
    ErrorCase("KeyValueCache: lengths", lambda: ml.KeyValueCache(4).append(ml.ones(1, 2), ml.ones(2, 2)), ValueError,
              "as many values as keys"),
    ErrorCase("KeyValueCache: batches", lambda: ml.KeyValueCache(4).append(ml.ones(2, 1, 2), ml.ones(3, 1, 2)), ValueError,
              "of the same batch and heads"),
    ErrorCase("KeyValueCache: another batch", lambda: [c := ml.KeyValueCache(4), c.append(ml.ones(2, 1, 2), ml.ones(2, 1, 2)),
              c.append(ml.ones(1, 1, 2), ml.ones(1, 1, 2))], ValueError, r"expected shape \(2, 1, 2\) as before, got \(1, 1, 2\)"),
    ErrorCase("KeyValueCache: another dtype", lambda: [c := ml.KeyValueCache(4), c.append(ml.ones(1, 2), ml.ones(1, 2)),
              c.append(ml.ones(1, 2), ml.ones(1, 2).double())], TypeError, "float32 on cpu as before, got float64 on cpu"),
    ErrorCase("KeyValueCache: full", lambda: ml.KeyValueCache(4).append(ml.ones(5, 2), ml.ones(5, 2)), ValueError,
              r"at most 4 places, got 0 \+ 5"),
    ErrorCase("KeyValueCache: another shape", lambda: [c := ml.KeyValueCache(4), c.append(ml.ones(1, 2), ml.ones(1, 2)),
              c.append(ml.ones(1, 3), ml.ones(1, 2))], ValueError, "as before"),
]
