"""Pooling: a sequence, an image or a volume becomes smaller by keeping one number a window."""
from minilayer import functional as F
from minilayer.layers.layer import Layer


def _checked(layer, what, value, minimum, n, none=False):
    """`value` as it is, once it is an integer >= minimum or n of them (with `none`: or None in their places)."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(values) not in (1, n):
        raise ValueError(f"{layer}: expected {what} to be an integer{f' or {n} of them' if n > 1 else ''}, got {value!r}")
    for v in values:
        if none and v is None:
            continue
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{layer}: expected {what} to be integers, got {value!r}")
        if v.__index__() < minimum:
            raise ValueError(f"{layer}: expected {what} >= {minimum}, got {value!r}")
    return value


def _each(value, n):
    return tuple(value) * (n // len(value)) if isinstance(value, (tuple, list)) else (value,) * n


class _Windows(Layer):
    """What layers with windows over `n` axes share."""

    def _windows(self, kernel_size, stride, padding):
        name = type(self).__name__
        self.kernel_size = _checked(name, "kernel_size", kernel_size, 1, self.n)
        self.stride = kernel_size if stride is None else _checked(name, "stride", stride, 1, self.n)
        self.padding = _checked(name, "padding", padding, 0, self.n)
        for k, p in zip(_each(kernel_size, self.n), _each(padding, self.n), strict=True):
            if 2 * p > k:
                raise ValueError(f"{name}: expected padding of at most half the kernel size {kernel_size}, got {padding}")

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Windows):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self._windows(kernel_size, stride, padding)
        self.dilation = _checked(type(self).__name__, "dilation", dilation, 1, self.n)
        self.return_indices, self.ceil_mode = bool(return_indices), bool(ceil_mode)

    def forward(self, input):
        return self.function(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                             self.return_indices)

    def extra_repr(self):
        return super().extra_repr() + f", dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """The largest value of each window of a sequence.

    y[b, c, p] = max over k of x[b, c, p*stride + k*dilation - padding]; see MaxPool2d.

    Shapes: x (B, C, L) or (C, L) -> y (B, C, P) or (C, P).

    >>> MaxPool1d(2)(ones(1, 3, 8)).shape
    (1, 3, 4)
    """
    n = 1
    function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest value of each window.

    y[b, c, p, q] = max over k, l of x[b, c, p*stride + k*dilation - padding, ...], places outside count as -inf.
    The gradient goes to the place of the largest value (the first of equals).

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q), P = floor((H + 2 padding - dilation (K-1) - 1) / stride) + 1
        (ceil with `ceil_mode=True`, without windows that begin outside).
    Arguments: kernel_size, stride, padding, dilation are an integer or (height, width); stride defaults to kernel_size;
        padding at most half the kernel; `return_indices=True` gives (y, indices into H*W).

    >>> MaxPool2d(2)(ones(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """
    n = 2
    function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest value of each window of a volume; see MaxPool2d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, C, O, P, Q).
    Arguments: sizes are an integer or (depth, height, width); indices point into D*H*W.

    >>> MaxPool3d(2)(ones(1, 3, 8, 8, 4)).shape
    (1, 3, 4, 4, 2)
    """
    n = 3
    function = staticmethod(F.max_pool3d)


class _AvgPool(_Windows):
    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                 divisor_override=None):
        super().__init__()
        self._windows(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        if divisor_override is not None:
            if isinstance(divisor_override, bool) or not hasattr(divisor_override, "__index__") or not divisor_override:
                raise ValueError(f"{type(self).__name__}: expected divisor_override to be None or an integer other than "
                                 f"0, got {divisor_override!r}")
        self.divisor_override = divisor_override

    def forward(self, input):
        return self.function(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                             self.divisor_override)


class AvgPool1d(_AvgPool):
    """The mean of each window of a sequence; see AvgPool2d.

    Shapes: x (B, C, L) or (C, L) -> y (B, C, P) or (C, P), P as in MaxPool2d.

    >>> AvgPool1d(2)(ones(1, 3, 8)).shape
    (1, 3, 4)
    """
    n = 1

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        for name in ("kernel_size", "stride", "padding"):
            setattr(self, name, _each(getattr(self, name), 1))

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean of each window.

    y[b, c, p, q] = the sum over the window / the number of its places, those in the padding (zeros) included.

    Shapes: as MaxPool2d.
    Arguments: `count_include_pad=False` leaves padded places out of the count; `divisor_override` replaces the count.

    >>> AvgPool2d(2)(ones(1, 3, 8, 8)).shape
    (1, 3, 4, 4)
    """
    n = 2
    function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of a volume; see AvgPool2d.

    Shapes: as MaxPool3d.

    >>> AvgPool3d(2)(ones(1, 3, 8, 8, 4)).shape
    (1, 3, 4, 4, 2)
    """
    n = 3
    function = staticmethod(F.avg_pool3d)


class _LPPool(Layer):
    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        name = type(self).__name__
        if isinstance(norm_type, bool) or not isinstance(norm_type, (int, float)) or norm_type == 0:
            raise ValueError(f"{name}: expected norm_type to be a number other than 0, got {norm_type!r}")
        self.norm_type = norm_type
        self.kernel_size = _checked(name, "kernel_size", kernel_size, 1, self.n)
        self.stride = None if stride is None else _checked(name, "stride", stride, 1, self.n)
        self.ceil_mode = bool(ceil_mode)

    def forward(self, input):
        return self.function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self):
        return (f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
                f"ceil_mode={self.ceil_mode}")


class LPPool1d(_LPPool):
    """The p-norm of each window of a sequence; see LPPool2d.

    Shapes: x (B, C, L) or (C, L) -> y (B, C, P) or (C, P).

    >>> LPPool1d(2, 4)(ones(1, 1, 8))
    tensor([[[2., 2.]]])
    """
    n = 1
    function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The p-norm of each window: between the sum (p = 1) and the maximum (p = inf).

    y = (sum over the window of x^p)^(1/p), p = norm_type. Where the sum is 0 the gradient is not a number for p > 1.

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q) as in MaxPool2d.
    Arguments: stride defaults to kernel_size; with `ceil_mode=True` a window that hangs over the edge counts as full.

    >>> LPPool2d(2, 2)(ones(1, 1, 2, 4))
    tensor([[[[2., 2.]]]])
    """
    n = 2
    function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """The p-norm of each window of a volume; see LPPool2d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, C, O, P, Q).

    >>> LPPool3d(1, 2)(ones(1, 1, 2, 2, 2))
    tensor([[[[[8.]]]]])
    """
    n = 3
    function = staticmethod(F.lp_pool3d)


