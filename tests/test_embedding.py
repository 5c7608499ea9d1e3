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
