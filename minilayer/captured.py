"""Captured steps: what a function computes, written down once and run again without Python between the kernels.

    @minilayer.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

The first call with arguments of some shapes runs as it stands: optimizers make their state then. The second is written
down while it runs, kernel by kernel with its arrays (`_ext/runtime.pyx`, Program). Every later call copies its arguments
to where those of the second lay and runs these kernels again: the same bits, and nothing of Python but what changes from
step to step, the learning rates and step counts of optimizers and the positions of random streams. Where relu alone
reads what a product or convolution wrote, that kernel does both in one pass.

What a step does beside kernels therefore happens in the first two calls only. Where that would matter - a value read by
`.item()`, a hook, a schedule's step - the function is called as it stands from then on, with a warning that says why.
A program that was just written is run once more on the values it had, and is not kept unless it gives the same bits.
"""
import functools
import gc
import threading
import warnings

import numpy as np

from minilayer import device
from minilayer._ext import dispatch, runtime
from minilayer._ext.dispatch import family
from minilayer.autograd import grad
from minilayer.gradients import Hook
from minilayer.node import wrap
from minilayer.ops.boundary import Boundary
from minilayer.state import enable_grad, no_grad, thread_state
from minilayer.tape import Cost, Op, apply
from minilayer.tensor import Tensor

indexing = family("indexing")
_writing = threading.Lock()
MOST = 8        # programs a function keeps, each with memory of its own; the one unused for longest goes first


class CaptureWarning(UserWarning):
    """A function given to `compile` cannot be run from a program, and runs as it stands."""


class Obstacle(RuntimeError):
    """Why there is no program."""


# ---- arguments and results: nested tuples, lists and dicts ----

