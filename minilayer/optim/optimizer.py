"""What all optimisers share: parameter groups, the state kept for each parameter, checkpoints.

A group is a dict: its parameters under "params", its options beside them, to read and to change at any time. A step
gathers the parameters of a group that have a gradient and updates them all in one kernel call.
"""
from operator import is_

import numpy as np

from minilayer._ext.dispatch import family
from minilayer._ext.runtime import recording
from minilayer.device import contiguous, device_of, is_contiguous, to_device, zeros
from minilayer.optim.checks import IMPLEMENTATION, LISTS, check_number, check_pair, check_parameters, plain_options
from minilayer.optim.hooks import StepHooks
from minilayer.optim.repeat import repeat_with
from minilayer.state import enable_grad
from minilayer.tensor import Tensor

kernels = family("optimizer")
indexing = family("indexing")
COUNTS = ("step", "mu_product")     # entries of a state that are numbers


class Batch:
    """Parameters that one kernel call updates, and the lists it takes. It serves again as long as the same parameters
    have gradients, because a small model's step should not spend its time on lists."""
    __slots__ = ("arrays", "grads", "lists", "params", "states")

    def __init__(self):
        self.params, self.states, self.arrays, self.grads = [], [], [], []
        self.lists: dict = {}

    def add(self, p, state):
        """Take one more parameter in."""
        self.params.append(p)
        self.states.append(state)
        self.arrays.append(p.array)
        self.grads.append(p.grad.array)

    def kept(self, name, make=None) -> list:
        """The arrays of the states' tensors of that name; `make(parameter array)` makes those that are missing."""
        found = self.lists.get(name)
        if found is None:
            for x, state in zip(self.arrays, self.states, strict=True):
                if name not in state:
                    state[name] = Tensor(make(x))
            found = self.lists[name] = [state[name].array for state in self.states]
        return found

    def is_whole(self, params, states) -> bool:
        """Are these still all parameters of a group, each with a gradient? If so, look up this step's arrays."""
        if len(params) != len(self.params) or not all(map(is_, params, self.params)) \
                or states.get(params[0]) is not self.states[0]:
            return False
        self.forget()
        for p in params:
            grad = p.grad
            if grad is None:
                return False
            self.arrays.append(p.array)
            self.grads.append(grad.array)
        return True

    def forget(self):
        """Let go of this step's arrays: nothing should hold gradients after zero_grad."""
        self.arrays, self.grads = [], []

    def __reduce__(self):
        return Batch, ()            # copies and pickles of an optimizer make their own


def zeros_like(x):
    """State that starts at 0."""
    return zeros(x.shape, x.dtype, x)


