"""An optimizer's step inside a captured one (captured.py): what it does around its kernel, repeated around every run."""
from minilayer._ext.runtime import cannot_repeat, each_run, recording

APART = ("params", "lr", "initial_lr")      # what a group may change: the rate is read from an array


def repeat_with(optimizer, group, batch, hyper, site, alone):
    """Let the program that is being written hold for as long as the group's options and state are these, count its steps
    and give it their numbers. `alone`: were all parameters of the group updated by one kernel?"""
    program, name = recording(), type(optimizer).__name__
    if not optimizer.KERNEL:
        cannot_repeat(f"{name}, which computes with numbers of a step outside of kernels")
    elif not alone or any([other is hyper for other in program.numbers]):
        cannot_repeat(f"{name}: two updates of one parameter group in a step")
    program.numbers.append(hyper)
    options = {k: v for k, v in group.items() if k not in APART}
    params, groups, state = list(group["params"]), len(optimizer.param_groups), batch.states[0]

    def holds():
        return (len(optimizer.param_groups) == groups and optimizer.state.get(batch.params[0]) is state
                and len(group["params"]) == len(params) and all([p is q for p, q in zip(group["params"], params)])
                and all([group.get(k) == v for k, v in options.items()]))

    def settle():
        optimizer.settle(batch, hyper)
        for p in batch.params:
            p.mark_written(site)
    each_run(holds, lambda: optimizer.numbers(group, batch, hyper), settle)
