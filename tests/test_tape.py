"""The tape: what is recorded, how it is walked back, and what keeps a gradient from going wrong without a word."""
import contextlib
import copy
import gc
import os
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
import standin

import minilayer as ml
from minilayer import tape
from minilayer.gradcheck import gradcheck, gradgradcheck

standin.register()

PURE = os.environ.get("MINILAYER_PURE", "") not in ("", "0")
LONG = 100_000 if PURE else 1_000_000      # uncompiled, a node costs ten times as much


def leaf(*values, dtype="float64"):
    return ml.tensor(np.array(values if len(values) != 1 else values[0], dtype), requires_grad=True)


def matrix(rows=3, columns=4):
    return leaf(np.arange(rows * columns).reshape(rows, columns) * 0.5 + 1.0)


def same(tensor, values):
    np.testing.assert_array_equal(tensor.numpy(), np.asarray(values))


# ---- sums of gradients ----

def test_a_tensor_used_twice_gets_the_sum():
    x = leaf(3.0)
    (x * x + x).backward()
    same(x.grad, 7.0)


def test_gradients_that_share_memory_are_not_added_into():
    """add hands the same array to both of its inputs; a naive engine adds 2 into it and gives u 3."""
    for order in (0, 1):
        for inner in (False, True):             # with u and v leaves, and with u and v results of other operations
            x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
            u, v = (x.clone(), y.clone()) if inner else (x, y)
            if order == 0:
                s = u + v
                t = s + v * 2
            else:                               # here the walk meets s first, while u and v hold one array
                double = v * 2
                s = u + v
                t = s + double
            t.backward(ml.ones(2, dtype=ml.float64))
            same(x.grad, [1, 1])
            same(y.grad, [3, 3])
            assert not np.shares_memory(x.grad.numpy(), y.grad.numpy())


def test_leaf_gradients_alias_nothing():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = ml.tensor(np.array([1.0, 10.0]))
    (x + y).backward(seed)
    x.grad.mul_(0)
    same(seed, [1, 10])
    same(y.grad, [1, 10])
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    x.reshape(2, 1).backward(seed.reshape(2, 1))
    x.grad.mul_(0)
    same(seed, [1, 10])


def test_results_of_grad_alias_nothing():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = ml.tensor(np.array([1.0, 10.0]))
    for y0 in (x + y, (x + y) * 2.0, (x + y).reshape(2, 1).reshape(2)):
        dx, dy = ml.grad(y0, (x, y), seed)
        assert not np.shares_memory(dx.numpy(), dy.numpy())
        assert not np.shares_memory(dx.numpy(), seed.numpy())
        assert not np.shares_memory(dy.numpy(), seed.numpy())


class Same(tape.Op):
    """y = a + b, whose backward returns one new array for both inputs, or a view of it."""
    name = "same"

    def __init__(self, second=None):
        self.second = second

    def forward(self, node, a, b):
        return a + b.reshape(a.shape)

    def backward(self, node, dy):
        g = dy.copy()
        return g, g if self.second is None else g.reshape(self.second)

    def cost(self, shapes, out_shapes):
        return tape.elementwise_cost(shapes, out_shapes)


@pytest.mark.parametrize("second", [None, (2, 1)])
def test_one_new_array_for_two_inputs_is_not_shared(second):
    """A leaf that keeps the array as its .grad and adds to it later must not change what is on its way elsewhere."""
    u, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    v = w * 1.0
    y = tape.apply(Same(second), u, v if second is None else v.reshape(*second))
    (y + u * 5).sum().backward()
    same(u.grad, [6, 6])
    same(w.grad, [1, 1])
    u, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    late = u * 5                                # its gradient arrives in u first, or last
    v = w * 1.0
    y = tape.apply(Same(second), u, v if second is None else v.reshape(*second))
    (late + y).sum().backward()
    same(u.grad, [6, 6])
    same(w.grad, [1, 1])


def test_a_new_array_shared_by_a_leaf_and_a_later_node():
    """The leaf gets more before the walk comes to the other input, whose gradient must stay as it was."""
    for second in (None, (2, 1)):
        u, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
        v = w * 1.0
        v = v if second is None else v.reshape(*second)
        late = u * 5
        (tape.apply(Same(second), u, v) + late).sum().backward()
        same(u.grad, [6, 6])
        same(w.grad, [1, 1])


def test_create_graph_gives_each_leaf_its_own_gradient():
    x, y, seed = leaf(1.0, 2.0), leaf(3.0, 4.0), ml.tensor(np.ones(2))
    (x + y).backward(seed, create_graph=True)
    assert x.grad.requires_grad or not np.shares_memory(x.grad.numpy(), seed.numpy())
    assert not np.shares_memory(x.grad.detach().numpy(), y.grad.detach().numpy())
    x.grad = y.grad = None


def test_grad_that_does_not_fit_is_refused():
    x, w = leaf(np.ones((2, 2))), leaf(np.ones((2, 2)))
    for held in (3, ml.zeros(2, 2), ml.zeros(3, 2, 2, dtype=ml.float64), ml.zeros(2, 2, dtype=ml.float64).to("standin")):
        x.grad = held
        for y in (x * 2, x @ w):
            with pytest.raises(RuntimeError, match=r"expected .grad to be None or a tensor of shape \(2, 2\).*set it to None"):
                y.sum().backward()


def test_an_expanded_grad_is_not_added_into():
    x = leaf(1.0, 2.0, 3.0)
    x.grad = held = ml.zeros(1, dtype=ml.float64).expand(3)
    (x * x).sum().backward()
    same(x.grad, [2, 4, 6])
    same(held, [0, 0, 0])


