"""Two-dimensional convolution: the same small window of weights at every place of an image.

Cross-correlation, as everywhere in deep learning: the window is not flipped. The three products (forward, gradient for
the input, gradient for the weight) are matrix multiplications that the kernels read straight out of the image; the
matrix of windows (im2col) is never written to memory.
"""
from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty, is_contiguous
from minilayer.tape import Cost, Op, apply

conv = family("conv")
reduce = family("reduce")


def _product(shape):
    n = 1
    for d in shape:
        n *= d
    return n


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

    def _output_size(self, x, w):
        size = []
        for axis in (0, 1):
            n = x.shape[x.ndim - 2 + axis]
            before, after = self.padding[axis]
            reach = self.dilation[axis] * (w.shape[2 + axis] - 1) + 1
            if n + before + after < reach or w.shape[2 + axis] == 0:
                raise ValueError(
                    f"conv2d: expected an image that holds the kernel at least once, got "
                    f"{'height' if axis == 0 else 'width'} {n} + {before + after} (padding) for a kernel of "
                    f"{w.shape[2 + axis]}, which spans {reach} with dilation {self.dilation[axis]}; "
                    "use more padding or a smaller kernel")
            size.append((n + before + after - reach) // self.stride[axis] + 1)
        return size

    def _kernel_settings(self):
        return {"stride": self.stride, "padding": (self.padding[0][0], self.padding[1][0]), "dilation": self.dilation,
                "groups": self.groups}

    def forward(self, node, x, w, b):
        _check(x, w, b, self.groups)
        p, q = self._output_size(x, w)
        x, w = contiguous(x), contiguous(w)
        y = empty((*x.shape[:-3], w.shape[0], p, q), x.dtype, x)
        conv.on(x).conv2d(_batched(x), w, b, _batched(y), **self._kernel_settings())
        node.save(x, w)                                             # dw needs x, dx needs w
        return y

    def backward(self, node, dy):
        x, w = node.saved
        dy = _batched(contiguous(dy))
        settings = self._kernel_settings()
        dx = dw = db = None
        if node.needs(0):
            dx = empty(x.shape, x.dtype, x)
            conv.on(x).conv2d_backward_input(dy, w, _batched(dx), **settings)
        if node.needs(1):
            dw, accumulate = node.gradient(1, w.shape, w.dtype)
            if not is_contiguous(dw):
                dw, accumulate = empty(w.shape, w.dtype, w), False
            conv.on(x).conv2d_backward_weight(dy, _batched(x), dw, accumulate=accumulate, **settings)
        if node.needs(2):
            db, accumulate = node.gradient(2, w.shape[:1], w.dtype)
            reduce.on(x).sum(dy, db.reshape((1, w.shape[0], 1, 1)), accumulate=accumulate)
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
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1:
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
        padding = tuple([(n, n) for n in _pair("padding", padding, 0)])
    return apply(Conv2d(stride, padding, dilation, groups.__index__()), x, weight, bias)
