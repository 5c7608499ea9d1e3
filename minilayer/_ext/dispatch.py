# cython: language_level=3, annotation_typing=False
"""Which module runs a kernel: the family's name, the device its arrays live on and the chosen backend decide.

    conv = family("conv")
    conv.on(x).conv2d(x, w, b, y, stride=(1, 1))

A family `foo` is up to three modules that define the same functions: `foo_reference.py` (NumPy, the definition),
`foo_cython.pyx` (compiled, CPU) and `foo_cuda.py` (Numba, NVIDIA GPUs). They are found by name, here and in every
package named to `register_package`, so a new one needs no line anywhere else. Nothing falls back silently: a family
without a compiled twin runs its reference on the CPU, as `backends()` shows, and a family without a CUDA twin raises
on the GPU.
"""
import importlib
import importlib.util
import os

import cython
from numpy import ndarray

BACKENDS = ("compiled", "reference")
_packages: list = ["minilayer._ext"]
_families: dict = {}
_loaders: dict = {}         # device type -> function from a family's name to its module


def _find(name: str, variant: str):
    """The module `<package>.<name>_<variant>`, or None where no package has one."""
    for package in _packages:
        full = f"{package}.{name}_{variant}"
        if importlib.util.find_spec(full) is not None:
            return importlib.import_module(full)
    return None


@cython.cclass
class Family:
    """The kernels of one name on every device. `cpu` is the module that runs ndarrays now."""
    # (dispatch.pxd declares its fields: name, cpu, and elsewhere, the modules for other devices by their type)

    def __init__(self, name):
        self.name = name
        self.elsewhere = {}
        self.choose(_backend[0])

    def choose(self, backend):
        """Take the variant that `backend` asks for on the CPU."""
        module = _find(self.name, "cython") if backend == "compiled" else None
        if module is None:
            module = _find(self.name, "reference")
        if module is None:
            raise LookupError(f"kernel family {self.name!r}: no {self.name}_reference.py in {', '.join(_packages)}; "
                              "write it, or name the package that holds it with register_package(...)")
        self.cpu = module

    def on(self, array):
        """The module whose kernels take this array."""
        if type(array) is ndarray:
            return self.cpu
        return self.load(array.device_type)

    def load(self, device_type):
        """The module for a device other than the CPU."""
        module = self.elsewhere.get(device_type)
        if module is None:
            loader = _loaders.get(device_type)
            module = loader(self.name) if loader is not None else _find(self.name, device_type)
            if module is None:
                raise NotImplementedError(
                    f"kernel family {self.name!r}: no kernels for {device_type} arrays; write "
                    f"minilayer/_ext/{self.name}_{device_type}.py, or move the tensors with .to('cpu')")
            self.elsewhere[device_type] = module
        return module


def family(name: str) -> Family:
    """The family of that name (one object a name)."""
    if name not in _families:
        _families[name] = Family(name)
    return _families[name]


def register_package(package: str) -> None:
    """Search `package` too for `<family>_reference`, `_cython` and `_cuda` modules."""
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(f"register_package: no package {package!r} to import")
    if package not in _packages:
        _packages.append(package)


def register_device(device_type: str, loader) -> None:
    """Let `loader(family name)` give the kernel module for arrays whose `device_type` is this."""
    _loaders[device_type] = loader


def _initial_backend() -> str:
    name = os.environ.get("MINILAYER_BACKEND", "compiled")
    if name not in BACKENDS:
        raise RuntimeError(f"MINILAYER_BACKEND={name}: expected one of {', '.join(BACKENDS)}")
    return name


_backend = [_initial_backend()]


def current_backend() -> str:
    """The backend that CPU kernels run on: "compiled" or "reference"."""
    return _backend[0]


def _set_backend(name: str) -> None:
    _backend[0] = name
    for f in _families.values():
        f.choose(name)


class use_backend:
    """Run CPU kernels on "compiled" (the default) or "reference" (NumPy, slow, the definition) from now on, in every
    thread; as a context manager, until its end.

    >>> with use_backend("reference"):
    ...     y = x @ w
    """

    def __init__(self, name: str):
        if name not in BACKENDS:
            raise ValueError(f"use_backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
        self.before = _backend[0]
        _set_backend(name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        _set_backend(self.before)


def variants() -> dict:
    """{family: {variant: available}} of every family in every searched package, by their files' names."""
    import pathlib
    table: dict = {}
    for package in _packages:
        for place in importlib.import_module(package).__path__:
            for path in sorted(pathlib.Path(place).iterdir()):
                stem = path.name.split(".")[0]
                for variant in ("reference", "cython", "cuda"):
                    if stem.endswith("_" + variant) and path.suffix in (".py", ".so", ".pyd"):
                        table.setdefault(stem[: -len(variant) - 1], {})[variant] = f"{package}.{stem}"
    return table


def backends_text() -> str:
    """Which module runs each kernel family on the CPU and on the GPU, as a table to print."""
    from minilayer._ext import runtime
    rows = [(name, family(name).cpu.__name__, found.get("cuda", "-")) for name, found in sorted(variants().items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"backend {current_backend()}, instruction set {runtime.isa()}, {runtime.get_num_threads()} threads"]
    lines += [f"  {name:<{widths[0]}}  cpu: {cpu:<{widths[1]}}  cuda: {cuda}" for name, cpu, cuda in rows]
    return "\n".join(lines)


def backends() -> None:
    """Print which module runs each kernel family on the CPU and on the GPU."""
    print(backends_text())
