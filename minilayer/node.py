# cython: language_level=3
"""Tensors and nodes: the graph of what was computed, which the tape records and walks.

A tensor that an operation made knows the `Node` of that operation; the node knows where its inputs came from, and what
the operation kept for its backward rule. Nodes carry rising numbers, and an output's node always has a higher number
than its inputs' nodes. Nodes belong to the tensors they made and never the other way round, so a graph that nobody
holds any more is gone at once.
"""
import cython

from minilayer import device


@cython.no_gc                       # (it holds no more than a text: no cycle can pass through it)
@cython.cclass
class Version:
    """How often (`count`) the memory under a tensor and its views was changed in place, and where (`site`) last."""

    def __init__(self):
        self.count = 0
        self.site = None


@cython.no_gc
@cython.freelist(64)
@cython.cclass
class Check:
    """Whose memory saved array number `index` is (`place`: input 0, 1, ..., or output -1, -2, ...), and how often
    (`count`) that had been changed, by its `counter`, when it was saved. `next`: the node's next Check."""


@cython.cclass
class TensorBase:
    """An array and its place in the graph. `Tensor` (tensor.py) adds what people call."""
    # Its fields are declared in node.pxd, for tensor.py to extend:
    #   array       the values, or None
    #   grad        for a leaf (or after retain_grad): the gradient collected so far
    #   node, slot  the Node that made it and which of its outputs this is; node is None for a leaf
    #   wants_grad  a leaf asked to collect its gradient
    #   version     Version, made when first needed, shared with views
    #   base        for a view: the tensor whose memory it shows
    #   rebased     for a base: how often its node was replaced by an in-place change
    #   seen        for a view: base.rebased when self.node was derived
    #   hooks       for a leaf: functions on its gradient
    #   number      its name on a tape, 0 while no tape has met it
    #   retains     retain_grad was asked for

    @property
    def requires_grad(self):
        """Will this tensor get a gradient, or hand one on to what it was made from?"""
        return edge(self) is not None

    @requires_grad.setter
    def requires_grad(self, value):
        if edge(self) is not None and self.node is not None:
            if not value:
                raise RuntimeError("requires_grad: only a leaf can stop requiring a gradient; use .detach()")
            return
        if value and self.array.dtype.kind != "f":
            raise TypeError(f"requires_grad: expected a float32 or float64 tensor, got {self.array.dtype}; "
                            "convert it with .float()")
        self.wants_grad = value

    @property
    def is_leaf(self):
        """Was this tensor made by the user rather than by a recorded operation?"""
        edge(self)
        return self.node is None

    def version_counter(self):
        """The version counter of this tensor's memory."""
        if self.version is None:
            self.version = Version()
        return self.version

    def mark_written(self, site=None):
        """Say that this tensor's memory was changed in place, outside an operation."""
        counter = cython.declare(Version, self.version_counter())
        counter.count += 1
        counter.site = site


if not cython.compiled:
    for _field in ("array", "grad", "node", "version", "base", "hooks"):
        setattr(TensorBase, _field, None)
    for _field in ("slot", "rebased", "seen", "number"):
        setattr(TensorBase, _field, 0)
    TensorBase.wants_grad = TensorBase.retains = False

_tensor_type = cython.declare(type, TensorBase)
_view_op = cython.declare(object, None)


def register_tensor(cls):
    """Name the class that every operation returns (tensor.py's Tensor, once)."""
    global _tensor_type
    _tensor_type = cls


def register_view(op):
    """Name the operation by which a view shows its base's new values (views.py's StridedView, once)."""
    global _view_op
    _view_op = op


@cython.ccall
def wrap(array):
    """A new tensor around an array, outside any graph."""
    tensor = cython.declare(TensorBase, _tensor_type.__new__(_tensor_type))
    tensor.array = array
    return tensor


@cython.ccall
def wrap_result(array, node, slot: cython.int):
    tensor = cython.declare(TensorBase, _tensor_type.__new__(_tensor_type))
    tensor.array = array
    tensor.node = node
    tensor.slot = slot
    return tensor


@cython.ccall
def edge(tensor: TensorBase):
    """Where this tensor's gradient goes: the node that made it, itself for a leaf that collects one, or None."""
    base: TensorBase
    node: Node
    if tensor.base is not None:
        base = tensor.base
        if tensor.seen != base.rebased:     # the base was written to meanwhile: this view shows the new values
            node = record(_view_op(tensor.array, base.array), (edge(base),))
            node.slots = (base.slot,) if base.slot else None
            set_maker(tensor, node)
            tensor.seen = base.rebased
    if tensor.node is not None:
        return tensor.node
    return tensor if tensor.wants_grad else None


