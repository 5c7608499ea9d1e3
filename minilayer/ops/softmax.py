"""Softmax, its logarithm, and the classification losses that stand on them.

cross_entropy is one operation rather than log_softmax and a pick: it keeps log(sum exp(x)) for each item, and
backward makes the softmax again from it, so the probabilities are never written to memory.
"""
import warnings
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import axis_as_dim, cast, contiguous, empty, empty_like, normalize_axis
from minilayer.dtypes import as_dtype, int64, uint8
from minilayer.promotion import cast as cast_tensor
from minilayer.promotion import real
from minilayer.tape import Cost, Op, apply, expect_tensor

kernels = family("softmax")
arithmetic = family("arithmetic")


def _check_float(name, x):
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")


class Softmax(Op):
    """y = exp(x) / sum exp(x) over one axis;  dx = y (dy - sum(dy y))"""
    name = "softmax"

    def __init__(self, dim):
        self.dim = dim

    def split(self, x):
        """x as (outer, D, inner) around the axis, C order."""
        axis = normalize_axis(self.name, self.dim, x.ndim)
        size = x.shape[axis] if x.ndim else 1
        return contiguous(x).reshape((_product(x.shape[:axis]), size, _product(x.shape[axis + 1:])))

    def forward(self, node, x):
        _check_float("softmax", x)
        y = empty(x.shape, x.dtype, x)
        kernels.on(x).softmax(self.split(x), self.split(y))
        node.save(y)                                        # dx needs y and not x
        return y

    def backward(self, node, dy):
        (y,) = node.saved
        dx = empty_like(y)
        kernels.on(y).softmax_backward(self.split(y), self.split(dy), self.split(dx))
        return dx

    def backward_graph(self, node, dy):
        (y,) = node.saved_tensors
        return y * (dy - (dy * y).sum(self.dim, keepdim=True))

    def cost(self, shapes, out_shapes):
        n = _product(shapes[0])
        return Cost(5 * n, 4 * n, 8 * n, 12 * n)


class LogSoftmax(Softmax):
    """y = x - log(sum exp(x)) over one axis;  dx = dy - exp(y) sum(dy)"""
    name = "log_softmax"

    def forward(self, node, x):
        _check_float("log_softmax", x)
        y = empty(x.shape, x.dtype, x)
        kernels.on(x).log_softmax(self.split(x), self.split(y))
        node.save(y)                                        # exp(y) is the softmax
        return y

    def backward(self, node, dy):
        (y,) = node.saved
        dx = empty_like(y)
        kernels.on(y).log_softmax_backward(self.split(y), self.split(dy), self.split(dx))
        return dx

    def backward_graph(self, node, dy):
        (y,) = node.saved_tensors
        return dy - y.exp() * dy.sum(self.dim, keepdim=True)


class _ClassLoss(Op):
    """What the losses over classes share: their inputs x (B,C,...), target and weight (C,), and the reduction."""

    def __init__(self, ignore_index, reduction, label_smoothing):
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def view(self, x):
        """x as (B,C,L), L the places behind the classes; one axis alone is the classes."""
        shape = x.shape
        if len(shape) == 2:
            return x.reshape((shape[0], shape[1], 1))
        if len(shape) < 2:
            return x.reshape((1, x.size, 1))
        return x.reshape((shape[0], shape[1], _product(shape[2:])))

    def check(self, node, x, target, weight):
        _check_float(self.name, x)
        if x.ndim == 0:
            raise ValueError(f"{self.name}: expected scores of shape (classes,) or (batch, classes, ...), got shape ()")
        C = x.shape[0 if x.ndim == 1 else 1]
        if weight is not None:
            if weight.shape != (C,) or weight.dtype != x.dtype:
                raise ValueError(f"{self.name}: expected a weight of shape ({C},) and dtype {x.dtype}, one a class, "
                                 f"got shape {weight.shape} and dtype {weight.dtype}")
            if node.recording and node.needs(2):
                raise RuntimeError(f"{self.name}: has no gradient for the class weights; pass weight.detach()")

    def check_labels(self, x, target):
        """The labels as int64, one an item."""
        shape = x.shape
        shape = shape[:1] + shape[2:] if len(shape) > 1 else ()
        if target.dtype not in (int64, uint8):
            raise TypeError(f"{self.name}: expected integer labels, int64 or uint8, of shape {shape}, got {target.dtype}; "
                            "convert them with .long()")
        if target.shape != shape:
            raise ValueError(f"{self.name}: expected labels of shape {shape} for scores of shape {x.shape}, got "
                             f"{target.shape}; classes are axis 1 of the scores")
        return contiguous(target if target.dtype == int64 else cast(target, int64))

    def reduce(self, loss, target, weight):
        """(the loss or its sum or mean, what the gradient has to be divided by)."""
        if self.reduction == "none":
            return loss, None
        total, divisor = empty((), loss.dtype, loss), empty((), loss.dtype, loss)
        kernels.on(loss).reduce_loss(loss, target, weight, total, divisor, ignore_index=self.ignore_index,
                                     mean=self.reduction == "mean")
        return total, divisor if self.reduction == "mean" else None

    def spread(self, dy, divisor, items):
        """The gradient of the losses as kernels take it: one an item (B,L), or one value for all."""
        if divisor is None:
            return contiguous(dy).reshape(items) if self.reduction == "none" else contiguous(dy)
        dloss = empty_like(dy)
        arithmetic.on(dy).div(dy, divisor, dloss)
        return dloss

    def cost(self, shapes, out_shapes):
        n = _product(shapes[0])
        return Cost(4 * n, 4 * n, 4 * n, 8 * n)


