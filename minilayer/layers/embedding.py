"""Embeddings: a table of vectors, looked up by number, one at a time or in bags."""
from minilayer import functional as F
from minilayer.init import normal_, zeros_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import number, positive_int


class _Table(Layer):
    """What Embedding and EmbeddingBag share: the table, and how its rows are kept."""

    def _set_table(self, num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, weight,
                   device, dtype, rng, freeze=False):
        name = type(self).__name__
        self.num_embeddings = positive_int(name, "num_embeddings", num_embeddings, zero=True)
        self.embedding_dim = positive_int(name, "embedding_dim", embedding_dim, zero=True)
        if padding_idx is not None:
            if isinstance(padding_idx, bool) or not hasattr(padding_idx, "__index__"):
                raise TypeError(f"{name}: expected padding_idx to be an integer or None, got {padding_idx!r}")
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"{name}: expected padding_idx in [{-num_embeddings}, {num_embeddings - 1}], "
                                 f"got {padding_idx}")
            padding_idx = padding_idx.__index__() % num_embeddings
        if sparse:
            raise NotImplementedError(f"{name}: gradients are dense here, a row for every row of the table; leave out "
                                      "sparse=True")
        self.padding_idx = padding_idx
        self.max_norm = None if max_norm is None else number(name, "max_norm", max_norm)
        self.norm_type = number(name, "norm_type", norm_type)
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = False
        if weight is None:
            self.weight = Parameter(F.empty(num_embeddings, embedding_dim, dtype=dtype), requires_grad=not freeze)
            self.reset_parameters(rng)
        elif weight.shape != (num_embeddings, embedding_dim):
            raise ValueError(f"{name}: expected a _weight of shape ({num_embeddings}, {embedding_dim}), got {weight.shape}")
        else:
            self.weight = Parameter(weight.detach(), requires_grad=not freeze)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        normal_(self.weight, rng=rng)
        if self.padding_idx is not None:
            zeros_(self.weight[self.padding_idx])

    def _settings(self):
        text = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        text += "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        return text + (", scale_grad_by_freq=True" if self.scale_grad_by_freq else "")


def _matrix(name, embeddings):
    if getattr(embeddings, "ndim", None) != 2:
        raise ValueError(f"{name}.from_pretrained: expected a matrix of vectors, got "
                         f"{f'shape {embeddings.shape}' if hasattr(embeddings, 'shape') else type(embeddings).__name__}")
    return embeddings.shape


class Embedding(_Table):
    """Turns integers into learned vectors: y[...] = weight[index[...]].

    Shapes: input (*) int64 -> y (*, embedding_dim); weight (num_embeddings, embedding_dim).
    Starting values: weight from N(0, 1); the row `padding_idx` is 0 and gets no gradient.
    Arguments: `max_norm`: rows that are asked for and longer, by their `norm_type`-norm, are shortened to it, in place;
        `scale_grad_by_freq` divides a row's gradient by how often it was asked for; `sparse` must be False: gradients
        are dense.

    >>> Embedding(10, 3)(arange(4)).shape
    (4, 3)
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
                 sparse=False, _weight=None, _freeze=False, device=None, dtype=None, rng=None):
        super().__init__()
        self._set_table(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
                        device, dtype, rng, _freeze)

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
                        sparse=False):
        """An Embedding over a given (num_embeddings, embedding_dim) tensor, frozen unless asked otherwise."""
        rows, features = _matrix("Embedding", embeddings)
        return cls(rows, features, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                   scale_grad_by_freq=scale_grad_by_freq, sparse=sparse, _weight=embeddings, _freeze=freeze)

    def forward(self, input):
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type,
                           self.scale_grad_by_freq)                 # (*, embedding_dim)

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}" + (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}") + self._settings()


class EmbeddingBag(_Table):
    """Sums, means or maxima of learned vectors, a bag of integers at a time: what Embedding and a reduction give, without
    the vectors in between.

    Shapes: input (B, n) int64, bags of n, or (N,) with offsets (B,), the places where bags begin -> y (B, embedding_dim);
        per_sample_weights, of index's shape: what each vector is multiplied with (mode "sum" only).
    Starting values: weight from N(0, 1); the row `padding_idx` is 0, counts in no bag and gets no gradient.
    Arguments: `mode` "sum", "mean" or "max" (an empty bag gives 0); `include_last_offset`: offsets has one more, the end of
        the last bag; `max_norm`, `norm_type`, `scale_grad_by_freq`, `sparse` as in Embedding.

    >>> EmbeddingBag(10, 3)(arange(8), tensor([0, 5])).shape
    (2, 3)
    """

    def __init__(self, num_embeddings, embedding_dim, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean",
                 sparse=False, _weight=None, include_last_offset=False, padding_idx=None, device=None, dtype=None, rng=None):
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: expected mode 'sum', 'mean' or 'max', got {mode!r}")
        self.mode = mode
        self.include_last_offset = include_last_offset
        self._set_table(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight,
                        device, dtype, rng)

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean",
                        sparse=False, include_last_offset=False, padding_idx=None):
        """An EmbeddingBag over a given (num_embeddings, embedding_dim) tensor, frozen unless asked otherwise."""
        rows, features = _matrix("EmbeddingBag", embeddings)
        made = cls(rows, features, max_norm=max_norm, norm_type=norm_type, scale_grad_by_freq=scale_grad_by_freq, mode=mode,
                   sparse=sparse, _weight=embeddings, include_last_offset=include_last_offset, padding_idx=padding_idx)
        made.weight.requires_grad_(not freeze)
        return made

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode,
                               False, per_sample_weights, self.include_last_offset, self.padding_idx)  # (B, embedding_dim)

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}{self._settings()}, mode={self.mode!r}" + (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}")