def _flatten(value, tensors):
    """The structure of a nested value, hashable, with its tensors moved to the list `tensors`."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return Tensor
    if isinstance(value, (tuple, list)):
        return type(value), tuple([_flatten(v, tensors) for v in value])
    if isinstance(value, dict):
        return dict, tuple([(k, _flatten(v, tensors)) for k, v in value.items()])
    if isinstance(value, np.ndarray):
        raise Obstacle("an ndarray among arguments or results; make it a tensor with minilayer.from_numpy(...)")
    try:
        hash(value)
    except TypeError:
        raise Obstacle(f"a {type(value).__name__} among arguments or results; use tensors, numbers and texts, and tuples, "
                       "lists and dicts of them") from None
    return type(value), value


def _unflatten(structure, tensors):
    """The value back, with tensors from an iterator."""
    if structure is Tensor:
        return next(tensors)
    kind, content = structure
    if kind is dict:
        return {k: _unflatten(v, tensors) for k, v in content}
    if issubclass(kind, (tuple, list)):
        values = [_unflatten(v, tensors) for v in content]
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    return content


# ---- what has to be as it was ----

class World:
    """The tensors and layers that a program was written for. It is good for as long as they have the same memory, the
    same modes, and gradients where it will look for them."""

    def __init__(self, leaves=()):
        """`leaves` are those that an earlier call met, whose gradients of now, before the function runs, count."""
        self._start = {id(leaf): leaf.grad for leaf in leaves}
        self._tensors: dict = {}        # id -> tensor whose memory the program may use
        self._layers: dict = {}
        self._leaves: dict = {}         # id -> (tensor that collects its gradient, its gradient before)

    def observe(self, node, op, inputs, outputs):
        """Note what an operation reads (the engine calls this)."""
        for x in inputs:
            if x is not None and id(x) not in self._leaves and x.is_leaf and x.requires_grad:
                self._leaves[id(x)] = x, self._start.get(id(x), x.grad)
                self._tensors[id(x)] = x
        for layer in [below for outer in thread_state().layers[:1] if id(outer) not in self._layers
                      for below in outer.modules()] + thread_state().layers:
            if id(layer) not in self._layers:
                self._layers[id(layer)] = layer
                if (layer._forward_pre_hooks or layer._forward_hooks or layer._backward_hooks
                        or layer._backward_pre_hooks):
                    runtime.cannot_repeat(f"a hook of the layer {layer.describe()}")

    def met(self) -> list:
        """The tensors that collect their gradients, so far."""
        return [leaf for leaf, _ in self._leaves.values()]

    def close(self, program):
        """Settle what was seen."""
        # (taken from the program: what it holds must not lead to gradients in its own memory)
        self.conditions, self.before, self.after = list(program.holds), list(program.before), list(program.after)
        program.forget_functions()
        self.hooks = Hook.made
        # everything that is set on a layer: parameters, buffers, children, modes, settings
        places = [layer.__dict__ for layer in self._layers.values()]
        self.sizes = [(place, len(place)) for place in places]
        self.settings = [(place, name, value) for place in places for name, value in place.items()]
        self._tensors.update({id(v): v for _, _, v in self.settings if isinstance(v, Tensor)})
        self.memory = [(t, t.array, t.requires_grad) for t in self._tensors.values()]
        self.leaves = self.met()
        self.gradients = []             # (leaf, the array its gradient has to be before: itself for "any"; and it afterwards)
        for leaf, before in self._leaves.values():
            if before is not None and program.reads(before.array):
                self.gradients.append((leaf, before.array, leaf.grad))
            elif leaf.grad is not before:                       # (forgotten meanwhile, if there was one)
                self.gradients.append((leaf, None if before is None else leaf, leaf.grad))
        del self._tensors, self._layers, self._leaves

    def holds(self) -> bool:
        """Is all as it was?"""
        for place, size in self.sizes:
            if len(place) != size:
                return False
        for place, name, value in self.settings:
            if place.get(name) is not value:
                return False
        for tensor, array, requires_grad in self.memory:
            if tensor.array is not array or tensor.requires_grad is not requires_grad:
                return False
        for leaf, before, _ in self.gradients:
            if before is not leaf and (None if leaf.grad is None else leaf.grad.array) is not before:
                return False
        return self.hooks == Hook.made and all([holds() for holds in self.conditions])

    def set_gradients(self):
        """Leave the gradients that the program has computed where backward would."""
        for leaf, _, after in self.gradients:
            leaf.grad = None if after is None else wrap(after.array)


# ---- programs ----

class Captured:
    """A program, the memory that its arguments are copied to, and that in which it leaves its results.

    Its first `split` kernels are the function's own. Where the function returns tensors that require a gradient, and has
    called no backward itself, the others are the way back from those to its arguments and to the leaves it met.
    """

    def __init__(self, tensors, leaves):
        self.program = runtime.Program()
        self.world = World(leaves)
        self.crossed = False            # did the function walk back beyond its arguments?
        # (copies that know where they came from: what the function returns while it is written has its way back too)
        with enable_grad():
            self.inputs = [apply(Boundary(self._cross), t)[0] if t.requires_grad else wrap(device.copy(t.array))
                           for t in tensors]
        self.given = [i for i, t in enumerate(self.inputs) if t.requires_grad]
        self.open: list = []            # places of the results that require a gradient
        self.cotangents: list = []      # arrays for their gradients, and those of arguments and leaves
        self.gradients: list = []
        self.turn = 0                   # counts the runs forward
        self.lock = threading.Lock()    # one run at a time, there or back
        self.obstacle = None

    def write(self, function, structure, tensors):
        """Call the function, and write down what it does. Returns what it returned, for a function with an obstacle."""
        args, kwargs = _unflatten(structure, iter(self.inputs))
        results: list = []
        before = [t.version_counter().count for t in self.inputs]
        state = thread_state()
        self.program.begin()
        state.observer = self.world.observe
        try:
            for t in self.inputs:
                runtime.constant(t.array)
            value = function(*args, **kwargs)
            state.observer = None
            self.structure = _flatten(value, results)
            self.results = [device.copy(t.array) for t in results]      # (its own: the function may keep what it returns)
            self.world.close(self.program)
            self.split = len(self.program)
            if not (self.crossed or any([after is not None for _, _, after in self.world.gradients])):
                self.open = [i for i, t in enumerate(results) if t.requires_grad]
                self._write_backward([results[i] for i in self.open])
            self.obstacle = self.program.obstacle
            for held, n, t in zip(self.inputs, before, tensors, strict=True):
                if held.requires_grad is not t.requires_grad:
                    self.obstacle = "an argument whose requires_grad it changes"
                    t.requires_grad_(held.requires_grad)
                    t.grad = held.grad
                if held.version_counter().count != n:
                    self.obstacle = "an argument that it writes to; let it return what is to be written"
                    with no_grad():
                        t.copy_(held.detach())
            if self.crossed:
                self.obstacle = "an argument that requires a gradient, and a call of backward(), which would not reach it"
        except Obstacle as obstacle:
            self.obstacle = str(obstacle)
        finally:
            self.program.end()
            state.observer = None
        if self.obstacle is None:
            self.split -= sum([number < self.split for number in self.program.fuse()])
            if not self.program.repeats(self._made()):
                self.obstacle = "something that is not done by minilayer's kernels, or NumPy calls on the memory of tensors"
        return value

    def _made(self) -> list:
        """The arrays that a run leaves: results and gradients."""
        made = [*self.results, *self.gradients, *[g.array for _, _, g in self.world.gradients if g is not None]]
        return [x for x in made if x is not None]

    def keeps_more(self) -> bool:
        """Is there still a tensor of the program's memory beside results and gradients?"""
        if self.program.holds_more(self._made()):
            gc.collect()
        return self.program.holds_more(self._made())

    def _cross(self, gradients):
        self.crossed = True
        return gradients

    def _write_backward(self, results):
        """The way back from results that require a gradient, with memory for the gradients that will arrive there."""
        if results:
            self.cotangents = [runtime.constant(np.ones(t.array.shape, t.array.dtype)) for t in results]
            wanted = [*[self.inputs[i] for i in self.given], *self.world.leaves]
            found = grad(results, wanted, [wrap(g) for g in self.cotangents], retain_graph=True, allow_unused=True)
            self.gradients = [None if g is None else g.array for g in found]

    def __call__(self, tensors):
        with self.lock:
            for held, t in zip(self.inputs, tensors, strict=True):
                indexing.on(t.array).copy(t.array, held.array)
            for prepare in self.world.before:
                prepare()
            self.program.run(0, self.split)
            for settle in self.world.after:
                settle()
            self.world.set_gradients()
            return self.value(tensors)

    def value(self, tensors):
        """What the function returns, in memory of its own."""
        self.turn += 1
        results = [None if i in self.open else wrap(device.copy(x)) for i, x in enumerate(self.results)]
        if self.open:
            leading = apply(CapturedCall(self), *[tensors[i] for i in self.given], *self.world.leaves)
            for i, y in zip(self.open, leading, strict=True):
                results[i] = y
        return _unflatten(self.structure, iter(results))


