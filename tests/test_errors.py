"""Misuse raises, and the message finishes the sentence: which operation, what it expected, what came, what to do.

A table: at least three kinds of misuse for every op's function, every layer and every command. Each family has one
section, in the order of tests/cases/.
"""
import contextlib
import inspect
import io
import sys
from unittest import mock

import numpy as np
import pytest
import standin
from cases import ERRORS, ErrorCase

import minilayer as ml
import minilayer.functional as F
from minilayer import cli, device, plots
from minilayer._ext import dispatch, runtime
from minilayer.ops import elementwise, indexing, reduce, shape

standin.register()


def on(function, *arguments):
    """A call of a function of minilayer.functional, for later."""
    return lambda: getattr(F, function)(*arguments)


# ---- arithmetic ----

YES = ml.ones(2) > 0
ARITHMETIC = ("add", "sub", "mul", "div", "remainder", "pow", "maximum", "minimum", "floor_divide", "eq", "ne", "lt", "le",
              "gt", "ge", "logical_and", "logical_or", "logical_xor")
BITWISE = tuple(f"bitwise_{name}" for name in ("and", "or", "xor", "left_shift", "right_shift"))

for f in ARITHMETIC + BITWISE:
    dtype = ml.int64 if f in BITWISE else ml.float32
    ERRORS += [
        ErrorCase(f"{f}: shapes that do not broadcast", on(f, ml.zeros(2, 3, dtype=dtype), ml.zeros(2, 4, dtype=dtype)), ValueError,
                  rf"{f}: expected shapes that broadcast.*\(2, 3\) and \(2, 4\); reshape"),
        ErrorCase(f"{f}: a list", on(f, ml.zeros(2), [1.0, 2.0]), TypeError, rf"{f}: expected .*list.*minilayer.tensor"),
        ErrorCase(f"{f}: two devices", on(f, ml.zeros(2, dtype=dtype), ml.zeros(2, dtype=dtype).to("standin")), RuntimeError,
                  rf"{f}: expected all tensors on one device, got cpu, standin"),
        ErrorCase(f"{f}: no tensor at all", on(f, 1.0, 2.0), TypeError, f"{f}: expected at least one tensor"),
    ]
ERRORS += [
    ErrorCase("sub: bools", on("sub", YES, YES), TypeError, "sub: expected numbers, got bool"),
    ErrorCase("div: an unknown rounding", lambda: F.div(ml.ones(2), 2, rounding_mode="up"), ValueError, "'up'"),
    ErrorCase("floor_divide: integers by zero", on("floor_divide", ml.tensor([1]), 0), ZeroDivisionError, "floor_divide"),
    ErrorCase("remainder: integers by zero", on("remainder", ml.tensor([1]), ml.tensor([0])), ZeroDivisionError, "remainder"),
    ErrorCase("pow: an integer to a negative power", on("pow", ml.tensor([2]), -1), ValueError, "pow: .*float"),
    ErrorCase("add: a number beyond the type", on("add", ml.tensor([1]).int(), 2 ** 40), ValueError, "does not fit in int32"),
    ErrorCase("where: a condition of numbers", on("where", ml.ones(2), ml.ones(2), 0.0), TypeError, "bools, got float32"),
    ErrorCase("where: no tensor", on("where", True, ml.ones(2), 0.0), TypeError, "tensor of bools as condition, got bool"),
    ErrorCase("where: shapes that do not broadcast", on("where", ml.ones(3) > 0, ml.ones(2), 0.0), ValueError, "where: .*\\(3,\\)"),
    ErrorCase("where: a text", on("where", ml.ones(2) > 0, "a", 0.0), TypeError, "where: .*str"),
]

# ---- elementwise ----

for name in ("neg", "abs", "sign", "square", "reciprocal", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin", "cos",
             "tanh", "sigmoid", "relu", "erf", "gelu", "floor", "ceil", "round", "trunc", "isnan", "isinf", "isfinite",
             "logical_not"):
    f = getattr(F, name)
    ERRORS += [
        ErrorCase(f"{name}: a list", lambda f=f: f([1.0]), TypeError, f"{name}: expected a tensor, got list"),
        ErrorCase(f"{name}: a number", lambda f=f: f(1.0), TypeError, f"{name}: expected a tensor, got float"),
        ErrorCase(f"{name}: nothing", lambda f=f: f(None), TypeError, f"{name}: expected a tensor, got None"),
    ]
ERRORS += [
    ErrorCase("neg: bools", lambda: -YES, TypeError, "neg: expected numbers, got bool"),
    ErrorCase("relu: bools", lambda: F.relu(YES), TypeError, r"relu: expected numbers, got bool.*\.float\(\)"),
    ErrorCase("gelu: integers", lambda: F.gelu(ml.tensor([1, 2])), TypeError, r"gelu: expected a float32 or float64 tensor, got int64; .*\.float\(\)"),
    ErrorCase("gelu: an unknown formula", lambda: F.gelu(ml.ones(2), "sigmoid"), ValueError, "gelu: .*'sigmoid'"),
    ErrorCase("clamp: no tensor", lambda: F.clamp([1.0], 0, 1), TypeError, "clamp: expected a tensor, got list"),
    ErrorCase("clamp: no bounds", lambda: F.clamp(ml.ones(2)), ValueError, "clamp: expected at least one"),
    ErrorCase("clamp: a text as bound", lambda: F.clamp(ml.ones(2), "a"), TypeError, "clamp: .*numbers.*maximum"),
    ErrorCase("clamp: bools", lambda: F.clamp(YES, 0, 1), TypeError, "clamp: expected numbers, got bool"),
    ErrorCase("clamp: a bound that does not fit", lambda: F.clamp(ml.tensor([1], dtype=ml.uint8), -1, 3), ValueError,
              "clamp: the bound -1 does not fit in uint8"),
]

# ---- reduce ----

