"""Rows of the dropout family."""

import minilayer as ml
from cases.base import BIG, SHAPES, KernelCase, LayerCase, OpCase, each_shape, normal, out, position

KERNELS = [
    KernelCase("dropout", "dropout", lambda rng, dtype: [
        ((normal(rng, shape, dtype), position(rng), out(shape, dtype)), {"p": p})
        for shape in [*SHAPES, (129,), BIG] for p in (0.0, 0.1, 0.5, 1.0)], outs=(2,), bound=0, special=True),
]
OPS = [
    OpCase("dropout", lambda x: ml.functional.dropout(x, 0.4, rng=ml.Generator(3)), each_shape(normal),
           op="dropout.Dropout", second=True),
]
LAYERS = [
    LayerCase("Dropout", lambda: ml.Dropout(0.4), lambda rng, dtype: (normal(rng, (4, 6), dtype),), random=True),
]
