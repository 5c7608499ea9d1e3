"""Rows of the losses of two arrays, and of the losses and distances made of other functions."""
import math

import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import SHAPES, ErrorCase, KernelCase, LayerCase, OpCase, inside, normal, out
from minilayer._ext import losses_cython, losses_reference

SETTINGS = {"smooth_l1_loss": dict(beta=0.7), "huber_loss": dict(delta=0.7)}
NAMES = ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
         "kl_div", "kl_div_log")


def guesses(name, rng, shape, dtype="float64"):
    """What the loss takes as x and target, away from its kinks."""
    if name == "binary_cross_entropy":
        return inside(rng, shape, dtype), inside(rng, shape, dtype)
    if name == "binary_cross_entropy_with_logits":
        return (normal(rng, shape) * 3).astype(dtype), inside(rng, shape, dtype)
    if name == "kl_div":
        return (normal(rng, shape) - 6).astype(dtype), inside(rng, shape, dtype)
    x = normal(rng, shape)
    away = np.asarray(rng.choice([-2.0, -1.1, -0.3, 0.3, 1.1, 2.0], shape)) * rng.uniform(0.95, 1.05, shape)
    return x.astype(dtype), np.asarray(x + (np.abs(away) if name == "kl_div_log" else away)).astype(dtype)


def pairs(name, summed):
    """(x, target, [pos_weight], ->y)"""
    def samples(rng, dtype):
        for shape in [(3, 5), (), (1,), (0,), (17,), (33, 31), (3, 8191)]:
            for weighted in (False, True) if "logits" in name else (None,):
                x, target = guesses(name, rng, shape, dtype)
                more = () if weighted is None else (inside(rng, shape, dtype) * 3 if weighted else None,)
                settings = SETTINGS.get(name, {})
                yield (x, target, *more, out(() if summed else shape, dtype)), {**settings, "scale": 1.5 if summed else 1.0}
    return samples


def pairs_backward(name):
    """(x, target, [pos_weight], dy, ->dx, ->dtarget)"""
    def samples(rng, dtype):
        for shape in [(3, 5), (), (0,), (17,), (33, 31), (3, 8191)]:
            for i, (one, first, second) in enumerate([(0, 1, 1), (1, 1, 0), (1, 0, 1)]):
                x, target = guesses(name, rng, shape, dtype)
                more = (inside(rng, shape, dtype) * 3 if i else None,) if "logits" in name else ()
                yield ((x, target, *more, normal(rng, () if one else shape, dtype), out(shape, dtype) if first else None,
                        out(shape, dtype) if second else None), {**SETTINGS.get(name, {}), "scale": 0.3})
    return samples


def place(name, array):
    return array + ("logits" in name)


KERNELS = [
    *[KernelCase("losses", name, pairs(name, False), outs=(place(name, 2),), bound=32, scale="max") for name in NAMES],
    *[KernelCase("losses", name, pairs(name, True), outs=(place(name, 2),), bound=64, scale="max") for name in NAMES],
    *[KernelCase("losses", name + "_backward", pairs_backward(name), outs=(place(name, 3), place(name, 4)), bound=32,
                 scale="max") for name in NAMES],
]

REDUCTIONS = ("mean", "sum", "none")


def each_reduction(function, **settings):
    return lambda *arguments: tuple(function(*arguments, reduction=how, **settings) for how in REDUCTIONS)


def shaped(make):
    return lambda rng: [make(rng, s) for s in SHAPES if math.prod(s)]


def pair_row(name, function, op, kind=None, **settings):
    return OpCase(name, each_reduction(function, **settings), shaped(lambda rng, s: guesses(kind or name, rng, s)),
                  op=f"losses.{op}", second=True)


def signs(rng, shape):
    return np.asarray(rng.choice([-1, 1], shape))


def triple(rng):
    return [tuple(normal(rng, s) for _ in range(3)) for s in [(4, 3), (5,), (2, 2, 3)]]


