"""Dropout: a mask drawn from the random stream at a given position, so that backward draws it again instead of
keeping it (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014)."""
import numpy as np

from minilayer._ext import philox_reference


def dropout(x, position, y, *, p):
    """y[i] = x[i] / (1 - p) where u[i] >= p, else 0, with u the float32 uniforms of the stream at `position`.

    For both dtypes element i takes word i % 4 of block i // 4. The gradient is the same map: dx = dropout(dy).
    p = 1 gives zeros. A dropped value is 0 also where x is NaN or infinite.
    """
    u = np.empty(x.shape, np.float32)
    philox_reference.uniform(position, u)
    scale = x.dtype.type(1.0 / (1.0 - p) if p < 1 else 0.0)
    y[...] = 0
    np.multiply(x, scale, out=y, where=u.astype(float) >= p)


def dropout_rows(x, position, y, *, p, scale, shift, dropped):
    """y[r,l] = scale x[r,l] + shift where u[r] >= p, else `dropped`: one draw a row, u as in `dropout`.

    x, y (R,L). Rows are channels (feature dropout), or with L = 1 values (alpha dropout: Klambauer et al.,
    "Self-normalizing neural networks", 2017, where scale and shift keep mean 0 and variance 1). A dropped value is
    `dropped` also where x is NaN or infinite.
    """
    u = np.empty(x.shape[0], np.float32)
    philox_reference.uniform(position, u)
    number = x.dtype.type
    with np.errstate(all="ignore"):
        y[...] = np.where((u.astype(float) >= p)[:, None], x * number(scale) + number(shift), number(dropped))
