"""Rows of the philox family."""

from cases.base import KernelCase, out, position


def stream_samples(*settings, y_dtype=None):
    """Samples (position, ->y), small and straddling the runs of blocks."""
    def samples(rng, dtype):
        for n in [(0,), (), (1,), (2,), (3,), (5,), (3, 21), (64,), (65,), (130,), (40000,)]:
            for kwargs in settings or ({},):
                yield (position(rng), out(n, y_dtype or dtype)), kwargs
    return samples


KERNELS = [
    KernelCase("philox", "random_bits", stream_samples(), outs=(1,), dtypes=("int64",), bound=0),
    KernelCase("philox", "uniform", stream_samples(), outs=(1,), bound=0),
    KernelCase("philox", "normal", stream_samples(), outs=(1,), bound=4, scale="max"),
    KernelCase("philox", "integers", stream_samples({"low": -3, "high": 4}, {"low": 0, "high": 1},
               {"low": -2**63, "high": 2**63 - 1}, {"low": 5, "high": 2**40}), outs=(1,), dtypes=("int64",), bound=0),
]
