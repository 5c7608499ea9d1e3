# cython: language_level=3
"""Activations with a bend or a gate: leaky and smooth kin of relu, shrinks, bounds, glu, prelu, rrelu.

Each keeps its input for backward and nothing else; forward and backward are one pass each. (relu, gelu, sigmoid and tanh
are in elementwise.py, softmax in softmax.py.)
"""
import math
from math import prod as _size

import cython
import numpy as np

from minilayer._ext.dispatch import Family, family
from minilayer.device import contiguous, copy, device_of, empty, empty_like, full, normalize_axis, to_device
from minilayer.inplace import apply_inplace
from minilayer.node import Node, wrap
from minilayer.promotion import cast as cast_tensor
from minilayer.promotion import real
from minilayer.random import generator_for
from minilayer.tape import Op, apply, elementwise_cost, expect_tensor

kernels = cython.declare(Family, family("activation"))
elementwise = family("elementwise")


class Activation(Op):
    """y = f(x), element by element, by the kernel of its name; dx = f'(x) dy. Settings are the kernel's keywords."""
    flops = 3                       # of a value forward

    def __init__(self, **settings):
        self.__dict__.update(settings)
        self._settings = settings
        self._backward_settings = settings

    def check(self, x):
        if x.dtype.kind != "f":
            raise TypeError(f"{self.name}: expected a float32 or float64 tensor, got {x.dtype}; convert it with .float()")

    def forward(self, node: Node, x):
        self.check(x)
        y = empty_like(x)
        getattr(kernels.on(x), self.name)(x, y, **self._settings)
        node.save(x)
        return y

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(dy)
        getattr(kernels.on(dy), self.name + "_backward")(x, dy, dx, **self._backward_settings)
        return dx

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, self.flops, self.flops)


# ---- straight lines ----

class Lines(Activation):
    """A function made of straight lines: f'(x) is a constant."""

    def forward_inplace(self, node: Node, x):
        self.check(x)
        if node.recording:
            node.save(copy(x))      # what dx needs is about to be overwritten
        getattr(kernels.on(x), self.name)(x, x, **self._settings)

    def backward_graph(self, node: Node, dy):
        x = node.saved[0]
        slope = empty_like(x)
        getattr(kernels.on(x), self.name + "_backward")(x, full(x.shape, 1.0, x.dtype, x), slope, **self._backward_settings)
        return dy * wrap(slope)


class Hardtanh(Lines):
    """y = min(max(x, low), high), NaN where x is;  dx = dy where low < x < high, else 0"""
    name = "hardtanh"

    def check(self, x):
        if x.dtype.kind == "b":
            raise TypeError("hardtanh: expected numbers, got bool; convert with .float()")

    def forward(self, node: Node, x):
        if x.dtype.kind == "f":
            return Activation.forward(self, node, x)
        self.check(x)
        y = empty_like(x)
        elementwise.on(x).clamp(x, y, low=int(self.low), high=int(self.high))
        return y

    def forward_inplace(self, node: Node, x):
        if x.dtype.kind == "f":
            return Lines.forward_inplace(self, node, x)
        self.check(x)
        elementwise.on(x).clamp(x, x, low=int(self.low), high=int(self.high))


class LeakyRelu(Lines):
    """y = x where x > 0, else slope x;  dx = dy where x > 0, else slope dy"""
    name = "leaky_relu"


