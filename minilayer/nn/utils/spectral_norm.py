"""Spectral norm: a weight divided by its largest singular value, so that the layer stretches no vector."""
from minilayer import functional as F
from minilayer import random
from minilayer.layers.layer import Tensor
from minilayer.layers.settings import positive_int
from minilayer.nn.utils.hooked import Hooked, hook, unhook
from minilayer.state import no_grad


def as_matrix(weight, dim):
    """The weight as a matrix whose rows lie along `dim`."""
    if dim != 0:
        weight = weight.permute(dim, *[i for i in range(weight.ndim) if i != dim])
    return weight.reshape(weight.shape[0], -1)


def start(matrix, rng):
    """Random vectors u (rows,) and v (columns,) of the matrix's dtype and device."""
    return [Tensor(random.normal((n,), dtype=matrix.dtype, rng=rng)).to(device=matrix.device) for n in matrix.shape]


def default_dim(layer):
    """The outputs' axis: 1 for transposed convolutions, else 0."""
    return 1 if type(layer).__name__.startswith("ConvTranspose") else 0


def unit(v, eps):
    return F.normalize(v, dim=0, eps=eps)


def sigma(matrix, u, v):
    """The largest singular value, for its vectors u and v: u^T W v."""
    return (u * (matrix @ v)).sum()


class SpectralNorm(Hooked):
    """Makes a layer's weight from weight_orig before each forward, with a step of the power method while training."""
    title = "spectral_norm"

    def __init__(self, name, n_power_iterations, eps, dim):
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        self.dim = dim

    def value(self, layer):
        return self.compute(layer, layer.training)

    def final(self, layer):
        return self.compute(layer, False)

    def compute(self, layer, iterate):
        weight, u, v = (getattr(layer, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if iterate:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(unit(matrix.T @ u, self.eps))
                    u.copy_(unit(matrix @ v, self.eps))
        return weight / sigma(matrix, u.clone(), v.clone())     # (the next step writes to u and v)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None, rng=None):
    """Divide module's weight by its largest singular value, found by a step of the power method each forward.

    Replaces the parameter `name` by `name`_orig; buffers `name`_u and `name`_v hold the singular vectors. Returns module.

    n_power_iterations  steps of the power method a forward (in training mode alone)
    dim                 the outputs' axis; None: 1 for transposed convolutions, else 0
    rng                 where the vectors start from (default: the calling thread's generator)
    Miyato et al., "Spectral normalization for generative adversarial networks", 2018. (parametrizations.spectral_norm does
    the same without a hook.)

    >>> sorted(spectral_norm(Linear(20, 40)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    steps = positive_int("spectral_norm", "n_power_iterations", n_power_iterations)

    def split(layer, weight):
        layer.register_parameter(name + "_orig", weight)
        for end, value in zip(("_u", "_v"), start(as_matrix(weight.detach(), hooked.dim), rng), strict=True):
            layer.register_buffer(name + end, unit(value, eps))
    hooked = SpectralNorm(name, steps, eps, default_dim(module) if dim is None else dim)
    return hook(module, hooked, split)


def remove_spectral_norm(module, name="weight"):
    """Make the weight a parameter again, with the value it has. Returns module."""
    return unhook(module, SpectralNorm, name, (name + "_orig", name + "_u", name + "_v"))
