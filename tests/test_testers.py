"""Do the checks find mistakes? Every backward rule is made wrong in several ways; at least 95 % must be caught."""
import zlib

import numpy as np
import op_checks
import pytest
import wrong_backward
from cases import OPS
from test_ops import CLASSES, DIFFERENTIABLE, names_of

import minilayer as ml
from minilayer import tape
from minilayer.gradcheck import GradcheckError, gradcheck, gradgradcheck

# Changes that change nothing, and why: no check can catch them.
_EVAL = "that line is for training, and InstanceNormEval never trains"
EQUIVALENT = {
    "elementwise.Square.backward: kernel: first two arguments swapped": "2 x dy is the same for x and dy swapped",
    "norm.InstanceNormEval.backward_graph: _scaled: first two arguments swapped": _EVAL,
    "norm.InstanceNormEval.backward_graph: _scaled_back: first two arguments swapped": _EVAL,
}
ROWS = {name: [case for case in DIFFERENTIABLE if name in names_of(case)] for name in CLASSES}


def samples(case):
    return op_checks.samples(case, np.random.default_rng(zlib.crc32(case.name.encode())))


def caught(rows, checks):
    """Does any check of any row fail?"""
    for case in rows:
        for sample in samples(case):
            for check in checks:
                try:
                    check(case, sample)
                except Exception:               # a wrong shape or a failing kernel is a catch too
                    return True
    return False


def gradient_places(cls, rows, method):
    """The inputs of an op for which its rule gives gradients other than 0 in its rows' samples."""
    places = set()
    right = getattr(cls, method)

    def watching(self, node, *gradients):
        result = right(self, node, *gradients)
        for i, g in enumerate(result if type(result) is tuple else (result,)):
            if g is not None and np.any(g.detach().numpy() if isinstance(g, ml.Tensor) else g):
                places.add(i)
        return result
    with wrong_backward.replaced(cls, method, watching):
        for case in rows:
            for sample in samples(case)[:2]:
                op_checks.gradients(case.call, op_checks.tensors(sample), create_graph=method == "backward_graph")
    return places


def wrong_versions(name, cls, rows):
    """(what, method, wrong rule, checks) for an op."""
    first = [op_checks.check_gradient, op_checks.check_one_input_at_a_time]
    for what, rule in wrong_backward.changed_results(cls, "backward", gradient_places(cls, rows, "backward"),
                                                     wrong_backward.ARRAY_CHANGES):
        yield what, "backward", rule, first
    second_rows = [case for case in rows if case.second]
    second = [op_checks.check_both_tellings, op_checks.check_both_tellings_at_ties, op_checks.check_gradient_of_gradient]
    if second_rows and hasattr(cls, "backward_graph"):
        places = gradient_places(cls, second_rows, "backward_graph")
        for what, rule in wrong_backward.changed_results(cls, "backward_graph", places, wrong_backward.TENSOR_CHANGES):
            yield what, "backward_graph", rule, second
    for method, checks in (("backward", first), ("backward_graph", second)):
        found = wrong_backward.rule_of(cls, method) if hasattr(cls, method) else None
        if found is None or (method == "backward_graph" and not second_rows):
            continue
        tree, module = found
        yield f"{method} rebuilt from its text", method, wrong_backward.function_from(tree, module, method), checks
        for what, mutant in wrong_backward.mutants(tree):
            yield what, method, wrong_backward.function_from(mutant, module, method), checks


def test_wrong_backward_rules_are_caught(capsys):
    count, missed, same = 0, [], set()
    for name, cls in CLASSES.items():
        rows = ROWS[name]
        if not cls.differentiable or not rows:
            continue
        for what, method, rule, checks in wrong_versions(name, cls, rows):
            chosen = rows if method == "backward" else [case for case in rows if case.second]
            with wrong_backward.replaced(cls, method, rule):
                found = caught(chosen, checks)
            if what.endswith("rebuilt from its text"):      # the control: nothing is wrong with it
                assert not found, f"{name}: its rule, taken from the source, fails the checks"
                continue
            whole = f"{name}.{method}: {what}"
            if whole in EQUIVALENT:
                assert not found, f"{whole}: it is caught, so it is not equivalent"
                same.add(whole)
                continue
            count += 1
            if not found:
                missed.append(whole)
    with capsys.disabled():
        print(f"\n{count - len(missed)} of {count} wrong backward rules caught"
              + (f"; missed: {'; '.join(missed)}" if missed else ""))
    assert same == set(EQUIVALENT), "these changes are generated no more"
    assert count >= 100
    assert len(missed) <= 0.05 * count, missed


def test_forgotten_accumulate_is_caught():
    """Kernels that overwrite the sum they should add to."""
    asked, uncaught = set(), []
    for case in DIFFERENTIABLE:
        seen = set()
        with wrong_backward.forgotten_accumulate(seen):
            found = caught([case], [op_checks.check_sum_of_two_uses])
        asked |= seen
        if seen and not found:
            uncaught.append(f"{case}: {seen}")
    assert asked, "no op asked a kernel to accumulate"
    assert not uncaught, uncaught


