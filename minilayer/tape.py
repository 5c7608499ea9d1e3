# cython: language_level=3
"""The tape: what was computed, and the walk back that turns it into gradients.

An operation on tensors does two things. It computes, on arrays; and, where a gradient will be asked for, it leaves a
`Node` behind that remembers the operation, where its inputs came from and what its backward rule will read. Nodes
carry rising numbers, and an output's node always has a higher number than its inputs' nodes. So walking from the
highest number down meets every node after all of its users: by then its gradient is complete. That walk is `backward`.

This file is plain Python and runs as it stands (MINILAYER_PURE=1); compiled by Cython it costs some tens of
nanoseconds a node. What it leaves out for that speed: a graph is walked by one thread at a time.

In order of need: `TensorBase`, `Op`, `Node`, casts and views, `apply` (record), `backward` (walk). What a thread is
doing is in state.py, change in place in inplace.py, the listing in listing.py.
"""
import weakref
from collections import namedtuple
from math import prod as _size

import cython
import numpy as np

from minilayer import device
from minilayer._ext.dispatch import Family, family
from minilayer.device import address
from minilayer.dtypes import DTYPES, float32, result_type

if cython.compiled:
    from cython.cimports.minilayer._ext.runtime import owns, same_dtype, same_shape, scalar_like
    from cython.cimports.minilayer.state import State, current
else:
    from minilayer._ext.runtime import owns, same_dtype, same_shape, scalar_like
    from minilayer.state import State, current

ndarray = cython.declare(type, np.ndarray)
arithmetic = cython.declare(Family, family("arithmetic"))
indexing = family("indexing")
reduce = family("reduce")


# ---- the part of a tensor that the tape knows ----

@cython.no_gc                       # (it holds no more than a text: no cycle can pass through it)
@cython.cclass
class Version:
    """How often the memory under a tensor, and under all views of it, was changed in place, and where last."""
    count = cython.declare(cython.longlong, visibility="public")
    site = cython.declare(object, visibility="public")

    def __init__(self):
        self.count = 0
        self.site = None


@cython.no_gc
@cython.freelist(64)
@cython.cclass
class Check:
    """Whose memory a saved array is, and how often that had been changed when it was saved."""
    place = cython.declare(cython.int)          # input 0, 1, ...; output -1, -2, ...
    counter = cython.declare(Version)
    count = cython.declare(cython.longlong)


@cython.cclass
class TensorBase:
    """An array and its place in the graph. `Tensor` (tensor.py) adds what people call."""
    # Its fields are declared in tape.pxd, for tensor.py to extend:
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


def register_tensor(cls):
    """Name the class that every operation returns (tensor.py's Tensor, once)."""
    global _tensor_type
    _tensor_type = cls


@cython.ccall
def wrap(array):
    """A new tensor around an array, outside any graph."""
    tensor = cython.declare(TensorBase, _tensor_type.__new__(_tensor_type))
    tensor.array = array
    return tensor


@cython.cfunc
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
            node = record(StridedView(tensor.array, base.array), (edge(base),))
            node.slots = (base.slot,) if base.slot else None
            set_maker(tensor, node)
            tensor.seen = base.rebased
    if tensor.node is not None:
        return tensor.node
    return tensor if tensor.wants_grad else None


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
                      | (_FLOATS if cls.promotes == "float" else 0))

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


@cython.trashcan(True)              # a chain of a million nodes is dropped without a million nested calls
@cython.cclass
class Node:
    """One recorded operation: the op, where its inputs came from, and what its backward rule reads."""
    # Its fields are declared in tape.pxd, so that op files can be compiled against them:
    #   op         the Op, with its settings
    #   parents    one an input: the Node that made it, a leaf, or None where no gradient goes
    #   slots      which output of each parent; None where all are 0
    #   order      its number: higher than those of its parents
    #   recording  will a backward pass read what is saved?
    #   outputs    how many outputs it has
    #   kept       the saved arrays
    #   checks     for each a Check, or None; `freed` once backward let them go
    #   shapes     the inputs' shapes, where the op broadcast them
    #   mask       during a restricted walk: which inputs matter
    #   hooks      {output: functions on its gradient, ~output: a weak reference to the tensor that retains it}
    #   grad       the gradient that has arrived so far, and in `owned` whether the tape may add to it in place
    #              (lists for several outputs); `queued` while it waits in the heap

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
        return tuple([_restore(self, i) for i in range(len(self.kept))])

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
def set_maker(tensor: TensorBase, node: Node):
    """Let `node` be what made this tensor, after a change in place. Hooks stay with the values they were asked for;
    retain_grad, which is about the tensor, moves along."""
    old: Node
    if tensor.retains:
        old = tensor.node
        node.hooks = {-1: old.hooks.pop(~tensor.slot)}
    tensor.node = node
    tensor.slot = 0


