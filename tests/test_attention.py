"""Attention beyond its rows: what is kept, what is seen, what a cache saves, and the small GPT that writes."""
import builtins
import copy
import doctest

import numpy as np
import pytest
from rounding import check_close

import minilayer as ml
from minilayer._ext import attention_reference
from minilayer._ext.dispatch import family
from minilayer.models import GPT
from minilayer.models.gpt import choose

F = ml.functional


def normal(rng, *shape):
    return ml.Tensor(rng.standard_normal(shape)).requires_grad_()


def test_causal_is_its_mask(rng):
    q, k, v = (normal(rng, 2, 3, 150, 8) for _ in range(3))
    mask = ml.Tensor(np.tri(150, dtype=bool))
    a, b = F.scaled_dot_product_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(q, k, v, mask)
    check_close(a.detach().numpy(), b.detach().numpy(), 16, "causal", "max")
    c = ml.Tensor(rng.standard_normal(a.shape))
    for x, y in zip(ml.grad(a, (q, k, v), c), ml.grad(b, (q, k, v), c), strict=True):
        check_close(x.numpy(), y.numpy(), 64, "gradient", "max")


def test_bool_and_added_masks_agree(rng):
    q, k, v = (normal(rng, 2, 2, 9, 4) for _ in range(3))
    keep = rng.random((9, 9)) < 0.5
    keep[3] = False
    a = F.scaled_dot_product_attention(q, k, v, ml.Tensor(keep))
    b = F.scaled_dot_product_attention(q, k, v, ml.Tensor(np.where(keep, 0.0, -np.inf)))
    assert (a == b).all()
    assert (a[:, :, 3] == 0).all()                              # a query that sees nothing
    a.sum().backward()
    assert (q.grad[:, :, 3] == 0).all() and not F.isnan(k.grad).any()


def test_no_matrix_of_weights_is_kept(rng):
    T = 300
    q, k, v = (normal(rng, 1, 1, T, 4) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1, is_causal=True)
    kept = sum(x.size for x in y.grad_fn.saved if x is not None)
    assert kept <= (3 * 4 + 4 + 2) * T < T * T


def test_what_was_split_into_heads_comes_together_without_a_copy(rng):
    x = ml.Tensor(rng.standard_normal((2, 5, 24)))
    q, k, v = (part.reshape(2, 5, 4, 2).transpose(1, 2) for part in x.chunk(3, -1))
    y = F.scaled_dot_product_attention(q, k, v)
    whole = y.transpose(1, 2).reshape(2, 5, 8)
    assert np.shares_memory(whole.numpy(), y.numpy())
    z = F.scaled_dot_product_attention(q.contiguous(), k.contiguous(), v.contiguous())
    assert (y == z).all()


def test_inputs_and_output_changed_in_place_are_noticed(rng):
    for which in range(4):
        inputs = [normal(rng, 1, 2, 3, 4) * 1.0 for _ in range(3)]
        y = F.scaled_dot_product_attention(*inputs)
        (*inputs, y)[which].mul_(2.0)
        with pytest.raises(RuntimeError, match="scaled_dot_product_attention saved (input|its output)"):
            y.sum().backward()


@pytest.mark.parametrize("which", [0, 1])
def test_cosine_and_sine_changed_in_place_are_noticed(which, rng):
    x, *waves = normal(rng, 2, 3, 4), ml.Tensor(rng.standard_normal((3, 2))), ml.Tensor(rng.standard_normal((3, 2)))
    y = F.rotary(x, *waves)
    waves[which][1] = 0.0                                           # through a view
    with pytest.raises(RuntimeError, match=f"rotary saved input {which + 1} .* changed in place"):
        y.sum().backward()
    waves[which].requires_grad_()
    with ml.no_grad():                                              # nothing is learned here: nothing is lost
        assert F.rotary(x, *waves).shape == x.shape


def test_settings_may_be_numbers_of_numpy(rng):
    q, k, v = (normal(rng, 2, 3, 4) for _ in range(3))
    want = F.scaled_dot_product_attention(q, k, v, scale=0.25)
    assert (F.scaled_dot_product_attention(q, k, v, scale=np.float32(0.25), dropout_p=np.float64(0)) == want).all()
    assert ml.RotaryPositions(4, base=np.float32(10)).base == 10.0


def test_infinities_and_nan_stay_in_their_rows(rng):
    kernels = family("attention").cpu
    q, k, v = (rng.standard_normal((1, 1, 5, 8)) for _ in range(3))
    q[0, 0, 1] = np.nan
    q[0, 0, 3, 0] = np.inf
    v[0, 0, 2, 5] = np.inf
    found = []
    for run in (kernels.attention, attention_reference.attention):
        y, stats = np.empty((1, 1, 5, 8)), np.empty((2, 1, 1, 5))
        run(q, k, v, None, None, y, stats, scale=0.5)
        found.append(y)
    check_close(found[0], found[1], 64, "y", "max")
    assert np.isnan(found[0][0, 0, 1]).all() and not np.isnan(found[0][0, 0, 0]).any()


