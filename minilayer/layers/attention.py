"""Attention layers, positions, and the cache that makes generation cheap."""
import math
import numbers

import numpy as np

from minilayer import functional as F
from minilayer.init import constant_, xavier_normal_, xavier_uniform_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.linear import Linear
from minilayer.layers.settings import positive_int, probability
from minilayer.multihead import attend
from minilayer.state import no_grad
from minilayer.tensor import Tensor


class MultiheadAttention(Layer):
    """Each place of a sequence asks every place of another for what it has to say, in several heads at once.

    head_h = softmax(q_h k_h^T / sqrt(D) + mask) v_h,  y = [head_1 | ... | head_H] W_out^T + b_out,
    where q, k, v = query, key, value times their part of in_proj_weight, plus bias; head h has features h D to (h+1) D.

    Shapes: query (T, N, E), key (S, N, kdim), value (S, N, vdim) -> output (T, N, E), weights (N, T, S), the mean over
        the heads; batch_first: (N, T, E) and so on; without N for a single sequence. D = E / num_heads.
        in_proj_weight (3E, E): rows of q, k, v; or q_proj_weight (E, E), k_proj_weight (E, kdim), v_proj_weight
        (E, vdim) where the sizes differ; in_proj_bias (3E,); out_proj a Linear (E, E); bias_k, bias_v (1, 1, E).
    Starting values: weights Xavier-uniform (in_proj_weight as one matrix of (3E, E)), biases 0, bias_k and bias_v
        Xavier-normal, out_proj.weight U(-1/sqrt(E), 1/sqrt(E)).
    Arguments: `dropout` of the weights; `add_bias_kv` one learned key and value more, `add_zero_attn` one of zeros.
    forward: `key_padding_mask` (N, S) and `attn_mask` (T, S) or (N H, T, S): bool (True blocks) or float (added);
        `need_weights=False` returns None for them and never holds the (T, S) matrix: pass it to be fast;
        `average_attn_weights=False` gives (N, H, T, S); `is_causal` says that attn_mask is the causal mask.
    Paper: Vaswani et al., Attention is all you need, 2017.

    >>> attention = MultiheadAttention(16, 4, batch_first=True)
    >>> x = ones(2, 5, 16)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((2, 5, 16), (2, 5, 5))
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None,
                 vdim=None, batch_first=False, device=None, dtype=None, rng=None):
        super().__init__()
        name = "MultiheadAttention"
        self.embed_dim = positive_int(name, "embed_dim", embed_dim)
        self.num_heads = positive_int(name, "num_heads", num_heads)
        self.kdim = self.embed_dim if kdim is None else positive_int(name, "kdim", kdim)
        self.vdim = self.embed_dim if vdim is None else positive_int(name, "vdim", vdim)
        self.dropout = probability(name, "dropout", dropout)
        self.batch_first, self.add_zero_attn = bool(batch_first), bool(add_zero_attn)
        self.head_dim = self.embed_dim // self.num_heads
        self.rng = rng
        if self.embed_dim % self.num_heads:
            raise ValueError(f"{name}: expected embed_dim that num_heads divides, got {embed_dim} and {num_heads}")
        E = self.embed_dim
        packed = self.kdim == E and self.vdim == E
        sizes = {"q_proj_weight": E, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        if packed:
            self.in_proj_weight = Parameter(F.empty(3 * E, E, dtype=dtype))
        for key, size in sizes.items():
            if packed:
                self.register_parameter(key, None)
            else:
                setattr(self, key, Parameter(F.empty(E, size, dtype=dtype)))
        if not packed:
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = Parameter(F.empty(3 * E, dtype=dtype))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = Linear(E, E, bias=bias, dtype=dtype, rng=rng)
        for key in ("bias_k", "bias_v"):
            if add_bias_kv:
                setattr(self, key, Parameter(F.empty(1, 1, E, dtype=dtype)))
            else:
                self.register_parameter(key, None)
        self._reset_parameters(rng)
        if device is not None:
            self.to(device)

    def _weights(self):
        return ((self.in_proj_weight,) if self.in_proj_weight is not None
                else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight))

    def _reset_parameters(self, rng=None):
        for w in self._weights():
            xavier_uniform_(w, rng=rng)
        if self.in_proj_bias is not None:
            constant_(self.in_proj_bias, 0.0)
            constant_(self.out_proj.bias, 0.0)
        if self.bias_k is not None:
            xavier_normal_(self.bias_k, rng=rng)
            xavier_normal_(self.bias_v, rng=rng)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        for what, x, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if isinstance(x, Tensor) and x.shape[-1:] != (size,):
                raise ValueError(f"MultiheadAttention: expected a {what} of {size} features, got shape {x.shape}")
        return attend("MultiheadAttention", query, key, value, self.num_heads, self._weights(), self.in_proj_bias,
                      self.bias_k, self.bias_v, self.add_zero_attn, self.dropout if self.training else 0.0,
                      self.out_proj.weight, self.out_proj.bias, key_padding_mask=key_padding_mask,
                      need_weights=need_weights, attn_mask=attn_mask, average_attn_weights=average_attn_weights,
                      is_causal=is_causal, batch_first=self.batch_first, rng=self.rng)

    def extra_repr(self):
        return (f"{self.embed_dim}, num_heads={self.num_heads}"
                + (f", dropout={self.dropout}" if self.dropout else "")
                + ("" if self.in_proj_bias is not None else ", bias=False")
                + (", add_bias_kv=True" if self.bias_k is not None else "")
                + (", add_zero_attn=True" if self.add_zero_attn else "")
                + ("" if self.in_proj_weight is not None else f", kdim={self.kdim}, vdim={self.vdim}")
                + (", batch_first=True" if self.batch_first else ""))


class KeyValueCache:
    """The keys and values of the places a model has seen, so that the next place costs one place's work.

    Room for `capacity` places is taken at the first `append`; appending writes in place. It is for generating, without
    gradients: keys and values are detached.

    >>> cache = KeyValueCache(capacity=8)
    >>> k, v = cache.append(ones(1, 4, 3, 16), ones(1, 4, 3, 16))       # (batch, heads, places, features)
    >>> k, v = cache.append(zeros(1, 4, 1, 16), zeros(1, 4, 1, 16))
    >>> k.shape, len(cache)
    ((1, 4, 4, 16), 4)
    """

    def __init__(self, capacity):
        self.capacity = positive_int("KeyValueCache", "capacity", capacity)
        self.length = 0
        self._held = None                       # keys and values, (..., capacity, features) each

    def __len__(self):
        return self.length

    @no_grad()
    def append(self, key, value):
        """Add keys and values (..., places, features); returns all of them so far: views, good until the next call."""
        for what, x in (("key", key), ("value", value)):
            if not isinstance(x, Tensor) or x.ndim < 2:
                raise TypeError(f"KeyValueCache: expected a {what} tensor of shape (..., places, features), got "
                                f"{x.shape if isinstance(x, Tensor) else type(x).__name__}")
        n = key.shape[-2]
        if value.shape[:-1] != key.shape[:-1]:
            raise ValueError(f"KeyValueCache: expected as many values as keys, and of the same batch and heads, got a value of "
                             f"shape {value.shape} and a key of shape {key.shape}")
        if self.length + n > self.capacity:
            raise ValueError(f"KeyValueCache: expected at most {self.capacity} places, got {self.length} + {n}; "
                             "make it with a larger capacity, or clear() it")
        if self._held is None:
            self._held = tuple(F.empty(*x.shape[:-2], self.capacity, x.shape[-1], dtype=x.dtype).to(x.device)
                               for x in (key, value))
        for held, x in zip(self._held, (key, value), strict=True):          # both, before anything is written
            if held.shape[:-2] != x.shape[:-2] or held.shape[-1] != x.shape[-1]:
                raise ValueError(f"KeyValueCache: expected shape {(*held.shape[:-2], n, held.shape[-1])} as before, "
                                 f"got {x.shape}; clear() begins anew")
            if held.dtype != x.dtype or held.device != x.device:
                raise TypeError(f"KeyValueCache: expected {held.dtype} on {held.device} as before, got {x.dtype} on "
                                f"{x.device}; convert it with .to(...), or clear() to begin anew")
        found = []
        for held, x in zip(self._held, (key, value), strict=True):
            held.narrow(-2, self.length, n).copy_(x.detach())
            found.append(held.narrow(-2, 0, self.length + n))
        self.length += n
        return tuple(found)

    def clear(self):
        """Forget everything; the next sequence may have other shapes."""
        self.length, self._held = 0, None


def _angles(positions, features, base):
    """position / base^(2i / features) for i = 0 .. features/2 - 1, in float64: (positions, features / 2)."""
    return positions[:, None] / base ** (np.arange(0, features, 2) / features)


class SinusoidalPositions(Layer):
    """Adds to each place of a sequence a vector that tells where it is: waves of falling frequency, nothing learned.

    y[t] = x[t] + p[t],  p[t, 2i] = sin(t / base^(2i/E)),  p[t, 2i+1] = cos(t / base^(2i/E))

    Shapes: x (N, T, E) (batch_first, the default here), (T, N, E) or (T, E) -> the same; T up to `max_len`, E even or odd.
    Arguments: `dropout` of the sum; `base` 10000. forward: `start`, the first place's number (a cache's length).
    Paper: Vaswani et al., Attention is all you need, 2017, section 3.5.

    >>> SinusoidalPositions(6)(zeros(1, 2, 6))[0, 0].tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    """

    def __init__(self, embed_dim, max_len=5000, dropout=0.0, base=10000.0, batch_first=True, device=None, dtype=None,
                 rng=None):
        super().__init__()
        name = "SinusoidalPositions"
        self.embed_dim = positive_int(name, "embed_dim", embed_dim)
        self.max_len = positive_int(name, "max_len", max_len)
        self.dropout = probability(name, "dropout", dropout)
        self.base = _base(name, base)
        self.batch_first = bool(batch_first)
        self.rng = rng
        angles = _angles(np.arange(self.max_len), self.embed_dim, self.base)
        table = np.empty((self.max_len, self.embed_dim))
        table[:, 0::2] = np.sin(angles)
        table[:, 1::2] = np.cos(angles)[:, :self.embed_dim // 2]
        self.register_buffer("table", _table(name, table, dtype), persistent=False)
        if device is not None:
            self.to(device)

    def forward(self, input, start=0):
        if not isinstance(input, Tensor):
            raise TypeError(f"SinusoidalPositions: expected a tensor, got {type(input).__name__}")
        if input.ndim not in (2, 3) or input.shape[-1] != self.embed_dim:
            raise ValueError(f"SinusoidalPositions: expected shape (N, T, {self.embed_dim}), (T, N, {self.embed_dim}) or "
                             f"(T, {self.embed_dim}), got {input.shape}")
        axis = 1 if self.batch_first and input.ndim == 3 else 0
        T = input.shape[axis]
        start = _first("SinusoidalPositions", start, T, self.max_len)
        p = self.table[start:start + T]
        y = input + (p.unsqueeze(1) if axis == 0 and input.ndim == 3 else p)
        return F.dropout(y, self.dropout, self.training, rng=self.rng) if self.dropout else y

    def extra_repr(self):
        return f"{self.embed_dim}, max_len={self.max_len}" + (f", dropout={self.dropout}" if self.dropout else "")


class RotaryPositions(Layer):
    """Turns pairs of a query's or key's features by an angle that grows with its place, so that the product of a query
    and a key depends on how far apart they are, not on where.

    With c = cos(t / base^(2i/D)), s = sin(t / base^(2i/D)), for i < D/2:
        y[t, i] = x[t, i] c - x[t, i + D/2] s,    y[t, i + D/2] = x[t, i + D/2] c + x[t, i] s
    `interleaved` pairs the features 2i and 2i+1 instead, as the paper writes it.

    Shapes: x (..., T, D), D even -> the same; T up to `max_len`.
    Arguments: `base` 10000. forward: `start`, the first place's number (a cache's length).
    Paper: Su et al., RoFormer: enhanced transformer with rotary position embedding, 2021.

    >>> turn = RotaryPositions(8)
    >>> q, k = turn(ones(1, 2, 5, 8)), turn(ones(1, 2, 5, 8))           # before the attention, in every head
    >>> q.shape
    (1, 2, 5, 8)
    """

    def __init__(self, features, max_len=4096, base=10000.0, interleaved=False, device=None, dtype=None):
        super().__init__()
        name = "RotaryPositions"
        self.features = positive_int(name, "features", features)
        if self.features % 2:
            raise ValueError(f"{name}: expected an even number of features, got {features}: they turn in pairs")
        self.max_len = positive_int(name, "max_len", max_len)
        self.base = _base(name, base)
        self.interleaved = bool(interleaved)
        angles = _angles(np.arange(self.max_len), self.features, self.base)
        for key, wave in (("cosine", np.cos(angles)), ("sine", np.sin(angles))):
            self.register_buffer(key, _table(name, wave, dtype), persistent=False)
        if device is not None:
            self.to(device)

    def forward(self, input, start=0):
        if not isinstance(input, Tensor):
            raise TypeError(f"RotaryPositions: expected a tensor, got {type(input).__name__}")
        if input.ndim < 2 or input.shape[-1] != self.features:
            raise ValueError(f"RotaryPositions: expected shape (..., T, {self.features}), got {input.shape}")
        T = input.shape[-2]
        start = _first("RotaryPositions", start, T, self.max_len)
        return F.rotary(input, self.cosine[start:start + T], self.sine[start:start + T], self.interleaved)

    def extra_repr(self):
        return f"{self.features}, max_len={self.max_len}" + (", interleaved=True" if self.interleaved else "")


def _table(layer, values, dtype):
    """Waves as a tensor; float32 where no dtype is asked for."""
    table = F.tensor(values, dtype=dtype or "float32")
    if table.dtype.kind != "f":
        raise TypeError(f"{layer}: expected dtype float32 or float64, got {table.dtype}")
    return table


def _first(layer, start, T, max_len):
    """`start`, the number of the first of T places, as an int."""
    start = positive_int(layer, "start", start, zero=True)
    if start + T > max_len:
        raise ValueError(f"{layer}: expected places within max_len={max_len}, got {T} from {start}")
    return start


def _base(layer, base):
    try:
        value = float(base) if isinstance(base, numbers.Real) else math.nan
    except OverflowError:
        value = math.inf
    if not 1 < value < math.inf:
        raise ValueError(f"{layer}: expected base to be a number above 1, got {base!r:.200}")
    return value
