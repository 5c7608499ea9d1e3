"""Is a backward rule right? Compare it with differences of the function itself.

    minilayer.gradcheck(lambda x, w: (x @ w).tanh(), x, w)      # float64 tensors that require gradients

A derivative has a definition, so a gradient can be checked without knowing its formula. All outputs are weighted with
random numbers u, and each input is moved along a random direction v:

    sum of u * (f(x + eps v) - f(x - eps v)) / (2 eps)      by the definition
    sum of v * (the gradient that backward gives for u)     by the rule

Two evaluations a direction find a wrong rule however many elements the input has. Only then is the input moved element
by element, to name the input, the index and both numbers. float64 only: in float32, rounding drowns the difference.
"""
import numpy as np

from minilayer.autograd import grad
from minilayer.device import is_expanded
from minilayer.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient differs from the differences of its function."""


def gradcheck(function, *inputs, eps=1e-6, rtol=1e-6, atol=1e-8, directions=2, seed=0) -> bool:
    """Compare the gradients of `function(*inputs)` with central differences; True, or GradcheckError saying where.

    Every float64 tensor among `inputs` that requires a gradient is checked; the function returns a tensor or a tuple
    of tensors, of which those that require gradients count. It must give the same values each time it is called. It
    may use the inputs directly, as a layer uses its parameters: they are moved in place, and put back.

    eps: how far to move. rtol, atol: allowed difference, relative to the larger number and absolute; the rounding of
    the outputs, which dividing by eps makes larger, is allowed on top. directions: random directions an input.

    Where the function has a kink at the inputs (relu at 0, a tie of max), slopes from the left and from the right
    differ, and no gradient is the derivative: that is reported as a kink, not as a wrong gradient.

    >>> x = minilayer.tensor([0.5, 2.0], dtype=minilayer.float64, requires_grad=True)
    >>> minilayer.gradcheck(lambda x: (x * x).sum(), x)
    True
    """
    return _check("gradcheck", function, inputs, eps, rtol, atol, directions, seed, every_output=False)


def gradgradcheck(function, *inputs, eps=1e-6, rtol=1e-6, atol=1e-8, directions=2, seed=0) -> bool:
    """Compare the gradients of the gradients (`create_graph=True`) with central differences, as `gradcheck` does.

    The function checked maps the inputs and the gradients of the outputs to the gradients of the inputs.
    """
    checked = _checked_inputs("gradgradcheck", inputs)
    rng = np.random.default_rng(seed + 1)
    seeds = [_tensor(rng.standard_normal(y.shape)) for y in _outputs("gradgradcheck", function(*inputs), False)]

    def gradients(*arguments):
        outputs = _outputs("gradgradcheck", function(*arguments[:len(inputs)]), False)
        found = grad(outputs, [arguments[i] for i in checked], arguments[len(inputs):], create_graph=True,
                     allow_unused=True)
        return tuple(g for g in found if g is not None)
    return _check("gradgradcheck", gradients, (*inputs, *seeds), eps, rtol, atol, directions, seed, every_output=True)


def _tensor(array):
    """A float64 leaf that requires a gradient."""
    return Tensor(np.asarray(array, np.float64)).requires_grad_()


def _checked_inputs(name, inputs) -> list:
    """The positions of the inputs to check; refuses what cannot be."""
    checked = []
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected tensors, got {type(x).__name__} as input {i}; bind other arguments in "
                            "the function, as in lambda x: f(x, 3)")
        if not x.requires_grad:
            continue
        if x.dtype != np.float64:
            raise TypeError(f"{name}: expected float64 inputs, got {x.dtype} as input {i}: rounding would drown the "
                            "difference; convert it with .double(), parameters with layer.double()")
        if type(x.array) is not np.ndarray:
            raise ValueError(f"{name}: expected inputs on the CPU, got one on {x.device} as input {i}; use .to('cpu')")
        if is_expanded(x.array):
            raise ValueError(f"{name}: expected one memory place an element, got an expanded tensor of shape {x.shape} "
                             f"as input {i}; .clone() it first")
        checked.append(i)
    if not checked:
        raise ValueError(f"{name}: expected at least one input that requires a gradient; set requires_grad=True on it")
    return checked


def _outputs(name, result, every) -> list:
    """The outputs that count: the float tensors that require gradients, or every float tensor."""
    outputs = [result] if isinstance(result, Tensor) else list(result) if isinstance(result, (tuple, list)) else [result]
    for y in outputs:
        if not isinstance(y, Tensor):
            raise TypeError(f"{name}: expected the function to return tensors, got {type(y).__name__}")
    outputs = [y for y in outputs if y.dtype.kind == "f" and (every or y.requires_grad)]
    for y in outputs:
        if y.dtype != np.float64:
            raise TypeError(f"{name}: expected float64 outputs, got {y.dtype}; the function loses precision on the way")
    if not outputs:
        raise ValueError(f"{name}: no output of the function depends on the inputs through recorded operations; check "
                         "for no_grad(), detach() and integer results")
    return outputs


class _Difference:
    """The function around its inputs: values when moved, against what backward says."""

    def __init__(self, name, function, inputs, checked, eps, every, rng):
        self.name, self.function, self.inputs, self.eps, self.every = name, function, inputs, eps, every
        self.checked = checked
        self.values = self.at_rest()
        again = self.at_rest()
        if len(again) != len(self.values) or not all(
                np.array_equal(a, b, equal_nan=True) for a, b in zip(self.values, again)):
            raise ValueError(f"{name}: expected the same outputs each time the function is called, got different ones; "
                             "seed its random numbers inside the function, or call layer.eval()")
        self.weights = [np.asarray(rng.standard_normal(y.shape)) for y in self.values]

    def at_rest(self):
        """The outputs' values at the inputs."""
        return [y.array.copy() for y in _outputs(self.name, self.function(*self.inputs), self.every)]

    def moved(self, i, direction, step):
        """The outputs' values with input i moved by step * direction."""
        array = self.inputs[i].array
        before = array.copy()
        try:
            array[...] = before + step * direction
            return self.at_rest()
        finally:
            array[...] = before

    def slopes(self, i, direction, weights):
        """Central, right and left difference quotients of the weighted outputs, and their rounding."""
        right, left = self.moved(i, direction, self.eps), self.moved(i, direction, -self.eps)
        sums = [0.0, 0.0, 0.0, 0.0]
        for u, r, m, l in zip(weights, right, self.values, left):
            sums[0] += float((u * (r - l)).sum()) / (2 * self.eps)
            sums[1] += float((u * (r - m)).sum()) / self.eps
            sums[2] += float((u * (m - l)).sum()) / self.eps
            sums[3] += float(np.abs(u * m).sum())
        return (*sums[:3], 8 * np.finfo(np.float64).eps * sums[3] / self.eps)

    def gradients(self, weights):
        """What backward says for these weights: one array a checked input."""
        outputs = _outputs(self.name, self.function(*self.inputs), self.every)
        pairs = [(y, Tensor(u)) for y, u in zip(outputs, weights) if y.requires_grad]
        targets = [self.inputs[i] for i in self.checked]
        if not pairs:
            return [np.zeros(x.shape) for x in targets]
        ys, us = zip(*pairs)
        first = grad(ys, targets, us, retain_graph=True, allow_unused=True)
        second = grad(ys, targets, us, allow_unused=True)
        result = []
        for i, x, g, h in zip(self.checked, targets, first, second):
            if g is None:
                result.append(np.zeros(x.shape))
                continue
            if not np.array_equal(g.array, h.array, equal_nan=True):
                raise GradcheckError(f"{self.name}: the gradient of input {i} differs when the same graph is walked "
                                     "twice: a backward rule changes what was saved, or draws random numbers")
            result.append(g.array)
        return result


