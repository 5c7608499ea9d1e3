"""Rows of the dropout family."""

import minilayer as ml
from cases.base import BIG, SHAPES, ErrorCase, KernelCase, LayerCase, OpCase, each_shape, normal, out, position

F = ml.functional
ROWS = [(3, 5), (1, 1), (0, 4), (4, 0), (129, 1), (33, 17), (5, 4100), (40_000, 1), (7, 3000)]
ALPHA = dict(scale=0.9, shift=0.3, dropped=-1.1)
KERNELS = [
    KernelCase("dropout", "dropout", lambda rng, dtype: [
        ((normal(rng, shape, dtype), position(rng), out(shape, dtype)), {"p": p})
        for shape in [*SHAPES, (129,), BIG] for p in (0.0, 0.1, 0.5, 1.0)], outs=(2,), bound=0, special=True),
    KernelCase("dropout", "dropout_rows", lambda rng, dtype: [
        ((normal(rng, shape, dtype), position(rng), out(shape, dtype)), {"p": p, **settings})
        for shape in ROWS for p, settings in ((0.5, dict(scale=2.0, shift=0.0, dropped=0.0)), (0.2, ALPHA), (1.0, ALPHA))],
        outs=(2,), bound=0, special=True),
]


def drawn(f, *settings):
    """A dropout with the same mask every time."""
    return lambda x: f(x, *settings, rng=ml.Generator(3))


IMAGES = ((3, 5, 2), (2, 3, 4, 2), (0, 3, 2), (2, 3, 0), (1, 17, 3, 2, 1))
OPS = [
    OpCase("dropout", drawn(F.dropout, 0.4), each_shape(normal), op="dropout.Dropout", second=True),
    OpCase("dropout in place", lambda x: F.dropout(x * 1.0, 0.4, inplace=True, rng=ml.Generator(3)), each_shape(normal),
           op="dropout.Dropout", second=True),
    OpCase("dropout1d", drawn(F.dropout1d, 0.4), each_shape(normal, ((3, 5), (2, 3, 4))), op="dropout.DropoutRows", second=True),
    OpCase("dropout2d", drawn(F.dropout2d, 0.4), each_shape(normal, IMAGES), op="dropout.DropoutRows", second=True),
    OpCase("dropout3d", drawn(F.dropout3d, 0.4), each_shape(normal, IMAGES), op="dropout.DropoutRows", second=True),
    OpCase("alpha_dropout", lambda x: [drawn(F.alpha_dropout, p, True)(x) for p in (0.4, 1.0)],
           each_shape(normal, (*IMAGES, (5,), ())), op="dropout.DropoutRows", second=True),
    OpCase("feature_alpha_dropout", drawn(F.feature_alpha_dropout, 0.4, True), each_shape(normal, IMAGES),
           op="dropout.DropoutRows", second=True),
    OpCase("alpha_dropout in place", lambda x: F.alpha_dropout(x * 1.0, 0.4, True, True, rng=ml.Generator(3)),
           each_shape(normal, IMAGES), op="dropout.DropoutRows", second=True),
]


def layer(name, *shape, title=None, **more):
    return LayerCase(title or name, lambda: getattr(ml, name)(0.4), lambda rng, dtype: (normal(rng, shape, dtype),),
                     random=True, **more)


LAYERS = [
    layer("Dropout", 4, 6), layer("Dropout1d", 3, 4, 5), layer("Dropout1d", 4, 5, title="Dropout1d without a batch", batch_axis=None),
    layer("Dropout2d", 3, 4, 2, 5), layer("Dropout3d", 3, 4, 2, 2, 3), layer("AlphaDropout", 4, 6),
    layer("Dropout3d", 4, 2, 2, 3, title="Dropout3d without a batch", batch_axis=None), layer("FeatureAlphaDropout", 3, 4, 5),
    LayerCase("Dropout of all", lambda: ml.Dropout(1.0), lambda rng, dtype: (normal(rng, (4, 6), dtype),)),
]

LEAF = ml.ones(2, 3, 4, requires_grad=True)
ERRORS = []
for _name, _layer in (("dropout1d", "Dropout1d"), ("dropout2d", "Dropout2d"), ("dropout3d", "Dropout3d"),
                      ("alpha_dropout", "AlphaDropout"), ("feature_alpha_dropout", "FeatureAlphaDropout")):
    _f, _made = getattr(F, _name), getattr(ml, _layer)
    ERRORS += [
        ErrorCase(f"{_name}: p above 1", lambda f=_f: f(LEAF, 1.5, True), ValueError, rf"{_name}: .*p in \[0, 1\], got 1.5"),
        ErrorCase(f"{_name}: p no number", lambda f=_f: f(LEAF, "half"), TypeError, f"{_name}: .*'half'"),
        ErrorCase(f"{_name}: integers", lambda f=_f: f(ml.tensor([[1, 2]]), 0.5, True), TypeError, f"{_name}: .*int64"),
        ErrorCase(f"{_name}: no tensor", lambda f=_f: f([1.0]), TypeError, f"{_name}: .*got list"),
        ErrorCase(f"{_name}: rng no generator", lambda f=_f: f(LEAF, rng=3), TypeError, "Generator"),
        ErrorCase(f"{_name}: a leaf in place", lambda f=_f: f(LEAF, 0.5, True, True), RuntimeError, "a leaf that requires a gradient"),
        ErrorCase(f"{_layer}: p above 1", lambda f=_made: f(1.5), ValueError, f"{_layer}: expected p in"),
        ErrorCase(f"{_layer}: p no number", lambda f=_made: f("half"), TypeError, f"{_layer}: expected p to be a number"),
        ErrorCase(f"{_layer}: no tensor", lambda f=_made: f()([1.0]), TypeError, "got list"),
    ]
ERRORS += [
    ErrorCase("dropout1d: images", lambda: F.dropout1d(ml.ones(2, 2, 2, 2)), ValueError, r"dropout1d: .*\(C, L\), got \(2, 2, 2, 2\)"),
    ErrorCase("dropout2d: one axis", lambda: F.dropout2d(ml.ones(2)), ValueError, r"dropout2d: .*got \(2,\)"),
    ErrorCase("dropout3d: a number", lambda: F.dropout3d(ml.tensor(1.0)), ValueError, r"dropout3d: .*got \(\)"),
    ErrorCase("feature_alpha_dropout: one axis", lambda: F.feature_alpha_dropout(ml.ones(2), training=True), ValueError, r"got \(2,\)"),
]
