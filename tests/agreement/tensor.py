"""Functions of tensors, and their methods."""
import numpy as np

from agreement.row import Row, normal, off_zero

X = normal(3, 4)
CUBE = normal(2, 3, 4)
BOTH = [False, True]
INF = float("inf")


def positive(*shape):
    return lambda rng, o: (rng.uniform(0.3, 2.5, shape),)


def pair(*shapes):
    return lambda rng, o: tuple(rng.standard_normal(s) for s in shapes)


def ties(rng, o):
    return (rng.integers(-2, 3, (3, 7, 2)).astype(np.float64),)


def whole(*shape, low=-5, high=6):
    return lambda rng, o: (rng.integers(low, high, shape),)


def with_nan(rng, o):
    x = rng.integers(-2, 3, (4, 6)).astype(np.float64)
    x[1, 2] = x[3, 0] = x[3, 4] = np.nan
    x[0, 1] = np.inf
    return (x,)


def plain(names, inputs, options=None, **more):
    """Rows of several functions with the same arguments."""
    return [Row(f"torch.{n}", options or {}, inputs, **more) for n in names.split()]


def methods(names, inputs, options=None, **more):
    return [Row(f"Tensor.{n}", options or {}, inputs, **more) for n in names.split()]


def in_place(names, inputs, options=None, **more):
    """Rows of methods that write into a tensor: a copy of the input, so that it is no leaf."""
    return [Row(f"Tensor.{n}", options or {}, inputs, call=_on_copy, **more) for n in names.split()]


def _on_copy(f, args, o):
    x = args[0] * 1.0 if str(args[0].dtype).rpartition(".")[2].startswith("float") else args[0].clone()
    f(x, *args[1:], **o)
    return x


def at(low, high, *shape):
    return lambda rng, o: (rng.uniform(low, high, shape),)


ELEMENTWISE = [
    *plain("abs neg sign square exp expm1 sin cos tanh sigmoid erf erfc tan atan sinh cosh asinh exp2 isnan isinf isfinite logical_not "
           "deg2rad rad2deg signbit frac isposinf isneginf sinc absolute negative arctan arcsinh", lambda rng, o: (off_zero(rng, (3, 5)),)),
    *plain("relu", X, only=dict(inplace="torch.relu has none")), *plain("sgn", X, grads=False),
    *plain("log log1p log2 log10 sqrt rsqrt reciprocal lgamma", positive(3, 5)),
    *plain("digamma", positive(3, 5), bound=(1e-9, "PyTorch's trigamma, the slope, is that exact")),
    *plain("lgamma digamma", lambda rng, o: (rng.uniform(-4.9, -4.1, (4,)),), bound=(1e-9, "PyTorch's trigamma, the slope, is that exact")),
    *plain("acosh arccosh", at(1.1, 5, 7)),
    *plain("asin acos atanh erfinv arcsin arccos arctanh", at(-0.95, 0.95, 9)),
    *plain("floor ceil trunc fix", X),
    *plain("tan log2 sinh erfc", whole(6, low=1), grads=False, bound=(1e-6, "integers become float32")),
    Row("torch.round", dict(decimals=[0, 2, -1]), lambda rng, o: (rng.standard_normal(9) * 20,)),
    Row("torch.logit", dict(eps=[None, 0.2]), at(0.05, 0.95, 9)),
    Row("torch.nan_to_num", dict(nan=[0.0, 2.0], posinf=[None, 9.0], neginf=[None, -9.0]), lambda rng, o: (np.array([1.5, np.nan, np.inf, -np.inf]),)),
    Row("torch.clamp", dict(min=[None, -0.5], max=[None, 0.7]), X),
    Row("torch.clamp", {}, pair((3, 4), (4,), (3, 1)), only=dict(min="a tensor", max="a tensor")),
    Row("torch.clip", dict(min=[None, -0.5], max=[None, 0.7]), X),
    Row("torch.clamp_min", dict(min=[0.1, -0.3]), X), Row("torch.clamp_max", dict(max=[0.1, -0.3]), X),
]

