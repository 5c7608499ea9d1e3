"""The jobs that come with minilayer: what `minilayer train digits`, `mnist`, `chars` and `gpt` learn, and with what.

A job's config is a dict of plain numbers; `trainer_for(config)` makes the same data, model and optimizer from it every
time, so that a checkpoint's config is all that is needed to go on.
"""
import numpy as np

from minilayer import functional as F
from minilayer import random
from minilayer.data import (
    MNIST,
    DataLoader,
    Digits,
    Subset,
    Text,
    TextWindows,
    WindowLoader,
    encode,
    trigram_loss,
)
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
from minilayer.models import GPT, CharLSTM
from minilayer.optim import AdamW, lr_scheduler
from minilayer.state import no_grad
from minilayer.tensor import Tensor
from minilayer.train import Trainer, evaluate

DEFAULTS: dict = {
    "digits": {"epochs": 20, "lr": 3e-3, "batch_size": 32, "seed": 0, "fold": 0},
    "mnist": {"epochs": 8, "lr": 2e-3, "batch_size": 64, "seed": 0, "small": False},
    "chars": {"epochs": 20, "lr": 5e-3, "batch_size": 32, "seed": 0, "text": None, "vocabulary": None},
    "gpt": {"epochs": 12, "lr": 3e-3, "batch_size": 16, "seed": 0, "text": None, "vocabulary": None}}
TEXT_JOBS = ("chars", "gpt")
WINDOW, BATCHES = 64, 60            # text jobs: letters in a window, batches in an epoch
SETTINGS = {                        # what a config may hold: in words, and as a check
    "epochs": ("a whole number of 1 or more", lambda value: type(value) is int and value >= 1),
    "batch_size": ("a whole number of 1 or more", lambda value: type(value) is int and value >= 1),
    "seed": ("a whole number of 0 or more", lambda value: type(value) is int and 0 <= value < 2**63),
    "lr": ("a number above 0", lambda value: type(value) in (int, float) and 0 < value < float("inf")),
    "fold": ("0 to 4", lambda value: type(value) is int and 0 <= value < 5),
    "small": ("True or False", lambda value: type(value) is bool),
    "text": ("the name of a file, or None", lambda value: value is None or type(value) is str),
    "vocabulary": ("a string of different letters, or None before a text is read", lambda value: value is None or (
        type(value) is str and 0 < len(value) == len(set(value))))}


def check_config(config) -> None:
    """Raise ValueError, naming the setting, where a config is none that a job can run with: a file may hold anything."""
    job = config.get("job") if isinstance(config, dict) else None
    if not isinstance(job, str) or job not in DEFAULTS:
        raise ValueError(f"config: expected a dict of settings with 'job' one of {', '.join(DEFAULTS)}, got {config!r:.200}")
    if set(config) != {"job", *DEFAULTS[job]}:
        raise ValueError(f"config: expected the settings {', '.join(['job', *DEFAULTS[job]])} of the job {job!r}, got "
                         f"{', '.join(map(str, config))}")
    for name in DEFAULTS[job]:
        words, fits = SETTINGS[name]
        if not fits(config[name]):
            raise ValueError(f"config: expected {name} of the job {job!r} to be {words}, got {config[name]!r:.200}")


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
    check_config(config)
    if config["job"] in TEXT_JOBS:
        return text_trainer(config, **settings)
    train, test = datasets(config, root)
    random.manual_seed(config["seed"])
    model = digits_net() if config["job"] == "digits" else mnist_net()
    optimizer = AdamW(model.parameters(), lr=config["lr"], weight_decay=0.01)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=config["epochs"])
    return Trainer(model, CrossEntropyLoss(), optimizer,
                   DataLoader(train, config["batch_size"], shuffle=True), DataLoader(test, 250),
                   scheduler=scheduler, config=config, **settings)


# ---- text ----

def text_model(config: dict):
    """The model of a text job: letters' numbers (B,T) to logits (B,T,letters). Its `generate` writes."""
    if config["job"] == "chars":
        return CharLSTM(len(config["vocabulary"]), width=256)
    return GPT(len(config["vocabulary"]), width=128, depth=4, heads=4, context=WINDOW)


def letters_loss(output, target):
    """Cross-entropy in nats a letter: output (B,T,letters), target (B,T)."""
    return F.cross_entropy(output.reshape(-1, output.shape[-1]), target.reshape(-1))


class TextTrainer(Trainer):
    """A Trainer that knows the `text` it learns from."""
    text: Text


def text_trainer(config: dict, **settings) -> TextTrainer:
    """The Trainer of a text job; the text is its attribute `text`. Each epoch is tested on an eighth of what is held
    back, `validation_loss` on all of it."""
    text = Text.read(config["text"], config["vocabulary"])
    config["vocabulary"] = text.vocabulary          # all that is needed to write, without the text
    random.manual_seed(config["seed"])
    model = text_model(config)
    optimizer = AdamW(model.parameters(), lr=config["lr"], betas=(0.9, 0.95), weight_decay=0.1)
    epochs = config["epochs"]

    def rate(epoch: int) -> float:                  # carefully at first, fully, and down half a cosine
        return 0.3 if epoch == 0 and epochs > 1 else 0.02 + 0.98 * (1 + np.cos(np.pi * epoch / epochs)) / 2
    held_out = TextWindows(text.valid, min(WINDOW, len(text.valid) - 1))
    trainer = TextTrainer(
        model, letters_loss, optimizer,
        WindowLoader(text.train, min(WINDOW, len(text.train) - 1), config["batch_size"], BATCHES),
        DataLoader(Subset(held_out, np.arange(0, len(held_out), 8)), 64), metrics={}, config=config,
        scheduler=lr_scheduler.LambdaLR(optimizer, rate), **settings)
    trainer.text = text
    return trainer


def validation_loss(trainer: TextTrainer) -> float:
    """Nats a letter on all the text held back."""
    held_out = TextWindows(trainer.text.valid, min(WINDOW, len(trainer.text.valid) - 1))
    return evaluate(trainer.model, DataLoader(held_out, 64), trainer.loss_fn, metrics={})["loss"]


def write(config: dict, model, prompt: str | None = None, length: int = 500, temperature: float = 0.8, top_k=None, rng=None):
    """Letters that a text job's model writes after `prompt` (by default a new line, where the text has any), one by one."""
    vocabulary = config["vocabulary"]
    if prompt is None:
        prompt = "\n" if "\n" in vocabulary else vocabulary[0]
    for number in model.generate(encode(prompt, vocabulary), length, temperature, top_k, rng):
        yield vocabulary[number]


@no_grad()
def text_report(trainer: TextTrainer, rows: int = 16) -> dict:
    """What the pictures show: the curves beside the counted model's loss, and how surprising each letter was."""
    text, model = trainer.text, trainer.model.eval()
    held_out = TextWindows(text.valid, min(WINDOW, len(text.valid) - 1))
    x, target = held_out.take(np.arange(min(rows, len(held_out))))
    chances = F.log_softmax(model(Tensor(x)), -1).numpy()
    return {"history": trainer.history, "trigram": trigram_loss(text.train, text.valid, len(text.vocabulary)),
            "letters": [text.decode(row) for row in target],
            "surprise": -np.take_along_axis(chances, target[..., None], 2)[..., 0]}


# ---- images ----

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
