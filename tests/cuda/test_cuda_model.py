"""A small classifier on "cuda" computes what it computes on the CPU: values, gradients, and steps of training."""
import numpy as np
import pytest

import minilayer as ml

F = ml.functional


class Classifier(ml.Layer):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = ml.Linear(5, 6), ml.LayerNorm(6), ml.Linear(6, 3)

    def forward(self, x):
        return self.second(F.relu(self.norm(self.first(x))))


def made(dtype, device):
    ml.manual_seed(4)
    model = Classifier()
    model = model.double() if dtype == "float64" else model
    return model.to(device)


def train(device, dtype, make_optimizer, steps=4):
    """(losses, gradients of the first step, parameters at the end), on the host."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((7, 5)).astype(dtype), rng.integers(0, 3, 7)
    model = made(dtype, device)
    optimizer = make_optimizer(model.parameters())
    x, labels = ml.tensor(x).to(device), ml.tensor(labels).to(device)
    losses, first = [], None
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        assert loss.device == device
        if first is None:
            first = [p.grad.cpu().numpy().copy() for p in model.parameters()]
        optimizer.step()
        losses.append(loss.item())
    for p in model.parameters():
        assert p.device == device and p.grad.device == device
    return losses, first, [p.detach().cpu().numpy() for p in model.parameters()]


# The largest difference allowed, as part of the largest value. float32: about 30 roundings of 6e-8 on the way through each
# step; Adam's quotient m / sqrt(v) turns a gradient's relative error into a step's.
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make_optimizer", [
    lambda p: ml.optim.Adam(p, lr=0.02), lambda p: ml.optim.AdamW(p, lr=0.02, amsgrad=True),
    lambda p: ml.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)], ids=["adam", "adamw", "sgd"])
def test_trains_to_the_cpus_numbers(dtype, make_optimizer):
    here, there = train("cpu", dtype, make_optimizer), train("cuda", dtype, make_optimizer)
    assert here[0][-1] < here[0][0], "the model does not learn"
    for what, a, b in zip(("losses", "gradients", "parameters"), here, there, strict=True):
        for x, y in zip(a, b, strict=True):
            x, y = np.asarray(x), np.asarray(y)
            room = TOLERANCE[dtype] * max(np.abs(x).max(), 1e-2)
            assert np.abs(x - y).max() <= room, f"{what}: {np.abs(x - y).max():.3g} apart, {room:.3g} allowed"


def test_the_same_bits_every_time():
    one, two = (train("cuda", "float32", lambda p: ml.optim.Adam(p, lr=0.02), steps=2) for _ in range(2))
    assert one[0] == two[0] and all(a.tobytes() == b.tobytes() for a, b in zip(one[2], two[2], strict=True))


def test_sabotage_is_seen(monkeypatch):
    """A CUDA kernel that is off by a thousandth fails the comparison."""
    from minilayer._ext import norm_cuda
    right = norm_cuda.layer_norm

    def wrong(x, w, b, y, mean, rstd, *, eps=1e-5):
        right(x, w, b, y, mean, rstd, eps=eps + 1e-3)
    monkeypatch.setattr(norm_cuda, "layer_norm", wrong)
    with pytest.raises(AssertionError, match="apart"):
        test_trains_to_the_cpus_numbers("float32", lambda p: ml.optim.Adam(p, lr=0.02))


def test_state_travels(rng):
    """A model trained on one device goes on, on the other, through its state_dict."""
    model = made("float32", "cuda")
    state = model.state_dict()
    other = made("float32", "cpu")
    with ml.no_grad():
        for p in other.parameters():
            p.zero_()
    other.load_state_dict({k: v.cpu() if hasattr(v, "cpu") else v for k, v in state.items()})
    x = rng.standard_normal((2, 5)).astype("float32")
    a, b = other(ml.tensor(x)).detach().numpy(), model(ml.tensor(x).to("cuda")).detach().cpu().numpy()
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_clip_grad_norm(rng):
    grads = [rng.standard_normal(s).astype("float32") for s in ((3, 4), (5,))]
    totals = []
    for device in ("cpu", "cuda"):
        params = [ml.tensor(np.zeros_like(g)).to(device).detach().requires_grad_() for g in grads]
        for p, g in zip(params, grads, strict=True):
            p.grad = ml.tensor(g).to(device)
        totals.append(ml.optim.clip_grad_norm_(params, 1.0).item())
        totals.append(np.concatenate([p.grad.cpu().numpy().reshape(-1) for p in params]))
    assert totals[0] == pytest.approx(totals[2], rel=1e-6)
    np.testing.assert_allclose(totals[1], totals[3], rtol=1e-6)
