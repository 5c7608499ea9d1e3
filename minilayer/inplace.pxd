from minilayer.tape cimport Node, TensorBase
