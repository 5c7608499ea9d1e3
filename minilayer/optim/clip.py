"""Keep gradients from growing too large: by their common norm, or value by value.

`foreach`, PyTorch's switch between its implementations, has no effect: there is one here.
"""
import math

import numpy as np

from minilayer._ext.runtime import recording
from minilayer.creation import tensor
from minilayer.device import device_of, is_contiguous, read, to_device, zeros
from minilayer.ops.reduce import norm
from minilayer.optim.checks import check_number
from minilayer.optim.optimizer import kernels
from minilayer.optim.repeat import hold_gradients
from minilayer.promotion import real
from minilayer.state import no_grad
from minilayer.tensor import Tensor


def _gradients(who, parameters) -> list:
    """The gradients of a tensor, or of an iterable of tensors, that have one."""
    parameters = _tensors(who, parameters)
    if recording() is not None:
        hold_gradients(parameters)
    return [p.grad for p in parameters if p.grad is not None]


def _tensors(who, given) -> list:
    """A tensor, or an iterable of tensors, as a list."""
    given = [given] if isinstance(given, Tensor) else list(given)
    for t in given:
        if not isinstance(t, Tensor):
            raise TypeError(f"{who}: expected tensors, got {type(t).__name__}; pass model.parameters(), or their gradients to "
                            "get_total_norm")
    return given


def _by_device(grads) -> list:
    """Gradients grouped by device: [[tensor, ...], ...]."""
    groups: dict = {}
    for g in grads:
        groups.setdefault(type(g.array), []).append(g)
    return list(groups.values())


@no_grad()
def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale all gradients together so that their common norm, as if they were one vector, is at most `max_norm`.

    g <- g min(1, max_norm / (total + 1e-6)), total being `get_total_norm` of the gradients.  Returns total, from before, as
    a 0-d tensor. A total that is infinite or NaN spoils all gradients, or raises with error_if_nonfinite=True.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    grads = _gradients("clip_grad_norm_", parameters)
    check_number("clip_grad_norm_", "max_norm", max_norm, low=-math.inf)
    total = _total("clip_grad_norm_", grads, norm_type, error_if_nonfinite)
    _scale("clip_grad_norm_", grads, max_norm, total)
    return _as_tensor(total, grads)


@no_grad()
def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all tensors, as if they were one vector, as a 0-d tensor: (sum |x|^norm_type)^(1 / norm_type), summed in
    float64; inf and -inf mean the largest and the smallest |x|. For norm_type 0 it is the number of tensors that are not
    all 0, as PyTorch's is. A norm that is infinite or NaN raises with error_if_nonfinite=True."""
    tensors = _tensors("get_total_norm", tensors)
    return _as_tensor(_total("get_total_norm", tensors, norm_type, error_if_nonfinite), tensors)


@no_grad()
def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None) -> None:
    """Scale all gradients by min(1, max_norm / (total_norm + 1e-6)): the second half of `clip_grad_norm_`, total_norm being
    what `get_total_norm` gave."""
    check_number("clip_grads_with_norm_", "max_norm", max_norm, low=-math.inf)
    total = total_norm.item() if isinstance(total_norm, Tensor) else real("clip_grads_with_norm_", "total_norm", total_norm)
    _scale("clip_grads_with_norm_", _gradients("clip_grads_with_norm_", parameters), max_norm, total)


def _total(who, tensors, norm_type, error_if_nonfinite) -> float:
    """The norm of all tensors as one vector."""
    norm_type = real(who, "norm_type", norm_type)
    if norm_type == 2:
        square = 0.0
        for group in _by_device(tensors):
            arrays = [t.array if is_contiguous(t.array) else t.contiguous().array for t in group]
            part = zeros((1,), np.float64, arrays[0])
            kernels.on(arrays[0]).norm_squared(arrays, part)
            square += float(read(part)[0])
        total = math.sqrt(square)
    else:
        parts = [norm(t.detach().double(), norm_type).item() for t in tensors if t.numel()]
        total = norm(tensor(np.array(parts)), norm_type).item() if parts else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"{who}: expected gradients with a finite norm, got {total}; look for a loss that overflowed, or "
                           "pass error_if_nonfinite=False")
    return total


def _as_tensor(total, like):
    return tensor(np.array(total, like[0].dtype)) if like else tensor(0.0)


def _scale(who, grads, max_norm, total) -> None:
    """g <- g min(1, max_norm / (total + 1e-6))"""
    factor = max_norm / (total + 1e-6)
    if factor >= 1:                         # a NaN spoils the gradients too
        return
    for group in _by_device(grads):
        whole = [g.array for g in group if is_contiguous(g.array)]
        if whole:
            numbers = np.array([factor])
            kernels.on(whole[0]).scale(whole, to_device(numbers, device_of(whole[0])))
        for g in group:
            if is_contiguous(g.array):
                g.mark_written(f"{who}()")
            else:
                g.mul_(factor)


@no_grad()
def clip_grad_value_(parameters, clip_value, foreach=None) -> None:
    """Bring every value of the gradients into [-clip_value, clip_value]."""
    check_number("clip_grad_value_", "clip_value", clip_value)
    for g in _gradients("clip_grad_value_", parameters):
        g.clamp_(-float(clip_value), float(clip_value))
