"""Attention: each query's mean of the values, weighted by how well its key fits.

The kernels go through queries and keys in tiles and keep a row's largest score and its sum, never the matrix of
weights; backward makes each tile of it again. Dropout's mask is drawn again too, from its place in the random stream.
"""
import math

from minilayer._ext.dispatch import family
from minilayer.device import as_strided, broadcast_shapes, broadcast_to, contiguous, device_of, empty, to_device
from minilayer.dtypes import boolean
from minilayer.promotion import cast, real
from minilayer.random import generator_for
from minilayer.tape import Cost, Op, apply, elementwise_cost, expect_tensor

kernels = family("attention")
NAME = "scaled_dot_product_attention"


def _four(x):
    """x (..., H, T, D) as (B, H, T, D), all axes in front as one: a view where their strides allow it, else a copy.
    Axes that x lacks have size 1."""
    shape, strides = x.shape, x.strides
    step, size = 0, 1
    for n, s in zip(shape[-4::-1], strides[-4::-1]):        # the batch axes, last first
        if n == 1:
            continue
        if size == 1:
            step = s
        elif s != step * size:
            x = contiguous(x)
            shape, strides, step = x.shape, x.strides, math.prod(x.shape[-3:]) * x.dtype.itemsize
            break
        size *= n
    batch = math.prod(shape[:-3])
    heads, stride = (shape[-3], strides[-3]) if len(shape) > 2 else (1, 0)
    return as_strided(x, (batch, heads, *shape[-2:]), (step, stride, *strides[-2:]))


def _empty_as(x, last):
    """Unset values in x's shape (B, H, T, D), with `last` for D, whose axes lie in memory in the order of x's: what was
    split into heads is put together again without a copy."""
    order = sorted(range(3), key=lambda axis: -abs(x.strides[axis]) if x.shape[axis] > 1 else 0)
    y = empty((*(x.shape[axis] for axis in order), last), x.dtype, x)
    return y.transpose((*(order.index(axis) for axis in range(3)), 3))


def _lead(x, lead):
    """x (B, H, T, D) with the axes `lead` in front of the last two, which B and H stand for: a view."""
    steps: list = [x.strides[1]] if lead else []
    step = x.strides[0]
    for n in lead[-2::-1]:
        steps.append(step)
        step *= n
    return as_strided(x, (*lead, *x.shape[2:]), (*steps[::-1], *x.strides[2:]))


class Attention(Op):
    """y[t] = sum_s w[t,s] v[s], w[t] = softmax over s of (scale q[t] . k[s] + mask[t,s])

    With delta[t] = dy[t] . y[t] and ds[t,s] = w[t,s] (dy[t] . v[s] - delta[t]):
    dv[s] = sum_t w[t,s] dy[t], dq[t] = scale sum_s ds[t,s] k[s], dk[s] = scale sum_t ds[t,s] q[t], dmask = ds.

    q (..., H, T, D), k (..., G, S, D), v (..., G, S, E), mask (..., H, T, S) -> y (..., H, T, E), heads h sharing the
    keys of group h // (H / G). All axes but the last two broadcast where groups are off (H = G).
    """
    name = NAME
    broadcasts = True
    required = 3

    def __init__(self, scale, causal, p, position, grouped):
        self.scale = scale
        self.causal = causal
        self.p = p
        self._position = position
        self.grouped = grouped

    def forward(self, node, q, k, v, mask):
        _check(q, k, v)
        lead = q.shape[:-2] if self.grouped else broadcast_shapes(NAME, q.shape[:-2], k.shape[:-2], v.shape[:-2])
        _check_mask(mask, (*lead, q.shape[-2], k.shape[-2]), self.causal)
        self._lead = lead
        D = q.shape[-1]
        self._scale = self.scale if self.scale is not None else 1 / math.sqrt(D) if D else 1.0
        q4, k4, v4, mask4 = self._whole(q, k, v, mask)
        y4 = _empty_as(q4, v4.shape[3])
        stats = empty((2, *y4.shape[:3]), q.dtype, q)
        kernels.on(q).attention(q4, k4, v4, mask4, self._position, y4, stats, scale=self._scale, causal=self.causal,
                                p=self.p)
        y = _lead(y4, lead)
        node.save(q, k, v, mask, y, stats)          # the weights are made again from q, k, mask and stats
        return y

    def _whole(self, q, k, v, mask):
        """The inputs as the kernels want them: 4-D, and broadcast."""
        lead = self._lead
        if not self.grouped:
            q, k, v = (x if x.shape[:-2] == lead else broadcast_to(x, (*lead, *x.shape[-2:])) for x in (q, k, v))
        if mask is not None:
            mask = _four(broadcast_to(mask, (*lead, q.shape[-2], k.shape[-2])))
        return _four(q), _four(k), _four(v), mask

    def backward(self, node, dy):
        q, k, v, mask, y, stats = node.saved
        q4, k4, v4, mask4 = self._whole(q, k, v, mask)
        dq, dk, dv = (_empty_as(x, x.shape[3]) if node.needs(i) else None for i, x in enumerate((q4, k4, v4)))
        dmask = empty((*q4.shape[:3], k4.shape[2]), q.dtype, q) if mask is not None and node.needs(3) else None
        kernels.on(q).attention_backward(_four(dy), q4, k4, v4, mask4, self._position, _four(y), stats, dq, dk, dv,
                                         dmask, scale=self._scale, causal=self.causal, p=self.p)
        leads = (self._lead, *(x.shape[:-2] if self.grouped else self._lead for x in (k, v)), self._lead)
        return tuple([None if g is None else _lead(g, lead) for g, lead in zip((dq, dk, dv, dmask), leads, strict=True)])

    def cost(self, shapes, out_shapes):
        q, k, v = shapes[:3]
        y = out_shapes[0]
        pairs = math.prod(y[:-1]) * k[-2] / (2 if self.causal else 1)
        moved = 4 * (sum(math.prod(s) for s in shapes if s is not None) + math.prod(y))
        return Cost(int(pairs * (2 * (q[-1] + v[-1]) + 5)), int(pairs * (2 * (3 * q[-1] + 2 * v[-1]) + 8)), moved,
                    2 * moved)


