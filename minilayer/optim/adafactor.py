"""Adafactor: Adam's second moments of a matrix kept as one row and one column, for large models in little memory."""
import math

from minilayer.device import zeros
from minilayer.functional import clamp
from minilayer.optim.checks import check_implementation, check_number
from minilayer.optim.optimizer import CountingOptimizer, zeros_like
from minilayer.state import no_grad
from minilayer.tensor import Tensor


class Adafactor(CountingOptimizer):
    """p <- p - a u / max(1, rms(u) / d),   u = g / sqrt(v),   a = max(eps[1], rms(p)) min(lr, 1 / sqrt(t))

    The mean v of g^2 of a matrix (the last two axes) is the product of its rows' means r and its columns' means c,
    v = r c / mean(r), each moving by t^beta2_decay towards the step's; a vector's v is kept whole. rms is the root of
    the mean square. eps[0] (default: the dtype's epsilon) bounds sqrt(v) from below; p <- (1 - lr weight_decay) p first.

    >>> optimizer = Adafactor(model.parameters())

    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018.
    """
    STATE = ("row_var", "col_var", "variance")
    KERNEL = False
    NEEDED = ("step",)
    AMOUNTS = ("lr", "weight_decay")

    def __init__(self, params, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, *, foreach=None,
                 maximize=False):
        check_implementation("Adafactor", False)
        super().__init__(params, dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay,
                                      maximize=maximize))

    def check(self, name, group):
        super().check(name, group)
        check_number(name, "d", group["d"], low=1.0)
        check_number(name, "beta2_decay", group["beta2_decay"], low=-math.inf)
        if group["beta2_decay"] > 0:
            raise ValueError(f"{name}: expected beta2_decay of 0 or less, got {group['beta2_decay']}")
        eps = group["eps"]
        if not isinstance(eps, tuple) or len(eps) != 2:
            raise TypeError(f"{name}: expected eps to be a pair (a number or None, a number), got {eps!r}")
        if eps[0] is not None:
            check_number(name, "eps[0]", eps[0])
        check_number(name, "eps[1]", eps[1])

    @no_grad()
    def rule(self, kernels, group, batch, hyper):
        step = self.key(batch.states[0]) + 1
        towards, lr, (low, least) = step ** group["beta2_decay"], group["lr"], group["eps"]
        for array, grad, state in zip(batch.arrays, batch.grads, batch.states, strict=True):
            p, g = Tensor(array), Tensor(grad) * (-1.0 if group["maximize"] else 1.0)
            low_here = (1.1920928955078125e-07 if array.dtype.itemsize == 4 else 2.220446049250313e-16) if low is None else low
            size = max(least, _rms(p)) * min(lr, 1 / math.sqrt(step))
            if group["weight_decay"]:
                p.mul_(1 - lr * group["weight_decay"])
            squares = g * g
            if g.ndim > 1:
                for name, shape in (("row_var", (*g.shape[:-1], 1)), ("col_var", (*g.shape[:-2], 1, g.shape[-1]))):
                    if name not in state:
                        state[name] = Tensor(zeros(shape, array.dtype, array))
                row, column = state["row_var"], state["col_var"]
                _move(row, squares.mean(-1, keepdim=True), towards)
                _move(column, squares.mean(-2, keepdim=True), towards)
                v = row @ column / clamp(row.mean(-2, keepdim=True), min=low_here)
            else:
                if "variance" not in state:
                    state["variance"] = Tensor(zeros_like(array))
                v = state["variance"]
                _move(v, squares, towards)
            update = g * clamp(v, min=low_here * low_here).rsqrt()
            p.sub_(update * (size / max(1.0, _rms(update) / group["d"])))

    def _loaded(self, who, name, value, p):
        if name in ("row_var", "col_var") and len(p.shape) > 1:     # (theirs is not the parameter's shape)
            shape = (*p.shape[:-1], 1) if name == "row_var" else (*p.shape[:-2], 1, p.shape[-1])
            if tuple(value.shape) != shape:
                raise ValueError(f"{who}: expected {name} of shape {shape}, got {tuple(value.shape)}")
            return super()._loaded(who, "", value, p)
        return super()._loaded(who, name, value, p)


def _rms(x):
    """The root of the mean square of a tensor's values."""
    return math.sqrt((x * x).sum().item() / max(x.numel(), 1))


def _move(mean, value, part):
    """mean <- mean + part (value - mean), in place."""
    mean.add_((value - mean) * part)
