"""Losses: how wrong an answer is, as one number to make small."""
from collections import namedtuple

from minilayer import functional as F
from minilayer.layers.container import ModuleList, Sequential
from minilayer.layers.layer import Layer
from minilayer.layers.linear import Linear
from minilayer.layers.settings import number, positive_int, probability
from minilayer.ops.indexing import scatter
from minilayer.ops.losses import reduction_of
from minilayer.tensor import Tensor


class _Loss(Layer):
    """A loss with a reduction, and perhaps a weight that is state but not learned."""

    def __new__(cls, *args, **kwargs):
        if "size_average" in kwargs or "reduce" in kwargs:
            raise TypeError(f"{cls.__name__}: size_average and reduce, which PyTorch deprecated, are not taken here; use "
                            "reduction='mean', 'sum' or 'none'")
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, reduction="mean", known=("none", "mean", "sum")):
        super().__init__()
        self.reduction = reduction_of(type(self).__name__, reduction, known)

    def _weights(self, **weights):
        for name, weight in weights.items():
            if weight is not None and not isinstance(weight, Tensor):
                raise TypeError(f"{type(self).__name__}: expected {name} to be a tensor or None, got {type(weight).__name__}; "
                                "make it one with minilayer.tensor(...)")
            self.register_buffer(name, weight)


# ---- how far off: x against target, element by element ----

