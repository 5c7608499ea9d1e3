"""Rows of a table picked by index: how tokens, classes and other discrete things become vectors.

The gradient is dense, a row for every row of the table. Backward sums the rows of equal indices in the order in which
they came, so the result has the same bits for any number of threads. (Sums over bags of rows: embedding_bag.py.)
"""
from minilayer._ext.dispatch import family
from minilayer.device import contiguous, empty
from minilayer.tables import check_table, padding_row, refuse_sparse, renorm
from minilayer.tape import Cost, Op, apply

kernels = family("embedding")


class Embedding(Op):
    """y[i..., :] = weight[index[i...], :];  dweight[v, :] = sum of dy[i..., :] over index[i...] = v

    index any shape, weight (V, D), y index.shape + (D,). Row `padding_idx` gets no gradient; with scale_grad_by_freq
    each dy is divided by how often its index is asked for.
    """
    name = "embedding"
    required = 2

    def __init__(self, padding_idx, scale_grad_by_freq=False):
        self.padding_idx = padding_idx
        self.scale_grad_by_freq = scale_grad_by_freq

    def forward(self, node, index, weight):
        index = check_table("embedding", index, weight)
        shape = index.shape
        flat = contiguous(index).reshape((-1,))
        y = empty((flat.size, weight.shape[1]), weight.dtype, weight)
        kernels.on(weight).embedding(contiguous(weight), flat, y)
        node.save(index)                                        # dweight needs to know where the rows came from
        self._shape = weight.shape
        return y.reshape(shape + (weight.shape[1],))            # index.shape + (D,)

    def backward(self, node, dy):
        flat = contiguous(node.saved[0]).reshape((-1,))
        dweight, accumulate = node.gradient(1, self._shape, dy.dtype)
        kernels.on(dy).embedding_backward(contiguous(dy).reshape((flat.size, self._shape[1])), flat, dweight,
                                          padding_idx=self.padding_idx, by_frequency=self.scale_grad_by_freq,
                                          accumulate=accumulate)
        return None, dweight

    def cost(self, shapes, out_shapes):
        values = 1
        for d in out_shapes[0]:
            values *= d
        rows, features = shapes[1]
        return Cost(0, values, 4 * 2 * values, 4 * (3 * values + rows * features))


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` that `input` names.

    input               integers of any shape, each in [0, V)
    weight              the table, (V, D)
    padding_idx         a row whose gradient stays zero; negative counts from the end
    max_norm            rows that are asked for and longer (their norm_type-norm) are shortened to it first, in place
    scale_grad_by_freq  divide each row's gradient by how often it is asked for
    Returns shape input.shape + (D,). Raises IndexError, naming the input, where one lies outside the table.
    """
    refuse_sparse("embedding", sparse)
    padding_idx = padding_row("embedding", padding_idx, weight)
    if max_norm is not None:
        renorm("embedding", input, weight, max_norm, norm_type)
    return apply(Embedding(padding_idx, bool(scale_grad_by_freq)), input, weight)
