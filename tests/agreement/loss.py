"""Losses and distances, as layers and as functions."""
import numpy as np

from agreement.row import Each, Row

REDUCTION = ["mean", "sum", "none"]
ALIKE = {"reduction": "the loss of one sample is a scalar, however it is reduced"}
WEIGHT3 = np.array([0.5, 1.0, 2.0])


def normal(rng, *shapes):
    return tuple(rng.standard_normal(s) for s in shapes)


def pair(rng, o, shape=(4, 3)):
    return normal(rng, shape, shape)


def probabilities(rng, *shapes):
    return tuple(rng.uniform(0.02, 0.98, s) for s in shapes)


def signs(rng, *shape):
    return np.asarray(rng.choice([-1, 1], shape))


def held(*names):
    """Call a function with some inputs detached: weights, and targets that one library gives no gradient to."""
    def call(f, args, o):
        return f(*[a.detach() if i in names and a is not None else a for i, a in enumerate(args)], **o)
    return call


def both(layer, function, inputs, options, alone=None, **more):
    """The layer's row and its function's, which has some options `alone`."""
    return [Row(layer, options=options, inputs=inputs, **more),
            Row(f"functional.{function}", options=options | (alone or {}), inputs=inputs, **more)]


def class_scores(rng, o):
    shape = [(5, 4), (4,), (3, 4, 2), (2, 4, 2, 3)][rng.integers(4)]
    labels = np.asarray(rng.integers(0, 4, shape[:1] + shape[2:] if len(shape) > 1 else ()))
    return rng.standard_normal(shape) * 2, labels


ALONE = dict(weight=[None, np.linspace(0.1, 2.0, 12).reshape(4, 3)])
FOUR = [None, np.array([0.5, 1.0, 2.0, 0.25])]


def probability_targets(rng, o):
    scores, _ = class_scores(rng, o)
    axis = 1 if scores.ndim > 1 else 0
    wanted = rng.uniform(0.1, 1.0, scores.shape)
    return scores, wanted / wanted.sum(axis, keepdims=True)


def few_classes(rng, o):
    return rng.standard_normal((4, 3)), np.array([0, 2, 1, 2])


def several_classes(rng, o):
    return rng.standard_normal((3, 4)), np.array([[3, 0, -1, 1], [-1, 2, 0, 1], [0, 1, 2, 3]])


def sequences(rng, o):
    x = rng.standard_normal((9, 3, 5))
    return x, rng.integers(1, 4, (3, 4)), np.array([9, 7, 3]), np.array([4, 2, rng.choice([0, 4])])   # (3 steps are too few for 4)


def of_scores(f, args, o):
    """Of logarithms of probabilities, made of scores: the gradient is theirs."""
    x, *rest = args
    return f(x - x.exp().sum(-1, keepdim=True).log(), *rest, **({} if hasattr(f, "blank") else o))


def variances(rng, o):
    shape = [(4, 3), (4, 1), (4,), None][rng.integers(4)]
    return *normal(rng, (4, 3), (4, 3)), 0.7 if shape is None else rng.uniform(0.01, 2.0, shape)


