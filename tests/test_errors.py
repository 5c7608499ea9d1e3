"""Misuse raises, and the message finishes the sentence: which operation, what it expected, what came, what to do.

A table: at least three kinds of misuse for every op's function, every layer and every command. Each family has one
section, in the order of tests/cases.py.
"""
import contextlib
import io

import numpy as np
import inspect

import pytest
from cases import ErrorCase

import minilayer as ml
import minilayer.functional as F  # noqa: F401
from minilayer import cli

ERRORS: list = []

# ---- arithmetic ----

ERRORS += [
    ErrorCase("add: shapes that do not broadcast", lambda: ml.zeros(2, 3) + ml.zeros(2, 4), ValueError, r"add: .*\(2, 3\)"),
]

# ---- elementwise ----

ERRORS += []

# ---- reduce ----

ERRORS += []

# ---- indexing ----

ERRORS += []

# ---- shape ----

ERRORS += []

# ---- matmul ----

ERRORS += [
    ErrorCase("matmul: inner sizes differ", lambda: ml.zeros(2, 3) @ ml.zeros(2, 3), ValueError, r"matmul: .*\(2, 3\).*transpose"),
    ErrorCase("matmul: a 0-d tensor", lambda: F.matmul(ml.tensor(2.0), ml.zeros(2, 3)), ValueError, r"matmul: .*dimensions"),
    ErrorCase("matmul: batches that do not broadcast", lambda: ml.zeros(2, 3, 4) @ ml.zeros(3, 4, 5), ValueError, r"matmul: .*broadcast"),
    ErrorCase("matmul: integers", lambda: ml.tensor([[1]]) @ ml.tensor([[1]]), TypeError, r"matmul: .*int64.*float"),
    ErrorCase("matmul: two dtypes", lambda: ml.zeros(2, 2) @ ml.zeros(2, 2).double(), TypeError, r"matmul: .*one dtype"),
    ErrorCase("linear: in features differ", lambda: F.linear(ml.zeros(2, 3), ml.zeros(3, 4)), ValueError, r"linear: .*\(3, 4\)"),
    ErrorCase("linear: weight of one axis", lambda: F.linear(ml.zeros(2, 3), ml.zeros(3)), ValueError, r"linear: .*\(out, in\)"),
    ErrorCase("linear: bias of another size", lambda: F.linear(ml.zeros(2, 3), ml.zeros(4, 3), ml.zeros(3)), ValueError, r"linear: .*bias.*\(4,\)"),
    ErrorCase("linear: unknown activation", lambda: F.linear(ml.zeros(2, 3), ml.zeros(4, 3), None, "swish"), ValueError, r"linear: .*swish"),
    ErrorCase("linear: an array, not a tensor", lambda: F.linear(np.zeros((2, 3)), ml.zeros(4, 3)), TypeError, r"linear: expected tensors"),
]

# ---- conv ----

ERRORS += [
    ErrorCase("conv2d: channels differ", lambda: F.conv2d(ml.zeros(1, 3, 8, 8), ml.zeros(4, 2, 3, 3)), ValueError, r"conv2d: .*2 channels.*got 3"),
    ErrorCase("conv2d: two axes", lambda: F.conv2d(ml.zeros(8, 8), ml.zeros(4, 2, 3, 3)), ValueError, r"conv2d: .*\(C, H, W\)"),
    ErrorCase("conv2d: weight of three axes", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(4, 2, 3)), ValueError, r"conv2d: .*weight"),
    ErrorCase("conv2d: kernel larger than the image", lambda: F.conv2d(ml.zeros(1, 2, 2, 8), ml.zeros(4, 2, 3, 3)), ValueError, r"conv2d: .*height 2.*padding"),
    ErrorCase("conv2d: groups that do not divide", lambda: F.conv2d(ml.zeros(1, 4, 8, 8), ml.zeros(3, 2, 3, 3), groups=2), ValueError, r"conv2d: .*groups=2"),
    ErrorCase("conv2d: same with a stride", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), stride=2, padding="same"), ValueError, r"conv2d: .*stride 1"),
    ErrorCase("conv2d: stride 0", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), stride=0), ValueError, r"conv2d: .*stride of 1"),
    ErrorCase("conv2d: negative padding", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), padding=-1), ValueError, r"conv2d: .*padding of 0"),
    ErrorCase("conv2d: three strides", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), stride=(1, 1, 1)), TypeError, r"conv2d: .*pair"),
    ErrorCase("conv2d: two dtypes", lambda: F.conv2d(ml.zeros(1, 2, 8, 8).double(), ml.zeros(3, 2, 3, 3)), TypeError, r"conv2d: .*one dtype"),
    ErrorCase("conv2d: bias of another size", lambda: F.conv2d(ml.zeros(1, 2, 8, 8), ml.zeros(3, 2, 3, 3), ml.zeros(2)), ValueError, r"conv2d: .*bias"),
]

# ---- pool ----

ERRORS += []

# ---- norm ----

ERRORS += []

# ---- softmax, losses ----

ERRORS += []

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

ERRORS += []

# ---- layer, containers, init ----

ERRORS += []

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
                 and inspect.isroutine(getattr(F, name))]
    layers = [name for name, cls in vars(ml).items() if inspect.isclass(cls) and issubclass(cls, ml.Layer)
              and cls.__name__ == name]
    return [*functions, *layers, "train", "doctor"]


@pytest.mark.parametrize("subject", subjects())
def test_three_kinds_of_misuse(subject):
    kinds = [case.name for case in ERRORS if case.subject == subject]
    assert len(set(kinds)) >= 3, f"{subject}: {len(kinds)} rows in the table ({kinds}), expected at least 3"
