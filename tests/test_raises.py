"""Every `raise` in minilayer is reached by a test. Runs last (conftest.py), after the others have reached them."""
from pathlib import Path

import pytest
from raises import raise_sites, reached

# (file, part of the statement): why no test can reach it
UNREACHED: dict = {
    ("_ext/runtime.pyx", "no memory for the kernel's scratch space"): "needs a machine that runs out of memory",
    ("_ext/runtime.pyx", "no memory for a longer program"): "needs a machine that runs out of memory",
    ("_ext/optimizer_cython.pyx", "no memory to describe"): "needs a machine that runs out of memory",
    ("__init__.py", "raise SystemExit"): "raised while importing: test_backends.py, in a process of its own",
    ("_ext/runtime.pyx", "no memory for an array of {bytes} bytes"): "turned at once into the message with the shape",
    ("_ext/runtime.pyx", "MINILAYER_ISA="): "raised while importing: test_backends.py, in a process of its own",
    ("_ext/dispatch.py", "MINILAYER_BACKEND="): "raised while importing: test_backends.py, in a process of its own",
}


def test_every_raise_is_reached(request):
    files = {p.name for p in Path(__file__).parent.glob("test_*.py")}
    run = {item.path.name for item in request.session.items}
    if files - run or request.config.getoption("keyword") or request.config.getoption("markexpr"):
        pytest.skip("only a run of the whole suite can tell")
    missed = []
    for name, first, last, text in raise_sites():
        if any(name == file and part in text for file, part in UNREACHED):
            continue
        if not reached(name, first, last, text):
            missed.append(f"{name}:{first}: {text[:110]}")
    assert not missed, f"{len(missed)} raise statements are reached by no test:\n" + "\n".join(missed)


def test_unreached_list_is_current():
    for file, part in UNREACHED:
        assert any(name == file and part in text for name, _, _, text in raise_sites()), f"{file}: nothing raises {part!r}"
