"""Muon: momentum whose matrix is made orthogonal before each step, so that all directions of a layer learn alike."""
import math

from minilayer.functional import clamp
from minilayer.optim.checks import check_number, whole
from minilayer.optim.optimizer import Optimizer, zeros_like
from minilayer.state import no_grad
from minilayer.tensor import Tensor


class Muon(Optimizer):
    """p <- (1 - lr weight_decay) p - lr r orthogonal(u),   b <- momentum b + (1 - momentum) g,   u = b,
    or with nesterov   u = momentum b + (1 - momentum) g

    orthogonal(u) nearly replaces the singular values of u by 1: `ns_steps` rounds of x <- a x + (b x x^T + c (x x^T)^2) x
    from x = u / |u|, with (a, b, c) = ns_coefficients (a Newton-Schulz iteration). r evens out the shapes of matrices:
    sqrt(max(1, rows / columns)) for adjust_lr_fn None or "original", 0.2 sqrt(max(rows, columns)) for
    "match_rms_adamw". For matrices only; give the rest of a model (biases, embeddings, the head) to AdamW.

    The iteration runs in the parameters' own type; PyTorch runs it in bfloat16, so their steps differ by about 1 %.

    >>> optimizer = Muon([p for p in model.parameters() if p.ndim == 2])

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    """
    STATE = ("momentum_buffer",)
    KERNEL = False
    NEEDED = ("momentum_buffer",)
    AMOUNTS = ("lr", "weight_decay", "momentum", "eps")

    def __init__(self, params, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True,
                 ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn=None):
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov,
                                      ns_coefficients=ns_coefficients, eps=eps, ns_steps=ns_steps,
                                      adjust_lr_fn=adjust_lr_fn))

    def check(self, name, group):
        super().check(name, group)
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)):
            raise TypeError(f"{name}: expected ns_coefficients to be three numbers, got {coefficients!r}")
        if len(coefficients) != 3:
            raise ValueError(f"{name}: expected three ns_coefficients, got {coefficients!r}")
        for i, number in enumerate(coefficients):
            check_number(name, f"ns_coefficients[{i}]", number, low=-math.inf)
        group["ns_coefficients"] = tuple(coefficients)
        if not 0 < whole(name, "ns_steps", group["ns_steps"], least=-math.inf) < 100:
            raise ValueError(f"{name}: expected ns_steps from 1 to 99, got {group['ns_steps']}")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"{name}: expected adjust_lr_fn None, 'original' or 'match_rms_adamw', "
                             f"got {group['adjust_lr_fn']!r}")
        for i, p in enumerate(group["params"]):
            if p.ndim != 2:
                raise ValueError(f"{name}: expected matrices, got a parameter of shape {p.shape} at place {i}; give it to "
                                 "another optimizer, as AdamW")

    @no_grad()
    def update(self, group, batch, hyper):
        lr, momentum = group["lr"], group["momentum"]
        for array, grad, buffer in zip(batch.arrays, batch.grads, batch.kept("momentum_buffer", zeros_like), strict=True):
            p, g, b = Tensor(array), Tensor(grad), Tensor(buffer)
            b.add_((g - b) * (1 - momentum))
            u = g + (b - g) * momentum if group["nesterov"] else b
            rows, columns = p.shape
            ratio = (0.2 * math.sqrt(max(rows, columns)) if group["adjust_lr_fn"] == "match_rms_adamw"
                     else math.sqrt(max(1, rows / max(columns, 1))))
            p.mul_(1 - lr * group["weight_decay"])
            p.sub_(orthogonal(u, group["ns_coefficients"], group["ns_steps"], group["eps"]) * (lr * ratio))


def orthogonal(u, coefficients, steps, eps):
    """Nearly the orthogonal matrix nearest to u: its singular values become about 1."""
    a, b, c = coefficients
    x = u.T if u.shape[0] > u.shape[1] else u       # the small product x x^T
    x = x / clamp((x * x).sum().sqrt(), min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = x * a + (gram * b + gram @ gram * c) @ x
    return x.T if u.shape[0] > u.shape[1] else x
