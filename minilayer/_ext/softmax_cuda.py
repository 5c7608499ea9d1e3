"""Softmax and cross-entropy on CUDA: the contract of softmax_reference.py. Losses on probabilities and nll_loss have no
kernel yet.

A block for each vector that is normalised, its maximum and its sum by all threads together. `lse` = max + log(sum) is
kept as two numbers of x's dtype, the rounded sum and what its rounding lost, so that x - lse cancels without loss.
"""
from minilayer.cuda import _nb as m
from minilayer.cuda.blocks import BLOCK, block_max, block_sum
from minilayer.cuda.launch import Alarm, expect_contiguous, kernel, missing

__getattr__ = missing(__name__)

cuda = m.cuda


@m.device
def _first_of(vector, D, inner):
    """Where a vector along axis 1 of (outer, D, inner) begins; its elements are `inner` apart."""
    outer = vector // inner
    return outer * D * inner + (vector - outer * inner)


def _softmax_of(log):
    """y = exp(x - max) / sum, or with `log` y = x - max - log(sum)."""
    def make(real):
        zero, lowest, total, largest = real(0), real(-float("inf")), block_sum(real), block_max(real)

        def softmax(x, y, D, inner):
            first = _first_of(cuda.blockIdx.x, D, inner)
            top = lowest
            for d in range(cuda.threadIdx.x, D, BLOCK):
                v = x[first + d * inner]
                if v > top:                     # a NaN does not enter here; it spoils the sum
                    top = v
            top = largest(top)
            s = zero
            for d in range(cuda.threadIdx.x, D, BLOCK):
                s += m.exp(x[first + d * inner] - top)
            s = total(s)
            if log:
                s = m.log(s)
            for d in range(cuda.threadIdx.x, D, BLOCK):
                v = x[first + d * inner] - top
                y[first + d * inner] = v - s if log else m.exp(v) / s
        return softmax
    return make


_softmax = kernel("TT ii", block=BLOCK, regs=48, name="softmax")(_softmax_of(False))
_log_softmax = kernel("TT ii", block=BLOCK, regs=48, name="log_softmax")(_softmax_of(True))


@kernel("TTT ii", block=BLOCK, regs=48)
def _softmax_backward(real):
    zero, total = real(0), block_sum(real)

    def softmax_backward(y, dy, dx, D, inner):
        first = _first_of(cuda.blockIdx.x, D, inner)
        s = zero
        for d in range(cuda.threadIdx.x, D, BLOCK):
            s += dy[first + d * inner] * y[first + d * inner]
        s = total(s)
        for d in range(cuda.threadIdx.x, D, BLOCK):
            dx[first + d * inner] = y[first + d * inner] * (dy[first + d * inner] - s)
    return softmax_backward


@kernel("TTT ii", block=BLOCK, regs=48)
def _log_softmax_backward(real):
    zero, total = real(0), block_sum(real)

    def log_softmax_backward(y, dy, dx, D, inner):
        first = _first_of(cuda.blockIdx.x, D, inner)
        s = zero
        for d in range(cuda.threadIdx.x, D, BLOCK):
            s += dy[first + d * inner]
        s = total(s)
        for d in range(cuda.threadIdx.x, D, BLOCK):
            dx[first + d * inner] = dy[first + d * inner] - m.exp(y[first + d * inner]) * s
    return log_softmax_backward


@kernel("T I 3T I ii i u tt i", block=BLOCK, regs=56)
def _cross_entropy(real):
    zero, one, lowest, total, largest = real(0), real(1), real(-float("inf")), block_sum(real), block_max(real)

    def cross_entropy(x, target, weight, loss, lse, alarm, C, L, ignore_index, has_weight, keep, share, items):
        item = cuda.blockIdx.x
        first = _first_of(item, C, L)
        top = lowest
        for c in range(cuda.threadIdx.x, C, BLOCK):
            v = x[first + c * L]
            if v > top:
                top = v
        top = largest(top)
        s = zero
        for c in range(cuda.threadIdx.x, C, BLOCK):
            s += m.exp(x[first + c * L] - top)
        logs = m.log(total(s))
        smooth = zero                           # sum_c w[c] (lse - x[c])
        if share != zero:
            for c in range(cuda.threadIdx.x, C, BLOCK):
                v = (top - x[first + c * L]) + logs
                smooth += v * weight[c] if has_weight else v
            smooth = total(smooth)
        if cuda.threadIdx.x == 0:
            high = top + logs
            other = high - top
            low = (top - (high - other)) + (logs - other)           # what the rounding of `high` lost (Knuth)
            lse[item] = high
            lse[items + item] = low
            label = target[item]
            value = zero
            if label != ignore_index:
                if label < 0 or label >= C:
                    alarm[1] = label
                    alarm[0] = 1
                else:
                    w = weight[label] if has_weight else one
                    value = w * ((top - x[first + label * L]) + logs)
                    if share != zero:
                        value = keep * value + share * smooth
            loss[item] = value
    return cross_entropy


