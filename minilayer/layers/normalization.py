"""Normalisation: numbers with mean 0 and variance 1, then a learned scale and shift."""
import math

from minilayer import functional as F
from minilayer.init import ones_, zeros_
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import number, positive_int


class _Norm(Layer):
    """What BatchNorm and InstanceNorm share: weight, bias and running statistics, one value a channel."""
    ranks: tuple = ()

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias):
        super().__init__()
        name = type(self).__name__
        self.num_features = positive_int(name, "num_features", num_features)
        self.eps = number(name, "eps", eps, least=0, below=math.inf)
        self.momentum = None if momentum is None else number(name, "momentum", momentum, least=0, below=math.inf)
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        _make_affine(self, (self.num_features,), affine, affine and bias, dtype)
        if track_running_stats:
            self.register_buffer("running_mean", F.zeros(self.num_features, dtype=dtype))
            self.register_buffer("running_var", F.ones(self.num_features, dtype=dtype))
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

    def reset_parameters(self):
        """Start again: weight 1, bias 0, nothing learned about the data."""
        self.reset_running_stats()
        _reset_affine(self)

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")


def _make_affine(layer, shape, weight, bias, dtype):
    """Register weight (ones) and bias (zeros), or None for those left out."""
    for name, start, present in (("weight", F.ones, weight), ("bias", F.zeros, bias)):
        layer.register_parameter(name, Parameter(start(*shape, dtype=dtype)) if present else None)


def _reset_affine(layer):
    if layer.weight is not None:
        ones_(layer.weight)
    if layer.bias is not None:
        zeros_(layer.bias)


def _shape_of(layer, normalized_shape):
    """An integer or several as a tuple."""
    shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
    if not shape:
        raise ValueError(f"{layer}: expected normalized_shape with at least one axis, got ()")
    return tuple([positive_int(layer, "normalized_shape", n, zero=True) for n in shape])


class _BatchNorm(_Norm):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None,
                 dtype=None, *, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        if input.ndim not in self.ranks:
            raise ValueError(f"{type(self).__name__}: expected an input with {' or '.join(map(str, self.ranks))} "
                             f"dimensions, got shape {input.shape}")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:           # the plain mean of all batches so far
                momentum = 1.0 / self.num_batches_tracked.item()
        tracked = self.track_running_stats
        return F.batch_norm(input, self.running_mean if tracked else None, self.running_var if tracked else None,
                            self.weight, self.bias, self.training or not tracked, momentum, self.eps)


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


class BatchNorm3d(_BatchNorm):
    """Normalises each channel of volumes over the batch and all places. Formula and arguments as BatchNorm1d.

    Shapes: x (B, C, D, H, W) -> y of the same shape; weight, bias, running_mean, running_var (C,).

    >>> BatchNorm3d(3)(ones(8, 3, 2, 4, 4)).shape
    (8, 3, 2, 4, 4)
    """
    ranks = (5,)


