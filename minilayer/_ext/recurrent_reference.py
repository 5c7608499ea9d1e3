"""Recurrent layers over whole sequences: forward through time, and back.

Sequences lie packed: the rows of step 0, then those of step 1, ...; step t has batch_sizes[t] rows, and row b of a step
belongs to sequence b. Sequences are sorted by length, longest first, so that batch_sizes never rises. Where all are
equally long that is simply (T, B, features), seen as (T B, features). Read forwards, a sequence begins at step 0 and
some end early; read in reverse, some begin late. Either way the first `before` rows of a step go on from the step taken
before, and the rest begins from the initial state.

N rows in all, B = batch_sizes[0], H hidden units. The products with the input come from outside, as one large product
for all steps; what remains here is what cannot be done at once. Initial states may be None, which is zeros.
"""
import numpy as np


def _steps(batch_sizes, reverse):
    """The steps in the order they are taken: (rows of this step, rows of the step before it, how many of them)."""
    ends = np.cumsum(batch_sizes)
    steps = [slice(int(end - n), int(end)) for end, n in zip(ends, batch_sizes, strict=True)]
    if reverse:
        steps.reverse()
    return [(rows, last, min(last.stop - last.start, rows.stop - rows.start))
            for rows, last in zip(steps, [slice(0, 0), *steps], strict=False)]


def _state(states, h0, rows, last, before):
    """The state that a step starts from: rows of the step taken before, then those that begin."""
    n = rows.stop - rows.start
    state = np.zeros((n, states.shape[1]), states.dtype) if h0 is None else h0[:n].copy()
    state[:before] = states[last][:before]
    return state


def _last(states, batch_sizes, reverse, final):
    """final[b] = the state after sequence b's last step"""
    for rows, _, _ in _steps(batch_sizes, reverse):
        final[:rows.stop - rows.start] = states[rows]


def _recurrent(h, w_hh, b_hh):
    return h @ w_hh.T if b_hh is None else h @ w_hh.T + b_hh


def _sigmoid(x):
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


def previous(batch_sizes, h0, y, before, *, reverse=False):
    """before[row] = the state that this row's step started from, y's row of the step before or h0.  h0 (B, H), y, before
    (N, H)"""
    for rows, last, count in _steps(batch_sizes, reverse):
        before[rows] = _state(y, h0, rows, last, count)


def rnn(batch_sizes, h0, w_hh, b_hh, y, hn, *, relu=False, reverse=False):
    """h = act(x + h' w_hh^T + b_hh), h' the state before.  y holds x, the products with the input, and then all h.

    h0, hn (B, H), w_hh (H, H), b_hh (H,) or None, y (N, H). act is tanh, or relu.
    """
    for rows, last, before in _steps(batch_sizes, reverse):
        z = y[rows] + _recurrent(_state(y, h0, rows, last, before), w_hh, b_hh)
        y[rows] = np.maximum(z, 0) if relu else np.tanh(z)
    _last(y, batch_sizes, reverse, hn)


def rnn_backward(dy, dhn, batch_sizes, w_hh, y, dx, dh0, *, relu=False, reverse=False):
    """dx = (dy + dh) act'(y), where dh flows back from the step after: dh' = dx w_hh.

    dy (N, H) and dhn (B, H) may be None, which is zeros; dx (N, H) is also the gradient of h' w_hh^T + b_hh.
    """
    dh0[...] = 0 if dhn is None else dhn
    for rows, _, _ in reversed(_steps(batch_sizes, reverse)):
        n = rows.stop - rows.start
        dh = dh0[:n] if dy is None else dh0[:n] + dy[rows]
        dx[rows] = np.where(y[rows] <= 0, 0, dh) if relu else dh * (1 - y[rows] * y[rows])
        dh0[:n] = dx[rows] @ w_hh