def test_all_weights_dropped_gives_zeros(rng):
    q, k, v = (normal(rng, 2, 3, 4) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=1.0)
    assert (y == 0).all()
    y.sum().backward()
    assert all((x.grad == 0).all() for x in (q, k, v))


def test_dropout_keeps_the_mean(rng):
    v = ml.ones(1, 4000, 2, dtype="float64")
    y = F.scaled_dot_product_attention(ml.zeros(8, 1, 2).double(), ml.zeros(1, 4000, 2).double(), v, dropout_p=0.3,
                                       rng=ml.Generator(1))
    assert abs(y.mean().item() - 1) < 5 * np.sqrt(0.3 / 0.7 / 32000)
    assert len(set(y[:, 0, 0].tolist())) > 1                    # each row has a mask of its own


def test_the_kernel_and_the_weights_give_one_output(rng):
    attention = ml.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True).double()
    x = ml.Tensor(rng.standard_normal((2, 5, 8)))
    other = x.clone()
    with_weights, weights = attention(x, x, x)
    for inputs in ((x, x, x), (x, other, other), (x, other, x)):
        y, nothing = attention(*inputs, need_weights=False)
        assert nothing is None
        check_close(y.detach().numpy(), with_weights.detach().numpy(), 64, "output", "max")
    assert weights.shape == (2, 5, 7)
    check_close(weights.sum(-1).detach().numpy(), np.ones((2, 5)), 16, "weights")


def test_copies_of_a_layer_draw_from_one_generator():
    rng = ml.Generator(3)
    encoder = ml.TransformerEncoder(ml.TransformerEncoderLayer(4, 2, 8, rng=rng), 2)
    assert all(m.rng is rng for m in encoder.modules() if isinstance(m, ml.Dropout | ml.MultiheadAttention))
    a, b = encoder.layers
    assert a.linear1.weight is not b.linear1.weight and (a.linear1.weight == b.linear1.weight).all()


def test_causal_mask_is_recognised(rng, monkeypatch):
    from minilayer.layers import transformer
    mask = ml.Transformer.generate_square_subsequent_mask(4)
    assert mask.tolist()[1] == [0.0, 0.0, -np.inf, -np.inf]
    for found, given in ((True, mask), (True, mask < 0), (False, mask * 0.0), (False, mask[:3, :3]), (False, None)):
        assert transformer._is_causal(given, None, 4) is found
    assert transformer._is_causal(mask, False, 4) is False
    assert ml.Transformer.generate_square_subsequent_mask(2, dtype=ml.bool).tolist() == [[False, True], [False, False]]


# ---- positions and the cache ----

def test_rotary_products_depend_on_the_distance_alone(rng):
    for interleaved in (False, True):
        turn = ml.RotaryPositions(8, interleaved=interleaved, dtype="float64")
        q, k = (ml.Tensor(np.repeat(rng.standard_normal((1, 8)), 10, 0)) for _ in range(2))
        scores = (turn(q) @ turn(k).T).numpy()
        for apart in range(9):
            diagonal = np.diag(scores, apart)
            check_close(diagonal, np.full_like(diagonal, diagonal[0]), 64, f"{apart} apart", np.full(diagonal.shape, 10.0))
        check_close(turn(q[3:], 3).numpy(), turn(q).numpy()[3:], 0, "start")


def test_sinusoidal_positions_are_the_formula():
    p = ml.SinusoidalPositions(4, dtype="float64")(ml.zeros(3, 4).double()).numpy()
    want = [[np.sin(t), np.cos(t), np.sin(t / 100), np.cos(t / 100)] for t in range(3)]
    check_close(p, np.array(want), 4, "positions")


def test_cache_grows_in_place_and_can_be_cleared(rng):
    cache = ml.KeyValueCache(6)
    parts = [(rng.standard_normal((2, n, 3)), rng.standard_normal((2, n, 5))) for n in (2, 1, 3)]
    for i, (k, v) in enumerate(parts):
        keys, values = cache.append(ml.Tensor(k), ml.Tensor(v))
        assert (keys.numpy() == np.concatenate([p[0] for p in parts[:i + 1]], 1)).all()
        assert (values.numpy() == np.concatenate([p[1] for p in parts[:i + 1]], 1)).all()
        assert len(cache) == keys.shape[1]
    first, _ = cache.append(ml.zeros(2, 0, 3).double(), ml.zeros(2, 0, 5).double())
    assert np.shares_memory(first.numpy(), keys.numpy())
    cache.clear()
    assert len(cache) == 0 and cache.append(ml.ones(1, 2), ml.ones(1, 2))[0].shape == (1, 2)


# ---- the small GPT ----

@pytest.fixture
def gpt():
    ml.manual_seed(2)
    return GPT(11, width=16, depth=2, heads=2, context=12, dropout=0.2).double()


