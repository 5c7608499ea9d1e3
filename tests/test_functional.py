"""Functions that make tensors: their values, where those lie, and sizes that no memory holds."""
import numpy as np
import pytest

import minilayer as ml
from minilayer import random

LARGE = 30_001


@pytest.mark.parametrize("make", [
    lambda: ml.empty(LARGE),
    lambda: ml.zeros(LARGE),
    lambda: ml.arange(LARGE),
    lambda: ml.arange(0.0, LARGE),
    lambda: ml.arange(LARGE, dtype=ml.float64),
    lambda: ml.linspace(0, 1, LARGE),
    lambda: ml.linspace(0, 1, LARGE, dtype=ml.float64),
    lambda: ml.eye(201, 199),
    lambda: ml.rand(LARGE),
    lambda: ml.randn(LARGE),
    lambda: ml.randint(0, 9, (LARGE,)),
    lambda: ml.randint(0, 9, (LARGE,), dtype=ml.int32),
    lambda: ml.randperm(LARGE),
    lambda: ml.Tensor(random.bernoulli((LARGE,))),
    lambda: ml.Tensor(random.permutation(LARGE)),
])
def test_large_results_lie_in_memory_of_our_own(make):
    """Two at a time: NumPy's own large blocks start 16 or 64 bytes after a page, and one may fit by luck."""
    for x in [make() for _ in range(2)]:
        assert x.array.base is not None and x.array.ctypes.data % 64 == 0


def test_values_of_ranges_and_diagonals():
    for arguments in ((5,), (2, 9, 3), (9, 2, -3), (0.5, 2.0, 0.25), (3, 3), (0, 1, 2.5)):
        for dtype in (None, "float64", "int64", "uint8"):
            x = ml.arange(*arguments, dtype=dtype)
            want = np.arange(*arguments)
            assert x.tolist() == want.astype(dtype or x.dtype).tolist()
            assert x.dtype == (dtype or ("int64" if want.dtype.kind == "i" else "float32"))
    assert ml.linspace(-1, 2, 7).tolist() == np.linspace(-1, 2, 7).astype("float32").tolist()
    assert ml.linspace(3, 9, 0).shape == (0,) and ml.linspace(3, 9, 1).tolist() == [3.0]
    for n, m in ((3, 3), (2, 5), (5, 2), (0, 3), (3, 0), (1, 1)):
        assert ml.eye(n, m, dtype="int64").tolist() == np.eye(n, m).tolist()
    assert sorted(ml.randperm(50).tolist()) == list(range(50))
    small = ml.randint(3, 5, (40,), dtype="uint8")
    assert small.dtype == ml.uint8 and set(small.tolist()) == {3, 4}