def _check(q, k, v):
    """Shapes and dtypes of query, key and value."""
    for what, x in (("query", q), ("key", k), ("value", v)):
        if x.dtype.kind != "f":
            raise TypeError(f"{NAME}: expected a float32 or float64 {what}, got {x.dtype}; convert it with .float()")
        if x.dtype != q.dtype:
            raise TypeError(f"{NAME}: expected query, key and value of one dtype, got {q.dtype}, {k.dtype} and "
                            f"{v.dtype}; convert them with .to(query.dtype)")
        if x.ndim < 2:
            raise ValueError(f"{NAME}: expected a {what} of shape (..., length, features), got {x.shape}; "
                             "add an axis with .unsqueeze(0)")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"{NAME}: expected query and key of equally many features, got shapes {q.shape} and {k.shape}")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"{NAME}: expected a value for each key, got a key of shape {k.shape} and a value of shape "
                         f"{v.shape}; their second-last axes must be equal")


def _check_mask(mask, shape, causal):
    """`shape` is the scores', (..., queries, keys)."""
    if mask is None:
        return
    if causal:
        raise ValueError(f"{NAME}: expected attn_mask=None with is_causal=True, got a mask of shape {mask.shape}; "
                         "leave one of them out, or put both into the mask")
    if mask.ndim < 2:
        raise ValueError(f"{NAME}: expected attn_mask of shape (..., queries, keys), got {mask.shape}; "
                         "add an axis with .unsqueeze(0)")
    if broadcast_shapes(f"{NAME}: attn_mask", mask.shape, shape) != shape:
        raise ValueError(f"{NAME}: expected attn_mask to broadcast to (..., queries, keys) = {shape}, got {mask.shape}")


class Rotary(Op):
    """(y1, y2) = (x1 c - x2 s, x2 c + x1 s) for pairs of features;  (dx1, dx2) = (dy1 c + dy2 s, dy2 c - dy1 s)

    x, y (..., T, D); c = cosine, s = sine (T, D/2), which get no gradient. That of x is dy turned back.
    """
    name = "rotary"
    required = 3

    def __init__(self, interleaved, inverse=False):
        self.interleaved = interleaved
        self.inverse = inverse

    def turned(self, x, cosine, sine, inverse):
        x4 = _four(x)
        y = _empty_as(x4, x.shape[-1])
        kernels.on(x).rotary(x4, contiguous(cosine), contiguous(sine), y, interleaved=self.interleaved, inverse=inverse)
        return _lead(y, x.shape[:-2])

    def forward(self, node, x, cosine, sine):
        if node.needs(1) or node.needs(2):
            raise RuntimeError("rotary: expected cosine and sine that need no gradient, for they get none; pass "
                               "cosine.detach() and sine.detach(), or write the products out to learn them")
        node.save(cosine, sine)                         # to turn dy back
        return self.turned(x, cosine, sine, self.inverse)

    def backward(self, node, dy):
        return self.turned(dy, *node.saved, not self.inverse), None, None

    def backward_graph(self, node, dy):
        return apply(Rotary(self.interleaved, not self.inverse), dy, *node.saved_tensors), None, None

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes[:1], out_shapes, 3, 3)


