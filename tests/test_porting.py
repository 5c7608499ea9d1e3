"""What PyTorch's tutorials write must run with the import changed: the names they use, and the device they choose."""
import copy
import pickle

import numpy as np
import pytest

import minilayer as ml

NAMES = """
Generator Size Tensor abs accelerator.current_accelerator accelerator.is_available addmm allclose any all arange argmax
argsort as_tensor asarray autograd.Function autograd.backward autograd.grad autograd.no_grad bernoulli bincount bitwise_and
bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm bool broadcast_to can_cast cat chunk clamp
concat cos cuda.device_count cuda.is_available cuda.manual_seed cuda.manual_seed_all cuda.synchronize cumsum device diag dot
double dropout dtype einsum empty empty_like enable_grad eq equal erf exp eye finfo flatten flip float float32 float64 floor
from_dlpack from_numpy full full_like gather get_default_dtype get_num_threads get_rng_state hstack iinfo index_select
inference_mode inf initial_seed int int32 int64 is_floating_point is_grad_enabled is_tensor isclose isfinite isinf isnan lerp
linalg.norm linspace load log log1p logical_and logical_not logical_or logical_xor logspace long manual_seed masked_fill
masked_select matmul max mean meshgrid min mm multinomial nan nan_to_num neg nn.AdaptiveAvgPool2d nn.AvgPool2d nn.BCELoss
nn.BCEWithLogitsLoss nn.BatchNorm1d nn.BatchNorm2d nn.Bilinear nn.Conv2d nn.ConvTranspose2d nn.CosineSimilarity
nn.CrossEntropyLoss nn.Dropout nn.Dropout2d nn.ELU nn.Embedding nn.EmbeddingBag nn.Flatten nn.GELU nn.GRU nn.GRUCell
nn.Identity nn.KLDivLoss nn.L1Loss nn.LSTM nn.LSTMCell nn.LayerNorm nn.LeakyReLU nn.Linear nn.LogSoftmax nn.MSELoss
nn.MaxPool2d nn.Module nn.ModuleDict nn.ModuleList nn.MultiheadAttention nn.NLLLoss nn.Parameter nn.ParameterDict
nn.ParameterList nn.RNN nn.RNNCell nn.ReLU nn.Sequential nn.Sigmoid nn.SmoothL1Loss nn.Softmax nn.Tanh nn.Transformer
nn.TransformerDecoder nn.TransformerEncoder nn.TransformerEncoderLayer nn.functional.binary_cross_entropy
nn.functional.cross_entropy nn.functional.dropout nn.functional.interpolate nn.functional.log_softmax nn.functional.max_pool2d
nn.functional.mse_loss nn.functional.nll_loss nn.functional.normalize nn.functional.one_hot nn.functional.pad
nn.functional.relu nn.functional.scaled_dot_product_attention nn.functional.softmax nn.init.constant_ nn.init.kaiming_normal_
nn.init.kaiming_uniform_ nn.init.normal_ nn.init.ones_ nn.init.orthogonal_ nn.init.uniform_ nn.init.xavier_normal_
nn.init.xavier_uniform_ nn.init.zeros_ nn.utils.clip_grad_norm_ nn.utils.clip_grad_value_ nn.utils.parameters_to_vector
nn.utils.parametrize nn.utils.rnn.pack_padded_sequence nn.utils.rnn.pad_packed_sequence nn.utils.rnn.pad_sequence
nn.utils.vector_to_parameters no_grad nonzero norm normal numel ones ones_like optim.Adagrad optim.Adam optim.AdamW
optim.RMSprop optim.SGD optim.lr_scheduler.ExponentialLR optim.lr_scheduler.LambdaLR optim.lr_scheduler.ReduceLROnPlateau
optim.lr_scheduler.StepLR outer permute pi pow prod promote_types rand rand_like randint randint_like randn randn_like
randperm reciprocal relu reshape result_type round rsqrt save scatter set_default_dtype set_grad_enabled set_num_threads
set_rng_state sigmoid sign sin softmax sort split sqrt square squeeze stack std sum tanh tensor tensordot topk transpose tril
tril_indices triu uint8 unbind unique unsqueeze utils.data.DataLoader utils.data.Dataset utils.data.Subset
utils.data.TensorDataset utils.data.default_collate utils.data.random_split var vstack where zeros zeros_like
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_the_tutorials_names(name):
    found = ml
    for part in name.split("."):
        found = getattr(found, part)


def test_a_device_stands_wherever_its_name_does():
    device = ml.device("cuda" if ml.cuda.is_available() else "cpu")
    x = ml.ones(2, device=device)
    model = ml.nn.Linear(2, 3, device=device).to(device)
    assert x.device == device == next(model.parameters()).device and x.device.type == device.type and x.to(device) is x
    assert isinstance(device, ml.device) and not isinstance("cpu", ml.device)

    def annotated(where: ml.device | None = None, otherwise: None | ml.device = None):
        return where

    assert annotated(device) is device


def test_what_a_device_is():
    cpu, second = ml.device("cpu"), ml.device("cuda", 1)
    assert (cpu.type, cpu.index) == ("cpu", None) and (second.type, second.index) == ("cuda", 1)
    assert repr(cpu) == "device(type='cpu')" and repr(second) == "device(type='cuda', index=1)"
    assert (str(cpu), str(second), f"{second}") == ("cpu", "cuda:1", "cuda:1")
    assert cpu == "cpu" and hash(cpu) == hash("cpu") and second == ml.device("cuda:1") == ml.device(1) != ml.device("cuda")
    assert {cpu: 1}["cpu"] == 1 and ml.device(cpu) == cpu == copy.deepcopy(cpu)
    assert pickle.loads(pickle.dumps(second)) == second and ml.zeros(1).device == cpu == "cpu"


@pytest.mark.parametrize("arguments, error", [(("mps2",), ValueError), (("cuda:x",), ValueError), (("cpu:0", 1), ValueError),
                                              (("cuda", -1), ValueError), ((3.5,), TypeError), ((None,), TypeError),
                                              ((True,), TypeError)])
def test_a_device_that_is_none(arguments, error):
    with pytest.raises(error, match="device: expected"):
        ml.device(*arguments)


def test_gpus_are_counted():
    assert ml.cuda.device_count() == ml.accelerator.device_count() == int(ml.cuda.is_available())
    assert ml.accelerator.current_accelerator() == ("cuda" if ml.cuda.is_available() else None)
    ml.cuda.manual_seed(3)
    first = ml.rand(3)
    ml.manual_seed(3)
    assert ml.equal(first, ml.rand(3))


def test_the_default_dtype():
    ml.set_default_dtype(ml.float32)
    assert ml.get_default_dtype() == ml.float32 == ml.tensor(1.5).dtype and isinstance(ml.float32, ml.dtype)
    with pytest.raises(ValueError, match="set_default_dtype: expected float32"):
        ml.set_default_dtype(ml.float64)


DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


@pytest.mark.parametrize("a", DTYPES)
def test_dtypes_that_meet(a):
    for i, b in enumerate(DTYPES):
        assert ml.promote_types(a, b) == DTYPES[max(i, DTYPES.index(a))]
        assert ml.can_cast(a, b) == (KINDS[np.dtype(a).kind] <= KINDS[np.dtype(b).kind])


def test_backward_of_several_tensors():
    x = ml.ones(2, requires_grad=True)
    ml.autograd.backward([x.sum(), x * 2], [None, ml.ones(2)])
    assert x.grad.tolist() == [3.0, 3.0]
    ml.autograd.backward((x * 2).sum())
    assert x.grad.tolist() == [5.0, 5.0]
    with pytest.raises(ValueError, match="backward: expected one of grad_tensors for each of the 2 tensors, got 1"):
        ml.autograd.backward([x.sum(), x.sum()], ml.ones(()))
    with pytest.raises(TypeError, match="backward: expected tensors, got float"):
        ml.autograd.backward([1.0])


class Legendre(ml.autograd.Function):
    """PyTorch's tutorial on functions of one's own: P3(x) = (5 x^3 - 3 x) / 2."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return 0.5 * (5 * x ** 3 - 3 * x)

    @staticmethod
    def backward(ctx, dy):
        x, = ctx.saved_tensors
        return dy * 1.5 * (5 * x ** 2 - 1)


