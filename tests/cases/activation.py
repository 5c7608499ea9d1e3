"""Rows of the activation family, and of the activation layers."""
import numpy as np

import minilayer as ml
from cases.base import (
    BIG,
    SHAPES,
    ErrorCase,
    KernelCase,
    LayerCase,
    OpCase,
    each_shape,
    normal,
    out,
    position,
)

F = ml.functional


def off_bends(rng, shape, dtype="float64"):
    """Values of either sign between 0.1 and 0.4 beyond a multiple of 1/2, up to 5: away from every bend in this file."""
    x = (0.5 * rng.integers(0, 10, shape) + rng.uniform(0.1, 0.4, shape)) * rng.choice([-1.0, 1.0], shape)
    return np.asarray(x).astype(dtype)


def away(rng, shape, dtype):
    """Values beyond 1, where x - tanh x keeps its digits."""
    return np.asarray(rng.uniform(1, 5, shape) * rng.choice([-1.0, 1.0], shape)).astype(dtype)


def unary(**settings):
    """Kernel samples (x, ->y)."""
    return lambda rng, dtype: [((normal(rng, s, dtype) * np.dtype(dtype).type(3), out(s, dtype)), settings)
                               for s in [*SHAPES, BIG]]


def unary_backward(**settings):
    """Kernel samples (x, dy, ->dx)."""
    return lambda rng, dtype: [((normal(rng, s, dtype) * np.dtype(dtype).type(3), normal(rng, s, dtype), out(s, dtype)),
                                settings) for s in [*SHAPES, BIG]]


SELU = dict(alpha=1.67, scale=1.05, input_scale=1.0)
CELU = dict(alpha=0.7, scale=1.0, input_scale=1 / 0.7)
SETTINGS = [
    ("hardtanh", dict(low=-1.0, high=0.75)), ("leaky_relu", dict(slope=0.1)), ("elu", SELU), ("elu", CELU), ("silu", {}),
    ("mish", {}), ("log_sigmoid", {}), ("tanhshrink", {}), ("softplus", dict(beta=1.0, threshold=20.0)),
    ("softplus", dict(beta=2.0, threshold=1.0)), ("softsign", {}), ("softshrink", dict(lambd=0.5)),
    ("hardshrink", dict(lambd=0.5)), ("hardsigmoid", {}), ("hardswish", {}), ("threshold", dict(threshold=0.1, value=-3.0)),
]
EXACT = {"hardtanh", "leaky_relu", "softshrink", "hardshrink", "threshold"}
CHANNELS = [(4, 3, 1), (2, 5, 7), (3, 1, 40), (0, 3, 4), (16, 17, 1), (300, 33, 1), (6, 9, 16), (1, 1, 40_000), (5, 2, 0), (70, 3, 260)]


def glu_samples(rng, dtype):
    return [((normal(rng, (r, 2, n), dtype), out((r, n), dtype)), {}) for r, n in [(3, 5), (1, 1), (0, 4), (2, 0), (7, 40),
                                                                                  (2, 20_000), (300, 33)]]


def glu_backward_samples(rng, dtype):
    return [((normal(rng, (r, 2, n), dtype), normal(rng, (r, n), dtype), out((r, 2, n), dtype)), {})
            for r, n in [(3, 5), (1, 1), (0, 4), (2, 0), (7, 40), (2, 20_000), (300, 33)]]


def prelu_samples(rng, dtype):
    return [((normal(rng, s, dtype), normal(rng, s[1:2], dtype), out(s, dtype)), {}) for s in CHANNELS]


def prelu_backward_samples(rng, dtype):
    for i, s in enumerate(CHANNELS):
        yield (normal(rng, s, dtype), normal(rng, s[1:2], dtype), normal(rng, s, dtype), out(s, dtype) if i % 4 != 1 else None,
               out(s[1:2], dtype) if i % 3 != 2 else None), {}


def rrelu_samples(rng, dtype):
    return [((normal(rng, s, dtype), normal(rng, s, dtype), position(rng), out(s, dtype)), {"lower": 0.125, "upper": 0.5})
            for s in [*SHAPES, (129,), BIG]]


