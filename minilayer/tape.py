# cython: language_level=3
"""The tape: what was computed, and the walk back that turns it into gradients.

An operation on tensors does two things. It computes, on arrays; and, where a gradient will be asked for, it leaves a
`Node` (node.py) behind that remembers the operation, where its inputs came from and what its backward rule will read.
An output's node has a higher number than its inputs' nodes. So walking from the highest number down meets every node
after all of its users: by then its gradient is complete. That walk is `backward`.

This file is plain Python and runs as it stands (MINILAYER_PURE=1); compiled by Cython it costs some tens of
nanoseconds a node. What it leaves out for that speed: a graph is walked by one thread at a time.

In order of need: `Op`, `apply` (record), `backward` (walk). What stands beside it: versions.py (were saved values
overwritten?), gradients.py (how gradients add up), autograd.py (gradients of anything by anything), promotion.py
(dtypes that meet), inplace.py and views.py (change in place), listing.py (the tape as text), state.py (threads).
"""
from collections import namedtuple
from math import prod as _size

import cython
import numpy as np

from minilayer import device

if cython.compiled:
    from cython.cimports.minilayer._ext.runtime import same_dtype, same_shape, scalar_like
    from cython.cimports.minilayer.gradients import (
        added,
        alike,
        collect,
        describe,
        fitted,
        is_private,
        pass_hooks,
        run_hooks,
    )
    from cython.cimports.minilayer.node import Node, TensorBase, drop_checks, edge, record, wrap, wrap_result
    from cython.cimports.minilayer.state import State, current
    from cython.cimports.minilayer.versions import check_versions, note_versions, note_versions2
else:
    from minilayer._ext.runtime import same_dtype, same_shape, scalar_like
    from minilayer.gradients import added, alike, collect, describe, fitted, is_private, pass_hooks, run_hooks
    from minilayer.node import Node, TensorBase, drop_checks, edge, record, wrap, wrap_result
    from minilayer.state import State, current
    from minilayer.versions import check_versions, note_versions, note_versions2

ndarray = cython.declare(type, np.ndarray)


# ---- operations ----

Cost = namedtuple("Cost", "forward_flops backward_flops forward_bytes backward_bytes")
Cost.__doc__ = "Floating-point operations and bytes moved, from shapes, at 4 bytes a value."


def elementwise_cost(shapes, out_shapes, forward=1, backward=1):
    """The cost of an op that does `forward` operations a value of its output, `backward` an input's gradient value."""
    inputs = sum(_size(s) for s in shapes if s is not None)
    outputs = sum(_size(s) for s in out_shapes)
    return Cost(forward * outputs, backward * inputs, 4 * (inputs + outputs), 4 * (2 * inputs + outputs))


_VIEW = cython.declare(cython.int, 1)
_BROADCASTS = cython.declare(cython.int, 2)
_PROMOTES = cython.declare(cython.int, 4)
_CONSTANT = cython.declare(cython.int, 8)
_FLOATS = cython.declare(cython.int, 16)
_FOREIGN = cython.declare(cython.int, 32)               # written outside minilayer: its gradients' shapes are checked
_SIMPLE = cython.declare(cython.int, 2 | 4 | 8 | 16)    # what apply2 deals with: all but views


class Op:
    """One differentiable operation: how to compute it, and how its gradient flows back.

    A subclass names itself, computes arrays from arrays in `forward` and gradients from gradients in `backward`:

        class Square(Op):
            \"\"\"y = x^2; dx = 2 x dy\"\"\"
            name = "square"

            def forward(self, node, x):
                y = empty_like(x)
                elementwise.on(x).square(x, y)
                node.save(x)                        # dx needs x
                return y

            def backward(self, node, dy):
                (x,) = node.saved
                dx = empty_like(x)
                elementwise.on(x).square_backward(x, dy, dx)
                return dx

    Settings are attributes set by `__init__`. `backward` returns one gradient an input (None where `node.needs(i)` is
    false), which may be dy itself or a view of it but never a saved array. Optional: `backward_graph`, the same rule
    told in functions on tensors, for gradients of gradients; `forward_inplace(node, target, *others)`.
    """
    name = "op"
    differentiable = True
    view = False                    # the output shares the first input's memory
    broadcasts = False              # the engine sums each gradient back to its input's shape
    promotes = None                 # "same": inputs are cast to a common dtype; "float": integers also become float32
    nondifferentiable_outputs = ()
    required = 1                    # how many of the first inputs may not be None
    _flags = 0

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls._flags = ((_VIEW if cls.view else 0) | (_BROADCASTS if cls.broadcasts else 0)
                      | (_PROMOTES if cls.promotes else 0) | (0 if cls.differentiable else _CONSTANT)
                      | (_FLOATS if cls.promotes == "float" else 0)
                      | (0 if cls.__module__.startswith("minilayer.") else _FOREIGN))

    def forward(self, node, *arrays):
        """Compute the output array, or a tuple of them."""
        raise NotImplementedError(f"{type(self).__name__}: an Op defines forward(node, *arrays)")

    def backward(self, node, *gradients):
        """The gradients of the inputs, from those of the outputs."""
        raise NotImplementedError(f"{self.name}: has no gradient; use .detach() on its inputs if none is meant to flow")

    def cost(self, shapes, out_shapes):
        """The cost from shapes: Cost(forward_flops, backward_flops, forward_bytes, backward_bytes)."""
        raise NotImplementedError(f"{self.name}: has no cost rule; define cost(shapes, out_shapes)")

    def settings(self) -> str:
        """The settings as the tape's listing shows them."""
        return ", ".join(f"{k}={v}" for k, v in vars(self).items()
                         if not k.startswith("_") and v is not None and not hasattr(v, "ndim"))


