"""Layer: learnable parameters, a fixed operation on them, and the names that tie a model together.

A layer is a plain Python class. Assigning a Parameter, a Layer or a registered buffer to one of its attributes is what
registers it; the value itself stays an ordinary attribute. `forward` is a few calls into functions.

    class Scale(Layer):
        def __init__(self, features):
            super().__init__()
            self.weight = Parameter(ones(features))

        def forward(self, x):
            return x * self.weight
"""
from collections import OrderedDict, namedtuple
from types import MappingProxyType

import numpy as np

from minilayer.device import empty, to_device, zeros
from minilayer.dtypes import as_dtype
from minilayer.gradients import Hook
from minilayer.ops.boundary import Boundary
from minilayer.promotion import cast, empty_of
from minilayer.state import thread_state
from minilayer.tape import apply
from minilayer.tensor import Tensor

PARAMETER, BUFFER, CHILD = "parameter", "buffer", "layer"


class LoadResult(namedtuple("LoadResult", "missing_keys unexpected_keys")):
    """What load_state_dict found: keys the layer has and the state lacks, and the other way round."""
    __slots__ = ()

    def __repr__(self):
        return super().__repr__() if any(self) else "<All keys matched successfully>"


class Parameter(Tensor):
    """A tensor that a layer learns: it requires a gradient, and a layer it is assigned to lists it."""

    def __init__(self, data=None, requires_grad=True):
        super().__init__([] if data is None else data, requires_grad=requires_grad)

    def __deepcopy__(self, memo):
        made = super().__deepcopy__(memo)
        made.grad = None                # a copy of a model is to be trained, or kept: with its own gradients, or none
        return made

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that is state but not learned: a layer it is assigned to lists it among its buffers. `persistent=False`
    keeps it out of `state_dict`."""

    def __init__(self, data=None, persistent=True):
        super().__init__([] if data is None else data)
        self.persistent = bool(persistent)


class Uninitialized:
    """Of a parameter or buffer whose shape is not known yet: a lazy layer's, before its first input. It has a dtype and a
    device; `materialize(shape)` gives it values to be set, and makes it what `becomes` says."""
    becomes: type

    @property
    def shape(self):
        raise RuntimeError(f"{type(self).__name__}: has no shape yet; run the layer it belongs to once, or load a "
                           "state_dict into that, and its shape will be known")

    def numel(self):
        return 0

    def detach(self):
        """Itself: there are no values to show."""
        return self

    def numpy(self):
        return self.shape               # raises: there are none

    def materialize(self, shape, device=None, dtype=None):
        """Take on a shape, with unset values."""
        like = to_device(self.array, device or self.device)
        self.data = Tensor(empty(tuple(shape), as_dtype(dtype or self.dtype), like))
        self.__class__ = self.becomes

    def __repr__(self):
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A Parameter whose shape is not known yet."""
    becomes = Parameter

    def __init__(self, requires_grad=True, device=None, dtype=None):
        Parameter.__init__(self, Tensor(to_device(np.empty(0, as_dtype(dtype or "float32")), device or "cpu")), requires_grad)


class UninitializedBuffer(Uninitialized, Buffer):
    """A Buffer whose shape is not known yet."""
    becomes = Buffer

    def __init__(self, requires_grad=False, device=None, dtype=None, persistent=True):
        Buffer.__init__(self, Tensor(to_device(np.empty(0, as_dtype(dtype or "float32")), device or "cpu")), persistent)


