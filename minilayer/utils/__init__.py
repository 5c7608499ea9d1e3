"""PyTorch's place for `utils.data`: code that says `from torch.utils.data import DataLoader` ports by its imports."""
from minilayer.utils import data
