from minilayer.node cimport TensorBase
