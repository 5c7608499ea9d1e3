"""Multi-head attention, told in functions: project, split into heads, attend, put together, project.

`functional` hands out `multi_head_attention_forward` under PyTorch's name and arguments; the layer MultiheadAttention
calls `attend`, which is the same without a fixed order of the first two axes.
"""
import math

from minilayer.creation import zeros
from minilayer.ops.attention import scaled_dot_product_attention
from minilayer.ops.dropout import dropout
from minilayer.ops.indexing import masked_fill
from minilayer.ops.matmul import linear
from minilayer.ops.shape import cat
from minilayer.ops.softmax import softmax
from minilayer.tape import expect_tensor


def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k,
                                 bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True,
                                 key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False,
                                 q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
                                 average_attn_weights=True, is_causal=False, rng=None):
    """What the layer MultiheadAttention computes, with all its parameters as arguments.

    query (T, N, E), key and value (S, N, E), or without N; in_proj_weight (3E, E), or q_, k_ and v_proj_weight with
    `use_separate_proj_weight`; in_proj_bias (3E,); bias_k, bias_v (1, 1, E): one more key and value for all;
    static_k, static_v (N H, S, D): keys and values that are projected already.
    Returns the output (T, N, E), and the weights (N, T, S), averaged over the heads or (N, H, T, S); None without
    `need_weights`, where the (T, S) matrix is never held.
    """
    name = "multi_head_attention_forward"
    for x in (query, key, value):
        expect_tensor(name, x)
    if isinstance(num_heads, bool) or not hasattr(num_heads, "__index__"):
        raise TypeError(f"{name}: expected num_heads to be an integer, got {num_heads!r}")
    if num_heads < 1:
        raise ValueError(f"{name}: expected num_heads of 1 or more, got {num_heads}")
    if query.shape[-1:] != (embed_dim_to_check,):
        raise ValueError(f"{name}: expected a query of {embed_dim_to_check} features (embed_dim_to_check), got shape "
                         f"{query.shape}")
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        weights = (in_proj_weight,)
    if None in [None if w is None else 0 for w in weights]:
        raise ValueError(f"{name}: expected {'q_, k_ and v_proj_weight' if use_separate_proj_weight else 'in_proj_weight'} "
                         f"with use_separate_proj_weight={use_separate_proj_weight}, got None")
    return attend(name, query, key, value, num_heads, weights, in_proj_bias, bias_k, bias_v, add_zero_attn,
                  dropout_p if training else 0.0, out_proj_weight, out_proj_bias, key_padding_mask=key_padding_mask,
                  need_weights=need_weights, attn_mask=attn_mask, static_k=static_k, static_v=static_v,
                  average_attn_weights=average_attn_weights, is_causal=is_causal, rng=rng)


