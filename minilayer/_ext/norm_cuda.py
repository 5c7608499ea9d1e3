"""Layer normalisation on CUDA: the contract of norm_reference.py. Batch normalisation has no kernel yet.

Statistics stay in x's dtype, which on most GPUs is 32 to 64 times as fast as float64. A mean rounded to float32 would
be off by up to half a unit of a large mean, so it is kept in two parts, m and the mean of x - m, and the variance is
corrected by the second: var = mean((x - m)^2) - mean(x - m)^2.
"""
from minilayer.cuda import _nb as m
from minilayer.cuda.blocks import BLOCK, block_sum
from minilayer.cuda.launch import blocks_for, expect_contiguous, kernel, missing

__getattr__ = missing(__name__)

cuda = m.cuda


@kernel("6T i uu t", block=BLOCK, regs=48)
def _layer_norm(real):
    """A block for each row."""
    zero, one, total = real(0), real(1), block_sum(real)

    def layer_norm(x, w, b, y, mean, rstd, D, has_w, has_b, eps):
        row = cuda.blockIdx.x
        first = row * D
        s = zero
        for d in range(cuda.threadIdx.x, D, BLOCK):
            s += x[first + d]
        coarse = total(s) / real(D)
        s = zero
        s2 = zero
        for d in range(cuda.threadIdx.x, D, BLOCK):
            c = x[first + d] - coarse
            s += c
            s2 += c * c
        fine = total(s) / real(D)
        variance = total(s2) / real(D) - fine * fine
        r = one / m.sqrt(variance + eps)
        for d in range(cuda.threadIdx.x, D, BLOCK):
            v = ((x[first + d] - coarse) - fine) * r
            if has_w:
                v = v * w[d]
            if has_b:
                v = v + b[d]
            y[first + d] = v
        if cuda.threadIdx.x == 0:
            mean[row] = coarse + fine
            rstd[row] = r
    return layer_norm


@kernel("6T i u", block=BLOCK, regs=48)
def _layer_norm_backward_input(real):
    """A block for each row."""
    zero, total = real(0), block_sum(real)

    def layer_norm_backward_input(dy, x, w, mean, rstd, dx, D, has_w):
        row = cuda.blockIdx.x
        first = row * D
        mu = mean[row]
        r = rstd[row]
        s = zero
        sx = zero
        for d in range(cuda.threadIdx.x, D, BLOCK):
            g = dy[first + d]
            if has_w:
                g = g * w[d]
            s += g
            sx += g * ((x[first + d] - mu) * r)
        s = total(s) / real(D)
        sx = total(sx) / real(D)
        for d in range(cuda.threadIdx.x, D, BLOCK):
            g = dy[first + d]
            if has_w:
                g = g * w[d]
            xhat = (x[first + d] - mu) * r
            dx[first + d] = r * (g - s - xhat * sx)
    return layer_norm_backward_input


@kernel("6T ii uuu", block=BLOCK, regs=48)
def _layer_norm_backward_parameters(real):
    """A thread for each feature goes down the rows; neighbours read neighbours. The sums carry their rounding errors
    along (Kahan), because the rows of a batch are many."""
    zero = real(0)

    def layer_norm_backward_parameters(dy, x, mean, rstd, dw, db, R, D, has_dw, has_db, accumulate):
        d = cuda.grid(1)
        if d < D:
            sw = zero
            cw = zero
            sb = zero
            cb = zero
            for row in range(R):
                g = dy[row * D + d]
                v = g - cb
                t = sb + v
                cb = (t - sb) - v
                sb = t
                v = g * ((x[row * D + d] - mean[row]) * rstd[row]) - cw
                t = sw + v
                cw = (t - sw) - v
                sw = t
            if has_dw:
                dw[d] = dw[d] + sw if accumulate else sw
            if has_db:
                db[d] = db[d] + sb if accumulate else sb
    return layer_norm_backward_parameters


def layer_norm(x, w, b, y, mean, rstd, *, eps=1e-5):
    """y[r,d] = (x[r,d] - mean[r]) * rstd[r] * w[d] + b[d], the variance biased (divided by D).

    x, y (R,D); w, b (D,) or None (1 and 0); mean, rstd (R,).
    """
    expect_contiguous("layer_norm", x, w, b, y, mean, rstd)
    R, D = x.shape
    _layer_norm[x.dtype](R, x, w, b, y, mean, rstd, D, w is not None, b is not None, eps)


def layer_norm_backward(dy, x, w, mean, rstd, dx, dw, db, *, accumulate=False):
    """With xhat = (x - mean) * rstd and g = dy * w:

        dx = rstd * (g - mean_d(g) - xhat * mean_d(g * xhat))     dw = sum_r dy * xhat     db = sum_r dy

    dx, dw, db may be None; `accumulate` adds to dw and db.
    """
    expect_contiguous("layer_norm_backward", dy, x, w, mean, rstd, dx, dw, db)
    R, D = x.shape
    if dx is not None and x.size:
        _layer_norm_backward_input[x.dtype](R, dy, x, w, mean, rstd, dx, D, w is not None)
    if dw is not None or db is not None:
        _layer_norm_backward_parameters[x.dtype](blocks_for(D, BLOCK), dy, x, mean, rstd, dw, db, R, D, dw is not None,
                                                 db is not None, bool(accumulate))
