"""The tests of the CUDA side: a process of their own, `./dev test cuda`, with Numba's simulator chosen before numba
loads."""
import os

import pytest

import minilayer.cuda
from minilayer import device

if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
    pytest.exit("tests/cuda needs a process of its own: ./dev test cuda", returncode=3)
if not minilayer.cuda.is_available():
    pytest.exit(f"the CUDA tests cannot run: {minilayer.cuda.why_unavailable()}", returncode=3)

import fastsim  # noqa: E402

fastsim.install()
device.register("cuda", minilayer.cuda)         # as the first .to("cuda") would


def pytest_report_header(config):
    return "minilayer.cuda: Numba's simulator, on greenlets"
