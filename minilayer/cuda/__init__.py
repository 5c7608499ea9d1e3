"""The machinery under the CUDA kernels of `_ext/*_cuda.py`: is there a GPU, where do its arrays live, how does a kernel
get there.

    _nb.py       the one file that imports numba, the compiler of the kernels
    compile.py   a kernel to PTX and machine code; needs no GPU
    launch.py    a kernel as the kernel files write it, and its launch
    layout.py    how many axes of any strides become the few that kernels take
    maps.py      kernels that apply one small function to every element
    blocks.py    sums and maxima over the threads of a block
    copies.py    copies on the device, of any strides and dtypes
    memory.py    DeviceArray, device memory, copies from and to the host

Nothing heavy is imported here: asking `is_available()` costs a look at the driver. With NUMBA_ENABLE_CUDASIM=1 kernels
run in Numba's simulator, slowly, on host memory that stands in for the device's, on any machine; the tests do.

Nothing here has run on a GPU yet: kernels ran in the simulator, and were compiled and linked for three architectures.
Streams of one's own, graphs and a caching allocator have their places (memory.py, launch.py) but are still to come.
"""
import ctypes
import functools
import importlib.util
import os

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "") == "1"


def is_available() -> bool:
    """Can tensors be moved to "cuda" here?"""
    return not why_unavailable()


@functools.cache
def why_unavailable() -> str:
    """What is missing for "cuda", with its remedy; empty where nothing is."""
    missing = [package for package, module in (("numba-cuda", "numba_cuda"), ("cuda-core", "cuda.core"))
               if not _installed(module) and not (SIMULATED and package == "cuda-core")]
    install = f"{' and '.join(missing)} not installed (pip install 'minilayer[cuda13]')" if missing else ""
    if SIMULATED:
        return f"NUMBA_ENABLE_CUDASIM=1 asks for Numba's simulator, but {install}" if install else ""
    return _why_no_gpu() or install


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:             # not even the package around it
        return False


def _why_no_gpu() -> str:
    """Ask the driver itself, which needs no package."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver was found (libcuda.so.1)"
    status = driver.cuInit(0)
    if status:
        return f"the NVIDIA driver does not start (cuInit gives error {status})"
    count = ctypes.c_int(0)
    status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status or count.value == 0:
        return "the NVIDIA driver finds no GPU"
    return ""


def device_count() -> int:
    """How many GPUs can be used here: one, or none."""
    return int(is_available())


def manual_seed(seed) -> None:
    """Seed the one generator that draws for every device (`minilayer.manual_seed`)."""
    from minilayer import random
    random.manual_seed(seed)


manual_seed_all = manual_seed


def synchronize() -> None:
    """Wait until the GPU has done all that was asked of it."""
    from minilayer.cuda import memory
    memory.synchronize()


# ---- what minilayer.device asks of a device; memory.py is imported at first use ----

def empty(shape, dtype):
    """An unset DeviceArray in C order."""
    from minilayer.cuda import memory
    return memory.empty(shape, dtype)


def from_numpy(x):
    """A copy of an ndarray on the device, in C order."""
    from minilayer.cuda import memory
    return memory.from_numpy(x)


def to_numpy(x):
    """A copy of a DeviceArray on the host, in C order."""
    from minilayer.cuda import copies, memory
    return memory.contiguous_to_numpy(x if x.is_contiguous else copies.contiguous(x))


def as_strided(x, shape, strides, offset=0):
    """A view of x's memory with any shape and strides (bytes), `offset` bytes from its first element."""
    from minilayer.cuda import memory
    return memory.as_strided(x, shape, strides, offset)
