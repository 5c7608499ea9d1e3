"""Rows of the matmul family."""

import numpy as np

import minilayer as ml
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, mix, normal, off_zero, out
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
    OpCase("products of integers", lambda x: (x.long() @ x.long().transpose(0, 1), x.long().reshape(1, 3, 4) @ x.long()[0], x.long()[:, :0] @ x.long()[:0]), lambda rng: [(normal(rng, (3, 4)) * 4,)], op="matmul.Matmul", differentiable=False),
    OpCase("products by name", lambda a, b, v: mix(matmul.mm(a, b), matmul.mv(a, v), matmul.dot(v, v), matmul.inner(a, v), matmul.inner(a, a), matmul.outer(v, b[0]), matmul.addmm(b[0], a, b, beta=0.5, alpha=2), matmul.addmv(a[:, 0], a, v),
                                                matmul.addr(b, v, b[0]), matmul.bmm(a.unsqueeze(0), b.unsqueeze(0)), matmul.baddbmm(b[0], a.unsqueeze(0), b.unsqueeze(0)), matmul.addbmm(b[0], a.unsqueeze(0), b.unsqueeze(0)), matmul.chain_matmul(a, b, b.T, b),
                                                matmul.multi_dot((v, b, b[0])), matmul.kron(a, b), matmul.cross(a[:, :3], b[:3, :3]), matmul.trace(a), matmul.matrix_power(a[:, :3], 3), matmul.matrix_power(b[:2, :2], 0)),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, (4, 5)), normal(rng, 4))], op="matmul.Matmul", second=True),
]
LAYERS = [
    LayerCase("Linear", lambda: ml.Linear(4, 3), lambda rng, dtype: (normal(rng, (5, 4), dtype),)),
    LayerCase("Linear without bias", lambda: ml.Linear(4, 3, bias=False),
              lambda rng, dtype: (normal(rng, (5, 2, 4), dtype),)),
]

M = ml.ones(2, 3)
F = ml.functional


def at(name, *args, **kwargs):
    return lambda: getattr(F, name)(*args, **kwargs)


ERRORS = []
for _n, _axes in (("mm", "2 and 2"), ("bmm", "3 and 3"), ("mv", "2 and 1"), ("dot", "1 and 1"), ("outer", "1 and 1")):
    ERRORS += [ErrorCase(f"{_n}: lists", at(_n, [1.0], [1.0]), TypeError, f"{_n}: expected a tensor, got list"), ErrorCase(f"{_n}: numbers of axes", at(_n, ml.tensor(1.0), ml.tensor(1.0)), ValueError, f"{_n}: expected tensors of {_axes} dimensions"),
               ErrorCase(f"{_n}: nothing", at(_n, None, M), TypeError, f"{_n}: expected a tensor")]
for _n, _a, _b in (("addmm", M, M), ("addmv", M, M[0]), ("addr", M[0], M[0]), ("baddbmm", M[None], M[None]), ("addbmm", M[None], M[None])):
    ERRORS += [ErrorCase(f"{_n}: lists", at(_n, M, [1.0], [1.0]), TypeError, f"{_n}: expected a tensor"), ErrorCase(f"{_n}: numbers of axes", at(_n, M, ml.tensor(1.0), ml.tensor(1.0)), ValueError, f"{_n}: expected tensors of"), ErrorCase(f"{_n}: a text", at(_n, "a", _a, _b), (TypeError, ValueError), "expected")]
for _n in ("inner", "kron", "cross"):
    ERRORS += [ErrorCase(f"{_n}: a list", at(_n, [1.0], M), TypeError, f"{_n}: expected a tensor"), ErrorCase(f"{_n}: a number", at(_n, M, 1.0), TypeError, f"{_n}: expected a tensor"), ErrorCase(f"{_n}: nothing", at(_n, M, None), TypeError, f"{_n}: expected a tensor")]
ERRORS += [
    ErrorCase("bmm: batches that differ", at("bmm", ml.ones(2, 2, 2), ml.ones(3, 2, 2)), ValueError, "bmm: expected batches of one size"), ErrorCase("inner: sizes that differ", at("inner", M, ml.ones(2)), ValueError, "inner: expected last axes of one size"),
    ErrorCase("matrix_power: a rectangle", at("matrix_power", M, 2), ValueError, "matrix_power: expected square"), ErrorCase("matrix_power: an inverse", at("matrix_power", ml.eye(2), -1), ValueError, "no matrix inverse"), ErrorCase("matrix_power: a list", at("matrix_power", [1.0], 2), TypeError, "matrix_power: expected a tensor"),
    ErrorCase("chain_matmul: one", at("chain_matmul", M), ValueError, "at least two tensors, got 1"), ErrorCase("multi_dot: a cube", lambda: matmul.multi_dot([ml.ones(2, 2, 2), M]), ValueError, "multi_dot: expected tensors of"),
    ErrorCase("cross: no axis of size 3", at("cross", ml.ones(2, 2), ml.ones(2, 2)), ValueError, "cross: expected size 3"), ErrorCase("trace: a vector", at("trace", ml.ones(2)), ValueError, "trace: expected tensors of 2"), ErrorCase("trace: a list", at("trace", [1.0]), TypeError, "trace: expected a tensor"),
    ErrorCase("matmul: integers of two types", lambda: ml.tensor([[1]]) @ ml.tensor([[1]]).int(), TypeError, "matmul: .*int64 and int32"), ErrorCase("matmul: bools", lambda: ml.tensor([[True]]) @ ml.tensor([[True]]), TypeError, "matmul: .*bool.*float"),
]
