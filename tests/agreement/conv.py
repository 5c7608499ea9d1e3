"""Convolution, forwards and transposed, and fold."""
from agreement.row import Row

SIZES = {1: (9,), 2: (7, 8), 3: (5, 6, 4)}


def images(n, channels="in_channels", size=None):
    """Inputs with a batch, or without where the stride is not 1."""
    def inputs(rng, o):
        lead = (2,) if o.get("bias", True) else ()
        return (rng.standard_normal((*lead, o[channels], *(size or SIZES[n]))),)
    return inputs


def conv(n):
    mixed = {1: 2, 2: (2, 3), 3: (2, 1, 3)}[n]
    steps = {1: 2, 2: (2, 1), 3: (2, 1, 2)}[n]
    return Row(f"Conv{n}d", options=dict(
        in_channels=[4, 6], out_channels=[6, 2], kernel_size=[3, mixed], stride=[1, 2, steps], padding=[0, 1, "same", "valid", steps],
        dilation=[1, {1: (2,), 2: (1, 2), 3: (2, 1, 1)}[n]], groups=[1, 2], bias=[True, False],
        padding_mode=["zeros", "reflect", "replicate", "circular"]), inputs=images(n),
        valid=lambda o: o["padding"] != "same" or o["stride"] == 1)


def transposed(n):
    mixed = {1: 4, 2: (2, 3), 3: (2, 1, 3)}[n]
    steps = {1: 2, 2: (2, 3), 3: (2, 1, 2)}[n]
    return Row(f"ConvTranspose{n}d", options=dict(
        in_channels=[4, 6], out_channels=[6, 2], kernel_size=[3, mixed], stride=[1, 2, steps], padding=[0, 1],
        output_padding=[0, {1: 1, 2: (1, 0), 3: (1, 0, 1)}[n]], groups=[1, 2], bias=[True, False],
        dilation=[1, 2], padding_mode=["zeros"]), inputs=images(n, size=SIZES[n][:2] + SIZES[n][2:]),
        only={"padding_mode": "PyTorch has no other"})


def transposed_to_size(n):
    """`output_size` of forward: the sizes between the multiples of the stride, and one that cannot be."""
    return Row(f"ConvTranspose{n}d", options=dict(
        in_channels=[4], out_channels=[2], kernel_size=[3, 2], stride=[3], padding=[0, 1], output_padding=[0, 1], groups=[1, 2], bias=[True, False],
        dilation=[1, 2], padding_mode=["zeros"]), inputs=lambda rng, o: (rng.standard_normal((2, 4, *SIZES[n])),),
        samples=2, call=lambda f, x, o: f(x[0], output_size=[
            (m - 1) * 3 - 2 * o["padding"] + o["dilation"] * (o["kernel_size"] - 1) + 1 + (i + o["output_padding"]) % 3
            + 3 * o["output_padding"] * (o["groups"] - 1)
            for i, m in enumerate(SIZES[n])]),
        only=dict.fromkeys(("in_channels", "out_channels", "stride", "padding_mode"), "the row before has it"))


