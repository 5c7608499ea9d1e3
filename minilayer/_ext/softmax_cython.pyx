# cython: language_level=3
"""Softmax and the losses on it, compiled: the contract of softmax_reference.py over the loops of c/softmax.typed.h.

What differs from the reference: values are computed in x's own type, and only sums over blocks are doubles; arrays
must be in C order. Results do not depend on the number of threads.
"""
cimport numpy as cnp
from libc.stdint cimport int64_t

from minilayer._ext.runtime cimport describe, launch, ml_array, ml_kernel, ml_runtime, runtime

cnp.import_array()

cdef extern from "c/softmax.h":
    ctypedef struct softmax_settings:
        int64_t ignore_index
        double label_smoothing
        int mean
    ctypedef struct softmax_kernels:
        ml_kernel softmax
        ml_kernel log_softmax
        ml_kernel softmax_backward
        ml_kernel log_softmax_backward
        ml_kernel cross_entropy
        ml_kernel cross_entropy_backward
        ml_kernel cross_entropy_probs
        ml_kernel cross_entropy_probs_backward
        ml_kernel cross_entropy_probs_backward_target
        ml_kernel nll_loss
        ml_kernel nll_loss_backward
        ml_kernel reduce_loss
    const softmax_kernels *softmax_select(const ml_runtime *rt) noexcept

cdef const softmax_kernels *K = softmax_select(runtime())


cdef int describe_all(str name, tuple arrays, ml_array *a) except -1:
    cdef int i
    for i in range(<int> len(arrays)):
        describe(arrays[i], &a[i], i, name)
    return 0


cdef int launch_with_labels(str name, ml_kernel entry, const ml_array *a, const softmax_settings *s, int64_t work,
                            target, int64_t C) except -1:
    """`launch`, with an error that names the label at fault."""
    try:
        launch(name, entry, a, s, sizeof(s[0]), work)
    except IndexError:
        wrong = target[(target != s.ignore_index) & ((target < 0) | (target >= C))]
        raise IndexError(f"{name}: expected labels in [0, {C}) for {C} classes (or ignore_index={s.ignore_index}), "
                         f"got {wrong[0]}") from None
    return 0


def softmax(x, y):
    """y = exp(x - max) / sum exp(x - max), over axis 1."""
    cdef ml_array a[2]
    describe(x, &a[0], 0, "softmax")
    describe(y, &a[1], 1, "softmax")
    launch("softmax", K.softmax, a, NULL, 0, a[0].size)


def log_softmax(x, y):
    """y = (x - max) - log(sum exp(x - max)), over axis 1."""
    cdef ml_array a[2]
    describe(x, &a[0], 0, "log_softmax")
    describe(y, &a[1], 1, "log_softmax")
    launch("log_softmax", K.log_softmax, a, NULL, 0, a[0].size)


def softmax_backward(y, dy, dx):
    """dx = y * (dy - sum(dy * y))."""
    cdef ml_array a[3]
    describe(y, &a[0], 0, "softmax_backward")
    describe(dy, &a[1], 1, "softmax_backward")
    describe(dx, &a[2], 2, "softmax_backward")
    launch("softmax_backward", K.softmax_backward, a, NULL, 0, a[0].size)


def log_softmax_backward(y, dy, dx):
    """dx = dy - exp(y) * sum(dy)."""
    cdef ml_array a[3]
    describe(y, &a[0], 0, "log_softmax_backward")
    describe(dy, &a[1], 1, "log_softmax_backward")
    describe(dx, &a[2], 2, "log_softmax_backward")
    launch("log_softmax_backward", K.log_softmax_backward, a, NULL, 0, a[0].size)


def cross_entropy(x, target, weight, loss, lse, *, int64_t ignore_index=-100, double label_smoothing=0.0):
    """loss = (1 - s) * w[t] * (lse - x[t]) + s/C * sum_c w[c] * (lse - x[c]), x (B,C,L), target (B,L)."""
    cdef ml_array a[5]
    cdef softmax_settings s
    describe_all("cross_entropy", (x, target, weight, loss, lse), a)
    s.ignore_index = ignore_index
    s.label_smoothing = label_smoothing
    launch_with_labels("cross_entropy", K.cross_entropy, a, &s, a[0].size, target, a[0].shape[1])