def test_rules_that_return_a_wrong_shape_are_named():
    class Wrong(tape.Op):
        """y = x; dx has a shape of its own."""
        name = "wrong"

        def forward(self, node, x):
            return x.copy()

        def backward(self, node, dy):
            return dy.reshape(1, 2)
    with pytest.raises(RuntimeError, match=r"wrong: backward returned a gradient of shape \(1, 2\).*input 0.*shape \(2,\)"):
        tape.apply(Wrong(), leaf(1.0, 2.0)).sum().backward()

    class Wider(Wrong):
        """y = x; dx has a dtype of its own."""

        def backward(self, node, dy):
            return dy.astype(np.float32 if dy.dtype == np.float64 else np.float64)
    with pytest.raises(RuntimeError, match=r"wrong: backward returned a gradient of .*input 0; expected .*as the input"):
        tape.apply(Wider(), leaf(1.0, 2.0)).sum().backward()


def test_an_input_named_twice_collects_its_gradient_once():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward(inputs=[x, x])
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_function_that_writes_to_its_argument_is_noticed():
    """PyTorch's Function: forward sees the argument's memory, and a write there moves its version."""
    class Moved(ml.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return dy
    b = leaf(1.0, 2.0) * 1
    c = b * b
    y = Moved.apply(b)
    with pytest.raises(RuntimeError, match="mul"):
        (c.sum() + y.sum()).backward()


def test_backward_adds_to_grad():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * 2).sum().backward()
    same(x.grad, [6, 6])
    x.grad = None
    (x * 2).sum().backward()
    same(x.grad, [2, 2])


def test_broadcasting_is_undone_in_shape_and_value():
    a, b, c = leaf(np.ones((2, 3))), leaf(np.ones(3)), leaf(np.ones((2, 1)))
    (a * b + c * 2).sum().backward()
    same(a.grad, np.ones((2, 3)))
    same(b.grad, [2, 2, 2])
    same(c.grad, [[6], [6]])


# ---- depth and width ----

def test_diamond():
    """Sixty doublings: 2^60 paths, one visit a node."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    same(x.grad, 2.0 ** 60)


def long_chain():
    x = leaf(1.0)
    y = x
    for _ in range(LONG):
        y = y + 1.0
    y.backward()
    same(x.grad, 1.0)
    assert y.item() == LONG + 1
    del y                                       # frees the chain
    y = x
    for _ in range(LONG // 10):
        y = y + 1.0
    del y                                       # one that never ran backward
    gc.collect()


def test_long_chain():
    long_chain()


def test_deep_graphs_in_a_thread_with_a_small_stack():
    failed = []

    def body():
        try:
            test_diamond()
            long_chain()
        except BaseException as error:
            failed.append(error)
    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert not failed, failed


def test_dropped_graphs_leave_nothing_behind():
    """No cycles: without the garbage collector, everything goes when the last name does."""
    x = leaf(np.ones(3))
    gc.collect()
    gc.disable()
    try:
        y = x * 2
        alive = weakref.ref(y)
        z = (y * y).sum()
        z.backward()
        del y, z
        assert alive() is None
        y = x[1:] * 2
        y.retain_grad()
        alive = weakref.ref(y)
        y.sum().backward()
        del y
        assert alive() is None
    finally:
        gc.enable()


def resident():
    """Bytes of memory in use, from the system."""
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_training_steps_do_not_grow_memory():
    """10,000 steps with the collector off grow memory by at most 1 MB."""
    generator = np.random.default_rng(0)
    w = leaf(generator.standard_normal((4, 3)), dtype="float32")
    b = leaf(np.zeros(3), dtype="float32")
    x = ml.tensor(generator.standard_normal((8, 4)).astype("float32"))

    def steps(count):
        for _ in range(count):
            loss = ((x @ w + b).tanh() ** 2).mean()
            loss.backward()
            with ml.no_grad():
                w.sub_(w.grad * 0.01)
                b.sub_(b.grad * 0.01)
            w.grad = b.grad = None
    count = 2_000 if PURE else 10_000
    gc.collect()
    gc.disable()
    try:
        steps(500)
        before = resident()
        steps(count)
        assert resident() - before <= 1_000_000
    finally:
        gc.enable()


# ---- what backward refuses ----

def test_second_backward_raises_and_says_what_to_do():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="mul saved were freed.*retain_graph=True"):
        y.backward()
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    same(x.grad, 12.0)


def test_backward_needs_one_element_or_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="one element, got shape \\(2,\\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match="gradient of shape \\(2,\\)"):
        (x * 2).backward(ml.ones(3, dtype=ml.float64))
    with pytest.raises(TypeError, match="dtype float64"):
        (x * 2).backward(ml.ones(2))
    with pytest.raises(TypeError, match="as a tensor"):
        (x * 2).backward(np.ones(2))
    with pytest.raises(RuntimeError, match="no_grad"):
        ml.ones(1).backward()


def test_an_error_in_backward_leaves_the_graph_usable():
    class Fails(tape.Op):
        """y = x; fails on the way back."""
        name = "fails"

        def forward(self, node, x):
            return x.copy()

        def backward(self, node, dy):
            raise ZeroDivisionError("on purpose")
    x = leaf(1.0, 2.0)
    h = x * 2
    y = (tape.apply(Fails(), h) + h * 3).sum()
    with pytest.raises(ZeroDivisionError):
        y.backward()
    x.grad = None
    (h * 3).sum().backward()
    same(x.grad, [6, 6])


def test_backward_must_answer_for_every_input():
    class Short(tape.Op):
        """y = a + b, and one gradient too few."""
        name = "short"

        def forward(self, node, a, b):
            return a + b

        def backward(self, node, dy):
            return (dy,)
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="short: backward returned 1 gradients, expected one for each of its 2"):
        tape.apply(Short(), x, x).sum().backward()


def test_ops_without_rules_say_so():
    class Bare(tape.Op):
        """Nothing."""
        name = "bare"

    class Forward(Bare):
        """y = x."""

        def forward(self, node, x):
            return x.copy()
    with pytest.raises(NotImplementedError, match="Bare: an Op defines forward"):
        tape.apply(Bare(), leaf(1.0))
    with pytest.raises(NotImplementedError, match="bare: has no gradient"):
        tape.apply(Forward(), leaf(1.0)).backward()
    with pytest.raises(NotImplementedError, match="bare: has no cost rule"):
        Bare().cost([], [])
    with pytest.raises(TypeError, match="bare: expected tensors, got float"):
        tape.apply(Forward(), 1.0)


# ---- gradients of any tensor with respect to any other ----

def test_grad_of_inner_tensors():
    x = leaf(1.0, 2.0)
    h = x * 3
    y = (h * h).sum()
    dh, dx = ml.grad(y, (h, x))
    same(dh, [6, 12])
    same(dx, [18, 36])
    assert x.grad is None
    (again,) = ml.grad(x * 2, x, ml.ones(2, dtype=ml.float64))
    same(again, [2, 2])


def test_grad_of_several_outputs_is_their_sum():
    x = leaf(2.0)
    a, b = x * x, x * 3
    (dx,) = ml.grad((a, b), x, (ml.tensor(np.array(1.0)), ml.tensor(np.array(10.0))))
    same(dx, 34.0)
    (dx,) = ml.grad((x, x * 2), x)
    same(dx, 3.0)


def test_grad_computes_only_what_is_asked_for():
    """The other branch's backward does not run at all."""
    class Fails(tape.Op):
        """y = x; fails on the way back."""
        name = "fails"

        def forward(self, node, x):
            return x.copy()

        def backward(self, node, dy):
            raise AssertionError("walked a branch nobody asked for")
    x, z = leaf(1.0), leaf(2.0)
    (dx,) = ml.grad(x * 2 + tape.apply(Fails(), z * 3), x)
    same(dx, 2.0)


