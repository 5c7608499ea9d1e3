"""Resizing, and elements in another order."""
from minilayer import functional as F
from minilayer.layers.layer import Layer
from minilayer.layers.settings import positive_int

_MODES = ("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area")


class Upsample(Layer):
    """A sequence, an image or a volume in another size, its values read between their neighbours.

    Mode 'nearest' takes the element at floor(i n / m), 'nearest-exact' the one whose middle is nearest; 'linear' (3-d
    input), 'bilinear' and 'bicubic' (4-d), 'trilinear' (5-d) weigh 2 or 4 neighbours along each axis; 'area' takes means.

    Shapes: x (B, C, L), (B, C, H, W) or (B, C, D, H, W) -> y (B, C, *size), or floor(n scale_factor) of each size n.
    Arguments: either `size` or `scale_factor`, a number or one for each axis; `align_corners=True` keeps the middles of
        the corners in place rather than their outer edges; `recompute_scale_factor=True` reads by the ratio of the sizes
        rather than by scale_factor.

    >>> Upsample(scale_factor=2, mode="bilinear")(ones(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        name = type(self).__name__
        if (size is None) == (scale_factor is None):
            raise ValueError(f"{name}: expected either size or scale_factor, got size={size!r}, "
                             f"scale_factor={scale_factor!r}")
        if mode not in _MODES:
            raise ValueError(f"{name}: expected mode to be one of {', '.join(_MODES)}, got {mode!r}")
        self.size = size
        if scale_factor is not None:
            several = isinstance(scale_factor, (tuple, list))
            for v in scale_factor if several else (scale_factor,):
                if isinstance(v, bool) or not isinstance(v, (int, float)) or not v > 0:
                    raise ValueError(f"{name}: expected scale_factor to be numbers above 0, got {scale_factor!r}")
            scale_factor = tuple(float(v) for v in scale_factor) if several else float(scale_factor)
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input):
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self):
        return (f"scale_factor={self.scale_factor}" if self.size is None else f"size={self.size}") + f", mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` with mode 'nearest', for images.

    Shapes: x (B, C, H, W) -> y (B, C, *size).

    >>> UpsamplingNearest2d(scale_factor=2)(tensor([[[[1., 2.]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` with mode 'bilinear' and align_corners=True, for images.

    Shapes: x (B, C, H, W) -> y (B, C, *size).

    >>> UpsamplingBilinear2d(size=(1, 3))(tensor([[[[1., 2.]]]]))
    tensor([[[[1. , 1.5, 2. ]]]])
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Layer):
    """Channels become pixels: each group of r^2 channels fills r x r places.

    y[b, c, h r + i, w r + j] = x[b, c r^2 + i r + j, h, w], r = upscale_factor.

    Shapes: x (*, C r^2, H, W) -> y (*, C, H r, W r).
    Paper: Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel convolutional
        neural network, 2016.

    >>> PixelShuffle(2)(ones(1, 12, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(self, upscale_factor):
        super().__init__()
        self.upscale_factor = positive_int("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, input):
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self):
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Layer):
    """Pixels become channels: PixelShuffle undone.

    Shapes: x (*, C, H r, W r) -> y (*, C r^2, H, W), r = downscale_factor.

    >>> PixelUnshuffle(2)(ones(1, 3, 8, 10)).shape
    (1, 12, 4, 5)
    """

    def __init__(self, downscale_factor):
        super().__init__()
        self.downscale_factor = positive_int("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, input):
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self):
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Layer):
    """The channels of `groups` groups dealt out like cards, so that each new group holds some of every old one.

    y[:, j groups + g] = x[:, g (C / groups) + j]

    Shapes: x (B, C, *) -> y of the same shape.
    Paper: Zhang et al., ShuffleNet: an extremely efficient convolutional neural network for mobile devices, 2018.

    >>> ChannelShuffle(2)(tensor([[[1.], [2.], [3.], [4.]]])).flatten()
    tensor([1., 3., 2., 4.])
    """

    def __init__(self, groups):
        super().__init__()
        self.groups = positive_int("ChannelShuffle", "groups", groups)

    def forward(self, input):
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"