TWO = [
    *plain("maximum minimum fmax fmin atan2 arctan2 hypot copysign logaddexp logaddexp2 fmod remainder eq ne lt le gt ge logical_and logical_or "
           "logical_xor greater greater_equal less less_equal not_equal mul multiply true_divide", pair((3, 4), (4,))),
    *plain("floor_divide", pair((3, 4), (4,)), grads=False),
    *plain("fmax fmin", lambda rng, o: (*with_nan(rng, o), rng.standard_normal((4, 6)))),
    *plain("maximum minimum fmax fmin", lambda rng, o: (np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 0.0]))),
    *plain("bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift",
           lambda rng, o: (rng.integers(-99, 100, (3, 4)), rng.integers(-2, 66, (4,)))),
    *plain("bitwise_and bitwise_or bitwise_xor", lambda rng, o: (rng.random((3, 4)) < 0.5, rng.random(4) < 0.5)),
    *plain("bitwise_not", whole(3, 4)),
    *plain("fmod remainder floor_divide maximum fmax", lambda rng, o: (rng.integers(-9, 10, (3, 4)), rng.integers(1, 5, (4,)))),
    *plain("add sub subtract", pair((3, 4), (4,)), dict(alpha=[1, 0.5])),
    Row("torch.rsub", dict(alpha=[1, 0.5]), pair((3, 4), (4,))),
    *plain("div divide", pair((3, 4), (4,)), dict(rounding_mode=[None, "floor", "trunc"])),
    *plain("pow float_power", lambda rng, o: (rng.uniform(0.3, 2, (3, 4)), rng.standard_normal(4))),
    Row("torch.xlogy", {}, lambda rng, o: (np.array([0.0, 1.0, 2.0, 0.0]), np.array([0.5, 3.0, 0.2, 0.7]))),
    Row("torch.xlogy", {}, lambda rng, o: (np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, np.nan, np.inf])), grads=False),
    Row("torch.heaviside", {}, lambda rng, o: (np.array([0.0, 1.0, -2.0]), np.array([0.5, 3.0, 0.2])), grads=False),
    *plain("addcmul addcdiv", lambda rng, o: (rng.standard_normal((3, 4)), rng.standard_normal((4,)), rng.uniform(1, 2, (3, 1))), dict(value=[1, -0.5])),
    Row("torch.lerp", dict(weight=[0.2, 0.8]), pair((3, 4), (4,))),
    Row("torch.lerp", {}, lambda rng, o: (rng.standard_normal((3, 4)), rng.standard_normal(4), rng.uniform(0, 1, (3, 4)))),
    *plain("isclose", lambda rng, o: (np.array([1.0, 1.001, np.nan, np.inf, 2.0]), np.array([1.0, 1.0, np.nan, np.inf, 2.1])),
           dict(rtol=[1e-5, 0.1], atol=[1e-8, 0.01], equal_nan=BOTH), grads=False),
    Row("torch.allclose", dict(rtol=[1e-5, 0.1], atol=[1e-8, 0.01], equal_nan=BOTH), lambda rng, o: (np.array([1.0, 1.002, np.nan]), np.array([1.0, 1.0, np.nan])), grads=False),
    *plain("equal", lambda rng, o: (np.arange(4), np.arange(4) * o["times"]), dict(times=[1, 2]), call=lambda f, x, o: f(*x)),
    Row("torch.isin", dict(invert=BOTH, assume_unique=BOTH), lambda rng, o: (rng.integers(0, 9, (3, 4)), rng.integers(0, 9, 4)), inert=dict(assume_unique="a hint")),
    Row("torch.where", {}, lambda rng, o: (rng.random((3, 4)) < 0.5, rng.standard_normal((3, 1)), rng.standard_normal(4))),
    Row("torch.where", {}, lambda rng, o: (rng.random((3, 4)) < 0.5,), only=dict(input="given by the row", other="given by the row")),
    Row("Tensor.where", {}, lambda rng, o: (rng.standard_normal((3, 4)), rng.random((3, 4)) < 0.5, rng.standard_normal(4))),
]

# Where conventions differ: zeros of both signs, kinks, infinities, NaN. Tiled, because PyTorch's own answers to a NaN may
# be others in the last few elements of an array, which it computes one by one, than in the vectors before them.
POINTS = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, 40.0, -40.0, 1e4, -1e4, 1e-30, -1e-30, INF, -INF, np.nan])


def at_points(rng, o):
    return (np.tile(POINTS, 64),)


def point_pairs(rng, o):
    return tuple(np.tile(x.reshape(-1), 2) for x in np.meshgrid(POINTS[:-5].tolist() + [INF, -INF, np.nan], POINTS[:8].tolist() + [INF, -INF, np.nan]))


def odd_lines(rng, o):
    """Lines of all kinds of mixtures: finite, all zero, with one infinity, two of one sign or of both, with NaN."""
    return (np.concatenate([rng.standard_normal((4, 5)), np.zeros((1, 5)), np.full((1, 5), -INF), np.full((1, 5), np.nan),
                            rng.choice(np.array([0.0, 1.0, -2.0, INF, -INF, np.nan]), (40, 5), p=[0.15, 0.3, 0.25, 0.1, 0.1, 0.1])]),)


AT_POINTS = [
    *plain("abs neg sign square exp expm1 sin cos tanh sigmoid erf erfc tan atan sinh cosh asinh exp2 isnan isinf isfinite logical_not deg2rad rad2deg signbit frac isposinf "
           "isneginf sinc log log1p log2 log10 sqrt rsqrt reciprocal lgamma acosh asin acos atanh erfinv floor ceil trunc", at_points), Row("torch.relu", {}, at_points, only=dict(inplace="torch.relu has none")),
    *plain("sgn digamma", at_points, grads=False), Row("torch.round", {}, at_points, only=dict(decimals="other row")),
    Row("torch.logit", dict(eps=[None, 0.2, 0.0, -1.0]), at_points), Row("torch.nan_to_num", {}, at_points, only=dict.fromkeys(("nan", "posinf", "neginf"), "other row")),
    Row("torch.clamp", dict(min=[None, -0.5, 1.0, -INF, np.nan], max=[None, 0.5, INF, np.nan]), at_points),
    *plain("maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 remainder eq ne lt le gt ge logical_and logical_or logical_xor mul true_divide pow xlogy clamp_min clamp_max fmod", point_pairs),
    *plain("copysign", point_pairs, grads=False),                       # (PyTorch's slope is NaN at an infinity)
    Row("torch.div", dict(rounding_mode=[None, "floor", "trunc"]), point_pairs), *plain("floor_divide heaviside", point_pairs, grads=False),
    Row("torch.clamp", {}, lambda rng, o: (*point_pairs(rng, o), rng.choice(POINTS, 11 * 15 * 2)), only=dict(min="a tensor", max="a tensor")),
    *plain("sum mean logsumexp logcumsumexp cumsum amax amin max min cummax var std softmax log_softmax", odd_lines, call=lambda f, x, o: f(x[0], 1),
           only=dict.fromkeys(("dim", "keepdim", "dtype", "unbiased", "correction"), "other row")),
    Row("torch.norm", dict(p=[0, 1, 2, 3, INF, -INF]), odd_lines, call=lambda f, x, o: f(x[0], o["p"], 1), only=dict.fromkeys(("dim", "keepdim", "dtype"), "other row")),
]

