"""L-BFGS: Newton's method with curvature guessed from the last steps. For small problems and whole data sets."""
import math
from collections import namedtuple

import numpy as np

from minilayer.device import device_of, to_device
from minilayer.functional import cat
from minilayer.optim.checks import whole
from minilayer.optim.optimizer import Optimizer
from minilayer.state import enable_grad, no_grad
from minilayer.tensor import Tensor

Point = namedtuple("Point", "t loss gradient slope")
Point.__doc__ = "A place on the line that is searched: how far along, the loss, its gradient, and its slope there."


class LBFGS(Optimizer):
    """p <- p + t d,   d = -H g, where H, the inverse of the curvature, is told by the last `history_size` changes of
    place s and gradient y (two loops over them; H starts as y s / y y).

    `step(closure)` needs the closure, which computes the loss anew, with gradients: it is called up to max_eval times
    (default 1.25 max_iter) in max_iter rounds, which end early where the largest gradient is at most tolerance_grad or
    place or loss changes by less than tolerance_change. t is lr (less in the first round); line_search_fn
    "strong_wolfe" searches it. All parameters are one group.

    >>> optimizer = LBFGS(model.parameters(), line_search_fn="strong_wolfe")

    Nocedal and Wright, "Numerical optimization", 2006, algorithms 7.4 and 3.5.
    """
    AMOUNTS = ("lr", "tolerance_grad", "tolerance_change")

    KERNEL = False

    def __init__(self, params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9,
                 history_size=100, line_search_fn=None):
        whole("LBFGS", "max_iter", max_iter, least=0)
        super().__init__(params, dict(
            lr=lr, max_iter=max_iter, max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad, tolerance_change=tolerance_change, history_size=history_size,
            line_search_fn=line_search_fn))
        if len(self.param_groups) != 1:
            raise ValueError(f"LBFGS: expected all parameters in one group, got {len(self.param_groups)} groups")

    def check(self, name, group):
        super().check(name, group)
        for option, least in (("max_iter", 0), ("max_eval", 0), ("history_size", 1)):
            whole(name, option, group[option], least)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(f"{name}: expected line_search_fn None or 'strong_wolfe', got {group['line_search_fn']!r}")

    def _gradient(self):
        """All gradients as one vector."""
        return cat([(p.detach() * 0 if p.grad is None else p.grad.detach()).reshape(-1)
                    for p in self.param_groups[0]["params"]])

    def _move(self, direction, t):
        """Add t times a vector to the parameters."""
        begin = 0
        for p in self.param_groups[0]["params"]:
            p.add_(direction[begin:begin + p.numel()].reshape(p.shape), alpha=t)
            begin += p.numel()

    @no_grad()
    def _step(self, closure=None):
        """Move to a lower loss; returns the loss at the start."""
        if not callable(closure):
            raise TypeError(f"LBFGS.step: expected a closure that computes the loss anew, got {type(closure).__name__}")
        group = self.param_groups[0]
        state = self.state.setdefault(group["params"][0], {})
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate():
            state["func_evals"] += 1
            with enable_grad():
                return closure()
        first = evaluate()
        loss, gradient, evaluations = float(first), self._gradient(), 1
        for rounds in range(1, int(group["max_iter"]) + 1):
            if _largest(gradient) <= group["tolerance_grad"]:
                break
            direction = self._direction(state, gradient, group["history_size"])
            t = min(1.0, 1.0 / float(gradient.abs().sum())) * group["lr"] if state["n_iter"] == 1 else group["lr"]
            before, slope = loss, _dot(gradient, direction)
            state.update(d=direction, t=t, prev_flat_grad=gradient, prev_loss=loss)
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                starts = [p.clone() for p in group["params"]]

                def along(t, direction=direction, starts=starts):
                    self._move(direction, t)
                    loss, gradient = float(evaluate()), self._gradient()
                    for p, start in zip(group["params"], starts, strict=True):
                        p.copy_(start)
                    return Point(t, loss, gradient, _dot(gradient, direction))
                found, searched = strong_wolfe(along, t, Point(0, loss, gradient, slope), _largest(direction),
                                               int(group["max_eval"]) - evaluations)
                t, loss, gradient = found.t, found.loss, found.gradient
                self._move(direction, t)
                evaluations += searched
            else:
                self._move(direction, t)
                if rounds != group["max_iter"]:
                    loss, gradient = float(evaluate()), self._gradient()
                    evaluations += 1
            state["t"] = t
            if (evaluations >= group["max_eval"] or _largest(direction) * abs(t) <= group["tolerance_change"]
                    or abs(loss - before) < group["tolerance_change"]):
                break
        for p in group["params"]:
            p.mark_written("LBFGS.step()")
        return first

    @staticmethod
    def _direction(state, gradient, history_size):
        """-H g, after the last change of place and gradient has joined the history."""
        state["n_iter"] += 1
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = _dot(y, s)
        ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
        if curvature > 1e-10:
            if len(ys) == history_size:
                for kept in (ys, ss, ro):
                    kept.pop(0)
            ys.append(y)
            ss.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / _dot(y, y)
        q, parts = -gradient, []
        for y, s, r in zip(reversed(ys), reversed(ss), reversed(ro), strict=True):
            parts.append(_dot(s, q) * r)
            q = q - y * parts[-1]
        q = q * state["H_diag"]
        for y, s, r in zip(ys, ss, ro, strict=True):
            q = q + s * (parts.pop() - _dot(y, q) * r)
        return q

    VECTORS, LISTS = ("d", "prev_flat_grad"), ("old_dirs", "old_stps")

    def load_state_dict(self, state_dict):
        kept = self.state
        states = state_dict.get("state", {}) if isinstance(state_dict, dict) else {}
        super().load_state_dict({**state_dict, "state": {}} if isinstance(state_dict, dict) else state_dict)
        entries = states.get(0, states.get("0")) if isinstance(states, dict) else None
        first = self.param_groups[0]["params"][0]
        size = sum(p.numel() for p in self.param_groups[0]["params"])

        def vector(value):
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            if array.shape != (size,):
                self.state = kept
                raise ValueError(f"LBFGS.load_state_dict: expected vectors of {size} values, got shape {array.shape}; was it "
                                 "saved for another model?")
            return Tensor(to_device(np.array(array, first.array.dtype), device_of(first.array)))
        self.state = {first: {
            k: vector(v) if k in self.VECTORS else [vector(x) for x in v] if k in self.LISTS else
            [float(x) for x in v] if k == "ro" else int(v) if k in ("func_evals", "n_iter") else float(v)
            for k, v in entries.items() if k != "al" and v is not None}} if entries else {}