def attend(name, query, key, value, num_heads, weights, bias, bias_k, bias_v, add_zero_attn, dropout_p, out_weight,
           out_bias, *, key_padding_mask=None, need_weights=True, attn_mask=None, static_k=None, static_v=None,
           average_attn_weights=True, is_causal=False, batch_first=False, rng=None):
    """Multi-head attention with the batch on axis 0 (`batch_first`) or 1; `weights` is (in_proj_weight,) or one each
    for query, key and value. `name` is whose work this is, for the errors."""
    _check_inputs(name, query, key, value, num_heads, len(weights) == 3, batch_first)
    same_key, same_value = query is key, key is value
    batched = query.ndim == 3
    if not batched:
        axis = 0 if batch_first else 1
        query, key, value = (x.unsqueeze(axis) for x in (query, key, value))
    N, T = (query.shape[0], query.shape[1]) if batch_first else (query.shape[1], query.shape[0])
    S = key.shape[1 if batch_first else 0]
    E = query.shape[2]
    attn_mask, key_padding_mask, causal = _masks(name, query, attn_mask, key_padding_mask, is_causal, need_weights,
                                                 (N, num_heads, T, S), batched)

    q, k, v = _projected(query, key, value, weights, bias, same_key, same_value)       # (N, T, E) or (T, N, E)
    extra = []                                                      # more keys and values behind those of the input
    if (bias_k is None) != (bias_v is None):
        raise ValueError(f"{name}: expected bias_k and bias_v both or neither, got one of them")
    if bias_k is not None:
        if static_k is not None or static_v is not None:
            raise ValueError(f"{name}: bias_k and bias_v cannot be added to static keys and values; leave them out")
        extra.append((bias_k, bias_v))
    if add_zero_attn:
        zero = zeros(1, 1, E, dtype=q.dtype).to(q.device)
        extra.append((zero, zero))
    k, v = (_heads(name, x, static, num_heads, batch_first, (N, S, E), what)
            for x, static, what in ((k, static_k, "static_k"), (v, static_v, "static_v")))     # (N, H, S, D)
    if k.shape[2] != v.shape[2]:
        raise ValueError(f"{name}: expected as many static values as keys, got {v.shape[2]} and {k.shape[2]}")
    q = _heads(name, q, None, num_heads, batch_first, (N, T, E), "query")                      # (N, H, T, D)
    for more_k, more_v in extra:
        k, v = (cat([x, more.reshape(1, num_heads, 1, -1).expand(N, -1, 1, -1)], 2)
                for x, more in ((k, more_k), (v, more_v)))
        attn_mask, key_padding_mask = _one_more(attn_mask), _one_more(key_padding_mask)
    mask = _merged(attn_mask, key_padding_mask, q.dtype)

    weights = None
    if need_weights:
        scores = (q * math.sqrt(1.0 / q.shape[3])) @ k.transpose(-1, -2)                       # (N, H, T, S)
        if mask is not None:
            scores = scores + (_additive(mask, q.dtype))
        weights = softmax(scores, -1)
        if dropout_p > 0:
            weights = dropout(weights, dropout_p, rng=rng)
        y = weights @ v
    else:
        if mask is not None and mask.dtype.kind == "b":
            mask = ~mask                                            # there, True lets a query see a key
        y = scaled_dot_product_attention(q, k, v, mask, dropout_p, causal, rng=rng)            # (N, H, T, D)
    y = y.permute(0, 2, 1, 3) if batch_first else y.permute(2, 0, 1, 3)
    y = linear(y.reshape(*y.shape[:2], E), out_weight, out_bias)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    if not batched:
        y = y.squeeze(0 if batch_first else 1)
        weights = None if weights is None else weights.squeeze(0)
    return y, weights


def _check_inputs(name, query, key, value, num_heads, separate, batch_first):
    for x in (query, key, value):
        expect_tensor(name, x)
        if query.ndim not in (2, 3) or x.ndim != query.ndim:
            raise ValueError(f"{name}: expected query, key and value of shape (length, batch, features), or with "
                             f"batch_first (batch, length, features), or (length, features), all alike; got "
                             f"{query.shape}, {key.shape} and {value.shape}")
    if query.shape[-1] % num_heads:
        raise ValueError(f"{name}: expected features that {num_heads} heads can share evenly, got {query.shape[-1]}")
    if key.shape[:-1] != value.shape[:-1] or (not separate and key.shape[-1] != value.shape[-1]):
        raise ValueError(f"{name}: expected a value for each key, got shapes {value.shape} and {key.shape}")
    axis = 0 if batch_first else 1
    if query.ndim == 3 and query.shape[axis] != key.shape[axis]:
        raise ValueError(f"{name}: expected query and key with one batch size on axis {axis}, got {query.shape} and "
                         f"{key.shape}; batch_first={batch_first} says where it is")