def test_grad_of_unused_inputs():
    x, z = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match="do not depend on input 1.*allow_unused"):
        ml.grad(x * 2, (x, z))
    dx, dz = ml.grad(x * 2, (x, z), allow_unused=True)
    same(dx, 2.0)
    assert dz is None


def test_grad_runs_hooks():
    x = leaf(1.0)
    x.register_hook(lambda g: g * 10)
    same(ml.grad(x * 2, x)[0], 20.0)
    kept = ml.tensor(np.array([5.0, 6.0]))
    h = leaf(1.0, 2.0) * 1
    h.register_hook(lambda g: kept)
    (dh,) = ml.grad((h * 2).sum(), h)
    same(dh, [5, 6])
    assert not np.shares_memory(dh.numpy(), kept.numpy())


def test_backward_inside_backward():
    """A hook that walks back through nodes that the outer walk has not finished with."""
    for hooked in (0, 1):
        x = leaf(1.0)
        h = x * 2
        ends = h * 3, h * 5
        ends[hooked].register_hook(ml.enable_grad()(lambda g, h=h: (h * 7).backward(retain_graph=True)))
        (ends[0] + ends[1]).backward(retain_graph=True)
        same(x.grad, 2 * (3 + 5) + 2 * 7)
    x, w, found = leaf(1.0), leaf(2.0), []
    h, k = x * 2, w * 3
    a = h * k
    a.register_hook(ml.enable_grad()(lambda g: found.append(ml.grad(h * 7 + k, w, retain_graph=True)[0])))
    (dx,) = ml.grad(a + h * 5, x, retain_graph=True)
    same(dx, 22.0)
    same(found[0], 3.0)
    assert x.grad is None and w.grad is None


def test_grad_refuses():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="input 0 does not require a gradient"):
        ml.grad(x * 2, ml.ones(1))
    with pytest.raises(TypeError, match="inputs to be tensors, got int"):
        ml.grad(x * 2, [3])
    with pytest.raises(ValueError, match="one of grad_outputs for each of the 1 outputs, got 2"):
        ml.grad(x * 2, x, [None, None])


def test_gradients_of_gradients():
    x = leaf(1.5)
    y = x ** 3.0
    (first,) = ml.grad(y, x, create_graph=True)
    (second,) = ml.grad(first, x, create_graph=True)
    (third,) = ml.grad(second, x)
    np.testing.assert_allclose([first.item(), second.item(), third.item()], [6.75, 9.0, 6.0], rtol=1e-14)
    x.grad = None
    (x * x).backward(create_graph=True)
    assert x.grad.requires_grad
    x.grad = None


def test_gradients_of_gradients_know_which_tensor_was_saved():
    """x and x.detach() share an array; only one of them is a way back to x."""
    x = leaf(3.0)
    (g,) = ml.grad(x * x.detach(), x, create_graph=True)
    assert not g.requires_grad
    (g,) = ml.grad(x.detach() * x * x, x, create_graph=True)
    same(ml.grad(g, x)[0], 6.0)
    (g,) = ml.grad(leaf(0.0) ** 0.0 + x, x, create_graph=True)
    zero = leaf(0.0)
    (g,) = ml.grad(zero ** 0.0, zero, create_graph=True)
    same(ml.grad(g, zero)[0], 0.0)


