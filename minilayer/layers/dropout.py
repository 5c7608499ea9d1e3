"""Dropout: forget at random while training, so that no unit can rely on another."""
from minilayer import functional as F
from minilayer.layers.layer import Layer
from minilayer.layers.settings import probability


class Dropout(Layer):
    """While training, sets each value to 0 with probability p and multiplies the others by 1/(1-p); else returns x.

    Shapes: any -> the same.
    Arguments: `p`; `rng`, the generator of the masks (default: the global one).
    Paper: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.

    >>> Dropout(0.2)(ones(4, 5)).shape
    (4, 5)
    """

    def __init__(self, p=0.5, inplace=False, rng=None):
        super().__init__()
        if inplace:
            raise ValueError("Dropout: inplace=True is not offered; its result would overwrite what others may have saved")
        self.p = probability("Dropout", "p", p)
        self.rng = rng

    def forward(self, x):
        return F.dropout(x, self.p, self.training, rng=self.rng)

    def extra_repr(self):
        return f"p={self.p}"
