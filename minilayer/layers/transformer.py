"""Transformer layers: attention and a small dense network, each added to what it read and normalised."""
import copy
import math

from minilayer import functional as F
from minilayer.init import xavier_uniform_
from minilayer.layers.attention import MultiheadAttention
from minilayer.layers.container import ModuleList
from minilayer.layers.dropout import Dropout
from minilayer.layers.layer import Layer
from minilayer.layers.linear import Linear
from minilayer.layers.normalization import LayerNorm
from minilayer.layers.settings import positive_int
from minilayer.tensor import Tensor


def _activation(layer, activation):
    if isinstance(activation, str):
        if activation not in ("relu", "gelu"):
            raise ValueError(f"{layer}: expected activation 'relu', 'gelu' or a function of a tensor, got {activation!r}")
        return F.relu if activation == "relu" else F.gelu
    if not callable(activation):
        raise TypeError(f"{layer}: expected activation 'relu', 'gelu' or a function of a tensor, got {activation!r}")
    return activation


def _copies(what, layer, n):
    """`n` copies of a layer, each with weights of its own; they keep drawing from the layer's generator."""
    if not isinstance(layer, Layer):
        raise TypeError(f"{what}: expected a layer to copy, got {type(layer).__name__}")
    n = positive_int(what, "num_layers", n, zero=True)
    shared = {id(m.rng): m.rng for m in layer.modules() if getattr(m, "rng", None) is not None}
    return ModuleList([copy.deepcopy(layer, dict(shared)) for _ in range(n)])


def _norm(what, norm):
    if norm is not None and not callable(norm):
        raise TypeError(f"{what}: expected norm to be a layer or None, got {norm!r}")
    return norm


def _is_causal(mask, is_causal, length):
    """Is the mask the causal one? Where nobody says, look: the causal kernel does half the work."""
    if is_causal is not None or mask is None:
        return bool(is_causal)
    if not isinstance(mask, Tensor) or mask.shape != (length, length) or mask.dtype.kind not in "bf":
        return False                                    # (what is no mask is refused where it is used)
    return bool((mask == _square_mask(length, mask.dtype, mask.device)).all().item())


def _square_mask(n, dtype=None, device=None):
    """-inf (True) above the diagonal, 0 (False) elsewhere."""
    if dtype is not None and F.zeros((), dtype=dtype).dtype.kind == "b":
        mask = F.triu(F.ones(n, n), 1) > 0
    else:
        mask = F.triu(F.full((n, n), -math.inf, dtype=dtype), 1)
    return mask if device is None else mask.to(device)


