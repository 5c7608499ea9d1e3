"""Shapes that nobody chose: drawn by hypothesis, checked against NumPy, and their gradients against differences."""
import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import minilayer as ml
import minilayer.functional as F
from minilayer.gradcheck import gradcheck

quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)
SHAPE = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def values(shape, seed):
    return np.asarray(np.random.default_rng(seed).uniform(0.3, 2.0, shape))


def leaf(array):
    return ml.tensor(array, requires_grad=True)


def close(tensor, array):
    assert tensor.shape == np.shape(array)
    np.testing.assert_allclose(tensor.detach().numpy(), array, rtol=1e-13, atol=1e-13)


@quick
@given(arrays.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0))
def test_broadcasting(found):
    (first, second), _ = found
    a, b = values(first, 0), values(second, 1)
    x, y = leaf(a), leaf(b)
    close(x * y + x / y - y, a * b + a / b - b)
    gradcheck(lambda x, y: x * y + x / y - y, x, y)


@quick
@given(SHAPE, st.data())
def test_reductions(shape, data):
    a = values(shape, 0)
    axes = tuple(data.draw(st.sets(st.integers(-len(shape), len(shape) - 1)))) if shape else ()
    axes = {axis % len(shape) for axis in axes} if shape else axes
    keepdim = data.draw(st.booleans())
    dim = tuple(axes) if axes else None
    x = leaf(a)
    close(x.sum(dim, keepdim), a.sum(dim, keepdims=keepdim))
    gradcheck(lambda x: x.sum(dim, keepdim) * 2, x)
    if a.size:
        close(x.amax(dim, keepdim), a.max(dim, keepdims=keepdim))
        close(x.mean(dim, keepdim), a.mean(dim, keepdims=keepdim))
        gradcheck(lambda x: x.mean(dim, keepdim) * x.amax(dim, keepdim), x)


@quick
@given(arrays.mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=2, max_side=3, min_side=0))
def test_matrix_products(found):
    (first, second), _ = found
    a, b = values(first, 0), values(second, 1)
    x, y = leaf(a), leaf(b)
    close(x @ y, a @ b)
    gradcheck(lambda x, y: x @ y, x, y)


@quick
@given(SHAPE, st.data())
def test_basic_and_integer_indexing(shape, data):
    a = values(shape, 0)
    index = data.draw(arrays.basic_indices(shape, allow_newaxis=True, max_dims=6))
    parts = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts):
        x = leaf(a)
        close(x[index], a[index])
        gradcheck(lambda x: x[index] * 2, x)
    if shape and shape[0]:
        places = data.draw(arrays.arrays(np.int64, arrays.array_shapes(max_dims=2, max_side=3),
                                         elements=st.integers(-shape[0], shape[0] - 1)))
        x = leaf(a)
        close(x[ml.tensor(places)], a[places])
        gradcheck(lambda x: x[ml.tensor(places)] * 2, x)
    mask = a > np.median(a) if a.size else np.zeros(shape, bool)
    if shape:
        x = leaf(a)
        close(x[ml.tensor(mask)], a[mask])


@quick
@given(SHAPE, st.data())
def test_transposing_and_reshaping(shape, data):
    a = values(shape, 0)
    order = data.draw(st.permutations(range(len(shape))))
    x = leaf(a)
    close(x.permute(*order), a.transpose(order))
    close(x.permute(*order).reshape(-1) if a.size else x.reshape(-1), a.transpose(order).reshape(-1) if a.size else a.reshape(-1))
    gradcheck(lambda x: x.permute(*order).reshape(a.size) * ml.tensor(np.arange(float(a.size))), x)


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3),
       st.integers(1, 3), st.integers(0, 2),
       st.integers(1, 2))
def test_convolution(batch, channels, height, width, kernel, stride, padding, dilation):
    if min(height, width) + 2 * padding < dilation * (kernel - 1) + 1:
        return
    a, b = values((batch, channels, height, width), 0), values((2, channels, kernel, kernel), 1)
    padded = np.pad(a, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    reach = dilation * (kernel - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (reach, reach), (2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    x, w = leaf(a), leaf(b)
    close(F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation), np.einsum("bchwkl,ockl->bohw", windows, b))
    gradcheck(lambda x, w: F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation), x, w)
