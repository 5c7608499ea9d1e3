"""Normalisation: over the features of each example (layer, RMS), over a batch for each channel (batch), over groups of
channels of each example (group, instance), over neighbouring channels (local response).

All keep x and what was measured, the mean and 1/sqrt(var + eps), for backward, never the normalised values: making those
again is one subtraction and one product a value, less than reading them from memory.
"""
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty, empty_like, full
from minilayer.dtypes import float64
from minilayer.node import TensorBase
from minilayer.promotion import real
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


# The second telling of the backward rules, in functions: from x alone, so that gradients flow through the statistics too.

def _scaled(x, axes, eps, centred=True):
    """(xhat, rstd) over some axes, as tensors."""
    c = x - x.mean(axes, True) if centred else x
    rstd = ((c * c).mean(axes, True) + eps).rsqrt()
    return c * rstd, rstd


def _scaled_back(g, xhat, rstd, axes, centred=True):
    """dx from g, the gradient of xhat."""
    dx = g - xhat * (g * xhat).mean(axes, True)
    return rstd * (dx - g.mean(axes, True) if centred else dx)


def _parameters_back(node, dy, xhat, axes):
    """(dw, db), sums over some axes; None where not needed."""
    return (dy * xhat).sum(axes) if node.needs(1) else None, dy.sum(axes) if node.needs(2) else None


def _over_channels(w, ndim):
    """w (C,) to broadcast over (B, C, ...)."""
    return w.reshape((w.shape[0], *[1] * (ndim - 2)))


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
        given, x = x, contiguous(x)
        D = _product(shape)
        R = _product(x.shape[:x.ndim - len(shape)])
        y = empty_like(x)
        mean, rstd = empty((R,), x.dtype, x), empty((R,), x.dtype, x)
        kernels.on(x).layer_norm(x.reshape((R, D)), _flat(w), _flat(b), y.reshape((R, D)), mean, rstd, eps=self.eps)
        node.save(given, w, mean, rstd)                     # x, mean and rstd make xhat again; dx needs w
        return y

    def backward(self, node, dy):
        x, w, mean, rstd = node.saved
        x = contiguous(x)
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

    def backward_graph(self, node, dy):
        x, w, _, _ = node.saved_tensors
        lead = x.ndim - len(self.normalized_shape)
        axes = tuple(range(lead, x.ndim))
        xhat, rstd = _scaled(x, axes, self.eps)
        dx = _scaled_back(dy if w is None else dy * w, xhat, rstd, axes) if node.needs(0) else None
        return dx, *_parameters_back(node, *(t.reshape((-1, *self.normalized_shape)) for t in (dy, xhat)), 0)

    def cost(self, shapes, out_shapes):
        n, d = _product(shapes[0]), _product(self.normalized_shape)
        return Cost(8 * n, 14 * n, 4 * (2 * n + 2 * d), 4 * (3 * n + 3 * d))