class CrossEntropy(_ClassLoss):
    """loss = w[t] (lse - x[t]), lse = log sum_c exp(x[c]), t the label;  dx = dloss w[t] (exp(x - lse) - [c = t])

    With smoothing s each item is to have (1 - s) [c = t] + s/C of class c instead of [c = t]; the mean divides by the
    sum of w[t]. x (B,C,...), target (B,...), weight (C,) or None.
    """
    name = "cross_entropy"
    required = 2

    def forward(self, node, x, target, weight):
        self.check(node, x, target, weight)
        target = self.check_labels(x, target)
        x = contiguous(x)
        x3 = self.view(x)
        items = (x3.shape[0], x3.shape[2])
        weight = None if weight is None else contiguous(weight)
        loss, lse = empty(target.shape, x.dtype, x), empty((2, *items), x.dtype, x)
        kernels.on(x).cross_entropy(x3, target.reshape(items), weight, loss.reshape(items), lse,
                                    ignore_index=self.ignore_index, label_smoothing=self.label_smoothing)
        loss, divisor = self.reduce(loss, target, weight)
        node.save(x, target, weight, lse, divisor)          # lse instead of the softmax: two values an item
        return loss

    def backward(self, node, dy):
        x, target, weight, lse, divisor = node.saved
        dx = empty_like(x)
        kernels.on(x).cross_entropy_backward(
            self.view(x), target.reshape(lse.shape[1:]), weight, lse, self.spread(dy, divisor, lse.shape[1:]),
            self.view(dx), ignore_index=self.ignore_index, label_smoothing=self.label_smoothing)
        return dx, None, None


class CrossEntropyProbs(_ClassLoss):
    """loss = sum_c a[c] (lse - x[c]), a = w ((1 - s) target + s/C);  dx = dloss (exp(x - lse) sum_c a[c] - a)

    dtarget = dloss (1 - s) w (lse - x). x, target (B,C,...), weight (C,) or None; the mean is over items.
    """
    name = "cross_entropy"
    required = 2

    def forward(self, node, x, target, weight):
        self.check(node, x, target, weight)
        if target.dtype != x.dtype or target.shape != x.shape:
            raise ValueError(f"cross_entropy: expected probabilities of the scores' shape {x.shape} and dtype "
                             f"{x.dtype}, got shape {target.shape} and dtype {target.dtype}; labels are integers "
                             "without axis 1")
        x, target = contiguous(x), contiguous(target)
        x3 = self.view(x)
        items = (x3.shape[0], x3.shape[2])
        weight = None if weight is None else contiguous(weight)
        loss = empty(x.shape[:min(x.ndim - 1, 1)] + x.shape[2:], x.dtype, x)
        lse = empty((2, *items), x.dtype, x)
        kernels.on(x).cross_entropy_probs(x3, self.view(target), weight, loss.reshape(items), lse,
                                          label_smoothing=self.label_smoothing)
        loss, divisor = self.reduce(loss, None, None)
        node.save(x, target, weight, lse, divisor)          # lse instead of the softmax: two values an item
        return loss

    def backward(self, node, dy):
        x, target, weight, lse, divisor = node.saved
        dloss = self.spread(dy, divisor, lse.shape[1:])
        dx = dtarget = None
        if node.needs(0):
            dx = empty_like(x)
            kernels.on(x).cross_entropy_probs_backward(self.view(x), self.view(target), weight, lse, dloss,
                                                       self.view(dx), label_smoothing=self.label_smoothing)
        if node.needs(1):
            dtarget = empty_like(x)
            kernels.on(x).cross_entropy_probs_backward_target(self.view(x), weight, lse, dloss, self.view(dtarget),
                                                              label_smoothing=self.label_smoothing)
        return dx, dtarget, None


