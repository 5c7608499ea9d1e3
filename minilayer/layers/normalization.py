"""Normalisation: numbers with mean 0 and variance 1, then a learned scale and shift."""
import math

from minilayer import functional as F
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import positive_int


def _positive(layer, name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{layer}: expected {name} to be a number, got {value!r}")
    if not value >= 0 or math.isinf(value):
        raise ValueError(f"{layer}: expected {name} to be a finite number >= 0, got {value}")
    return float(value)


class _BatchNorm(Layer):
    ranks: tuple = ()

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None,
                 dtype=None):
        super().__init__()
        name = type(self).__name__
        self.num_features = positive_int(name, "num_features", num_features)
        self.eps = _positive(name, "eps", eps)
        self.momentum = None if momentum is None else _positive(name, "momentum", momentum)
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        if affine:
            self.weight = Parameter(F.ones(num_features, dtype=dtype))
            self.bias = Parameter(F.zeros(num_features, dtype=dtype))
        else:
            self.register_parameter("weight", None)
            self.register_parameter("bias", None)
        if track_running_stats:
            self.register_buffer("running_mean", F.zeros(num_features, dtype=dtype))
            self.register_buffer("running_var", F.ones(num_features, dtype=dtype))
            self.register_buffer("num_batches_tracked", F.zeros((), dtype="int64"))
        else:
            for buffer in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(buffer, None)
        if device is not None:
            self.to(device)

    def reset_running_stats(self):
        """Forget what was learned about the data."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def forward(self, x):
        if x.ndim not in self.ranks:
            raise ValueError(f"{type(self).__name__}: expected an input with {' or '.join(map(str, self.ranks))} "
                             f"dimensions, got shape {x.shape}")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:           # the plain mean of all batches so far
                momentum = 1.0 / self.num_batches_tracked.item()
        tracked = self.track_running_stats
        return F.batch_norm(x, self.running_mean if tracked else None, self.running_var if tracked else None,
                            self.weight, self.bias, self.training or not tracked, momentum, self.eps)

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
                + ("" if self.affine else ", affine=False")
                + ("" if self.track_running_stats else ", track_running_stats=False"))


class BatchNorm1d(_BatchNorm):
    """Normalises each feature over the batch.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the batch's mean and biased variance while training, and the
    running ones in eval mode: running = (1 - momentum) running + momentum batch (the variance unbiased).

    Shapes: x (B, C) or (B, C, L) -> y of the same shape; weight, bias, running_mean, running_var (C,).
    Starting values: weight 1, bias 0, running_mean 0, running_var 1.
    Arguments: `momentum=None` keeps the mean of all batches; `affine=False` leaves weight and bias out;
        `track_running_stats=False` uses the batch in eval mode too. One value a feature in training mode raises.
    Paper: Ioffe and Szegedy, Batch normalization, 2015.

    >>> BatchNorm1d(16)(ones(8, 16)).shape
    (8, 16)
    """
    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of images over the batch and all places. Formula and arguments as BatchNorm1d.

    Shapes: x (B, C, H, W) -> y of the same shape; weight, bias, running_mean, running_var (C,).

    >>> BatchNorm2d(3)(ones(8, 3, 4, 4)).shape
    (8, 3, 4, 4)
    """
    ranks = (4,)


class LayerNorm(Layer):
    """Normalises the last axes of each example by itself.

    y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the axes of `normalized_shape`.

    Shapes: x (*, *normalized_shape) -> y of the same shape; weight, bias of normalized_shape (an integer or a tuple).
    Starting values: weight 1, bias 0.
    Arguments: `elementwise_affine=False` leaves both out, `bias=False` the bias.
    Paper: Ba, Kiros and Hinton, Layer normalization, 2016.

    >>> LayerNorm(32)(ones(4, 10, 32)).shape
    (4, 10, 32)
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        if not shape:
            raise ValueError("LayerNorm: expected normalized_shape with at least one axis, got ()")
        self.normalized_shape = tuple(positive_int("LayerNorm", "normalized_shape", n) for n in shape)
        self.eps = _positive("LayerNorm", "eps", eps)
        self.elementwise_affine = bool(elementwise_affine)
        for name, start, present in (("weight", F.ones, elementwise_affine), ("bias", F.zeros, elementwise_affine and bias)):
            if present:
                setattr(self, name, Parameter(start(*self.normalized_shape, dtype=dtype)))
            else:
                self.register_parameter(name, None)
        if device is not None:
            self.to(device)

    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}" + ("" if self.elementwise_affine else ", elementwise_affine=False")
