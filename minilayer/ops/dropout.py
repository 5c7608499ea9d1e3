"""Dropout: zero a random part of the values, or of the channels, while training, and scale the rest so that the mean
stays; alpha dropout sets them to selu's lower end instead, and keeps mean and variance.

Nothing is kept for backward but a place in the random stream: the mask is drawn again from there, which is faster than
reading a stored one.
"""
from math import prod as _product
from math import sqrt

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, device_of, empty_like, to_device
from minilayer.inplace import apply_inplace
from minilayer.node import TensorBase
from minilayer.promotion import real
from minilayer.random import generator_for
from minilayer.tape import Op, apply, elementwise_cost

kernels = family("dropout")


class Dropout(Op):
    """y = x m / (1 - p) with m = 1 where u >= p, else 0, u uniform from `position` on;  dx = dy m / (1 - p)"""
    name = "dropout"

    def __init__(self, p, position):
        self.p = p
        self.position = position

    def check(self, x):
        if x.dtype.kind != "f":
            raise TypeError(f"{self.name}: expected float32 or float64, got {x.dtype}; convert with .float()")

    def mask(self, x):
        """x with the mask applied: forward on values, backward on gradients."""
        self.check(x)
        x = contiguous(x)
        y = empty_like(x)
        kernels.on(x).dropout(x, self.position, y, p=self.p)
        return y

    def forward(self, node, x):
        return self.mask(x)

    def backward(self, node, dy):
        return self.mask(dy)

    def backward_graph(self, node, dy):
        return apply(Dropout(self.p, self.position), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 1, 1)


class DropoutRows(Dropout):
    """y = scale x + shift where u >= p, else `dropped`, one u for each row of values;  dx = scale dy where u >= p, else 0

    Rows are all that lies behind the first `lead` axes: a channel of an image for lead = 2, single values where lead is
    x.ndim. Feature dropout has scale = 1 / (1 - p), shift = dropped = 0; alpha dropout the constants of selu.
    """
    name = "dropout_rows"

    def __init__(self, name, lead, p, position, scale, shift, dropped):
        self.name = name
        self.lead = lead
        self.p = p
        self.position = position
        self.scale = scale
        self.shift = shift
        self.dropped = dropped

    def mask(self, x):
        self.check(x)
        x = contiguous(x)
        y = empty_like(x)
        rows = _product(x.shape[:self.lead]), _product(x.shape[self.lead:])
        kernels.on(x).dropout_rows(x.reshape(rows), self.position, y.reshape(rows), p=self.p, scale=self.scale,
                                   shift=self.shift, dropped=self.dropped)
        return y

    def _back(self):
        """The gradient's map: the same rows."""
        return DropoutRows(self.name, self.lead, self.p, self.position, self.scale, 0.0, 0.0)

    def backward(self, node, dy):
        return self._back().mask(dy)

    def backward_graph(self, node, dy):
        return apply(self._back(), dy)


def _generator(name, x, p, rng):
    """The generator to draw from, after the checks that all dropouts share."""
    if not 0 <= real(name, "p", p) <= 1:
        raise ValueError(f"{name}: expected a probability p in [0, 1], got {p}")
    if not isinstance(x, TensorBase):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}; make it one with minilayer.tensor(...)")
    return generator_for(rng, name)


def _run(op, x, inplace):
    return apply_inplace(op, x) if inplace else apply(op, x)


def _draw(generator, n, x):
    """The place of n draws in the random stream, on x's device: four values a block."""
    return to_device(generator.take((n + 3) // 4), device_of(x.array))


def dropout(input, p=0.5, training=True, inplace=False, rng=None):
    """Each value zero with probability p, the others divided by 1 - p; input itself when not training.

    inplace=True writes into input's own memory. The mask is drawn from `rng`, the calling thread's generator where it is None.
    Hinton et al., "Improving neural networks by preventing co-adaptation of feature detectors", 2012.
    """
    generator = _generator("dropout", input, p, rng)
    if not training or p == 0:
        return input
    return _run(Dropout(float(p), _draw(generator, input.array.size, input)), input, inplace)


_ALPHA = 1.7580993408473766                     # -selu(-infinity)


def _rows(name, x, lead, p, training, inplace, rng, alpha=False):
    """Dropout of whole rows behind the first `lead` axes."""
    generator = _generator(name, x, p, rng)
    if not training or p == 0 or x.array.size == 0:
        return x
    position = _draw(generator, _product(x.array.shape[:lead]), x)
    if p == 1:
        scale = shift = dropped = 0.0
    elif alpha:
        scale = 1 / sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
        shift = _ALPHA * scale * p
        dropped = shift - _ALPHA * scale
    else:
        scale, shift, dropped = 1 / (1 - p), 0.0, 0.0
    return _run(DropoutRows(name, lead, float(p), position, scale, shift, dropped), x, inplace)


def _ranks(name, x, ranks, shapes):
    if isinstance(x, TensorBase) and x.array.ndim not in ranks:
        raise ValueError(f"{name}: expected an input of shape {shapes}, got {x.array.shape}")


def dropout1d(input, p=0.5, training=True, inplace=False, rng=None):
    """Each channel (B, C, L) or (C, L) zero as a whole with probability p, the others divided by 1 - p."""
    _ranks("dropout1d", input, (2, 3), "(B, C, L) or (C, L)")
    return _rows("dropout1d", input, getattr(input, "ndim", 2) - 1, p, training, inplace, rng)


def dropout2d(input, p=0.5, training=True, inplace=False, rng=None):
    """Each channel of images (B, C, H, W) zero as a whole with probability p, the others divided by 1 - p.

    As in PyTorch, any number of axes behind (B, C) will do, and three axes are (B, C, L).
    Tompson et al., "Efficient object localization using convolutional networks", 2015.
    """
    _ranks("dropout2d", input, range(2, 17), "(B, C, H, W), or with other axes behind the first two")
    return _rows("dropout2d", input, 2, p, training, inplace, rng)


def dropout3d(input, p=0.5, training=True, inplace=False, rng=None):
    """Each channel of volumes (B, C, D, H, W) or (C, D, H, W) zero as a whole with probability p, the others divided by
    1 - p. Of a tensor with another number of axes the first are the channels, as in PyTorch."""
    _ranks("dropout3d", input, range(1, 17), "(B, C, D, H, W) or (C, D, H, W)")
    return _rows("dropout3d", input, 2 if getattr(input, "ndim", 0) == 5 else 1, p, training, inplace, rng)


def alpha_dropout(input, p=0.5, training=False, inplace=False, rng=None):
    """Dropout for selu: each value set to selu's lower end, -1.758, with probability p, and all scaled and shifted so that
    mean 0 and variance 1 stay. Klambauer et al., "Self-normalizing neural networks", 2017."""
    return _rows("alpha_dropout", input, getattr(input, "ndim", 0), p, training, inplace, rng, True)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False, rng=None):
    """alpha_dropout of whole channels (B, C, ...) at a time."""
    if training:
        _ranks("feature_alpha_dropout", input, range(2, 17), "(B, C, ...)")
    return _rows("feature_alpha_dropout", input, 2, p, training, inplace, rng, True)
