"""Rows of einsum and tensordot, which have no op of their own."""
import minilayer as ml
import minilayer.functional as F
from cases.base import ErrorCase, OpCase, normal
from minilayer.ops import einsum as sums

OPS = [
    OpCase(f"einsum {equation}", lambda *x, e=equation: sums.einsum(e, *x), lambda rng, shapes=shapes: [tuple(normal(rng, s) for s in shapes)], op=ops, second=True)
    for equation, shapes, ops in [("ij,jk->ik", [(3, 4), (4, 5)], "matmul.Matmul"), ("ii->i", [(4, 4)], "shape.Diagonal"), ("...ij,jk", [(2, 3, 4), (4, 2)], "matmul.Matmul"), ("i,j->ij", [(3,), (4,)], "arithmetic.Mul"),
                                  ("bij,bjk,k->bi", [(2, 3, 4), (2, 4, 5), (5,)], "matmul.Matmul"), ("ij->j", [(3, 4)], "reduce.Sum"), ("ij,jk->ik", [(0, 4), (4, 5)], "matmul.Matmul")]
] + [
    OpCase("tensordot", lambda a, b: (sums.tensordot(a, b), sums.tensordot(a, b, ([2], [1])), sums.tensordot(a, b, 0)),
           lambda rng: [(normal(rng, (3, 4, 5)), normal(rng, (4, 5, 2)))], op="matmul.Matmul", second=True),
]

M = ml.ones(2, 3)
ERRORS = [
    ErrorCase("einsum: too few operands", lambda: F.einsum("ij,jk->ik", M), ValueError, r"einsum: expected an operand for each term of 'ij,jk->ik', 2, got 1"),
    ErrorCase("einsum: a letter too many", lambda: F.einsum("ijk->i", M), ValueError, "'ijk' in 'ijk->i' is for an operand with 2 dimensions"),
    ErrorCase("einsum: sizes that differ", lambda: F.einsum("ij,ik->jk", M, ml.ones(3, 2)), ValueError, "one size for 'i'.*got 2 and 3"),
    ErrorCase("einsum: a diagonal of a rectangle", lambda: F.einsum("ii->i", M), ValueError, r"one size for 'i'"),
    ErrorCase("einsum: a diagonal of a row", lambda: F.einsum("ii->i", ml.ones(1, 3)), ValueError, r"which occurs twice in an operand, got shape \(1, 3\)"),
    ErrorCase("einsum: an unknown letter in the result", lambda: F.einsum("ij->k", M), ValueError, "got 'k' in 'ij->k'"),
    ErrorCase("einsum: digits", lambda: F.einsum("i1->i", M), ValueError, "expected letters"),
    ErrorCase("einsum: a list", lambda: F.einsum("i->", [1.0]), (TypeError, ValueError), "einsum: expected a"),
    ErrorCase("tensordot: too many dims", lambda: F.tensordot(M, M, 3), ValueError, "tensordot: expected dims of 0 to 2, got 3"),
    ErrorCase("tensordot: pairs that do not match", lambda: F.tensordot(M, M, ([0, 1], [0])), ValueError, "as many axes of a as of b"),
    ErrorCase("tensordot: a list", lambda: F.tensordot([1.0], M), TypeError, "tensordot: expected a tensor"),
]
