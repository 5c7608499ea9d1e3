"""Keep gradients from growing too large: by their common norm, or value by value."""
import math

import numpy as np

from minilayer.creation import tensor
from minilayer.device import device_of, is_contiguous, to_device, zeros
from minilayer.optim.checks import check_number
from minilayer.optim.optimizer import kernels
from minilayer.state import no_grad
from minilayer.tensor import Tensor


def _gradients(who, parameters) -> list:
    """The gradients of a tensor, or of an iterable of tensors, that have one."""
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    parameters = list(parameters)
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"{who}: expected tensors, got {type(p).__name__}; pass model.parameters()")
    return [p.grad for p in parameters if p.grad is not None]


def _by_device(grads) -> list:
    """Gradients grouped by device: [[tensor, ...], ...]."""
    groups: dict = {}
    for g in grads:
        groups.setdefault(type(g.array), []).append(g)
    return list(groups.values())


@no_grad()
def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Scale all gradients together so that their common norm, as if they were one vector, is at most `max_norm`.

    total = (sum |g|^norm_type)^(1 / norm_type), summed in float64; float("inf") means the largest |g|.
    g <- g min(1, max_norm / (total + 1e-6)).  Returns total, from before, as a 0-d tensor. A total that is infinite or
    NaN spoils all gradients, or raises with error_if_nonfinite=True.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    check_number("clip_grad_norm_", "max_norm", max_norm)
    norm_type = float(norm_type)
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: expected a norm_type above 0, or inf, got {norm_type}")
    grads = _gradients("clip_grad_norm_", parameters)
    if not grads:
        return tensor(0.0)
    total = _norm(grads, norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"clip_grad_norm_: expected gradients with a finite norm, got {total}; look for a loss that "
                           "overflowed, or pass error_if_nonfinite=False")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:                     # a NaN spoils the gradients too
        for group in _by_device(grads):
            whole = [g.array for g in group if is_contiguous(g.array)]
            if whole:
                numbers = np.array([factor])
                kernels.on(whole[0]).scale(whole, to_device(numbers, device_of(whole[0])))
            for g in group:
                if is_contiguous(g.array):
                    g.mark_written("clip_grad_norm_()")
                else:
                    g.mul_(factor)
    return tensor(np.array(total, grads[0].dtype))


def _norm(grads, norm_type) -> float:
    """The norm of all gradients as one vector."""
    if norm_type == 2:
        total = 0.0
        for group in _by_device(grads):
            arrays = [g.array if is_contiguous(g.array) else g.contiguous().array for g in group]
            square = zeros((1,), np.float64, arrays[0])
            kernels.on(arrays[0]).norm_squared(arrays, square)
            total += float(to_device(square, "cpu")[0])
        return math.sqrt(total)
    sizes = [g.detach().double().abs() for g in grads if g.numel()]
    if norm_type == math.inf:
        largest = [a.max().item() for a in sizes]
        return math.nan if any(map(math.isnan, largest)) else max(largest, default=0.0)
    return sum((a ** norm_type).sum().item() for a in sizes) ** (1.0 / norm_type)


@no_grad()
def clip_grad_value_(parameters, clip_value) -> None:
    """Bring every value of the gradients into [-clip_value, clip_value]."""
    check_number("clip_grad_value_", "clip_value", clip_value)
    for g in _gradients("clip_grad_value_", parameters):
        g.clamp_(-float(clip_value), float(clip_value))
