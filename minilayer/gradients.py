# cython: language_level=3
"""Gradients on arrival: how they are added up, shown to hooks, and collected in `.grad`.

The rule: the tape adds in place only into memory that it made itself and that no one else holds; a leaf's `.grad` never
shares memory with another tensor. (For s = u + v and t = s + 2 v, adding into what `+` handed on would give dt/du = 3.)
"""
import weakref

import cython
import numpy as np

from minilayer import device
from minilayer._ext.dispatch import Family, family
from minilayer._ext.runtime import cannot_repeat

if cython.compiled:
    from cython.cimports.minilayer._ext.runtime import owns, same_dtype, same_shape
    from cython.cimports.minilayer.device import empty, is_contiguous
    from cython.cimports.minilayer.node import Node, TensorBase, edge, wrap
else:
    from minilayer._ext.runtime import owns, same_dtype, same_shape
    from minilayer.device import empty, is_contiguous
    from minilayer.node import Node, TensorBase, edge, wrap

ndarray = cython.declare(type, np.ndarray)
arithmetic = cython.declare(Family, family("arithmetic"))
reduce = family("reduce")


@cython.ccall
def added(held, owned, g):
    """held + g: in place where the tape owns `held`, else in a new array."""
    if isinstance(held, TensorBase):
        return held + g
    total = held if owned else empty(held.shape, held.dtype, held)
    arithmetic.on(held).add(held, g, total)
    return total


@cython.ccall
def fresh(g) -> cython.bint:
    """Does this array alone hold its memory?"""
    return owns(g) if type(g) is ndarray else g.owns


@cython.ccall
def alike(a, b) -> cython.bint:
    """Have two arrays one shape, dtype and device?"""
    if type(a) is ndarray and type(b) is ndarray:
        return same_shape(a, b) and same_dtype(a, b)
    return type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype


def describe(x) -> str:
    """What came in place of a gradient, for an error."""
    array = getattr(x, "array", x)
    return (f"shape {array.shape} and dtype {array.dtype} on {device.device_of(array)}"
            if isinstance(array, np.ndarray) or hasattr(array, "device_type")
            else type(x).__name__)


@cython.ccall
def collect(leaf: TensorBase, g, private: cython.bint):
    """Add g to a leaf's .grad, which never shares memory with another tensor. `private`: no one else holds g."""
    held: TensorBase
    as_tensor: cython.bint = isinstance(g, TensorBase)
    if leaf.grad is None:
        leaf.grad = g.clone() if as_tensor else wrap(g if private and fresh(g) else device.copy(g))
        return
    if not isinstance(leaf.grad, TensorBase) or not alike(leaf.grad.array, g.array if as_tensor else g):
        raise RuntimeError(f"backward: expected .grad to be None or a tensor of {describe(g)}, to add to, "
                           f"got {describe(leaf.grad)}; set it to None first")
    held = leaf.grad
    if as_tensor:
        leaf.grad = held + g
    elif held.node is not None or not is_contiguous(held.array) and 0 in held.array.strides:
        leaf.grad = wrap(added(held.array, False, g))
    else:
        if held.array is not g:     # (else the op added to it by itself: Node.gradient)
            arithmetic.on(g).add(held.array, g, held.array)
        if held.version is not None:
            held.mark_written("a backward pass that added to .grad")


def sum_to(g, shape):
    """A gradient of a broadcast input, summed back to the input's shape."""
    if isinstance(g, TensorBase):
        lead = len(g.array.shape) - len(shape)
        dims = [i for i, n in enumerate(g.array.shape) if i < lead or (shape[i - lead] == 1 and n != 1)]
        return g.sum(dims, keepdim=True).reshape(shape) if dims else g.reshape(shape)
    total = empty(shape, g.dtype, g)
    reduce.on(g).sum(g, total.reshape((1,) * (g.ndim - len(shape)) + tuple(shape)))
    return total


@cython.ccall
def fitted(op, i: cython.int, g, shape):
    """The gradient that a backward rule gave for input i, in that input's shape."""
    array = cython.cast(TensorBase, g).array if isinstance(g, TensorBase) else g
    if getattr(array, "shape", None) == shape:
        return g
    if op.broadcasts:
        return sum_to(g, shape)
    raise RuntimeError(f"{op.name}: backward returned a gradient of {describe(g)} for input {i}; expected shape {shape}, as "
                       "the input")


@cython.ccall
def run_hooks(hooks, g):
    """Let each hook look at a gradient, or replace it. Hooks may keep or change what they see: it is a copy, and so is
    what goes on from here."""
    cannot_repeat("a hook on a tensor's gradient")
    as_array = not isinstance(g, TensorBase)
    t = wrap(device.copy(g)) if as_array else g
    for hook in list(hooks):
        changed = hook(t)
        if changed is not None:
            if not isinstance(changed, TensorBase) or not alike(changed.array, t.array):
                raise RuntimeError(f"a tensor hook returned {describe(changed)}; expected None or a tensor of "
                                   f"{describe(t)}, as the gradient")
            t = changed
    return device.copy(t.array) if as_array else t


@cython.ccall
def pass_hooks(hooks: dict, slot: cython.int, g):
    """The gradient of a node's output after that output's hooks; a tensor that retains it collects it then."""
    if g is None:
        return None
    if slot in hooks:
        g = run_hooks(hooks[slot], g)
    kept = hooks.get(~slot)
    if kept is not None and kept() is not None:
        collect(kept(), g, False)
    return g


@cython.ccall
def is_private(i: cython.Py_ssize_t, result: tuple, g) -> cython.bint:
    """Does no one else hold gradient i of a backward rule's result: neither another input, nor who gave it g?"""
    given = result[i]
    if given is g or type(g) is list and any([given is x for x in g]):
        return False
    for j in range(len(result)):
        other = result[j]
        if j != i and other is not None and (
                other is given or (other.base is given if type(other) is ndarray else not other.owns)):
            return False
    return True


# ---- hooks ----

class Hook:
    """What registering a hook returns: `remove()` takes the hook away again."""
    made = 0                        # in all: a captured step (captured.py) looks again for hooks when there are more

    def __init__(self, hooks, function):
        if not callable(function):
            raise TypeError(f"register a hook: expected a function, got {type(function).__name__}")
        Hook.made += 1
        hooks.append(function)
        self._hooks, self._function = hooks, function

    def remove(self):
        if self._function in self._hooks:
            self._hooks.remove(self._function)
        self._hooks = []


def retain_grad(tensor):
    """Let backward collect this result's gradient in .grad, after its hooks. See `Tensor.retain_grad`."""
    t: TensorBase = tensor
    e = edge(t)
    if e is None:
        raise RuntimeError("retain_grad: this tensor does not require a gradient, so there is none to retain")
    node: Node
    if isinstance(e, Node) and not t.retains:
        node = e
        if node.hooks is None:
            node.hooks = {}
        node.hooks[~t.slot] = weakref.ref(t)
        t.retains = True


def add_hook(tensor, hook):
    """Call `hook(gradient)` when this tensor's gradient is complete; returns the Hook that can take it away."""
    t: TensorBase = tensor
    e = edge(t)
    if e is None:
        raise RuntimeError("register_hook: this tensor does not require a gradient, so the hook would never be called; "
                           "set requires_grad=True first")
    node: Node
    if isinstance(e, Node):
        node = e
        if node.hooks is None:
            node.hooks = {}
        hooks = node.hooks.setdefault(t.slot, [])
    else:
        if t.hooks is None:
            t.hooks = []
        hooks = t.hooks
    return Hook(hooks, hook)
