"""What the rows of cases/ cannot ask of the elementwise and arithmetic kernels: the error bounds that c/vecmath.h
states, the same bits wherever a value stands, results written over inputs, and integer division at its edges."""
import numpy as np
import pytest
from rounding import same_bits

import minilayer as ml
import minilayer.functional as F
from minilayer._ext import arithmetic_cython, arithmetic_reference, elementwise_cython, elementwise_reference

FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "sigmoid", "erf")
ULP = {"float32": (1.0, 1.5, 0.8, 1.4, 2.5, 2.4, 1.3),      # as in vecmath.h
       "float64": (1.0, 2.0, 0.6, 0.8, 2.5, 2.3, 1.1)}


def of_every_size(dtype):
    """Values of all exponents and both signs, with the special ones among them."""
    bits = np.arange(0, 2**32, 20011, dtype=np.uint32)
    x = bits.view(np.float32)
    x = x[~np.isnan(x)].astype(dtype)
    near = np.linspace(-20, 20, 20001)
    return np.concatenate([x, near.astype(dtype), np.array([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_stated_error_bound_float32(name):
    x = of_every_size(np.float32)
    exact, got = np.empty(x.shape), np.empty_like(x)
    with np.errstate(all="ignore"):
        getattr(elementwise_reference, name)(x.astype(np.float64), exact)
        getattr(elementwise_cython, name)(x, got)
        nearest = exact.astype(np.float32)
        special = ~np.isfinite(nearest) | (nearest == 0)
        assert np.array_equal(got[special], nearest[special], equal_nan=True)
        assert np.array_equal(np.signbit(got[nearest == 0]), np.signbit(nearest[nearest == 0]))
        unit = np.maximum(2.0 ** (np.floor(np.log2(np.abs(exact))) - 23), 2.0**-149)
        error = np.abs(got - exact)[~special] / unit[~special]
    assert error.max() <= ULP["float32"][FUNCTIONS.index(name)], f"{name} at {x[~special][np.argmax(error)]!r}"


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="long double is no wider than double here")
@pytest.mark.parametrize("name", FUNCTIONS[:-1])
def test_stated_error_bound_float64(name):
    """Against NumPy's long double. (It has no erf, and ours is the C library's.)"""
    long_double = {"exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh,
                   "sigmoid": lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))}
    x = of_every_size(np.float64)
    got = np.empty_like(x)
    with np.errstate(all="ignore"):
        exact = long_double[name](x.astype(np.longdouble))
        getattr(elementwise_cython, name)(x, got)
        nearest = exact.astype(np.float64)
        special = ~np.isfinite(nearest) | (nearest == 0)
        assert np.array_equal(got[special], nearest[special], equal_nan=True)
        unit = np.maximum(2.0 ** (np.floor(np.log2(np.abs(nearest))) - 52), 5e-324)
        error = np.abs(got - exact)[~special] / unit[~special]
    assert error.max() <= ULP["float64"][FUNCTIONS.index(name)], f"{name} at {x[~special][np.argmax(error)]!r}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "gelu", "sin"])
def test_value_does_not_depend_on_its_place(name, dtype, rng):
    """Whole vectors, their remainders, strides: one value, one result."""
    x = rng.uniform(0.1, 3, 131).astype(dtype)
    f = getattr(elementwise_cython, name)
    whole = np.empty_like(x)
    f(x, whole)
    for start in range(40):
        part, reversed_part = np.empty(131 - start, dtype), np.empty(131 - start, dtype)
        f(x[start:], part)
        f(x[start:][::-1], reversed_part)
        assert same_bits(part, whole[start:]) and same_bits(reversed_part, whole[start:][::-1].copy())


@pytest.mark.parametrize("layout", ["dense", "transposed", "spaced"])
def test_output_may_be_an_input(layout, rng):
    a, b = rng.standard_normal((70, 90)), rng.standard_normal((70, 90))
    memory = np.zeros((140, 180))
    x = {"dense": a.copy(), "transposed": a.T.copy().T, "spaced": memory[::2, ::2]}[layout]
    x[...] = a
    arithmetic_cython.mul(x, b, x)
    arithmetic_cython.sub(b, x, x)
    elementwise_cython.neg(x, x)
    assert np.array_equal(x, -(b - a * b))
    assert not memory[1::2].any() and not memory[:, 1::2].any()


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
@pytest.mark.parametrize("name", ["floor_divide", "trunc_divide", "remainder"])
def test_integer_division_at_its_edges(name, dtype):
    info = np.iinfo(dtype)
    values = np.array([info.min, info.min + 1, info.max, 1, 2, 7] + ([-1, -2, -7] if info.min else []), dtype)
    a, b = values[:, None], values[values != 0][None]
    got, want = np.empty((len(values), b.size), dtype), np.empty((len(values), b.size), dtype)
    getattr(arithmetic_cython, name)(a, b, got)
    getattr(arithmetic_reference, name)(a, b, want)
    assert np.array_equal(got, want)
    for module in (arithmetic_cython, arithmetic_reference):
        with pytest.raises(ZeroDivisionError, match=name):
            getattr(module, name)(a, np.zeros(1, dtype), np.empty(a.shape, dtype))
        getattr(module, name)(a[:0], np.zeros(1, dtype), np.empty((0, 1), dtype))       # nothing is divided


def test_integers_wrap_around():
    a = np.array([np.iinfo(np.int64).max, np.iinfo(np.int64).min], np.int64)
    y = np.empty_like(a)
    arithmetic_cython.add(a, np.array([1, -1], np.int64), y)
    assert y.tolist() == [a[1], a[0]]
    elementwise_cython.neg(a[1:], y[1:])
    assert y[1] == a[1]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="add: the shapes"):
        arithmetic_cython.add(np.ones((2, 3)), np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="exp: the shapes"):
        elementwise_cython.exp(np.ones((5, 3)), np.ones((2, 3)))
    with pytest.raises(TypeError, match="sub: no compiled code"):
        arithmetic_cython.sub(np.ones(2, bool), np.ones(2, bool), np.ones(2, bool))
    with pytest.raises(TypeError, match="add: no compiled code"):
        arithmetic_cython.add(np.ones(2), np.ones(2, np.float32), np.ones(2))


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_equal_values_share_the_gradient(name, create_graph):
    """PyTorch's conventions at the kinks, which a gradient check has to stay away from."""
    a, b = ml.tensor([1.0, 2.0], requires_grad=True), ml.tensor([1.0, 2.0], requires_grad=True)
    da, db = ml.grad(getattr(F, name)(a, b), (a, b), ml.tensor([4.0, -2.0]), create_graph=create_graph)
    assert da.tolist() == db.tolist() == [2.0, -1.0]


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_at_kinks(create_graph):
    x = ml.tensor([0.0, -1.0, 1.0], requires_grad=True)

    def slope(f):
        return ml.grad(f(x), (x,), ml.ones(3), create_graph=create_graph)[0].tolist()
    assert slope(F.relu) == [0.0, 0.0, 1.0]
    assert slope(F.abs) == [0.0, -1.0, 1.0]
    assert slope(lambda t: F.clamp(t, -1.0, 1.0)) == [1.0, 1.0, 1.0]
    assert slope(lambda t: t ** 0.0) == [0.0, 0.0, 0.0]
    assert slope(lambda t: F.sqrt(t * t)) != slope(F.abs)       # the square root's slope at 0 is infinite
    assert slope(lambda t: 0.0 ** F.abs(t)) == [0.0, 0.0, 0.0]
