cdef class State:
    cdef unsigned long ident
    cdef public bint grad_enabled
    cdef public object tape
    cdef public object observer
    cdef public list layers

cdef State current()
