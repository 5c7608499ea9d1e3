"""Which `raise` statements of minilayer has this run reached? Watches exceptions while the suite runs.

A trace function looks at exceptions alone (no lines), in frames of minilayer and of the tests; the traceback names the
line that raised, in compiled modules too, because Cython writes their lines into it.
"""
import ast
import re
import sys
import threading
from pathlib import Path

import minilayer

PACKAGE = Path(minilayer.__file__).parent
WATCHED = (str(PACKAGE), str(Path(__file__).parent))


class Recorder:
    """Lines of minilayer that raised: {(path inside the package, line)}."""

    def __init__(self):
        self.lines: set = set()
        self.known: dict = {}           # code object's file name -> path inside the package, or None
        self.active = False

    def start(self):
        """Watch from now on, unless a debugger or a coverage tool is watching already."""
        if sys.gettrace() is None:
            self.active = True
            threading.settrace(self.call)
            sys.settrace(self.call)

    def stop(self):
        if self.active:
            threading.settrace(None)
            sys.settrace(None)
            self.active = False

    def call(self, frame, event, argument):
        if frame.f_code.co_filename.startswith(WATCHED):
            frame.f_trace_lines = False
            return self.inside
        return None

    def inside(self, frame, event, argument):
        if event == "exception":
            self.note(argument[2])
        return self.inside

    def note(self, traceback):
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        name = traceback.tb_frame.f_code.co_filename
        if name not in self.known:
            self.known[name] = inside_package(name)
        if self.known[name] is not None:
            self.lines.add((self.known[name], traceback.tb_lineno))


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


RECORDER = Recorder()