def lstm(batch_sizes, h0, c0, w_hh, b_hh, w_hr, gates, cells, m, y, hn, cn, *, reverse=False):
    """i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of (x + h' w_hh^T + b_hh), c = f c' + i g, m = o tanh(c)

    h = m, or m w_hr^T where w_hr projects the state to P features. gates (N, 4H) holds x, the products with the input,
    blocks i, f, g, o, and then the gates; cells (N, H) gets c; y (N, P) gets h; m (N, H) is None without a projection,
    and P = H. w_hh (4H, P), b_hh (4H,) or None, w_hr (P, H) or None, h0, hn (B, P), c0, cn (B, H).
    """
    for rows, last, before in _steps(batch_sizes, reverse):
        z = gates[rows] + _recurrent(_state(y, h0, rows, last, before), w_hh, b_hh)
        i, f, g, o = np.split(z, 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        gates[rows] = np.concatenate([i, f, g, o], axis=1)
        cells[rows] = f * _state(cells, c0, rows, last, before) + i * g
        h = o * np.tanh(cells[rows])
        if w_hr is not None:
            m[rows] = h
            h = h @ w_hr.T
        y[rows] = h
    _last(y, batch_sizes, reverse, hn)
    _last(cells, batch_sizes, reverse, cn)


def lstm_backward(dy, dhn, dcn, batch_sizes, c0, w_hh, w_hr, gates, cells, dgates, dh, dh0, dc0, *, reverse=False):
    """From dy, the gradient of all h, to dgates, that of x + h' w_hh^T + b_hh, walking back through the steps.

    dm = dh, or dh w_hr;  do = dm tanh(c), dc += dm o (1 - tanh(c)^2), di = dc g, df = dc c', dg = dc i, each times the
    slope of its sigmoid or tanh;  then dc' = dc f, dh' = dgates w_hh. dh (N, P), None without a projection, gets the
    gradient of h; dh0, dc0 those of the initial states. dy, dhn, dcn may be None, which is zeros.
    """
    dh0[...] = 0 if dhn is None else dhn
    dc0[...] = 0 if dcn is None else dcn
    for rows, last, before in reversed(_steps(batch_sizes, reverse)):
        n = rows.stop - rows.start
        total = dh0[:n] if dy is None else dh0[:n] + dy[rows]
        if w_hr is not None:
            dh[rows] = total
            total = total @ w_hr
        i, f, g, o = np.split(gates[rows], 4, axis=1)
        t = np.tanh(cells[rows])
        dc = dc0[:n] + total * o * (1 - t * t)
        c = _state(cells, c0, rows, last, before)
        dgates[rows] = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g),
                                       total * t * o * (1 - o)], axis=1)
        dc0[:n] = dc * f
        dh0[:n] = dgates[rows] @ w_hh


def gru(batch_sizes, h0, w_hh, b_hh, gates, u, y, hn, *, reverse=False):
    """r, z = sigmoid(x + h' w_hh^T + b_hh), u = h' w_n^T + b_n, n = tanh(x_n + r u), h = n + z (h' - n)

    gates (N, 3H) holds x, the products with the input, blocks r, z, n, and then the gates; w_n and b_n are the third
    block of w_hh (3H, H) and b_hh (3H,) or None; u, y (N, H), h0, hn (B, H).
    """
    H = y.shape[1]
    for rows, last, before in _steps(batch_sizes, reverse):
        h = _state(y, h0, rows, last, before)
        z = _recurrent(h, w_hh, b_hh)
        u[rows] = z[:, 2 * H:]
        gates[rows, :2 * H] = _sigmoid(gates[rows, :2 * H] + z[:, :2 * H])
        gates[rows, 2 * H:] = np.tanh(gates[rows, 2 * H:] + gates[rows, :H] * u[rows])
        n = gates[rows, 2 * H:]
        y[rows] = n + gates[rows, H:2 * H] * (h - n)
    _last(y, batch_sizes, reverse, hn)


def gru_backward(dy, dhn, batch_sizes, h0, w_hh, gates, u, y, dgates, du, dh0, *, reverse=False):
    """From dy, the gradient of all h, to dgates, that of x in blocks r, z, n, and du, walking back through the steps.

    dn = dh (1 - z) (1 - n^2), dz = dh (h' - n) z (1 - z), dr = dn u r (1 - r), du = dn r;
    dh' = dh z + [dr dz du] w_hh. The gradient of h' w_hh^T + b_hh is [dr dz du]. dy, dhn may be None, which is zeros.
    """
    dh0[...] = 0 if dhn is None else dhn
    for rows, last, before in reversed(_steps(batch_sizes, reverse)):
        count = rows.stop - rows.start
        dh = dh0[:count] if dy is None else dh0[:count] + dy[rows]
        r, z, n = np.split(gates[rows], 3, axis=1)
        h = _state(y, h0, rows, last, before)
        dn = dh * (1 - z) * (1 - n * n)
        dz = dh * (h - n) * z * (1 - z)
        dr = dn * u[rows] * r * (1 - r)
        dgates[rows] = np.concatenate([dr, dz, dn], axis=1)
        du[rows] = dn * r
        dh0[:count] = dh * z + np.concatenate([dr, dz, du[rows]], axis=1) @ w_hh