def cross_entropy_backward(x, target, weight, lse, dloss, dx, *, int64_t ignore_index=-100,
                           double label_smoothing=0.0):
    """dx[c] = dloss * (((1-s) w[t] + s/C sum(w)) exp(x[c] - lse) - (1-s) w[t] [c = t] - s/C w[c])."""
    cdef ml_array a[6]
    cdef softmax_settings s
    describe_all("cross_entropy_backward", (x, target, weight, lse, dloss, dx), a)
    s.ignore_index = ignore_index
    s.label_smoothing = label_smoothing
    launch_with_labels("cross_entropy_backward", K.cross_entropy_backward, a, &s, a[0].size, target, a[0].shape[1])


def cross_entropy_probs(x, target, weight, loss, lse, *, double label_smoothing=0.0):
    """loss = sum_c a[c] * (lse - x[c]),  a = w * ((1 - s) * target + s/C); target (B,C,L)."""
    cdef ml_array a[5]
    cdef softmax_settings s
    describe_all("cross_entropy_probs", (x, target, weight, loss, lse), a)
    s.ignore_index = 0
    s.label_smoothing = label_smoothing
    launch("cross_entropy_probs", K.cross_entropy_probs, a, &s, sizeof(s), a[0].size)


def cross_entropy_probs_backward(x, target, weight, lse, dloss, dx, *, double label_smoothing=0.0):
    """dx[c] = dloss * (exp(x[c] - lse) * sum(a) - a[c])."""
    cdef ml_array a[6]
    cdef softmax_settings s
    describe_all("cross_entropy_probs_backward", (x, target, weight, lse, dloss, dx), a)
    s.ignore_index = 0
    s.label_smoothing = label_smoothing
    launch("cross_entropy_probs_backward", K.cross_entropy_probs_backward, a, &s, sizeof(s), a[0].size)


def cross_entropy_probs_backward_target(x, weight, lse, dloss, dtarget, *, double label_smoothing=0.0):
    """dtarget[c] = dloss * (1 - s) * w[c] * (lse - x[c])."""
    cdef ml_array a[5]
    cdef softmax_settings s
    describe_all("cross_entropy_probs_backward_target", (x, weight, lse, dloss, dtarget), a)
    s.ignore_index = 0
    s.label_smoothing = label_smoothing
    launch("cross_entropy_probs_backward_target", K.cross_entropy_probs_backward_target, a, &s, sizeof(s), a[0].size)


def nll_loss(x, target, weight, loss, *, int64_t ignore_index=-100):
    """loss = -w[t] * x[t], x (B,C,L) log-probabilities."""
    cdef ml_array a[4]
    cdef softmax_settings s
    describe_all("nll_loss", (x, target, weight, loss), a)
    s.ignore_index = ignore_index
    launch_with_labels("nll_loss", K.nll_loss, a, &s, a[3].size, target, a[0].shape[1])


def nll_loss_backward(target, weight, dloss, dx, *, int64_t ignore_index=-100):
    """dx[t] = -w[t] * dloss, zero elsewhere."""
    cdef ml_array a[4]
    cdef softmax_settings s
    describe_all("nll_loss_backward", (target, weight, dloss, dx), a)
    s.ignore_index = ignore_index
    launch_with_labels("nll_loss_backward", K.nll_loss_backward, a, &s, a[3].size, target, a[3].shape[1])


def reduce_loss(loss, target, weight, total, divisor, *, int64_t ignore_index=-100, bint mean=True):
    """total = sum(loss) / divisor; divisor = sum of w[t] over the labels that count."""
    cdef ml_array a[5]
    cdef softmax_settings s
    describe_all("reduce_loss", (loss, target, weight, total, divisor), a)
    s.ignore_index = ignore_index
    s.mean = mean
    launch("reduce_loss", K.reduce_loss, a, &s, sizeof(s), a[0].size)
