"""An optimizer's step inside a captured one (captured.py): what it does around its kernel, repeated around every run."""
from minilayer._ext.runtime import cannot_repeat, each_run, recording

APART = ("params", "lr", "initial_lr")      # what a group may change: the rate is read from an array


def repeat_with(optimizer, group, batch, hyper, site, alone):
    """Let the program that is being written hold for as long as the group's parameters, options and state are these, count
    its steps and give it their numbers. `alone`: were all parameters of the group updated by one kernel?"""
    program, name = recording(), type(optimizer).__name__
    if not optimizer.KERNEL:
        cannot_repeat(f"{name}, which computes with numbers of a step outside of kernels")
    elif not alone or any([other is hyper for other in program.numbers]):
        cannot_repeat(f"{name}: two updates of one parameter group in a step")
    program.numbers.append(hyper)
    hold_gradients(batch.params)
    options = {k: v for k, v in group.items() if k not in APART}
    params, groups = list(group["params"]), len(optimizer.param_groups)
    updated = list(zip(batch.params, batch.arrays, batch.states, strict=True))

    def holds():
        return (len(optimizer.param_groups) == groups and len(group["params"]) == len(params)
                and all([p is q for p, q in zip(group["params"], params)])
                and all([group.get(k) == v for k, v in options.items()])
                and all([p.array is x and optimizer.state.get(p) is state for p, x, state in updated])
                and all([optimizer.key(state) == optimizer.key(updated[0][2]) for _, _, state in updated]))

    def settle():
        optimizer.settle(batch, hyper)
        for p in batch.params:
            p.mark_written(site)
    each_run(holds, lambda: optimizer.numbers(group, batch, hyper), settle)


def hold_gradients(params):
    """Let the program that is being written hold for as long as the gradients that it finds there are in the same memory.
    (Those that it computes itself are.)"""
    program = recording()
    found = [(p, p.grad.array) for p in params if p.grad is not None and not program.made(p.grad.array)]
    if found:
        each_run(lambda: all([p.grad is not None and p.grad.array is g for p, g in found]))
