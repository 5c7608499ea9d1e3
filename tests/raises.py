"""Which `raise` statements of minilayer has this run reached? Looks at the exceptions that tests expect.

conftest.py puts `watched_raises` in the place of `pytest.raises`, and shows the command line's caught errors to `note`.
An exception's traceback names the line that raised it, in compiled modules too (Cython writes their lines into it), and
so do those of the exceptions that led to it.
"""
import ast
import re
from pathlib import Path

import pytest

import minilayer

PACKAGE = Path(minilayer.__file__).parent
REACHED: set = set()            # {(path inside the package, line)}
MESSAGES: set = set()           # {(line, message)} of those raised in Cython files
_known: dict = {}               # a traceback's file name -> path inside the package, or None
_raises = pytest.raises


def note(error):
    """Write down where an exception was raised, and where those behind it were."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        if traceback is not None:
            name = traceback.tb_frame.f_code.co_filename
            if name not in _known:
                _known[name] = inside_package(name)
            if _known[name] is not None:
                REACHED.add((_known[name], traceback.tb_lineno))
                if not name.endswith(".py"):
                    MESSAGES.add((traceback.tb_lineno, str(error)))
        error = error.__cause__ or error.__context__


class _Watched:
    def __init__(self, context):
        self.context = context

    def __enter__(self):
        return self.context.__enter__()

    def __exit__(self, kind, error, traceback):
        if error is not None:
            note(error)
        return self.context.__exit__(kind, error, traceback)


def watched_raises(*arguments, **settings):
    """pytest.raises, as a context manager, that also notes the exception."""
    return _Watched(_raises(*arguments, **settings))


def inside_package(name):
    """A file's path inside the package. Compiled modules name theirs from the folder they were built in."""
    parts = Path(name).parts
    if "minilayer" not in parts:
        return None
    path = "/".join(parts[len(parts) - parts[::-1].index("minilayer"):])
    return path if (PACKAGE / path).exists() else None


def raise_sites():
    """[(path inside the package, first line, last line, text)] of every raise statement with an exception."""
    sites = []
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyx")]):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("cuda/") or name.endswith("_cuda.py"):       # reached in the process with the simulator
            continue
        text = path.read_text()
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Raise) and node.exc is not None and not isinstance(node.exc, ast.Name):
                    sites.append((name, node.lineno, node.end_lineno, ast.unparse(node)))
        else:
            lines = text.splitlines()
            for i, line in enumerate(lines):
                if re.match(r"\s*raise \w+\(", line):
                    end = i
                    while "".join(lines[i:end + 1]).count("(") > "".join(lines[i:end + 1]).count(")"):
                        end += 1
                    sites.append((name, i + 1, end + 1, " ".join(x.strip() for x in lines[i:end + 1])))
    return sites


def reached(name, first, last, text):
    """Was this raise statement reached? Cython keeps the places of a traceback by line number alone, so a line of a
    .pyx can show under the name of a .pxd that has inline functions: there the message decides."""
    if any((name, line) in REACHED for line in range(first, last + 1)):
        return True
    if not name.endswith(".pyx"):
        return False
    words = [word for word in re.findall(r'"([^"]*)"', text) for word in re.split(r"\{[^}]*\}", word)]
    return any(first <= line <= last and all(word in message for word in words) for line, message in MESSAGES)