class RmsNorm(Op):
    """y = xhat w, xhat = x rstd, rstd = 1/sqrt(mean(x^2) + eps), over the last axes (normalized_shape)

    With g = dy w and the mean over those axes: dx = rstd (g - xhat mean(g xhat)); dw = sum dy xhat over the other axes.
    x, y (..., *normalized_shape); w normalized_shape.
    """
    name = "rms_norm"

    def __init__(self, normalized_shape, eps):
        self.normalized_shape = normalized_shape
        self.eps = eps

    def forward(self, node, x, w):
        shape = self.normalized_shape
        _check_float("rms_norm", x)
        if x.ndim < len(shape) or x.shape[x.ndim - len(shape):] != shape:
            raise ValueError(f"rms_norm: expected an input whose last axes are normalized_shape={shape}, got shape "
                             f"{x.shape}; give the sizes of the axes to normalise over, e.g. x.shape[-1]")
        _check_parameter("rms_norm", "a weight", w, shape, x)
        given, x = x, contiguous(x)
        D = _product(shape)
        R = _product(x.shape[:x.ndim - len(shape)])
        y, rstd = empty_like(x), empty((R,), x.dtype, x)
        kernels.on(x).rms_norm(x.reshape((R, D)), _flat(w), y.reshape((R, D)), rstd, eps=self._epsilon(x))
        node.save(given, w, rstd)                           # x and rstd make xhat again; dx needs w
        return y

    def _epsilon(self, x):
        """eps, or the distance from 1 to the next number of x's dtype."""
        return 2.0 ** (-23 if x.dtype.itemsize == 4 else -52) if self.eps is None else self.eps

    def backward(self, node, dy):
        x, w, rstd = node.saved
        x = contiguous(x)
        R, D = rstd.size, _product(self.normalized_shape)
        dx = empty_like(x) if node.needs(0) else None
        dw, accumulate = node.gradient(1, self.normalized_shape, x.dtype) if node.needs(1) else (None, False)
        kernels.on(x).rms_norm_backward(
            contiguous(dy).reshape((R, D)), x.reshape((R, D)), _flat(w), rstd,
            None if dx is None else dx.reshape((R, D)), _flat(dw), accumulate=accumulate)
        return dx, dw

    def backward_graph(self, node, dy):
        x, w, _ = node.saved_tensors
        axes = tuple(range(x.ndim - len(self.normalized_shape), x.ndim))
        xhat, rstd = _scaled(x, axes, self._epsilon(x), False)
        dx = _scaled_back(dy if w is None else dy * w, xhat, rstd, axes, False) if node.needs(0) else None
        dw = (dy * xhat).reshape((-1, *self.normalized_shape)).sum(0) if node.needs(1) else None
        return dx, dw

    def cost(self, shapes, out_shapes):
        n, d = _product(shapes[0]), _product(self.normalized_shape)
        return Cost(4 * n, 9 * n, 4 * (2 * n + d), 4 * (3 * n + 2 * d))


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
        for what, array in (("a weight", w), ("a bias", b)):
            _check_parameter(self.name, what, array, (C,), x)
        _check_statistics(self.name, running_mean, running_var, C, x)
        given, x = x, contiguous(x)
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
            _written(self._running, places, "batch_norm in training mode")
        else:
            mean, rstd = contiguous(running_mean), contiguous(running_var)
            kernels.on(x).batch_norm_eval(x3, w1, b1, mean, rstd, y3, eps=self.eps)
            if node.recording:                              # a later training step moves them in place: keep today's
                mean, rstd = _copied(mean), _copied(rstd)
        node.save(given, w, mean, rstd)                     # x and the statistics make xhat again; dx needs w
        return y

    def backward(self, node, dy):
        x, w, mean, rstd = node.saved                       # in eval mode rstd is the running variance
        x = contiguous(x)
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

    def backward_graph(self, node, dy):
        x, w, mean, variance = node.saved_tensors
        axes = (0, *range(2, x.ndim))
        g = dy if w is None else dy * _over_channels(w, x.ndim)
        if self.training:
            xhat, rstd = _scaled(x, axes, self.eps)
            dx = _scaled_back(g, xhat, rstd, axes) if node.needs(0) else None
        else:
            rstd = _over_channels((variance + self.eps).rsqrt(), x.ndim)
            xhat = (x - _over_channels(mean, x.ndim)) * rstd
            dx = g * rstd if node.needs(0) else None
        return dx, *_parameters_back(node, dy, xhat, axes)

    def cost(self, shapes, out_shapes):
        n, c = _product(shapes[0]), shapes[0][1]
        flops = (8, 10) if self.training else (3, 5)
        return Cost(flops[0] * n, flops[1] * n, 4 * ((3 if self.training else 2) * n + 4 * c), 4 * (5 * n + 5 * c))


