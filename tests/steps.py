"""Twenty training steps in float64, for test_backends.py: run as a script it prints what ran, and the losses."""
import json
import sys

import numpy as np

import minilayer as ml
import minilayer.functional as F
from minilayer import tape


def losses(count=20, optimizer="adam"):
    """The loss of each step of a small network that uses most kernel families."""
    ml.manual_seed(3)
    model = ml.Sequential(ml.Conv2d(1, 4, 3, padding=1), ml.BatchNorm2d(4), ml.ReLU(), ml.MaxPool2d(2), ml.Flatten(),
                          ml.Linear(64, 24), ml.LayerNorm(24), ml.GELU(), ml.Dropout(0.1), ml.Linear(24, 10)).double()
    make = ml.optim.Adam if optimizer == "adam" else lambda p, lr: ml.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True)
    optimizer = make(model.parameters(), lr=3e-3)
    generator = np.random.default_rng(0)
    x = ml.tensor(generator.standard_normal((32, 1, 8, 8)))
    target = ml.tensor(generator.integers(0, 10, 32))
    found = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target, label_smoothing=0.05)
        loss.backward()
        ml.optim.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        found.append(loss.item())
    return found


if __name__ == "__main__":
    runs = {"engine": "py" if tape.__file__.endswith(".py") else "compiled", "backend": ml.current_backend(), "isa": ml.isa()}
    json.dump({"runs": runs, "losses": [losses(optimizer=o) for o in ("adam", "sgd")]}, sys.stdout)
