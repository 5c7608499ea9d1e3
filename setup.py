"""The compiled parts, found by name; everything else about the package is in pyproject.toml.

    minilayer/_ext/<name>.pyx        an extension; with c/<name>.c beside it where it has C kernels
    the engine (ENGINE below)        .py files in Cython's pure-Python mode: compiled here, runnable as they are

MINILAYER_ONLY=name,name builds those extensions alone; MINILAYER_DEBUG=1 with bounds checks, debugging symbols and no
optimisation; MINILAYER_SANITIZE=address,undefined for the sanitizers; MINILAYER_COVERAGE=1 with line tracing. Change of
any of them, of Python, NumPy or Cython rebuilds what it touches. `./dev build` calls this file with the right setting.
"""
import multiprocessing
import os
import re
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
os.chdir(ROOT)                      # sources are named relative to it
sys.path.insert(0, str(ROOT / "tools"))
import stubs  # noqa: E402

EXT = Path("minilayer/_ext")
ENGINE = [*(Path("minilayer", f"{name}.py") for name in (
    "state", "device", "node", "versions", "gradients", "tape", "promotion", "views", "inplace", "tensor")),
          EXT / "dispatch.py",
          *sorted(p for p in Path("minilayer/ops").glob("*.py") if p.name != "__init__.py")]

SANITIZE = os.environ.get("MINILAYER_SANITIZE", "")
COVERAGE = os.environ.get("MINILAYER_COVERAGE", "") == "1"
DEBUG = os.environ.get("MINILAYER_DEBUG", "") == "1"
ONLY = set(filter(None, os.environ.get("MINILAYER_ONLY", "").split(",")))
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

# -ffp-contract=off: a fused chain equals its parts bit for bit (c/vec.h). The next two free sqrt and comparisons from
# errno and traps; -ffast-math is never used (on a link line it turns denormals off for the whole process).
SAFE = ["-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing",
        "-Wno-psabi", "-pthread"]
LINK_FLAGS = ["-pthread"]
if SANITIZE:
    C_FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=undefined", *SAFE]
    ENGINE_FLAGS = ["-O0", "-g0", *SAFE]        # it touches memory only through Python and the kernels
    LINK_FLAGS = [*LINK_FLAGS, f"-fsanitize={SANITIZE}"]
elif DEBUG:
    C_FLAGS = ENGINE_FLAGS = ["-O0", "-g", *SAFE]
else:
    C_FLAGS, ENGINE_FLAGS = ["-O3", "-g0", *SAFE], ["-O2", "-g0", *SAFE]