class Scaled(ml.autograd.Function):
    """Two outputs, an argument that is no tensor, one output without a gradient."""

    @staticmethod
    def forward(ctx, x, factor, y):
        ctx.factor = factor
        ctx.save_for_backward(x, None, y)
        sign = x.sign()
        ctx.mark_non_differentiable(sign)
        return x * factor, x * y, sign

    @staticmethod
    def backward(ctx, da, db, dsign):
        x, nothing, y = ctx.saved_tensors
        assert nothing is None and ctx.needs_input_grad == (True, False, True) and not dsign.any()
        return da * ctx.factor + db * y, None, db * x


def test_a_function_of_one_s_own():
    x = ml.tensor([0.5, -1.5], dtype=ml.float64, requires_grad=True)
    y = ml.tensor([2.0, 3.0], dtype=ml.float64, requires_grad=True)
    for check in (ml.gradcheck, ml.gradgradcheck):
        assert check(Legendre.apply, x)
        assert check(lambda x, y: Scaled.apply(x, 3.0, y)[0], x, y) and check(lambda x, y: Scaled.apply(x, 3.0, y)[1], x, y)
    a, _, sign = Scaled.apply(x, 3.0, y)
    assert a.requires_grad and not sign.requires_grad
    a.sum().backward()                              # the other output's gradient is 0
    assert x.grad.tolist() == [3.0, 3.0] and y.grad.tolist() == [0.0, 0.0]
    with ml.no_grad():
        assert not Legendre.apply(x).requires_grad


