"""The checks that every row of OPS passes, as functions, so that test_testers.py can ask which of them catch a wrong
backward rule."""
import numpy as np
from rounding import check_close

import minilayer as ml
from minilayer._ext import dispatch
from minilayer.gradcheck import gradcheck, gradgradcheck


def samples(case, rng):
    """A row's samples; NumPy's scalars as 0-d arrays."""
    return [tuple(np.asarray(x) if isinstance(x, np.generic) else x for x in sample) for sample in case.samples(rng)]


def is_checked(x):
    """Is this member of a sample an input that gets a gradient?"""
    return isinstance(x, np.ndarray) and x.dtype == np.float64


def tensors(sample, dtype="float64", device=None, grad=True):
    """A sample's arrays as tensors: float64 ones in `dtype`, asking for gradients; strides are kept."""
    made = []
    for x in sample:
        if isinstance(x, np.ndarray):
            t = ml.Tensor(x.astype(dtype) if x.dtype == np.float64 and dtype != "float64" else x)
            if device is not None:
                t = t.to(device)
            if grad and is_checked(x):
                t.requires_grad_()
            made.append(t)
        else:
            made.append(x)
    return made


def outputs(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def float_outputs(result):
    """The outputs that a gradient can come from."""
    return [y for y in outputs(result) if y.requires_grad]


def host(t):
    return t.detach().cpu().numpy()


def cotangents(ys, dtype="float64", device=None, seed=7):
    """Fixed random gradients for some outputs."""
    rng = np.random.default_rng(seed)
    made = [ml.Tensor(np.asarray(rng.standard_normal(y.shape)).astype(dtype)) for y in ys]
    return made if device is None else [t.to(device) for t in made]


def gradients(call, inputs, **kwargs):
    """(outputs, gradients of the tensors among the inputs that ask for one), arrays on the host."""
    result = call(*inputs)
    ys = float_outputs(result)
    wanted = [t for t in inputs if isinstance(t, ml.Tensor) and t.requires_grad]
    if not ys or not wanted:
        return [host(y) for y in outputs(result)], []
    device = None if wanted[0].device == "cpu" else wanted[0].device
    seeds = kwargs.pop("seeds", None) or cotangents(ys, wanted[0].dtype, device)
    found = ml.grad(ys, wanted, seeds, allow_unused=True, **kwargs)
    return [host(y) for y in outputs(result)], [None if g is None else host(g) for g in found]


def bind(case, sample):
    """case.call as a function of the checked inputs alone, and those inputs as tensors."""
    inputs = tensors(sample)
    places = [i for i, x in enumerate(sample) if is_checked(x)]

    def function(*checked):
        arguments = list(inputs)
        for i, t in zip(places, checked, strict=True):
            arguments[i] = t
        return case.call(*arguments)
    return function, [inputs[i] for i in places]


def tied(sample):
    """A sample whose checked inputs of one shape are equal: there a max is shared, and gradient checks cannot tell."""
    first: dict = {}
    return tuple(first.setdefault(x.shape, x).copy() if is_checked(x) else x for x in sample)


def own(sample):
    """A sample whose memory may be written: no zero strides, nothing shared."""
    return tuple(x.copy() if is_checked(x) and 0 in x.strides else x for x in sample)


# ---- checks of one sample ----

def check_gradient(case, sample):
    function, inputs = bind(case, own(sample))
    gradcheck(function, *inputs, eps=case.eps)


def check_gradient_of_gradient(case, sample):
    function, inputs = bind(case, own(sample))
    gradgradcheck(function, *inputs, eps=max(case.eps, 1e-5), rtol=1e-5, atol=1e-7)


def check_both_tellings(case, sample):
    """backward in kernels and backward in functions give the same numbers."""
    _, first = gradients(case.call, tensors(sample))
    _, second = gradients(case.call, tensors(sample), create_graph=True)
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        assert (a is None) == (b is None), f"{case}: only one telling has a gradient for input {i}"
        if a is not None:
            check_close(b, a, 64, f"{case}, gradient of input {i} with create_graph=True", "max")


def check_both_tellings_at_ties(case, sample):
    check_both_tellings(case, tied(sample))


def check_one_input_at_a_time(case, sample):
    """A gradient does not depend on which others are wanted."""
    _, together = gradients(case.call, tensors(sample))
    places = [i for i, x in enumerate(sample) if is_checked(x)]
    for k, i in enumerate(places):
        alone = tensors(sample, grad=False)
        alone[i].requires_grad_()
        _, found = gradients(case.call, alone)
        if found and together[k] is not None and found[0] is not None:
            check_close(found[0], together[k], 4, f"{case}, gradient of input {i} alone", "max")


def check_sum_of_two_uses(case, sample):
    """Used twice, an input gets the sum: by two backward passes, and by one over both uses, where the engine may hand
    the op its own sum buffer to add to."""
    _, want = gradients(case.call, tensors(sample))
    inputs = tensors(sample)
    wanted = [t for t in inputs if isinstance(t, ml.Tensor) and t.requires_grad]
    for _ in range(2):
        ys = float_outputs(case.call(*inputs))
        for y, u in zip(ys, cotangents(ys), strict=True):
            y.backward(u, retain_graph=True)
    inner = tensors(sample)
    leaves = [t for t in inner if isinstance(t, ml.Tensor) and t.requires_grad]
    through = [t * 1.0 if isinstance(t, ml.Tensor) and t.requires_grad else t for t in inner]
    ys = [*float_outputs(case.call(*through)), *float_outputs(case.call(*through)), *float_outputs(case.call(*through))]
    found = ml.grad(ys, leaves, cotangents(ys[:len(ys) // 3]) * 3, allow_unused=True)
    for i, (a, t, g) in enumerate(zip(want, wanted, found, strict=True)):
        if a is None:
            continue
        check_close(t.grad.numpy(), 2 * a, 64, f"{case}, .grad of input {i} after two backward passes", "max")
        check_close(g.numpy(), 3 * a, 64, f"{case}, gradient of input {i} used three times", "max")


def check_any_gradient_layout(case, sample):
    """The gradient that comes in may be transposed, reversed or expanded."""
    inputs = tensors(sample)
    ys = float_outputs(case.call(*inputs))
    plain = [np.asarray(u.numpy()) for u in cotangents(ys)]
    layouts = [
        (plain, [u.T.copy().T for u in plain]),
        (plain, [u[(slice(None, None, -1),) * u.ndim].copy()[(slice(None, None, -1),) * u.ndim] for u in plain]),
        ([np.full(u.shape, 0.75) for u in plain], [np.broadcast_to(np.array(0.75), u.shape) for u in plain]),
    ]
    for flat, strange in layouts:
        _, want = gradients(case.call, tensors(sample), seeds=[ml.Tensor(np.asarray(u)) for u in flat])
        _, got = gradients(case.call, tensors(sample), seeds=[ml.Tensor(np.asarray(u)) for u in strange])
        for i, (a, b) in enumerate(zip(want, got, strict=True)):
            if a is not None:
                check_close(b, a, 16, f"{case}, gradient of input {i} from a strided gradient", "max")


def check_any_input_layout(case, sample):
    """Inputs may be transposed or reversed."""
    want_y, want = gradients(case.call, tensors(sample))
    for turn in (0, 1):
        strange = tuple(x if not isinstance(x, np.ndarray) or not x.ndim else
                        x.T.copy().T if turn == 0 else x[::-1].copy()[::-1] for x in sample)
        got_y, got = gradients(case.call, tensors(strange))
        for a, b in zip(want_y, got_y, strict=True):
            check_close(b, a, 64, f"{case}, output for strided inputs", "max")
        for i, (a, b) in enumerate(zip(want, got, strict=True)):
            if a is not None:
                check_close(b, a, 64, f"{case}, gradient of input {i} for strided inputs", "max")


def check_backends(case, sample):
    """Compiled and reference kernels give the same outputs and gradients."""
    with dispatch.use_backend("reference"):
        want_y, want = gradients(case.call, tensors(sample))
    with dispatch.use_backend("compiled"):
        got_y, got = gradients(case.call, tensors(sample))
    for a, b in zip(want_y, got_y, strict=True):
        check_close(b, a, case.bound, f"{case}, output", "max")
    for i, (a, b) in enumerate(zip(want, got, strict=True)):
        if a is not None:
            check_close(b, a, case.bound, f"{case}, gradient of input {i}", "max")


def check_float32(case, sample):
    """float32 in, float32 out, and float64's numbers within rounding."""
    want_y, want = gradients(case.call, tensors(sample))
    got_y, got = gradients(case.call, tensors(sample, "float32"))
    for a, b in zip(want_y, got_y, strict=True):
        assert b.dtype == (np.float32 if a.dtype == np.float64 else a.dtype), f"{case}: {b.dtype} from float32 inputs"
        check_close(b, a, case.bound, f"{case}, float32 output", "max", np.float32 if a.dtype.kind == "f" else None)
    for i, (a, b) in enumerate(zip(want, got, strict=True)):
        if a is not None:
            assert b.dtype == np.float32
            check_close(b, a, case.bound, f"{case}, float32 gradient of input {i}", "max", np.float32)


def check_standin(case, sample):
    """The op runs where arrays refuse to become NumPy arrays, to the same bits."""
    want_y, want = gradients(case.call, tensors(sample))
    got_y, got = gradients(case.call, tensors(sample, device="standin"))
    for a, b in zip([*want_y, *want], [*got_y, *got], strict=True):
        if a is not None:
            check_close(b, a, 0, f"{case} on the stand-in device")


def check_inputs_untouched(case, sample):
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in sample]
    gradients(case.call, tensors(sample))
    for i, (a, b) in enumerate(zip(before, sample, strict=True)):
        if isinstance(a, np.ndarray):
            assert a.tobytes() == np.asarray(b).tobytes(), f"{case}: changed its input {i}"


def nodes(ys):
    """Every recorded operation behind some outputs."""
    found, open_ones = {}, [y.node for y in ys]
    while open_ones:
        node = open_ones.pop()
        if hasattr(node, "parents") and id(node) not in found:      # (the rest are leaves, and None)
            found[id(node)] = node
            open_ones += node.parents
    return list(found.values())


def check_writes_are_noticed(case, sample):
    """Backward raises where it would read an input that was written to meanwhile: nothing is saved past its version."""
    for i, x in enumerate(own(sample)):
        if not isinstance(x, np.ndarray):
            continue
        inputs = tensors(own(sample))
        ys = float_outputs(case.call(*inputs))
        saved = [a for node in nodes(ys) for a in node.saved if isinstance(a, np.ndarray) and a.size]
        if not any(np.may_share_memory(a, inputs[i].array) for a in saved):
            continue
        inputs[i].mark_written("this check")
        wanted = [t for t in inputs if isinstance(t, ml.Tensor) and t.requires_grad]
        try:
            ml.grad(ys, wanted, cotangents(ys), allow_unused=True)
        except RuntimeError as error:
            assert "changed in place" in str(error), f"{case}: {error}"
        else:
            raise AssertionError(f"{case}: backward reads input {i}, and does not notice a write to it; save the input itself, "
                                 "not a view or a reshape of it")


# ---- what a row runs ----

def ops_run(case, rng):
    """[(op, input shapes, output shapes)] that the row's forward passes record, and the same with gradients needed."""
    seen = []

    def observer(node, op, inputs, results):
        seen.append((op, [None if x is None else x.shape for x in inputs], [y.shape for y in results]))
    state = ml.thread_state()
    for sample in samples(case, rng):
        state.observer = observer
        try:
            case.call(*tensors(sample))
        finally:
            state.observer = None
    return seen
