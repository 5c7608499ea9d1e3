"""Data: datasets, batches, and the digits to try them on.

In reading order: dataset.py, dataloader.py, digits.py, mnist.py (with the IDX reader), download.py.
"""
from minilayer.data.dataloader import DataLoader, default_collate
from minilayer.data.dataset import Dataset, Subset, TensorDataset, random_split
from minilayer.data.digits import Digits, load_digits
from minilayer.data.download import cache_folder
from minilayer.data.mnist import MNIST, FashionMNIST, ImageDataset, read_idx

__all__ = ["MNIST", "DataLoader", "Dataset", "Digits", "FashionMNIST", "ImageDataset", "Subset", "TensorDataset",
           "cache_folder", "default_collate", "load_digits", "random_split", "read_idx"]
