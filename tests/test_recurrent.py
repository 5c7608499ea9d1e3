"""Recurrent layers beyond their rows: packing, states carried on, what backward leaves alone, and the LSTM that writes."""
import builtins
import doctest

import numpy as np
import pytest
from rounding import same_bits

import minilayer as ml
from minilayer import nn
from minilayer._ext import dispatch, recurrent_reference
from minilayer.models import GPT, CharLSTM
from minilayer.nn.utils import rnn

F = ml.functional
KINDS = [ml.RNN, ml.LSTM, ml.GRU]


def normal(rng, *shape):
    return ml.Tensor(rng.standard_normal(shape))


def output(layer, *arguments):
    """All h, and the last states as a list."""
    y, last = layer(*arguments)
    return y, list(last) if isinstance(last, tuple) else [last]


# ---- packing ----

@pytest.mark.parametrize("name", [n for n in rnn.__all__ if n != "PackedSequence"])
def test_documented_examples_run(name):
    names = {k: v for k, v in vars(ml).items() if not hasattr(builtins, k)} | vars(rnn)
    examples = doctest.DocTestParser().get_doctest(getattr(rnn, name).__doc__, names, name, None, 0)
    assert examples.examples
    report = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert not failed, "".join(report)


def test_charlstm_s_example_runs():
    names = {k: v for k, v in vars(ml).items() if not hasattr(builtins, k)} | {"CharLSTM": CharLSTM}
    report = []
    examples = doctest.DocTestParser().get_doctest(CharLSTM.__doc__, names, "CharLSTM", None, 0)
    failed, _ = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert examples.examples and not failed, "".join(report)


@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_and_padding_undo_each_other(batch_first, rng):
    sequences = [normal(rng, n, 2) for n in (2, 4, 1)]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1] and packed.sorted_indices.tolist() == [1, 0, 2]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=batch_first, padding_value=-1.0, total_length=5)
    assert padded.shape == ((3, 5, 2) if batch_first else (5, 3, 2)) and lengths.tolist() == [2, 4, 1]
    assert (padded == -1).sum().item() == 2 * (15 - 7)
    for unpacked in (rnn.unpack_sequence(packed), rnn.unpad_sequence(padded, lengths, batch_first)):
        for want, got in zip(sequences, unpacked, strict=True):
            assert np.array_equal(want.numpy(), got.numpy())


def test_padding_on_either_side_keeps_the_dtype():
    sequences = [ml.tensor([1, 2, 3]), ml.tensor([4])]
    assert rnn.pad_sequence(sequences, True).tolist() == [[1, 2, 3], [4, 0, 0]]
    left = rnn.pad_sequence(sequences, True, 9, "left")
    assert left.tolist() == [[1, 2, 3], [9, 9, 4]] and left.dtype == ml.int64
    assert rnn.pad_sequence(ml.tensor([[1, 2], [3, 4]])).tolist() == [[1, 3], [2, 4]]


def test_gradients_reach_what_was_packed(rng):
    x = normal(rng, 3, 2, 2).requires_grad_()
    packed = rnn.pack_padded_sequence(x, ml.tensor([3, 1]))
    (packed.data * packed.data).sum().backward()
    want = 2 * x.detach().numpy()
    want[1:, 1] = 0                                     # padding
    assert np.array_equal(x.grad.numpy(), want)


def test_a_packed_sequence_converts_its_data():
    packed = rnn.pack_sequence([ml.ones(2), ml.ones(1)], enforce_sorted=False)
    assert packed.cpu() is packed and packed.float() is packed and not packed.is_cuda
    for name, dtype in (("double", ml.float64), ("long", ml.int64), ("int", ml.int32)):
        other = getattr(packed, name)()
        assert other.data.dtype == dtype and other.batch_sizes is packed.batch_sizes
        assert other.unsorted_indices.tolist() == [0, 1]
    assert rnn.PackedSequence((packed.data, packed.batch_sizes)).sorted_indices is None
    assert rnn.invert_permutation(None) is None


# ---- layers ----

