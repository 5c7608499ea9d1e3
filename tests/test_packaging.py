"""The project around the code: what is installed, what imports bring in, the stubs, the lock files, and `dev`."""
import ast
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import minilayer

PACKAGE = Path(minilayer.__file__).parent
ROOT = Path(__file__).resolve().parent.parent
PURE = os.environ.get("MINILAYER_PURE", "") not in ("", "0")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYX = sorted(PACKAGE.rglob("*.pyx"))
ENGINE = ["minilayer._ext.dispatch",
          *(f"minilayer.{name}" for name in ("state", "device", "node", "versions", "gradients", "tape", "promotion", "views",
                                             "inplace", "tensor")),
          *(f"minilayer.ops.{p.stem}" for p in sorted((PACKAGE / "ops").glob("*.py")) if p.stem != "__init__")]


def python(code: str, **environment) -> str:
    """What a new interpreter prints for this code."""
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---- what is installed ----

def test_everything_another_package_needs_is_installed():
    """py.typed, .pxd files and C headers, beside the modules; a stub for each .pyx."""
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_ext" / "runtime.pxd").exists()
    headers = {p.name for p in (PACKAGE / "_ext" / "c").glob("*.h")}
    assert {"ml.h", "threads.h", "each_isa.h", "vec.h", "vec_undef.h"} <= headers
    assert [p for p in PYX if not p.with_suffix(".pyi").exists()] == []


@pytest.mark.parametrize("name", ENGINE)
def test_the_engine_runs_as_asked(name):
    """Compiled, or under MINILAYER_PURE=1 the .py file itself; both lie there."""
    origin = Path(importlib.util.find_spec(name).origin)
    assert (origin.suffix == ".py") == PURE
    assert (origin.parent / (origin.name.split(".")[0] + ".py")).exists()


@pytest.mark.parametrize("name", [f"minilayer.{'.'.join(p.relative_to(PACKAGE).with_suffix('').parts)}" for p in PYX])
def test_kernels_are_compiled(name):
    assert Path(importlib.util.find_spec(name).origin).name.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))


def test_pure_takes_the_source_files():
    code = "import minilayer.tape, minilayer._ext.runtime as r; print(minilayer.tape.__file__); print(r.__file__)"
    tape, runtime = python(code, MINILAYER_PURE="1").splitlines()
    assert tape.endswith("tape.py") and not runtime.endswith(".py")


def test_version():
    assert minilayer.__version__ == PROJECT["project"]["version"]


def test_import_brings_in_only_what_running_needs():
    """matplotlib, numba and the like come at first use. (The uncompiled engine imports Cython's shadow module.)"""
    code = ("import sys; before = set(sys.modules); import minilayer;"
            "print(*{m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names))")
    brought = {m for m in python(code).split() if not m.startswith("_")}
    shadow = {"cython", "Cython", "cython_runtime"} if PURE else {"cython_runtime"}
    assert brought <= {"minilayer", "numpy", "safetensors", "tqdm"} | shadow


def test_denormals_survive_the_import():
    """A library linked with -ffast-math would flush them to zero in the whole process."""
    tiny = np.array([1e-40], dtype=np.float32)
    assert (tiny * np.float32(0.5))[0] > 0


def test_another_package_can_cimport(tmp_path):
    """What DESIGN promises to authors: a kernel in a package of one's own stands on our descriptors and launch rule."""
    pytest.importorskip("Cython", reason="building a package needs Cython")
    (tmp_path / "other.pyx").write_text('''
cimport numpy as cnp
from minilayer._ext.runtime cimport ML_F64, ML_OK, ML_BAD_DTYPE, describe, launch, ml_array
cnp.import_array()

cdef int double_entry(const ml_array *a, const void *settings) noexcept nogil:
    cdef long i
    if a[0].dtype != ML_F64:
        return ML_BAD_DTYPE
    for i in range(a[0].size):
        (<double *> a[1].data)[i] = 2 * (<double *> a[0].data)[i]
    return ML_OK

def double(x, y):
    cdef ml_array a[2]
    describe(x, &a[0], 0, "double")
    describe(y, &a[1], 1, "double")
    launch("double", double_entry, a, NULL, 0, a[0].size)
''')
    (tmp_path / "setup.py").write_text(f'''
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
setup(name="other", ext_modules=cythonize([Extension("other", ["other.pyx"], extra_compile_args=["-O0"],
      include_dirs=[numpy.get_include(), {str(PACKAGE / "_ext")!r}])], language_level=3,
      include_path=[{str(PACKAGE.parent)!r}], quiet=True))
''')
    done = subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=tmp_path, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    assert python("import numpy as np, other; y = np.empty(3); other.double(np.arange(3.0), y); print(y)",
                  PYTHONPATH=path) == "[0. 2. 4.]"
    assert "TypeError: double: no compiled code" in python(
        "import numpy as np, other\ntry:\n    other.double(np.zeros(3, 'f'), np.zeros(3, 'f'))\n"
        "except TypeError as e:\n    print('TypeError:', e)", PYTHONPATH=path)


