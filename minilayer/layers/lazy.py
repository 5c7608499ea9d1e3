"""Layers that learn the size of their input from the first one they see.

A lazy layer's parameters have no shape until then (`UninitializedParameter`). Its first call, or loading a state_dict that
has their shapes, settles them; the parameter objects stay the same, so that an optimizer may hold them already. From its
first call on, the layer is one of the ordinary class: a LazyLinear becomes a Linear. Move it to its device and dtype, and
run one batch, before its parameters are counted or copied.
"""
from minilayer.layers.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from minilayer.layers.layer import Layer, Uninitialized, UninitializedBuffer, UninitializedParameter
from minilayer.layers.linear import Linear
from minilayer.layers.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from minilayer.random import Generator


class _Lazy(Layer):
    """Mixed into an ordinary layer class, `becomes`, in front of it. `size` names the setting that the input tells;
    size_of(x) reads it off an input, and shapes() are then those of parameters and buffers, by name."""
    becomes: type
    size = ""

    def _defer(self, rng=None):
        """Forget the shapes that the ordinary class's constructor gave to parameters and buffers."""
        self._rng = rng
        for name, p in self.named_parameters(recurse=False):
            setattr(self, name, UninitializedParameter(device=p.device, dtype=p.dtype))
        for name, b in self.named_buffers(recurse=False):
            if b.ndim:
                setattr(self, name, UninitializedBuffer(device=b.device, dtype=b.dtype))
        setattr(self, self.size, 0)

    def has_uninitialized_params(self):
        """Is some parameter or buffer still without a shape?"""
        return any(isinstance(t, Uninitialized) for t in (*self.parameters(recurse=False), *self.buffers(recurse=False)))

    def initialize_parameters(self, x):
        """Settle what the first input tells. Nothing is changed where it does not fit."""
        size = self.size_of(x)
        fresh = self.has_uninitialized_params()
        if getattr(self, self.size) == 0:
            setattr(self, self.size, size)
        if fresh:
            for name, shape in self.shapes().items():
                if isinstance(getattr(self, name), Uninitialized):
                    getattr(self, name).materialize(shape)
            self._start(self._rng)

    def _start(self, rng):
        self.reset_parameters(rng)

    def reset_parameters(self, rng=None):
        if not self.has_uninitialized_params():
            super().reset_parameters(rng)

    def forward(self, input, *settings, **more):
        self.initialize_parameters(input)
        del self.__dict__["_rng"]
        object.__setattr__(self, "__class__", self.becomes)
        return self.forward(input, *settings, **more)

    def _lines(self):
        shapeless = [n for n in ("weight", "bias") if isinstance(getattr(self, n), Uninitialized)]
        return [f"{self.describe()}    # {', '.join(shapeless)}: shapes follow from the first input"] if shapeless \
            else super()._lines()


class LazyLinear(_Lazy, Linear):
    """A Linear whose in_features is the last axis of its first input.

    Shapes: x (*, in_features) -> y (*, out_features). Arguments: those of Linear that are left.

    >>> LazyLinear(30)(ones(128, 20)).shape
    (128, 30)
    """
    becomes = Linear
    size = "in_features"

    def __init__(self, out_features, bias=True, device=None, dtype=None, rng=None):
        super().__init__(0, out_features, bias, device, dtype, Generator(0))
        self._defer(rng)

    def size_of(self, x):
        if not x.ndim:
            raise ValueError("LazyLinear: expected an input with at least one axis, got a single number; its last axis says "
                             "how many in_features there are")
        return x.shape[-1]

    def shapes(self):
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)} if self.bias is not None \
            else {"weight": (self.out_features, self.in_features)}


class _LazyWindows(_Lazy):
    size = "in_channels"

    def size_of(self, x):
        n, name = self.axes, type(self).__name__
        if x.ndim not in (n + 1, n + 2):
            raise ValueError(f"{name}: expected an input with {n + 2} axes, or {n + 1} without a batch, got shape {x.shape}")
        channels = x.shape[-n - 1]
        if not channels or channels % self.groups:
            raise ValueError(f"{name}: expected in_channels to be divisible by groups={self.groups}, got an input of "
                             f"{channels} channels (shape {x.shape})")
        return channels

    def shapes(self):
        return {"weight": self.weight_shape()} | ({} if self.bias is None else {"bias": (self.out_channels,)})


def _placeholder(groups):
    """A number of input channels that any groups divide; what is wrong with groups, the ordinary layer says."""
    return groups if isinstance(groups, int) and groups > 0 else 1


class _LazyConv(_LazyWindows):
    def __init__(self, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode="zeros",
                 device=None, dtype=None, rng=None):
        super().__init__(_placeholder(groups), out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
                         device, dtype, Generator(0))
        self._defer(rng)


