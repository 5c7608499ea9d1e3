"""Optimizers, schedules and clipping: PyTorch's numbers (goldens), checkpoints, groups, and misuse."""
import copy
import json
import pickle
import weakref

import numpy as np
import pytest
from goldens import optim as program

import minilayer as ml
from minilayer import optim
from minilayer._ext import optimizer_cython, optimizer_reference
from minilayer.nn.utils import clip_grads_with_norm_, get_total_norm
from minilayer.optim import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    Optimizer,
    StepLR,
    clip_grad_norm_,
    clip_grad_value_,
)

GOLDENS = json.loads(program.PATH.read_text())


def param(values, grad=None, dtype=np.float64):
    p = ml.tensor(np.array(values, dtype), requires_grad=True)
    if grad is not None:
        p.grad = ml.tensor(np.array(grad, dtype))
    return p


def close(got, wanted):
    np.testing.assert_allclose(np.concatenate([np.ravel(x) for x in flat(got)]),
                               np.concatenate([np.ravel(x) for x in flat(wanted)]), rtol=1e-12, atol=1e-14)


def flat(nest):
    return [y for x in nest for y in flat(x)] if isinstance(nest, list) else [nest]


# ---- PyTorch's numbers ----

@pytest.mark.parametrize("name", program.OPTIMIZERS)
def test_trajectory(name):
    close(program.trajectory(ml, optim, name), GOLDENS["trajectory"][name])


@pytest.mark.parametrize("name", GOLDENS["rates"])
def test_schedule(name):
    close(program.rates(ml, optim, name), GOLDENS["rates"][name])


@pytest.mark.parametrize("name", program.CLIPS)
def test_clip(name):
    close(program.clipped(ml, clip_grad_norm_, *program.CLIPS[name]), GOLDENS["clipped"][name])


def test_goldens_are_what_this_pytorch_computes():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    made = program.everything(torch, torch.optim, torch.nn.utils.clip_grad_norm_)
    for kind, entries in made.items():
        for name, values in entries.items():
            close(values, GOLDENS[kind][name])


# ---- steps ----

def test_step_needs_a_gradient_and_counts_as_a_write():
    a, b = param([1.0, 2.0], [1.0, 1.0]), param([3.0])
    optimizer = SGD([a, b], lr=0.5)
    y = a * a
    optimizer.step()
    assert a.tolist() == [0.5, 1.5] and b.tolist() == [3.0]
    with pytest.raises(RuntimeError, match="SGD.step"):          # y's rule would read the new a
        y.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0, 0.0] and b.grad is None
    gone = weakref.ref(a.grad.array)
    optimizer.step()
    optimizer.zero_grad()
    assert a.grad is None and gone() is None        # nobody else holds its memory


def test_closure_runs_with_gradients_and_its_value_comes_back():
    p = param([2.0])

    def closure():
        p.grad = None
        loss = (p * p).sum()
        loss.backward()
        return loss
    with ml.no_grad():
        assert SGD([p], lr=0.25).step(closure).item() == 4.0
    assert p.tolist() == [1.0]


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_strided_parameters_and_gradients(cls):
    """A parameter that is no C-ordered block is updated all the same, and so is one with such a gradient."""
    values, grads = np.arange(6.0).reshape(2, 3), np.linspace(-1, 1, 6).reshape(3, 2).T
    strided, plain = param(values), param(values)
    strided.data = ml.from_numpy(np.asfortranarray(values))
    for p in (strided, plain):
        p.grad = ml.from_numpy(grads)
        cls([p], lr=0.1).step()
    assert not strided.is_contiguous() and strided.tolist() == plain.tolist() != values.tolist()


def test_both_dtypes_in_one_group():
    a, b = param([1.0, 2.0], [1.0, -1.0], np.float32), param([[1.0, 2.0]], [[1.0, -1.0]])
    optimizer = AdamW([a, b], lr=0.1)
    optimizer.step()
    assert a.dtype == np.float32 and optimizer.state[a]["exp_avg"].dtype == np.float32
    np.testing.assert_allclose(a.tolist(), b.tolist()[0], rtol=1e-6)


def test_options_may_change_between_steps():
    p = param([1.0], [1.0])
    optimizer = Adam([p], lr=0.1)
    optimizer.step()
    optimizer.param_groups[0].update(lr=0.0, amsgrad=True)
    before = p.tolist()
    optimizer.step()
    assert p.tolist() == before and optimizer.state[p]["max_exp_avg_sq"].shape == (1,)


