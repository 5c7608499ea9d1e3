"""Would AddressSanitizer speak up? A silent sanitizer run means something only if a planted overrun is caught."""
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import minilayer

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


# ---- ThreadSanitizer: on C alone, since Python itself is not built for it ----

C = Path(minilayer._ext.__file__).parent / "c"
WAITING = "for (int spins = 0; atomic_load(&pool.busy); spins++)"


@pytest.mark.parametrize("planted", [False, True])
def test_the_pool_has_no_races(tmp_path, planted):
    """drivers/pool.c, several calling threads; and with a planted race: an owner that does not wait for its workers."""
    source = (C / "threads.c").read_text(encoding="utf-8")
    assert WAITING in source
    (tmp_path / "pool_threads.c").write_text(source.replace(WAITING, "for (int spins = 0; 0; spins++)") if planted else source,
                                             encoding="utf-8")
    compiler = [*sysconfig.get_config_var("CC").split(), "-O1", "-g", "-fsanitize=thread", "-ffp-contract=off", "-pthread"]
    env = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "ASAN_OPTIONS")}
    built = subprocess.run([*compiler, f"-I{C}", str(Path(__file__).parent / "drivers" / "pool.c"),
                            str(tmp_path / "pool_threads.c"), str(C / "matmul.c"), "-o", str(tmp_path / "pool"), "-lm"],
                           capture_output=True, text=True, env=env)
    assert not built.returncode, built.stderr
    done = subprocess.run([str(tmp_path / "pool")], capture_output=True, text=True, env=env, timeout=300)
    assert ("WARNING: ThreadSanitizer: data race" in done.stderr) == planted, done.stderr[-3000:]
    if not planted:
        assert done.stdout == "0 wrong\n" and not done.returncode