UNRECORDED = record(None, ())       # what forward is given when nothing is recorded
UNRECORDED.ignore()


NUMBERS = (int, float, np.number, np.bool_)


def expect_tensor(name, x):
    """Refuse what is not a tensor; `name` is the operation, for the error."""
    if not isinstance(x, TensorBase):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}; make it one with minilayer.tensor(...)")


def constant(x, like, name):
    """An array for an operand that is no tensor: a Python number."""
    if isinstance(x, NUMBERS) and not isinstance(x, np.complexfloating):
        try:
            return scalar_like(x, like) if type(like) is ndarray else device.full((), x, like.dtype, like)
        except OverflowError:
            raise ValueError(f"{name}: the number {x} does not fit in {like.dtype}") from None
    raise TypeError(f"{name}: expected a tensor or a number, got {type(x).__name__}; "
                    "make it a tensor with minilayer.tensor(...) first")


class Cast(Op):
    """y = x as another dtype; the gradient is cast back."""
    name = "to"

    def __init__(self, dtype):
        self.dtype = dtype

    def forward(self, node, x):
        node.save(empty_of(x))      # only its dtype is read
        return device.cast(x, self.dtype)

    def backward(self, node, dy):
        return device.cast(dy, node.saved[0].dtype)

    def backward_graph(self, node, dy):
        return apply(Cast(node.saved[0].dtype), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


def empty_of(x):
    """No values in x's dtype: remembers a dtype without holding x's memory."""
    return device.empty((0,), x.dtype, x)


def cast(x, dtype):
    """The tensor x as another dtype; x itself where it has it. An integer or bool result has no gradient."""
    if x.array.dtype == dtype:
        return x
    if dtype.kind == "f" and x.array.dtype.kind == "f":
        return apply(Cast(dtype), x)
    return wrap(device.cast(x.array, dtype))


def _operand(name, x, like):
    """A tensor or a number as it is, an ndarray as a tensor on like's device; nothing else."""
    if type(x) is ndarray:
        if x.dtype not in DTYPES:
            raise TypeError(f"{name}: expected an array of {', '.join(map(str, DTYPES))}, got {x.dtype}; "
                            "convert it with .astype(...)")
        return wrap(device.to_device(x, device.device_of(like)))
    if not isinstance(x, (TensorBase, *NUMBERS)):
        constant(x, like, name)             # raises
    return x


@cython.ccall
def promote(op, inputs: tuple) -> tuple:
    """The inputs in one dtype, numbers as 0-d tensors on the device of the first tensor."""
    like = None
    alike: cython.bint = True           # the common case: tensors of one dtype, which is fit already
    for x in inputs:
        if not isinstance(x, TensorBase):
            alike = False
        elif like is None:
            like = cython.cast(TensorBase, x).array
        elif cython.cast(TensorBase, x).array.dtype is not like.dtype:
            alike = False
    if alike and like is not None and (like.dtype.kind == "f" or op.promotes == "same"):
        return inputs
    if like is None:
        raise TypeError(f"{op.name}: expected at least one tensor, got {', '.join([type(x).__name__ for x in inputs])}")
    inputs = tuple([_operand(op.name, x, like) for x in inputs])
    dtype = result_type(*inputs)
    if op.promotes == "float" and dtype.kind != "f":
        dtype = float32
    result = []
    typed = None
    for x in inputs:
        if isinstance(x, TensorBase):
            result.append(cast(x, dtype))
        else:
            if typed is None:
                typed = like if like.dtype == dtype else device.empty((0,), dtype, like)
            result.append(wrap(constant(x, typed, op.name)))
    return tuple(result)


# ---- views ----

class StridedView(Op):
    """y = the part of a base's memory that a view shows; the gradient lands there, zeros elsewhere.

    Gradients get the base's own memory layout, so that the view's strides mean the same in them.
    """
    name = "view"
    view = True

    def __init__(self, view, base):
        self.shape, self.strides = view.shape, view.strides
        self.base_shape, self.base_strides = base.shape, base.strides
        self.offset = address(view) - address(base)
        low, high = device.extent(view.shape, view.strides, view.dtype.itemsize)
        bottom, top = device.extent(base.shape, base.strides, base.dtype.itemsize)
        if view.size and not bottom <= self.offset + low <= self.offset + high <= top:
            raise RuntimeError("view: this tensor no longer shows a part of the tensor it was made from, whose .data was "
                               "replaced; make the view again")

    def like_base(self, dy):
        """New memory laid out as the base: (all of it, the base's part, the view's part)."""
        low, high = device.extent(self.base_shape, self.base_strides, dy.dtype.itemsize)
        memory = device.empty(((high - low) // dy.dtype.itemsize,), dy.dtype, dy)
        return (memory, device.as_strided(memory, self.base_shape, self.base_strides, -low),
                device.as_strided(memory, self.shape, self.strides, self.offset - low))

    def forward(self, node, base):
        return device.as_strided(base, self.shape, self.strides, self.offset)

    def backward(self, node, dy):
        memory, dbase, region = self.like_base(dy)
        indexing.on(dy).fill(memory, value=0)
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides)):
            if stride == 0 and size > 1:        # an expanded axis shows one value many times
                total = device.empty(dy.shape[:axis] + (1,) + dy.shape[axis + 1:], dy.dtype, dy)
                reduce.on(dy).sum(dy, total)
                dy = total
                region = region[(slice(None),) * axis + (slice(0, 1),)]
        indexing.on(dy).copy(dy, region)
        return dbase

    def backward_graph(self, node, dy):
        return apply(ViewPart(self, True), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class ViewPart(Op):
    """y = the part of x, of a base's shape, that a view of the base shows; or, with `spread`, x in that part and zeros
    elsewhere. Each is the other's gradient."""
    name = "view_part"

    def __init__(self, view, spread):
        self._view = view
        self.spread = spread

    def run(self, x, spread):
        if spread:
            return self._view.backward(None, x)
        memory, base, region = self._view.like_base(x)
        indexing.on(x).copy(x, base)
        return device.copy(region)

    def forward(self, node, x):
        return self.run(x, self.spread)

    def backward(self, node, dy):
        return self.run(dy, not self.spread)

    def backward_graph(self, node, dy):
        return apply(ViewPart(self._view, not self.spread), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


# ---- recording ----

_BIG = 1 << 63          # an int beyond may not fit in a float: promote() has the error


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
        note_versions(node, (x, y), (result,))
    return result


def apply(op, *inputs):
    """Compute `op` on tensors (None where an input is left out), and record it where a gradient will be asked for.

    Returns a tensor, or a tuple of them for an op with several outputs.
    """
    state: State = current()
    flags: cython.int = op._flags
    x: TensorBase
    node: Node
    if flags & _PROMOTES:
        inputs = promote(op, inputs)
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
        if node.kept:
            note_versions(node, inputs, results)
    if state.tape is not None:
        state.tape.record(op, inputs, results, state.layers)
    if state.observer is not None:
        state.observer(node if needed else None, op, inputs, results)
    return results if type(value) is tuple else results[0]


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


@cython.ccall
def note_versions(node: Node, inputs: tuple, outputs: tuple):
    """For each saved array, remember which tensor's it is and how often that memory had been changed by then."""
    checks: list = []
    i: cython.int
    t: TensorBase
    counter: Version
    for k, array in enumerate(node.kept):
        found = None
        if array is not None:
            i = 0
            # Where tensors share one array (x and x.detach()), what was saved first is the first input's, and so on.
            if k < len(inputs) and inputs[k] is not None and cython.cast(TensorBase, inputs[k]).array is array:
                i = k
            for item in inputs[i:]:
                if item is not None and cython.cast(TensorBase, item).array is array:
                    found = item
                    break
                i += 1
            if found is None:
                i = -1
                for item in outputs:
                    if cython.cast(TensorBase, item).array is array:
                        found = item
                        break
                    i -= 1
        if found is None:
            checks.append(None)
        else:
            t = found
            counter = t.version_counter()
            check: Check = Check.__new__(Check)
            check.place = i
            check.counter = counter
            check.count = counter.count
            checks.append(check)
    node.checks = checks


@cython.ccall
def save_from(node: Node, array):
    """Copy what a node saved out of memory that is about to be written by the operation itself."""
    kept = list(node.kept)
    check: Check
    for i in range(len(kept)):
        if kept[i] is not None and device.may_overlap(kept[i], array):
            kept[i] = device.copy(kept[i])
            if node.checks[i] is not None:
                check = node.checks[i]
                check.counter = Version()       # nobody writes to the copy
                check.count = 0
    node.kept = tuple(kept)


@cython.cfunc
def _check_versions(node: Node):
    """Refuse to go back through values that were overwritten after they were saved."""
    check: Check
    for found in node.checks:
        if found is not None:
            check = found
            if check.counter.count != check.count:
                which = f"input {check.place}" if check.place >= 0 else "its output"
                site = f" at {check.counter.site}" if check.counter.site else ""
                raise RuntimeError(
                    f"backward: {node.op.name} saved {which} for its gradient, but that memory was changed in place "
                    f"afterwards{site} (version {check.counter.count}, expected {check.count}); use the out-of-place "
                    "form there, or .clone() the tensor first")


def _restore(node: Node, i):
    """Saved array i as a tensor in its place in the graph."""
    array, found = node.kept[i], node.checks[i] if node.checks is not None else None
    if array is None:
        return None
    if found is None:
        return wrap(array)
    check: Check = found
    if check.place < 0:
        return wrap_result(array, node, -1 - check.place)
    parent = node.parents[check.place]
    if isinstance(parent, Node):
        return wrap_result(array, parent, 0 if node.slots is None else node.slots[check.place])
    if parent is not None and cython.cast(TensorBase, parent).array is not array:
        raise RuntimeError(f"backward: {node.op.name} saved input {check.place} for its gradient, but its .data was replaced "
                           "afterwards; compute the forward pass again")
    return wrap(array) if parent is None else parent


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
def _added(held, owned, g):
    """held + g: in place where the tape owns `held`, else in a new array."""
    if isinstance(held, TensorBase):
        return held + g
    total = held if owned else device.empty(held.shape, held.dtype, held)
    arithmetic.on(held).add(held, g, total)
    return total


@cython.cfunc
def _arrive(node: Node, slot: cython.int, g, heap: list):
    """Add g to the gradient of a node's output, and queue the node."""
    if node.outputs > 1:
        if node.grad[slot] is None:
            node.grad[slot] = g
        elif node.grad[slot] is not g or not node.owned[slot]:
            node.grad[slot] = _added(node.grad[slot], node.owned[slot], g)
            node.owned[slot] = True
    elif node.grad is None:
        node.grad = g               # kept as it is: it may be another tensor's gradient too, so it is not owned
    elif not (node.owned and node.grad is g):
        # (where the op added to the tape's own buffer by itself, there is nothing left to add)
        node.grad = _added(node.grad, node.owned, g)
        node.owned = not isinstance(g, TensorBase)
    if not node.queued:
        node.queued = True
        _push(heap, node)


@cython.cfunc
def _fresh(g) -> cython.bint:
    """Does this array alone hold its memory?"""
    return owns(g) if type(g) is ndarray else g.owns


@cython.cfunc
def _alike(a, b) -> cython.bint:
    """Have two arrays one shape, dtype and device?"""
    if type(a) is ndarray and type(b) is ndarray:
        return same_shape(a, b) and same_dtype(a, b)
    return type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype


def _describe(x) -> str:
    """What came in place of a gradient, for an error."""
    array = getattr(x, "array", x)
    return (f"shape {array.shape} and dtype {array.dtype} on {device.device_of(array)}" if hasattr(array, "dtype")
            else type(x).__name__)


@cython.cfunc
def _collect(leaf: TensorBase, g, private: cython.bint):
    """Add g to a leaf's .grad, which never shares memory with another tensor. `private`: no one else holds g."""
    held: TensorBase
    as_tensor: cython.bint = isinstance(g, TensorBase)
    if leaf.grad is None:
        leaf.grad = g.clone() if as_tensor else wrap(g if private and _fresh(g) else device.copy(g))
        return
    if not isinstance(leaf.grad, TensorBase) or not _alike(leaf.grad.array, g.array if as_tensor else g):
        raise RuntimeError(f"backward: expected .grad to be None or a tensor of {_describe(g)}, to add to, "
                           f"got {_describe(leaf.grad)}; set it to None first")
    held = leaf.grad
    if as_tensor:
        leaf.grad = held + g
    elif held.node is not None or not device.is_contiguous(held.array) and 0 in held.array.strides:
        leaf.grad = wrap(_added(held.array, False, g))
    else:
        if held.array is not g:     # (else the op added to it by itself: Node.gradient)
            arithmetic.on(g).add(held.array, g, held.array)
        if held.version is not None:
            held.mark_written("a backward pass that added to .grad")


def _sum_to(g, shape):
    """A gradient of a broadcast input, summed back to the input's shape."""
    if isinstance(g, TensorBase):
        lead = len(g.array.shape) - len(shape)
        dims = [i for i, n in enumerate(g.array.shape) if i < lead or (shape[i - lead] == 1 and n != 1)]
        return g.sum(dims, keepdim=True).reshape(shape) if dims else g.reshape(shape)
    lead = g.ndim - len(shape)
    total = device.empty((1,) * lead + tuple(shape), g.dtype, g)
    reduce.on(g).sum(g, total)
    return total if lead == 0 else _dropped(total, lead)


def _dropped(x, lead):
    """x without its first `lead` axes, all of size 1: the same memory, still its owner where a copy is cheap."""
    y = device.empty(x.shape[lead:], x.dtype, x)
    indexing.on(x).copy(x.reshape(x.shape[lead:]), y)
    return y


@cython.cfunc
def _run_hooks(hooks, g):
    """Let each hook look at a gradient, or replace it. Hooks may keep or change what they see: it is a copy, and so is
    what goes on from here."""
    as_array = not isinstance(g, TensorBase)
    t = wrap(device.copy(g)) if as_array else g
    for hook in list(hooks):
        changed = hook(t)
        if changed is not None:
            if not isinstance(changed, TensorBase) or not _alike(changed.array, t.array):
                raise RuntimeError(f"a tensor hook returned {_describe(changed)}; expected None or a tensor of "
                                   f"{_describe(t)}, as the gradient")
            t = changed
    return device.copy(t.array) if as_array else t


@cython.cfunc
def _pass_hooks(hooks: dict, slot: cython.int, g):
    """The gradient of a node's output after that output's hooks; a tensor that retains it collects it then."""
    if g is None:
        return None
    if slot in hooks:
        g = _run_hooks(hooks[slot], g)
    kept = hooks.get(~slot)
    if kept is not None and kept() is not None:
        _collect(kept(), g, False)
    return g


@cython.cfunc
def _arrive_leaf(leaf: TensorBase, g, private: cython.bint, pending: dict, found: list, wanted):
    """Hand a leaf's gradient to .grad, to the result (`wanted`), or, where hooks wait for the whole of it, aside."""
    if wanted is not None and id(leaf) not in wanted:
        return
    if leaf.hooks:
        held = pending.get(id(leaf))
        pending[id(leaf)] = (leaf, g if held is None else _added(held[1], False, g))
    elif wanted is None:
        _collect(leaf, g, private)
    else:
        _capture(found, wanted[id(leaf)], g)


@cython.cfunc
def _is_private(i: cython.Py_ssize_t, result: tuple, g) -> cython.bint:
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
                    g = [_pass_hooks(node.hooks, s, x) for s, x in enumerate(g)]
                else:
                    g = _pass_hooks(node.hooks, 0, g)
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
                _check_versions(node)
            if create_graph:
                given = _backward_graph(node, g)
            elif node.outputs > 1:
                given = node.op.backward(node, *g)
            else:
                given = node.op.backward(node, g)
            result: tuple = given if type(given) is tuple else (given,)
            if len(result) != len(node.parents):
                raise RuntimeError(f"{node.op.name}: backward returned {len(result)} gradients, expected one for each "
                                   f"of its {len(node.parents)} inputs")
            if not keep_graph and node.kept:
                node.kept = ()
                node.checks = None
                node.freed = True
            for i in range(len(result)):
                parent = node.parents[i]
                gi = result[i]
                if parent is None or gi is None or (node.mask is not None and not node.mask[i]):
                    continue
                if node.shapes is not None:
                    shape = node.shapes[i]
                    if shape != (gi.array if create_graph else gi).shape:
                        gi = _sum_to(gi, shape)
                if isinstance(parent, Node):
                    parent_node = parent
                    _arrive(parent_node, 0 if node.slots is None else node.slots[i], gi, heap)
                    continue
                leaf = parent
                if not _alike(gi.array if create_graph else gi, leaf.array):
                    raise RuntimeError(f"{node.op.name}: backward returned a gradient of {_describe(gi)} for input {i}; "
                                       f"expected {_describe(leaf)}, as the input")
                private: cython.bint = gi is not result[i] or not create_graph and _is_private(i, result, g)
                _arrive_leaf(leaf, gi, private, pending, found, wanted)
        for leaf, g in pending.values():
            g = _run_hooks(leaf.hooks, g)
            if wanted is None:
                _collect(leaf, g, True)
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
            found[i] = g if found[i] is None else _added(found[i], False, g)


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


def _seed(tensor, gradient, name):
    """The gradient a walk starts with at one tensor, as an array or (given as a tensor) as it is."""
    t: TensorBase = tensor
    if edge(t) is None:
        raise RuntimeError(f"{name}: this tensor was not made by recorded operations and does not require a gradient; "
                           "set requires_grad=True on what it depends on, and check for no_grad() or detach()")
    if gradient is None:
        if t.array.size != 1:
            raise RuntimeError(f"{name}: expected a tensor of one element, got shape {t.array.shape}; reduce it with "
                               ".sum() or .mean(), or pass the gradient of what you want to reduce it to")
        return device.full(t.array.shape, 1, t.array.dtype, t.array)
    if not isinstance(gradient, TensorBase):
        raise TypeError(f"{name}: expected the gradient as a tensor, got {type(gradient).__name__}")
    if gradient.array.shape != t.array.shape:
        raise ValueError(f"{name}: expected a gradient of shape {t.array.shape}, the tensor's, "
                         f"got {gradient.array.shape}")
    if gradient.array.dtype != t.array.dtype:
        raise TypeError(f"{name}: expected a gradient of dtype {t.array.dtype}, got {gradient.array.dtype}")
    return gradient


def backward(tensor, gradient=None, retain_graph=None, create_graph=False):
    """Add d tensor / d leaf to the .grad of every leaf it depends on. See `Tensor.backward`."""
    seed = _seed(tensor, gradient, "backward")
    if create_graph:
        seed = seed if isinstance(seed, TensorBase) else wrap(seed)
    elif isinstance(seed, TensorBase):
        seed = seed.array
    walk([tensor], [seed], bool(create_graph if retain_graph is None else retain_graph), bool(create_graph))


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
    seeds = [_seed(t, g, "grad") for t, g in zip(outputs, grad_outputs)]
    if create_graph:
        seeds = [g if isinstance(g, TensorBase) else wrap(g) for g in seeds]
    else:
        seeds = [g.array if isinstance(g, TensorBase) else g for g in seeds]
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
            results.append(wrap(g if _fresh(g) and id(g) not in taken else device.copy(g)))
            taken.add(id(g))
    return tuple(results)


class Hook:
    """What registering a hook returns: `remove()` takes the hook away again."""

    def __init__(self, hooks, function):
        if not callable(function):
            raise TypeError(f"register a hook: expected a function, got {type(function).__name__}")
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
