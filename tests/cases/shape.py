"""Rows of the shape family."""
import numpy as np

import minilayer as ml
from cases.base import ErrorCase, OpCase, each_shape, mix, normal
from minilayer.ops import shape as shaping
from minilayer.tape import apply

CUBES = [(2, 3, 4), (2, 1, 3), (0, 3, 2)]

OPS = [
    OpCase("reshape", lambda x: (shaping.reshape(x, -1), shaping.reshape(x.transpose(0, 1), (-1,)), shaping.flatten(x, 1),
                                 shaping.view(x, x.shape)), each_shape(normal, [(2, 3, 4), (2, 1, 3)]), op="shape.Reshape", second=True),
    OpCase("unflatten", lambda x: shaping.unflatten(x, 1, (2, -1)), each_shape(normal, [(3, 6)]), op="shape.Reshape", second=True),
    OpCase("squeeze", lambda x: (shaping.squeeze(x), shaping.squeeze(x, 1)), each_shape(normal, [*CUBES, (1, 1)]), op="shape.Squeeze", second=True),
    OpCase("unsqueeze", lambda x: (shaping.unsqueeze(x, 0), shaping.unsqueeze(x, -1)), each_shape(normal), op="shape.Unsqueeze", second=True),
    OpCase("permute", lambda x: (shaping.permute(x, 2, 0, 1), shaping.transpose(x, 0, 2), x.T, shaping.movedim(x, 0, -1)),
           each_shape(normal, CUBES), op="shape.Permute", second=True),
    OpCase("expand", lambda x: (shaping.expand(x, 5, -1, 3), shaping.expand(x, 4, 3)), lambda rng: [(normal(rng, (4, 1)),)],
           op="shape.Expand", second=True),
    OpCase("split", lambda x: shaping.split(x, 2, 1), each_shape(normal, CUBES[:2]), op="shape.Split", second=True),
    OpCase("split, one part used", lambda x: shaping.chunk(x, 2, 2)[1], each_shape(normal, CUBES[:2]), op="shape.Split", second=True),
    OpCase("unbind", lambda x: shaping.unbind(x, 1), each_shape(normal, CUBES), op="shape.Unbind", second=True),
    OpCase("unbind, one part used", lambda x: shaping.unbind(x)[1], each_shape(normal, CUBES[:2]), op="shape.Unbind", second=True),
    OpCase("cat", lambda x, y: (shaping.cat((x, y), 1), shaping.cat([y, y], -1)), lambda rng: [
        (normal(rng, (2, 3, 4)), normal(rng, (2, 1, 4))), (normal(rng, (2, 0)), normal(rng, (2, 2))), (normal(rng, (2, 3)), normal(rng, (2, 3))), (normal(rng, (33, 5)), normal(rng, (33, 40)))],
           op="shape.Concatenate", second=True),
    OpCase("stack", lambda x, y: (shaping.stack((x, y)), shaping.stack([x, y, x], -1)), lambda rng: [
        (normal(rng, s), normal(rng, s)) for s in [(3, 5), (), (0, 2)]], op="shape.Stack", second=True),
    OpCase("flip", lambda x: (shaping.flip(x, 0, 2), shaping.flip(x, (1,))), each_shape(normal, CUBES), op="shape.Flip", second=True),
    OpCase("roll", lambda x: (shaping.roll(x, 1, 1), shaping.roll(x, 5)), each_shape(normal, CUBES[:2]), op="shape.Concatenate", second=True),
    OpCase("repeat", lambda x: (shaping.repeat(x, 2, 1, 3), shaping.tile(x, (2,))), each_shape(normal, [(3, 4), (1, 0), (2,), ()]),
           op="shape.Repeat", second=True),
    OpCase("repeat_interleave", lambda x: (shaping.repeat_interleave(x, 2, 1), shaping.repeat_interleave(x, 3)), each_shape(normal, [(3, 4)]),
           op="shape.Expand", second=True),
    OpCase("triangles", lambda x: (shaping.tril(x), shaping.triu(x, 1), shaping.tril(x, -1), shaping.triu(x, -2),
                                 shaping.tril(x, 2**63 - 1), shaping.triu(x, 2**63 - 1), shaping.triu(x, -2**63)),
           each_shape(normal, [(4, 4), (3, 5), (2, 4, 3), (0, 3)]), op="shape.Triangle", second=True),
    OpCase("diagonal", lambda x: (shaping.diagonal(x), shaping.diagonal(x, 1, 0, -1), shaping.diagonal(x, -2, 1, 2)), each_shape(normal, CUBES), op="shape.Diagonal", second=True),
    OpCase("diag", lambda x: (shaping.diag(x), shaping.diag(x, -1), shaping.diagflat(x, 1)), each_shape(normal, [(4,), (1,)]), op="shape.DiagonalEmbed", second=True),
    OpCase("diag_embed", lambda x: (shaping.diag_embed(x), shaping.diag_embed(x, 1, 0, 2)), each_shape(normal, [(3, 4), (0, 2)]), op="shape.DiagonalEmbed", second=True),
    OpCase("unfold", lambda x: (shaping.unfold(x, 0, 3, 1), shaping.unfold(x, 0, 2, 2), shaping.unfold(x, -1, 2, 3), shaping.unfold(x, -1, 2, 2**62)), each_shape(normal, [(7, 5), (3, 2)]), op="shape.Windows", second=True),
    OpCase("windows_added", lambda x: apply(shaping.WindowsAdded((7, 2), 0, 3, 2), x), each_shape(normal, [(3, 2, 3)]), op="shape.WindowsAdded", second=True),
    OpCase("stacks", lambda x, y: (shaping.hstack((x, y)), shaping.vstack((x, y)), shaping.dstack((x, y)), shaping.column_stack((x, y)), shaping.block_diag(x, y)),
           lambda rng: [(normal(rng, (3, 4)), normal(rng, (3, 4)))], op="shape.Concatenate", second=True),
    OpCase("meshgrid", lambda x, y: mix(*shaping.meshgrid(x, y), *shaping.meshgrid(x, y, indexing="xy"), shaping.cartesian_prod(x, y)),
           lambda rng: [(normal(rng, (3,)), normal(rng, (2,)))], op="shape.Expand", second=True),
    OpCase("rot90", lambda x: (shaping.rot90(x), shaping.rot90(x, 2, (1, 2)), shaping.rot90(x, 3), shaping.rot90(x, 0), shaping.fliplr(x), shaping.flipud(x)), each_shape(normal, CUBES[:2]), op="shape.Flip", second=True),
    OpCase("tensor_split", lambda x: (*shaping.tensor_split(x, 2, 1), *shaping.tensor_split(x, (1, 2)), *shaping.hsplit(x, 1), *shaping.vsplit(x, (1,)), *shaping.dsplit(x, 1)), each_shape(normal, CUBES[:2]), op="indexing.Slice", second=True),
    OpCase("repeat_interleave of each", lambda x, n: shaping.repeat_interleave(x, n, 0), lambda rng: [(normal(rng, (3, 4)), np.array([2, 0, 3]))], op="indexing.Take", second=True),
]