UNRECORDED = record(None, ())       # what forward is given when nothing is recorded
UNRECORDED.ignore()


def expect_tensor(name, x):
    """Refuse what is not a tensor; `name` is the operation, for the error."""
    if not isinstance(x, TensorBase):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}; make it one with minilayer.tensor(...)")


# ---- recording ----

_BIG = 1 << 63          # an int beyond may not fit in a float: promote() has the error
_promote = cython.declare(object, None)


def register_promotion(function):
    """Name what brings an operation's inputs to one dtype (promotion.py's promote, once)."""
    global _promote
    _promote = function


def apply(op, *inputs):
    """Compute `op` on tensors (None where an input is left out), and record it where a gradient will be asked for.

    Returns a tensor, or a tuple of them for an op with several outputs.
    """
    state: State = current()
    flags: cython.int = op._flags
    x: TensorBase
    node: Node
    if flags & _PROMOTES:
        inputs = _promote(op, inputs)
    arrays = []
    parents = []
    slots = []
    recording: cython.bint = state.grad_enabled and not flags & _CONSTANT
    needed: cython.bint = False
    several: cython.bint = False
    where = None
    for item in inputs:
        if item is None:
            if len(arrays) < op.required:
                raise TypeError(f"{op.name}: expected a tensor as input {len(arrays)}, got None")
            arrays.append(None)
            parents.append(None)
            slots.append(0)
            continue
        if not isinstance(item, TensorBase):
            raise TypeError(f"{op.name}: expected tensors, got {type(item).__name__}; "
                            "make it a tensor with minilayer.tensor(...) first")
        x = item
        arrays.append(x.array)
        if where is None:
            where = type(x.array)
        elif type(x.array) is not where:
            refuse_mixed_devices(op, inputs)
        if recording:
            parent = edge(x)
            parents.append(parent)
            slots.append(x.slot)
            if parent is not None:
                needed = True
                if x.slot:
                    several = True
    if needed:
        node = record(op, tuple(parents))
        if several:
            node.slots = tuple(slots)
    else:
        node = UNRECORDED
    value = op.forward(node, *arrays)
    if type(value) is tuple:
        results = _wrap_several(op, node, value)
    else:
        results = (wrap_result(value, node if needed else None, 0),)
    if flags & _VIEW:
        for item in results:
            _make_view(item, inputs[0])
    if needed:
        if flags & _BROADCASTS:
            shape = results[0].array.shape
            for a in arrays:
                if a is not None and a.shape != shape:
                    node.shapes = tuple([None if a is None else a.shape for a in arrays])
                    break
        elif flags & _FOREIGN:
            node.shapes = tuple([None if a is None else a.shape for a in arrays])
        if node.kept:
            note_versions(node, inputs, results)
    if state.tape is not None:
        state.tape.record(op, inputs, results, state.layers)
    if state.observer is not None:
        state.observer(node if needed else None, op, inputs, results)
    return results if type(value) is tuple else results[0]


