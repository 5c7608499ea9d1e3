"""What a row of the agreement tables says."""
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Row:
    """A public class or function that both libraries have under one name.

    name     "Conv2d" (torch.nn), "functional.pad", "torch.sort" (a function of the main namespace), "Tensor.fill_" (a
             method), "init.eye_", "optim.Adam", "lr_scheduler.StepLR"
    options  argument -> the values to try; every pair of values of two arguments is tried together somewhere
    inputs   inputs(rng, options) -> the arrays that forward or the function takes by position: float64 ones ask for
             gradients and come again as float32, others stay as they are; lists, tuples and None are handed on
    call     how to call it, where that is more than f(*inputs) or f(*inputs, **options): call(f, inputs, options)
    valid    which combinations to try (those that PyTorch refuses may be left in: then minilayer has to refuse them too)
    modes    of a layer: "train", "eval"
    samples  how many different inputs
    only     argument -> why it is not tried with two values
    refused  argument -> why some of its values are there only to be refused by both
    inert    argument -> why changing it alone changes nothing here
    grads    compare gradients
    second   bound for float64, where rounding needs more than 1e-10: (bound, why)
    """
    name: str
    options: dict[str, list] = field(default_factory=dict)
    inputs: Callable = lambda rng, o: ()
    call: Callable | None = None
    valid: Callable = lambda o: True
    modes: tuple = ("train", "eval")
    samples: int = 1
    only: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    inert: dict[str, str] = field(default_factory=dict)
    grads: bool = True
    draws: bool = False         # draws random numbers while training: there only shapes are compared, unless p is 0 or 1
    bound: tuple[float, str] = (1e-10, "")

    def __str__(self):
        return self.name


class Each:
    """An option that each library has its own of: Each(lambda lib: lib.nn.ReLU()), Each(lambda lib: lib.tensor(array)).

    `lib` has nn, functional, optim, tensor(array), and name ("minilayer", "torch").
    """

    def __init__(self, make, shown="..."):
        self.make, self.shown = make, shown

    def __repr__(self):
        return self.shown


def normal(*shape):
    """Inputs of one normal array."""
    return lambda rng, o: (rng.standard_normal(shape),)


def off_zero(rng, shape):
    """Values of either sign, away from the kinks at 0."""
    return rng.uniform(0.2, 2.2, shape) * rng.choice(np.array([-1.0, 1.0]), shape)
