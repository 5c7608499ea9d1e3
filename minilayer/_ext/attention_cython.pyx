# cython: language_level=3
"""Attention, compiled: the contract of attention_reference.py over the tiles of c/attention.inc.h.

What differs from the reference: the (T, S) matrix is never held, and values are computed in their own type. Inputs may
have any strides; in what is written the last axis must lie without gaps. Results do not depend on the number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/attention.h":
    ctypedef struct attention_settings:
        double scale
        double p
        int causal
    ctypedef struct rotary_settings:
        int interleaved
        int inverse
    ctypedef struct attention_kernels:
        ml_kernel attention
        ml_kernel attention_backward
        ml_kernel rotary
    const attention_kernels *attention_select(const ml_runtime *rt) noexcept

cdef const attention_kernels *K = attention_select(runtime())


def attention(q, k, v, mask, position, y, stats, *, double scale, bint causal=False, double p=0.0):
    """y = softmax(scale q k^T + mask) v over keys; stats = each row's max and sum."""
    cdef ml_array a[7]
    cdef attention_settings s
    describe(q, &a[0], 0, "attention")
    describe(k, &a[1], 1, "attention")
    describe(v, &a[2], 2, "attention")
    describe(mask, &a[3], 3, "attention")
    describe(position, &a[4], 4, "attention")
    describe(y, &a[5], 5, "attention")
    describe(stats, &a[6], 6, "attention")
    s.scale = scale
    s.causal = causal
    s.p = p
    launch("attention", K.attention, a, &s, sizeof(s), a[0].size * (a[1].shape[2] if a[1].ndim == 4 else 1))


def attention_backward(dy, q, k, v, mask, position, y, stats, dq, dk, dv, dmask, *, double scale, bint causal=False,
                       double p=0.0):
    """dq, dk, dv and dmask, the weights made again from stats."""
    cdef ml_array a[12]
    cdef attention_settings s
    describe(dy, &a[0], 0, "attention_backward")
    describe(q, &a[1], 1, "attention_backward")
    describe(k, &a[2], 2, "attention_backward")
    describe(v, &a[3], 3, "attention_backward")
    describe(mask, &a[4], 4, "attention_backward")
    describe(position, &a[5], 5, "attention_backward")
    describe(y, &a[6], 6, "attention_backward")
    describe(stats, &a[7], 7, "attention_backward")
    describe(dq, &a[8], 8, "attention_backward")
    describe(dk, &a[9], 9, "attention_backward")
    describe(dv, &a[10], 10, "attention_backward")
    describe(dmask, &a[11], 11, "attention_backward")
    s.scale = scale
    s.causal = causal
    s.p = p
    launch("attention_backward", K.attention_backward, a, &s, sizeof(s), a[1].size * (a[2].shape[2] if a[2].ndim == 4 else 1))


def rotary(x, cosine, sine, y, *, bint interleaved=False, bint inverse=False):
    """Pairs of features turned by their place's angle: (a c - b s, b c + a s)."""
    cdef ml_array a[4]
    cdef rotary_settings s
    describe(x, &a[0], 0, "rotary")
    describe(cosine, &a[1], 1, "rotary")
    describe(sine, &a[2], 2, "rotary")
    describe(y, &a[3], 3, "rotary")
    s.interleaved = interleaved
    s.inverse = inverse
    launch("rotary", K.rotary, a, &s, sizeof(s), a[0].size)
