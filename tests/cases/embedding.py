"""Rows of the embedding family."""

import numpy as np

import minilayer as ml
from cases.base import KernelCase, LayerCase, OpCase, normal, out


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


KERNELS = [
    KernelCase("embedding", "embedding", embedding_samples(False), outs=(2,), bound=0),
    KernelCase("embedding", "embedding_backward", embedding_samples(True), outs=(2,), bound=0, scale="terms"),
]
OPS = [
    OpCase("embedding", lambda i, w: ml.functional.embedding(i, w), lambda rng: [
        (np.array([[0, 2, 2], [4, 0, 2]]), normal(rng, (5, 3))), (np.array(3), normal(rng, (4, 2))),
        (np.zeros((2, 0), np.int64), normal(rng, (3, 2))), (np.array([1, 1, 1, 0], np.int32), normal(rng, (2, 1)))],
        op="embedding.Embedding"),
]
LAYERS = [
    LayerCase("Embedding", lambda: ml.Embedding(7, 3), lambda rng, dtype: (rng.integers(0, 7, (4, 2)),)),
]
