"""The functions people call, in one flat namespace under PyTorch's names and argument orders.

Each is defined beside its mathematics in `ops/`, those that make tensors in creation.py; this file only gathers them.
`import minilayer.functional as F` is the usual spelling; everything here is also `minilayer.<name>`.
"""
from minilayer.creation import (
    arange,
    as_tensor,
    empty,
    eye,
    from_dlpack,
    from_numpy,
    full,
    linspace,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from minilayer.ops.arithmetic import (
    add,
    div,
    eq,
    floor_divide,
    ge,
    gt,
    le,
    logical_and,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    pow,
    remainder,
    sub,
    true_divide,
    where,
)
from minilayer.ops.conv import conv2d
from minilayer.ops.dropout import dropout
from minilayer.ops.elementwise import (
    abs,
    ceil,
    clamp,
    cos,
    erf,
    exp,
    expm1,
    floor,
    gelu,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    logical_not,
    neg,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    tanh,
    trunc,
)
from minilayer.ops.embedding import embedding
from minilayer.ops.indexing import gather, masked_fill, one_hot
from minilayer.ops.losses import mse_loss
from minilayer.ops.matmul import linear, matmul
from minilayer.ops.norm import batch_norm, layer_norm
from minilayer.ops.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from minilayer.ops.reduce import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    cumsum,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from minilayer.ops.shape import (
    cat,
    chunk,
    expand,
    flatten,
    flip,
    narrow,
    pad,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    tril,
    triu,
    unsqueeze,
)
from minilayer.ops.softmax import cross_entropy, log_softmax, nll_loss, softmax

__all__ = [name for name in dir() if not name.startswith("_")]
