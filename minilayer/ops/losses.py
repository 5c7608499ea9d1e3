"""Losses that compare two arrays element by element: how far x is from target, each or summed in one pass.

With a reduction nothing but the sum is written: the single losses never reach memory. Backward makes the slopes again
from x and target. (Losses over classes are in softmax.py; those made of other functions in minilayer/losses.py.)
"""
import warnings
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import broadcast_shapes, contiguous, empty, empty_like
from minilayer.node import TensorBase
from minilayer.promotion import real
from minilayer.tape import Cost, Op, apply

kernels = family("losses")
_TINY = 9.999999960041972e-13           # 1e-12 as a float, which PyTorch divides by at least


class PairLoss(Op):
    """loss = f(x, target), element by element: each of them, or their sum or mean;
    dx = dloss df/dx, dtarget = dloss df/dtarget

    The kernel of its name computes it; settings are the kernel's keywords. x, target of one shape.
    """
    promotes = "same"
    required = 2
    flops = 4                       # of an element forward

    def __init__(self, reduction, **settings):
        self.reduction = reduction
        self.__dict__.update(settings)
        self._settings = settings

    def forward(self, node, x, target, *more):
        if x.dtype.kind != "f":
            raise TypeError(f"{self.name}: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")
        x, target = contiguous(x), contiguous(target)
        more = tuple([contiguous(m) for m in more])
        loss = empty(x.shape if self.reduction == "none" else (), x.dtype, x)
        getattr(kernels.on(x), self.name)(x, target, *self.kernel_arrays(more), loss, scale=self.scale(x), **self._settings)
        node.save(x, target, *more)                         # the slopes need them; the losses they do not
        return loss

    def backward(self, node, dy):
        x, target, *more = node.saved
        dx = empty_like(x) if node.needs(0) else None
        dtarget = empty_like(x) if node.needs(1) else None
        getattr(kernels.on(x), self.name + "_backward")(x, target, *self.kernel_arrays(more), contiguous(dy), dx, dtarget,
                                                        scale=self.scale(x), **self._settings)
        return (dx, dtarget) + (None,) * len(more)

    def backward_graph(self, node, dy):
        x, target, *more = node.saved_tensors
        dy = dy * self.scale(x)
        dx, dtarget = self.slopes(x, target, *more)         # df/dx and df/dtarget, told in functions on tensors
        return (dx * dy, dtarget * dy) + (None,) * len(more)

    def kernel_arrays(self, more):
        """The kernel's arrays behind target."""
        return more

    def scale(self, x):
        """What the sum is multiplied with: 1/n for a mean (of nothing: NaN)."""
        if self.reduction != "mean":
            return 1.0
        n = _product(x.shape)
        return 1.0 / n if n else float("nan")

    def cost(self, shapes, out_shapes):
        n = _product(shapes[0])
        return Cost(self.flops * n, self.flops * n, 4 * (len(shapes) * n + _product(out_shapes[0])), 4 * (len(shapes) + 1) * n)


class L1(PairLoss):
    """loss = |x - t|;  dx = dloss sign(x - t) = -dt"""
    name = "l1_loss"

    def slopes(self, x, target):
        slope = (x - target).sign()
        return slope, -slope


class Mse(PairLoss):
    """loss = (x - t)^2;  dx = dloss 2 (x - t) = -dt"""
    name = "mse_loss"

    def slopes(self, x, target):
        slope = (x - target) * 2.0
        return slope, -slope


class SmoothL1(PairLoss):
    """With d = |x - t|: loss = d^2 / (2 beta) where d < beta, else d - beta/2;  dx = dloss (x - t) / beta within -1 and
    1, = -dt"""
    name = "smooth_l1_loss"

    def slopes(self, x, target):
        slope = ((x - target) / self.beta).clamp(-1.0, 1.0)
        return slope, -slope


class Huber(PairLoss):
    """With d = |x - t|: loss = d^2 / 2 where d <= delta, else delta (d - delta/2);  dx = dloss (x - t) within -delta and
    delta, = -dt"""
    name = "huber_loss"

    def slopes(self, x, target):
        slope = (x - target).clamp(-self.delta, self.delta)
        return slope, -slope


class BinaryCrossEntropy(PairLoss):
    """loss = -(t log x + (1 - t) log(1 - x)), each logarithm at least -100;  dx = dloss (x - t) / (x (1 - x)),
    dt = dloss (log(1 - x) - log x). x in [0, 1]."""
    name = "binary_cross_entropy"
    flops = 50

    def slopes(self, x, target):
        return (x - target) / ((1.0 - x) * x).clamp(min=_TINY), (-x).log1p() - x.log()