for f in ("sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "any", "all", "var", "std", "cumsum"):
    ERRORS += [
        ErrorCase(f"{f}: an axis that is not there", on(f, ml.ones(2, 3), 2), IndexError, rf"{f}: expected dim in \[-2, 1\].*got 2"),
        ErrorCase(f"{f}: half an axis", on(f, ml.ones(2, 3), 0.5), TypeError, f"{f}: expected dim to be an integer, got 0.5"
                  if f in ("max", "min", "argmax", "argmin", "cumsum") else "float|0.5"),
        ErrorCase(f"{f}: a list", on(f, [1.0, 2.0], 0), TypeError, f"{f}: expected a tensor, got list"),
    ]
for f in ("sum", "mean", "prod", "amax", "amin", "any", "all", "var", "std"):
    ERRORS += [ErrorCase(f"{f}: an axis twice", on(f, ml.ones(2, 3), (0, -2)), ValueError, f"{f}: expected each dim once")]
for f in ("mean", "var", "std"):
    ERRORS += [ErrorCase(f"{f}: integers", on(f, ml.tensor([1, 2])), TypeError, f"{f}: expected float32 or float64, got int64")]
for f in ("max", "min", "argmax", "argmin", "amax", "amin"):
    ERRORS += [ErrorCase(f"{f}: nothing to choose from", on(f, ml.zeros(0, 3), 0), ValueError, f"{f}: expected at least one element")]
ERRORS += [
    ErrorCase("norm: integers", lambda: reduce.norm(ml.tensor([1])), TypeError, "norm: expected float32 or float64"),
    ErrorCase("norm: a text for p", lambda: reduce.norm(ml.ones(2), "nuc"), TypeError, "norm: .*'nuc'"),
    ErrorCase("norm: an axis that is not there", lambda: reduce.norm(ml.ones(2), 2, 1), IndexError, "norm: expected dim"),
    ErrorCase("logsumexp: half an axis", lambda: reduce.logsumexp(ml.ones(2), 0.5), TypeError, "logsumexp|float"),
    ErrorCase("logsumexp: an axis that is not there", lambda: reduce.logsumexp(ml.ones(2), 1), IndexError, "logsumexp"),
    ErrorCase("logsumexp: a list", lambda: reduce.logsumexp([1.0], 0), TypeError, "logsumexp: expected a tensor"),
]

# ---- indexing ----

GRID = ml.ones(3, 4)


def assign(x, index, value):
    """x[index] = value, as an expression."""
    x[index] = value


ERRORS += [
    ErrorCase("index: beyond the end", lambda: GRID[3], IndexError, "index 3 is out of bounds for axis 0 with size 3"),
    ErrorCase("index: too many", lambda: GRID[0, 0, 0], IndexError, r"too many indices: got 3.*\(3, 4\)"),
    ErrorCase("index: floats", lambda: GRID[ml.ones(2)], IndexError, "integers or bools as index, got float32"),
    ErrorCase("index: a text", lambda: GRID["a"], IndexError, "got str"),
    ErrorCase("index: two ellipses", lambda: GRID[..., 0, ...], IndexError, "at most one Ellipsis, got 2"),
    ErrorCase("index: a backward slice", lambda: GRID[::-1], ValueError, "step above 0, got -1; use flip"),
    ErrorCase("index: a mask of another shape", lambda: GRID[ml.ones(2) > 0], IndexError, r"mask's shape \(2,\)"),
    ErrorCase("index: bytes", lambda: GRID[ml.tensor(np.zeros(2, np.uint8))], IndexError, "uint8 index is ambiguous"),
    ErrorCase("index: an array beyond the end", lambda: GRID[ml.tensor([0, 3])], IndexError, "3"),
    ErrorCase("index: arrays that do not broadcast", lambda: GRID[ml.tensor([0, 1]), ml.tensor([0, 1, 2])], IndexError,
              "broadcast together"),
    ErrorCase("index: nothing and two places", lambda: GRID[False, [0, 1]], IndexError, r"broadcast together, got shapes \(0,\), \(2,\)"),
    ErrorCase("assign: all, of another shape", lambda: assign(ml.ones(3), True, ml.ones(2)), ValueError, r"broadcast to shape \(1, 3\), got \(2,\)"),
    ErrorCase("assign: values that do not fit", lambda: assign(ml.ones(3), slice(0, 2), ml.ones(3)), ValueError, r"\(3,\)"),
    ErrorCase("assign: beyond the end", lambda: assign(ml.ones(3), 5, 1.0), IndexError, "index 5"),
    ErrorCase("assign: a text", lambda: assign(ml.ones(3), 0, "a"), TypeError, "str"),
    ErrorCase("masked_fill: a mask of numbers", lambda: F.masked_fill(GRID, GRID, 0.0), TypeError, "bool tensor as mask, got float32"),
    ErrorCase("masked_fill: a value of many", lambda: F.masked_fill(GRID, GRID > 0, GRID), ValueError, "0-d tensor"),
    ErrorCase("masked_fill: a mask that does not broadcast", lambda: F.masked_fill(GRID, ml.ones(3) > 0, 0.0), ValueError,
              r"\(3,\)"),
    ErrorCase("masked_fill: a list", lambda: F.masked_fill([1.0], GRID > 0, 0.0), TypeError, "masked_fill: expected a tensor"),
    ErrorCase("masked_fill: half in integers", lambda: F.masked_fill(ml.tensor([1]), ml.tensor([True]), 0.5), TypeError,
              "0.5 does not fit in int64"),
    ErrorCase("gather: a float index", lambda: F.gather(GRID, 0, GRID), TypeError, "gather: expected an integer tensor as index"),
    ErrorCase("gather: another rank", lambda: F.gather(GRID, 0, ml.tensor([0])), ValueError, "gather: expected an index of 2"),
    ErrorCase("gather: beyond the end", lambda: F.gather(GRID, 0, ml.tensor([[3]])), IndexError, "gather"),
    ErrorCase("gather: before the start", lambda: F.gather(GRID, 0, ml.tensor([[0], [-1]])), IndexError,
              "gather: index -1 is out of bounds for dimension 0 with size 3; .*add 3"),
    ErrorCase("gather: before the start of the last axis", lambda: F.gather(GRID, -1, ml.tensor([[-2]]).int()), IndexError,
              "gather: index -2 is out of bounds for dimension 1 with size 4"),
    ErrorCase("scatter: before the start", lambda: indexing.scatter(GRID, 0, ml.tensor([[-1]]), 1.0), IndexError,
              "scatter: index -1 is out of bounds for dimension 0 with size 3"),
    ErrorCase("scatter_add: before the start", lambda: indexing.scatter_add(GRID, 1, ml.tensor([[-1]]), GRID), IndexError,
              "scatter_add: index -1 is out of bounds for dimension 1 with size 4"),
    ErrorCase("index_select: before the start", lambda: indexing.index_select(GRID, 0, ml.tensor([1, -1]).int()), IndexError,
              "index_select: index -1 is out of bounds for dimension 0 with size 3"),
    ErrorCase("index_select: a mask", lambda: indexing.index_select(GRID, 0, ml.ones(3) > 0), TypeError, "index_select: .*got bool"),
    ErrorCase("gather: no tensor", lambda: F.gather([1.0], 0, ml.tensor([0])), TypeError, "gather: expected a tensor"),
    ErrorCase("scatter: a source too small", lambda: indexing.scatter(GRID, 0, ml.tensor([[0, 1]]), ml.ones(1, 1)), ValueError,
              "scatter: expected a source"),
    ErrorCase("scatter: beyond the end", lambda: indexing.scatter(GRID, 0, ml.tensor([[3]]), 1.0), IndexError, "scatter"),
    ErrorCase("scatter: a text", lambda: indexing.scatter(GRID, 0, ml.tensor([[0]]), "a"), TypeError, "scatter"),
    ErrorCase("index_select: a list", lambda: indexing.index_select(GRID, 0, [0]), ValueError, "index_select.*list"),
    ErrorCase("index_select: two axes", lambda: indexing.index_select(GRID, 0, ml.tensor([[0]])), ValueError, "index_select"),
    ErrorCase("index_select: beyond the end", lambda: indexing.index_select(GRID, 0, ml.tensor([7])), IndexError, "7"),
    ErrorCase("one_hot: floats", lambda: F.one_hot(GRID), TypeError, "one_hot: expected integer labels, got float32"),
    ErrorCase("one_hot: a negative label", lambda: F.one_hot(ml.tensor([-1])), IndexError, "got -1"),
    ErrorCase("one_hot: a label too large", lambda: F.one_hot(ml.tensor([3]), 2), IndexError, "one_hot: .*num_classes = 2"),
    ErrorCase("one_hot: nothing to tell from", lambda: F.one_hot(ml.tensor([]).long()), ValueError, "pass it"),
    ErrorCase("one_hot: no classes", lambda: F.one_hot(ml.tensor([0]), 0), ValueError, "num_classes above 0"),
    ErrorCase("copy_: a list", lambda: ml.ones(2).copy_([1.0, 2.0]), TypeError, "copy_: expected a tensor to copy from, got list"),
    ErrorCase("copy_: another shape", lambda: ml.ones(2).copy_(ml.ones(3)), ValueError, r"copy_: .*\(2,\), got \(3,\)"),
    ErrorCase("fill_: a text", lambda: ml.ones(2).fill_("a"), TypeError, "fill_: expected a number"),
    ErrorCase("fill_: many values", lambda: ml.ones(2).fill_(ml.ones(2)), ValueError, "fill_: .*0-d"),
    ErrorCase("clamp_: halves among integers", lambda: ml.tensor([1]).clamp_(0.5, 2.0), TypeError, "clamp_: the result would not fit"),
    ErrorCase("neg_: a text", lambda: ml.apply_inplace(elementwise.Neg(), ml.ones(2), "a"), TypeError, "neg_: expected tensors, got str"),
    ErrorCase("to: an unknown device", lambda: GRID.to("tpu"), ValueError, "expected 'cpu' or 'cuda', got 'tpu'"),
]

# ---- shape ----

CUBE = ml.ones(2, 3, 4)

for f, more in (("reshape", (24,)), ("permute", (0, 1, 2)), ("transpose", (0, 1)), ("expand", (2, 3)), ("flatten", ()),
                ("squeeze", ()), ("unsqueeze", (0,)), ("narrow", (0, 0, 1)), ("split", (1,)), ("chunk", (2,)), ("flip", (0,)),
                ("tril", ()), ("triu", ()), ("pad", ((1, 1),))):
    ERRORS += [ErrorCase(f"{f}: an ndarray", on(f, np.ones((2, 3)), *more), TypeError, f"{f}: expected a tensor, got ndarray")]
for f, more in (("flatten", ()), ("squeeze", ()), ("unsqueeze", ()), ("transpose", (0,)), ("narrow", (0, 1)), ("flip", ())):
    ERRORS += [
        ErrorCase(f"{f}: an axis that is not there", on(f, CUBE, 5, *more), IndexError, f"{f}: expected dim in"),
        ErrorCase(f"{f}: an axis that is no integer", on(f, CUBE, "a", *more), TypeError, f"{f}: expected .*integer.*'a'|str"),
    ]
ERRORS += [
    ErrorCase("reshape: another number of elements", on("reshape", CUBE, 5, 5), ValueError, r"reshape: .*24 elements.*\(5, 5\)"),
    ErrorCase("reshape: two unknown sizes", on("reshape", CUBE, -1, -1), ValueError, "at most one -1"),
    ErrorCase("reshape: no whole number fits", on("reshape", CUBE, -1, 5), ValueError, "no size in place of -1 fits"),
    ErrorCase("reshape: a float", on("reshape", CUBE, 24.0), TypeError, "reshape: expected integers, got 24.0"),
    ErrorCase("view: a transposed tensor", lambda: CUBE.transpose(0, 2).view(24), ValueError, "without a copy; use reshape"),
    ErrorCase("view: a dtype", lambda: CUBE.view(ml.float64), TypeError, "view: expected a shape"),
    ErrorCase("view: another number of elements", lambda: CUBE.view(7), ValueError, "view: .*24"),
    ErrorCase("flatten: axes in the wrong order", on("flatten", CUBE, 2, 0), ValueError, "start_dim before end_dim"),
    ErrorCase("permute: one axis missing", on("permute", CUBE, 0, 1), ValueError, "permute: expected each of the 3 dims"),
    ErrorCase("permute: one axis twice", on("permute", CUBE, 0, 1, 1), ValueError, "permute: expected each of the 3 dims"),
    ErrorCase("permute: an axis that is not there", on("permute", CUBE, 0, 1, 3), IndexError, "permute: expected dim in"),
    ErrorCase("t: three axes", lambda: CUBE.t(), ValueError, "t: expected at most 2 dimensions"),
    ErrorCase("expand: an axis that has a size", on("expand", CUBE, 5, 3, 4), ValueError, r"expand: .*\(2, 3, 4\)"),
    ErrorCase("expand: fewer axes", on("expand", CUBE, 3, 4), ValueError, "expand"),
    ErrorCase("expand: a negative size", on("expand", CUBE, -2, 3, 4), ValueError, "expand"),
    ErrorCase("expand: no size", on("expand", CUBE), ValueError, "expand: expected at least 3 sizes"),
    ErrorCase("narrow: beyond the end", on("narrow", CUBE, 0, 1, 2), IndexError, "narrow: .*start 1, length 2"),
    ErrorCase("split: sizes that do not sum up", on("split", CUBE, [1, 2]), ValueError, "split: expected sizes that sum to 2"),
    ErrorCase("split: size 0", on("split", CUBE, 0), ValueError, "split: expected a size above 0"),
    ErrorCase("split: a number", on("split", ml.tensor(1.0), 1), ValueError, "split: .*0-d|split: expected at least one dim"),
    ErrorCase("split: an axis that is not there", on("split", CUBE, 1, 3), IndexError, "split: expected dim in"),
    ErrorCase("chunk: no chunks", on("chunk", CUBE, 0), ValueError, "chunk: expected at least 1 chunk"),
    ErrorCase("chunk: an axis that is not there", on("chunk", CUBE, 2, 3), IndexError, "chunk: expected dim in"),
    ErrorCase("unbind: a number", lambda: shape.unbind(ml.tensor(1.0)), ValueError, "unbind: expected at least one dimension"),
    ErrorCase("flip: an axis twice", on("flip", CUBE, 0, 0), ValueError, "flip: expected each dim once"),
    ErrorCase("tril: one axis", on("tril", ml.ones(3)), ValueError, "tril: expected at least 2 dimensions"),
    ErrorCase("triu: one axis", on("triu", ml.ones(3)), ValueError, "triu: expected at least 2 dimensions"),
    ErrorCase("tril: a number", on("tril", ml.tensor(1.0)), ValueError, "tril: expected at least 2 dimensions"),
    ErrorCase("triu: a number", on("triu", ml.tensor(1.0)), ValueError, "triu: expected at least 2 dimensions"),
    ErrorCase("cat: nothing", on("cat", []), TypeError, "cat: expected a tuple or list of tensors"),
    ErrorCase("cat: shapes that differ elsewhere", on("cat", [CUBE, ml.ones(2, 3, 5)]), ValueError, "cat: expected tensors of one shape"),
    ErrorCase("cat: numbers", on("cat", [1.0, 2.0]), TypeError, "cat: expected tensors, got float"),
    ErrorCase("cat: an axis that is not there", on("cat", [CUBE, CUBE], 3), IndexError, "cat: expected dim in"),
    ErrorCase("stack: shapes that differ", on("stack", [CUBE, ml.ones(2)]), ValueError, "stack: expected tensors of one shape"),
    ErrorCase("stack: one tensor", on("stack", CUBE), TypeError, "stack: expected a tuple or list"),
    ErrorCase("stack: an axis that is not there", on("stack", [CUBE], 5), IndexError, "stack: expected dim in"),
    ErrorCase("repeat: fewer sizes than axes", lambda: CUBE.repeat(2), ValueError, "repeat: expected 3 or more sizes"),
    ErrorCase("movedim: two for one", lambda: shape.movedim(CUBE, (0, 1), 0), ValueError, "movedim"),
    ErrorCase("swapaxes: a list", lambda: shape.swapaxes([1.0], 0, 1), TypeError, "expected a tensor, got list"),
    ErrorCase("swapaxes: an axis too many", lambda: shape.swapaxes(CUBE, 0, 3), IndexError, r"dim in \[-3, 2\]"),
    ErrorCase("swapaxes: half an axis", lambda: shape.swapaxes(CUBE, 0.5, 1), TypeError, "dim to be an integer, got 0.5"),
    # Two names of one thing, and neither of one that is needed.
    ErrorCase("sum: dim and axis", lambda: CUBE.sum(0, axis=1), TypeError, "sum: expected dim or axis, .* got dim=0 and axis=1"),
    ErrorCase("sum: keepdim and keepdims", lambda: CUBE.sum(0, True, keepdims=False), TypeError, "sum: expected keepdim or keepdims"),
    ErrorCase("cat: dim and axis", lambda: shape.cat([CUBE], 1, axis=1), TypeError, "cat: expected dim or axis"),
    ErrorCase("unsqueeze: no dim", lambda: CUBE.unsqueeze(), TypeError, "dim to be an integer, got None"),
    ErrorCase("narrow: no start", lambda: CUBE.narrow(axis=0, length=1), TypeError, "narrow: expected start and length"),
    ErrorCase("select: no index", lambda: CUBE.select(axis=0), TypeError, "select: expected an index"),
    ErrorCase("unflatten: no sizes", lambda: CUBE.unflatten(0), TypeError, "unflatten: expected integers, got None"),
    ErrorCase("gather: sparse gradients", lambda: CUBE.gather(0, ml.zeros(1, 1, 1).long(), sparse_grad=True), NotImplementedError, "gradients are dense"),
    ErrorCase("gather: no index", lambda: CUBE.gather(axis=0), TypeError, "gather: expected"),
    ErrorCase("scatter: no src", lambda: CUBE.scatter(0, ml.zeros(1, 1, 1).long()), TypeError, "scatter: expected"),
    ErrorCase("scatter_add: no src", lambda: CUBE.scatter_add(0, ml.zeros(1, 1, 1).long()), TypeError, "scatter_add: expected"),
    ErrorCase("scatter_reduce: no reduce", lambda: CUBE.scatter_reduce(0, ml.zeros(1, 1, 1).long(), CUBE), ValueError, "scatter_reduce: expected"),
    ErrorCase("index_select: no index", lambda: CUBE.index_select(0), ValueError, "index_select: expected"),
    ErrorCase("index_add: no source", lambda: CUBE.index_add(0, ml.tensor([0])), TypeError, "index_add: expected"),
    ErrorCase("index_copy: no index", lambda: CUBE.index_copy(0), TypeError, "index_copy: expected"),
    ErrorCase("index_fill: no value", lambda: CUBE.index_fill(0, ml.tensor([0])), TypeError, "index_fill: expected"),
    ErrorCase("index_reduce: no reduce", lambda: CUBE.index_reduce(0, ml.tensor([0]), CUBE[:1]), ValueError, "index_reduce: expected"),
    ErrorCase("reshape: a shape twice", lambda: CUBE.reshape(24, shape=(24,)), TypeError, "reshape: expected shape once"),
    ErrorCase("view: a size twice", lambda: CUBE.view(24, size=(24,)), TypeError, "view: expected size once"),
    ErrorCase("permute: dims twice", lambda: CUBE.permute(0, 1, 2, dims=(0, 1, 2)), TypeError, "permute: expected dims once"),
    ErrorCase("tensor_split: no sections", lambda: shape.tensor_split(CUBE), TypeError, "expected sections or indices, got neither"),
    ErrorCase("hsplit: sections twice", lambda: shape.hsplit(CUBE, 1, indices=(1,)), TypeError, "expected sections or indices, got both"),
    ErrorCase("vdot: a list", lambda: F.vdot([1.0], ml.ones(1)), TypeError, "vdot: expected a tensor, got list"),
    ErrorCase("vdot: a matrix", lambda: F.vdot(ml.ones(2, 2), ml.ones(2)), ValueError, "vdot: expected"),
    ErrorCase("vdot: two lengths", lambda: F.vdot(ml.ones(3), ml.ones(2)), ValueError, "expected"),
    ErrorCase("div_: an unknown rounding", lambda: ml.ones(2).div_(2, rounding_mode="up"), ValueError, "div_: expected rounding_mode"),
    ErrorCase("backward: no inputs", lambda: ml.ones(1, requires_grad=True).sum().backward(inputs=[]), TypeError, "backward: expected inputs"),
    ErrorCase("backward: an input without a gradient", lambda: ml.ones(1, requires_grad=True).sum().backward(inputs=[ml.ones(1)]),
              RuntimeError, "backward: one of inputs does not require a gradient"),
    ErrorCase("backward: a list among inputs", lambda: ml.ones(1, requires_grad=True).sum().backward(inputs=[[1.0]]), TypeError, "backward: expected inputs"),
    ErrorCase("repeat_interleave: a matrix of numbers", lambda: shape.repeat_interleave(ml.ones(2, 2).long()), ValueError, "repeats of one dimension"),
    ErrorCase("roll: two for one", lambda: shape.roll(CUBE, 1, (0, 1)), ValueError, "roll: expected as many shifts as dims"),
]

# ---- matmul ----

ERRORS += [
    ErrorCase("matmul: inner sizes differ", lambda: ml.zeros(2, 3) @ ml.zeros(2, 3),
              ValueError, r"matmul: .*\(2, 3\).*transpose"),
    ErrorCase("matmul: a 0-d tensor", lambda: F.matmul(ml.tensor(2.0), ml.zeros(2, 3)),
              ValueError, r"matmul: .*dimensions"),
    ErrorCase("matmul: batches that do not broadcast", lambda: ml.zeros(2, 3, 4) @ ml.zeros(3, 4, 5),
              ValueError, r"matmul: .*broadcast"),
    ErrorCase("matmul: integers and floats", lambda: ml.tensor([[1]]) @ ml.tensor([[1.0]]), TypeError, r"matmul: .*int64.*float"),
    ErrorCase("matmul: two dtypes", lambda: ml.zeros(2, 2) @ ml.zeros(2, 2).double(),
              TypeError, r"matmul: .*one dtype"),
    ErrorCase("matmul: one factor missing", lambda: F.matmul(ml.zeros(2, 2), None), TypeError, "matmul: expected a tensor as input 1, got None"),
    ErrorCase("linear: in features differ", lambda: F.linear(ml.zeros(2, 3), ml.zeros(3, 4)),
              ValueError, r"linear: .*\(3, 4\)"),
    ErrorCase("linear: weight of one axis", lambda: F.linear(ml.zeros(2, 3), ml.zeros(3)),
              ValueError, r"linear: .*\(out, in\)"),
    ErrorCase("linear: bias of another size", lambda: F.linear(ml.zeros(2, 3), ml.zeros(4, 3), ml.zeros(3)),
              ValueError, r"linear: .*bias.*\(4,\)"),
    ErrorCase("linear: unknown activation", lambda: F.linear(ml.zeros(2, 3), ml.zeros(4, 3), None, "swish"),
              ValueError, r"linear: .*swish"),
    ErrorCase("linear: an array, not a tensor", lambda: F.linear(np.zeros((2, 3)), ml.zeros(4, 3)),
              TypeError, r"linear: expected tensors"),
]

# ---- conv ----

ERRORS += [
    ErrorCase("conv2d: channels differ", lambda: F.conv2d(ml.zeros(1, 3, 8, 8), ml.zeros(4, 2, 3, 3)),
              ValueError, r"conv2d: .*2 channels.*got 3"),
    ErrorCase("conv2d: two axes", lambda: F.conv2d(ml.zeros(8, 8), ml.zeros(4, 2, 3, 3)),
              ValueError, r"conv2d: .*\(C, H, W\)"),
    ErrorCase("conv2d: weight of three axes", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(4, 2, 3)),
              ValueError, r"conv2d: .*weight"),
    ErrorCase("conv2d: kernel larger than the image", lambda: F.conv2d(ml.zeros(1, 2, 2, 8), ml.zeros(4, 2, 3, 3)),
              ValueError, r"conv2d: .*height 2.*padding"),
    ErrorCase("conv2d: groups that do not divide", lambda: F.conv2d(ml.zeros(1, 4, 8, 8), ml.zeros(3, 2, 3, 3), groups=2),
              ValueError, r"conv2d: .*groups=2"),
    ErrorCase("conv2d: same with a stride", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), stride=2, padding="same"),
              ValueError, r"conv2d: .*stride 1"),
    ErrorCase("conv2d: stride 0", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), stride=0),
              ValueError, r"conv2d: .*stride of 1"),
    ErrorCase("conv2d: negative padding", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), padding=-1),
              ValueError, r"conv2d: .*padding of 0"),
    ErrorCase("conv2d: an unknown padding", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), padding="full"), ValueError, "'full'"),
    ErrorCase("conv2d: no groups", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), groups=0), ValueError, "groups to be an integer of 1"),
    ErrorCase("conv2d: three strides", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), stride=(1, 1, 1)),
              TypeError, r"conv2d: .*pair"),
    ErrorCase("conv2d: two dtypes", lambda: F.conv2d(ml.zeros(1, 2, 8, 8).double(), ml.zeros(3, 2, 3, 3)),
              TypeError, r"conv2d: .*one dtype"),
    ErrorCase("conv2d: bias of another size", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), ml.zeros(2)),
              ValueError, r"conv2d: .*bias"),
]

