"""Weights from elsewhere: files of other tools, PyTorch's state_dicts, names that differ; and averages of weights."""
import json

import numpy as np
import pytest
import safetensors.numpy

import minilayer as ml
from minilayer.optim import swa_utils
from minilayer.weights import as_tensor


def model():
    ml.manual_seed(4)
    return ml.Sequential(ml.Linear(3, 2), ml.BatchNorm1d(2))


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.random(t.shape)).astype(t.dtype) for name, t in model().state_dict().items()}


def same(layer, wanted):
    return all(np.array_equal(t.numpy(), wanted[name]) for name, t in layer.state_dict().items())


def test_a_file_of_another_tool(tmp_path):
    safetensors.numpy.save_file(arrays(), tmp_path / "model.safetensors")
    for source in (tmp_path / "model.safetensors", str(tmp_path), arrays()):
        layer = model()
        report = ml.load_weights(layer, source)
        assert same(layer, arrays()) and set(report.loaded) == set(arrays()) and not report.missing


def test_half_precision_becomes_float32(tmp_path):
    halves = {n: a.astype(np.float16) if a.dtype == np.float32 else a for n, a in arrays().items()}
    safetensors.numpy.save_file(halves, tmp_path / "half.safetensors")
    for source in (tmp_path / "half.safetensors", halves):
        layer = model()
        ml.load_weights(layer, source)
        assert same(layer, {n: a.astype(np.float32) if a.dtype == np.float16 else a for n, a in halves.items()})


def test_files_that_an_index_names(tmp_path):
    whole = arrays()
    names = list(whole)
    safetensors.numpy.save_file({n: whole[n] for n in names[:3]}, tmp_path / "model-1.safetensors")
    safetensors.numpy.save_file({n: whole[n] for n in names[3:]}, tmp_path / "model-2.safetensors")
    places = {n: f"model-{1 if n in names[:3] else 2}.safetensors" for n in names}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    for source in (index, tmp_path):
        layer = model()
        ml.load_weights(layer, source)
        assert same(layer, whole)
    index.write_text(json.dumps({"weight_map": {**places, "lost": "model-1.safetensors"}}))
    with pytest.raises(ValueError, match="promises tensors .* lost"):
        ml.load_weights(model(), index)
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with pytest.raises(ValueError, match="expected the files of .* beside it"):
        ml.load_weights(model(), index)
    index.write_text("{}")
    with pytest.raises(ValueError, match="not an index"):
        ml.load_weights(model(), index)


@pytest.mark.parametrize("rename", [
    {"net.layer": "", "linear.": "0.", "norm.": "1."}, [(r"^net\.layer", ""), (r"linear\.", "0."), (r"norm\.", "1.")],
    lambda name: name.removeprefix("net.layer").replace("linear.", "0.").replace("norm.", "1.")])
def test_names_are_translated(rename):
    theirs = {"net.layer" + n.replace("0.", "linear.", 1).replace("1.", "norm.", 1): a for n, a in arrays().items()}
    layer = model()
    ml.load_weights(layer, theirs, rename=rename)
    assert same(layer, arrays())


def test_what_does_not_fit_is_said_whole_and_changes_nothing():
    theirs = arrays(1)
    theirs["0.weight"], theirs["head"] = np.zeros((5, 3), np.float32), np.zeros(2)
    del theirs["1.bias"]
    layer = model()
    before = {n: t.numpy().copy() for n, t in layer.state_dict().items()}
    with pytest.raises(RuntimeError) as error:
        ml.load_weights(layer, theirs)
    for part in ("missing: 1.bias (2,)", "left over: head (2,)", "0.weight: expected shape (2, 3), got (5, 3)", "5 of 7"):
        assert part in str(error.value)
    assert same(layer, before)
    report = ml.load_weights(layer, theirs, strict=False)
    assert report.missing == ["1.bias"] and report.unexpected == ["head"]
    assert report.mismatched == {"0.weight": ((2, 3), (5, 3))} and "0.bias" in report.loaded
    assert np.array_equal(layer.state_dict()["0.bias"].numpy(), theirs["0.bias"])


def test_a_function_may_leave_weights_out():
    layer = model()
    report = ml.load_weights(layer, {**arrays(), "old": np.zeros(1)}, rename=lambda n: None if n == "old" else n)
    assert not report.unexpected


