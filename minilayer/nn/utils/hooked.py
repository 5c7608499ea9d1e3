"""A weight that a layer computes before each forward: what weight_norm and spectral_norm of the old style share."""
from minilayer.layers.layer import Parameter
from minilayer.state import no_grad


class Hooked:
    """A forward pre-hook that sets one attribute of the layer; subclasses say to what."""
    title = "hook"
    name = "weight"

    def value(self, layer):
        """The attribute's new value."""
        raise NotImplementedError(f"{type(self).__name__}: define value(self, layer)")

    def final(self, layer):
        """The value that stays when the hook is removed."""
        return self.value(layer)

    def __call__(self, layer, inputs):
        setattr(layer, self.name, self.value(layer))


def find(layer, kind, name):
    """The hook of this kind on this name, or None."""
    for hook in layer._forward_pre_hooks:
        if isinstance(hook, kind) and hook.name == name:
            return hook
    return None


def parameter_of(layer, title, name):
    """The parameter `name` of a layer."""
    weight = dict(layer.named_parameters(recurse=False)).get(name)
    if weight is None:
        own = ", ".join(n for n, _ in layer.named_parameters(recurse=False)) or "none"
        raise ValueError(f"{title}: expected a parameter named {name!r} in {layer.describe()}, whose own parameters are: {own}")
    return weight


def hook(layer, hooked, split):
    """Replace a parameter by those that `split(layer, weight)` registers, and let `hooked` make it from them."""
    name = hooked.name
    if find(layer, type(hooked), name) is not None:
        raise RuntimeError(f"{hooked.title}: {name!r} of {layer.describe()} has it already; remove_{hooked.title} it first")
    weight = parameter_of(layer, hooked.title, name)
    delattr(layer, name)
    split(layer, weight)
    setattr(layer, name, weight.detach())
    layer.register_forward_pre_hook(hooked)
    return layer


def unhook(layer, kind, name, parts):
    """Make the value that the hook gives a parameter again."""
    hooked = find(layer, kind, name)
    if hooked is None:
        raise ValueError(f"remove_{kind.title}: {layer.describe()} has no {kind.title} on {name!r}")
    with no_grad():
        weight = hooked.final(layer)
    layer._forward_pre_hooks.remove(hooked)
    for part in (name, *parts):
        delattr(layer, part)
    layer.register_parameter(name, Parameter(weight.detach()))
    return layer
