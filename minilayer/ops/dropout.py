"""Dropout: zero a random part of the values while training, and scale the rest so that the mean stays.

Nothing is kept for backward but a place in the random stream: the mask is drawn again from there, which is faster than
reading a stored one.
"""
from minilayer._ext.dispatch import family
from minilayer.device import contiguous, device_of, empty_like, to_device
from minilayer.node import TensorBase
from minilayer.random import generator_for
from minilayer.tape import Op, apply, elementwise_cost

kernels = family("dropout")


class Dropout(Op):
    """y = x m / (1 - p) with m = 1 where u >= p, else 0, u uniform from `position` on;  dx = dy m / (1 - p)"""
    name = "dropout"

    def __init__(self, p, position):
        self.p = p
        self.position = position

    def mask(self, x):
        """x with the mask applied: forward on values, backward on gradients."""
        if x.dtype.kind != "f":
            raise TypeError(f"dropout: expected float32 or float64, got {x.dtype}; convert with .float()")
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


def dropout(x, p=0.5, training=True, rng=None):
    """Each value zero with probability p, the others divided by 1 - p; x itself when not training.

    The mask is drawn from `rng`, the calling thread's generator where it is None. Hinton et al., "Improving neural
    networks by preventing co-adaptation of feature detectors", 2012.
    """
    if isinstance(p, bool) or not isinstance(p, (int, float)):
        raise TypeError(f"dropout: expected p to be a number, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: expected a probability p in [0, 1], got {p}")
    if not isinstance(x, TensorBase):
        raise TypeError(f"dropout: expected a tensor, got {type(x).__name__}; make it one with minilayer.tensor(...)")
    generator = generator_for(rng, "dropout")
    if not training or p == 0:
        return x
    position = to_device(generator.take((x.array.size + 3) // 4), device_of(x.array))   # four values a block
    return apply(Dropout(float(p), position), x)
