"""Convolution: one small set of weights slid over every place of an image."""
import math

from minilayer import functional as F
from minilayer.init import uniform_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import pair, positive_int


class Conv2d(Layer):
    """Looks at every K x L patch of an image with the same weights (a cross-correlation, as in all such libraries).

    y[b, o, p, q] = bias[o] + sum over c, k, l of weight[o, c, k, l] x[b, c, p*stride + k*dilation - padding, ...]

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, O, P, Q) or (O, P, Q), P = floor((H + 2 padding - dilation (K-1) - 1)
        / stride) + 1; weight (O, C / groups, K, L), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(C / groups * K * L).
    Arguments: kernel_size, stride, padding, dilation are an integer or (height, width); padding is also 'valid' (none)
        or 'same' (stride 1 only: the output keeps the input's size, an odd extra row or column goes right and below);
        `groups` splits the channels into blocks that do not see each other; padding_mode 'zeros'; `rng`.
    Paper: LeCun et al., Backpropagation applied to handwritten zip code recognition, 1989.

    >>> Conv2d(1, 6, 5, padding=2)(ones(4, 1, 28, 28)).shape
    (4, 6, 28, 28)
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None, rng=None):
        super().__init__()
        self.in_channels = positive_int("Conv2d", "in_channels", in_channels)
        self.out_channels = positive_int("Conv2d", "out_channels", out_channels)
        self.groups = positive_int("Conv2d", "groups", groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"Conv2d: expected {name} to be divisible by groups={groups}, got {channels}")
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Conv2d: expected padding to be numbers, 'same' or 'valid', got {padding!r}")
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f"Conv2d: expected stride 1 with padding='same', got {stride!r}; give numbers instead")
            self.padding = padding
        else:
            self.padding = pair("Conv2d", "padding", padding, 0)
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: expected padding_mode 'zeros', got {padding_mode!r}; pad the input with "
                             "functional.pad first")
        self.weight = Parameter(F.empty(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype))
        if bias:
            self.bias = Parameter(F.empty(out_channels, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        uniform_(self.weight, -bound, bound, rng)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound, rng)

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, default in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text + (", bias=False" if self.bias is None else "")
