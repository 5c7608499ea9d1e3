# cython: language_level=3
"""Convolution of sequences, images and volumes: the same small window of weights at every place.

Cross-correlation, as everywhere in deep learning: the window is not flipped. All of it is one sum of products,

    S = sum over b, o, c, p, k of  y[b, o, p] w[o, c, k] x[b, c, p s + k d - t]

with stride s, dilation d and padding t, where p and k run over one to three axes. Convolution is the slope of S along y,
transposed convolution that along x, and each one's gradients are slopes of S again. The kernels compute the three as
matrix multiplications that read straight out of the image; the matrix of windows (im2col) is never written to memory.
"""
from math import prod as _product

import cython

from minilayer._ext.dispatch import Family, family
from minilayer.node import Node
from minilayer.tape import Cost, Op, apply

if cython.compiled:
    from cython.cimports.minilayer.device import contiguous, empty, is_contiguous
else:
    from minilayer.device import contiguous, empty, is_contiguous

conv = cython.declare(Family, family("conv"))
reduce = cython.declare(Family, family("reduce"))

_LONGEST = 1 << 31
_LETTERS = ("", "L", "H, W", "D, H, W")
_INPUTS = ("", "a sequence", "an image", "a volume")
_AXES = (("",), ("length",), ("height", "width"), ("depth", "height", "width"))


@cython.ccall
def _lifted(x, axes: cython.int):
    """x as kernels take it: with a batch, and a sequence as an image of height 1."""
    if axes > 1:
        if x.ndim == axes + 2:
            return x
        return x.reshape((1, *x.shape))
    return x.reshape((x.shape[0] if x.ndim == 3 else 1, x.shape[-2], 1, x.shape[-1]))


@cython.ccall
def _settings(axes: cython.int, stride: tuple, padding: tuple, dilation: tuple, groups):
    """Where the windows lie, as kernels are told."""
    if axes == 1:
        stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@cython.ccall
def _settings_for(op, y):
    """The op's settings for y windows. Where there is but one along an axis its stride has no meaning, and may be far
    larger than the memory that a real one would need."""
    i: cython.Py_ssize_t
    stride: tuple = op.stride
    n: cython.Py_ssize_t = len(stride)
    lead: cython.Py_ssize_t = y.ndim - n
    several: cython.bint = False
    for i in range(n):
        if stride[i] != 1:
            several = True
    if not several:
        return op._settings
    if op.axes == 1 and y.ndim == 4:            # (lifted already: the length is the last axis)
        lead = 3
    fitted = tuple([1 if y.shape[lead + i] == 1 else stride[i] for i in range(n)])
    if _product(fitted) > 1 << 24:
        raise ValueError(f"{op.name}: expected strides whose product is at most 2**24, got {stride}")
    return op._settings if fitted == stride else _settings(op.axes, fitted, op.padding, op.dilation, op.groups)


@cython.ccall
def _slope_y(op, x, w, b, y):
    """y = convolution of x, + b"""
    n: cython.int = w.ndim - 2
    kernels = conv.on(x)
    if n == 2 and x.ndim == 4:
        kernels.conv2d(x, w, b, y, **_settings_for(op, y))
        return
    (kernels.conv3d if n == 3 else kernels.conv2d)(_lifted(x, n), _lifted(w, n), b, _lifted(y, n), **_settings_for(op, y))


@cython.ccall
def _slope_x(op, y, w, b, x):
    """x = transposed convolution of y, + b"""
    n: cython.int = w.ndim - 2
    kernels = conv.on(y)
    if b is None:
        (kernels.conv3d_backward_input if n == 3 else kernels.conv2d_backward_input)(
            _lifted(y, n), _lifted(w, n), _lifted(x, n), **_settings_for(op, y))
    else:
        (kernels.conv_transpose3d if n == 3 else kernels.conv_transpose2d)(
            _lifted(y, n), _lifted(w, n), b, _lifted(x, n), **_settings_for(op, y))


