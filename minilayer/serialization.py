"""Saving and loading: any nest of dicts, lists, tuples, plain values, arrays and tensors as one safetensors file.

    save({"model": model.state_dict(), "epoch": 3}, "run.safetensors")
    state = load("run.safetensors")

A file never runs code when it is read (nothing is pickled), and other tools read it too: every array lies in it under
its path ("model.0.weight"). What is not an array is JSON in the file's metadata. The bargain: only plain values are
kept; a class of your own has to turn itself into them.

Saving is atomic: a reader, and the next run after a crash or on a full disk, finds the old file or the new one, whole.
Reading trusts nothing: every size in the header is checked against the file before memory is asked for.
"""
import contextlib
import errno
import fcntl
import itertools
import json
import math
import os
import re
import stat
from pathlib import Path

import numpy as np
import safetensors

from minilayer.tensor import Tensor

MAX_HEADER = 1 << 24        # bytes of JSON; a model of 100,000 arrays needs about 10 MB
MAX_DEPTH = 32              # levels of nesting
MAX_DIMS = 16
_FORMAT = "minilayer-1"     # the one key of our metadata (of several, safetensors would write a random one first)
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
           "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "u1"}
_WRITES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8",
           "uint64", "uint32", "uint16", "uint8", "bool")
_TENSOR_DTYPE = {"F16": "float32", "BF16": "float32", "I16": "int32", "I8": "int32", "U16": "int32", "U32": "int64"}