# ---- pool ----

IMAGE = ml.ones(1, 2, 6, 6)

ERRORS += [
    ErrorCase("max_pool2d: a matrix", lambda: F.max_pool2d(ml.ones(4, 4), 2), ValueError,
              r"batch, channels.*\(4, 4\).*unsqueeze"),
    ErrorCase("max_pool2d: an image smaller than the window", lambda: F.max_pool2d(ml.ones(1, 2, 2), 3), ValueError,
              r"\(1, 2, 2\)"),
    ErrorCase("max_pool2d: an image without places", lambda: F.max_pool2d(ml.ones(1, 2, 0, 4), 2), ValueError,
              r"\(1, 2, 0, 4\)"),
    ErrorCase("max_pool2d: padding over half the kernel", lambda: F.max_pool2d(IMAGE, 3, padding=2), ValueError,
              "half the kernel size"),
    ErrorCase("max_pool2d: a kernel of 0", lambda: F.max_pool2d(IMAGE, 0), ValueError,
              "kernel_size of at least 1, got 0"),
    ErrorCase("max_pool2d: a stride of 0", lambda: F.max_pool2d(IMAGE, 2, 0), ValueError, "stride of at least 1"),
    ErrorCase("max_pool2d: three sizes", lambda: F.max_pool2d(IMAGE, (1, 2, 3)), ValueError, "pair"),
    ErrorCase("max_pool2d: a float kernel", lambda: F.max_pool2d(IMAGE, 2.0), TypeError, r"kernel_size.*2\.0"),
    ErrorCase("max_pool2d: integers", lambda: F.max_pool2d(ml.ones(1, 4, 4, dtype="int64"), 2), TypeError,
              r"int64.*\.float\(\)"),
    ErrorCase("avg_pool2d: negative padding", lambda: F.avg_pool2d(IMAGE, 2, padding=-1), ValueError,
              "padding of at least 0"),
    ErrorCase("avg_pool2d: a divisor of 0", lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), ValueError,
              "other than 0"),
    ErrorCase("avg_pool2d: a float divisor", lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0.5), TypeError,
              "divisor_override"),
    ErrorCase("avg_pool2d: a vector", lambda: F.avg_pool2d(ml.ones(4), 2), ValueError, r"\(4,\)"),
    ErrorCase("adaptive_avg_pool2d: three sizes", lambda: F.adaptive_avg_pool2d(IMAGE, (1, 2, 3)), ValueError, "pair"),
    ErrorCase("adaptive_avg_pool2d: a negative size", lambda: F.adaptive_avg_pool2d(IMAGE, -1), ValueError,
              "at least 0, got -1"),
    ErrorCase("adaptive_avg_pool2d: a float size", lambda: F.adaptive_avg_pool2d(IMAGE, 1.5), TypeError, r"1\.5"),
    ErrorCase("adaptive_avg_pool2d: bools", lambda: F.adaptive_avg_pool2d(ml.ones(1, 2, 2, dtype="bool"), 1),
              TypeError, "bool"),
]