@cython.ccall
def _slope_w(op, y, x, w, accumulate):
    """w = (or +=) the sum of y's values times the windows of x they meet"""
    n: cython.int = w.ndim - 2
    kernels = conv.on(y)
    (kernels.conv3d_backward_weight if n == 3 else kernels.conv2d_backward_weight)(
        _lifted(y, n), _lifted(x, n), _lifted(w, n), accumulate=accumulate, **_settings_for(op, y))


@cython.ccall
def _weight_gradient(op, node: Node, y, x, shape):
    """The gradient of input 1, the weight."""
    dw, accumulate = node.gradient(1, shape, y.dtype)
    if not is_contiguous(dw):
        dw, accumulate = empty(shape, y.dtype, y), False
    _slope_w(op, y, x, dw, accumulate)
    return dw


@cython.ccall
def _bias_gradient(op, node: Node, dy):
    """The gradient of input 2, the bias: the sum over all but the channels."""
    axes: cython.int = op.axes
    dy = _lifted(dy, axes)
    n = dy.shape[1]
    db, accumulate = (empty((n,), dy.dtype, dy), False) if node.saved[0] is None else node.gradient(2, (n,), dy.dtype)
    reduce.on(dy).sum(dy, db.reshape((1, n, 1, 1, 1) if axes == 3 else (1, n, 1, 1)), accumulate=accumulate)
    return db


class _Windows(Op):
    """What the ops of this file share."""
    axes = 0                            # 1 to 3; the arrays have two more, or one without a batch

    def bias_graph(self, dy):
        last = range(-self.axes, 0)
        return dy.sum((0, *last) if dy.ndim == self.axes + 2 else tuple(last))

    def geometry(self):
        return self.stride, self.padding, self.dilation, self.groups