DIMS = dict(dim=[0, -1, 1], keepdim=BOTH)
MANY = dict(dim=[None, 0, (0, 2), -1], keepdim=BOTH)
CORRECTION = dict(correction=[0, 1, 2], **MANY)
REDUCTIONS = [
    *plain("sum mean nansum nanmean", CUBE, MANY, only=dict(dtype="the runner compares both types"),
           call=lambda f, x, o: f(*x, o["dim"], o["keepdim"]), valid=lambda o: o["dim"] is not None or not o["keepdim"]),
    *plain("nansum nanmean", with_nan, dict(dim=[0, 1], keepdim=BOTH), only=dict(dtype="the runner compares both types"), call=lambda f, x, o: f(*x, o["dim"], o["keepdim"])),
    *plain("amax amin", ties, dict(dim=[(), 1, (0, 2)], keepdim=BOTH)),
    *plain("max min", CUBE, DIMS), *plain("max min", CUBE, only=dict(dim="all", keepdim="all")),
    *plain("max min", pair((3, 4), (4,)), only=dict(keepdim="of two tensors")),
    Row("torch.aminmax", dict(dim=[None, 0, 2], keepdim=BOTH), CUBE),
    *plain("argmax argmin", CUBE, dict(dim=[None, 0, -1], keepdim=BOTH)),
    *plain("prod", off_zero_cube := (lambda rng, o: (off_zero(rng, (2, 3, 4)),)), DIMS, only=dict(dtype="as sum's")),
    *plain("any all", whole(2, 3, low=0, high=2), DIMS),
    *plain("var std", CUBE, CORRECTION, only=dict(unbiased="another name of correction")),
    *plain("var_mean std_mean", CUBE, CORRECTION, only=dict(unbiased="another name of correction")),
    *plain("var std", CUBE, dict(unbiased=BOTH), call=lambda f, x, o: f(x[0], o["unbiased"]), only=dict.fromkeys(("dim", "keepdim", "correction"), "other row")),
    Row("torch.norm", dict(p=["fro", 1, 2, 3, 0.5, -1, 0, INF, -INF], dim=[None, 0, (0, 1), -1], keepdim=BOTH), lambda rng, o: (off_zero(rng, (3, 4)),), only=dict(dtype="as sum's")),
    Row("torch.norm", dict(p=[1, 2, 3, 0.5]), lambda rng, o: (np.array([[0.0, 0.0], [0.0, 1.5], [1.0, 0.0]]),), call=lambda f, x, o: f(x[0], o["p"], 1), only=dict.fromkeys(("dim", "keepdim", "dtype"), "other row")),
    Row("torch.dist", dict(p=[1, 2, 3, INF]), pair((3, 4), (3, 4))),
    Row("torch.cdist", dict(p=[0.0, 1.0, 2.0, 3.0, INF]), pair((2, 5, 4), (2, 3, 4)), only=dict(compute_mode="a choice of PyTorch's implementations")),
    Row("torch.cdist", {}, lambda rng, o: (*odd_lines(rng, o), rng.integers(-2, 2, (4, 5)) * 1.0), call=lambda f, x, o: f(*x, 0.0), only=dict.fromkeys(("p", "compute_mode"), "other row")),
    Row("torch.logsumexp", dict(dim=[0, (0, 2), -1], keepdim=BOTH), CUBE),
    Row("torch.count_nonzero", dict(dim=[None, 0, (0, 1)]), whole(3, 4, low=0, high=2)),
    Row("torch.diff", dict(n=[1, 2], dim=[0, -1], prepend=[None], append=[None]), X, only=dict(prepend="other row", append="other row")),
    Row("torch.diff", {}, pair((3, 4)), call=lambda f, x, o: f(x[0], prepend=x[0][:, :1], append=x[0]), only=dict.fromkeys(("n", "dim", "prepend", "append"), "other row")),
    Row("torch.cov", dict(correction=[0, 1]), X, only=dict.fromkeys(("fweights", "aweights"), "minilayer has none")), Row("torch.corrcoef", {}, X),
    *plain("cumsum", CUBE, dict(dim=[0, 1, -1]), only=dict(dtype="as sum's")),
    *plain("cumprod", lambda rng, o: (rng.integers(-1, 3, (3, 6, 2)).astype(float),), dict(dim=[0, 1, -1]), only=dict(dtype="as sum's"), samples=3),
    *plain("cumprod cumsum", whole(3, 4), dict(dim=[0, 1]), only=dict(dtype="as sum's")),
    *plain("cummax cummin", ties, dict(dim=[0, 1, -1])), *plain("cummax cummin", with_nan, dict(dim=[0, 1])), *plain("cummax cummin", whole(3, 6), dict(dim=[0, 1])),
    Row("torch.logcumsumexp", dict(dim=[0, 1]), lambda rng, o: (rng.standard_normal((3, 9)) * 20,)),
]

