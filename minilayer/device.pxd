cpdef empty_like(x)
cpdef empty_broadcast(name, a, b, dtype=*)