class Optimizer(StepHooks):
    """The base of all optimisers. A subclass names the tensors it keeps in STATE and its options in AMOUNTS, checks others
    in `check`, and updates a batch of parameters in `update`.

    params   the tensors to update, (name, tensor) pairs as named_parameters() gives them (the group then keeps the names
             as "param_names"), or dicts {"params": either, option: value, ...}, one a group
    defaults the options of a group that does not say otherwise; a rate that is a tensor counts as its number at that time
    """
    STATE: tuple = ()
    NEEDED: tuple = ()          # what the state of a parameter holds from its first step on
    AMOUNTS: tuple = ("lr",)    # options that are numbers of 0 or more
    NUMBERS = 2                 # how many numbers of a step its kernel reads
    KERNEL = True               # is all of an update done by kernels, which read those numbers from an array?

    def __init__(self, params, defaults: dict):
        self.defaults = defaults
        self.param_groups: list[dict] = []
        self.state: dict = {}           # parameter -> {"exp_avg": tensor, "step": number, ...}
        self._hyper: list = []          # a group's numbers of this step, where kernels read them
        self._whole: list = []          # the last step's Batch where it held all of a group
        name = type(self).__name__
        if isinstance(params, (Tensor, str)) or not hasattr(params, "__iter__"):
            raise TypeError(f"{name}: expected an iterable of tensors or of dicts, got {type(params).__name__}; "
                            "pass model.parameters() or [tensor]")
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}: expected parameters, got none; was model.parameters() used up before, or has "
                             "the model none?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict) -> None:
        """Update more parameters from now on: {"params": tensors, option: value, ...}."""
        name = type(self).__name__
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f'{name}: expected a group as a dict with "params", got {type(group).__name__}')
        unknown = set(group) - set(self.defaults) - {"params", "param_names", "initial_lr"}
        if unknown:
            raise ValueError(f"{name}: expected the options {', '.join(self.defaults)} in a group, "
                             f"got {', '.join(map(repr, sorted(map(str, unknown))))}")
        group = check_parameters(name, group, self.param_groups)
        group = {**self.defaults, **group}
        plain_options(name, group)
        self.check(name, group)
        self.param_groups.append(group)
        self._hyper.append(np.zeros(self.NUMBERS))
        self._whole.append(None)

    def check(self, name: str, group: dict) -> None:
        """Raise where an option of a group is wrong."""
        for option in self.AMOUNTS:
            check_number(name, option, group[option])
        if "betas" in group:        # the shares of the past in running means
            check_pair(name, "betas", group["betas"], below=1.0)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, so that the next backward starts from none; with set_to_none=False fill them with 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    def step(self, closure=None):
        """Update every parameter that has a gradient. `closure`, where given, computes the loss anew, with gradients;
        its value is returned."""
        return self._step_with_hooks(closure) if self._hooks else self._step(closure)

    def _step(self, closure=None):
        loss, site = None, f"{type(self).__name__}.step()"
        if closure is not None:
            with enable_grad():
                loss = closure()
        for number, group in enumerate(self.param_groups):
            hyper = self._hyper[number]
            batches = self._batches(number, group)
            for batch in batches:
                self.numbers(group, batch, hyper)
                try:
                    self.update(group, batch, hyper)
                except (TypeError, ValueError):         # kernels check first, and have changed nothing
                    self._explain(batch)
                    if all(map(is_contiguous, (*batch.arrays, *batch.grads))):
                        raise
                    self._update_strided(group, batch, hyper)
                self.settle(batch, hyper)
                for p in batch.params:
                    p.mark_written(site)
                if recording() is not None:
                    repeat_with(self, group, batch, hyper, site, alone=len(batches) == 1)
                batch.forget()
        return loss

    def numbers(self, group, batch, hyper):
        """Write to `hyper` what changes from step to step, for the kernel to read."""

    def update(self, group, batch, hyper):
        """Update the parameters of a batch, whose states agree in `key(state)`, by one kernel call."""
        raise NotImplementedError(f"{type(self).__name__}: an Optimizer defines update(...)")

    def settle(self, batch, hyper):
        """Write to the states of a batch what changes from step to step."""

    def key(self, state: dict):
        """What parameters have to share to be updated in one call: the step count, mostly."""
        return None

    @staticmethod
    def on(x, hyper):
        """A step's numbers on the device of array x."""
        return hyper if type(x) is np.ndarray else to_device(hyper, device_of(x))

    def _batches(self, number, group):
        """The parameters of a group that have a gradient: one batch, unless some joined later than others."""
        whole = self._whole[number]
        if whole is not None and whole.is_whole(group["params"], self.state):
            return (whole,)
        batches: dict = {}
        for p in group["params"]:
            if p.grad is not None:
                state = self.state.setdefault(p, {})
                key = (self.key(state), type(p.array))
                if key not in batches:
                    batches[key] = Batch()
                batches[key].add(p, state)
        found = tuple(batches.values())
        self._whole[number] = found[0] if len(found) == 1 and len(found[0].params) == len(group["params"]) else None
        return found

    def _update_strided(self, group, batch, hyper):
        """Kernels take C-ordered blocks: give them copies of what is none."""
        given = batch.arrays
        batch.arrays = [contiguous(x) for x in given]
        batch.grads = [contiguous(dx) for dx in batch.grads]
        self.update(group, batch, hyper)
        for x, block in zip(given, batch.arrays, strict=True):
            if x is not block:
                indexing.on(x).copy(block, x)

    def _explain(self, batch):
        """Raise where a gradient, or the state that was kept, does not fit its parameter."""
        for p, grad, state in zip(batch.arrays, batch.grads, batch.states, strict=True):
            for name, x in [("a gradient", grad), *[(name, state[name].array) for name in self.STATE if name in state]]:
                if x.shape != p.shape or x.dtype != p.dtype or type(x) is not type(p):
                    raise ValueError(
                        f"{type(self).__name__}: expected {name} of shape {p.shape} and dtype {p.dtype} on "
                        f"{device_of(p)}, as the parameter, got {x.shape}, {x.dtype} on {device_of(x)}; if the "
                        "parameter was converted or moved, make the optimizer after that")

    # ---- checkpoints ----

    def state_dict(self) -> dict:
        """PyTorch's layout: {"state": {i: {name: tensor}}, "param_groups": [options, "params": [i, ...]]}, parameter i
        being the i-th of all groups. The tensors are the live ones: the next step changes them. A count, which `state`
        keeps as the number that every step reads, is a 0-d tensor here, float64 so that none is rounded."""
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        state = {numbers[id(p)]: {k: Tensor(np.array(float(v))) if k in COUNTS else list(v) if isinstance(v, list) else v
                                  for k, v in s.items()} for p, s in self.state.items() if s}
        groups = [{**{k: v for k, v in g.items() if k != "params"}, "params": [numbers[id(p)] for p in g["params"]]}
                  for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over options and state (copies) from a `state_dict`, PyTorch's too; NumPy arrays and numbers may stand for
        its tensors. All is checked first: where this raises, nothing has changed."""
        name = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, dict) or not isinstance(state_dict.get("state"), dict) \
                or "param_groups" not in state_dict:
            got = sorted(map(str, state_dict)) if isinstance(state_dict, dict) else type(state_dict).__name__
            raise ValueError(f'{name}: expected a dict with "state" (a dict) and "param_groups", got {got}')
        loaded, old = state_dict["param_groups"], self.param_groups
        if not isinstance(loaded, (list, tuple)) or not all(isinstance(g, dict) and "params" in g for g in loaded):
            raise ValueError(f'{name}: expected "param_groups" to be a list of dicts with "params"')
        if [len(g["params"]) for g in loaded] != [len(g["params"]) for g in old]:
            raise ValueError(f"{name}: expected groups of {[len(g['params']) for g in old]} parameters, "
                             f"got {[len(g['params']) for g in loaded]}; was it saved for another model?")
        groups = [{**g, **{k: v for k, v in new.items() if k not in IMPLEMENTATION}, "params": g["params"]}
                  for g, new in zip(old, loaded, strict=True)]
        for group in groups:
            plain_options(name, group)
            self.check(name, group)
        by_number = {n: p for g, new in zip(old, loaded, strict=True)
                     for n, p in zip(new["params"], g["params"], strict=True)}
        state = {}
        for n, entries in state_dict["state"].items():
            n = int(n) if isinstance(n, str) and n.isdigit() else n
            if n not in by_number or not isinstance(entries, dict):
                raise ValueError(f"{name}: expected the state of a parameter in the groups, got {n!r}")
            if not set(self.NEEDED) <= set(entries) <= {*self.STATE, *self.NEEDED}:
                raise ValueError(f"{name}: expected {', '.join(self.NEEDED or self.STATE)} as the state of parameter "
                                 f"{n}, got {', '.join(map(str, entries))}; was it saved by another optimizer?")
            p = by_number[n]
            state[p] = {k: self._loaded(name, k, v, p) for k, v in entries.items() if v is not None}
        for group, new in zip(old, groups, strict=True):
            group.update(new)
        self.state = state

    def _loaded(self, who, name, value, p):
        """One entry of a parameter's state, on the parameter's device."""
        if name == "step":
            if not 0 <= float(value) < 2**53:
                raise ValueError(f"{who}: expected a step count of 0 or more, got {float(value)}")
            return int(float(value))
        if name == "mu_product":
            return float(value)
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        if name in self.STATE and array.shape != p.shape:
            raise ValueError(f"{who}: expected {name} of shape {p.shape}, the parameter's, got {array.shape}")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{who}: expected numbers in {name}, got {array.dtype}")
        return Tensor(to_device(np.array(array, p.array.dtype, order="C"), device_of(p.array)))

    def __repr__(self):
        groups = [", ".join([f"{len(g['params'])} parameters", *[f"{k}={v}" for k, v in g.items() if k not in LISTS]])
                  for g in self.param_groups]
        return f"{type(self).__name__}({'; '.join(groups)})"


class CountingOptimizer(Optimizer):
    """The base of optimisers that count a parameter's steps, under "step" in its state, as most rules need."""

    def key(self, state):
        return state.get("step", 0)

    def numbers(self, group, batch, hyper):
        hyper[0], hyper[1] = group["lr"], batch.states[0].get("step", 0) + 1

    def update(self, group, batch, hyper):
        self.rule(kernels.on(batch.arrays[0]), group, batch, self.on(batch.arrays[0], hyper))

    def settle(self, batch, hyper):
        step = int(hyper[1])
        for state in batch.states:
            state["step"] = step

    def rule(self, kernels, group, batch, hyper):
        """Update the parameters of a batch by a kernel; hyper = [lr, step]."""
        raise NotImplementedError(f"{type(self).__name__}: a CountingOptimizer defines rule(...)")
