"""The last layer of a classifier and its loss in one: the scores of all items together are never held in memory.

A chunk of items at a time: their scores, their losses, and the scores are forgotten. Backward makes each chunk's scores
once more. With a vocabulary of tens of thousands this is most of a language model's memory.
"""
from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty, empty_like
from minilayer.dtypes import int64
from minilayer.tape import Cost, Op, apply

softmax = family("softmax")
products = family("matmul")
arithmetic = family("arithmetic")
reduce = family("reduce")


class LinearCrossEntropy(Op):
    """loss = weight[t] (lse - s[t]), s = x w^T + b, lse = log sum_c exp(s[c]);  with ds as in cross_entropy,
    dx = ds w, dw = ds^T x, db = sum of ds over items

    x (N, K), w (C, K), target (N,) int64, b (C,) or None, weight (C,) or None; `rows` items a chunk.
    """
    name = "linear_cross_entropy"
    required = 3

    def __init__(self, ignore_index, reduction, rows):
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.rows = rows

    def chunks(self, n):
        return [(i, min(n, i + self.rows)) for i in range(0, n, self.rows)]

    def forward(self, node, x, w, target, b, weight):
        if x.dtype.kind != "f" or w.dtype != x.dtype or any([a is not None and a.dtype != x.dtype for a in (b, weight)]):
            raise TypeError(f"linear_cross_entropy: expected an input and weights of one float dtype, got {x.dtype} and "
                            f"{', '.join([str(a.dtype) for a in (w, b, weight) if a is not None])}; use .to(dtype)")
        N, C = x.shape[0], w.shape[0]
        if target.shape != (N,) or target.dtype != int64:
            raise ValueError(f"linear_cross_entropy: expected int64 labels of shape ({N},), got {target.dtype} of shape "
                             f"{target.shape}")
        if weight is not None and weight.shape != (C,):
            raise ValueError(f"linear_cross_entropy: expected a weight of shape ({C},), one a class, got {weight.shape}")
        target, weight = contiguous(target), None if weight is None else contiguous(weight)
        loss, lse = empty((N,), x.dtype, x), empty((2 * N,), x.dtype, x)
        for i, j in self.chunks(N):
            scores = empty((j - i, C), x.dtype, x)
            products.on(x).linear(x[i:j], w, b, scores)
            softmax.on(x).cross_entropy(scores.reshape((j - i, C, 1)), target[i:j].reshape((j - i, 1)), weight,
                                        loss[i:j].reshape((j - i, 1)), lse[2 * i:2 * j].reshape((2, j - i, 1)),
                                        ignore_index=self.ignore_index)
        divisor = None
        if self.reduction != "none":
            total, divisor = empty((), x.dtype, x), empty((), x.dtype, x)
            softmax.on(x).reduce_loss(loss, target, weight, total, divisor, ignore_index=self.ignore_index,
                                      mean=self.reduction == "mean")
            loss = total
        node.save(x, w, target, b, weight, lse, divisor)    # what makes the scores again
        return loss

    def backward(self, node, dy):
        x, w, target, b, weight, lse, divisor = node.saved
        N, C, K = x.shape[0], w.shape[0], x.shape[1]
        dloss = contiguous(dy)
        if divisor is not None:
            dloss = empty_like(dy)
            arithmetic.on(dy).div(dy, divisor, dloss)
        dx = empty((N, K), x.dtype, x) if node.needs(0) else None
        dw, more_w = node.gradient(1, (C, K), x.dtype) if node.needs(1) else (None, False)
        db, more_b = node.gradient(3, (C,), x.dtype) if node.needs(3) else (None, False)
        if N == 0:
            return (dx, None if more_w or dw is None else _zeros(dw), None,
                    None if more_b or db is None else _zeros(db), None)
        for i, j in self.chunks(N):
            scores, ds = empty((j - i, C), x.dtype, x), empty((j - i, C), x.dtype, x)
            products.on(x).linear(x[i:j], w, b, scores)
            softmax.on(x).cross_entropy_backward(
                scores.reshape((j - i, C, 1)), target[i:j].reshape((j - i, 1)), weight,
                lse[2 * i:2 * j].reshape((2, j - i, 1)), dloss if divisor is not None else dloss[i:j].reshape((j - i, 1)),
                ds.reshape((j - i, C, 1)), ignore_index=self.ignore_index)
            if dx is not None:
                products.on(x).matmul(ds, w, dx[i:j])
            if dw is not None:
                products.on(x).matmul(ds.transpose((1, 0)), x[i:j], dw, accumulate=more_w or i > 0)
            if db is not None:
                reduce.on(x).sum(ds, db.reshape((1, C)), accumulate=more_b or i > 0)
        return dx, dw, None, db, None

    def cost(self, shapes, out_shapes):
        (n, k), c = shapes[0], shapes[1][0]
        return Cost(2 * n * k * c + 4 * n * c, 6 * n * k * c + 4 * n * c, 4 * (n * k + c * k + 4 * n * c),
                    4 * (2 * n * k + 2 * c * k + 6 * n * c))


def _zeros(x):
    family("indexing").on(x).fill(x, value=0)
    return x


def linear_cross_entropy_chunked(x, linear_weight, target, linear_bias=None, weight=None, reduction="mean",
                                 ignore_index=-100, rows=256):
    """linear_cross_entropy of labels, `rows` items at a time."""
    return apply(LinearCrossEntropy(ignore_index, reduction, rows), x, linear_weight, target, linear_bias, weight)