M = ml.ones(2, 3)


def at(name, *args, **kwargs):
    return lambda: getattr(shaping, name)(*args, **kwargs)


ERRORS = []
for _n in ("diagonal", "diag", "diag_embed", "diagflat", "fliplr", "flipud", "rot90", "ravel", "atleast_1d", "atleast_2d", "atleast_3d"):
    ERRORS += [ErrorCase(f"{_n}: {what}", at(_n, x), TypeError, f"{_n}: expected a tensor, got {got}") for what, x, got in [("a number", 1.0, "float"), ("nothing", None, "None"), ("a text", "a", "str")]]
for _n in ("hstack", "vstack", "dstack", "column_stack", "cartesian_prod", "meshgrid", "block_diag"):
    ERRORS += [ErrorCase(f"{_n}: {what}", (lambda n=_n, x=x: getattr(shaping, n)(x) if n in ("hstack", "vstack", "dstack", "column_stack") else getattr(shaping, n)(*x)), TypeError, f"{_n}: expected")
               for what, x in [("no tensors", ()), ("numbers", (1.0, 2.0)), ("texts", ("a", "b"))]]
for _n in ("tensor_split", "hsplit", "vsplit", "dsplit"):
    ERRORS += [ErrorCase(f"{_n}: a list", at(_n, [1.0], 2), TypeError, f"{_n}: expected a tensor"), ErrorCase(f"{_n}: no part", at(_n, ml.ones(2, 2, 2), 0), ValueError, f"{_n}: expected"), ErrorCase(f"{_n}: a number", at(_n, ml.tensor(1.0), 1), ValueError, f"{_n}: expected at least")]
