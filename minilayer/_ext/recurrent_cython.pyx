# cython: language_level=3
"""Recurrent layers over whole sequences, compiled: one call a sequence, forward and back (c/recurrent.inc.h).

Differs from the reference in rounding only; arrays must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/recurrent.h":
    ctypedef struct recurrent_settings:
        int relu
        int reverse
    ctypedef struct recurrent_kernels:
        ml_kernel previous
        ml_kernel rnn
        ml_kernel rnn_backward
        ml_kernel lstm
        ml_kernel lstm_backward
        ml_kernel gru
        ml_kernel gru_backward
    const recurrent_kernels *recurrent_select(const ml_runtime *rt) noexcept

cdef const recurrent_kernels *K = recurrent_select(runtime())


cdef int run(str name, ml_kernel entry, tuple arrays, bint relu, bint reverse) except -1:
    cdef ml_array d[13]
    cdef recurrent_settings s
    cdef int i = 0
    cdef long long work = 0
    s.relu = relu
    s.reverse = reverse
    for array in arrays:
        describe(array, &d[i], i, name)
        work += d[i].size
        i += 1
    launch(name, entry, d, &s, sizeof(s), work * 16)
    return 0


def previous(batch_sizes, h0, y, before, *, bint reverse=False):
    """before[row] = the state that this row's step started from, y's row of the step before or h0."""
    run("previous", K.previous, (batch_sizes, h0, y, before), False, reverse)


def rnn(batch_sizes, h0, w_hh, b_hh, y, hn, *, bint relu=False, bint reverse=False):
    """h = act(x + h' w_hh^T + b_hh); y holds x and then all h."""
    run("rnn", K.rnn, (batch_sizes, h0, w_hh, b_hh, y, hn), relu, reverse)


def rnn_backward(dy, dhn, batch_sizes, w_hh, y, dx, dh0, *, bint relu=False, bint reverse=False):
    """dx = (dy + dh) act'(y), dh' = dx w_hh."""
    run("rnn_backward", K.rnn_backward, (dy, dhn, batch_sizes, w_hh, y, dx, dh0), relu, reverse)


def lstm(batch_sizes, h0, c0, w_hh, b_hh, w_hr, gates, cells, m, y, hn, cn, *, bint reverse=False):
    """i, f, g, o of x + h' w_hh^T + b_hh, c = f c' + i g, h = o tanh(c), or that times w_hr^T."""
    run("lstm", K.lstm, (batch_sizes, h0, c0, w_hh, b_hh, w_hr, gates, cells, m, y, hn, cn), False, reverse)


def lstm_backward(dy, dhn, dcn, batch_sizes, c0, w_hh, w_hr, gates, cells, dgates, dh, dh0, dc0, *, bint reverse=False):
    """From dy to dgates, dh, dh0 and dc0, walking back through the steps."""
    run("lstm_backward", K.lstm_backward,
        (dy, dhn, dcn, batch_sizes, c0, w_hh, w_hr, gates, cells, dgates, dh, dh0, dc0), False, reverse)


def gru(batch_sizes, h0, w_hh, b_hh, gates, u, y, hn, *, bint reverse=False):
    """r, z of x + h' w_hh^T + b_hh, u = h' w_n^T + b_n, n = tanh(x_n + r u), h = n + z (h' - n)."""
    run("gru", K.gru, (batch_sizes, h0, w_hh, b_hh, gates, u, y, hn), False, reverse)


def gru_backward(dy, dhn, batch_sizes, h0, w_hh, gates, u, y, dgates, du, dh0, *, bint reverse=False):
    """From dy to dgates, du and dh0, walking back through the steps."""
    run("gru_backward", K.gru_backward, (dy, dhn, batch_sizes, h0, w_hh, gates, u, y, dgates, du, dh0), False, reverse)
