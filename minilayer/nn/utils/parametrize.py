"""Parametrisations: a parameter that is computed from others whenever it is read.

    class Symmetric(Layer):
        def forward(self, x):
            upper = triu(x)
            return upper + triu(x, 1).T

    layer = Linear(3, 3)
    register_parametrization(layer, "weight", Symmetric())
    layer.weight                                        # symmetric, and so it stays while layer learns

What is learned is layer.parametrizations.weight.original (original0, original1, ... where a parametrisation takes
several tensors). Assigning to layer.weight asks the parametrisation for its `right_inverse`.
"""
import contextlib

from minilayer.layers.container import ModuleDict
from minilayer.layers.layer import Layer, Parameter, Tensor
from minilayer.state import no_grad

_cache: dict = {}               # (id of a ParametrizationList) -> value, inside `cached`
_caching = [0]


@contextlib.contextmanager
def cached():
    """Inside, a parametrised tensor is computed once, however often it is read."""
    _caching[0] += 1
    try:
        yield
    finally:
        _caching[0] -= 1
        if not _caching[0]:
            _cache.clear()


class ParametrizationList(Layer):
    """The steps that make a tensor from what is learned, in order, and what is learned."""

    def __init__(self, steps, original, unsafe=False):
        super().__init__()
        value = original.detach()
        with no_grad():
            for step in reversed(steps):
                value = _inverse(step, value, "register_parametrization") if hasattr(step, "right_inverse") else value
        self.several = not isinstance(value, Tensor)
        self.unsafe = unsafe
        learned = isinstance(original, Parameter)
        if self.several:
            for i, part in enumerate(value):
                self._keep(f"original{i}", Parameter(part.detach(), original.requires_grad) if learned else part.detach())
        else:
            if value.array is not original.array:
                original.data = value
            self._keep("original", original)
        self.steps = len(steps)
        for i, step in enumerate(steps):
            self.add_module(str(i), step)

    def _keep(self, name, value):
        (self.register_parameter if isinstance(value, Parameter) else self.register_buffer)(name, value)

    def __len__(self):
        return self.steps

    def __iter__(self):
        return iter([self.__dict__[str(i)] for i in range(self.steps)])

    def __getitem__(self, i):
        return list(self)[i]

    def append(self, step):
        """Add a last step."""
        self.add_module(str(self.steps), step)
        self.steps += 1

    def originals(self):
        """What is learned, as a list."""
        if not self.several:
            return [self.original]
        count = sum(name.startswith("original") for name in self._kinds)
        return [self.__dict__[f"original{i}"] for i in range(count)]

    def right_inverse(self, value):
        """Let what is learned be such that the tensor becomes this value."""
        with no_grad():
            for step in reversed(list(self)):
                if not hasattr(step, "right_inverse"):
                    raise RuntimeError(f"{type(step).__name__}: has no right_inverse, so the parametrised tensor cannot be "
                                       "assigned to; define it, or write to the original")
                value = _inverse(step, value, "right_inverse")
            parts = [value] if isinstance(value, Tensor) else list(value)
            for original, part in zip(self.originals(), parts, strict=True):
                if part.shape != original.shape:
                    raise ValueError(f"right_inverse: expected a value of shape {original.shape}, got {part.shape}")
                original.detach().copy_(part)

    def forward(self):
        first, *rest = self
        value = first(*self.originals())
        for step in rest:
            value = step(value)
        return value


def _inverse(step, value, name):
    found = step.right_inverse(value)
    if not isinstance(found, Tensor | tuple | list):
        raise ValueError(f"{name}: expected {type(step).__name__}.right_inverse to return a tensor or several, got "
                         f"{type(found).__name__}")
    return found


def _read(name):
    """The property that computes a parametrised tensor."""
    def get(layer):
        steps = layer.parametrizations[name]
        if not _caching[0]:
            return steps()
        if id(steps) not in _cache:
            _cache[id(steps)] = steps()
        return _cache[id(steps)]
    return property(get)


def _set(layer, name, value):
    """Assigning to a parametrised tensor goes to what is learned."""
    held = layer.__dict__.get("parametrizations")
    if held is not None and name in held:
        held[name].right_inverse(value)
    else:
        Layer.__setattr__(layer, name, value)


def is_parametrized(module, tensor_name=None):
    """Is this tensor of the module (any, where it is None) computed by parametrisations?"""
    held = module.__dict__.get("parametrizations")
    if not isinstance(held, ModuleDict) or not len(held):
        return False
    return True if tensor_name is None else tensor_name in held


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Let `parametrization` (a Layer) make module's parameter or buffer `tensor_name` from what is learned.

    A second one is applied after the first. unsafe=True allows another shape or dtype than the tensor's. Returns module.
    """
    if not isinstance(parametrization, Layer):
        raise TypeError(f"register_parametrization: expected a Layer, got {type(parametrization).__name__}")
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        steps = module.parametrizations[tensor_name]
        if not unsafe:
            _check_shape(getattr(module, tensor_name), parametrization)
        steps.append(parametrization)
        steps.unsafe = steps.unsafe or unsafe
        return module
    if module._kinds.get(tensor_name) not in ("parameter", "buffer") or module.__dict__[tensor_name] is None:
        raise ValueError(f"register_parametrization: expected the name of a parameter or buffer of {module.describe()}, got "
                         f"{tensor_name!r}")
    original = module.__dict__[tensor_name]
    value = original.detach().clone()
    steps = ParametrizationList([parametrization], original, unsafe)
    if not unsafe:
        with no_grad():
            made = steps()
        if made.shape != value.shape or made.dtype != value.dtype:
            if not steps.several:
                original.data = value
            raise ValueError(f"register_parametrization: expected {type(parametrization).__name__} to keep shape {value.shape} "
                             f"and dtype {value.dtype}, got {made.shape} and {made.dtype}; pass unsafe=True if that is meant")
    delattr(module, tensor_name)
    if not is_parametrized(module):
        base = type(module)
        made = type(f"Parametrized{base.__name__}", (base,), {"__setattr__": _set, "__doc__": base.__doc__})
        object.__setattr__(module, "__class__", made)
        module.add_module("parametrizations", ModuleDict())
    setattr(type(module), tensor_name, _read(tensor_name))
    module.parametrizations[tensor_name] = steps
    return module


def _check_shape(value, parametrization):
    with no_grad():
        made = parametrization(value)
    if made.shape != value.shape or made.dtype != value.dtype:
        raise ValueError(f"register_parametrization: expected {type(parametrization).__name__} to keep shape {value.shape} and "
                         f"dtype {value.dtype}, got {made.shape} and {made.dtype}; pass unsafe=True if that is meant")


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make the tensor an ordinary one again: with the value it has, or (leave_parametrized=False) with the original's.
    Returns module."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"remove_parametrizations: {module.describe()} has no parametrisation on {tensor_name!r}")
    steps = module.parametrizations[tensor_name]
    originals = steps.originals()
    if steps.several and not leave_parametrized:
        raise ValueError(f"remove_parametrizations: {tensor_name!r} is made of {len(originals)} tensors, so there is no original "
                         "to leave; pass leave_parametrized=True")
    kept = originals[0]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach().clone()
        if steps.several:
            kept = Parameter(value, kept.requires_grad) if isinstance(kept, Parameter) else value
        else:
            kept.data = value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        delattr(module, "parametrizations")
        object.__setattr__(module, "__class__", type(module).__mro__[1])
    (module.register_parameter if isinstance(kept, Parameter) else module.register_buffer)(tensor_name, kept)
    return module