SORTED = [
    Row("torch.sort", dict(dim=[0, 1, -1], descending=BOTH, stable=[True]), ties, only=dict(stable="PyTorch may put equal ones in any order without")),
    Row("torch.sort", dict(dim=[0, 1], descending=BOTH, stable=[True]), with_nan, only=dict(stable="as above")),
    Row("torch.sort", dict(dim=[0, 1], descending=BOTH, stable=[True]), whole(4, 300), only=dict(stable="as above")),
    Row("torch.argsort", dict(dim=[0, 1], descending=BOTH, stable=[True]), ties, only=dict(stable="as above")), Row("torch.msort", {}, X),
    Row("torch.topk", dict(k=[1, 3], dim=[0, -1], largest=BOTH, sorted=[True]), normal(5, 60), only=dict(sorted="unsorted is any order")),
    Row("torch.topk", dict(k=[0, 20, 60], dim=[-1], largest=BOTH, sorted=[True]), normal(5, 60), only=dict(sorted="unsorted is any order", dim="other row")),
    Row("torch.kthvalue", dict(k=[1, 3], dim=[0, 1], keepdim=BOTH), CUBE),
    *plain("median nanmedian", normal(4, 5, 6), DIMS), *plain("median nanmedian", CUBE, only=dict(dim="all", keepdim="all")), *plain("median nanmedian", ties, only=dict(dim="all", keepdim="all")),
    *plain("median nanmedian", with_nan, only=dict(dim="all", keepdim="all")),
    *plain("median nanmedian", with_nan, dict(dim=[1], keepdim=BOTH), call=lambda f, x, o: f(x[0], 1, o["keepdim"])[0], only=dict(dim="other row")),
    Row("torch.mode", dict(dim=[0, 1, -1], keepdim=BOTH), lambda rng, o: (rng.integers(0, 3, (3, 7, 4)).astype(float),)),
    *plain("quantile nanquantile", CUBE, dict(q=[0.0, 0.3, 1.0], interpolation=["linear", "lower", "higher", "midpoint", "nearest"], dim=[None, 0, 1, -1], keepdim=BOTH)),
    *plain("quantile nanquantile", odd_lines, dict(q=[0.3, 0.5], interpolation=["linear", "midpoint"]), call=lambda f, x, o: f(x[0], o["q"], 1, interpolation=o["interpolation"]), only=dict.fromkeys(("dim", "keepdim"), "other row")),
    *plain("quantile nanquantile", with_nan, grads=False, options=dict(q=[0.3], interpolation=["linear"], dim=[None, 0, 1], keepdim=BOTH), only=dict(q="other row", interpolation="other row")),
    *plain("quantile nanquantile", lambda rng, o: (rng.standard_normal((2, 3, 4)), np.array([0.1, 0.5, 0.9])), dict(dim=[None, 0, 1, -1], keepdim=BOTH), grads=False,
           call=lambda f, x, o: f(x[0], x[1], **o), only=dict(interpolation="other row")),
    Row("torch.unique", dict(return_inverse=BOTH, return_counts=BOTH, dim=[None, 0, 1]), lambda rng, o: (rng.integers(0, 3, (6, 2)),), only=dict(sorted="always")),
    Row("torch.unique", dict(return_inverse=[False], return_counts=BOTH), with_nan, only=dict(sorted="always", dim="other row", return_inverse="other row"), grads=False),
    Row("torch.unique_consecutive", dict(return_inverse=BOTH, return_counts=BOTH, dim=[None, 0, 1]), lambda rng, o: (rng.integers(0, 2, (6, 2)),)),
    Row("torch.bincount", dict(minlength=[0, 12]), whole(9, low=0, high=7), only=dict(weights="other row")),
    Row("torch.bincount", {}, lambda rng, o: (rng.integers(0, 7, 9), rng.standard_normal(9)), grads=False, only=dict(minlength="other row")),
    Row("torch.histc", dict(bins=[5, 100], min=[0, -1], max=[0, 1]), X, grads=False),
    Row("torch.searchsorted", dict(right=BOTH, out_int32=BOTH, side=[None, "right"]), lambda rng, o: (np.sort(rng.integers(0, 9, (3, 6)), 1), rng.integers(0, 9, (3, 4))), only=dict(sorter="rare")),
    Row("torch.searchsorted", dict(right=BOTH), lambda rng, o: (np.sort(np.round(rng.standard_normal(6) * 2)), np.round(rng.standard_normal((3, 4)) * 2)), grads=False, only=dict.fromkeys(("out_int32", "side", "sorter"), "other row")),
    Row("torch.bucketize", dict(right=BOTH, out_int32=BOTH), lambda rng, o: (np.round(rng.standard_normal((3, 4)) * 2) / 2, np.array([-1.0, 0.0, 0.5])), grads=False),
]