class Softshrink(Lines):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0;  dx = dy where |x| > lambd, else 0"""
    name = "softshrink"


class Hardshrink(Lines):
    """y = x where |x| > lambd, else 0;  dx = dy there, else 0"""
    name = "hardshrink"


class Hardsigmoid(Lines):
    """y = min(max(x + 3, 0), 6) / 6;  dx = dy / 6 where -3 < x < 3, else 0"""
    name = "hardsigmoid"


class Threshold(Lines):
    """y = value where x <= threshold, else x;  dx = 0 there, else dy"""
    name = "threshold"

    def __init__(self, threshold, value):
        super().__init__(threshold=threshold, value=value)
        self._backward_settings = {"threshold": threshold}


# ---- curves ----

class Elu(Activation):
    """y = scale x where x > 0, else scale alpha (e^(c x) - 1), c the input_scale;  dx = scale dy, else scale alpha c e^(c x) dy

    elu, and with other numbers celu and selu.
    """
    name = "elu"
    flops = 15

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        right = cast_tensor(x.detach() > 0, dy.array.dtype)
        alpha, c = self._backward_settings["alpha"], self._backward_settings["input_scale"]
        slope = (x * c).clamp(max=0.0).exp() * (self.scale * alpha * c)
        return dy * (right * self.scale + (1.0 - right) * slope)


class Celu(Elu):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1);  dx = dy, else e^(x / alpha) dy

    As in PyTorch, one alpha of dx is rounded to float32: dx = alpha c e^(c x) dy with c = 1 / float32(alpha), and of celu
    in place, which has y alone, dx = c (y + alpha) dy.
    """

    def __init__(self, alpha, inplace):
        super().__init__(alpha=alpha, scale=1.0, input_scale=1.0 / alpha)
        single = float(np.float32(alpha))
        c = 1.0 / single if single else math.inf
        self._backward_settings = {**self._settings, **({"alpha": alpha * alpha * c} if inplace else {"input_scale": c})}


class Silu(Activation):
    """y = x s, s = 1 / (1 + e^-x);  dx = s (1 + x (1 - s)) dy"""
    name = "silu"
    flops = 15

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        s = x.sigmoid()
        return dy * (s * (x * (1.0 - s) + 1.0))


class Mish(Activation):
    """y = x t, t = tanh(log(1 + e^x));  dx = (t + x (1 - t^2) / (1 + e^-x)) dy"""
    name = "mish"
    flops = 20

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        t = apply(Softplus(beta=1.0, threshold=40.0), x).tanh()
        return dy * (t + x * x.sigmoid() * (1.0 - t * t))


class LogSigmoid(Activation):
    """y = min(x, 0) - log(1 + e^-|x|);  dx = dy / (1 + e^x)"""
    name = "log_sigmoid"
    flops = 20

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        return dy * (-x).sigmoid()


class Tanhshrink(Activation):
    """y = x - tanh x;  dx = tanh(x)^2 dy"""
    name = "tanhshrink"
    promotes = "float"
    flops = 15

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        t = x.tanh()
        return dy * (t * t)


class Softplus(Activation):
    """y = log(1 + e^(beta x)) / beta, x itself where beta x > threshold;  dx = dy / (1 + e^(-beta x)), dy itself there"""
    name = "softplus"
    flops = 20

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        bx = x * self.beta
        straight = cast_tensor(bx.detach() > self.threshold, dy.array.dtype)
        return dy * (straight + (1.0 - straight) * bx.sigmoid())


class Softsign(Activation):
    """y = x / (1 + |x|);  dx = dy / (1 + |x|)^2"""
    name = "softsign"
    promotes = "float"

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        r = (x.abs() + 1.0).reciprocal()
        return dy * (r * r)


class Hardswish(Activation):
    """y = x min(max(x + 3, 0), 6) / 6;  dx = 0 where x <= -3, dy where x >= 3, else (x / 3 + 1/2) dy"""
    name = "hardswish"
    flops = 5

    def backward_graph(self, node: Node, dy):
        (x,) = node.saved_tensors
        flat = x.detach()
        right = cast_tensor(flat >= 3.0, dy.array.dtype)
        middle = cast_tensor((flat > -3.0) & (flat < 3.0), dy.array.dtype)
        return dy * (right + middle * (x * (1 / 3) + 0.5))


# ---- gates, learned and random slopes ----

