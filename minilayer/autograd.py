"""Gradients of any tensor with respect to any other, asked for by name and returned instead of collected in `.grad`."""
from minilayer import device
from minilayer.gradients import collect, describe, fresh
from minilayer.node import TensorBase, wrap
from minilayer.state import enable_grad, no_grad, set_grad_enabled
from minilayer.tape import Op, apply, elementwise_cost, seed, walk

__all__ = ["Function", "backward", "enable_grad", "grad", "no_grad", "set_grad_enabled"]


def _seeded(who, what, named, tensors, gradients, create_graph):
    """The tensors a walk starts from, one or several, as a tuple, and the gradients it starts with; `who` asks, and calls them
    `what` and `named`."""
    tensors = (tensors,) if isinstance(tensors, TensorBase) else tuple(tensors)
    if gradients is None or isinstance(gradients, TensorBase):
        gradients = (gradients,) * len(tensors) if gradients is None else (gradients,)
    if len(gradients) != len(tensors):
        raise ValueError(f"{who}: expected one of {named} for each of the {len(tensors)} {what}, got {len(gradients)}")
    for x in tensors:
        if not isinstance(x, TensorBase):
            raise TypeError(f"{who}: expected {'' if what == 'tensors' else what + ' to be '}tensors, got {type(x).__name__}")
    return tensors, [seed(t, g, create_graph, who) for t, g in zip(tensors, gradients)]


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=False):
    """The gradients of `outputs` with respect to any tensors they depend on, leaves or not; no .grad is touched.

    `outputs`, `inputs` and `grad_outputs` are tensors or sequences of them; several outputs are summed. Returns a tuple
    with one tensor an input, None where `allow_unused=True` and no path leads to it. With `create_graph=True` the
    results can be differentiated again.

    >>> x = minilayer.tensor(3.0, requires_grad=True)
    >>> (dx,) = minilayer.grad(x * x, x)
    """
    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    for x in inputs:
        if not isinstance(x, TensorBase):
            raise TypeError(f"grad: expected inputs to be tensors, got {type(x).__name__}")
    outputs, seeds = _seeded("grad", "outputs", "grad_outputs", outputs, grad_outputs, create_graph)
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


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of all of `tensors`, weighted by `grad_tensors`, to the `.grad` of every leaf they depend on, or
    only of `inputs`."""
    tensors, seeds = _seeded("backward", "tensors", "grad_tensors", tensors, grad_tensors, create_graph)
    keep = bool(create_graph if retain_graph is None else retain_graph)
    if inputs is None:
        walk(list(tensors), seeds, keep, bool(create_graph))
        return
    inputs = [inputs] if isinstance(inputs, TensorBase) else list(inputs)
    if not inputs or not all(isinstance(x, TensorBase) for x in inputs):
        raise TypeError(f"backward: expected inputs to be a tensor or some tensors, got {inputs}")
    inputs = list({id(x): x for x in inputs}.values())
    for x in inputs:
        if not x.requires_grad:
            raise RuntimeError("backward: one of inputs does not require a gradient; call .requires_grad_() on it before it is "
                               "used")
    for x, g in zip(inputs, walk(list(tensors), seeds, keep, bool(create_graph), inputs)):
        if g is not None:
            collect(x, g, False)


# ---- operations told in functions on tensors ----

class Function:
    """PyTorch's way to write an operation with a backward rule of one's own: in functions on tensors. (`Op` is ours, on
    arrays and kernels, and faster.) `apply` calls it:

        class Cube(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x ** 3

            @staticmethod
            def backward(ctx, dy):
                (x,) = ctx.saved_tensors
                return dy * 3 * x ** 2

        y = Cube.apply(x)

    `backward` returns one gradient for each argument of `forward`, None for those without. Gradients of gradients flow
    where `backward` is made of functions on what it saved.
    """

    @staticmethod
    def forward(ctx, *args):
        raise NotImplementedError("Function: define forward(ctx, *args), a static method")

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError("Function: define backward(ctx, *gradients), a static method, or .detach() the inputs")

    @classmethod
    def apply(cls, *args):
        """The result of `forward` on these arguments, recorded."""
        places = [i for i, x in enumerate(args) if isinstance(x, TensorBase)]
        if not places:
            raise TypeError(f"{cls.__name__}: expected at least one tensor among the arguments, got none")
        return apply(_Told(cls, args, places), *[args[i] for i in places])


class Context:
    """What a Function's forward leaves for its backward: saved tensors, and attributes of any name."""

    def __init__(self, needs_input_grad):
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple = ()
        self._constant: tuple = ()

    def save_for_backward(self, *tensors):
        """Keep tensors (or None) that forward was given or returns; `saved_tensors` has them in backward."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        """Name the outputs that have no gradient."""
        self._constant = tensors


class _Told(Op):
    """A Function as an op."""

    def __init__(self, function, arguments, places):
        self.name = function.__name__
        self._function, self._places, self._count = function, places, len(arguments)
        self._others = [None if i in places else x for i, x in enumerate(arguments)]
        self._given = [arguments[i].detach() for i in places]       # (until forward: a write there is one to the argument)

    def forward(self, node, *arrays):
        arguments, needs = list(self._others), [False] * self._count
        for k, (i, given) in enumerate(zip(self._places, self._given)):
            arguments[i], needs[i] = given, node.needs(k)
        del self._given
        self._context = ctx = Context(tuple(needs))
        with no_grad():
            given = self._function.forward(ctx, *arguments)
        results = given if isinstance(given, tuple) else (given,)
        for y in results:
            if not isinstance(y, TensorBase):
                raise TypeError(f"{self.name}: expected forward to return tensors, got {type(y).__name__}")
        self.nondifferentiable_outputs = tuple([k for k, y in enumerate(results) if any(y is c for c in ctx._constant)])
        node.save(*[None if t is None else t.array for t in ctx.saved_tensors])
        ctx.saved_tensors = ctx._constant = ()          # (the node has them)
        self._shapes = [(a.shape, a.dtype) for a in arrays]
        self._outputs = [(y.array.shape, y.array.dtype) for y in results]
        made = tuple([device.copy(y.array) if any(y.array is a for a in arrays) else y.array for y in results])
        return made if isinstance(given, tuple) else made[0]

    def _gradients(self, gradients, saved):
        """The rule's gradients of the tensors among the arguments, as tensors."""
        ctx = self._context
        ctx.saved_tensors = saved
        like = next(g for g in gradients if g is not None).array
        gradients = [wrap(device.zeros(shape, dtype, like)) if g is None else g
                     for g, (shape, dtype) in zip(gradients, self._outputs)]
        try:
            given = self._function.backward(ctx, *gradients)
        finally:
            ctx.saved_tensors = ()
        given = given if isinstance(given, tuple) else (given,)
        if len(given) != self._count:
            raise RuntimeError(f"{self.name}: backward returned {len(given)} gradients, expected one for each of forward's "
                               f"{self._count} arguments (None where there is none)")
        for i, (shape, dtype) in zip(self._places, self._shapes):
            g = given[i]
            if g is not None and (not isinstance(g, TensorBase) or (g.array.shape, g.array.dtype) != (shape, dtype)):
                raise RuntimeError(f"{self.name}: backward returned {describe(g)} for argument {i}; expected a tensor of shape "
                                   f"{shape} and dtype {dtype}, as the argument")
        return tuple([given[i] for i in self._places])

    def backward(self, node, *dy):
        with no_grad():
            given = self._gradients([None if g is None else wrap(g) for g in dy],
                                    tuple([None if a is None else wrap(a) for a in node.saved]))
        saved = [id(a) for a in node.saved]                # (what is saved must not be handed on as a gradient)
        return tuple([None if g is None else device.copy(g.array) if id(g.array) in saved else g.array for g in given])

    def backward_graph(self, node, *dy):
        return self._gradients(list(dy), node.saved_tensors)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes)
