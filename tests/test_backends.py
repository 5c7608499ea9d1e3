"""The same training on every backend, instruction set and engine: 20 steps in float64 agree to 1e-10.

(`./dev test backends` runs the whole suite on each.)
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minilayer as ml
from minilayer._ext import runtime

WAYS = [("MINILAYER_BACKEND", "reference", "backend"), ("MINILAYER_BACKEND", "compiled", "backend"),
        ("MINILAYER_PURE", "1", "engine"), *[("MINILAYER_ISA", isa, "isa") for isa in runtime.available_isas()]]


def run(**settings):
    """What tests/steps.py prints in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MINILAYER_BACKEND", "MINILAYER_ISA", "MINILAYER_PURE")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(ml.__file__).parent.parent), environment.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, str(Path(__file__).parent / "steps.py")], env={**environment, **settings},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def want():
    return run()["losses"]


@pytest.mark.parametrize("variable, value, what", WAYS)
def test_twenty_steps_agree(variable, value, what, want):
    got = run(**{variable: value})
    assert got["runs"][what] == ("py" if what == "engine" else value)       # first: it is what was asked for
    np.testing.assert_allclose(got["losses"], want, rtol=1e-10)


@pytest.mark.parametrize("variable, value, names", [
    ("MINILAYER_BACKEND", "fast", "compiled, reference"), ("MINILAYER_ISA", "sse9", "portable")])
@pytest.mark.parametrize("command", [["-c", "import minilayer"], ["-m", "minilayer", "doctor"]], ids=["import", "command"])
def test_unknown_settings_are_refused(variable, value, names, command):
    environment = {**os.environ, variable: value, "PYTHONPATH": str(Path(ml.__file__).parent.parent)}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{variable}={value}: expected one of {names}" in done.stderr
    assert ("Traceback" in done.stderr) == (command[0] == "-c")         # a command's user gets the sentence alone


def test_use_backend_switches_and_returns():
    from minilayer._ext.dispatch import family
    before = family("matmul").cpu
    with ml.use_backend("reference"):
        assert family("matmul").cpu.__name__.endswith("matmul_reference")
        with ml.use_backend("compiled"):
            assert family("matmul").cpu.__name__.endswith("matmul_cython")
        assert ml.current_backend() == "reference"
    assert family("matmul").cpu is before


def test_backends_prints_the_table(capsys):
    ml.backends()
    printed = capsys.readouterr().out
    assert f"backend {ml.current_backend()}, instruction set {ml.isa()}" in printed
    for name in ("matmul", "conv", "softmax", "optimizer"):
        assert f"minilayer._ext.{name}_" in printed
