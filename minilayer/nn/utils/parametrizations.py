"""Weight norm and spectral norm as parametrisations: what torch.nn.utils.parametrizations calls by these names."""
from minilayer.layers.layer import Layer
from minilayer.layers.settings import positive_int
from minilayer.nn.utils.parametrize import register_parametrization
from minilayer.nn.utils.spectral_norm import as_matrix, default_dim, sigma, start, unit
from minilayer.nn.utils.weight_norm import directed, norm_except_dim
from minilayer.state import no_grad


class _WeightNorm(Layer):
    """weight = g v / |v|"""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = dim

    def forward(self, weight_g, weight_v):
        return directed(weight_v, weight_g, self.dim)

    def right_inverse(self, weight):
        return norm_except_dim(weight, self.dim), weight


class _SpectralNorm(Layer):
    """weight / its largest singular value, which a step of the power method follows while training"""

    def __init__(self, weight, n_power_iterations, dim, eps, rng):
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        self.vector = weight.ndim == 1
        if not self.vector:
            matrix = as_matrix(weight.detach(), dim)
            for name, value in zip(("_u", "_v"), start(matrix, rng), strict=True):
                self.register_buffer(name, unit(value, eps))
            self._step(matrix, 15)

    def _step(self, matrix, n):
        with no_grad():
            for _ in range(n):
                self._u.copy_(unit(matrix @ self._v, self.eps))
                self._v.copy_(unit(matrix.T @ self._u, self.eps))

    def forward(self, weight):
        if self.vector:                         # its singular value is its length
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._step(matrix, self.n_power_iterations)
        return weight / sigma(matrix, self._u.clone(), self._v.clone())

    def right_inverse(self, value):
        return value


def _tensor_of(title, module, name):
    value = getattr(module, name, None) if isinstance(name, str) else None
    if not hasattr(value, "ndim"):
        raise ValueError(f"{title}: expected the name of a parameter or buffer of {module.describe()}, got {name!r}")
    return value


def weight_norm(module, name="weight", dim=0):
    """Tell module's weight by its length and its direction: weight = g v / |v|, with g and v learned, as
    parametrizations.weight.original0 and original1. Returns module.

    dim  the axis along which each slice has a length of its own (0: each output); None for one length in all
    Salimans and Kingma, "Weight normalization", 2016.

    >>> layer = parametrizations.weight_norm(Linear(20, 40))
    >>> layer.parametrizations.weight.original0.shape
    (40, 1)
    """
    _tensor_of("weight_norm", module, name)
    return register_parametrization(module, name, _WeightNorm(-1 if dim is None else dim), unsafe=True)


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None, rng=None):
    """Divide module's weight by its largest singular value, found by the power method. Returns module.

    What is learned is parametrizations.weight.original; the singular vectors are buffers of parametrizations.weight.0.

    n_power_iterations  steps of the power method each time the weight is read (in training mode alone)
    dim                 the outputs' axis; None: 1 for transposed convolutions, else 0
    rng                 where the vectors start from (default: the calling thread's generator)
    Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    >>> sorted(parametrizations.spectral_norm(Linear(20, 40)).state_dict())[:2]
    ['bias', 'parametrizations.weight.0._u']
    """
    steps = positive_int("spectral_norm", "n_power_iterations", n_power_iterations)
    weight = _tensor_of("spectral_norm", module, name)
    dim = default_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, steps, dim, eps, rng))