def _check(name, function, inputs, eps, rtol, atol, directions, seed, every_output) -> bool:
    checked = _checked_inputs(name, inputs)
    rng = np.random.default_rng(seed)
    f = _Difference(name, function, inputs, checked, eps, every_output, rng)
    gradients = f.gradients(f.weights)
    for i, g in zip(checked, gradients):
        for _ in range(directions):
            direction = np.asarray(rng.standard_normal(g.shape))
            rule = float((g * direction).sum())
            central, right, left, rounding = f.slopes(i, direction, f.weights)
            if not abs(central - rule) <= atol + rtol * max(abs(central), abs(rule)) + rounding:
                _report(f, i, g, rtol, atol, direction, (rule, central, right, left))
    return True


def _report(f, i, g, rtol, atol, direction, along):
    """Move input i element by element, and raise with the worst place named."""
    worst, place, numbers = -1.0, None, None
    for index in np.ndindex(g.shape):
        one = np.zeros(g.shape)
        one[index] = 1.0
        central, right, left, rounding = f.slopes(i, one, f.weights)
        rule = float(g[index])
        gap = abs(central - rule)
        if not gap <= atol + rtol * max(abs(central), abs(rule)) + rounding and not gap <= worst:
            worst, place, numbers = gap, index, (rule, central, right, left)
    if place is None:                               # each element agrees, the sum of many does not
        rule, central, right, left = along
        where = f"input {i}, along a random direction"
    else:
        rule, central, right, left = numbers
        where = f"input {i} at index {place}"
    if abs(right - left) > 0.1 * abs(central - rule):
        raise GradcheckError(f"{f.name}: the function has a kink at {where}: slope {left:.9g} from the left, "
                             f"{right:.9g} from the right, {rule:.9g} by backward; move the inputs away from it")
    if place is not None:
        one = np.zeros(g.shape)
        one[place] = 1.0
        right, left = f.moved(i, one, f.eps), f.moved(i, one, -f.eps)
        worst, found = -1.0, None
        for k, (r, l) in enumerate(zip(right, left)):
            for index in np.ndindex(r.shape):
                weights = [np.zeros(y.shape) for y in f.values]
                weights[k][index] = 1.0
                rule_k = float(f.gradients(weights)[f.checked.index(i)][place])
                central_k = float(r[index] - l[index]) / (2 * f.eps)
                if not abs(rule_k - central_k) <= worst:
                    worst, found = abs(rule_k - central_k), (k, index, rule_k, central_k)
        k, index, rule, central = found
        where += f", from output {k} at index {index}"
    raise GradcheckError(f"{f.name}: wrong gradient for {where}: backward says {rule:.9g}, "
                         f"differences say {central:.9g}")