def test_what_is_kept_between_steps_follows_changes():
    """The lists of the last step are used again only while they hold."""
    a, b = param([1.0], [1.0]), param([1.0], [1.0])
    optimizer = SGD([a, b], lr=1.0)
    optimizer.step()
    a.grad = ml.tensor(np.array([2.0]))                         # another gradient
    b.data = ml.tensor(np.array([10.0]))                        # other memory
    optimizer.step()
    assert (a.tolist(), b.tolist()) == ([-2.0], [9.0])
    b.grad = None                                               # no gradient
    optimizer.step()
    assert (a.tolist(), b.tolist()) == ([-4.0], [9.0])
    c = param([5.0], [1.0])
    optimizer.param_groups[0]["params"][1] = c                  # another parameter
    optimizer.step()
    assert (a.tolist(), b.tolist(), c.tolist()) == ([-6.0], [9.0], [4.0])
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert c.tolist() == [4.0 - 1.0 - 1.5]
    a.grad = ml.tensor(np.array([[1.0]]))                       # a step that fails
    with pytest.raises(ValueError, match="gradient of shape"):
        optimizer.step()
    a.grad = None
    optimizer.state.clear()                                     # no state
    optimizer.step()
    assert c.tolist() == [0.5]


def test_repr_and_groups():
    a, b = param([1.0]), param([2.0])
    optimizer = SGD([{"params": a}], lr=0.1)
    optimizer.add_param_group({"params": [b], "lr": 0.2})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.2]
    assert repr(optimizer).startswith("SGD(1 parameters, lr=0.1, momentum=0.0")


# ---- checkpoints ----

@pytest.mark.parametrize("cls, options", [(SGD, {"momentum": 0.9}), (SGD, {}), (Adam, {"amsgrad": True}), (AdamW, {})])
def test_state_round_trip(cls, options, tmp_path):
    def run(optimizer, params, steps):
        for t in steps:
            for i, p in enumerate(params):
                if i != 1 or t != 1:                # so that step counts differ
                    p.grad = ml.tensor(np.cos(p.detach().numpy() + t))
            optimizer.step()

    def fresh():
        params = [param([1.0, 2.0, 3.0]), param([[4.0]]), param(np.float32(5.0), dtype=np.float32)]
        return params, cls([{"params": params[:1]}, {"params": params[1:], "lr": 0.01}], lr=0.1, **options)
    params, optimizer = fresh()
    run(optimizer, params, range(5))
    halfway, first = fresh()
    run(first, halfway, range(3))
    ml.save({"o": first.state_dict(), "p": [p.detach() for p in halfway]}, tmp_path / "state.safetensors")
    state = ml.load(tmp_path / "state.safetensors")
    resumed, second = fresh()
    for p, values in zip(resumed, state["p"], strict=True):
        p.data = values
    second.load_state_dict(state["o"])
    run(second, resumed, range(3, 5))
    run(copy.deepcopy(first), halfway, [])
    assert [p.tolist() for p in resumed] == [p.tolist() for p in params]
    run(first, halfway, range(3, 5))                # loading copied: the first run goes on by itself
    assert [p.tolist() for p in halfway] == [p.tolist() for p in params]


def test_load_state_dict_keeps_what_schedules_wrote():
    """OneCycleLR goes on from what it left in the groups."""
    w = ml.zeros(2).requires_grad_()
    first = ml.optim.SGD([w], lr=0.1, momentum=0.9)
    schedule = ml.optim.lr_scheduler.OneCycleLR(first, 1.0, total_steps=10)
    for _ in range(3):
        first.step()
        schedule.step()
    second = ml.optim.SGD([w], lr=0.1, momentum=0.9)
    second.load_state_dict(first.state_dict())
    resumed = ml.optim.lr_scheduler.OneCycleLR(second, 1.0, total_steps=10, last_epoch=schedule.last_epoch - 1)
    assert resumed.get_last_lr() == schedule.get_last_lr()


