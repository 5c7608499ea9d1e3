"""Recurrent layers, one direction of one layer over a whole sequence: plain RNN, LSTM, GRU.

The products with the input need no state, so they are one large product for all steps, written where the gates will
stand. The kernel then walks through the steps, in one call; backward walks the other way and leaves the gradients of all
gates, of which the weights' gradients are again large products, over all steps at once.

Steps lie one after the other: x is (T, B, features), or (rows, features) packed, where step t has batch_sizes[t] rows of
the sequences sorted by length. layers/packed.py packs.
"""
from math import prod as _product

from minilayer._ext.dispatch import family
from minilayer.device import contiguous, copy, device_of, empty, full, to_device
from minilayer.dtypes import int64
from minilayer.node import TensorBase
from minilayer.tape import Cost, Op, apply

kernels = family("recurrent")
matmul = family("matmul")
reduce = family("reduce")


def _t(x):
    return x.transpose((1, 0))


class _Recurrence(Op):
    """What the three share: inputs x, h0 (c0), w_ih, w_hh, b_ih, b_hh (w_hr), of which the states and all from b_ih on may
    be None; outputs y and the last states."""
    gates = 1
    first = 2                                               # the place of w_ih among the inputs

    def __init__(self, batch_sizes, reverse):
        self.reverse = reverse
        self._sizes = batch_sizes                           # None where x is (T, B, features)

    def check(self, x, w_ih, w_hh, b_ih, b_hh, features, states):
        """Everything fits; returns (rows, batch, hidden units)."""
        name = self.name
        if x.dtype.kind != "f":
            raise TypeError(f"{name}: expected a float32 or float64 input, got {x.dtype}; convert it with .float()")
        if x.ndim != (3 if self._sizes is None else 2):
            raise ValueError(f"{name}: expected an input of shape (steps, batch, features), or (rows, features) with "
                             f"batch_sizes, got {x.shape}")
        if not x.shape[0]:
            raise ValueError(f"{name}: expected at least one step, got an input of shape {x.shape}")
        if self._sizes is None:
            self._sizes = full((x.shape[0],), x.shape[1], int64, x)
            self._batch = x.shape[1]
        if w_ih is None or w_hh is None or w_hh.ndim != 2 or w_hh.shape[0] % self.gates or not w_hh.shape[0]:
            raise ValueError(f"{name}: expected weights w_ih and w_hh of shapes ({self.gates} H, features) and "
                             f"({self.gates} H, H), got {None if w_ih is None else w_ih.shape} and "
                             f"{None if w_hh is None else w_hh.shape}")
        G = w_hh.shape[0]
        H = G // self.gates
        P = H if features is None else features
        for what, array, shape in (("w_ih", w_ih, (G, x.shape[-1])), ("w_hh", w_hh, (G, P)), ("b_ih", b_ih, (G,)),
                                   ("b_hh", b_hh, (G,)), *states(self._batch, H, P)):
            if array is not None and (array.shape != shape or array.dtype != x.dtype):
                raise ValueError(f"{name}: expected {what} of shape {shape} and dtype {x.dtype} for an input of shape "
                                 f"{x.shape}, got {array.shape} and {array.dtype}")
        return _product(x.shape[:-1]), H, P

    def project(self, x, w_ih, b_ih, N):
        """The products with the input, of all steps: (N, gates H)."""
        gates = empty((N, w_ih.shape[0]), x.dtype, x)
        matmul.on(x).linear(x.reshape((N, x.shape[-1])), w_ih, b_ih, gates)
        return gates

    def input_gradients(self, node, x, w_ih, dgates):
        """dx, dw_ih, db_ih from the gradient of the products with the input."""
        N, G = dgates.shape
        dx = dw = db = None
        if node.needs(0):
            dx = empty(x.shape, x.dtype, x)
            matmul.on(x).matmul(dgates, w_ih, dx.reshape((N, x.shape[-1])))
        if node.needs(self.first):
            dw, accumulate = node.gradient(self.first, w_ih.shape, x.dtype)
            matmul.on(x).matmul(_t(dgates), x.reshape((N, x.shape[-1])), dw, accumulate=accumulate)
        if node.needs(self.first + 2):
            db, accumulate = node.gradient(self.first + 2, (G,), x.dtype)
            reduce.on(x).sum(dgates, db.reshape((1, G)), accumulate=accumulate)
        return dx, dw, db

    def state_gradients(self, node, h0, w_hh, y, parts):
        """dw_hh, db_hh from the gradients of the products with the state: parts (N, ..) that lie side by side."""
        dw = db = None
        B, N = self._batch, y.shape[0]
        if node.needs(self.first + 1):
            dw, accumulate = node.gradient(self.first + 1, w_hh.shape, y.dtype)
            even = N == B * self._sizes.shape[0]            # all sequences are equally long: a step before is B rows before
            if not even:
                states = empty(y.shape, y.dtype, y)
                kernels.on(y).previous(self._sizes, h0, y, states, reverse=self.reverse)
            row = 0
            for d in parts:
                place = dw[row:row + d.shape[1]]
                row += d.shape[1]
                if not even:
                    matmul.on(y).matmul(_t(d), states, place, accumulate=accumulate)
                    continue
                late, early, begin = (d[:N - B], y[B:], d[N - B:]) if self.reverse else (d[B:], y[:N - B], d[:B])
                matmul.on(y).matmul(_t(late), early, place, accumulate=accumulate)
                if h0 is not None:
                    matmul.on(y).matmul(_t(begin), h0, place, accumulate=True)
        if node.needs(self.first + 3):
            db, accumulate = node.gradient(self.first + 3, w_hh.shape[:1], y.dtype)
            row = 0
            for d in parts:
                G = d.shape[1]
                reduce.on(y).sum(d, db[row:row + G].reshape((1, G)), accumulate=accumulate)
                row += G
        return dw, db

    def cost(self, shapes, out_shapes):
        N, features = _product(shapes[0][:-1]), shapes[0][-1]
        G, P = shapes[self.first + 1]
        H = G // self.gates
        terms = N * (G * (features + P) + (H * P if P != H else 0))
        weights = G * (features + P)
        return Cost(2 * terms + 20 * N * G, 4 * terms + 20 * N * G, 4 * (N * (features + 3 * G) + weights),
                    4 * (N * (2 * features + 5 * G) + 3 * weights))


