"""Rows of the fold family."""

import minilayer as ml
from cases.base import ErrorCase, KernelCase, LayerCase, OpCase, normal, out

F = ml.functional

# x (B, C, H, W), kernel, stride, padding, dilation
WINDOWS = [
    ((2, 3, 7, 9), (3, 3), (1, 1), (1, 1), (1, 1)), ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    ((2, 4, 9, 8), (3, 2), (2, 3), (1, 2), (2, 1)), ((1, 2, 2, 3), (2, 4), (1, 2), (3, 4), (1, 1)),
    ((1, 3, 6, 6), (3, 2), (3, 2), (5, 4), (2, 3)), ((0, 2, 5, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((3, 7, 33, 31), (3, 3), (1, 1), (1, 1), (1, 1)), ((2, 2, 5, 7), (1, 1), (4, 5), (0, 0), (1, 1))]


def samples(kernel):
    """(x, ->y) or (y, ->x)"""
    def make(rng, dtype):
        for shape, taps, stride, padding, dilation in WINDOWS:
            count = [(n + 2 * t - d * (k - 1) - 1) // s + 1
                     for n, t, d, k, s in zip(shape[2:], padding, dilation, taps, stride, strict=True)]
            columns = (*shape[:2], *taps, *count)
            settings = {"stride": stride, "padding": padding, "dilation": dilation}
            first, second = (shape, columns) if kernel == "unfold" else (columns, shape)
            yield (normal(rng, first, dtype), out(second, dtype)), settings
    return make


KERNELS = [
    KernelCase("fold", "unfold", samples("unfold"), outs=(1,), bound=0),
    KernelCase("fold", "fold", samples("fold"), outs=(1,), bound=8, scale="terms"),
]
OPS = [
    OpCase("unfold", lambda x: (F.unfold(x, (2, 3), padding=(1, 2), stride=(1, 2)), F.unfold(x.transpose(-1, -2), 2, dilation=2)),
           lambda rng: [(normal(rng, s),) for s in [(2, 3, 5, 4), (3, 4, 5), (0, 2, 4, 4)]], op="fold.Unfold", second=True),
    OpCase("fold", lambda x: F.fold(x, (5, 4), (2, 3), dilation=(2, 1), padding=1, stride=(2, 1)),
           lambda rng: [(normal(rng, s),) for s in [(2, 12, 12), (6, 12), (0, 6, 12)]], op="fold.Fold", second=True),
    OpCase("fold of turned columns", lambda x: F.fold(x.transpose(-1, -2), 4, 3, padding=1),
           lambda rng: [(normal(rng, (2, 16, 18)),)], op="fold.Fold", second=True),
]
LAYERS = [
    LayerCase("Unfold", lambda: ml.Unfold(3, padding=1, stride=(1, 2)), lambda rng, dtype: (normal(rng, (2, 3, 4, 5), dtype),)),
    LayerCase("Fold", lambda: ml.Fold((4, 5), (3, 2), dilation=(1, 2), padding=1), lambda rng, dtype: (normal(rng, (2, 12, 20), dtype),)),
]
ERRORS = [
    ErrorCase("unfold: a list", lambda: F.unfold([1.0], 2), TypeError, "unfold: expected a tensor"),
    ErrorCase("unfold: integers", lambda: F.unfold(ml.ones(1, 1, 4, 4).long(), 2), TypeError, "unfold: expected float32 or float64"),
    ErrorCase("unfold: two axes", lambda: F.unfold(ml.ones(4, 4), 2), ValueError, r"unfold: expected an input of shape \(B, C, H, W\)"),
    ErrorCase("unfold: no channels", lambda: F.unfold(ml.ones(2, 0, 4, 4), 2), ValueError, "none of them 0 but B"),
    ErrorCase("unfold: a kernel that does not fit", lambda: F.unfold(ml.ones(1, 1, 4, 4), 5), ValueError, "unfold: .*holds the kernel"),
    ErrorCase("unfold: no kernel", lambda: F.unfold(ml.ones(1, 1, 4, 4), 0), ValueError, "unfold: expected kernel_size of 1"),
    ErrorCase("unfold: three strides", lambda: F.unfold(ml.ones(1, 1, 4, 4), 2, stride=(1, 1, 1)), TypeError, "unfold: .*pair"),
    ErrorCase("fold: a list", lambda: F.fold([1.0], 4, 2), TypeError, "fold: expected a tensor"),
    ErrorCase("fold: rows that do not divide", lambda: F.fold(ml.ones(2, 13, 25), 6, 2), ValueError, "fold: .*multiple of 4"),
    ErrorCase("fold: other windows", lambda: F.fold(ml.ones(2, 12, 24), 6, 2), ValueError, r"fold: expected 5 \* 5 = 25 windows .*got 24"),
    ErrorCase("fold: four axes", lambda: F.fold(ml.ones(1, 2, 12, 25), 6, 2), ValueError, "fold: expected an input of shape"),
    ErrorCase("fold: negative padding", lambda: F.fold(ml.ones(2, 12, 25), 6, 2, padding=-1), ValueError, "fold: expected padding of 0"),
    ErrorCase("Unfold: half a kernel", lambda: ml.Unfold(1.5), TypeError, "Unfold: expected kernel_size to be integers"),
    ErrorCase("Unfold: three numbers", lambda: ml.Unfold((1, 1, 1)), ValueError, "Unfold: .*pair"),
    ErrorCase("Unfold: stride 0", lambda: ml.Unfold(2, stride=0), ValueError, "Unfold: expected stride >= 1"),
    ErrorCase("Fold: half a kernel", lambda: ml.Fold(4, 1.5), TypeError, "Fold: expected kernel_size to be integers"),
    ErrorCase("Fold: three numbers", lambda: ml.Fold((4, 4, 4), 2), ValueError, "Fold: .*pair"),
    ErrorCase("Fold: negative padding", lambda: ml.Fold(4, 2, padding=-1), ValueError, "Fold: expected padding >= 0"),
]
