"""One row per kernel, op and layer: what to call and on which samples. Generic tests do the rest.

    KERNELS  test_kernels.py   contract equal in all variants, agreement with the reference, poisoned outputs, untouched
                               inputs, strides, accumulate, same bits for every thread count
    OPS      test_ops.py       dtypes and backends agree, gradient checks, both tellings of backward, the stand-in device
    LAYERS   test_layers.py    shapes, dtypes, state round trip, repr, batch of n = n singles, train and eval, gradients

A kernel, op or layer without a row fails the suite, and so does an op without a cost rule, or one without three kinds
of misuse in ERRORS (for the first families that table is in test_errors.py). Each family has a module here with its lists of rows.

Samples should cover odd sizes, empty, size 1, 0-d where it has a meaning, and sizes that straddle a tile. Keep them
small: a row should cost tens of milliseconds. Give values that stay away from kinks (|x| > 0.1 for relu and abs; no
ties for max): a gradient check differs from the truth there, not the rule.
"""
import importlib
import pkgutil

from cases.base import ErrorCase, KernelCase, LayerCase, OpCase

KERNELS: list[KernelCase] = []
OPS: list[OpCase] = []
LAYERS: list[LayerCase] = []
ERRORS: list[ErrorCase] = []
for _module in pkgutil.iter_modules(__path__):
    _rows = importlib.import_module(f"cases.{_module.name}")
    KERNELS += getattr(_rows, "KERNELS", [])
    OPS += getattr(_rows, "OPS", [])
    LAYERS += getattr(_rows, "LAYERS", [])
    ERRORS += getattr(_rows, "ERRORS", [])
