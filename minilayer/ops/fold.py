"""Unfold: the windows of an image as the columns of a matrix; fold: such columns added up to an image again."""
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("fold")


class _Windows(Op):
    """What both share: where the windows lie. Images are (B, C, H, W) or (C, H, W), columns (B, C K L, P Q) or without B."""

    def __init__(self, kernel_size, dilation, padding, stride, size, windows):
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride
        self._size, self._windows = size, windows       # (H, W) and (P, Q)
        self._settings = {"stride": stride, "padding": padding, "dilation": dilation}

    def settings_again(self):
        """What the op that goes the other way is made from."""
        return self.kernel_size, self.dilation, self.padding, self.stride, self._size, self._windows

    def spread(self, x):
        """Columns of images."""
        (k, l), (p, q) = self.kernel_size, self._windows
        lead, c = x.shape[:-3], x.shape[-3]
        y = empty((*lead, c * k * l, p * q), x.dtype, x)
        b = _product(lead)
        kernels.on(x).unfold(contiguous(x).reshape((b, c, *self._size)), y.reshape((b, c, k, l, p, q)), **self._settings)
        return y

    def gather(self, y):
        """Images of columns."""
        (k, l), (p, q) = self.kernel_size, self._windows
        lead, c = y.shape[:-2], y.shape[-2] // (k * l)
        x = empty((*lead, c, *self._size), y.dtype, y)
        b = _product(lead)
        kernels.on(y).fold(contiguous(y).reshape((b, c, k, l, p, q)), x.reshape((b, c, *self._size)), **self._settings)
        return x

    def cost(self, shapes, out_shapes):
        x, y = _product(shapes[0]), _product(out_shapes[0])
        adds = max(x, y)
        return Cost(adds, adds, 4 * (x + y), 4 * (x + y))


class Unfold(_Windows):
    """y[b, (c,k,l), (p,q)] = x[b, c, p s + k d - t, q s + l d - t], 0 outside; dx adds dy up the same ways back."""
    name = "unfold"

    def forward(self, node, x):
        return self.spread(x)

    def backward(self, node, dy):
        return self.gather(dy)

    def backward_graph(self, node, dy):
        return apply(Fold(*self.settings_again()), dy)


class Fold(_Windows):
    """y[b, c, p s + k d - t, q s + l d - t] = sum of x[b, (c,k,l), (p,q)] over all that meet there; dx is unfold of dy."""
    name = "fold"

    def forward(self, node, x):
        return self.gather(x)

    def backward(self, node, dy):
        return self.spread(dy)

    def backward_graph(self, node, dy):
        return apply(Unfold(*self.settings_again()), dy)


def _pair(name, what, value, least):
    pair = (value, value) if hasattr(value, "__index__") else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 \
            or not all([hasattr(n, "__index__") and not isinstance(n, bool) for n in pair]):
        raise TypeError(f"{name}: expected {what} to be an integer or a pair of them, got {value!r}")
    pair = tuple([n.__index__() for n in pair])
    if min(pair) < least:
        raise ValueError(f"{name}: expected {what} of {least} or more, got {value!r}")
    return pair


def _windows(name, size, kernel_size, dilation, padding, stride):
    """How many windows there are along H and W; the settings as pairs."""
    kernel_size, dilation = _pair(name, "kernel_size", kernel_size, 1), _pair(name, "dilation", dilation, 1)
    padding, stride = _pair(name, "padding", padding, 0), _pair(name, "stride", stride, 1)
    count = []
    for n, k, d, t, s in zip(size, kernel_size, dilation, padding, stride):
        room = n + 2 * t - d * (k - 1) - 1
        if room < 0:
            raise ValueError(f"{name}: expected an image that holds the kernel at least once, got {size} for "
                             f"kernel_size={kernel_size} with dilation={dilation} and padding={padding}; use more padding "
                             "or a smaller kernel")
        count.append(room // s + 1)
    return (kernel_size, dilation, padding, stride), tuple(count)


def _check(name, x, ranks, letters):
    expect_tensor(name, x)
    shape = x.array.shape
    if x.array.dtype.kind != "f":
        raise TypeError(f"{name}: expected float32 or float64, got {x.array.dtype}; convert it with .float()")
    if len(shape) not in ranks or 0 in shape[len(shape) - min(ranks):]:
        raise ValueError(f"{name}: expected an input of shape {letters}, none of them 0 but B, got {shape}")
    return shape


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of images as columns (im2col).

    input (B, C, H, W) or (C, H, W) -> (B, C * K * L, windows) or without B; row (c, k, l) holds tap (k, l) of channel c.
    kernel_size, dilation, padding and stride are an integer, or one along H and one along W. Outside the image input is 0.
    """
    shape = _check("unfold", input, (3, 4), "(B, C, H, W) or (C, H, W)")
    settings, count = _windows("unfold", shape[-2:], kernel_size, dilation, padding, stride)
    return apply(Unfold(*settings, shape[-2:], count), input)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns added up to images: what several windows share is the sum of what they say (col2im).

    input (B, C * K * L, windows) or without B -> (B, C, *output_size); the other arguments are those of `unfold`, and the
    number of windows must be that of an image of output_size, an integer or (H, W).
    """
    shape = _check("fold", input, (2, 3), "(B, C * kernel, windows) or (C * kernel, windows)")
    size = _pair("fold", "output_size", output_size, 1)
    settings, count = _windows("fold", size, kernel_size, dilation, padding, stride)
    taps = _product(settings[0])
    if shape[-2] % taps:
        raise ValueError(f"fold: expected the number of rows to be a multiple of {taps} for kernel_size={settings[0]}, "
                         f"got {shape[-2]} (shape {shape})")
    if shape[-1] != _product(count):
        raise ValueError(f"fold: expected {count[0]} * {count[1]} = {_product(count)} windows for output_size={size}, "
                         f"kernel_size={settings[0]}, dilation={settings[1]}, padding={settings[2]} and "
                         f"stride={settings[3]}, got {shape[-1]}")
    return apply(Fold(*settings, size, count), input)