class Glu(Op):
    """y = a s, s = 1 / (1 + e^-b), a and b the halves of x along `dim`;  da = s dy, db = a s (1 - s) dy"""
    name = "glu"

    def __init__(self, dim):
        self.dim = dim

    def forward(self, node, x):
        if x.dtype.kind != "f":
            raise TypeError(f"glu: expected a float32 or float64 tensor, got {x.dtype}; convert it with .float()")
        if x.ndim == 0:
            raise ValueError("glu: expected a tensor with an axis to halve, got a 0-d one")
        axis = normalize_axis("glu", self.dim, x.ndim)
        n = x.shape[axis]
        if n % 2:
            raise ValueError(f"glu: expected an even size along dim {self.dim}, half values and half gates, got {n} "
                             f"(shape {x.shape})")
        x = contiguous(x)
        self._shape = _size(x.shape[:axis]), 2, n // 2 * _size(x.shape[axis + 1:])
        y = empty((*x.shape[:axis], n // 2, *x.shape[axis + 1:]), x.dtype, x)
        kernels.on(x).glu(x.reshape(self._shape), y.reshape((self._shape[0], self._shape[2])))
        node.save(x)
        return y

    def backward(self, node, dy):
        (x,) = node.saved
        dx = empty_like(x)
        kernels.on(x).glu_backward(x.reshape(self._shape), contiguous(dy).reshape((self._shape[0], self._shape[2])),
                                   dx.reshape(self._shape))
        return dx

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 15, 10)


class Prelu(Op):
    """y = x where x > 0, else w[c] x;  dx = dy where x > 0, else w[c] dy; dw[c] = sum of x dy where not x > 0

    x, y (B, C, ...); w (C,), or one value for all.
    """
    name = "prelu"
    required = 2

    def _folded(self, x, w):
        """The shape (B, C, L) as the kernel takes x: C channels on axis 1, or one where there is one weight."""
        if w.size == 1:
            return 1, 1, x.size
        return x.shape[0], x.shape[1], _size(x.shape[2:])

    def forward(self, node, x, w):
        if x.dtype.kind != "f" or w.dtype != x.dtype:
            raise TypeError(f"prelu: expected an input and a weight of one dtype, float32 or float64, got {x.dtype} and "
                            f"{w.dtype}; convert one with .to(dtype)")
        channels = x.shape[1] if x.ndim > 1 else 1
        if w.ndim > 1 or w.size not in (1, channels):
            raise ValueError(f"prelu: expected a weight of one value, or of one for each of the {channels} channels (axis "
                             f"1 of the input's shape {x.shape}), got shape {w.shape}")
        node.save(x, w)
        x, w = contiguous(x), contiguous(w)
        shape = self._folded(x, w)
        y = empty_like(x)
        kernels.on(x).prelu(x.reshape(shape), w.reshape((w.size,)), y.reshape(shape))
        return y

    def backward(self, node, dy):
        x, w = (contiguous(a) for a in node.saved)
        shape = self._folded(x, w)
        dx = empty_like(x) if node.needs(0) else None
        dw, accumulate = node.gradient(1, w.shape, x.dtype) if node.needs(1) else (None, False)
        kernels.on(x).prelu_backward(
            x.reshape(shape), w.reshape((w.size,)), contiguous(dy).reshape(shape), None if dx is None else dx.reshape(shape),
            None if dw is None else dw.reshape((w.size,)), accumulate=accumulate)
        return dx, dw

    def backward_graph(self, node, dy):
        x, w = node.saved_tensors
        left = 1.0 - cast_tensor(x.detach() > 0, dy.array.dtype)
        one = w.array.size == 1
        slope = w.reshape(()) if one else w.reshape((w.array.size, *[1] * (x.array.ndim - 2)))
        dx = dy * (1.0 - left + left * slope) if node.needs(0) else None
        dw = None
        if node.needs(1):
            dw = dy * x * left
            dw = (dw.sum() if one else dw.sum((0, *range(2, x.array.ndim)))).reshape(w.array.shape)
        return dx, dw

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 2, 4)


