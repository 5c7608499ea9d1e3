# cython: language_level=3
"""Two-dimensional convolution: the same small window of weights at every place of an image.

Cross-correlation, as everywhere in deep learning: the window is not flipped. The three products (forward, gradient for
the input, gradient for the weight) are matrix multiplications that the kernels read straight out of the image; the
matrix of windows (im2col) is never written to memory.
"""
from math import prod as _product

import cython

from minilayer._ext.dispatch import Family, family
from minilayer.device import contiguous, empty, is_contiguous
from minilayer.node import Node
from minilayer.tape import Cost, Op, apply

conv = cython.declare(Family, family("conv"))
reduce = cython.declare(Family, family("reduce"))


def _batched(x):
    """(C, H, W) as (1, C, H, W): a view; four axes as they are."""
    return x if x.ndim == 4 else x.reshape((1, *x.shape))


class Conv2d(Op):
    """y[b,o,p,q] = sum_(c,k,l) x[b, c, p s + k d - t, q s + l d - t] w[o,c,k,l] + bias[o]

    x (B, C, H, W) or (C, H, W), w (O, C/groups, K, L), bias (O,) or None, y (B, O, P, Q) with
    P = floor((H + t + (bottom) - d (K - 1) - 1) / s) + 1. Outside the image x is 0. Backward sends dy[b,o,p,q] the same
    ways back: to dx[b, c, p s + k d - t, ...] times w, to dw[o,c,k,l] times x, and its sum over b, p, q is dbias.
    """
    name = "conv2d"
    required = 2

    def __init__(self, stride, padding, dilation, groups):
        self.stride = stride            # (along H, along W)
        self.padding = padding          # ((top, bottom), (left, right))
        self.dilation = dilation
        self.groups = groups
        self._settings = {"stride": stride, "padding": (padding[0][0], padding[1][0]), "dilation": dilation,
                          "groups": groups}

    def _output_size(self, axis, n, kernel):
        """How often the window fits along one axis of n pixels (0: H, 1: W)."""
        before, after = self.padding[axis]
        reach = self.dilation[axis] * (kernel - 1) + 1
        if n + before + after < reach or kernel == 0:
            raise ValueError(
                f"conv2d: expected an image that holds the kernel at least once, got "
                f"{'height' if axis == 0 else 'width'} {n} + {before + after} (padding) for a kernel of "
                f"{kernel}, which spans {reach} with dilation {self.dilation[axis]}; "
                "use more padding or a smaller kernel")
        return (n + before + after - reach) // self.stride[axis] + 1

    def forward(self, node: Node, x, w, b):
        _check(x, w, b, self.groups)
        x, w = contiguous(x), contiguous(w)
        self._shapes = shape, kernel = x.shape, w.shape
        p, q = self._output_size(0, shape[-2], kernel[2]), self._output_size(1, shape[-1], kernel[3])
        y = empty((*shape[:-3], kernel[0], p, q), x.dtype, x)
        conv.on(x).conv2d(_batched(x), w, b, _batched(y), **self._settings)
        node.save(x if node.needs(1) else None, w if node.needs(0) else None)       # dw needs x, dx needs w
        return y

    def backward(self, node: Node, dy):
        x, w = node.saved
        x_shape, w_shape = self._shapes
        dy = _batched(contiguous(dy))
        dx = dw = db = None
        if node.needs(0):
            dx = empty(x_shape, dy.dtype, dy)
            conv.on(dy).conv2d_backward_input(dy, w, _batched(dx), **self._settings)
        if node.needs(1):
            dw, accumulate = node.gradient(1, w_shape, dy.dtype)
            if not is_contiguous(dw):
                dw, accumulate = empty(w_shape, dy.dtype, dy), False
            conv.on(dy).conv2d_backward_weight(dy, _batched(x), dw, accumulate=accumulate, **self._settings)
        if node.needs(2):
            n = w_shape[0]
            db, accumulate = (empty((n,), dy.dtype, dy), False) if x is None else node.gradient(2, (n,), dy.dtype)
            reduce.on(dy).sum(dy, db.reshape((1, n, 1, 1)), accumulate=accumulate)
        return dx, dw, db

    def cost(self, shapes, out_shapes):
        x, w, y = _product(shapes[0]), _product(shapes[1]), _product(out_shapes[0])
        terms = y * _product(shapes[1][1:])
        bias = y if len(shapes) > 2 and shapes[2] is not None else 0
        return Cost(2 * terms + bias, 4 * terms + bias, 4 * (x + w + y), 4 * 2 * (x + w + y))