@kernel("T I 4T I iii i u tt i", block=BLOCK, regs=56)
def _cross_entropy_backward(real):
    zero, one, total = real(0), real(1), block_sum(real)

    def cross_entropy_backward(x, target, weight, lse, dloss, dx, alarm, C, L, step, ignore_index, has_weight, keep,
                               share, items):
        item = cuda.blockIdx.x
        first = _first_of(item, C, L)
        label = target[item]
        counts = label != ignore_index
        if counts and (label < 0 or label >= C):
            alarm[1] = label
            alarm[0] = 1
            counts = False
        if not counts:
            for c in range(cuda.threadIdx.x, C, BLOCK):
                dx[first + c * L] = zero
        else:
            high = lse[item]
            low = lse[items + item]
            own = keep * (weight[label] if has_weight else one)     # what the label's class is to have
            all_w = real(C)
            if has_weight and share != zero:
                s = zero
                for c in range(cuda.threadIdx.x, C, BLOCK):
                    s += weight[c]
                all_w = total(s)
            wanted = own + share * all_w
            g = dloss[item * step]
            for c in range(cuda.threadIdx.x, C, BLOCK):
                a = share * (weight[c] if has_weight else one)
                if c == label:
                    a = a + own
                dx[first + c * L] = g * (m.exp((x[first + c * L] - high) - low) * wanted - a)
    return cross_entropy_backward


@kernel("T I TTT ii i uuu", block=BLOCK, regs=48)
def _reduce_loss(real):
    """One block. The sums carry their rounding errors along (Kahan)."""
    zero, one, total = real(0), real(1), block_sum(real)

    def reduce_loss(loss, target, weight, result, divisor, n, C, ignore_index, has_target, has_weight, mean):
        s = zero
        error = zero
        counted = zero
        for i in range(cuda.threadIdx.x, n, BLOCK):
            v = loss[i] - error
            t = s + v
            error = (t - s) - v if t - t == zero else zero          # an infinity stays one
            s = t
            if has_target:
                label = target[i]
                if label != ignore_index and label >= 0 and label < C:
                    counted += weight[label] if has_weight else one
            else:
                counted += one
        s = total(s)
        counted = total(counted)
        if cuda.threadIdx.x == 0:
            if not mean:
                counted = one
            divisor[0] = counted
            result[0] = s / counted
    return reduce_loss


def softmax(x, y):
    """y = exp(x - max) / sum exp(x - max), over axis 1."""
    _over_axis_1("softmax", _softmax, x, y)


def log_softmax(x, y):
    """y = (x - max) - log(sum exp(x - max)), over axis 1."""
    _over_axis_1("log_softmax", _log_softmax, x, y)


def softmax_backward(y, dy, dx):
    """dx = y * (dy - sum(dy * y)), y = softmax(x)."""
    _over_axis_1("softmax_backward", _softmax_backward, y, dy, dx)


def log_softmax_backward(y, dy, dx):
    """dx = dy - exp(y) * sum(dy), y = log_softmax(x)."""
    _over_axis_1("log_softmax_backward", _log_softmax_backward, y, dy, dx)


def _over_axis_1(name, recipe, *arrays):
    expect_contiguous(name, *arrays)
    outer, D, inner = arrays[0].shape
    if D:
        recipe[arrays[0].dtype](outer * inner, *arrays, D, inner)


def cross_entropy(x, target, weight, loss, lse, *, ignore_index=-100, label_smoothing=0.0):
    """loss = (1 - s) * w[t] * (lse - x[t]) + s/C * sum_c w[c] * (lse - x[c]), s the label smoothing.

    target int64 (B,L) with labels in [0, C), else IndexError; weight (C,) or None (ones); loss (B,L), zero where the
    label is ignore_index; lse (2,B,L).
    """
    expect_contiguous("cross_entropy", x, target, weight, loss, lse)
    B, C, L = x.shape
    alarm = Alarm()
    _cross_entropy[x.dtype](B * L, x, target, weight, loss, lse, alarm.array, C, L, ignore_index, weight is not None,
                            1 - label_smoothing, label_smoothing / max(C, 1), B * L)
    _refuse_label("cross_entropy", alarm, C, ignore_index)


def cross_entropy_backward(x, target, weight, lse, dloss, dx, *, ignore_index=-100, label_smoothing=0.0):
    """With p = exp(x - lse):  dx[c] = dloss * (((1-s) w[t] + s/C sum(w)) p[c] - (1-s) w[t] [c = t] - s/C w[c]).

    dloss (B,L), or one value for all; zero where the label is ignore_index.
    """
    expect_contiguous("cross_entropy_backward", x, target, weight, lse, dloss, dx)
    B, C, L = x.shape
    alarm = Alarm()
    _cross_entropy_backward[x.dtype](B * L, x, target, weight, lse, dloss, dx, alarm.array, C, L, int(dloss.size > 1),
                                     ignore_index, weight is not None, 1 - label_smoothing, label_smoothing / max(C, 1), B * L)
    _refuse_label("cross_entropy_backward", alarm, C, ignore_index)


def _refuse_label(name, alarm, C, ignore_index):
    label = alarm.value()
    if label is not None:
        raise IndexError(f"{name}: expected labels in [0, {C}) for {C} classes (or ignore_index={ignore_index}), got {label}")


def reduce_loss(loss, target, weight, total, divisor, *, ignore_index=-100, mean=True):
    """total = sum(loss) / divisor; divisor = sum of w[t] over the labels that are not ignore_index (their number
    without weights, the number of losses without target), or 1 where no mean is wanted. Nothing to divide by: NaN.

    loss (B,L); total, divisor one value each.
    """
    expect_contiguous("reduce_loss", loss, target, weight, total, divisor)
    classes = weight.size if weight is not None else 2**62
    _reduce_loss[loss.dtype](1, loss, target, weight, total, divisor, loss.size, classes, ignore_index, target is not None,
                             weight is not None, bool(mean))
