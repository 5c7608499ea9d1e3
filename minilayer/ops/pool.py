"""Pooling: a sequence, an image or a volume becomes smaller by keeping one number a window.

Max pooling keeps, for each output, the place its value came from, and backward sends the gradient there. Averages keep
nothing: their gradient depends on shapes alone. The kernels know volumes only: a sequence is one of depth and height 1,
an image one of depth 1.
"""
from math import inf as _inf
from math import prod as _product

from minilayer import random
from minilayer._ext.dispatch import family
from minilayer.device import contiguous, device_of, empty, empty_result, to_device, zeros
from minilayer.dtypes import int64
from minilayer.node import wrap
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("pool")
indexing = family("indexing")

_LIMIT = 2**31                  # of every size and setting: the kernels multiply pairs of them in 64 bits
_PADDING = 2**20                # more than this only for larger inputs: kernels write padding out

_SIZES = {1: "an integer", 2: "an integer or a pair (height, width)", 3: "an integer or three (depth, height, width)"}
_SHAPES = {1: ("sequences", "length"), 2: ("images", "height, width"), 3: ("volumes", "depth, height, width")}


# ---- settings and shapes ----

def _sizes(name, what, value, minimum, n):
    """An integer, or one or n of them, as n."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(values) not in (1, n):
        raise ValueError(f"{name}: expected {what} to be {_SIZES[n]}, got {value!r}")
    for v in values:
        if isinstance(v, bool) or not hasattr(v, "__index__"):
            raise TypeError(f"{name}: expected {what} to be {_SIZES[n]}, got {value!r}")
        if v < minimum:
            raise ValueError(f"{name}: expected {what} of at least {minimum}, got {value!r}")
        if v.__index__() >= _LIMIT:
            raise ValueError(f"{name}: expected {what} below 2**31, got {value!r}")
    return tuple([v.__index__() for v in values]) * (n // len(values))


def _windows(name, kernel_size, stride, padding, dilation, n):
    """The settings of windows, n numbers each, checked."""
    kernel = _sizes(name, "kernel_size", kernel_size, 1, n)
    stride = kernel if stride is None or stride == () or stride == [] else _sizes(name, "stride", stride, 1, n)
    padding = _sizes(name, "padding", padding, 0, n)
    dilation = _sizes(name, "dilation", dilation, 1, n)
    if any([2 * p > k for p, k in zip(padding, kernel)]):
        raise ValueError(f"{name}: expected padding of at most half the kernel size {kernel}, got {padding}")
    return kernel, stride, padding, dilation


def _triple(values, missing):
    """Settings of n axes as those of a volume."""
    return (missing,) * (3 - len(values)) + values


def _volume(shape, n):
    """(B, C, *sizes) or (C, *sizes) as (N, D, H, W)."""
    return (_product(shape[:-n]), *(1,) * (3 - n), *shape[-n:])


def _check(name, x, n):
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")
    if x.ndim not in (n + 1, n + 2) or 0 in x.shape[-n - 1:]:
        what, sizes = _SHAPES[n]
        raise ValueError(f"{name}: expected {what} of shape (batch, channels, {sizes}) or (channels, {sizes}), "
                         f"only the batch empty, got {x.shape}; .unsqueeze(0) adds an axis")


def _counts(name, shape, kernel, stride, padding, dilation, ceil_mode):
    """How many windows fit along each axis: floor((H + 2 padding - dilation (K-1) - 1) / stride) + 1, or ceil of the
    fraction, though no window may begin beyond the input and the padding on its left."""
    counts = []
    for H, k, s, p, d in zip(shape[-len(kernel):], kernel, stride, padding, dilation):
        room = H + 2 * p - d * (k - 1) - 1
        n = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (n - 1) * s >= H + p:
            n -= 1
        if p > max(H, _PADDING):
            raise ValueError(f"{name}: expected padding of at most 2**20 or the input's size, got {padding} for shape "
                             f"{shape}")
        if n < 1:
            raise ValueError(f"{name}: expected an input at least as large as a window, got shape {shape} for "
                             f"kernel_size={kernel}, padding={padding}, dilation={dilation}; use a smaller kernel")
        counts.append(n)
    return tuple(counts)


def _fitted(shape, counts, kernel, stride, padding, dilation=None):
    """The settings of a volume that say the same with as little as possible beyond the input, for the kernels: a window's
    places that none of them has inside the input are left out (of an average: inside the padding, which it counts), and a
    single window needs no wide stride."""
    n = len(kernel)
    dilations = (1,) * n if dilation is None else dilation
    kernels = tuple([min(k, H + 2 * p if dilation is None else -(-(H + p) // d))
                     for k, H, p, d in zip(kernel, shape[-n:], padding, dilations)])
    fitted = {"kernel": _triple(kernels, 1), "padding": _triple(padding, 0),
              "stride": _triple(tuple([s if count > 1 or s <= k else 1 for s, k, count in zip(stride, kernels, counts)]),
                                1)}
    if dilation is not None:
        fitted["dilation"] = _triple(tuple([d if k > 1 else 1 for d, k in zip(dilation, kernels)]), 1)
    return fitted


class _Pool(Op):
    """What these ops share: n axes, and a name that says so."""

    def __init__(self, name, n):
        self.name = f"{name}{n}d"
        self.n = n

    def volume(self, array):
        return array.reshape(_volume(array.shape, self.n))

    def window_cost(self, shapes, out_shapes, window, bytes_of_y=1):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(window * y, window * y, 4 * (x + bytes_of_y * y), 4 * (x + bytes_of_y * y))


# ---- the largest value ----

class _Largest(_Pool):
    """Forward finds y and the places it came from; dx = dy there, 0 elsewhere."""
    nondifferentiable_outputs = (1,)

    def __init__(self, name, n, indices):
        super().__init__(name, n)
        self.indices = indices

    def pool(self, node, x, sizes, run, *more, **settings):
        x = contiguous(x)
        y = empty_result(self.name, (*x.shape[:-self.n], *sizes), x)
        index = empty(y.shape, int64, x) if self.indices or node.recording else None
        run(self.volume(x), *more, self.volume(y), None if index is None else self.volume(index), **settings)
        self._shape = x.shape
        node.save(index)                                    # where each value came from
        return (y, index) if self.indices else y

    def scatter(self, node, dy):
        (index,) = node.saved
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).max_pool_backward(self.volume(contiguous(dy)), self.volume(index), self.volume(dx))
        return dx

    def scatter_graph(self, node, dy):
        return apply(Scatter(self.n, self._shape), dy, *node.saved_tensors)


class MaxPool(_Largest):
    """y[b,c,p,q] = max over k, l of x[b, c, p s - pad + k dil, q s - pad + l dil], places outside left out

    dx = dy at the place of the largest value (the first of equals, a NaN above all), 0 elsewhere.
    x (B,C,H,W), y (B,C,P,Q); with `indices` also the places h W + w, int64. One or three axes likewise.
    """
    name = "max_pool"

    def __init__(self, windows, ceil_mode, indices):
        self.kernel, self.stride, self.padding, self.dilation = windows
        super().__init__("max_pool", len(self.kernel), indices)
        self.ceil_mode = ceil_mode

    def forward(self, node, x):
        _check(self.name, x, self.n)
        sizes = _counts(self.name, x.shape, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        fitted = _fitted(x.shape, sizes, self.kernel, self.stride, self.padding, self.dilation)
        return self.pool(node, x, sizes, kernels.on(x).max_pool, **fitted)

    def backward(self, node, dy, dindex=None):
        return self.scatter(node, dy)

    def backward_graph(self, node, dy, dindex=None):
        return self.scatter_graph(node, dy)

    def cost(self, shapes, out_shapes):
        return self.window_cost(shapes, out_shapes, _product(self.kernel), 3)


class AdaptiveMaxPool(_Largest):
    """y[b,c,p,q] = max of x[b,c] over rows floor(p H/P) .. ceil((p+1) H/P) and columns likewise;  dx = dy at its place

    x (B,C,H,W), y (B,C,P,Q); with `indices` also the places h W + w, int64. One or three axes likewise.
    """
    name = "adaptive_max_pool"

    def __init__(self, output_size, indices):
        super().__init__("adaptive_max_pool", len(output_size), indices)
        self.output_size = output_size                      # None: as the input

    def forward(self, node, x):
        _check(self.name, x, self.n)
        return self.pool(node, x, _filled(self.output_size, x.shape), kernels.on(x).adaptive_max_pool)

    def backward(self, node, dy, dindex=None):
        return self.scatter(node, dy)

    def backward_graph(self, node, dy, dindex=None):
        return self.scatter_graph(node, dy)

    def cost(self, shapes, out_shapes):
        return self.window_cost(shapes, out_shapes, 1, 3)


class FractionalMaxPool(_Largest):
    """y[b,c,p,q] = max of x[b,c] over K rows from a(p) on and L columns likewise;  dx = dy at its place

    a(p) = floor((p + u) r) - floor(u r), r = (H - K) / (P - 1), the last at H - K; u from `samples`, one for each
    channel and axis: (B, C, 1), (B, C, 2) in the order width, height, (B, C, 3) in the order depth, height, width.
    """
    name = "fractional_max_pool"
    required = 2

    def __init__(self, kernel, output_size, indices):
        super().__init__("fractional_max_pool", len(kernel), indices)
        self.kernel = kernel
        self.output_size = output_size

    def forward(self, node, x, samples):
        _check(self.name, x, self.n)
        for H, k, p in zip(x.shape[-self.n:], self.kernel, self.output_size):
            if k + p - 1 > H - (self.n == 3):               # (volumes need one place more, in PyTorch too)
                raise ValueError(f"{self.name}: expected kernel_size + output_size - 1 {'<' if self.n == 3 else '<='} the "
                                 f"input's size, got kernel_size={self.kernel} and output_size={self.output_size} for "
                                 f"shape {x.shape}; use a smaller kernel or output")
        rows = _product(x.shape[:-self.n])
        batch, channels = x.shape[0] if x.ndim == self.n + 2 else 1, x.shape[-self.n - 1]
        if samples.dtype != x.dtype or samples.ndim != 3 or samples.shape[0] < batch \
                or samples.shape[1:] != (channels, self.n):
            raise ValueError(f"{self.name}: expected _random_samples of {x.dtype} and shape (batch, channels, {self.n}) "
                             f"for an input of shape {x.shape}, got {samples.dtype} and {samples.shape}")
        samples = contiguous(samples[:batch])
        samples = samples.reshape((rows, self.n))
        three = zeros((rows, 3), x.dtype, x)                # depth, height, width
        for axis in range(self.n):
            column = 1 - axis if self.n == 2 else axis
            indexing.on(x).copy(samples[:, column:column + 1], three[:, 3 - self.n + axis:4 - self.n + axis])
        return self.pool(node, x, self.output_size, kernels.on(x).fractional_max_pool, three,
                         kernel=_triple(self.kernel, 1))

    def backward(self, node, dy, dindex=None):
        return self.scatter(node, dy), None

    def backward_graph(self, node, dy, dindex=None):
        return self.scatter_graph(node, dy), None

    def cost(self, shapes, out_shapes):
        return self.window_cost(shapes, out_shapes, _product(self.kernel), 3)


class _Spread(_Pool):
    """What the ops share that put values where an index says; they save it, and their gradient is looked up there."""

    def backward(self, node, dy):
        (index,) = node.saved
        dx = empty(index.shape, dy.dtype, dy)
        kernels.on(dy).max_unpool_backward(self.volume(contiguous(dy)), self.volume(index), self.volume(dx))
        return dx, None

    def backward_graph(self, node, dy):
        return apply(Gather(self.n), dy, *node.saved_tensors), None


class MaxUnpool(_Spread):
    """y = 0 but y[b,c,index] = x, of two values for one place the last;  dx = dy[b,c,index]"""
    name = "max_unpool"
    required = 2

    def __init__(self, output_size):
        super().__init__("max_unpool", len(output_size))
        self.output_size = output_size

    def forward(self, node, x, index):
        _check(self.name, x, self.n)
        if index.dtype != int64 or index.shape != x.shape:
            raise ValueError(f"{self.name}: expected int64 indices of the input's shape {x.shape}, as max_pool{self.n}d "
                             f"gives with return_indices=True, got {index.dtype} of shape {index.shape}")
        x, index = contiguous(x), contiguous(index)
        y = empty_result(self.name, (*x.shape[:-self.n], *self.output_size), x)
        try:
            kernels.on(x).max_unpool(self.volume(x), self.volume(index), self.volume(y))
        except IndexError as error:
            got = str(error).rpartition(", got ")[2]
            raise IndexError(f"{self.name}: expected indices in [0, {_product(self.output_size)}), the places of "
                             f"output_size={self.output_size}, got {got}; pass the size of the pooling's input as "
                             "output_size") from None
        node.save(index)                                    # dx comes from there
        return y

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(0, 0, 4 * (3 * x + y), 4 * 4 * x)


class Scatter(_Spread):
    """y = 0 but y[b,c,index] += x, the gradient of a max pooling;  dx = dy[b,c,index]"""
    name = "max_pool_backward"
    required = 2

    def __init__(self, n, shape):
        super().__init__("max_pool_backward", n)
        self.shape = shape

    def forward(self, node, x, index):
        y = empty(self.shape, x.dtype, x)
        kernels.on(x).max_pool_backward(self.volume(contiguous(x)), self.volume(index), self.volume(y))
        node.save(index)
        return y

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(x, 0, 4 * (3 * x + y), 4 * 4 * x)


class Gather(_Pool):
    """y = x[b,c,index], the gradient of an unpooling;  dx = 0 but dx[b,c,index] += dy"""
    name = "max_unpool_backward"
    required = 2

    def __init__(self, n):
        super().__init__("max_unpool_backward", n)

    def forward(self, node, x, index):
        y = empty(index.shape, x.dtype, x)
        kernels.on(x).max_unpool_backward(self.volume(contiguous(x)), self.volume(index), self.volume(y))
        self._shape = x.shape
        node.save(index)
        return y

    def backward(self, node, dy):
        (index,) = node.saved
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).max_pool_backward(self.volume(contiguous(dy)), self.volume(index), self.volume(dx))
        return dx, None

    def backward_graph(self, node, dy):
        return apply(Scatter(self.n, self._shape), dy, *node.saved_tensors), None

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(0, y, 4 * 4 * y, 4 * (3 * y + x))


# ---- the mean ----

class AvgPool(_Pool):
    """y[b,c,p,q] = sum over k, l of x[b, c, p s - pad + k, q s - pad + l] / n;  dx = sum of dy / n over its windows

    n counts the window's places, those in the padding too where count_include_pad. x (B,C,H,W), y (B,C,P,Q). One or
    three axes likewise.
    """
    name = "avg_pool"

    def __init__(self, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
        super().__init__("avg_pool", len(kernel))
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, node, x):
        _check(self.name, x, self.n)
        x = contiguous(x)
        sizes = _counts(self.name, x.shape, self.kernel, self.stride, self.padding, (1,) * self.n, self.ceil_mode)
        y = empty_result(self.name, (*x.shape[:-self.n], *sizes), x)
        self._settings = {**_fitted(x.shape, sizes, self.kernel, self.stride, self.padding),
                          "count_include_pad": self.count_include_pad, "divisor_override": self.divisor_override}
        kernels.on(x).avg_pool(self.volume(x), self.volume(y), **self._settings)
        self._shape = x.shape
        return y

    def backward(self, node, dy):
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).avg_pool_backward(self.volume(contiguous(dy)), self.volume(dx), **self._settings)
        return dx

    def backward_graph(self, node, dy):
        return apply(AverageGradient(self), dy)

    def cost(self, shapes, out_shapes):
        return self.window_cost(shapes, out_shapes, _product(self.kernel) + 1)


class AdaptiveAvgPool(_Pool):
    """y[b,c,p,q] = mean of x[b,c] over rows floor(p H/P) .. ceil((p+1) H/P) and columns likewise;  dx = dy / bin size

    x (B,C,H,W), y (B,C,P,Q); bins may overlap, and then their gradients add up. One or three axes likewise.
    """
    name = "adaptive_avg_pool"

    def __init__(self, output_size):
        super().__init__("adaptive_avg_pool", len(output_size))
        self.output_size = output_size                      # None: as the input

    def forward(self, node, x):
        _check(self.name, x, self.n)
        x = contiguous(x)
        y = empty_result(self.name, (*x.shape[:-self.n], *_filled(self.output_size, x.shape)), x)
        kernels.on(x).adaptive_avg_pool(self.volume(x), self.volume(y))
        self._shape = x.shape
        return y

    def backward(self, node, dy):
        dx = empty(self._shape, dy.dtype, dy)
        kernels.on(dy).adaptive_avg_pool_backward(self.volume(contiguous(dy)), self.volume(dx))
        return dx

    def backward_graph(self, node, dy):
        return apply(AverageGradient(self), dy)

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        return Cost(x + y, x + y, 4 * (x + y), 4 * (x + y))


class AverageGradient(_Pool):
    """The gradient of an average pooling: y = sum of x / n over the windows that hold a place;  dx = the pooled dy"""
    name = "avg_pool_backward"

    def __init__(self, pool):
        super().__init__("avg_pool_backward", pool.n)
        self._pool = pool

    def forward(self, node, x):
        return self._pool.backward(node, x)

    def backward(self, node, dy):
        return self._pool.forward(node, dy)

    def backward_graph(self, node, dy):
        return apply(self._pool, dy)

    def cost(self, shapes, out_shapes):
        return self._pool.cost(out_shapes, shapes)


def _filled(output_size, shape):
    """The output size, with the input's where it is None."""
    return tuple([have if want is None else want for want, have in zip(output_size, shape[-len(output_size):])])