def test_state_dict_has_pytorch_s_layout():
    p = param([1.0, 2.0], [0.1, 0.2])
    optimizer = Adam([p])
    optimizer.step()
    state = optimizer.state_dict()
    assert state["param_groups"][0]["params"] == [0] and state["param_groups"][0]["betas"] == (0.9, 0.999)
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"} and state["state"][0]["step"].item() == 1
    assert all(isinstance(t, ml.Tensor) for t in state["state"][0].values())
    assert state["state"][0]["exp_avg"] is optimizer.state[p]["exp_avg"]
    as_torch = {"state": {0: {"step": np.float32(7), "exp_avg": ml.ones(2), "exp_avg_sq": [1.0, 1.0]}},
                "param_groups": [{**state["param_groups"][0], "betas": [0.5, 0.6], "foreach": None, "fused": None}]}
    optimizer.load_state_dict(as_torch)
    assert optimizer.state[p]["step"] == 7
    assert all(isinstance(optimizer.state[p][name], ml.Tensor) and optimizer.state[p][name].dtype == np.float64
               for name in ("exp_avg", "exp_avg_sq"))
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.6) and "foreach" not in optimizer.param_groups[0]


def test_optimizer_copies_and_pickles():
    p = param([1.0], [1.0])
    optimizer = SGD([p], momentum=0.9)
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        q = other.param_groups[0]["params"][0]
        assert q is not p and other.state[q]["momentum_buffer"].tolist() == [1.0]


def broken(**change):
    p, q = param([1.0, 2.0], [0.1, 0.2]), param([3.0])
    optimizer = Adam([p, q])
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    entry = state["state"][0]
    if "group" in change:
        state["param_groups"][0].update(change["group"])
    entry.update(change.get("entry", {}))
    for name in change.get("drop", ()):
        del entry[name]
    if "number" in change:
        state["state"][change["number"]] = entry
    before = pickle.dumps(optimizer.state_dict())
    try:
        optimizer.load_state_dict(change.get("whole", state))
    finally:
        assert pickle.dumps(optimizer.state_dict()) == before, "a refused state changed something"


@pytest.mark.parametrize("change, error, match", [
    ({"whole": 3}, ValueError, "got int"),
    ({"whole": {"state": [], "param_groups": []}}, ValueError, "a dict"),
    ({"whole": {"state": {}}}, ValueError, r"\['state'\]"),
    ({"whole": {"state": {}, "param_groups": [3]}}, ValueError, "list of dicts"),
    ({"whole": {"state": {}, "param_groups": []}}, ValueError, "another model"),
    ({"group": {"params": [0]}}, ValueError, r"groups of \[2\] parameters, got \[1\]"),
    ({"group": {"lr": -1.0}}, ValueError, "lr of 0.0 or more"),
    ({"group": {"betas": 3}}, TypeError, "betas"),
    ({"number": 5}, ValueError, "got 5"),
    ({"entry": {"exp_avg": np.zeros(3)}}, ValueError, r"exp_avg of shape \(2,\)"),
    ({"entry": {"exp_avg": np.array(["a", "b"])}}, ValueError, "numbers in exp_avg"),
    ({"entry": {"step": -1}}, ValueError, "step count"),
    ({"entry": {"step": float("nan")}}, ValueError, "step count"),
    ({"entry": {"square_avg": np.zeros(2)}}, ValueError, "another optimizer"),
    ({"drop": ["exp_avg_sq"]}, ValueError, "another optimizer"),
])
def test_bad_state_is_refused_whole(change, error, match):
    with pytest.raises(error, match=match):
        broken(**change)


def test_scheduler_state():
    p = param([1.0])
    optimizer = SGD([p], lr=0.1)
    scheduler = CosineAnnealingLR(optimizer, 10)
    for _ in range(4):
        scheduler.step()
    other = SGD([p], lr=0.1)
    resumed = CosineAnnealingLR(other, 10)
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    other.load_state_dict(optimizer.state_dict())
    scheduler.step()
    resumed.step()
    assert scheduler.get_last_lr() == resumed.get_last_lr() == [optimizer.param_groups[0]["lr"]]
    again = CosineAnnealingLR(other, 10, last_epoch=4)
    assert again.get_last_lr() == pytest.approx(resumed.get_last_lr(), rel=1e-12)
    assert "lr_lambdas" not in LambdaLR(optimizer, lambda t: 1.0).state_dict()
    with pytest.raises(ValueError, match="StepLR.load_state_dict: expected .*gamma"):
        StepLR(optimizer, 2).load_state_dict({"last_epoch": 1})
    with pytest.raises(KeyError, match="initial_lr"):
        StepLR(SGD([p]), 2, last_epoch=3)