class GroupNorm(Op):
    """y = xhat w[c] + b[c], xhat = (x - mean[b,g]) rstd[b,g], rstd = 1/sqrt(var + eps), g the group of channel c

    Mean and biased var are those of C/groups channels and all places of one example. With h = dy w and means over
    these: dx = rstd (h - mean(h) - xhat mean(h xhat)); dw = sum dy xhat and db = sum dy over the batch and all places.
    x, y (B, C, ...); w, b (C,).
    """
    name = "group_norm"

    def __init__(self, groups, eps):
        self.groups = groups
        self.eps = eps

    def check(self, x, w, b):
        _check_float(self.name, x)
        if x.ndim < 2:
            raise ValueError(f"{self.name}: expected an input of shape (batch, channels, ...), got {x.shape}")
        for what, array in (("a weight", w), ("a bias", b)):
            _check_parameter(self.name, what, array, (x.shape[1],), x)

    def measure(self, x, w, b, variance):
        """(y, mean, rstd) of a contiguous x; the groups' variances are written to `variance` where it is an array."""
        B, C, L = x.shape[0], x.shape[1], _product(x.shape[2:])
        y, mean, rstd = empty_like(x), empty((B, self.groups), x.dtype, x), empty((B, self.groups), x.dtype, x)
        kernels.on(x).group_norm(x.reshape((B, C, L)), _flat(w), _flat(b), y.reshape((B, C, L)), mean, rstd, variance,
                                 groups=self.groups, eps=self.eps)
        return y, mean, rstd

    def forward(self, node, x, w, b):
        self.check(x, w, b)
        if x.shape[1] % self.groups:
            raise ValueError(f"group_norm: expected num_groups to divide the {x.shape[1]} channels of an input of shape "
                             f"{x.shape}, got {self.groups}")
        if x.size == self.groups:                           # (a larger batch of such groups gives zeros, as in PyTorch)
            raise ValueError(f"group_norm: expected more than one value a group, got shape {x.shape} in {self.groups} "
                             "group(s): their variance is zero; use fewer groups")
        y, mean, rstd = self.measure(contiguous(x), w, b, None)
        node.save(x, w, mean, rstd)                         # x, mean and rstd make xhat again; dx needs w
        return y

    def backward(self, node, dy):
        x, w, mean, rstd = node.saved
        x = contiguous(x)
        B, C, L = x.shape[0], x.shape[1], _product(x.shape[2:])
        dx = empty_like(x) if node.needs(0) else None
        dw = empty((C,), x.dtype, x) if node.needs(1) else None
        db = empty((C,), x.dtype, x) if node.needs(2) else None
        kernels.on(x).group_norm_backward(
            contiguous(dy).reshape((B, C, L)), x.reshape((B, C, L)), _flat(w), mean, rstd,
            None if dx is None else dx.reshape((B, C, L)), dw, db, groups=self.groups)
        return dx, dw, db

    def backward_graph(self, node, dy):
        x, w, _, _ = node.saved_tensors
        grouped = x.shape[0], self.groups, _product(x.shape[1:]) // self.groups
        g = dy if w is None else dy * _over_channels(w, x.ndim)
        xhat, rstd = _scaled(x.reshape(grouped), 2, self.eps)
        dx = _scaled_back(g.reshape(grouped), xhat, rstd, 2).reshape(x.shape) if node.needs(0) else None
        return dx, *_parameters_back(node, dy, xhat.reshape(x.shape), (0, *range(2, x.ndim)))

    def cost(self, shapes, out_shapes):
        n, c = _product(shapes[0]), shapes[0][1]
        return Cost(8 * n, 14 * n, 4 * (3 * n + 2 * c), 4 * (5 * n + 3 * c))


class InstanceNorm(GroupNorm):
    """y = xhat w[c] + b[c], xhat = (x - mean[b,c]) rstd[b,c]: group norm with a channel a group

    The running statistics move towards the batch's means of mean and (unbiased) variance.
    """
    name = "instance_norm"

    def __init__(self, running_mean, running_var, momentum, eps):
        super().__init__(1, eps)
        self.momentum = momentum
        self._running = running_mean, running_var           # tensors or None

    def forward(self, node, x, w, b):
        self.check(x, w, b)
        B, C, L = x.shape[0], x.shape[1], _product(x.shape[2:])
        if L == 1:
            raise ValueError("instance_norm: expected more than one place a channel to take statistics from, got shape "
                             f"{x.shape}: the variance is zero; use larger inputs, or running statistics and .eval()")
        running_mean, running_var = (None if r is None else r.array for r in self._running)
        _check_statistics("instance_norm", running_mean, running_var, C, x)
        self.groups = max(1, C)
        tracked = running_mean is not None or running_var is not None
        variance = empty((B, C), x.dtype, x) if tracked else None
        y, mean, rstd = self.measure(contiguous(x), w, b, variance)
        if tracked and L:
            places = [None if r is None else contiguous(r) for r in (running_mean, running_var)]
            kernels.on(x).instance_statistics(mean, variance, *places, full((1,), self.momentum, float64, x), n=L)
            _written(self._running, places, "instance_norm with the input's own statistics")
        node.save(x, w, mean, rstd)                         # x, mean and rstd make xhat again; dx needs w
        return y


