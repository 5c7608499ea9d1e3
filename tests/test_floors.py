"""The floors of the house: imports go down only. Every import statement of the package is read, nothing is imported.

    cli, train, signals, jobs, plots, doctor > nn, models, utils, captured > layers, optim, data, serialization, weights
        > creation, functional, composed, losses, multihead, init, gradcheck > tensor > ops
        > promotion, views, inplace, autograd, listing, arrays, tables > tape > node, versions, gradients
        > device, accelerator, random, cuda, dtypes, state, _ext
"""
import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import minilayer

PACKAGE = Path(minilayer.__file__).parent
FLOORS = [
    {"accelerator", "device", "random", "cuda", "_ext", "dtypes", "state"},
    {"node", "versions", "gradients"},
    {"tape"},
    {"promotion", "views", "inplace", "autograd", "listing", "arrays", "tables"},
    {"ops"},
    {"methods"},
    {"tensor"},
    {"creation", "functional", "composed", "linalg", "init", "gradcheck", "losses", "multihead"},
    {"layers", "optim", "data", "serialization", "weights"},
    {"nn", "models", "utils", "captured"},
    {"cli", "train", "signals", "jobs", "plots", "doctor", "__main__", "__init__"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
ANYWHERE = {"_pure"}            # the import finder, which __init__ puts in place before everything else
LAYER_MAY = {"layers", "functional", "multihead", "init", "ops", "tensor", "random", "state"}


def module_name(path: Path, package: Path = PACKAGE) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".pyx", ".pxd") and "__pycache__" not in p.parts)
MODULES = {module_name(p) for p in SOURCES}


def resolve(base: str, names: list[str]) -> set[str]:
    """`from base import names` imports the modules among the names, and base itself where a name is none."""
    inside = {n for n in names if f"{base}.{n}" in MODULES or (base == "minilayer" and n in LEVEL)}
    return {f"{base}.{n}" if n in inside else base for n in names}


