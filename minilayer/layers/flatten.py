"""Flatten: from images to vectors; Unflatten: back."""
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

    def forward(self, input):
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Layer):
    """Splits the axis `dim` into several: Flatten undone.

    Shapes: x (..., n, ...) with n on axis `dim` -> y (..., *unflattened_size, ...), sizes whose product is n; one of
        them may be -1, what is left.

    >>> Unflatten(1, (3, 4, -1))(ones(2, 48)).shape
    (2, 3, 4, 4)
    """

    def __init__(self, dim, unflattened_size):
        super().__init__()
        if isinstance(dim, bool) or not hasattr(dim, "__index__"):
            raise TypeError(f"Unflatten: expected dim to be an integer, got {dim!r}")
        if not isinstance(unflattened_size, (tuple, list)) or not unflattened_size:
            raise TypeError(f"Unflatten: expected unflattened_size to be a tuple of integers, got {unflattened_size!r}")
        for n in unflattened_size:
            if isinstance(n, bool) or not hasattr(n, "__index__"):
                raise TypeError(f"Unflatten: expected unflattened_size to be integers, got {unflattened_size!r}")
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input):
        return F.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