class BinaryCrossEntropyWithLogits(PairLoss):
    """loss = (1 - t) x + (1 + (p - 1) t) log(1 + e^-x), p = 1 or the weights of the positive;
    dx = dloss ((p t + 1 - t) sigmoid(x) - p t), dt = dloss ((p - 1) log(1 + e^-x) - x)"""
    name = "binary_cross_entropy_with_logits"
    flops = 50

    def kernel_arrays(self, more):
        return more or (None,)

    def slopes(self, x, target, pos_weight=None):
        s = x.sigmoid()
        if pos_weight is None:
            return s - target, -x
        positive = pos_weight * target
        softplus = (-x.abs()).exp().log1p() + (-x).relu()
        return (positive + (1.0 - target)) * s - positive, (pos_weight - 1.0) * softplus - x


class KlDiv(PairLoss):
    """loss = t (log t - x), x = log q;  dx = -dloss t, dt = dloss (log t + 1 - x)"""
    name = "kl_div"
    flops = 20

    def slopes(self, x, target):
        return -target, target.log() + 1.0 - x


class KlDivLog(PairLoss):
    """loss = e^t (t - x), t the logarithm of the target;  dx = -dloss e^t, dt = dloss e^t (t - x + 1)"""
    name = "kl_div_log"
    flops = 20

    def slopes(self, x, target):
        e = target.exp()
        return -e, e * (target - x + 1.0)


# ---- the functions people call ----

def reduction_of(name, reduction, known=("none", "mean", "sum")):
    if reduction not in known:
        raise ValueError(f"{name}: expected reduction {', '.join(map(repr, known[:-1]))} or {known[-1]!r}, got {reduction!r}"
                         + ("" if isinstance(reduction, str) else "; size_average and reduce, which PyTorch deprecated, are not "
                            "taken here: pass what follows them by name"))
    return reduction


def _tensors(name, x, target):
    for what, t in (("input", x), ("target", target)):
        if not isinstance(t, TensorBase):
            raise TypeError(f"{name}: expected a tensor as {what}, got {type(t).__name__}; make it one with "
                            "minilayer.tensor(...)")


def _probabilities(name, target):
    """Integers are no probabilities: most often they are labels, meant for cross_entropy."""
    if target.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float target, got {target.dtype}; convert it with .float(), or pass integer "
                        "labels to cross_entropy")


def _answers(name, x, target):
    _tensors(name, x, target)
    _probabilities(name, target)
    if x.shape != target.shape:
        raise ValueError(f"{name}: expected an input and a target of one shape, got {x.shape} and {target.shape}; "
                         "reshape the target to the input's shape")


def _broadcast(name, x, target, warn=True):
    """Both in one shape; where they were not, PyTorch warns: it is nearly always a mistake."""
    _tensors(name, x, target)
    if x.shape == target.shape:
        return x, target
    shape = broadcast_shapes(name, x.shape, target.shape)
    if warn:
        warnings.warn(f"{name}: the target's shape {target.shape} is not the input's, {x.shape}, and both are broadcast to "
                      f"{shape}, which is seldom meant; reshape the target to the input's shape", stacklevel=3)
    return x.expand(shape), target.expand(shape)


def reduced(loss, reduction):
    """The mean or the sum of a loss's values, or ("none") these."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _weights(name, weight, shape):
    if not isinstance(weight, TensorBase) or weight.shape != shape:
        raise ValueError(f"{name}: expected a weight of the input's shape {shape}, got "
                         f"{weight.shape if isinstance(weight, TensorBase) else type(weight).__name__}")


def _weighted(name, loss, weight, shape, reduction):
    """Single losses times weights; their mean divides by the sum of the weights."""
    _weights(name, weight, shape)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.sum()
    return reduced(loss, reduction)


def l1_loss(input, target, reduction="mean", weight=None):
    """The mean distance of input from target: mean |input - target|.

    input, target  of one shape (others are broadcast, with a warning)
    reduction  "mean", "sum", or "none" for the distances themselves
    weight     of input's shape: what each counts; the mean then divides by the sum of the weights
    """
    reduction_of("l1_loss", reduction)
    shape = getattr(input, "shape", ())
    input, target = _broadcast("l1_loss", input, target)
    if weight is None:
        return apply(L1(reduction), input, target)
    return _weighted("l1_loss", apply(L1("none"), input, target), weight, shape, reduction)


def mse_loss(input, target, reduction="mean", weight=None):
    """The mean of the squared differences: mean (input - target)^2. Arguments as l1_loss's."""
    reduction_of("mse_loss", reduction)
    shape = getattr(input, "shape", ())
    input, target = _broadcast("mse_loss", input, target)
    if weight is None:
        return apply(Mse(reduction), input, target)
    return _weighted("mse_loss", apply(Mse("none"), input, target), weight, shape, reduction)