def function(forward, backward=None):
    made = type("Mine", (ml.autograd.Function,), {"forward": staticmethod(forward)})
    if backward is not None:
        made.backward = staticmethod(backward)
    return made.apply


def test_functions_that_go_wrong():
    x = ml.ones(2, requires_grad=True)
    same = function(lambda ctx, x: x, lambda ctx, dy: dy)(x)          # what forward returns as it is does not become x itself
    assert same.array is not x.array
    same.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    kept = function(lambda ctx, x: ctx.save_for_backward(x) or x * 2, lambda ctx, dy: dy)(x * 1)
    x.grad = None
    kept.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]

    def saving(ctx, x):
        ctx.save_for_backward(x)
        return x * 1

    middle = x * 1
    late = function(saving, lambda ctx, dy: dy * ctx.saved_tensors[0])(middle)
    middle.add_(1)
    for call, error, match in [
            (lambda: function(lambda ctx, x: 1.0)(x), TypeError, "Mine: expected forward to return tensors, got float"),
            (lambda: Legendre.apply(1.0), TypeError, "Legendre: expected at least one tensor among the arguments"),
            (lambda: ml.autograd.Function.apply(x), NotImplementedError, r"define forward\(ctx, \*args\)"),
            (lambda: function(lambda ctx, x: x * 1)(x).sum().backward(), NotImplementedError, r"define backward\(ctx"),
            (lambda: function(lambda ctx, x: x * 1, lambda ctx, dy: (dy, dy))(x).sum().backward(), RuntimeError,
             "Mine: backward returned 2 gradients, expected one for each of forward's 1 arguments"),
            (lambda: function(lambda ctx, x: x * 1, lambda ctx, dy: dy[:1])(x).sum().backward(), RuntimeError,
             r"Mine: backward returned shape \(1,\) .* for argument 0; expected a tensor of shape \(2,\)"),
            (lambda: late.sum().backward(), RuntimeError, "Mine")]:
        with pytest.raises(error, match=match):
            call()