def test_checks_pass_on_right_rules():
    """The other half of a tester's worth: no false alarm."""
    for case in OPS[:10]:
        assert not caught([case], [op_checks.check_gradient] if case.differentiable else [])


# ---- gradcheck itself ----

def x64(*values):
    return ml.tensor(np.array(values, "float64"), requires_grad=True)


class Wrong(tape.Op):
    """y = x^2 with a derivative that is wrong in one place."""
    name = "wrong"

    def forward(self, node, x):
        node.save(x)
        return x * x

    def backward(self, node, dy):
        (x,) = node.saved
        dx = 2 * x * dy
        dx[1] *= 1.25
        return dx


def test_gradcheck_names_input_index_and_both_numbers():
    message = r"wrong gradient for input 1 at index \(1,\), from output 0 at index \(1,\): backward says 5, differences say 4"
    with pytest.raises(GradcheckError, match=message):
        gradcheck(lambda a, x: a * 2 + tape.apply(Wrong(), x), x64(1.0, 1.0, 1.0), x64(1.0, 2.0, 3.0))


def test_gradcheck_recognises_kinks():
    assert gradcheck(lambda x: x.relu(), x64(-1.0, 1.0))
    with pytest.raises(GradcheckError, match=r"kink at input 0 at index \(1,\).*from the left.*from the right"):
        gradcheck(lambda x: x.relu(), x64(1.0, 0.0))


def test_gradcheck_notices_state_and_chance():
    calls = []

    def drifts(x):
        calls.append(0)
        return x * len(calls)
    with pytest.raises(ValueError, match="same outputs each time"):
        gradcheck(drifts, x64(1.0))

    class Forgets(Wrong):
        """A rule that changes what it saved."""

        def backward(self, node, dy):
            (x,) = node.saved
            dx = 2 * x * dy
            x += 1
            return dx
    with pytest.raises(GradcheckError, match="walked twice"):
        gradcheck(lambda x: tape.apply(Forgets(), x * 1.0), x64(1.0))

    class Misshapen(Wrong):
        """A gradient of another shape."""

        def backward(self, node, dy):
            return (2 * node.saved[0] * dy).reshape(1, -1)
    with pytest.raises(RuntimeError, match=r"gradient of shape \(1, 2\).* for input 0; expected shape \(2,\)"):
        gradcheck(lambda x: tape.apply(Misshapen(), x), x64(1.0, 2.0))


def test_gradcheck_refuses_what_it_cannot_check():
    with pytest.raises(TypeError, match="gradcheck: expected float64 inputs, got float32"):
        gradcheck(lambda x: x, ml.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match="expected tensors, got float"):
        gradcheck(lambda x: x, 1.0)
    with pytest.raises(ValueError, match="at least one input that requires a gradient"):
        gradcheck(lambda x: x, ml.ones(2))
    with pytest.raises(ValueError, match="one memory place an element"):
        gradcheck(lambda x: x * 1, ml.ones(1, dtype="float64").expand(3).requires_grad_())
    with pytest.raises(ValueError, match="no output of the function depends"):
        gradcheck(lambda x: x.detach(), x64(1.0))
    with pytest.raises(TypeError, match="return tensors, got float"):
        gradcheck(lambda x: x.item(), x64(1.0))
    with pytest.raises(TypeError, match="float64 outputs, got float32"):
        gradcheck(lambda x: x.float(), x64(1.0))
    with pytest.raises(ValueError, match="on the CPU, got one on standin"):
        import standin
        standin.register()
        gradcheck(lambda x: x, x64(1.0).detach().to("standin").requires_grad_())


def test_gradcheck_moves_parameters_in_place_and_puts_them_back():
    layer = ml.Linear(3, 2).double()
    before = layer.weight.detach().numpy().copy()
    assert gradcheck(lambda x, *parameters: layer(x), ml.tensor(np.ones((2, 3)), requires_grad=True), *layer.parameters())
    np.testing.assert_array_equal(before, layer.weight.detach().numpy())


def test_gradgradcheck():
    assert gradgradcheck(lambda x, w: (x @ w).tanh(), ml.tensor(np.ones((2, 3)) * 0.3, requires_grad=True),
                         ml.tensor(np.arange(6.0).reshape(3, 2) * 0.2, requires_grad=True))

    class Detached(Wrong):
        """x^2, whose second telling loses the way back to x."""

        def backward(self, node, dy):
            return 2 * node.saved[0] * dy

        def backward_graph(self, node, dy):
            return dy * (node.saved_tensors[0].detach() * 2)
    assert gradcheck(lambda x: tape.apply(Detached(), x), x64(1.0, 2.0))
    with pytest.raises(GradcheckError, match="gradgradcheck: wrong gradient for input 0"):
        gradgradcheck(lambda x: tape.apply(Detached(), x), x64(1.0, 2.0))
