"""Pooling."""
import numpy as np

from agreement.row import Each, Row

SIZES = {1: (11,), 2: (9, 11), 3: (7, 9, 8)}
INDICES = {"return_indices": "indices come whatever is asked for"}


def values(n, ties=False):
    """Batched and unbatched inputs in turn; with `ties` many equal values."""
    def inputs(rng, o):
        x = rng.standard_normal(((2,) if rng.random() < 0.6 else ()) + (3, *SIZES[n]))
        return (np.round(x, 1) if ties else x,)
    return inputs


def triple(n, *sizes):
    """One number, and one for each axis."""
    return [2, *[s[:n] if n > 1 else s[0] for s in sizes]]


def half(o):
    """Is the padding at most half the kernel?"""
    def each(v):
        return v if isinstance(v, tuple) else (v,) * 3
    return all(2 * p <= k for k, p in zip(each(o["kernel_size"]), each(o["padding"])))


def windows(n):
    return dict(kernel_size=triple(n, (3, 2, 4)), stride=[None, 1, *triple(n, (2, 3, 1))[1:]], padding=[0, 1])


def max_pool(n):
    options = {**windows(n), "dilation": [1, 2], "ceil_mode": [False, True], "return_indices": [False, True]}
    yield Row(f"MaxPool{n}d", options=options, valid=half, inputs=values(n, True), modes=("train",), samples=2)
    yield Row(f"functional.max_pool{n}d", options=options, valid=half, inputs=values(n), samples=2)
    yield Row(f"functional.max_pool{n}d_with_indices", options=options, valid=half, inputs=values(n, True), inert=INDICES)


def avg_pool(n):
    options = {**windows(n), "ceil_mode": [False, True], "count_include_pad": [True, False]}
    for name, more in ((f"AvgPool{n}d", {"modes": ("train",)}), (f"functional.avg_pool{n}d", {})):
        yield Row(name, options=options, valid=half, inputs=values(n), samples=2, only={"divisor_override": "the next row"} if n > 1 else {}, **more)
        if n > 1:               # (a divisor hides what counts otherwise)
            yield Row(name, options=dict(kernel_size=options["kernel_size"], divisor_override=[None, 5, -2], padding=[0, 1], ceil_mode=[False, True]),
                      valid=half, inputs=values(n), samples=2, only=dict.fromkeys(("stride", "count_include_pad"), "the row before"), **more)


def lp_pool(n):
    options = dict(norm_type=[1, 2, 3, 2.5, float("inf"), -float("inf")], kernel_size=triple(n, (3, 2, 4)),
                   stride=[None, 1, *triple(n, (2, 3, 1))[1:]], ceil_mode=[False, True])
    inputs = lambda rng, o: (abs(values(n)(rng, o)[0]) + 0.1 if o["norm_type"] in (2.5, 3) else values(n)(rng, o)[0],)     # noqa: E731
    yield Row(f"LPPool{n}d", options=options, inputs=inputs, modes=("train",))
    yield Row(f"functional.lp_pool{n}d", options=options, inputs=inputs)


def adaptive(n):
    sizes = [1, 3, 13, *([(5, 1, 4)[:n], (None, 4, 2)[:n]] if n > 1 else [])]
    for name, ties in ((f"AdaptiveMaxPool{n}d", True), (f"functional.adaptive_max_pool{n}d", False),
                       (f"functional.adaptive_max_pool{n}d_with_indices", True)):
        yield Row(name, options=dict(output_size=sizes, return_indices=[False, True]), inputs=values(n, ties), modes=("train",), samples=2,
                  inert=INDICES if "with" in name else {})
    yield Row(f"AdaptiveAvgPool{n}d", options=dict(output_size=sizes), inputs=values(n), modes=("train",), samples=2)
    yield Row(f"functional.adaptive_avg_pool{n}d", options=dict(output_size=sizes), inputs=values(n), samples=2)


def unpool(n):
    """Values and the places that a pooling of the same windows would give, as far as they are inside."""
    def inputs(rng, o):
        k = o["kernel_size"] if isinstance(o["kernel_size"], tuple) else (o["kernel_size"],) * n
        s = o["stride"] if isinstance(o["stride"], tuple) else (o["stride"] or 0,) * n
        s = tuple(a or b for a, b in zip(s, k))
        small = (3, 2, 4)[:n]
        size = [(m - 1) * t + w - 2 * o["padding"] for m, t, w in zip(small, s, k)]
        places = np.stack([rng.permutation(int(np.prod(size)))[:int(np.prod(small))] for _ in range(6)])
        return rng.standard_normal((2, 3, *small)), places.reshape(2, 3, *small)
    options = dict(kernel_size=[3, (3, 4, 3)[:n] if n > 1 else 4], stride=[None, (3, 4, 3)[:n] if n > 1 else 4], padding=[0, 1])
    grow = {1: [(9,), (10,)], 2: [(9, 6), (10, 7)], 3: [(9, 6, 12), (10, 7, 11)]}[n]
    yield Row(f"MaxUnpool{n}d", options=options, inputs=inputs, modes=("train",))
    yield Row(f"functional.max_unpool{n}d", options={**options, "output_size": [None]}, inputs=inputs, only={"output_size": "the next row"})
    yield Row(f"functional.max_unpool{n}d", options=dict(output_size=[*grow, (2, 3, *grow[0]), (99,) * n]),
              only=dict.fromkeys(("kernel_size", "stride", "padding"), "the row before"), refused={"output_size": "99 is far off"}, call=lambda f, args, o: f(*args, 3, **o),
              inputs=lambda rng, o: (rng.standard_normal((2, 3, *(3, 2, 4)[:n])), rng.permutation(54)[:int(np.prod((3, 2, 4)[:n])) * 1].reshape(
                  1, 1, *(3, 2, 4)[:n]).repeat(2, 0).repeat(3, 1) % int(np.prod(grow[0]))))


def fractional(n):
    """The windows' places are held fixed: drawn, they differ from library to library."""
    u = np.random.default_rng(5).random((2, 3, n))
    held = [Each(lambda lib, u=u, i=i: lib.tensor((u + i / 3) % 1), f"samples {i}") for i in range(3)]
    for size in (dict(output_size=[2, (4, 5, 3)[:n]]), dict(output_ratio=[0.5, (0.4, 0.6, 0.5)[:n]])):
        missing = {"output_ratio", "output_size"} - set(size)
        only = dict.fromkeys(missing, "another row")
        options = {"kernel_size": [2, (3, 2, 1)[:n]], **size, "return_indices": [False, True], "_random_samples": held}
        yield Row(f"FractionalMaxPool{n}d", options=options, inputs=lambda rng, o: (np.round(rng.standard_normal((2, 3, *SIZES[n])), 1),), only=only)
        for name in (f"functional.fractional_max_pool{n}d", f"functional.fractional_max_pool{n}d_with_indices"):
            ratio = {"output_ratio": [(0.5,) * n, (0.4, 0.6, 0.5)[:n]]} if "output_ratio" in size else {}
            yield Row(name, options={**options, **ratio, "_random_samples": [np.asarray((u + i / 3) % 1) for i in range(3)]},
                      inputs=lambda rng, o: (rng.standard_normal((2, 3, *SIZES[n])),), only=only, inert=INDICES if "with" in name else {})


ROWS = [row for n in (1, 2, 3) for rows in (max_pool, avg_pool, lp_pool, adaptive, unpool) for row in rows(n)]
ROWS += [row for n in (2, 3) for row in fractional(n)]