class InstanceNormEval(BatchNorm):
    """y = xhat w[c] + b[c] with the running statistics of channel c, which are constants: batch norm's eval mode"""
    name = "instance_norm"

    def __init__(self, running_mean, running_var, eps):
        super().__init__(running_mean, running_var, False, 0.0, eps)


class LocalResponseNorm(Op):
    """y = x s^-beta, s[c] = k + alpha/size sum x[j]^2 over `size` channels j around c

    dx[c] = dy[c] s[c]^-beta - 2 alpha beta/size x[c] sum dy[j] x[j] s[j]^(-beta-1) over the channels j around which c is.
    x, y (B, C, ...).
    """
    name = "local_response_norm"

    def __init__(self, size, alpha, beta, k):
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, node, x):
        _check_float("local_response_norm", x)
        if x.ndim < 3:
            raise ValueError("local_response_norm: expected an input of shape (batch, channels, ...) with at least one "
                             f"axis of places, got {x.shape}")
        x = contiguous(x)
        shape = x.shape[0], x.shape[1], _product(x.shape[2:])
        y, scale = empty_like(x), empty_like(x)
        kernels.on(x).local_response_norm(x.reshape(shape), y.reshape(shape), scale.reshape(shape), size=self.size,
                                          alpha=self.alpha, beta=self.beta, k=self.k)
        node.save(x, scale)                                 # the scale costs a window of reads a value to make again
        return y

    def backward(self, node, dy):
        x, scale = node.saved
        shape = x.shape[0], x.shape[1], _product(x.shape[2:])
        dx = empty_like(x)
        kernels.on(x).local_response_norm_backward(
            contiguous(dy).reshape(shape), x.reshape(shape), scale.reshape(shape), dx.reshape(shape), size=self.size,
            alpha=self.alpha, beta=self.beta)
        return dx

    def cost(self, shapes, out_shapes):
        n = _product(shapes[0])
        return Cost((2 * self.size + 25) * n, (self.size + 30) * n, 12 * n, 16 * n)


def _check_statistics(name, running_mean, running_var, C, x):
    """Running statistics must fit the input: its dtype, its device, one value a channel."""
    for what, array in (("running_mean", running_mean), ("running_var", running_var)):
        _check_parameter(name, what, array, (C,), x)
        if array is not None and type(array) is not type(x):
            raise RuntimeError(f"{name}: expected {what} on the input's device; move it with .to(device)")


def _written(tensors, places, site):
    """Running statistics were written to `places`, a tensor's own array or, where that has gaps, a copy of it."""
    for tensor, array in zip(tensors, places, strict=True):
        if tensor is not None:
            if array is not tensor.array:
                family("indexing").on(array).copy(array, tensor.array)
            tensor.mark_written(site)


def _copied(x):
    y = empty_like(x)
    family("indexing").on(x).copy(x, y)
    return y


