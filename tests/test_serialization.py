"""Files of tensors: what goes in comes out; a full disk or a kill leaves a whole file; hostile files are refused."""
import json
import os
import stat
import subprocess
import sys
import threading
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minilayer
from minilayer import serialization
from minilayer.serialization import load, save, write_atomic
from minilayer.tensor import Tensor


def same(a, b) -> bool:
    """Equal in kind, nesting, dtype and bits."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and same(a.detach().numpy(), b.numpy())
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


# ---- round trips ----

STATES = {
    "state_dict": OrderedDict([("0.weight", Tensor(np.ones((2, 3), np.float32))), ("0.bias", Tensor(np.zeros(2)))]),
    "nested": {"model": {"a.b": Tensor(np.arange(3))}, "opt": {"state": {0: {"m": np.ones(2)}, 1: {}},
               "groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1]}]}, "epoch": 3, "best": None},
    "plain values": [None, True, False, 0, -7, 2**63, 10**30, 0.1, -0.0, 1e-320, "", "é\n\"\\", {}, [], (), {"": 1}],
    "no numbers": {"nan": float("nan"), "inf": [float("inf"), -float("inf")]},
    "one tensor": Tensor(np.full((), 3, np.float32)), "one array": np.arange(3, dtype=np.int8), "one number": 5,
    "names that meet": {"a.b": np.ones(1), "a": {"b": np.zeros(1)}, "__metadata__": np.ones(2), "": np.ones(3)},
    "odd keys": {1: "int", "1": "string", None: "none", True and "t": 1, -5: np.ones(1)},
    "shapes": [np.zeros((0, 3)), np.zeros((2, 0), np.int32), np.full((), 2.0), np.ones((1,) * 8)],
    "strided": {"t": np.arange(12.0).reshape(3, 4).T, "r": np.arange(5)[::-1], "z": np.broadcast_to(2.0, (3, 2))},
}


@pytest.mark.parametrize("name", STATES)
def test_round_trip(tmp_path, name):
    path = tmp_path / "x.safetensors"
    save(STATES[name], path)
    assert same(dict(STATES[name]) if isinstance(STATES[name], dict) else STATES[name], load(path))
    whole = path.read_bytes()
    save(load(path), path)
    assert path.read_bytes() == whole               # the same state, the same bytes


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool", ">f4", ">i8", "int16",
                                   "uint64"])
def test_array_dtypes(tmp_path, dtype):
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    save({"x": x}, tmp_path / "x")
    y = load(tmp_path / "x")["x"]
    assert (y == x).all() and y.dtype == x.dtype.newbyteorder("=") and y.flags.writeable and y.flags.aligned


def test_numpy_scalars_become_numbers(tmp_path):
    save({"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True)}, tmp_path / "x")
    assert load(tmp_path / "x") == {"a": 0.5, "b": 3, "c": True}


leaves = st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats() | st.text(max_size=5)
nests = st.recursive(leaves | st.builds(lambda n: np.arange(n, dtype=np.float32), st.integers(0, 3)),
                     lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
                     | st.dictionaries(st.text(max_size=3) | st.integers(-9, 9), inner, max_size=3), max_leaves=10)


@given(nests)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_nest_comes_back(tmp_path, state):
    save(state, tmp_path / "x")
    assert same(state, load(tmp_path / "x"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_in_files(tmp_path, dtype):
    values = np.array([0, -0.0, 1, 1 / 3, 65504, 1e-8, 3e38, np.inf, -np.inf, np.nan, 1 + 1 / 256, 1 + 3 / 256],
                      np.float32)
    save({"x": Tensor(values), "n": np.arange(3), "d": values.astype(np.float64)[:3]}, tmp_path / "x", dtype=dtype)
    back = load(tmp_path / "x")
    x = back["x"].numpy()
    assert x.dtype == np.float32 and back["n"].dtype == np.int64 and back["d"].dtype == np.float32
    if dtype == "float16":
        with np.errstate(over="ignore"):
            expected = values.astype(np.float16).astype(np.float32)
    else:                                   # the nearest of 8 bits of mantissa, ties to even: 1 + 1/256 and 1 + 3/256
        expected = np.array([0, -0.0, 1, 0.333984375, 65536, 1.00117176818e-08, 226 * 2.0**120, np.inf, -np.inf, np.nan,
                             1.0, 1.015625], np.float32)
    assert np.array_equal(x, expected, equal_nan=True) and np.signbit(x[1])
    assert (tmp_path / "x").stat().st_size < 700


def test_other_tools_read_ours_and_we_read_theirs(tmp_path):
    state = {"conv": {"weight": Tensor(np.arange(6, dtype=np.float32).reshape(3, 2))}, "step": 4}
    save(state, tmp_path / "x")
    theirs = safetensors.numpy.load_file(tmp_path / "x")
    assert list(theirs) == ["conv.weight"] and (theirs["conv.weight"] == state["conv"]["weight"].numpy()).all()
    safetensors.numpy.save_file({"w": np.ones((2, 2), np.float16), "n": np.array([1, 2], np.int16),
                                 "b": np.array([True, False])}, tmp_path / "y", {"format": "pt"})
    ours = load(tmp_path / "y")
    assert all(isinstance(x, Tensor) for x in ours.values())
    assert ours["w"].numpy().dtype == np.float32 and ours["n"].numpy().dtype == np.int32
    assert ours["b"].numpy().tolist() == [True, False]
    safetensors.numpy.save_file({"w": np.ones(2, np.uint64)}, tmp_path / "z")
    with pytest.raises(ValueError, match="dtype U64, which no tensor holds"):
        load(tmp_path / "z")


def test_a_layers_state_round_trip(tmp_path):
    minilayer.manual_seed(0)
    model, other = (minilayer.Sequential(minilayer.Linear(3, 4), minilayer.BatchNorm1d(4)) for _ in range(2))
    model(Tensor(np.ones((5, 3), np.float32)))
    save(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load(tmp_path / "model.safetensors"))
    assert same(dict(model.state_dict()), dict(other.state_dict()))
    with pytest.raises(RuntimeError, match="weight"):
        minilayer.Linear(3, 5).load_state_dict(load(tmp_path / "model.safetensors"))


# ---- what cannot be saved ----

class Strange:
    pass


def deep(n):
    return {"x": deep(n - 1)} if n else 1


CIRCLE: list = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize("state, error, message", [
    ({"a": [1, Strange()]}, TypeError, "cannot save the Strange at 'a.1'"),
    ({"a": b"bytes"}, TypeError, "bytes at 'a'"),
    ({"a": {1j}}, TypeError, "set at 'a'"),
    ({"a": np.array(["x"])}, TypeError, "array at 'a', got dtype <U1"),
    ({"a": np.array([None])}, TypeError, "dtype object"),
    ({"a": np.ones(2, complex)}, TypeError, "complex128"),
    ({(1, 2): 3}, TypeError, r"keys .* got \(1, 2\)"),
    ({0.5: 3}, TypeError, "keys"),
    (deep(40), ValueError, "32 levels"),
    (CIRCLE, ValueError, "32 levels"),
    ({"n": 1 << 5000}, ValueError, "4096 bits")])
def test_what_cannot_be_saved(tmp_path, state, error, message):
    with pytest.raises(error, match=f"save: .*{message}|save: {message}"):
        save(state, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_save_checks_its_arguments(tmp_path):
    with pytest.raises(TypeError, match=r"expected save\(state, path\), got dict as the path"):
        save(tmp_path / "x", {})
    with pytest.raises(ValueError, match="float16"):
        save({}, tmp_path / "x", dtype="float8")


def test_too_much_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_HEADER", 1000)
    with pytest.raises(ValueError, match="keep long lists of numbers in an array"):
        save(list(range(1000)), tmp_path / "x")


# ---- where it cannot be written ----

@pytest.mark.parametrize("place", ["no folder/x", "file/x", "/proc/x", "/proc/self/x", "folder", "n" * 300])
def test_unwritable_places(tmp_path, place):
    """As root too."""
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(OSError, match="save: cannot write .*"):
        save({"x": 1}, tmp_path / place)
    assert sorted(p.name for p in tmp_path.iterdir()) == before and list((tmp_path / "folder").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="change its permissions"):
        save({"x": 1}, tmp_path / "x")
    tmp_path.chmod(0o700)


def test_mode_follows_the_umask(tmp_path):
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(umask)
        try:
            save({}, tmp_path / "x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "x")
    save({"a": 1}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and load(tmp_path / "real" / "x") == {"a": 1}


@pytest.mark.parametrize("call, code", [("write", "ENOSPC"), ("fsync", "EIO"), ("replace", "EACCES")])
def test_a_failing_disk_keeps_the_old_file(tmp_path, monkeypatch, call, code):
    import errno
    path = tmp_path / "x"
    save({"x": np.arange(1000)}, path)

    def fail(*args, **kwargs):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    class FullFile:
        def __init__(self, descriptor):
            self.descriptor = descriptor

        def __enter__(self):
            return self

        def __exit__(self, *error):
            os.close(self.descriptor)

        def fileno(self):
            return self.descriptor

        def write(self, view):
            return os.write(self.descriptor, view[:100]) if len(view) > 5000 else fail()

    if call == "write":
        monkeypatch.setattr(serialization, "open", lambda d, *a, **k: FullFile(d), raising=False)
    else:
        monkeypatch.setattr(serialization.os, call, fail)
    advice = "free some space; an older file" if call == "write" else "save: cannot write"
    with pytest.raises(OSError, match=advice) as caught:
        save({"x": np.zeros(1000)}, path)
    assert caught.value.errno == getattr(errno, code)
    monkeypatch.undo()
    assert load(path)["x"][999] == 999 and [p.name for p in tmp_path.iterdir()] == ["x"]


def run(code: str, *arguments, **options):
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          cwd=os.path.dirname(os.path.dirname(minilayer.__file__)), **options)


def test_a_file_size_limit_keeps_the_old_file(tmp_path):
    """A real refusal by the system, half-way through writing."""
    save({"x": np.arange(10)}, tmp_path / "x")
    done = run("import resource, sys, numpy as np\nfrom minilayer.serialization import save\n"
               "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
               "try: save({'x': np.zeros(100_000)}, sys.argv[1])\nexcept OSError as e: print(e)", tmp_path / "x")
    assert "free some space" in done.stdout, done.stderr
    assert load(tmp_path / "x")["x"].tolist() == list(range(10)) and [p.name for p in tmp_path.iterdir()] == ["x"]


# ---- kill -9 ----

KILL_AND_LOOK = """
import os, random, signal, sys, time, numpy as np
from minilayer.serialization import load, save
path, dice, left = sys.argv[1], random.Random(0), 0
save({"step": 0, "w": np.zeros(1), "v": np.zeros(1)}, path)
for i in range(100):
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        step = 0
        while True:
            step += 1
            save({"step": step, "w": np.full(250_000, step, np.float32), "v": np.full(1000, step)}, path)
            if step == 1:
                os.write(told, b"x")
    os.read(ready, 1)
    time.sleep(dice.uniform(0, 0.006))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready), os.close(told)
    state = load(path)
    assert state["step"] > 0 and (state["w"] == state["step"]).all() and (state["v"] == state["step"]).all(), i
    others = [name for name in os.listdir(os.path.dirname(path)) if name != "x"]
    assert len(others) <= 1, others
    left += len(others)