class TransformerEncoderLayer(Layer):
    """Self-attention, then a dense network of one hidden layer at every place; both with a way around them.

    y = norm1(x + dropout1(self_attn(x))),  z = norm2(y + dropout2(linear2(dropout(activation(linear1(y))))))
    norm_first: y = x + dropout1(self_attn(norm1(x))),  z = y + dropout2(linear2(...(norm2(y))))

    Shapes: x (T, N, d_model), batch_first: (N, T, d_model), or (T, d_model) -> the same.
    Starting values: those of MultiheadAttention, Linear and LayerNorm.
    Arguments: `nhead` heads, `dim_feedforward` hidden features, `activation` "relu", "gelu" or a function.
    forward: `src_mask` (T, T) or (N nhead, T, T) and `src_key_padding_mask` (N, T), bool (True blocks) or float (added);
        `is_causal` says that src_mask is the causal mask.
    Paper: Vaswani et al., Attention is all you need, 2017; norm_first: Xiong et al., On layer normalization in the
        transformer architecture, 2020.

    >>> TransformerEncoderLayer(16, 4, 32, batch_first=True)(ones(2, 5, 16)).shape
    (2, 5, 16)
    """

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None, rng=None):
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rng=rng)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, rng=rng)
        self.norm_first = bool(norm_first)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, rng=rng)
        self.dropout2 = Dropout(dropout, rng=rng)
        self.activation = _activation("TransformerEncoderLayer", activation)
        if device is not None:
            self.to(device)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._ff_block(x))

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal):
        x, _ = self.self_attn(x, x, x, attn_mask=attn_mask, key_padding_mask=key_padding_mask, need_weights=False,
                              is_causal=is_causal)
        return self.dropout1(x)

    def _ff_block(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def extra_repr(self):
        return "norm_first=True" if self.norm_first else ""


class TransformerDecoderLayer(Layer):
    """Self-attention, attention to what an encoder made, then a dense network; each with a way around it.

    y = norm1(x + dropout1(self_attn(x))),  z = norm2(y + dropout2(multihead_attn(y, memory))),
    norm3(z + dropout3(linear2(dropout(activation(linear1(z)))))); norm_first as in TransformerEncoderLayer.

    Shapes: x (T, N, d_model) and memory (S, N, d_model), batch_first: (N, T, d_model) and (N, S, d_model), or without N
        -> the shape of x.
    Arguments: as TransformerEncoderLayer.
    forward: `tgt_mask` (T, T), `memory_mask` (T, S), `tgt_key_padding_mask` (N, T), `memory_key_padding_mask` (N, S),
        bool (True blocks) or float (added); `tgt_is_causal`, `memory_is_causal` say that a mask is the causal one.
    Paper: Vaswani et al., Attention is all you need, 2017.

    >>> layer = TransformerDecoderLayer(16, 4, 32)
    >>> layer(ones(5, 2, 16), ones(7, 2, 16)).shape
    (5, 2, 16)
    """

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None, rng=None):
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rng=rng)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype,
                                                 rng=rng)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, rng=rng)
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, rng=rng)
        self.norm_first = bool(norm_first)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, rng=rng)
        self.dropout2 = Dropout(dropout, rng=rng)
        self.dropout3 = Dropout(dropout, rng=rng)
        self.activation = _activation("TransformerDecoderLayer", activation)
        if device is not None:
            self.to(device)

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
                memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False):
        def look_back(x):
            y, _ = self.self_attn(x, x, x, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask,
                                  is_causal=tgt_is_causal, need_weights=False)
            return self.dropout1(y)

        def look_at_memory(x):
            y, _ = self.multihead_attn(x, memory, memory, attn_mask=memory_mask, is_causal=memory_is_causal,
                                       key_padding_mask=memory_key_padding_mask, need_weights=False)
            return self.dropout2(y)

        def think(x):
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = tgt
        for block, norm in ((look_back, self.norm1), (look_at_memory, self.norm2), (think, self.norm3)):
            x = x + block(norm(x)) if self.norm_first else norm(x + block(x))
        return x

    def extra_repr(self):
        return "norm_first=True" if self.norm_first else ""


class TransformerEncoder(Layer):
    """Encoder layers one after another, then a norm where one is given.

    Shapes: as the layer's. The layers begin as copies of `encoder_layer`, with equal weights.
    Arguments: `norm`, a layer or None; `enable_nested_tensor` and `mask_check` are taken and do nothing: padded places
        are computed with the others.
    forward: as TransformerEncoderLayer; `is_causal=None` looks whether `mask` is the causal one.
    Paper: Vaswani et al., Attention is all you need, 2017.

    >>> encoder = TransformerEncoder(TransformerEncoderLayer(16, 4, 32), 2, norm=LayerNorm(16))
    >>> encoder(ones(5, 2, 16)).shape
    (5, 2, 16)
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = _norm("TransformerEncoder", norm)
        self.enable_nested_tensor, self.mask_check = bool(enable_nested_tensor), bool(mask_check)

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        is_causal = _is_causal(mask, is_causal, _length(self.layers, src))
        for layer in self.layers:
            src = layer(src, src_mask=mask, is_causal=is_causal, src_key_padding_mask=src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Layer):
    """Decoder layers one after another, then a norm where one is given.

    Shapes: as the layer's. The layers begin as copies of `decoder_layer`, with equal weights.
    Arguments: `norm`, a layer or None.
    forward: as TransformerDecoderLayer; `tgt_is_causal=None` looks whether `tgt_mask` is the causal one.
    Paper: Vaswani et al., Attention is all you need, 2017.

    >>> decoder = TransformerDecoder(TransformerDecoderLayer(16, 4, 32), 2)
    >>> decoder(ones(5, 2, 16), ones(7, 2, 16)).shape
    (5, 2, 16)
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = _norm("TransformerDecoder", norm)

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
                memory_key_padding_mask=None, tgt_is_causal=None, memory_is_causal=False):
        tgt_is_causal = _is_causal(tgt_mask, tgt_is_causal, _length(self.layers, tgt))
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                        tgt_key_padding_mask=tgt_key_padding_mask, memory_key_padding_mask=memory_key_padding_mask,
                        tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


