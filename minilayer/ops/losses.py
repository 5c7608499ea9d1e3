"""Losses made of other operations, through the operators of their arguments; so their gradients have gradients too."""
from minilayer.node import TensorBase


def mse_loss(x, target, reduction="mean"):
    """The mean of the squared differences: mean((x - target)^2).

    x, target  of one shape (PyTorch broadcasts with a warning; here it raises, as it is nearly always a mistake)
    reduction  "mean", "sum", or "none" for the squares themselves
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"mse_loss: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    for what, t in (("input", x), ("target", target)):
        if not isinstance(t, TensorBase):
            raise TypeError(f"mse_loss: expected a tensor as {what}, got {type(t).__name__}; make it one with "
                            "minilayer.tensor(...)")
    if x.dtype.kind != "f":
        raise TypeError(f"mse_loss: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")
    if x.shape != target.shape:
        raise ValueError(f"mse_loss: expected an input and a target of one shape, got {x.shape} and {target.shape}; "
                         "reshape the target to the input's shape")
    difference = x - target
    squares = difference * difference
    if reduction == "none":
        return squares
    return squares.mean() if reduction == "mean" else squares.sum()
