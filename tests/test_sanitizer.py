"""Would AddressSanitizer speak up? A silent sanitizer run means something only if a planted overrun is caught."""
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("MINILAYER_SANITIZE"),
                                reason="needs a build for the sanitizers: ./dev test sanitize")

OVERRUN = """
import numpy as np
from minilayer._ext import indexing_cython, runtime
x = runtime.empty(({have},), np.dtype("float32"))
y = runtime.empty(({read},), np.dtype("float32"))
x[...] = 1
beyond = runtime.as_strided(x, ({read},), (4,))     # what no op makes: a view past the end of its memory
indexing_cython.copy(beyond, y)
print("unnoticed")
"""


@pytest.mark.parametrize("have, read, caught", [(64, 64, False), (64, 65, True), (8192, 8193, True)])
def test_reading_past_the_end_is_caught(have, read, caught):
    """Small arrays come from NumPy, large ones from our own blocks (whose classes leave room: 8192 floats fill one)."""
    done = subprocess.run([sys.executable, "-c", OVERRUN.format(have=have, read=read)], capture_output=True, text=True)
    assert ("heap-buffer-overflow" in done.stderr) == caught, done.stderr
    assert ("unnoticed" in done.stdout) != caught
