"""The parameter names of PyTorch's functions and methods. `python tests/names.py` writes those that minilayer has, too,
into goldens/names.json, from the PyTorch that is installed; test_names.py compares ours with them.

A function is told as its overloads, each a list of the names that may be given by position and of those by keyword only.
Python functions have signatures. Native ones are read from their schemas, where the tensor is `self`: a function calls it
`input`. What every native function takes (out=, and layouts, which minilayer does not have) and deprecated names are left out.
"""
import inspect
import json
from pathlib import Path

import minilayer as ml

GOLDEN = Path(__file__).parent / "goldens" / "names.json"
LEFT_OUT = {"out", "layout", "pin_memory", "memory_format", "names", "implicit", "_stacklevel", "size_average"}
PLACES = {"functional": ml.functional, "linalg": ml.linalg, "Tensor": ml.Tensor}


def ours():
    """Place -> name -> public function or method of minilayer."""
    return {place: {n: getattr(thing, n) for n in sorted(getattr(thing, "__all__", None) or dir(thing))
                    if not n.startswith("_") and inspect.isroutine(getattr(thing, n))}
            for place, thing in PLACES.items()}


def names_of(function):
    """(names by position, names by keyword only) of a Python function; *sizes keeps its star."""
    parameters = list(inspect.signature(function).parameters.values())
    parameters = [p for p in parameters if p.name != "reduce" or "size_average" not in {q.name for q in parameters}]
    named = [p for p in parameters if p.name not in LEFT_OUT and p.kind != p.VAR_KEYWORD]
    return ([("*" if p.kind == p.VAR_POSITIONAL else "") + p.name for p in named if p.kind != p.KEYWORD_ONLY],
            [p.name for p in named if p.kind == p.KEYWORD_ONLY])


def python_names(function):
    """The overloads of a Python function; none where its signature says nothing."""
    try:
        names = names_of(function)
    except (TypeError, ValueError):         # (a native one)
        return []
    return [] if names[0] == ["*args"] and not names[1] else [names]


def native_names(torch, name, tensor):
    """The overloads of a native function that users can call; `tensor` is what the schemas' self is called."""
    found = []
    for schema in torch._C._jit_get_schemas_for_operator("aten::" + name):
        arguments = [a for a in schema.arguments if a.name not in LEFT_OUT]
        of_numbers = arguments and arguments[0].name in ("a", "b", "l", "t", "list") or any(
            a.name in ("b", "l", "idx", "reverse") for a in arguments)      # TorchScript's own, of Python's numbers and lists
        if "Dimname" in str(schema) or of_numbers or any(a.is_out for a in schema.arguments):
            continue
        names = ([tensor if a.name == "self" else a.name for a in arguments if not a.kwarg_only],
                 [a.name for a in arguments if a.kwarg_only])
        if tensor == "self":
            if "self" not in names[0]:
                continue
            names[0].remove("self")
            names[0].insert(0, "self")
        if names not in found:
            found.append(names)
    return found


def theirs(torch, place, name):
    """The overloads of one function of PyTorch, and whether it is native; None where it has none of this name."""
    F = torch.nn.functional
    if place == "Tensor":
        method = getattr(torch.Tensor, name, None)
        overloads = python_names(method) if inspect.isfunction(method) else []
        return None if method is None else (overloads or native_names(torch, name, "self"), not overloads)
    if place == "linalg":
        return native_names(torch, "linalg_" + name, "input"), True
    # max_pool2d and its like choose between two functions, by return_indices.
    for where in (getattr(F, "_" + name, None) if name.startswith(("max_pool", "adaptive_max", "fractional")) else None,
                  getattr(F, name, None), getattr(torch, name, None)):
        overloads = python_names(where) if where is not None else []
        if overloads:
            return overloads, False
    return (native_names(torch, name, "input"), True) if hasattr(torch, name) or hasattr(F, name) else None


def table(torch):
    """What GOLDEN holds: place -> name -> [overloads, native]."""
    found = {place: {n: theirs(torch, place, n) for n in functions} for place, functions in ours().items()}
    return json.loads(json.dumps({place: {n: t for n, t in group.items() if t and t[0]} for place, group in found.items()}))


if __name__ == "__main__":
    import torch
    text = ",\n".join(f' "{place}": {{\n' + ",\n".join(f'  "{n}": {json.dumps(t)}' for n, t in group.items()) + "}"
                      for place, group in table(torch).items())
    GOLDEN.write_text("{\n" + text + "}\n", encoding="utf-8")
