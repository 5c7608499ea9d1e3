from minilayer.tape cimport TensorBase

cdef class Tensor(TensorBase):
    pass