SCHEDULES = {
    "LambdaLR": (lambda t: 1 / (t + 1),), "MultiplicativeLR": (lambda t: 0.9,), "StepLR": (3, 0.5), "MultiStepLR": ([1, 2, 2, 5, 7],),
    "ConstantLR": (0.5, 6), "LinearLR": (0.2, 1.0, 8), "ExponentialLR": (0.9,), "PolynomialLR": (9, 2.0),
    "CosineAnnealingLR": (6, 0.01), "CosineAnnealingWarmRestarts": (3, 2), "CyclicLR": (0.01, 0.3, 3), "OneCycleLR": (0.3, 20),
    "ReduceLROnPlateau": ("min", 0.5, 1), "SWALR": (0.03, 8)}
TREES = {
    "sequential": ("SequentialLR", [("ConstantLR", 0.5, 2), ("LambdaLR", lambda t: 1 / (t + 1)), ("MultiplicativeLR", lambda t: 0.9)], [3, 7]),
    "sequential, milestones": ("SequentialLR", [("MultiStepLR", [1, 3, 4]), ("MultiStepLR", [2, 3])], [6]),
    "sequential, from the second": ("SequentialLR", [("ConstantLR", 0.5, 2), ("ExponentialLR", 0.9)], [0]),
    "sequential in sequential": ("SequentialLR", [("SequentialLR", [("ConstantLR", 0.5, 2), ("ExponentialLR", 0.9)], [3]), ("StepLR", 2, 0.5)], [8]),
    "three deep": ("SequentialLR", [("SequentialLR", [("SequentialLR", [("LinearLR", 0.2, 1.0, 4), ("PolynomialLR", 6, 2.0)], [2])], []), ("CosineAnnealingLR", 5)], [5]),
    "chain in sequential": ("SequentialLR", [("ChainedScheduler", [("LinearLR", 0.2), ("ExponentialLR", 0.9)]), ("SWALR", 0.03, 3)], [5]),
    "sequential in chain": ("ChainedScheduler", [("SequentialLR", [("LinearLR", 0.2), ("CosineAnnealingLR", 5)], [4]), ("StepLR", 3, 0.5)]),
    "a cycle later": ("SequentialLR", [("ExponentialLR", 0.9), ("CyclicLR", 0.01, 0.3, 3), ("OneCycleLR", 0.3, 20)], [3, 8]),
    "a chain with a cycle": ("ChainedScheduler", [("LinearLR", 0.2), ("CyclicLR", 0.01, 0.3, 3)]),
    **{name: (name, *arguments) for name, arguments in SCHEDULES.items()}}


def scheduled(library, tree, optimizer):
    """A schedule of a library, made of a tree (name, argument...) of schedules."""
    name, *arguments = tree
    if name in ("SequentialLR", "ChainedScheduler"):
        arguments[0] = [scheduled(library, one, optimizer) for one in arguments[0]]
    schedule = getattr(library.optim.lr_scheduler, name, None) or getattr(library.optim.swa_utils, name)
    return schedule(arguments[0]) if name == "ChainedScheduler" else schedule(optimizer, *arguments)


def rated(library, tree):
    optimizer = library.optim.SGD([library.zeros(2, requires_grad=True)], lr=0.1, momentum=0.9)
    return optimizer, scheduled(library, tree, optimizer)


def rates(schedule, optimizer, steps):
    """The rate now, and after each of so many steps."""
    found = [optimizer.param_groups[0]["lr"]]
    for i in range(steps):
        schedule.step(*[1.0 + i % 3] * (type(schedule).__name__ == "ReduceLROnPlateau"))
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_every_schedule_is_in_the_table():
    named = {n for n, s in vars(optim.lr_scheduler).items() if isinstance(s, type) and issubclass(s, LRScheduler) and n[0] != "_"}
    assert named - {"LRScheduler"} <= {tree[0] for tree in TREES.values()}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("steps", [2, 5, 9])
