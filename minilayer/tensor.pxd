from minilayer.node cimport TensorBase

cdef class Tensor(TensorBase):
    pass