def _rows(dy, N):
    """A gradient of y as the kernels take it: (N, P), C order, or None."""
    return None if dy is None else contiguous(dy).reshape((N, dy.shape[-1]))


def _c(x):
    return None if x is None else contiguous(x)


class Rnn(_Recurrence):
    """h_t = act(x_t w_ih^T + b_ih + h_(t-1) w_hh^T + b_hh), act tanh or relu

    With dz_t = act' (dy_t + dz_(t+1) w_hh), walking back: dx = dz w_ih, dw_ih = dz^T x, dw_hh = dz^T h_before,
    db_ih = db_hh = sum dz, dh0 = dz_0 w_hh.  x (T, B, I), h0 (B, H), w_ih (H, I), w_hh (H, H) -> y (T, B, H), h_n (B, H).
    """
    name = "rnn"

    def __init__(self, relu, batch, batch_sizes, reverse):
        super().__init__(batch_sizes, reverse)
        self.relu = relu
        self._batch = batch

    def forward(self, node, x, h0, w_ih, w_hh, b_ih, b_hh):
        N, H, _ = self.check(x, w_ih, w_hh, b_ih, b_hh, None, lambda B, H, P: (("h0", h0, (B, H)),))
        x, h0, w_hh, b_hh = contiguous(x), _c(h0), contiguous(w_hh), _c(b_hh)
        y = self.project(x, w_ih, b_ih, N)
        hn = empty((self._batch, H), x.dtype, x)
        kernels.on(x).rnn(self._sizes, h0, w_hh, b_hh, y, hn, relu=self.relu, reverse=self.reverse)
        y = y.reshape((*x.shape[:-1], H))
        node.save(x, h0, w_ih, w_hh, y)                     # the slope of act from y; the rest for products
        return y, hn

    def backward(self, node, dy, dhn):
        x, h0, w_ih, w_hh, y = node.saved
        N, H = _product(y.shape[:-1]), y.shape[-1]
        y = y.reshape((N, H))
        dz, dh0 = empty((N, H), x.dtype, x), empty((self._batch, H), x.dtype, x)
        kernels.on(x).rnn_backward(_rows(dy, N), _c(dhn), self._sizes, w_hh, y, dz, dh0, relu=self.relu,
                                   reverse=self.reverse)
        dx, dw_ih, db_ih = self.input_gradients(node, x, w_ih, dz)
        dw_hh, db_hh = self.state_gradients(node, h0, w_hh, y, (dz,))
        return dx, dh0 if node.needs(1) else None, dw_ih, dw_hh, db_ih, db_hh


