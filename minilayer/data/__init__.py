"""Data: datasets, batches, and the digits to try them on.

In reading order: dataset.py, dataloader.py, digits.py, mnist.py (with the IDX reader), text.py, download.py.
"""
from minilayer.data.dataloader import DataLoader, default_collate
from minilayer.data.dataset import Dataset, Subset, TensorDataset, random_split
from minilayer.data.digits import Digits, load_digits
from minilayer.data.download import cache_folder
from minilayer.data.mnist import MNIST, FashionMNIST, ImageDataset, read_idx
from minilayer.data.text import Text, TextWindows, WindowLoader, encode, trigram_loss

__all__ = ["MNIST", "DataLoader", "Dataset", "Digits", "FashionMNIST", "ImageDataset", "Subset", "TensorDataset", "Text",
           "TextWindows", "WindowLoader", "cache_folder", "default_collate", "encode", "load_digits", "random_split",
           "read_idx", "trigram_loss"]