@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_end_as_each_would_alone(kind, rng):
    layer = kind(3, 4, 2, bidirectional=True).double()
    sequences = [normal(rng, n, 3) for n in (2, 4, 1)]
    y, last = output(layer, rnn.pack_sequence(sequences, enforce_sorted=False))
    for i, (sequence, got) in enumerate(zip(sequences, rnn.unpack_sequence(y), strict=True)):
        want, states = output(layer, sequence)
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-12)
        for a, b in zip(last, states, strict=True):
            np.testing.assert_allclose(a.detach().numpy()[:, i], b.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_parts_is_the_sequence(kind, rng):
    layer, x = kind(3, 4, 2).double(), normal(rng, 5, 2, 3)
    whole, end = output(layer, x)
    first, middle = layer(x[:2])
    second, last = output(layer, x[2:], middle)
    np.testing.assert_allclose(ml.cat([first, second]).detach().numpy(), whole.detach().numpy(), rtol=1e-12)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_cell_is_a_step_of_its_layer(name, rng):
    layer, cell = getattr(nn, name)(3, 4), getattr(nn, f"{name}Cell")(3, 4)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, state = normal(rng, 3, 2, 3).float(), None
    for t in range(3):
        state = cell(x[t], state)
    _, last = layer(x)
    for a, b in zip(last if name == "LSTM" else (last,), state if name == "LSTM" else (state,), strict=True):
        np.testing.assert_allclose(b.detach().numpy(), a[0].detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_backward_twice_gives_the_same_twice(kind, rng):
    layer, x = kind(3, 4), normal(rng, 3, 2, 3).float()
    loss = layer(x)[0].sum()
    loss.backward(retain_graph=True)
    first = [p.grad.numpy().copy() for p in layer.parameters()]
    layer.zero_grad()
    loss.backward()
    assert all(same_bits(a, p.grad.numpy()) for a, p in zip(first, layer.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_frozen_gets_no_gradient(kind, rng):
    layer, x = kind(3, 4).requires_grad_(False), normal(rng, 3, 2, 3).float().requires_grad_()
    y, last = output(layer, x)
    last[0].sum().backward()                            # nothing flows into y but through the states
    assert all(p.grad is None for p in layer.parameters()) and np.abs(x.grad.numpy()).min() > 0


def test_dropout_of_a_single_layer_warns():
    with pytest.warns(UserWarning, match="LSTM: dropout=0.5 does nothing with num_layers=1"):
        ml.LSTM(3, 4, dropout=0.5)


def test_parameters_keep_pytorch_s_names_and_order():
    layer = ml.LSTM(3, 5, 2, bidirectional=True, proj_size=2)
    names = [f"{p}_l{k}{suffix}" for k in range(2) for suffix in ("", "_reverse")
             for p in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")]
    assert list(layer.state_dict()) == names
    assert [p is getattr(layer, n) for ps in layer.all_weights for p, n in zip(ps, names, strict=False)][:5] == [True] * 5
    assert layer.flatten_parameters() is None and layer.weight_ih_l1.shape == (20, 4)
    bound = 1 / np.sqrt(5)
    assert all(0.5 * bound < np.abs(p.detach().numpy()).max() <= bound for p in layer.parameters())
    assert repr(ml.GRU(3, 4, 2, bias=False, batch_first=True)).startswith(
        "GRU(3, 4, num_layers=2, bias=False, batch_first=True)")
    assert repr(ml.RNNCell(3, 4, False, "relu")).startswith("RNNCell(3, 4, bias=False, nonlinearity=relu)")


# ---- the compiled kernel refuses what does not fit ----

def kernels():
    family = dispatch.family("recurrent")
    return family.on(np.empty(0))


@pytest.mark.parametrize("change, words", [
    (dict(sizes=[2, 3]), "shape"), (dict(sizes=[2, 2]), "shape"), (dict(sizes=[3, 0]), "shape"),
    (dict(h0=np.ones((3, 4))), "shape"), (dict(w_hh=np.ones((4, 3))), "shape"), (dict(b_hh=np.ones(3)), "shape"),
    (dict(h0=np.ones((2, 4), np.float32)), "dtype"), (dict(w_hh=np.ones((4, 4)).T[::-1]), "contiguous|C order")])
def test_a_kernel_refuses_what_does_not_fit(change, words):
    if kernels().rnn is recurrent_reference.rnn:
        pytest.skip("the reference leaves the checks to NumPy")
    given = dict(sizes=[2, 1], h0=np.ones((2, 4)), w_hh=np.ones((4, 4)), b_hh=np.ones(4)) | change
    with pytest.raises((ValueError, TypeError), match=words):
        kernels().rnn(np.array(given["sizes"]), given["h0"], given["w_hh"], given["b_hh"], np.ones((3, 4)), np.ones((2, 4)))


# ---- the LSTM that writes ----

def test_charlstm_writes_as_it_reads():
    """Letter by letter with the state carried on, the likeliest letters are those of the whole text read at once."""
    ml.manual_seed(3)
    model = CharLSTM(7, width=8, depth=2, dropout=0.5).double()
    written = list(model.generate([1, 2], 6, temperature=0))
    assert model.training
    model.eval()
    whole = [1, 2, *written]
    logits = model(ml.tensor([whole])).detach().numpy()[0]
    assert written == logits[1:-1].argmax(-1).tolist()
    for top_k in (1, 3):
        assert list(model.generate([1], 5, top_k=top_k, rng=ml.Generator(1))) == list(
            model.generate([1], 5, top_k=top_k, rng=ml.Generator(1)))


@pytest.mark.parametrize("arguments, words", [
    (dict(tokens=[]), "at least one token"), (dict(temperature=-1), "temperature of 0 or more"), (dict(top_k=0), "top_k >= 1"),
    (dict(temperature=float("nan")), "temperature of 0 or more, got nan"), (dict(temperature="hot"), "temperature to be a num"),
    (dict(temperature=10**400), "temperature below"), (dict(top_k=2.5), "top_k to be an integer"),
    (dict(count=-1), "count >= 0"), (dict(count=2.0), "count to be an integer"), (dict(tokens="ab"), "tokens to be integers"),
    (dict(tokens=[1.5]), "tokens to be integers"), (dict(tokens=[[1], [2, 3]]), "tokens to be integers, one sequence"),
    (dict(tokens=ml.tensor([[1, 2]])), "tokens to be integers, one sequence"), (dict(tokens=3), "tokens to be integers")])
def test_the_text_models_refuse(arguments, words):
    for model in (CharLSTM(5, 4), GPT(5, 8, 1, 2, 4)):
        with pytest.raises((ValueError, TypeError), match=f"generate: .*{words}"):
            list(model.generate(**{"tokens": [1], "count": 2, **arguments}))


def test_the_text_models_take_any_sequence_of_integers():
    for model in (CharLSTM(5, 4), GPT(5, 8, 1, 2, 4)):
        said = {tuple(model.generate(tokens, 4, temperature=np.float32(0), top_k=np.int64(3)))
                for tokens in ([1, 2], np.array([1, 2]), ml.tensor([1, 2]), range(1, 3), iter([ml.tensor(1), np.int32(2)]))}
        assert len(said) == 1
        assert list(model.generate([1], 0)) == []


@pytest.mark.parametrize("sizes", [[2, 1, 1], [1, 2], [0, 3], [4, -1], [], [2, 2]])
def test_packs_made_by_hand_are_checked(sizes):
    words = "expected batch_sizes that begin with .* do not rise, and add up to the 3 rows"
    with pytest.raises(ValueError, match=f"PackedSequence: {words}"):
        rnn.PackedSequence(ml.arange(3.0), ml.tensor(sizes, dtype="int64"))
    if len(sizes) == 2:
        packed = rnn.PackedSequence(ml.arange(3.0), ml.tensor([2, 1]))
        packed.batch_sizes.copy_(ml.tensor(sizes))                  # written to afterwards
        with pytest.raises(ValueError, match=f"pad_packed_sequence: {words}"):
            rnn.pad_packed_sequence(packed)
    with pytest.raises(TypeError, match="total_length to be an integer"):
        rnn.pad_packed_sequence(rnn.pack_sequence([ml.ones(2)]), total_length="a")


def test_a_pack_by_hand_may_end_in_empty_steps_and_name_its_order():
    data, sizes = ml.arange(3.0), ml.tensor([2, 1, 0])
    y, lengths = rnn.pad_packed_sequence(rnn.PackedSequence(data, sizes))
    assert y.tolist() == [[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]] and lengths.tolist() == [2, 1]
    packed = rnn.PackedSequence((data, sizes), sorted_indices=ml.tensor([1, 0]))
    assert packed.unsorted_indices.tolist() == [1, 0]
    assert rnn.pad_packed_sequence(packed)[1].tolist() == [1, 2]
    assert rnn.PackedSequence(*packed).unsorted_indices is packed.unsorted_indices
    assert rnn.PackedSequence(data, sizes, None, ml.tensor([1, 0])).sorted_indices is None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("cls", KINDS)
def test_an_output_written_to_after_forward_is_noticed(cls, packed, rng):
    layer = cls(2, 3).double()
    x = rnn.PackedSequence(normal(rng, 6, 2), ml.tensor([3, 2, 1])) if packed else normal(rng, 3, 2, 2)
    y, last = output(layer, x)
    y = y.data if packed else y
    loss = (y * 1.0).sum()
    F.relu(y, inplace=True)
    with pytest.raises(RuntimeError, match="saved its output for its gradient, but that memory was changed in place"):
        loss.backward()
    y, last = output(layer, x)
    loss = last[0].sum()
    last[0].mul_(2.0)                                   # the last state is a copy, which no gradient reads
    loss.backward()


@pytest.mark.parametrize("cls", KINDS)
def test_batch_sizes_written_to_after_forward_change_no_gradient(cls, rng):
    layer = cls(2, 3, num_layers=2, bidirectional=True).double()
    x = normal(rng, 6, 2)
    found = []
    for spoil in (False, True):
        packed = rnn.PackedSequence(x.clone().requires_grad_(), ml.tensor([3, 2, 1]))
        y, last = output(layer, packed)
        if spoil:
            packed.batch_sizes.fill_(1)
        found.append(ml.grad([y.data.sum(), last[0].sum()], [packed.data, layer.weight_hh_l0]))
    assert all(same_bits(a.numpy(), b.numpy()) for a, b in zip(*found, strict=True))
