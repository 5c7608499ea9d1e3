"""Normalisation: layer norm over the features of each example, batch norm over a batch for each channel.

Both keep x and the measured mean and 1/sqrt(var + eps) for backward, never the normalised values: making those again is
one subtraction and one product a value, less than reading them from memory.
"""
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty, empty_like, full
from minilayer.dtypes import float64
from minilayer.node import TensorBase
from minilayer.tape import Cost, Op, apply

kernels = family("norm")


def _check_float(name, x):
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")


def _check_parameter(name, what, array, shape, x):
    """A weight, bias or statistic must have this shape and x's dtype."""
    if array is None:
        return
    if array.shape != shape:
        raise ValueError(f"{name}: expected {what} of shape {shape} for an input of shape {x.shape}, got {array.shape}")
    if array.dtype != x.dtype:
        raise TypeError(f"{name}: expected {what} of the input's dtype {x.dtype}, got {array.dtype}; "
                        f"convert one of them with .to(...)")


class LayerNorm(Op):
    """y = xhat w + b, xhat = (x - mean) rstd, rstd = 1/sqrt(var + eps), over the last axes (normalized_shape)

    With g = dy w and means over those axes: dx = rstd (g - mean(g) - xhat mean(g xhat)); dw = sum dy xhat and
    db = sum dy over the other axes. x, y (..., *normalized_shape); w, b normalized_shape.
    """
    name = "layer_norm"

    def __init__(self, normalized_shape, eps):
        self.normalized_shape = normalized_shape
        self.eps = eps

    def forward(self, node, x, w, b):
        shape = self.normalized_shape
        _check_float("layer_norm", x)
        if x.ndim < len(shape) or x.shape[x.ndim - len(shape):] != shape:
            raise ValueError(f"layer_norm: expected an input whose last axes are normalized_shape={shape}, got shape "
                             f"{x.shape}; give the sizes of the axes to normalise over, e.g. x.shape[-1]")
        _check_parameter("layer_norm", "a weight", w, shape, x)
        _check_parameter("layer_norm", "a bias", b, shape, x)
        x = contiguous(x)
        D = _product(shape)
        R = _product(x.shape[:x.ndim - len(shape)])
        y = empty_like(x)
        mean, rstd = empty((R,), x.dtype, x), empty((R,), x.dtype, x)
        kernels.on(x).layer_norm(x.reshape((R, D)), _flat(w), _flat(b), y.reshape((R, D)), mean, rstd, eps=self.eps)
        node.save(x, w, mean, rstd)                         # x, mean and rstd make xhat again; dx needs w
        return y

    def backward(self, node, dy):
        x, w, mean, rstd = node.saved
        R, D = mean.size, _product(self.normalized_shape)
        dx = dw = db = None
        accumulate = accumulate_b = False
        if node.needs(0):
            dx = empty_like(x)
        if node.needs(1):
            dw, accumulate = node.gradient(1, self.normalized_shape, x.dtype)
        if node.needs(2):
            db, accumulate_b = node.gradient(2, self.normalized_shape, x.dtype)
        if dw is not None and db is not None and accumulate != accumulate_b:    # the kernel adds to both or to neither
            dw = empty(self.normalized_shape, x.dtype, x) if accumulate else dw
            db = empty(self.normalized_shape, x.dtype, x) if accumulate_b else db
            accumulate = accumulate_b = False
        kernels.on(x).layer_norm_backward(
            contiguous(dy).reshape((R, D)), x.reshape((R, D)), _flat(w), mean, rstd,
            None if dx is None else dx.reshape((R, D)), _flat(dw), _flat(db), accumulate=accumulate or accumulate_b)
        return dx, dw, db

    def cost(self, shapes, out_shapes):
        n, d = _product(shapes[0]), _product(self.normalized_shape)
        return Cost(8 * n, 14 * n, 4 * (2 * n + 2 * d), 4 * (3 * n + 3 * d))


def _flat(w):
    """A parameter as the kernels want it: one axis, C order."""
    if w is None or w.ndim == 1 and w.strides[0] == w.dtype.itemsize:
        return w
    return contiguous(w).reshape((w.size,))