def _normalized_shape(name, normalized_shape):
    """An integer or several, as a tuple."""
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    for n in shape:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"{name}: expected normalized_shape to be an integer or several, got {normalized_shape!r}")
    if not shape:
        raise ValueError(f"{name}: expected normalized_shape with at least one axis, got ()")
    return tuple([n.__index__() for n in shape])


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each example scaled to mean 0 and (biased) variance 1 over its last axes, then * weight + bias.

    input             (..., *normalized_shape), float
    normalized_shape  an integer or the sizes of the last axes
    weight, bias      of shape normalized_shape; None for 1 and 0
    Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    op = LayerNorm(_normalized_shape("layer_norm", normalized_shape), real("layer_norm", "eps", eps))
    return apply(op, input, weight, bias)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Each example divided by the root of its mean square over its last axes, then * weight.

    input             (..., *normalized_shape), float
    normalized_shape  an integer or the sizes of the last axes
    weight            of shape normalized_shape; None for 1
    eps               added to the mean square; None: the distance from 1 to the next number of input's dtype
    Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """
    eps = None if eps is None else real("rms_norm", "eps", eps)
    return apply(RmsNorm(_normalized_shape("rms_norm", normalized_shape), eps), input, weight)


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Each channel scaled to mean 0 and variance 1 over the batch and all places, then * weight[c] + bias[c].

    input                      (B, C) or (B, C, ...), float
    running_mean, running_var  (C,) or None. Training moves them in place, running = (1 - momentum) running + momentum
                               measured (the variance unbiased); otherwise they are what input is scaled by
    weight, bias               (C,); None for 1 and 0
    One value a channel has no variance: training with it raises ValueError.
    Ioffe and Szegedy, "Batch normalization", 2015.
    """
    _check_running("batch_norm", running_mean, running_var, training, "training", momentum)
    eps = real("batch_norm", "eps", eps)
    if training and not eps > 0:
        raise ValueError(f"batch_norm: expected eps above 0 in training mode, got {eps}: a channel of equal values would be "
                         "divided by 0; use 1e-5, or .eval()")
    return apply(BatchNorm(running_mean, running_var, bool(training), float(momentum), eps), input, weight, bias)


def _check_running(name, running_mean, running_var, own, flag, momentum):
    """Running statistics are tensors, or None where the input's own are used (`flag` says so)."""
    for what, t in (("running_mean", running_mean), ("running_var", running_var)):
        if t is None and not own:
            raise ValueError(f"{name}: expected {what} with {flag}=False, got None; "
                             f"pass {flag}=True to use the input's own statistics")
        if t is not None and not isinstance(t, TensorBase):
            raise TypeError(f"{name}: expected {what} to be a tensor or None, got {type(t).__name__}")
    real(name, "momentum", momentum)


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
                  eps=1e-5):
    """Each channel of each example scaled to mean 0 and variance 1 over its places, then * weight[c] + bias[c].

    input                      (B, C, ...), float
    running_mean, running_var  (C,) or None. With use_input_stats they move in place towards the batch's means of mean
                               and (unbiased) variance; otherwise they are what input is scaled by
    weight, bias               (C,); None for 1 and 0
    Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016.
    """
    _check_running("instance_norm", running_mean, running_var, use_input_stats, "use_input_stats", momentum)
    eps = real("instance_norm", "eps", eps)
    if use_input_stats:
        return apply(InstanceNorm(running_mean, running_var, float(momentum), eps), input, weight, bias)
    return apply(InstanceNormEval(running_mean, running_var, eps), input, weight, bias)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Groups of channels of each example scaled to mean 0 and variance 1, then * weight[c] + bias[c].

    input         (B, C, ...), float
    num_groups    into how many groups of neighbours the C channels fall
    weight, bias  (C,); None for 1 and 0
    Wu and He, "Group normalization", 2018.
    """
    if isinstance(num_groups, bool) or not hasattr(num_groups, "__index__"):
        raise TypeError(f"group_norm: expected num_groups to be an integer, got {num_groups!r}")
    if num_groups < 1:
        raise ValueError(f"group_norm: expected num_groups of 1 or more, got {num_groups}")
    return apply(GroupNorm(num_groups.__index__(), real("group_norm", "eps", eps)), input, weight, bias)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Each value divided by (k + alpha/size * the sum of squares of `size` neighbouring channels)^beta.

    input  (B, C, ...) with at least one axis behind the channels, float
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012.
    """
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        raise TypeError(f"local_response_norm: expected size to be an integer, got {size!r}")
    if size < 1:
        raise ValueError(f"local_response_norm: expected size of 1 or more, got {size}")
    return apply(LocalResponseNorm(size.__index__(), float(alpha), float(beta), float(k)), input)
