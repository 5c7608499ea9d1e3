"""Rows of the shape family."""

from cases.base import OpCase, each_shape, normal
from minilayer.ops import shape as shaping

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
    OpCase("pad", lambda x: (shaping.pad(x, (1, 2)), shaping.pad(x, (0, 1, 2, 0), value=1.5), shaping.pad(x, (-1, 1))),
           each_shape(normal, CUBES), op="shape.Pad", second=True),
    OpCase("pad with the tensor's own values", lambda x: tuple(shaping.pad(x, (1, 2), mode) for mode in ("reflect", "replicate", "circular")),
           each_shape(normal, [(2, 3, 4), (1, 3)]), op="indexing.Take", second=True),
    OpCase("repeat", lambda x: (shaping.repeat(x, 2, 1, 3), shaping.tile(x, (2,))), each_shape(normal, [(3, 4), (1, 0), (2,), ()]),
           op="shape.Repeat", second=True),
    OpCase("repeat_interleave", lambda x: (shaping.repeat_interleave(x, 2, 1), shaping.repeat_interleave(x, 3)), each_shape(normal, [(3, 4)]),
           op="shape.Expand", second=True),
    OpCase("triangles", lambda x: (shaping.tril(x), shaping.triu(x, 1), shaping.tril(x, -1), shaping.triu(x, -2)),
           each_shape(normal, [(4, 4), (3, 5), (2, 4, 3), (0, 3)]), op="shape.Triangle", second=True),
]
