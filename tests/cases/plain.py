"""Layers made of other layers, and without kernels of their own."""

import minilayer as ml
from cases.base import LayerCase, OpCase, normal, off_zero
from minilayer.ops.boundary import Boundary


def images(rng, dtype):
    return (normal(rng, (3, 2, 4, 5), dtype),)


def off_kinks(rng, dtype):
    return (off_zero(rng, (4, 3, 2), dtype),)


OPS = [
    OpCase("boundary", lambda a, b: ml.apply(Boundary(lambda gradients: gradients), a, b),
           lambda rng: [(normal(rng, s), normal(rng, t)) for s, t in [((3, 2), (4,)), ((), (0, 2)), ((3,), (3,))]],
           op="boundary.Boundary", second=True),
]
LAYERS = [
    LayerCase("Sequential", lambda: ml.Sequential(ml.Linear(4, 3), ml.ReLU(), ml.Linear(3, 2)),
              lambda rng, dtype: (normal(rng, (5, 4), dtype),)),
    LayerCase("Sequential of blocks", lambda: ml.Sequential(
        ml.Conv2d(2, 3, 3, padding=1), ml.BatchNorm2d(3), ml.Tanh(), ml.AvgPool2d(2), ml.Flatten(), ml.Linear(12, 5)),
              images, per_item=False),
    LayerCase("Identity", lambda: ml.Identity(54, unused=True), images),
    LayerCase("Flatten", lambda: ml.Flatten(), images),
    LayerCase("Flatten two axes", lambda: ml.Flatten(2, 3), images),
    LayerCase("ReLU", lambda: ml.ReLU(), off_kinks),
    LayerCase("Sigmoid", lambda: ml.Sigmoid(), off_kinks),
    LayerCase("Tanh", lambda: ml.Tanh(), off_kinks),
    LayerCase("GELU", lambda: ml.GELU(), off_kinks),
    LayerCase("GELU tanh", lambda: ml.GELU("tanh"), off_kinks),
]