class Layer:
    """Base class of all layers: parameters, buffers, children, modes, hooks and state.

    Subclasses define `forward`. `repr` shows the tree with the shapes and counts of its parameters.
    """

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        self.__dict__.update(_kinds={}, _transient=set(), _name=None, training=True,
                             _forward_pre_hooks=[], _forward_hooks=[], _backward_pre_hooks=[], _backward_hooks=[])
        return self

    def __init__(self):
        """Nothing to do: registration works from the start, and subclasses may call this as they are used to."""

    def forward(self, *inputs):
        """What the layer computes."""
        raise NotImplementedError(f"{type(self).__name__}: a Layer defines forward(self, ...)")

    def __call__(self, *inputs, **kwargs):
        layers = thread_state().layers
        layers.append(self)
        try:
            if self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks:
                return self._call_with_hooks(inputs, kwargs)
            return self.forward(*inputs, **kwargs)
        except Exception as error:
            if not getattr(error, "_minilayer_noted", False):
                error._minilayer_noted = True
                path = ".".join(layer._name or type(layer).__name__ for layer in layers)
                error.add_note(f"in layer {path}: {self.describe()}")
            raise
        finally:
            layers.pop()

    # ---- registering ----

    def __setattr__(self, name, value):
        kinds = self._kinds
        kind = (PARAMETER if isinstance(value, Parameter) else CHILD if isinstance(value, Layer) else
                BUFFER if isinstance(value, Buffer) else None)
        known = kinds.get(name)
        if kind is None and known is not None and value is not None:
            if known != BUFFER or not isinstance(value, Tensor):
                expected = {PARAMETER: "a Parameter", BUFFER: "a Tensor", CHILD: "a Layer"}[known]
                raise TypeError(f"{type(self).__name__}.{name}: expected {expected} or None, as {name!r} is registered "
                                f"as a {known}; got {type(value).__name__}")
        elif kind is not None and kind != known:
            kinds.pop(name, None)       # what changes its kind comes last among the new one
            kinds[name] = kind
            self._transient.discard(name)
        if kind is BUFFER:
            (self._transient.discard if value.persistent else self._transient.add)(name)
        if kind is CHILD:
            value.__dict__["_name"] = name
        self.__dict__[name] = value

    def __delattr__(self, name):
        self._kinds.pop(name, None)
        object.__delattr__(self, name)

    def _check_name(self, name, what, kind=PARAMETER):
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{what}: expected a name without dots, got {name!r}")
        if hasattr(self, name) and self._kinds.get(name) != kind:
            raise KeyError(f"{what}: {type(self).__name__} has an attribute {name!r} already; choose another name")

    def register_parameter(self, name, param):
        """Register a param, or None for one that is left out."""
        self._check_name(name, "register_parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter: expected a Parameter or None, got {type(param).__name__}")
        self._kinds[name] = PARAMETER
        self.__dict__[name] = param

    def register_buffer(self, name, tensor, persistent=True):
        """Register a tensor that is state but not learned (running statistics). `persistent=False` keeps it out of
        `state_dict`."""
        self._check_name(name, "register_buffer", BUFFER)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer: expected a Tensor or None, got {type(tensor).__name__}")
        self._kinds[name] = BUFFER
        self.__dict__[name] = tensor
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name, module):
        """Register a child by name."""
        self._check_name(name, "add_module", CHILD)
        if module is not None and not isinstance(module, Layer):
            raise TypeError(f"add_module: expected a Layer or None, got {type(module).__name__}")
        self._kinds[name] = CHILD
        self.__dict__[name] = module
        if module is not None:
            module.__dict__["_name"] = name

    register_module = add_module

    # ---- walking ----

    def _own(self, kind):
        return [(n, self.__dict__[n]) for n, k in self._kinds.items() if k == kind and self.__dict__.get(n) is not None]

    def named_children(self):
        """(name, layer) of the direct children, each layer once."""
        seen = set()
        for name, child in self._own(CHILD):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self):
        return (child for _, child in self.named_children())

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(path, layer) of this layer and all below it, depth first, each once."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, child in self._own(CHILD):
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self):
        return (layer for _, layer in self.named_modules())

    def _named(self, kind, prefix, recurse, remove_duplicate=True):
        seen = set()
        layers = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, layer in layers:
            for name, value in layer._own(kind):
                if not remove_duplicate or id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, parameter), a shared parameter once."""
        return self._named(PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        return self._named(BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target):
        """The layer at a dotted path."""
        layer = self
        for name in filter(None, target.split(".")):
            if layer._kinds.get(name) != CHILD or layer.__dict__[name] is None:
                known = ", ".join(n for n, _ in layer.named_children()) or "none"
                raise AttributeError(f"get_submodule: {type(layer).__name__} has no layer {name!r} (of {target!r}); "
                                     f"its layers: {known}")
            layer = layer.__dict__[name]
        return layer

    def set_submodule(self, target, module):
        """Put a layer at a dotted path, where one is already."""
        self.get_submodule(target)
        if not target or not isinstance(module, Layer):
            raise ValueError(f"set_submodule: expected the path of a layer and a Layer, got {target!r} and "
                             f"{type(module).__name__}")
        path, _, name = target.rpartition(".")
        setattr(self.get_submodule(path), name, module)

    def _get(self, kind, target):
        path, _, name = target.rpartition(".")
        found = dict(self.get_submodule(path)._own(kind))
        if name not in found:
            raise AttributeError(f"get_{kind}: {target!r} is not a {kind} of {type(self).__name__}; at {path!r} there are: "
                                 f"{', '.join(found) or 'none'}")
        return found[name]

    def get_parameter(self, target):
        """The parameter at a dotted path."""
        return self._get(PARAMETER, target)

    def get_buffer(self, target):
        """The buffer at a dotted path."""
        return self._get(BUFFER, target)

    def _registered(self, kind):
        return MappingProxyType({n: self.__dict__.get(n) for n, k in self._kinds.items() if k == kind})

    # PyTorch keeps what is registered in dicts of these names; ported code looks into them. To write, set the attribute.
    _parameters = property(lambda self: self._registered(PARAMETER))
    _buffers = property(lambda self: self._registered(BUFFER))
    _modules = property(lambda self: self._registered(CHILD))

    def _get_name(self):
        return type(self).__name__

    # ---- modes and places ----

    def apply(self, fn):
        """Call `fn` on every layer below this one, then on this one; returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Training mode (dropout drops, batch normalisation learns its statistics), or not; returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: expected True or False, got {mode!r}")
        for layer in self.modules():
            layer.training = mode
        return self

    def eval(self):
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Let all parameters be learned, or freeze them; returns self."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget the gradients of all parameters (`set_to_none=False`: fill them with zeros)."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad = p.grad.detach()
                p.grad.zero_()

    def to(self, *args, dtype=None, device=None, non_blocking=False):
        """Move parameters and buffers to a device, cast the float ones to a dtype, or both; returns self.
        (`non_blocking` is taken for PyTorch's sake: copies are waited for.)"""
        for a in args:
            if isinstance(a, Tensor):
                device, dtype = a.device, a.dtype
            elif isinstance(a, str) and a.partition(":")[0] in ("cpu", "cuda"):
                device = a
            elif a is not None:
                dtype = a
        if dtype is not None and as_dtype(dtype).kind != "f":
            raise TypeError(f"to: expected float32 or float64 for a layer's parameters, got {dtype!r}")

        def convert(t):
            t = t.detach()
            if dtype is not None and t.dtype.kind == "f":
                t = cast(t, as_dtype(dtype))
            return t if device is None else t.to(device=device)
        for layer in self.modules():
            for _, p in layer._own(PARAMETER):
                p.data = convert(p)
                if p.grad is not None:
                    p.grad = convert(p.grad)
            for name, b in layer._own(BUFFER):
                if isinstance(b, Uninitialized):
                    b.data = convert(b)
                else:
                    layer.__dict__[name] = convert(b)
        return self

    def cpu(self):
        return self.to("cpu")

    def cuda(self, device=None):
        return self.to("cuda" if device is None else device)

    def float(self):
        return self.to(dtype="float32")

    def double(self):
        return self.to(dtype="float64")

    def half(self):
        return self.to("float16")       # raises: it says what there is instead

    def bfloat16(self):
        return self.to("bfloat16")      # raises, likewise

    def type(self, dst_type):
        return self.to(dst_type)

    # ---- state ----

    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        """Every parameter and persistent buffer by path, as detached tensors that share the layer's memory.

        `prefix` (with its dot) is put before each path; `keep_vars=True` gives the parameters themselves; `destination`
        is a dict to fill."""
        for _, path, hook, layer in self._state_hooks_of("before state_dict"):
            hook(layer, prefix + path, keep_vars)
        state = self._gathered(OrderedDict() if destination is None else destination, prefix, keep_vars)
        for name, path, hook, layer in reversed(self._state_hooks_of("after state_dict")):
            if hook(layer, state, prefix + path, {}) is not None:
                raise RuntimeError(f"state_dict: expected a hook of {name} to return None; it may change the dict it is given")
        return state

    def _gathered(self, state, prefix="", keep_vars=False):
        """`state` with every value of the state put in: state_dict without its hooks."""
        for path, layer, name in self._state():
            value = layer.__dict__[name]
            state[prefix + path] = value if keep_vars else value.detach()
        return state

    def _state(self):
        """(path, layer, name) of every value that belongs to the state."""
        for path, layer in self.named_modules(remove_duplicate=False):
            for kind in (PARAMETER, BUFFER):
                for name, _ in layer._own(kind):
                    if name not in layer._transient:
                        yield (f"{path}.{name}" if path else name), layer, name

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy values by path into the parameters and buffers. Nothing is changed unless everything fits.

        `strict=True` asks for exactly the layer's own keys; otherwise missing and unexpected ones are returned.
        Values may be tensors or ndarrays; they are cast to the layer's dtypes. `assign=True` takes the values themselves,
        with their dtype, instead of copying: make the optimiser afterwards. (Hooks after loading see the loaded values, and may
        take names off the lists they are given: so with them, what fits is copied before names are found missing.)
        """
        if not hasattr(state_dict, "keys"):
            raise TypeError(f"load_state_dict: expected a dict of tensors by name, got {type(state_dict).__name__}")
        own = self._gathered(OrderedDict())
        missing, unexpected, problems = [], [], []
        before, after = (self._state_hooks_of(f"{when} load_state_dict") for when in ("before", "after"))
        if before:
            state_dict = OrderedDict(state_dict)
            for _, path, hook, layer in before:
                hook(layer, state_dict, path, {}, strict, missing, unexpected, problems)
        missing += [k for k in own if k not in state_dict]
        unexpected += [k for k in state_dict if k not in own]
        if not after:
            problems += self._strangers(strict, missing, unexpected)
        values = {}
        for key in own:
            if key in state_dict:
                value = state_dict[key]
                if isinstance(value, Uninitialized):
                    if not isinstance(own[key], Uninitialized):
                        problems.append(f"{key}: expected a tensor of shape {own[key].shape}, got one without a shape yet")
                    continue
                if not hasattr(value, "shape"):
                    problems.append(f"{key}: expected a tensor, got {type(value).__name__}")
                    continue
                if not isinstance(own[key], Uninitialized) and tuple(value.shape) != own[key].shape:
                    problems.append(f"{key}: expected shape {own[key].shape}, got {tuple(value.shape)}")
                    continue
                values[key] = value if isinstance(value, Tensor) else Tensor(value)
        self._refuse(problems, strict)
        if assign:
            for key, layer, name in self._state():
                if key in values:
                    layer._assign(name, values[key])
        else:
            for key, value in values.items():
                if isinstance(own[key], Uninitialized):
                    own[key].materialize(value.shape)
                    own[key] = own[key].detach()
                own[key].copy_(value.detach().to(device=own[key].device))
        result = LoadResult(missing, unexpected)
        for _, _, hook, layer in reversed(after):
            if hook(layer, result) is not None:
                raise RuntimeError("load_state_dict: expected a hook after loading to return None; it may change the lists of "
                                   "names it is given")
        if after:
            self._refuse(self._strangers(strict, missing, unexpected), strict)
        return result

    def _strangers(self, strict, missing, unexpected):
        """What is wrong with the names of a state."""
        return ([f"missing: {', '.join(missing)}"] if strict and missing else []) + (
            [f"unexpected: {', '.join(map(str, unexpected))}"] if strict and unexpected else [])

    def _refuse(self, problems, strict):
        if problems:
            raise RuntimeError(f"load_state_dict: the state does not fit {type(self).__name__}: " + "; ".join(problems)
                               + ("; pass strict=False to load what fits by name" if strict else ""))

    def _assign(self, name, value):
        old = self.__dict__[name]
        if self._kinds[name] == PARAMETER and not isinstance(value, Parameter):
            value = Parameter(value.detach(), requires_grad=old.requires_grad)
        self.__dict__[name] = value

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__.update(state)

    # ---- hooks ----

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call `hook(layer, inputs)` before forward; what it returns (not None) replaces the inputs. `with_kwargs=True`:
        call `hook(layer, inputs, kwargs)`, which returns both or None. `prepend=True` puts it before the others."""
        return _register(self._forward_pre_hooks, _WithKwargs(hook) if with_kwargs else hook, prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call `hook(layer, inputs, output)` after forward; what it returns (not None) replaces the output.
        `with_kwargs=True`: call `hook(layer, inputs, kwargs, output)`. `always_call=True`: call it also when forward
        raises, with None for the output. `prepend=True` puts it before the others."""
        if with_kwargs or always_call:
            hook = _WithKwargs(hook, with_kwargs, always_call)
        return _register(self._forward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call `hook(layer, grad_output)` when the gradients of the layer's outputs are known; a tuple it returns replaces
        them."""
        return _register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call `hook(layer, grad_input, grad_output)` when the gradients of the layer's inputs are known; a tuple it
        returns replaces grad_input. Both have one entry a positional input or output, None where it has no gradient; but
        once one input requires a gradient, every tensor among them shows one, zeros where none came."""
        return _register(self._backward_hooks, hook, prepend)

    def register_state_dict_pre_hook(self, hook):
        """Call `hook(layer, prefix, keep_vars)` before state_dict gathers the layer's values."""
        return self._register_state_hook("before state_dict", hook)

    def register_state_dict_post_hook(self, hook):
        """Call `hook(layer, state_dict, prefix, metadata)` when state_dict has them: it may change the dict. (`metadata` is
        there for PyTorch's sake, and empty.)"""
        return self._register_state_hook("after state_dict", hook)

    def register_load_state_dict_pre_hook(self, hook):
        """Call `hook(layer, state_dict, prefix, metadata, strict, missing_keys, unexpected_keys, error_msgs)` before
        load_state_dict looks at the state: it may change the dict, which is a copy, to rename the values of an old version."""
        return self._register_state_hook("before load_state_dict", hook)

    def register_load_state_dict_post_hook(self, hook):
        """Call `hook(layer, incompatible_keys)` when values were loaded: it may take names off incompatible_keys.missing_keys
        and .unexpected_keys, which strict=True then does not miss."""
        return self._register_state_hook("after load_state_dict", hook)

    def _register_state_hook(self, when, hook):
        return Hook(self.__dict__.setdefault("_state_hooks", {}).setdefault(when, []), hook)

    def _state_hooks_of(self, when):
        """[(path, path with its dot, hook, layer)] of the hooks registered on this layer and those below it."""
        return [(path, path and path + ".", hook, layer) for path, layer in self.named_modules(remove_duplicate=False)
                for hook in layer.__dict__.get("_state_hooks", {}).get(when, ())]

    def _call_with_hooks(self, inputs, kwargs):
        for hook in list(self._forward_pre_hooks):
            if isinstance(hook, _WithKwargs):
                changed = hook(self, inputs, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise RuntimeError(f"{type(self).__name__}: a forward pre-hook with kwargs returned a "
                                           f"{type(changed).__name__}; expected None or a pair (inputs, kwargs)")
                    inputs, kwargs = changed
                continue
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        boundary = None
        if self._backward_hooks or self._backward_pre_hooks:
            boundary = _BackwardHooks(self)
            inputs = boundary.enter(inputs)
        try:
            output = self.forward(*inputs, **kwargs)
        except Exception:
            for hook in list(self._forward_hooks):
                if isinstance(hook, _WithKwargs) and hook.always_call:
                    hook(self, inputs, kwargs, None)
            raise
        for hook in list(self._forward_hooks):
            changed = hook(self, inputs, kwargs, output) if isinstance(hook, _WithKwargs) else hook(self, inputs, output)
            if changed is not None:
                output = changed
        return output if boundary is None else boundary.leave(output)

    # ---- showing ----

    def extra_repr(self):
        """The settings, as `repr` shows them between the parentheses."""
        return ""

    def describe(self):
        """One line: the layer with its settings."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def __repr__(self):
        return "\n".join(self._lines()) + self._total()

    def _total(self):
        count = sum(p.numel() for p in self.parameters())
        if not self._own(CHILD) or not count:
            return ""
        frozen = sum(p.numel() for p in self.parameters() if not p.requires_grad)
        return f"    # {count:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")

    def _lines(self):
        shapes = ", ".join(f"{n} {tuple(p.shape)}" for n, p in self._own(PARAMETER))
        count = sum(p.numel() for _, p in self._own(PARAMETER))
        note = f"    # {shapes}: {count:,}" if shapes else ""
        children = self._own(CHILD)
        if not children:
            return [self.describe() + note]
        lines = [f"{type(self).__name__}({self.extra_repr()}{note}"]
        for name, child in children:
            first, *rest = child._lines()
            lines += [f"  ({name}): {first}", *("  " + line for line in rest)]
        return [*lines, ")"]


def _register(hooks, hook, prepend):
    handle = Hook(hooks, hook)
    if prepend:
        hooks.insert(0, hooks.pop())
    return handle


class _WithKwargs:
    """A forward hook that was registered with options."""

    def __init__(self, function, with_kwargs=True, always_call=False):
        if not callable(function):
            raise TypeError(f"register a hook: expected a function, got {type(function).__name__}")
        self.function, self.with_kwargs, self.always_call = function, with_kwargs, always_call

    def __call__(self, layer, inputs, kwargs, *output):
        return self.function(layer, inputs, kwargs, *output) if self.with_kwargs else self.function(layer, inputs, *output)


class _BackwardHooks:
    """Runs a layer's backward hooks: one boundary where the inputs enter, one where the outputs leave, so that the
    gradients seen are those of this call alone."""

    def __init__(self, layer):
        self.layer = layer
        self.grad_output = None
        self.waits = False              # for the gradients of the inputs

    @staticmethod
    def _through(values, callback, fill):
        """Send the tensors that require gradients through a boundary, where `callback` is shown all values' gradients;
        with `fill`, zeros in place of those of tensors that have none."""
        places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        shapes = {i: (v.shape, empty_of(v.array)) for i, v in enumerate(values) if fill and isinstance(v, Tensor)}
        count = len(values)

        def look(gradients):
            shown = [None] * count
            for i, g in zip(places, gradients, strict=True):
                shown[i] = g
            for i, (shape, like) in shapes.items():
                if shown[i] is None:
                    shown[i] = Tensor(zeros(shape, like.dtype, like))
            seen = callback(tuple(shown))
            return tuple([seen[i] for i in places])
        if places:
            passed = apply(Boundary(look), *[values[i] for i in places])
            for i, v in zip(places, passed, strict=True):
                values[i] = v
        return bool(places)

    def enter(self, inputs):
        values = list(inputs)
        self.waits = self._through(values, self.run, True)
        self.inputs = len(values)
        return tuple(values)

    def leave(self, output):
        several = isinstance(output, (tuple, list))
        values = list(output) if several else [output]
        self._through(values, self.on_output, False)
        if hasattr(output, "_fields"):  # a namedtuple takes its values one by one
            return type(output)(*values)
        return type(output)(values) if several else values[0]

    def on_output(self, gradients):
        for hook in list(self.layer._backward_pre_hooks):
            gradients = self._replaced(gradients, hook(self.layer, gradients))
        self.grad_output = gradients
        if not self.waits:
            self.run((None,) * self.inputs)
        return gradients

    def run(self, grad_input):
        for hook in list(self.layer._backward_hooks):
            grad_input = self._replaced(grad_input, hook(self.layer, grad_input, self.grad_output))
        return grad_input

    def _replaced(self, gradients, changed):
        """The gradients that a hook returned in place of these, if any."""
        if changed is None:
            return gradients
        changed = changed if isinstance(changed, tuple) else (changed,)
        if len(changed) != len(gradients):
            raise RuntimeError(f"{type(self.layer).__name__}: a backward hook returned {len(changed)} gradients, "
                               f"expected {len(gradients)}")
        for new, old in zip(changed, gradients, strict=True):
            if new is not None and (not isinstance(new, Tensor) or old is not None
                                    and (new.shape, new.dtype) != (old.shape, old.dtype)):
                raise RuntimeError(f"{type(self.layer).__name__}: a backward hook returned {new!r}; expected None "
                                   f"or a tensor in place of {old!r}"[:300])
        return changed


Module = Layer
