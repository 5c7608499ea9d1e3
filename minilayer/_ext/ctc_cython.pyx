# cython: language_level=3
"""Connectionist temporal classification, compiled: ctc_reference.py is the definition, c/ctc.typed.h the loops.

What differs from the reference: sums run in the arrays' own type. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.ctc_reference import _check
from minilayer._ext.runtime cimport ML_BAD_INDEX, describe, enter, fail, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/ctc.h":
    ctypedef struct ctc_settings:
        int64_t blank
        int zero_infinity
    ctypedef struct ctc_kernels:
        ml_kernel ctc_loss, ctc_loss_backward
    const ctc_kernels *ctc_select(const ml_runtime *rt) noexcept

cdef const ctc_kernels *K = ctc_select(runtime())


cdef int run(str name, ml_kernel kernel, tuple arrays, int first, ctc_settings *s) except -1:
    """Launch; where a length or a label does not fit, the reference's check says which. arrays[first] is log_probs."""
    cdef ml_array a[9]
    cdef int i, status
    for i in range(<int> len(arrays)):
        describe(arrays[i], &a[i], i, name)
    status = enter(name, kernel, a, s, sizeof(s[0]), a[0].size)
    if status == ML_BAD_INDEX:
        _check(name, *arrays[first:first + 5], s.blank)
    if status:
        fail(status, name)
    return 0


def ctc_loss(log_probs, targets, starts, input_lengths, target_lengths, loss, alpha, *, blank=0):
    """loss[b] = -log(alpha[b, T_b - 1, L - 1] + alpha[b, T_b - 1, L - 2]), T_b = input_lengths[b]; inf where no path fits."""
    cdef ctc_settings s
    s.blank = blank
    s.zero_infinity = 0
    run("ctc_loss", K.ctc_loss, (log_probs, targets, starts, input_lengths, target_lengths, loss, alpha), 0, &s)


def ctc_loss_backward(dloss, log_probs, targets, starts, input_lengths, target_lengths, loss, alpha, dlog_probs, *, blank=0,
                      zero_infinity=False):
    """dlog_probs[t, b, c] = dloss[b] (e^p - e^(q - p + loss[b])); the reference says what q is."""
    cdef ctc_settings s
    s.blank = blank
    s.zero_infinity = zero_infinity
    run("ctc_loss_backward", K.ctc_loss_backward,
        (dloss, log_probs, targets, starts, input_lengths, target_lengths, loss, alpha, dlog_probs), 1, &s)