class CapturedCall(Op):
    """The results of a program's last run that require a gradient; on the way back, the rest of the program."""
    name = "compiled"
    required = 0

    def __init__(self, captured):
        self._captured = captured
        self._turn = captured.turn

    def forward(self, node, *arrays):
        node.save(*arrays)              # backward reads the program's own: these are kept for their versions
        return tuple([device.copy(self._captured.results[i]) for i in self._captured.open])

    def backward(self, node, *gradients):
        captured = self._captured
        runtime.cannot_repeat("the way back of another compiled function")
        with captured.lock:
            return self._back(captured, gradients)

    def _back(self, captured, gradients):
        if captured.turn != self._turn:
            raise RuntimeError("compiled: its memory holds a later call's values by now; call backward() before the next "
                               "call, or compile the whole step")
        for held, dy in zip(captured.cotangents, gradients, strict=True):
            if dy is None:
                raise RuntimeError("compiled: no gradient came back to one of its results; let it return those alone that the "
                                   "loss is made of (the others by .detach()), or compile the whole step")
            indexing.on(held).copy(dy, held)
        captured.program.run(captured.split)
        return tuple([None if x is None else device.copy(x) for x in captured.gradients])

    def cost(self, shapes, out_shapes):
        return Cost(0, 0, 0, 0)