def imports(text: str, module: str, is_package: bool, cython: bool = False) -> set[str]:
    """Every module that the source of `module` imports, also inside functions; relative names resolved."""
    found: set[str] = set()

    def add_from(base: str, names: list[str]):
        dots = len(base) - len(base.lstrip("."))
        if dots:
            parts = module.split(".")
            parts = parts[:len(parts) - dots + is_package]
            base = ".".join([*parts, *filter(None, [base[dots:]])])
        found.update(resolve(base, names))

    if cython:
        text = re.sub(r"\\\n", " ", text)
        for base, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|[^\n#]+)", text, re.M):
            add_from(base, [n.split()[0] for n in names.strip("() \n").split(",") if n.strip()])
        for names in re.findall(r"^\s*c?import\s+([\w., ]+)", text, re.M):
            found.update(n.split()[0] for n in names.split(",") if n.strip())
        return found
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            add_from("." * node.level + (node.module or ""), [a.name for a in node.names])
    return {n.removeprefix("cython.cimports.") for n in found}


def imports_of(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return imports(text, module_name(path), path.name == "__init__.py", path.suffix != ".py")


def floor(module: str) -> str:
    """The name in FLOORS that a module of the package stands under; its root gathers all names and stands on top."""
    return module.split(".")[1] if "." in module else "__init__"


def wrong(module: str, target: str) -> str | None:
    """Why `module` may not import `target`, or None."""
    if target.split(".")[0] in ("numba", "numba_cuda") and module != "minilayer.cuda._nb":
        return "only minilayer/cuda/_nb.py imports numba"
    if target.split(".")[0] != "minilayer" or floor(target) in ANYWHERE or floor(module) in ANYWHERE:
        return None
    here, there = floor(module), floor(target)
    if there not in LEVEL or here not in LEVEL:
        return f"no floor is named for {there if there not in LEVEL else here}: name it in tests/test_floors.py"
    if LEVEL[there] > LEVEL[here]:
        return "imports go down only"
    if here == "_ext" and there != "_ext" and not (there == "cuda" and module.endswith("_cuda")):
        return "_ext knows arrays alone (a _cuda.py twin may use minilayer.cuda)"
    if here == there == "ops" and module != "minilayer.ops" and target not in (module, "minilayer.ops"):
        return "op files do not import each other"
    if here == "layers" and module not in ("minilayer.layers", "minilayer.layers.layer") and there not in LAYER_MAY:
        return "a layer imports layer.py, functions, and the layers it contains"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    module = module_name(path)
    found = [f"{module} imports {t}: {why}" for t in sorted(imports_of(path)) if (why := wrong(module, t))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ["layers", "ops", "_ext"])
def test_no_file_imports_in_a_circle(folder):
    edges = {module_name(p): imports_of(p) for p in SOURCES if folder in p.parts and p.name != "__init__.py"}
    done: set[str] = set()

    def visit(module: str, path: tuple):
        assert module not in path, " imports ".join([*path[path.index(module):], module])
        if module not in done:
            for target in edges.get(module, ()):
                if target in edges and target != module:
                    visit(target, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("module, line, word", [
    ("minilayer.tape", "from minilayer.tensor import Tensor", "down"),
    ("minilayer.tape", "def f():\n    import minilayer.ops.shape", "down"),
    ("minilayer.device", "import minilayer", "down"),
    ("minilayer.ops.conv", "from minilayer import tensor", "down"),
    ("minilayer.ops.conv", "from .pool import max_pool2d", "each other"),
    ("minilayer.ops.conv", "from minilayer.functional import relu", "down"),
    ("minilayer.functional", "from minilayer.layers.linear import Linear", "down"),
    ("minilayer._ext.conv_reference", "from minilayer.device import empty", "arrays alone"),
    ("minilayer._ext.conv_reference", "from ..cuda import launch", "arrays alone"),
    ("minilayer._ext.conv_cuda", "from numba import cuda", "numba"),
    ("minilayer.cuda.compile", "import numba.cuda", "numba"),
    ("minilayer.layers.linear", "from minilayer.optim import SGD", "a layer imports"),
    ("minilayer.layers.linear", "from minilayer.device import empty", "a layer imports"),
    ("minilayer.attic", "from minilayer.tape import Op", "no floor"),
    ("minilayer.ops.conv", "from minilayer.tape import Op\nfrom minilayer._ext.dispatch import family\n"
                           "from minilayer.device import empty", None),
    ("minilayer.layers.linear", "from minilayer.layers.layer import Layer\nfrom minilayer import functional", None),
    ("minilayer._ext.conv_cuda", "from minilayer.cuda import compile", None),
    ("minilayer.cuda._nb", "from numba import cuda", None),
    ("minilayer.cli", "import minilayer", None),
])
def test_the_walk_finds_what_it_should(module, line, word):
    found = [why for t in imports(line, module, False) if (why := wrong(module, t))]
    assert (word is None and not found) or (word is not None and found and all(word in why for why in found))


def test_the_walk_reads_cython():
    text = ("cimport numpy as cnp\nfrom minilayer._ext.runtime cimport (describe,\n    launch)\n"
            "from ..device import empty\n")
    found = imports(text, "minilayer._ext.a", False, cython=True)
    assert found == {"numpy", "minilayer._ext.runtime", "minilayer.device"}


def lines_of_code(source: str) -> int:
    """How many lines of a module hold code: docstrings, comments and empty lines are not counted."""
    prose: set[int] = set()
    for item in ast.walk(ast.parse(source)):
        if isinstance(item, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(item, clean=False) is not None:
            prose.update(range(item.body[0].lineno, item.body[0].end_lineno + 1))
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - prose)


def test_lines_of_code_leaves_prose_out():
    assert lines_of_code('"""What it is."""\n# why\n\ndef f(x):\n    """More."""\n    return (x +\n            1)\n') == 3


def test_the_reading_path_stays_short():
    """What README says to read, in the order it says, can be read in an evening."""
    readme = PACKAGE.parent / "README.md"
    if not readme.exists():
        pytest.skip("README.md is not installed with the package")
    section = readme.read_text(encoding="utf-8").partition("## Read in this order")[2].partition("\nThen")[0]
    path = [PACKAGE.parent / name for name in re.findall(r"minilayer/[\w/]+\.py", section)]
    assert {"tensor.py", "tape.py", "train.py"} <= {p.name for p in path}
    assert sum(lines_of_code(p.read_text(encoding="utf-8")) for p in path) < 1550
