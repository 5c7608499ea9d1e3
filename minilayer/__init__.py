# ruff: noqa: E402, F403, I001   (_pure must come first, and the rest comes in reading order)
"""minilayer: a small layer engine whose source is the course.

The names below come in reading order: tensors and the tape, the functions on them, layers, what trains them, and data.

    import minilayer as ml
    model = ml.Sequential(ml.Linear(2, 16), ml.Tanh(), ml.Linear(16, 1))
    optimizer = ml.optim.Adam(model.parameters(), lr=0.01)
"""
import os as _os
import sys as _sys

from minilayer import _pure  # noqa: F401   (before the engine: MINILAYER_PURE=1 runs its .py files uncompiled)

try:
    from minilayer._ext.dispatch import backends, current_backend, register_package, use_backend
    from minilayer._ext.runtime import get_num_threads, isa, release_memory, set_num_threads
except RuntimeError as error:       # a MINILAYER_... variable that makes no sense: the command says so without a traceback
    if _os.path.basename(_sys.argv[0]) in ("minilayer", "-m"):
        raise SystemExit(f"minilayer: {error}") from None
    raise
from minilayer import accelerator, cuda, device
from minilayer.dtypes import boolean, float32, float64, int32, int64, uint8
from minilayer.dtypes import can_cast, get_default_dtype, promote_types, result_type, set_default_dtype
from minilayer.state import enable_grad, is_grad_enabled, no_grad, set_grad_enabled, thread_state
from minilayer.tensor import Tensor
from minilayer.tape import Op, apply
from minilayer.autograd import grad
from minilayer.inplace import apply_inplace
from minilayer.listing import Tape
from minilayer.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from minilayer import functional
from minilayer.functional import *
from minilayer import init, linalg
from minilayer.gradcheck import gradcheck, gradgradcheck
from minilayer import layers
from minilayer.layers import *
from minilayer import optim
from minilayer import nn        # PyTorch's name for the layers
from minilayer.captured import CaptureWarning, compile
from minilayer import data, utils
from minilayer.serialization import load, save
from minilayer.weights import load_weights

from math import e, inf, nan, pi
from numpy import dtype, finfo, iinfo
bool, float, double, int, long = boolean, float32, float64, int32, int64      # dtypes under PyTorch's names
inference_mode, Size = no_grad, tuple
__version__ = "0.1.0"