class _Adaptive(Layer):
    def _size(self, output_size):
        name = type(self).__name__
        if isinstance(output_size, (tuple, list)) and len(output_size) != self.n:
            raise ValueError(f"{name}: expected output_size to be an integer or {self.n} in a tuple, got {output_size!r}")
        self.output_size = _checked(name, "output_size", output_size, 0, self.n, none=True)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_Adaptive):
    def __init__(self, output_size, return_indices=False):
        super().__init__()
        self._size(output_size)
        self.return_indices = bool(return_indices)

    def forward(self, input):
        return self.function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest values of `output_size` windows that cover a sequence; see AdaptiveMaxPool2d.

    Shapes: x (B, C, L) or (C, L) -> y (B, C, output_size).

    >>> AdaptiveMaxPool1d(3)(ones(2, 16, 7)).shape
    (2, 16, 3)
    """
    n = 1
    function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest values of a grid of windows that covers the image: any input size becomes `output_size`.

    Bin i of n covers rows floor(i H / n) to ceil((i+1) H / n).

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q) with output_size (P, Q), an integer, or None for "as the
        input".
    Arguments: `return_indices=True` gives (y, indices into H*W).

    >>> AdaptiveMaxPool2d((3, None))(ones(2, 16, 7, 5)).shape
    (2, 16, 3, 5)
    """
    n = 2
    function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest values of a grid of windows that covers a volume; see AdaptiveMaxPool2d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, C, O, P, Q), output_size (O, P, Q).

    >>> AdaptiveMaxPool3d(2)(ones(2, 16, 7, 5, 4)).shape
    (2, 16, 2, 2, 2)
    """
    n = 3
    function = staticmethod(F.adaptive_max_pool3d)


class _AdaptiveAvgPool(_Adaptive):
    def __init__(self, output_size):
        super().__init__()
        self._size(output_size)

    def forward(self, input):
        return self.function(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` windows that cover a sequence; see AdaptiveAvgPool2d.

    Shapes: x (B, C, L) or (C, L) -> y (B, C, output_size).

    >>> AdaptiveAvgPool1d(1)(ones(2, 16, 7)).shape
    (2, 16, 1)
    """
    n = 1
    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of a grid of windows that covers the image: any input size becomes `output_size`.

    Bin i of n covers rows floor(i H / n) to ceil((i+1) H / n).

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q) with output_size (P, Q), an integer, or None for "as the
        input".

    >>> AdaptiveAvgPool2d(1)(ones(2, 16, 7, 5)).shape
    (2, 16, 1, 1)
    """
    n = 2
    function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of a grid of windows that covers a volume; see AdaptiveAvgPool2d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, C, O, P, Q), output_size (O, P, Q).

    >>> AdaptiveAvgPool3d((1, None, 2))(ones(2, 16, 7, 5, 4)).shape
    (2, 16, 1, 5, 2)
    """
    n = 3
    function = staticmethod(F.adaptive_avg_pool3d)