def _length(layers, x):
    """How many places x has; None for what the layers will refuse."""
    if not isinstance(x, Tensor) or x.ndim < 2:
        return None
    first = next(iter(layers), None)
    batch_first = getattr(getattr(first, "self_attn", None), "batch_first", False)
    return x.shape[1 if batch_first and x.ndim == 3 else 0]


class Transformer(Layer):
    """An encoder reads a sequence, a decoder writes another one while it looks at what the encoder made.

    y = decoder(tgt, encoder(src)); both end with a LayerNorm. Embeddings, positions and the layer that chooses words
    are the model's own.

    Shapes: src (S, N, d_model) and tgt (T, N, d_model), batch_first: (N, S, d_model) and (N, T, d_model), or without N
        -> the shape of tgt.
    Starting values: every parameter of two or more axes Xavier-uniform; the others as their layers have them.
    Arguments: as TransformerEncoderLayer; `custom_encoder` and `custom_decoder` stand in for the ones made here.
    Paper: Vaswani et al., Attention is all you need, 2017.

    >>> model = Transformer(16, 4, 2, 2, 32)
    >>> mask = Transformer.generate_square_subsequent_mask(5)
    >>> model(ones(7, 2, 16), ones(5, 2, 16), tgt_mask=mask).shape
    (5, 2, 16)
    """

    def __init__(self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048,
                 dropout=0.1, activation=F.relu, custom_encoder=None, custom_decoder=None, layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None, rng=None):
        super().__init__()
        def made(stack, layer, n):
            one = layer(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
                        dtype=dtype, rng=rng)
            return stack(one, n, LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
        self.encoder = (made(TransformerEncoder, TransformerEncoderLayer, num_encoder_layers)
                        if custom_encoder is None else custom_encoder)
        self.decoder = (made(TransformerDecoder, TransformerDecoderLayer, num_decoder_layers)
                        if custom_decoder is None else custom_decoder)
        for p in self.parameters():
            if p.ndim > 1:
                xavier_uniform_(p, rng=rng)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, bool(batch_first)
        if device is not None:
            self.to(device)

    def forward(self, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None,
                tgt_key_padding_mask=None, memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None,
                memory_is_causal=False):
        for what, x in (("src", src), ("tgt", tgt)):
            if not isinstance(x, Tensor):
                raise TypeError(f"Transformer: expected {what} to be a tensor, got {type(x).__name__}")
        if src.shape[-1:] != (self.d_model,) or tgt.shape[-1:] != (self.d_model,):
            raise ValueError(f"Transformer: expected src and tgt of d_model={self.d_model} features, got {src.shape} and "
                             f"{tgt.shape}")
        axis = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[axis] != tgt.shape[axis]):
            raise ValueError(f"Transformer: expected src and tgt with one batch size on axis {axis}, got {src.shape} and "
                             f"{tgt.shape}; batch_first={self.batch_first} says where it is")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                            tgt_key_padding_mask=tgt_key_padding_mask, memory_key_padding_mask=memory_key_padding_mask,
                            tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """The causal mask (sz, sz) to be added: -inf above the diagonal, 0 elsewhere."""
        return _square_mask(positive_int("generate_square_subsequent_mask", "sz", sz, zero=True), dtype, device)
