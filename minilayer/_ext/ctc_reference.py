"""Connectionist temporal classification: how likely a sequence is, over all its alignments with an input.

A target of S labels is read as L = 2S + 1 symbols, a blank around each label: blank, t1, blank, ..., tS, blank. A path
takes one symbol a time step: the same as before, the next one, or, past a blank between two labels that differ, the one
after. In logarithms, with p[t, c] = log_probs and c(s) the class of symbol s:

    alpha[t, s] = p[t, c(s)] + logsumexp(alpha[t-1, s], alpha[t-1, s-1], alpha[t-1, s-2] where that is allowed)
    beta[t, s]  = p[t, c(s)] + logsumexp(beta[t+1, s], beta[t+1, s+1], beta[t+1, s+2] where that is allowed)
"""
import numpy as np

QUIET = dict(divide="ignore", invalid="ignore", over="ignore", under="ignore")


def _check(name, log_probs, targets, starts, input_lengths, target_lengths, blank):
    T, B, C = log_probs.shape
    if not 0 <= blank < C:
        raise IndexError(f"{name}: expected blank in [0, {C}), got {blank}")
    for b in range(B):
        if not 0 <= input_lengths[b] <= T:
            raise IndexError(f"{name}: expected input_lengths in [0, {T}], got {input_lengths[b]} at position {b}")
        start, n = int(starts[b]), int(target_lengths[b])
        if start < 0 or n < 0 or start + n > targets.size:
            raise IndexError(f"{name}: expected {targets.size} labels to hold {n} from {start} on, those of sequence {b}")
        labels = targets[start:start + n]
        wrong = labels[(labels < 0) | (labels >= C)]
        if wrong.size:
            raise IndexError(f"{name}: expected labels in [0, {C}), got {wrong[0]}")


def _symbols(targets, starts, target_lengths, blank, b):
    """(the classes of the symbols, 0 where two steps to them are allowed and -inf where not)"""
    n = int(target_lengths[b])
    classes = np.full(2 * n + 1, blank, np.int64)
    classes[1::2] = targets[starts[b]:starts[b] + n]
    skip = np.full(2 * n + 1, -np.inf)
    skip[2:][classes[2:] != classes[:-2]] = 0
    return classes, skip


def _step(before, skip):
    """logsumexp of each value, the one before it, and the one two before where skip allows it."""
    two = np.full((3, before.size), -np.inf)
    two[0] = before
    two[1, 1:] = before[:-1]
    two[2, 2:] = before[:-2]
    two[2] += skip
    return np.logaddexp.reduce(two, axis=0)


@np.errstate(**QUIET)
def ctc_loss(log_probs, targets, starts, input_lengths, target_lengths, loss, alpha, *, blank=0):
    """loss[b] = -log(alpha[b, T_b - 1, L - 1] + alpha[b, T_b - 1, L - 2]), T_b = input_lengths[b]; inf where no path fits.

    log_probs (T, B, C); targets int64, all labels, those of b from starts[b] on, target_lengths[b] of them; loss (B,);
    alpha (B, T, at least L of the longest), -inf where nothing gets to.
    """
    _check("ctc_loss", log_probs, targets, starts, input_lengths, target_lengths, blank)
    alpha[...] = -np.inf
    for b in range(log_probs.shape[1]):
        classes, skip = _symbols(targets, starts, target_lengths, blank, b)
        steps, L = int(input_lengths[b]), classes.size
        if steps == 0:
            loss[b] = 0 if L == 1 else np.inf
            continue
        p = log_probs[:steps, b][:, classes].astype(np.float64)
        now = np.full(L, -np.inf)
        now[:2] = p[0, :2]
        alpha[b, 0, :L] = now
        for t in range(1, steps):
            now = _step(now, skip) + p[t]
            alpha[b, t, :L] = now
        loss[b] = -np.logaddexp.reduce(now[-2:])


@np.errstate(**QUIET)
def ctc_loss_backward(dloss, log_probs, targets, starts, input_lengths, target_lengths, loss, alpha, dlog_probs, *, blank=0,
                      zero_infinity=False):
    """dlog_probs[t, b, c] = dloss[b] (e^p - e^(q - p + loss[b])), p = log_probs[t, b, c], q the logsumexp of
    alpha[b, t, s] + beta[t, s] over the symbols s of class c; 0 from t = input_lengths[b] on.

    This is the gradient of what went into a log_softmax that made log_probs (e^p is that part), which passes through
    log_softmax's own rule unchanged. With zero_infinity, 0 where the loss is infinite.
    """
    _check("ctc_loss_backward", log_probs, targets, starts, input_lengths, target_lengths, blank)
    dlog_probs[...] = 0
    for b in range(log_probs.shape[1]):
        classes, skip = _symbols(targets, starts, target_lengths, blank, b)
        steps, L = int(input_lengths[b]), classes.size
        if zero_infinity and np.isinf(loss[b]):
            continue
        back = np.full(L, -np.inf)                      # skip, seen from the other end
        back[2:] = skip[2:][::-1]
        now = None
        for t in reversed(range(steps)):
            row = log_probs[t, b].astype(np.float64)
            if now is None:
                now = np.full(L, -np.inf)
                now[-2:] = row[classes[-2:]]
            else:
                now = _step(now[::-1], back)[::-1] + row[classes]
            q = np.full(row.size, -np.inf)
            np.logaddexp.at(q, classes, alpha[b, t, :L] + now)
            dlog_probs[t, b] = dloss[b] * (np.exp(row) - np.exp(q - row + loss[b]))