ERRORS += [
    ErrorCase("hsplit: a part that does not divide", at("hsplit", M, 2), ValueError, "hsplit: expected a number of sections that divides 3"),
    ErrorCase("diagonal: one axis twice", at("diagonal", M, 0, 1, -1), ValueError, "diagonal: expected two different dims"), ErrorCase("diag: a cube", at("diag", ml.ones(2, 2, 2)), ValueError, "diag: expected 1 or 2 dimensions"),
    ErrorCase("diag_embed: a number", at("diag_embed", ml.tensor(1.0)), ValueError, "diag_embed: expected at least one dimension"), ErrorCase("diag_embed: one axis twice", at("diag_embed", M, 0, 0, -3), ValueError, "diag_embed: expected two different dims"),
    ErrorCase("unfold: a list", at("unfold", [1.0], 0, 1, 1), TypeError, "unfold: expected a tensor"), ErrorCase("unfold: larger than the axis", at("unfold", M, 0, 3, 1), ValueError, "unfold: expected a size of 0 to 2"), ErrorCase("unfold: no step", at("unfold", M, 0, 1, 0), ValueError, "unfold: expected a step above 0"),
    ErrorCase("fliplr: a vector", at("fliplr", ml.ones(2)), ValueError, "fliplr: expected at least 2"), ErrorCase("flipud: a number", at("flipud", ml.tensor(1.0)), ValueError, "flipud: expected at least one"),
    ErrorCase("rot90: three dims", at("rot90", M, 1, (0, 1, 1)), ValueError, "rot90: expected two dims"), ErrorCase("rot90: one axis twice", at("rot90", M, 1, (0, 0)), ValueError, "rot90: expected two different dims"),
    ErrorCase("block_diag: a cube", at("block_diag", ml.ones(2, 2, 2)), ValueError, "block_diag: expected tensors of at most 2"), ErrorCase("meshgrid: a matrix", at("meshgrid", M), ValueError, "meshgrid: expected vectors"), ErrorCase("meshgrid: an unknown order", at("meshgrid", ml.ones(2), indexing="yx"), ValueError, "got 'yx'"),
    ErrorCase("repeat_interleave: too few numbers", at("repeat_interleave", M, ml.tensor([1, 2]), 1), ValueError, "for each of the 3 slices"), ErrorCase("repeat_interleave: below 0", at("repeat_interleave", M, -1), ValueError, "repeats of 0 or more"),
]
# Numbers beyond what an array can hold, or beyond 64 bits, are refused before an array is asked for.
_V, _HUGE = ml.ones(3), 2**62
ERRORS += [ErrorCase(f"{name}: {what}", at(name, *args), ValueError, f"{name}: expected .*below 2..60") for name, what, args in [
    ("repeat", "a huge number", (_V, _HUGE)), ("repeat", "huge numbers of nothing", (ml.ones(0), _HUGE)),
    ("expand", "a huge size", (_V, _HUGE, 3)), ("expand", "nothing, hugely", (ml.ones(0, 1), 0, _HUGE)),
    ("repeat_interleave", "a huge number", (_V, _HUGE)), ("repeat_interleave", "huge numbers", (_V, ml.tensor([_HUGE] * 3))),
    ("diag_embed", "a huge offset", (_V, _HUGE))]]
ERRORS += [ErrorCase(f"{name}: more than 64 bits, {n}", at(name, *args, n), ValueError, f"{name}: expected integers of 64 bits, got {n}")
           for name, *args in (("tril", M), ("triu", M), ("diag_embed", _V), ("unfold", _V, 0, 2), ("repeat", _V), ("expand", _V))
           for n in (2**64, 10**30)]
ERRORS += [ErrorCase("tile: a huge number", at("tile", _V, (_HUGE,)), ValueError, "repeat: expected .*below 2..60"),
           ErrorCase("tril: a text", at("tril", M, "a"), TypeError, "tril: expected integers, got 'a'")]