PRODUCTS = [
    *plain("mm matmul", pair((3, 4), (4, 5))), *plain("mm matmul", lambda rng, o: (rng.integers(0, 5, (3, 4)), rng.integers(0, 5, (4, 5)))),
    *plain("matmul", pair((2, 1, 3, 4), (5, 4, 2))), *plain("matmul dot inner vdot", pair((4,), (4,))), *plain("matmul mv inner", pair((3, 4), (4,))),
    *plain("bmm", pair((2, 3, 4), (2, 4, 5))), *plain("inner", pair((2, 3, 4), (5, 4))), *plain("outer ger", pair((3,), (4,))),
    Row("torch.addmm", dict(beta=[1, 0, 0.5], alpha=[1, 2]), pair((5,), (3, 4), (4, 5))), Row("torch.addmv", dict(beta=[1, 0, 0.5], alpha=[1, 2]), pair((3,), (3, 4), (4,))),
    Row("torch.addr", dict(beta=[1, 0.5], alpha=[1, 2]), pair((3, 4), (3,), (4,))), Row("torch.baddbmm", dict(beta=[1, 0, 0.5], alpha=[1, 2]), pair((1, 5), (2, 3, 4), (2, 4, 5))),
    Row("torch.addbmm", dict(beta=[1, 0.5], alpha=[1, 2]), pair((3, 5), (2, 3, 4), (2, 4, 5))),
    Row("torch.matrix_power", dict(n=[0, 1, 2, 5]), normal(2, 3, 3)), Row("torch.chain_matmul", {}, pair((3, 4), (4, 5), (5, 2), (2, 6))),
    *plain("kron", pair((2, 3), (3, 2))), *plain("kron", pair((2,), (3, 2))), Row("torch.trace", {}, normal(3, 4)),
    Row("torch.cross", dict(dim=[None, 0, 1]), pair((3, 3), (3, 3))),
    Row("torch.tensordot", dict(dims=[0, 1, 2, ([0, 2], [1, 0])]), lambda rng, o: (rng.standard_normal((4, 3, 5)), rng.standard_normal({0: (2, 4), 1: (5, 2), 2: (3, 5, 2)}.get(o["dims"] if isinstance(o["dims"], int) else 9, (5, 4, 2))))),
    *[Row("torch.einsum", {}, pair(*shapes), call=lambda f, x, o, e=e: f(e, *x), only=dict(equation=e, operands=e)) for e, shapes in [
        ("ij,jk->ik", [(3, 4), (4, 5)]), ("ij,jk", [(3, 4), (4, 5)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("i,j->ij", [(3,), (4,)]), ("ii->i", [(4, 4)]), ("ii", [(4, 4)]),
        ("ij->ji", [(3, 4)]), ("ij->", [(3, 4)]), ("ij->j", [(3, 4)]), ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]), ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("bn,anm,bm->ba", [(2, 5), (3, 5, 4), (2, 4)]), ("i,i", [(4,), (4,)]), ("...i->...", [(2, 3, 4)]), ("ij,kl,jl->ik", [(2, 3), (4, 5), (3, 5)]), ("iij,jk->ik", [(3, 3, 4), (4, 2)]),
        ("ij, ij -> i", [(3, 4), (3, 4)]), ("a...b,b->...a", [(2, 3, 4), (4,)]), ("ij,jk,kl,lm->im", [(2, 3), (3, 4), (4, 2), (2, 5)]), ("ij,ij->ij", [(3, 1), (3, 4)]), ("ij,jk->ik", [(3, 1), (4, 5)])]],
    Row("torch.einsum", {}, lambda rng, o: (rng.integers(0, 5, (3, 4)), rng.integers(0, 5, (4, 5))), call=lambda f, x, o: f("ij,jk->ik", *x), only=dict(equation="given by the row", operands="given by the row")),
    Row("torch.einsum", {}, pair((3, 4), (4, 5)), call=lambda f, x, o: f(x[0], [0, 1], x[1], [1, 2], [0, 2]), only=dict(equation="given by the row", operands="given by the row")),
]


def several(f, x, o):
    return f(list(x), **o)