@cython.ccall
def apply2(op, a, b):
    """`apply` for two inputs, the commonest case, without its general loop."""
    x: TensorBase
    y: TensorBase
    result: TensorBase
    node: Node
    state: State
    flags: cython.int = op._flags
    if isinstance(a, TensorBase) and flags & _PROMOTES and (type(b) is float or type(b) is int and -_BIG < b < _BIG):
        x = a
        if type(x.array) is ndarray and x.array.dtype.kind == "f":
            b = wrap(scalar_like(b, x.array))           # the dtype stays x's, by result_type's rule
    if not (isinstance(a, TensorBase) and isinstance(b, TensorBase)):
        return apply(op, a, b)
    x = a
    y = b
    state = current()
    if (flags & ~_SIMPLE or state.tape is not None or state.observer is not None
            or type(x.array) is not ndarray or type(y.array) is not ndarray or not same_dtype(x.array, y.array)
            or (flags & _FLOATS and x.array.dtype.kind != "f")):
        return apply(op, a, b)
    if not state.grad_enabled or flags & _CONSTANT:
        return wrap_result(op.forward(UNRECORDED, x.array, y.array), None, 0)
    p, q = edge(x), edge(y)
    if p is None and q is None:
        return wrap_result(op.forward(UNRECORDED, x.array, y.array), None, 0)
    node = record(op, (p, q))
    if x.slot or y.slot:
        node.slots = (x.slot, y.slot)
    result = wrap_result(op.forward(node, x.array, y.array), node, 0)
    if flags & _BROADCASTS and not (same_shape(x.array, result.array) and same_shape(y.array, result.array)):
        node.shapes = (x.array.shape, y.array.shape)
    if node.kept:
        note_versions2(node, x, y, result)
    return result


@cython.ccall
def refuse_mixed_devices(op, inputs):
    places = [device.device_of(cython.cast(TensorBase, x).array) for x in inputs if x is not None]
    raise RuntimeError(f"{op.name}: expected all tensors on one device, got {', '.join(places)}; "
                       "move them with .to(device)")


@cython.cfunc
def _wrap_several(op, node: Node, values: tuple) -> tuple:
    """Tensors around the outputs of an op that has several."""
    result: list = []
    slot: cython.int = 0
    recorded = node.recording
    if recorded:
        node.outputs = len(values)
        if node.outputs > 1:
            node.grad = [None] * node.outputs
            node.owned = [False] * node.outputs
    for value in values:
        differentiable = recorded and slot not in op.nondifferentiable_outputs
        result.append(wrap_result(value, node if differentiable else None, slot if differentiable else 0))
        slot += 1
    return tuple(result)


@cython.cfunc
def _make_view(view: TensorBase, source: TensorBase):
    """Let a view share its source's version counter, and know the tensor whose memory it shows."""
    base: TensorBase = source if source.base is None else source.base
    view.version = source.version_counter()
    view.base = base
    view.seen = base.rebased


# ---- walking back ----

@cython.boundscheck(False)
@cython.wraparound(False)
@cython.cfunc
def _push(heap: list, node: Node):
    """Add a node to a heap whose first element has the highest number."""
    i: cython.Py_ssize_t = len(heap)
    above: cython.Py_ssize_t
    other: Node
    heap.append(node)
    while i > 0:
        above = (i - 1) >> 1
        other = heap[above]
        if other.order > node.order:
            break
        heap[i] = other
        i = above
    heap[i] = node


@cython.boundscheck(False)
@cython.wraparound(False)
@cython.cfunc
def _pop(heap: list) -> Node:
    """Take the node with the highest number."""
    last: Node = heap.pop()
    n: cython.Py_ssize_t = len(heap)
    if n == 0:
        return last
    top: Node = heap[0]
    child: Node
    other: Node
    i: cython.Py_ssize_t = 0
    below: cython.Py_ssize_t
    while True:
        below = 2 * i + 1
        if below >= n:
            break
        child = heap[below]
        if below + 1 < n:
            other = heap[below + 1]
            if other.order > child.order:
                child = other
                below += 1
        if child.order < last.order:
            break
        heap[i] = child
        i = below
    heap[i] = last
    return top


@cython.cfunc
def _arrive(node: Node, slot: cython.int, g, heap: list):
    """Add g to the gradient of a node's output, and queue the node."""
    if node.outputs > 1:
        if node.grad[slot] is None:
            node.grad[slot] = g
        elif node.grad[slot] is not g or not node.owned[slot]:
            node.grad[slot] = added(node.grad[slot], node.owned[slot], g)
            node.owned[slot] = True
    elif node.grad is None:
        node.grad = g               # kept as it is: it may be another tensor's gradient too, so it is not owned
    elif not (node.owned and node.grad is g):
        # (where the op added to the tape's own buffer by itself, there is nothing left to add)
        node.grad = added(node.grad, node.owned, g)
        node.owned = not isinstance(g, TensorBase)
    if not node.queued:
        node.queued = True
        _push(heap, node)


