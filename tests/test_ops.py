"""Every op, by the rows of OPS in cases/: what it computes, how its gradient flows, and where it runs.

The checks themselves are in op_checks.py; here each is run over all samples of each row.
"""
import importlib
import inspect
import math
import pkgutil
from math import nan

import op_checks
import pytest
import standin
from cases import OPS
from rounding import same_bits

import minilayer as ml
import minilayer.ops
from minilayer import tape
from minilayer.ops import reduce

standin.register()
DIFFERENTIABLE = [case for case in OPS if case.differentiable]
ENGINE = ("StridedView", "ViewPart", "WriteThrough", "Cast")      # of views, inplace and promotion: test_tape.py


def op_classes():
    """{"matmul.Matmul": class} of every op in minilayer/ops."""
    found = {}
    for info in pkgutil.iter_modules(minilayer.ops.__path__):
        module = importlib.import_module(f"minilayer.ops.{info.name}")
        for name, cls in vars(module).items():
            if inspect.isclass(cls) and issubclass(cls, tape.Op) and cls.__module__ == module.__name__ \
                    and not name.startswith("_") and cls.name != tape.Op.name:      # (without a name: a base class)
                found[f"{info.name}.{name}"] = cls
    return found


CLASSES = op_classes()


def names_of(case):
    return (case.op,) if isinstance(case.op, str) else tuple(case.op)


# ---- the registry ----

def test_every_op_has_a_row():
    missing = set(CLASSES) - {name for case in OPS for name in names_of(case)}
    assert not missing, f"add rows to tests/cases/ for {sorted(missing)}"


@pytest.mark.parametrize("case", OPS, ids=str)
def test_row_runs_the_ops_it_answers_for(case, rng):
    assert names_of(case), f"{case}: name its ops"
    run = {type(op) for op, _, _ in op_checks.ops_run(case, rng)}
    for name in names_of(case):
        assert name in CLASSES, f"{case}: no op {name}"
        assert CLASSES[name] in run, f"{case}: never runs {name}; it ran {sorted(c.__name__ for c in run)}"


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_op_is_documented(name):
    cls = CLASSES[name]
    assert cls.__doc__, f"{name}: its formula belongs into its docstring"
    if cls.differentiable:
        assert cls.backward is not tape.Op.backward, f"{name}: no backward rule; say differentiable = False if none is meant"


@pytest.mark.parametrize("case", OPS, ids=str)
def test_cost_rule(case, rng):
    """Four numbers of at least 0 from the shapes alone, and more for more elements."""
    for op, shapes, out_shapes in op_checks.ops_run(case, rng):
        cost = op.cost(shapes, out_shapes)
        assert isinstance(cost, tape.Cost)
        assert all(math.isfinite(v) and v >= 0 for v in cost), f"{op.name}: {cost}"
        if op.name not in ("to", "view") and all(math.prod(s) for s in out_shapes) and out_shapes:
            assert cost.forward_bytes > 0 or type(op).view, f"{op.name}: {cost} moves no bytes"


# ---- what it computes ----

@pytest.mark.parametrize("case", [case for case in OPS if case.low], ids=str)
def test_float32_agrees_with_float64(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_float32(case, sample)


@pytest.mark.parametrize("case", OPS, ids=str)
def test_backends_agree(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_backends(case, sample)


@pytest.mark.parametrize("case", OPS, ids=str)
def test_inputs_may_be_strided(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_any_input_layout(case, sample)


@pytest.mark.parametrize("case", OPS, ids=str)
def test_inputs_come_back_unchanged(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_inputs_untouched(case, sample)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_writes_to_what_was_saved_are_noticed(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_writes_are_noticed(case, sample)


@pytest.mark.parametrize("case", [case for case in OPS if case.standin], ids=str)
def test_stand_in_device(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_standin(case, sample)


@pytest.mark.parametrize("case", OPS, ids=str)
def test_nothing_is_recorded_without_need(case, rng):
    for sample in op_checks.samples(case, rng):
        inputs = op_checks.tensors(sample)
        with ml.no_grad():
            result = case.call(*inputs)
        assert not any(y.requires_grad and not any(y is x for x in inputs) for y in op_checks.outputs(result))
        result = case.call(*op_checks.tensors(sample, grad=False))
        assert not any(y.requires_grad for y in op_checks.outputs(result))
        if not case.differentiable:
            result = case.call(*op_checks.tensors(sample))
            assert not any(y.requires_grad for y in op_checks.outputs(result))


# ---- how its gradient flows ----

@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradient(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_gradient(case, sample)


@pytest.mark.parametrize("case", [case for case in OPS if case.second], ids=str)
def test_gradient_of_gradient(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_gradient_of_gradient(case, sample)


@pytest.mark.parametrize("case", [case for case in OPS if case.second], ids=str)
def test_both_tellings_of_backward(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_both_tellings(case, sample)
        op_checks.check_both_tellings_at_ties(case, sample)


@pytest.mark.parametrize("case", [case for case in DIFFERENTIABLE if not case.second], ids=str)
def test_without_second_telling_create_graph_raises(case, rng):
    """A row with second=False has an op that raises, by its name, when asked for gradients of gradients."""
    sample = op_checks.samples(case, rng)[0]
    with pytest.raises(RuntimeError, match=r"gradients of gradients"):      # (if it does not: the row is second=True)
        op_checks.gradients(case.call, op_checks.tensors(sample), create_graph=True)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradient_of_one_input_at_a_time(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_one_input_at_a_time(case, sample)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradients_of_two_uses_add_up(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_sum_of_two_uses(case, sample)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_incoming_gradient_may_be_strided(case, rng):
    for sample in op_checks.samples(case, rng):
        op_checks.check_any_gradient_layout(case, sample)


@pytest.mark.parametrize("call", [
    lambda x: reduce.amax(x, 1), lambda x: reduce.amin(x, (0, 1)), lambda x: reduce.amax(x), lambda x: reduce.max(x, 1).values,
    lambda x: reduce.min(x, 0, True).values, lambda x: ml.median(x)],
    ids=["amax", "amin", "amax of all", "max", "min", "median of all"])
def test_both_tellings_share_among_equals_alike(call):
    """(Gradient checks keep away from ties and NaN.)"""
    for rows in ([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 0.0, 3.0]], [[1.0, nan, nan], [2.0, nan, 5.0], [nan, 0.0, 0.0]]):
        x = ml.tensor(rows, dtype="float64", requires_grad=True)
        (first,) = ml.grad(call(x).sum(), x)
        (second,) = ml.grad(call(x).sum(), x, create_graph=True)
        assert same_bits(first.numpy(), second.detach().numpy())
