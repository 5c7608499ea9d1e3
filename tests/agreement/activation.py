"""Activations, as layers and as functions."""
import numpy as np

from agreement.row import Each, Row

BENDS = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, 20.0, -20.0, 21.0, 100.0, -100.0, 1e4, -1e4, np.inf, -np.inf, np.nan])
INPLACE = [False, True]


def values(rng, shape=(3, 4, 6)):
    """Normal values of some width, and bends and extremes among them."""
    x = rng.standard_normal(shape) * 3
    x.reshape(-1)[:len(BENDS)] = BENDS
    return x


def through(f, args, options):
    """Of a copy, which `inplace` writes to: it is given too."""
    x = args[0] * 1.0
    return f(x), x


def function_through(f, args, options):
    return through(lambda x: f(x, **options), args, options)


def layer(name, **options):
    return Row(name, options=options, inputs=lambda rng, o: (values(rng),), call=through)


def function(name, **options):
    return Row(f"functional.{name}", options=options, inputs=lambda rng, o: (values(rng),),
               call=function_through)


def softmax_like(name, function=False):
    options = dict(dim=[None, 0, 1, -1])
    if function:
        options["dtype"] = [None, Each(lambda lib: lib.root.float64, "float64")]

    def inputs(rng, o):
        x = rng.standard_normal([(3, 4), (2, 3, 4), (2, 2, 3, 2)][rng.integers(3)]) * 3
        return (x.astype(np.int64) if function and rng.random() < 0.4 else x,)      # (whole numbers need a dtype)
    return Row(name, options=options, samples=4, only={"_stacklevel": "of warnings"}, inputs=inputs)


ROWS = [
    layer("ReLU", inplace=INPLACE), layer("ReLU6", inplace=INPLACE), layer("LeakyReLU", negative_slope=[0.01, 0.3], inplace=INPLACE),
    layer("ELU", alpha=[1.0, 0.5], inplace=INPLACE), layer("CELU", alpha=[1.0, 0.5, 1.3], inplace=INPLACE),
    layer("SELU", inplace=INPLACE), layer("SiLU", inplace=INPLACE), layer("Mish", inplace=INPLACE),
    layer("Hardsigmoid", inplace=INPLACE), layer("Hardswish", inplace=INPLACE),
    Row("Hardtanh", options=dict(min_val=[-1.0, -2.5], max_val=[1.0, 0.5], inplace=INPLACE, min_value=[None, -0.75],
                                 max_value=[None, 0.75]), inputs=lambda rng, o: (values(rng),), call=through),
    layer("Threshold", threshold=[0.5, -1.0], value=[0.0, 7.0], inplace=INPLACE),
    layer("Softplus", beta=[1.0, 2.0, 0.5], threshold=[20.0, 1.0]), layer("Softshrink", lambd=[0.5, 0.0, 1.0]),
    layer("Hardshrink", lambd=[0.5, 0.0, 1.0]), layer("GELU", approximate=["none", "tanh"]),
    *[Row(name, inputs=lambda rng, o: (values(rng),)) for name in ("Sigmoid", "Tanh", "LogSigmoid", "Tanhshrink", "Softsign")],
    Row("PReLU", options=dict(num_parameters=[1, 4, 3], init=[0.25, -0.5]), samples=5,
        inputs=lambda rng, o: (rng.standard_normal([(3, 4), (3, 4, 6), (3, 3), (2, 3, 5), (2, 3, 2, 3)][rng.integers(5)]),),
        call=lambda f, args, o: (f(*args), type(f)(**o).weight.detach())),      # (the runner loads values of its own)
    Row("RReLU", options=dict(lower=[0.125, 0.2], upper=[1 / 3, 0.2], inplace=INPLACE), draws=True,
        inputs=lambda rng, o: (values(rng),), call=through),
    Row("GLU", options=dict(dim=[-1, 0, 1]), inputs=lambda rng, o: (rng.standard_normal((2, 4, 6)) * 3,)),
    Row("Softmax2d", inputs=lambda rng, o: (rng.standard_normal([(2, 3, 4, 2), (3, 4, 2)][rng.integers(2)]),), samples=4),
    *[softmax_like(name) for name in ("Softmax", "LogSoftmax", "Softmin")],
    *[softmax_like(f"functional.{name}", True) for name in ("softmax", "log_softmax", "softmin")],
    function("relu", inplace=INPLACE), function("relu6", inplace=INPLACE), function("silu", inplace=INPLACE),
    function("mish", inplace=INPLACE), function("hardsigmoid", inplace=INPLACE), function("hardswish", inplace=INPLACE),
    function("selu", inplace=INPLACE), function("elu", alpha=[1.0, 0.5], inplace=INPLACE),
    function("celu", alpha=[1.0, 0.5, 1.3], inplace=INPLACE), function("leaky_relu", negative_slope=[0.01, 0.3], inplace=INPLACE),
    function("hardtanh", min_val=[-1.0, -2.0], max_val=[1.0, 0.5], inplace=INPLACE),
    function("threshold", threshold=[0.5, -1.0], value=[0.0, 7.0], inplace=INPLACE),
    function("softplus", beta=[1, 3.0], threshold=[20, 2.0]), function("softshrink", lambd=[0.5, 1.0]),
    function("hardshrink", lambd=[0.5, -1.0, 0.0]), function("gelu", approximate=["none", "tanh"]), function("logsigmoid"),
    function("tanhshrink"), function("softsign"), function("sigmoid"), function("tanh"), function("relu_"), function("selu_"),
    function("elu_", alpha=[1.0, 0.5]), function("celu_", alpha=[1.0, 0.5, 1.3]), function("leaky_relu_", negative_slope=[0.01, 0.3]),
    function("hardtanh_", min_val=[-1.0, -2.0], max_val=[1.0, 0.5]), function("threshold_", threshold=[0.5, -1.0], value=[0.0, 7.0]),
    Row("functional.rrelu", options=dict(lower=[0.125, 0.3], upper=[1 / 3, 0.3], training=[False], inplace=INPLACE),
        inputs=lambda rng, o: (values(rng),), call=function_through,
        only={"training": "draws: test_activation.py looks at the slopes"}),
    Row("functional.rrelu_", options=dict(lower=[0.125, 0.3], upper=[1 / 3, 0.3], training=[False]),
        inputs=lambda rng, o: (values(rng),), call=function_through,
        only={"training": "draws: test_activation.py looks at the slopes"}),
    Row("functional.glu", options=dict(dim=[-1, 0, 1]), inputs=lambda rng, o: (rng.standard_normal((2, 4, 6)) * 3,)),
    Row("functional.prelu", inputs=lambda rng, o: [
        (rng.standard_normal((3, 4)), rng.standard_normal(4)), (rng.standard_normal((5, 4, 6)), rng.standard_normal(1)),
        (rng.standard_normal(5), rng.standard_normal(1)), (rng.standard_normal(()) + 0, np.array(0.3)),
        (rng.standard_normal((2, 3)), rng.standard_normal(2))][rng.integers(5)], samples=12),
]