# ---- functions ----

def _max_pool(n, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    windows = _windows(f"max_pool{n}d", kernel_size, stride, padding, dilation, n)
    return apply(MaxPool(windows, bool(ceil_mode), bool(return_indices)), x)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window of a sequence (B, C, L) or (C, L); see max_pool2d."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window.

    input           (B, C, H, W) or (C, H, W), float
    kernel_size, stride, padding, dilation  integers or pairs (height, width); stride defaults to kernel_size; padding,
                    at most half the kernel, counts as minus infinity
    ceil_mode       also windows that hang over the image's right and lower edge
    return_indices  give (y, indices), the place h W + w of each value in its image
    Returns (B, C, P, Q), P = floor((H + 2 padding - dilation (K-1) - 1) / stride) + 1. Of equal values the first
    counts.
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window of a volume (B, C, D, H, W) or (C, D, H, W); see max_pool2d. A place is
    (d H + h) W + w."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """`max_pool1d` with return_indices=True, whatever is asked for."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """`max_pool2d` with return_indices=True, whatever is asked for."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """`max_pool3d` with return_indices=True, whatever is asked for."""
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _avg_pool(n, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
    name = f"avg_pool{n}d"
    kernel, stride, padding, _ = _windows(name, kernel_size, stride, padding, 1, n)
    if divisor_override is not None:
        if isinstance(divisor_override, bool) or not hasattr(divisor_override, "__index__"):
            raise TypeError(f"{name}: expected divisor_override to be an integer or None, got {divisor_override!r}")
        if divisor_override == 0:
            raise ValueError(f"{name}: expected divisor_override other than 0, got 0")
        if not -_LIMIT < divisor_override.__index__() < _LIMIT:
            raise ValueError(f"{name}: expected divisor_override between -2**31 and 2**31, got {divisor_override}")
        divisor_override = divisor_override.__index__()
    return apply(AvgPool(kernel, stride, padding, bool(ceil_mode), bool(count_include_pad), divisor_override), x)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of a sequence (B, C, L) or (C, L); see avg_pool2d."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window.

    input              (B, C, H, W) or (C, H, W), float
    kernel_size, stride, padding, ceil_mode  as in max_pool2d, but padding counts as zero
    count_include_pad  do padded places count in the mean?
    divisor_override   what to divide by instead of the window's size
    """
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window of a volume (B, C, D, H, W) or (C, D, H, W); see avg_pool2d."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(n, x, norm_type, kernel_size, stride, ceil_mode):
    name = f"lp_pool{n}d"
    expect_tensor(name, x)
    _check(name, x.array, n)
    if isinstance(norm_type, bool) or not isinstance(norm_type, (int, float)) or norm_type == 0:
        raise ValueError(f"{name}: expected norm_type to be a number other than 0, got {norm_type!r}")
    if isinstance(norm_type, int) and not -_LIMIT < norm_type < _LIMIT:
        raise ValueError(f"{name}: expected norm_type between -2**31 and 2**31, or inf, got {norm_type!r}")
    kernel, stride, _, _ = _windows(name, kernel_size, stride, 0, 1, n)
    if norm_type in (_inf, -_inf):
        y = _max_pool(n, abs(x) if norm_type > 0 else -abs(x), kernel, stride, 0, 1, ceil_mode, False)
        return y if norm_type > 0 else -y
    y = _avg_pool(n, x ** norm_type, kernel, stride, 0, ceil_mode, True, None)
    return (y.sign() * y.abs().relu() * _product(kernel)) ** (1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a sequence (B, C, L) or (C, L); see lp_pool2d."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm (sum input^p)^(1/p) of each window, p = norm_type; inf gives the largest |input|, -inf the smallest.

    input  (B, C, H, W) or (C, H, W), float; kernel_size, stride, ceil_mode as in max_pool2d. As in PyTorch, input^p keeps a
    sign that an odd p leaves, and a window that hangs over the edge (ceil_mode) counts as if it were full.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of a volume (B, C, D, H, W) or (C, D, H, W); see lp_pool2d."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def _output_sizes(name, output_size, n):
    sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(sizes) != n:
        raise ValueError(f"{name}: expected output_size to be {_SIZES[n]}, got {output_size!r}")
    return tuple([None if s is None else _sizes(name, "output_size", s, 0, 1)[0] for s in sizes])


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The largest value of `output_size` windows that cover a sequence (B, C, L) or (C, L); see adaptive_max_pool2d."""
    return apply(AdaptiveMaxPool(_output_sizes("adaptive_max_pool1d", output_size, 1), bool(return_indices)), input)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The largest values of a grid of windows that covers the image: any input size becomes `output_size`.

    input           (B, C, H, W) or (C, H, W), float
    output_size     an integer or a pair (height, width); None keeps that size of the input
    return_indices  give (y, indices), the place h W + w of each value in its image
    """
    return apply(AdaptiveMaxPool(_output_sizes("adaptive_max_pool2d", output_size, 2), bool(return_indices)), input)


def adaptive_max_pool3d(input, output_size, return_indices=False):
    """The largest values of a grid of windows that covers a volume (B, C, D, H, W); see adaptive_max_pool2d."""
    return apply(AdaptiveMaxPool(_output_sizes("adaptive_max_pool3d", output_size, 3), bool(return_indices)), input)


def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """`adaptive_max_pool1d` with return_indices=True, whatever is asked for."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """`adaptive_max_pool2d` with return_indices=True, whatever is asked for."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """`adaptive_max_pool3d` with return_indices=True, whatever is asked for."""
    return adaptive_max_pool3d(input, output_size, True)


def adaptive_avg_pool1d(input, output_size):
    """The means of `output_size` windows that cover a sequence (B, C, L) or (C, L); see adaptive_avg_pool2d."""
    return apply(AdaptiveAvgPool(_output_sizes("adaptive_avg_pool1d", output_size, 1)), input)


def adaptive_avg_pool2d(input, output_size):
    """The means of a grid of windows that covers the image: any input size becomes `output_size`.

    input        (B, C, H, W) or (C, H, W), float
    output_size  an integer or a pair (height, width); None keeps that size of the input
    """
    return apply(AdaptiveAvgPool(_output_sizes("adaptive_avg_pool2d", output_size, 2)), input)


def adaptive_avg_pool3d(input, output_size):
    """The means of a grid of windows that covers a volume (B, C, D, H, W) or (C, D, H, W); see adaptive_avg_pool2d."""
    return apply(AdaptiveAvgPool(_output_sizes("adaptive_avg_pool3d", output_size, 3)), input)


def _max_unpool(n, x, indices, kernel_size, stride, padding, output_size):
    name = f"max_unpool{n}d"
    expect_tensor(name, x)
    kernel, stride, padding, _ = _windows(name, kernel_size, stride, padding, 1, n)
    _check(name, x.array, n)
    default = tuple([(P - 1) * s + k - 2 * p
                     for P, k, s, p in zip(x.array.shape[-n:], kernel, stride, padding)])
    if output_size is None:
        return apply(MaxUnpool(default), x, indices)
    sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,)
    sizes = _sizes(name, "output_size", sizes[2:] if len(sizes) == n + 2 else sizes, 0, n)
    for size, usual, s in zip(sizes, default, stride):
        if not usual - s < size < usual + s:
            raise ValueError(f"{name}: expected an output_size within stride={stride} of {default}, the size that "
                             f"kernel_size={kernel} and padding={padding} suggest, got {output_size!r}")
    return apply(MaxUnpool(sizes), x, indices)


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The values of a max pooling back in their places in sequences (B, C, L) or (C, L); see max_unpool2d."""
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The values of a max pooling back in their places, zeros between.

    input, indices   what max_pool2d(..., return_indices=True) gave, (B, C, P, Q) or (C, P, Q)
    kernel_size, stride, padding  those of the pooling; they give the size (P - 1) stride + kernel_size - 2 padding
    output_size  the size itself, (H, W) or a whole shape, where pooling rounded: less than a stride away
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The values of a max pooling back in their places in volumes (B, C, D, H, W); see max_unpool2d."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _fractional(n, x, kernel_size, output_size, output_ratio, return_indices, samples, rng):
    name = f"fractional_max_pool{n}d"
    expect_tensor(name, x)
    kernel = _sizes(name, "kernel_size", kernel_size, 1, n)
    _check(name, x.array, n)
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        if len(ratios) != n or not all([isinstance(r, float) and 0 < r < 1 for r in ratios]):
            raise ValueError(f"{name}: expected an output_size, or an output_ratio of one or {n} numbers in (0, 1), "
                             f"got output_size=None, output_ratio={output_ratio!r}")
        output_size = tuple([int(H * r) for H, r in zip(x.array.shape[-n:], ratios)])
    sizes = _sizes(name, "output_size", output_size, 1, n)
    if samples is None:
        shape = (*(1, *x.array.shape)[-n - 2:-n], n)
        samples = wrap(to_device(random.uniform(shape, 0.0, 1.0, x.array.dtype, rng), device_of(x.array)))
    return apply(FractionalMaxPool(kernel, sizes, bool(return_indices)), x, samples)


def fractional_max_pool2d(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                          _random_samples=None, rng=None):
    """The largest values of windows that begin at random places: an image shrinks by any factor between 1 and 2.

    input            (B, C, H, W) or (C, H, W), float
    kernel_size      an integer or a pair (height, width)
    output_size      an integer or a pair; or output_ratio, one or two numbers in (0, 1) of the input's size
    return_indices   give (y, indices), the place h W + w of each value in its image
    _random_samples  numbers in [0, 1) to place the windows by, (batch, channels, 2), first for the width, then for the
                     height; drawn from `rng` (the thread's generator) where it is None
    Graham, Fractional max-pooling, 2014.
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, rng)


def fractional_max_pool3d(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                          _random_samples=None, rng=None):
    """Fractional max pooling of volumes (B, C, D, H, W) or (C, D, H, W); see fractional_max_pool2d. Samples (batch,
    channels, 3) are for depth, height, width."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, rng)


def fractional_max_pool2d_with_indices(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                                       _random_samples=None, rng=None):
    """`fractional_max_pool2d` with return_indices=True, whatever is asked for."""
    return fractional_max_pool2d(input, kernel_size, output_size, output_ratio, True, _random_samples, rng)


def fractional_max_pool3d_with_indices(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                                       _random_samples=None, rng=None):
    """`fractional_max_pool3d` with return_indices=True, whatever is asked for."""
    return fractional_max_pool3d(input, kernel_size, output_size, output_ratio, True, _random_samples, rng)
