"""Padding: more elements around a sequence, an image or a volume, of one value or its own; negative amounts cut off."""
from minilayer import functional as F
from minilayer.layers.layer import Layer


def _amounts(layer, padding, n):
    """An integer for all sides, or two for each of n axes, from the last axis on."""
    amounts = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * n)
    if len(amounts) != 2 * n:
        raise ValueError(f"{layer}: expected padding to be an integer or {2 * n} of them, two for each axis from the "
                         f"last on, got {padding!r}")
    if not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in amounts):
        raise TypeError(f"{layer}: expected padding to be integers, got {padding!r}")
    return tuple(v.__index__() for v in amounts)


class _Pad(Layer):
    """`mode` and the number `n` of axes are the subclass's."""

    def __init__(self, padding):
        super().__init__()
        self.padding = _amounts(type(self).__name__, padding, self.n)

    def forward(self, x):
        n, name = self.n, type(self).__name__
        if not hasattr(x, "ndim") or x.ndim not in (n + 1, n + 2):
            got = tuple(x.shape) if hasattr(x, "shape") else type(x).__name__
            raise ValueError(f"{name}: expected an input with {n} axes behind the channels, (C, ...) or (B, C, ...), "
                             f"got {got}; .unsqueeze(0) adds an axis")
        return F.pad(x, self.padding, self.mode)

    def extra_repr(self):
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{type(self).__name__}: expected value to be a number, got {value!r}")
        self.value = value

    def forward(self, x):
        return F.pad(x, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


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
    Arguments: padding is an integer for all sides or (left, right, top, bottom);
        negative amounts cut off. value fills them.

    >>> ConstantPad2d(2, 1.5)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2


class ConstantPad3d(_ConstantPad):
    """A volume with more places of one value around it.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: padding is an integer for all sides or (left, right, top, bottom, front, back);
        negative amounts cut off. value fills them.

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
    Arguments: padding is an integer for all sides or (left, right, top, bottom); negative amounts cut off.

    >>> ZeroPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2


class ZeroPad3d(_ZeroPad):
    """A volume with zeros around it.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: padding is an integer for all sides or (left, right, top, bottom, front, back); negative amounts cut off.

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
    Arguments: padding is an integer for all sides or (left, right, top, bottom); less on each side than the axis has;
        negative amounts cut off.

    >>> ReflectionPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """A volume mirrored at its edges, which are not repeated themselves: c b | a b c d | c b.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: padding is an integer for all sides or (left, right, top, bottom, front, back);
        less on each side than the axis has; negative amounts cut off.

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
    Arguments: padding is an integer for all sides or (left, right, top, bottom); negative amounts cut off.

    >>> ReplicationPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """A volume whose edges are repeated: a a | a b c d | d d.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: padding is an integer for all sides or (left, right, top, bottom, front, back); negative amounts cut off.

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
    Arguments: padding is an integer for all sides or (left, right, top, bottom);
        at most as much on each side as the axis has; negative amounts cut off.

    >>> CircularPad2d(2)(ones(1, 1, 4, 5)).shape
    (1, 1, 8, 9)
    """
    n = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """A volume continued from its other end: c d | a b c d | a b.

    Shapes: x (B, C, D, H, W) or (C, D, H, W) -> y, each of the last 3 axes longer by its two amounts.
    Arguments: padding is an integer for all sides or (left, right, top, bottom, front, back);
        at most as much on each side as the axis has; negative amounts cut off.

    >>> CircularPad3d(2)(ones(1, 1, 4, 5, 6)).shape
    (1, 1, 8, 9, 10)
    """
    n = 3
    mode = "circular"
