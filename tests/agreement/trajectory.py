"""Optimisers and schedules: the same gradients for both libraries, and every step compared."""
import numpy as np

from agreement.compare import Result, convert, seeded

SHAPES = [(4, 3), (3,), (), (2, 3, 2)]      # of the parameters; the second joins the training late, the last is a group of its own


def parameters(lib, dtype, rng):
    return [lib.tensor((rng.standard_normal(s) * 0.5).astype(dtype), grad=True) for s in SHAPES]


def optimizer_run(row, options, lib, dtype, mode, sample):
    """Parameters after each of six steps, and the optimiser's state_dict at the end."""
    result = Result()
    try:
        rng = seeded("optimizer", row.name, sample)
        params = parameters(lib, dtype, rng)
        if row.inputs(rng, options):        # a row may ask for parameters of its own shapes
            params = [lib.tensor(a.astype(dtype), grad=True) for a in row.inputs(seeded("params", row.name), options)]
        goals = [np.asarray(rng.standard_normal(tuple(p.shape))).astype(dtype) for p in params]
        given = {n: convert(v, lib, dtype) for n, v in options.items()}
        groups = params if "LBFGS" in row.name else [{"params": params[:-1]}, {"params": params[-1:], "lr": 0.07}]
        optimizer = lib.find(row.name)(groups, **given)

        def closure():
            optimizer.zero_grad()
            loss = sum([((p - lib.tensor(g)) ** 2 * (1.5 + i)).sum() for i, (p, g) in enumerate(zip(params, goals))])
            loss.backward()
            return loss
        for step in range(6):
            if "LBFGS" in row.name:
                optimizer.step(closure)
            else:
                for i, p in enumerate(params):
                    noise = lib.tensor(np.asarray(rng.standard_normal(tuple(p.shape))).astype(dtype))
                    p.grad = None if i == 1 and step < 2 and len(params) > 1 else noise
                optimizer.step()
            result.arrays[f"parameters after step {step + 1}"] = np.concatenate([lib.array(p).reshape(-1) for p in params])
        state = optimizer.state_dict()
        for i, entries in state["state"].items():
            for name, value in entries.items():
                if not isinstance(value, list | dict | str) and value is not None and name != "func_evals":
                    array = value if isinstance(value, np.ndarray | int | float) else lib.array(value)
                    result.arrays[f"state {i} {name}"] = np.asarray(array, None if np.ndim(array) else np.float64)
    except Exception as error:      # noqa: BLE001
        result.error = error
    return result


def schedule_run(row, options, lib, dtype, mode, sample):
    """Learning rates and momenta of two groups over thirty steps."""
    result = Result()
    try:
        a, b = (lib.tensor(np.zeros(2), grad=True) for _ in range(2))
        groups = [{"params": [a]}, {"params": [b], "lr": 0.3}]
        optimizer = lib.optim.SGD(groups, lr=0.1, momentum=0.8) if sample == 0 else lib.optim.Adam(groups, lr=0.1)
        given = {n: convert(v, lib, dtype) for n, v in options.items()}
        make = lib.find(row.name)
        schedule = row.call(make, optimizer, given) if row.call else make(optimizer, **given)
        metrics = seeded("metrics", row.name, sample).uniform(0, 1, 30).cumsum() * np.where(np.arange(30) < 12, -1, 0.3)
        rates = []
        for step in range(30):
            optimizer.step()
            schedule.step(float(metrics[step])) if "Plateau" in row.name else schedule.step()
            rates.append([g["lr"] for g in optimizer.param_groups]
                         + [g["momentum"] if "momentum" in g else g["betas"][0] for g in optimizer.param_groups])
        result.arrays["rates"] = np.array(rates, np.float64)
        result.arrays["last_lr"] = np.array(schedule.get_last_lr(), np.float64)
        if hasattr(schedule, "last_epoch"):
            result.arrays["last_epoch"] = np.asarray(schedule.last_epoch)
    except Exception as error:      # noqa: BLE001
        result.error = error
    return result