def function(n):
    """F.conv: weight and bias are inputs like x."""
    return Row(f"functional.conv{n}d", options=dict(stride=[1, 2, (2,)], padding=[0, 1, "same", "valid"], dilation=[1, 2, (1,) * n], groups=[1, 2]),
               inputs=lambda rng, o: (rng.standard_normal((2, 4, *SIZES[n])), rng.standard_normal((6, 4 // o["groups"], *(3, 2, 2)[:n])),
                                      rng.standard_normal(6) if o["padding"] else None))


def transposed_function(n):
    return Row(f"functional.conv_transpose{n}d", options=dict(
        stride=[1, 2, (3,)], padding=[0, 1, (2,)], output_padding=[0, 1, (1,) * n], groups=[1, 2], dilation=[1, 2]),
        inputs=lambda rng, o: (rng.standard_normal((2, 4, *SIZES[n])), rng.standard_normal((4, 6 // o["groups"], *(3, 2, 3)[:n])),
                               rng.standard_normal(6) if o["padding"] else None))


def lazy_conv(n):
    return Row(f"LazyConv{n}d", options=dict(
        out_channels=[6, 2], kernel_size=[3, {1: 2, 2: (2, 3), 3: (2, 1, 3)}[n]], stride=[1, 2], padding=[0, 1, "valid"], dilation=[1, 2],
        groups=[1, 2], bias=[True, False], padding_mode=["zeros", "circular"]),
        inputs=lambda rng, o: (rng.standard_normal((2, 4, *SIZES[n])),))


def lazy_transposed(n):
    return Row(f"LazyConvTranspose{n}d", options=dict(
        out_channels=[6, 2], kernel_size=[3, 2], stride=[1, 2], padding=[0, 1], output_padding=[0, 1], groups=[1, 2], bias=[True, False],
        dilation=[1, 2], padding_mode=["zeros"]), inputs=lambda rng, o: (rng.standard_normal((2, 4, *SIZES[n])),),
        only={"padding_mode": "PyTorch has no other"})


def lazy_norm(kind, n):
    """Weights, bias and statistics by the number of channels of the first input."""
    return Row(f"Lazy{kind}Norm{n}d", options=dict(
        eps=[1e-5, 0.1], momentum=[0.1, 0.7], affine=[True, False], track_running_stats=[True, False], bias=[True, False]),
        inputs=lambda rng, o: (rng.standard_normal((3, 4, *SIZES[n])) * 2 + 1,))


ROWS = [row for n in (1, 2, 3) for row in (
    conv(n), transposed(n), transposed_to_size(n), function(n), transposed_function(n), lazy_conv(n), lazy_transposed(n), lazy_norm("Batch", n), lazy_norm("Instance", n))] + [
    Row("LazyLinear", options=dict(out_features=[3, 1], bias=[True, False]), inputs=lambda rng, o: (rng.standard_normal((2, 4)),)),
    Row("Unfold", options=dict(kernel_size=[2, (3, 2)], dilation=[1, (1, 2)], padding=[0, (2, 1)], stride=[1, (2, 3)]),
        inputs=lambda rng, o: (rng.standard_normal((2, 3, 6, 5) if o["padding"] else (3, 6, 5)),)),
    Row("Fold", options=dict(output_size=[(6, 5), 6], kernel_size=[2, (3, 2)], dilation=[1, (1, 2)], padding=[0, (2, 1)], stride=[1, (2, 3)]),
        inputs=lambda rng, o: (rng.standard_normal((*((2,) if o["padding"] else ()), 12, windows(o))),)),
    Row("functional.unfold", options=dict(kernel_size=[2, (3, 2), 7], dilation=[1, 2], padding=[0, 1], stride=[1, 2]),
        inputs=lambda rng, o: (rng.standard_normal((2, 3, 6, 5)),)),
    Row("functional.fold", options=dict(output_size=[(6, 5), 6], kernel_size=[2, (3, 2)], dilation=[1, 2], padding=[0, 1], stride=[1, 2]),
        inputs=lambda rng, o: (rng.standard_normal((2, 12, windows(o))),)),
    Row("functional.fold", options=dict(output_size=[6], kernel_size=[2, (2, 3)], dilation=[1, 2], padding=[0, 1], stride=[1, 2]),
        inputs=lambda rng, o: (rng.standard_normal((2, 12, 25)),), only={"output_size": "the row before has it"},
        refused=dict.fromkeys(("kernel_size", "dilation", "padding", "stride"), "25 windows are right for one choice alone"))]


def windows(o):
    """How many windows an image of output_size has."""
    count = 1
    for i in range(2):
        n, k, d, t, s = [v[i] if isinstance(v, tuple) else v for v in
                         (o["output_size"], o["kernel_size"], o["dilation"], o["padding"], o["stride"])]
        count *= (n + 2 * t - d * (k - 1) - 1) // s + 1
    return count