KERNELS = [
    *[KernelCase("activation", name, unary(**settings), outs=(1,), strided=(0, 1), special=True,
                 bound=0 if name in EXACT else 16 if name == "elu" else 8)
      for name, settings in SETTINGS if name != "tanhshrink"],
    KernelCase("activation", "tanhshrink", lambda rng, dtype: [((away(rng, s, dtype), out(s, dtype)), {}) for s in [*SHAPES, BIG]],
               outs=(1,), strided=(0, 1), special=True, bound=16),
    *[KernelCase("activation", f"{name}_backward", unary_backward(**{k: v for k, v in settings.items() if k != "value"}),
                 outs=(2,), strided=(0, 1, 2), special=name != "tanhshrink", bound=0 if name in EXACT else 16,
                 scale="value" if name in EXACT else "max") for name, settings in SETTINGS],
    KernelCase("activation", "glu", glu_samples, outs=(1,), bound=8),
    KernelCase("activation", "glu_backward", glu_backward_samples, outs=(2,), bound=16, scale="max"),
    KernelCase("activation", "prelu", prelu_samples, outs=(2,), bound=0, special=True),
    KernelCase("activation", "prelu_backward", prelu_backward_samples, outs=(3, 4), accumulate=(4,), bound=512, scale="max"),
    KernelCase("activation", "rrelu", rrelu_samples, outs=(3,), bound=2, special=True),
]


def row(name, call, op, make=off_bends, **more):
    return OpCase(name, call, each_shape(make), op=f"activation.{op}", second=True, **more)


def generator():
    return ml.Generator(3)


OPS = [
    row("relu6", F.relu6, "Hardtanh"), row("hardtanh", lambda x: F.hardtanh(x, -2.0, 0.5), "Hardtanh"),
    row("leaky_relu", lambda x: (F.leaky_relu(x), F.leaky_relu(x, -0.5)), "LeakyRelu"),
    row("elu", lambda x: (F.elu(x), F.elu(x, 0.7)), "Elu"), row("celu", lambda x: (F.celu(x), F.celu(x, 0.7)), "Celu"),
    row("selu", F.selu, "Elu"), row("silu", F.silu, "Silu"), row("mish", F.mish, "Mish"),
    row("logsigmoid", F.logsigmoid, "LogSigmoid"), row("tanhshrink", F.tanhshrink, "Tanhshrink"),
    row("softplus", lambda x: (F.softplus(x), F.softplus(x, 2.0, 1.0)), "Softplus"),
    row("softsign", F.softsign, "Softsign"), row("softshrink", lambda x: F.softshrink(x, 1.0), "Softshrink"),
    row("hardshrink", F.hardshrink, "Hardshrink"), row("hardsigmoid", F.hardsigmoid, "Hardsigmoid"),
    row("hardswish", F.hardswish, "Hardswish"),
    row("threshold", lambda x: (F.threshold(x, 0.5, 7.0), F.threshold(x, -1.0, 0.0)), "Threshold"),
    OpCase("glu", lambda x: [F.glu(x, dim) for dim in (0, -1)],
           each_shape(normal, ((2, 4), (4, 3, 2), (2, 0, 2), (2, 6, 20))), op="activation.Glu"),
    OpCase("prelu", F.prelu, lambda rng: [(off_bends(rng, s), normal(rng, w)) for s, w in
                                          [((3, 4), (4,)), ((2, 3, 5), (3,)), ((2, 3, 2, 2), (1,)), ((), ()), ((5,), (1,)),
                                           ((0, 3), (3,)), ((2, 3, 0), (3,)), ((20, 33), (33,))]], op="activation.Prelu",
           second=True),
    OpCase("rrelu", lambda x: F.rrelu(x, 0.1, 0.6, True, rng=generator()), each_shape(off_bends), op="activation.Rrelu"),
    OpCase("rrelu in eval mode", lambda x: F.rrelu(x, 0.1, 0.6), each_shape(off_bends), op="activation.LeakyRelu", second=True),
    OpCase("softmin", lambda x: F.softmin(x, -1), each_shape(normal, ((3, 4), (2, 3, 5))), op="softmax.Softmax", second=True),
    OpCase("gumbel_softmax", lambda x: F.gumbel_softmax(x, 0.7, rng=generator()), each_shape(normal, ((3, 4), (2, 3, 5))),
           op="softmax.Softmax", second=True, low=False),
    *[OpCase(f"{name} in place", lambda x, f=f: f(x * 1.0), each_shape(off_bends), op=f"activation.{op}", second=True)
      for name, f, op in [
          ("relu6", lambda x: F.relu6(x, True), "Hardtanh"), ("hardtanh", F.hardtanh_, "Hardtanh"),
          ("leaky_relu", F.leaky_relu_, "LeakyRelu"), ("elu", F.elu_, "Elu"), ("celu", F.celu_, "Celu"),
          ("selu", F.selu_, "Elu"), ("silu", lambda x: F.silu(x, True), "Silu"), ("mish", lambda x: F.mish(x, True), "Mish"),
          ("hardsigmoid", lambda x: F.hardsigmoid(x, True), "Hardsigmoid"),
          ("hardswish", lambda x: F.hardswish(x, True), "Hardswish"),
          ("threshold", lambda x: F.threshold_(x, 0.5, 7.0), "Threshold")]],
    OpCase("relu_ in place", lambda x: F.relu_(x * 1.0), each_shape(off_bends), op="elementwise.Relu", second=True),
    OpCase("rrelu_ in place", lambda x: F.rrelu_(x * 1.0, training=True, rng=generator()), each_shape(off_bends),
           op="activation.Rrelu"),
]