def test_every_schedule_goes_on_from_a_file(tree, steps, tmp_path):
    optimizer, schedule = rated(ml, tree)
    whole = rates(schedule, optimizer, 16)
    optimizer, schedule = rated(ml, tree)
    rates(schedule, optimizer, steps)
    ml.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, tmp_path / "state.safetensors")
    state = ml.load(tmp_path / "state.safetensors")
    optimizer, schedule = rated(ml, tree)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    assert rates(schedule, optimizer, 16 - steps) == whole[steps:]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_schedules_are_pytorch_s_and_take_its_states(tree):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, their_schedule = rated(torch, tree)
    ours, schedule = rated(ml, tree)
    assert rates(schedule, ours, 16) == pytest.approx(rates(their_schedule, theirs, 16), rel=1e-12, abs=1e-15)
    theirs, their_schedule = rated(torch, tree)
    ours, schedule = rated(ml, tree)
    rates(their_schedule, theirs, 5)
    for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        group.update({k: v for k, v in other.items() if k in ("lr", "initial_lr", "momentum")})
    schedule.load_state_dict(their_schedule.state_dict())
    assert rates(schedule, ours, 11) == pytest.approx(rates(their_schedule, theirs, 11), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("tree, wanted", [          # PyTorch's
    (TREES["sequential"], {0: 0.05, 7: 0.0225}), (TREES["sequential in sequential"], {0: 0.05}),
    (TREES["chain in sequential"], {0: 0.018}), (TREES["sequential, from the second"], {0: 0.1, 1: 0.09})])
def test_schedules_of_schedules_begin_as_pytorch_s(tree, wanted):
    optimizer, schedule = rated(ml, tree)
    found = rates(schedule, optimizer, 8)
    assert {i: found[i] for i in wanted} == pytest.approx(wanted)


def test_a_schedule_of_schedules_refuses_a_state_whole():
    optimizer, schedule = rated(ml, TREES["sequential in sequential"])
    state, before = copy.deepcopy(schedule.state_dict()), schedule.state_dict()
    state["last_epoch"] = 5
    state["schedulers"][0]["last_epoch"] = 5
    del state["schedulers"][1]["gamma"]
    with pytest.raises(ValueError, match="StepLR.load_state_dict: expected .*gamma"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


# ---- clipping ----

def test_clipping_details():
    assert clip_grad_norm_([param([1.0])], 1.0).item() == 0.0
    p = param([0.0, 0.0], [np.inf, 1.0])
    with pytest.raises(RuntimeError, match="finite norm, got inf"):
        clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert np.isinf(clip_grad_norm_(p, 1.0).item()) and np.isnan(p.grad.numpy()[0]) and p.grad.numpy()[1] == 0
    assert np.isnan(clip_grad_norm_(p, 1.0, float("inf")).item())
    q = param(np.zeros((2, 3)))
    q.grad = ml.from_numpy(np.full((3, 2), 2.0).T)
    assert clip_grad_norm_([q, param([0.0], [5.0])], 3.5).item() == 7.0
    np.testing.assert_allclose(q.grad.numpy(), 1.0, rtol=1e-6)
    assert clip_grad_norm_(param([0.0], [3e38], np.float32), 1.0).item() == np.float32(3e38)    # no overflow
    q.grad = ml.from_numpy(np.full((2, 3), 2.0))
    assert clip_grad_norm_(q, -1.0).item() == 24**0.5                                           # climbs, as PyTorch's
    np.testing.assert_allclose(q.grad.numpy(), -1 / 6**0.5, rtol=1e-6)
    r = param([0.0] * 3, [-5.0, 0.5, 5.0])
    clip_grad_value_([r, param([1.0])], 1)
    assert r.grad.tolist() == [-1.0, 0.5, 1.0]


@pytest.mark.parametrize("norm_type, want", [(0, 2.0), (-1, 1 / (1 / 3 + 1 / 4 + 1 / 12)), (-np.inf, 3.0), (np.inf, 12.0), (1, 19.0),
                                             (2, 13.0), (0.5, (3**0.5 + 2 + 12**0.5)**2)])
def test_total_norm(norm_type, want):
    """PyTorch's numbers; a norm of 0 counts tensors, not values."""
    tensors = [ml.tensor([3.0, -4.0]), ml.tensor([[12.0]])]
    np.testing.assert_allclose(get_total_norm(tensors, norm_type).item(), want, rtol=1e-6)
    assert get_total_norm([], norm_type).item() == 0.0
    p = param([0.0, 0.0], [6.0, 8.0])
    clip_grads_with_norm_(p, 5.0, get_total_norm(p.grad))
    np.testing.assert_allclose(p.grad.numpy(), [3.0, 4.0], rtol=1e-6)
    clip_grads_with_norm_([p], 5.0, 1.0)
    np.testing.assert_allclose(p.grad.numpy(), [3.0, 4.0], rtol=1e-6)


@pytest.mark.parametrize("schedule", [optim.lr_scheduler.ExponentialLR, lambda o, g: StepLR(o, 1, g)])
def test_a_rate_may_change_its_sign(schedule):
    optimizer = SGD([param([1.0])], lr=1.0)
    schedule = schedule(optimizer, -0.5)
    rates = []
    for _ in range(3):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [-0.5, 0.25, -0.125]


# ---- misuse ----

def changed_dtype():
    p = param([1.0], [1.0])
    optimizer = Adam([p])
    optimizer.step()
    p.data = ml.tensor(np.ones((1, 1), np.float32))
    p.grad = ml.tensor(np.ones((1, 1), np.float32))
    optimizer.step()


def gradient(array):
    p = param([1.0, 2.0])
    p.grad = ml.tensor(array)
    SGD([p]).step()


def step_after_hook(hook):
    optimizer = SGD([param([1.0], [1.0])])
    optimizer.register_step_pre_hook(hook)
    optimizer.step()


P = param([1.0])


@pytest.mark.parametrize("call, error, match", [
    (lambda: SGD(P), TypeError, "SGD: expected an iterable of tensors"),
    (lambda: SGD(3), TypeError, "got int"),
    (lambda: SGD([]), ValueError, "expected parameters, got none"),
    (lambda: SGD([P, 3]), TypeError, "got int at place 1"),
    (lambda: SGD([P * 2]), ValueError, "leaf tensors"),
    (lambda: SGD([ml.tensor([1, 2])]), TypeError, "float32 or float64 parameters, got int64"),
    (lambda: SGD([P, P]), ValueError, "there twice"),
    (lambda: SGD([{"params": [P]}, {"params": [P]}]), ValueError, "there twice"),
    (lambda: SGD([{"weights": [P]}]), TypeError, '"params"'),
    (lambda: SGD([{"params": [P], "beta": 1}]), ValueError, "got 'beta'"),
    (lambda: SGD([P]).add_param_group([P]), TypeError, "got list"),
    (lambda: SGD([P], lr="fast"), TypeError, "lr to be a number, got 'fast'"),
    (lambda: SGD([P], lr=-1), ValueError, "lr of 0.0 or more, got -1"),
    (lambda: SGD([P], lr=float("nan")), ValueError, "got nan"),
    (lambda: SGD([P], momentum=-0.1), ValueError, "momentum"),
    (lambda: SGD([P], nesterov=True), ValueError, "nesterov needs momentum"),
    (lambda: Adam([P], betas=(0.9, 1.0)), ValueError, r"betas\[1\] in \[0.0, 1.0\), got 1.0"),
    (lambda: Adam([P], betas=0.9), TypeError, "pair of numbers"),
    (lambda: Adam([P], betas=[0.9, 0.99, 0.9]), TypeError, "pair of numbers"),
    (lambda: Adam([P], lr=ml.tensor([0.1, 0.2])), ValueError, r"tensor lr of one element, got shape \(2,\)"),
    *[(lambda cls=cls: cls([P], foreach=True, fused=True), RuntimeError, f"{cls.__name__}: expected at most one of foreach and fused")
      for cls in (SGD, Adam, AdamW, optim.Adagrad)],
    (lambda: SGD([("p", P)]).add_param_group({"params": [param([1.0])]}), ValueError, "names for the parameters of all groups or of none"),
    (lambda: SGD([P]).add_param_group({"params": [("q", param([1.0]))]}), ValueError, "names for the parameters of all groups or of none"),
    (lambda: SGD([P]).register_step_pre_hook(3), TypeError, "expected a function, got int"),
    (lambda: step_after_hook(lambda *given: 3), RuntimeError, r"SGD: expected a hook before a step .*\(args, kwargs\), got 3"),
    (lambda: AdamW([P], eps=-1e-8), ValueError, "AdamW: expected eps"),
    (lambda: gradient(np.ones(3)), ValueError, r"gradient of shape \(2,\).*got \(3,\)"),
    (lambda: gradient(np.ones(2, np.float32)), ValueError, "dtype float64.*got .*float32"),
    (changed_dtype, ValueError, r"exp_avg of shape \(1, 1\).*converted or moved"),
    (lambda: Optimizer([param([1.0], [1.0])], {"lr": 0.1}).step(), NotImplementedError, "defines update"),
    (lambda: StepLR(3, 1), TypeError, "StepLR: expected an Optimizer, got int"),
    (lambda: StepLR(SGD([P]), 0), ValueError, "step_size of 1 or more"),
    (lambda: StepLR(SGD([P]), 1.5), TypeError, "step_size to be an integer"),
    (lambda: CosineAnnealingLR(SGD([P]), 4, -1), ValueError, "eta_min"),
    (lambda: LambdaLR(SGD([P]), 0.5), TypeError, "function from epoch to factor"),
    (lambda: LambdaLR(SGD([P]), []), ValueError, "each of the 1 groups, got 0"),
    (lambda: LRScheduler(SGD([P])), NotImplementedError, "defines get_lr"),
    (lambda: clip_grad_norm_([3], 1.0), TypeError, "clip_grad_norm_: expected tensors, got int"),
    (lambda: clip_grad_norm_(P, float("nan")), ValueError, "clip_grad_norm_: expected max_norm"),
    (lambda: clip_grad_norm_(P, 1.0, "2"), TypeError, "clip_grad_norm_: expected norm_type to be a number, got '2'"),
    (lambda: get_total_norm([3]), TypeError, "get_total_norm: expected tensors, got int"),
    (lambda: get_total_norm(ml.tensor([np.inf]), error_if_nonfinite=True), RuntimeError, "get_total_norm: .*finite norm, got inf"),
    (lambda: clip_grads_with_norm_(P, 1.0, "2"), TypeError, "clip_grads_with_norm_: expected total_norm to be a number"),
    (lambda: clip_grad_value_(P, "1"), TypeError, "clip_value"),
    (lambda: optimizer_reference.sgd([np.ones(2)], [np.ones(1)], None, np.zeros(2)), ValueError, "one shape and dtype"),
    (lambda: optimizer_cython.sgd([np.ones((2, 1))], [np.ones((1, 2))], None, np.zeros(2)), ValueError, "shapes"),
    (lambda: optimizer_cython.scale([np.ones(2)], None), TypeError, "scale"),
    (lambda: optimizer_cython.sgd([np.ones(2)], [], None, np.zeros(2)), ValueError, "lists of one length, got 1 and 0"),
])
def test_misuse(call, error, match):
    with pytest.raises(error, match=match):
        call()


# ---- every optimizer ----

EVERY = [cls for name, cls in vars(optim).items() if isinstance(cls, type) and issubclass(cls, Optimizer)
         and name not in ("Optimizer", "CountingOptimizer")]


def descend(params, optimizer, steps):
    """Steps down a bowl whose bottom is not where any parameter starts."""
    def closure():
        optimizer.zero_grad()
        loss = sum([((p - 1.5) ** 2 * (i + 1)).sum() for i, p in enumerate(params)])
        loss.backward()
        return loss
    return [float(optimizer.step(closure)) for _ in range(steps)]


def matrices(dtype="float64"):
    rng = np.random.default_rng(3)
    return [ml.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in [(3, 4), (5, 2)]]


@pytest.mark.parametrize("cls", EVERY)
def test_every_optimizer_goes_down_and_on_from_its_state(cls, tmp_path):
    params = matrices()
    optimizer = cls(params, lr=0.02)
    losses = descend(params, optimizer, 4)
    assert losses[-1] < losses[0]
    ml.save(optimizer.state_dict(), tmp_path / "optimizer.safetensors")
    again = [ml.tensor(p.detach().numpy().copy(), requires_grad=True) for p in params]
    other = cls(again, lr=0.5)
    other.load_state_dict(ml.load(tmp_path / "optimizer.safetensors"))
    assert other.param_groups[0]["lr"] == 0.02
    descend(params, optimizer, 3)
    descend(again, other, 3)
    for p, q in zip(params, again, strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("changed", [{}, {"lr": 0.05}], ids=["defaults", "lr=0.05"])
@pytest.mark.parametrize("cls", EVERY)
def test_every_optimizer_s_state_goes_to_pytorch_and_back(cls, changed):
    """Three steps there, three here from its state, three there from ours: as nine there."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.optim, cls.__name__)

    def of_torch(values):
        return [torch.tensor(p.detach().numpy().copy(), requires_grad=True) for p in values]
    straight, params = of_torch(matrices()), of_torch(matrices())
    descend(straight, theirs(straight, **changed), 9)
    optimizer = theirs(params, **changed)
    descend(params, optimizer, 3)
    here = [ml.tensor(p.detach().numpy().copy(), requires_grad=True) for p in params]
    ours = cls(here, lr=0.5)
    ours.load_state_dict(optimizer.state_dict())
    descend(here, ours, 3)
    state = ours.state_dict()
    for entries, wanted in zip(state["state"].values(), optimizer.state_dict()["state"].values(), strict=True):
        if cls is not optim.LBFGS:      # there PyTorch has tensors of a number, and "al", which is scratch
            assert {k: (type(v).__name__, tuple(v.shape)) for k, v in entries.items()} == \
                {k: (type(v).__name__, tuple(v.shape)) for k, v in wanted.items()}
    params = of_torch(here)
    optimizer = theirs(params, lr=0.5)
    optimizer.load_state_dict(torch.utils._pytree.tree_map_only(ml.Tensor, lambda t: torch.tensor(t.numpy()), state))
    descend(params, optimizer, 3)
    bound = 0.05 if cls is optim.Muon else 1e-10    # PyTorch rounds Muon's iteration to bfloat16, NAdam's product to float32
    for p, q in zip(params, straight, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=bound, atol=bound)


@pytest.mark.parametrize("cls", EVERY)
def test_every_optimizer_refuses_a_negative_rate_and_parameters_of_integers(cls):
    with pytest.raises(ValueError, match=f"{cls.__name__}: expected lr"):
        cls(matrices(), lr=-1.0)
    with pytest.raises(TypeError, match=f"{cls.__name__}: expected float32 or float64 parameters"):
        cls([ml.tensor([[1, 2], [3, 4]])])


def test_named_parameters_are_taken():
    model = ml.Linear(2, 3)
    optimizer = Adam(model.named_parameters())
    assert len(optimizer.param_groups[0]["params"]) == 2
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    state = optimizer.state_dict()
    assert state["param_groups"][0]["param_names"] == ["weight", "bias"] and "names" not in repr(optimizer)
    state["param_groups"][0]["lr"] = 0.5
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"] and optimizer.param_groups[0]["lr"] == 0.5
    assert "param_names" not in Adam(model.parameters()).param_groups[0]


@pytest.mark.parametrize("cls", [Adam, AdamW, optim.Adamax, optim.NAdam, optim.RAdam])
def test_pairs_may_be_lists_and_a_rate_a_tensor(cls):
    """As files of settings give them."""
    results = []
    for lr, betas in ((0.25, (0.5, 0.75)), (ml.tensor(0.25), [0.5, 0.75])):
        p = param([1.0, 2.0], [0.5, -1.0])
        optimizer = cls([p], lr=lr, betas=betas)
        optimizer.step()
        results.append((p.tolist(), optimizer.param_groups[0]["betas"], optimizer.param_groups[0]["lr"]))
    assert results[0] == results[1]


@pytest.mark.parametrize("cls", [SGD, optim.LBFGS])
def test_hooks_run_around_a_step(cls):
    p, seen = param([2.0], [1.0]), []
    optimizer = cls([p], lr=0.5)

    def closure():
        seen.append("step")
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", o is optimizer, args, kwargs)))
    after = optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", o is optimizer, args, kwargs)))
    assert optimizer.step(closure).item() == 4.0
    given = (True, (optimizer, closure), {})
    assert seen[0] == ("before", *given) and seen[-1] == ("after", *given) and set(seen[1:-1]) == {"step"}
    before.remove()
    after.remove()
    seen.clear()
    optimizer.step(closure)
    assert set(seen) == {"step"}


def test_a_hook_may_replace_what_a_step_is_given():
    p = param([2.0], [1.0])
    optimizer = SGD([p], lr=0.5)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o,), {"closure": lambda: 7}))
    assert optimizer.step() == 7 and p.tolist() == [1.5]
