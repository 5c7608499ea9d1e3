"""Gradients of any tensor with respect to any other, asked for by name and returned instead of collected in `.grad`."""
from minilayer import device
from minilayer.gradients import fresh
from minilayer.node import TensorBase, wrap
from minilayer.tape import seed, walk


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False):
    """The gradients of `outputs` with respect to any tensors they depend on, leaves or not; no .grad is touched.

    `outputs`, `inputs` and `grad_outputs` are tensors or sequences of them; several outputs are summed. Returns a tuple
    with one tensor an input, None where `allow_unused=True` and no path leads to it. With `create_graph=True` the
    results can be differentiated again.

    >>> x = minilayer.tensor(3.0, requires_grad=True)
    >>> (dx,) = minilayer.grad(x * x, x)
    """
    outputs = (outputs,) if isinstance(outputs, TensorBase) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    if grad_outputs is None or isinstance(grad_outputs, TensorBase):
        grad_outputs = (grad_outputs,) * len(outputs) if grad_outputs is None else (grad_outputs,)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: expected one of grad_outputs for each of the {len(outputs)} outputs, "
                         f"got {len(grad_outputs)}")
    for name, group in (("outputs", outputs), ("inputs", inputs)):
        for x in group:
            if not isinstance(x, TensorBase):
                raise TypeError(f"grad: expected {name} to be tensors, got {type(x).__name__}")
    seeds = [seed(t, g, create_graph, "grad") for t, g in zip(outputs, grad_outputs)]
    keep = bool(create_graph if retain_graph is None else retain_graph)
    found = walk(list(outputs), seeds, keep, bool(create_graph), list(inputs))
    for i, g in enumerate(found):
        if g is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None for it")
    if create_graph:
        return tuple(found)
    results: list = []
    taken = {id(g) for g in seeds}          # arrays that others hold: no result shares memory with them or another result
    for g in found:
        if g is None:
            results.append(None)
        else:
            results.append(wrap(g if fresh(g) and id(g) not in taken else device.copy(g)))
            taken.add(id(g))
    return tuple(results)