ROWS = [
    *both("L1Loss", "l1_loss", pair, dict(reduction=REDUCTION), ALONE),
    *both("MSELoss", "mse_loss", pair, dict(reduction=REDUCTION), ALONE),
    Row("functional.mse_loss", options=dict(reduction=REDUCTION, weight=[None, np.ones((4, 1))]), inputs=lambda rng, o: normal(rng, (4, 1), (1, 3))),
    *both("SmoothL1Loss", "smooth_l1_loss", pair, dict(reduction=REDUCTION, beta=[1.0, 0.0, 0.3])),
    *both("HuberLoss", "huber_loss", pair, dict(reduction=REDUCTION, delta=[1.0, 0.3]), ALONE),
    *both("KLDivLoss", "kl_div", lambda rng, o: (normal(rng, (4, 3))[0], probabilities(rng, (4, 3))[0]),
          dict(reduction=[*REDUCTION, "batchmean"], log_target=[False, True])),
    *both("CrossEntropyLoss", "cross_entropy", class_scores,
          dict(weight=FOUR, ignore_index=[-100, 1, -1], reduction=REDUCTION, label_smoothing=[0.0, 0.1, 1.0]), samples=6),
    Row("functional.cross_entropy", inputs=probability_targets, samples=6, only={"ignore_index": "refused with probabilities"},
        options=dict(weight=FOUR, reduction=REDUCTION, label_smoothing=[0.0, 0.1, 1.0])),
    *both("NLLLoss", "nll_loss", class_scores, dict(weight=FOUR, ignore_index=[-100, 1, -1], reduction=REDUCTION), samples=6),
    *both("PoissonNLLLoss", "poisson_nll_loss", lambda rng, o: (rng.uniform(0.1, 2, (4, 3)), rng.uniform(0.1, 5, (4, 3))),
          dict(log_input=[True, False], full=[False, True], eps=[1e-8, 1e-2], reduction=REDUCTION)),
    *both("GaussianNLLLoss", "gaussian_nll_loss", variances,
          dict(full=[False, True], eps=[1e-6, 0.5], reduction=REDUCTION), samples=4),
    *both("BCELoss", "binary_cross_entropy", lambda rng, o: probabilities(rng, (4, 3), (4, 3)),
          dict(weight=[None, WEIGHT3], reduction=REDUCTION)),
    Row("functional.binary_cross_entropy", inputs=lambda rng, o: (np.array([0.0, 1.0, 0.0, 1.0, 1e-60]), np.array([0, 0, 1, 1, 1]) * 1.0),
        call=held(1), options=dict(weight=[None, np.array(2.0)], reduction=REDUCTION)),
    *both("BCEWithLogitsLoss", "binary_cross_entropy_with_logits",
          lambda rng, o: (rng.standard_normal((4, 3)) * 9, probabilities(rng, (4, 3))[0]),
          dict(weight=[None, WEIGHT3], reduction=REDUCTION, pos_weight=[None, WEIGHT3 * 2])),
    *both("HingeEmbeddingLoss", "hinge_embedding_loss", lambda rng, o: (rng.uniform(0, 2, (4, 3)), signs(rng, 4, 3)),
          dict(margin=[1.0, 0.4], reduction=REDUCTION)),
    *both("MultiLabelMarginLoss", "multilabel_margin_loss", several_classes, dict(reduction=REDUCTION)),
    *both("MultiLabelMarginLoss", "multilabel_margin_loss", lambda rng, o: (rng.standard_normal(4), np.array([2, 0, -1, 1])),
          dict(reduction=REDUCTION), inert=ALIKE),
    *both("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss",
          lambda rng, o: (rng.standard_normal((4, 3)) * 9, probabilities(rng, (4, 3))[0]),
          dict(weight=[None, WEIGHT3], reduction=REDUCTION)),
    *both("MultiMarginLoss", "multi_margin_loss", few_classes,
          dict(p=[1, 2], margin=[1.0, 0.3], weight=[None, WEIGHT3], reduction=REDUCTION), samples=2),
    *both("MultiMarginLoss", "multi_margin_loss", lambda rng, o: (rng.standard_normal(3) * 0.3, np.array(rng.choice([0, 2]))),
          dict(p=[1, 2], margin=[1.0, 0.3], weight=[None, WEIGHT3], reduction=REDUCTION), samples=3, inert=ALIKE),
    *both("MultiMarginLoss", "multi_margin_loss", lambda rng, o: (rng.choice(np.array([0.0, 0.5, -1.0, np.inf, -np.inf, np.nan]), (80, 3)), rng.integers(0, 3, 80)),
          dict(p=[1, 2], weight=[None, np.array([0.0, 1.0, 2.0])], reduction=["none"]), only=dict(margin="other row", reduction="other row")),
    *both("SoftMarginLoss", "soft_margin_loss", lambda rng, o: (rng.standard_normal((4, 3)) * 9, signs(rng, 4, 3)),
          dict(reduction=REDUCTION)),
    *both("MarginRankingLoss", "margin_ranking_loss", lambda rng, o: (*pair(rng, o), signs(rng, 4, 3)),
          dict(margin=[0.0, 0.5], reduction=REDUCTION)),
    *both("CosineEmbeddingLoss", "cosine_embedding_loss", lambda rng, o: (*pair(rng, o), signs(rng, 4)),
          dict(margin=[0.0, 0.5], reduction=REDUCTION), samples=2),
    *both("CosineEmbeddingLoss", "cosine_embedding_loss", lambda rng, o: (*pair(rng, o, (3,)), signs(rng)),
          dict(margin=[0.0, -0.5], reduction=REDUCTION), samples=3, inert=ALIKE),
    *both("TripletMarginLoss", "triplet_margin_loss", lambda rng, o: normal(rng, *[[(4, 3), (3,), (2, 3, 4)][rng.integers(3)]] * 3),
          dict(margin=[1.0, 0.4], p=[2.0, 1.0, 3.0], eps=[1e-6, 1e-2], swap=[False, True], reduction=REDUCTION), samples=5),
    *both("TripletMarginWithDistanceLoss", "triplet_margin_with_distance_loss", lambda rng, o: normal(rng, (4, 3), (4, 3), (4, 3)),
          dict(distance_function=[None, Each(lambda lib: lambda a, b: 1.0 - lib.functional.cosine_similarity(a, b), "1 - cosine")],
               margin=[1.0, 0.4], swap=[False, True], reduction=REDUCTION)),
    *both("CTCLoss", "ctc_loss", sequences, dict(blank=[0, 4], reduction=REDUCTION, zero_infinity=[False, True]), call=of_scores, samples=4),
    *both("CTCLoss", "ctc_loss", lambda rng, o: (rng.standard_normal((6, 5)), np.array([1, 1, 2]), np.array(rng.choice([6, 2])), np.array(3)),
          dict(blank=[0, 4], reduction=REDUCTION, zero_infinity=[False, True]), call=of_scores, samples=4),
    *both("CTCLoss", "ctc_loss", lambda rng, o: (rng.standard_normal((6, 2, 5)), np.array([1, 1, 2, 3]), np.array([6, 1]), np.array([2, 2])),
          dict(blank=[0, 4], reduction=REDUCTION, zero_infinity=[False, True]), call=of_scores),
    Row("LinearCrossEntropyLoss", modes=("train",), samples=2,
        inputs=lambda rng, o: (rng.standard_normal((6, 3)), rng.integers(0, 4, (6, *o["out_features"]))),
        options=dict(in_features=[3], num_classes=[4], out_features=[(), (2,)], bias=[False, True], reduction=REDUCTION, weight=FOUR,
                     ignore_index=[None, 1], label_smoothing=[0.0, 0.1],
                     options=[None, Each(lambda lib: lib.nn.LinearCrossEntropyOptions(batch_chunk_size=4, chunking_method=None), "chunks of 4")]),
        only={"in_features": "the input's", "num_classes": "the targets'"}),
    Row("functional.linear_cross_entropy", samples=2,
        inputs=lambda rng, o: (rng.standard_normal((6, 3)), rng.standard_normal((4, 3)), rng.integers(0, 4, 6)),
        options=dict(linear_bias=FOUR, weight=FOUR, reduction=REDUCTION, ignore_index=[None, 1], label_smoothing=[0.0, 0.1],
                     options=[None, Each(lambda lib: lib.nn.LinearCrossEntropyOptions(batch_chunk_size=4, chunking_method=None), "chunks of 4")])),
    Row("AdaptiveLogSoftmaxWithLoss", inputs=lambda rng, o: (rng.standard_normal((7, 8)), rng.integers(0, 20, 7)), samples=2,
        call=lambda f, args, o: tuple(f(*args)) + (f.log_prob(args[0]), f.predict(args[0])),
        options=dict(in_features=[8], n_classes=[20], cutoffs=[[4, 10], [3], [1, 5, 19]], div_value=[4.0, 2.0], head_bias=[False, True]),
        only={"in_features": "the input's", "n_classes": "the targets'"}),
    *both("CosineSimilarity", "cosine_similarity", lambda rng, o: pair(rng, o, (4, 3, 2)), dict(dim=[1, 0, -1], eps=[1e-8, 3.0])),
    *both("PairwiseDistance", "pairwise_distance", lambda rng, o: pair(rng, o),
          dict(p=[2.0, 1.0, 3.0, float("inf"), 0.0], eps=[1e-6, 1e-2], keepdim=[False, True])),
    Row("functional.pdist", options=dict(p=[2.0, 1.0, 3.0, 0.0, float("inf")]), inputs=lambda rng, o: normal(rng, (5, 3))),
]
