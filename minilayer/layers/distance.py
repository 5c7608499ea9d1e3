"""Distances between vectors, as layers."""
from minilayer import functional as F
from minilayer.layers.layer import Layer
from minilayer.layers.settings import number


class CosineSimilarity(Layer):
    """The cosine of the angle between vectors along `dim`: x1 . x2 / (|x1| |x2|), each length at least `eps`.

    Shapes: x1, x2 (..., D, ...) with D on axis `dim`; shapes broadcast -> that without the axis.

    >>> CosineSimilarity(dim=0)(tensor([3.0, 4.0]), tensor([6.0, 8.0])).item()
    1.0
    """

    def __init__(self, dim=1, eps=1e-8):
        super().__init__()
        if isinstance(dim, bool) or not hasattr(dim, "__index__"):
            raise TypeError(f"CosineSimilarity: expected dim to be an integer, got {dim!r}")
        self.dim = dim
        self.eps = number("CosineSimilarity", "eps", eps)

    def forward(self, x1, x2):
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Layer):
    """The p-norm of x1 - x2 + eps along the last axis.

    Shapes: x1, x2 (N, D) or (D,); shapes broadcast -> (N,) or (), with an axis of size 1 more where `keepdim`.

    >>> round(PairwiseDistance()(tensor([[3.0, 4.0]]), zeros(1, 2)).item(), 4)
    5.0
    """

    def __init__(self, p=2.0, eps=1e-6, keepdim=False):
        super().__init__()
        self.norm = number("PairwiseDistance", "p", p)
        self.eps = number("PairwiseDistance", "eps", eps)
        self.keepdim = keepdim

    def forward(self, x1, x2):
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