def layer(name, *settings, shape=(4, 6), title=None, **more):
    made = getattr(ml, name)
    return LayerCase(title or name, lambda: made(*settings), lambda rng, dtype: (off_bends(rng, shape, dtype),), **more)


LAYERS = [
    *[layer(name) for name in ("ReLU", "ReLU6", "Hardtanh", "LeakyReLU", "PReLU", "ELU", "CELU", "SELU", "SiLU", "Mish", "Sigmoid",
                               "LogSigmoid", "Hardsigmoid", "Hardswish", "Tanh", "Tanhshrink", "Softplus", "Softsign",
                               "Softshrink", "Hardshrink", "GELU", "GLU")],
    layer("Hardtanh", -2.0, 1.5, title="Hardtanh wide"), layer("LeakyReLU", 0.3, title="LeakyReLU steep"),
    layer("PReLU", 6, 0.1, title="PReLU channels"), layer("PReLU", 3, shape=(2, 3, 4, 2), title="PReLU images"),
    layer("RReLU", random=True), layer("RReLU", 0.2, 0.2, title="RReLU of one slope"), layer("ELU", 0.5, title="ELU lower"),
    layer("CELU", 0.5, title="CELU lower"), layer("Softplus", 2.0, 1.0, title="Softplus sharp"),
    layer("Softshrink", 1.0, title="Softshrink far"), layer("Hardshrink", 1.0, title="Hardshrink far"),
    layer("Threshold", 0.5, -2.0), layer("GELU", "tanh", title="GELU tanh"), layer("GLU", 1, shape=(3, 4, 5), title="GLU channels"),
    layer("Softmax", -1), layer("Softmin", -1), layer("LogSoftmax", -1), layer("Softmax2d", shape=(2, 3, 2, 4)),
]

X = ml.ones(2, 4)
WHOLE = ml.tensor([[1, 2]])
ERRORS = []
NO_SETTINGS = ("relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "logsigmoid", "tanhshrink", "softplus",
               "softsign", "softshrink", "hardshrink", "hardsigmoid", "hardswish", "rrelu", "softmin", "gumbel_softmax")
PLACES = ("relu_", "hardtanh_", "leaky_relu_", "elu_", "celu_", "selu_", "rrelu_")
LEAF = ml.ones(3, requires_grad=True)
for _name in (*NO_SETTINGS, *PLACES):
    _f = getattr(F, _name)
    ERRORS += [ErrorCase(f"{_name}: a list", lambda f=_f: f([1.0]), TypeError, "expected a tensor, got list"),
               ErrorCase(f"{_name}: nothing", lambda f=_f: f(None), TypeError, "expected a tensor, got NoneType")]
for _name in ("leaky_relu", "elu", "celu", "selu", "silu", "mish", "logsigmoid", "softplus", "softshrink", "hardshrink", "hardsigmoid",
              "hardswish"):
    ERRORS += [ErrorCase(f"{_name}: integers", lambda n=_name: getattr(F, n)(WHOLE), TypeError, "a float32 or float64 tensor, got int64")]