def _projected(query, key, value, weights, bias, same_key, same_value):
    """q, k, v, in as few products as there are different inputs."""
    if len(weights) == 1 and same_key and same_value:
        return linear(query, weights[0], bias).chunk(3, -1)
    if len(weights) == 1 and same_value:
        E = query.shape[-1]
        w_q, w_kv = weights[0].split([E, 2 * E])
        b_q, b_kv = (None, None) if bias is None else bias.split([E, 2 * E])
        return linear(query, w_q, b_q), *linear(key, w_kv, b_kv).chunk(2, -1)
    parts = weights if len(weights) == 3 else weights[0].chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), parts, biases, strict=True))


def _heads(name, x, static, num_heads, batch_first, shape, what):
    """x (N, L, E) or (L, N, E) as (N, H, L, D), a view: head h has the features h D to (h+1) D. Or what is static."""
    N, L, E = shape
    D = E // num_heads
    if static is not None:
        if static.ndim != 3 or static.shape[0] != N * num_heads or static.shape[2] != D:
            raise ValueError(f"{name}: expected {what} of shape (batch * heads, length, features a head) = "
                             f"({N * num_heads}, S, {D}), got {static.shape}")
        return static.reshape(N, num_heads, -1, D)
    if batch_first:
        return x.reshape(N, L, num_heads, D).permute(0, 2, 1, 3)
    return x.reshape(L, N, num_heads, D).permute(1, 2, 0, 3)


# ---- masks: bool ones block where they are True, float ones are added ----

def _masks(name, query, attn_mask, key_padding_mask, is_causal, need_weights, sizes, batched):
    """Both masks checked and made to broadcast to (N, H, T, S), and whether the kernel's causal rule stands in."""
    N, H, T, S = sizes
    for what, mask in (("attn_mask", attn_mask), ("key_padding_mask", key_padding_mask)):
        if mask is not None:
            expect_tensor(f"{name}: {what}", mask)
            if mask.dtype.kind not in "bf":
                raise TypeError(f"{name}: expected {what} of dtype bool (True: blocked) or float (added), got "
                                f"{mask.dtype}; convert it with .bool()")
    if is_causal and attn_mask is None:
        raise ValueError(f"{name}: is_causal=True says that attn_mask is the causal mask, and needs one; pass "
                         "attn_mask=Transformer.generate_square_subsequent_mask(length)")
    if attn_mask is not None and attn_mask.shape not in ((T, S), (N * H, T, S)):
        raise ValueError(f"{name}: expected attn_mask of shape (queries, keys) = ({T}, {S}) or (batch * heads, queries, "
                         f"keys) = ({N * H}, {T}, {S}), got {attn_mask.shape}")
    wanted = (N, S) if batched else (S,)
    if key_padding_mask is not None:
        if key_padding_mask.shape != wanted:
            raise ValueError(f"{name}: expected key_padding_mask of shape {'(batch, keys)' if batched else '(keys,)'} = "
                             f"{wanted}, got {key_padding_mask.shape}")
        key_padding_mask = key_padding_mask.reshape(N, 1, 1, S)
    if is_causal and key_padding_mask is None and not need_weights:
        return None, None, True
    if attn_mask is not None:
        attn_mask = attn_mask.reshape(1, 1, T, S) if attn_mask.ndim == 2 else attn_mask.reshape(N, H, T, S)
    return attn_mask, key_padding_mask, False


def _one_more(mask):
    """The mask with one more key, which is not blocked."""
    if mask is None:
        return None
    return cat([mask, zeros(*mask.shape[:-1], 1, dtype=mask.dtype).to(mask.device)], -1)


def _additive(mask, dtype):
    if mask.dtype.kind == "b":
        return masked_fill(zeros(*mask.shape, dtype=dtype).to(mask.device), mask, -math.inf)
    return mask.to(dtype)


def _merged(attn_mask, key_padding_mask, dtype):
    """One mask of both: bool where both are, else to be added."""
    given = [m for m in (attn_mask, key_padding_mask) if m is not None]
    if len(given) < 2:
        return given[0] if given else None
    if all(m.dtype.kind == "b" for m in given):
        return attn_mask | key_padding_mask
    return _additive(attn_mask, dtype) + _additive(key_padding_mask, dtype)