def test_gradients_of_gradients_of_changes_in_place():
    for change, second in ((lambda y: y.exp_(), np.exp(1.5)), (lambda y: y.pow_(3.0), 9.0), (lambda y: y.mul_(y), 2.0),
                           (lambda y: y.sqrt_(), -0.25 * 1.5 ** -1.5), (lambda y: y.mul_(y.reshape(1, 1)[0, 0]), 2.0)):
        x = leaf(1.5)
        (g,) = ml.grad(change(x * 1.0), x, create_graph=True)
        np.testing.assert_allclose(ml.grad(g, x)[0].item(), second, rtol=1e-14)


def test_gradients_of_gradients_through_views_that_change():
    def change(x, w):
        y = x.sin()
        left, turned = y[:, :2], y.T
        left.mul_(w)
        turned[1].mul_(turned[0].clone())
        return y * left.sum(), turned.tanh()
    generator = np.random.default_rng(5)
    gradgradcheck(change, leaf(generator.uniform(0.3, 1.2, (3, 4))), leaf(0.7), rtol=1e-5)


def test_gradient_penalty():
    """The gradient of a function of the gradient, against differences."""
    generator = np.random.default_rng(3)

    def penalty(x, w):
        y = (x @ w).tanh().sum()
        (dx,) = ml.grad(y, x, create_graph=True)
        return (dx * dx).sum()
    gradcheck(penalty, leaf(generator.standard_normal((3, 4))), leaf(generator.standard_normal((4, 2))), rtol=1e-5)


def test_ops_without_second_telling_are_named():
    class Once(tape.Op):
        """y = x."""
        name = "once"

        def forward(self, node, x):
            return x.copy()

        def backward(self, node, dy):
            return dy
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="once: gradients of gradients"):
        tape.apply(Once(), x).backward(create_graph=True)


# ---- in-place change, by PyTorch's rules ----

def test_in_place_on_a_result():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.mul_(3)
    y += 1
    same(y.detach(), [7, 13])
    y.sum().backward()
    same(x.grad, [6, 6])


def test_in_place_through_a_view_changes_the_base():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[0].mul_(3)
    y.sum().backward()
    same(x.grad, [6, 2, 2])


def test_in_place_through_a_transposed_view():
    x, w = matrix(), leaf(np.ones((4, 3)) * 2)
    y = x * 2
    z = y.T
    z.mul_(w)
    same(y.detach(), x.detach().numpy() * 4)
    (y * y).sum().backward()
    same(x.grad, 2 * 4 * 4 * x.detach().numpy())
    same(w.grad, 2 * 4 * 2 * x.detach().numpy().T ** 2)


def test_other_views_follow():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    left, right = y[:2], y[1:]
    left.mul_(5)
    right.sum().backward()
    same(x.grad, [0, 10, 2])


def test_a_changed_view_is_still_made_from_its_base():
    """So the base's gradient contains what the view is used for, and the view's does not contain the base's."""
    y = leaf(1.0, 2.0, 3.0) * 1.0
    left = y[:2]
    left.mul_(5)
    y.retain_grad()
    left.retain_grad()
    (y.sum() + left.sum() * 10).backward()
    same(y.grad, [11, 11, 1])
    same(left.grad, [10, 10])


def test_assigning_a_tensor_to_its_own_detached_memory_records():
    x = leaf(1.0, 2.0)
    y = x.detach()
    y[0] = x[0]
    assert y.requires_grad
    y.sum().backward()
    same(x.grad, [1, 0])


def test_the_changed_view_itself_keeps_its_gradient():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    left = y[:2]
    left.mul_(5)
    left.sum().backward()
    same(x.grad, [10, 10, 0])


def test_views_of_views():
    x = matrix(3, 4)
    y = x * 1.0
    y.T[1][:2].mul_(7)
    y.sum().backward()
    want = np.ones((3, 4))
    want[:2, 1] = 7
    same(x.grad, want)


def test_assignment_hands_the_gradient_to_the_new_values():
    x, v = leaf(1.0, 2.0, 3.0), leaf(5.0)
    y = x * 2
    y[1] = v
    (y * y).sum().backward()
    same(x.grad, [8, 0, 24])
    same(v.grad, 10.0)


def test_assignment_by_index_arrays_and_masks():
    x, v = leaf(1.0, 2.0, 3.0), leaf(5.0, 6.0)
    y = x * 2
    y[ml.tensor(np.array([2, 0]))] = v
    (y * ml.tensor(np.array([1.0, 10.0, 100.0]))).sum().backward()
    same(x.grad, [0, 20, 0])
    same(v.grad, [100, 1])
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[ml.tensor(np.array([True, False, True]))] = 0.0
    y.sum().backward()
    same(x.grad, [0, 2, 0])


def test_augmented_assignment_through_an_index():
    x, v = matrix(2, 3), leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[1] += v
    (y * y).sum().backward()
    after = x.detach().numpy() * 2
    after[1] += [1, 2, 3]
    same(x.grad, after * 4)
    same(v.grad, after[1] * 2)


def test_writing_into_a_constant_makes_it_depend():
    buffer, v = ml.zeros(3, dtype=ml.float64), leaf(5.0)
    view = buffer[:2]
    buffer[1] = v * 3
    assert buffer.requires_grad
    assert view.requires_grad
    (buffer.sum() + view.sum() * 10).backward()
    same(v.grad, 33.0)