MACROS = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
if COVERAGE:
    MACROS += [("CYTHON_TRACE", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
DIRECTIVES = dict(initializedcheck=DEBUG, nonecheck=DEBUG, linetrace=COVERAGE, embedsignature=False)
# Kernels check nothing twice. The engine keeps Python's own rules (x[-1], IndexError, -7 // 2), since the same files
# run uncompiled; annotations declare C types in the files named here, and are for readers elsewhere.
KERNEL_DIRECTIVES = dict(boundscheck=DEBUG, wraparound=DEBUG, cdivision=True, annotation_typing=False)
TYPED = tuple(f"minilayer.{name}" for name in (
    "state", "node", "versions", "gradients", "tape", "inplace", "tensor", "ops.arithmetic"))


def directives_of(name: str) -> dict:
    """How Cython is to compile an extension."""
    kernel = name.startswith("minilayer._ext.") and not name.endswith(".dispatch")
    return DIRECTIVES | (KERNEL_DIRECTIVES if kernel else dict(annotation_typing=name in TYPED))


def cython_processes() -> int:
    """How many processes Cython may use; 0 is this one alone. (spawn, macOS's way, would run this file again.)"""
    try:
        multiprocessing.Lock()      # fails where there is no /dev/shm
    except OSError:
        return 0
    return CORES if sys.platform == "linux" and sys.version_info < (3, 14) else 0


def included(c_file: Path) -> list[Path]:
    """The headers beside a C file that it names in an #include or #define, and those that they name."""
    found, waiting = [], [c_file]
    while waiting:
        for name in re.findall(r'^\s*#\s*(?:include|define\s+\w+)\s+"([\w.]+)"', waiting.pop().read_text(), re.M):
            header = c_file.parent / name
            if header.exists() and header not in found:
                found.append(header)
                waiting.append(header)
    return sorted(found)


def extension(source: Path) -> Extension:
    name = ".".join(source.with_suffix("").parts)
    sources, depends = [source], []
    if source.suffix == ".pyx":
        stem = source.stem.removesuffix("_cython")
        c_file = EXT / "c" / ("threads.c" if stem == "runtime" else f"{stem}.c")
        depends = [EXT / "c" / "ml.h"]
        if c_file.exists():
            sources.append(c_file)
            depends = included(c_file)
    return Extension(name, [str(p) for p in sources], depends=[str(p) for p in depends], include_dirs=[str(EXT)],
                     define_macros=MACROS, extra_compile_args=C_FLAGS if source.suffix == ".pyx" else ENGINE_FLAGS,
                     extra_link_args=LINK_FLAGS)


class BuildExt(build_ext):
    """build_ext that runs Cython first, works on all cores, rebuilds when its settings change, and writes the stubs.

    Cython runs here, and not before setup(), so that making an sdist neither needs nor ships its output.
    """

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or CORES
        # Kernels first: they take the compiler longest.
        self.extensions.sort(key=lambda e: -len(e.sources))
        if ONLY:
            self.extensions = [e for e in self.extensions if e.name.rpartition(".")[2] in ONLY]
            missing = ONLY - {e.name.rpartition(".")[2] for e in self.extensions}
            if missing:
                raise SystemExit(f"MINILAYER_ONLY: no extension is named {', '.join(sorted(missing))}")

    def run(self):
        import Cython
        import numpy
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError

        self.made = Path("build/settings", sys.implementation.cache_tag)    # what each extension was last built with
        self.made.mkdir(parents=True, exist_ok=True)
        generated = Path("build/cython")
        for e in self.extensions:
            e.settings = "\n".join([sys.version, Cython.__version__, numpy.__version__, os.environ.get("CC", ""),
                                    os.environ.get("CFLAGS", ""), repr(directives_of(e.name)), repr(MACROS),
                                    *e.extra_compile_args, *e.extra_link_args])
            record = self.made / f"{e.name}.txt"
            e.same = record.exists() and record.read_text() == e.settings
            if not e.same:
                (generated / e.sources[0]).with_suffix(".c").unlink(missing_ok=True)
        try:
            results = []
            groups: dict = {}
            for e in self.extensions:
                groups.setdefault(repr(directives_of(e.name)), []).append(e)
            for group in groups.values():
                results += cythonize(group, language_level=3, build_dir=str(generated),
                                     quiet=not self.verbose or "-q" in sys.argv,
                                     compiler_directives=directives_of(group[0].name),
                                     nthreads=cython_processes())
        except CompileError as e:       # Cython has said what and where
            raise SystemExit(f"setup.py: Cython cannot compile {e}") from None
        results = {r.name: r for r in results}
        for e in self.extensions:
            e.sources = results[e.name].sources
            e.depends = sorted({*e.depends, *results[e.name].depends})
            e.include_dirs = [*e.include_dirs, numpy.get_include()]
        super().run()
        for source in [*sorted(EXT.glob("*.pyx")), *(p for p in ENGINE if p.with_suffix(".pxd").exists())]:
            stub = (Path() if self.inplace else Path(self.build_lib)) / source.with_suffix(".pyi")
            stub.parent.mkdir(parents=True, exist_ok=True)
            text = stubs.stub_of(source)
            if not stub.exists() or stub.read_text() != text:
                stub.write_text(text)

    def build_extension(self, ext):
        if not ext.same:
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
        super().build_extension(ext)
        if not ext.same:
            (self.made / f"{ext.name}.txt").write_text(ext.settings)

    def copy_file(self, infile, outfile, *args, **kwargs):
        """Leave an equal file alone, and replace the other in one step: programs may be running from it."""
        new, old = Path(infile), Path(outfile)
        if old.is_dir():
            return super().copy_file(infile, outfile, *args, **kwargs)
        if old.exists() and (old.stat().st_mtime_ns // 1000, old.stat().st_size) == (new.stat().st_mtime_ns // 1000,
                                                                                    new.stat().st_size):
            return outfile, 0
        temporary = f"{outfile}.{os.getpid()}.new"
        super().copy_file(infile, temporary, *args, **kwargs)
        os.replace(temporary, outfile)
        return outfile, 1


setup(ext_modules=[extension(p) for p in [*sorted(EXT.glob("*.pyx")), *ENGINE] if p.exists()],
      cmdclass={"build_ext": BuildExt})
