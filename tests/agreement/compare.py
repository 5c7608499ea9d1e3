"""Runs a row under a library, and compares what two libraries gave."""
import hashlib
import inspect
import itertools
from dataclasses import dataclass, field

import numpy as np

from agreement.row import Each

# Arguments without a choice of numbers: where and in which type a layer lives, and what PyTorch deprecated.
EVERYWHERE = {"self", "device", "dtype", "size_average", "reduce", "args", "kwargs", "out", "generator", "layout",
              "pin_memory", "requires_grad", "memory_format", "rng", "foreach", "fused"}
# Second names of arguments, which test_names.py tries: NumPy's, and of what is also given by position, one by one.
SECOND_NAMES, ONE_BY_ONE = {"axis", "keepdims", "non_blocking"}, {"shape", "size", "dims", "repeats"}
OVERLOADS = {"max": "other", "min": "other", "hsplit": "indices", "vsplit": "indices", "dsplit": "indices",
             "tensor_split": "indices"}          # (in the place of dim, or of sections)


class Library:
    """The names a row needs, of one library."""

    def __init__(self, name):
        self.name = name
        if name == "torch":
            import torch
            self.root, self.nn, self.functional = torch, torch.nn, torch.nn.functional
            self.optim, self.init, self.lr_scheduler = torch.optim, torch.nn.init, torch.optim.lr_scheduler
            self.linalg = torch.linalg
            self.Tensor, self.packed = torch.Tensor, torch.nn.utils.rnn.PackedSequence
        else:
            import minilayer as ml
            self.root, self.nn, self.functional = ml, ml.nn, ml.functional
            self.optim, self.init, self.lr_scheduler = ml.optim, ml.init, ml.optim.lr_scheduler
            self.linalg = ml.linalg
            self.Tensor, self.packed = ml.Tensor, getattr(ml, "PackedSequence", ())

    def tensor(self, array, grad=False):
        array = np.ascontiguousarray(array) if np.ndim(array) else np.asarray(array)
        t = self.root.tensor(array.copy()) if self.name == "minilayer" else self.root.from_numpy(array.copy())
        return t.requires_grad_() if grad else t

    def array(self, t):
        return t.detach().numpy().copy()

    def find(self, name):
        """The class or function of a row; AttributeError where the library has none."""
        head, _, rest = name.rpartition(".")
        if head == "Tensor":
            return lambda x, *args, **kwargs: getattr(x, rest)(*args, **kwargs)
        place = self.root if head == "torch" else getattr(self, head) if head else self.nn
        return getattr(place, rest)


# ---- combinations ----

def pairwise(row):
    """Combinations of the row's options in which every pair of values meets, where `valid` lets it; few of them."""
    names = list(row.options)
    if not names:
        return [{}] if row.valid({}) else []
    choices = [range(len(row.options[n])) for n in names]
    missing = {((i, a), (j, b)) for i, j in itertools.combinations(range(len(names)), 2)
               for a in choices[i] for b in choices[j]} or {((0, a), (0, a)) for a in choices[0]}
    rng = np.random.default_rng(0)
    found, everything = [], np.prod([len(c) for c in choices], dtype=float) <= 4096
    pool = list(itertools.product(*choices)) if everything else None

    def as_options(picked):
        return {n: row.options[n][i] for n, i in zip(names, picked)}
    if pool is not None:
        pool = [p for p in pool if row.valid(as_options(p))]

    def covered(picked):
        pairs = {((i, picked[i]), (j, picked[j])) for i, j in itertools.combinations(range(len(picked)), 2)}
        return pairs or {((0, picked[0]), (0, picked[0]))}
    while missing:
        if pool is not None:
            best = max(pool, key=lambda p: len(covered(p) & missing), default=None)
            if best is None or not covered(best) & missing:
                break
        else:
            best, gain = None, 0
            (i, a), (j, b) = min(missing)
            for _ in range(200):
                picked = [int(rng.integers(len(c))) for c in choices]
                picked[i], picked[j] = a, b
                if row.valid(as_options(picked)) and (new := len(covered(picked) & missing)) > gain:
                    best, gain = tuple(picked), new
            if best is None:
                missing.discard(((i, a), (j, b)))
                continue
        missing -= covered(best)
        found.append(as_options(best))
    return found


