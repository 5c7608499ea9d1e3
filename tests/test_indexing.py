"""Indexing where PyTorch and NumPy have rules of their own: single bools, and places that count from the end."""
import numpy as np
import pytest

import minilayer as ml
from minilayer.ops import indexing

TRUE = [True, np.True_, np.array(True), ml.tensor(True)]
FALSE = [False, np.False_, np.array(False), ml.tensor(False)]
SHAPES = [              # index -> shape of x[index] for x of (2, 3), as PyTorch has them
    ((True,), (1, 2, 3)), ((False,), (0, 2, 3)), ((True, 0), (1, 3)), ((0, True), (1, 3)), ((True, True), (1, 2, 3)),
    ((True, False), (0, 2, 3)), ((True, [0, 1]), (2, 3)), ((False, [0]), (0, 3)), ((True, None), (1, 1, 2, 3)),
    ((..., True), (2, 3, 1)), ((True, True, 0), (1, 3)), ((slice(None), True), (2, 1, 3)), (([0, 1], slice(None), True), (2, 3)),
    ((True, slice(None), [0, 2]), (2, 2)), ((True, slice(None), False), (0, 2, 3)),
]


@pytest.mark.parametrize(("index", "shape"), SHAPES, ids=str)
def test_single_bools_have_an_axis_of_their_own(index, shape):
    x = ml.arange(6.0).reshape(2, 3)
    y = x[index]
    assert y.shape == shape
    if 0 not in shape:
        same = [i for i in index if i is not True] or [slice(None)]
        assert sorted(y.reshape(-1).tolist()) == sorted(x[tuple(same)].reshape(-1).tolist())
    y += 100                                            # a copy
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    x[index] = 9.0
    assert x.numpy().tolist() == [[0, 1, 2], [3, 4, 5]] if 0 in shape else (x == 9).any()


@pytest.mark.parametrize("yes", TRUE, ids=lambda i: type(i).__name__)
def test_all_of_a_tensor(yes):
    x = ml.arange(6.0).reshape(2, 3)
    assert x[yes].tolist() == [x.tolist()]
    assert ml.tensor(3.0)[yes].tolist() == [3.0]
    x[yes] = ml.tensor([7.0, 8.0, 9.0])
    assert x.tolist() == [[7, 8, 9]] * 2
    x[yes, 0] = 1.0
    x[1, yes] = ml.tensor([[4.0, 5.0, 6.0]])
    assert x.tolist() == [[1, 1, 1], [4, 5, 6]]
    x[yes] += 1
    assert x.tolist() == [[2, 2, 2], [5, 6, 7]]


@pytest.mark.parametrize("no", FALSE, ids=lambda i: type(i).__name__)
def test_nothing_of_a_tensor(no):
    x = ml.arange(6.0).reshape(2, 3)
    assert x[no].shape == (0, 2, 3) and ml.tensor(3.0)[no].shape == (0,)
    x[no] = 1.0
    x[no] = ml.ones(3)
    x[:, no] = 1.0
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_only_brackets_count_from_the_end():
    x = ml.arange(6.0).reshape(2, 3)
    assert x[ml.tensor([-1])].tolist() == [[3, 4, 5]]
    assert indexing.gather(x, 1, ml.zeros(0, 3, dtype="int64")).shape == (0, 3)


def test_the_diagonal_of_an_expanded_matrix_is_not_written_to():
    with pytest.raises(RuntimeError, match="fill_diagonal_: expected one memory place an element"):
        ml.zeros(1, 3).expand(4, 3).fill_diagonal_(1.0)


def test_signbit_knows_infinities_and_nan():
    x = ml.tensor([-ml.inf, ml.inf, -0.0, 0.0, np.copysign(np.nan, -1)])
    assert ml.signbit(x).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize("value", [[300, -1], [[1, 2], [3]], ["a", "b"]])
def test_lists_that_do_not_fit_are_refused_by_name(value):
    x = ml.zeros(2, dtype="uint8")
    with pytest.raises(ValueError, match="setitem: expected numbers that fit in uint8, in rows of equal length"):
        x[:] = value
    assert x.tolist() == [0, 0]
