"""Resizing: sequences, images and volumes of another size, each value read between its neighbours.

Where does place i of the output lie in the input? With `align_corners` the first and last places of both fall together:
at i (n - 1) / (m - 1). Without, both cover the same stretch, a place being an interval of it: at (i + 1/2) n / m - 1/2.
A table then says for each axis which elements make up each place and with which weights; the kernels do the sums.
"""
from functools import lru_cache
from math import floor as _floor
from math import prod as _count

import numpy as np

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, device_of, empty, empty_result, to_device
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("upsample")

# mode -> the numbers of axes it is for
MODES = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,),
         "trilinear": (3,), "bicubic": (2,), "lanczos": (2,)}
_LIMIT = 2**31                  # of every size and factor
_CACHED = 2**16                 # elements of an axis whose table is kept
INTERPOLATING = ("linear", "bilinear", "trilinear", "bicubic", "lanczos")


# ---- tables: which elements, with which weights ----

@lru_cache(maxsize=256)
def _table(mode, n, m, scale, align_corners, antialias, dtype):
    """(places (m, K) int64, weights (m, K) or None) for an axis of n elements that becomes m; None where it stays as it
    is. `scale` is the factor that was asked for, or None: then it is m / n. Computed in `dtype`, as PyTorch does, which also
    rounds nearest places in images ("image") differently where sizes double or stay."""
    number = np.dtype(dtype).type
    if n == m and (scale is None or scale == 1 or antialias or mode in ("linear", "bilinear", "trilinear", "image")):
        return None
    i = np.arange(m).astype(number)
    if mode == "image" and m == 2 * n:
        return np.arange(m)[:, None] // 2, None
    if align_corners:
        step = number(n - 1) / number(m - 1) if m > 1 else number(0)
    else:
        step = number(1.0 / scale) if scale is not None and scale > 0 else number(n) / number(m)
    if mode == "area":
        return _bins(n, m, number)
    if mode in ("nearest", "image"):
        return np.minimum(np.floor((i * step).astype(np.float32)).astype(np.int64), n - 1)[:, None], None
    if mode == "nearest-exact":
        at = np.maximum(step * (i + number(0.5)) - number(0.5), 0) + number(0.5)
        return np.minimum(np.floor(at.astype(np.float32)).astype(np.int64), n - 1)[:, None], None
    if antialias:
        return _antialiased(mode, n, i, step, number)
    at = i * step if align_corners else step * (i + number(0.5)) - number(0.5)
    if mode == "bicubic":
        first = np.floor(at)
        t = at - first
        places = first.astype(np.int64)[:, None] + np.arange(-1, 3)
        weights = np.stack([_cubic(t + 1, -0.75), _cubic(t, -0.75), _cubic(1 - t, -0.75), _cubic(2 - t, -0.75)], 1)
        return places.clip(0, n - 1), weights.astype(number)
    at = np.maximum(at, 0)
    first = np.minimum(np.floor(at).astype(np.int64), n - 1)
    t = (at - first).clip(0, 1)
    return np.stack([first, np.minimum(first + 1, n - 1)], 1), np.stack([1 - t, t], 1).astype(number)


def _cubic(x, a):
    """Keys' cubic convolution at distances x >= 0; 0 from 2 on."""
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x):
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


def _bins(n, m, number):
    """Means over [floor(i n / m), ceil((i + 1) n / m)); shorter bins end in places of -1."""
    i = np.arange(m)
    first, last = i * n // m, -(-(i + 1) * n // m)
    places = first[:, None] + np.arange((last - first).max(initial=1))
    there = places < last[:, None]
    return np.where(there, places, -1), np.where(there, 1 / (last - first)[:, None], 0).astype(number)


def _antialiased(mode, n, i, step, number):
    """A filter as wide as the step, so that each element of a smaller image is a mean over all it covers."""
    reach, kernel = {"bilinear": (1, lambda x: np.maximum(1 - x, 0)), "bicubic": (2, lambda x: _cubic(x, -0.5)),
                     "lanczos": (3, _lanczos)}[mode]
    support = reach * step if step >= 1 else number(reach)
    narrow = 1 / step if step >= 1 else number(1)
    center = step * (i + number(0.5))
    first = np.maximum((center - support + number(0.5)).astype(np.int64), 0)
    last = np.minimum((center + support + number(0.5)).astype(np.int64), n)
    places = first[:, None] + np.arange(max((last - first).max(initial=1), 1))
    there = places < last[:, None]
    weights = np.where(there, kernel(abs((places - center[:, None] + number(0.5)) * narrow)), 0)
    total = weights.sum(1, keepdims=True)
    weights = np.divide(weights, total, out=weights, where=total != 0)
    return np.where(there, places, -1), weights.astype(number)