def _check(x, w, b, groups):
    if x.dtype.kind != "f" or w.dtype != x.dtype:
        raise TypeError(f"conv2d: expected an input and a weight of one dtype, float32 or float64, got {x.dtype} and "
                        f"{w.dtype}; convert one with .to(dtype)")
    if x.ndim not in (3, 4):
        raise ValueError(f"conv2d: expected an input of shape (B, C, H, W) or (C, H, W), got {x.shape}; "
                         "reshape it, for example with .unsqueeze(0)")
    if w.ndim != 4:
        raise ValueError(f"conv2d: expected a weight of shape (out, in/groups, K, L), got {w.shape}")
    if w.shape[0] % groups:
        raise ValueError(f"conv2d: expected groups to divide the {w.shape[0]} output channels, got groups={groups} "
                         f"and a weight of shape {w.shape}")
    if x.shape[-3] != w.shape[1] * groups:
        raise ValueError(
            f"conv2d: expected an input of {w.shape[1] * groups} channels for a weight of shape {w.shape} and "
            f"groups={groups}, got {x.shape[-3]} (input shape {x.shape}); images are (B, C, H, W)")
    if b is not None and (b.shape != w.shape[:1] or b.dtype != w.dtype):
        raise ValueError(f"conv2d: expected a bias of shape ({w.shape[0]},) and dtype {w.dtype}, "
                         f"got {b.shape} and {b.dtype}")


def _pair(what, value, least):
    """An integer or two as a tuple of two."""
    if type(value) is int and value >= least:
        return value, value
    if type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int \
            and value[0] >= least and value[1] >= least:
        return value
    pair = (value, value) if hasattr(value, "__index__") else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 \
            or not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in pair):
        raise TypeError(f"conv2d: expected {what} to be an integer or a pair of them, got {value!r}")
    pair = tuple([n.__index__() for n in pair])
    if min(pair) < least:
        raise ValueError(f"conv2d: expected {what} of {least} or more, got {value!r}")
    return pair


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Two-dimensional convolution (cross-correlation) of images.

    x         (B, C, H, W), or one image (C, H, W)
    weight    (O, C/groups, K, L)
    bias      (O,) or None
    stride    step of the window: an integer, or one along H and one along W; dilation, the gap between its taps, alike
    padding   zeros around the image: an integer, one along H and one along W, "valid" (none), or "same": as many as
              keep the size, the odd one at the bottom or right; needs stride 1
    groups    input and output channels fall into this many groups that do not see each other
    Returns shape (B, O, P, Q) or (O, P, Q), P = floor((H + 2 padding - dilation (K - 1) - 1) / stride) + 1.
    """
    stride, dilation = _pair("stride", stride, 1), _pair("dilation", dilation, 1)
    if type(groups) is not int and (isinstance(groups, bool) or not hasattr(groups, "__index__")) or groups < 1:
        raise ValueError(f"conv2d: expected groups to be an integer of 1 or more, got {groups!r}")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"conv2d: expected padding to be numbers, 'same' or 'valid', got {padding!r}")
        if padding == "same" and stride != (1, 1):
            raise ValueError(f"conv2d: padding='same' needs stride 1, got stride={stride}; give the padding as numbers")
        whole = [0, 0]
        if padding == "same":
            whole = [d * (k - 1) for d, k in zip(dilation, tuple(weight.shape)[-2:])]
        padding = tuple([(n // 2, n - n // 2) for n in whole])
    else:
        along_h, along_w = _pair("padding", padding, 0)
        padding = ((along_h, along_h), (along_w, along_w))
    return apply(Conv2d(stride, padding, dilation, groups.__index__()), x, weight, bias)
