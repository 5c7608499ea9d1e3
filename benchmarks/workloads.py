"""The yardstick: one training step of each model, written once and run under minilayer and PyTorch.

A workload is a function of the library's modules that returns a function doing one step. Run as a program, this file
times one workload under one library and prints the median step as JSON; bench.py calls it so, a process a measurement.

    python benchmarks/workloads.py minilayer lenet --seconds 3
"""
import argparse
import json
import statistics
import time

import numpy as np


class Library:
    """The names a workload uses, from either library."""

    def __init__(self, name, threads):
        if name == "torch":
            import torch
            torch.set_num_threads(threads)
            self.nn, self.optim, self.F = torch.nn, torch.optim, torch.nn.functional
            self.tensor = torch.from_numpy
            torch.manual_seed(0)
        else:
            import minilayer
            minilayer.set_num_threads(threads)
            self.nn, self.optim, self.F = minilayer.layers, minilayer.optim, minilayer.functional
            self.tensor = minilayer.from_numpy
            minilayer.manual_seed(0)


def classifier_step(lib, model, inputs, classes):
    """One step of forward, cross-entropy, backward and Adam on a fixed batch."""
    rng = np.random.default_rng(0)
    x = lib.tensor(rng.standard_normal(inputs, dtype=np.float32))
    y = lib.tensor(rng.integers(0, classes, inputs[0]))
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    loss_function = lib.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return loss
    return step


def mlp_small(lib):
    """64-128-64-10, batch 32."""
    nn = lib.nn
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return classifier_step(lib, model, (32, 64), 10)


def mlp_big(lib):
    """784-1024-1024-10, batch 256."""
    nn = lib.nn
    model = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
    return classifier_step(lib, model, (256, 784), 10)


def lenet(lib):
    """conv 1-32 3x3, conv 32-64 3x3 (padding 1), max-pool 2, dense 12544-128-10; 28x28 images, batch 64."""
    nn = lib.nn
    model = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Flatten(), nn.Linear(12544, 128), nn.ReLU(), nn.Linear(128, 10))
    return classifier_step(lib, model, (64, 1, 28, 28), 10)


def chain1000(lib):
    """1,000 operations on one element, 500 multiplications and 500 additions, forward and backward."""
    x, w, b = (lib.tensor(np.array([v], np.float32)).requires_grad_() for v in (1.0, 1.001, 0.001))

    def step():
        x.grad = w.grad = b.grad = None
        y = x
        for _ in range(500):
            y = y * w
            y = y + b
        y.backward()
        return y
    return step


def gemm(m, n, k):
    """(m, k) @ (k, n) in float32."""
    def workload(lib):
        rng = np.random.default_rng(0)
        a = lib.tensor(rng.standard_normal((m, k), dtype=np.float32))
        b = lib.tensor(rng.standard_normal((k, n), dtype=np.float32))
        return lambda: a @ b
    workload.__doc__ = f"({m}, {k}) @ ({k}, {n}) in float32."
    workload.flops = 2 * m * n * k
    return workload


GEMM_SIZES = [(64, 64, 64), (128, 128, 128), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
              (2048, 384, 128), (2048, 65, 256), (32, 1024, 320)]
WORKLOADS = {"mlp_small": mlp_small, "mlp_big": mlp_big, "lenet": lenet, "chain1000": chain1000}
WORKLOADS |= {f"gemm_{m}x{n}x{k}": gemm(m, n, k) for m, n, k in GEMM_SIZES}


def measure(step, seconds):
    """The median time of one step, after a warm-up of a third of the time."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds / 3:
        step()
    times = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times) < 5:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=["minilayer", "torch"])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    median = measure(WORKLOADS[options.workload](Library(options.library, options.threads)), options.seconds)
    print(json.dumps({"library": options.library, "workload": options.workload, "ms": median * 1e3}))
