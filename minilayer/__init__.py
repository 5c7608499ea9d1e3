"""minilayer: a small layer engine whose source is the course.

The names below come in reading order: tensors and the tape, the functions on them, layers, what trains them, and data.

    import minilayer as ml
    model = ml.Sequential(ml.Linear(2, 16), ml.Tanh(), ml.Linear(16, 1))
    optimizer = ml.optim.Adam(model.parameters(), lr=0.01)
"""
import os as _os
import sys as _sys

from minilayer import _pure  # noqa: F401, I001   (before the engine: MINILAYER_PURE=1 runs its .py files uncompiled)

try:
    from minilayer._ext.dispatch import backends, current_backend, register_package, use_backend  # noqa: E402
    from minilayer._ext.runtime import get_num_threads, isa, release_memory, set_num_threads  # noqa: E402
except RuntimeError as error:       # a MINILAYER_... variable that makes no sense: the command says so without a traceback
    if _os.path.basename(_sys.argv[0]) in ("minilayer", "-m"):
        raise SystemExit(f"minilayer: {error}") from None
    raise
from minilayer.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state  # noqa: E402
from minilayer.tensor import Tensor  # noqa: E402
from minilayer.dtypes import boolean, float32, float64, int32, int64, result_type, uint8  # noqa: E402
from minilayer.state import enable_grad, is_grad_enabled, no_grad, set_grad_enabled, thread_state  # noqa: E402
from minilayer.tape import Op, apply, grad  # noqa: E402
from minilayer.inplace import apply_inplace  # noqa: E402
from minilayer.listing import Tape  # noqa: E402
from minilayer import functional  # noqa: E402
from minilayer.functional import *  # noqa: E402, F403
from minilayer import init  # noqa: E402
from minilayer.gradcheck import gradcheck, gradgradcheck  # noqa: E402
from minilayer.layers import *  # noqa: E402, F403
from minilayer import layers, optim, data  # noqa: E402
from minilayer.serialization import load, save  # noqa: E402

bool = boolean                        # minilayer.bool, as minilayer.float32: dtypes under PyTorch's names
nn = layers                         # for code written as `nn.Linear`
__version__ = "0.1.0"
