"""Rows of the embedding family."""

import numpy as np

import minilayer as ml
import minilayer.functional as F
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, out
from minilayer._ext import embedding_cython, embedding_reference


def embedding_samples(backward):
    def samples(rng, dtype):
        for rows, features, n in [(5, 3, 7), (1, 1, 1), (4, 2, 0), (4, 0, 3), (0, 3, 0), (10, 17, 33), (7, 130, 300)]:
            index = rng.integers(0, max(rows, 1), n)
            if not backward:
                yield (normal(rng, (rows, features), dtype), index, out((n, features), dtype)), {}
                continue
            for padding_idx in (None, 0) if rows else (None,):
                yield ((normal(rng, (n, features), dtype), index, out((rows, features), dtype)),
                       {"padding_idx": padding_idx})
    return samples


def bags(rng, rows, n, bags):
    """(n indices, offsets of so many bags, some of them empty)"""
    inner = np.sort(rng.integers(0, n + 1, max(bags - 1, 0)))
    return rng.integers(0, max(rows, 1), n), np.array([0, *inner, n] if bags else [0], np.int64)


BAGS = [(5, 3, 7, 4), (1, 1, 1, 1), (4, 2, 0, 3), (3, 0, 3, 2), (10, 17, 33, 9), (7, 130, 300, 20), (0, 3, 0, 0)]


def bag_samples(kind):
    def samples(rng, dtype):
        for rows, features, n, count in BAGS:
            index, offsets = bags(rng, rows, n, count)
            weight, dy = normal(rng, (rows, features), dtype), normal(rng, (count, features), dtype)
            for i, mode in enumerate(("sum", "mean", "max", "sum")):
                settings = {"padding_idx": 0 if rows and i % 2 else None}
                scales = normal(rng, (n,), dtype) if i == 3 else None
                picks = rng.integers(-1, rows, (count, features)) if mode == "max" else None
                if kind == "forward":
                    yield ((weight, index, offsets, scales, out((count, features), dtype),
                            out((count, features), "int64") if mode == "max" else None), {"mode": mode, **settings})
                elif kind == "backward":
                    yield ((dy, index, offsets, scales, picks, out((rows, features), dtype)),
                           {"mode": mode, "by_frequency": i in (1, 3), **settings})
                elif mode == "sum":
                    yield (dy, weight, index, offsets, out((n,), dtype)), settings
    return samples


def renorm_samples(rng, dtype):
    for rows, features, n in [(5, 3, 7), (1, 1, 1), (4, 2, 0), (4, 0, 3), (10, 17, 33), (7, 130, 300)]:
        for norm_type in (2.0, 1.0, 3.0, np.inf):
            yield ((normal(rng, (rows, features), dtype), rng.integers(0, rows, n)),
                   {"max_norm": 1.2, "norm_type": norm_type})


def by_frequency(rng, dtype):
    return [(args, {**kwargs, "by_frequency": True}) for args, kwargs in embedding_samples(True)(rng, dtype)]


KERNELS = [
    KernelCase("embedding", "embedding", embedding_samples(False), outs=(2,), bound=0),
    KernelCase("embedding", "embedding_backward", embedding_samples(True), outs=(2,), bound=0, scale="terms"),
    KernelCase("embedding", "embedding_backward", by_frequency, outs=(2,), bound=4, scale="terms"),
    KernelCase("embedding", "embedding_renorm", renorm_samples, inouts=(0,), bound=8),
    KernelCase("embedding", "embedding_bag", bag_samples("forward"), outs=(4, 5), bound=4, scale="terms"),
    KernelCase("embedding", "embedding_bag_backward", bag_samples("backward"), outs=(5,), bound=8, scale="terms"),
    KernelCase("embedding", "embedding_bag_backward_scales", bag_samples("scales"), outs=(4,), bound=8, scale="terms"),
]
INDEX, OFFSETS = np.array([0, 2, 2, 4, 0, 1]), np.array([0, 2, 2, 5])