@cython.trashcan(True)              # a chain of a million nodes is dropped without a million nested calls
@cython.cclass
class Node:
    """One recorded operation: the op, where its inputs came from, and what its backward rule reads."""
    # Its fields are declared in node.pxd, so that op files can be compiled against them:
    #   op         the Op, with its settings
    #   parents    one an input: the Node that made it, a leaf, or None where no gradient goes
    #   slots      which output of each parent; None where all are 0
    #   order      its number: higher than those of its parents
    #   recording  will a backward pass read what is saved?
    #   outputs    how many outputs it has
    #   kept       the saved arrays
    #   checks     the first Check of saved arrays that a tensor shares; `freed` once backward let them go
    #   shapes     the inputs' shapes, where the op broadcast them
    #   mask       during a restricted walk: which inputs matter
    #   hooks      {output: functions on its gradient, ~output: a weak reference to the tensor that retains it}
    #   grad       the gradient that has arrived so far, and in `owned` whether the tape may add to it in place
    #              (lists for several outputs); `queued` while it waits in the heap

    def __dealloc__(self):
        drop_checks(self)

    def save(self, *arrays):
        """Keep arrays (inputs, outputs or private ones) for backward. Does nothing when nothing is recorded."""
        if self.recording:
            self.kept = arrays

    def ignore(self):
        """Save nothing from now on."""
        self.recording = False

    @property
    def saved(self):
        """What forward saved."""
        return self.kept

    @property
    def saved_tensors(self):
        """What forward saved, as tensors that know where they came from (for `backward_graph`)."""
        return tuple([restore(self, i) for i in range(len(self.kept))])

    def needs(self, i):
        """Does input i need a gradient?"""
        if self.mask is not None:
            return self.mask[i]
        return self.recording and self.parents[i] is not None

    def gradient(self, i, shape, dtype):
        """A buffer for input i's gradient and whether to add to it: (array, accumulate). The engine's own sum where
        one exists already (a parameter used twice), so that no extra pass is needed; else a new one."""
        parent = self.parents[i]
        node: Node
        leaf: TensorBase
        like = self.kept[0]
        if isinstance(parent, Node):
            node = parent
            if node.outputs == 1 and node.owned:
                return node.grad, True
        elif isinstance(parent, TensorBase) and self.mask is None:
            leaf = parent
            if not leaf.hooks and isinstance(leaf.grad, TensorBase) and cython.cast(TensorBase, leaf.grad).node is None:
                held = cython.cast(TensorBase, leaf.grad).array
                if (held.dtype == dtype and held.shape == shape and type(held) is type(like)
                        and device.is_contiguous(held)):
                    return held, True
        return device.empty(shape, dtype, like), False


if not cython.compiled:
    for _field in ("op", "slots", "checks", "shapes", "mask", "hooks", "grad"):
        setattr(Node, _field, None)
    Check.next = None
    Node.freed = Node.queued = Node.recording = False
    Node.order = 0
_order = cython.declare(cython.longlong, 0)


@cython.ccall
def record(op, parents: tuple) -> Node:
    """A new node, with a number above all others."""
    global _order
    node: Node = Node.__new__(Node)     # (a call of the class would cost as much again)
    _order += 1
    node.order = _order
    node.op = op
    node.parents = parents
    node.outputs = 1
    node.kept = ()
    node.owned = False
    node.recording = True
    return node


@cython.ccall
def drop_checks(node: Node):
    """Let a node's Checks go one by one: a chain of many thousands freed by its first would need as many nested calls."""
    check: Check = node.checks
    following: Check
    node.checks = None
    while check is not None:
        following = check.next
        check.next = None
        check = following


@cython.ccall
def set_maker(tensor: TensorBase, node: Node):
    """Let `node` be what made this tensor, after a change in place. Hooks stay with the values they were asked for;
    retain_grad, which is about the tensor, moves along."""
    old: Node
    if tensor.retains:
        old = tensor.node
        node.hooks = {-1: old.hooks.pop(~tensor.slot)}
    tensor.node = node
    tensor.slot = 0


def restore(node: Node, i):
    """Saved array i as a tensor in its place in the graph."""
    array = node.kept[i]
    check: Check = node.checks
    while check is not None and check.index != i:
        check = check.next
    if array is None:
        return None
    made: TensorBase
    if check is None:
        return wrap(array)
    parent = None if check.place < 0 else node.parents[check.place]
    if check.place < 0:
        made = wrap_result(array, node, -1 - check.place)
    elif isinstance(parent, Node):
        made = wrap_result(array, parent, 0 if node.slots is None else node.slots[check.place])
    elif parent is None:
        made = wrap(array)
    elif cython.cast(TensorBase, parent).array is array:
        return parent
    else:
        raise RuntimeError(f"backward: {node.op.name} saved input {check.place} for its gradient, but its .data was replaced "
                           "afterwards, or written to by the operation itself; compute the forward pass again")
    made.version = check.counter        # a write to that memory from now on is still noticed
    return made
