cpdef refuse_mixed_devices(op, inputs)
cpdef apply2(op, a, b)
