"""DeviceArray and the device "cuda": the vocabulary, copies, what it refuses, and errors that name the remedy."""
import numpy as np
import pytest
from hostmemory import on_device, on_host

import minilayer as ml
from minilayer import device
from minilayer._ext import dispatch
from minilayer.cuda import launch, layout, memory


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 5), (2, 0, 3), (2, 3, 4)])
def test_there_and_back(shape, dtype, rng):
    x = np.asarray(rng.integers(0, 2, shape)).astype(dtype)
    y = memory.from_numpy(x)
    assert (y.shape, y.dtype, y.ndim, y.size) == (x.shape, x.dtype, x.ndim, x.size)
    assert y.strides == x.strides or x.size == 0
    assert y.device_type == "cuda" and y.owns and device.is_contiguous(y)
    back = device.to_device(y, "cpu")
    assert type(back) is np.ndarray and back.dtype == x.dtype and np.array_equal(back, x)


@pytest.mark.parametrize("index", [0, -1, slice(1, None), slice(None, None, -1), slice(4, 0, -2), (slice(None), 2), (..., 1),
                                   (None, 1), (1, ..., None, slice(1, 3)), (slice(3, 1),), ()])
def test_slices_are_numpys(index, rng):
    x = rng.standard_normal((5, 4, 3))
    view = memory.from_numpy(x)[index]
    want = x[index]
    assert view.shape == want.shape and np.array_equal(on_host(view), want)
    assert want.size == 0 or view.strides == want.strides or 1 in want.shape
    assert not view.owns


def test_reshape_is_a_view_or_an_error(rng):
    """Against NumPy, which copies where a view is impossible."""
    seen = {True: 0, False: 0}
    for _ in range(300):
        base = rng.standard_normal((2, 3, 4, 2))
        x = base.transpose(rng.permutation(4)) if rng.random() < 0.5 else base[:, ::2][..., :1]
        factors = [int(f) for f in rng.permutation([1, 2, 2, 2, 2, 3]) if f > 1]
        size, new = x.size, []
        while size > 1 and factors:
            f = factors.pop()
            if size % f == 0:
                new.append(f)
                size //= f
        new = tuple(new) + ((size,) if size > 1 or rng.random() < 0.3 else ())
        possible = np.shares_memory(x.reshape(new), base)
        seen[possible] += 1
        y = on_device(x)
        if possible:
            assert np.array_equal(on_host(y.reshape(new)), x.reshape(new)), (x.shape, x.strides, new)
        else:
            with pytest.raises(ValueError, match="without a copy"):
                y.reshape(new)
    assert min(seen.values()) > 20
    assert memory.from_numpy(np.zeros((0, 3))).reshape(3, -1).shape == (3, 0)


def test_transpose(rng):
    x = rng.standard_normal((2, 3, 4))
    y = memory.from_numpy(x)
    assert np.array_equal(on_host(y.transpose()), x.T)
    assert np.array_equal(on_host(y.transpose((1, 0, 2))), x.transpose(1, 0, 2))
    assert np.array_equal(device.to_device(y.transpose(2, 0, 1), "cpu"), x.transpose(2, 0, 1))


def test_views_of_the_device_module(rng):
    x = memory.from_numpy(rng.standard_normal((3, 1)))
    wide = device.broadcast_to(x, (2, 3, 4))
    assert wide.strides == (0, 8, 0) and np.array_equal(on_host(wide), np.broadcast_to(on_host(x), (2, 3, 4)))
    assert device.as_strided(x, (2,), (16,), 8).address == x.address + 8
    assert np.array_equal(on_host(device.contiguous(wide)), on_host(wide))
    assert np.array_equal(on_host(device.cast(x, np.dtype("float32"))), on_host(x).astype("float32"))


@pytest.mark.parametrize("look", [np.asarray, float, int, bool, len, list, lambda x: x == x, lambda x: np.add(x, 1),
                                  lambda x: x.__array_interface__, hash, lambda x: x.__setitem__(0, 1)])
