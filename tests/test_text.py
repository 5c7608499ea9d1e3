"""Text as numbers: vocabulary, windows, the loader that can be stopped, and the counted model."""
import sys
from itertools import islice

import numpy as np
import pytest

import minilayer as ml
from minilayer import jobs
from minilayer.data import Text, TextWindows, WindowLoader, encode, trigram_loss
from minilayer.models.gpt import choose

SAMPLE = "What is the use of a book without pictures or conversations? " * 30


def test_letters_and_numbers():
    text = Text(SAMPLE)
    assert text.vocabulary == "".join(sorted(set(SAMPLE)))
    assert text.decode(text.encode("a book")) == "a book"
    assert len(text.train) == len(SAMPLE) * 9 // 10 and len(text.train) + len(text.valid) == len(SAMPLE)
    assert text.decode(text.train) + text.decode(text.valid) == SAMPLE and text.train.dtype == np.int64
    with pytest.raises(ValueError, match="expected letters of the vocabulary, got '!', 'Z'"):
        text.encode("Z!")
    with pytest.raises(ValueError, match="1,000 letters or more"):
        Text("too short")
    assert encode("ba", "abc").tolist() == [1, 0]
    for vocabulary in ("abca", ["a", "b"], 5):
        with pytest.raises(ValueError, match="encode: expected a vocabulary, a string of different letters"):
            encode("ba", vocabulary)


@pytest.mark.parametrize("change, words", [
    (dict(epochs=0), "epochs of the job 'chars' to be a whole number of 1 or more, got 0"), (dict(epochs=-3), "got -3"),
    (dict(epochs=2.0), "got 2.0"), (dict(epochs=True), "got True"), (dict(batch_size=0), "batch_size"), (dict(seed=-1), "seed"),
    (dict(lr="0.1"), "lr of the job 'chars' to be a number above 0"), (dict(lr=float("nan")), "got nan"),
    (dict(text=3), "text of the job 'chars' to be the name of a file"), (dict(vocabulary=["a", "b"]), "vocabulary"),
    (dict(vocabulary="aba"), "vocabulary"), (dict(vocabulary=""), "vocabulary"), (dict(job="cats"), "'job' one of digits"),
    (dict(job=["chars"]), "'job' one of"), (dict(job="digits"), "the settings job, epochs, lr, batch_size, seed, fold of"),
    (dict(more=1), "got job, epochs, .*, more")])
def test_configs_are_checked(change, words):
    config = {"job": "chars", **jobs.DEFAULTS["chars"]}
    jobs.check_config(config)
    with pytest.raises(ValueError, match=f"config: expected .*{words}"):
        jobs.trainer_for(config | change)
    with pytest.raises(ValueError, match="config: expected a dict"):
        jobs.trainer_for([1])
    for job in jobs.DEFAULTS:
        assert set(jobs.DEFAULTS[job]) <= set(jobs.SETTINGS)
        with pytest.raises(ValueError, match=f"expected the settings job, epochs, .* of the job '{job}', got job$"):
            jobs.trainer_for({"job": job})
    for change in (dict(job="mnist", fold=0, small=1), dict(job="digits", fold=5)):
        config = {"job": change["job"], **jobs.DEFAULTS[change["job"]]}
        with pytest.raises(ValueError, match="small of the job 'mnist' to be True or False|fold of .* to be 0 to 4, got 5"):
            jobs.trainer_for(config | {name: change[name] for name in config if name in change})


def test_files_and_the_default(tmp_path, monkeypatch):
    (tmp_path / "t").write_text(SAMPLE + "\u00e9", encoding="utf-8")
    assert "\u00e9" in Text.read(tmp_path / "t").vocabulary
    assert Text.read(tmp_path / "t", vocabulary=Text(SAMPLE).vocabulary + "\u00e9").vocabulary.endswith("\u00e9")
    (tmp_path / "t").write_bytes(b"\xff\xfe" * 1000)
    with pytest.raises(ValueError, match="to be text in UTF-8"):
        Text.read(tmp_path / "t")
    assert len(Text.read().train) > 100_000
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(FileNotFoundError, match="comes without its reference"):
        Text.read()