SHAPES = [
    *plain("cat concat concatenate", pair((2, 3, 4), (2, 3, 4)), dict(dim=[0, 1, -1]), call=several, only=dict(tensors="given by the row")), Row("torch.stack", dict(dim=[0, 1, -1]), pair((3, 4), (3, 4), (3, 4)), call=several, only=dict(tensors="given by the row")),
    *[r for shape in ((4,), (3, 4), (2, 3, 4)) for r in plain("hstack vstack dstack column_stack row_stack", pair(shape, shape), call=several, only=dict(tensors="given by the row"))],
    *plain("atleast_1d atleast_2d atleast_3d", pair((), (4,), (2, 3), (2, 3, 2))), Row("torch.block_diag", {}, pair((2, 3), (1, 2), (4,))),
    Row("torch.split", dict(split_size_or_sections=[2, 3, [1, 3]], dim=[0, 1]), normal(4, 4)), Row("torch.chunk", dict(chunks=[1, 2, 3], dim=[0, 1, -1]), normal(5, 7)),
    Row("torch.tensor_split", dict(sections=[1, 3, (1, 4)], dim=[0, 1]), normal(5, 7), call=lambda f, x, o: f(*x, o["sections"], dim=o["dim"])),
    *plain("hsplit vsplit", normal(4, 6), dict(sections=[2, [1, 3]]), call=lambda f, x, o: f(*x, o["sections"])), Row("torch.dsplit", dict(sections=[2, [1, 3]]), CUBE, call=lambda f, x, o: f(*x, o["sections"])),
    Row("torch.unbind", dict(dim=[0, 1, -1]), CUBE), Row("torch.narrow", dict(dim=[0, 1], start=[0, 1], length=[1, 2]), normal(3, 4)), Row("torch.select", dict(dim=[0, -1], index=[0, -1]), CUBE),
    *plain("reshape", CUBE, dict(shape=[(-1,), (4, 6), (3, 2, 4)]), call=lambda f, x, o: f(*x, o["shape"])), Row("torch.flatten", dict(start_dim=[0, 1], end_dim=[-1, 1]), CUBE), Row("torch.unflatten", dict(dim=[0, 2], sizes=[(2, 2), (-1, 4)]), normal(4, 3, 4)),
    Row("torch.ravel", {}, CUBE), Row("torch.squeeze", dict(dim=[0, 1, (1, 3)]), normal(2, 1, 3, 1)), Row("torch.unsqueeze", dict(dim=[0, 1, -1]), X),
    Row("torch.permute", dict(dims=[(2, 0, 1), (-1, 1, 0)]), CUBE, call=lambda f, x, o: f(*x, o["dims"])), *plain("transpose swapaxes swapdims", CUBE, dict(a=[0, 1], b=[2, 0]), call=lambda f, x, o: f(*x, o["a"], o["b"]), only=dict(dim0="given by the row", dim1="given by the row", axis0="given by the row", axis1="given by the row")),
    *plain("movedim moveaxis", CUBE, dict(source=[0, 1], destination=[-1, 0])), *plain("movedim moveaxis", CUBE, dict(source=[(0, 1), (2, 0)], destination=[(2, 0), (0, 2)])), Row("torch.t", {}, X), Row("torch.adjoint", {}, CUBE),
    Row("torch.broadcast_to", dict(size=[(3, 4), (2, 3, 4)]), normal(3, 1)), Row("torch.broadcast_tensors", {}, pair((3, 1), (4,))), *methods("expand", normal(3, 1), dict(size=[(3, 4), (2, -1, 4)]), call=lambda f, x, o: f(*x, o["size"])),
    *methods("repeat tile", X, dict(sizes=[(2, 1), (3, 1, 2)]), call=lambda f, x, o: f(*x, o["sizes"])), *plain("tile", X, dict(dims=[(2,), (3, 1, 2)]), call=lambda f, x, o: f(*x, o["dims"])),
    Row("torch.repeat_interleave", dict(repeats=[1, 3], dim=[None, 0, 1]), X, only=dict(output_size="a hint")),
    Row("torch.repeat_interleave", dict(dim=[0]), lambda rng, o: (rng.standard_normal((3, 4)), np.array([2, 0, 3])), only=dict(output_size="a hint", dim="given by repeats")),
    Row("torch.flip", dict(dims=[(0,), (0, 2)]), CUBE, call=lambda f, x, o: f(*x, o["dims"])), *plain("fliplr flipud", X), Row("torch.roll", dict(shifts=[1, -2], dims=[None, 0, 1]), X), Row("torch.roll", dict(shifts=[(1, -2)], dims=[(0, 1)]), X, only=dict(shifts="given by the row", dims="given by the row")),
    Row("torch.rot90", dict(k=[0, 1, 2, 3, -1], dims=[(0, 1), (1, 2)]), CUBE), *plain("tril triu", CUBE, dict(diagonal=[0, 1, -2])),
    *plain("diag", normal(4), dict(diagonal=[0, 1, -2])), *plain("diag", normal(3, 4), dict(diagonal=[0, 1, -2])), Row("torch.diagflat", dict(offset=[0, 1]), normal(2, 2)),
    Row("torch.diagonal", dict(offset=[0, 1, -1, 9], dim1=[0, 1], dim2=[2, 0]), CUBE, valid=lambda o: o["dim1"] != o["dim2"]), Row("torch.diag_embed", dict(offset=[0, 1, -1], dim1=[-2, 0], dim2=[-1, 1]), X),
    *methods("unfold", normal(7, 3), dict(dimension=[0], size=[2, 3], step=[1, 2]), only=dict(dimension="given by the row")), Row("torch.meshgrid", dict(indexing=["ij", "xy"]), pair((3,), (4,), (2,))), Row("torch.cartesian_prod", {}, pair((3,), (2,), (2,))),
]


def places(rng, o):
    return (rng.standard_normal((4, 5)), rng.integers(0, 4, (3, 4)))


def placed(rng, o):
    return (*places(rng, o), rng.standard_normal((3, 4)))


def apart(rng, o):
    return (rng.standard_normal((4, 5)), np.stack([rng.permutation(4)[:3] for _ in range(5)], 1), rng.standard_normal((3, 5)))


def sliced(rng, o):
    return rng.standard_normal((4, 4)), np.array([2, 0, 2]), rng.standard_normal((4, 3) if o["dim"] else (3, 4))


def apart_slices(rng, o):
    return rng.standard_normal((4, 4)), np.array([2, 0, 3]), rng.standard_normal((4, 3) if o["dim"] else (3, 4))


