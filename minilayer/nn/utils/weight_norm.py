"""Weight norm: a weight told by its length g and its direction v, each learned by itself."""
from minilayer.layers.layer import Parameter
from minilayer.nn.utils.hooked import Hooked, hook, unhook
from minilayer.ops.reduce import norm


def norm_except_dim(v, dim):
    """The norm of v over all axes but `dim`, these kept with size 1; over all, a number, where dim is None or -1."""
    if dim in (None, -1):
        return norm(v, 2)
    dim = dim % v.ndim if -v.ndim <= dim < v.ndim else dim
    if not 0 <= dim < v.ndim:
        raise IndexError(f"weight_norm: expected dim in [{-v.ndim}, {v.ndim - 1}] for a weight of shape {v.shape}, got {dim}")
    others = [i for i in range(v.ndim) if i != dim]
    return norm(v, 2, others, True) if others else v.abs()


def directed(v, g, dim):
    """v with the length g: v g / |v|."""
    return v * (g / norm_except_dim(v, dim))


class WeightNorm(Hooked):
    """Makes a layer's weight from weight_g and weight_v before each forward."""
    title = "weight_norm"

    def __init__(self, name, dim):
        self.name = name
        self.dim = dim

    def value(self, layer):
        return directed(getattr(layer, self.name + "_v"), getattr(layer, self.name + "_g"), self.dim)


def weight_norm(module, name="weight", dim=0):
    """Tell module's weight by its length and its direction: weight = g v / |v|, with g and v learned.

    Replaces the parameter `name` by `name`_g and `name`_v; the weight is made from them before each forward. Returns module.

    dim  the axis along which each slice has a length of its own (0: each output); None for one length in all
    Salimans and Kingma, "Weight normalization", 2016. (parametrizations.weight_norm does the same without a hook.)

    >>> sorted(name for name, _ in weight_norm(Linear(20, 40)).named_parameters())
    ['bias', 'weight_g', 'weight_v']
    """
    def split(layer, weight):
        layer.register_parameter(name + "_g", Parameter(norm_except_dim(weight, dim).detach()))
        layer.register_parameter(name + "_v", Parameter(weight.detach()))
    return hook(module, WeightNorm(name, dim), split)


def remove_weight_norm(module, name="weight"):
    """Make the weight a parameter again, with the value it has. Returns module."""
    return unhook(module, WeightNorm, name, (name + "_g", name + "_v"))