for _name in PLACES:
    ERRORS += [ErrorCase(f"{_name}: a leaf", lambda n=_name: getattr(F, n)(LEAF), RuntimeError, "a leaf that requires a gradient")]
for _name in ("relu6", "tanhshrink", "softsign"):
    ERRORS += [ErrorCase(f"{_name}: an ndarray", lambda n=_name: getattr(F, n)(np.ones(2)), TypeError, "expected a tensor, got ndarray")]
ERRORS += [
    ErrorCase("relu6: bools", lambda: F.relu6(X > 0), TypeError, "hardtanh: expected numbers, got bool"),
    ErrorCase("relu6: a leaf in place", lambda: F.relu6(LEAF, True), RuntimeError, "a leaf that requires a gradient"),
    ErrorCase("hardtanh: bounds the wrong way round", lambda: F.hardtanh(X, 2.0, 1.0), ValueError, "min_val <= max_val, got 2.0 and 1.0"),
    ErrorCase("hardtanh: a text as bound", lambda: F.hardtanh(X, "a"), TypeError, "hardtanh: expected min_val to be a number"),
    ErrorCase("leaky_relu: a text as slope", lambda: F.leaky_relu(X, "a"), TypeError, "negative_slope to be a number, got 'a'"),
    ErrorCase("celu: alpha 0", lambda: F.celu(X, 0.0), ValueError, "celu: expected an alpha other than 0"),
    ErrorCase("softshrink: lambd below 0", lambda: F.softshrink(X, -1.0), ValueError, "softshrink: expected lambd of 0 or more"),
    ErrorCase("rrelu: bounds the wrong way round", lambda: F.rrelu(X, 0.5, 0.1), ValueError, "rrelu: .*lower <= upper, got 0.5 and 0.1"),
    ErrorCase("rrelu: integers", lambda: F.rrelu(WHOLE, training=True), TypeError, "rrelu: .*int64"),
    ErrorCase("rrelu: rng no generator", lambda: F.rrelu(X, rng=3), TypeError, "Generator"),
    ErrorCase("threshold: a list", lambda: F.threshold([1.0], 0, 0), TypeError, "threshold: expected a tensor"),
    ErrorCase("threshold: a text", lambda: F.threshold(X, "a", 0), TypeError, "threshold: expected threshold to be a number"),
    ErrorCase("threshold: integers", lambda: F.threshold(WHOLE, 0, 0), TypeError, "threshold: .*int64"),
    ErrorCase("threshold_: a list", lambda: F.threshold_([1.0], 0, 0), TypeError, "threshold_: expected a tensor"),
    ErrorCase("threshold_: a text", lambda: F.threshold_(X, 0, "a"), TypeError, "threshold_: expected value to be a number"),
    ErrorCase("threshold_: a leaf", lambda: F.threshold_(LEAF, 0, 0), RuntimeError, "a leaf that requires a gradient"),
    ErrorCase("glu: an odd size", lambda: F.glu(ml.ones(3)), ValueError, "glu: expected an even size along dim -1.*got 3"),
    ErrorCase("glu: a number", lambda: F.glu(ml.tensor(1.0)), ValueError, "glu: .*0-d"),
    ErrorCase("glu: an axis that is not there", lambda: F.glu(X, 2), IndexError, "glu: expected dim"),
    ErrorCase("glu: integers", lambda: F.glu(WHOLE), TypeError, "glu: .*int64"),
    ErrorCase("prelu: another number of weights", lambda: F.prelu(X, ml.ones(3)), ValueError, r"each of the 4 channels.*got shape \(3,\)"),
    ErrorCase("prelu: a weight of two axes", lambda: F.prelu(X, ml.ones(1, 4)), ValueError, r"got shape \(1, 4\)"),
    ErrorCase("prelu: a weight of another dtype", lambda: F.prelu(X, ml.ones(4).double()), TypeError, "float32 and float64"),
    ErrorCase("prelu: a number as weight", lambda: F.prelu(X, 0.25), TypeError, "prelu: expected tensors, got float"),
    ErrorCase("softmin: an axis that is not there", lambda: F.softmin(X, 2), IndexError, "softmax: expected dim"),
    ErrorCase("gumbel_softmax: integers", lambda: F.gumbel_softmax(WHOLE), TypeError, "gumbel_softmax: .*int64"),
    ErrorCase("gumbel_softmax: tau a text", lambda: F.gumbel_softmax(X, "a"), TypeError, "gumbel_softmax: expected tau to be a number"),
    ErrorCase("normalize: a list", lambda: F.normalize([1.0]), TypeError, "normalize: expected a tensor, got list"),
    ErrorCase("normalize: integers", lambda: F.normalize(WHOLE), TypeError, "normalize: .*int64"),
    ErrorCase("normalize: p no number", lambda: F.normalize(X, "a"), TypeError, "normalize: expected p to be a number"),
    ErrorCase("Hardtanh: bounds the wrong way round", lambda: ml.Hardtanh(1.0, 1.0), ValueError, "Hardtanh: expected min_val < max_val"),
    ErrorCase("LeakyReLU: a text as slope", lambda: ml.LeakyReLU("a"), TypeError, "LeakyReLU: expected negative_slope"),
    ErrorCase("PReLU: no parameters", lambda: ml.PReLU(0), ValueError, "PReLU: expected num_parameters >= 1"),
    ErrorCase("PReLU: other channels", lambda: ml.PReLU(3)(X), ValueError, "prelu: .*4 channels"),
    ErrorCase("RReLU: bounds the wrong way round", lambda: ml.RReLU(0.5, 0.1)(X), ValueError, "lower <= upper"),
    ErrorCase("ELU: a text as alpha", lambda: ml.ELU("a"), TypeError, "ELU: expected alpha"),
    ErrorCase("CELU: alpha 0", lambda: ml.CELU(0.0)(X), ValueError, "celu: expected an alpha other than 0"),
    ErrorCase("Softplus: a text as beta", lambda: ml.Softplus("a"), TypeError, "Softplus: expected beta"),
    ErrorCase("Softshrink: lambd below 0", lambda: ml.Softshrink(-1.0)(X), ValueError, "lambd of 0 or more"),
    ErrorCase("Hardshrink: a text as lambd", lambda: ml.Hardshrink("a"), TypeError, "Hardshrink: expected lambd"),
    ErrorCase("Threshold: a text as value", lambda: ml.Threshold(0.0, "a"), TypeError, "Threshold: expected value"),
    ErrorCase("Threshold: integers", lambda: ml.Threshold(0, 1)(WHOLE), TypeError, "threshold: .*int64"),
    ErrorCase("Threshold: a list", lambda: ml.Threshold(0, 1)([1.0]), TypeError, "expected a tensor, got list"),
    ErrorCase("GLU: no axis", lambda: ml.GLU(None), TypeError, "GLU: expected dim to be an integer, got None"),
    ErrorCase("GLU: an odd size", lambda: ml.GLU()(ml.ones(3)), ValueError, "glu: expected an even size"),
    ErrorCase("GLU: half an axis", lambda: ml.GLU(0.5), TypeError, "GLU: expected dim"),
    ErrorCase("Softmin: half an axis", lambda: ml.Softmin(0.5), TypeError, "Softmin: expected dim"),
    ErrorCase("Softmax2d: two axes", lambda: ml.Softmax2d()(X), ValueError, r"Softmax2d: .*\(C, H, W\), got \(2, 4\)"),
]
for _name in ("ReLU6", "Hardtanh", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "SiLU", "Mish", "LogSigmoid", "Hardsigmoid",
              "Hardswish", "Tanhshrink", "Softplus", "Softsign", "Softshrink", "Hardshrink", "GLU", "Softmin", "Softmax2d"):
    _layer = getattr(ml, _name)
    ERRORS += [
        ErrorCase(f"{_name}: a mode that is no bool", lambda f=_layer: f().train("yes"), ValueError, "train: expected True or False"),
        ErrorCase(f"{_name}: state of another model", lambda f=_layer: f().load_state_dict({"nobody": ml.ones(1)}), RuntimeError,
                  f"does not fit {_name}: .*unexpected: nobody"),
        ErrorCase(f"{_name}: an integer", lambda f=_layer: f()(3), (TypeError, AttributeError), "int"),
    ]