class _Convolution(_Windows):
    def __init__(self, stride, padding, dilation, groups, after=None, size=None):
        self.stride = stride            # one number an axis
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self._settings = _settings(self.axes, stride, padding, dilation, groups)
        self._after = padding if after is None else after       # the padding at the end of each axis
        self._size = size               # of y, where it is known: the gradient of a transposed convolution

    def output_size(self, shape: tuple, kernel: tuple):
        """How often the window fits along each axis."""
        i: cython.Py_ssize_t
        n: cython.Py_ssize_t = len(kernel) - 2
        lead: cython.Py_ssize_t = len(shape) - n
        before, after, gaps, strides = self.padding, self._after, self.dilation, self.stride
        size = []
        for i in range(n):
            extent: cython.longlong = shape[lead + i]
            k: cython.longlong = kernel[2 + i]
            dilation: cython.longlong = gaps[i]
            padding: cython.longlong = before[i] + after[i]
            stride: cython.longlong = strides[i]
            room: cython.longlong = extent + padding - dilation * (k - 1) - 1
            if room < 0 or k == 0:
                raise ValueError(
                    f"{self.name}: expected {_INPUTS[n]} that holds the kernel at least once, got "
                    f"{_AXES[n][i]} {extent} + {padding} (padding) for a kernel of {k}, which spans "
                    f"{dilation * (k - 1) + 1} with dilation {dilation}; use more padding or a smaller kernel")
            size.append(room // stride + 1)
        return size

    def forward(self, node: Node, x, w, b):
        n = self.axes
        _check(self.name, n, x, w, b, self.groups, False)
        self._shapes = shape, kernel = x.shape, w.shape
        size = self._size or self.output_size(shape, kernel)
        y = empty((*shape[:-n - 1], kernel[0], *size), x.dtype, x)
        _slope_y(self, contiguous(x), contiguous(w), b, y)
        node.save(x if node.needs(1) else None, w if node.needs(0) else None)       # dw needs x, dx needs w
        return y

    def backward(self, node: Node, dy):
        x, w = node.saved
        dy = contiguous(dy)
        dx = dw = db = None
        if node.needs(0):
            dx = empty(self._shapes[0], dy.dtype, dy)
            _slope_x(self, dy, contiguous(w), None, dx)
        if node.needs(1):
            dw = _weight_gradient(self, node, dy, contiguous(x), self._shapes[1])
        if node.needs(2):
            db = _bias_gradient(self, node, dy)
        return dx, dw, db

    def backward_graph(self, node: Node, dy):
        x, w = node.saved_tensors
        n, (shape, kernel) = self.axes, self._shapes
        return (apply(_TRANSPOSE[n](*self.geometry(), size=shape[-n:]), dy, w, None) if node.needs(0) else None,
                apply(ConvWeight(n, *self.geometry(), kernel), dy, x) if node.needs(1) else None,
                self.bias_graph(dy) if node.needs(2) else None)

    def cost(self, shapes, out_shapes):
        return _cost(shapes, out_shapes, _product(out_shapes[0]) * _product(shapes[1][1:]))


class Conv1d(_Convolution):
    """y[b,o,p] = sum_(c,k) x[b, c, p s + k d - t] w[o,c,k] + bias[o]

    x (B, C, L) or (C, L), w (O, C/groups, K), bias (O,) or None, y (B, O, P). Outside the sequence x is 0.
    """
    name = "conv1d"
    axes = 1
    required = 2


class Conv2d(_Convolution):
    """y[b,o,p,q] = sum_(c,k,l) x[b, c, p s + k d - t, q s + l d - t] w[o,c,k,l] + bias[o]

    x (B, C, H, W) or (C, H, W), w (O, C/groups, K, L), bias (O,) or None, y (B, O, P, Q) with
    P = floor((H + t + (bottom) - d (K - 1) - 1) / s) + 1. Outside the image x is 0. Backward sends dy[b,o,p,q] the same
    ways back: to dx[b, c, p s + k d - t, ...] times w, to dw[o,c,k,l] times x, and its sum over b, p, q is dbias.
    """
    name = "conv2d"
    axes = 2
    required = 2


class Conv3d(_Convolution):
    """y[b,o,r,p,q] = sum_(c,j,k,l) x[b, c, r s + j d - t, p s + k d - t, q s + l d - t] w[o,c,j,k,l] + bias[o]

    x (B, C, D, H, W) or (C, D, H, W), w (O, C/groups, J, K, L), bias (O,) or None, y (B, O, R, P, Q).
    """
    name = "conv3d"
    axes = 3
    required = 2


class _Transposed(_Windows):
    """x (B, C, ...), w (C, O/groups, ...), bias (O,) or None, y (B, O, ...): the windows are those of y."""

    def __init__(self, stride, padding, dilation, groups, output_padding=None, size=None):
        self.stride = stride            # one number an axis
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self._settings = _settings(self.axes, stride, padding, dilation, groups)
        self.output_padding = output_padding
        self._size = size

    def output_size(self, axis, n, kernel):
        """How far the windows of n elements reach along one axis."""
        size = ((n - 1) * self.stride[axis] - 2 * self.padding[axis] + self.dilation[axis] * (kernel - 1) + 1
                + self.output_padding[axis])
        if size < 1 or n < 1 or kernel < 1:
            raise ValueError(f"{self.name}: expected an output with at least one element, got {_AXES[self.axes][axis]} {size} "
                             f"from {n} with a kernel of {kernel}, stride {self.stride[axis]} and padding "
                             f"{self.padding[axis]}; use less padding or a larger kernel")
        return size

    def forward(self, node: Node, x, w, b):
        n = self.axes
        _check(self.name, n, x, w, b, self.groups, True)
        self._shapes = shape, kernel = x.shape, w.shape
        size = self._size or [self.output_size(i, m, k) for i, (m, k) in enumerate(zip(shape[-n:], kernel[2:]))]
        y = empty((*shape[:-n - 1], kernel[1] * self.groups, *size), x.dtype, x)
        _slope_x(self, contiguous(x), contiguous(w), b, y)
        node.save(x if node.needs(1) else None, w if node.needs(0) else None)       # dw needs x, dx needs w
        return y

    def backward(self, node: Node, dy):
        x, w = node.saved
        dy = contiguous(dy)
        dx = dw = db = None
        if node.needs(0):
            dx = empty(self._shapes[0], dy.dtype, dy)
            _slope_y(self, dy, contiguous(w), None, dx)
        if node.needs(1):
            dw = _weight_gradient(self, node, contiguous(x), dy, self._shapes[1])
        if node.needs(2):
            db = _bias_gradient(self, node, dy)
        return dx, dw, db

    def backward_graph(self, node: Node, dy):
        x, w = node.saved_tensors
        n, (shape, kernel) = self.axes, self._shapes
        return (apply(_CONVOLUTION[n](*self.geometry(), size=shape[-n:]), dy, w, None) if node.needs(0) else None,
                apply(ConvWeight(n, *self.geometry(), kernel), x, dy) if node.needs(1) else None,
                self.bias_graph(dy) if node.needs(2) else None)

    def cost(self, shapes, out_shapes):
        return _cost(shapes, out_shapes, _product(shapes[0]) * _product(shapes[1][1:]))


class ConvTranspose1d(_Transposed):
    """y[b, o, p s + k d - t] = sum of x[b,c,p] w[c,o,k] over all (c,p,k) that meet there, + bias[o]"""
    name = "conv_transpose1d"
    axes = 1
    required = 2


class ConvTranspose2d(_Transposed):
    """y[b, o, p s + k d - t, q s + l d - t] = sum of x[b,c,p,q] w[c,o,k,l] over all (c,p,q,k,l) that meet there, + bias[o]"""
    name = "conv_transpose2d"
    axes = 2
    required = 2


class ConvTranspose3d(_Transposed):
    """y[b, o, r s + j d - t, p s + k d - t, q s + l d - t] = sum of x[b,c,r,p,q] w[c,o,j,k,l] over all that meet there,
    + bias[o]"""
    name = "conv_transpose3d"
    axes = 3
    required = 2


class ConvWeight(_Windows):
    """w[o,c,k] = sum_(b,p) y[b,o,p] x[b, c, p s + k d - t], over one to three axes: the gradient of a convolution for its
    weight, on its own where that gradient's gradient is asked for; dy and dx are slopes of S along dw."""
    name = "conv_weight"
    required = 2

    def __init__(self, axes, stride, padding, dilation, groups, shape):
        self.axes = axes
        self.stride = stride            # one number an axis
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self._settings = _settings(self.axes, stride, padding, dilation, groups)
        self.shape = shape

    def forward(self, node: Node, y, x):
        self._shapes = y.shape, x.shape
        w = empty(self.shape, y.dtype, y)
        _slope_w(self, contiguous(y), contiguous(x), w, False)
        node.save(y if node.needs(1) else None, x if node.needs(0) else None)
        return w

    def backward(self, node: Node, dw):
        y, x = node.saved
        dw = contiguous(dw)
        dy = dx = None
        if node.needs(0):
            dy = empty(self._shapes[0], dw.dtype, dw)
            _slope_y(self, contiguous(x), dw, None, dy)
        if node.needs(1):
            dx = empty(self._shapes[1], dw.dtype, dw)
            _slope_x(self, contiguous(y), dw, None, dx)
        return dy, dx

    def backward_graph(self, node: Node, dw):
        y, x = node.saved_tensors
        n, (p, q) = self.axes, self._shapes
        return (apply(_CONVOLUTION[n](*self.geometry(), size=p[-n:]), x, dw, None) if node.needs(0) else None,
                apply(_TRANSPOSE[n](*self.geometry(), size=q[-n:]), y, dw, None) if node.needs(1) else None)

    def cost(self, shapes, out_shapes):
        return _cost(shapes, out_shapes, _product(shapes[0]) * _product(out_shapes[0][1:]))


_CONVOLUTION = (None, Conv1d, Conv2d, Conv3d)
_TRANSPOSE = (None, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def _cost(shapes, out_shapes, terms):
    """The cost of a slope of S that adds up so many products."""
    bias = _product(out_shapes[0]) if len(shapes) > 2 and shapes[2] is not None else 0
    touched = _product(shapes[0]) + _product(shapes[1]) + _product(out_shapes[0])
    return Cost(2 * terms + bias, 4 * terms + bias, 4 * touched, 4 * 2 * touched)


@cython.ccall
def _check(name, axes: cython.int, x, w, b, groups, transposed: cython.bint):
    shape: tuple = x.shape
    kernel: tuple = w.shape
    channels: cython.longlong
    outputs: cython.longlong
    if x.dtype.kind != "f" or w.dtype != x.dtype:
        raise TypeError(f"{name}: expected an input and a weight of one dtype, float32 or float64, got {x.dtype} and "
                        f"{w.dtype}; convert one with .to(dtype)")
    if len(shape) != axes + 1 and len(shape) != axes + 2:
        raise ValueError(f"{name}: expected an input of shape (B, C, {_LETTERS[axes]}) or (C, {_LETTERS[axes]}), got {shape}; "
                         "reshape it, for example with .unsqueeze(0)")
    if len(kernel) != axes + 2:
        ends = "in, out/groups" if transposed else "out, in/groups"
        raise ValueError(f"{name}: expected a weight of shape ({ends}, *kernel) with {axes + 2} axes, got {kernel}")
    if kernel[0] % groups:
        raise ValueError(f"{name}: expected groups to divide the {kernel[0]} {'input' if transposed else 'output'} channels, "
                         f"got groups={groups} and a weight of shape {kernel}")
    channels, outputs = kernel[1] * groups, kernel[0]
    if transposed:
        channels, outputs = outputs, channels
    if shape[len(shape) - axes - 1] != channels:
        raise ValueError(
            f"{name}: expected an input of {channels} channels for a weight of shape {kernel} and "
            f"groups={groups}, got {shape[len(shape) - axes - 1]} (input shape {shape}); inputs are (B, C, {_LETTERS[axes]})")
    if b is not None and (b.ndim != 1 or b.shape[0] != outputs or b.dtype != w.dtype):
        raise ValueError(f"{name}: expected a bias of shape ({outputs},) and dtype {w.dtype}, "
                         f"got {b.shape} and {b.dtype}")


@cython.ccall
def _sizes(name, what, value, axes: cython.int, least: cython.int):
    """An integer, or one for each axis, as a tuple."""
    if type(value) is int and least <= value < _LONGEST:
        return (value, value) if axes == 2 else (value,) * axes
    if type(value) is tuple and len(value) == 2 and axes == 2 and type(value[0]) is int and type(value[1]) is int \
            and least <= value[0] < _LONGEST and least <= value[1] < _LONGEST:
        return value
    several = (value,) if hasattr(value, "__index__") else value
    if isinstance(several, (tuple, list)) and len(several) == 1:
        several = tuple(several) * axes
    if not isinstance(several, (tuple, list)) or len(several) != axes \
            or not all([hasattr(n, "__index__") and not isinstance(n, bool) for n in several]):
        many = ("", "one in a tuple", "a pair of them", "three of them")[axes]
        raise TypeError(f"{name}: expected {what} to be an integer or {many}, got {value!r}")
    several = tuple([n.__index__() for n in several])
    if min(several) < least:
        raise ValueError(f"{name}: expected {what} of {least} or more, got {value!r}")
    if max(several) >= _LONGEST:
        raise ValueError(f"{name}: expected {what} below 2**31, got {value!r}")
    return several


@cython.ccall
def _groups(name, groups):
    if type(groups) is not int and (isinstance(groups, bool) or not hasattr(groups, "__index__")) or groups < 1:
        raise ValueError(f"{name}: expected groups to be an integer of 1 or more, got {groups!r}")
    return groups.__index__()


def _convolve(axes, x, weight, bias, stride, padding, dilation, groups):
    op = _CONVOLUTION[axes]
    name = op.name
    stride, dilation = _sizes(name, "stride", stride, axes, 1), _sizes(name, "dilation", dilation, axes, 1)
    groups = _groups(name, groups)
    if not isinstance(padding, str):
        return apply(op(stride, _sizes(name, "padding", padding, axes, 0), dilation, groups), x, weight, bias)
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: expected padding to be numbers, 'same' or 'valid', got {padding!r}")
    whole = (0,) * axes
    if padding == "same":
        if max(stride) > 1:
            raise ValueError(f"{name}: padding='same' needs stride 1, got stride={stride}; give the padding as numbers")
        whole = [d * (k - 1) for d, k in zip(dilation, tuple(weight.shape)[-axes:])]
    return apply(op(stride, tuple([n // 2 for n in whole]), dilation, groups, tuple([n - n // 2 for n in whole])),
                 x, weight, bias)


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """One-dimensional convolution (cross-correlation) of sequences.

    input     (B, C, L), or one sequence (C, L)
    weight    (O, C/groups, K)
    bias      (O,) or None
    The other arguments are those of `conv2d`, with one number where that takes two.
    Returns shape (B, O, P) or (O, P), P = floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1.
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Two-dimensional convolution (cross-correlation) of images.

    input     (B, C, H, W), or one image (C, H, W)
    weight    (O, C/groups, K, L)
    bias      (O,) or None
    stride    step of the window: an integer, or one along H and one along W; dilation, the gap between its taps, alike
    padding   zeros around the image: an integer, one along H and one along W, "valid" (none), or "same": as many as
              keep the size, the odd one at the bottom or right; needs stride 1
    groups    input and output channels fall into this many groups that do not see each other
    Returns shape (B, O, P, Q) or (O, P, Q), P = floor((H + 2 padding - dilation (K - 1) - 1) / stride) + 1.
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Three-dimensional convolution (cross-correlation) of volumes.

    input     (B, C, D, H, W), or one volume (C, D, H, W)
    weight    (O, C/groups, J, K, L)
    bias      (O,) or None
    The other arguments are those of `conv2d`, with three numbers where that takes two.
    Returns shape (B, O, R, P, Q) or (O, R, P, Q), R = floor((D + 2 padding - dilation (J - 1) - 1) / stride) + 1.
    """
    return _convolve(3, input, weight, bias, stride, padding, dilation, groups)


def _transpose(axes, x, weight, bias, stride, padding, output_padding, groups, dilation):
    op = _TRANSPOSE[axes]
    name = op.name
    stride, dilation = _sizes(name, "stride", stride, axes, 1), _sizes(name, "dilation", dilation, axes, 1)
    padding, more = _sizes(name, "padding", padding, axes, 0), _sizes(name, "output_padding", output_padding, axes, 0)
    for i, n in enumerate(more):
        if n >= max(stride[i], dilation[i]):
            raise ValueError(f"{name}: expected output_padding smaller than the stride or the dilation, got "
                             f"output_padding={more}, stride={stride} and dilation={dilation}")
    return apply(op(stride, padding, dilation, _groups(name, groups), more), x, weight, bias)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """One-dimensional transposed convolution of sequences: `conv_transpose2d` along one axis.

    input     (B, C, L), or one sequence (C, L)
    weight    (C, O/groups, K)
    bias      (O,) or None
    Returns shape (B, O, P) or (O, P), P = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.
    """
    return _transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Two-dimensional transposed convolution: every pixel paints the window of weights, times its value, into the output.

    It is the gradient of `conv2d` for its input, with the same weight: where that makes an image smaller by its stride,
    this makes it larger.

    input           (B, C, H, W), or one image (C, H, W)
    weight          (C, O/groups, K, L)
    bias            (O,) or None
    stride          distance of the painted windows: an integer, or one along H and one along W; dilation, the gap between
                    their taps, alike
    padding         rows and columns cut off the output at every side
    output_padding  rows and columns more at the bottom and right: strided convolutions of several sizes give one size,
                    and this says from which it came; less than the stride or the dilation
    groups          input and output channels fall into this many groups that do not see each other
    Returns shape (B, O, P, Q) or (O, P, Q), P = (H - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.
    """
    return _transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Three-dimensional transposed convolution of volumes: `conv_transpose2d` along three axes.

    input     (B, C, D, H, W), or one volume (C, D, H, W)
    weight    (C, O/groups, J, K, L)
    bias      (O,) or None
    Returns shape (B, O, R, P, Q) or (O, R, P, Q), R = (D - 1) stride - 2 padding + dilation (J - 1) + output_padding + 1.
    """
    return _transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