class BatchNorm(Op):
    """y = xhat w[c] + b[c], xhat = (x - mean[c]) rstd[c], rstd = 1/sqrt(var + eps)

    Training: mean and biased var of channel c over the batch and all places, n values; and
    dx = w rstd (dy - db/n - xhat dw/n). Otherwise the running statistics, which are constants: dx = w rstd dy.
    dw = sum dy xhat, db = sum dy. x, y (B, C, ...); w, b and the statistics (C,).

    Training moves the running statistics, which are no inputs but places that it writes to.
    """
    name = "batch_norm"

    def __init__(self, running_mean, running_var, training, momentum, eps):
        self.training = training
        self.momentum = momentum
        self.eps = eps
        self._running = running_mean, running_var           # tensors or None

    def forward(self, node, x, w, b):
        _check_float("batch_norm", x)
        if x.ndim < 2:
            raise ValueError(f"batch_norm: expected an input of shape (batch, channels, ...), got {x.shape}")
        C = x.shape[1]
        running_mean, running_var = (None if r is None else r.array for r in self._running)
        for what, array in (("a weight", w), ("a bias", b), ("running_mean", running_mean),
                            ("running_var", running_var)):
            _check_parameter("batch_norm", what, array, (C,), x)
            if array is not None and type(array) is not type(x):
                raise RuntimeError(f"batch_norm: expected {what} on the input's device; move it with .to(device)")
        x = contiguous(x)
        B, L = x.shape[0], _product(x.shape[2:])
        if self.training and B * L == 1:
            raise ValueError("batch_norm: expected more than one value a channel in training mode, got shape "
                             f"{x.shape}: its variance is zero; use a larger batch, or .eval()")
        y = empty_like(x)
        x3, y3 = x.reshape((B, C, L)), y.reshape((B, C, L))
        w1, b1 = _flat(w), _flat(b)
        if self.training:
            mean, rstd = empty((C,), x.dtype, x), empty((C,), x.dtype, x)
            places = [None if r is None else contiguous(r) for r in (running_mean, running_var)]
            kernels.on(x).batch_norm(x3, w1, b1, y3, mean, rstd, *places, full((1,), self.momentum, float64, x),
                                     eps=self.eps)
            for tensor, array in zip(self._running, places, strict=True):
                if tensor is not None:
                    if array is not tensor.array:           # it had gaps: what was written is a copy
                        family("indexing").on(x).copy(array, tensor.array)
                    tensor.mark_written("batch_norm in training mode")
        else:
            mean, rstd = contiguous(running_mean), contiguous(running_var)
            kernels.on(x).batch_norm_eval(x3, w1, b1, mean, rstd, y3, eps=self.eps)
            if node.recording:                              # a later training step moves them in place: keep today's
                mean, rstd = _copied(mean), _copied(rstd)
        node.save(x, w, mean, rstd)                         # x and the statistics make xhat again; dx needs w
        return y

    def backward(self, node, dy):
        x, w, mean, rstd = node.saved                       # in eval mode rstd is the running variance
        B, C, L = x.shape[0], x.shape[1], _product(x.shape[2:])
        dx = empty_like(x) if node.needs(0) else None
        dw = empty((C,), x.dtype, x) if node.needs(1) else None
        db = empty((C,), x.dtype, x) if node.needs(2) else None
        arrays = (contiguous(dy).reshape((B, C, L)), x.reshape((B, C, L)), _flat(w), mean, rstd,
                  None if dx is None else dx.reshape((B, C, L)), dw, db)
        if self.training:
            kernels.on(x).batch_norm_backward(*arrays)
        else:
            kernels.on(x).batch_norm_eval_backward(*arrays, eps=self.eps)
        return dx, dw, db

    def cost(self, shapes, out_shapes):
        n, c = _product(shapes[0]), shapes[0][1]
        flops = (8, 10) if self.training else (3, 5)
        return Cost(flops[0] * n, flops[1] * n, 4 * ((3 if self.training else 2) * n + 4 * c), 4 * (5 * n + 5 * c))


def _copied(x):
    y = empty_like(x)
    family("indexing").on(x).copy(x, y)
    return y


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each example scaled to mean 0 and (biased) variance 1 over its last axes, then * weight + bias.

    x                 (..., *normalized_shape), float
    normalized_shape  an integer or the sizes of the last axes
    weight, bias      of shape normalized_shape; None for 1 and 0
    Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    for n in shape:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError("layer_norm: expected normalized_shape to be an integer or several, got "
                            f"{normalized_shape!r}")
    if not shape:
        raise ValueError("layer_norm: expected normalized_shape with at least one axis, got ()")
    return apply(LayerNorm(tuple([n.__index__() for n in shape]), float(eps)), x, weight, bias)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Each channel scaled to mean 0 and variance 1 over the batch and all places, then * weight[c] + bias[c].

    x                          (B, C) or (B, C, ...), float
    running_mean, running_var  (C,) or None. Training moves them in place, running = (1 - momentum) running + momentum
                               measured (the variance unbiased); otherwise they are what x is scaled by
    weight, bias               (C,); None for 1 and 0
    One value a channel has no variance: training with it raises ValueError.
    Ioffe and Szegedy, "Batch normalization", 2015.
    """
    for what, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is None and not training:
            raise ValueError(f"batch_norm: expected {what} when not training, got None; "
                             "pass training=True to use the batch's own statistics")
        if t is not None and not isinstance(t, TensorBase):
            raise TypeError(f"batch_norm: expected {what} to be a tensor or None, got {type(t).__name__}")
    if isinstance(momentum, bool) or not isinstance(momentum, (int, float)):
        raise TypeError(f"batch_norm: expected momentum to be a number, got {momentum!r}")
    return apply(BatchNorm(running_mean, running_var, bool(training), float(momentum), float(eps)), x, weight, bias)
