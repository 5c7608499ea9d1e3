"""What minilayer runs with on this machine: the first thing to look at, and to send along, when something is odd."""
import importlib.metadata
import platform
import sys
from pathlib import Path

import minilayer
from minilayer import device
from minilayer._ext import dispatch, runtime
from minilayer.data import cache_folder

PARTS = ("numpy", "safetensors", "tqdm", "Cython", "matplotlib", "numba", "numba-cuda")


def report() -> str:
    """The report, as text."""
    rows = [("minilayer", f"{minilayer.__version__} in {Path(minilayer.__file__).parent}"),
            ("Python", f"{platform.python_version()} ({sys.executable}) on {platform.platform()}"),
            *((part, _version(part)) for part in PARTS),
            ("instruction set", f"{runtime.isa()} (of {', '.join(runtime.available_isas())}; MINILAYER_ISA chooses)"),
            ("threads", f"{runtime.get_num_threads()} (set_num_threads chooses)"),
            ("engine", "compiled" if minilayer.tape.__file__.endswith((".so", ".pyd")) else "uncompiled Python"),
            ("backend", f"{dispatch.current_backend()} (MINILAYER_BACKEND chooses)"),
            ("GPU", _gpu()),
            ("cache", f"{cache_folder()}{'' if cache_folder().is_dir() else ' (not made yet)'}")]
    width = max(len(name) for name, _ in rows)
    return "\n".join([*(f"{name:<{width}}  {value}" for name, value in rows), "", dispatch.backends_text()])


def _version(part: str) -> str:
    try:
        return importlib.metadata.version(part)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _gpu() -> str:
    try:
        device.module_of("cuda")
        return "usable"
    except Exception as error:          # whatever is wrong with a driver is the answer, not a failure of the report
        return f"none: {error}"
