# What other compiled modules may cimport: the base class of Tensor, and the node that an op's rules are given.

cdef class Version:
    cdef public long long count
    cdef public object site

cdef class Check:
    cdef int index
    cdef int place
    cdef Version counter
    cdef long long count
    cdef Check next

cdef class TensorBase:
    cdef readonly object array
    cdef public object grad
    cdef readonly object node
    cdef int slot
    cdef bint wants_grad
    cdef object version
    cdef readonly object base
    cdef long long rebased
    cdef long long seen
    cdef object hooks
    cdef public long long number
    cdef bint retains
    cdef dict __dict__
    cdef object __weakref__

cdef class Node:
    cdef readonly object op
    cdef readonly tuple parents
    cdef object slots
    cdef readonly long long order
    cdef int outputs
    cdef tuple kept
    cdef Check checks
    cdef bint freed
    cdef object shapes
    cdef object mask
    cdef object hooks
    cdef object grad
    cdef object owned
    cdef bint queued
    cdef readonly bint recording
    cpdef bint needs(self, int i)

cpdef edge(TensorBase tensor)
cpdef Node record(op, tuple parents)
cpdef wrap(array)
cpdef wrap_result(array, node, int slot)
cpdef drop_checks(Node node)
cpdef set_maker(TensorBase tensor, Node node)
