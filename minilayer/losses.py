"""Losses and distances made of other functions; their gradients come with their parts.

The losses with kernels of their own are in ops/losses.py (x against target, element by element), ops/softmax.py (over
classes) and ops/ctc.py (over alignments).
"""
import math

from minilayer.creation import arange, zeros_like
from minilayer.device import axis_as_dim, broadcast_shapes, normalize_axis, numpy_names
from minilayer.dtypes import int64, result_type
from minilayer.node import TensorBase
from minilayer.ops.activation import logsigmoid
from minilayer.ops.arithmetic import logical_and, minimum, where
from minilayer.ops.elementwise import logical_not, relu
from minilayer.ops.indexing import gather
from minilayer.ops.linear_cross_entropy import linear_cross_entropy_chunked
from minilayer.ops.losses import reduced, reduction_of
from minilayer.ops.matmul import linear, matmul
from minilayer.ops.reduce import cumsum, distance, norm
from minilayer.ops.softmax import cross_entropy
from minilayer.promotion import cast, real
from minilayer.state import no_grad
from minilayer.tape import expect_tensor


def _tensors(name, **given):
    for what, t in given.items():
        if not isinstance(t, TensorBase):
            raise TypeError(f"{name}: expected a tensor as {what}, got {type(t).__name__}; make it one with "
                            "minilayer.tensor(...)")


def _float(name, x, what="input"):
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a float32 or float64 {what}, got {x.dtype}; convert it with .float()")


def _reduced(name, loss, reduction):
    reduction_of(name, reduction)
    return reduced(loss, reduction)


def _at_least(x, least):
    """max(x, least), of which the gradient passes as if nothing had happened."""
    x = x.clone()
    with no_grad():
        x.clamp_(min=least)
    return x


# ---- counts and measurements ----

