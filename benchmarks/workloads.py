"""The yardstick: one training step of each model, written once and run under minilayer and PyTorch.

A workload is a function of the library's modules that returns a function doing one step. Run as a program, this file
times one workload on one side and prints the median step and the memory as JSON; bench.py calls it so, a process a
measurement. The sides: "minilayer", "captured" (its whole step through minilayer.compile), "torch", "torch.compile" (its
model compiled), and "jax" for mlp_small, written by hand and compiled whole.

    python benchmarks/workloads.py minilayer lenet --seconds 3
"""
import argparse
import json
import resource
import statistics
import sys
import time

import numpy as np
from kernels import KERNELS


class Library:
    """The names a workload uses, of either library."""

    def __init__(self, side, threads):
        self.side = side
        if side.startswith("torch"):
            import torch
            torch.set_num_threads(threads)
            self.nn, self.optim, self.F = torch.nn, torch.optim, torch.nn.functional
            self.tensor, self.grad, self.no_grad = torch.from_numpy, torch.autograd.grad, torch.no_grad
            self.model = torch.compile if side == "torch.compile" else lambda model: model
            self.step = lambda step: step
            torch.manual_seed(0)
        else:
            import minilayer
            minilayer.set_num_threads(threads)
            self.nn, self.optim, self.F = minilayer.layers, minilayer.optim, minilayer.functional
            self.tensor, self.grad, self.no_grad = minilayer.from_numpy, minilayer.grad, minilayer.no_grad
            self.model = lambda model: model
            self.step = minilayer.compile if side == "captured" else lambda step: step
            minilayer.manual_seed(0)


def classifier_step(lib, model, inputs, classes):
    """A step on a fixed batch of random inputs and classes."""
    rng = np.random.default_rng(0)
    x = lib.tensor(rng.standard_normal(inputs, dtype=np.float32))
    return training_step(lib, model, x, lib.tensor(rng.integers(0, classes, inputs[0])))


def letters_step(lib, model, batch, length, letters):
    """A step on a fixed batch of random texts, each letter the target of the one before it."""
    text = np.random.default_rng(0).integers(0, letters, (batch, length + 1))
    return training_step(lib, model, lib.tensor(text[:, :-1].copy()), lib.tensor(text[:, 1:].reshape(-1)))


def training_step(lib, model, x, y):
    """Forward, cross-entropy, backward and Adam."""
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    loss_function = lib.nn.CrossEntropyLoss()
    forward = lib.model(model)

    def step(x, y):
        optimizer.zero_grad()
        out = forward(x)
        loss = loss_function(out.reshape(-1, out.shape[-1]), y)
        loss.backward()
        optimizer.step()
        return loss
    step = lib.step(step)
    return lambda: step(x, y)


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


def resnet8(lib):
    """Three residual blocks of 16, 32 and 64 channels on 32x32 images, batch 32."""
    nn, F = lib.nn, lib.F

    class Block(nn.Module):
        def __init__(self, channels, out, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            same = stride == 1 and channels == out
            self.way = nn.Identity() if same else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False),
                                                                nn.BatchNorm2d(out))

        def forward(self, x):
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.way(x))

    model = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                          Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return classifier_step(lib, model, (32, 3, 32, 32), 10)


def recurrent(kind):
    """Embedding 65x64, one layer of 256 units, Linear to 65; 32 texts of 64 letters."""
    def workload(lib):
        nn = lib.nn

        class Letters(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = nn.Embedding(65, 64)
                self.memory = getattr(nn, kind)(64, 256, batch_first=True)
                self.head = nn.Linear(256, 65)

            def forward(self, tokens):
                return self.head(self.memory(self.embedding(tokens))[0])

        return letters_step(lib, Letters(), 32, 64, 65)
    workload.__doc__ = f"{kind}: {recurrent.__doc__}"
    return workload


def gpt(lib):
    """4 blocks of width 128 with 4 heads and a GELU network four times as wide; 16 texts of 128 of 65 letters."""
    nn, F = lib.nn, lib.F

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(128), nn.LayerNorm(128)
            self.qkv, self.out = nn.Linear(128, 384), nn.Linear(128, 128)
            self.mlp = nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128))

        def forward(self, x):
            B, T, C = x.shape
            q, k, v = (part.reshape(B, T, 4, C // 4).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(65, 128), nn.Embedding(128, 128)
            self.blocks = nn.Sequential(*[Block() for _ in range(4)])
            self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 65)

        def forward(self, tokens):
            return self.head(self.norm(self.blocks(self.tokens(tokens) + self.places.weight)))

    return letters_step(lib, GPT(), 16, 128, 65)


def chain1000(lib):
    """1,000 operations on one element, 500 multiplications and 500 additions, forward and backward."""
    x, w, b = (lib.tensor(np.array([v], np.float32)).requires_grad_() for v in (1.0, 1.001, 0.001))

    @lib.step
    def step():
        x.grad = w.grad = b.grad = None
        y = x
        for _ in range(500):
            y = y * w
            y = y + b
        y.backward()
        return y
    return step


YARDSTICK = {"mlp_small": mlp_small, "mlp_big": mlp_big, "lenet": lenet, "resnet8": resnet8, "lstm": recurrent("LSTM"),
             "gru": recurrent("GRU"), "gpt": gpt, "chain1000": chain1000}
WORKLOADS = YARDSTICK | KERNELS


def mlp_small_in_jax(threads):
    """The step of mlp_small with all of it, Adam too, in one compiled function."""
    import os
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    import jax
    import jax.numpy as jnp
    rng = np.random.default_rng(0)
    sizes = [(64, 128), (128, 64), (64, 10)]
    params = [(jnp.asarray(rng.standard_normal(s, dtype=np.float32) / np.sqrt(s[0])), jnp.zeros(s[1])) for s in sizes]
    x = jnp.asarray(rng.standard_normal((32, 64), dtype=np.float32))
    y = jnp.asarray(rng.integers(0, 10, 32))

    def loss(params):
        h = x
        for i, (w, b) in enumerate(params):
            h = h @ w + b
            h = jax.nn.relu(h) if i < 2 else h
        return -jax.nn.log_softmax(h)[jnp.arange(32), y].mean()

    def update(state):
        params, m, v, t = state
        grads = jax.grad(loss)(params)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        params = jax.tree.map(lambda p, m, v: p - 1e-3 * (m / (1 - 0.9 ** t)) / (jnp.sqrt(v / (1 - 0.999 ** t)) + 1e-8),
                              params, m, v)
        return params, m, v, t
    update = jax.jit(update, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = [(params, zeros, jax.tree.map(jnp.zeros_like, params), jnp.float32(0))]

    def step():
        state[0] = jax.block_until_ready(update(state[0]))
    return step


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


def memory():
    """Peak resident bytes of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["minilayer", "captured", "torch", "torch.compile", "jax"])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.side == "jax":
        if options.workload != "mlp_small":
            parser.error("jax: written for mlp_small only")
        workload_step = mlp_small_in_jax(options.threads)
    else:
        workload_step = WORKLOADS[options.workload](Library(options.side, options.threads))
    before = memory()
    median = measure(workload_step, options.seconds)
    print(json.dumps({"side": options.side, "workload": options.workload, "ms": median * 1e3, "bytes": memory() - before}))
