"""Rows of a table picked by index: how tokens, classes and other discrete things become vectors.

The gradient is dense, a row for every row of the table. Backward sums the rows of equal indices in the order in which
they came, so the result has the same bits for any number of threads.
"""
from minilayer._ext.dispatch import family
from minilayer.device import cast, contiguous, empty
from minilayer.dtypes import int64
from minilayer.tape import Cost, Op, apply

kernels = family("embedding")


class Embedding(Op):
    """y[i..., :] = weight[index[i...], :];  dweight[v, :] = sum of dy[i..., :] over index[i...] = v

    index any shape, weight (V, D), y index.shape + (D,). Row `padding_idx` gets no gradient.
    """
    name = "embedding"
    required = 2

    def __init__(self, padding_idx):
        self.padding_idx = padding_idx

    def forward(self, node, index, weight):
        if index.dtype.kind != "i":
            raise TypeError(f"embedding: expected int64 or int32 indices, got {index.dtype}; convert them with .long()")
        if weight.ndim != 2:
            raise ValueError(f"embedding: expected a weight of shape (rows, features), got {weight.shape}")
        if weight.dtype.kind != "f":
            raise TypeError(f"embedding: expected a float32 or float64 weight, got {weight.dtype}")
        if index.dtype != int64:
            index = cast(index, int64)
        shape = index.shape
        flat = contiguous(index).reshape((-1,))
        y = empty((flat.size, weight.shape[1]), weight.dtype, weight)
        kernels.on(weight).embedding(contiguous(weight), flat, y)
        node.save(flat)                                         # dweight needs to know where the rows came from
        self._shape = weight.shape
        return y.reshape(shape + (weight.shape[1],))            # index.shape + (D,)

    def backward(self, node, dy):
        (flat,) = node.saved
        dweight, accumulate = node.gradient(1, self._shape, dy.dtype)
        kernels.on(dy).embedding_backward(contiguous(dy).reshape((flat.size, self._shape[1])), flat, dweight,
                                          padding_idx=self.padding_idx, accumulate=accumulate)
        return None, dweight

    def cost(self, shapes, out_shapes):
        values = 1
        for d in out_shapes[0]:
            values *= d
        rows, features = shapes[1]
        return Cost(0, values, 4 * 2 * values, 4 * (3 * values + rows * features))


def embedding(index, weight, padding_idx=None):
    """The rows of `weight` that `index` names.

    index       integers of any shape, each in [0, V)
    weight      the table, (V, D)
    padding_idx a row whose gradient stays zero; negative counts from the end
    Returns shape index.shape + (D,). Raises IndexError, naming the index, where one lies outside the table.
    """
    if padding_idx is not None:
        shape = getattr(weight, "shape", ())
        rows = shape[0] if len(shape) == 2 else 0
        if isinstance(padding_idx, bool) or not hasattr(padding_idx, "__index__"):
            raise TypeError(f"embedding: expected padding_idx to be an integer or None, got {padding_idx!r}")
        if not -rows <= padding_idx < rows:
            raise ValueError(f"embedding: expected padding_idx in [{-rows}, {rows}) for a table of {rows} rows, "
                             f"got {padding_idx}")
        padding_idx = padding_idx.__index__() % rows
    return apply(Embedding(padding_idx), index, weight)