def by_dim(f, x, o):
    o = dict(o)
    return f(x[0], o.pop("dim"), *x[1:], *([o.pop("reduce")] if "reduce" in o else []), **o)


INDEXED = [
    Row("torch.gather", dict(dim=[0, 1]), places, call=by_dim, only=dict(index="given by the row", sparse_grad="gradients are dense")), Row("torch.scatter", dict(dim=[0]), apart, call=by_dim, only=dict.fromkeys(("dim", "index", "src", "value", "reduce"), "other row")),
    Row("torch.scatter", dict(dim=[0, 1], value=[0.5, -1]), lambda rng, o: (rng.standard_normal((4, 5)), rng.integers(0, 4, (3, 4))), call=lambda f, x, o: f(x[0], o["dim"], x[1], value=o["value"]), only=dict(index="given by the row", src="given by the row", reduce="given by the row")),
    *methods("scatter", apart, dict(reduce=["add", "multiply"]), call=lambda f, x, o: f(x[0], 0, x[1], x[2], reduce=o["reduce"]), only=dict(dim="given by the row", index="given by the row", src="given by the row", value="given by the row"), grads=False),
    Row("torch.scatter_add", dict(dim=[0, 1]), placed, call=by_dim, only=dict(index="given by the row", src="given by the row")),
    Row("torch.scatter_reduce", dict(dim=[0, 1], reduce=["sum", "prod", "mean", "amax", "amin"], include_self=BOTH), placed, call=by_dim, only=dict(index="given by the row", src="given by the row"), samples=2),
    Row("torch.scatter_reduce", dict(dim=[0, 1], reduce=["sum", "prod", "amax", "amin"], include_self=BOTH), lambda rng, o: tuple(x if x.dtype == np.int64 else np.round(x) for x in placed(rng, o)), call=by_dim, only=dict(index="given by the row", src="given by the row"), samples=3),
    Row("torch.index_select", dict(dim=[0, 1]), lambda rng, o: (rng.standard_normal((4, 5)), np.array([2, 0, 2])), call=by_dim, only=dict(index="given by the row")), Row("torch.index_add", dict(dim=[0, 1], alpha=[1, 0.5]), sliced, call=by_dim, only=dict(index="given by the row", source="given by the row")),
    Row("torch.index_copy", dict(dim=[0, 1]), apart_slices, call=by_dim, only=dict(index="given by the row", source="given by the row")), Row("torch.index_fill", dict(dim=[0, 1], value=[0.5, 2]), lambda rng, o: (rng.standard_normal((4, 4)), np.array([2, 0, -1])), call=lambda f, x, o: f(x[0], o["dim"], x[1], o["value"]), only=dict(index="given by the row")),
    Row("torch.index_reduce", dict(dim=[0, 1], reduce=["prod", "mean", "amax", "amin"], include_self=BOTH), sliced, call=by_dim, only=dict(index="given by the row", source="given by the row")),
    Row("torch.index_put", dict(accumulate=BOTH), lambda rng, o: (rng.standard_normal((4, 5)), [np.array([0, 2, 1]), np.array([1, 1, 4])], rng.standard_normal(3)), call=lambda f, x, o: f(x[0], tuple(x[1]), x[2], **o)),
    Row("torch.take", {}, lambda rng, o: (rng.standard_normal((4, 5)), rng.integers(-20, 20, (3, 4)))), Row("torch.take_along_dim", dict(dim=[0, None]), lambda rng, o: (rng.standard_normal((4, 5)), rng.integers(0 if o["dim"] is None else -4, 4, (3, 1))), call=lambda f, x, o: f(*x, **o)),
    Row("torch.masked_select", {}, lambda rng, o: (rng.standard_normal((4, 5)), rng.random((4, 5)) < 0.5)), Row("torch.masked_fill", dict(value=[0.5, -INF]), lambda rng, o: (rng.standard_normal((4, 5)), rng.random(5) < 0.5)),
    Row("torch.masked_scatter", {}, lambda rng, o: (rng.standard_normal((4, 5)), rng.random((4, 5)) < 0.5, rng.standard_normal(30))), Row("torch.nonzero", dict(as_tuple=BOTH), whole(3, 4, low=0, high=2)), Row("torch.argwhere", {}, whole(3, 4, low=0, high=2)),
    Row("functional.one_hot", dict(num_classes=[-1, 9]), whole(3, 4, low=0, high=5)),
]