class Compiled:
    """What `compile` returns: the function, run from programs. Other attributes are the function's (or layer's) own."""

    def __init__(self, function, fullgraph=False):
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.fullgraph = fullgraph
        self.obstacle = None            # why it runs as it stands
        self._programs: list = []       # (key, Captured, or after a first call the leaves it met), the last used last
        self._lock = threading.Lock()
        self._writings = 0              # in a row, without a run in between

    def __call__(self, *args, **kwargs):
        state = thread_state()
        if (self.obstacle is not None or state.tape is not None or state.observer is not None
                or dispatch.current_backend() != "compiled" or not self._lock.acquire(blocking=False)):
            return self.function(*args, **kwargs)       # (a Tape wants to see it; another thread is in the program)
        try:
            return self._call(args, kwargs)
        finally:
            self._lock.release()

    def _call(self, args, kwargs):
        tensors: list = []
        try:
            structure = _flatten((args, kwargs), tensors)
            for t in tensors:
                if type(t.array) is not np.ndarray:
                    raise Obstacle(f"a tensor on {t.device}; programs run on the CPU")
        except Obstacle as obstacle:
            self._give_up(str(obstacle))
            return self.function(*args, **kwargs)
        key = (structure, thread_state().grad_enabled,
               tuple([(t.array.shape, t.array.dtype.num, t.requires_grad) for t in tensors]))
        leaves = None
        for entry in reversed(self._programs):
            if entry[0] == key:
                if type(entry[1]) is list:
                    leaves = entry[1]
                elif entry[1].world.holds():
                    if entry is not self._programs[-1]:
                        self._programs.remove(entry)
                        self._programs.append(entry)
                    self._writings = 0
                    return entry[1](tensors)
                elif leaves is None:
                    leaves = entry[1].world.leaves
        if leaves is None:
            return self._first_call(key, args, kwargs)
        if not _writing.acquire(blocking=False):
            return self.function(*args, **kwargs)       # (one program is written at a time)
        try:
            return self._write(key, structure, tensors, leaves)
        finally:
            _writing.release()

    def _write(self, key, structure, tensors, leaves):
        """Call the function as its program is written."""
        runtime.release_memory()        # (the program has memory of its own: what earlier calls kept is of no more use)
        captured = Captured(tensors, leaves)
        value = captured.write(self.function, structure, tensors)
        if captured.obstacle is not None:
            self._give_up(captured.obstacle)
            return value
        value = captured.value(tensors)
        if captured.keeps_more():
            self._give_up("a tensor that it makes and keeps (in an attribute, a list, an optimizer's first state): a program "
                          "would always read the same one; hand it in and out, or write into one that is there")
            return value
        self._keep((key, captured))
        self._writings += 1
        if self._writings > MOST:
            self._give_up(f"{self._writings} writings in a row: what it depends on (shapes, modes, options, gradients) changes "
                          "from call to call")
        return value

    def _first_call(self, key, args, kwargs):
        """As it stands, but for a look at the leaves."""
        world, state = World(), thread_state()
        state.observer = world.observe
        try:
            value = self.function(*args, **kwargs)
        finally:
            state.observer = None
        self._keep((key, world.met()))
        return value

    def _keep(self, entry):
        self._programs.append(entry)
        del self._programs[:-MOST]

    def _give_up(self, why):
        """Run as it stands from now on, and say so."""
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        text = f"compile: {name} runs as it stands, not from a program, because of {why}"
        if self.fullgraph:
            raise RuntimeError(text)
        self.obstacle = why
        self._programs.clear()
        warnings.warn(text, CaptureWarning, stacklevel=4)

    def listing(self) -> str:
        """The programs as texts: one kernel a line, with the memory place, dtype and shape of each array."""
        written = [captured.program for _, captured in self._programs if type(captured) is not list]
        return "\n\n".join(f"program {i}: {len(p)} kernels, {p.bytes:,} bytes\n{p}" for i, p in enumerate(written, 1))

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name):
        if name == "function":          # (while a copy is being made)
            raise AttributeError(name)
        return getattr(self.function, name)

    def __reduce__(self):
        return Compiled, (self.function, self.fullgraph)

    def __repr__(self):
        return f"compiled {self.function!r}"


def compile(function=None, *, fullgraph=False):
    """A function (a training step, a layer) that runs from a program after its first calls: without Python between the
    kernels, and with the same results, bit for bit.

    function   takes and returns tensors, numbers and texts, also in tuples, lists and dicts. For each combination of
               shapes, dtypes and other arguments it is called as it stands once and written down once. Fastest is a whole
               step, with backward() and the optimizer's step inside; its results come back detached. A layer, or a
               function that leaves backward() to its caller, returns tensors with a gradient: backward() must come
               before the next call.
               Python numbers and arrays that it takes from elsewhere than its arguments, layers and optimizers keep the
               values of the second call; give what changes as a tensor. A `.grad` is overwritten by the next run.
    fullgraph  raise where the function cannot be run from a program, instead of warning and calling it as it stands

    >>> @minilayer.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = cross_entropy(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    """
    if function is None:
        return functools.partial(compile, fullgraph=fullgraph)
    if not callable(function):
        raise TypeError(f"compile: expected a function or a layer, got {type(function).__name__}")
    return Compiled(function, bool(fullgraph))