@cython.cfunc
def _arrive_leaf(leaf: TensorBase, g, private: cython.bint, pending: dict, found: list, wanted):
    """Hand a leaf's gradient to .grad, to the result (`wanted`), or, where hooks wait for the whole of it, aside."""
    if wanted is not None and id(leaf) not in wanted:
        return
    if leaf.hooks:
        held = pending.get(id(leaf))
        pending[id(leaf)] = (leaf, g if held is None else added(held[1], False, g))
    elif wanted is None:
        collect(leaf, g, private)
    else:
        _capture(found, wanted[id(leaf)], g)


@cython.cfunc
def _reset(nodes):
    """Let nodes forget what has arrived at them."""
    node: Node
    for node in nodes:
        node.queued = False
        node.grad = [None] * node.outputs if node.outputs > 1 else None
        node.owned = [False] * node.outputs if node.outputs > 1 else False


def walk(roots, gradients, keep_graph, create_graph, targets=None):
    """Send gradients from `roots` back through the graph.

    Without `targets` they are added to the .grad of every leaf met; with them (a list of tensors) nothing is written,
    and the list of their gradients is returned (None where no path leads to one).
    """
    heap: list = [UNRECORDED] * 4   # below all others, so that the list never shrinks to nothing and grows again
    node: Node
    parent_node: Node
    leaf: TensorBase
    root: TensorBase
    pending: dict = {}              # leaves with hooks: their gradient so far
    wanted = None if targets is None else {}        # targets by identity (leaf) or by node and output
    found: list = [None] * len(targets) if targets is not None else []
    i: cython.Py_ssize_t
    state: State = current()
    before: cython.bint = state.grad_enabled
    if targets is not None:
        for i in range(len(found)):
            root = targets[i]
            e = edge(root)
            if e is None:
                raise RuntimeError(f"grad: input {i} does not require a gradient; call .requires_grad_() on it "
                                   "before it is used")
            wanted.setdefault(id(root) if e is root else (id(e), root.slot), []).append(i)
    # A hook may walk back by itself, through the same nodes: what has arrived at them so far waits aside meanwhile.
    outer = state.heap
    aside: list = []
    for node in outer or ():
        if node is not UNRECORDED:
            aside.append((node, node.grad, node.owned))
    nodes: list = [] if outer is None and targets is None else _reachable([edge(r) for r in roots])
    masks: list = []
    for node in nodes:
        masks.append(node.mask)
    try:
        state.heap = heap
        state.grad_enabled = create_graph
        if nodes:
            _restrict(nodes, wanted)
        if outer is not None:
            _reset(outer)
        for item, g in zip(roots, gradients):
            root = item
            e = edge(root)
            if isinstance(e, Node):
                _arrive(e, root.slot, g, heap)
            else:
                _arrive_leaf(root, g, False, pending, found, wanted)
        while True:
            node = _pop(heap)
            if node is UNRECORDED:
                break
            node.queued = False
            g = node.grad
            if node.outputs > 1:
                node.grad = [None] * node.outputs
                node.owned = [False] * node.outputs
            else:
                node.grad = None
                node.owned = False
            if node.hooks is not None:
                if node.outputs > 1:
                    g = [pass_hooks(node.hooks, s, x) for s, x in enumerate(g)]
                else:
                    g = pass_hooks(node.hooks, 0, g)
            if targets is not None:
                if node.outputs > 1:
                    for s, x in enumerate(g):
                        _capture(found, wanted.get((id(node), s)), x)
                else:
                    _capture(found, wanted.get((id(node), 0)), g)
                if node.mask is not None and True not in node.mask:
                    continue
            if node.freed:
                raise RuntimeError(
                    f"backward: the values that {node.op.name} saved were freed by an earlier backward pass; call "
                    "that one with retain_graph=True, or compute the forward pass again")
            if node.checks is not None:
                check_versions(node)
            if create_graph:
                given = _backward_graph(node, g)
            elif node.outputs > 1:
                given = node.op.backward(node, *g)
            else:
                given = node.op.backward(node, g)
            if type(given) is list:
                raise RuntimeError(f"{node.op.name}: backward returned a list, expected a gradient or a tuple of them")
            result: tuple = given if type(given) is tuple else (given,)
            if len(result) != len(node.parents):
                raise RuntimeError(f"{node.op.name}: backward returned {len(result)} gradients, expected one for each "
                                   f"of its {len(node.parents)} inputs")
            if not keep_graph and node.kept:
                node.kept = ()
                drop_checks(node)
                node.freed = True
            for i in range(len(result)):
                parent = node.parents[i]
                gi = result[i]
                if parent is None or gi is None or (node.mask is not None and not node.mask[i]):
                    continue
                if node.shapes is not None:
                    gi = fitted(node.op, i, gi, node.shapes[i])
                if isinstance(parent, Node):
                    parent_node = parent
                    _arrive(parent_node, 0 if node.slots is None else node.slots[i], gi, heap)
                    continue
                leaf = parent
                if not alike(gi.array if create_graph else gi, leaf.array):
                    raise RuntimeError(f"{node.op.name}: backward returned a gradient of {describe(gi)} for input {i}; "
                                       f"expected {describe(leaf)}, as the input")
                private: cython.bint = gi is not result[i] or not create_graph and is_private(i, result, g)
                _arrive_leaf(leaf, gi, private, pending, found, wanted)
        for leaf, g in pending.values():
            g = run_hooks(leaf.hooks, g)
            if wanted is None:
                collect(leaf, g, True)
            else:
                _capture(found, wanted[id(leaf)], g)
    finally:
        state.grad_enabled = before
        state.heap = outer
        _reset(heap)                # after an error: leave no half-summed gradients behind
        for node, g, owned in aside:
            node.grad, node.owned, node.queued = g, owned, True
        for node, mask in zip(nodes, masks):
            node.mask = mask
    return found