def test_leaves_refuse_in_place_change():
    x = leaf(1.0, 2.0)
    for change in (lambda: x.add_(1), lambda: x[0].add_(1), lambda: x.reshape(2, 1).mul_(2), lambda: x.__setitem__(0, 3.0)):
        with pytest.raises(RuntimeError, match="leaf that requires a gradient.*no_grad"):
            change()
    with ml.no_grad():
        x.add_(1)
        x[0] = 7.0
    same(x.detach(), [7, 3])
    assert x.is_leaf


def test_expanded_tensors_refuse_in_place_change():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="one memory place an element.*clone"):
        (x * 2).expand(3).add_(1)


def test_in_place_keeps_shape_dtype_and_device():
    y = leaf(1.0, 2.0) * 2
    with pytest.raises(ValueError, match="shape \\(2,\\), got \\(3, 2\\)"):
        y.add_(ml.ones(3, 2, dtype=ml.float64))
    n = ml.tensor(np.array([1, 2]))
    with pytest.raises(TypeError, match="does not fit in the tensor's int64"):
        n.add_(1.5)
    n.add_(2)
    same(n, [3, 4])


def line():
    return sys._getframe(1).f_lineno


def test_saved_values_that_were_overwritten_are_noticed():
    """The error names the operation that saved them and the line that wrote them."""
    here = os.path.basename(__file__)
    x = leaf(1.0, 2.0)
    a = x * 1.0
    b = a * a
    a.add_(1); at = line()  # noqa: E702
    with pytest.raises(RuntimeError, match=rf"mul saved input 0.*{here}:{at} \(version 1, expected 0\)"):
        b.sum().backward()
    y = x.exp()
    y.add_(1); at = line()  # noqa: E702
    with pytest.raises(RuntimeError, match=rf"exp saved its output.*{here}:{at}"):
        y.sum().backward()
    a = x * 1.0
    b = a * a
    a[0] = 5.0; at = line()  # noqa: E702
    with pytest.raises(RuntimeError, match=rf"mul saved input 0.*{here}:{at}"):
        b.sum().backward()
    a = x * 1.0
    b = a * a
    with ml.no_grad():
        a.detach().mul_(2)
    with pytest.raises(RuntimeError, match="mul saved input 0"):
        b.sum().backward()


def test_values_nobody_saved_may_be_overwritten():
    x = leaf(1.0, 2.0)
    a = x * 1.0
    b = a + 1
    a.mul_(100)
    (a + b).sum().backward()
    same(x.grad, [101, 101])


def test_in_place_forms_that_save_what_they_overwrite():
    """relu_, exp_, mul_ by a tensor, sqrt_ and pow_: what their rules read is kept aside."""
    generator = np.random.default_rng(4)
    for change in (lambda y, w: y.exp_(), lambda y, w: y.mul_(w), lambda y, w: y.div_(w), lambda y, w: y.sqrt_(),
                   lambda y, w: y.pow_(3.0), lambda y, w: y.mul_(y), lambda y, w: y.relu_(), lambda y, w: y.neg_(),
                   lambda y, w: y.clamp_(0.7, 1.5), lambda y, w: y.zero_(), lambda y, w: y.fill_(3.0),
                   lambda y, w: y.copy_(w), lambda y, w: y.masked_fill_(ml.tensor(np.array([True, False, True])), 2.0)):
        def function(x, w, change=change):
            y = x * 2
            change(y[1:4], w)
            return y * y
        gradcheck(function, leaf(generator.uniform(0.3, 0.9, 5)), leaf(generator.uniform(0.5, 2, 3)))


def random_program(generator):
    """A function that makes views of y and changes them in place, at random; differences check its gradient."""
    views = [lambda t: t[1], lambda t: t[:, 1:3], lambda t: t.T, lambda t: t[::2], lambda t: t.reshape(-1),
             lambda t: t[:, ::3], lambda t: t.T[1:, :2], lambda t: t[2:3], lambda t: t.T[::2].T, lambda t: t]
    changes = [lambda v, w: v.mul_(w), lambda v, w: v.add_(w * 2), lambda v, w: v.mul_(v), lambda v, w: v.copy_(w),
               lambda v, w: v.mul_(v.clone().cos()), lambda v, w: v.sub_(v.clone().sin())]
    plan = [(generator.integers(len(views)), generator.integers(len(changes))) for _ in range(4)]
    early = [generator.integers(len(views)) for _ in range(2)]

    def function(x, w):
        y = x.sin()
        held = [views[k](y) for k in early]
        for v, c in plan:
            changes[c](views[v](y), w)
            if held[0].requires_grad:
                changes[0](held[0], w)
        return (y * y, *[h.cos() for h in held])
    return function, (plan, early)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_of_views_and_changes(seed):
    generator = np.random.default_rng(seed)
    function, plan = random_program(generator)
    x = leaf(generator.uniform(0.3, 1.2, (3, 4)))
    try:
        gradcheck(function, x, leaf(0.7), rtol=1e-5)
    except Exception as error:
        raise AssertionError(f"views and changes {plan}: {error}") from error


def test_in_place_by_an_overlapping_view():
    """What the rule reads is kept aside before the memory is written; so is what an assignment reads."""
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = x * 1.0
    y.mul_(y.T)
    y.sum().backward()
    same(x.grad, 2 * x.detach().numpy().T)
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x * 1.0
    y[:2].mul_(y[2:])                       # one version counter, memory of its own
    y.sum().backward()
    same(x.grad, [3, 4, 2, 3])
    n = 60
    grid, mask = np.arange(n * n).reshape(n, n), np.arange(n * n).reshape(n, n) % 7 > 2
    a = ml.tensor(grid)
    a.copy_(a.T)
    same(a, grid.T)
    a = ml.tensor(grid.reshape(-1))
    a[1:] = a[:-1]
    same(a[1:], grid.reshape(-1)[:-1])
    a = ml.tensor(mask)
    a[a.T] = False
    same(a, mask & ~mask.T)