def labelled(rng):
    """(scores away from each other, labels, weights a class or None)"""
    for i, (b, c) in enumerate([(4, 5), (3, 2), (None, 4), (1, 1)]):
        scores = normal(rng, (b, c) if b else (c,)) * 2
        yield scores, np.asarray(rng.integers(0, c, (b,) if b else ())), np.linspace(0.5, 1.5, c).astype("float32") if i % 2 else None


def multi_margin(p):
    return lambda x, labels, w: tuple(F.multi_margin_loss(x, labels, p, 0.7, None if w is None else w.to(x.dtype), how)
                                      for how in REDUCTIONS)


OPTIONS = ml.nn.LinearCrossEntropyOptions(batch_chunk_size=2, chunking_method=None)


def linear_cross_entropy(x, w, target, b):
    return tuple(F.linear_cross_entropy(x, w, target, linear_bias=b, reduction=how, ignore_index=1, options=OPTIONS)
                 for how in REDUCTIONS)


OPS = [
    pair_row("l1_loss", F.l1_loss, "L1"),
    pair_row("mse_loss", F.mse_loss, "Mse"),
    pair_row("smooth_l1_loss", F.smooth_l1_loss, "SmoothL1", beta=0.7),
    pair_row("huber_loss", F.huber_loss, "Huber", delta=0.7),
    pair_row("binary_cross_entropy", F.binary_cross_entropy, "BinaryCrossEntropy"),
    pair_row("binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits, "BinaryCrossEntropyWithLogits"),
    OpCase("binary_cross_entropy_with_logits, positives weighted",
           lambda x, t: tuple(F.binary_cross_entropy_with_logits(x, t, ml.Tensor(x.detach() * 0 + 2.0), how,
                                                                 pos_weight=ml.Tensor(x.detach() * 0 + 3.0)) for how in REDUCTIONS),
           shaped(lambda rng, s: guesses("binary_cross_entropy_with_logits", rng, s)),
           op="losses.BinaryCrossEntropyWithLogits", second=True),
    pair_row("kl_div", F.kl_div, "KlDiv"),
    pair_row("kl_div of logarithms", F.kl_div, "KlDivLog", kind="kl_div_log", log_target=True),
    OpCase("losses with weights", lambda x, t, w: tuple(f(x, t, reduction=how, weight=w) for how in REDUCTIONS
                                                        for f in (F.l1_loss, F.mse_loss, F.huber_loss)),
           lambda rng: [(*guesses("l1_loss", rng, s), inside(rng, s)) for s in [(3, 2), (4,)]], op="losses.Mse", second=True),
    OpCase("linear_cross_entropy in chunks", linear_cross_entropy, lambda rng: [
        (normal(rng, (5, 3)), normal(rng, (4, 3)), np.array([0, 3, 1, 2, 2]), normal(rng, (4,))),
        (normal(rng, (3,)), normal(rng, (2, 3)), np.array(0), None)], op="linear_cross_entropy.LinearCrossEntropy"),
    OpCase("poisson_nll_loss", lambda x, t: tuple(F.poisson_nll_loss(x, t, log_input, full, 1e-3, how)
                                                  for log_input in (True, False) for full in (True, False) for how in REDUCTIONS),
           lambda rng: [(inside(rng, s), rng.uniform(1.2, 4.0, s)) for s in [(3, 2), (4,), ()]], op="indexing.MaskedFill",
           second=True),
    OpCase("gaussian_nll_loss", lambda x, t, v: each_reduction(F.gaussian_nll_loss, full=True)(x, t, v * v), lambda rng: [
        (normal(rng, (3, 2)), normal(rng, (3, 2)), inside(rng, s)) for s in [(3, 2), (3, 1), (3,)]], op="elementwise.Log", second=True),
    OpCase("hinge_embedding_loss", each_reduction(F.hinge_embedding_loss, margin=0.8), lambda rng: [
        (inside(rng, s) + 1, signs(rng, s)) for s in [(3, 2), (4,), ()]], op="arithmetic.Where", second=True),
    OpCase("soft_margin_loss", each_reduction(F.soft_margin_loss), lambda rng: [
        (normal(rng, s), signs(rng, s)) for s in [(3, 2), (4,), ()]], op="elementwise.Log1p", second=True),
    OpCase("margin_ranking_loss", each_reduction(F.margin_ranking_loss, margin=0.1), lambda rng: [
        (normal(rng, s), normal(rng, s), signs(rng, s)) for s in [(3, 2), (4,), ()]], op="elementwise.Clamp", second=True),
    OpCase("multi_margin_loss", multi_margin(1), labelled, op="arithmetic.Where", second=True),
    OpCase("multi_margin_loss, squared", multi_margin(2), labelled, op="arithmetic.Where", second=True),
    OpCase("multilabel_margin_loss", each_reduction(F.multilabel_margin_loss), lambda rng: [
        (normal(rng, (3, 4)), np.array([[3, 0, -1, 1], [-1, 2, 0, 1], [0, 1, 2, 3]])), (normal(rng, (3,)), np.array([1, -1, 0]))],
        op="elementwise.Relu", second=True),
    OpCase("multilabel_soft_margin_loss", each_reduction(F.multilabel_soft_margin_loss), lambda rng: [
        (normal(rng, s), inside(rng, s)) for s in [(3, 2), (4,), (2, 1, 3)]], op="activation.LogSigmoid", second=True),
    OpCase("pairwise_distance", lambda a, b: tuple(F.pairwise_distance(a, b, p, 1e-3, keep) for p in (1.0, 2.0, 3.0, math.inf)
                                                   for keep in (True, False)),
           lambda rng: [(normal(rng, s), normal(rng, s)) for s in [(4, 3), (5,), (2, 2, 3)]], op="reduce.Norm", second=True),
    OpCase("pdist", lambda x: tuple(F.pdist(x, p) for p in (1.0, 2.0, 3.0)), lambda rng: [
        (normal(rng, s),) for s in [(4, 3), (2, 5), (1, 2)]], op="reduce.Norm", second=True),
    OpCase("cosine_similarity", lambda a, b: tuple(F.cosine_similarity(a, b, dim) for dim in (-1, 0)),
           lambda rng: [(normal(rng, s), normal(rng, s)) for s in [(4, 3), (5,), (2, 2, 3)]], op="reduce.Norm", second=True),
    OpCase("cosine_embedding_loss", each_reduction(F.cosine_embedding_loss, margin=-2.0), lambda rng: [
        (normal(rng, s), normal(rng, s), signs(rng, s[:-1])) for s in [(4, 3), (5,)]], op="elementwise.Sqrt", second=True),
    OpCase("triplet_margin_loss", each_reduction(F.triplet_margin_loss, margin=9.0, swap=True), triple, op="arithmetic.Minimum", second=True),
    OpCase("triplet_margin_with_distance_loss",
           each_reduction(F.triplet_margin_with_distance_loss, distance_function=lambda a, b: ((a - b) ** 2).sum(-1), margin=99.0),
           triple, op="elementwise.Clamp", second=True),
    OpCase("bilinear", lambda a, b, w, bias: F.bilinear(a, b, w, bias), lambda rng: [
        (normal(rng, (2, 3)), normal(rng, (2, 4)), normal(rng, (5, 3, 4)), normal(rng, (5,))),
        (normal(rng, (3,)), normal(rng, (2,)), normal(rng, (1, 3, 2)), None),
        (normal(rng, (2, 1, 3)), normal(rng, (2, 1, 2)), normal(rng, (4, 3, 2)), None)], op="matmul.Matmul", second=True),
]


def both(rng, dtype):
    return guesses("l1_loss", rng, (4, 3), dtype)


def loss_row(name, make, inputs):
    return LayerCase(name, make, inputs, batch_axis=None)


LAYERS = [
    *[loss_row(f"{name} {how}", lambda name=name, how=how: getattr(ml, name)(reduction=how), both)
      for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss") for how in REDUCTIONS],
    loss_row("NLLLoss", lambda: ml.NLLLoss(ml.tensor([0.5, 1.0, 2.0])),
             lambda rng, dtype: (normal(rng, (4, 3), dtype), np.array([0, 2, 1, 2]))),
    loss_row("BCELoss", lambda: ml.BCELoss(ml.tensor([0.5, 1.0, 2.0])),
             lambda rng, dtype: (inside(rng, (4, 3), dtype), inside(rng, (4, 3), dtype))),
    loss_row("BCEWithLogitsLoss", lambda: ml.BCEWithLogitsLoss(ml.tensor([0.5, 1.0, 2.0]), pos_weight=ml.tensor([1.0, 2.0, 3.0])),
             lambda rng, dtype: (normal(rng, (4, 3), dtype), inside(rng, (4, 3), dtype))),
    *[loss_row(f"KLDivLoss {how}", lambda how=how: ml.KLDivLoss(how),
               lambda rng, dtype: (normal(rng, (4, 3), dtype), inside(rng, (4, 3), dtype))) for how in ("mean", "batchmean")],
    loss_row("PoissonNLLLoss", lambda: ml.PoissonNLLLoss(full=True),
             lambda rng, dtype: (normal(rng, (4, 3), dtype), rng.uniform(1.2, 4.0, (4, 3)).astype(dtype))),
    loss_row("GaussianNLLLoss", lambda: ml.GaussianNLLLoss(full=True), lambda rng, dtype: (*both(rng, dtype), inside(rng, (4, 3), dtype))),
    loss_row("HingeEmbeddingLoss", lambda: ml.HingeEmbeddingLoss(0.8),
             lambda rng, dtype: (inside(rng, (4, 3), dtype) + np.dtype(dtype).type(1), signs(rng, (4, 3)))),
    loss_row("SoftMarginLoss", lambda: ml.SoftMarginLoss(), lambda rng, dtype: (normal(rng, (4, 3), dtype), signs(rng, (4, 3)))),
    loss_row("MarginRankingLoss", lambda: ml.MarginRankingLoss(0.1), lambda rng, dtype: (*both(rng, dtype), signs(rng, (4, 3)))),
    loss_row("MultiMarginLoss", lambda: ml.MultiMarginLoss(2), lambda rng, dtype: (normal(rng, (4, 3), dtype), np.array([0, 2, 1, 2]))),
    loss_row("MultiLabelMarginLoss", lambda: ml.MultiLabelMarginLoss(),
             lambda rng, dtype: (normal(rng, (2, 3), dtype), np.array([[0, 2, -1], [1, -1, 0]]))),
    loss_row("MultiLabelSoftMarginLoss", lambda: ml.MultiLabelSoftMarginLoss(ml.tensor([0.5, 1.0, 2.0])),
             lambda rng, dtype: (normal(rng, (4, 3), dtype), inside(rng, (4, 3), dtype))),
    loss_row("CosineEmbeddingLoss", lambda: ml.CosineEmbeddingLoss(-2.0), lambda rng, dtype: (*both(rng, dtype), signs(rng, (4,)))),
    loss_row("TripletMarginLoss", lambda: ml.TripletMarginLoss(9.0), lambda rng, dtype: tuple(normal(rng, (4, 3), dtype) for _ in "apn")),
    loss_row("TripletMarginWithDistanceLoss", lambda: ml.TripletMarginWithDistanceLoss(margin=9.0, swap=True),
             lambda rng, dtype: tuple(normal(rng, (4, 3), dtype) for _ in "apn")),
    loss_row("LinearCrossEntropyLoss", lambda: ml.LinearCrossEntropyLoss(3, 5, bias=True, weight=ml.ones(5), options=OPTIONS),
             lambda rng, dtype: (normal(rng, (4, 3), dtype), np.array([0, 4, 2, 2]))),
    loss_row("LinearCrossEntropyLoss places", lambda: ml.LinearCrossEntropyLoss(3, 5, bias=True, out_features=(2,), label_smoothing=0.1),
             lambda rng, dtype: (normal(rng, (4, 3), dtype), rng.integers(0, 5, (4, 2)))),
    loss_row("AdaptiveLogSoftmaxWithLoss", lambda: ml.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True),
             lambda rng, dtype: (normal(rng, (6, 8), dtype), np.array([0, 3, 5, 19, 12, 4]))),
    LayerCase("CosineSimilarity", lambda: ml.CosineSimilarity(), both),
    LayerCase("PairwiseDistance", lambda: ml.PairwiseDistance(3.0, keepdim=True), both),
]

# ---- misuse ----

X, Y, LABELS = ml.ones(4, 3), ml.zeros(4, 3), ml.tensor([0, 1, 2, 0])
FEW, TRIPLE, LISTED = ml.ones(3), (ml.ones(4, 3),) * 3, ml.tensor([[0, -1, 0]] * 4)
TWO = dict.fromkeys(("l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss",
                     "multilabel_soft_margin_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"), (X, Y))
GOOD = {**TWO, "gaussian_nll_loss": (X, Y, X), "margin_ranking_loss": TRIPLE, "multi_margin_loss": (X, LABELS),
        "multilabel_margin_loss": (X, LISTED), "cosine_embedding_loss": (X, Y, ml.ones(4)), "triplet_margin_loss": TRIPLE,
        "triplet_margin_with_distance_loss": TRIPLE, "linear_cross_entropy": (X, X, LABELS)}


def loss(name, *arguments, **settings):
    return lambda: getattr(F, name)(*arguments, **settings)


def layer(name, *arguments, **settings):
    return lambda: getattr(ml, name)(*arguments, **settings)


ERRORS = []
for _name, _given in GOOD.items():
    ERRORS += [
        ErrorCase(f"{_name}: an unknown reduction", loss(_name, *_given, reduction="avg"), ValueError, f"{_name}: expected reduction.*'avg'"),
        ErrorCase(f"{_name}: a list", loss(_name, [1.0], *_given[1:]), TypeError, f"{_name}: expected a tensor as \\w+, got list"),
        ErrorCase(f"{_name}: integers", loss(_name, LABELS.reshape(4, 1).expand(4, 3), *_given[1:]), (TypeError, ValueError), "int64|float")
        if _name not in ("margin_ranking_loss", "cosine_embedding_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
                         "soft_margin_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "binary_cross_entropy",
                         "binary_cross_entropy_with_logits") else
        ErrorCase(f"{_name}: a number", loss(_name, 1.0, *_given[1:]), TypeError, f"{_name}: expected a tensor as \\w+, got float"),
    ]
ERRORS += [
    ErrorCase("CrossEntropyLoss: PyTorch's deprecated places", lambda: ml.CrossEntropyLoss(None, None, -100), ValueError,
              "CrossEntropyLoss: expected reduction .*got -100; size_average and reduce, .*: pass what follows them by name"),
    ErrorCase("nll_loss: PyTorch's deprecated places", loss("nll_loss", X, LABELS, None, None, 3), ValueError,
              "nll_loss: expected reduction .*got 3; size_average and reduce, .*: pass what follows them by name"),
    ErrorCase("mse_loss: PyTorch's deprecated places", loss("mse_loss", X, Y, False), ValueError,
              "mse_loss: expected reduction .*got False; size_average and reduce, .*: pass what follows them by name"),
    *[ErrorCase(f"{name}: {word}", lambda name=name, word=word: getattr(ml, name)(**{word: False}), TypeError,
                f"{name}: size_average and reduce, .* use reduction='mean', 'sum' or 'none'")
      for name, word in (("MSELoss", "size_average"), ("NLLLoss", "reduce"))],
    ErrorCase("l1_loss: integers", loss("l1_loss", LABELS, LABELS), TypeError, "l1_loss: expected a float32 or float64 input, got int64"),
    ErrorCase("l1_loss: a weight of another shape", loss("l1_loss", X, Y, weight=FEW), ValueError, r"l1_loss: .*\(4, 3\), got \(3,\)"),
    ErrorCase("huber_loss: delta 0", loss("huber_loss", X, Y, delta=0.0), ValueError, "huber_loss: expected delta above 0"),
    ErrorCase("smooth_l1_loss: a negative beta", loss("smooth_l1_loss", X, Y, beta=-1.0), ValueError, "beta of 0 or more, got -1"),
    ErrorCase("smooth_l1_loss: beta a text", loss("smooth_l1_loss", X, Y, beta="a"), TypeError, "expected beta to be a number"),
    *[ErrorCase(f"{name}: integers as target", loss(name, Y, (Y > 0.5).long()), TypeError, rf"{name}: expected a float target, got int64; .*\.float\(\)")
      for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div")],
    ErrorCase("binary_cross_entropy: bools as target", loss("binary_cross_entropy", Y, Y > 0.5), TypeError, "expected a float target, got bool"),
    ErrorCase("binary_cross_entropy: a target of 2", loss("binary_cross_entropy", Y, Y * 0 + 2), ValueError, r"expected a target in \[0, 1\], got 2"),
    ErrorCase("binary_cross_entropy: a target of NaN", loss("binary_cross_entropy", Y, Y * float("nan")), ValueError, r"expected a target in \[0, 1\], got nan"),
    ErrorCase("binary_cross_entropy: another shape", loss("binary_cross_entropy", X, FEW), ValueError, "one shape"),
    *[ErrorCase(f"binary_cross_entropy: no probabilities ({module.__name__})", lambda module=module: module.binary_cross_entropy(
        np.array([0.5, 1.5]), np.ones(2), np.ones(2)), ValueError, r"in \[0, 1\], got 1.5") for module in (losses_cython, losses_reference)],
    ErrorCase("binary_cross_entropy: a weight that asks for a gradient", loss("binary_cross_entropy", Y, Y, weight=ml.ones(3).requires_grad_()), RuntimeError,
              r"no gradient for the weight; pass weight\.detach\(\)"),
    ErrorCase("multi_margin_loss: weights that ask for a gradient", loss("multi_margin_loss", X, LABELS, weight=ml.ones(3).requires_grad_()), RuntimeError,
              r"weight\.detach\(\)"),
    ErrorCase("binary_cross_entropy: a number as weight", loss("binary_cross_entropy", X, Y, weight=2.0), TypeError, "tensor as weight, got float"),
    ErrorCase("binary_cross_entropy_with_logits: a pos_weight too large", loss("binary_cross_entropy_with_logits", FEW, FEW, pos_weight=X), ValueError,
              r"pos_weight that broadcasts to the input's shape \(3,\), got \(4, 3\)"),
    ErrorCase("poisson_nll_loss: eps a text", loss("poisson_nll_loss", X, Y, False, eps="a"), TypeError, "eps to be a number"),
    ErrorCase("gaussian_nll_loss: a negative variance", loss("gaussian_nll_loss", X, Y, -X), ValueError, "variances of 0 or more, got -1"),
    ErrorCase("gaussian_nll_loss: a variance of another shape", loss("gaussian_nll_loss", X, Y, ml.ones(2)), ValueError, r"got \(2,\)"),
    ErrorCase("margin_ranking_loss: fewer axes", loss("margin_ranking_loss", X, X, FEW), ValueError, "one number of dimensions"),
    ErrorCase("multi_margin_loss: p of 3", loss("multi_margin_loss", X, LABELS, 3), ValueError, "p to be 1 or 2"),
    ErrorCase("multi_margin_loss: images", loss("multi_margin_loss", ml.ones(2, 2, 2), LABELS), ValueError, "shape"),
    ErrorCase("multi_margin_loss: too few labels", loss("multi_margin_loss", X, LABELS[:2]), ValueError, r"int64 labels of shape \(4,\)"),
    ErrorCase("multi_margin_loss: a label too large", loss("multi_margin_loss", X, LABELS + 1), IndexError, r"\[0, 3\).*got 3"),
    ErrorCase("multi_margin_loss: weights for other classes", loss("multi_margin_loss", X, LABELS, weight=ml.ones(4)), ValueError, r"\(3,\)"),
    ErrorCase("multilabel_margin_loss: another shape", loss("multilabel_margin_loss", X, LABELS), ValueError, "target of its shape"),
    ErrorCase("multilabel_margin_loss: float labels", loss("multilabel_margin_loss", X, Y), TypeError, r"\.long\(\)"),
    ErrorCase("multilabel_soft_margin_loss: a number as input", loss("multilabel_soft_margin_loss", ml.tensor(1.0), ml.tensor(1.0)), ValueError, "last axis"),
    ErrorCase("pairwise_distance: a list", loss("pairwise_distance", [1.0], X), TypeError, "got list"),
    ErrorCase("pairwise_distance: numbers", loss("pairwise_distance", ml.tensor(1.0), ml.tensor(2.0)), ValueError, "vectors along a last axis"),
    ErrorCase("pairwise_distance: p a text", loss("pairwise_distance", X, Y, "a"), TypeError, "p to be a number"),
    ErrorCase("cosine_similarity: integers", loss("cosine_similarity", LABELS, LABELS, 0), TypeError, "int64"),
    ErrorCase("cosine_similarity: an axis that is not there", loss("cosine_similarity", X, Y, 2), IndexError, "got 2"),
    ErrorCase("cosine_similarity: a list", loss("cosine_similarity", [1.0], X), TypeError, "got list"),
    ErrorCase("pdist: one row alone", loss("pdist", FEW), ValueError, r"rows \(N, D\), got shape \(3,\)"),
    ErrorCase("pdist: a negative p", loss("pdist", X, -1.0), ValueError, "p of 0 or more"),
    ErrorCase("pdist: a list", loss("pdist", [1.0]), TypeError, "pdist: expected a tensor"),
    ErrorCase("cosine_embedding_loss: a target of another shape", loss("cosine_embedding_loss", X, Y, X), ValueError, r"\(batch,\)"),
    ErrorCase("triplet_margin_loss: margin 0", loss("triplet_margin_loss", *TRIPLE, margin=0.0), ValueError, "margin above 0"),
    ErrorCase("triplet_margin_loss: fewer axes", loss("triplet_margin_loss", X, X, FEW), ValueError, "one number of dimensions"),
    ErrorCase("triplet_margin_with_distance_loss: no function", loss("triplet_margin_with_distance_loss", *TRIPLE, distance_function=1), TypeError, "function"),
    ErrorCase("bilinear: another width", loss("bilinear", X, X, ml.ones(2, 3, 4)), ValueError, "bilinear: expected inputs"),
    ErrorCase("bilinear: another bias", loss("bilinear", X, X, ml.ones(2, 3, 3), FEW), ValueError, r"bias of shape \(2,\)"),
    ErrorCase("bilinear: a list", loss("bilinear", [1.0], X, X), TypeError, "got list"),
    ErrorCase("linear_cross_entropy: three axes", loss("linear_cross_entropy", ml.ones(2, 2, 3), X, LABELS), ValueError, r"\(N, in\)"),
    ErrorCase("linear_cross_entropy: another width", loss("linear_cross_entropy", X, ml.ones(3, 4), LABELS), ValueError, "in = 3"),
    ErrorCase("linear_cross_entropy: another bias", loss("linear_cross_entropy", X, X, LABELS, linear_bias=FEW), ValueError, "linear_bias of shape"),
    ErrorCase("linear_cross_entropy: one item and places", loss("linear_cross_entropy", FEW, ml.ones(2, 2, 3), ml.tensor([0, 1])), ValueError, "unsqueeze"),
    ErrorCase("linear_cross_entropy: ignore_index with probabilities", loss("linear_cross_entropy", X, ml.ones(2, 3), ml.ones(4, 2), ignore_index=0), ValueError, "no ignore_index"),
    ErrorCase("linear_cross_entropy: too few labels for chunks", loss("linear_cross_entropy", X, X, LABELS[:2], options=OPTIONS), ValueError, r"int64 labels of shape \(4,\)"),
    ErrorCase("linear_cross_entropy: two dtypes in chunks", loss("linear_cross_entropy", X, X.double(), LABELS, options=OPTIONS), TypeError, "one float dtype"),
    ErrorCase("linear_cross_entropy: other weights in chunks", loss("linear_cross_entropy", X, X, LABELS, weight=FEW, options=OPTIONS), ValueError, r"weight of shape \(4,\)"),
    ErrorCase("LinearCrossEntropyOptions: an unknown policy", layer("LinearCrossEntropyOptions", acc_policy="fast"), ValueError, "'fast'"),
    ErrorCase("LinearCrossEntropyOptions: an unknown method", layer("LinearCrossEntropyOptions", chunking_method="rows"), ValueError, "'rows'"),
    ErrorCase("LinearCrossEntropyOptions: chunks of nothing", layer("LinearCrossEntropyOptions", batch_chunk_size=0), ValueError, "integer >= 1, got 0"),
]
_LAYERS = ("L1Loss", "SmoothL1Loss", "HuberLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss", "PoissonNLLLoss", "GaussianNLLLoss",
           "HingeEmbeddingLoss", "SoftMarginLoss", "MarginRankingLoss", "MultiMarginLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss",
           "CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss", "CTCLoss", "CosineSimilarity", "PairwiseDistance")
for _name in _LAYERS:
    ERRORS += [
        ErrorCase(f"{_name}: state of another model", lambda name=_name: getattr(ml, name)().load_state_dict({"nobody": X}), RuntimeError, "unexpected: nobody"),
        ErrorCase(f"{_name}: a mode that is no bool", lambda name=_name: getattr(ml, name)().train("yes"), ValueError, "True or False"),
        ErrorCase(f"{_name}: an unknown reduction", layer(_name, reduction="avg"), ValueError, f"{_name}: expected reduction.*'avg'")
        if _name.endswith("Loss") else ErrorCase(f"{_name}: eps a text", layer(_name, eps="a"), TypeError, "eps to be a number"),
    ]
ERRORS += [
    ErrorCase("HuberLoss: delta 0", layer("HuberLoss", delta=0.0), ValueError, "delta above 0"),
    ErrorCase("SmoothL1Loss: a negative beta", layer("SmoothL1Loss", beta=-1.0), ValueError, "beta of 0 or more"),
    ErrorCase("SmoothL1Loss: beta a text", layer("SmoothL1Loss", beta="a"), TypeError, "beta to be a number"),
    ErrorCase("BCELoss: a weight that is no tensor", layer("BCELoss", weight=[1.0]), TypeError, "weight to be a tensor or None, got list"),
    ErrorCase("MultiMarginLoss: p of 3", layer("MultiMarginLoss", p=3), ValueError, "p to be 1 or 2"),
    ErrorCase("MultiMarginLoss: a weight of two axes", layer("MultiMarginLoss", weight=X), ValueError, r"shape \(classes,\)"),
    ErrorCase("TripletMarginWithDistanceLoss: no function", layer("TripletMarginWithDistanceLoss", distance_function=1), TypeError, "function of two"),
    ErrorCase("CosineSimilarity: half an axis", layer("CosineSimilarity", 0.5), TypeError, "dim to be an integer"),
    ErrorCase("LinearCrossEntropyLoss: other weights", layer("LinearCrossEntropyLoss", 3, 4, weight=FEW), ValueError, r"shape \(4,\)"),
    ErrorCase("LinearCrossEntropyLoss: too much smoothing", layer("LinearCrossEntropyLoss", 3, 4, label_smoothing=2), ValueError, r"\[0, 1\], got 2"),
    ErrorCase("LinearCrossEntropyLoss: no classes", layer("LinearCrossEntropyLoss", 3, 0), ValueError, "num_classes >= 1"),
    ErrorCase("AdaptiveLogSoftmaxWithLoss: cutoffs that fall", layer("AdaptiveLogSoftmaxWithLoss", 8, 20, [5, 3]), ValueError, r"rise within \[1, 19\]"),
    ErrorCase("AdaptiveLogSoftmaxWithLoss: a target too large", lambda: ml.AdaptiveLogSoftmaxWithLoss(3, 9, [4])(X, LABELS + 8), IndexError, r"\[0, 8\].*8 to 10"),
    ErrorCase("AdaptiveLogSoftmaxWithLoss: another batch", lambda: ml.AdaptiveLogSoftmaxWithLoss(3, 9, [4])(X, LABELS[:2]), ValueError, r"\(N, 3\)"),
]