class _LazyConvTranspose(_LazyWindows):
    def __init__(self, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1,
                 padding_mode="zeros", device=None, dtype=None, rng=None):
        super().__init__(_placeholder(groups), out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation,
                         padding_mode, device, dtype, Generator(0))
        self._defer(rng)


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d whose in_channels are those of its first input. Arguments: those of Conv1d that are left.

    Shapes: x (B, C, L) or (C, L) -> y (B, O, P) or (O, P).

    >>> LazyConv1d(8, 5, padding=2)(ones(4, 3, 20)).shape
    (4, 8, 20)
    """
    becomes = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d whose in_channels are those of its first input. Arguments: those of Conv2d that are left.

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, O, P, Q) or (O, P, Q).

    >>> LazyConv2d(6, 5, padding=2)(ones(4, 1, 28, 28)).shape
    (4, 6, 28, 28)
    """
    becomes = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A Conv3d whose in_channels are those of its first input. Arguments: those of Conv3d that are left.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, O, R, P, Q) or (O, R, P, Q).

    >>> LazyConv3d(6, 3, padding=1)(ones(2, 1, 4, 8, 8)).shape
    (2, 6, 4, 8, 8)
    """
    becomes = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A ConvTranspose1d whose in_channels are those of its first input. Arguments: those of ConvTranspose1d that are left.

    Shapes: x (B, C, L) or (C, L) -> y (B, O, P) or (O, P).

    >>> LazyConvTranspose1d(3, 4, stride=2, padding=1)(ones(4, 8, 10)).shape
    (4, 3, 20)
    """
    becomes = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A ConvTranspose2d whose in_channels are those of its first input. Arguments: those of ConvTranspose2d that are left.

    Shapes: x (B, C, H, W) or (C, H, W) -> y (B, O, P, Q) or (O, P, Q).

    >>> LazyConvTranspose2d(1, 4, stride=2, padding=1)(ones(4, 6, 14, 14)).shape
    (4, 1, 28, 28)
    """
    becomes = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A ConvTranspose3d whose in_channels are those of its first input. Arguments: those of ConvTranspose3d that are left.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y (B, O, R, P, Q) or (O, R, P, Q).

    >>> LazyConvTranspose3d(1, 2, stride=2)(ones(2, 6, 2, 4, 4)).shape
    (2, 1, 4, 8, 8)
    """
    becomes = ConvTranspose3d


class _LazyNorm(_Lazy):
    size = "num_features"

    def __init__(self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True):
        super().__init__(1, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._defer()

    def size_of(self, x):
        if x.ndim not in self.ranks or x.ndim < 2:
            raise ValueError(f"{type(self).__name__}: expected an input with {' or '.join(map(str, self.ranks))} dimensions, "
                             f"got shape {x.shape}")
        return x.shape[1]

    def shapes(self):
        return {n: (self.num_features,) for n in ("weight", "bias", "running_mean", "running_var")
                if getattr(self, n) is not None}

    def _start(self, rng):
        self.becomes.reset_parameters(self)

    def reset_parameters(self):
        if not self.has_uninitialized_params():
            super().reset_parameters()

    def reset_running_stats(self):
        if not self.has_uninitialized_params():
            super().reset_running_stats()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A BatchNorm1d whose num_features is axis 1 of its first input. Arguments: those of BatchNorm1d that are left.

    Shapes: x (B, C) or (B, C, L) -> y of the same shape.

    >>> LazyBatchNorm1d()(ones(8, 16)).shape
    (8, 16)
    """
    becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A BatchNorm2d whose num_features is axis 1 of its first input. Arguments: those of BatchNorm2d that are left.

    Shapes: x (B, C, H, W) -> y of the same shape.

    >>> LazyBatchNorm2d()(ones(8, 3, 4, 4)).shape
    (8, 3, 4, 4)
    """
    becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A BatchNorm3d whose num_features is axis 1 of its first input. Arguments: those of BatchNorm3d that are left.

    Shapes: x (B, C, D, H, W) -> y of the same shape.

    >>> LazyBatchNorm3d()(ones(8, 3, 2, 4, 4)).shape
    (8, 3, 2, 4, 4)
    """
    becomes = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An InstanceNorm1d whose num_features is axis 1 of its first input, which therefore has a batch.

    Arguments: those of InstanceNorm1d that are left, but affine and track_running_stats are on unless said otherwise, as
        in PyTorch.
    Shapes: x (B, C, L) -> y of the same shape.

    >>> LazyInstanceNorm1d()(ones(8, 3, 10)).shape
    (8, 3, 10)
    """
    becomes = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An InstanceNorm2d whose num_features is axis 1 of its first input, which therefore has a batch. Arguments as
    LazyInstanceNorm1d.

    Shapes: x (B, C, H, W) -> y of the same shape.

    >>> LazyInstanceNorm2d()(ones(8, 3, 4, 4)).shape
    (8, 3, 4, 4)
    """
    becomes = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An InstanceNorm3d whose num_features is axis 1 of its first input, which therefore has a batch. Arguments as
    LazyInstanceNorm1d.

    Shapes: x (B, C, D, H, W) -> y of the same shape.

    >>> LazyInstanceNorm3d()(ones(8, 3, 2, 4, 4)).shape
    (8, 3, 2, 4, 4)
    """
    becomes = InstanceNorm3d