def test_empty_tensors_change_in_place():
    x = leaf(np.zeros((0, 3)))
    y = x * 1
    y[0:0].mul_(2)
    y.T.add_(1)
    y.sum().backward()
    assert x.grad.shape == (0, 3)


def test_data_replaces_the_memory():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    y = x * 1.0
    view = y[1:3]
    view.data = ml.tensor(np.zeros(2))      # shows y no longer
    view.add_(1.0)
    same(y.detach(), [1, 2, 3, 4])
    same(view.detach(), [1, 1])
    view = y[1:3]
    y.data = ml.tensor(np.zeros(4))         # and now y is elsewhere
    with pytest.raises(RuntimeError, match="no longer shows a part.*make the view again"):
        view.mul_(2.0)
    with pytest.raises(TypeError, match="data: expected float32 or float64"):
        x.data = ml.tensor([1, 2])
    y = x * x
    x.data = ml.tensor(np.zeros(4))
    with pytest.raises(RuntimeError, match=".data was replaced"):
        ml.grad(y.sum(), x, create_graph=True)


# ---- modes, hooks, retain_grad ----

def test_no_grad_and_enable_grad():
    x = leaf(1.0)
    with ml.no_grad():
        assert not ml.is_grad_enabled()
        assert not (x * 2).requires_grad
        with ml.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @ml.no_grad()
    def quiet():
        return x * 2
    assert not quiet().requires_grad
    with ml.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert ml.is_grad_enabled()
    with pytest.raises(KeyError), ml.no_grad():
        raise KeyError
    assert ml.is_grad_enabled()


def test_modes_of_generators_and_bare_decorators():
    @ml.no_grad
    def bare():
        return ml.is_grad_enabled()
    assert not bare()

    @ml.no_grad()
    def steps():
        got = []
        try:
            for i in range(3):
                got.append((yield i, ml.is_grad_enabled()))
        except KeyError:
            yield "thrown", ml.is_grad_enabled()
        return got
    walk = steps()
    assert next(walk) == (0, False) and ml.is_grad_enabled()
    assert walk.send("a") == (1, False) and ml.is_grad_enabled()
    assert walk.throw(KeyError()) == ("thrown", False)
    with pytest.raises(StopIteration) as end:
        next(walk)
    assert end.value.value == ["a"]
    walk = steps()
    next(walk)
    walk.close()
    assert ml.is_grad_enabled()


def test_set_grad_enabled_as_call_block_and_decorator():
    def enabled():
        return ml.is_grad_enabled()
    quiet = ml.set_grad_enabled(False)(enabled)
    assert ml.is_grad_enabled()                         # decorating changes nothing by itself
    assert not quiet() and ml.is_grad_enabled()
    assert quiet.__name__ == "enabled"

    @ml.set_grad_enabled(True)
    def recorded(depth):
        yield enabled()
        with ml.no_grad():
            yield from recorded(depth - 1) if depth else ()
        yield enabled()
    with ml.no_grad():
        assert list(recorded(2)) == [True] * 6 and not ml.is_grad_enabled()
    ml.set_grad_enabled(False)
    assert not ml.is_grad_enabled()
    mode = ml.set_grad_enabled(True)
    with ml.set_grad_enabled(False):
        assert not ml.is_grad_enabled()
    with mode:
        assert ml.is_grad_enabled()
    assert not ml.is_grad_enabled()                     # back to before `mode`
    ml.set_grad_enabled(True)
    with pytest.raises(TypeError, match="set_grad_enabled: expected True or False, got <function"):
        ml.set_grad_enabled(enabled)


def test_a_new_thread_starts_afresh():
    """The system gives a thread's number to another one as soon as it has ended."""
    seen = []
    for body in (lambda: ml.set_grad_enabled(False), lambda: seen.append(ml.is_grad_enabled())) * 3:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    assert seen == [True] * 3


def test_modes_belong_to_the_thread():
    seen = []
    with ml.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ml.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not ml.is_grad_enabled()
    assert seen == [True]


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()                             # asking twice changes nothing
    assert y.retains_grad
    (y * y).sum().backward()
    same(y.grad, [4, 8])
    same(x.grad, [8, 16])
    z = x * 2
    (z * z).sum().backward()
    assert z.grad is None
    with pytest.raises(RuntimeError, match="retain_grad"):
        ml.ones(2).retain_grad()


def test_retain_grad_comes_last_and_follows_a_change_in_place():
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.backward()
    same(y.grad, 10.0)
    x = leaf(1.0, 2.0)
    y, seen = x * 2, []
    y.retain_grad()
    y.register_hook(seen.append)
    y.mul_(3)
    y[0].mul_(7)
    (y * 5).sum().backward()
    same(y.grad, [5, 5])
    same(seen[0], [105, 15])                    # a hook stays with the values it was asked for