def save(state, path, *, dtype=None) -> None:
    """Write `state` to `path`, all or nothing.

    state   Tensors, arrays, None, bool, int, float, str, and dicts, lists and tuples of them; anything else is a
            TypeError that names where it sits. NumPy scalars become Python numbers.
    dtype   "float16" or "bfloat16" stores every floating array in half the space; `load` gives float32 back.

    Raises OSError (of the kind that fits) where the file cannot be written; an older file is then still there, whole.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"save: expected save(state, path), got {type(path).__name__} as the path")
    if dtype not in (None, "float16", "bfloat16"):
        raise ValueError(f"save: expected dtype None, 'float16' or 'bfloat16', got {dtype!r}")
    arrays: dict = {}
    tree = json.dumps(_flatten(state, arrays, ""), allow_nan=False, separators=(",", ":"))
    specs = {name: _spec(x, dtype) for name, x in arrays.items()}
    blob = safetensors.serialize({name: spec for name, (spec, _) in specs.items()}, {_FORMAT: tree})
    if int.from_bytes(blob[:8], "little") > MAX_HEADER:
        raise ValueError(f"save: expected at most {MAX_HEADER} bytes beside the arrays, "
                         f"got {int.from_bytes(blob[:8], 'little')}; keep long lists of numbers in an array")
    write_atomic(path, blob)


def load(path):
    """Read what `save` wrote: the same nest, with Tensors where there were Tensors and arrays where there were arrays.

    A safetensors file of another tool gives a dict from name to Tensor. float16 and bfloat16 come as float32.

    Raises FileNotFoundError for a missing file, and ValueError, naming the file and what is wrong, for one that is cut
    short, damaged or made to mislead.
    """
    path = Path(path)
    try:
        arrays, metadata = _read(path)
        if _FORMAT not in metadata:
            return {name: _tensor(name, x, kind) for name, (x, kind) in arrays.items()}
        return _unflatten(_parse(metadata[_FORMAT]), arrays, 0)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f"load: no file {path}; check the path") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"load: {path} is not a file that can be read: {error}; "
                         "it may be cut short or not a safetensors file; take another copy") from None


# ---- the nest: arrays out, the rest as JSON ----
# A dict is {"dict": [[key, value], ...]} (keys may be numbers), a tuple {"tuple": [...]}, an array {"array": name}, a
# tensor {"tensor": name}, a float without a number {"float": "nan"}; the rest is JSON as it is.

def _flatten(value, arrays: dict, where: str, depth: int = 0):
    """JSON for `value`; the arrays in it go into `arrays` under the path where they sit."""
    if depth > MAX_DEPTH:
        raise ValueError(f"save: expected at most {MAX_DEPTH} levels of nesting, got more at {where[:200]!r}")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Tensor | np.ndarray):
        name = where.encode("utf-8", "backslashreplace").decode() or "value"
        for n in itertools.count(1):
            if name not in arrays and name != "__metadata__":
                break
            name = f"{name.rpartition('~')[0] if n > 1 else name}~{n}"
        arrays[name] = x = value.detach().to("cpu").numpy() if isinstance(value, Tensor) else value
        if x.dtype.name not in _WRITES:
            raise TypeError(f"save: expected numbers or bools in the array at {where!r}, got dtype {x.dtype}")
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, dict):
        return {"dict": [[_key(k, where), _flatten(v, arrays, f"{where}.{k}" if where else str(k), depth + 1)]
                         for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_flatten(v, arrays, f"{where}.{i}" if where else str(i), depth + 1) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(float(value))}
    if isinstance(value, int) and value.bit_length() > 4096:
        raise ValueError(f"save: expected an integer of at most 4096 bits at {where!r}, got {value.bit_length()} bits")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"save: cannot save the {type(value).__name__} at {where!r}; expected tensors, arrays, numbers, "
                    "strings, None, or dicts, lists and tuples of them")


def _key(key, where: str):
    if key is None or isinstance(key, bool | int | str):
        return key
    raise TypeError(f"save: expected strings or integers as keys of the dict at {where!r}, got {key!r}")


def _unflatten(node, arrays: dict, depth: int):
    """The value that `_flatten` described."""
    if isinstance(node, list):
        return [_unflatten(v, arrays, depth + 1) for v in node]
    if not isinstance(node, dict):
        return node
    if len(node) != 1:
        raise ValueError("its description of the contents is malformed")
    (kind, value), = node.items()
    if kind in ("tensor", "array") and isinstance(value, str) and value in arrays:
        x, stored = arrays[value]
        return _tensor(value, x, stored) if kind == "tensor" else x
    if kind == "tuple" and isinstance(value, list):
        return tuple(_unflatten(v, arrays, depth + 1) for v in value)
    if kind == "float" and value in ("nan", "inf", "-inf"):
        return float(value)
    if kind == "dict" and isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        result = {}
        for key, v in value:
            if isinstance(key, dict | list | float) or key in result:
                raise ValueError(f"a dict in it has the key {str(key)[:80]!r} twice, or a key that is no key")
            result[key] = _unflatten(v, arrays, depth + 1)
        return result
    raise ValueError(f"its description of the contents is malformed at {kind[:80]!r}")


# ---- arrays in a safetensors file: 8 bytes header length, JSON header, data ----

def _spec(x: np.ndarray, dtype):
    """What safetensors needs to know to write x, and the array whose memory that is."""
    if dtype is not None and x.dtype.kind == "f":
        x = _to_bfloat16(x) if dtype == "bfloat16" else _to_float16(x)
    x = np.asarray(x, dtype=x.dtype.newbyteorder("<"), order="C")       # a strided array would be written wrong
    name = "bfloat16" if dtype == "bfloat16" and x.dtype == np.uint16 else x.dtype.name
    return safetensors.TensorSpec(dtype=name, shape=list(x.shape), data_ptr=x.ctypes.data, data_len=x.nbytes), x


def _to_float16(x):
    with np.errstate(over="ignore"):            # beyond 65504 is inf in float16, as in every other conversion
        return x.astype(np.float16)


def _to_bfloat16(x):
    """The upper half of each float32, rounded to the nearest, ties to even; NaN stays NaN."""
    bits = np.asarray(x, dtype=np.float32, order="C").view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(x), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def _read(path: Path) -> tuple[dict, dict]:
    """{name: (array, stored dtype)} and the metadata of a safetensors file."""
    if not stat.S_ISREG(os.stat(path).st_mode):         # a pipe would wait for ever, a device never end
        raise ValueError("expected a regular file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8 or length > MAX_HEADER:
            raise ValueError(f"its header claims {length} bytes, in a file of {size} bytes")
        header = _parse(_exactly(file, length).decode("utf-8"))
        if not isinstance(header, dict):
            raise ValueError("its header is not a table of arrays")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise ValueError("its metadata is not a table of strings")
        plan = _layout(header, size - 8 - length)
        return {name: (_read_array(file, *entry), entry[0]) for name, entry in plan.items()}, metadata


def _layout(header: dict, available: int) -> dict:
    """{name: (dtype, shape, bytes)} in the order of the data, after checking that the arrays fill it exactly."""
    found = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"array {name[:80]!r} is not described by dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise ValueError(f"array {name[:80]!r} has the dtype {str(dtype)[:20]!r}; known are {', '.join(_DTYPES)}")
        if not (_whole(shape) and len(shape) <= MAX_DIMS and _whole(offsets) and len(offsets) == 2):
            raise ValueError(f"array {name[:80]!r} has a shape or offsets that are no whole numbers")
        nbytes = math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
        if offsets[1] - offsets[0] != nbytes:
            raise ValueError(f"array {name[:80]!r} claims {offsets[1] - offsets[0]} bytes and its shape {nbytes}")
        found.append((offsets[0], offsets[1], name, dtype, shape))
    end = 0
    for start, stop, name, _, _ in sorted(found, key=lambda entry: entry[:2]):
        if start != end:
            raise ValueError(f"array {name[:80]!r} starts at byte {start} of the data, where {end} was expected")
        end = stop
    if end != available:
        raise ValueError(f"its arrays take {end} bytes and it holds {available}")
    return {name: (dtype, shape, stop - start)
            for start, stop, name, dtype, shape in sorted(found, key=lambda entry: entry[:2])}


def _whole(numbers) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)


def _exactly(file, n: int) -> bytes:
    data = file.read(n)
    if len(data) != n:
        raise ValueError("it ends too early")
    return data


def _read_array(file, dtype: str, shape: list, nbytes: int) -> np.ndarray:
    x = np.empty(shape, _DTYPES[dtype])
    if nbytes and file.readinto(x.reshape(-1).view(np.uint8)) != nbytes:
        raise ValueError("it ends too early")
    if dtype == "BF16":
        return (x.astype(np.uint32) << 16).view(np.float32)
    if dtype == "F16":
        return x.astype(np.float32)
    return x != 0 if dtype == "BOOL" else x.astype(x.dtype.newbyteorder("="), copy=False)


def _tensor(name: str, x: np.ndarray, stored: str) -> Tensor:
    if stored == "U64":
        raise ValueError(f"array {name[:80]!r} has dtype U64, which no tensor holds")
    return Tensor(x.astype(_TENSOR_DTYPE.get(stored, x.dtype), copy=False))


def _parse(text: str):
    """JSON without what its grammar forbids or a reader could be tricked with: NaN, a key twice, deep nesting."""
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > 4 * MAX_DEPTH:
            raise ValueError("its header is nested too deeply")
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _unique(pairs: list) -> dict:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name appears twice in its header")
    return result


def _no_constant(word: str):
    raise ValueError(f"its header holds {word}, which is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"its header holds the number {text[:40]}, which no float holds")
    return value


# ---- all or nothing ----

def write_atomic(path, data: bytes) -> None:
    """Put `data` at `path` so that at no moment, and after no crash, a half-written file has that name.

    It is written beside the file under a temporary name, flushed to the disk, then renamed over it, and the folder is
    flushed. The writer holds a lock on its temporary file, so the next save can tell one that a killed process left
    behind (no one holds its lock) from one being written, and sweeps it away.
    """
    target = Path(os.path.realpath(path))               # through a link: the link stays, its target is replaced
    prefix = f".{target.name[:100]}.saving-"
    try:
        _sweep(target.parent, prefix)
        temporary, descriptor = _open_locked(target.parent, prefix)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view):]
                os.fsync(file.fileno())
                os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        with contextlib.suppress(OSError):              # some file systems cannot flush a folder
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise OSError(error.errno, f"save: cannot write {path} ({_advice(error, target)})") from error


def _open_locked(folder: Path, prefix: str) -> tuple[Path, int]:
    """A new file of ours with mode 0666 less the umask, and its descriptor, locked."""
    while True:
        path = folder / f"{prefix}{os.getpid()}-{os.urandom(4).hex()}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):              # no locks on this file system: then nothing is swept either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if path.exists():                               # else a sweep came between open and lock: once more
            return path, descriptor
        os.close(descriptor)


def _sweep(folder: Path, prefix: str) -> None:
    """Remove temporary files of ours that no process is writing."""
    for name in os.listdir(folder):
        if name.startswith(prefix):
            with contextlib.suppress(OSError):          # locked by its writer, already gone, or not ours to remove
                descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(folder / name)
                finally:
                    os.close(descriptor)


def _advice(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.strerror}: free some space; an older file of that name is unchanged"
    if not target.parent.is_dir():
        return f"{error.strerror}: {target.parent} is not a folder; make it first"
    if error.errno == errno.EISDIR:
        return "it is a folder; name a file"
    return f"{error.strerror}: choose another folder, or change its permissions"
