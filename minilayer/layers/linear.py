"""Dense layers: Linear, and Identity, which does nothing."""
import math

from minilayer import functional as F
from minilayer.init import uniform_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import positive_int


class Linear(Layer):
    """Every output is a weighted sum of all inputs.

    y = x W^T + b

    Shapes: x (*, in_features) -> y (*, out_features), where * is any number of axes;
        weight (out_features, in_features), bias (out_features,).
    Starting values: weight and bias from U(-1/sqrt(in_features), 1/sqrt(in_features)).
    Arguments: `bias=False` leaves b out; `dtype` (default float32); `rng`, the generator the values are drawn from.

    >>> Linear(20, 30)(ones(128, 20)).shape
    (128, 30)
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None, rng=None):
        super().__init__()
        self.in_features = positive_int("Linear", "in_features", in_features, zero=True)
        self.out_features = positive_int("Linear", "out_features", out_features, zero=True)
        self.weight = Parameter(F.empty(self.out_features, self.in_features, dtype=dtype))
        self.register_parameter("bias", Parameter(F.empty(self.out_features, dtype=dtype)) if bias else None)
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        uniform_(self.weight, -bound, bound, rng)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound, rng)

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)                  # (*, out_features)

    def extra_repr(self):
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Layer):
    """Returns its input. Takes and ignores any arguments, so that it can stand in for another layer.

    >>> Identity(54, unused=True)(ones(2, 3)).shape
    (2, 3)
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        return input