class _InstanceNorm(_Norm):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None,
                 dtype=None, *, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        batched, single = self.ranks
        if input.ndim not in self.ranks:
            raise ValueError(f"{type(self).__name__}: expected an input with {batched} dimensions, or {single} without "
                             f"a batch, got shape {input.shape}")
        if self.affine and input.shape[input.ndim - single] != self.num_features:
            raise ValueError(f"{type(self).__name__}: expected {self.num_features} channels (num_features), got "
                             f"{input.shape[input.ndim - single]} in an input of shape {input.shape}")
        y = F.instance_norm(input if input.ndim == batched else input.unsqueeze(0), self.running_mean, self.running_var,
                            self.weight, self.bias, self.training or not self.track_running_stats, self.momentum or 0.0,
                            self.eps)
        return y if input.ndim == batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each example by itself, over its places.

    y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the places of one channel of one
    example. Nothing is learned about the data, and train and eval do the same, unless `track_running_stats`.

    Shapes: x (B, C, L) or (C, L) -> y of the same shape; weight, bias, running_mean, running_var (C,).
    Starting values: weight 1, bias 0, running_mean 0, running_var 1.
    Arguments: `affine=True` adds weight and bias (`bias=False`: the weight alone). `track_running_stats=True` keeps
        running = (1 - momentum) running + momentum batch's mean, and scales by these in eval mode.
    Paper: Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016.

    >>> InstanceNorm1d(3)(ones(8, 3, 10)).shape
    (8, 3, 10)
    """
    ranks = (3, 2)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image over its places. Formula and arguments as InstanceNorm1d.

    Shapes: x (B, C, H, W) or (C, H, W) -> y of the same shape; weight, bias, running_mean, running_var (C,).

    >>> InstanceNorm2d(3)(ones(8, 3, 4, 4)).shape
    (8, 3, 4, 4)
    """
    ranks = (4, 3)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each volume over its places. Formula and arguments as InstanceNorm1d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y of the same shape; weight, bias, running_mean, running_var (C,).

    >>> InstanceNorm3d(3)(ones(8, 3, 2, 4, 4)).shape
    (8, 3, 2, 4, 4)
    """
    ranks = (5, 4)


class GroupNorm(Layer):
    """Normalises groups of channels of each example by itself: independent of the batch, as layer norm, and for images.

    y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the num_channels / num_groups
    channels of a group and all places. One group is layer norm over everything, a channel a group instance norm.

    Shapes: x (B, num_channels, *) -> y of the same shape; weight, bias (num_channels,).
    Starting values: weight 1, bias 0.
    Arguments: `affine=False` leaves both out, `bias=False` the bias.
    Paper: Wu and He, Group normalization, 2018.

    >>> GroupNorm(2, 6)(ones(8, 6, 4, 4)).shape
    (8, 6, 4, 4)
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        self.num_groups = positive_int("GroupNorm", "num_groups", num_groups)
        self.num_channels = positive_int("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise ValueError(f"GroupNorm: expected num_groups to divide num_channels={num_channels}, got {num_groups}")
        self.eps = number("GroupNorm", "eps", eps, least=0, below=math.inf)
        self.affine = bool(affine)
        _make_affine(self, (self.num_channels,), affine, affine and bias, dtype)
        if device is not None:
            self.to(device)

    def reset_parameters(self):
        _reset_affine(self)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")


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
        self.normalized_shape = _shape_of("LayerNorm", normalized_shape)
        self.eps = number("LayerNorm", "eps", eps, least=0, below=math.inf)
        self.elementwise_affine = bool(elementwise_affine)
        _make_affine(self, self.normalized_shape, elementwise_affine, elementwise_affine and bias, dtype)
        if device is not None:
            self.to(device)

    def reset_parameters(self):
        _reset_affine(self)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")


class RMSNorm(Layer):
    """Divides the last axes of each example by the root of their mean square: layer norm without the mean.

    y = x / sqrt(mean(x^2) + eps) * weight, the mean over the axes of `normalized_shape`.

    Shapes: x (*, *normalized_shape) -> y of the same shape; weight of normalized_shape (an integer or a tuple).
    Starting values: weight 1.
    Arguments: `eps=None` is the distance from 1 to the next number of x's dtype (1.19e-7 for float32);
        `elementwise_affine=False` leaves the weight out.
    Paper: Zhang and Sennrich, Root mean square layer normalization, 2019.

    >>> RMSNorm(32)(ones(4, 10, 32)).shape
    (4, 10, 32)
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = _shape_of("RMSNorm", normalized_shape)
        self.eps = None if eps is None else number("RMSNorm", "eps", eps, least=0, below=math.inf)
        self.elementwise_affine = bool(elementwise_affine)
        self.register_parameter("weight", Parameter(F.ones(*self.normalized_shape, dtype=dtype)) if elementwise_affine else None)
        if device is not None:
            self.to(device)

    def reset_parameters(self):
        if self.weight is not None:
            ones_(self.weight)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Layer):
    """Divides each value by what its neighbour channels say at the same place.

    y[c] = x[c] / (k + alpha / size * sum_j x[j]^2)^beta over the `size` channels c - size//2 <= j <= c + (size-1)//2.

    Shapes: x (B, C, *), at least one axis behind the channels -> y of the same shape.
    Paper: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks, 2012.

    >>> LocalResponseNorm(5)(ones(8, 6, 4, 4)).shape
    (8, 6, 4, 4)
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size = positive_int("LocalResponseNorm", "size", size)
        self.alpha, self.beta, self.k = (number("LocalResponseNorm", n, v) for n, v in
                                         (("alpha", alpha), ("beta", beta), ("k", k)))

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
