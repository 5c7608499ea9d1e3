"""One program for two libraries: optimizers, schedules and clipping as PyTorch users write them.

`python tests/goldens/optim.py` (where PyTorch is installed) writes optim.json beside it; test_optim.py runs the same
functions under minilayer and compares.
"""
import json
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("optim.json")
OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd dampening decay": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    "sgd nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "sgd maximize": ("SGD", {"lr": 0.1, "momentum": 0.5, "maximize": True}),
    "adam": ("Adam", {"lr": 0.1}),
    "adam decay": ("Adam", {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    "adam amsgrad maximize": ("Adam", {"lr": 0.1, "betas": (0.3, 0.5), "amsgrad": True, "maximize": True}),
    "adamw": ("AdamW", {"lr": 0.1}),
    "adamw amsgrad": ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True, "betas": (0.0, 0.5)}),
}


def schedules(lr_scheduler):
    return {
        "step": lambda o: [lr_scheduler.StepLR(o, 3, 0.5)],
        "cosine": lambda o: [lr_scheduler.CosineAnnealingLR(o, 4, 0.01)],
        "lambda": lambda o: [lr_scheduler.LambdaLR(o, [lambda t: 0.9 ** t, lambda t: 1 / (1 + t)])],
        "step and cosine": lambda o: [lr_scheduler.CosineAnnealingLR(o, 5), lr_scheduler.StepLR(o, 2, 0.7)],
    }


def trajectory(lib, optim, name):
    """Values of two parameters after each of six steps; the second has no gradient at the first and fourth."""
    cls, options = OPTIMIZERS[name]
    params = [lib.tensor(np.linspace(-1.0, 1.5, 6).reshape(2, 3), requires_grad=True),
              lib.tensor(np.linspace(-1.0, 1.5, 3), requires_grad=True)]
    optimizer = getattr(optim, cls)([{"params": params[:1]}, {"params": params[1:], "lr": 0.03}], **options)
    seen = []
    for t in range(6):
        optimizer.zero_grad()
        for i, p in enumerate(params):
            if i == 0 or t not in (0, 3):
                p.grad = lib.tensor(np.sin(3 * p.detach().numpy() + t) + 0.2 * i)
        optimizer.step()
        seen.append([p.detach().numpy().reshape(-1).tolist() for p in params])
    return seen


def rates(lib, optim, name):
    """Both groups' learning rates over twelve epochs."""
    params = [lib.tensor(np.ones(2), requires_grad=True) for _ in range(2)]
    optimizer = optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.3}], lr=0.1)
    made = schedules(optim.lr_scheduler)[name](optimizer)
    seen = [[float(g["lr"]) for g in optimizer.param_groups]]
    for _ in range(12):
        optimizer.step()
        for scheduler in made:
            scheduler.step()
        seen.append([float(g["lr"]) for g in optimizer.param_groups])
    return seen


def clipped(lib, clip_grad_norm_, norm_type, max_norm):
    """The norm, and the gradients afterwards."""
    params = [lib.tensor(np.zeros(n), requires_grad=True) for n in (3, 4)]
    for i, p in enumerate(params):
        p.grad = lib.tensor(np.linspace(-2.0, 3.0 + i, p.shape[0]))
    total = clip_grad_norm_(params, max_norm, norm_type)
    return [float(total), [p.grad.numpy().tolist() for p in params]]


CLIPS = {"2": (2.0, 1.5), "2 below": (2.0, 100.0), "1": (1.0, 1.5), "3": (3.0, 0.5), "inf": (float("inf"), 1.0)}


def everything(lib, optim, clip_grad_norm_):
    return {"trajectory": {name: trajectory(lib, optim, name) for name in OPTIMIZERS},
            "rates": {name: rates(lib, optim, name) for name in schedules(optim.lr_scheduler)},
            "clipped": {name: clipped(lib, clip_grad_norm_, *c) for name, c in CLIPS.items()}}


if __name__ == "__main__":
    import torch
    results = everything(torch, torch.optim, torch.nn.utils.clip_grad_norm_)
    PATH.write_text(json.dumps({"made with": f"torch {torch.__version__}", **results}, indent=None))
