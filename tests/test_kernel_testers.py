"""Do the kernel checks find mistakes? Each flaw is planted in a made-up kernel, and the check it is for must fail."""
import sys
import types

import numpy as np
import pytest
import test_kernels
from cases.arithmetic import binary
from cases.base import NUMBERS, KernelCase

CASE = KernelCase("madeup", "total", binary(), outs=(2,), strided=(0, 1, 2), dtypes=NUMBERS, special=True)
HEAD = "import numpy as np\nfrom minilayer._ext import runtime\n"
GOOD = '''
def total(a, b, y, *, accumulate=False):
    """y = a + b"""
    r = a + b
    if accumulate:
        y += r
    else:
        y[...] = r
'''
WRITES = "    if accumulate:\n        y += r\n    else:\n        y[...] = r\n"
FLAWS = {
    "another default": ("contract", GOOD.replace("False", "True")),
    "another order": ("contract", GOOD.replace("total(a, b", "total(b, a")),
    "one function more": ("contract", GOOD + "\ndef more(x):\n    pass\n"),
    "one element left out": ("agree", GOOD.replace("y[...] = r", "y.reshape(-1)[:-1] = r.reshape(-1)[:-1]")),
    "an input changed": ("agree", GOOD.replace("r = a + b", "r = a + b\n    a[...] = 1")),
    "wrong for one dtype": ("agree", GOOD.replace("r = a + b", "r = a + b + (a.dtype == np.int32)")),
    "less exact": ("agree", GOOD.replace("r = a + b", "r = a + b\n    if r.dtype.kind == 'f':\n"
                                                      "        r = (r * (1 + 8 * np.finfo(r.dtype).eps)).astype(r.dtype)")),
    "strides ignored": ("strides", GOOD.replace("r = a + b", "r = np.frombuffer(a.tobytes('A'), a.dtype).reshape(a.shape) + b")),
    "repeated axes ignored": ("repeated", GOOD.replace("r = a + b", "r = a + b if 0 not in a.strides else a + b + 1")),
    "sum forgotten": ("accumulate", GOOD.replace("y += r", "y[...] = r")),
    "NaN lost": ("special", GOOD.replace("r = a + b", "r = np.nan_to_num(a + b, posinf=np.inf, neginf=-np.inf)")),
    "infinity lost": ("special", GOOD.replace("r = a + b", "r = np.clip(a + b, -1e30, 1e30) if a.dtype.kind == 'f' else a + b")),
    "bits by thread count": ("threads", GOOD.replace(
        "r = a + b", "r = a + b if runtime.get_num_threads() < 4 else a + b + a * 0 + 1")),
}


def checks(rng):
    """{name: check of the made-up kernel over all its dtypes}."""
    def each(test, dtypes=NUMBERS, **more):
        return lambda: [test(CASE, dtype, rng=rng, **more) for dtype in dtypes]
    return {
        "contract": lambda: test_kernels.test_compiled_contract_equals_reference("madeup"),
        "agree": each(test_kernels.test_compiled_agrees_with_reference),
        "strides": each(test_kernels.test_any_strides),
        "repeated": each(test_kernels.test_repeated_axes),
        "accumulate": each(test_kernels.test_accumulate_adds, variant="cython"),
        "special": each(test_kernels.test_special_values, ("float32", "float64")),
        "threads": each(test_kernels.test_same_bits_for_every_thread_count),
    }


def plant(monkeypatch, text):
    """A family "madeup" whose reference is right and whose compiled twin is `text`."""
    table = {}
    for variant, source in (("reference", GOOD), ("cython", text)):
        name = f"madeup_{variant}"
        made = types.ModuleType(name, "A made-up kernel.")
        exec(compile(HEAD + source, f"<{name}>", "exec"), vars(made))
        monkeypatch.setitem(sys.modules, name, made)
        table[variant] = name
    monkeypatch.setitem(test_kernels.VARIANTS, "madeup", table)


def test_right_kernel_passes_every_check(monkeypatch, rng):
    plant(monkeypatch, GOOD)
    for check in checks(rng).values():
        check()


@pytest.mark.parametrize("flaw", FLAWS)
def test_flaw_is_caught(flaw, monkeypatch, rng):
    which, text = FLAWS[flaw]
    plant(monkeypatch, text)
    assert text != GOOD
    with np.errstate(all="ignore"), pytest.raises(AssertionError):
        checks(rng)[which]()