save(state, path)
print(left, os.listdir(os.path.dirname(path)))
"""


def test_kill_9_while_saving(tmp_path):
    """100 times: a whole file each time, and what a killed process left behind is swept by the next save."""
    done = run(KILL_AND_LOOK, tmp_path / "x", timeout=120)
    assert done.returncode == 0, done.stderr
    left, names = done.stdout.split(maxsplit=1)
    assert names.strip() == "['x']"
    assert int(left) > 10               # as often was a save hit in the middle: else nothing was tested


def test_saves_at_once_do_not_disturb_each_other(tmp_path):
    errors = []

    def work(n):
        try:
            for _ in range(20):
                save({"n": np.full(1000, n)}, tmp_path / "x")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors and [p.name for p in tmp_path.iterdir()] == ["x"]
    assert len(set(load(tmp_path / "x")["n"])) == 1


def test_a_temporary_being_written_is_not_swept(tmp_path):
    temporary, descriptor = serialization._open_locked(tmp_path, ".x.saving-")
    write_atomic(tmp_path / "x", b"abc")
    assert temporary.exists()
    os.close(descriptor)
    write_atomic(tmp_path / "x", b"abc")
    assert not temporary.exists() and (tmp_path / "x").read_bytes() == b"abc"


# ---- hostile files ----

def file_of(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def one(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"w": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}}


def ours(tree, arrays=None, data=b""):
    text = tree if isinstance(tree, str) else json.dumps(tree)
    return file_of({"__metadata__": {"minilayer-1": text}, **(arrays or {})}, data)


EIGHT = b"\0" * 8
HOSTILE = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "header longer than file": file_of("{}", length=3),
    "header of 16 EB": file_of("{}", length=2**64 - 1),
    "header over the cap": file_of(b" " * (1 << 24) + b"{}"),
    "not JSON": file_of("{"),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "a list": file_of("[]"),
    "a pickle": b"\x80\x04\x95" + EIGHT,
    "a zip": b"PK\3\4" + b"\0" * 100,
    "a name twice": file_of('{"w":%s,"w":%s}' % ((json.dumps(one()["w"]),) * 2), EIGHT),
    "NaN": file_of('{"w":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', EIGHT),
    "deep": file_of('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "deep and open": file_of("[" * 100_000),
    "metadata no strings": file_of({"__metadata__": {"a": 1}}),
    "metadata a list": file_of({"__metadata__": []}),
    "not described": file_of({"w": {}}),
    "more than described": file_of(one(x=1), EIGHT),
    "entry a list": file_of({"w": []}),
    "unknown dtype": file_of(one("F4"), EIGHT),
    "dtype a list": file_of(one(["F32"]), EIGHT),
    "negative size": file_of(one(shape=(-2,)), EIGHT),
    "size true": file_of(one(shape=(True, 2)), EIGHT),
    "size 1.0": file_of(one(shape=(2.0,)), EIGHT),
    "size a string": file_of(one(shape=("2",)), EIGHT),
    "too many axes": file_of(one(shape=(1,) * 1000 + (2,)), EIGHT),
    "size that overflows": file_of(one(shape=(2**31, 2**31, 4)), EIGHT),
    "size of 4 TB": file_of(one(shape=(2**40,)), EIGHT),
    "zero times huge": file_of(one(shape=(0, 2**61, 2**61), offsets=(0, 0))),
    "claims 4 TB": file_of(one(shape=(2**40,), offsets=(0, 2**42)), EIGHT),
    "three offsets": file_of(one(offsets=(0, 4, 8)), EIGHT),
    "backwards": file_of(one(offsets=(8, 0)), EIGHT),
    "beyond the end": file_of(one(offsets=(8, 16)), EIGHT),
    "cut": file_of(one(), EIGHT[:-1]),
    "too long": file_of(one(), EIGHT + b"x"),
    "a hole": file_of({"a": one(shape=(1,), offsets=(0, 4))["w"], "b": one(shape=(1,), offsets=(8, 12))["w"]},
                      b"\0" * 12),
    "overlap": file_of({"a": one()["w"], "b": one()["w"]}, EIGHT),
    "tree no JSON": ours("{"),
    "tree empty": ours(""),
    "tree of an unknown kind": ours({"pickle": "x"}),
    "tree with two kinds": ours({"list": [], "tuple": []}),
    "tree naming no array": ours({"tensor": "w"}),
    "tree dict malformed": ours({"dict": [[1]]}),
    "tree dict no list": ours({"dict": {}}),
    "tree key twice": ours({"dict": [["a", 1], ["a", 2]]}),
    "tree key a list": ours({"dict": [[[], 1]]}),
    "tree float": ours({"float": "1e5"}),
    "tree number NaN": ours("NaN"),
    "tree number too large": ours("1e999"),
    "tree integer too long": ours("1" * 5000),
    "tree tuple": ours({"tuple": 3}),
    "tree deep": ours("[" * 5000 + "]" * 5000),
    "tree name twice": ours('{"float":"nan","float":"nan"}'),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(tmp_path, kind):
    (tmp_path / "bad.safetensors").write_bytes(HOSTILE[kind])
    with pytest.raises(ValueError, match=r"load: .*bad.safetensors is not a file that can be read: .*another copy"):
        load(tmp_path / "bad.safetensors")


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_values_or_the_documented_error(tmp_path, data):
    path = tmp_path / "x"
    save(STATES["nested"], path)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        kind, at = data.draw(st.sampled_from("scd")), data.draw(st.integers(0, len(whole) - 1))
        if kind == "s":
            whole[at] = data.draw(st.integers(0, 255))
        elif kind == "c":
            whole = whole[:max(at, 1)]
        else:
            whole[at:at] = data.draw(st.binary(max_size=4))
    path.write_bytes(whole)
    try:
        load(path)
    except ValueError as error:
        assert "load: " in str(error)


def test_every_cut_of_a_file_is_refused(tmp_path):
    save({"a": np.arange(5), "b": {"c": 1}}, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    for n in range(len(whole)):
        (tmp_path / "y").write_bytes(whole[:n])
        with pytest.raises(ValueError, match="load"):
            load(tmp_path / "y")


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="load: no file .*x; check the path"):
        load(tmp_path / "x")
    with pytest.raises(ValueError, match="regular file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file"):
        load(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file"):
        load("/dev/zero")


def test_a_bool_is_true_or_false(tmp_path):
    (tmp_path / "x").write_bytes(file_of(one("BOOL", (3,), (0, 3)), b"\0\1\xff"))
    assert load(tmp_path / "x")["w"].numpy().tolist() == [False, True, True]


@pytest.mark.parametrize("keep", [20, -4])
def test_a_file_cut_while_it_is_read(tmp_path, monkeypatch, keep):
    """Its size was right when it was looked at; then somebody else shortened it."""
    save({"w": np.ones(5)}, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[:keep])
    monkeypatch.setattr(serialization.os, "fstat", lambda descriptor: os.stat_result([0] * 6 + [len(whole)] + [0] * 3))
    with pytest.raises(ValueError, match="it ends too early"):
        load(tmp_path / "x")
