from minilayer.node cimport Node, TensorBase
