"""Convolution: one small set of weights slid over every place of a sequence, an image or a volume."""
import math

from minilayer import functional as F
from minilayer.init import uniform_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import positive_int, sizes

_MODES = ("zeros", "reflect", "replicate", "circular")


class _Windows(Layer):
    """What convolutions and transposed ones share. Theirs are `axes` and weight_shape(), what the settings ask for."""
    axes = 0

    def _settings(self, in_channels, out_channels, kernel_size, stride, dilation, groups):
        """Check and keep the arguments that mean the same in both."""
        name = type(self).__name__
        self.in_channels = positive_int(name, "in_channels", in_channels, zero=True)
        self.out_channels = positive_int(name, "out_channels", out_channels, zero=True)
        self.groups = positive_int(name, "groups", groups)
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: expected {what} to be divisible by groups={groups}, got {channels}")
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.axes, 1)
        self.stride = sizes(name, "stride", stride, self.axes, 1)
        self.dilation = sizes(name, "dilation", dilation, self.axes, 1)

    def _make(self, bias, device, dtype, rng):
        self.weight = Parameter(F.empty(*self.weight_shape(), dtype=dtype))
        self.register_parameter("bias", Parameter(F.empty(self.out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters(rng)
        if device is not None:
            self.to(device)

    def reset_parameters(self, rng=None):
        inputs = math.prod(self.weight.shape[1:])
        bound = 1 / math.sqrt(inputs) if inputs else 0.0
        uniform_(self.weight, -bound, bound, rng)
        if self.bias is not None:
            uniform_(self.bias, -bound, bound, rng)

    def extra_repr(self):
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        ones, none = (1,) * self.axes, (0,) * self.axes
        for name, default in (("padding", none), ("dilation", ones), ("output_padding", none), ("groups", 1)):
            value = getattr(self, name, default)
            if value != default:
                text += f", {name}={value}"
        return (text + (", bias=False" if self.bias is None else "")
                + ("" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode}"))


class _Conv(_Windows):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 padding_mode="zeros", device=None, dtype=None, rng=None):
        super().__init__()
        name = type(self).__name__
        self._settings(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"{name}: expected padding to be numbers, 'same' or 'valid', got {padding!r}")
            if padding == "same" and max(self.stride) > 1:
                raise ValueError(f"{name}: expected stride 1 with padding='same', got {stride!r}; give numbers instead")
            self.padding = padding
        else:
            self.padding = sizes(name, "padding", padding, self.axes, 0)
        if padding_mode not in _MODES:
            raise ValueError(f"{name}: expected padding_mode to be one of {', '.join(_MODES)}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self._make(bias, device, dtype, rng)

    def weight_shape(self):
        return self.out_channels, self.in_channels // self.groups, *self.kernel_size

    def _around(self):
        """The padding as functional.pad takes it: two numbers an axis, from the last axis on."""
        if self.padding == "same":
            whole = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(n // 2, n - n // 2) for n in whole]
        else:
            pairs = [(n, n) for n in ((0,) * self.axes if self.padding == "valid" else self.padding)]
        return tuple([n for pair in reversed(pairs) for n in pair])

    def forward(self, input):
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.axes - 1]
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._around(), self.padding_mode), 0
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Looks at every K neighbours of a sequence with the same weights (a cross-correlation, as in all such libraries).

    y[b, o, p] = bias[o] + sum over c, k of weight[o, c, k] x[b, c, p*stride + k*dilation - padding]

    Shapes: x (B, C, L) or (C, L) -> y (B, O, P) or (O, P), P = floor((L + 2 padding - dilation (K-1) - 1) / stride) + 1;
        weight (O, C / groups, K), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(C / groups * K).
    Arguments: as Conv2d, with one number where that takes two.
    Paper: Waibel et al., Phoneme recognition using time-delay neural networks, 1989.

    >>> Conv1d(3, 8, 5, padding=2)(ones(4, 3, 20)).shape
    (4, 8, 20)
    """
    axes = 1


class Conv2d(_Conv):
    """Looks at every K x L patch of an image with the same weights (a cross-correlation, as in all such libraries).

    y[b, o, p, q] = bias[o] + sum over c, k, l of weight[o, c, k, l] x[b, c, p*stride + k*dilation - padding, ...]

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, O, P, Q) or (O, P, Q), P = floor((H + 2 padding - dilation (K-1) - 1)
        / stride) + 1; weight (O, C / groups, K, L), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(C / groups * K * L).
    Arguments: kernel_size, stride, padding, dilation are an integer or (height, width); padding is also 'valid' (none)
        or 'same' (stride 1 only: the output keeps the input's size, an odd extra row or column goes right and below);
        `groups` splits the channels into blocks that do not see each other; padding_mode says what lies outside the image:
        'zeros', or 'reflect', 'replicate' or 'circular' as in functional.pad; `rng`.
    Paper: LeCun et al., Backpropagation applied to handwritten zip code recognition, 1989.

    >>> Conv2d(1, 6, 5, padding=2)(ones(4, 1, 28, 28)).shape
    (4, 6, 28, 28)
    """
    axes = 2


class Conv3d(_Conv):
    """Looks at every J x K x L block of a volume, or of some frames of a film, with the same weights.

    y[b, o, r, p, q] = bias[o] + sum over c, j, k, l of weight[o, c, j, k, l] x[b, c, r*stride + j*dilation - padding, ...]

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, O, R, P, Q) or (O, R, P, Q), R = floor((D + 2 padding
        - dilation (J-1) - 1) / stride) + 1; weight (O, C / groups, J, K, L), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(C / groups * J * K * L).
    Arguments: as Conv2d, with three numbers (depth, height, width) where that takes two.
    Paper: Ji et al., 3D convolutional neural networks for human action recognition, 2010.

    >>> Conv3d(1, 6, 3, stride=(1, 2, 2), padding=1)(ones(2, 1, 4, 8, 8)).shape
    (2, 6, 4, 4, 4)
    """
    axes = 3


class _ConvTranspose(_Windows):
    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
                 dilation=1, padding_mode="zeros", device=None, dtype=None, rng=None):
        super().__init__()
        name = type(self).__name__
        self._settings(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = sizes(name, "padding", padding, self.axes, 0)
        self.output_padding = sizes(name, "output_padding", output_padding, self.axes, 0)
        if padding_mode != "zeros":
            raise ValueError(f"{name}: expected padding_mode 'zeros', got {padding_mode!r}: a transposed convolution cuts "
                             "its padding off the output")
        self.padding_mode = padding_mode
        self._make(bias, device, dtype, rng)

    def weight_shape(self):
        return self.in_channels, self.out_channels // self.groups, *self.kernel_size

    def _padding_for(self, x, output_size):
        """The output_padding that gives this size, of the last axes or of all."""
        name, n = type(self).__name__, self.axes
        if not isinstance(output_size, (tuple, list)) or len(output_size) not in (n, x.ndim):
            raise ValueError(f"{name}: expected output_size with {n} numbers, or {x.ndim} as the input, got {output_size!r}")
        wanted = tuple(output_size)[-n:]
        more = []
        for i, size in enumerate(wanted):
            least = ((x.shape[x.ndim - n + i] - 1) * self.stride[i] - 2 * self.padding[i]
                     + self.dilation[i] * (self.kernel_size[i] - 1) + 1)
            if not least <= size < least + self.stride[i]:
                raise ValueError(f"{name}: expected an output_size from {least} to {least + self.stride[i] - 1} along axis "
                                 f"{i - n} for an input of shape {x.shape}, got {wanted}")
            more.append(size - least)
        return tuple(more)

    def forward(self, input, output_size=None):
        spread = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        more = self.output_padding if output_size is None else self._padding_for(input, output_size)
        return spread(input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation)


class ConvTranspose1d(_ConvTranspose):
    """Paints K neighbours of a longer sequence for every element: the weights, times the element, added up.

    y[b, o, p*stride + k*dilation - padding] = bias[o] + sum of weight[c, o, k] x[b, c, p] over all that meet there

    Shapes: x (B, C, L) or (C, L) -> y (B, O, P) or (O, P), P = (L - 1) stride - 2 padding + dilation (K - 1)
        + output_padding + 1; weight (C, O / groups, K), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(O / groups * K).
    Arguments: as ConvTranspose2d, with one number where that takes two.

    >>> ConvTranspose1d(8, 3, 4, stride=2, padding=1)(ones(4, 8, 10)).shape
    (4, 3, 20)
    """
    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Paints a K x L patch of a larger image for every pixel: the weights, times the pixel, added up where they overlap.

    y[b, o, p*stride + k*dilation - padding, ...] = bias[o] + sum of weight[c, o, k, l] x[b, c, p, q] over all that meet
    there. It is the gradient of Conv2d for its input: where that makes images smaller, this makes them larger.

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, O, P, Q) or (O, P, Q), P = (H - 1) stride - 2 padding
        + dilation (K - 1) + output_padding + 1; weight (C, O / groups, K, L), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(O / groups * K * L).
    Arguments: kernel_size, stride, padding, output_padding, dilation are an integer or (height, width); padding cuts rows
        and columns off every side of the output, output_padding adds some at the right and below; `groups` splits the
        channels into blocks that do not see each other; `rng`. `forward(input, output_size)` takes the size wanted, of the
        sizes that differ in output_padding.
    Paper: Zeiler et al., Deconvolutional networks, 2010.

    >>> ConvTranspose2d(6, 1, 4, stride=2, padding=1)(ones(4, 6, 14, 14)).shape
    (4, 1, 28, 28)
    """
    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """Paints a J x K x L block of a larger volume for every element: the weights, times the element, added up.

    y[b, o, r*stride + j*dilation - padding, ...] = bias[o] + sum of weight[c, o, j, k, l] x[b, c, r, p, q] over all that
    meet there

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, O, R, P, Q) or (O, R, P, Q), R = (D - 1) stride - 2 padding
        + dilation (J - 1) + output_padding + 1; weight (C, O / groups, J, K, L), bias (O,).
    Starting values: weight and bias from U(-b, b), b = 1/sqrt(O / groups * J * K * L).
    Arguments: as ConvTranspose2d, with three numbers (depth, height, width) where that takes two.

    >>> ConvTranspose3d(6, 1, 2, stride=2)(ones(2, 6, 2, 4, 4)).shape
    (2, 1, 4, 8, 8)
    """
    axes = 3


def _as_given(layer, name, value, minimum):
    """`value` as it is, if functional.fold and unfold can take it."""
    sizes(layer, name, value, 2, minimum)
    return value


class Unfold(Layer):
    """The windows of images as columns: what a convolution multiplies its weights by.

    y[b, (c, k, l), (p, q)] = x[b, c, p*stride + k*dilation - padding, q*stride + l*dilation - padding]

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C * K * L, P * Q) or (C * K * L, P * Q), P = floor((H + 2 padding
        - dilation (K-1) - 1) / stride) + 1.
    Arguments: each an integer or (height, width).

    >>> Unfold(3, padding=1)(ones(2, 5, 4, 4)).shape
    (2, 45, 16)
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.kernel_size = _as_given("Unfold", "kernel_size", kernel_size, 1)
        self.dilation = _as_given("Unfold", "dilation", dilation, 1)
        self.padding = _as_given("Unfold", "padding", padding, 0)
        self.stride = _as_given("Unfold", "stride", stride, 1)

    def forward(self, input):
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return (f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
                f"stride={self.stride}")


class Fold(Layer):
    """Columns added up to images: the way back of Unfold, but that a pixel is the sum over the windows that hold it.

    y[b, c, p*stride + k*dilation - padding, ...] = sum of x[b, (c, k, l), (p, q)] over all that meet there

    Shapes: x (B, C * K * L, P * Q) or without B -> y (B, C, *output_size), P = floor((H + 2 padding - dilation (K-1) - 1)
        / stride) + 1 for output_size (H, W).
    Arguments: each an integer or (height, width).

    >>> Fold((4, 4), 3, padding=1)(ones(2, 45, 16)).shape
    (2, 5, 4, 4)
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.output_size = _as_given("Fold", "output_size", output_size, 1)
        self.kernel_size = _as_given("Fold", "kernel_size", kernel_size, 1)
        self.dilation = _as_given("Fold", "dilation", dilation, 1)
        self.padding = _as_given("Fold", "padding", padding, 0)
        self.stride = _as_given("Fold", "stride", stride, 1)

    def forward(self, input):
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return (f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
                f"padding={self.padding}, stride={self.stride}")