def test_windows_lie_side_by_side():
    windows = TextWindows(np.arange(11), 3)
    assert len(windows) == 3
    assert windows[1][0].tolist() == [3, 4, 5] and windows[-1][1].tolist() == [7, 8, 9]
    x, target = windows.take(np.array([0, 2]))
    assert x.tolist() == [[0, 1, 2], [6, 7, 8]] and (target == x + 1).all()
    with pytest.raises(IndexError, match="index 3 is out of range for 3 windows"):
        windows[3]
    for length in (0, 11):
        with pytest.raises(ValueError, match="windows of 1 to 10 letters"):
            TextWindows(np.arange(11), length)


def batches(loader):
    return [(x.tolist(), t.tolist()) for x, t in loader]


def test_a_loader_repeats_and_goes_on():
    def made():
        return WindowLoader(np.arange(500), 4, 3, 5, seed=1)
    first = made()
    epochs = batches(first), batches(first)
    assert len(first) == len(epochs[0]) == 5 and epochs[0] != epochs[1]
    assert all(t == [[n + 1 for n in row] for row in x] for x, t in epochs[0])
    starts = {row[0] for epoch in epochs for x, _ in epoch for row in x}
    assert len(starts) > 25 and max(starts) <= 495
    second = made()
    begun = [(x.tolist(), t.tolist()) for x, t in islice(second, 2)]
    third = made()
    third.load_state_dict(second.state_dict())
    assert begun + batches(third) == epochs[0] and batches(third) == epochs[1]
    assert batches(second) == epochs[1]                 # a loop that was left early: a new loop is a new epoch
    with pytest.raises(ValueError, match="expected batches 6 as in this loader, got 5"):
        WindowLoader(np.arange(500), 4, 3, 6).load_state_dict(second.state_dict())
    with pytest.raises(ValueError, match="batches of 1 or more"):
        WindowLoader(np.arange(500), 4, 3, 0)


def test_trigrams_are_counted():
    train, valid = np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1, 0, 0])
    # 0 1 is followed by 0 twice; 1 0 by 1 and 2 once each: p(0 | 0 1) and p(0 | 1 0) with 0.5 for every letter of 3
    want = -np.log([(2 + 0.5) / (2 + 1.5), 0.5 / (2 + 1.5)]).mean()
    assert abs(trigram_loss(train, valid, 3, 0.5) - want) < 1e-12
    assert trigram_loss(train.astype(np.int32), valid.tolist(), 3, 0.5) == trigram_loss(train, valid, 3, 0.5)
    with pytest.raises(ValueError, match="trigram_loss: expected texts of 3 letters or more, got 6 to count and 2 to"):
        trigram_loss(train, valid[:2], 3)


def test_trigrams_of_many_letters_take_the_memory_of_the_text():
    size = 1_114_112                                        # every letter there is: nothing of size^2 could be held
    train, valid = np.array([0, 1, 0, 1, 0, 2]) + size - 3, np.array([0, 1, 0, 0]) + size - 3
    want = -np.log([(2 + 0.5) / (2 + size / 2), 0.5 / (2 + size / 2)]).mean()
    assert abs(trigram_loss(train, valid, size, 0.5) - want) < 1e-12


def test_damaged_models_and_texts_of_one_line_write_or_say_why():
    rng = ml.Generator(1)
    with pytest.raises(ValueError, match="generate: the model gives numbers that are not finite"):
        choose(np.array([0.0, np.nan], np.float32), 1.0, None, rng)
    assert {choose(np.array([1.0, 9.0, 2.0], np.float32), 1e-320, None, rng) for _ in range(9)} == {1}
    config = {"job": "chars", "vocabulary": "ab"}
    assert len(list(jobs.write(config, jobs.text_model(config), length=3, rng=rng))) == 3
