"""Rows of what is made like another tensor, or at random."""
import minilayer as ml
import minilayer.functional as F
from cases.base import ErrorCase

M = ml.ones(2, 3)
W = ml.tensor([0.2, 0.0, 0.8])


def at(name, *args, **kwargs):
    return lambda: getattr(F, name)(*args, **kwargs)


def on(name, *args, **kwargs):
    return lambda: getattr(ml.ones(3), name)(*args, **kwargs)


ERRORS = []
for _n, _more in (("full_like", (1,)), ("empty_like", ()), ("rand_like", ()), ("randn_like", ()), ("randint_like", (5,)), ("bernoulli", ()), ("multinomial", (1,))):
    ERRORS += [ErrorCase(f"{_n}: {what}", at(_n, x, *_more), TypeError, f"expected a tensor, got {got}") for what, x, got in [("a list", [1.0], "list"), ("a number", 1.0, "float"), ("nothing", None, "None")]]
ERRORS += [
    ErrorCase("randint_like: no numbers between", at("randint_like", M, 3, 3), ValueError, "low < high, got 3 and 3"), ErrorCase("bernoulli: beyond 1", at("bernoulli", M * 2), ValueError, "probabilities in"),
    ErrorCase("normal: a size and tensors", at("normal", M, 1.0, (2,)), TypeError, "normal: expected numbers"), ErrorCase("normal: no size", at("normal", 0.0, 1.0), TypeError, "normal: expected a size"), ErrorCase("normal: below 0", at("normal", M, -M), ValueError, "0 or more, got -1"),
    ErrorCase("multinomial: a cube", at("multinomial", ml.ones(2, 2, 2), 1), ValueError, "1 or 2 dimensions"), ErrorCase("multinomial: more than there are", at("multinomial", W, 4), ValueError, r"num_samples in \[1, 3\]"), ErrorCase("multinomial: more than can be", at("multinomial", W, 3), ValueError, "3 weights above 0"),
    ErrorCase("multinomial: below 0", at("multinomial", -W, 1), ValueError, "finite weights of 0 or more"), ErrorCase("multinomial: nothing", at("multinomial", W * 0, 1), ValueError, "a weight above 0"), ErrorCase("multinomial: integers", at("multinomial", ml.tensor([1, 2]), 1), TypeError, "multinomial: expected a float32"),
    ErrorCase("multinomial: another generator", at("multinomial", W, 1, rng=3), TypeError, "multinomial: expected rng"), ErrorCase("new_zeros: half a size", on("new_zeros", 1.5), TypeError, "new_zeros: expected sizes"), ErrorCase("new_ones: below 0", on("new_ones", -1), ValueError, "new_ones: expected sizes of 0"),
    ErrorCase("normal_: integers", lambda: ml.arange(3).normal_(), TypeError, "normal_: expected a float32"), ErrorCase("random_: nothing between", on("random_", 3, 3), ValueError, "random_: expected from < to"), ErrorCase("exponential_: no rate", on("exponential_", 0), ValueError, "lambd above 0"),
    ErrorCase("geometric_: never", on("geometric_", 0), ValueError, r"p in \(0, 1\)"), ErrorCase("fill_diagonal_: a vector", on("fill_diagonal_", 1.0), ValueError, "fill_diagonal_: expected a matrix"), ErrorCase("unsqueeze_: with a gradient", lambda: ml.ones(2, requires_grad=True).unsqueeze_(0), RuntimeError, "cannot change its shape in place"),
    *[ErrorCase(f"{_n}: a size of {size}", at(_n, size), ValueError, f"{_n}: expected sizes whose product is below 2..60")
      for _n in ("zeros", "ones", "empty", "rand", "randn", "eye") for size in (2**62, 2**70)],
    *[ErrorCase(f"{_n}: a size of {size}", on(_n, size), ValueError, f"{_n}: expected sizes whose product is below 2..60")
      for _n in ("new_zeros", "new_ones", "new_empty") for size in (2**62, 2**70)],
    ErrorCase("new_full: a size of 2**62", on("new_full", 2**62, 1.0), ValueError, "new_full: expected sizes whose product"),
    ErrorCase("zeros: nothing, hugely", at("zeros", 0, 2**62), ValueError, "zeros: expected sizes whose product"),
    *[ErrorCase(f"bincount: hugely many, {n}", at("bincount", ml.tensor([1]), None, n), ValueError, "bincount: expected sizes whose product") for n in (2**62, 2**70)],
    ErrorCase("bincount: a huge number", at("bincount", ml.tensor([2**62])), ValueError, "bincount: expected sizes whose product"),
    ErrorCase("histc: hugely many", at("histc", W, 2**62), ValueError, "histc: expected sizes whose product"),
    ErrorCase("multinomial: hugely many", at("multinomial", W, 2**62, True), ValueError, "multinomial: expected sizes whose product"),
    *[ErrorCase(f"{_n}: numbers that do not fit in {dtype}", at(_n, *args, dtype=dtype), ValueError,
                f"{_n}: expected numbers that fit in {dtype}, 0 to {most}, got {got}") for _n, *args, dtype, most, got in [
        ("randint", 0, 257, (2,), "uint8", 255, "0 to 256"), ("randint", -1, 3, (2,), "uint8", 255, "-1 to 2"),
        ("randint", 0, 3, (2,), "bool", 1, "0 to 2"), ("randperm", 257, "uint8", 255, "0 to 256"),
        ("randint_like", W, 0, 257, "uint8", 255, "0 to 256")]],
    ErrorCase("random_: numbers that do not fit", lambda: ml.zeros(2, dtype="uint8").random_(0, 257), ValueError, "random_: expected numbers that fit in uint8"),
    ErrorCase("zeros: sizes twice", lambda: ml.zeros(2, size=(2,)), TypeError, "zeros: expected size once"), ErrorCase("logspace: fewer than none", at("logspace", 0, 1, -1), ValueError, "steps >= 0, got -1"), ErrorCase("logspace: a text", at("logspace", "a", 1, 2), TypeError, "logspace"), ErrorCase("logspace: half a step", at("logspace", 0, 1, 1.5), TypeError, "logspace"),
    ErrorCase("tril_indices: below 0", at("tril_indices", -1, 2), ValueError, "tril_indices"), ErrorCase("tril_indices: half a row", at("tril_indices", 1.5, 2), TypeError, "tril_indices"), ErrorCase("tril_indices: half a diagonal", at("tril_indices", 2, 2, 0.5), TypeError, "tril_indices"),
    ErrorCase("numel: a list", at("numel", [1.0]), TypeError, "numel: expected a tensor"), ErrorCase("is_floating_point: a list", at("is_floating_point", [1.0]), TypeError, "is_floating_point: expected a tensor"),
]