@cython.cfunc
def _capture(found: list, places, g):
    if places is not None and g is not None:
        for i in places:
            found[i] = g if found[i] is None else added(found[i], False, g)


def _backward_graph(node: Node, g):
    """The gradients of a node's inputs as tensors that can be differentiated again."""
    rule = getattr(node.op, "backward_graph", None)
    if rule is None:
        raise RuntimeError(f"{node.op.name}: gradients of gradients (create_graph=True) are not written for this "
                           "operation; build it from operations that have them, or use create_graph=False")
    if node.outputs > 1:
        return rule(node, *g)
    return rule(node, g)


def _reachable(edges) -> list:
    """Every node under these, in rising order."""
    stack = [e for e in edges if isinstance(e, Node)]
    seen = {id(n) for n in stack}
    nodes = list(stack)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and id(parent) not in seen:
                seen.add(id(parent))
                stack.append(parent)
                nodes.append(parent)
    nodes.sort(key=lambda n: n.order)
    return nodes


def _restrict(nodes, wanted):
    """Mark on each node which inputs lead to a wanted tensor, so that the walk computes nothing else; on none where
    `wanted` is None."""
    leads: set = set()
    node: Node
    parent_node: Node
    for node in nodes:
        if wanted is None:
            node.mask = None
            continue
        mask = []
        for i, parent in enumerate(node.parents):
            if isinstance(parent, Node):
                parent_node = parent
                slot = 0 if node.slots is None else node.slots[i]
                mask.append(id(parent_node) in leads or (id(parent_node), slot) in wanted)
            else:
                mask.append(parent is not None and id(parent) in wanted)
        node.mask = mask
        if True in mask:
            leads.add(id(node))


def seed(tensor, gradient, create_graph, name):
    """The gradient a walk starts with at one tensor: an array, or with `create_graph` a tensor."""
    t: TensorBase = tensor
    if edge(t) is None:
        raise RuntimeError(f"{name}: this tensor was not made by recorded operations and does not require a gradient; "
                           "set requires_grad=True on what it depends on, and check for no_grad() or detach()")
    if gradient is None:
        if t.array.size != 1:
            raise RuntimeError(f"{name}: expected a tensor of one element, got shape {t.array.shape}; reduce it with "
                               ".sum() or .mean(), or pass the gradient of what you want to reduce it to")
        one = device.full(t.array.shape, 1, t.array.dtype, t.array)
        return wrap(one) if create_graph else one
    if not isinstance(gradient, TensorBase):
        raise TypeError(f"{name}: expected the gradient as a tensor, got {type(gradient).__name__}")
    if gradient.array.shape != t.array.shape:
        raise ValueError(f"{name}: expected a gradient of shape {t.array.shape}, the tensor's, "
                         f"got {gradient.array.shape}")
    if gradient.array.dtype != t.array.dtype:
        raise TypeError(f"{name}: expected a gradient of dtype {t.array.dtype}, got {gradient.array.dtype}")
    # (a copy: it may be a .grad that the walk adds to)
    return gradient if create_graph else device.copy(gradient.array)


def backward(tensor, gradient=None, retain_graph=None, create_graph=False):
    """Add d tensor / d leaf to the .grad of every leaf it depends on. See `Tensor.backward`."""
    start = seed(tensor, gradient, create_graph, "backward")
    walk([tensor], [start], bool(create_graph if retain_graph is None else retain_graph), bool(create_graph))
