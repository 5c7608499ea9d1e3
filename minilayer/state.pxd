cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *PyThreadState_Get()
    unsigned long long PyThreadState_GetID(PyThreadState *thread)

cdef class State:
    cdef unsigned long long ident
    cdef public bint grad_enabled
    cdef public object tape
    cdef public object observer
    cdef public list layers
    cdef object heap

cdef State current()
