"""Embedding: a table of vectors, looked up by number."""
from minilayer import functional as F
from minilayer.init import normal_, zeros_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import positive_int


class Embedding(Layer):
    """Turns integers into learned vectors: y[...] = weight[index[...]].

    Shapes: index (*) int64 -> y (*, embedding_dim); weight (num_embeddings, embedding_dim).
    Starting values: weight from N(0, 1); the row `padding_idx` is 0 and gets no gradient.

    >>> Embedding(10, 3)(arange(4)).shape
    (4, 3)
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, device=None, dtype=None, rng=None):
        super().__init__()
        self.num_embeddings = positive_int("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = positive_int("Embedding", "embedding_dim", embedding_dim)
        if padding_idx is not None:
            if isinstance(padding_idx, bool) or not hasattr(padding_idx, "__index__"):
                raise TypeError(f"Embedding: expected padding_idx to be an integer or None, got {padding_idx!r}")
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: expected padding_idx in [{-num_embeddings}, {num_embeddings - 1}], "
                                 f"got {padding_idx}")
            padding_idx = padding_idx.__index__() % num_embeddings
        self.padding_idx = padding_idx
        self.weight = Parameter(F.empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        normal_(self.weight, rng=rng)
        if self.padding_idx is not None:
            zeros_(self.weight[self.padding_idx])

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, padding_idx=None):
        """An Embedding over a given (num_embeddings, embedding_dim) tensor, frozen unless asked otherwise."""
        if embeddings.ndim != 2:
            raise ValueError(f"Embedding.from_pretrained: expected a matrix of vectors, got shape {embeddings.shape}")
        made = cls(*embeddings.shape, padding_idx=padding_idx, dtype=embeddings.dtype)
        made.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return made

    def forward(self, index):
        return F.embedding(index, self.weight, self.padding_idx)    # (*, embedding_dim)

    def extra_repr(self):
        return f"{self.num_embeddings}, {self.embedding_dim}" + (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}")