class Rrelu(Op):
    """y = x where x > 0, else r x with r random in [lower, upper);  dx = dy where x > 0, else r dy

    The slopes are drawn again from their place in the random stream, as dropout's mask is.
    """
    name = "rrelu"

    def __init__(self, lower, upper, position):
        self.lower = lower
        self.upper = upper
        self.position = position

    def forward(self, node: Node, x):
        self._check(x)
        y = empty(x.shape, x.dtype, x)
        x = contiguous(x)
        kernels.on(x).rrelu(x, x, self.position, y, lower=self.lower, upper=self.upper)
        node.save(x)
        return y

    def _check(self, x):
        if x.dtype.kind != "f":
            raise TypeError(f"rrelu: expected a float32 or float64 tensor, got {x.dtype}; convert it with .float()")

    def backward(self, node: Node, dy):
        (x,) = node.saved
        dx = empty_like(x)
        kernels.on(dy).rrelu(x, contiguous(dy), self.position, dx, lower=self.lower, upper=self.upper)
        return dx

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 8, 8)


# ---- the public functions ----

_HARDSIGMOID, _HARDSWISH, _LOGSIGMOID, _MISH = Hardsigmoid(), Hardswish(), LogSigmoid(), Mish()
_SILU, _SOFTSIGN, _TANHSHRINK, _RELU6 = Silu(), Softsign(), Tanhshrink(), Hardtanh(low=0.0, high=6.0)
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
_SELU = Elu(alpha=_SELU_ALPHA, scale=_SELU_SCALE, input_scale=1.0)


def _run(name, op, x, inplace):
    expect_tensor(name, x)
    return apply_inplace(op, x) if inplace else apply(op, x)


def relu6(input, inplace=False):
    """min(max(input, 0), 6)"""
    return _run("relu6", _RELU6, input, inplace)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """min(max(input, min_val), max_val); the gradient is 0 at both bounds"""
    low, high = real("hardtanh", "min_val", min_val), real("hardtanh", "max_val", max_val)
    if low > high:
        raise ValueError(f"hardtanh: expected min_val <= max_val, got {min_val} and {max_val}")
    op = Hardtanh(low=low, high=high) if low <= high else Threshold(math.inf, math.nan)      # of a NaN comes NaN
    return _run("hardtanh", op, input, inplace)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """hardtanh written into input's own memory"""
    return hardtanh(input, min_val, max_val, True)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """input where input > 0, else negative_slope * input

    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    return _run("leaky_relu", LeakyRelu(slope=real("leaky_relu", "negative_slope", negative_slope)), input, inplace)


def leaky_relu_(input, negative_slope=0.01):
    """leaky_relu written into input's own memory"""
    return leaky_relu(input, negative_slope, True)


def elu(input, alpha=1.0, inplace=False):
    """input where input > 0, else alpha (e^input - 1)

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.
    """
    return _run("elu", Elu(alpha=real("elu", "alpha", alpha), scale=1.0, input_scale=1.0), input, inplace)


def elu_(input, alpha=1.0):
    """elu written into input's own memory"""
    return elu(input, alpha, True)


def celu(input, alpha=1.0, inplace=False):
    """input where input > 0, else alpha (e^(input / alpha) - 1): an elu whose slope has no jump

    Barron, "Continuously differentiable exponential linear units", 2017.
    """
    alpha = real("celu", "alpha", alpha)
    if alpha == 0:
        raise ValueError("celu: expected an alpha other than 0, by which x is divided")
    return _run("celu", Celu(alpha, inplace), input, inplace)


def celu_(input, alpha=1.0):
    """celu written into input's own memory"""
    return celu(input, alpha, True)


def selu(input, inplace=False):
    """1.0507 input where input > 0, else 1.0507 * 1.6733 (e^input - 1): keeps mean 0 and variance 1 from layer to layer

    Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return _run("selu", _SELU, input, inplace)


def selu_(input):
    """selu written into input's own memory"""
    return selu(input, True)


def silu(input, inplace=False):
    """input / (1 + e^-input), also named swish

    Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network function approximation", 2017.
    """
    return _run("silu", _SILU, input, inplace)


