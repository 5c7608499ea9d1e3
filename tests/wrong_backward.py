"""Wrong versions of backward rules, generated: what test_testers.py feeds to the checks.

Two sources. From the outside, the gradient of one input is scaled, negated, dropped, spoilt in one element, or two are
swapped, and `accumulate=True` is forgotten by the kernels. From the inside, the text of the rule is changed the way
people get it wrong: arguments swapped, + for -, * for +, a factor or a kernel call left out.
"""
import ast
import contextlib
import copy
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import numpy as np

from minilayer._ext import dispatch

COMMUTATIVE = {"add", "mul", "maximum", "minimum", "eq", "ne", "_product"}     # swapping their arguments is right
HELPERS = {"empty", "empty_like", "contiguous", "zeros", "needs", "gradient", "on", "tuple", "len", "range", "save"}


@contextlib.contextmanager
def replaced(owner, name, value):
    """An attribute with another value for a while."""
    had, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


# ---- from the outside ----

def _spoilt(g):
    """One element off: by a tenth of the largest, or of 1."""
    g = g * 1.0
    if g.size:
        g[(-1,) * g.ndim] += 0.1 * (np.abs(g).max() or 1.0)
    return g


ARRAY_CHANGES = {"scaled": lambda g: g * 1.5, "negated": lambda g: g * -1.0, "dropped": lambda g: g * 0.0,
                 "one element off": _spoilt}
TENSOR_CHANGES = {"scaled": lambda g: g * 1.5, "negated": lambda g: g * -1.0, "detached": lambda g: g.detach()}


def changed_results(cls, method, places, changes):
    """(what, wrong method) for each change of each input's gradient, and for swapped ones. `places`: inputs that get
    gradients in the samples."""
    right = getattr(cls, method)

    def wrong(change):
        def rule(self, node, *gradients):
            result = right(self, node, *gradients)
            return change(list(result) if type(result) is tuple else [result])
        return rule

    def at(i, f):
        def change(result):
            if result[i] is not None:
                result[i] = f(result[i])
            return tuple(result)
        return change

    def swapped(i, j):
        def change(result):
            a, b = result[i], result[j]
            if a is not None and b is not None and a.shape == b.shape:
                result[i], result[j] = b, a
            return tuple(result)
        return change
    for i in sorted(places):
        for what, f in changes.items():
            yield f"input {i} {what}", wrong(at(i, f))
    if len(places) > 1 and method == "backward":
        i, j = sorted(places)[:2]
        if not cls.__doc__ or "+" not in cls.__doc__.split("\n")[0]:      # da = db for a + b: no mistake to make
            yield f"inputs {i} and {j} swapped", wrong(swapped(i, j))


@contextlib.contextmanager
def forgotten_accumulate(seen):
    """All CPU kernels overwrite where they should add; `seen` collects the functions that were asked to add."""
    with contextlib.ExitStack() as stack:
        for f in dispatch._families.values():
            for name, kernel in list(vars(f.cpu).items()):
                if callable(kernel) and not name.startswith("_") and "accumulate" in (getattr(kernel, "__doc__", "") or "") \
                        or name in ("matmul", "linear", "add", "sub", "mul", "div", "sum"):
                    if not callable(kernel):
                        continue

                    def forgetful(*args, _kernel=kernel, _name=name, accumulate=False, **kwargs):
                        if accumulate:
                            seen.add(_name)
                        return _kernel(*args, **kwargs)
                    stack.enter_context(replaced(f.cpu, name, forgetful))
        yield


# ---- from the inside ----

def rule_of(cls, method):
    """(source tree of the method, its module) of the class that defines it, or None where no source lies beside."""
    for owner in cls.__mro__:
        if method in vars(owner):
            break
    module = sys.modules[owner.__module__]
    path = Path(module.__file__)
    path = path.with_name(path.name.split(".")[0] + ".py")
    if not path.exists():
        return None
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == method:
                    return item, module
    return None


_readable: dict = {}


def function_from(tree, module, name):
    """The function that a tree defines, with its module's names. Compiled modules keep some of theirs to themselves, so
    they are taken from the same file, run as Python."""
    path = Path(module.__file__)
    path = path.with_name(path.name.split(".")[0] + ".py")
    if path not in _readable:
        loader = importlib.machinery.SourceFileLoader(module.__name__ + "_readable", str(path))
        made = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(made)
        _readable[path] = vars(made)
    space = dict(_readable[path])
    exec(compile(ast.fix_missing_locations(ast.Module([tree], [])), "<wrong rule>", "exec"), space)
    return space[name]


def _called(call):
    """The name of what is called; "kernel" where an expression chooses it."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "kernel")


def mutants(tree):
    """(what, tree) for each single change of a rule's text."""
    nodes = list(ast.walk(tree))

    def variant(k, change):
        other = copy.deepcopy(tree)
        change(list(ast.walk(other))[k])
        return other
    for k, node in enumerate(nodes):
        if isinstance(node, ast.Call) and _called(node) not in HELPERS | COMMUTATIVE and len(node.args) >= 2 \
                and all(isinstance(a, ast.Name) for a in node.args[:2]) and node.args[0].id != node.args[1].id:
            def swap(n):
                n.args[:2] = n.args[1::-1]
            yield f"{_called(node)}: first two arguments swapped", variant(k, swap)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Sub, ast.Div)):
            to = {ast.Mult: ast.Add, ast.Sub: ast.Add, ast.Div: ast.Mult}[type(node.op)]
            if not _in_shapes(node):
                def operator(n, to=to):
                    n.op = to()
                yield f"{ast.unparse(node)}: {to.__name__} instead", variant(k, operator)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            def plus(n):
                n.op = ast.UAdd()
            yield f"{ast.unparse(node)}: sign lost", variant(k, plus)
        if isinstance(node, ast.Call) and _called(node) == "neg" and len(node.args) == 2:
            def copied(n):
                n.func.attr = "abs" if isinstance(n.func, ast.Attribute) else n.func
            yield "neg: abs instead", variant(k, copied)


def _in_shapes(node):
    """Is this arithmetic on sizes rather than on values?"""
    text = ast.unparse(node)
    return any(word in text for word in ("shape", "ndim", "size", "len(", "axis", "stride", "padding", "itemsize"))
