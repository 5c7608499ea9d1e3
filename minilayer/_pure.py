"""MINILAYER_PURE=1: run the engine from its .py files, though compiled modules lie beside them.

The engine (state, device, node to tensor, the ops, dispatch) is Python that Cython also compiles. Python prefers the
compiled module of a name; with this import finder in front it takes the .py file, which a debugger can step through and
an edit changes at once. Kernels are not touched: they have no .py (their readable telling is another family variant,
`reference`).
"""
import importlib.machinery
import os
import sys

PURE = os.environ.get("MINILAYER_PURE", "") not in ("", "0")


class PureFinder:
    """Finds minilayer's modules as source files only; says None, and so leaves it to Python, where there is none."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is None or not name.startswith("minilayer."):
            return None
        loader = (importlib.machinery.SourceFileLoader, [".py"])
        for folder in path:
            spec = importlib.machinery.FileFinder(folder, loader).find_spec(name)
            if spec is not None and spec.origin is not None:
                return spec
        return None


if PURE and PureFinder not in sys.meta_path:
    sys.meta_path.insert(0, PureFinder)
