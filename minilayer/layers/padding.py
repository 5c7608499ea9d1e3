"""Padding: more elements around a sequence, an image or a volume, of one value or its own; negative amounts cut off."""
from minilayer import functional as F
from minilayer.layers.layer import Layer
from minilayer.layers.settings import integers, number


class _Pad(Layer):
    """The number `n` of axes, `mode` and `value` are the subclass's."""
    mode = "constant"
    value: float | None = None

    def __init__(self, padding):
        super().__init__()
        self.padding = integers(type(self).__name__, "padding", padding, 2 * self.n,
                                f"{2 * self.n} of them, two for each axis from the last on")

    def forward(self, input):
        n, name = self.n, type(self).__name__
        if not hasattr(input, "ndim") or input.ndim not in (n + 1, n + 2):
            got = tuple(input.shape) if hasattr(input, "shape") else type(input).__name__
            raise ValueError(f"{name}: expected an input with {n} axes behind the channels, (C, ...) or (B, C, ...), "
                             f"got {got}; .unsqueeze(0) adds an axis")
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self):
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = number(type(self).__name__, "value", value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    value = 0.0


class ConstantPad1d(_ConstantPad):
    """A sequence with more places of one value around it.

    Shapes: x (B, C, L) or (C, L) -> y, the last axis longer by the two amounts.
    Arguments: padding is an integer for all sides or (left, right); negative amounts cut off. value fills them.

    >>> ConstantPad1d(2, 1.5)(ones(1, 1, 4)).shape
    (1, 1, 8)
    """
    n = 1


class ConstantPad2d(_ConstantPad):
    """An image with more places of one value around it.

    Shapes: x (B, C, H, W) or (C, H, W) -> y, each of the last 2 axes longer by its two amounts.
    Arguments: as ConstantPad1d, with (left, right, top, bottom) where that takes (left, right).

    >>> ConstantPad2d(2, 1.5)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2


class ConstantPad3d(_ConstantPad):
    """A volume with more places of one value around it.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: as ConstantPad1d, with (left, right, top, bottom, front, back) where that takes (left, right).

    >>> ConstantPad3d(2, 1.5)(ones(1, 1, 4, 5, 6)).shape
    (1, 1, 8, 9, 10)
    """
    n = 3


class ZeroPad1d(_ZeroPad):
    """A sequence with zeros around it.

    Shapes: x (B, C, L) or (C, L) -> y, the last axis longer by the two amounts.
    Arguments: padding is an integer for all sides or (left, right); negative amounts cut off.

    >>> ZeroPad1d(2)(ones(1, 1, 4)).shape
    (1, 1, 8)
    """
    n = 1


class ZeroPad2d(_ZeroPad):
    """An image with zeros around it.

    Shapes: x (B, C, H, W) or (C, H, W) -> y, each of the last 2 axes longer by its two amounts.
    Arguments: as ZeroPad1d, with (left, right, top, bottom) where that takes (left, right).

    >>> ZeroPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2


class ZeroPad3d(_ZeroPad):
    """A volume with zeros around it.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: as ZeroPad1d, with (left, right, top, bottom, front, back) where that takes (left, right).

    >>> ZeroPad3d(2)(ones(1, 1, 4, 5, 6)).shape
    (1, 1, 8, 9, 10)
    """
    n = 3


class ReflectionPad1d(_Pad):
    """A sequence mirrored at its edges, which are not repeated themselves: c b | a b c d | c b.

    Shapes: x (B, C, L) or (C, L) -> y, the last axis longer by the two amounts.
    Arguments: padding is an integer for all sides or (left, right); less on each side than the axis has;
        negative amounts cut off.

    >>> ReflectionPad1d(2)(ones(1, 1, 4)).shape
    (1, 1, 8)
    """
    n = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """An image mirrored at its edges, which are not repeated themselves: c b | a b c d | c b.

    Shapes: x (B, C, H, W) or (C, H, W) -> y, each of the last 2 axes longer by its two amounts.
    Arguments: as ReflectionPad1d, with (left, right, top, bottom) where that takes (left, right).

    >>> ReflectionPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """A volume mirrored at its edges, which are not repeated themselves: c b | a b c d | c b.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: as ReflectionPad1d, with (left, right, top, bottom, front, back) where that takes (left, right).

    >>> ReflectionPad3d(2)(ones(1, 1, 4, 5, 6)).shape
    (1, 1, 8, 9, 10)
    """
    n = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """A sequence whose edges are repeated: a a | a b c d | d d.

    Shapes: x (B, C, L) or (C, L) -> y, the last axis longer by the two amounts.
    Arguments: padding is an integer for all sides or (left, right); negative amounts cut off.

    >>> ReplicationPad1d(2)(ones(1, 1, 4)).shape
    (1, 1, 8)
    """
    n = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """An image whose edges are repeated: a a | a b c d | d d.

    Shapes: x (B, C, H, W) or (C, H, W) -> y, each of the last 2 axes longer by its two amounts.
    Arguments: as ReplicationPad1d, with (left, right, top, bottom) where that takes (left, right).

    >>> ReplicationPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """A volume whose edges are repeated: a a | a b c d | d d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: as ReplicationPad1d, with (left, right, top, bottom, front, back) where that takes (left, right).

    >>> ReplicationPad3d(2)(ones(1, 1, 4, 5, 6)).shape
    (1, 1, 8, 9, 10)
    """
    n = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """A sequence continued from its other end: c d | a b c d | a b.

    Shapes: x (B, C, L) or (C, L) -> y, the last axis longer by the two amounts.
    Arguments: padding is an integer for all sides or (left, right); at most as much on each side as the axis has;
        negative amounts cut off.

    >>> CircularPad1d(2)(ones(1, 1, 4)).shape
    (1, 1, 8)
    """
    n = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """An image continued from its other end: c d | a b c d | a b.

    Shapes: x (B, C, H, W) or (C, H, W) -> y, each of the last 2 axes longer by its two amounts.
    Arguments: as CircularPad1d, with (left, right, top, bottom) where that takes (left, right).

    >>> CircularPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """A volume continued from its other end: c d | a b c d | a b.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: as CircularPad1d, with (left, right, top, bottom, front, back) where that takes (left, right).

    >>> CircularPad3d(2)(ones(1, 1, 4, 5, 6)).shape
    (1, 1, 8, 9, 10)
    """
    n = 3
    mode = "circular"
