"""Fetching a file once: found in a folder, or downloaded to the cache and checked against its hash.

A download goes to NAME.part and gets its own name only when its SHA-256 is right, so what has the name is whole. An
interrupted one goes on where it stopped. Only single files are fetched, no archives: nothing is ever unpacked to disk.
"""
import contextlib
import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

CHUNK = 1 << 16


class RemoteFile(NamedTuple):
    """A file to be had from any of some servers: what it must be, to the bit."""
    name: str
    size: int
    sha256: str
    urls: tuple


def cache_folder() -> Path:
    """Where downloads are kept: MINILAYER_CACHE, or minilayer/ in XDG_CACHE_HOME, or ~/.cache/minilayer."""
    if os.environ.get("MINILAYER_CACHE"):
        return Path(os.environ["MINILAYER_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "minilayer"


def fetch(file: RemoteFile, folder, *, timeout: float = 20) -> Path:
    """The path of `file` in `folder`, downloaded first where it is not there yet.

    Every URL is tried in turn. Raises ConnectionError, with what each server answered and where to put the file by
    hand, when none gave the right bytes; nothing wrong is then left under the file's name.
    """
    folder = Path(folder)
    target = folder / file.name
    if target.exists():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = open(folder / (file.name + ".part"), "a+b")
    except OSError as error:
        raise OSError(error.errno, f"download: cannot write to {folder} ({error.strerror}); "
                                   "set MINILAYER_CACHE to a folder that you can write") from None
    with part:
        with contextlib.suppress(OSError):                      # no locks on this file system: then one at a time
            fcntl.flock(part, fcntl.LOCK_EX)                    # another process is fetching it: wait, and find it
        if target.exists():
            return target
        failures = []
        for url in file.urls:
            for attempt in (1, 2):                              # a second time from the start, if what was there is bad
                problem = _download(url, file, part, timeout)
                if problem is None:
                    os.replace(part.name, target)
                    return target
                if problem != "wrong hash" or attempt == 2:
                    failures.append(f"  {url}: {problem}")
                    break
        with contextlib.suppress(OSError):
            if os.fstat(part.fileno()).st_size == 0:
                os.unlink(part.name)
    raise ConnectionError(f"download: no server gave {file.name}:\n" + "\n".join(failures) +
                          f"\nPut the file into {folder} yourself, or run again when there is a connection.")


def _download(url: str, file: RemoteFile, part, timeout: float) -> str | None:
    """Complete `part` from `url`, going on after what it holds; None, or what went wrong."""
    have = part.seek(0, os.SEEK_END)
    if have < file.size:
        request = urllib.request.Request(url, headers={"User-Agent": "minilayer"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                if have and not (answer.status == 206 and
                                 answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
                    part.truncate(have := 0)                    # the server sends the whole file
                while have <= file.size and (chunk := answer.read(CHUNK)):
                    part.write(chunk)
                    have += len(chunk)
        except urllib.error.HTTPError as error:
            return f"the server says {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            cause = getattr(error, "reason", None) or error
            return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        part.flush()
        os.fsync(part.fileno())
    if have < file.size:
        return f"the connection ended after {have} of {file.size} bytes"
    part.seek(0)
    if have > file.size or hashlib.file_digest(part, "sha256").hexdigest() != file.sha256:
        part.truncate(0)
        return "wrong hash"
    return None