# ---- norm ----

ERRORS += [
    ErrorCase("layer_norm: other last axes", lambda: F.layer_norm(ml.ones(2, 3), 4), ValueError,
              r"normalized_shape=\(4,\).*\(2, 3\)"),
    ErrorCase("layer_norm: no axes", lambda: F.layer_norm(ml.ones(2, 3), ()), ValueError, "at least one axis"),
    ErrorCase("layer_norm: a float shape", lambda: F.layer_norm(ml.ones(2, 3), (3.0,)), TypeError, "normalized_shape"),
    ErrorCase("layer_norm: a weight of another size", lambda: F.layer_norm(ml.ones(2, 3), 3, ml.ones(2)), ValueError,
              r"\(3,\).*\(2,\)"),
    ErrorCase("layer_norm: a bias of another type", lambda: F.layer_norm(ml.ones(2, 3), 3, None,
        ml.ones(3, dtype="float64")), TypeError,
              "float32, got float64"),
    ErrorCase("layer_norm: integers", lambda: F.layer_norm(ml.tensor([1, 2]), 2), TypeError, "int64"),
    ErrorCase("batch_norm: one value a channel", lambda: F.batch_norm(ml.ones(1, 3), None, None, training=True),
              ValueError,
              r"more than one value.*\(1, 3\)"),
    ErrorCase("batch_norm: no running statistics", lambda: F.batch_norm(ml.ones(2, 3), None, ml.ones(3)), ValueError,
              "running_mean.*training=True"),
    ErrorCase("batch_norm: no channels", lambda: F.batch_norm(ml.ones(3), None, None, training=True), ValueError,
              r"\(3,\)"),
    ErrorCase("batch_norm: statistics of another size", lambda: F.batch_norm(ml.ones(2, 3), ml.ones(2), ml.ones(3)),
              ValueError,
              r"running_mean of shape \(3,\)"),
    ErrorCase("batch_norm: statistics that are no tensor", lambda: F.batch_norm(ml.ones(2, 3), 0.0, ml.ones(3)),
              TypeError, "got float"),
    ErrorCase("batch_norm: statistics elsewhere", lambda: F.batch_norm(ml.ones(2, 3), ml.ones(3).to("standin"), ml.ones(3)),
              RuntimeError, "running_mean on the input's device"),
    ErrorCase("batch_norm: momentum None", lambda: F.batch_norm(ml.ones(2, 3), None, None, training=True,
        momentum=None), TypeError, "momentum"),
    ErrorCase("batch_norm: integers", lambda: F.batch_norm(ml.tensor([[1, 2], [3, 4]]), None, None, training=True),
              TypeError, "int64"),
]

# ---- softmax, losses ----

SCORES, LABELS = ml.zeros(4, 3), ml.tensor([0, 1, 2, 0])

ERRORS += [
    ErrorCase("softmax: a dim too many", lambda: F.softmax(SCORES, 2), IndexError, r"\[-2, 1\].*got 2"),
    ErrorCase("softmax: dim a text", lambda: F.softmax(SCORES, "a"), TypeError, "dim"),
    ErrorCase("softmax: integers", lambda: F.softmax(LABELS, 0), TypeError, "int64"),
    ErrorCase("log_softmax: a dim too many", lambda: F.log_softmax(SCORES, -3), IndexError, "got -3"),
    ErrorCase("log_softmax: a float dim", lambda: F.log_softmax(SCORES, 0.5), TypeError, r"0\.5"),
    ErrorCase("log_softmax: integers", lambda: F.log_softmax(LABELS, 0), TypeError, "int64"),
    ErrorCase("cross_entropy: a label past the classes", lambda: F.cross_entropy(SCORES, ml.tensor([0, 1, 3, 0])),
              IndexError,
              r"\[0, 3\) for 3 classes.*got 3"),
    ErrorCase("cross_entropy: a negative label", lambda: F.cross_entropy(SCORES, ml.tensor([0, -1, 0, 0])), IndexError,
              "got -1"),
    ErrorCase("cross_entropy: too few labels", lambda: F.cross_entropy(SCORES, LABELS[:2]), ValueError,
              r"\(4,\).*\(2,\)"),
    ErrorCase("cross_entropy: probabilities of another shape", lambda: F.cross_entropy(SCORES, ml.zeros(4)),
              ValueError, "probabilities"),
    ErrorCase("cross_entropy: bool labels", lambda: F.cross_entropy(SCORES, LABELS == 0), TypeError,
              r"bool.*\.long\(\)"),
    *[ErrorCase(f"{name}: int32 labels", lambda f=f: f(SCORES, LABELS.int()), TypeError,
                rf"{name}: expected integer labels, int64 or uint8, .*got int32; convert them with \.long\(\)")
      for name, f in (("cross_entropy", F.cross_entropy), ("nll_loss", F.nll_loss))],
    ErrorCase("cross_entropy: integer scores", lambda: F.cross_entropy(SCORES.long(), LABELS), TypeError, "int64"),
    ErrorCase("cross_entropy: scores without classes", lambda: F.cross_entropy(ml.tensor(1.0), ml.tensor(0)),
              ValueError, r"\(\)"),
    ErrorCase("cross_entropy: another reduction", lambda: F.cross_entropy(SCORES, LABELS, reduction="avg"), ValueError,
              "'avg'"),
    ErrorCase("cross_entropy: smoothing of 2", lambda: F.cross_entropy(SCORES, LABELS, label_smoothing=2), ValueError,
              r"\[0, 1\], got 2"),
    ErrorCase("cross_entropy: smoothing None", lambda: F.cross_entropy(SCORES, LABELS, label_smoothing=None),
              TypeError, "label_smoothing"),
    ErrorCase("cross_entropy: weights for other classes", lambda: F.cross_entropy(SCORES, LABELS, ml.ones(4)),
              ValueError, r"\(3,\).*\(4,\)"),
    ErrorCase("cross_entropy: weights that ask for a gradient",
              lambda: F.cross_entropy(SCORES, LABELS, ml.ones(3).requires_grad_()),
              RuntimeError, r"weight\.detach\(\)"),
    ErrorCase("cross_entropy: ignore_index with probabilities",
              lambda: F.cross_entropy(SCORES, SCORES, ignore_index=1), ValueError,
              "ignore_index=1"),
    ErrorCase("cross_entropy: a float ignore_index", lambda: F.cross_entropy(SCORES, LABELS, ignore_index=1.0),
              TypeError, "ignore_index"),
    ErrorCase("nll_loss: a label past the classes", lambda: F.nll_loss(SCORES, LABELS + 1), IndexError,
              "3 classes.*got 3"),
    ErrorCase("nll_loss: float labels", lambda: F.nll_loss(SCORES, ml.zeros(4)), TypeError, r"float32.*\.long\(\)"),
    ErrorCase("nll_loss: another reduction", lambda: F.nll_loss(SCORES, LABELS, reduction=None), ValueError, "None"),
    ErrorCase("mse_loss: shapes that do not broadcast", lambda: F.mse_loss(ml.ones(3, 2), ml.ones(3)), ValueError,
              r"\(3, 2\) and \(3,\)"),
    ErrorCase("mse_loss: a number as target", lambda: F.mse_loss(ml.ones(3), 1.0), TypeError, "got float"),
    ErrorCase("mse_loss: integers", lambda: F.mse_loss(LABELS, LABELS), TypeError, "int64"),
    ErrorCase("mse_loss: another reduction", lambda: F.mse_loss(SCORES, SCORES, "max"), ValueError, "'max'"),
]

