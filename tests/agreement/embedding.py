"""Tables of vectors, looked up alone and in bags.

Where gradients are divided by frequency every index comes as often as the others: PyTorch 2.13's embedding_bag divides by
the frequency of another index of the batch (counts[sorted_indices[i]] of the i-th different index), which is not what it
documents.
"""
import importlib

import numpy as np

from agreement.row import Row

SIZES = {"num_embeddings": "the table's", "embedding_dim": "the table's", "sparse": "gradients are dense: True is refused"}
TABLE = np.random.default_rng(3).standard_normal((7, 3))
KEPT = dict(max_norm=[None, 0.5, 1.5], norm_type=[2.0, 1.0], scale_grad_by_freq=[False, True])
LAYER = dict(num_embeddings=[7], embedding_dim=[3], _weight=[None, TABLE, TABLE[::-1]], padding_idx=[None, 2, -1], **KEPT)
MODES = dict(mode=["sum", "mean", "max"], include_last_offset=[False, True])


def twice(rng):
    """Ten indices, each of five twice."""
    return rng.permutation(np.repeat(rng.permutation(7)[:5], 2))


def offsets(o):
    return np.array([0, 4, 4, 10])      # of three bags, or of four, the last one empty


def weights_only(f, args, o):
    """A function whose table is an input: a copy, as max_norm changes it in place."""
    index, table, *rest = args
    table = table * 1.0
    return f(index, table, *rest, **o), table


def with_table(layer, args, o):
    """The result, and the table of a new layer, as the runner loads values of its own into this one."""
    if o["_weight"] is None:
        return layer(*args)
    root = importlib.import_module(type(layer).__module__.partition(".")[0])
    new = type(layer)(**o | {"_weight": root.tensor(o["_weight"].copy())})
    return layer(*args), new.weight.detach()


ROWS = [
    Row("Embedding", options=LAYER | dict(_freeze=[False, True]), inputs=lambda rng, o: (rng.integers(0, 7, (2, 5)),), only=SIZES, call=with_table),
    Row("functional.embedding", options=dict(padding_idx=[None, 2, -1], **KEPT), inputs=lambda rng, o: (rng.integers(0, 7, (2, 5)), TABLE.copy()),
        only=SIZES, call=weights_only),
    Row("EmbeddingBag", options=LAYER | MODES, inputs=lambda rng, o: (twice(rng).reshape(2, 5),), only=SIZES,
        inert={"include_last_offset": "a matrix comes without offsets"}, call=with_table),
    Row("EmbeddingBag", options=LAYER | MODES, inputs=lambda rng, o: (twice(rng), offsets(o)), only=SIZES, call=with_table),
    Row("EmbeddingBag", options=LAYER | dict(mode=["sum", "mean"], include_last_offset=[False, True]), only=SIZES,
        inputs=lambda rng, o: (twice(rng), offsets(o), rng.standard_normal(10)),
        call=with_table, refused={"mode": "only sums are weighted"}),
    Row("functional.embedding_bag", options=dict(padding_idx=[None, 2, -1], **KEPT, **MODES), call=weights_only,
        inputs=lambda rng, o: (twice(rng), TABLE.copy(), offsets(o)), only=SIZES | {"per_sample_weights": "in EmbeddingBag's rows"}),
]