def _positive(name, what, value, zero=False):
    value = real(name, what, value)
    if not (value >= 0 if zero else value > 0):
        raise ValueError(f"{name}: expected {what} {'of 0 or more' if zero else 'above 0'}, got {value}")
    return value


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """The mean of d - beta/2, d = |input - target|, but d^2 / (2 beta) where d < beta: round at the bottom.

    beta  where the parabola ends; 0 is l1_loss. Other arguments as l1_loss's.
    Girshick, "Fast R-CNN", 2015.
    """
    reduction_of("smooth_l1_loss", reduction)
    beta = _positive("smooth_l1_loss", "beta", beta, zero=True)
    input, target = _broadcast("smooth_l1_loss", input, target)
    return apply(SmoothL1(reduction, beta=beta) if beta else L1(reduction), input, target)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """The mean of d^2 / 2, d = |input - target|, but delta (d - delta/2) where d > delta: outliers pull less.

    delta   where the straight line begins
    weight  of input's shape: what each is multiplied with (the mean is over elements all the same)
    Huber, "Robust estimation of a location parameter", 1964.
    """
    reduction_of("huber_loss", reduction)
    delta = _positive("huber_loss", "delta", delta)
    shape = getattr(input, "shape", ())
    input, target = _broadcast("huber_loss", input, target)
    if weight is None:
        return apply(Huber(reduction, delta=delta), input, target)
    _weights("huber_loss", weight, shape)
    return reduced(apply(Huber("none", delta=delta), input, target) * weight, reduction)


def _fitting(name, what, weight, x):
    """A weight expanded to x's shape."""
    if not isinstance(weight, TensorBase):
        raise TypeError(f"{name}: expected a tensor as {what}, got {type(weight).__name__}")
    if broadcast_shapes(name, x.shape, weight.shape) != x.shape:
        raise ValueError(f"{name}: expected a {what} that broadcasts to the input's shape {x.shape}, got {weight.shape}")
    if weight.requires_grad:
        raise RuntimeError(f"{name}: has no gradient for the {what}; pass {what}.detach()")
    return weight.expand(x.shape)


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """How surprised a guess input of probabilities is by the answers: mean of -(t log input + (1 - t) log(1 - input)).

    input, target  in [0, 1], of one shape; logarithms are cut off at -100, so that a wrong certainty costs 100 and not
               infinity. Prefer binary_cross_entropy_with_logits to a sigmoid and this.
    weight     broadcasts to input's shape: what each loss is multiplied with
    reduction  "mean", "sum" or "none"
    """
    reduction_of("binary_cross_entropy", reduction)
    _answers("binary_cross_entropy", input, target)
    if weight is None:
        return apply(BinaryCrossEntropy(reduction), input, target)
    weight = _fitting("binary_cross_entropy", "weight", weight, input)
    return reduced(apply(BinaryCrossEntropy("none"), input, target) * weight, reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """binary_cross_entropy of sigmoid(input), input any number, without overflow.

    weight      broadcasts to input's shape: what each loss is multiplied with
    reduction   "mean", "sum" or "none"
    pos_weight  broadcasts to input's shape: what the positive answers count, for rare ones
    """
    name = "binary_cross_entropy_with_logits"
    reduction_of(name, reduction)
    _answers(name, input, target)
    inputs = (input, target) if pos_weight is None else (input, target, _fitting(name, "pos_weight", pos_weight, input))
    if weight is None:
        return apply(BinaryCrossEntropyWithLogits(reduction), *inputs)
    weight = _fitting(name, "weight", weight, input)
    return reduced(apply(BinaryCrossEntropyWithLogits("none"), *inputs) * weight, reduction)


def kl_div(input, target, reduction="mean", log_target=False):
    """How much a distribution q differs from p: sum p (log p - log q).

    input       log q, the guess: logarithms, as log_softmax gives them
    target      p, probabilities; their logarithms with log_target=True
    reduction   "batchmean": the sum divided by the first axis' size, which is what the formula means; "mean" divides by
                the number of elements; "sum"; "none"
    """
    reduction_of("kl_div", reduction, ("none", "mean", "sum", "batchmean"))
    input, target = _broadcast("kl_div", input, target, warn=False)
    _probabilities("kl_div", target)
    op = KlDivLog if log_target else KlDiv
    if reduction != "batchmean":
        return apply(op(reduction), input, target)
    total = apply(op("sum"), input, target)
    return total / input.shape[0] if input.ndim else total