class Lstm(_Recurrence):
    """i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of x_t w_ih^T + b_ih + h_(t-1) w_hh^T + b_hh, in this order;
    c_t = f c_(t-1) + i g,  h_t = o tanh(c_t), with a projection times w_hr^T

    Backward: the kernel leaves dz, the gradient of what the gates are made of; dx = dz w_ih, dw_ih = dz^T x,
    dw_hh = dz^T h_before, db_ih = db_hh = sum dz, dw_hr = dh^T (o tanh(c)).
    x (T, B, I), h0 (B, P), c0 (B, H), w_ih (4H, I), w_hh (4H, P), w_hr (P, H) -> y (T, B, P), h_n (B, P), c_n (B, H).
    """
    name = "lstm"
    gates = 4
    first = 3

    def __init__(self, batch, batch_sizes, reverse):
        super().__init__(batch_sizes, reverse)
        self._batch = batch

    def forward(self, node, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr):
        features = None if w_hr is None or w_hr.ndim != 2 else w_hr.shape[0]
        N, H, P = self.check(x, w_ih, w_hh, b_ih, b_hh, features, lambda B, H, P: (
            ("h0", h0, (B, P)), ("c0", c0, (B, H)), ("w_hr", w_hr, (P, H))))
        x, h0, c0, w_hh, b_hh, w_hr = contiguous(x), _c(h0), _c(c0), contiguous(w_hh), _c(b_hh), _c(w_hr)
        gates = self.project(x, w_ih, b_ih, N)
        cells, y = empty((N, H), x.dtype, x), empty((N, P), x.dtype, x)
        m = None if w_hr is None else empty((N, H), x.dtype, x)
        hn, cn = empty((self._batch, P), x.dtype, x), empty((self._batch, H), x.dtype, x)
        kernels.on(x).lstm(self._sizes, h0, c0, w_hh, b_hh, w_hr, gates, cells, m, y, hn, cn, reverse=self.reverse)
        y = y.reshape((*x.shape[:-1], P))
        node.save(x, h0, c0, w_ih, w_hh, w_hr, gates, cells, m, y)      # gates and cells for their slopes, the rest for
        return y, hn, cn                                                # products

    def backward(self, node, dy, dhn, dcn):
        x, h0, c0, w_ih, w_hh, w_hr, gates, cells, m, y = node.saved
        (N, H), P, B = cells.shape, y.shape[-1], self._batch
        y = y.reshape((N, P))
        dz = empty((N, 4 * H), x.dtype, x)
        dh = None if w_hr is None else empty((N, P), x.dtype, x)
        dh0, dc0 = empty((B, P), x.dtype, x), empty((B, H), x.dtype, x)
        kernels.on(x).lstm_backward(_rows(dy, N), _c(dhn), _c(dcn), self._sizes, c0, w_hh, w_hr, gates, cells, dz, dh, dh0,
                                    dc0, reverse=self.reverse)
        dx, dw_ih, db_ih = self.input_gradients(node, x, w_ih, dz)
        dw_hh, db_hh = self.state_gradients(node, h0, w_hh, y, (dz,))
        dw_hr = None
        if node.needs(7):
            dw_hr, accumulate = node.gradient(7, w_hr.shape, x.dtype)
            matmul.on(x).matmul(_t(dh), m, dw_hr, accumulate=accumulate)
        return dx, dh0 if node.needs(1) else None, dc0 if node.needs(2) else None, dw_ih, dw_hh, db_ih, db_hh, dw_hr


