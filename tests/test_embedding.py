"""What the table of op rows cannot say about embedding: the padding row, and sums over many equal indices."""
import numpy as np
import pytest

import minilayer as ml
import minilayer.functional as F
from minilayer._ext import embedding_cython, embedding_reference


@pytest.mark.parametrize("padding_idx, row", [(1, 1), (-1, 4)])
def test_padding_row_gets_no_gradient(padding_idx, row):
    weight = ml.ones(5, 3, requires_grad=True)
    index = ml.tensor([[0, row, 2], [row, 2, 2]])
    y = F.embedding(index, weight, padding_idx=padding_idx)
    assert y.shape == (2, 3, 3) and (y.detach().numpy() == 1).all()         # its values are read as they are
    y.sum().backward()
    want = np.zeros((5, 3))
    want[0], want[2] = 1, 3
    assert (weight.grad.numpy() == want).all()


@pytest.mark.parametrize("module", [embedding_reference, embedding_cython])
@pytest.mark.parametrize("index", [[0, -1], [5, 1], [2**40, 0]])
def test_kernels_refuse_an_index_outside_the_table(module, index):
    bad, index = next(i for i in index if not 0 <= i < 5), np.array(index)
    message = rf"expected indices in \[0, 5\), the rows of the table, got {bad} at position"
    with pytest.raises(IndexError, match="embedding: " + message):
        module.embedding(np.ones((5, 2)), index, np.ones((2, 2)))
    with pytest.raises(IndexError, match="embedding_backward: " + message):
        module.embedding_backward(np.ones((2, 2)), index, np.ones((5, 2)))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_equal_indices_add_up_in_their_order(threads, rng):
    ml.set_num_threads(threads)
    index, dy = rng.integers(0, 3, 2000), rng.standard_normal((2000, 33)).astype(np.float32)
    weight = ml.zeros(3, 33, requires_grad=True)
    F.embedding(ml.tensor(index), weight).backward(ml.tensor(dy))
    want = np.zeros((3, 33), np.float32)
    np.add.at(want, index, dy)
    assert weight.grad.numpy().tobytes() == want.tobytes()


@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_rows_that_are_asked_for_are_shortened_in_place(norm_type, rng):
    before = rng.standard_normal((5, 3)) * 3
    weight = ml.tensor(before.copy(), requires_grad=True)
    y = F.embedding(ml.tensor([0, 2, 2]), weight, max_norm=1.0, norm_type=norm_type)
    after = weight.detach().numpy()
    assert np.all(np.linalg.norm(after[[0, 2]], norm_type, axis=1) <= 1) and (after[[1, 3, 4]] == before[[1, 3, 4]]).all()
    assert (y.detach().numpy() == after[[0, 2, 2]]).all()
    y.sum().backward()
    assert weight.grad.numpy()[2].tolist() == [2, 2, 2]


def test_a_table_that_is_no_block_of_memory_is_shortened_too(rng):
    table = ml.tensor(rng.standard_normal((3, 5)) * 9)
    F.embedding(ml.tensor([1, 4]), table.T, max_norm=1.0)
    assert np.all(np.linalg.norm(table.numpy(), axis=0)[[1, 4]] <= 1) and np.linalg.norm(table.numpy(), axis=0)[0] > 1


def test_shortening_is_seen_by_what_saved_the_table():
    weight = ml.tensor(np.full((2, 2), 9.0), requires_grad=True)
    y = weight * weight
    F.embedding(ml.tensor([0]), weight, max_norm=1.0)
    with pytest.raises(RuntimeError, match="embedding with max_norm"):
        y.sum().backward()


@pytest.mark.parametrize("mode", [None, "sum", "mean"])
def test_gradients_divided_by_frequency(mode):
    weight = ml.ones(4, 2, requires_grad=True)
    index = ml.tensor([[0, 0, 1], [0, 2, 2]])
    if mode is None:
        F.embedding(index, weight, scale_grad_by_freq=True).sum().backward()
    else:
        F.embedding_bag(index, weight, mode=mode, scale_grad_by_freq=True).sum().backward()
    np.testing.assert_allclose(weight.grad.numpy()[:, 0], np.array([1, 1, 1, 0]) / (3 if mode == "mean" else 1), rtol=1e-6)


def test_bags_may_be_empty_and_padded():
    weight = ml.tensor([[1.0], [2.0], [4.0]])
    index, offsets = ml.tensor([0, 1, 2, 2, 0]), ml.tensor([0, 2, 2, 4])
    for mode, want in (("sum", [3, 0, 8, 1]), ("mean", [1.5, 0, 4, 1]), ("max", [2, 0, 4, 1])):
        assert F.embedding_bag(index, weight, offsets, mode=mode).reshape(-1).tolist() == want
    for mode, want in (("sum", [3, 0, 0, 1]), ("mean", [1.5, 0, 0, 1]), ("max", [2, 0, 0, 1])):
        assert F.embedding_bag(index, weight, offsets, mode=mode, padding_idx=2).reshape(-1).tolist() == want


def test_from_pretrained():
    vectors = ml.tensor([[1.0, 2.0], [3.0, 4.0]])
    for cls in (ml.Embedding, ml.EmbeddingBag):
        frozen, learned = cls.from_pretrained(vectors), cls.from_pretrained(vectors, freeze=False, max_norm=9.0)
        assert not frozen.weight.requires_grad and learned.weight.requires_grad and learned.max_norm == 9.0
        assert frozen.weight.tolist() == vectors.tolist() and "max_norm=9.0" in repr(learned)
