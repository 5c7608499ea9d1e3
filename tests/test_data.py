"""Datasets, batches in a seeded and resumable order, the shipped digits, IDX files and downloads, good and hostile."""
import gzip
import hashlib
import http.server
import struct
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from minilayer.data import (
    MNIST,
    DataLoader,
    Dataset,
    Digits,
    FashionMNIST,
    ImageDataset,
    Subset,
    TensorDataset,
    cache_folder,
    default_collate,
    load_digits,
    random_split,
    read_idx,
)
from minilayer.data import mnist as mnist_module
from minilayer.data.download import RemoteFile, fetch
from minilayer.random import Generator, manual_seed
from minilayer.tensor import Tensor


class Squares(Dataset):
    """Item i is (i, i * i): read one by one."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i, np.float32(i * i)


def firsts(loader):
    """The first part of every batch, as lists."""
    return [batch[0].numpy().tolist() for batch in loader]


# ---- datasets ----

def test_tensor_dataset_takes_arrays_and_tensors():
    x, y = np.arange(12, dtype=np.float32).reshape(6, 2), Tensor(np.arange(6))
    data = TensorDataset(x, y)
    assert len(data) == 6
    assert data[2][0].tolist() == [4, 5] and data[2][1].item() == 2
    taken = data.take(np.array([5, 0]))
    assert taken[0].tolist() == [[10, 11], [0, 1]] and taken[1].numpy().tolist() == [5, 0]
    taken[0][:] = -1
    assert x[5].tolist() == [10, 11]            # a batch is a copy


def test_subset_reads_its_items_only():
    data = Subset(Squares(10), [7, 3])
    assert len(data) == 2 and data[0] == (7, 49) and not hasattr(data, "take")
    nested = Subset(Subset(TensorDataset(np.arange(10)), [1, 3, 5, 7]), [3, 0])
    assert nested.take(np.array([0, 1]))[0].tolist() == [7, 1]
    assert len(Subset(Squares(3), [])) == 0


@pytest.mark.parametrize("lengths, sizes", [([6, 3, 1], [6, 3, 1]), ([0.5, 0.25, 0.25], [6, 2, 2]), ([1.0], [10]),
                                            ([10, 0], [10, 0]), ([0.1] * 10, [1] * 10)])
def test_random_split_cuts_into_parts(lengths, sizes):
    parts = random_split(Squares(10), lengths, Generator(1))
    assert [len(p) for p in parts] == sizes
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    again = random_split(Squares(10), lengths, rng=Generator(1))
    assert all((a.indices == b.indices).all() for a, b in zip(parts, again, strict=True))


# ---- batches ----

@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("dataset", [Squares(10), TensorDataset(np.arange(10), np.arange(10, dtype=np.float32) ** 2)],
                         ids=["items", "batches"])
def test_batches_in_order(dataset, workers):
    loader = DataLoader(dataset, 4, num_workers=workers)
    assert len(loader) == 3
    assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    batch = next(iter(loader))
    assert isinstance(batch[1], Tensor) and batch[1].numpy().tolist() == [0, 1, 4, 9]
    assert batch[0].numpy().dtype == np.int64 and batch[1].numpy().dtype == np.float32
    dropping = DataLoader(dataset, 4, drop_last=True, num_workers=workers)
    assert len(dropping) == 2 and firsts(dropping) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_default_batch_size_is_one_and_empty_is_empty():
    assert firsts(DataLoader(Squares(2))) == [[0], [1]]
    assert list(DataLoader(Squares(0), 4)) == [] and len(DataLoader(Squares(0), 4)) == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_order_comes_from_the_seed(workers):
    epochs = [firsts(DataLoader(Squares(20), 6, shuffle=True, seed=3, num_workers=workers)) for _ in range(2)]
    assert epochs[0] == epochs[1]
    loader = DataLoader(Squares(20), 6, shuffle=True, seed=3)
    first, second = firsts(loader), firsts(loader)
    assert first == epochs[0] and second != first
    assert sorted(sum(second, [])) == list(range(20))
    assert firsts(DataLoader(Squares(20), 6, shuffle=True, seed=4)) != first
    for a, b in ((Generator(5), Generator(5)), (manual_seed(5), manual_seed(5))):
        assert firsts(DataLoader(Squares(20), shuffle=True, generator=a)) == \
            firsts(DataLoader(Squares(20), shuffle=True, rng=b.manual_seed(5)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 1, 3, 4, 5, 9])
def test_a_resumed_loader_goes_on_with_the_next_batch(stop, workers):
    def loader(seed=None):
        return DataLoader(Squares(23), 6, shuffle=True, seed=seed, num_workers=workers)

    whole = loader(seed=1)
    expected = firsts(whole) + firsts(whole) + firsts(whole)
    first = loader(seed=1)
    seen, state = [], first.state_dict()
    while len(seen) < stop:
        for batch in first:
            seen.append(batch[0].numpy().tolist())
            state = first.state_dict()
            if len(seen) == stop:
                break
    second = loader()
    second.load_state_dict(state)
    while len(seen) < len(expected):
        seen += firsts(second)
    assert seen == expected


def test_a_loop_left_early_starts_a_new_epoch():
    loader = DataLoader(Squares(8), 2, shuffle=True, seed=0)
    whole = DataLoader(Squares(8), 2, shuffle=True, seed=0)
    firsts(whole)
    next(iter(loader))
    assert firsts(loader) == firsts(whole)


def test_loader_state_of_other_data_is_refused():
    state = DataLoader(Squares(8), 2).state_dict()
    with pytest.raises(ValueError, match="expected items 9 .* got 8"):
        DataLoader(Squares(9), 2).load_state_dict(state)
    with pytest.raises(ValueError, match="expected batch_size 3"):
        DataLoader(Squares(8), 3).load_state_dict(state)


def test_workers_prepare_a_bounded_number_ahead():
    started = []

    class Slow(Squares):
        def __getitem__(self, i):
            started.append(i)
            return super().__getitem__(i)

    batches = iter(DataLoader(Slow(100), 1, num_workers=2))
    next(batches)
    time.sleep(0.05)
    assert len(started) <= 5                    # two for each of two workers, and the one that was handed out
    before = threading.active_count()
    batches.close()
    assert threading.active_count() <= before - 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_the_dataset_reaches_the_loop(workers):
    class Broken(Squares):
        def __getitem__(self, i):
            if i == 5:
                raise OSError("cannot read item")
            return super().__getitem__(i)

    batches = iter(DataLoader(Broken(8), 2, num_workers=workers))
    assert next(batches)[0].numpy().tolist() == [0, 1] and next(batches)[0].numpy().tolist() == [2, 3]
    with pytest.raises(OSError, match="cannot read item") as caught:
        next(batches)
    assert "item 5" in caught.value.__notes__[0]


def test_collate():
    Pair = namedtuple("Pair", "a b")
    batch = default_collate([{"x": np.ones(2, np.float32), "y": (1, 2.0), "z": "one", "p": Pair(1, [True])},
                             {"x": np.zeros(2, np.float32), "y": (3, 4.0), "z": "two", "p": Pair(2, [False])}])
    assert batch["x"].numpy().tolist() == [[1, 1], [0, 0]] and batch["x"].numpy().dtype == np.float32
    assert batch["y"][0].numpy().dtype == np.int64 and batch["y"][1].numpy().dtype == np.float64
    assert batch["z"] == ["one", "two"]
    assert batch["p"].a.numpy().tolist() == [1, 2] and batch["p"].b[0].numpy().tolist() == [True, False]
    assert default_collate([Tensor(np.ones(2)), Tensor(np.ones(2))]).numpy().shape == (2, 2)
    assert list(DataLoader(Squares(4), 2, collate_fn=len)) == [2, 2]
    with pytest.raises(ValueError, match=r"\(1,\), \(2,\)"):
        default_collate([np.ones(1), np.ones(2)])
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        default_collate([(1,), (1, 2)])
    with pytest.raises(TypeError, match="type object"):
        default_collate([object()])


# ---- digits and images ----

def test_the_digits():
    images, labels = load_digits()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8 and images.max() == 16 and images.min() == 0
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    tested = []
    for fold in range(5):
        train, test = Digits(fold=fold), Digits(train=False, fold=fold)
        assert len(train) + len(test) == 1797
        assert (test.images == images[fold::5]).all()
        tested += test.labels.tolist()
    assert len(tested) == 1797 and len(Digits(fold=None)) == 1797
    image, label = Digits()[3]
    assert image.shape == (1, 8, 8) and image.dtype == np.float32 and 0 <= image.min() and image.max() == 1
    x, y = next(iter(DataLoader(Digits(), 4)))
    assert x.shape == (4, 1, 8, 8) and y.numpy().dtype == np.int64
    assert (x.numpy()[3] == image).all() and y.numpy()[3] == label


# ---- IDX files ----

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(x, shape=None):
    shape = x.shape if shape is None else shape
    head = bytes([0, 0, CODES[x.dtype.str[1:]], len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return head + x.astype(x.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_round_trip(tmp_path, dtype, packed):
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(idx_bytes(x)) if packed else idx_bytes(x))
    y = read_idx(path)
    assert (y == x).all() and y.dtype == x.dtype and y.flags.writeable
    path.write_bytes(idx_bytes(x[:0]))
    assert read_idx(path).shape == (0, 3, 4)


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
HOSTILE = {
    "empty": b"", "cut in the header": GOOD[:9], "cut in the data": GOOD[:-1], "too long": GOOD + b"x",
    "not IDX": b"\x89PNG\r\n" + GOOD, "unknown type": b"\0\0\x0a\x02" + GOOD[4:], "no axes": b"\0\0\x08\0",
    "too many axes": b"\0\0\x08\xff" + b"\0\0\0\1" * 255,
    "claims 16 EB": b"\0\0\x08\x02" + b"\xff" * 8 + b"x",
    "claims 4 GB": b"\0\0\x08\x01" + b"\xff" * 4 + b"x",
    "claims more than gz can hold": gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 1 << 29) + b"x"),
    "gz claims 16 EB": gzip.compress(b"\0\0\x0e\x02" + b"\xff" * 8),
    "gz cut": gzip.compress(GOOD)[:-9], "gz cut in its header": gzip.compress(GOOD)[:5],
    "gz damaged": gzip.compress(GOOD)[:14] + b"\xff\xff\xff" + gzip.compress(GOOD)[17:],
    "gz with a wrong sum": gzip.compress(GOOD)[:-8] + b"\0" * 8,
    "gz too short": gzip.compress(GOOD[:-1]), "gz too long": gzip.compress(GOOD + b"x"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_idx_files_are_refused(tmp_path, kind):
    path = tmp_path / "bad-idx"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(ValueError, match="read_idx: cannot read .*bad-idx.*another copy"):
        read_idx(path)


def test_idx_cap_and_missing(tmp_path):
    (tmp_path / "x").write_bytes(GOOD)
    assert read_idx(tmp_path / "x", max_bytes=12).size == 12
    with pytest.raises(ValueError, match="12 bytes"):
        read_idx(tmp_path / "x", max_bytes=11)
    for missing in (tmp_path / "y", tmp_path):
        with pytest.raises(FileNotFoundError, match="no file"):
            read_idx(missing)


def test_every_cut_of_a_packed_file_is_refused(tmp_path):
    whole = gzip.compress(GOOD)
    for n in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:n])
        with pytest.raises(ValueError, match="read_idx"):
            read_idx(tmp_path / "x")


# ---- MNIST ----

@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data, an empty cache, and no network."""
    monkeypatch.delenv("MINILAYER_DATA", raising=False)
    monkeypatch.setenv("MINILAYER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist_module, "_MIRRORS", dict.fromkeys(["mnist", "fashion-mnist"], ("http://127.0.0.1:9/",)))
    return tmp_path


def put_mnist(folder, images=None, labels=None, kind="t10k", suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(5 * 28 * 28).reshape(5, 28, 28).astype(np.uint8) if images is None else images
    labels = np.array([0, 1, 2, 3, 9], np.uint8) if labels is None else labels
    for name, x in ((f"{kind}-images-idx3-ubyte", images), (f"{kind}-labels-idx1-ubyte", labels)):
        (folder / (name + suffix)).write_bytes(gzip.compress(idx_bytes(x)) if suffix else idx_bytes(x))


@pytest.mark.parametrize("place", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_found(nowhere, monkeypatch, place, suffix):
    put_mnist(nowhere / "data" / place, suffix=suffix)
    monkeypatch.setenv("MINILAYER_DATA", str(nowhere / "data"))
    for data in (MNIST(train=False), MNIST(train=False, root=nowhere / "data")):
        assert len(data) == 5 and data[4][1] == 9 and data[0][0].shape == (1, 28, 28)
    if place == ".":
        with pytest.raises(FileNotFoundError):              # these names say nothing of whose images they are
            FashionMNIST(train=False)
        assert len(FashionMNIST(train=False, root=nowhere / "data")) == 5


def test_mnist_is_found_in_the_cache(nowhere):
    put_mnist(nowhere / "cache" / "mnist", kind="train")
    put_mnist(nowhere / "cache" / "fashion-mnist", kind="train")
    assert len(MNIST()) == 5 and FashionMNIST().classes[9] == "Ankle boot"


def test_missing_mnist_says_where_to_put_it(nowhere):
    message = r"(?s)t10k-images-idx3-ubyte.gz and t10k-labels.*cache/mnist.*Put them into"
    with pytest.raises(FileNotFoundError, match=message) as caught:
        MNIST(train=False)
    assert "127.0.0.1:9" in str(caught.value) and "MINILAYER_DATA" in str(caught.value)
    assert not list((nowhere / "cache" / "mnist").iterdir())
    with pytest.raises(FileNotFoundError, match="or allow the download"):
        MNIST(download=False)
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.gz and .* in "):
        MNIST(root=nowhere)


@pytest.mark.parametrize("images, labels, message", [
    (np.zeros((5, 28, 28), np.uint8), np.zeros(4, np.uint8), "files of one data set"),
    (np.zeros((5, 784), np.uint8), np.zeros(5, np.uint8), "expected images"),
    (np.zeros((5, 28, 28), np.int16), np.zeros(5, np.uint8), "unsigned bytes"),
    (np.zeros((2, 28, 28), np.uint8), np.array([1, 10], np.uint8), "labels from 0 to 9 .* got 10")])
def test_mismatched_mnist_files(nowhere, images, labels, message):
    put_mnist(nowhere, images, labels)
    with pytest.raises(ValueError, match=message):
        MNIST(train=False, root=nowhere)


def test_real_mnist_where_it_is():
    """The 10,000 test images beside the checkout, where there are any, hold what was published."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("no MNIST files beside the checkout")
    data = MNIST(train=False, root=folder)
    assert data.images.shape == (10000, 28, 28)
    assert hashlib.sha256(idx_bytes(data.images)).hexdigest() == \
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    assert hashlib.sha256(idx_bytes(data.labels)).hexdigest() == \
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"


def test_image_dataset_checks():
    with pytest.raises(ValueError, match="ImageDataset: expected images"):
        ImageDataset(np.zeros((2, 8, 8), np.float32), np.zeros(2, np.uint8))


# ---- downloads ----

class Server:
    """A web server on this machine that can be told to misbehave."""

    def __init__(self, data: bytes):
        self.data, self.cut, self.ranges, self.status, self.requests = data, None, True, 200, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.headers.get("Range"))
                if outer.status != 200:
                    return self.send_error(outer.status)
                start = int(self.headers["Range"][6:-1]) if outer.ranges and self.headers.get("Range") else 0
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(outer.data) - 1}/{len(outer.data)}")
                self.send_header("Content-Length", str(len(outer.data) - start))
                self.end_headers()
                end = len(outer.data) if outer.cut is None else min(start + outer.cut, len(outer.data))
                self.wfile.write(outer.data[start:end])

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/file"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server():
    made = Server(np.random.default_rng(0).bytes(300_000))
    yield made
    made.server.shutdown()
    made.server.server_close()


def remote(server, **changes):
    fields = {"name": "file", "size": len(server.data), "sha256": hashlib.sha256(server.data).hexdigest(),
              "urls": (server.url,)}
    return RemoteFile(**{**fields, **changes})


def test_download_once(server, tmp_path):
    for _ in range(2):
        path = fetch(remote(server), tmp_path / "a" / "b")
        assert path.read_bytes() == server.data
    assert len(server.requests) == 1 and [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server, tmp_path, ranges):
    server.cut = 100_000
    with pytest.raises(ConnectionError, match=r"after 100000 of 300000 bytes|IncompleteRead"):
        fetch(remote(server), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file.part"]
    server.cut, server.ranges = None, ranges
    assert fetch(remote(server), tmp_path).read_bytes() == server.data
    assert server.requests == [None, "bytes=100000-"]


def test_a_wrong_start_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"\0" * 1000)
    assert fetch(remote(server), tmp_path).read_bytes() == server.data
    (tmp_path / "file").unlink()
    (tmp_path / "file.part").write_bytes(b"\0" * 400_000)
    assert fetch(remote(server), tmp_path).read_bytes() == server.data


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"size": 299_999}, {"size": 300_001}])
def test_wrong_bytes_never_get_the_name(server, tmp_path, change):
    with pytest.raises(ConnectionError, match=r"(?s)no server gave file.*(wrong hash|bytes).*Put the file into"):
        fetch(remote(server, **change), tmp_path)
    assert not (tmp_path / "file").exists()


def test_the_next_server_is_asked(server, tmp_path):
    urls = ("http://127.0.0.1:9/file", server.url)
    assert fetch(remote(server, urls=urls), tmp_path).read_bytes() == server.data
    server.status = 404
    with pytest.raises(ConnectionError, match=r"(?s)127.0.0.1:9.*the server says 404"):
        fetch(remote(server, urls=urls), tmp_path / "c")


def test_two_downloads_at_once_are_one(server, tmp_path):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(remote(server), tmp_path))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(paths) == 4 and paths[0].read_bytes() == server.data and len(server.requests) == 1


@pytest.mark.parametrize("folder", ["a file/x", "/proc/x"])
def test_a_cache_that_cannot_be_made(server, tmp_path, folder):
    (tmp_path / "a file").write_text("")
    with pytest.raises(OSError, match="download: cannot write to .*MINILAYER_CACHE"):
        fetch(remote(server), tmp_path / folder)


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("MINILAYER_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("MINILAYER_CACHE")
    assert cache_folder() == Path("/b/minilayer")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "minilayer"


# ---- misuse ----

@pytest.mark.parametrize("call, error, message", [
    (lambda: TensorDataset(), ValueError, "at least one"),
    (lambda: TensorDataset([1, 2]), TypeError, "got list"),
    (lambda: TensorDataset(np.float32(1) + np.zeros(())), (TypeError, ValueError), "TensorDataset"),
    (lambda: TensorDataset(np.zeros(())), ValueError, "0-d"),
    (lambda: TensorDataset(np.zeros(3), np.zeros(4)), ValueError, r"\(3,\), \(4,\)"),
    (lambda: Subset(Squares(3), [0, 3]), IndexError, "0 to 2, got 0 to 3"),
    (lambda: Subset(Squares(3), [-1]), IndexError, "got -1"),
    (lambda: Subset(Squares(3), [0.5]), TypeError, "integers, got float64"),
    (lambda: Subset(Squares(3), [[0]]), TypeError, r"shape \(1, 1\)"),
    (lambda: random_split(Squares(3), [1, 1]), ValueError, "sum to the dataset's 3 items"),
    (lambda: random_split(Squares(3), [0.4, 0.4]), ValueError, "fractions that sum to 1"),
    (lambda: random_split(Squares(3), [4, -1]), ValueError, "0 or more"),
    (lambda: random_split(Squares(3), []), ValueError, "0 or more"),
    (lambda: random_split(Squares(3), [1, 2], np.random.default_rng()), TypeError, "Generator"),
    (lambda: DataLoader(Squares(3), 0), ValueError, "batch_size of 1 or more, got 0"),
    (lambda: DataLoader(Squares(3), 1.5), TypeError, "batch_size to be an integer, got 1.5"),
    (lambda: DataLoader(Squares(3), num_workers=-1), ValueError, "num_workers of 0 or more"),
    (lambda: DataLoader(Squares(0), shuffle=True), ValueError, "empty"),
    (lambda: DataLoader(Squares(3), shuffle=True, seed="x"), TypeError, "seed"),
    (lambda: Digits(fold=5), ValueError, "0 to 4, got 5"),
    (lambda: Digits(fold=True), ValueError, "got True"),
    (lambda: len(Dataset()), NotImplementedError, "__len__"),
    (lambda: Dataset()[0], NotImplementedError, "__getitem__")])
def test_misuse(call, error, message):
    with pytest.raises(error, match=message):
        call()
