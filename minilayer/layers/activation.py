"""Activations: the nonlinearities between layers, as layers. Shapes stay as they are, but GLU's."""
from minilayer import functional as F
from minilayer.layers.layer import Layer, Parameter
from minilayer.layers.settings import number, positive_int


class _InPlace(Layer):
    """What has an `inplace` setting: True writes into the input's memory."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = bool(inplace)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""

    def _and_inplace(self, text):
        return text + (", inplace=True" if self.inplace else "")


class ReLU(_InPlace):
    """y = max(x, 0); the gradient at 0 is 0.

    Arguments: `inplace=True` writes into the input's memory.

    >>> ReLU()(tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, input):
        return F.relu(input, self.inplace)


class ReLU6(_InPlace):
    """y = min(max(x, 0), 6): a ReLU that low precision can hold; the gradient is 0 at both bends.

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010.

    >>> ReLU6()(tensor([-1.0, 2.0, 9.0])).tolist()
    [0.0, 2.0, 6.0]
    """

    def forward(self, input):
        return F.relu6(input, self.inplace)


class Hardtanh(_InPlace):
    """y = min(max(x, min_val), max_val): a tanh of straight lines; the gradient is 0 at both bounds.

    Arguments: `min_val` < `max_val` (`min_value`, `max_value`: their old names); `inplace=True` writes into the input's
        memory.

    >>> Hardtanh()(tensor([-3.0, 0.5])).tolist()
    [-1.0, 0.5]
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__(inplace)
        self.min_val = number("Hardtanh", "min_val", min_val if min_value is None else min_value)
        self.max_val = number("Hardtanh", "max_val", max_val if max_value is None else max_value)
        if not self.min_val < self.max_val:
            raise ValueError(f"Hardtanh: expected min_val < max_val, got {self.min_val} and {self.max_val}")

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return self._and_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class LeakyReLU(_InPlace):
    """y = x where x > 0, else negative_slope * x: no unit is ever without a gradient.

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.

    >>> LeakyReLU(0.5)(tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__(inplace)
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return self._and_inplace(f"negative_slope={self.negative_slope}")


class PReLU(Layer):
    """y = x where x > 0, else weight * x: a leaky ReLU that learns its slope.

    Shapes: x (B, C, *) -> y of the same shape; weight (num_parameters,), one for each channel or one for all.
    Starting values: weight `init`.
    Arguments: `num_parameters` is 1 or C. Weight decay would pull the slope to a ReLU's.
    Paper: He et al., Delving deep into rectifiers, 2015.

    >>> PReLU()(tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters = positive_int("PReLU", "num_parameters", num_parameters)
        self.init = number("PReLU", "init", init)
        self.weight = Parameter(F.full((self.num_parameters,), self.init, dtype="float32" if dtype is None else dtype))
        if device is not None:
            self.to(device)

    def reset_parameters(self):
        self.weight.detach().fill_(self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class RReLU(_InPlace):
    """y = x where x > 0, else r x: r random in [lower, upper) for each value while training, else (lower + upper) / 2.

    Arguments: `lower`, `upper`; `inplace=True` writes into the input's memory; `rng`, the generator of the slopes (default:
        the calling thread's).
    Paper: Xu et al., Empirical evaluation of rectified activations in convolutional network, 2015.

    >>> RReLU(0.25, 0.75).eval()(tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    def __init__(self, lower=1 / 8, upper=1 / 3, inplace=False, rng=None):
        super().__init__(inplace)
        self.lower, self.upper = number("RReLU", "lower", lower), number("RReLU", "upper", upper)
        self.rng = rng

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace, self.rng)

    def extra_repr(self):
        return self._and_inplace(f"lower={self.lower}, upper={self.upper}")


class ELU(_InPlace):
    """y = x where x > 0, else alpha (e^x - 1): its outputs have a mean nearer 0 than a ReLU's.

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by exponential linear units, 2016.

    >>> ELU()(tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = number("ELU", "alpha", alpha)

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return self._and_inplace(f"alpha={self.alpha}")


class CELU(_InPlace):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1): an ELU whose slope has no jump at 0.

    Arguments: `alpha`, not 0; `inplace=True` writes into the input's memory.
    Paper: Barron, Continuously differentiable exponential linear units, 2017.

    >>> CELU()(tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = number("CELU", "alpha", alpha)

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return self._and_inplace(f"alpha={self.alpha}")


class SELU(_InPlace):
    """y = 1.0507 x where x > 0, else 1.0507 * 1.6733 (e^x - 1): numbers with mean 0 and variance 1 come out so again.

    For layers whose weights start with variance 1 / fan_in (init.kaiming_normal_ with nonlinearity="linear"); AlphaDropout
    is its dropout.
    Arguments: `inplace=True` writes into the input's memory.
    Paper: Klambauer et al., Self-normalizing neural networks, 2017.

    >>> SELU()(tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class SiLU(_InPlace):
    """y = x / (1 + e^-x): a smooth ReLU that dips below 0; also named swish.

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units for neural network function approximation, 2017.

    >>> SiLU()(tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """y = x tanh(log(1 + e^x)).

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Misra, Mish: a self regularized non-monotonic activation function, 2019.

    >>> Mish()(tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.mish(input, self.inplace)


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)): any number becomes one between 0 and 1.

    >>> Sigmoid()(tensor([0.0])).tolist()
    [0.5]
    """

    def forward(self, input):
        return F.sigmoid(input)


class LogSigmoid(Layer):
    """y = log(1 / (1 + exp(-x))), without overflow.

    >>> LogSigmoid()(tensor([-100.0])).tolist()
    [-100.0]
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Hardsigmoid(_InPlace):
    """y = min(max(x + 3, 0), 6) / 6: a sigmoid of straight lines.

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Howard et al., Searching for MobileNetV3, 2019.

    >>> Hardsigmoid()(tensor([-4.0, 0.0, 4.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_InPlace):
    """y = x min(max(x + 3, 0), 6) / 6: a SiLU with a sigmoid of straight lines.

    Arguments: `inplace=True` writes into the input's memory.
    Paper: Howard et al., Searching for MobileNetV3, 2019.

    >>> Hardswish()(tensor([0.0, 4.0])).tolist()
    [0.0, 4.0]
    """

    def forward(self, input):
        return F.hardswish(input, self.inplace)


class Tanh(Layer):
    """y = tanh(x): any number becomes one between -1 and 1.

    >>> Tanh()(tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.tanh(input)


class Tanhshrink(Layer):
    """y = x - tanh(x): small numbers become much smaller.

    >>> Tanhshrink()(tensor([0.0])).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.tanhshrink(input)


class Softplus(Layer):
    """y = log(1 + exp(beta x)) / beta: a smooth ReLU, always above 0.

    Arguments: `beta`, how sharp its bend is; where beta x > `threshold`, y is x itself.

    >>> Softplus()(tensor([30.0])).tolist()
    [30.0]
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = number("Softplus", "beta", beta), number("Softplus", "threshold", threshold)

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Layer):
    """y = x / (1 + |x|): any number becomes one between -1 and 1, more slowly than by tanh.

    >>> Softsign()(tensor([1.0])).tolist()
    [0.5]
    """

    def forward(self, input):
        return F.softsign(input)


class Softshrink(Layer):
    """y = x moved towards 0 by lambd, and 0 where it would pass it: the step that makes codes sparse.

    >>> Softshrink(0.5)(tensor([-2.0, 0.25])).tolist()
    [-1.5, 0.0]
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = number("Softshrink", "lambd", lambd)

    def forward(self, input):
        return F.softshrink(input, self.lambd)

    def extra_repr(self):
        return str(self.lambd)


class Hardshrink(Layer):
    """y = x where |x| > lambd, else 0.

    >>> Hardshrink(0.5)(tensor([-2.0, 0.25])).tolist()
    [-2.0, 0.0]
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = number("Hardshrink", "lambd", lambd)

    def forward(self, input):
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        return str(self.lambd)


class Threshold(_InPlace):
    """y = value where x <= threshold, else x.

    Arguments: `inplace=True` writes into the input's memory.

    >>> Threshold(0.5, -1.0)(tensor([0.25, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__(inplace)
        self.threshold, self.value = number("Threshold", "threshold", threshold), number("Threshold", "value", value)

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return self._and_inplace(f"threshold={self.threshold}, value={self.value}")


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

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class _AlongDim(Layer):
    def __init__(self, dim=None):
        super().__init__()
        if dim is not None and (isinstance(dim, bool) or not hasattr(dim, "__index__")):
            raise TypeError(f"{type(self).__name__}: expected dim to be an integer, got {dim!r}; "
                            "say along which axis the values sum to 1")
        self.dim = None if dim is None else dim.__index__()

    def extra_repr(self):
        return f"dim={self.dim}"


class GLU(_AlongDim):
    """y = a / (1 + exp(-b)), a and b the two halves of x along `dim`: half of the values are gates for the others.

    Shapes: x with 2 n values along `dim` -> y with n.
    Paper: Dauphin et al., Language modeling with gated convolutional networks, 2017.

    >>> GLU()(tensor([2.0, 4.0, 0.0, 0.0])).tolist()
    [1.0, 2.0]
    """

    def __init__(self, dim=-1):
        super().__init__(dim)
        if dim is None:
            raise TypeError("GLU: expected dim to be an integer, got None; say which axis to halve")

    def forward(self, input):
        return F.glu(input, self.dim)


class Softmax(_AlongDim):
    """y_i = exp(x_i) / sum_j exp(x_j) along `dim`: scores become probabilities.

    Arguments: pass `dim`; None guesses it by the number of dimensions, and warns.

    >>> Softmax(dim=1)(zeros(1, 4)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def forward(self, input):
        return F.softmax(input, self.dim)


class Softmin(_AlongDim):
    """y_i = exp(-x_i) / sum_j exp(-x_j) along `dim`: the smallest number gets the most.

    Arguments: pass `dim`; None guesses it by the number of dimensions, and warns.

    >>> Softmin(dim=1)(zeros(1, 4)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def forward(self, input):
        return F.softmin(input, self.dim)


class Softmax2d(Layer):
    """Softmax over the channels at each place of an image.

    Shapes: x (B, C, H, W) or (C, H, W) -> y of the same shape.

    >>> Softmax2d()(zeros(1, 2, 1, 1)).tolist()
    [[[[0.5]], [[0.5]]]]
    """

    def forward(self, input):
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected an input of shape (B, C, H, W) or (C, H, W), got {input.shape}")
        return F.softmax(input, -3)


class LogSoftmax(_AlongDim):
    """y_i = x_i - log sum_j exp(x_j) along `dim`: the logarithm of Softmax, without its rounding to 0.

    Arguments: pass `dim`; None guesses it by the number of dimensions, and warns.

    >>> LogSoftmax(dim=0)(zeros(1)).tolist()
    [0.0]
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim)
