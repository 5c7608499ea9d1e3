"""Pooling: an image becomes smaller by keeping one number a window."""
from minilayer import functional as F
from minilayer.layers.layer import Layer
from minilayer.layers.settings import pair, positive_int


class _Pool2d(Layer):
    def _windows(self, kernel_size, stride, padding):
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)
        for k, p in zip(self.kernel_size, self.padding, strict=True):
            if 2 * p > k:
                raise ValueError(f"{name}: expected padding of at most half the kernel size {self.kernel_size}, "
                                 f"got {self.padding}")

    def extra_repr(self):
        text = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return text + (f", padding={self.padding}" if self.padding != (0, 0) else "")


class MaxPool2d(_Pool2d):
    """The largest value of each window.

    y[b, c, p, q] = max over k, l of x[b, c, p*stride + k*dilation - padding, ...], places outside count as -inf.
    The gradient goes to the place of the largest value (the first of equals).

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q), P = floor((H + 2 padding - dilation (K-1) - 1) / stride) + 1
        (ceil with `ceil_mode=True`, without windows that begin outside).
    Arguments: stride defaults to kernel_size; padding at most half the kernel; `return_indices=True` gives (y, indices
        into H*W).

    >>> MaxPool2d(2)(ones(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self._windows(kernel_size, stride, padding)
        self.dilation = pair("MaxPool2d", "dilation", dilation, 1)
        self.return_indices, self.ceil_mode = bool(return_indices), bool(ceil_mode)

    def forward(self, x):
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                            self.return_indices)


class AvgPool2d(_Pool2d):
    """The mean of each window.

    Shapes: as MaxPool2d.
    Arguments: `count_include_pad=False` leaves padded places out of the count; `divisor_override` replaces the count.

    >>> AvgPool2d(2)(ones(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        super().__init__()
        self._windows(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        self.divisor_override = (None if divisor_override is None
                                 else positive_int("AvgPool2d", "divisor_override", divisor_override))

    def forward(self, x):
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)


class AdaptiveAvgPool2d(Layer):
    """The means of a grid of windows that covers the image: any input size becomes `output_size`.

    Bin i of n covers rows floor(i H / n) to ceil((i+1) H / n).

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q) with output_size (P, Q), an integer, or None for "as the
        input".

    >>> AdaptiveAvgPool2d(1)(ones(2, 16, 7, 5)).shape
    (2, 16, 1, 1)
    """

    def __init__(self, output_size):
        super().__init__()
        sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size, output_size)
        if len(sizes) != 2:
            raise ValueError(f"AdaptiveAvgPool2d: expected output_size to be an integer or a pair, got {output_size!r}")
        self.output_size = tuple(None if s is None else positive_int("AdaptiveAvgPool2d", "output_size", s)
                                 for s in sizes)

    def forward(self, x):
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"