IN_PLACE = [
    *in_place("abs_ neg_ sign_ square_ exp_ expm1_ sin_ cos_ tanh_ sigmoid_ relu_ erf_ tan_ atan_ sinh_ cosh_ exp2_ frac_ floor_ ceil_ trunc_ zero_", lambda rng, o: (off_zero(rng, (3, 5)),)),
    *in_place("round_", lambda rng, o: (off_zero(rng, (3, 5)),), dict(decimals=[0, 2])),
    *in_place("log_ log1p_ log2_ log10_ sqrt_ rsqrt_ reciprocal_ lgamma_", positive(3, 5)), *in_place("digamma_", positive(3, 5), bound=(1e-9, "as digamma")), *in_place("asin_ acos_ erfinv_", at(-0.95, 0.95, 9)),
    *in_place("add_ sub_ subtract_", pair((3, 4), (4,)), dict(alpha=[1, 0.5])), *in_place("mul_ multiply_ fmod_ remainder_ copysign_", pair((3, 4), (4,))), *in_place("div_ divide_", pair((3, 4), (4,)), dict(rounding_mode=[None, "floor", "trunc"])), *in_place("pow_", lambda rng, o: (rng.uniform(0.3, 2, (3, 4)), rng.standard_normal(4))),
    *in_place("clamp_ clip_", X, dict(min=[None, -0.5], max=[0.7, 0.1])), *in_place("clamp_min_", X, dict(min=[0.1, 0])), *in_place("fill_", X, dict(value=[1, 0.5]), only=dict(value="given by the row")),
    *in_place("addcmul_ addcdiv_", lambda rng, o: (rng.standard_normal((3, 4)), rng.standard_normal((4,)), rng.uniform(1, 2, (3, 1))), dict(value=[1, -0.5])), *in_place("lerp_", pair((3, 4), (4,)), dict(weight=[0.2, 0.8])),
    *in_place("addmm_", pair((3, 5), (3, 4), (4, 5)), dict(beta=[1, 0.5], alpha=[1, 2])), *in_place("tril_ triu_", X, dict(diagonal=[0, 1])), *in_place("cumsum_ cumprod_", X, dict(dim=[0, 1])),
    *in_place("masked_fill_", lambda rng, o: (rng.standard_normal((4, 5)), rng.random(5) < 0.5), dict(value=[0.5, 2])), *in_place("fill_diagonal_", normal(4, 4), dict(fill_value=[0.5, 2]), only=dict(wrap="matrices alone")),
    *in_place("copy_", pair((3, 4), (4,))),
    *[Row(f"Tensor.{n}", dict(dim=[0, 1]), f, call=lambda g, x, o: g(x[0] * 1, o["dim"], *x[1:]), only={last: "given by the row"}) for n, f, last in [("scatter_add_", placed, "src"), ("index_copy_", apart_slices, "source")]],
    Row("Tensor.index_add_", dict(dim=[0, 1], alpha=[1, 0.5]), sliced, call=lambda f, x, o: f(x[0] * 1, o["dim"], *x[1:], alpha=o["alpha"]), only=dict(source="given by the row")),
    Row("Tensor.scatter_", {}, apart, call=lambda f, x, o: f(x[0] * 1, 0, x[1], x[2]), only=dict(src="given by the row", value="Tensor.scatter tries it")),
]

OTHERS = [
    *methods("view reshape", CUBE, dict(shape=[(-1,), (4, 6)]), call=lambda f, x, o: f(*x, *o["shape"])), *methods("view_as reshape_as expand_as", pair((3, 4), (3, 4))), *methods("clone contiguous detach", X), *methods("sum mean max min", CUBE, DIMS), *methods("std var", CUBE, DIMS, only=dict.fromkeys(("unbiased", "correction"), "torch.std tries them")),
    *methods("softmax log_softmax", CUBE, dict(dim=[0, -1])), *methods("sort", ties, dict(stable=[True], dim=[0, 1], descending=BOTH), only=dict(stable="given by the row")), *methods("norm", X, dict(p=[1, 2]), only=dict.fromkeys(("dim", "keepdim", "dtype"), "torch.norm tries them")),
    *methods("new_zeros new_ones", X, dict(size=[(2, 3), (4,)]), call=lambda f, x, o: f(*x, o["size"]), grads=False), *methods("new_full", X, dict(size=[(2, 3), (4,)], fill_value=[1, 0.5]), grads=False),
    Row("torch.clone", {}, X), Row("torch.is_tensor", {}, X, grads=False), Row("torch.numel", {}, X, grads=False), Row("torch.is_floating_point", {}, X, grads=False),
]

LINALG = [
    Row("linalg.norm", dict(ord=[None, 2, 1, 3, INF], dim=[None, 0, -1], keepdim=BOTH), normal(2, 3, 4), valid=lambda o: o["ord"] is None or o["dim"] is not None),
    Row("linalg.norm", dict(ord=["fro", 1, -1, INF, -INF], dim=[(0, 1), (2, 0), (-2, -1)], keepdim=BOTH), normal(2, 3, 4)),
    Row("linalg.norm", dict(ord=["fro", 1, INF], keepdim=BOTH), X, only=dict(dim="other row")),
    Row("linalg.vector_norm", dict(ord=[2, 1, 0.5, 0, INF], dim=[None, (0, 1), 1], keepdim=BOTH), lambda rng, o: (off_zero(rng, (3, 4)),)),
    Row("linalg.matrix_norm", dict(ord=["fro", 1, -1, INF], dim=[(-2, -1), (0, 1)], keepdim=BOTH), normal(2, 3, 4)),
    Row("linalg.vecdot", dict(dim=[0, -1]), pair((3, 4), (3, 4))), Row("linalg.cross", dict(dim=[0, -1]), pair((3, 3), (3, 3))),
    Row("linalg.diagonal", dict(offset=[0, 1], dim1=[-2, 0], dim2=[-1, 1]), normal(2, 3, 4), valid=lambda o: (o["dim1"], o["dim2"]) != (-2, 1)),
]

ROWS = [*LINALG, *ELEMENTWISE, *TWO, *AT_POINTS, *REDUCTIONS, *SORTED, *PRODUCTS, *SHAPES, *INDEXED, *IN_PLACE, *OTHERS]
