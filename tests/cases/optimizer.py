"""Rows of the optimizer family."""

import numpy as np

from cases.base import KernelCase, normal, out, positive

LISTS = [[], [(0,)], [()], [(3, 5), (), (0, 2), (17,), (1,), (8191,), (131, 65), (16,)]]


def step_samples(states, hyper, *settings):
    """Samples (params, grads, lists of state..., [numbers]): several arrays in one call."""
    def samples(rng, dtype):
        for shapes in LISTS:
            for numbers in hyper:
                for kwargs in settings:
                    lists = [[normal(rng, shape, dtype) for shape in shapes] for _ in range(2)]
                    lists += [[positive(rng, shape, dtype) for shape in shapes] if wanted(kwargs) else None
                              for wanted in states]
                    yield (*lists, np.array(numbers)), kwargs
    return samples


KERNELS = [
    KernelCase("optimizer", "sgd", step_samples(
        [lambda kw: "momentum" in kw], [(0.1, 0.0), (0.1, 1.0)], {}, {"weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9, "dampening": 0.2}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        inouts=(0, 2), bound=0),
    KernelCase("optimizer", "adam", step_samples(
        [lambda kw: True, lambda kw: True, lambda kw: "amsgrad" in kw], [(0.01, 1.0), (0.01, 7.0)], {},
        {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True, "maximize": True},
        {"betas": (0.3, 0.5), "eps": 1e-4, "amsgrad": True}), inouts=(0, 2, 3, 4), bound=0),
    KernelCase("optimizer", "norm_squared", lambda rng, dtype: [
        (([normal(rng, shape, dtype) for shape in shapes], out((1,), "float64")), {}) for shapes in LISTS],
        outs=(1,), bound=64),
    KernelCase("optimizer", "scale", lambda rng, dtype: [
        (([normal(rng, shape, dtype) for shape in shapes], np.array([0.3])), {}) for shapes in LISTS],
        inouts=(0,), bound=0),
]