def unlisted(row, torch_object, ours):
    """Arguments of the signature (PyTorch's, or ours where PyTorch's cannot be read) that the row does not try twice, and
    reasons that are left out."""
    if row.name.startswith("Tensor."):          # (`find` gave a function that calls the method)
        import minilayer as ml
        torch_object = ours = getattr(ml.Tensor, row.name.partition(".")[2])
    for thing in (torch_object, ours):
        try:
            parameters = inspect.signature(thing).parameters
            break
        except (TypeError, ValueError):
            continue
    else:
        return []
    arrays = row.inputs(np.random.default_rng(0), {n: v[0] for n, v in row.options.items()})
    several = any(p.kind == p.VAR_POSITIONAL for p in parameters.values())
    second = SECOND_NAMES | ONE_BY_ONE if several else SECOND_NAMES
    second = {*second, OVERLOADS.get(row.name.partition(".")[2])}
    names = [n for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and n not in second]
    if not inspect.isclass(torch_object):
        names = names[len(arrays):]
    if row.name.startswith(("optim.", "lr_scheduler.")):
        names = [n for n in names if n not in ("params", "optimizer")]
    reasons = {**row.only, **row.refused, **row.inert}
    return ([n for n in names if n not in EVERYWHERE and n not in row.only and len(row.options.get(n, ())) < 2]
            + [f"{n} (no reason given)" for n, why in reasons.items() if not why])


def proper(error, ours):
    """Is this a refusal, rather than a mistake of the row or a bug?"""
    if not isinstance(error, (ValueError, TypeError, IndexError, RuntimeError, NotImplementedError, KeyError, AssertionError)):
        return False
    if "unexpected keyword" in str(error) or "positional argument" in str(error):
        return False
    return not ours or ":" in str(error)


# ---- running ----

@dataclass
class Result:
    """What a call gave: named arrays, or the exception."""
    arrays: dict = field(default_factory=dict)
    error: Exception | None = None


def seeded(*words):
    return np.random.default_rng(list(hashlib.sha256(" ".join(map(str, words)).encode()).digest()[:16]))


def convert(value, lib, dtype, grads=None):
    """Arrays (also inside lists and tuples) as the library's tensors; float64 ones in the run's dtype."""
    if isinstance(value, np.ndarray):
        is_float = value.dtype == np.float64
        t = lib.tensor(value.astype(dtype) if is_float else value, grad=is_float and grads is not None)
        if is_float and grads is not None:
            grads.append(t)
        return t
    if isinstance(value, Each):
        return value.make(lib)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[convert(v, lib, dtype, grads) for v in value])
    if isinstance(value, list | tuple):
        return type(value)([convert(v, lib, dtype, grads) for v in value])
    return value


