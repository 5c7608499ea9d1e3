"""Functions that make tensors."""
import numpy as np

from agreement.row import Row

TYPES = dict(dtype="the runner's types are of tensors")
DRAWN = dict.fromkeys(("low", "high"), "what is drawn is not compared")
bare = dict(grads=False, only=TYPES)


def sizes(f, x, o):
    return f(*o["size"])


def like(rng, o):
    return (rng.standard_normal((2, 3)),)


ROWS = [
    Row("torch.arange", dict(start=[0, 2, -1.5], end=[5, 7.25], step=[1, 2, 0.5]), call=lambda f, x, o: f(o["start"], o["end"], o["step"]), **bare),
    Row("torch.linspace", dict(start=[0, -1.5], end=[2, 5.0], steps=[1, 2, 7]), **bare),
    Row("torch.logspace", dict(start=[0, -1.5], end=[2, 1.0], steps=[1, 5], base=[10.0, 2.0]), bound=(1e-6, "float32 numbers by both"), **bare),
    *[Row(f"torch.{n}", dict(size=[(2, 3), (0,), ()]), call=lambda f, x, o: f(o["size"]), **bare) for n in ("zeros", "ones")],
    Row("torch.full", dict(size=[(2, 3), ()], fill_value=[2, 0.5, True]), **bare), Row("torch.eye", dict(n=[3, 2], m=[2, 5]), call=lambda f, x, o: f(o["n"], o["m"]), **bare),
    *[Row(f"torch.{n}_like", {}, like, **bare) for n in ("zeros", "ones")], Row("torch.full_like", dict(fill_value=[1, 0.5]), like, **bare),
    *[Row(f"torch.{n}_like", {}, like, grads=False, call=lambda f, x, o: f(*x) * 0, only=TYPES) for n in ("rand", "randn", "empty")],
    Row("torch.randint_like", dict(low=[0, 3], high=[9, 10]), like, grads=False, call=lambda f, x, o: f(*x, **o) * 0, only=TYPES, inert=DRAWN),
    *[Row(f"torch.{n}", dict(row=[3, 5], col=[4, 2], offset=[0, 1, -2]), **bare) for n in ("tril_indices", "triu_indices")],
    *[Row(f"torch.{n}", dict(size=[(2, 3), (4,)]), call=lambda f, x, o: f(*o["size"]) * 0, **bare) for n in ("rand", "randn", "empty")],
    Row("torch.randint", dict(low=[0, 2], high=[5, 7], size=[(2, 3), (4,)]), call=lambda f, x, o: f(o["low"], o["high"], o["size"]) * 0, inert=DRAWN, **bare),
    Row("torch.randperm", dict(n=[5, 1]), call=lambda f, x, o: f(o["n"]).sort()[0], **bare),
    Row("torch.bernoulli", {}, lambda rng, o: (rng.integers(0, 2, (3, 4)).astype(float),), grads=False, only=dict(p="another form")),
    Row("torch.multinomial", dict(num_samples=[1, 5], replacement=[False, True]), lambda rng, o: (np.eye(6)[2] if o["num_samples"] == 1 or o["replacement"] else np.ones(5),), grads=False, call=lambda f, x, o: f(*x, **o).sort()[0]),
    Row("torch.normal", dict(std=[0.0]), lambda rng, o: (rng.standard_normal(4),), grads=False, call=lambda f, x, o: f(x[0], x[0] * 0), only=dict(std="given by the row", size="given by the row", dtype="given by the row")),
]
