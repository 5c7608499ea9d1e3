"""The jobs that come with minilayer: what `minilayer train digits` and `minilayer train mnist` learn, and with what.

A job's config is a dict of plain numbers; `trainer_for(config)` makes the same data, model and optimizer from it every
time, so that a checkpoint's config is all that is needed to go on.
"""
import numpy as np

from minilayer import functional as F
from minilayer import random
from minilayer.data import MNIST, DataLoader, Digits, Subset
from minilayer.layers import (
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from minilayer.optim import AdamW, lr_scheduler
from minilayer.state import no_grad
from minilayer.tensor import Tensor
from minilayer.train import Trainer

DEFAULTS = {
    "digits": {"epochs": 20, "lr": 3e-3, "batch_size": 32, "seed": 0, "fold": 0},
    "mnist": {"epochs": 8, "lr": 2e-3, "batch_size": 64, "seed": 0, "small": False}}


def digits_net() -> Sequential:
    """Two convolutions, a pool, a third convolution, a pool, and a linear layer: images (B,1,8,8) to logits (B,10)."""
    return Sequential(
        Conv2d(1, 16, 3, padding=1, bias=False), BatchNorm2d(16), ReLU(),           # (B,16,8,8)
        Conv2d(16, 32, 3, padding=1, bias=False), BatchNorm2d(32), ReLU(),          # (B,32,8,8)
        MaxPool2d(2),                                                               # (B,32,4,4)
        Conv2d(32, 64, 3, padding=1, bias=False), BatchNorm2d(64), ReLU(),          # (B,64,4,4)
        MaxPool2d(2), Flatten(), Dropout(0.3),                                      # (B,256)
        Linear(256, 10))


def mnist_net() -> Sequential:
    """LeNet's plan (twice convolve and pool, then linear) with today's parts: images (B,1,28,28) to logits (B,10)."""
    return Sequential(
        Conv2d(1, 32, 3, padding=1, bias=False), BatchNorm2d(32), ReLU(),           # (B,32,28,28)
        MaxPool2d(2),                                                               # (B,32,14,14)
        Conv2d(32, 64, 3, padding=1, bias=False), BatchNorm2d(64), ReLU(),          # (B,64,14,14)
        MaxPool2d(2), Flatten(), Dropout(0.4),                                      # (B,3136)
        Linear(3136, 128), ReLU(), Dropout(0.4),                                    # (B,128)
        Linear(128, 10))


def datasets(config: dict, root=None):
    """What to learn from, and what to test on."""
    if config["job"] == "digits":
        return Digits(train=True, fold=config["fold"]), Digits(train=False, fold=config["fold"])
    if not config["small"]:
        return MNIST(train=True, root=root), MNIST(train=False, root=root)
    whole = MNIST(train=False, root=root)               # the 10,000 test images, 2,000 of which stay unseen
    held_out = np.arange(len(whole)) % 5 == 0
    return Subset(whole, np.flatnonzero(~held_out)), Subset(whole, np.flatnonzero(held_out))


def trainer_for(config: dict, *, root=None, **settings) -> Trainer:
    """The Trainer of a job; `settings` go to it (out, on_epoch, progress, ...)."""
    train, test = datasets(config, root)
    random.manual_seed(config["seed"])
    model = digits_net() if config["job"] == "digits" else mnist_net()
    optimizer = AdamW(model.parameters(), lr=config["lr"], weight_decay=0.01)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=config["epochs"])
    return Trainer(model, CrossEntropyLoss(), optimizer,
                   DataLoader(train, config["batch_size"], shuffle=True), DataLoader(test, 250),
                   scheduler=scheduler, config=config, **settings)


@no_grad()
def predict(model, loader) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N,H,W), labels (N,) and the model's probabilities (N,classes) for all of a loader's data."""
    model.eval()
    batches = [(x.numpy()[:, 0], y.numpy(), F.softmax(model(x), dim=1).numpy()) for x, y in loader]
    images, labels, probabilities = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images, labels, probabilities


@no_grad()
def report(trainer: Trainer) -> dict:
    """What the pictures show (see plots.write_pictures): the test data, the answers, and the first layer at work."""
    model = trainer.model
    images, labels, probabilities = predict(model, trainer.test_loader)
    first = next(i for i, layer in enumerate(model) if isinstance(layer, ReLU))
    examples = images[[np.flatnonzero(labels == c)[0] for c in np.unique(labels)]]      # the first image of each class
    return {"history": trainer.history, "images": images, "labels": labels, "probabilities": probabilities,
            "classes": tuple("0123456789"), "examples": examples, "filters": model[0].weight.detach().numpy()[:, 0],
            "responses": model[:first + 1](Tensor(examples[:, None].copy())).numpy()}