@pytest.mark.parametrize("call, error, match", [
    (lambda p: ml.load_weights([], {}), TypeError, "expected a Layer"),
    (lambda p: ml.load_weights(model(), 3), TypeError, "expected a path or a dict"),
    (lambda p: ml.load_weights(model(), p / "none.safetensors"), FileNotFoundError, "no file"),
    (lambda p: ml.load_weights(model(), p), FileNotFoundError, "found none"),
    (lambda p: ml.load_weights(model(), arrays(), rename=3), TypeError, "expected rename as"),
    (lambda p: ml.load_weights(model(), arrays(), rename=[("(", "")]), ValueError, "regular expressions"),
    (lambda p: ml.load_weights(model(), arrays(), rename=[("0", "\\9")]), ValueError, r"a replacement that fits '0' in rename, got '\\\\9'"),
    (lambda p: ml.load_weights(model(), arrays(), rename=[("a", 5)]), TypeError, r"both strings, got \('a', 5\)"),
    (lambda p: ml.load_weights(model(), arrays(), rename=[(5, "a")]), TypeError, r"both strings, got \(5, 'a'\)"),
    (lambda p: ml.load_weights(model(), {5: 1.0}, rename={"a": "b"}), TypeError, "names of tensors as strings, got 5"),
    (lambda p: ml.load_weights(model(), arrays(), rename=lambda n: 5), TypeError, "a string or None, got 5 for '0.weight'"),
    (lambda p: [(p / "index.json").write_text("[" * 100000), ml.load_weights(model(), p / "index.json")], ValueError, "not an index"),
    (lambda p: [ml.save(arrays(), p / name) for name in ("a.safetensors", "b.safetensors")] + [ml.load_weights(model(), p)], ValueError,
     "one .safetensors file in .*, got a.safetensors, b.safetensors"),
    (lambda p: ml.load_weights(model(), arrays(), rename=lambda n: "same"), ValueError, "expected different names"),
    (lambda p: ml.load_weights(model(), {**arrays(), "0.weight": 3.0}), TypeError, "expected a tensor as 0.weight"),
    (lambda p: [ml.save({"epoch": 1}, p / "x.safetensors"), ml.load_weights(model(), p / "x.safetensors")], ValueError,
     "a nest of other things"),
])
def test_misuse(tmp_path, call, error, match):
    with pytest.raises(error, match=match):
        call(tmp_path)


def test_pytorch_s_own():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        theirs, layer = torch.nn.Linear(3, 2).to(dtype), ml.Linear(3, 2)
        ml.load_weights(layer, theirs.state_dict())
        assert np.array_equal(layer.weight.detach().numpy(), theirs.weight.detach().float().numpy())
    assert as_tensor(torch.ones(2, requires_grad=True)).tolist() == [1.0, 1.0]


# ---- averages ----

def walked(steps, **options):
    """An average over `steps` states of a model whose weights grow by one each time."""
    layer = ml.Linear(2, 1)
    average = swa_utils.AveragedModel(layer, **options)
    for step in range(steps):
        ml.init.constant_(layer.weight, float(step))
        average.update_parameters(layer)
    return average


@pytest.mark.parametrize("options, wanted", [
    ({}, 1.5), ({"avg_fn": swa_utils.get_swa_avg_fn()}, 1.5), ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, 1.5),
    ({"avg_fn": swa_utils.get_ema_avg_fn(0.5)}, 2.125), ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5)}, 2.125)])
def test_averages(options, wanted):
    average = walked(4, **options)
    assert average.module.weight.tolist() == [[wanted, wanted]] and average.n_averaged.item() == 4
    assert average(ml.ones(1, 2)).shape == (1, 1)


def test_buffers_are_copied_or_averaged():
    for use, wanted in ((False, 2.0), (True, 1.0)):
        layer = ml.BatchNorm1d(1)
        average = swa_utils.AveragedModel(layer, use_buffers=use)
        for mean in (0.0, 1.0, 2.0):
            layer.running_mean.fill_(mean)
            average.update_parameters(layer)
        assert average.module.running_mean.item() == pytest.approx(wanted)


def test_update_bn_measures_all_batches():
    layer = ml.Sequential(ml.BatchNorm1d(1)).eval()
    swa_utils.update_bn([ml.tensor([[0.0], [2.0]]), (ml.tensor([[4.0], [6.0]]), "label")], layer)
    assert layer[0].running_mean.item() == pytest.approx(3.0) and layer[0].momentum == 0.1 and not layer.training
    swa_utils.update_bn([], ml.Linear(1, 1))            # nothing to measure


def sgd():
    return ml.optim.SGD([ml.zeros(1, requires_grad=True)])


@pytest.mark.parametrize("call, error, match", [
    (lambda: swa_utils.AveragedModel(3), TypeError, "AveragedModel: expected a Layer"),
    (lambda: swa_utils.AveragedModel(ml.Linear(1, 1), avg_fn=max, multi_avg_fn=max), ValueError, "got both"),
    (lambda: swa_utils.get_ema_avg_fn(1.5), ValueError, r"decay in \[0, 1\]"),
    (lambda: swa_utils.get_ema_multi_avg_fn("much"), TypeError, "decay to be a number"),
    (lambda: swa_utils.SWALR(sgd(), 0.1, anneal_strategy="exp"), ValueError, "'cos' or 'linear'"),
    (lambda: swa_utils.SWALR(sgd(), 0.1, anneal_epochs=-1), ValueError, "anneal_epochs"),
    (lambda: swa_utils.SWALR(sgd(), [0.1, 0.2]), ValueError, "each of the 1 groups"),
])
def test_misuse_of_averages(call, error, match):
    with pytest.raises(error, match=match):
        call()
