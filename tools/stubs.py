"""Stubs: what a type checker and an editor may know about the compiled modules. setup.py writes them with each build.

A .pyx is text that only Cython reads, so its functions are found by pattern. An engine module is Python, but the fields
of its classes are declared in the .pxd beside it; its stub is the module with them put in and the code left out.
"""
import ast
import re
from pathlib import Path

C_TYPES = {"object": "", "bint": "bool", "double": "float", "float": "float", "int": "int", "long": "int",
              "Py_ssize_t": "int", "int64_t": "int", "size_t": "int", "str": "str", "tuple": "tuple", "dict": "dict",
              "list": "list", "bytes": "bytes", "bool": "bool", "cnp.ndarray": "np.ndarray"}


def arguments(text: str) -> list[str]:
    """The arguments between a def's brackets, split at the commas that are no part of a default value."""
    parts, depth, quoted = [""], 0, ""
    for c in re.sub(r"\s+", " ", re.sub(r"#.*", "", text)):
        if quoted:
            quoted = "" if c == quoted else quoted
        elif c in "\"'":
            quoted = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += c
    return [p.strip() for p in parts if p.strip()]


def stub_argument(text: str) -> str:
    """`double eps=1e-5` in Cython's words becomes `eps: float = ...` in a stub's."""
    left, has_default, _ = text.partition("=")
    left, _, annotation = left.partition(":")
    *c_type, name = left.split()
    if c_type[-2:] + [name] == ["not", "None"] or name == "None":
        c_type, name = left.split()[:-3], left.split()[-3]
    annotation = annotation.strip() or C_TYPES.get(" ".join(c_type), "")
    return name + (f": {annotation}" if annotation else "") + (" = ..." if annotation else "=...") * bool(has_default)


def stub_of(path: Path) -> str:
    """The text of the .pyi beside a .pyx or an engine module."""
    return stub_of_pyx(path) if path.suffix == ".pyx" else stub_of_engine(path)


def stub_of_pyx(path: Path) -> str:
    """Its def and cpdef functions with their arguments, its constants in capitals, and its classes that say something to
    Python."""
    source = path.read_text(encoding="utf-8")
    lines = [f'"""Made from {path.name} by setup.py; edit that."""', "from typing import Any", "",
             "import numpy as np", ""]
    lines += [f"{name}: {kind}" for name, kind in
              ((n, "tuple[str, ...]" if v[0] == "(" else "int") for n, v in
               re.findall(r"^([A-Z][A-Z_]+) = (\(|\d)", source, re.M))]
    for name, body in re.findall(r"^cdef class (\w+):\n((?:[ \t]+[^\n]*\n|\n)*)", source, re.M):
        fields = [f for names in re.findall(r"^    cdef (?:readonly|public) \w+ ([\w, ]+?)\s*(?:#.*)?$", body, re.M)
                  for f in names.split(", ")]
        methods = re.findall(r"^    def (\w+)\((.*?)\)(?:\s*->\s*(\w+))?:", body, re.M | re.S)
        if fields:
            lines += ["", f"class {name}:", *[f"    {f}: Any" for f in fields]]
            lines += [f"    def {m}({', '.join(stub_argument(a) for a in arguments(rest))}) -> "
                      f"{returns or {'__len__': 'int', '__str__': 'str'}.get(m, 'Any')}: ..."
                      for m, rest, returns in methods if m not in ("__cinit__", "__dealloc__")]
    for match in re.finditer(r"^(?:def|cpdef\s+(?:inline\s+)?(?P<type>[\w.]+))\s+(?P<name>\w+)\((?P<rest>.*?)\)"
                             r"(?:\s*->\s*(?P<returns>[^:\n]+?))?(?:\s*(?:noexcept|except\s*[\w?*+-]+|nogil))*:\s*(?:#.*)?$",
                             source, re.M | re.S):
        if match["name"].startswith("_"):
            continue
        returns = (match["returns"] or "").strip() or C_TYPES.get(match["type"] or "", "")
        inside = ", ".join(stub_argument(a) for a in arguments(match["rest"]))
        lines.append(f"def {match['name']}({inside})" + (f" -> {returns}" if returns else "") + ": ...")
    return "\n".join(lines) + "\n"


# ---- engine modules ----

def fields_of(pxd: str) -> dict[str, list[str]]:
    """The readonly and public fields that a .pxd declares, by class."""
    found: dict[str, list[str]] = {}
    for name, body in re.findall(r"^cdef class (\w+)[^\n]*:\n((?:[ \t]+[^\n]*\n|\n)*)", pxd, re.M):
        found[name] = re.findall(r"^\s+cdef (?:readonly|public) [\w ]*?(\w+)\s*(?:#.*)?$", body, re.M)
    return found


class Builtins(ast.NodeTransformer):
    """Inside a class with a method `float`, the annotation `float` means the method; `builtins.float` does not."""

    def __init__(self, hidden: set[str]):
        self.hidden = hidden

    def visit_Name(self, node):
        return ast.Attribute(ast.Name("builtins"), node.id) if node.id in self.hidden else node


def outline(node: ast.stmt, fields: dict[str, list[str]], hidden: set[str]) -> list[ast.stmt]:
    """What a stub says for one statement of a module or class."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [node]
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = [d for d in node.decorator_list if "cython" not in ast.unparse(d)]
        node.body = [ast.Expr(ast.Constant(...))]
        node.args.defaults = [ast.Constant(...) for _ in node.args.defaults]
        node.args.kw_defaults = [d and ast.Constant(...) for d in node.args.kw_defaults]
        for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]:
            if a is not None and a.annotation is not None:
                a.annotation = Builtins(hidden).visit(a.annotation)
        if node.returns is not None:
            node.returns = Builtins(hidden).visit(node.returns)
        return [node]
    if isinstance(node, ast.ClassDef):
        methods = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
        body = [ast.parse(f"{name}: Any").body[0] for name in fields.get(node.name, [])]
        for n in node.body:
            if isinstance(n, ast.ImportFrom):       # functions that are methods too
                body += [ast.parse(f"{a.asname or a.name}: Any").body[0] for a in n.names]
                continue
            body += outline(n, {}, methods & {"float", "int", "bool", "str", "tuple", "list", "dict"})
        node.body = body or [ast.Expr(ast.Constant(...))]
        node.decorator_list = []
        return [node]
    if isinstance(node, ast.AnnAssign):
        node.value = None
        return [node]
    if isinstance(node, ast.Assign):
        names = [n for t in node.targets for n in (t.elts if isinstance(t, ast.Tuple) else [t])]
        return [ast.parse(f"{n.id}: Any").body[0] for n in names if isinstance(n, ast.Name)]
    if isinstance(node, ast.If) and ast.unparse(node.test) == "cython.compiled":    # (the other branch is ordinary Python)
        return [n for n in node.orelse if isinstance(n, ast.ImportFrom)]
    return []


def stub_of_engine(path: Path) -> str:
    """The module with the fields its .pxd declares, without code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    fields = fields_of(path.with_suffix(".pxd").read_text(encoding="utf-8"))
    body = [s for node in tree.body for s in outline(node, fields, set())]
    text = ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
    return f'"""Made from {path.name} and its .pxd; edit those."""\nimport builtins\nfrom typing import Any\n{text}\n'
