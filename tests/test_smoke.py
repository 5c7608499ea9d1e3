"""A second's worth of everything: does it learn, differentiate, save and load at all? `./dev test` asks this first."""
import numpy as np

import minilayer as ml


def test_a_small_network_learns_xor():
    ml.manual_seed(1)
    x, target = ml.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), ml.tensor([0, 1, 1, 0])
    model = ml.Sequential(ml.Linear(2, 16), ml.Tanh(), ml.Linear(16, 2))
    optimizer = ml.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        loss = ml.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 and model(x).argmax(1).tolist() == [0, 1, 1, 0]


def test_images_flow_through_convolutions_and_back():
    ml.manual_seed(2)
    model = ml.Sequential(ml.Conv2d(1, 4, 3, padding=1), ml.BatchNorm2d(4), ml.ReLU(), ml.MaxPool2d(2), ml.Flatten(),
                          ml.Dropout(0.25), ml.Linear(64, 10), ml.LayerNorm(10))
    loss = ml.functional.cross_entropy(model(ml.randn(5, 1, 8, 8)), ml.arange(5))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_gradients_agree_with_differences():
    x = ml.randn(3, 4, dtype="float64", requires_grad=True)
    assert ml.gradcheck(lambda x: (x.exp() * x.tanh()) @ x.T, x)


def test_weights_survive_a_file(tmp_path):
    model, other = ml.Linear(3, 2), ml.Linear(3, 2)
    ml.save(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(ml.load(tmp_path / "model.safetensors"))
    x = ml.ones(1, 3)
    assert np.array_equal(model(x).detach().numpy(), other(x).detach().numpy())