class _MaxUnpool(_Windows):
    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self._windows(kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = (
            _each(v, self.n) for v in (self.kernel_size, self.stride, self.padding))

    def forward(self, input, indices, output_size=None):
        return self.function(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """The values of a max pooling back in their places in sequences, zeros between; see MaxUnpool2d.

    Shapes: x, indices (B, C, P) or (C, P) -> y (B, C, (P - 1) stride + kernel_size - 2 padding).

    >>> y, indices = F.max_pool1d(tensor([[1., 4., 3., 2.]]), 2, return_indices=True)
    >>> MaxUnpool1d(2)(y, indices)
    tensor([[0., 4., 3., 0.]])
    """
    n = 1
    function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """The values of a max pooling back in their places, zeros between.

    Shapes: x and the int64 indices that MaxPool2d(..., return_indices=True) gave, (B, C, P, Q) or (C, P, Q) -> y
        (B, C, H, W), H = (P - 1) stride + kernel_size - 2 padding.
    Arguments: those of the pooling. Pooling rounds sizes: forward takes `output_size`, (H, W) or a whole shape, for the
        size that was.
    Paper: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.

    >>> y, indices = MaxPool2d(2, return_indices=True)(ones(1, 1, 4, 4))
    >>> MaxUnpool2d(2)(y, indices).sum()
    tensor(4.)
    """
    n = 2
    function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """The values of a max pooling back in their places in volumes, zeros between; see MaxUnpool2d.

    Shapes: x, indices (B, C, O, P, Q) or (C, O, P, Q) -> y (B, C, D, H, W).

    >>> y, indices = MaxPool3d(2, return_indices=True)(ones(1, 1, 4, 4, 2))
    >>> MaxUnpool3d(2)(y, indices).shape
    (1, 1, 4, 4, 2)
    """
    n = 3
    function = staticmethod(F.max_unpool3d)


class _FractionalMaxPool(Layer):
    def __init__(self, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None,
                 rng=None):
        super().__init__()
        name, n = type(self).__name__, self.n
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name}: expected either output_size or output_ratio, got output_size={output_size!r} and "
                             f"output_ratio={output_ratio!r}")
        self.kernel_size = _each(_checked(name, "kernel_size", kernel_size, 1, n), n)
        self.output_size = None if output_size is None else _each(_checked(name, "output_size", output_size, 1, n), n)
        self.output_ratio = None
        if output_ratio is not None:
            self.output_ratio = _each(output_ratio, n)
            if len(self.output_ratio) != n or not all(isinstance(r, float) and 0 < r < 1 for r in self.output_ratio):
                raise ValueError(f"{name}: expected output_ratio to be one or {n} numbers in (0, 1), got {output_ratio!r}")
        self.return_indices = bool(return_indices)
        self.register_buffer("_random_samples", _random_samples)
        self._rng = rng

    def forward(self, input):
        return self.function(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
                             self._random_samples, self._rng)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest values of windows that begin at random places: an image shrinks by any factor between 1 and 2.

    Window i of n begins at floor((i + u) a) - floor(u a), a = (H - K) / (n - 1), u from U(0, 1) for each channel.

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, C, P, Q), output_size (P, Q) or an integer.
    Arguments: output_size, or output_ratio: one or two numbers in (0, 1) of the input's size; `_random_samples`
        (B, C, 2) holds the draws still, else `rng` (the thread's generator) draws anew each time, in eval mode too.
    Paper: Graham, Fractional max-pooling, 2014.

    >>> FractionalMaxPool2d(2, output_ratio=0.7)(ones(1, 3, 20, 20)).shape
    (1, 3, 14, 14)
    """
    n = 2
    function = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """Fractional max pooling of volumes; see FractionalMaxPool2d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, C, O, P, Q), output_size (O, P, Q) or an integer.
    Arguments: `_random_samples` is (B, C, 3).

    >>> FractionalMaxPool3d(2, output_size=(4, 5, 6))(ones(1, 3, 8, 8, 9)).shape
    (1, 3, 4, 5, 6)
    """
    n = 3
    function = staticmethod(F.fractional_max_pool3d)