class L1Loss(_Loss):
    """The mean distance: mean |x - target|.

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').
    Arguments: `reduction` "mean", "sum" or "none", as in all losses here.

    >>> L1Loss()(tensor([1.0, 3.0]), tensor([1.0, 1.0])).item()
    1.0
    """

    def __init__(self, reduction="mean"):
        super().__init__(reduction)

    def forward(self, input, target):
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """The mean of the squared differences: mean((x - target)^2).

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').

    >>> MSELoss()(tensor([1.0, 3.0]), tensor([1.0, 1.0])).item()
    2.0
    """

    def __init__(self, reduction="mean"):
        super().__init__(reduction)

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """L1Loss that is round at the bottom: with d = |x - target|, d^2 / (2 beta) where d < beta, else d - beta/2.

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').
    Arguments: `beta`, where the parabola ends; 0 is L1Loss.
    Girshick, "Fast R-CNN", 2015.

    >>> SmoothL1Loss()(tensor([1.5, 3.0]), tensor([1.0, 1.0])).item()
    0.8125
    """

    def __init__(self, reduction="mean", beta=1.0):
        super().__init__(reduction)
        self.beta = number("SmoothL1Loss", "beta", beta, least=0)

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Squares near the target, straight lines far from it, so that outliers pull less: with d = |x - target|, d^2 / 2
    where d <= delta, else delta (d - delta/2).

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').
    Arguments: `delta`, where the straight line begins.
    Huber, "Robust estimation of a location parameter", 1964.

    >>> HuberLoss(delta=2.0)(tensor([2.0, 5.0]), tensor([1.0, 1.0])).item()
    3.25
    """

    def __init__(self, reduction="mean", delta=1.0):
        super().__init__(reduction)
        self.delta = number("HuberLoss", "delta", delta, above=0)

    def forward(self, input, target):
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


# ---- over classes ----

class CrossEntropyLoss(_Loss):
    """How surprised a classifier is by the right answers: the mean of -log softmax(x)[target].

    Shapes: x (C,), (B, C) or (B, C, d1, ...), scores, not probabilities; target int64 without the class axis, or float
        probabilities of x's shape -> a number (the targets' shape with reduction='none').
    Arguments: `weight` (C,) a weight a class (the mean then divides by the sum of the targets' weights); targets equal
        to `ignore_index` do not count; `label_smoothing` e spreads e/C of each answer over all classes.

    >>> round(CrossEntropyLoss()(zeros(1, 10), tensor([3])).item(), 4)
    2.3026
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        super().__init__(reduction)
        self._weights(weight=weight)
        self.ignore_index = ignore_index
        self.label_smoothing = probability("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, input, target):
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(_Loss):
    """The negative log-likelihood of the right answers, x being log-probabilities: the mean of -x[target]. After a
    LogSoftmax it is CrossEntropyLoss.

    Shapes: x (C,), (B, C) or (B, C, d1, ...); target int64 without the class axis -> a number (the targets' shape with
        reduction='none').
    Arguments: `weight` (C,) a weight a class (the mean then divides by the sum of the targets' weights); targets equal
        to `ignore_index` do not count.

    >>> NLLLoss()(tensor([[-0.5, -1.0]]), tensor([1])).item()
    1.0
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        super().__init__(reduction)
        self._weights(weight=weight)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class LinearCrossEntropyLoss(_Loss):
    """The last layer of a classifier and its loss: CrossEntropyLoss of a Linear layer's scores.

    Shapes: x (N, in_features) or (in_features,); target int64 (N,) or (), with `out_features` (N, *out_features), or float
        probabilities (N, num_classes, *out_features) -> a number (the labels' shape with reduction='none').
        linear.weight (num_classes * prod(out_features), in_features), linear.bias one value a row, if `bias`.
    Starting values: those of Linear.
    Arguments: `options`, a LinearCrossEntropyOptions, works on a chunk of items at a time, so that the scores of all are
        never in memory together; the others as in CrossEntropyLoss.

    >>> LinearCrossEntropyLoss(5, 10, reduction="none")(ones(3, 5), tensor([0, 1, 2])).shape
    (3,)
    """

    def __init__(self, in_features, num_classes, *, out_features=(), bias=False, device=None, dtype=None, reduction="mean",
                 weight=None, ignore_index=None, label_smoothing=0.0, options=None, rng=None):
        super().__init__(reduction)
        name = "LinearCrossEntropyLoss"
        self.num_classes = positive_int(name, "num_classes", num_classes)
        self.out_features = tuple([positive_int(name, "out_features", n) for n in out_features])
        self._weights(weight=weight)
        if weight is not None and weight.shape != (num_classes,):
            raise ValueError(f"{name}: expected a weight of shape ({num_classes},), one a class, got {weight.shape}")
        self.ignore_index = ignore_index
        self.label_smoothing = probability(name, "label_smoothing", label_smoothing)
        self.options = options
        rows = self.num_classes
        for n in self.out_features:
            rows *= n
        self.linear = Linear(positive_int(name, "in_features", in_features), rows, bias=bias, device=device, dtype=dtype, rng=rng)

    def forward(self, input, target):
        places = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*places, self.linear.in_features), target,
            linear_bias=None if bias is None else bias.reshape(*places), weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing, options=self.options)

    def extra_repr(self):
        return (f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
                f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
                f"label_smoothing={self.label_smoothing}, options={self.options}")


class MultiMarginLoss(_Loss):
    """The right class is to score higher than every other by a margin:
    sum over the others c of max(0, margin - x[target] + x[c])^p / C.

    Shapes: x (B, C) or (C,), target int64 (B,) or () -> a number (target's shape with reduction='none').
    Arguments: `p` 1 or 2; `weight` (C,), what items of each class count.

    >>> round(MultiMarginLoss()(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([3])).item(), 4)
    0.325
    """

    def __init__(self, p=1, margin=1.0, weight=None, reduction="mean"):
        super().__init__(reduction)
        if isinstance(p, bool) or p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: expected p to be 1 or 2, got {p!r}")
        if weight is not None and getattr(weight, "ndim", 1) != 1:
            raise ValueError(f"MultiMarginLoss: expected a weight of shape (classes,), got {weight.shape}")
        self.p = p
        self.margin = number("MultiMarginLoss", "margin", margin)
        self._weights(weight=weight)

    def forward(self, input, target):
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Several classes are right, and each is to score higher than every wrong one by 1:
    sum over right j, wrong i of max(0, 1 - x[j] + x[i]) / C.

    Shapes: x (B, C) or (C,), target int64 of its shape: the right classes, then -1 -> a number ((B,) or () with
        reduction='none').

    >>> round(MultiLabelMarginLoss()(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([[3, 0, -1, 1]])).item(), 4)
    0.85
    """

    def __init__(self, reduction="mean"):
        super().__init__(reduction)

    def forward(self, input, target):
        return F.multilabel_margin_loss(input, target, self.reduction)


# ---- yes or no ----

class BCELoss(_Loss):
    """How surprised a guess x of probabilities is by the answers: the mean of -(t log x + (1 - t) log(1 - x)).

    Shapes: x and target in [0, 1], of one shape -> a number (the shape itself with reduction='none').
    Arguments: `weight`, which broadcasts to x's shape: what each loss is multiplied with. Logarithms are at least -100.
        Prefer BCEWithLogitsLoss to a Sigmoid and this.

    >>> round(BCELoss()(tensor([0.5, 0.5]), tensor([1.0, 0.0])).item(), 4)
    0.6931
    """

    def __init__(self, weight=None, reduction="mean"):
        super().__init__(reduction)
        self._weights(weight=weight)

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """BCELoss of sigmoid(x), for any x, without overflow.

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').
    Arguments: `weight`, which broadcasts to x's shape: what each loss is multiplied with; `pos_weight`, which does too:
        what the positive answers count.

    >>> round(BCEWithLogitsLoss()(tensor([0.0, 0.0]), tensor([1.0, 0.0])).item(), 4)
    0.6931
    """

    def __init__(self, weight=None, reduction="mean", pos_weight=None):
        super().__init__(reduction)
        self._weights(weight=weight, pos_weight=pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class MultiLabelSoftMarginLoss(_Loss):
    """Several classes may be right: a BCEWithLogitsLoss a class, averaged over the classes.

    Shapes: x and target (..., C), targets in [0, 1] -> a number (without the last axis with reduction='none').
    Arguments: `weight` (C,), what each class counts.

    >>> round(MultiLabelSoftMarginLoss()(zeros(2, 3), ones(2, 3)).item(), 4)
    0.6931
    """

    def __init__(self, weight=None, reduction="mean"):
        super().__init__(reduction)
        self._weights(weight=weight)

    def forward(self, input, target):
        return F.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + e^(-target x)), target 1 or -1.

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').

    >>> round(SoftMarginLoss()(zeros(2), tensor([1.0, -1.0])).item(), 4)
    0.6931
    """

    def __init__(self, reduction="mean"):
        super().__init__(reduction)

    def forward(self, input, target):
        return F.soft_margin_loss(input, target, self.reduction)


class HingeEmbeddingLoss(_Loss):
    """Distances x of pairs that belong together (target 1) count as they are, those of others (target -1) only as far as
    they fall short of the margin: max(0, margin - x).

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').

    >>> HingeEmbeddingLoss()(tensor([0.5, 0.25]), tensor([1.0, -1.0])).item()
    0.625
    """

    def __init__(self, margin=1.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = number("HingeEmbeddingLoss", "margin", margin)

    def forward(self, input, target):
        return F.hinge_embedding_loss(input, target, self.margin, self.reduction)


# ---- distributions ----

class KLDivLoss(_Loss):
    """How much a guessed distribution q differs from p: sum p (log p - log q).

    Shapes: x, log q, as LogSoftmax gives it, and target p of one shape -> a number (the shape itself with
        reduction='none').
    Arguments: `reduction`: "batchmean" divides by the first axis' size, which is what the formula means; "mean" by the
        number of elements; `log_target`: target is log p.

    >>> KLDivLoss("batchmean")(tensor([[0.5, 0.5]]).log(), tensor([[0.5, 0.5]])).item()
    0.0
    """

    def __init__(self, reduction="mean", log_target=False):
        super().__init__(reduction, ("none", "mean", "sum", "batchmean"))
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """How surprised a Poisson distribution is by counts: e^x - target x, x the logarithm of its rate.

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').
    Arguments: `log_input=False`: x is the rate, and the loss x - target log(x + eps); `full` adds Stirling's guess of
        log(target!).

    >>> PoissonNLLLoss()(zeros(2), tensor([1.0, 3.0])).item()
    1.0
    """

    def __init__(self, log_input=True, full=False, eps=1e-8, reduction="mean"):
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = number("PoissonNLLLoss", "eps", eps)

    def forward(self, log_input, target):
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(_Loss):
    """How surprised a normal distribution of mean x is by target: (log var + (x - target)^2 / var) / 2.

    Shapes: x and target of one shape, var of it too, or with one axis of size 1, or without the last axis, or a number
        -> a number (the shape itself with reduction='none').
    Arguments: `full` adds log(2 pi) / 2; variances below `eps` count as eps.
    Nix and Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    >>> GaussianNLLLoss()(tensor([1.0, 3.0]), tensor([1.0, 1.0]), ones(2)).item()
    1.0
    """

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(reduction)
        self.full = full
        self.eps = number("GaussianNLLLoss", "eps", eps)

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


# ---- two or three at a time ----

class MarginRankingLoss(_Loss):
    """Which of two is to be larger: max(0, margin - target (x1 - x2)), target 1 for x1 and -1 for x2.

    Shapes: x1, x2 and target of one shape -> a number (the shape itself with reduction='none').

    >>> MarginRankingLoss()(tensor([1.0]), tensor([3.0]), tensor([1.0])).item()
    2.0
    """

    def __init__(self, margin=0.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = number("MarginRankingLoss", "margin", margin)

    def forward(self, input1, input2, target):
        return F.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos for pairs that belong together (target 1), max(0, cos - margin) for others (target -1), cos the cosine of
    the angle between x1 and x2.

    Shapes: x1, x2 (B, D) and target (B,), or (D,) and () -> a number (target's shape with reduction='none').

    >>> round(CosineEmbeddingLoss()(tensor([[1.0, 0.0]]), tensor([[0.0, 2.0]]), tensor([1.0])).item(), 4)
    1.0
    """

    def __init__(self, margin=0.0, reduction="mean"):
        super().__init__(reduction)
        self.margin = number("CosineEmbeddingLoss", "margin", margin)

    def forward(self, input1, input2, target):
        return F.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(_Loss):
    """An anchor is to be nearer to its positive than to its negative, by a margin: max(0, margin + d(a, p) - d(a, n)), d
    the p-norm of the difference along the last axis.

    Shapes: three of shape (B, D) or (D,) -> a number ((B,) or () with reduction='none').
    Arguments: `p`, the norm; `eps`, added to differences; `swap`: d(p, n) in place of d(a, n) where it is smaller.
    Balntas et al., "Learning shallow convolutional feature descriptors with triplet losses", 2016.

    >>> round(TripletMarginLoss()(zeros(1, 2), zeros(1, 2), tensor([[0.0, 0.5]])).item(), 4)
    0.5
    """

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
        super().__init__(reduction)
        self.margin = number("TripletMarginLoss", "margin", margin, above=0)
        self.p = number("TripletMarginLoss", "p", p)
        self.eps = number("TripletMarginLoss", "eps", eps)
        self.swap = swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_loss(anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """TripletMarginLoss with a distance of one's own.

    Shapes: three that `distance_function` takes -> a number (what it returns with reduction='none').
    Arguments: `distance_function`, of two tensors (None: PairwiseDistance); `swap` as in TripletMarginLoss.

    >>> loss = TripletMarginWithDistanceLoss(distance_function=lambda a, b: 1.0 - F.cosine_similarity(a, b))
    >>> round(loss(tensor([[1.0, 0.0]]), tensor([[1.0, 0.0]]), tensor([[0.0, 1.0]])).item(), 4)
    0.0
    """

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
        super().__init__(reduction)
        name = "TripletMarginWithDistanceLoss"
        if distance_function is not None and not callable(distance_function):
            raise TypeError(f"{name}: expected distance_function to be a function of two tensors, got {distance_function!r}")
        self.distance_function = distance_function
        self.margin = number(name, "margin", margin, above=0)
        self.swap = swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_with_distance_loss(anchor, positive, negative, distance_function=self.distance_function,
                                                   margin=self.margin, swap=self.swap, reduction=self.reduction)


# ---- sequences ----

class CTCLoss(_Loss):
    """How surprised a network is by a sequence of labels whose places in time are not known: -log of the sum, over all ways
    to spread the labels and blanks over the time steps, of their probabilities.

    Shapes: log_probs (T, B, C) or (T, C), as LogSoftmax gives them; targets int64 (B, S) padded, or all labels in one row;
        input_lengths and target_lengths (B,), tensors or tuples -> a number ((B,) with reduction='none').
    Arguments: `blank`, the class of the blank; `reduction`: "mean" divides each loss by its target's length, then averages;
        `zero_infinity`: 0, and no gradient, where a target does not fit into its input.
    Graves et al., "Connectionist temporal classification", 2006.

    >>> CTCLoss(reduction="none")(F.log_softmax(zeros(5, 2, 4), -1), tensor([[1, 2], [3, 3]]), (5, 5), (2, 2)).shape
    (2,)
    """

    def __init__(self, blank=0, reduction="mean", zero_infinity=False):
        super().__init__(reduction)
        self.blank = positive_int("CTCLoss", "blank", blank, zero=True)
        self.zero_infinity = zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


# ---- very many classes ----

AdaptiveLogSoftmaxOutput = namedtuple("AdaptiveLogSoftmaxOutput", "output loss")


class AdaptiveLogSoftmaxWithLoss(Layer):
    """A softmax over very many classes, the frequent ones first, that spends little on the rare ones.

    Classes below cutoffs[0] are told apart by the head; classes from cutoffs[i] to cutoffs[i + 1] are a cluster: the head
    gives the cluster's probability, and the cluster's own two layers, narrow ones for rare classes, those within.

    Shapes: x (N, in_features) or (in_features,), target int64 (N,) or () -> (output, loss): the log-probability of each
        target, and the negative mean of them. head.weight (cutoffs[0] + clusters, in_features), tail.i.0.weight
        (in_features // div_value^(i+1), in_features), tail.i.1.weight (classes of the cluster, that).
    Starting values: those of Linear.
    Arguments: `cutoffs`, rising, in [1, n_classes - 1]; `div_value`; `head_bias`.
    Grave et al., "Efficient softmax approximation for GPUs", 2017.

    >>> layer = AdaptiveLogSoftmaxWithLoss(8, 100, [10, 50])
    >>> layer(ones(3, 8), tensor([1, 20, 99])).output.shape
    (3,)
    """

    def __init__(self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None, rng=None):
        super().__init__()
        name = "AdaptiveLogSoftmaxWithLoss"
        self.in_features = positive_int(name, "in_features", in_features)
        self.n_classes = positive_int(name, "n_classes", n_classes)
        cutoffs = [positive_int(name, "cutoffs", c) for c in cutoffs]
        if not cutoffs or cutoffs != sorted(set(cutoffs)) or cutoffs[-1] > n_classes - 1:
            raise ValueError(f"{name}: expected cutoffs that rise within [1, {n_classes - 1}], at least one, got {cutoffs}")
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = number(name, "div_value", div_value, above=0)
        self.head_bias = bool(head_bias)
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=self.head_bias, device=device, dtype=dtype, rng=rng)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden, classes = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(Sequential(Linear(in_features, hidden, bias=False, device=device, dtype=dtype, rng=rng),
                                        Linear(hidden, classes, bias=False, device=device, dtype=dtype, rng=rng)))

    def reset_parameters(self, rng=None):
        self.head.reset_parameters(rng)
        for first, second in self.tail:
            first.reset_parameters(rng)
            second.reset_parameters(rng)

    def forward(self, input_, target_):
        if target_.ndim > 1 or input_.ndim != target_.ndim + 1 or input_.shape[:-1] != target_.shape:
            raise ValueError(f"AdaptiveLogSoftmaxWithLoss: expected x (N, {self.in_features}) and target (N,), or "
                             f"({self.in_features},) and (), got {input_.shape} and {target_.shape}")
        rows, labels = (input_, target_) if target_.ndim else (input_.unsqueeze(0), target_.unsqueeze(0))
        labels = labels.long()
        if labels.numel() and not 0 <= labels.min().item() <= labels.max().item() < self.n_classes:
            raise IndexError(f"AdaptiveLogSoftmaxWithLoss: expected targets in [0, {self.n_classes - 1}], got values from "
                             f"{labels.min().item()} to {labels.max().item()}")
        head = F.log_softmax(self.head(rows), dim=1)
        place = labels                                              # in the head: a class, or a cluster
        within = head[:, 0] * 0.0                                   # the log-probability within the cluster
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            mask = F.logical_and(labels >= low, labels < high)
            if not mask.any():
                continue
            place = F.where(mask, self.shortlist_size + i, place)
            chosen = F.arange(len(labels), device=labels.device)[mask]
            cluster = F.log_softmax(self.tail[i](rows[chosen]), dim=1)
            picked = cluster.gather(1, (labels[chosen] - low).unsqueeze(1)).squeeze(1)
            within = scatter(within, 0, chosen, picked)
        output = within + head.gather(1, place.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return AdaptiveLogSoftmaxOutput(output if target_.ndim else output.squeeze(0), loss)

    def _all(self, x, head):
        """The log-probabilities of all classes, from the head's scores."""
        head = F.log_softmax(head, dim=1)
        parts = [head[:, :self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            cluster = self.shortlist_size + i
            parts.append(F.log_softmax(tail(x), dim=1) + head[:, cluster:cluster + 1])
        return F.cat(parts, 1)

    def log_prob(self, x):
        """The log-probabilities of all classes: (N, in_features) -> (N, n_classes)."""
        return self._all(x, self.head(x))

    def predict(self, x):
        """The most probable class of each row: (N, in_features) -> (N,) int64. Cheaper than log_prob: a cluster is looked
        into only for the rows that need it."""
        head = self.head(x)
        found = F.argmax(head, 1)
        rare = found >= self.shortlist_size
        if rare.any():
            chosen = F.arange(len(found), device=found.device)[rare]
            found = scatter(found, 0, chosen, F.argmax(self._all(x[chosen], head[chosen]), 1))
        return found
