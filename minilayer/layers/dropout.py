"""Dropout: forget at random while training, so that no unit can rely on another."""
from minilayer import functional as F
from minilayer.layers.layer import Layer
from minilayer.layers.settings import probability


class _Dropout(Layer):
    def __init__(self, p=0.5, inplace=False, rng=None):
        super().__init__()
        self.p = probability(type(self).__name__, "p", p)
        self.inplace = bool(inplace)
        self.rng = rng

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, sets each value to 0 with probability p and multiplies the others by 1/(1-p); else returns x.

    Shapes: any -> the same.
    Arguments: `p`; `inplace=True` writes into the input's memory; `rng`, the generator of the masks (default: the calling
        thread's).
    Paper: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.

    >>> Dropout(0.2)(ones(4, 5)).shape
    (4, 5)
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace, self.rng)


class Dropout1d(_Dropout):
    """While training, sets each channel of a sequence to 0 as a whole with probability p, and multiplies the others by
    1/(1-p). Neighbours in a channel are alike: dropping single values would hide little.

    Shapes: x (B, C, L) or (C, L) -> the same. Arguments as Dropout's.
    Paper: Tompson et al., Efficient object localization using convolutional networks, 2015.

    >>> Dropout1d(0.2)(ones(4, 5, 6)).shape
    (4, 5, 6)
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace, self.rng)


class Dropout2d(_Dropout):
    """While training, sets each channel of an image to 0 as a whole with probability p, and multiplies the others by
    1/(1-p).

    Shapes: x (B, C, H, W) -> the same; three axes are taken as (B, C, L), as in PyTorch. Arguments as Dropout's.
    Paper: Tompson et al., Efficient object localization using convolutional networks, 2015.

    >>> Dropout2d(0.2)(ones(4, 5, 6, 6)).shape
    (4, 5, 6, 6)
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace, self.rng)


class Dropout3d(_Dropout):
    """While training, sets each channel of a volume to 0 as a whole with probability p, and multiplies the others by
    1/(1-p).

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> the same. Arguments as Dropout's.
    Paper: Tompson et al., Efficient object localization using convolutional networks, 2015.

    >>> Dropout3d(0.2)(ones(4, 5, 2, 6, 6)).shape
    (4, 5, 2, 6, 6)
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace, self.rng)


class AlphaDropout(_Dropout):
    """Dropout that goes with SELU: while training, sets each value to SELU's lower end with probability p, and scales and
    shifts all so that mean 0 and variance 1 stay.

    y = a x + b, or a (-1.758) + b, with a = ((1 - p) (1 + p 1.758^2))^(-1/2) and b = 1.758 a p.

    Shapes: any -> the same. Arguments as Dropout's, but `inplace` does nothing, as in PyTorch (F.alpha_dropout heeds it).
    Paper: Klambauer et al., Self-normalizing neural networks, 2017.

    >>> AlphaDropout(0.2)(ones(4, 5)).shape
    (4, 5)
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training, rng=self.rng)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels at a time.

    Shapes: x (B, C, *) -> the same. Arguments as AlphaDropout's (F.feature_alpha_dropout heeds `inplace`).
    Paper: Klambauer et al., Self-normalizing neural networks, 2017.

    >>> FeatureAlphaDropout(0.2)(ones(4, 5, 6)).shape
    (4, 5, 6)
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training, rng=self.rng)
