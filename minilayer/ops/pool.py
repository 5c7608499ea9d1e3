"""Pooling: an image becomes smaller by keeping one number a window.

Max pooling keeps, for each output, the place its value came from, and backward sends the gradient there. Averages keep
nothing: their gradient depends on shapes alone.
"""
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty
from minilayer.dtypes import int64
from minilayer.tape import Cost, Op, apply

kernels = family("pool")


def _pair(name, what, value, minimum):
    """An integer, or one or two of them, as (height, width)."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(values) not in (1, 2):
        raise ValueError(f"{name}: expected {what} to be an integer or a pair (height, width), got {value!r}")
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{name}: expected {what} to be an integer or a pair (height, width), got {value!r}")
        if v < minimum:
            raise ValueError(f"{name}: expected {what} of at least {minimum}, got {value!r}")
    return values[0].__index__(), values[-1].__index__()


def _windows(name, kernel_size, stride, padding, dilation):
    """The settings of windows as pairs, checked."""
    kernel = _pair(name, "kernel_size", kernel_size, 1)
    stride = kernel if stride is None or stride == () or stride == [] else _pair(name, "stride", stride, 1)
    padding = _pair(name, "padding", padding, 0)
    dilation = _pair(name, "dilation", dilation, 1)
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise ValueError(f"{name}: expected padding of at most half the kernel size {kernel}, got {padding}")
    return kernel, stride, padding, dilation


def _images(name, x):
    """x as a batch of images (B,C,H,W), C order."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"{name}: expected images of shape (batch, channels, height, width) or (channels, height, "
                         f"width), only the batch empty, got {x.shape}; .unsqueeze(0) adds an axis")
    x = contiguous(x)
    return x if x.ndim == 4 else x.reshape((1, *x.shape))


def _size(name, shape, kernel, stride, padding, dilation, ceil_mode):
    """(P, Q): how many windows fit. floor((H + 2 padding - dilation (K-1) - 1) / stride) + 1, or ceil of the fraction,
    though no window may begin beyond the image and the padding on its left."""
    sizes = []
    for axis in (0, 1):
        H, s, p = shape[-2 + axis], stride[axis], padding[axis]
        room = H + 2 * p - dilation[axis] * (kernel[axis] - 1) - 1
        n = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (n - 1) * s >= H + p:
            n -= 1
        if n < 1:
            raise ValueError(f"{name}: expected an image at least as large as a window, got shape {shape} for "
                             f"kernel_size={kernel}, padding={padding}, dilation={dilation}; use a smaller kernel")
        sizes.append(n)
    return tuple(sizes)


class MaxPool2d(Op):
    """y[b,c,p,q] = max over k, l of x[b, c, p s - pad + k dil, q s - pad + l dil], places outside left out

    dx = dy at the place of the largest value (the first of equals, a NaN above all), 0 elsewhere.
    x (B,C,H,W), y (B,C,P,Q); with `indices` also the places h W + w, int64.
    """
    name = "max_pool2d"
    nondifferentiable_outputs = (1,)

    def __init__(self, kernel, stride, padding, dilation, ceil_mode, indices):
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation
        self.ceil_mode = ceil_mode
        self.indices = indices

    def forward(self, node, x):
        images = _images("max_pool2d", x)
        P, Q = _size("max_pool2d", x.shape, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        B, C = images.shape[:2]
        y = empty((*x.shape[:-2], P, Q), x.dtype, x)
        index = empty(y.shape, int64, x) if self.indices or node.recording else None
        kernels.on(x).max_pool2d(
            images, y.reshape((B, C, P, Q)), None if index is None else index.reshape((B, C, P, Q)),
            kernel=self.kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)
        self._shape = x.shape
        node.save(index)                                    # where each value came from
        return (y, index) if self.indices else y

    def backward(self, node, dy, dindex=None):
        (index,) = node.saved
        B, C = (1, *self._shape)[-4:-2]
        P, Q = index.shape[-2:]
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).max_pool2d_backward(contiguous(dy).reshape((B, C, P, Q)), index.reshape((B, C, P, Q)),
                                           dx.reshape((B, C, *self._shape[-2:])))
        return dx

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(self.kernel[0] * self.kernel[1] * y, y, 4 * (x + 3 * y), 4 * (x + 3 * y))