def mish(input, inplace=False):
    """input tanh(log(1 + e^input)). Misra, "Mish: a self regularized non-monotonic activation function", 2019."""
    return _run("mish", _MISH, input, inplace)


def logsigmoid(input):
    """log(1 / (1 + e^-input)), without overflow"""
    return _run("logsigmoid", _LOGSIGMOID, input, False)


def tanhshrink(input):
    """input - tanh input"""
    return _run("tanhshrink", _TANHSHRINK, input, False)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + e^(beta input)) / beta, a smooth relu; input itself where beta input > threshold"""
    beta, threshold = real("softplus", "beta", beta), real("softplus", "threshold", threshold)
    return _run("softplus", Softplus(beta=beta, threshold=threshold), input, False)


def softsign(input):
    """input / (1 + |input|)"""
    return _run("softsign", _SOFTSIGN, input, False)


def _lambd(name, lambd):
    lambd = real(name, "lambd", lambd)
    if not lambd >= 0:
        raise ValueError(f"{name}: expected lambd of 0 or more, got {lambd}")
    return lambd


def softshrink(input, lambd=0.5):
    """input moved towards 0 by lambd, and 0 where it would pass it"""
    return _run("softshrink", Softshrink(lambd=_lambd("softshrink", lambd)), input, False)


def hardshrink(input, lambd=0.5):
    """input where |input| > lambd, else 0"""
    return _run("hardshrink", Hardshrink(lambd=real("hardshrink", "lambd", lambd)), input, False)


def hardsigmoid(input, inplace=False):
    """min(max(input + 3, 0), 6) / 6: a sigmoid of straight lines"""
    return _run("hardsigmoid", _HARDSIGMOID, input, inplace)


def hardswish(input, inplace=False):
    """input min(max(input + 3, 0), 6) / 6: silu with a sigmoid of straight lines.

    Howard et al., "Searching for MobileNetV3", 2019.
    """
    return _run("hardswish", _HARDSWISH, input, inplace)


def threshold(input, threshold, value, inplace=False):
    """value where input <= threshold, else input"""
    op = Threshold(real("threshold", "threshold", threshold), real("threshold", "value", value))
    return _run("threshold", op, input, inplace)


def threshold_(input, threshold, value):
    """threshold written into input's own memory"""
    op = Threshold(real("threshold_", "threshold", threshold), real("threshold_", "value", value))
    return _run("threshold_", op, input, True)


def glu(input, dim=-1):
    """The first half of input along `dim`, gated by the second: a / (1 + e^-b)

    Dauphin et al., "Language modeling with gated convolutional networks", 2017.
    """
    return apply(Glu(dim), input)


def prelu(input, weight):
    """input where input > 0, else weight * input with a learned weight: one for each channel (axis 1), or one for all

    He et al., "Delving deep into rectifiers", 2015.
    """
    return apply(Prelu(), input, weight)


def rrelu(input, lower=1 / 8, upper=1 / 3, training=False, inplace=False, rng=None):
    """input where input > 0, else r input: r random in [lower, upper) for each value while training, else (lower + upper) / 2

    The slopes are drawn from `rng`, the calling thread's generator where it is None.
    Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.
    """
    lower, upper = real("rrelu", "lower", lower), real("rrelu", "upper", upper)
    if not lower <= upper or math.isinf(lower) or math.isinf(upper):
        raise ValueError(f"rrelu: expected finite bounds with lower <= upper, got {lower} and {upper}")
    expect_tensor("rrelu", input)
    generator = generator_for(rng, "rrelu")
    if not training:
        return _run("rrelu", LeakyRelu(slope=(lower + upper) / 2), input, inplace)
    position = to_device(generator.take((input.array.size + 3) // 4), device_of(input.array))   # four values a block
    return _run("rrelu", Rrelu(lower, upper, position), input, inplace)


def rrelu_(input, lower=1 / 8, upper=1 / 3, training=False, rng=None):
    """rrelu written into input's own memory"""
    return rrelu(input, lower, upper, training, True, rng)
