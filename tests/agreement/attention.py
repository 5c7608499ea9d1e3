"""Agreement of the attention family."""
import numpy as np

from agreement.row import Row

RNG = np.random.default_rng(4)
KEEP = RNG.random((4, 6)) < 0.6
KEEP[:, 0] = True
KEEP[2] = False                                     # a query that may attend to nothing
FAR = RNG.standard_normal((2, 1, 4, 6))
FAR[0, 0, 1] = -np.inf
BLOCKED = RNG.random((4, 6)) < 0.4
BLOCKED[:, 0] = False
PADDING = RNG.random((3, 6)) < 0.4
PADDING[:, 0] = False


def attention_inputs(rng, o):
    heads = 2 if o["enable_gqa"] else 4
    return (rng.standard_normal((2, 4, 4, 8)), rng.standard_normal((2, heads, 6, 8)), rng.standard_normal((2, heads, 6, 5)))


def gives(options):
    """What forward is given beside query, key and value."""
    return {n: options[n] for n in ("need_weights", "average_attn_weights", "is_causal") if n in options}


def multihead_inputs(rng, o):
    N, T, S = 3, 4, 6
    E, kdim, vdim = o["embed_dim"], o["kdim"] or o["embed_dim"], o["vdim"] or o["embed_dim"]

    def sequence(length, size):
        return rng.standard_normal((N, length, size) if o["batch_first"] else (length, N, size))
    return sequence(T, E), sequence(S, kdim), sequence(S, vdim)


MULTIHEAD = dict(embed_dim=[8, 12], num_heads=[2, 4], dropout=[0.0, 1.0], bias=[True, False], add_bias_kv=[False, True],
                 add_zero_attn=[False, True], kdim=[None, 5], vdim=[None, 7], batch_first=[False, True])


def called(**settings):
    return lambda layer, inputs, o: layer(*inputs, **settings)


def with_masks(kind, **settings):
    """Masks of one kind: "bool" or "float"; two- or three-dimensional; the heads' own."""
    def call(layer, inputs, o):
        query, key, value, attn, padding = inputs
        return layer(query, key, value, key_padding_mask=padding, attn_mask=attn, **settings)
    return call


def masked_inputs(kind, per_head):
    def inputs(rng, o):
        attn = np.repeat(BLOCKED[None], 3 * o["num_heads"], 0) if per_head else BLOCKED
        if per_head:
            attn = attn & (rng.random(attn.shape) < 0.6)
        padding = PADDING
        if kind == "float":
            attn, padding = rng.standard_normal(attn.shape), rng.standard_normal(PADDING.shape)
        return *multihead_inputs(rng, o), attn, padding
    return inputs


def self_attention(layer, inputs, o):
    x, mask = inputs
    return layer(x, x, x, attn_mask=mask, need_weights=False, is_causal=True)


def causal_inputs(rng, o):
    return multihead_inputs(rng, o | dict(kdim=None, vdim=None))[0], np.triu(np.ones((4, 4), bool), 1)


SMALLER = {n: MULTIHEAD[n] for n in MULTIHEAD if n != "dropout"}
FORWARD = dict(num_heads=[2, 4], add_zero_attn=[False, True], dropout_p=[0.0, 1.0], training=[True, False],
               need_weights=[True, False], average_attn_weights=[True, False], is_causal=[False, True],
               use_separate_proj_weight=[False, True], bias=[True, False], bias_kv=[False, True], static=[False, True],
               key_padding_mask=[None, PADDING], attn_mask=[None, BLOCKED])


def forward_inputs(rng, o):
    E, H, N = 8, o["num_heads"], 3
    arrays = [rng.standard_normal(s) for s in ((4, N, E), (6, N, E), (6, N, E), (3 * E, E), (3 * E,), (1, 1, E), (1, 1, E),
                                               (E, E), (E,), (E, E), (E, E), (E, E), (N * H, 6, E // H), (N * H, 6, E // H))]
    return tuple(arrays)


def call_forward(f, inputs, o):
    q, k, v, w, b, bias_k, bias_v, w_out, b_out, w_q, w_k, w_v, static_k, static_v = inputs
    apart = o["use_separate_proj_weight"]
    return f(q, k, v, 8, o["num_heads"], None if apart else w, b if o["bias"] else None, bias_k if o["bias_kv"] else None,
             bias_v if o["bias_kv"] else None, o["add_zero_attn"], o["dropout_p"], w_out, b_out if o["bias"] else None,
             training=o["training"], key_padding_mask=o["key_padding_mask"], need_weights=o["need_weights"],
             attn_mask=o["attn_mask"], use_separate_proj_weight=apart, q_proj_weight=w_q if apart else None,
             k_proj_weight=w_k if apart else None, v_proj_weight=w_v if apart else None,
             static_k=static_k if o["static"] else None, static_v=static_v if o["static"] else None,
             average_attn_weights=o["average_attn_weights"], is_causal=o["is_causal"])


ROWS = [
    Row("functional.scaled_dot_product_attention", options=dict(
        attn_mask=[None, KEEP, FAR], dropout_p=[0.0, 1.0], is_causal=[False, True], scale=[None, 0.3, -1.0],
        enable_gqa=[False, True]), inputs=attention_inputs, samples=4,
        valid=lambda o: not (o["is_causal"] and o["attn_mask"] is not None)),
    Row("functional.scaled_dot_product_attention", options=dict(scale=[None, 0.4], enable_gqa=[False, True]),
        inputs=lambda rng, o: (*attention_inputs(rng, o), rng.standard_normal((4, 1, 6))),
        call=lambda f, inputs, o: f(*inputs, **o), only=dict.fromkeys(["dropout_p", "is_causal"], "tried above")),
    Row("functional.scaled_dot_product_attention", options=dict(is_causal=[False, True]), inputs=lambda rng, o: (
        rng.standard_normal((2, 150, 24)), rng.standard_normal((1, 300, 24)), rng.standard_normal((2, 300, 24))),
        only=dict.fromkeys(["attn_mask", "dropout_p", "scale", "enable_gqa"], "tried above")),
    Row("functional.multi_head_attention_forward", options=FORWARD, inputs=forward_inputs, call=call_forward, samples=2,
        valid=lambda o: not (o["static"] and o["bias_kv"]) and (o["attn_mask"] is not None or not o["is_causal"]),
        only={"embed_dim_to_check": "only checked", **dict.fromkeys(
            ["in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj_weight", "out_proj_bias", "q_proj_weight",
             "k_proj_weight", "v_proj_weight", "static_k", "static_v"], "given by bias, bias_kv, static")}),
    Row("MultiheadAttention", options=MULTIHEAD, inputs=multihead_inputs, samples=2),
    Row("MultiheadAttention", options=SMALLER, inputs=multihead_inputs, call=called(average_attn_weights=False),
        only={"dropout": "tried above"}),
    Row("MultiheadAttention", options=MULTIHEAD, inputs=multihead_inputs, call=called(need_weights=False)),
    *(Row("MultiheadAttention", options=SMALLER, inputs=masked_inputs(kind, per_head),
          call=with_masks(kind, need_weights=weights), only={"dropout": "tried above"})
      for kind in ("bool", "float") for per_head in (False, True) for weights in (False, True)),
    Row("MultiheadAttention", options={n: SMALLER[n] for n in SMALLER if n not in ("kdim", "vdim")}, inputs=causal_inputs,
        call=self_attention, only={"dropout": "tried above", "kdim": "a sequence that looks at itself", "vdim": "so too"},
        inert={"add_zero_attn": "what is added comes after every query: hidden"}),
]
