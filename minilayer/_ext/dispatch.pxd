cdef class Family:
    cdef readonly object name
    cdef readonly object cpu
    cdef dict elsewhere
    cpdef on(self, array)
