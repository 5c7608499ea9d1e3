"""Layers that learn the size of their input from the first one: here they have seen one; test_lazy.py has what is before."""

import minilayer as ml
from cases.base import ErrorCase, LayerCase, normal


def lazy(make, *shape, **row):
    """A row of make()'s class, with inputs of this shape."""
    def seen():
        layer = make()
        layer(ml.randn(*shape))
        return layer
    return LayerCase(type(make()).__name__, seen, lambda rng, dtype: (normal(rng, shape, dtype),), **row)


LAYERS = [
    lazy(lambda: ml.LazyLinear(3), 4, 5),
    lazy(lambda: ml.LazyConv1d(4, 3, padding=1), 2, 3, 6),
    lazy(lambda: ml.LazyConv2d(4, 3, stride=2, groups=2, bias=False), 2, 4, 6, 5),
    lazy(lambda: ml.LazyConv3d(2, (2, 3, 3), padding="same", padding_mode="replicate"), 2, 3, 3, 3, 4),
    lazy(lambda: ml.LazyConvTranspose1d(4, 3, stride=2), 2, 3, 4),
    lazy(lambda: ml.LazyConvTranspose2d(4, 3, groups=2, bias=False), 2, 4, 3, 4),
    lazy(lambda: ml.LazyConvTranspose3d(2, 2, stride=2, output_padding=1), 2, 3, 2, 2, 2),
    lazy(lambda: ml.LazyBatchNorm1d(), 6, 4, per_item=False),
    lazy(lambda: ml.LazyBatchNorm2d(momentum=None), 3, 4, 3, 2, per_item=False),
    lazy(lambda: ml.LazyBatchNorm3d(affine=False), 3, 4, 2, 2, 2, per_item=False),
    lazy(lambda: ml.LazyInstanceNorm1d(), 3, 4, 5, per_item=False),
    lazy(lambda: ml.LazyInstanceNorm2d(track_running_stats=False), 3, 4, 3, 2),
    lazy(lambda: ml.LazyInstanceNorm3d(affine=False), 3, 4, 2, 2, 2, per_item=False),
]
ERRORS = [
    ErrorCase("LazyLinear: a number", lambda: ml.LazyLinear(3)(ml.ones(())), ValueError, "LazyLinear: expected an input with at least one axis"),
    ErrorCase("LazyLinear: half a feature", lambda: ml.LazyLinear(1.5), TypeError, "out_features to be an integer"),
    ErrorCase("LazyLinear: a shape before the first input", lambda: ml.LazyLinear(3).weight.shape, RuntimeError, "has no shape yet"),
    ErrorCase("LazyLinear: values before the first input", lambda: ml.LazyLinear(3).weight.numpy(), RuntimeError, "has no shape yet"),
    ErrorCase("LazyLinear: into a Linear", lambda: ml.Linear(3, 4).load_state_dict(ml.LazyLinear(4).state_dict()), RuntimeError,
              r"weight: expected a tensor of shape \(4, 3\), got one without a shape yet"),
]
for n in (1, 2, 3):
    for name in (f"LazyConv{n}d", f"LazyConvTranspose{n}d"):
        cls = getattr(ml, name)
        ERRORS += [
            ErrorCase(f"{name}: too few axes", lambda cls=cls, n=n: cls(4, 3)(ml.ones(*[5] * n)), ValueError,
                      f"{name}: expected an input with {n + 2} axes, or {n + 1} without a batch"),
            ErrorCase(f"{name}: channels that groups do not divide", lambda cls=cls, n=n: cls(4, 3, groups=2)(ml.ones(1, 3, *[5] * n)),
                      ValueError, f"{name}: expected in_channels to be divisible by groups=2, got an input of 3"),
            ErrorCase(f"{name}: no groups", lambda cls=cls: cls(4, 3, groups=0), ValueError, f"{name}: expected groups >= 1"),
            ErrorCase(f"{name}: half a kernel", lambda cls=cls: cls(4, 1.5), TypeError, f"{name}: expected kernel_size to be integers"),
        ]
    for name in (f"LazyBatchNorm{n}d", f"LazyInstanceNorm{n}d"):
        cls = getattr(ml, name)
        ERRORS += [
            ErrorCase(f"{name}: too many axes", lambda cls=cls: cls()(ml.ones(*[2] * 7)), ValueError,
                      f"{name}: expected an input with .* dimensions"),
            ErrorCase(f"{name}: a text as eps", lambda cls=cls: cls(eps="small"), TypeError, "eps to be a number"),
            ErrorCase(f"{name}: a negative eps", lambda cls=cls: cls(eps=-1.0), ValueError, "eps of 0 or more"),
        ]