class Gru(_Recurrence):
    """r, z = sigmoid(x_t w^T + b + h_(t-1) v^T + d),  n = tanh(x_t w_n^T + b_n + r u), u = h_(t-1) v_n^T + d_n,
    h_t = (1 - z) n + z h_(t-1);  blocks r, z, n of w_ih, b_ih (w, b) and w_hh, b_hh (v, d)

    Backward: the kernel leaves dz, the gradient of the products with the input, and du; those with the state have
    [dz_r dz_z du]. Then dx = dz w_ih, dw_ih = dz^T x, dw_hh = [dz_r dz_z du]^T h_before, and the sums for the biases.
    x (T, B, I), h0 (B, H), w_ih (3H, I), w_hh (3H, H) -> y (T, B, H), h_n (B, H).
    """
    name = "gru"
    gates = 3

    def __init__(self, batch, batch_sizes, reverse):
        super().__init__(batch_sizes, reverse)
        self._batch = batch

    def forward(self, node, x, h0, w_ih, w_hh, b_ih, b_hh):
        N, H, _ = self.check(x, w_ih, w_hh, b_ih, b_hh, None, lambda B, H, P: (("h0", h0, (B, H)),))
        x, h0, w_hh, b_hh = contiguous(x), _c(h0), contiguous(w_hh), _c(b_hh)
        gates = self.project(x, w_ih, b_ih, N)
        u, y = empty((N, H), x.dtype, x), empty((N, H), x.dtype, x)
        hn = empty((self._batch, H), x.dtype, x)
        kernels.on(x).gru(self._sizes, h0, w_hh, b_hh, gates, u, y, hn, reverse=self.reverse)
        y = y.reshape((*x.shape[:-1], H))
        node.save(x, h0, w_ih, w_hh, gates, u, y)           # gates, u and y for slopes, the rest for products
        return y, hn

    def backward(self, node, dy, dhn):
        x, h0, w_ih, w_hh, gates, u, y = node.saved
        N, H = u.shape
        y = y.reshape((N, H))
        dz, du = empty((N, 3 * H), x.dtype, x), empty((N, H), x.dtype, x)
        dh0 = empty((self._batch, H), x.dtype, x)
        kernels.on(x).gru_backward(_rows(dy, N), _c(dhn), self._sizes, h0, w_hh, gates, u, y, dz, du, dh0,
                                   reverse=self.reverse)
        dx, dw_ih, db_ih = self.input_gradients(node, x, w_ih, dz)
        dw_hh, db_hh = self.state_gradients(node, h0, w_hh, y, (dz[:, :2 * H], du))
        return dx, dh0 if node.needs(1) else None, dw_ih, dw_hh, db_ih, db_hh


def _packing(name, x, batch_sizes):
    """(B, batch sizes on x's device) of a packed input; (0, None) where it is not packed."""
    if batch_sizes is None:
        return 0, None
    if not isinstance(batch_sizes, TensorBase) or device_of(batch_sizes.array) != "cpu" \
            or batch_sizes.array.dtype != int64 or batch_sizes.array.ndim != 1:
        raise TypeError(f"{name}: expected batch_sizes to be an int64 tensor of one axis on the CPU, got {batch_sizes!r}")
    sizes = batch_sizes.array.tolist()
    if not sizes or sizes[-1] < 0 or any(a < b for a, b in zip(sizes, sizes[1:])) \
            or isinstance(x, TensorBase) and x.array.ndim and sum(sizes) != x.array.shape[0]:
        raise ValueError(f"{name}: expected batch_sizes that do not rise and sum to the rows of the input, got {sizes} for "
                         f"shape {getattr(x, 'shape', None)}; make them with pack_padded_sequence")
    if not isinstance(x, TensorBase):
        return sizes[0], None
    return sizes[0], to_device(copy(batch_sizes.array), device_of(x.array))     # backward reads what forward walked


def rnn(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, relu=False, batch_sizes=None, reverse=False):
    """h_t = tanh(x_t w_ih^T + b_ih + h_(t-1) w_hh^T + b_hh), or relu of it; returns (all h, the last h).

    x (T, B, I), or packed (rows, I) with batch_sizes; h0 (B, H) or None; w_ih (H, I), w_hh (H, H), biases (H,) or None.
    reverse walks from the last step to the first.
    """
    batch, sizes = _packing("rnn", x, batch_sizes)
    return apply(Rnn(bool(relu), batch, sizes, bool(reverse)), x, h0, w_ih, w_hh, b_ih, b_hh)


def lstm(x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, w_hr=None, batch_sizes=None, reverse=False):
    """One direction of one LSTM layer; returns (all h, the last h, the last c).

    x (T, B, I), or packed (rows, I) with batch_sizes; h0 (B, P), c0 (B, H) or None; w_ih (4H, I), w_hh (4H, P), biases
    (4H,) or None, gates in the order i, f, g, o; w_hr (P, H) projects h, or None and P = H. reverse walks from the last
    step to the first. Hochreiter and Schmidhuber, "Long short-term memory", 1997.
    """
    batch, sizes = _packing("lstm", x, batch_sizes)
    return apply(Lstm(batch, sizes, bool(reverse)), x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr)


def gru(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, batch_sizes=None, reverse=False):
    """One direction of one GRU layer; returns (all h, the last h).

    x (T, B, I), or packed (rows, I) with batch_sizes; h0 (B, H) or None; w_ih (3H, I), w_hh (3H, H), biases (3H,) or None,
    gates in the order r, z, n; the reset gate acts after the product. reverse walks from the last step to the first.
    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", 2014.
    """
    batch, sizes = _packing("gru", x, batch_sizes)
    return apply(Gru(batch, sizes, bool(reverse)), x, h0, w_ih, w_hh, b_ih, b_hh)