class AvgPool2d(Op):
    """y[b,c,p,q] = sum over k, l of x[b, c, p s - pad + k, q s - pad + l] / n;  dx = sum of dy / n over its windows

    n counts the window's places, those in the padding too where count_include_pad. x (B,C,H,W), y (B,C,P,Q).
    """
    name = "avg_pool2d"

    def __init__(self, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, node, x):
        images = _images("avg_pool2d", x)
        P, Q = _size("avg_pool2d", x.shape, self.kernel, self.stride, self.padding, (1, 1), self.ceil_mode)
        y = empty((*x.shape[:-2], P, Q), x.dtype, x)
        kernels.on(x).avg_pool2d(
            images, y.reshape((*images.shape[:2], P, Q)), kernel=self.kernel, stride=self.stride, padding=self.padding,
            count_include_pad=self.count_include_pad, divisor_override=self.divisor_override)
        self._shape = x.shape
        return y

    def backward(self, node, dy):
        B, C, H, W = (1, *self._shape)[-4:]
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).avg_pool2d_backward(
            contiguous(dy).reshape((B, C, *dy.shape[-2:])), dx.reshape((B, C, H, W)), kernel=self.kernel,
            stride=self.stride, padding=self.padding, count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override)
        return dx

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        window = self.kernel[0] * self.kernel[1]
        return Cost((window + 1) * y, (window + 1) * y, 4 * (x + y), 4 * (x + y))


class AdaptiveAvgPool2d(Op):
    """y[b,c,p,q] = mean of x[b,c] over rows floor(p H/P) .. ceil((p+1) H/P) and columns likewise;  dx = dy / bin size

    x (B,C,H,W), y (B,C,P,Q); bins may overlap, and then their gradients add up.
    """
    name = "adaptive_avg_pool2d"

    def __init__(self, output_size):
        self.output_size = output_size                      # None: as the input

    def forward(self, node, x):
        images = _images("adaptive_avg_pool2d", x)
        P, Q = (have if want is None else want for want, have in zip(self.output_size, x.shape[-2:], strict=True))
        y = empty((*x.shape[:-2], P, Q), x.dtype, x)
        kernels.on(x).adaptive_avg_pool2d(images, y.reshape((*images.shape[:2], P, Q)))
        self._shape = x.shape
        return y

    def backward(self, node, dy):
        B, C, H, W = (1, *self._shape)[-4:]
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).adaptive_avg_pool2d_backward(contiguous(dy).reshape((B, C, *dy.shape[-2:])),
                                                    dx.reshape((B, C, H, W)))
        return dx

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(x + y, x + y, 4 * (x + y), 4 * (x + y))


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window.

    x               (B, C, H, W) or (C, H, W), float
    kernel_size, stride, padding, dilation  integers or pairs (height, width); stride defaults to kernel_size; padding,
                    at most half the kernel, counts as minus infinity
    ceil_mode       also windows that hang over the image's right and lower edge
    return_indices  give (y, indices), the place h W + w of each value in its image
    Returns (B, C, P, Q), P = floor((H + 2 padding - dilation (K-1) - 1) / stride) + 1. Of equal values the first
    counts.
    """
    kernel, stride, padding, dilation = _windows("max_pool2d", kernel_size, stride, padding, dilation)
    return apply(MaxPool2d(kernel, stride, padding, dilation, bool(ceil_mode), bool(return_indices)), x)


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window.

    x                  (B, C, H, W) or (C, H, W), float
    kernel_size, stride, padding, ceil_mode  as in max_pool2d, but padding counts as zero
    count_include_pad  do padded places count in the mean?
    divisor_override   what to divide by instead of the window's size
    """
    kernel, stride, padding, _ = _windows("avg_pool2d", kernel_size, stride, padding, 1)
    if divisor_override is not None:
        if isinstance(divisor_override, bool) or not hasattr(divisor_override, "__index__"):
            raise TypeError(f"avg_pool2d: expected divisor_override to be an integer or None, got {divisor_override!r}")
        if divisor_override == 0:
            raise ValueError("avg_pool2d: expected divisor_override other than 0, got 0")
        divisor_override = divisor_override.__index__()
    return apply(AvgPool2d(kernel, stride, padding, bool(ceil_mode), bool(count_include_pad), divisor_override), x)


def adaptive_avg_pool2d(x, output_size):
    """The means of a grid of windows that covers the image: any input size becomes `output_size`.

    x            (B, C, H, W) or (C, H, W), float
    output_size  an integer or a pair (height, width); None keeps that size of the input
    """
    sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(sizes) != 2:
        raise ValueError(f"adaptive_avg_pool2d: expected output_size to be an integer or a pair, got {output_size!r}")
    sizes = tuple([None if s is None else _pair("adaptive_avg_pool2d", "output_size", s, 0)[0] for s in sizes])
    return apply(AdaptiveAvgPool2d(sizes), x)
