"""Dropout: outside training, and where p leaves nothing to chance. (tests/test_activation.py looks at the masks.)"""
from agreement.row import Row

P = [0.5, 0.0, 1.0]


def with_copy(f, x, **options):
    """The result and the copy of the input that `inplace` writes to."""
    return f(x, **options), x


def layer(name, *shapes):
    return Row(name, options=dict(p=P, inplace=[False, True]), draws=True, samples=len(shapes),
               inputs=lambda rng, o: (rng.standard_normal(shapes[rng.integers(len(shapes))]),),
               call=lambda f, args, o: with_copy(f, args[0] * 1.0))


def function(name, *shapes):
    """Values where nothing is drawn: p 0 or 1, or not training."""
    return Row(f"functional.{name}", options=dict(p=[0.0, 1.0, 0.5], training=[False, True], inplace=[False, True]),
               valid=lambda o: o["p"] != 0.5 or not o["training"], samples=len(shapes),
               inputs=lambda rng, o: (rng.standard_normal(shapes[rng.integers(len(shapes))]),),
               call=lambda f, args, o: with_copy(f, args[0] * 1.0, **o))


SHAPES = {"Dropout": ((3, 4), (5,)), "Dropout1d": ((3, 4, 5), (4, 5)), "Dropout2d": ((3, 4, 5, 2), (3, 4, 5)),
          "Dropout3d": ((3, 4, 5, 2, 2), (4, 5, 2, 2)), "AlphaDropout": ((3, 4), (5,)), "FeatureAlphaDropout": ((3, 4, 5), (3, 4))}
FUNCTIONS = {"Dropout": "dropout", "Dropout1d": "dropout1d", "Dropout2d": "dropout2d", "Dropout3d": "dropout3d",
             "AlphaDropout": "alpha_dropout", "FeatureAlphaDropout": "feature_alpha_dropout"}
ROWS = [*[layer(name, *shapes) for name, shapes in SHAPES.items()],
        *[function(FUNCTIONS[name], *shapes) for name, shapes in SHAPES.items()]]