def flatten(value, lib, name="output"):
    """(name, tensor or plain value) of everything in a nested result."""
    if lib.packed and isinstance(value, lib.packed):
        yield from flatten(value.data, lib, f"{name}.data")
        yield from flatten(value.batch_sizes, lib, f"{name}.batch_sizes")
    elif isinstance(value, lib.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from flatten(v, lib, f"{name}[{k!r}]")
    elif isinstance(value, list | tuple):
        for i, v in enumerate(value):
            yield from flatten(v, lib, f"{name}[{i}]")
    elif value is not None:
        yield name, value


def weights_of(shapes, words):
    """Values for parameters and buffers, by name and shape: positive where a variance or a norm must be."""
    rng = seeded("weights", *words)
    values = {}
    for name, (shape, dtype) in shapes.items():
        x = rng.standard_normal(shape) * 0.4
        if np.dtype(dtype).kind != "f" or name == "_random_samples":
            values[name] = None         # counters and samples stay as they are
        elif name.rpartition(".")[2] in ("running_var", "weight_g", "original0"):
            values[name] = np.abs(x) + 0.5
        else:
            values[name] = x
    return values


def run(row, options, lib, dtype, mode, sample):
    """Outputs, gradients and state of one call, as named arrays."""
    result = Result()
    words = (row.name, mode, sample)            # (not the options: what they change should be seen)
    try:
        given = {n: convert(v, lib, dtype) for n, v in options.items()}
        grads: list = []
        arguments = convert(tuple(row.inputs(seeded("inputs", *words), options)), lib, dtype, grads if row.grads else None)
        thing = lib.find(row.name)
        layer = None
        if inspect.isclass(thing):
            layer = thing(**given)
            layer = layer.double() if dtype == "float64" else layer.float()
            if hasattr(layer, "has_uninitialized_params"):      # a lazy layer's first call settles its shapes
                layer(*arguments)
            state = {n: (tuple(t.shape), lib.array(t).dtype) for n, t in layer.state_dict().items()}
            values = weights_of(state, (row.name,))
            layer.load_state_dict({n: layer.state_dict()[n] if v is None else lib.tensor(v.astype(dtype))
                                   for n, v in values.items()})
            layer.train(mode == "train")
            output = row.call(layer, arguments, options) if row.call else layer(*arguments)
            result.arrays["state names"] = list(state)
        else:
            output = row.call(thing, arguments, given) if row.call else thing(*arguments, **given)
        tensors = list(flatten(output, lib))
        heads, cotangents = [], []
        rng = seeded("cotangents", *words)
        for name, t in tensors:
            if not isinstance(t, lib.Tensor):
                result.arrays[name] = t
                continue
            result.arrays[name] = lib.array(t)
            if t.requires_grad and row.grads:
                heads.append(t)
                cotangents.append(lib.tensor(rng.standard_normal(tuple(t.shape)).astype(dtype)))
        if heads:
            loss = sum([(t * c).sum() for t, c in zip(heads, cotangents)])
            loss.backward()
        if row.grads:
            for i, t in enumerate(grads):
                result.arrays[f"gradient of input {i}"] = np.zeros(tuple(t.shape), dtype) if t.grad is None else lib.array(t.grad)
        if layer is not None:
            for name, p in layer.named_parameters():
                result.arrays[f"gradient of {name}"] = np.zeros(tuple(p.shape), dtype) if p.grad is None else lib.array(p.grad)
            for name, t in layer.state_dict().items():
                result.arrays[f"state {name}"] = lib.array(t)
    except Exception as error:      # noqa: BLE001   (what a library refuses is part of the comparison)
        result.error = error
    return result


# ---- comparing ----

def difference(ours, theirs):
    """The largest difference, relative to the largest value where that is above 1; inf where NaN or shapes differ."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return np.inf
    if ours.dtype.kind != "f":
        return 0.0 if np.array_equal(ours, theirs) else np.inf
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    if same.all():
        return 0.0
    if not (np.isfinite(ours[~same]).all() and np.isfinite(theirs[~same]).all()):
        return np.inf
    scale = np.abs(theirs[np.isfinite(theirs)]).max(initial=1.0)
    return float(np.abs(ours[~same] - theirs[~same]).max() / scale)


def error_of(x, exact):
    """The norm-wise relative error of a float32 array against the float64 one."""
    exact, x = np.asarray(exact), np.asarray(x)
    finite = np.isfinite(exact)
    if not np.array_equal(exact[~finite], x[~finite].astype(np.float64), equal_nan=True) or not np.isfinite(x[finite]).all():
        return np.inf
    norm = np.linalg.norm(exact[finite])
    return float(np.linalg.norm(x[finite].astype(np.float64) - exact[finite]) / max(norm, 1e-30))