class Resize(Op):
    """y[.., p, q] = sum over k, l of a[p,k] b[q,l] x[.., i[p,k], j[q,l]], with tables (i, a), (j, b) for each axis;
    dx[.., i[p,k], j[q,l]] += a[p,k] b[q,l] dy[.., p, q]"""
    name = "interpolate"

    def __init__(self, mode, size, scales, align_corners, antialias):
        self.mode = mode
        self.size = size
        self.scales = scales                # what was asked for, or None
        self.align_corners = align_corners
        self.antialias = antialias

    def tables(self, shape, dtype):
        """For each axis (places, weights), or (None, None) where it stays as it is."""
        scales = self.scales or (None,) * len(self.size)
        mode = "image" if self.mode == "nearest" and len(self.size) == 2 else self.mode
        found = [(_table if max(n, m) <= _CACHED else _table.__wrapped__)(
            mode, n, m, s, self.align_corners, self.antialias, dtype.name)
            for n, m, s in zip(shape[2:], self.size, scales)]
        return [(None, None) if t is None else t for t in found]

    def steps(self, x_shape, y_shape, like):
        """How the kernels get from x to y: [(shape of x, shape of y, rows, weights, columns, weights)], depth last."""
        device = device_of(like)
        tables = [tuple([None if t is None else to_device(t, device) for t in pair])
                  for pair in self.tables(x_shape, like.dtype)]
        planes = x_shape[0] * x_shape[1]
        if len(tables) == 1:
            return [((planes, 1, x_shape[-1]), (planes, 1, y_shape[-1]), None, None, *tables[0])]
        (H, W), (P, Q) = x_shape[-2:], y_shape[-2:]
        slices = planes * (x_shape[2] if len(tables) == 3 else 1)
        found = []
        if tables[-2][0] is not None or tables[-1][0] is not None:
            found.append(((slices, H, W), (slices, P, Q), *tables[-2], *tables[-1]))
        if len(tables) == 3 and tables[0][0] is not None:
            found.append(((planes, x_shape[2], P * Q), (planes, y_shape[2], P * Q), *tables[0], None, None))
        return found

    def forward(self, node, x):
        self._shape, shape = x.shape, (*x.shape[:2], *self.size)
        self._steps = self.steps(x.shape, shape, x)
        x = contiguous(x)
        for before, after, *tables in self._steps:
            y = empty_result("interpolate", after, x)
            kernels.on(x).resize(x.reshape(before), y, *tables)
            x = y
        return x.reshape(shape)

    def backward(self, node, dy):
        dy = contiguous(dy)
        for before, after, *tables in reversed(self._steps):
            dx = empty(before, dy.dtype, dy)
            kernels.on(dy).resize_backward(dy.reshape(after), dx, *tables)
            dy = dx
        return dy.reshape(self._shape)

    def backward_graph(self, node, dy):
        return apply(ResizeGradient(self, self._shape), dy)

    def settings(self):
        return f"size={self.size}, mode={self.mode}"

    def cost(self, shapes, out_shapes):
        x, y = _count(shapes[0]), _count(out_shapes[0])
        taps = {"nearest": 0, "nearest-exact": 0, "bicubic": 8}.get(self.mode, 2 * len(self.size))
        return Cost(taps * y, taps * y, 4 * (x + y), 4 * (x + y))


class ResizeGradient(Op):
    """The gradient of a resizing: y[.., i[p,k], j[q,l]] += a[p,k] b[q,l] x[.., p, q]; dx is the resized dy"""
    name = "interpolate_backward"

    def __init__(self, resize, shape):
        self._resize = resize
        self.shape = shape

    def forward(self, node, x):
        return self._resize.backward(node, x)

    def backward(self, node, dy):
        return self._resize.forward(node, dy)

    def backward_graph(self, node, dy):
        r = self._resize
        return apply(Resize(r.mode, r.size, r.scales, r.align_corners, r.antialias), dy)

    def cost(self, shapes, out_shapes):
        return self._resize.cost(out_shapes, shapes)


# ---- functions ----