class NllLoss(_ClassLoss):
    """loss = -w[t] x[t], t the label;  dx[t] = -w[t] dloss, 0 elsewhere

    x (B,C,...) log-probabilities, target (B,...), weight (C,) or None; the mean divides by the sum of w[t].
    """
    name = "nll_loss"
    required = 2

    def forward(self, node, x, target, weight):
        self.check(node, x, target, weight)
        target = self.check_labels(x, target)
        x3 = self.view(contiguous(x))
        items = (x3.shape[0], x3.shape[2])
        weight = None if weight is None else contiguous(weight)
        loss = empty(target.shape, x.dtype, x)
        kernels.on(x).nll_loss(x3, target.reshape(items), weight, loss.reshape(items), ignore_index=self.ignore_index)
        loss, divisor = self.reduce(loss, target, weight)
        self._shape = x.shape
        node.save(target, weight, divisor)                  # dx does not depend on x
        return loss

    def backward(self, node, dy):
        target, weight, divisor = node.saved
        dx = empty(self._shape, dy.dtype, dy)
        dx3 = self.view(dx)
        items = (dx3.shape[0], dx3.shape[2])
        kernels.on(dy).nll_loss_backward(target.reshape(items), weight, self.spread(dy, divisor, items), dx3,
                                         ignore_index=self.ignore_index)
        return dx, None, None

    def cost(self, shapes, out_shapes):
        n, items = _product(shapes[0]), _product(shapes[1])
        return Cost(2 * items, items, 16 * items, 4 * n + 16 * items)


def _along(name, x, dim, dtype):
    """(x as dtype, the axis): where dim is None the guess that PyTorch makes, and its warning."""
    expect_tensor(name, x)
    if dtype is not None:
        x = cast_tensor(x, as_dtype(dtype))
    if dim is None:
        dim = 0 if x.array.ndim in (0, 1, 3) else 1
        warnings.warn(f"{name}: dim is not given, and {dim} is a guess by the number of dimensions; pass dim={dim}",
                      stacklevel=3)
    return x, dim


def softmax(input, dim=None, dtype=None, *, axis=None):
    """Positive numbers that sum to 1 along `dim`: exp(input) / sum exp(input), without overflow. input float, any shape.

    dim    pass it: None warns, and guesses axis 0 of tensors with 0, 1 or 3 dimensions, else axis 1
    dtype  what input is cast to first
    """
    if axis is not None:
        dim = axis_as_dim("softmax", dim, axis)
    input, dim = _along("softmax", input, dim, dtype)
    return apply(Softmax(dim), input)


def log_softmax(input, dim=None, dtype=None, *, axis=None):
    """log(softmax(input, dim)), with digits left where a probability is tiny. Arguments as softmax's."""
    if axis is not None:
        dim = axis_as_dim("log_softmax", dim, axis)
    input, dim = _along("log_softmax", input, dim, dtype)
    return apply(LogSoftmax(dim), input)


def _check_loss(name, ignore_index, reduction):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{name}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}"
                         + ("" if isinstance(reduction, str) else "; size_average and reduce, which PyTorch deprecated, are not "
                            "taken here: pass what follows them by name"))
    if isinstance(ignore_index, bool) or not hasattr(ignore_index, "__index__"):
        raise TypeError(f"{name}: expected ignore_index to be an integer, got {ignore_index!r}")
    return ignore_index.__index__()


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """How surprised a classifier is by the right answers: -log softmax(input)[target], averaged.

    input            scores (logits) of shape (C,), (B, C) or (B, C, d1, ...), float
    target           integer labels in [0, C), of input's shape without the class axis; or float probabilities of input's shape
    weight           (C,) a weight a class; the mean then divides by the sum of the labels' weights
    ignore_index     items with this label count for nothing; where all are such, the mean is NaN
    reduction        "mean", "sum", or "none" for one loss an item
    label_smoothing  s in [0, 1]: the share of each answer that is spread evenly over all classes
    Raises IndexError, naming the label, where one is out of range.
    """
    ignore_index = _check_loss("cross_entropy", ignore_index, reduction)
    label_smoothing = real("cross_entropy", "label_smoothing", label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing in [0, 1], got {label_smoothing}")
    target_dtype = getattr(target, "dtype", None)
    if target_dtype is not None and target_dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError(f"cross_entropy: expected integer labels with ignore_index={ignore_index}, got "
                             f"probabilities of dtype {target_dtype}; leave ignore_index out")
        return apply(CrossEntropyProbs(ignore_index, reduction, label_smoothing), input, target, weight)
    return apply(CrossEntropy(ignore_index, reduction, label_smoothing), input, target, weight)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """The negative log-likelihood of the labels, input being log-probabilities: -input[target], averaged.

    Shapes and arguments as in cross_entropy, which is log_softmax and this in one step; labels only.
    """
    return apply(NllLoss(_check_loss("nll_loss", ignore_index, reduction), reduction, 0.0), input, target, weight)