# ---- embedding ----

TABLE = ml.ones(5, 3)

ERRORS += [
    ErrorCase("embedding: an index past the table", lambda: F.embedding(ml.tensor([0, 5]), TABLE), IndexError,
              r"\[0, 5\).* got 5 at position 1"),
    ErrorCase("embedding: a negative index", lambda: F.embedding(ml.tensor([[-1]]), TABLE), IndexError, "got -1"),
    ErrorCase("embedding: float indices", lambda: F.embedding(ml.ones(2), TABLE), TypeError, r"float32.*\.long\(\)"),
    ErrorCase("embedding: arguments the wrong way round", lambda: F.embedding(TABLE, ml.tensor([0])), TypeError, "indices"),
    ErrorCase("embedding: a weight of one dimension", lambda: F.embedding(ml.tensor([0]), ml.ones(3)), ValueError,
              r"\(rows, features\), got \(3,\)"),
    ErrorCase("embedding: an integer weight", lambda: F.embedding(ml.tensor([0]), ml.tensor([[1]])), TypeError, "int64"),
    ErrorCase("embedding: padding_idx past the table", lambda: F.embedding(ml.tensor([0]), TABLE, padding_idx=5),
              ValueError, r"padding_idx in \[-5, 5\)"),
    ErrorCase("embedding: padding_idx no integer", lambda: F.embedding(ml.tensor([0]), TABLE, padding_idx=1.5),
              TypeError, "padding_idx"),
    ErrorCase("embedding: no tensor", lambda: F.embedding([0], TABLE), TypeError, "expected tensors, got list"),
]

# ---- dropout ----

ERRORS += [
    ErrorCase("dropout: p above 1", lambda: F.dropout(ml.ones(3), 1.5), ValueError, r"\[0, 1\], got 1.5"),
    ErrorCase("dropout: p no number", lambda: F.dropout(ml.ones(3), "half"), TypeError, "'half'"),
    ErrorCase("dropout: p is NaN", lambda: F.dropout(ml.ones(3), float("nan")), ValueError, "got nan"),
    ErrorCase("dropout: integers", lambda: F.dropout(ml.tensor([1, 2])), TypeError, "int64"),
    ErrorCase("dropout: no tensor", lambda: F.dropout([1.0]), TypeError, "got list"),
    ErrorCase("dropout: rng no generator", lambda: F.dropout(ml.ones(3), rng=3), TypeError, "Generator"),
]

# ---- random ----

ERRORS += []

# ---- tensor, tape, gradcheck ----

# (The tape's own refusals are beside what they guard, in tests/test_tape.py, and gradcheck's in tests/test_testers.py.)

for f in ("zeros", "ones", "empty", "rand", "randn"):
    ERRORS += [
        ErrorCase(f"{f}: a negative size", on(f, 2, -1), ValueError, rf"{f}: expected sizes of 0 or more, got \(2, -1\)"),
        ErrorCase(f"{f}: half a size", on(f, 1.5), TypeError, f"{f}: expected sizes to be integers, got 1.5"),
        ErrorCase(f"{f}: a size beyond all memory", on(f, 2**70), ValueError,
                  rf"{f}: expected sizes whose product is below 2\*\*60, got \(1180591620717411303424,\); make it smaller"),
        ErrorCase(f"{f}: sizes beyond all memory", on(f, (2**31, 0, 2**31)), ValueError, f"{f}: expected sizes whose product"),
        ErrorCase(f"{f}: an unknown dtype", lambda f=f: getattr(F, f)(2, dtype="float16"), TypeError, "dtype: .*float16"),
        ErrorCase(f"{f}: an unknown device", lambda f=f: getattr(F, f)(2, device="tpu"), ValueError, "'tpu'"),
    ]
for f in ("zeros_like", "ones_like"):
    ERRORS += [
        ErrorCase(f"{f}: an ndarray", on(f, np.ones(2)), TypeError, f"{f}: expected a tensor, got ndarray"),
        ErrorCase(f"{f}: a shape", on(f, (2, 3)), TypeError, f"{f}: expected a tensor, got tuple"),
        ErrorCase(f"{f}: an unknown dtype", lambda f=f: getattr(F, f)(ml.ones(2), dtype="complex64"), TypeError, "dtype"),
    ]
for f in ("tensor", "as_tensor", "asarray"):
    ERRORS += [
        ErrorCase(f"{f}: rows of different lengths", on(f, [[1.0], [1.0, 2.0]]), ValueError, "tensor: expected rows of equal length"),
        ErrorCase(f"{f}: a text", on(f, "abc"), TypeError, "tensor: expected float32"),
        ErrorCase(f"{f}: complex numbers", on(f, np.ones(2, complex)), TypeError, "got complex128"),
        ErrorCase(f"{f}: an unknown dtype", lambda f=f: getattr(F, f)([1.0], dtype="float8"), TypeError, "dtype: .*float8"),
    ]
