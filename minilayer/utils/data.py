# ruff: noqa: F403
"""`minilayer.data` under the name of torch.utils.data."""
from minilayer.data import *
