# cython: language_level=3
"""Padding with an array's own values, compiled: padding_reference.py is the definition, c/padding.inc.h the loops.

What differs from the reference: gradients are summed in dx's own type; arrays must be in C order. Results do not depend
on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/padding.h":
    ctypedef struct padding_settings:
        int64_t before[3]
        int mode
    ctypedef struct padding_kernels:
        ml_kernel pad, pad_backward
    const padding_kernels *padding_select(const ml_runtime *rt) noexcept

cdef const padding_kernels *K = padding_select(runtime())
cdef dict MODES = {"reflect": 0, "replicate": 1, "circular": 2}


cdef int fill(padding_settings *s, before, mode) except -1:
    if mode not in MODES:
        raise ValueError(f"pad: expected mode 'reflect', 'replicate' or 'circular', got {mode!r}")
    s.before[0], s.before[1], s.before[2] = before
    s.mode = MODES[mode]
    return 0


def pad(x, y, *, before, mode):
    """y[n,o,p,q] = x[n, place(o), place(p), place(q)]; any dtype."""
    cdef ml_array a[2]
    cdef padding_settings s
    describe(x, &a[0], 0, "pad")
    describe(y, &a[1], 1, "pad")
    fill(&s, before, mode)
    launch("pad", K.pad, a, &s, sizeof(s), a[1].size)


def pad_backward(dy, dx, *, before, mode):
    """dx[n, place(o), place(p), place(q)] += dy[n,o,p,q], from zero."""
    cdef ml_array a[2]
    cdef padding_settings s
    describe(dy, &a[0], 0, "pad_backward")
    describe(dx, &a[1], 1, "pad_backward")
    fill(&s, before, mode)
    launch("pad_backward", K.pad_backward, a, &s, sizeof(s), a[0].size)
