"""Kernels to PTX and machine code, without a GPU, in a process without the simulator; and what a machine without a
driver says.

An instance must fit its limits: registers, no stack beyond what is stated, no spills, no float64 instruction in a
float32 kernel. A stray 1.0 in a formula would be one.
"""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

# one of each kind of map; the rest is compiled by ./dev test cuda tests/cuda --slow
SOME = ("matmul,norm,softmax,optimizer,indexing.fill,indexing.copy_flat,arithmetic.add_flat,arithmetic.div_strided,"
        "arithmetic.where_strided,arithmetic.lt_flat,elementwise.relu_flat,elementwise.exp_strided,elementwise.gelu_erf_flat,"
        "elementwise.relu_backward_flat,reduce.sum_by_thread,reduce.sum_by_block,reduce.max_by_block,reduce.largest")


def python(*arguments, **environment):
    env = {k: v for k, v in os.environ.items() if k not in ("NUMBA_ENABLE_CUDASIM", "LD_LIBRARY_PATH")}
    done = subprocess.run([sys.executable, *arguments], env={**env, **environment}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(*settings, arch):
    """Compile for each architecture, in a process each, and look at the limits."""
    with ThreadPoolExecutor(2) as pool:
        outputs = pool.map(lambda a: python("-m", "minilayer.cuda.compile", "--arch", a, *settings), arch)
    rows = [json.loads(line) for output in outputs for line in output.splitlines()]
    assert {row["arch"] for row in rows} == {f"sm_{a}" for a in arch}
    wrong = [row for row in rows if row["stack"] is None or row["stack"] > row["stack_max"] or row["spills"]
             or row["registers"] > row["regs_max"] or (row["f64"] and not row["wide"])]
    assert not wrong, wrong
    return rows


def test_the_classifiers_kernels_compile():
    assert len(check("--only", SOME, arch=("75", "80", "90"))) > 80


def test_float64_compiles():
    check("--dtypes", "float64", "--only", "matmul,norm,optimizer,softmax.cross_entropy", arch=["90"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dtypes", ["float32", "float64", "int64,int32,uint8,bool"])
def test_every_kernel_compiles(dtypes):
    check("--dtypes", dtypes, arch=["90"] if dtypes[0] == "i" else ["75", "90"])


def test_hidden_float64_is_found():
    """The check above would see a bare number in a formula, and a launch whose parameters do not fit."""
    code = """
import numpy as np
from minilayer.cuda import _nb, compile, launch
def make(real):
    def halves(x, n):
        i = _nb.cuda.grid(1)
        if i < n:
            x[i] = 1.0 / (1.0 + x[i])
    return halves
good = launch.kernel("T i", block=32, regs=32, name="halves", family="test")(make)
print(compile.report(good[np.dtype("float32")], (9, 0))["f64"])
_nb.compile_ptx = lambda *arguments: ".visible .entry halves(.param .u64 x)"
try:
    compile.ptx(good[np.dtype("float32")], (9, 0))
except RuntimeError as error:
    print(error)
"""
    found, error = python("-c", code).splitlines()
    assert found == "True" and "expected PTX with 2 parameters, got 1" in error


def test_without_a_driver():
    """minilayer runs, numba is not imported, and asking for the GPU says what is missing. (Where there is a driver,
    asking works.)"""
    code = """
import sys
import minilayer as ml
from minilayer import cuda
print(cuda.is_available(), "|", cuda.why_unavailable(), "|", *[m for m in sys.modules if m.split(".")[0] == "numba"])
try:
    ml.tensor([1.0]).to("cuda")
except RuntimeError as error:
    print(error)
"""
    first, *rest = python("-c", code).splitlines()
    available, reason, modules = (part.strip() for part in first.split("|"))
    assert modules == ""
    if available == "False":
        assert reason and "cannot be used here: " + reason in rest[0] and "use 'cpu'" in rest[0]
        assert reason in python("-c", "from minilayer.cuda import memory\ntry: memory.current()\n"
                                      "except RuntimeError as error: print(error)")


@pytest.mark.parametrize("simulated", ["0", "1"])
def test_without_the_packages(simulated):
    """A machine with neither numba-cuda nor cuda-core: the reason names them and how to get them."""
    code = """
import importlib.util, os
os.environ["NUMBA_ENABLE_CUDASIM"] = "SIMULATED"
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ("numba_cuda", "cuda.core") else found(name, package)
from minilayer import cuda
cuda._why_no_gpu = lambda: ""
print(cuda.is_available(), cuda.why_unavailable())
""".replace("SIMULATED", simulated)
    answer = python("-c", code)
    assert answer.startswith("False") and "numba-cuda" in answer and "minilayer[cuda13]" in answer


def test_numbas_own_simulator():
    """The kernels need nothing that only our quicker simulator has."""
    code = """
import numpy as np
import minilayer as ml
x = np.arange(6, dtype="float32").reshape(2, 3)
y = ml.functional.layer_norm(ml.tensor(x).to("cuda"), (3,))
print(float(np.abs(y.cpu().numpy() - ml.functional.layer_norm(ml.tensor(x), (3,)).numpy()).max()) < 1e-5)
"""
    assert python("-c", code, NUMBA_ENABLE_CUDASIM="1").strip() == "True"
