"""Matrix products on CUDA: the contract of matmul_reference.py.

A block of TILE x TILE threads makes a tile of y. It walks along K: each thread brings one element of a and one of b
into shared memory, then each reads a row of one and a column of the other from there, TILE products an element fetched.
Sums run in order of K in the dtype itself. Strides are free, so that transposed and repeated operands need no copy.
(Register tiles, 128-bit loads and tensor cores are for the issue on speed.)
"""
from minilayer.cuda import SIMULATED, _nb
from minilayer.cuda.launch import blocks_for, kernel, missing
from minilayer.cuda.layout import padded, pieces, spread

__getattr__ = missing(__name__)

cuda = _nb.cuda
TILE = 4 if SIMULATED else 16           # a simulated thread costs about 10 us
SIDE = TILE * TILE
ACTIVATIONS = (None, "relu")
BATCHES = 65535                         # blocks along the grid's third axis


@kernel("TTTT 5i 4i 4i 4i i uuu", block=(TILE, TILE), regs=96)
def _product(real):
    zero = real(0)

    def product(a, b, bias, y, M, N, K, batch, batch1, a0, a1, am, ak, b0, b1, bk, bn, y0, y1, ym, yn, step,
                accumulate, has_bias, relu):
        left = cuda.shared.array(SIDE, real)
        right = cuda.shared.array(SIDE, real)
        tx = cuda.threadIdx.x
        ty = cuda.threadIdx.y
        i = cuda.blockIdx.y * TILE + ty
        j = cuda.blockIdx.x * TILE + tx
        for z in range(cuda.blockIdx.z, batch, cuda.gridDim.z):
            z0 = z // batch1
            z1 = z - z0 * batch1
            in_a = z0 * a0 + z1 * a1 + i * am
            in_b = z0 * b0 + z1 * b1 + j * bn
            total = zero
            for k in range(0, K, TILE):
                left[ty * TILE + tx] = a[in_a + (k + tx) * ak] if i < M and k + tx < K else zero
                right[ty * TILE + tx] = b[in_b + (k + ty) * bk] if j < N and k + ty < K else zero
                cuda.syncthreads()
                for p in range(TILE):
                    total += left[ty * TILE + p] * right[p * TILE + tx]
                cuda.syncthreads()              # before the next tile overwrites what others still read
            if i < M and j < N:
                o = z0 * y0 + z1 * y1 + i * ym + j * yn
                if accumulate:
                    total = y[o] + total
                if has_bias:
                    total = total + bias[j * step]
                if relu and total <= zero:
                    total = zero
                y[o] = total
    return product


def _run(a, b, bias, y, accumulate, activation):
    """y = act([y +] a b [+ bias]) for every matrix of the batch."""
    M, N = y.shape[-2:]
    K = a.shape[-1]
    strides = [spread(x, x.shape) for x in (a, b, y)]
    step = spread(bias, bias.shape)[0] if bias is not None else 0
    for sizes, outer, offsets in pieces(y.shape[:-2], [s[:-2] for s in strides], 2):
        sizes, outer = padded(sizes, outer, 2)
        batch = sizes[0] * sizes[1]
        grid = (blocks_for(N, TILE), blocks_for(M, TILE), min(batch, BATCHES))
        parts = [x.at(o) for x, o in zip((a, b, y), offsets, strict=True)]
        of_a, of_b, of_y = [(*first, *own[-2:]) for first, own in zip(outer, strides, strict=True)]
        _product[y.dtype](grid, parts[0], parts[1], bias, parts[2], M, N, K, batch, sizes[1], *of_a, *of_b, *of_y, step,
                          bool(accumulate), bias is not None, activation == "relu")


def matmul(a, b, y, *, accumulate=False):
    """y[..., i, j] = sum_p a[..., i, p] b[..., p, j], added to y where `accumulate`.

    a (..., M, K), b (..., K, N), y (..., M, N): the same batch axes on all three, any strides (zero where an axis is
    broadcast). K = 0 gives zeros.
    """
    _run(a, b, None, y, accumulate, None)


def linear(x, w, b, y, *, activation=None, accumulate=False):
    """y[i, j] = act(sum_p x[i, p] w[j, p] + b[j]); with `accumulate`, act(y + x w^T + b).

    x (M, K), w (N, K), b (N,) or None, y (M, N), any strides. `activation`: None or "relu" (relu(NaN) is NaN).
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"linear: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
    _run(x, w.transpose(), b, y, accumulate, activation)
