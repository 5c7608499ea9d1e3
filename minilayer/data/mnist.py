"""MNIST and Fashion-MNIST: 28x28 grey images in ten classes, 60,000 to learn from and 10,000 to test on.

MNIST: Y. LeCun, C. Cortes, C. Burges, 1998. Fashion-MNIST: H. Xiao, K. Rasul, R. Vollgraf, 2017, arXiv:1708.07747.
Both come as IDX files, a format of one header line and raw numbers, which `read_idx` reads without trusting it.
"""
import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from minilayer.data.dataset import TensorDataset
from minilayer.data.download import RemoteFile, cache_folder, fetch

MAX_BYTES = 1 << 30         # the most an IDX file may unpack to, unless the caller says otherwise
_IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MIRRORS = {"mnist": ("https://ossci-datasets.s3.amazonaws.com/mnist/",
                      "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)}
_FILES = {          # size and SHA-256 of the .gz as published
    "mnist": {
        "train-images-idx3-ubyte.gz":
            (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz":
            (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz":
            (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz":
            (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")},
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz":
            (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1-ubyte.gz":
            (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3-ubyte.gz":
            (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1-ubyte.gz":
            (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5")}}
_FOLDERS = {"mnist": ("mnist", "MNIST/raw"), "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw")}


class ImageDataset(TensorDataset):
    """Grey images (N,H,W) of unsigned bytes and their labels (N,). Item i is image i as float32 (1,H,W), divided by
    `white` so that it lies in [0, 1], and its label as int64. The bytes stay bytes until a batch asks for them."""
    classes: tuple = ()

    def __init__(self, images: np.ndarray, labels: np.ndarray, white: int = 255):
        super().__init__(images, labels)
        if images.ndim != 3 or images.dtype != np.uint8 or labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError("ImageDataset: expected images (N,H,W) of uint8 and whole labels (N,), "
                             f"got {images.dtype} {images.shape} and {labels.dtype} {labels.shape}")
        self.images, self.labels, self.white = images, labels, white

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image[None].astype(np.float32) / np.float32(self.white), label.astype(np.int64)

    def take(self, indices) -> tuple:
        """The batch of these rows: images (B,1,H,W), labels (B,)."""
        return (self.images[indices, None].astype(np.float32) / np.float32(self.white),
                self.labels[indices].astype(np.int64))


class MNIST(ImageDataset):
    """Handwritten digits.

    train       the 60,000 images to learn from, or the 10,000 to test on
    root        a folder that holds the files; without it MINILAYER_DATA is searched, then the cache
    download    fetch missing files into the cache (11 MB in all); their hashes are pinned
    """
    name = "mnist"
    classes = tuple("0123456789")

    def __init__(self, train: bool = True, root=None, download: bool = True):
        kind = "train" if train else "t10k"
        paths = find_files(self.name, [f"{kind}-images-idx3-ubyte.gz", f"{kind}-labels-idx1-ubyte.gz"], root, download)
        images, labels = (read_idx(path) for path in paths)
        if images.ndim != 3 or labels.shape != images.shape[:1] or images.dtype != np.uint8 or labels.dtype != np.uint8:
            raise ValueError(f"{self.name}: expected images (N,H,W) and labels (N,) of unsigned bytes in "
                             f"{paths[0]} and {paths[1]}, got {images.dtype} {images.shape} and "
                             f"{labels.dtype} {labels.shape}; take the files of one data set")
        if labels.size and labels.max() >= len(self.classes):
            raise ValueError(f"{self.name}: expected labels from 0 to {len(self.classes) - 1} in {paths[1]}, "
                             f"got {labels.max()}; take another copy of the file")
        super().__init__(images, labels)


class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's format (31 MB in all); see `MNIST` for the arguments."""
    name = "fashion-mnist"
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def find_files(dataset: str, names: list[str], root=None, download: bool = True) -> list[Path]:
    """Paths of a data set's files: in `root` (or its usual folders below), in those of MINILAYER_DATA, in the cache,
    or freshly downloaded there. A file may also lie there unpacked, without its .gz."""
    places = []
    given = root if root is not None else os.environ.get("MINILAYER_DATA")
    if given:
        given = Path(given).expanduser()
        places = [given / f for f in _FOLDERS[dataset]]
        if root is not None or dataset == "mnist" or given.name == dataset:     # MNIST's names are everyone's names
            places.insert(0, given)
    cache = cache_folder() / dataset
    if root is None:
        places.append(cache)
    found = [next((p for place in places for p in (place / n, place / n.removesuffix(".gz")) if p.is_file()), None)
             for n in names]
    missing = [n for n, path in zip(names, found, strict=True) if path is None]
    if missing and root is not None:
        raise FileNotFoundError(f"{dataset}: expected {' and '.join(missing)} in {root}; put them there, or leave out "
                                "root to search MINILAYER_DATA and the cache and to download them")
    if missing and not download:
        raise FileNotFoundError(f"{dataset}: {' and '.join(missing)} not found in {', '.join(map(str, places))}; "
                                f"put them into {cache}, set MINILAYER_DATA to a folder that holds them, "
                                "or allow the download")
    for i, (name, path) in enumerate(zip(names, found, strict=True)):
        if path is None:
            size, sha256 = _FILES[dataset][name]
            urls = tuple(mirror + name for mirror in _MIRRORS[dataset])
            try:
                found[i] = fetch(RemoteFile(name, size, sha256, urls), cache)
            except ConnectionError as error:
                raise FileNotFoundError(
                    f"{dataset}: {' and '.join(missing)} not found in {', '.join(map(str, places))}, and could not be "
                    f"downloaded. Put them into {cache}, or set MINILAYER_DATA to a folder that holds them.\n"
                    f"{error}") from None
    return [path for path in found if path is not None]


def read_idx(path, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array of an IDX file, packed with gzip or not.

        0 0 dtype ndim | ndim sizes, 4 bytes each, big-endian | the numbers, big-endian, C order

    Raises FileNotFoundError, and ValueError for a file that is no IDX file, is cut short, too long or damaged, or that
    claims more than `max_bytes` or than a file of its length can hold. Memory is taken only after that check.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_idx: no file {path}")
    try:
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            length = os.fstat(plain.fileno()).st_size
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if packed else plain as file:
                magic = _exactly(file, 4)
                if magic[:2] != b"\0\0" or magic[2] not in _IDX_DTYPES or not 1 <= magic[3] <= 8:
                    raise ValueError(f"its first bytes are {magic.hex(' ')}, not those of an IDX file")
                shape = tuple(int.from_bytes(_exactly(file, 4), "big") for _ in range(magic[3]))
                dtype = np.dtype(_IDX_DTYPES[magic[2]])
                nbytes = math.prod(shape) * dtype.itemsize
                header = 4 + 4 * len(shape)
                if nbytes > max_bytes or (nbytes > 1100 * length if packed else nbytes != length - header):
                    raise ValueError(f"it claims shape {shape}, {nbytes} bytes, in a file of {length} bytes")
                data = np.empty(nbytes, np.uint8)       # (deflate packs at most 1032 to 1)
                view, at = data.data, 0
                while at < nbytes and (got := file.readinto(view[at:])):
                    at += got
                if at < nbytes or file.read(1):
                    raise ValueError(f"it holds {'less' if at < nbytes else 'more'} than the {nbytes} bytes it claims")
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"read_idx: cannot read {path}: {error}; delete it and take another copy") from None
    return data.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _exactly(file, n: int) -> bytes:
    data = file.read(n)
    if len(data) != n:
        raise ValueError("it ends within its header")
    return data