def rotary(input, cosine, sine, interleaved=False):
    """Each pair of features of input turned by the angle of its place: (a c - b s, b c + a s).

    input         (..., T, D), D even, float32 or float64
    cosine, sine  (T, D/2), of the same dtype, that need no gradient
    interleaved   pairs are the features 2i and 2i + 1, not i and i + D/2
    Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """
    for t in (input, cosine, sine):
        expect_tensor("rotary", t)
    array = input.array
    if array.dtype.kind != "f":
        raise TypeError(f"rotary: expected a float32 or float64 input, got {array.dtype}; convert it with .float()")
    if array.ndim < 2 or array.shape[-1] % 2:
        raise ValueError(f"rotary: expected an input of shape (..., T, D) with D even, got {array.shape}")
    wanted = (array.shape[-2], array.shape[-1] // 2)
    for what, t in (("cosine", cosine), ("sine", sine)):
        if t.array.shape != wanted or t.array.dtype != array.dtype or type(t.array) is not type(array):
            raise ValueError(f"rotary: expected {what} of shape (T, D/2) = {wanted} and dtype {array.dtype} beside the "
                             f"input, got {t.array.shape} and {t.array.dtype} on {device_of(t.array)}")
    return apply(Rotary(bool(interleaved)), input, cosine, sine)


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None,
                                 enable_gqa=False, rng=None):
    """softmax(scale query key^T + mask) value, without ever holding the matrix of weights.

    query       (..., H, T, D), float32 or float64; H heads where there are any
    key, value  (..., H, S, D) and (..., H, S, E); axes in front of the last two broadcast
    attn_mask   broadcasts to (..., H, T, S); bool: True where a query may attend to a key; float: added to the scores
    dropout_p   probability with which a weight is dropped. There is no training flag: pass 0 to evaluate
    is_causal   query t sees the keys 0 to t alone (top-left aligned where T and S differ)
    scale       default 1/sqrt(D)
    enable_gqa  keys and values may have fewer heads, each shared by H / G neighbouring heads of the query
    rng         the generator of dropout's mask (default: the calling thread's)
    Returns (..., H, T, E). A query that may attend to nothing gives zeros.

    Vaswani et al., "Attention is all you need", 2017; in tiles: Dao et al., "FlashAttention", 2022; shared heads:
    Ainslie et al., "GQA", 2023.
    """
    for x in (query, key, value):
        expect_tensor(NAME, x)
    dropout_p = real(NAME, "dropout_p", dropout_p)
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{NAME}: expected a probability dropout_p in [0, 1], got {dropout_p}")
    if scale is not None:
        scale = real(NAME, "scale", scale)
    generator = generator_for(rng, NAME)
    if attn_mask is not None:
        expect_tensor(NAME, attn_mask)
        kind = attn_mask.array.dtype.kind
        if kind != "f" and attn_mask.array.dtype != boolean:
            raise TypeError(f"{NAME}: expected attn_mask of dtype bool or {query.array.dtype}, got "
                            f"{attn_mask.array.dtype}; compare it with 0 for a bool mask (True: attend)")
        if kind == "f" and attn_mask.array.dtype != query.array.dtype and query.array.dtype.kind == "f":
            attn_mask = cast(attn_mask, query.array.dtype)
    grouped = False
    if enable_gqa and min(query.array.ndim, key.array.ndim, value.array.ndim) > 2:
        heads = query.array.shape[-3]
        for what, x in (("key", key), ("value", value)):
            n = x.array.shape[-3]
            if n < 1 or heads % n:
                raise ValueError(f"{NAME}: expected the query's {heads} heads to be a multiple of the {what}'s, "
                                 f"got a {what} of shape {x.array.shape}")
        grouped = query.array.shape[:-3] == key.array.shape[:-3] and key.array.shape[:-2] == value.array.shape[:-2]
        if not grouped:                             # axes that broadcast, or groups of two sizes: rare
            key, value = _repeated(key, heads), _repeated(value, heads)
    position = None
    if dropout_p > 0:
        lead = query.array.shape[:-2]
        if not grouped:
            lead = broadcast_shapes(NAME, lead, key.array.shape[:-2], value.array.shape[:-2])
        rows = math.prod(lead) * math.prod(query.array.shape[-2:-1])
        blocks = rows * -(-math.prod(key.array.shape[-2:-1]) // 4)
        position = to_device(generator.take(blocks), device_of(query.array))
    return apply(Attention(scale, bool(is_causal), dropout_p, position, grouped), query, key, value, attn_mask)


def _repeated(x, heads):
    """A tensor (..., G, S, D) with each head repeated heads / G times: (..., heads, S, D)."""
    shape = x.array.shape
    n = heads // shape[-3]
    if n == 1:
        return x
    x = x.unsqueeze(-3).expand(*shape[:-2], n, *shape[-2:])
    return x.reshape(*shape[:-3], heads, *shape[-2:])