def test_gpt_piece_by_piece_is_gpt_at_once(gpt, rng):
    tokens = ml.Tensor(rng.integers(0, 11, (2, 12)))
    gpt.eval()
    whole = gpt(tokens).detach().numpy()
    for cuts in ([1] * 12, [5, 1, 6], [4, 4, 4]):
        caches = [ml.KeyValueCache(12) for _ in gpt.blocks]
        parts = np.split(tokens.numpy(), np.cumsum(cuts)[:-1], 1)
        found = [gpt(ml.Tensor(np.ascontiguousarray(part)), caches).detach().numpy() for part in parts]
        check_close(np.concatenate(found, 1), whole, 256, f"{cuts}", "max")


def test_gpt_sees_no_later_token(gpt, rng):
    a = rng.integers(0, 11, (1, 12))
    b = a.copy()
    b[0, 7:] = (b[0, 7:] + 1) % 11
    a, b = (gpt.eval()(ml.Tensor(x)).detach().numpy() for x in (a, b))
    assert (a[0, :7] == b[0, :7]).all() and (a[0, 7:] != b[0, 7:]).any()


def test_gpt_writes_what_a_seed_settles(gpt):
    gpt.train()
    first, again, other = (list(gpt.generate([1, 2], 30, rng=ml.Generator(s))) for s in (1, 1, 2))
    assert first == again != other and len(first) == 30 and set(first) <= set(range(11))
    assert gpt.training
    likeliest = list(gpt.generate([1, 2], 30, temperature=0))
    assert likeliest == list(gpt.generate([1, 2], 30, top_k=1))
    with pytest.raises(ValueError, match="at most context=12 tokens, got 13"):
        gpt(ml.zeros(1, 13).long())


def test_gpt_refuses_caches_before_it_writes_to_any(gpt):
    def caches(*capacities):
        return [ml.KeyValueCache(n) for n in capacities]

    gpt.eval()
    tokens = ml.zeros(1, 5).long()
    one, *two = caches(12, 12, 12)
    gpt(tokens, two)
    uneven = [one, two[0]]
    small = caches(20, 20)
    gpt(tokens, small), gpt(tokens, small)
    for given, error, words in (
            ([one, one], ValueError, "2 blocks, got 2, of which 1 are different"), ([one], ValueError, "2 blocks, got 1, of"),
            (caches(9, 9, 9), ValueError, "2 blocks, got 3"), (uneven, ValueError, r"of one length, got \[0, 5\]"),
            (caches(12, 4), ValueError, r"room for 5 places after 0, got capacities \[12, 4\]"),
            (small, ValueError, "at most context=12 tokens, got 5 after 10 in the caches"),
            (one, TypeError, "a list of KeyValueCaches"), ([None, None], TypeError, "a list of KeyValueCaches")):
        lengths = [len(c) for c in given if c] if isinstance(given, list) else []
        with pytest.raises(error, match=f"GPT: .*{words}"):
            gpt(tokens, given)
        assert not isinstance(given, list) or [len(c) for c in given if c] == lengths
    for wrong in ([[1, 2]], ml.zeros(5).long()):
        with pytest.raises(ValueError, match="GPT: expected token numbers, a tensor of shape"):
            gpt(wrong)


@pytest.mark.parametrize("settings, error, words", [
    (dict(heads=0), ValueError, "heads >= 1"), (dict(heads=-2), ValueError, "heads >= 1"), (dict(heads=2.0), TypeError, "heads"),
    (dict(heads=3), ValueError, "got 16 and 3"), (dict(heads=16), ValueError, "in even parts"),
    (dict(width=0), ValueError, "width >= 1"), (dict(depth=0), ValueError, "depth >= 1"),
    (dict(context=0), ValueError, "context >= 1"), (dict(vocabulary="abc"), TypeError, "vocabulary to be an integer")])
def test_gpt_refuses_sizes(settings, error, words):
    with pytest.raises(error, match=f"GPT: .*{words}"):
        GPT(**(dict(vocabulary=11, width=16, heads=2) | settings))


def test_gpt_ties_its_vectors_and_copies(gpt):
    assert gpt.head.weight is gpt.embedding.weight
    assert copy.deepcopy(gpt).head.weight.shape == (11, 16)
    assert GPT(11, 16, 1, 2, 8, tied=False).head.weight.shape == (11, 16)


def test_choose_draws_by_probability():
    logits = np.log(np.array([0.5, 0.2, 0.3], np.float32))
    rng = ml.Generator(0)
    counts = np.bincount([choose(logits, 1.0, None, rng) for _ in range(4000)], minlength=3) / 4000
    assert np.abs(counts - [0.5, 0.2, 0.3]).max() < 0.04
    assert {choose(logits, 1.0, 2, rng) for _ in range(200)} == {0, 2}
    assert choose(logits, 0, None, rng) == 0


@pytest.mark.parametrize("cls", [GPT, ml.KeyValueCache], ids=lambda cls: cls.__name__)
def test_documented_example_runs(cls):
    names = {k: v for k, v in vars(ml).items() if not hasattr(builtins, k)} | {"GPT": GPT}
    examples = doctest.DocTestParser().get_doctest(cls.__doc__, names, cls.__name__, None, 0)
    report = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert examples.examples and not failed, "".join(report)
