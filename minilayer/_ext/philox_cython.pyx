# cython: language_level=3
"""Random numbers from a counter, compiled: philox_reference.py is the definition, c/philox.inc.h the loops.

Integers and uniforms have the reference's bits; normals agree to rounding (they pass through log, sin and cos).
"""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/philox.h":
    ctypedef struct ml_philox_range:
        int64_t low
        uint64_t count
    ctypedef struct philox_kernels:
        ml_kernel random_bits, uniform, normal, integers
    const philox_kernels *philox_select(const ml_runtime *rt)

cdef const philox_kernels *K = philox_select(runtime())


def random_bits(position, y):
    """y[i] = word i % 4 of block i // 4, in [0, 2**32), as int64."""
    cdef ml_array a[2]
    describe(position, &a[0], 0, "random_bits")
    describe(y, &a[1], 1, "random_bits")
    launch("random_bits", K.random_bits, a, NULL, 0, a[1].size)


def uniform(position, y):
    """y uniform in [0, 1), float32 or float64."""
    cdef ml_array a[2]
    describe(position, &a[0], 0, "uniform")
    describe(y, &a[1], 1, "uniform")
    launch("uniform", K.uniform, a, NULL, 0, a[1].size)


def normal(position, y):
    """y ~ N(0, 1), float32 or float64."""
    cdef ml_array a[2]
    describe(position, &a[0], 0, "normal")
    describe(y, &a[1], 1, "normal")
    launch("normal", K.normal, a, NULL, 0, a[1].size * 16)


def integers(position, y, *, low, high):
    """y uniform over low, ..., high - 1 (int64)."""
    cdef ml_array a[2]
    cdef ml_philox_range s
    s.low = low
    s.count = high - low
    describe(position, &a[0], 0, "integers")
    describe(y, &a[1], 1, "integers")
    launch("integers", K.integers, a, &s, sizeof(s), a[1].size)
