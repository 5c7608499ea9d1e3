"""Flatten: from images to vectors."""
from minilayer import functional as F
from minilayer.layers.layer import Layer


class Flatten(Layer):
    """Merges the axes start_dim ... end_dim into one; by default all but the batch.

    >>> Flatten()(ones(2, 3, 4, 4)).shape
    (2, 48)
    """

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