# Functions made of others, and those without a table of their own.
THREE = [("a list", [1.0], "list"), ("a number", 1.0, "float"), ("nothing", None, "None")]
for _n, _more in (("argwhere", ()), ("nonzero", ()), ("clone", ()), ("numel", ()), ("is_floating_point", ()), ("adjoint", ()), ("t", ()), ("roll", (1,)), ("unbind", ()), ("select", (0, 0)), ("tile", (2,)), ("movedim", (0, 1)), ("trace", ()),
                  ("clamp_min", (0,)), ("clamp_max", (0,)), ("masked_select", (W > 0,)), ("scatter_add", (0, ml.tensor([0]), W)), ("repeat_interleave", (2,))):
    ERRORS += [ErrorCase(f"{_n}: {what} ", at(_n, x, *_more), TypeError, f"expected a tensor, got {got}") for what, x, got in THREE]
for _n in ("addcmul", "addcdiv", "allclose", "rsub", "true_divide", "float_power"):
    ERRORS += [ErrorCase(f"{_n}: {what}", at(_n, *([x] * (3 if _n[:4] == "addc" else 2))), (TypeError, AttributeError, ValueError), "expected|float") for what, x in [("texts", "a"), ("lists", [1.0]), ("nothing", None)]]
for _n, _x in (("isin", None), ("broadcast_tensors", 1.0)):
    ERRORS += [ErrorCase(f"{_n}: {what}", at(_n, x, x), (TypeError, AttributeError), "expected a") for what, x in [("lists", [1.0]), ("numbers", 1.0), ("nothing", None)]]
ERRORS += [ErrorCase(f"triu_indices: {what}", at("triu_indices", *x), (TypeError, ValueError), "triu_indices") for what, x in [("below 0", (-1, 2)), ("half a row", (1.5, 2)), ("half a diagonal", (2, 2, 0.5))]]
ERRORS += [ErrorCase(f"chain_matmul: {what}", at("chain_matmul", x, x), (TypeError, ValueError), "expected") for what, x in [("lists", [1.0]), ("numbers", 1.0)]]
ERRORS += [
    ErrorCase("matrix_norm: a vector", lambda: ml.linalg.matrix_norm(W), ValueError, "matrix_norm: expected two different dims"), ErrorCase("matrix_norm: an unknown one", lambda: ml.linalg.matrix_norm(M, "nuc"), ValueError, "got 'nuc'"), ErrorCase("matrix_norm: a list", lambda: ml.linalg.matrix_norm([1.0]), TypeError, "matrix_norm: expected a tensor"),
]