def _dot(a, b):
    return float((a * b).sum())


def _largest(x):
    return float(x.abs().max()) if x.numel() else 0.0


# ---- line search ----

def minimum_of_cubic(a, b, low, high):
    """Where the cubic with the losses and slopes of two points is least, kept within [low, high]; the middle where it
    has no least place."""
    if a.t > b.t:
        a, b = b, a
    x = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = x * x - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    root = math.sqrt(square)
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - x) / (b.slope - a.slope + 2 * root)), low), high)


def strong_wolfe(along, t, start, longest, limit, decrease=1e-4, flatness=0.9, least_change=1e-9):
    """A point where the loss has fallen by `decrease` of what the first slope promised, and the slope is at most
    `flatness` of it; or the lowest that `limit` evaluations found. Returns (Point, evaluations).

    First the step grows until two points enclose such a place, then the enclosure shrinks.
    """
    def rises(point):
        return point.loss > start.loss + decrease * point.t * start.slope

    def flat(point):
        return abs(point.slope) <= -flatness * start.slope
    before, now, tries, evaluations = start, along(t), 0, 1
    ends = None
    while tries < limit:
        if rises(now) or tries > 1 and now.loss >= before.loss:
            ends = [before, now]
            break
        if flat(now):
            return now, evaluations
        if now.slope >= 0:
            ends = [before, now]
            break
        t = minimum_of_cubic(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now = now, along(t)
        evaluations += 1
        tries += 1
    if ends is None:
        ends = [start, now]
    slow = False
    low = 0 if ends[0].loss <= ends[1].loss else 1
    while tries < limit and abs(ends[1].t - ends[0].t) * longest >= least_change:
        left, right = sorted((ends[0].t, ends[1].t))
        t, margin = minimum_of_cubic(ends[0], ends[1], left, right), 0.1 * (right - left)
        if min(right - t, t - left) < margin:       # near an end: once is let pass
            if slow or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                slow = False
            else:
                slow = True
        else:
            slow = False
        now = along(t)
        evaluations += 1
        tries += 1
        high = 1 - low
        if rises(now) or now.loss >= ends[low].loss:
            ends[high] = now
            low = 0 if ends[0].loss <= ends[1].loss else 1
        else:
            done = flat(now)
            if not done and now.slope * (ends[high].t - ends[low].t) >= 0:
                ends[high] = ends[low]
            ends[low] = now
            if done:
                break
    return ends[low], evaluations
