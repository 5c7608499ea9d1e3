"""The command line: what it prints and leaves, its exit status, and no traceback for a user's mistake."""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minilayer
from minilayer import cli, plots
from minilayer.train import BEST, CHECKPOINT, LOG

ROOT = Path(minilayer.__file__).parent.parent
PICTURES = ["confusion.png", "curves.png", "filters.png", "mistakes.png", "overview.png"]
QUICK = ["--epochs", "1", "--batch-size", "256", "--no-plots"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, no data, no network; small pictures, which are drawn faster."""
    from minilayer.data import mnist
    monkeypatch.setitem(plots.STYLE, "savefig.dpi", 30)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINILAYER_DATA", raising=False)
    monkeypatch.delenv("MINILAYER_DEBUG", raising=False)
    monkeypatch.setenv("MINILAYER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist, "_MIRRORS", {"mnist": ("http://127.0.0.1:9/",)})
    return tmp_path


@pytest.fixture
def few_digits(monkeypatch):
    """Only the first 300 of them, where what is learned does not matter."""
    from minilayer.data import digits
    images, labels = digits.load_digits()
    monkeypatch.setattr(digits, "load_digits", lambda: (images[:300], labels[:300]))


def run(*arguments):
    """The exit status of a command line, in this process."""
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        return stop.code


def process(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "minilayer", *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}, **options)


# ---- train ----

def test_train_digits(here, capsys):
    assert run("train", "digits", "--epochs", 1, "--batch-size", 64, "--out", "runs/a b/c") == 0
    printed = capsys.readouterr().out.splitlines()
    assert "1,437 images to learn from, 360 to test on" in printed[0] and "epoch   1/1" in printed[1]
    assert re.fullmatch(r"test accuracy: [01]\.\d{4}", printed[-1])
    folder = here / "runs" / "a b" / "c"
    assert sorted(p.name for p in folder.iterdir()) == sorted([BEST, CHECKPOINT, LOG, *PICTURES])
    assert all((folder / name).read_bytes()[1:4] == b"PNG" for name in PICTURES)
    last = json.loads((folder / LOG).read_text().splitlines()[-1])
    assert printed[-1] == f"test accuracy: {last['test_accuracy']:.4f}"
    assert last["test_accuracy"] > 0.8


def test_runs_get_folders_of_their_own(here, capsys, few_digits):
    for _ in range(2):
        assert run("train", "digits", *QUICK, "--quiet") == 0
        assert re.fullmatch(r"test accuracy: [01]\.\d{4}\n", capsys.readouterr().out)
    assert sorted(p.name for p in (here / "runs").iterdir()) == ["digits", "digits-2"]
    assert run("train", "digits", *QUICK, "--out", "runs/digits") == 1
    assert "holds a run already; go on with it (--resume runs/digits) or name another" in capsys.readouterr().err


def test_settings_and_threads_and_repeatability(here, capsys, few_digits):
    accuracies = []
    for threads in (1, 2):
        assert run("train", "digits", *QUICK, "--quiet", "--fold", 3, "--seed", 5, "--lr", 0.01, "--threads", threads,
                   "--out", f"t{threads}") == 0
        accuracies.append(capsys.readouterr().out)
    assert accuracies[0] == accuracies[1]
    assert (here / "t1" / BEST).read_bytes() == (here / "t2" / BEST).read_bytes()


def test_resume(here, capsys):
    """Stopped by Ctrl-C in a process of its own, then resumed: the same bits as a run that was left alone."""
    arguments = ["train", "digits", "--epochs", "2", "--batch-size", "64", "--no-plots"]
    assert run(*arguments, "--out", "whole") == 0
    expected = capsys.readouterr().out.splitlines()[-1]
    started = subprocess.Popen([sys.executable, "-m", "minilayer", *arguments, "--out", "stopped"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not started.stdout.readline().startswith("epoch   1"):
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    _, complaint = started.communicate(timeout=60)
    assert started.returncode == 130, complaint
    assert "Traceback" not in complaint
    hint = re.search(r"To go on: minilayer (.*)", complaint)[1]
    assert hint == "train digits --resume stopped"
    assert run(*hint.split(), "--no-plots") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("going on after epoch") and printed[-1] == expected
    assert (here / "stopped" / BEST).read_bytes() == (here / "whole" / BEST).read_bytes()
    assert run(*hint.split(), "--no-plots", "--quiet") == 0             # nothing left to do: the result again
    assert capsys.readouterr().out.strip() == expected


def put_t10k(folder):
    import gzip
    import struct
    rng = np.random.default_rng(0)
    for name, x in (("images-idx3", rng.integers(0, 256, (40, 28, 28))), ("labels-idx1", np.arange(40) % 10)):
        x = x.astype(np.uint8)
        folder.mkdir(exist_ok=True)
        (folder / f"t10k-{name}-ubyte.gz").write_bytes(
            gzip.compress(bytes([0, 0, 8, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.tobytes()))


def test_train_mnist_small(here, capsys, monkeypatch):
    put_t10k(here / "data")
    for name in set(PICTURES) - {"filters.png", "mistakes.png"}:        # the others look the same for all jobs
        monkeypatch.delitem(plots.PICTURES, name)
    assert run("train", "mnist", "--small", "--data", "data", "--epochs", 1, "--batch-size", 16) == 0
    assert "32 images to learn from, 8 to test on" in capsys.readouterr().out
    assert {p.name for p in (here / "runs" / "mnist").iterdir()} >= {"filters.png", "mistakes.png", BEST}


def test_without_matplotlib_only_the_pictures_are_missing(capsys, monkeypatch, few_digits):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("train", "digits", *QUICK[:-1]) == 0
    assert "no pictures: pictures need matplotlib" in capsys.readouterr().out


# ---- text ----

@pytest.fixture(params=["chars", "gpt"])
def short_text(request, here, monkeypatch):
    """A text of 3,000 letters and few batches, where what is learned does not matter."""
    from minilayer import jobs
    monkeypatch.setattr(jobs, "BATCHES", 3)
    (here / "text.txt").write_text("The quick brown fox jumps over the lazy dog,\nand then it sleeps. " * 50)
    return ["train", request.param, "--text", "text.txt", "--epochs", "2", "--batch-size", "4"]


def test_train_on_text_and_sample(here, capsys, short_text):
    assert run(*short_text, "--out", "run") == 0
    printed = capsys.readouterr().out
    assert "2,925 letters to learn from, 325 to test on" in printed and "it writes:" in printed
    assert re.fullmatch(r"epoch +2/2   train loss \d\.\d{4}   test loss \d\.\d{4}   [\d.]+ s", printed.splitlines()[2])
    loss, counted = re.fullmatch(r"validation loss: (\d\.\d{4}) nats a letter \(counted trigrams: (\d\.\d{4})\)",
                                 printed.splitlines()[-1]).groups()
    assert 0 < float(counted) < 1 and float(loss) < 4
    folder = here / "run"
    assert sorted(p.name for p in folder.iterdir()) == sorted([BEST, CHECKPOINT, LOG, "curves.png", "surprise.png"])
    assert all((folder / name).read_bytes()[1:4] == b"PNG" for name in ("curves.png", "surprise.png"))
    written = []
    for seed in (1, 1, 2):
        assert run("sample", "run", "--prompt", "The ", "--length", 40, "--top-k", 5, "--seed", seed) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] != written[2]
    assert written[0].startswith("The ") and len(written[0]) == 45
    assert run("sample", "run", "--length", 3, "--temperature", 0) == 0
    assert len(capsys.readouterr().out) == 4
    assert run("sample", "run", "--prompt", "\u20ac") == 1
    assert "expected letters of the vocabulary, got '\u20ac'" in capsys.readouterr().err
    (folder / BEST).unlink()
    assert run("sample", "run") == 1 and "expected weights run/best.safetensors, found none" in capsys.readouterr().err


def test_a_text_job_goes_on_where_it_stopped(here, capsys, short_text, monkeypatch):
    from minilayer import train
    assert run(*short_text, "--no-plots", "--quiet", "--out", "whole") == 0
    expected = capsys.readouterr().out
    finite, seen = train._finite, []

    def stops(loss):
        seen.append(loss)
        if len(seen) == 5:                              # the second batch of the second epoch
            signal.raise_signal(signal.SIGINT)
        return finite(loss)
    monkeypatch.setattr(train, "_finite", stops)
    assert run(*short_text, "--no-plots", "--out", "stopped") == 130
    hint = re.search(r"To go on: minilayer (.*)", capsys.readouterr().err)[1]
    assert run(*hint.split(), "--no-plots", "--quiet") == 0
    assert capsys.readouterr().out == expected
    assert (here / "stopped" / BEST).read_bytes() == (here / "whole" / BEST).read_bytes()


def test_a_text_job_learns_from_the_text_that_comes_with_python(capsys, short_text):
    assert run("train", short_text[1], "--epochs", 1, "--batch-size", 1, "--no-plots", "--quiet") == 0
    assert capsys.readouterr().out.startswith("validation loss: ")


# ---- doctor ----

def test_doctor(capsys):
    assert run("doctor") == 0
    text = capsys.readouterr().out
    for word in ("minilayer", "Python", "numpy", "instruction set", "threads", "backend", "GPU", "cache", "matmul"):
        assert re.search(rf"^ *{word} ", text, re.M), word
    assert run("doctor") == 0 and f"{minilayer.get_num_threads()} (set_num_threads" in text


def test_python_m_and_a_closed_pipe():
    done = process("doctor")
    assert done.returncode == 0 and done.stderr == "" and "instruction set" in done.stdout
    started = subprocess.Popen([sys.executable, "-c", "import sys, time; sys.argv = ['minilayer', 'doctor']\n"
                                "from minilayer import cli\nsys.stdin.read()\nsys.exit(cli.main())"], text=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started.stdout.close()
    started.stdin.close()
    assert started.stderr.read() == ""
    started.stderr.close()
    assert started.wait(60) == 1


# ---- mistakes ----

@pytest.mark.parametrize("arguments, words", [
    ([], "required: COMMAND"),
    (["fly"], "invalid choice: 'fly'"),
    (["train"], "required: job"),
    (["train", "cats"], "invalid choice: 'cats'"),
    (["train", "digits", "--epochs", "0"], "whole number of 1 or more, got '0'"),
    (["train", "digits", "--epochs", "two"], "got 'two'"),
    (["train", "digits", "--epochs", "9" * 30], "whole number"),
    (["train", "digits", "--lr", "-1"], "a number above 0, got '-1'"),
    (["train", "digits", "--lr", "nan"], "above 0, got 'nan'"),
    (["train", "digits", "--lr", "fast"], "above 0, got 'fast'"),
    (["train", "digits", "--batch-size", "1.5"], "got '1.5'"),
    (["train", "digits", "--seed", "-1"], "0 or more"),
    (["train", "digits", "--fold", "5"], "invalid choice: 5"),
    (["train", "digits", "--threads", "0"], "1 or more"),
    (["train", "digits", "--small"], "--small is no option of the job digits"),
    (["train", "mnist", "--fold", "1"], "--fold is no option of the job mnist"),
    (["train", "digits", "--data", "x"], "--data is no option of the job digits"),
    (["train", "digits", "--text", "x"], "--text is no option of the job digits"),
    (["train", "gpt", "--data", "x"], "--data is no option of the job gpt"),
    (["sample"], "required: RUN"),
    (["sample", "run", "--temperature", "-1"], "a number above 0, got '-1'"),
    (["sample", "run", "--top-k", "0"], "1 or more, got '0'"),
    (["train", "digits", "--out", "a", "--resume", "b"], "not allowed with"),
    (["train", "digits", "--speed"], "unrecognized"),
    (["train", "digits", "--resume", "a", "--lr", "1", "--batch-size", "2"], "leave out --lr, --batch-size"),
    (["doctor", "now"], "unrecognized arguments: now")])
def test_a_wrong_command_line_is_status_2(arguments, words, capsys):
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def damaged(here):
    run("train", "digits", *QUICK, "--quiet", "--out", "run")
    whole = (here / "run" / CHECKPOINT).read_bytes()
    (here / "run" / CHECKPOINT).write_bytes(whole[:-1])


def other_job(here):
    put_t10k(here / "data")
    run("train", "mnist", "--small", "--data", "data", *QUICK, "--quiet", "--out", "run")


def other_file(here):
    (here / "run").mkdir()
    minilayer.save({"a": 1}, here / "run" / CHECKPOINT)


def config_of(here, **change):
    """A checkpoint of a run of chars that holds a config alone, with one setting changed."""
    from minilayer import jobs
    keys = ("epoch", "history", "seconds", "meter", "model", "optimizer", "scheduler", "loader", "random")
    (here / "run").mkdir()
    config = {"job": "chars", **jobs.DEFAULTS["chars"]} | change
    minilayer.save({"config": config, **dict.fromkeys(keys)}, here / "run" / CHECKPOINT)


@pytest.mark.parametrize("prepare, arguments, words", [
    (lambda here: config_of(here, epochs=0), ["sample", "run"], "config: expected epochs of the job 'chars' to be a whole"),
    (lambda here: config_of(here, epochs=-3), ["train", "chars", "--resume", "run"], "whole number of 1 or more, got -3"),
    (lambda here: config_of(here, vocabulary=[1]), ["sample", "run"], "vocabulary of the job 'chars' to be a string"),
    (config_of, ["sample", "run"], "expected run to hold the vocabulary that its model learned, got None"),
    (None, ["train", "digits", "--resume", "nowhere"], "expected a checkpoint nowhere/checkpoint.safetensors, found"),
    (damaged, ["train", "digits", "--resume", "run"], "is not a file that can be read"),
    (other_file, ["train", "digits", "--resume", "run"], "is not a Trainer's checkpoint"),
    (other_job, ["train", "digits", "--resume", "run"], "holds no run of the job 'digits', but of 'mnist'"),
    (None, ["train", "mnist"], "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz not found in"),
    (None, ["train", "mnist", "--small"], "cache/mnist, or set MINILAYER_DATA"),
    (None, ["train", "mnist", "--data", "empty"], "expected train-images-idx3-ubyte.gz and"),
    (lambda here: (here / "f").write_text(""), ["train", "digits", *QUICK, "--out", "f/x"], "make the folder f/x"),
    (None, ["train", "gpt", "--text", "nowhere.txt"], "nowhere.txt: No such file"),
    (lambda here: (here / "f").write_bytes(b"\xff" * 2000), ["train", "gpt", "--text", "f"], "expected f to be text in UTF-8"),
    (lambda here: (here / "f").write_text("short"), ["train", "gpt", "--text", "f"], "1,000 letters or more"),
    (None, ["sample", "nowhere"], "expected a checkpoint nowhere/checkpoint.safetensors, found"),
    (other_job, ["sample", "run"], "run holds no run on text (chars, gpt), but of 'mnist'"),
    (None, ["train", "digits", *QUICK, "--out", "/proc/x"], "cannot make the folder /proc/x"),
    (None, ["train", "digits", *QUICK, "--batch-size", "32", "--lr", "1e30"], "the loss is")])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")       # the reference backend is NumPy, which warns of inf
def test_what_cannot_be_done_is_status_1_and_a_sentence(here, few_digits, prepare, arguments, words, capsys):
    if prepare:
        prepare(here)
    capsys.readouterr()
    assert run(*arguments) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("minilayer: error: ") or "\nminilayer: error: " in complaint
    assert words in complaint and "Traceback" not in complaint and "[Errno" not in complaint


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("MINILAYER_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        run("train", "digits", "--resume", "nowhere")
