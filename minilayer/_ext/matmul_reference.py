"""Matrix products in NumPy: what `matmul_cython` and `matmul_cuda` must compute."""
import numpy as np

ACTIVATIONS = (None, "relu")        # what `linear` may apply to its result


def matmul(a, b, y, *, accumulate=False):
    """y[..., i, j] = sum_p a[..., i, p] b[..., p, j], added to y where `accumulate`.

    a (..., M, K), b (..., K, N), y (..., M, N): the same batch axes on all three, any strides (zero where an axis is
    broadcast). K = 0 gives zeros.
    """
    if accumulate:
        y += np.matmul(a, b)
    else:
        y[...] = np.matmul(a, b)


def linear(x, w, b, y, *, activation=None, accumulate=False):
    """y[i, j] = act(sum_p x[i, p] w[j, p] + b[j]); with `accumulate`, act(y + x w^T + b).

    x (M, K), w (N, K), b (N,) or None, y (M, N), any strides. `activation`: None or "relu" (relu(NaN) is NaN).
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"linear: expected activation to be one of {ACTIVATIONS}, got {activation!r}")
    total = x @ w.T
    if accumulate:
        total = y + total
    if b is not None:
        total = total + b
    y[...] = np.maximum(total, 0) if activation == "relu" else total