def test_never_on_the_host_by_itself(look):
    with pytest.raises(TypeError):
        look(memory.from_numpy(np.ones(1)))


@pytest.mark.parametrize("call, error, words", [
    (lambda x: x.reshape(7), ValueError, "6 elements"),
    (lambda x: x.transpose(0, 0), ValueError, "every axis"),
    (lambda x: x[1, 2, 3], IndexError, "at most 2"),
    (lambda x: x[2], IndexError, "out of bounds"),
    (lambda x: x[[0, 1]], TypeError, "integers, slices"),
    (lambda x: x[True], TypeError, "integers, slices"),
])
def test_misuse_of_an_array(call, error, words):
    with pytest.raises(error, match=words):
        call(memory.from_numpy(np.zeros((2, 3))))


def test_pieces_cover_a_shape_once(monkeypatch, rng):
    """Merging, and the loop over what a kernel cannot take, visit every element once, at its place."""
    for limit in (layout.LARGEST, 7):
        monkeypatch.setattr(layout, "LARGEST", limit)
        for _ in range(60):
            shape = tuple(rng.integers(1, 4, rng.integers(0, 7)))
            base = np.arange(int(np.prod(shape, dtype=int)) * 2)
            x = base[:base.size // 2].reshape(shape)
            x = x.transpose(rng.permutation(x.ndim)) if x.ndim else x
            found = []
            for sizes, (own,), (offset,) in layout.pieces(x.shape, [[s // 8 for s in x.strides]], 2):
                assert len(sizes) <= 2 and np.prod(sizes, dtype=int) <= limit
                sizes, (own,) = layout.padded(sizes, [own], 2)
                found += [offset + i * own[0] + j * own[1] for i in range(sizes[0]) for j in range(sizes[1])]
            assert sorted(found) == sorted(x.reshape(-1).tolist())


def test_a_tensor_on_cuda(rng):
    x = rng.standard_normal((2, 3)).astype("float32")
    t = ml.tensor(x).to("cuda")
    assert t.device == "cuda" and t.cpu().device == "cpu" and "device='cuda'" in repr(t)
    assert np.array_equal(t.cpu().numpy(), x) and t.to("cuda") is t and t.to("cuda:0") is t
    assert (t[1, 2] * 2).item() == x[1, 2] * 2
    with pytest.raises(TypeError, match="cpu"):
        t.numpy()


def test_gradients_cross_between_devices(rng):
    x = ml.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    (x.to("cuda") * 2).cpu().sum().backward()
    assert x.grad.device == "cpu" and (x.grad.numpy() == 2).all()


@pytest.mark.parametrize("call", [
    lambda a, b: a + b, lambda a, b: a @ b, lambda a, b: ml.functional.linear(a, b), lambda a, b: ml.functional.linear(b, a)])
def test_mixed_devices_raise(call):
    a, b = ml.tensor(np.ones((2, 2))), ml.tensor(np.ones((2, 2))).to("cuda")
    with pytest.raises(RuntimeError, match="cpu.*cuda|cuda.*cpu"):
        call(a, b)


def test_a_kernel_refuses_a_host_array():
    with pytest.raises((TypeError, AttributeError)):
        dispatch.family("matmul").load("cuda").matmul(*[memory.from_numpy(np.ones((2, 2)))] * 2, np.ones((2, 2)))
    y = memory.from_numpy(np.ones(2))
    from minilayer._ext import norm_cuda
    with pytest.raises(TypeError, match="CUDA array"):
        norm_cuda._layer_norm[y.dtype](1, *[np.ones(2)] * 6, 2, 1, 1, 0.0)
    with pytest.raises(TypeError, match="expected float64"):
        norm_cuda._layer_norm[y.dtype](1, *[memory.from_numpy(np.ones(2, "float32"))] * 6, 2, 1, 1, 0.0)
    with pytest.raises(TypeError, match="10 arguments"):
        norm_cuda._layer_norm[y.dtype](1, y)
    with pytest.raises(TypeError, match="only for float32, float64"):
        norm_cuda._layer_norm[np.dtype("int64")]


def test_a_family_without_kernels_names_the_file():
    with pytest.raises(NotImplementedError, match=r"conv_cuda\.py"):
        ml.functional.conv2d(ml.tensor(np.ones((1, 1, 3, 3))).to("cuda"), ml.tensor(np.ones((1, 1, 2, 2))).to("cuda"))


def test_a_function_without_a_kernel_names_the_file():
    x = ml.tensor(np.ones((4, 2))).to("cuda")
    with pytest.raises(NotImplementedError, match=r"batch_norm.*minilayer/_ext/norm_cuda\.py.*cpu"):
        ml.BatchNorm1d(2).double().to("cuda")(x)
    with pytest.raises(NotImplementedError, match=r"reduce\.cumsum"):
        dispatch.family("reduce").load("cuda").cumsum
    with pytest.raises(AttributeError, match="nonsense"):
        dispatch.family("reduce").load("cuda").nonsense


@pytest.mark.parametrize("family", ["norm", "softmax", "optimizer"])
def test_missing_is_what_the_reference_has(family):
    """Every function of the reference is here or says that it is not."""
    import importlib
    reference = importlib.import_module(f"minilayer._ext.{family}_reference")
    cuda = dispatch.family(family).load("cuda")
    for name, f in vars(reference).items():
        if not name.startswith("_") and getattr(f, "__module__", "") == reference.__name__ and callable(f):
            try:
                assert callable(getattr(cuda, name))
            except NotImplementedError as error:
                assert name in str(error)


@pytest.mark.parametrize("label", [3, -1, 2**40])
def test_a_label_out_of_range_raises(label):
    x = ml.tensor(np.zeros((2, 3), "float32")).to("cuda")
    with pytest.raises(IndexError, match=rf"labels in \[0, 3\).*got {label}"):
        ml.functional.cross_entropy(x, ml.tensor(np.array([0, label])).to("cuda"))


def test_kernels_that_take_c_order_check_it(rng):
    from minilayer._ext import norm_cuda, optimizer_cuda, softmax_cuda
    x = memory.from_numpy(rng.standard_normal((3, 3))).transpose()
    row = memory.from_numpy(np.zeros(3))
    with pytest.raises(ValueError, match="layer_norm: expected C order"):
        norm_cuda.layer_norm(x, None, None, memory.empty((3, 3), "float64"), row, row)
    with pytest.raises(ValueError, match="softmax: expected C order"):
        softmax_cuda.softmax(x[None], memory.empty((1, 3, 3), "float64"))
    with pytest.raises(ValueError, match="optimizer: expected C order"):
        optimizer_cuda.sgd([x], [x], None, memory.from_numpy(np.zeros(2)))
    with pytest.raises(ValueError, match="one shape and dtype"):
        optimizer_cuda.sgd([row], [memory.from_numpy(np.zeros(2))], None, memory.from_numpy(np.zeros(2)))


def test_an_empty_extreme_raises():
    x = memory.empty((0, 2), "float32")
    from minilayer._ext import reduce_cuda
    with pytest.raises(ValueError, match="at least one element"):
        reduce_cuda.max(x, memory.empty((1, 2), "float32"))
    with pytest.raises(ValueError, match="at least one element"):
        reduce_cuda.argmax(x, memory.empty((1, 2), "int64"), axis=0)


def test_misuse_of_kernels():
    from minilayer._ext import indexing_cuda, matmul_cuda, reduce_cuda
    x = memory.from_numpy(np.zeros((1, 2), "float32"))
    with pytest.raises(ValueError, match="activation to be one of"):
        matmul_cuda.linear(x, x, None, memory.empty((1, 1), "float32"), activation="tanh")
    with pytest.raises(ValueError, match=r"fewer than 2\*\*31"):
        reduce_cuda.sum(device.as_strided(x, (2**31, 2), (0, 4)), device.as_strided(x, (2**31, 1), (0, 4)))
    with pytest.raises(OverflowError):
        indexing_cuda.fill(memory.empty((2,), "uint8"), value=300)


def test_copy_within_one_block_of_memory(rng):
    from minilayer._ext import indexing_cuda
    for target, source in [(slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None)),
                           (slice(None), slice(None, None, -1)), (slice(None), slice(None))]:
        x = rng.standard_normal(9)
        y = memory.from_numpy(x)
        indexing_cuda.copy(y[source], y[target])
        x[target] = x[source].copy()
        assert np.array_equal(on_host(y), x)


def test_many_axes_of_any_strides(rng):
    """More axes than kernels take: a loop on the host, or a copy."""
    from minilayer._ext import arithmetic_cuda, reduce_cuda
    x = np.asfortranarray(rng.standard_normal((2, 3, 2, 2, 3, 2)))[::-1, :, ::-1]
    y = memory.from_numpy(np.zeros(x.shape))
    arithmetic_cuda.mul(on_device(x), on_device(x), y)
    assert np.array_equal(on_host(y), x * x)
    for axes in [(0, 2, 4), (1, 3, 5), (0, 1, 2, 3, 4, 5), (2,)]:
        total = memory.empty(tuple(1 if d in axes else n for d, n in enumerate(x.shape)), "float64")
        reduce_cuda.sum(on_device(x), total)
        np.testing.assert_allclose(on_host(total), x.sum(axes, keepdims=True), rtol=1e-12, atol=1e-12)
        before = on_host(total)
        reduce_cuda.sum(on_device(x), total, accumulate=True)
        np.testing.assert_allclose(on_host(total), before * 2, rtol=1e-12, atol=1e-12)
    index, value = memory.empty((2, 3, 2, 1, 3, 2), "int64"), memory.empty((2, 3, 2, 1, 3, 2), "float64")
    reduce_cuda.max_with_index(on_device(x), value, index, axis=3)
    assert np.array_equal(on_host(index), x.argmax(3, keepdims=True)) and np.array_equal(on_host(value), x.max(3, keepdims=True))


def test_an_index_outside_the_memory_raises():
    """The simulator's pointer is checked; a GPU's is not."""
    flat = memory.Flat(memory.from_numpy(np.zeros(3))[1:])
    flat[1] = 5.0
    assert flat[1] == 5 and flat[-1] == 0
    for i in (2, -2):
        with pytest.raises(IndexError):
            flat[i]
        with pytest.raises(IndexError):
            flat[i] = 0


def test_tests_of_the_simulator():
    """What our simulator must refuse, it refuses."""
    import fastsim

    from minilayer.cuda import _nb
    cuda = _nb.cuda

    def some_wait(x):
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()

    def apart(x):
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()
        else:
            cuda.syncthreads()

    def no_barrier(x):
        part = cuda.shared.array(8, np.float32)
        part[cuda.threadIdx.x] = 1
        x[cuda.threadIdx.x] = part[7 - cuda.threadIdx.x]

    x = memory.from_numpy(np.zeros(8, "float32"))
    for kernel in (some_wait, apart):
        with pytest.raises(fastsim.BarrierError):
            _nb.simulate(kernel, (1, 1, 1), (8, 1, 1), [memory.Flat(x)])
    with pytest.raises(ValueError, match="2048 threads"):
        _nb.simulate(some_wait, (1, 1, 1), (2048, 1, 1), [memory.Flat(x)])
    _nb.simulate(no_barrier, (1, 1, 1), (8, 1, 1), [memory.Flat(x)])
    assert np.isnan(on_host(x)).sum() == 4


def test_recipes_are_named_and_limited():
    names = [(r.family, r.name, r.dtypes) for r in launch.RECIPES]
    assert len(names) == len({str(n) for n in names}), "two kernels of one family have one name"
    for recipe in launch.RECIPES:
        assert 0 < recipe.regs_max <= 128 and recipe.parameters