def bag(mode, **settings):
    return lambda i, w, o: F.embedding_bag(i, w, o, mode=mode, **settings)


OPS = [
    OpCase("embedding", lambda i, w: ml.functional.embedding(i, w), lambda rng: [
        (np.array([[0, 2, 2], [4, 0, 2]]), normal(rng, (5, 3))), (np.array(3), normal(rng, (4, 2))),
        (np.zeros((2, 0), np.int64), normal(rng, (3, 2))), (np.array([1, 1, 1, 0], np.int32), normal(rng, (2, 1)))],
        op="embedding.Embedding"),
    *[OpCase(f"embedding_bag {mode}", bag(mode, padding_idx=padding_idx), lambda rng: [
        (INDEX, normal(rng, (5, 3)), OFFSETS), (INDEX.reshape(2, 3), normal(rng, (5, 2)), None),
        (INDEX.astype(np.int32), normal(rng, (5, 1)), np.array([0, 6]))], op="embedding_bag.EmbeddingBag")
      for mode, padding_idx in (("sum", None), ("mean", None), ("max", None), ("sum", 2), ("mean", 0), ("max", 2))],
    OpCase("embedding_bag with weights", lambda i, w, o, s: F.embedding_bag(
        i, w, o, mode="sum", per_sample_weights=s, include_last_offset=True, padding_idx=1), lambda rng: [
        (INDEX, normal(rng, (5, 3)), np.array([0, 2, 6]), normal(rng, (6,)))], op="embedding_bag.EmbeddingBag"),
]
LAYERS = [
    LayerCase("Embedding", lambda: ml.Embedding(7, 3), lambda rng, dtype: (rng.integers(0, 7, (4, 2)),)),
    LayerCase("Embedding of nothing", lambda: ml.Embedding(7, 0), lambda rng, dtype: (rng.integers(0, 7, (4, 2)),)),
    LayerCase("Embedding padding_idx", lambda: ml.Embedding(7, 3, padding_idx=-1), lambda rng, dtype: (rng.integers(0, 6, (4, 2)),)),
    *[LayerCase(f"EmbeddingBag {mode}", lambda mode=mode: ml.EmbeddingBag(7, 3, mode=mode),
                lambda rng, dtype: (rng.integers(0, 7, (4, 2)),)) for mode in ("sum", "mean", "max")],
]

# ---- misuse ----

TABLE, I, O = ml.ones(5, 3), ml.tensor([0, 2, 4]), ml.tensor([0, 1])  # noqa: E741


def misuse(**settings):
    given = {"input": I, "weight": TABLE, "offsets": O, **settings}
    return lambda: F.embedding_bag(**given)


def kernel(module, name, *arrays, **settings):
    return lambda: getattr(module, name)(*arrays, **settings)