ERRORS += [
    ErrorCase("full: a text", on("full", (2,), "a"), TypeError, "full: expected numbers, got 'a'"),
    ErrorCase("full: a negative size", on("full", (-2,), 1.0), ValueError, "full: expected sizes of 0 or more"),
    ErrorCase("full: beyond the type", lambda: F.full((2,), 300, dtype="uint8"), ValueError, "full: the number 300 does not fit in uint8"),
    ErrorCase("full: beyond all integers", on("full", (2,), 2**70), ValueError, "full: the number 1180591620717411303424 does not fit in int64"),
    ErrorCase("full: a size beyond all memory", on("full", 2**70, 1.0), ValueError, "full: expected sizes whose product"),
    ErrorCase("eye: a size beyond all memory", on("eye", 2**40), ValueError, "eye: expected sizes whose product"),
    ErrorCase("arange: beyond all integers", on("arange", 2**70), ValueError, "arange: expected finite numbers that fit in int64"),
    ErrorCase("arange: beyond all floats", on("arange", 0.5, 10 ** 400), ValueError, "arange: expected finite numbers that fit in float64"),
    ErrorCase("arange: without end", on("arange", float("inf")), ValueError, "arange: expected finite numbers .*0 to inf"),
    ErrorCase("arange: beyond all memory", on("arange", 2**61), ValueError, "arange: expected sizes whose product"),
    ErrorCase("linspace: beyond all memory", on("linspace", 0, 1, 2**70), ValueError, "linspace: expected sizes whose product"),
    ErrorCase("randint: a size beyond all memory", on("randint", 0, 3, (2**70,)), ValueError, "randint: expected sizes whose product"),
    ErrorCase("randperm: beyond all memory", on("randperm", 2**70), ValueError, "randperm: expected sizes whose product"),
    ErrorCase("expand: beyond 64 bits", lambda: GRID.expand(2**70, 3, 4), ValueError, "expand: expected integers of 64 bits"),
    ErrorCase("repeat: beyond 64 bits", lambda: GRID.repeat(2**70, 1), ValueError, "repeat: expected integers of 64 bits"),
    ErrorCase("one_hot: beyond 64 bits", on("one_hot", ml.tensor([1]), 2**70), ValueError, "one_hot: .*below 2\\*\\*63"),
    ErrorCase("full: half a size", on("full", 1.5, 1.0), TypeError, "full: expected sizes to be integers"),
    ErrorCase("arange: no step", on("arange", 0, 5, 0), ValueError, "arange: expected a step other than 0"),
    ErrorCase("arange: the wrong direction", on("arange", 5, 0), ValueError, "arange: .*5 to 0"),
    ErrorCase("arange: a text", on("arange", "a"), TypeError, "arange: expected numbers, got 'a'"),
    ErrorCase("linspace: a negative count", on("linspace", 0, 1, -1), ValueError, "linspace: expected steps >= 0"),
    ErrorCase("linspace: half a count", on("linspace", 0, 1, 2.5), TypeError, "linspace: expected steps to be integers"),
    ErrorCase("linspace: a text", on("linspace", "a", 1, 2), TypeError, "linspace: expected numbers, got 'a'"),
    ErrorCase("eye: a negative size", on("eye", -1), ValueError, "eye: expected sizes of 0 or more"),
    ErrorCase("eye: half a size", on("eye", 1.5), TypeError, "eye: expected sizes to be integers"),
    ErrorCase("eye: a shape", on("eye", (2, 2)), TypeError, "eye: expected sizes to be integers"),
    ErrorCase("randint: an empty range", on("randint", 3, 3, (2,)), ValueError, "randint: expected low < high, got 3 and 3"),
    ErrorCase("randint: half a bound", on("randint", 0.5, 3, (2,)), TypeError, "randint: expected bounds to be integers"),
    ErrorCase("randint: a negative size", on("randint", 0, 3, (-2,)), ValueError, "randint: expected sizes of 0 or more"),
    ErrorCase("randperm: a negative count", on("randperm", -1), ValueError, "randperm: expected sizes of 0 or more"),
    ErrorCase("randperm: half a count", on("randperm", 0.5), TypeError, "randperm: expected sizes to be integers"),
    ErrorCase("randperm: a list", on("randperm", [[1]]), TypeError, "randperm: expected sizes to be integers"),
    ErrorCase("from_numpy: a list", on("from_numpy", [1.0]), TypeError, "from_numpy: expected an ndarray, got list"),
    ErrorCase("from_numpy: read-only memory", on("from_numpy", np.broadcast_to(np.float32(1), (2,))), ValueError, "read-only"),
    ErrorCase("from_numpy: complex numbers", on("from_numpy", np.ones(2, complex)), TypeError, "got complex128"),
    ErrorCase("from_dlpack: a list", on("from_dlpack", [1.0]), TypeError, "from_dlpack: expected an object with __dlpack__"),
    ErrorCase("from_dlpack: None", on("from_dlpack", None), TypeError, "from_dlpack: .*NoneType"),
    ErrorCase("from_dlpack: complex numbers", on("from_dlpack", np.ones(2, complex)), TypeError, "got complex128"),
    ErrorCase("item: many elements", lambda: ml.ones(2).item(), ValueError, r"item: .*\(2,\)"),
    ErrorCase("numpy: a gradient to lose", lambda: ml.ones(2, requires_grad=True).numpy(), RuntimeError, "detach\\(\\).numpy\\(\\)"),
    ErrorCase("numpy: another device", lambda: ml.ones(2).to("standin").numpy(), TypeError, "on standin; use .cpu"),
    ErrorCase("bool: many elements", lambda: bool(ml.ones(2)), ValueError, "use .any\\(\\) or .all"),
    ErrorCase("index: of a float", lambda: [1, 2][ml.tensor(1.0)], TypeError, "integer tensor of one element"),
    ErrorCase("len: a number", lambda: len(ml.tensor(1.0)), TypeError, "len: expected a tensor with at least one dimension"),
    ErrorCase("iter: a number", lambda: iter(ml.tensor(1.0)), TypeError, "iter: expected"),
    ErrorCase("detach_: a view", lambda: ml.ones(2).reshape(2, 1).detach_(), RuntimeError, "detach_: a view"),
    ErrorCase("cuda: none here", lambda: ml.ones(2).cuda(), RuntimeError, "device 'cuda' cannot be used here: .*; use 'cpu'"),
    ErrorCase("tensor: nothing as a number", on("tensor", [None]), TypeError, "tensor: expected float32.*got object"),
    ErrorCase("tensor: None made a float", lambda: F.tensor([None], dtype="float32"), TypeError, "tensor: expected float32.*got object"),
    ErrorCase("tensor: complex made a float", lambda: F.tensor([1j], dtype="float32"), TypeError, "got complex128"),
    ErrorCase("from_numpy: another byte order", on("from_numpy", np.ones(2, ">f4")), ValueError, "from_numpy: .*byte order, got '>f4'"),
    ErrorCase("mul: a half-precision ndarray", lambda: ml.ones(2) * np.ones(2, "f2"), TypeError, "mul: .*float16; convert"),
    ErrorCase("mul: another byte order", lambda: np.ones(2, ">f4") * ml.ones(2), TypeError, "mul: expected an array of float32.*>f4"),
    ErrorCase("mul: a complex number", lambda: ml.ones(2) * np.complex64(1), TypeError, "mul: expected a tensor or a number"),
    ErrorCase("mul: a number beyond all floats", lambda: ml.ones(2) * 10 ** 400, ValueError, "mul: the number 1000.*does not fit"),
    ErrorCase("bitwise_xor: floats", lambda: YES ^ ml.ones(2), TypeError, "bitwise_xor: expected bools or integers, got float32"),
    ErrorCase("bitwise_and: a float", lambda: ml.tensor([6]) & 2.0, TypeError, "bitwise_and: expected bools or integers, got float32"),
    ErrorCase("bitwise_not: floats", lambda: ~ml.ones(2), TypeError, "bitwise_not: expected bools or integers, got float32"),
    ErrorCase("bitwise_not: a number", lambda: F.bitwise_not(2), TypeError, "bitwise_not: expected a tensor, got int"),
    ErrorCase("bitwise_not: a list", lambda: F.bitwise_not([2]), TypeError, "bitwise_not: expected a tensor, got list"),
    ErrorCase("mul: a list, which a number would repeat", lambda: ml.tensor(2) * [1], TypeError, "mul: expected a tensor or a number, got list"),
    ErrorCase("bitwise_left_shift: bools", lambda: YES << YES, TypeError, "bitwise_left_shift: expected numbers, got bool"),
    ErrorCase("bitwise_right_shift: a number beyond the type", lambda: ml.tensor([1], dtype=ml.uint8) >> 300, ValueError,
              "bitwise_right_shift: the number 300 does not fit in uint8"),
    ErrorCase("or in place: numbers into bools", lambda: YES.bitwise_or_(ml.tensor([1, 2])), TypeError,
              "bitwise_or_: the result is int64, which does not fit in the tensor's bool"),
    ErrorCase("fill_: NaN as an integer", lambda: ml.tensor([1]).fill_(float("nan")), ValueError, "fill_: the number nan does not fit in int64"),
    ErrorCase("assign: beyond the type", lambda: assign(ml.tensor([1], dtype=ml.uint8), 0, 300), ValueError, "setitem: the number 300.*uint8"),
    ErrorCase("masked_fill: infinite integers", lambda: ml.tensor([1, 2]).masked_fill(YES, float("inf")), ValueError, "masked_fill: .*inf"),
    ErrorCase("use_backend: an unknown one", lambda: ml.use_backend("fast"), ValueError, "use_backend: .*'fast'"),
    ErrorCase("register_package: none of that name", lambda: ml.register_package("no_such_package"), ModuleNotFoundError, "no_such_package"),
    ErrorCase("family: none of that name", lambda: dispatch.family("nonsense"), LookupError, "nonsense_reference.py"),
]

# ---- layer, containers, init ----

X = ml.ones(2, 4)


def hooked(layer, hook):
    """A forward and backward pass of a layer with a backward hook."""
    layer.register_full_backward_hook(hook)
    layer(ml.ones(2, 4, requires_grad=True)).sum().backward()


for name in ("ReLU", "Sigmoid", "Tanh", "GELU", "Softmax", "LogSoftmax", "Flatten", "Identity", "Linear", "Conv2d",
             "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Embedding", "Dropout", "LayerNorm", "BatchNorm1d", "BatchNorm2d",
             "MSELoss", "CrossEntropyLoss", "Sequential", "ModuleList", "ModuleDict"):
    settings = {"Softmax": (0,), "LogSoftmax": (0,), "Linear": (4, 3), "Conv2d": (3, 4, 3), "MaxPool2d": (2,), "AvgPool2d": (2,),
                "AdaptiveAvgPool2d": (1,), "Embedding": (5, 3), "LayerNorm": (4,), "BatchNorm1d": (4,), "BatchNorm2d": (4,)}
    made = lambda name=name, settings=settings: getattr(ml, name)(*settings.get(name, ()))  # noqa: E731
    ERRORS += [
        ErrorCase(f"{name}: a mode that is no bool", lambda made=made: made().train("yes"), ValueError, "train: expected True or False"),
        ErrorCase(f"{name}: state of another model", lambda made=made: made().load_state_dict({"nobody": ml.ones(1)}), RuntimeError,
                  f"does not fit {name}: .*unexpected: nobody"),
        ErrorCase(f"{name}: parameters as integers", lambda made=made: made().to(dtype="int64"), TypeError, "to: expected float32 or float64"),
    ]
for name, settings in (("ReLU", ()), ("Sigmoid", ()), ("Tanh", ()), ("GELU", ()), ("Softmax", (0,)), ("LogSoftmax", (0,)), ("Linear", (4, 3)),
                       ("Conv2d", (3, 4, 3)), ("MaxPool2d", (2,)), ("AvgPool2d", (2,)), ("AdaptiveAvgPool2d", (1,)), ("Embedding", (5, 3)),
                       ("Dropout", ()), ("LayerNorm", (4,)), ("Flatten", ())):
    ERRORS += [ErrorCase(f"{name}: a list", lambda name=name, settings=settings: getattr(ml, name)(*settings)([1.0]), TypeError,
                         "expected .*tensor.*got list")]
