# ruff: noqa: F403
"""PyTorch's names for the places of things: code that says `from torch import nn` ports by its imports.

The layers are in minilayer/layers, the functions in functional.py; only what works on layers from outside is here, in utils.
"""
import sys

from minilayer import functional, init
from minilayer.layers import *
from minilayer.nn import utils

# `import minilayer.nn.functional as F`, `from minilayer.nn.init import ...`: the modules of the same names above.
sys.modules[f"{__name__}.functional"], sys.modules[f"{__name__}.init"] = functional, init
