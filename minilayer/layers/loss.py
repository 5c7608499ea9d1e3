"""Losses: how wrong an answer is, as one number to make small."""
from minilayer import functional as F
from minilayer.layers.layer import Layer


def _reduction(layer, reduction):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{layer}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    return reduction


class MSELoss(Layer):
    """The mean of the squared differences: mean((x - target)^2).

    Shapes: x and target of one shape -> a number (the shape itself with reduction='none').

    >>> MSELoss()(tensor([1.0, 3.0]), tensor([1.0, 1.0])).item()
    2.0
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = _reduction("MSELoss", reduction)

    def forward(self, x, target):
        return F.mse_loss(x, target, reduction=self.reduction)


class CrossEntropyLoss(Layer):
    """How surprised a classifier is by the right answers: the mean of -log softmax(x)[target].

    Shapes: x (C,), (B, C) or (B, C, d1, ...), scores, not probabilities; target int64 without the class axis, or float
        probabilities of x's shape -> a number (the targets' shape with reduction='none').
    Arguments: `weight` (C,) a weight a class (the mean then divides by the sum of the targets' weights); targets equal
        to `ignore_index` do not count; `label_smoothing` e spreads e/C of each answer over all classes.

    >>> round(CrossEntropyLoss()(zeros(1, 10), tensor([3])).item(), 4)
    2.3026
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = _reduction("CrossEntropyLoss", reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: expected label_smoothing in [0, 1], got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, x, target):
        return F.cross_entropy(x, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
