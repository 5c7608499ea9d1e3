"""Rows of the optimizer family."""

import numpy as np

import minilayer as ml
from cases.base import ErrorCase, KernelCase, normal, out, positive
from minilayer.optim.optimizer import CountingOptimizer

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


def always(settings):
    return True


KERNELS = [
    KernelCase("optimizer", "sgd", step_samples(
        [lambda kw: "momentum" in kw], [(0.1, 0.0), (0.1, 1.0)], {}, {"weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9, "dampening": 0.2}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        inouts=(0, 2), bound=0),
    KernelCase("optimizer", "adam", step_samples(
        [always, always, lambda kw: "amsgrad" in kw], [(0.01, 1.0), (0.01, 7.0)], {},
        {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled": True, "maximize": True},
        {"betas": (0.3, 0.5), "eps": 1e-4, "amsgrad": True}), inouts=(0, 2, 3, 4), bound=0),
    KernelCase("optimizer", "rmsprop", step_samples(
        [always, lambda kw: "centered" in kw, lambda kw: "momentum" in kw], [(0.01, 1.0)], {},
        {"weight_decay": 0.1, "maximize": True}, {"momentum": 0.9, "alpha": 0.3}, {"centered": True, "eps": 10.0},
        {"centered": True, "momentum": 0.5, "alpha": 0.9, "eps": 10.0}), inouts=(0, 2, 3, 4), bound=0),
    KernelCase("optimizer", "adagrad", step_samples([always], [(0.1, 1.0), (0.1, 5.0)], {},
               {"lr_decay": 0.1, "eps": 0.1, "weight_decay": 0.1, "maximize": True}), inouts=(0, 2), bound=0),
    KernelCase("optimizer", "adadelta", step_samples([always, always], [(1.0, 1.0)], {},
               {"rho": 0.5, "eps": 0.1, "weight_decay": 0.1, "maximize": True}), inouts=(0, 2, 3), bound=0),
    KernelCase("optimizer", "adamax", step_samples([always, always], [(0.1, 1.0), (0.1, 5.0)], {},
               {"betas": (0.3, 0.5), "eps": 0.1, "weight_decay": 0.1, "maximize": True}), inouts=(0, 2, 3), bound=0),
    KernelCase("optimizer", "nadam", step_samples(
        [always, always], [(0.1, 1.0, 1.0), (0.1, 5.0, 0.3)], {}, {"betas": (0.3, 0.5), "weight_decay": 0.1},
        {"decoupled": True, "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}), inouts=(0, 2, 3, 4), bound=0),
    KernelCase("optimizer", "radam", step_samples(
        [always, always], [(0.1, 1.0), (0.1, 9.0)], {}, {"betas": (0.3, 0.9), "weight_decay": 0.1},
        {"decoupled": True, "weight_decay": 0.1, "eps": 0.1, "maximize": True}), inouts=(0, 2, 3), bound=0),
    KernelCase("optimizer", "rprop", step_samples([always, always], [(0.1, 1.0)], {},
               {"etas": (0.3, 2.0), "step_limits": (0.5, 1.0), "maximize": True}), inouts=(0, 2, 3), bound=0),
    KernelCase("optimizer", "norm_squared", lambda rng, dtype: [
        (([normal(rng, shape, dtype) for shape in shapes], out((1,), "float64")), {}) for shapes in LISTS],
        outs=(1,), bound=64),
    KernelCase("optimizer", "scale", lambda rng, dtype: [
        (([normal(rng, shape, dtype) for shape in shapes], np.array([0.3])), {}) for shapes in LISTS],
        inouts=(0,), bound=0),
]


def params(*shapes):
    return [ml.zeros(*shape, requires_grad=True) for shape in shapes or [(2, 3)]]


ERRORS = [
    *[ErrorCase(f"{cls}: differentiable", lambda cls=cls: getattr(ml.optim, cls)(params(), differentiable=True), ValueError, f"{cls}: differentiable=True is not supported")
      for cls in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop")],
    *[ErrorCase(f"{cls}: no decay to grow by", lambda cls=cls: getattr(ml.optim, cls)(params(), weight_decay=-1.0), ValueError, f"{cls}: expected weight_decay")
      for cls in ("RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Adafactor", "Muon")],
    *[ErrorCase(f"{cls}: eps as a word", lambda cls=cls: getattr(ml.optim, cls)(params(), eps="small"), TypeError, f"{cls}: expected eps")
      for cls in ("RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Adafactor", "Muon")],
    *[ErrorCase(f"{cls}: a beta of 1", lambda cls=cls: getattr(ml.optim, cls)(params(), betas=(0.9, 1.0)), ValueError, "betas")
      for cls in ("Adamax", "NAdam", "RAdam")],
    ErrorCase("Adadelta: rho above 1", lambda: ml.optim.Adadelta(params(), rho=1.5), ValueError, r"rho in \[0, 1\]"),
    ErrorCase("Adadelta: no rho", lambda: ml.optim.Adadelta(params(), rho=None), TypeError, "rho to be a number, got None"),
    ErrorCase("Rprop: limits the wrong way round", lambda: ml.optim.Rprop(params(), step_sizes=(5, 1)), ValueError, r"the smallest and the largest, got \(5, 1\)"),
    ErrorCase("Rprop: steps that only grow", lambda: ml.optim.Rprop(params(), etas=(1.1, 1.2)), ValueError, "etas below 1 and above 1"),
    ErrorCase("Rprop: one step size", lambda: ml.optim.Rprop(params(), step_sizes=1e-6), TypeError, "step_sizes to be a pair"),
    ErrorCase("Adafactor: a decay that grows", lambda: ml.optim.Adafactor(params(), beta2_decay=0.5), ValueError, "beta2_decay of 0 or less"),
    ErrorCase("Adafactor: a decay as a word", lambda: ml.optim.Adafactor(params(), beta2_decay="x"), TypeError, "beta2_decay to be a number, got 'x'"),
    ErrorCase("Adafactor: state of another shape", lambda: ml.optim.Adafactor(params()).load_state_dict({"state": {0: {"step": 1, "row_var": np.zeros((3, 1)), "col_var": np.zeros((1, 3))}}, "param_groups": [{"params": [0]}]}), ValueError, "row_var of shape"),
    ErrorCase("Muon: a vector", lambda: ml.optim.Muon(params((3,))), ValueError, "Muon: expected matrices"),
    ErrorCase("Muon: two coefficients", lambda: ml.optim.Muon(params(), ns_coefficients=(1, 2)), ValueError, "three ns_coefficients"),
    ErrorCase("Muon: one coefficient", lambda: ml.optim.Muon(params(), ns_coefficients=3), TypeError, "ns_coefficients to be three numbers, got 3"),
    ErrorCase("Muon: a coefficient as a word", lambda: ml.optim.Muon(params(), ns_coefficients=(1, 2, "c")), TypeError, r"ns_coefficients\[2\] to be a number, got 'c'"),
    ErrorCase("Muon: half a round", lambda: ml.optim.Muon(params(), ns_steps=2.5), TypeError, "ns_steps to be an integer, got 2.5"),
    ErrorCase("Muon: no rounds", lambda: ml.optim.Muon(params(), ns_steps=0), ValueError, "ns_steps from 1 to 99"),
    ErrorCase("Muon: unknown adjustment", lambda: ml.optim.Muon(params(), adjust_lr_fn="big"), ValueError, "match_rms_adamw"),
    ErrorCase("LBFGS: no closure", lambda: ml.optim.LBFGS(params()).step(), TypeError, "LBFGS.step: expected a closure"),
    ErrorCase("LBFGS: half a round", lambda: ml.optim.LBFGS(params(), max_iter=2.5), TypeError, "max_iter to be an integer, got 2.5"),
    ErrorCase("LBFGS: no history", lambda: ml.optim.LBFGS(params(), history_size=0), ValueError, "history_size of 1 or more, got 0"),
    ErrorCase("LBFGS: evaluations as a word", lambda: ml.optim.LBFGS(params(), max_eval="a"), TypeError, "max_eval to be an integer, got 'a'"),
    ErrorCase("LBFGS: two groups", lambda: ml.optim.LBFGS([{"params": params()}, {"params": params()}]), ValueError, "all parameters in one group"),
    ErrorCase("LBFGS: unknown search", lambda: ml.optim.LBFGS(params(), line_search_fn="armijo"), ValueError, "strong_wolfe"),
    ErrorCase("LBFGS: state of another model", lambda: ml.optim.LBFGS(params()).load_state_dict({"state": {0: {"d": np.zeros(5)}}, "param_groups": [{"params": [0]}]}), ValueError, "vectors of 6 values"),
    ErrorCase("CountingOptimizer: no rule", lambda: unruly().step(), NotImplementedError, "defines rule"),
]


def unruly():
    p = params()[0]
    p.grad = ml.ones(2, 3)
    return CountingOptimizer([p], {"lr": 0.1})
