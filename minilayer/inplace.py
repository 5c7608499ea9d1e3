# cython: language_level=3
"""Change in place: `x += y`, `x[i] = v`, `y = x.T; y.mul_(2)`, recorded as in PyTorch.

The memory changes at once; the graph cannot, so the tensor gets a new node, whose input is the node it had. Written to
through a view, it is the base that changes: the base's new node takes the part that the view shows from the view's new
values, and every other view derives itself from the base again (`edge` in node.py) when it is next used.
"""
import sys

import cython

from minilayer import device
from minilayer._ext.dispatch import family
from minilayer.dtypes import category
from minilayer.node import Node, TensorBase, edge, record, set_maker, wrap
from minilayer.promotion import cast, promote
from minilayer.state import thread_state
from minilayer.tape import UNRECORDED, Op, apply, elementwise_cost, refuse_mixed_devices
from minilayer.versions import note_versions, save_from
from minilayer.views import StridedView, ViewPart

indexing = family("indexing")


class WriteThrough(Op):
    """base' = base with the part that a view shows replaced by the view's new values.

    The old base gets the gradient outside that part, the new values get it inside.
    """
    name = "write_through_view"

    def __init__(self, view, base):
        self.part = StridedView(view, base)

    def backward(self, node, dy):
        memory, dbase, region = self.part.like_base(dy)
        indexing.on(dy).copy(dy, dbase)
        dvalue = device.empty(region.shape, dy.dtype, dy)
        indexing.on(dy).copy(region, dvalue)
        indexing.on(dy).fill(region, value=0)
        return dbase, dvalue

    def backward_graph(self, node, dy):
        dvalue = apply(ViewPart(self.part, False), dy)
        return dy - apply(ViewPart(self.part, True), dvalue), dvalue

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


def _site() -> str:
    """The line outside minilayer that is running, for error messages."""
    frame = sys._getframe(0)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "minilayer":
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "an unknown line"


def refuse_expanded(name, array):
    """Refuse to write into memory that one place stands for many elements in."""
    if device.is_expanded(array):
        raise RuntimeError(f"{name}: expected one memory place an element, got an expanded tensor of shape "
                           f"{array.shape}; .clone() it first")


def apply_inplace(op, target, *others, name=None):
    """Compute `op(target, *others)` into target's own memory, and record that for target, its base and its views.

    Returns target. `name` is what errors call it (the op's name with _). The op's result must have target's shape and fit
    its dtype. An op that defines `forward_inplace(node, target_array, *arrays)` writes by itself; others compute first and
    copy then.
    """
    state = thread_state()
    t: TensorBase = target
    base: TensorBase = t if t.base is None else t.base
    node: Node
    e = edge(t)
    if name is None:
        name = op.name + "_"
    if state.grad_enabled and (e is t or (t.base is not None and edge(base) is base)):
        what = "a leaf that requires a gradient" if e is t else "a view of a leaf that requires a gradient"
        raise RuntimeError(f"{name}: expected a tensor that may be changed in place, got {what}; wrap the change in "
                           "minilayer.no_grad(), or use the out-of-place form")
    refuse_expanded(name, t.array)
    if op.promotes:
        converted = promote(op, (target, *others))
        if converted[0] is not target and category(converted[0].array.dtype) != category(t.array.dtype):
            raise TypeError(f"{name}: the result's dtype {converted[0].array.dtype} does not fit in the tensor's "
                            f"{t.array.dtype}; use the out-of-place form")
        others = tuple([x if x.array.dtype == t.array.dtype else cast(x, t.array.dtype) for x in converted[1:]])
    for x in others:
        if x is not None and not isinstance(x, TensorBase):
            raise TypeError(f"{name}: expected tensors, got {type(x).__name__}")
        if x is not None and type(x.array) is not type(t.array):
            refuse_mixed_devices(op, (target, *others))
    parents = (e, *[None if x is None else edge(x) for x in others])
    needed: cython.bint = state.grad_enabled and op.differentiable and any([p is not None for p in parents])
    arrays = [None if x is None else x.array for x in others]
    if needed:
        node = record(op, parents)
        slots = (t.slot, *[0 if x is None else cython.cast(TensorBase, x).slot for x in others])
        node.slots = slots if any(slots) else None
    else:
        node = UNRECORDED
    if hasattr(op, "forward_inplace"):
        # What it reads may lie in the memory it writes: x[1:] = x[:-1].
        arrays = [device.copy(a) if a is not None and device.may_overlap(a, t.array) else a for a in arrays]
        op.forward_inplace(node, t.array, *arrays)
        t.mark_written(_site())
        if node.kept:
            note_versions(node, (None, *others), ())
    else:
        value = op.forward(node, t.array, *arrays)
        if value.shape != t.array.shape:
            raise ValueError(f"{name}: expected a result of the tensor's shape {t.array.shape}, got {value.shape}; "
                             "use the out-of-place form")
        t.mark_written(_site())
        if node.kept:
            note_versions(node, (target, *others), (wrap(value),))
            save_from(node, t.array)
        indexing.on(t.array).copy(value, t.array)
    if needed:
        shape = t.array.shape
        if op.broadcasts and any([a is not None and a.shape != shape for a in arrays]):
            node.shapes = (shape, *[None if a is None else a.shape for a in arrays])
        _rebase(t, base, node)
    if state.tape is not None:
        state.tape.record(op, (target, *others), (target,), state.layers)
    if state.observer is not None:
        state.observer(node if needed else None, op, (target, *others), (target,))
    return target


@cython.cfunc
def _rebase(t: TensorBase, base: TensorBase, node: Node):
    """Make `node` the maker of t's new values. Where t is a view it is the base that has new values, and t one of the
    views that derive themselves from it."""
    whole: Node
    if t.base is None:
        set_maker(t, node)
    else:
        whole = record(WriteThrough(t.array, base.array), (edge(base), node))
        whole.slots = (base.slot, 0) if base.slot else None
        set_maker(base, whole)
    base.rebased += 1
    if t.retains:
        edge(t)             # its .grad is about the new values from now on