def test_hooks_see_the_complete_gradient_once():
    x = leaf(1.0, 2.0)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.clone()))
    y = x * 2
    y.register_hook(lambda g: seen.append(g.clone()))
    (y * y + x + y).sum().backward()
    assert len(seen) == 2
    same(seen[0], [5, 9])
    same(seen[1], [11, 19])
    same(x.grad, [11, 19])
    handle.remove()
    handle.remove()
    (x * 2).sum().backward()
    assert len(seen) == 2
    seen = []
    handles = [x.register_hook(seen.append) for _ in range(2)]
    handles[0].remove()
    handles[0].remove()                         # takes away its own only
    x.backward(ml.ones(2, dtype=ml.float64))    # the leaf itself
    assert len(seen) == 1


def test_hooks_may_replace_the_gradient():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    y.sum().backward()
    same(x.grad, [22, 22])
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g * 3)
    (x * 2).sum().backward()
    same(x.grad, [6, 6])
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: ml.ones(3))
    with pytest.raises(RuntimeError, match="hook returned.*expected None or a tensor of shape \\(2,\\)"):
        (x * 2).sum().backward()
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.float())
    with pytest.raises(RuntimeError, match="hook returned.*float32.*expected.*float64"):
        (x * 2).sum().backward()
    with pytest.raises(TypeError, match="hook: expected a function, got int"):
        x.register_hook(3)
    with pytest.raises(RuntimeError, match="register_hook.*requires_grad=True"):
        ml.ones(2).register_hook(print)


# ---- the listing ----

def test_listing_is_a_program():
    x, w = leaf(np.ones((2, 3)), dtype="float32"), leaf(np.ones((3, 4)), dtype="float32")
    with ml.Tape() as listing:
        y = (x @ w).relu()
        y.sum()
    assert len(listing) == 3
    lines = str(listing).splitlines()
    assert lines[0].startswith("%1 = parameter float32[2, 3]")
    assert lines[1].startswith("%2 = parameter float32[3, 4]")
    assert "= matmul(%1, %2" in lines[2] and "float32[2, 4]" in lines[2]
    assert "= relu(%3" in lines[3]
    assert "= sum(%4" in lines[4] and lines[4].rstrip().endswith("float32[]")


def test_listings_nest_and_end():
    x = leaf(1.0)
    with ml.Tape() as outer:
        x * 2
        with ml.Tape() as inner:
            x * 3
        x * 4
    x * 5
    assert (len(outer), len(inner)) == (2, 1)
    with ml.Tape() as quiet, ml.no_grad():
        x * 2
    assert len(quiet) == 1


def test_listing_names_the_layer():
    layer = ml.Linear(3, 2)
    with ml.Tape() as listing:
        layer(ml.ones(4, 3))
    assert "# Linear" in str(listing)


# ---- tensors as objects ----

def test_deepcopy_and_pickle():
    x = leaf(1.0, 2.0)
    x.note = ["kept"]
    (x * 2).sum().backward()
    for again in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        same(again.detach(), [1, 2])
        assert again.requires_grad and again.is_leaf
        assert again.note == ["kept"] and again.note is not x.note
        assert not np.shares_memory(again.detach().numpy(), x.detach().numpy())
    same(copy.deepcopy(x).grad, [2, 2])
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match="detach"):
            attempt(x * 2)
    strided = ml.tensor(np.arange(6.0).reshape(2, 3)).T
    same(pickle.loads(pickle.dumps(strided)), np.arange(6.0).reshape(2, 3).T)


def test_copies_of_tensors_that_know_themselves():
    x = leaf(1.0, 2.0)
    x.me = x
    for again in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert again.me is again and again is not x
    y = copy.copy(x)
    assert y.requires_grad and np.shares_memory(y.detach().numpy(), x.detach().numpy())
    z = x * x
    with ml.no_grad():
        y.add_(1)                               # one memory, one version counter
    with pytest.raises(RuntimeError, match="mul saved input 0"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match="copy: expected a tensor made by you"):
        copy.copy(x * 2)


def test_read_only_memory_is_not_taken(tmp_path):
    """Writing into a file mapped for reading would end the process."""
    np.ones(4, np.float32).tofile(tmp_path / "values")
    values = np.memmap(tmp_path / "values", np.float32, "r")
    x = ml.as_tensor(values)
    x.add_(1)
    same(x, [2, 2, 2, 2])
    p = ml.Parameter(values)
    p.sum().backward()
    ml.optim.SGD([p], lr=0.5).step()
    same(p.detach(), [0.5] * 4)
    spread = ml.Parameter(np.broadcast_to(np.ones(1, np.float32), (3,)))
    (spread * ml.tensor([1.0, 2.0, 3.0])).sum().backward()
    ml.optim.SGD([spread], lr=1.0).step()
    same(spread.detach(), [0, -1, -2])


def test_tensors_from_tensors_and_arrays_of_others():
    class Other:
        """Another library's array."""

        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0])
    assert ml.tensor([ml.tensor(1.0), ml.tensor(2.0)]).dtype == ml.float32
    assert ml.tensor(Other()).dtype == ml.float64
    with pytest.raises(ValueError, match="copy=False"):
        np.array(ml.ones(2), dtype=np.float64, copy=False)


def test_large_copies_lie_in_memory_of_our_own():
    values = np.arange(30_001.0)[1:].reshape(-1, 3).T
    x = ml.tensor(values)
    assert x.array.ctypes.data % 64 == 0 and x.is_contiguous()
    same(x, values)
    shifted = np.frombuffer(b"x" + values.tobytes(), np.uint8)[1:].view(np.float64)     # not even aligned to 8
    same(ml.tensor(shifted), values.reshape(-1))


def test_comparing_with_arrays_and_others():
    x = ml.tensor([1, 2])
    for found in (x == np.array([1, 3]), np.array([1, 3]) == x):
        same(found, [True, False])
    same(x != np.array([1, 3]), [False, True])
    assert 2 in x and "a" not in x and (x == "a") is False