ERRORS += [
    ErrorCase("Linear: another width", lambda: ml.Linear(3, 2)(X), ValueError, r"linear: .*\(\.\.\., 3\).*got \(2, 4\)"),
    ErrorCase("Linear: half a feature", lambda: ml.Linear(0.5, 2), TypeError, "Linear: expected in_features to be an integer"),
    ErrorCase("Linear: a negative width", lambda: ml.Linear(-1, 2), ValueError, "Linear: expected in_features >= 0"),
    ErrorCase("Linear: another dtype", lambda: ml.Linear(4, 2)(X.double()), TypeError, "linear: .*float64"),
    ErrorCase("Conv2d: other channels", lambda: ml.Conv2d(3, 4, 3)(ml.ones(1, 2, 5, 5)), ValueError, "conv2d: expected an input of 3 channels"),
    ErrorCase("Conv2d: groups that do not divide", lambda: ml.Conv2d(3, 4, 3, groups=2), ValueError, "divisible by groups=2"),
    ErrorCase("Conv2d: no kernel", lambda: ml.Conv2d(3, 4, 0), ValueError, "Conv2d: expected kernel_size >= 1"),
    ErrorCase("Conv2d: half a kernel", lambda: ml.Conv2d(3, 4, 1.5), TypeError, "Conv2d: expected kernel_size"),
    ErrorCase("Conv2d: three numbers", lambda: ml.Conv2d(3, 4, (1, 2, 3)), ValueError, "Conv2d: expected kernel_size"),
    ErrorCase("Conv2d: same with a stride", lambda: ml.Conv2d(3, 4, 3, stride=2, padding="same"), ValueError, "stride 1"),
    ErrorCase("Conv2d: an unknown padding", lambda: ml.Conv2d(3, 4, 3, padding="full"), ValueError, "'full'"),
    ErrorCase("Conv2d: an unknown padding mode", lambda: ml.Conv2d(3, 4, 3, padding_mode="mirror"), ValueError, "padding_mode"),
    ErrorCase("MaxPool2d: padding wider than half", lambda: ml.MaxPool2d(2, padding=2), ValueError, "MaxPool2d: expected padding of at most half"),
    ErrorCase("AvgPool2d: divisor 0", lambda: ml.AvgPool2d(2, divisor_override=0), ValueError, "AvgPool2d: expected divisor_override to be None or"),
    ErrorCase("AdaptiveAvgPool2d: three sizes", lambda: ml.AdaptiveAvgPool2d((1, 2, 3)), ValueError, "AdaptiveAvgPool2d"),
    ErrorCase("Embedding: an index past the table", lambda: ml.Embedding(5, 3)(ml.tensor([5])), IndexError, r"\[0, 5\)"),
    ErrorCase("Dropout: p above 1", lambda: ml.Dropout(1.5), ValueError, r"Dropout: expected p in \[0, 1\]"),
    ErrorCase("Dropout: p no number", lambda: ml.Dropout("half"), TypeError, "Dropout: expected p to be a number"),
    ErrorCase("LayerNorm: another width", lambda: ml.LayerNorm(3)(X), ValueError, "layer_norm"),
    ErrorCase("LayerNorm: no axis", lambda: ml.LayerNorm(()), ValueError, "at least one axis, got ()"),
    ErrorCase("Embedding: padding_idx past the table", lambda: ml.Embedding(5, 3, padding_idx=5), ValueError, r"padding_idx in \[-5, 4\]"),
    ErrorCase("Embedding: half a padding_idx", lambda: ml.Embedding(5, 3, padding_idx=0.5), TypeError, "padding_idx to be an integer"),
    ErrorCase("Embedding: vectors without a table", lambda: ml.Embedding.from_pretrained(ml.ones(3)), ValueError, "expected a matrix of vectors"),
    ErrorCase("Layer: a backward hook that returns too much", lambda: hooked(ml.Linear(4, 2), lambda layer, dx, dy: (X, X)), RuntimeError,
              "Linear: a backward hook returned 2 gradients, expected 1"),
    ErrorCase("LayerNorm: a negative eps", lambda: ml.LayerNorm(3, eps=-1.0), ValueError, "LayerNorm: expected eps"),
    ErrorCase("LayerNorm: eps no number", lambda: ml.LayerNorm(3, eps="a"), TypeError, "LayerNorm: expected eps to be a number"),
    ErrorCase("BatchNorm1d: images", lambda: ml.BatchNorm1d(3)(ml.ones(2, 3, 4, 4)), ValueError, "BatchNorm1d: expected an input with 2 or 3"),
    ErrorCase("BatchNorm1d: one example", lambda: ml.BatchNorm1d(4)(X[:1]), ValueError, "batch_norm|BatchNorm1d"),
    ErrorCase("BatchNorm2d: vectors", lambda: ml.BatchNorm2d(4)(X), ValueError, "BatchNorm2d: expected an input with 4"),
    ErrorCase("Softmax: a text as axis", lambda: ml.Softmax("a"), TypeError, "Softmax: expected dim to be an integer, got 'a'"),
    ErrorCase("LogSoftmax: half an axis", lambda: ml.LogSoftmax(0.5), TypeError, "LogSoftmax: expected dim"),
    ErrorCase("GELU: an unknown formula", lambda: ml.GELU("sigmoid"), ValueError, "GELU: .*'sigmoid'"),
    ErrorCase("MSELoss: an unknown reduction", lambda: ml.MSELoss("avg"), ValueError, "MSELoss: .*'avg'"),
    ErrorCase("MSELoss: another shape", lambda: ml.MSELoss()(X, X[:, :3]), ValueError, "mse_loss"),
    ErrorCase("CrossEntropyLoss: an unknown reduction", lambda: ml.CrossEntropyLoss(reduction="avg"), ValueError, "'avg'"),
    ErrorCase("CrossEntropyLoss: too much smoothing", lambda: ml.CrossEntropyLoss(label_smoothing=2), ValueError, "label_smoothing"),
    ErrorCase("CrossEntropyLoss: a label too large", lambda: ml.CrossEntropyLoss()(X, ml.tensor([0, 4])), IndexError, "4"),
    ErrorCase("Sequential: a function", lambda: ml.Sequential(F.relu), TypeError, "expected Layers, got"),
    ErrorCase("Sequential: beyond the end", lambda: ml.Sequential(ml.ReLU())[1], IndexError, "index 1 is out of range for 1 layers"),
    ErrorCase("Sequential: a text as index", lambda: ml.Sequential(ml.ReLU())["a"], TypeError, "integer or a slice as index"),
    ErrorCase("ModuleList: a number", lambda: ml.ModuleList([1]), TypeError, "expected Layers, got int"),
    ErrorCase("ModuleList: called", lambda: ml.ModuleList([])(X), NotImplementedError, "defines forward"),
    ErrorCase("ModuleDict: no such layer", lambda: ml.ModuleDict({"a": ml.ReLU()})["b"], KeyError, "no layer 'b'; its layers: a"),
    ErrorCase("ModuleDict: the name of a method", lambda: ml.ModuleDict({"keys": ml.ReLU()}), KeyError, "an attribute 'keys' already"),
    ErrorCase("Layer: a buffer named as a method", lambda: ml.ReLU().register_buffer("forward", ml.ones(1)), KeyError, "'forward' already"),
    ErrorCase("Layer: state by number", lambda: ml.Linear(2, 2).load_state_dict({1: ml.ones(1)}), RuntimeError, "missing: weight, bias; unexpected: 1"),
    ErrorCase("Layer: a hook that is none", lambda: ml.ReLU().register_forward_hook(3), TypeError, "hook: expected a function, got int"),
    ErrorCase("ModuleDict: a number", lambda: ml.ModuleDict({"a": 1}), TypeError, "expected Layers, got int"),
    ErrorCase("ModuleDict: a dot in a name", lambda: ml.ModuleDict({"a.b": ml.ReLU()}), ValueError, "name without dots"),
    ErrorCase("Layer: no forward", lambda: ml.Layer()(X), NotImplementedError, "defines forward"),
    ErrorCase("Layer: a parameter that is none", lambda: ml.Layer().register_parameter("w", X), TypeError, "expected a Parameter or None"),
    ErrorCase("Layer: a buffer that is none", lambda: ml.Layer().register_buffer("b", 1.0), TypeError, "expected a Tensor or None"),
    ErrorCase("Layer: a child that is none", lambda: ml.Layer().add_module("c", 1.0), TypeError, "expected a Layer or None"),
    ErrorCase("Layer: a name that is taken", lambda: ml.Layer().register_buffer("training", X), KeyError, "has an attribute 'training' already"),
    ErrorCase("Layer: a parameter overwritten", lambda: setattr(ml.Linear(2, 2), "weight", X), TypeError, "expected a Parameter or None"),
    ErrorCase("Layer: no such path", lambda: ml.Sequential(ml.ReLU()).get_submodule("0.x"), AttributeError, "has no layer 'x'"),
    ErrorCase("Layer: state that is no dict", lambda: ml.Linear(2, 2).load_state_dict([1]), TypeError, "expected a dict of tensors"),
    ErrorCase("Layer: state of another shape", lambda: ml.Linear(2, 2).load_state_dict({"weight": ml.ones(3, 2), "bias": ml.ones(2)}),
              RuntimeError, r"weight: expected shape \(2, 2\), got \(3, 2\)"),
    ErrorCase("Layer: state of numbers", lambda: ml.Linear(2, 2).load_state_dict({"weight": 1.0, "bias": ml.ones(2)}), RuntimeError,
              "weight: expected a tensor, got float"),
    ErrorCase("uniform_: bounds the wrong way round", lambda: ml.init.uniform_(ml.ones(2), 1.0, 0.0), ValueError, "expected a <= b"),
    ErrorCase("uniform_: integers", lambda: ml.init.uniform_(ml.tensor([1])), TypeError, "init.uniform_: expected a float tensor, got int64"),
    ErrorCase("uniform_: a list", lambda: ml.init.uniform_([1.0]), TypeError, "got list"),
    ErrorCase("normal_: a negative std", lambda: ml.init.normal_(ml.ones(2), 0.0, -1.0), ValueError, "std >= 0"),
    ErrorCase("trunc_normal_: a std of 0", lambda: ml.init.trunc_normal_(ml.ones(2), 0.0, 0.0), ValueError, "std > 0"),
    ErrorCase("trunc_normal_: bounds the wrong way round", lambda: ml.init.trunc_normal_(ml.ones(2), a=1.0, b=0.0), ValueError, "a < b"),
    ErrorCase("trunc_normal_: bounds far away", lambda: ml.init.trunc_normal_(ml.ones(2), a=9.0, b=10.0), ValueError, "move the bounds"),
    ErrorCase("eye_: a vector", lambda: ml.init.eye_(ml.ones(2)), ValueError, "expected a matrix"),
    ErrorCase("xavier_uniform_: a vector", lambda: ml.init.xavier_uniform_(ml.ones(2)), ValueError, "at least 2 dimensions"),
    ErrorCase("kaiming_uniform_: an unknown mode", lambda: ml.init.kaiming_uniform_(ml.ones(2, 2), mode="fan"), ValueError, "'fan_in' or 'fan_out'"),
    ErrorCase("orthogonal_: a vector", lambda: ml.init.orthogonal_(ml.ones(2)), ValueError, "at least 2 dimensions"),
    ErrorCase("calculate_gain: an unknown function", lambda: ml.init.calculate_gain("softmax"), ValueError, "'softmax'"),
]

# ---- optim ----

ERRORS += []

# ---- data ----
# (Files that are missing, hostile or interrupted: tests/test_data.py.)

ROWS = ml.data.TensorDataset(np.zeros((3, 2), np.float32))

ERRORS += [
    ErrorCase("DataLoader: no batch", lambda: ml.data.DataLoader(ROWS, 0), ValueError, "batch_size of 1 or more"),
    ErrorCase("DataLoader: half a worker", lambda: ml.data.DataLoader(ROWS, num_workers=0.5), TypeError, "num_workers"),
    ErrorCase("DataLoader: nothing to shuffle", lambda: ml.data.DataLoader([], shuffle=True), ValueError, "empty"),
    ErrorCase("TensorDataset: different lengths", lambda: ml.data.TensorDataset(np.zeros(3), np.zeros(4)), ValueError,
              r"same number of rows everywhere, got shapes \(3,\), \(4,\)"),
    ErrorCase("TensorDataset: a list", lambda: ml.data.TensorDataset([1, 2]), TypeError, "got list"),
    ErrorCase("TensorDataset: nothing", lambda: ml.data.TensorDataset(), ValueError, "at least one"),
    ErrorCase("Subset: beyond the end", lambda: ml.data.Subset(ROWS, [3]), IndexError, "0 to 2, got 3 to 3"),
    ErrorCase("Subset: a negative index", lambda: ml.data.Subset(ROWS, [-1]), IndexError, "got -1"),
    ErrorCase("Subset: fractions", lambda: ml.data.Subset(ROWS, [0.5]), TypeError, "integers, got float64"),
    ErrorCase("random_split: too few", lambda: ml.data.random_split(ROWS, [1, 1]), ValueError, "dataset's 3 items"),
    ErrorCase("random_split: fractions", lambda: ml.data.random_split(ROWS, [0.5, 0.4]), ValueError, "sum to 1"),
    ErrorCase("random_split: a negative part", lambda: ml.data.random_split(ROWS, [4, -1]), ValueError, "0 or more"),
]