def _several(name, what, value, n, kind, expected):
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(values) != n:
        raise ValueError(f"{name}: expected {what} to be one number or {n}, for each axis behind the channels, "
                         f"got {value!r}")
    for v in values:
        if isinstance(v, bool) or not kind(v):
            raise TypeError(f"{name}: expected {what} to be {expected}, got {value!r}")
        if not v > 0:
            raise ValueError(f"{name}: expected {what} above 0, got {value!r}")
        if v >= _LIMIT:
            raise ValueError(f"{name}: expected {what} below 2**31, got {value!r}")
    return values


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
                antialias=False):
    """input in another size.

    input         (B, C, L), (B, C, H, W) or (B, C, D, H, W), float
    size          the size to become, an integer or one for each axis behind the channels;
    scale_factor  or numbers to multiply it by: floor(n scale_factor)
    mode          "nearest" (the element at floor(i n / m)), "nearest-exact" (the element whose interval holds the
                  middle), "linear" (3-d input), "bilinear", "bicubic" (4-d), "trilinear" (5-d), "area" (the mean of what
                  a place covers), "lanczos" (4-d, with antialias)
    align_corners  modes that interpolate: the corners' middles stay in place, rather than their outer edges
    recompute_scale_factor  read between places by the ratio of the two sizes (as with `size`), not by scale_factor
    antialias     "bilinear" and "bicubic" to smaller sizes average over all that a place covers
    """
    expect_tensor("interpolate", input)
    array = input.array
    if array.dtype.kind != "f":
        raise TypeError(f"interpolate: expected a float32 or float64 input, got {array.dtype}; convert it with .float()")
    if mode not in MODES:
        raise ValueError(f"interpolate: expected mode to be one of {', '.join(MODES)}, got {mode!r}")
    n = array.ndim - 2
    if n not in MODES[mode] or 0 in array.shape[1:]:
        shapes = " or ".join({1: "(B, C, L)", 2: "(B, C, H, W)", 3: "(B, C, D, H, W)"}[k] for k in MODES[mode])
        raise ValueError(f"interpolate: mode {mode!r} expects an input of shape {shapes}, only the batch empty, "
                         f"got {array.shape}; .unsqueeze(0) adds an axis")
    if mode in INTERPOLATING:
        align_corners = bool(align_corners)
    elif align_corners is not None:
        raise ValueError(f"interpolate: align_corners is for {', '.join(INTERPOLATING)}, got {align_corners!r} with mode "
                         f"{mode!r}; leave it out")
    if antialias and mode not in ("bilinear", "bicubic", "lanczos"):
        raise ValueError(f"interpolate: antialias is for bilinear, bicubic and lanczos, got mode {mode!r}")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("interpolate: mode 'lanczos' expects antialias=True and align_corners=False")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: expected either size or scale_factor, got size={size!r}, "
                         f"scale_factor={scale_factor!r}")
    scales = None
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("interpolate: recompute_scale_factor is for scale_factor, got a size")
        size = _several("interpolate", "size", size, n, lambda v: hasattr(v, "__index__"), "integers")
        size = tuple([v.__index__() for v in size])
    else:
        scales = _several("interpolate", "scale_factor", scale_factor, n, lambda v: isinstance(v, (int, float)), "numbers")
        size = tuple([_floor(s * f) for s, f in zip(array.shape[2:], scales)])
        if 0 in size:
            raise ValueError(f"interpolate: expected a scale_factor that leaves at least one element an axis, got "
                             f"{scale_factor!r} for shape {array.shape}")
        if max(size) >= _LIMIT:
            raise ValueError(f"interpolate: expected a scale_factor that leads to a size below 2**31, got {scale_factor!r} "
                             f"for shape {array.shape}")
        if recompute_scale_factor or mode == "area":
            scales = None
    empty_result("interpolate", (*array.shape[:2], *size), array)        # (before its tables, which are smaller)
    op = Resize(mode, size, scales, bool(align_corners), bool(antialias))
    if all(t[0] is None for t in op.tables(array.shape, array.dtype)):
        return input.clone()
    return apply(op, input)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` with mode "nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` with mode "bilinear" and align_corners=True."""
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- elements in another order ----

def _factor(name, what, value, x, axes, power):
    """An integer of at least 1 and below 2^power."""
    expect_tensor(name, x)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected {what} to be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected {what} of at least 1, got {value}")
    if value.__index__() >= 2**power:
        raise ValueError(f"{name}: expected {what} below 2**{power}, got {value}")
    if x.array.ndim < axes:
        raise ValueError(f"{name}: expected at least {axes} dimensions, got shape {x.array.shape}")
    return value.__index__()


def pixel_shuffle(input, upscale_factor):
    """(*, C r^2, H, W) as (*, C, H r, W r): y[.., c, h r + i, w r + j] = input[.., c r^2 + i r + j, h, w], r = upscale_factor.

    Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network, 2016.
    """
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor, input, 3, 16)
    *lead, channels, H, W = input.array.shape
    if channels % (r * r):
        raise ValueError(f"pixel_shuffle: expected channels divisible by upscale_factor^2 = {r * r}, got shape "
                         f"{input.array.shape}")
    n, C = len(lead), channels // (r * r)
    input = input.reshape((*lead, C, r, r, H, W)).permute((*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return input.reshape((*lead, C, H * r, W * r))


def pixel_unshuffle(input, downscale_factor):
    """(*, C, H r, W r) as (*, C r^2, H, W): `pixel_shuffle` undone, r = downscale_factor."""
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor, input, 3, 16)
    *lead, C, H, W = input.array.shape
    if H % r or W % r:
        raise ValueError(f"pixel_unshuffle: expected height and width divisible by downscale_factor {r}, got shape "
                         f"{input.array.shape}")
    n = len(lead)
    input = input.reshape((*lead, C, H // r, r, W // r, r)).permute((*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return input.reshape((*lead, C * r * r, H // r, W // r))


def channel_shuffle(input, groups):
    """(B, C, *) with the channels dealt out: y[:, j groups + g] = input[:, g (C / groups) + j].

    Zhang et al., ShuffleNet: an extremely efficient convolutional neural network for mobile devices, 2018.
    """
    g = _factor("channel_shuffle", "groups", groups, input, 3, 31)
    B, C, *rest = input.array.shape
    if C % g:
        raise ValueError(f"channel_shuffle: expected channels divisible by groups {g}, got shape {input.array.shape}")
    return input.reshape((B, g, C // g, *rest)).transpose(1, 2).reshape(input.array.shape)
