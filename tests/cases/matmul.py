"""Rows of the matmul family."""

import numpy as np

import minilayer as ml
from cases.base import KernelCase, LayerCase, OpCase, normal, off_zero, out
from minilayer.ops import matmul


def matmul_samples(rng, dtype):
    for batch, m, k, n in [((), 3, 4, 5), ((), 1, 1, 1), ((), 0, 3, 2), ((), 3, 0, 2), ((2,), 7, 5, 3),
                           ((2, 3), 4, 6, 8), ((), 17, 33, 65), ((), 97, 129, 50), ((0,), 3, 2, 4), ((), 1, 40, 70), ((), 70, 40, 1),
                           ((), 15, 400, 33), ((9,), 30, 16, 31), ((2,), 130, 70, 130)]:
        yield (normal(rng, (*batch, m, k), dtype), normal(rng, (*batch, k, n), dtype), out((*batch, m, n), dtype)), {}
    a, b = normal(rng, (3, 1, 5, 6), dtype), normal(rng, (1, 2, 6, 7), dtype)      # an op broadcasts by zero strides
    yield (np.broadcast_to(a, (3, 2, 5, 6)), np.broadcast_to(b, (3, 2, 6, 7)), out((3, 2, 5, 7), dtype)), {}


def linear_samples(activation):
    def samples(rng, dtype):
        for m, k, n in [(3, 4, 5), (1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (32, 128, 64), (17, 33, 65), (90, 50, 129),
                        (1, 70, 40)]:
            for bias in (True, False):
                yield (normal(rng, (m, k), dtype), normal(rng, (n, k), dtype), normal(rng, n, dtype) if bias else None,
                       out((m, n), dtype)), {"activation": activation}
    return samples


def pairs_of_matrices(rng):
    for a, b in [((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)),
                 ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (2, 4, 3)),
                 ((2, 3, 4), (4,)), ((1, 3, 4), (2, 4, 1)),
                 ((0, 4), (4, 5)), ((3, 0), (0, 5)), ((0, 3, 4), (4, 5)), ((1, 1), (1, 1)), ((2, 17, 33), (33, 31))]:
        yield normal(rng, a), normal(rng, b)


def linear_arguments(rng):
    for x, n in [((5, 4), 3), ((4,), 3), ((2, 3, 4), 5), ((0, 4), 3), ((3, 0), 2), ((1, 1), 1), ((2, 17, 33), 31)]:
        for bias in (True, False):
            yield normal(rng, x), normal(rng, (n, x[-1])), normal(rng, n) if bias else None


KERNELS = [        # K equal terms, as a repeated axis makes them, round the same way K times: K/2 units, not sqrt(K)
    KernelCase("matmul", "matmul", matmul_samples, outs=(2,), strided=(0, 1, 2), bound=64, scale="terms"),
    KernelCase("matmul", "linear", linear_samples(None), outs=(3,), strided=(0, 1, 2, 3), bound=64, scale="terms"),
    KernelCase("matmul", "linear", linear_samples("relu"), outs=(3,), strided=(0, 1, 2, 3), bound=64, scale="terms",
               accumulate=()),      # relu is applied to the whole sum
]
OPS = [
    OpCase("matmul", lambda a, b: a @ b, pairs_of_matrices, op="matmul.Matmul", second=True),
    OpCase("matmul transposed", lambda a, b: b.transpose(-1, -2) @ a.transpose(-1, -2),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, (4, 5))), (normal(rng, (2, 3, 4)), normal(rng, (4, 5)))],
           op="matmul.Matmul", second=True),
    OpCase("linear", lambda x, w, b: ml.functional.linear(x, w, b), linear_arguments, op="matmul.Linear", second=True),
    OpCase("linear relu", lambda x, w, b: matmul.linear(x, w, b, activation="relu"),
           lambda rng: [(off_zero(rng, (5, 1)), off_zero(rng, (3, 1)), None),
                        (normal(rng, (2, 6, 4)), normal(rng, (7, 4)), normal(rng, 7))],
           op="matmul.Linear", second=True),
]
LAYERS = [
    LayerCase("Linear", lambda: ml.Linear(4, 3), lambda rng, dtype: (normal(rng, (5, 4), dtype),)),
    LayerCase("Linear without bias", lambda: ml.Linear(4, 3, bias=False),
              lambda rng, dtype: (normal(rng, (5, 2, 4), dtype),)),
]
