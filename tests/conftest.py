"""What holds for every test: the build is newer than its source, what was asked for is what runs, randomness is seeded."""
import gc
import importlib.util
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import raises

import minilayer
from minilayer import cli
from minilayer._ext import dispatch, runtime

pytest.raises = raises.watched_raises       # for test_raises.py
PACKAGE = Path(minilayer.__file__).parent
PURE = os.environ.get("MINILAYER_PURE", "") not in ("", "0")


def included(path, seen):
    """A C file and all it includes."""
    if path.exists() and path not in seen:
        seen.add(path)
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M):
            included(path.parent / name, seen)
    return seen


def stale_modules():
    """Compiled modules older than their source: Python would quietly run the old code."""
    for built in [*PACKAGE.rglob("*.so"), *PACKAGE.rglob("*.pyd")]:
        stem = built.name.split(".")[0]
        sources = [built.with_name(stem + suffix) for suffix in (".py", ".pyx", ".pxd")]
        if PURE and sources[0].exists():
            continue
        if built.parent == PACKAGE / "_ext":
            c_file = "threads" if stem == "runtime" else stem.removesuffix("_cython")
            sources += included(PACKAGE / "_ext" / "c" / f"{c_file}.c", set())
        when = built.stat().st_mtime
        if any(p.exists() and p.stat().st_mtime > when + 2 for p in sources):      # 2 s: zip files round times
            yield built.name


def pytest_sessionstart(session):
    stale = sorted(stale_modules())
    if stale and os.environ.get("MINILAYER_STALE") != "1":
        pytest.exit(f"these builds are older than their source: {', '.join(stale)}; run ./dev build "
                    "(or set MINILAYER_STALE=1 to run them all the same)", returncode=3)
    asked = os.environ.get("MINILAYER_BACKEND", "compiled")
    if dispatch.current_backend() != asked:
        pytest.exit(f"MINILAYER_BACKEND={asked}, but {dispatch.current_backend()} runs", returncode=3)
    asked = os.environ.get("MINILAYER_ISA", "") or runtime.isa()
    if runtime.isa() != asked:
        pytest.exit(f"MINILAYER_ISA={asked}, but {runtime.isa()} runs", returncode=3)
    engine = Path(importlib.util.find_spec("minilayer.tape").origin)
    if (engine.suffix == ".py") != PURE:
        pytest.exit(f"MINILAYER_PURE={int(PURE)}, but the engine runs from {engine.name}; run ./dev build", returncode=3)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """What is collected stays to the end: looking among it for garbage would take a third of the time to the first test,
    and a little of every collection after that."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the long checks too")


def pytest_collection_modifyitems(config, items):
    """What asks about the whole run goes last; the long checks wait to be asked for."""
    if not config.getoption("slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="a long check: ./dev test slow"))
    items.sort(key=lambda item: item.path.name == "test_raises.py")


def pytest_report_header(config):
    return (f"minilayer: engine {'uncompiled' if PURE else 'compiled'}, backend {dispatch.current_backend()}, "
            f"instruction set {runtime.isa()}, {runtime.get_num_threads()} threads")


def pytest_terminal_summary(terminalreporter):
    """How many tests were skipped, and why: nothing hides."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons: dict = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")


@pytest.fixture
def rng(request):
    """A generator seeded by the test's name."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True)
def watch_the_command_line(monkeypatch):
    """Errors that the command line catches and prints count as reached."""
    sentence = cli._sentence
    monkeypatch.setattr(cli, "_sentence", lambda error: (raises.note(error), sentence(error))[1])


@pytest.fixture(autouse=True)
def restore_settings():
    """Each test leaves threads and backend as it found them."""
    threads, backend = runtime.get_num_threads(), dispatch.current_backend()
    yield
    if runtime.get_num_threads() != threads:
        runtime.set_num_threads(threads)
    if dispatch.current_backend() != backend:
        dispatch.use_backend(backend)