def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """How surprised a Poisson distribution is by counts: e^input - target input, input the logarithm of its rate.

    log_input  False: input is the rate itself, and the loss input - target log(input + eps)
    full       add Stirling's guess of log(target!), a constant: t log t - t + log(2 pi t) / 2 where t > 1
    """
    name = "poisson_nll_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    reduction_of(name, reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + real(name, "eps", eps)).log()
    if full:
        stirling = target * target.log() - target + (target * (2 * math.pi)).log() * 0.5
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduced(name, loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """How surprised a normal distribution of mean input and variance var is by target: (log var + (input - target)^2 / var) / 2.

    var   a number, or a tensor of input's shape, of input's shape with one axis of size 1, or without the last axis; variances
          below eps count as eps
    full  add log(2 pi) / 2
    """
    name = "gaussian_nll_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    reduction_of(name, reduction)
    eps = real(name, "eps", eps)
    if not isinstance(var, TensorBase):
        var = zeros_like(input) + real(name, "var", var)
    if (var < 0).any():
        raise ValueError(f"{name}: expected variances of 0 or more, got {var.min().item()}")
    if var.shape != input.shape:
        different = [a for a, b in zip(input.shape, var.shape) if a != b] if input.ndim == var.ndim else [0]
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif len(different) != 1 or 1 not in (different[0], *[b for a, b in zip(input.shape, var.shape) if a != b]):
            raise ValueError(f"{name}: expected a variance of the input's shape {input.shape}, of it with one axis of size 1, or "
                             f"without the last axis, got {var.shape}")
    var = _at_least(var, eps)
    loss = (var.log() + (input - target) ** 2 / var) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(name, loss, reduction)


# ---- margins ----

def hinge_embedding_loss(input, target, margin=1.0, reduction="mean"):
    """Distances input of pairs that belong together (target 1) count as they are, those of others (target -1) only as far as
    they fall short of the margin: max(0, margin - input)."""
    name = "hinge_embedding_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    apart = (real(name, "margin", margin) - input).clamp(min=0)
    return _reduced(name, where(target != 1, apart, 0.0) + where(target != -1, input, 0.0), reduction)


def soft_margin_loss(input, target, reduction="mean"):
    """log(1 + e^(-target input)), target 1 or -1."""
    name = "soft_margin_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    return _reduced(name, (-target * input).exp().log1p(), reduction)


def margin_ranking_loss(input1, input2, target, margin=0, reduction="mean"):
    """max(0, margin - target (input1 - input2)): which of two is to be larger, input1 (target 1) or input2 (target -1)."""
    name = "margin_ranking_loss"
    _tensors(name, input1=input1, input2=input2, target=target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ValueError(f"{name}: expected inputs and a target with one number of dimensions, got shapes {input1.shape}, "
                         f"{input2.shape} and {target.shape}; add axes of size 1")
    loss = (-target * (input1 - input2) + real(name, "margin", margin)).clamp(min=0)
    return _reduced(name, loss, reduction)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """The score of the right class is to be larger than every other by a margin:
    sum over the others c of max(0, margin - input[target] + input[c])^p / C.

    input (B, C) or (C,), target (B,) or () int64; weight (C,): what each class' items count; p 1 or 2.
    """
    name = "multi_margin_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    if isinstance(p, bool) or p not in (1, 2):
        raise ValueError(f"{name}: expected p to be 1 or 2, got {p!r}")
    if input.ndim not in (1, 2) or not input.shape[-1]:
        raise ValueError(f"{name}: expected an input of shape (batch, classes) or (classes,), got {input.shape}")
    C = input.shape[-1]
    rows, labels = input.reshape(-1, C), target.reshape(-1)
    if target.dtype.kind != "i" or target.ndim > 1 or target.numel() != rows.shape[0]:
        raise ValueError(f"{name}: expected int64 labels of shape {input.shape[:-1]}, got {target.dtype} of shape {target.shape}")
    _check_labels(name, labels, 0, C)
    labels = labels.long().unsqueeze(1)
    short = real(name, "margin", margin) - gather(rows, 1, labels) + rows
    counts = (short > 0) & (arange(C, device=input.device) != labels)        # no NaN, as in PyTorch
    short = where(counts, short, 0.0)
    loss = short if p == 1 else short * short
    if weight is not None:
        if not isinstance(weight, TensorBase) or weight.shape != (C,):
            raise ValueError(f"{name}: expected a weight of shape ({C},), one a class, got "
                             f"{weight.shape if isinstance(weight, TensorBase) else type(weight).__name__}")
        if weight.requires_grad:
            raise RuntimeError(f"{name}: has no gradient for the class weights; pass weight.detach()")
        loss = loss * weight[labels]
    loss = loss.sum(1) / C
    return _reduced(name, loss.reshape(*target.shape) if target.ndim else loss.reshape(()), reduction)


def _check_labels(name, labels, low, C):
    if labels.numel():
        for found in (labels.min().item(), labels.max().item()):
            if not low <= found < C:
                raise IndexError(f"{name}: expected labels in [{low}, {C}) for {C} classes, got {found}")


def multilabel_margin_loss(input, target, reduction="mean"):
    """Several classes are right: each is to score higher than every wrong one by 1:
    sum over right j, wrong i of max(0, 1 - input[j] + input[i]) / C.

    input (B, C) or (C,), target int64 of its shape: the right classes, then -1, whatever follows.
    """
    name = "multilabel_margin_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    if input.ndim not in (1, 2) or target.shape != input.shape:
        raise ValueError(f"{name}: expected an input (batch, classes) or (classes,) and a target of its shape, got {input.shape} "
                         f"and {target.shape}")
    if target.dtype.kind != "i":
        raise TypeError(f"{name}: expected int64 labels, got {target.dtype}; convert them with .long()")
    C = input.shape[-1]
    rows, labels = input.reshape(-1, C), target.long().reshape(-1, C)
    _check_labels(name, labels, -1, C)
    listed = cumsum((labels < 0).long(), 1) == 0                    # until the first -1
    right = (where(listed, labels, C).unsqueeze(2) == arange(C, device=input.device)).any(1)
    scores = gather(rows, 1, labels.clamp(min=0))
    short = relu(1 - scores.unsqueeze(2) + rows.unsqueeze(1))       # (B, right j, wrong i)
    pairs = logical_and(listed.unsqueeze(2), logical_not(right).unsqueeze(1))
    loss = where(pairs, short, 0.0).sum((1, 2)) / C
    return _reduced(name, loss.reshape(()) if input.ndim == 1 else loss, reduction)


def multilabel_soft_margin_loss(input, target, weight=None, reduction="mean"):
    """A binary cross entropy a class, averaged over the last axis, of scores input and targets in [0, 1].

    weight (C,): what each class counts.
    """
    name = "multilabel_soft_margin_loss"
    _tensors(name, input=input, target=target)
    _float(name, input)
    if not input.ndim:
        raise ValueError(f"{name}: expected an input with a last axis of classes, got shape ()")
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        _tensors(name, weight=weight)
        loss = loss * weight
    return _reduced(name, loss.sum(input.ndim - 1) / input.shape[-1], reduction)


# ---- distances ----

def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False, *, keepdims=None):
    """The p-norm of x1 - x2 + eps along the last axis; shapes broadcast."""
    name = "pairwise_distance"
    if keepdims is not None:
        keepdim = numpy_names(name, None, None, keepdim, keepdims)[1]
    _tensors(name, x1=x1, x2=x2)
    difference = x1 - x2
    _float(name, difference)
    if not difference.ndim:
        raise ValueError(f"{name}: expected vectors along a last axis, got shapes {x1.shape} and {x2.shape}")
    return norm(difference + real(name, "eps", eps), real(name, "p", p), difference.ndim - 1, keepdim)


def cosine_similarity(x1, x2, dim=1, eps=1e-08, *, axis=None):
    """The cosine of the angle between vectors along `dim`: x1 . x2 / (|x1| |x2|), each length at least eps. Shapes
    broadcast."""
    if axis is not None:
        dim = axis_as_dim("cosine_similarity", dim, axis, 1)
    name = "cosine_similarity"
    _tensors(name, x1=x1, x2=x2)
    dtype = result_type(x1, x2)
    if dtype.kind != "f":
        raise TypeError(f"{name}: expected float32 or float64 tensors, got {x1.dtype} and {x2.dtype}; use .float()")
    eps = real(name, "eps", eps)
    shape = broadcast_shapes(name, x1.shape, x2.shape)
    axis = normalize_axis(name, dim, len(shape))
    x1, x2 = cast(x1, dtype).expand(shape), cast(x2, dtype).expand(shape)
    lengths = [_at_least(norm(x, 2, axis if shape else None, True), eps) for x in (x1, x2)]
    return (x1 / lengths[0] * (x2 / lengths[1])).sum(axis if shape else None)


def pdist(input, p=2.0):
    """The p-norm distances of all pairs of rows of input (N, D): (0,1), (0,2), ..., (N-2,N-1), in one axis."""
    expect_tensor("pdist", input)
    _float("pdist", input)
    p = real("pdist", "p", p)
    if input.ndim != 2:
        raise ValueError(f"pdist: expected rows (N, D), got shape {input.shape}")
    if p < 0:
        raise ValueError(f"pdist: expected p of 0 or more, got {p}")
    N = input.shape[0]
    place = arange(N * N, device=input.device)
    i, j = place // max(N, 1), place % max(N, 1)
    above = i < j
    return distance(input[i[above]] - input[j[above]], p, 1)


def cosine_embedding_loss(input1, input2, target, margin=0, reduction="mean"):
    """1 - cos for pairs that belong together (target 1), max(0, cos - margin) for others (target -1).

    input1, input2 (B, D) and target (B,), or (D,) and (): cos is the cosine of the angle between input1 and input2.
    """
    name = "cosine_embedding_loss"
    _tensors(name, input1=input1, input2=input2, target=target)
    margin = real(name, "margin", margin)
    if target.ndim > 1 or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ValueError(f"{name}: expected inputs (batch, features) and a target (batch,), or (features,) and (), got "
                         f"{input1.shape}, {input2.shape} and {target.shape}")
    dim = target.ndim
    squares = [(x * x).sum(dim) + 1e-12 for x in (input1, input2)]
    cos = (input1 * input2).sum(dim) / (squares[0] * squares[1]).sqrt()
    loss = where(target == 1, 1 - cos, 0.0) + where(target == -1, (cos - margin).clamp(min=0), 0.0)
    return _reduced(name, loss, reduction)


def _triplet(name, anchor, positive, negative, distance, margin, swap, reduction):
    _tensors(name, anchor=anchor, positive=positive, negative=negative)
    reduction_of(name, reduction)
    margin = real(name, "margin", margin)
    if margin <= 0:
        raise ValueError(f"{name}: expected a margin above 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ValueError(f"{name}: expected anchor, positive and negative with one number of dimensions, got shapes "
                         f"{anchor.shape}, {positive.shape} and {negative.shape}")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduced(name, (margin + near - far).clamp(min=0), reduction)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d the p-norm of the difference along the last axis.

    swap  take d(positive, negative) instead of d(anchor, negative) where it is smaller (Balntas et al., 2016)
    """
    return _triplet("triplet_margin_loss", anchor, positive, negative, lambda a, b: pairwise_distance(a, b, p, eps),
                    margin, swap, reduction)


def triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False,
                                      reduction="mean"):
    """triplet_margin_loss with a distance of one's own: a function of two tensors (None: pairwise_distance)."""
    name = "triplet_margin_with_distance_loss"
    if distance_function is not None and not callable(distance_function):
        raise TypeError(f"{name}: expected distance_function to be a function of two tensors, got {distance_function!r}")
    return _triplet(name, anchor, positive, negative, distance_function or pairwise_distance, margin, swap, reduction)


# ---- products ----

def bilinear(input1, input2, weight, bias=None):
    """y[..., o] = input1 W[o] input2 + b[o].

    input1 (..., in1), input2 (..., in2), weight (out, in1, in2), bias (out,) or None -> (..., out)
    """
    _tensors("bilinear", input1=input1, input2=input2, weight=weight)
    if (weight.ndim != 3 or not input1.ndim or input1.shape[:-1] != input2.shape[:-1] or input1.shape[-1] != weight.shape[1]
            or input2.ndim != input1.ndim or input2.shape[-1] != weight.shape[2]):
        raise ValueError(f"bilinear: expected inputs (..., in1) and (..., in2) with equal axes in front and a weight (out, in1, "
                         f"in2), got {input1.shape}, {input2.shape} and {weight.shape}")
    if bias is not None and (not isinstance(bias, TensorBase) or bias.shape != weight.shape[:1]):
        raise ValueError(f"bilinear: expected a bias of shape {weight.shape[:1]}, got "
                         f"{bias.shape if isinstance(bias, TensorBase) else type(bias).__name__}")
    out, in1, in2 = weight.shape
    lead = input1.shape[:-1]
    n = math.prod(lead)
    half = matmul(input1.reshape(n, in1), weight.permute(1, 0, 2).reshape(in1, out * in2))         # x1 W[o], all o
    y = matmul(half.reshape(n, out, in2), input2.reshape(n, in2, 1)).reshape(*lead, out)
    return y if bias is None else y + bias


class LinearCrossEntropyOptions:
    """How linear_cross_entropy cuts a batch into chunks.

    batch_chunk_size  items a chunk (None with chunking_method=None: all in one)
    chunking_method   "aspect_ratio": so many that a chunk's scores take about the memory of the whole input;
                      "aspect_ratio:N": an N-th of that; "auto": "aspect_ratio:2"; None: batch_chunk_size says it
    allow_retain_graph, acc_policy, acc_dtype  are PyTorch's, and accepted: here a graph can always be walked again, and
                      sums run in the inputs' own type

    >>> LinearCrossEntropyOptions(batch_chunk_size=64, chunking_method=None).rows(1000, 32, 500)
    64
    """

    def __init__(self, allow_retain_graph=False, batch_chunk_size=None, chunking_method="auto", acc_policy="auto",
                 acc_dtype=None):
        name = "LinearCrossEntropyOptions"
        if acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"{name}: expected acc_policy 'auto', 'accurate', 'balanced' or 'compact', got {acc_policy!r}")
        if batch_chunk_size is not None and (isinstance(batch_chunk_size, bool) or not isinstance(batch_chunk_size, int)
                                             or batch_chunk_size < 1):
            raise ValueError(f"{name}: expected batch_chunk_size to be None or an integer >= 1, got {batch_chunk_size!r}")
        if chunking_method not in (None, "auto"):
            method, _, factor = str(chunking_method).partition(":")
            if method != "aspect_ratio" or not (factor or "1").isdigit() or int(factor or 1) < 1:
                raise ValueError(f"{name}: expected chunking_method None, 'auto', 'aspect_ratio' or 'aspect_ratio:N', got "
                                 f"{chunking_method!r}")
        self.allow_retain_graph, self.batch_chunk_size, self.chunking_method = (allow_retain_graph, batch_chunk_size,
                                                                                chunking_method)
        self.acc_policy, self.acc_dtype = acc_policy, acc_dtype

    def __repr__(self):
        return f"LinearCrossEntropyOptions({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def rows(self, items, features, classes):
        """How many items a chunk has."""
        if self.batch_chunk_size is not None:
            return self.batch_chunk_size
        if self.chunking_method is None:
            return max(items, 1)
        factor = 2 if self.chunking_method == "auto" else int(self.chunking_method.partition(":")[2] or 1)
        wanted = math.ceil(items / max(1, math.ceil(classes / max(features, 1))))
        return max(1, 2 ** max(0, wanted - 1).bit_length() // factor)


def linear_cross_entropy(input, linear_weight, target, *, linear_bias=None, weight=None, reduction="mean", ignore_index=None,
                         label_smoothing=0.0, options=None):
    """cross_entropy(input linear_weight^T + linear_bias, target): the last layer of a classifier and its loss.

    input                (N, in) or (in,)
    linear_weight        (C, in), or (C, d1, ..., in) for losses of that many axes, with linear_bias (C,) or (C, d1, ...)
    target, weight, reduction, label_smoothing  as in cross_entropy; ignore_index only for labels (None: -100)
    options              LinearCrossEntropyOptions: the scores of a chunk of items at a time, so that all of them together
                         are never held in memory; computed again for the gradients. Labels only, without smoothing.
    """
    name = "linear_cross_entropy"
    _tensors(name, input=input, linear_weight=linear_weight, target=target)
    reduction_of(name, reduction)
    if input.ndim not in (1, 2):
        raise ValueError(f"{name}: expected an input (N, in) or (in,), got {input.shape}")
    if linear_weight.ndim < 2 or input.shape[-1] != linear_weight.shape[-1]:
        raise ValueError(f"{name}: expected a linear_weight (C, ..., in) with in = {input.shape[-1]} as the input's last axis, "
                         f"got {linear_weight.shape}")
    C, *places, features = linear_weight.shape
    if linear_bias is not None and (not isinstance(linear_bias, TensorBase) or linear_bias.shape != (C, *places)):
        raise ValueError(f"{name}: expected a linear_bias of shape {(C, *places)}, got "
                         f"{linear_bias.shape if isinstance(linear_bias, TensorBase) else type(linear_bias).__name__}")
    if places and input.ndim == 1:
        raise ValueError(f"{name}: expected a batch (N, {features}) for a linear_weight of shape {linear_weight.shape}, got "
                         f"{input.shape}; x.unsqueeze(0) makes one")
    shape = (*input.shape[:-1], C, *places)
    if ignore_index is not None and target.shape == shape:
        raise ValueError(f"{name}: expected no ignore_index with a target of probabilities, got {ignore_index}")
    ignore_index = -100 if ignore_index is None else ignore_index
    if options is not None and not places and not label_smoothing and target.dtype == int64 and target.shape != shape:
        rows, labels = (input, target) if input.ndim == 2 else (input.unsqueeze(0), target.unsqueeze(0))
        chunk = options.rows(rows.shape[0], features, C)
        loss = linear_cross_entropy_chunked(rows, linear_weight, labels, linear_bias, weight, reduction, ignore_index, chunk)
        return loss.reshape(()) if reduction == "none" and input.ndim == 1 else loss
    flat = math.prod(places, start=C)
    scores = linear(input, linear_weight.reshape(flat, features), None if linear_bias is None else linear_bias.reshape(flat))
    return cross_entropy(scores.reshape(*shape), target, weight, ignore_index, reduction, label_smoothing)
