"""The layers, one file a family; layer.py is the base class."""
from minilayer.layers.activation import GELU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from minilayer.layers.container import ModuleDict, ModuleList, Sequential
from minilayer.layers.convolution import Conv2d
from minilayer.layers.dropout import Dropout
from minilayer.layers.embedding import Embedding
from minilayer.layers.flatten import Flatten
from minilayer.layers.layer import Layer, Module, Parameter
from minilayer.layers.linear import Identity, Linear
from minilayer.layers.loss import CrossEntropyLoss, MSELoss
from minilayer.layers.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from minilayer.layers.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

__all__ = [name for name, value in list(vars().items()) if isinstance(value, type)]
