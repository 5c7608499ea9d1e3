"""Activations: the nonlinearities between layers, as layers. Shapes stay as they are."""
from minilayer import functional as F
from minilayer.layers.layer import Layer


class ReLU(Layer):
    """y = max(x, 0); the gradient at 0 is 0.

    Arguments: `inplace=True` writes into the input's memory.

    >>> ReLU()(tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = bool(inplace)

    def forward(self, x):
        return x.relu_() if self.inplace else F.relu(x)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)): any number becomes one between 0 and 1.

    >>> Sigmoid()(tensor([0.0])).tolist()
    [0.5]
    """

    def forward(self, x):
        return F.sigmoid(x)


class Tanh(Layer):
    """y = tanh(x): any number becomes one between -1 and 1.

    >>> Tanh()(tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, x):
        return F.tanh(x)


class GELU(Layer):
    """y = x Phi(x), Phi the normal distribution's cumulative function: a smooth ReLU.

    Arguments: approximate='none' is exact (erf); 'tanh' is 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    Paper: Hendrycks and Gimpel, Gaussian error linear units, 2016.

    >>> GELU()(tensor([0.0])).tolist()
    [0.0]
    """

    def __init__(self, approximate="none"):
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x):
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self):
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class _AlongDim(Layer):
    def __init__(self, dim):
        super().__init__()
        if isinstance(dim, bool) or not hasattr(dim, "__index__"):
            raise TypeError(f"{type(self).__name__}: expected dim to be an integer, got {dim!r}; "
                            "say along which axis the values sum to 1")
        self.dim = dim.__index__()

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """y_i = exp(x_i) / sum_j exp(x_j) along `dim`: scores become probabilities.

    >>> Softmax(dim=1)(zeros(1, 4)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def forward(self, x):
        return F.softmax(x, self.dim)


class LogSoftmax(_AlongDim):
    """y_i = x_i - log sum_j exp(x_j) along `dim`: the logarithm of Softmax, without its rounding to 0.

    >>> LogSoftmax(dim=0)(zeros(1)).tolist()
    [0.0]
    """

    def forward(self, x):
        return F.log_softmax(x, self.dim)
