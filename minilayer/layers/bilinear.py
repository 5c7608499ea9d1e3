"""Bilinear: a dense layer of products of two inputs."""
import math

from minilayer import functional as F
from minilayer.init import uniform_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import positive_int


class Bilinear(Layer):
    """Every output is a weighted sum of all products of a value of x1 with one of x2.

    y[o] = x1 W[o] x2 + b[o]

    Shapes: x1 (*, in1_features), x2 (*, in2_features) -> y (*, out_features), where * is the same axes;
        weight (out_features, in1_features, in2_features), bias (out_features,).
    Starting values: weight and bias from U(-1/sqrt(in1_features), 1/sqrt(in1_features)).
    Arguments: `bias=False` leaves b out; `dtype`; `rng`, the generator the values are drawn from.

    >>> Bilinear(20, 30, 40)(ones(128, 20), ones(128, 30)).shape
    (128, 40)
    """

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None, rng=None):
        super().__init__()
        self.in1_features = positive_int("Bilinear", "in1_features", in1_features)
        self.in2_features = positive_int("Bilinear", "in2_features", in2_features, zero=True)
        self.out_features = positive_int("Bilinear", "out_features", out_features, zero=True)
        self.weight = Parameter(F.empty(self.out_features, self.in1_features, self.in2_features, dtype=dtype))
        self.register_parameter("bias", Parameter(F.empty(self.out_features, dtype=dtype)) if bias else None)
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        bound = 1 / math.sqrt(self.in1_features)
        uniform_(self.weight, -bound, bound, rng)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound, rng)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)           # (*, out_features)

    def extra_repr(self):
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")