# ---- stubs ----

def functions_of_stub(path: Path) -> dict[str, list[str]]:
    tree = ast.parse(path.with_suffix(".pyi").read_text())
    return {n.name: [a.arg for a in (*n.args.args, *n.args.kwonlyargs)] + ["*"] * bool(n.args.kwonlyargs)
            for n in tree.body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("path", PYX, ids=lambda p: p.stem)
def test_stubs_say_what_the_compiled_module_has(path):
    """setup.py reads the stub off the source; here the compiled module is asked."""
    module = importlib.import_module(f"minilayer.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}")
    compiled = {}
    for name, function in vars(module).items():
        if type(function).__name__ == "cython_function_or_method" and not name.startswith("_") \
                and function.__module__ == module.__name__:
            parameters = inspect.signature(function).parameters.values()
            compiled[name] = [p.name for p in parameters] + ["*"] * any(p.kind == p.KEYWORD_ONLY for p in parameters)
    stub = functions_of_stub(path)
    assert compiled and set(compiled) <= set(stub)
    assert {n: stub[n] for n in compiled} == compiled
    assert all(hasattr(module, n) for n in stub)


@pytest.mark.parametrize("name", ["node", "tape", "tensor"])
def test_stubs_of_the_engine(name):
    """Every public name of the module, and the fields that only its .pxd declares."""
    module = importlib.import_module(f"minilayer.{name}")
    tree = ast.parse((PACKAGE / f"{name}.pyi").read_text())
    defined = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    for key, value in vars(module).items():
        if not key.startswith("_") and getattr(value, "__module__", "") == module.__name__ and hasattr(value, "__doc__"):
            assert key in defined or any(isinstance(n, ast.AnnAssign) and n.target.id == key for n in tree.body), key
    if name == "node":
        fields = {n.target.id for n in defined["TensorBase"].body if isinstance(n, ast.AnnAssign)}
        assert {"array", "grad"} <= fields


# ---- lock files ----

def locked(name: str) -> dict[str, list[tuple[Requirement, int]]]:
    """Requirements of a lock file by package, each with its number of hashes."""
    found: dict[str, list] = {}
    for line in (ROOT / "requirements" / f"{name}.lock").read_text().replace("\\\n", " ").splitlines():
        spec, *hashes = line.split("--hash=")
        if spec.strip() and not spec.startswith("#"):
            requirement = Requirement(spec.strip())
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", h) for h in hashes)
            found.setdefault(re.sub(r"[-_.]+", "-", requirement.name).lower(), []).append((requirement, len(hashes)))
    return found


def pinned(entries) -> set[str]:
    return {s.version for requirement, _ in entries for s in requirement.specifier}


@pytest.mark.parametrize("name, extra", [("dev", "test"), ("lint", "lint"), ("cuda", "cuda-test")])
def test_lock_files(name, extra):
    """Each package pinned with hashes; what pyproject.toml asks for is there, at a version it allows; pins agree."""
    entries, dev = locked(name), locked("dev")
    for package, rows in entries.items():
        for requirement, hashes in rows:
            assert hashes and re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert package not in dev or pinned(rows) == pinned(dev[package]), package
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"][extra]]
    if name == "dev":
        wanted += PROJECT["build-system"]["requires"]
    for requirement in map(Requirement, wanted):
        if requirement.name != "minilayer":
            versions = pinned(entries[re.sub(r"[-_.]+", "-", requirement.name).lower()])
            assert versions and all(v in requirement.specifier for v in versions), requirement


def test_numba_is_only_in_the_gpu_extras():
    for extra, requirements in PROJECT["project"]["optional-dependencies"].items():
        assert extra.startswith("cuda") or not any("numba" in r for r in requirements)
    assert {Requirement(r).name for r in PROJECT["project"]["dependencies"]} == {"numpy", "safetensors", "tqdm"}


# ---- dev ----

@pytest.fixture
def dev(monkeypatch, tmp_path):
    """`dev` as a module, its checkout an empty folder."""
    loader = importlib.machinery.SourceFileLoader("dev_door", str(ROOT / "dev"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("dev_door", loader))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    monkeypatch.setattr(module, "VENV", str(tmp_path / ".venv"))
    return module


def test_dev_can_be_run():
    assert (ROOT / "dev").stat().st_mode & stat.S_IXUSR
    done = subprocess.run([sys.executable, ROOT / "dev", "help"], capture_output=True, text=True)
    assert done.returncode == 0 and "./dev train" in done.stdout and "./dev test" in done.stdout


def test_dev_keeps_to_old_words():
    """An old Python must be able to read it, or it could not say that it is too old."""
    ast.parse((ROOT / "dev").read_text(), feature_version=(3, 7))
    assert not re.search(r'(?<![\w"])f"|:=', (ROOT / "dev").read_text())


@pytest.mark.parametrize("arguments, status, words", [
    (["tset"], 2, "did you mean test?"),
    (["fly"], 2, "./dev help"),
])
def test_dev_knows_its_jobs(arguments, status, words):
    done = subprocess.run([sys.executable, ROOT / "dev", *arguments], capture_output=True, text=True)
    assert done.returncode == status and words in done.stderr and "Traceback" not in done.stderr


def test_dev_refuses_an_old_python(dev, monkeypatch, capsys):
    monkeypatch.setattr(dev, "OLDEST", (99, 0))
    monkeypatch.setenv("DEV_SECOND_TRY", "1")
    with pytest.raises(SystemExit):
        dev.check_python()
    assert "Python 99.0 or newer is needed" in capsys.readouterr().err


def test_dev_says_when_it_cannot_write(dev, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(dev, "ROOT", str(tmp_path / "file"))        # no folder: root cannot write there either
    with pytest.raises(SystemExit), dev.alone():
        pass
    assert "cannot write in" in capsys.readouterr().err


def test_dev_says_when_there_is_no_compiler(dev, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(SystemExit):
        dev.compiler({"cc": "gcc -pthread"})
    assert "no C compiler" in capsys.readouterr().err
    monkeypatch.setenv("CC", "my-gcc -O1")
    with pytest.raises(SystemExit):
        dev.compiler({"cc": "gcc -pthread"})
    assert "CC=my-gcc -O1" in capsys.readouterr().err


@pytest.mark.parametrize("words, message", [
    ("Failed to establish: NewConnectionError", "no network?"),
    ("THESE PACKAGES DO NOT MATCH THE HASHES", "its hash promises"),
    ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ("something else", "could not install"),
])
def test_dev_says_why_pip_failed(dev, capfd, words, message):
    with pytest.raises(SystemExit):
        dev.pip("x", what="requirements/dev.lock", python=failing(dev, words))
    out = capfd.readouterr().err
    assert message in out and words in out


def failing(dev, words: str) -> str:
    """A stand-in for .venv's Python whose pip fails with these words."""
    script = Path(dev.ROOT) / "python"
    script.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    script.chmod(0o755)
    return str(script)


def test_two_devs_take_turns(dev, tmp_path):
    """The second waits for the first, and says so."""
    code = (f"import importlib.machinery as m, importlib.util as u, sys; sys.dont_write_bytecode = True;"
            f"l = m.SourceFileLoader('door', {str(ROOT / 'dev')!r});"
            f"d = u.module_from_spec(u.spec_from_loader('door', l));"
            f"l.exec_module(d); d.ROOT = {str(tmp_path)!r}\nwith d.alone():\n"
            f"    print('in', flush=True); sys.stdin.readline(); print('out', flush=True)")
    first, second = (subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True) for _ in range(2))
    with first, second:
        lines = {first: first.stdout.readline(), second: second.stdout.readline()}
        holder = next(p for p, line in lines.items() if line == "in\n")
        waiter = second if holder is first else first
        assert "waiting" in lines[waiter]
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "out\n"
        assert waiter.stdout.readline() == "in\n"
        waiter.stdin.write("\n")


@pytest.mark.parametrize("arguments, named", [
    ([], False), (["--slow"], False), (["-x", "-k", "tests"], False), (["tests/test_a.py::test_b", "-x"], True),
])
def test_dev_keeps_a_parts_files_unless_others_are_named(dev, tmp_path, arguments, named):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("")
    assert dev.or_else(arguments, ["tests/cuda"]) == arguments + ["tests/cuda"] * (not named)


def test_dev_keeps_rewritten_tests_out_of_the_tree(dev, monkeypatch, tmp_path):
    """Where no bytecode shall be written, pytest's lies under .venv; what a test starts writes none."""
    monkeypatch.setattr(dev, "PY", sys.executable)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "test_it.py").write_text(
        "import subprocess, sys\ndef test_it():\n"
        "    shown = subprocess.check_output([sys.executable, '-c', 'import sys; print(sys.dont_write_bytecode)'])\n"
        "    assert shown == b'True\\n'\n")
    done = subprocess.run(dev.pytest("test_it.py"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout and not done.stderr, done.stdout + done.stderr
    assert list((tmp_path / ".venv" / "pycache").rglob("test_it*.pyc")) and not (tmp_path / "__pycache__").exists()


def test_a_changed_file_is_built_again(dev, tmp_path):
    """The listing that spares a build moves with any source, any built module and the settings."""
    (tmp_path / "minilayer").mkdir()
    for name in ("setup.py", "pyproject.toml", "minilayer/a.pyx", "minilayer/a.so"):
        (tmp_path / name).write_text("1")
    before = dev.listing(str(tmp_path))
    assert dev.listing(str(tmp_path)) == before
    for name in ("setup.py", "minilayer/a.pyx", "minilayer/a.so"):
        (tmp_path / name).write_text("12")
        after = dev.listing(str(tmp_path))
        assert after != before
        before = after
    (tmp_path / "minilayer" / "b.h").write_text("")
    assert dev.listing(str(tmp_path)) != before
