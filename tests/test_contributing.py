"""CONTRIBUTING.md's layer, added by following the page: its blocks are written into a copy of the project, which is then
built and tested where the new layer touches it."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```\w+ (?P<file>\S+)(?: (?P<where>[^\n]+))?\n(?P<text>.*?)^```$", re.M | re.S)


def follow(page, copy):
    """Write each block where its first line says; returns the files made and the files added to."""
    made, added = [], []
    for block in BLOCK.finditer(page):
        file, where, text = copy / block["file"], block["where"], block["text"]
        if where is None:
            assert not file.exists(), f"{block['file']} is there already"
            file.write_text(text)
            made.append(block["file"])
            continue
        old = file.read_text()
        if where == "at the end":
            new = old.rstrip("\n") + "\n\n\n" + text
        else:
            line = re.fullmatch(r'before "(.+)"', where)[1]
            assert old.count("\n" + line) == 1, f"{block['file']} has no single line that begins with {line!r}"
            new = old.replace("\n" + line, "\n" + text + line)
        file.write_text(new)
        added.append(block["file"])
    return made, added


@pytest.mark.slow
def test_the_layer_of_contributing(tmp_path):
    copy = tmp_path / "minilayer"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(
        ".git", ".venv", "runs", "build", "__pycache__", ".*_cache"))
    made, added = follow((ROOT / "CONTRIBUTING.md").read_text(), copy)
    assert len(made) == 5 and added == ["minilayer/layers/__init__.py", "minilayer/functional.py"]
    env = dict(os.environ, PYTHONPATH=str(copy), MINILAYER_ONLY="snake,snake_cython", MINILAYER_STALE="1")

    def run(*command):
        done = subprocess.run([sys.executable, *command], cwd=copy, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout
    run("setup.py", "-q", "build_ext", "--inplace")
    shown = run("-c", "import minilayer as ml; print(ml.__file__); ml.backends()")
    assert str(copy) in shown and "snake_cython" in shown
    tests = ["test_kernels.py", "test_ops.py", "test_layers.py", "test_errors.py", "test_floors.py"]
    closing = run("-m", "pytest", "-q", "-k", "snake or Snake or has_a_row or floors", *[f"tests/{t}" for t in tests])
    assert int(re.search(r"(\d+) passed", closing)[1]) > 30, closing
