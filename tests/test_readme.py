"""README.md stays true: its Python runs and prints what it says, its commands exist, its files are there."""
import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minilayer as ml

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not (ROOT / ".ci" / "run").exists(), reason="only the checkout has what README names")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.M | re.S)


@pytest.mark.skipif(ml.current_backend() != "compiled", reason="programs are made of compiled kernels")
def test_python_prints_what_the_page_says():
    names = {"__name__": "readme"}              # (each program goes on from the one before)
    for program, shown in zip(blocks("python"), blocks("text"), strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "README.md", "exec"), names)
        assert printed.getvalue() == shown


def test_every_command_is_one_that_ci_runs():
    prose = re.sub(r"^```.*?^```$", "", README.read_text(), flags=re.M | re.S)
    commands = [line.split("#")[0].strip() for line in re.findall(r"^    (\S.*)$", prose, re.M)]
    ci = (ROOT / ".ci" / "run").read_text()
    package = (ROOT / "dev").read_text()
    assert commands
    for command in commands:
        if command.startswith("./dev"):
            assert re.search(rf"^step {re.escape(command)}$", ci, re.M), f".ci/run does not run {command}"
        elif command.startswith("minilayer"):
            arguments = ", ".join(f'"{word}"' for word in command.split()[1:])
            assert arguments in package, f"./dev test package does not run {command}"
        else:
            assert command == "pip install '.[plot]'", f"nothing runs {command}"


def test_every_file_it_names_is_there():
    text = README.read_text()
    named = set(re.findall(r"`((?:minilayer|tests|docs|requirements)/[\w./-]+)`", text))
    named |= set(re.findall(r"\]\(([\w./]+)\)", text))
    assert len(named) > 8
    assert not [name for name in named if not (ROOT / name).exists()]


def test_dev_help_names_every_job():
    done = subprocess.run([sys.executable, str(ROOT / "dev"), "help"], capture_output=True, text=True, check=True)
    for job in ("train", "test", "bench", "lint", "build", "doctor"):
        assert f"./dev {job}" in done.stdout