# ---- train, serialization ----
# (Places that cannot be written, full disks and hostile files: tests/test_serialization.py, tests/test_train.py.)

ERRORS += [
    ErrorCase("save: an object", lambda: ml.save({"a": [object()]}, "x"), TypeError, "cannot save the object at 'a.0'"),
    ErrorCase("save: swapped", lambda: ml.save("x", {"a": 1}), TypeError, r"expected save\(state, path\)"),
    ErrorCase("save: no folder", lambda: ml.save({}, "/nowhere/at/all/x"), FileNotFoundError, "make it first"),
    ErrorCase("load: no file", lambda: ml.load("/nowhere/x"), FileNotFoundError, "load: no file /nowhere/x; check"),
    ErrorCase("load: a folder", lambda: ml.load("/"), ValueError, "regular file"),
    ErrorCase("load: no tensors", lambda: ml.load(__file__), ValueError, "its header claims .*take another copy"),
]



def without(module, call):
    """A call while a module cannot be imported."""
    with mock.patch.dict(sys.modules, {module: None}):
        return call()


ERRORS += [
    ErrorCase("write_pictures: no matplotlib", lambda: without("matplotlib", lambda: plots.write_pictures("x", {})), ImportError,
              "pictures need matplotlib .*pip install 'minilayer\\[plot\\]'"),
]

# ---- kernels, called as they are ----
# (Ops check shapes and dtypes before; what stays here is that nothing is read that is no proper array.)

A, B32 = np.ones((2, 3)), np.ones((2, 3), np.float32)
PLACES, TOO_FAR = np.zeros((2, 1), np.int64), np.full((2, 1), 9)
DEEP = np.ones((1,) * 17)


def kernel(family, function, *arrays, variant="compiled", **settings):
    """A call of a kernel, for later."""
    def call():
        with dispatch.use_backend(variant):
            getattr(dispatch.family(family).cpu, function)(*arrays, **settings)
    return call


class Nowhere:
    """An array of a device that nobody knows."""
    device_type = "nowhere"


for variant in ("reference", "compiled"):
    ERRORS += [
        ErrorCase(f"take_rows: beyond the end, {variant}", kernel("indexing", "take_rows", A, np.array([2]), np.ones((1, 3)),
                                                                  variant=variant), IndexError, "."),
        ErrorCase(f"scatter_axis: beyond the end, {variant}", kernel("reduce", "scatter_axis", np.ones((2, 1)), TOO_FAR, A.copy(), axis=1,
                                                                     variant=variant), IndexError, "scatter_axis"),
        ErrorCase(f"max_pool_backward: beyond the end, {variant}", kernel(
            "pool", "max_pool_backward", np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 9), np.ones((1, 1, 2, 2)), variant=variant),
                  IndexError, "max_pool_backward"),
        ErrorCase(f"cross_entropy: a label beyond the classes, {variant}", kernel(
            "softmax", "cross_entropy", np.ones((1, 2, 1)), np.full((1, 1), 5), None, np.ones((1, 1)), np.ones((2, 1, 1)), variant=variant),
                  IndexError, "cross_entropy"),
        ErrorCase(f"linear: an unknown activation, {variant}", kernel(
            "matmul", "linear", A, A, None, np.ones((2, 2)), activation="swish", variant=variant), ValueError, "linear: .*'swish'"),
        ErrorCase(f"conv2d: an unknown activation, {variant}", kernel(
            "conv", "conv2d", np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), None, np.ones((1, 1, 2, 2)), activation="swish",
            variant=variant), ValueError, "conv2d: .*'swish'"),
    ]
ERRORS += [
    ErrorCase("kernel: a list", kernel("arithmetic", "add", [1.0], A, A.copy()), TypeError, "add: expected a NumPy array as argument 0, got list"),
    ErrorCase("kernel: 17 axes", kernel("arithmetic", "add", DEEP, DEEP, DEEP.copy()), ValueError, "add: expected at most 16 dimensions"),
    ErrorCase("kernel: the other byte order", kernel("arithmetic", "add", A.astype(">f8"), A, A.copy()), ValueError, "byte order"),
    ErrorCase("kernel: complex numbers", kernel("arithmetic", "add", A, A, np.ones((2, 3), complex)), TypeError, "got complex128"),
    ErrorCase("kernel: two dtypes", kernel("arithmetic", "add", A, B32, A.copy()), TypeError, "add: no compiled code for arrays of these dtypes"),
    ErrorCase("kernel: gaps where none are allowed", kernel("softmax", "softmax", np.ones((4, 2, 2))[::2], np.ones((2, 2, 2))), ValueError,
              "softmax: expected arrays in C order without gaps"),
    ErrorCase("mean: of integers", kernel("reduce", "mean", PLACES, PLACES.copy()), TypeError, "mean: expected float32 or float64, got int64"),
    ErrorCase("max_with_index: no index", kernel("reduce", "max_with_index", A, np.ones((2, 1)), None, axis=1), TypeError, "index array, got None"),
    ErrorCase("min_with_index: no index", kernel("reduce", "min_with_index", A, np.ones((2, 1)), None, axis=1), TypeError, "index array, got None"),
    ErrorCase("scatter_axis: no result", kernel("reduce", "scatter_axis", np.ones((2, 1)), PLACES, None, axis=1), TypeError, "dx, got None"),
    ErrorCase("max_pool: a window of 0", kernel("pool", "max_pool", np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), None, kernel=(1, 0, 0),
                                                stride=(1, 1, 1)), ValueError, "max_pool: expected kernel"),
    ErrorCase("fill: beyond the type", kernel("indexing", "fill", np.zeros(2, np.uint8), value=300), OverflowError, "300 does not fit in uint8"),
    ErrorCase("flatten_index: no index", kernel("indexing", "flatten_index", (), np.zeros(1, np.int64), sizes=()), ValueError, "1 to 16 indices"),
    ErrorCase("empty: 17 axes", lambda: runtime.empty((1,) * 17, np.float32), ValueError, "empty: expected at most 16 dimensions, got 17"),
    ErrorCase("empty: a negative size", lambda: runtime.empty((-1,), np.float32), ValueError, "empty: expected sizes of 0 or more"),
    ErrorCase("empty: more than a computer can address", lambda: runtime.empty((2 ** 40, 2 ** 40), np.dtype("float32")), MemoryError, "does not fit in memory"),
    ErrorCase("empty: more than this computer has", lambda: ml.empty(2 ** 48), MemoryError, r"no memory for an array of shape \(281474976710656,\)"),
    ErrorCase("empty_like: 17 axes", lambda: runtime.empty_like(DEEP), ValueError, "empty_like: expected at most 16"),
    ErrorCase("empty_broadcast: 17 axes", lambda: runtime.empty_broadcast("add", DEEP, DEEP), ValueError, "add: expected at most 16"),
    ErrorCase("as_strided: 17 axes", lambda: runtime.as_strided(A, (1,) * 17, (0,) * 17), ValueError, "as_strided: expected at most 16"),
    ErrorCase("broadcast_to: fewer axes", lambda: runtime.broadcast_to(A, (3,)), ValueError, "it has more dimensions"),
    ErrorCase("broadcast_to: another size", lambda: runtime.broadcast_to(A, (2, 4)), ValueError, "axis 1 has size 3, expected 1 or 4"),
    ErrorCase("broadcast_to: another size, elsewhere", lambda: device.broadcast_to(ml.ones(2, 3).to("standin").array, (2, 4)), ValueError,
              "broadcast_to: cannot broadcast"),
    ErrorCase("family: a device nobody knows", lambda: dispatch.family("arithmetic").on(Nowhere()), NotImplementedError,
              "no kernels for nowhere arrays; write .*arithmetic_nowhere.py"),
]

# ---- commands ----
# (More of them, and that no traceback is printed: tests/test_cli.py.)


def command(*arguments):
    """A command line that argparse refuses: the message it prints, as an exception."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            cli.main(list(arguments))
    except SystemExit as stop:
        assert stop.code == 2
        raise ValueError(printed.getvalue()) from None


ERRORS += [
    ErrorCase("train: no job", lambda: command("train"), ValueError, "required: job"),
    ErrorCase("train: another job", lambda: command("train", "cats"), ValueError, "invalid choice: 'cats'"),
    ErrorCase("train: no epochs", lambda: command("train", "digits", "--epochs", "0"), ValueError, "1 or more"),
    ErrorCase("train: a rate of NaN", lambda: command("train", "digits", "--lr", "nan"), ValueError, "above 0"),
    ErrorCase("doctor: an argument", lambda: command("doctor", "now"), ValueError, "unrecognized arguments: now"),
    ErrorCase("doctor: an option", lambda: command("doctor", "--fix"), ValueError, "unrecognized arguments: --fix"),
    ErrorCase("doctor: misspelt", lambda: command("docter"), ValueError, "invalid choice: 'docter'"),
]


@pytest.mark.parametrize("case", ERRORS, ids=str)
def test_misuse_raises(case):
    with pytest.raises(case.raises, match=case.match):
        case.call()


def subjects():
    """Every function of minilayer.functional by its own name, every layer, every command."""
    functions = [name for name in F.__all__ if getattr(getattr(F, name), "__name__", "") == name
                 and inspect.isroutine(getattr(F, name)) and name != "is_tensor"]     # (which takes anything)
    layers = [name for name, cls in vars(ml).items() if inspect.isclass(cls) and issubclass(cls, ml.Layer)
              and cls.__name__ == name]
    return [*functions, *layers, "train", "doctor"]


@pytest.mark.parametrize("subject", subjects())
def test_three_kinds_of_misuse(subject):
    kinds = [case.name for case in ERRORS if case.subject == subject]
    assert len(set(kinds)) >= 3, f"{subject}: {len(kinds)} rows in the table ({kinds}), expected at least 3"
