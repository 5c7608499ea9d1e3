"""Resizing, and elements in another order."""
from agreement.row import Row, normal

SHAPES = {1: (2, 3, 7), 2: (2, 3, 7, 6), 3: (1, 2, 5, 4, 6)}
KINDS = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,), "trilinear": (3,), "bicubic": (2,)}



def corners(o):
    return o["mode"] not in ("nearest", "nearest-exact", "area") or o["align_corners"] is None


def sizes(n):
    return [1, 10, (11, 3, 12)[3 - n:], (7, 6) if n == 2 else 5]


def factors(n):
    return [1.7, (1.3, 0.6, 2.5)[3 - n:], 2, 0.5]


ROWS = []
for n in (1, 2, 3):
    modes = [m for m, k in KINDS.items() if n in k]
    ROWS += [
        Row("Upsample", options=dict(size=sizes(n), mode=modes, align_corners=[None, False, True], scale_factor=[None], recompute_scale_factor=[None, False]),
            inputs=normal(*SHAPES[n]), valid=corners, modes=("train",), only={"scale_factor": "the next row"},
            inert={"recompute_scale_factor": "it is for scale_factor: the next row"}),
        Row("Upsample", options=dict(scale_factor=factors(n), mode=modes, align_corners=[None, False, True], recompute_scale_factor=[None, True, False]),
            inputs=normal(*SHAPES[n]), valid=corners, modes=("train",), only={"size": "the row before"}),
        Row("functional.interpolate", options=dict(size=sizes(n), mode=modes, align_corners=[None, False, True]), inputs=normal(*SHAPES[n]), valid=corners,
            samples=2, only={"scale_factor": "the next row", "recompute_scale_factor": "the next row", "antialias": "the row of images"}),
        Row("functional.interpolate", options=dict(scale_factor=factors(n), mode=modes, align_corners=[None, False, True], recompute_scale_factor=[None, True, False]),
            inputs=normal(*SHAPES[n]), valid=corners, samples=2, only={"size": "the row before", "antialias": "the row of images"}),
        Row("functional.upsample", options=dict(size=sizes(n), mode=modes, align_corners=[None, False, True]), inputs=normal(*SHAPES[n]), valid=corners,
            only={"scale_factor": "of interpolate, which it calls"}),
    ]
ROWS += [
    Row("functional.interpolate", options=dict(size=[2, 10, (11, 4), (3, 9)], mode=["bilinear", "bicubic"], align_corners=[False, True], antialias=[True, False]),
        inputs=normal(*SHAPES[2]), samples=2, only={"scale_factor": "the next row", "recompute_scale_factor": "the next row"}),
    Row("functional.interpolate", options=dict(scale_factor=[0.4, 2, (0.6, 1.6)], mode=["bilinear", "bicubic"], align_corners=[False, True],
                                               recompute_scale_factor=[None, True], antialias=[True, False]),
        inputs=normal(*SHAPES[2]), samples=2, only={"size": "the row before"}),
    Row("functional.interpolate", options=dict(size=[3, (5, 9)], mode=["lanczos"], align_corners=[None, False, True], antialias=[True]),
        inputs=normal(*SHAPES[2]), samples=2, refused={"align_corners": "lanczos takes no True"},
        only={"antialias": "the next row", **dict.fromkeys(("scale_factor", "recompute_scale_factor", "mode"), "the rows before")}),
    Row("functional.interpolate", options=dict(size=[3, (5, 9)], mode=["lanczos"], antialias=[True, False]), inputs=normal(*SHAPES[2]),
        refused={"antialias": "lanczos takes no False"}, only=dict.fromkeys(("scale_factor", "recompute_scale_factor", "mode", "align_corners"), "the rows before")),
    Row("UpsamplingNearest2d", options=dict(size=[5, (3, 9)]), inputs=normal(*SHAPES[2]), modes=("train",), only={"scale_factor": "the next row"}),
    Row("UpsamplingNearest2d", options=dict(scale_factor=[2, (0.6, 1.6)]), inputs=normal(*SHAPES[2]), modes=("train",), only={"size": "the row before"}),
    Row("UpsamplingBilinear2d", options=dict(size=[5, (3, 9)]), inputs=normal(*SHAPES[2]), modes=("train",), only={"scale_factor": "the next row"}),
    Row("UpsamplingBilinear2d", options=dict(scale_factor=[2, (0.6, 1.6)]), inputs=normal(*SHAPES[2]), modes=("train",), only={"size": "the row before"}),
    *[Row(f"functional.upsample_{kind}", options={name: values}, inputs=normal(*SHAPES[2]), only={other: "the other row"})
      for kind in ("nearest", "bilinear")
      for name, values, other in (("size", [5, (3, 9)], "scale_factor"), ("scale_factor", [2, 3], "size"))],
    Row("PixelShuffle", options=dict(upscale_factor=[1, 2, 3]), inputs=normal(2, 36, 3, 2), modes=("train",)),
    Row("functional.pixel_shuffle", options=dict(upscale_factor=[1, 2, 3]), inputs=normal(36, 3, 2)),
    Row("PixelUnshuffle", options=dict(downscale_factor=[1, 2, 3]), inputs=normal(2, 3, 6, 12), modes=("train",)),
    Row("functional.pixel_unshuffle", options=dict(downscale_factor=[1, 2, 3]), inputs=normal(3, 6, 12)),
    Row("ChannelShuffle", options=dict(groups=[1, 2, 3]), inputs=normal(2, 6, 4), modes=("train",)),
    Row("functional.channel_shuffle", options=dict(groups=[1, 2, 3, 4]), inputs=normal(2, 6, 4, 3), refused={"groups": "4 does not divide 6 channels"}),
    Row("Unflatten", options=dict(dim=[1, -1], unflattened_size=[(2, 3), (3, -1), [2, 3, 1]]), inputs=normal(3, 6, 6), modes=("train",)),
    Row("Flatten", options=dict(start_dim=[0, 1, -2], end_dim=[-1, 2]), inputs=normal(2, 3, 4, 5), modes=("train",)),
]
