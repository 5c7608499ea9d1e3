"""Padding: more elements at the edges, of one value or the array's own ones; negative amounts cut off."""
from math import prod as _count

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty, empty_result
from minilayer.tape import Cost, Op, apply, elementwise_cost, expect_tensor

indexing = family("indexing")
padding = family("padding")

FEWER = "add fewer elements"
_LIMIT = 2**31                  # of every amount


class Pad(Op):
    """y = x with `before` and `after` more elements of one value along each axis; dx = dy's inner part."""
    name = "pad"

    def __init__(self, before, after, value):
        self.before = before
        self.after = after
        self.value = value

    def forward(self, node, x):
        self._inner = tuple([slice(b, b + n) for b, n in zip(self.before, x.shape, strict=True)])
        y = empty_result("pad", tuple([b + n + a for b, n, a in zip(self.before, x.shape, self.after, strict=True)]), x, FEWER)
        indexing.on(y).fill(y, value=self.value)
        indexing.on(y).copy(x, y[(*self._inner, Ellipsis)])
        return y

    def backward(self, node, dy):
        return dy[(*self._inner, Ellipsis)]

    def backward_graph(self, node, dy):
        return dy[self._inner]

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class EdgePad(Op):
    """y[.., i] = x[.., place(i)] along the last `axes` axes: mirrored, repeated or from the other end;
    dx[.., place(i)] += dy[.., i]"""
    name = "pad"

    def __init__(self, before, after, mode):
        self.before = before            # one to three numbers, of the last axes
        self.after = after
        self.mode = mode

    def volume(self, array):
        """(..., last axes) as (N, D, H, W)."""
        n = len(self.before)
        return array.reshape((_count(array.shape[:-n]), *(1,) * (3 - n), *array.shape[-n:]))

    def forward(self, node, x):
        self._before = x.shape
        n, x = len(self.before), contiguous(x)
        sizes = [b + size + a for b, size, a in zip(self.before, x.shape[-n:], self.after)]
        y = empty_result("pad", (*x.shape[:-n], *sizes), x, FEWER)
        padding.on(x).pad(self.volume(x), self.volume(y), before=(0,) * (3 - n) + self.before, mode=self.mode)
        return y

    def backward(self, node, dy):
        dx = empty(self._before, dy.dtype, dy)
        padding.on(dy).pad_backward(self.volume(contiguous(dy)), self.volume(dx),
                                    before=(0,) * (3 - len(self.before)) + self.before, mode=self.mode)
        return dx

    def backward_graph(self, node, dy):
        return apply(EdgeSum(self, self._before), dy)

    def cost(self, shapes, out_shapes):
        x, y = _count(shapes[0]), _count(out_shapes[0])
        return Cost(0, y, 4 * (x + y), 4 * (x + y))


class EdgeSum(Op):
    """The gradient of a padding: y[.., place(i)] += x[.., i]; dx[.., i] = dy[.., place(i)]"""
    name = "pad_backward"

    def __init__(self, pad, shape):
        self._pad = pad
        self.shape = shape

    def forward(self, node, x):
        self._pad._before = self.shape
        return self._pad.backward(node, x)

    def backward(self, node, dy):
        return self._pad.forward(node, dy)

    def backward_graph(self, node, dy):
        return apply(EdgePad(self._pad.before, self._pad.after, self._pad.mode), dy)

    def cost(self, shapes, out_shapes):
        x, y = _count(shapes[0]), _count(out_shapes[0])
        return Cost(x, 0, 4 * (x + y), 4 * (x + y))


def _amounts(pad):
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: expected a tuple of integers, two for each axis from the last on, got {pad!r}")
    for v in pad:
        if not hasattr(v, "__index__") or isinstance(v, bool):
            raise TypeError(f"pad: expected integers, got {v!r}")
        if not -_LIMIT < v.__index__() < _LIMIT:
            raise ValueError(f"pad: expected integers between -2**31 and 2**31, got {v}")
    return [v.__index__() for v in pad]


def _value(value, dtype):
    """`value` as a Python number that `dtype` can hold."""
    try:
        number = value if isinstance(value, int) and dtype.kind != "f" else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, str):
        raise TypeError(f"pad: expected value to be a number, got {value!r}")
    if dtype.kind in "iu":
        bits = 8 * dtype.itemsize - (dtype.kind == "i")
        if not (-2**bits if dtype.kind == "i" else 0) <= number < 2**bits:
            raise ValueError(f"pad: expected a value that {dtype} holds, got {value!r}; convert the input with .float()")
        return int(number)
    return number


def pad(input, pad, mode="constant", value=None):
    """input with more elements at its edges. `pad` counts them from the last axis on: (left, right, top, bottom, ...);
    negative numbers cut off.

    mode: "constant" (`value`, 0 where it is None), "reflect" (mirrored, the edge itself not repeated), "replicate" (the
    edge repeated), "circular" (from the other end); the last three for up to three axes.
    """
    expect_tensor("pad", input)
    amounts, ndim = _amounts(pad), input.array.ndim
    if len(amounts) % 2 or len(amounts) > 2 * ndim:
        raise ValueError(f"pad: expected a pair of numbers for each of the last axes of shape {input.array.shape}, "
                         f"got {tuple(amounts)}")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: expected mode 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    before, after = amounts[-2::-2], amounts[::-2]
    missing = ndim - len(before)
    shape = input.array.shape[missing:]
    for b, n, a in zip(before, shape, after):
        if b + n + a < 0 or (b < 0 and -b > n) or (a < 0 and -a > n):
            raise ValueError(f"pad: {tuple(amounts)} cuts off more than shape {input.array.shape} has")
    more, behind = tuple([max(0, b) for b in before]), tuple([max(0, a) for a in after])
    if min(amounts, default=0) < 0:
        start = [max(0, -b) for b in before]
        if mode == "circular":          # the other end is that of what is left
            input = input[(slice(None),) * missing + tuple([slice(i, n + min(0, a)) for i, n, a in zip(start, shape, after)])]
        else:
            y = _padded(input, more, behind, mode, value)
            kept = [slice(i, n + m + a) for i, n, m, a in zip(start, shape, more, after)]
            return y[(slice(None),) * missing + tuple(kept)]
    return _padded(input, more, behind, mode, value)


def _padded(x, before, after, mode, value):
    """`pad` by amounts of 0 or more for the last axes."""
    missing = x.array.ndim - len(before)
    if mode == "constant":
        value = 0 if value is None else _value(value, x.array.dtype)
        return apply(Pad((0,) * missing + before, (0,) * missing + after, value), x)
    if value is not None:
        raise ValueError(f"pad: expected no value with mode {mode!r}, got {value!r}")
    if len(before) > 3:
        raise ValueError(f"pad: expected at most three axes to pad with mode {mode!r}, got {before} and {after}")
    if not 1 <= missing <= 2:
        raise ValueError(f"pad: with mode {mode!r}, expected numbers for all axes behind the channels, of an input "
                         f"(channels, ...) or (batch, channels, ...), got {2 * len(before)} numbers for shape "
                         f"{x.array.shape}; add zeros for axes to be left alone, or axes by unsqueeze")
    if not any(before) and not any(after):
        return x.clone()
    for b, n, a in zip(before, x.array.shape[missing:], after):
        limit = {"reflect": n - 1, "circular": n, "replicate": b + a if n else 0}[mode]
        if max(b, a) > max(limit, 0):
            raise ValueError(f"pad: mode {mode!r} can add at most {limit} elements to an axis of size {n}, "
                             f"got {b} before and {a} after")
    return apply(EdgePad(before, after, mode), x)
