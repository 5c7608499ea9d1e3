"""All parameters of a model as one vector, and back."""
from minilayer import functional as F
from minilayer.layers.layer import Tensor
from minilayer.state import no_grad


def parameters_to_vector(parameters):
    """The values of all parameters, one after another, as one vector; gradients flow through it.

    >>> parameters_to_vector(Linear(3, 2).parameters()).shape
    (8,)
    """
    flat = [p.reshape(-1) for p in parameters]
    if not flat:
        raise ValueError("parameters_to_vector: expected at least one parameter, got none; pass model.parameters()")
    return F.cat(flat)


def vector_to_parameters(vec, parameters):
    """Write a vector, as parameters_to_vector makes it, into the parameters."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    need = sum([p.numel() for p in parameters])
    if vec.ndim != 1 or vec.numel() < need:
        raise ValueError(f"vector_to_parameters: expected a vector of {need} values for these parameters, got shape {vec.shape}")
    first = 0
    with no_grad():
        for p in parameters:
            p.copy_(vec[first:first + p.numel()].reshape(p.shape))
            first += p.numel()