A, N, E = np.ones((5, 2)), np.array([0, 5]), np.array([0, 2])
ERRORS = [
    ErrorCase("embedding: sparse gradients", lambda: F.embedding(I, TABLE, sparse=True), NotImplementedError, "dense"),
    ErrorCase("embedding: max_norm a text", lambda: F.embedding(I, TABLE, max_norm="a"), TypeError, "max_norm to be a number"),
    ErrorCase("embedding: norm_type 0", lambda: F.embedding(I, TABLE, max_norm=1.0, norm_type=0), ValueError, "norm_type above 0"),
    ErrorCase("embedding: a list with max_norm", lambda: F.embedding([0], TABLE, max_norm=1.0), TypeError, "expected tensors, got list"),
    ErrorCase("embedding: an index past the table with max_norm", lambda: F.embedding(I + 1, TABLE, max_norm=1.0), IndexError, "got 5"),
    ErrorCase("embedding_bag: a list", misuse(input=[0]), TypeError, "input to be a tensor, got list"),
    ErrorCase("embedding_bag: an unknown mode", misuse(mode="min"), ValueError, "'min'"),
    ErrorCase("embedding_bag: max by frequency", misuse(mode="max", scale_grad_by_freq=True), ValueError, "scale_grad_by_freq=False"),
    ErrorCase("embedding_bag: weights of a mean", misuse(per_sample_weights=ml.ones(3)), NotImplementedError, "for mode 'sum', got mode 'mean'"),
    ErrorCase("embedding_bag: weights of another shape", misuse(mode="sum", per_sample_weights=ml.ones(2)), ValueError, r"\(3,\), got \(2,\)"),
    ErrorCase("embedding_bag: weights of another dtype", misuse(mode="sum", per_sample_weights=ml.ones(3).double()), TypeError, "float64"),
    ErrorCase("embedding_bag: offsets of bags of one length", misuse(input=I.reshape(1, 3)), ValueError, "no offsets"),
    ErrorCase("embedding_bag: three axes", misuse(input=I.reshape(1, 3, 1)), ValueError, "one or two dimensions"),
    ErrorCase("embedding_bag: no offsets", misuse(offsets=None), ValueError, "expected offsets.*None"),
    ErrorCase("embedding_bag: no last offset", misuse(offsets=O[:0], include_last_offset=True), ValueError, "at least one offset"),
    ErrorCase("embedding_bag: offsets that do not begin at 0", misuse(offsets=O + 1), ValueError, r"rise from 0 to 3.*\[1, 2, 3\]"),
    ErrorCase("embedding_bag: an index past the table", misuse(input=I + 1), IndexError, r"\[0, 5\).* got 5 at position 2"),
    ErrorCase("embedding_bag: padding_idx past the table", misuse(padding_idx=5), ValueError, r"padding_idx in \[-5, 5\)"),
    ErrorCase("embedding_bag: float indices", misuse(input=ml.ones(3)), TypeError, r"\.long\(\)"),
    *[case for module in (embedding_cython, embedding_reference) for case in (
        ErrorCase(f"embedding kernel: renorm past the table ({module.__name__})", kernel(module, "embedding_renorm", A.copy(), N, max_norm=1.0),
                  IndexError, "got 5 at position 1"),
        ErrorCase(f"embedding kernel: falling offsets ({module.__name__})", kernel(
            module, "embedding_bag_backward", np.ones((2, 2)), N[:1], np.array([0, 2, 1]), None, None, A.copy(), mode="sum"), ValueError, "rise from 0 to 1"),
        ErrorCase(f"embedding kernel: scales past the table ({module.__name__})", kernel(
            module, "embedding_bag_backward_scales", np.ones((1, 2)), A, N, E, np.ones(2)), IndexError, "got 5 at position 1"))],
    ErrorCase("embedding kernel: an unknown mode", kernel(embedding_cython, "embedding_bag", A, E[:1], np.array([0, 1]), None, np.ones((1, 2)), None, mode="min"),
              ValueError, "'min'"),
    ErrorCase("Embedding: sparse gradients", lambda: ml.Embedding(5, 3, sparse=True), NotImplementedError, "leave out sparse=True"),
    ErrorCase("Embedding: a table of another shape", lambda: ml.Embedding(5, 3, _weight=ml.ones(3, 5)), ValueError, r"_weight of shape \(5, 3\)"),
    ErrorCase("EmbeddingBag: an unknown mode", lambda: ml.EmbeddingBag(5, 3, mode="min"), ValueError, "'min'"),
    ErrorCase("EmbeddingBag: fewer rows than none", lambda: ml.EmbeddingBag(-1, 3), ValueError, "num_embeddings >= 0"),
    ErrorCase("EmbeddingBag: padding_idx past the table", lambda: ml.EmbeddingBag(5, 3, padding_idx=5), ValueError, r"padding_idx in \[-5, 4\]"),
    ErrorCase("EmbeddingBag: vectors without a table", lambda: ml.EmbeddingBag.from_pretrained([1.0]), ValueError, "matrix of vectors, got list"),
]