def test_text():
    assert f"{ml.tensor(1.5)}" == "1.5" and f"{ml.tensor([1.5]):.2f}" == "1.50"
    assert repr(ml.zeros(0, 3)) == "tensor([], size=(0, 3))"


def test_weak_references_and_attributes():
    x = leaf(1.0)
    alive = weakref.ref(x)
    x.anything = 3
    assert alive() is x
    del x
    assert alive() is None


def test_hash_is_by_identity():
    for x, y in ((ml.ones(2), ml.ones(2)), (ml.Parameter(ml.ones(2)), ml.Parameter(ml.ones(2)))):
        assert {x: 1, y: 2}[y] == 2
        assert hash(x) == hash(x)
    assert (ml.ones(2) == ml.ones(2)).all()


def test_parameters_make_plain_tensors():
    p = ml.Parameter(ml.ones(2))
    assert type(p * 2) is ml.Tensor
    assert type(pickle.loads(pickle.dumps(p))) is ml.Parameter
    assert type(copy.deepcopy(p)) is ml.Parameter


def test_arrays_on_the_left_do_not_drop_the_graph():
    x = leaf(1.0, 2.0)
    y = np.array([3.0, 4.0]) * x
    assert isinstance(y, ml.Tensor) and y.requires_grad
    y = np.float64(3.0) * x
    assert isinstance(y, ml.Tensor) and y.requires_grad


def test_leaves_and_results():
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf and not y.is_leaf and y.detach().is_leaf
    assert ml.ones(1).is_leaf
    assert x.grad_fn is None and y.grad_fn.op.name == "mul"
    with pytest.raises(RuntimeError, match="only a leaf"):
        y.requires_grad = False
    with pytest.raises(TypeError, match="float32 or float64"):
        ml.tensor([1, 2]).requires_grad_()
    y.detach_()
    assert y.is_leaf and not y.requires_grad


def test_observer_sees_every_operation():
    seen = []
    state = ml.thread_state()
    x = leaf(1.0)
    state.observer = lambda node, op, inputs, outputs: seen.append((op.name, node is not None, len(outputs)))
    try:
        y = x * 2
        with ml.no_grad():
            y + 1
    finally:
        state.observer = None
    x * 3
    assert seen == [("mul", True, 1), ("add", False, 1)]


def test_what_the_second_telling_reads_is_guarded_too():
    """create_graph: a saved value that a gradient's own graph reads again, overwritten before the second pass."""
    def first(f, *inputs):
        return ml.grad(f.sum(), inputs, create_graph=True)[0].sum()
    x, w, c = leaf(1.0), leaf(2.0), ml.tensor([5.0])
    a, e, p = x * 2, x.exp(), x * c
    seconds = [(first(a.sin(), x), a), (first(a ** 3, x), a), (first(e, x), e), (first(p * w, x), c)]
    for second, memory in seconds:
        with ml.no_grad():
            memory.fill_(0.0)
        with pytest.raises(RuntimeError, match="changed in place"):
            second.backward()


def test_a_gradient_given_may_be_the_grad_that_is_added_to():
    x = leaf(0.0, 1.0, 2.0, 3.0)
    x.grad = ml.tensor(np.array([1.0, 2.0, 3.0, 4.0]))
    x[1:].backward(x.grad[:-1])
    assert x.grad.tolist() == [1.0, 3.0, 5.0, 7.0]
    w = ml.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w.grad = ml.tensor([[1.0, 2.0], [3.0, 4.0]])
    w.T.backward(w.grad)
    assert w.grad.tolist() == [[2.0, 5.0], [5.0, 8.0]]


class SavesAll(tape.Op):
    """y = the first input; saves every input."""
    name = "saves_all"

    def forward(self, node, *xs):
        node.save(*xs)
        return xs[0].copy()

    def backward(self, node, dy):
        return (dy, *[None] * (len(node.parents) - 1))

    def cost(self, shapes, out_shapes):
        return tape.elementwise_cost(shapes, out_shapes)


def test_an_op_may_save_a_hundred_thousand_inputs():
    """Noted in linear time, and let go of without a hundred thousand nested calls."""
    done = []

    def run():
        xs = [leaf(1.0) for _ in range(100_000)]
        tape.apply(SavesAll(), *xs)                     # dropped
        tape.apply(SavesAll(), *xs).sum().backward()    # freed by the walk
        done.append(xs[0].grad.item())
    size = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert done == [1.0]


class ReturnsAList(SavesAll):
    def backward(self, node, dy):
        return [dy]


def test_a_list_of_gradients_is_refused():
    with pytest.raises(RuntimeError, match="saves_all: backward returned a list"):
        (tape.apply(ReturnsAList(), leaf(1.0) * 2) * 3).sum().backward()


def test_the_short_way_of_two_inputs_notes_what_the_general_one_does():
    """apply2's own notes, and apply's (which runs while a tape listens)."""
    def refused(listen, change):
        x, y = leaf(1.0) * 1, leaf(2.0) * 1
        with ml.Tape() if listen else contextlib.nullcontext():
            z = x * y if change != "output" else x / y
        with ml.no_grad():
            (y if change == "second" else x if change == "first" else z).fill_(3.0)
        try:
            z.sum().backward()
        except RuntimeError as error:
            return str(error).partition(" at ")[0]
        return None
    for change in ("first", "second", "output"):
        assert refused(False, change) == refused(True, change)
    assert "input 0" in refused(False, "first") and "input 1" in refused(False, "second")
