"""Weights from elsewhere: files of PyTorch's and Hugging Face's making, and state_dicts of PyTorch, taken over by name.

    load_weights(model, "gpt2.safetensors", rename={"transformer.h.": "blocks."})

Names are translated first, then every tensor is held against the model's; what is missing, left over or of another
shape is said in full before anything changes.
"""
import json
import os
import re
from collections import namedtuple
from pathlib import Path

import numpy as np

from minilayer.creation import from_numpy
from minilayer.layers.layer import Layer
from minilayer.serialization import load
from minilayer.state import no_grad
from minilayer.tensor import Tensor

LoadReport = namedtuple("LoadReport", "loaded missing unexpected mismatched")
LoadReport.__doc__ = """What `load_weights` did: names of the model that were loaded, or that the source lacks (missing);
names of the source that the model lacks (unexpected); {name: (model's shape, source's)} where they differ (mismatched)."""
INDEX = "model.safetensors.index.json"


def load_weights(model, source, *, rename=None, strict=True) -> LoadReport:
    """Copy weights by name into a model.

    source  a .safetensors file, its index (model.safetensors.index.json) or the folder of either, or a dict from name
            to tensor: minilayer's, NumPy's, or a PyTorch state_dict. float16 and bfloat16 become float32.
    rename  how the source's names become the model's: a dict of pieces of names, each replaced where it stands
            ({"h.": "blocks.", "ln_": "norm"}); a list of (regular expression, replacement); or a function from name to
            name, or to None for what is to be left out
    strict  raise where anything is missing, left over or of another shape; otherwise load what fits and report the rest

    Raises TypeError and ValueError (RuntimeError for weights that do not fit) with all that is wrong; the model is then
    as it was. Returns a LoadReport.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"load_weights: expected a Layer to load into, got {type(model).__name__}")
    given = source if hasattr(source, "keys") else read(source)
    translate = _translator(rename)
    found: dict = {}
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"load_weights: expected names of tensors as strings, got {name!r}")
        new = translate(name)
        if new is not None:
            if not isinstance(new, str):
                raise TypeError(f"load_weights: expected rename to give a string or None, got {new!r} for {name!r}")
            if new in found:
                raise ValueError(f"load_weights: expected different names, but rename makes {new!r} of {name!r} and of another")
            found[new] = given[name]
    own = model.state_dict()
    missing = [n for n in own if n not in found]
    unexpected = [n for n in found if n not in own]
    fitting, mismatched = {}, {}
    for name, value in found.items():
        if name in own:
            if not hasattr(value, "shape"):
                raise TypeError(f"load_weights: expected a tensor as {name}, got {type(value).__name__}")
            if tuple(value.shape) == own[name].shape:
                fitting[name] = value
            else:
                mismatched[name] = (own[name].shape, tuple(value.shape))
    if strict and (missing or unexpected or mismatched):
        lines = [f"missing: {n} {own[n].shape}" for n in missing]
        lines += [f"left over: {n} {tuple(getattr(found[n], 'shape', ()))}" for n in unexpected]
        lines += [f"{n}: expected shape {a}, got {b}" for n, (a, b) in mismatched.items()]
        raise RuntimeError(f"load_weights: the weights do not fit {type(model).__name__} ({len(fitting)} of {len(own)} do):\n  "
                           + "\n  ".join(lines) + "\npass rename=... to translate names, or strict=False to load what fits")
    values = {name: as_tensor(value) for name, value in fitting.items()}
    with no_grad():
        for name, value in values.items():
            own[name].copy_(value.to(device=own[name].device))
    return LoadReport(list(values), missing, unexpected, mismatched)


def as_tensor(value) -> Tensor:
    """A tensor of minilayer from an array or a tensor of any library; half precision becomes float32."""
    if isinstance(value, Tensor):
        return value.detach()
    if hasattr(value, "detach"):                # PyTorch's
        value = value.detach().cpu()
        if str(value.dtype) in ("torch.float16", "torch.bfloat16"):
            value = value.float()
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return from_numpy(array if array.flags.writeable else array.copy())


def read(path) -> dict:
    """All tensors of a safetensors file, or of the files that an index or a folder names."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"load_weights: expected a path or a dict of tensors, got {type(path).__name__}")
    path = Path(path)
    if path.is_dir():
        choices = [path / INDEX, path / "model.safetensors", *sorted(path.glob("*.safetensors"))]
        existing = [p for p in choices if p.is_file()]
        if not existing:
            raise FileNotFoundError(f"load_weights: expected {INDEX} or a .safetensors file in {path}, found none")
        if len(existing) > 1 and existing[0] not in choices[:2]:
            raise ValueError(f"load_weights: expected {INDEX} or one .safetensors file in {path}, got "
                             f"{', '.join(p.name for p in existing)}; name one of them, or write the index")
        path = existing[0]
    if path.suffix == ".json":
        return _read_index(path)
    state = load(path)
    if not isinstance(state, dict) or not all(isinstance(x, Tensor) for x in state.values()):
        raise ValueError(f"load_weights: expected a file of tensors by name, got a nest of other things in {path}; "
                         "load(path) reads it, and the part with the weights can be passed as a dict")
    return state


def _read_index(path) -> dict:
    """The tensors of the files that an index names. A file outside the index's folder is refused."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"load_weights: {path} is not an index with a weight_map from tensor to file ({error!r})") from None
    if not all(isinstance(f, str) and Path(f).name == f for f in files):
        raise ValueError(f"load_weights: expected the files of {path} beside it, got {files}")
    found: dict = {}
    for file in files:
        found.update(load(path.parent / file))
    lost = sorted(set(places) - set(found))
    if lost:
        raise ValueError(f"load_weights: {path} promises tensors that its files do not have: {', '.join(lost)}")
    return {name: found[name] for name in places}


def _translator(rename):
    """A function from the source's names to the model's."""
    if rename is None:
        return lambda name: name
    if callable(rename):
        return rename
    if isinstance(rename, dict) and all(isinstance(x, str) for pair in rename.items() for x in pair):
        def replace(name):
            for piece, new in rename.items():
                name = name.replace(piece, new)
            return name
        return replace
    if isinstance(rename, (list, tuple)) and all(isinstance(p, (list, tuple)) and len(p) == 2 for p in rename):
        for pattern, new in rename:
            if not isinstance(getattr(pattern, "pattern", pattern), str) or not isinstance(new, str) and not callable(new):
                raise TypeError("load_weights: expected rename as pairs of a regular expression and what replaces it, both "
                                f"strings, got {(pattern, new)!r}")
        try:
            patterns = [(re.compile(p), new) for p, new in rename]
        except re.error as error:
            raise ValueError(f"load_weights: expected regular expressions in rename, got {error.pattern!r}: {error}") from None

        def substitute(name):
            for pattern, new in patterns:
                try:
                    name = pattern.sub(new, name)
                except (re.error, IndexError) as error:
                    raise ValueError(f"load_weights: expected a replacement that fits {pattern.pattern!r} in rename, got "
                                     f"{new!r}: {error}") from None
            return name
        return substitute
    raise TypeError("load_weights: expected rename as a dict of strings, a list of (pattern, replacement) or a function, got "
                    f"{rename!r}")
