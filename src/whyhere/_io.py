"""Files and directories: read with care, written whole, held by one writer, checked against their record.

Under `home()` lies what is fetched and computed:

    assets/<asset>/             weights, as fetched and converted
    galleries/<fingerprint>/    embedded galleries
    heads/, towers/, imported/  what is made of releases: concept directions, image towers, GeoCLIP's folders
    downloads/<asset>/          files of the hub, kept while a download is not complete
    locks/, tmp/                one lock per asset; work in progress, safe to delete
    .checksums.json             a memory: what files of this machine were found to be

A directory may hold `checksums.json`, the record of what its files should be. A file is read in full when its
size, its times or its inode differ from when it was last read, and on request; else a look at these is
enough. This finds damage, not attackers: who may write the files may write the records.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from whyhere.errors import UsageError

RECORD, MEMORY = "checksums.json", ".checksums.json"
_CHUNK = 1 << 20
_RECENT_NS = 50_000_000  # a clock of files may stand still for some milliseconds
_POLL_SECONDS = 0.1


def home() -> Path:
    """Return the cache directory: `WHYHERE_HOME`, or where the system keeps caches. It need not exist."""
    chosen = os.environ.get("WHYHERE_HOME")
    if chosen:
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError as error:  # ~somebody, and there is nobody of that name
            raise UsageError(f"WHYHERE_HOME is {chosen}: {error}; name an existing directory") from error
    import platformdirs

    return platformdirs.user_cache_path("whyhere", appauthor=False)


def assets_dir() -> Path:
    """Return the directory with one sub-directory per fetched asset."""
    return home() / "assets"


def galleries_dir() -> Path:
    """Return the directory with one sub-directory per embedded gallery."""
    return home() / "galleries"


def plain(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is about to be opened: never a pipe or a device, which may never end.

    Raises:
        OSError: There is nothing, or a pipe, a device or a socket.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - the error names the path as it was given
    # Opening a directory fails of itself, and what a shell passes as /dev/fd/63 has a writer.
    passed = stat.S_ISFIFO(mode) and os.fspath(path).startswith(("/dev/", "/proc/"))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or passed):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", os.fspath(path))
    return Path(path)


# One writer at a time. The operating system holds a lock and lets go of it when the process ends, however it
# ends, so there is nothing to clean up. A lock file stays: deleting it would let two processes hold it.


@contextmanager
def exclusive(
    path: Path, *, waiting: Callable[[], None] | None = None, required: bool = True
) -> Iterator[bool]:
    """Hold the lock on `path` while the block runs.

    Args:
        path: Lock file; created where absent, never deleted.
        waiting: Called once where another process holds the lock and this one waits.
        required: Whether a file system without locks is an error.

    Yields:
        True where the lock is held, False where the file system has none and none is required.

    Raises:
        OSError: The file cannot be made, or its file system has no locks and one is required.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            held = _try_lock(handle)
            if not held and waiting is not None:
                waiting()
            while not held:
                time.sleep(_POLL_SECONDS)
                held = _try_lock(handle)
        except OSError:
            if required:
                raise
            held = False
        yield held
    finally:
        os.close(handle)  # closing releases the lock


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def stage_of(target: Path) -> tuple[int, Path]:
    """Open a new file beside a target, to be moved into its place; what killed runs left there is swept up.

    A file is held under a lock while its run lives, so that one that can be locked was left.

    Returns:
        A descriptor, open for reading and writing, and the path.

    Raises:
        OSError: Nothing can be written there.
    """
    prefix = f".{target.name}.whyhere-"
    if os.name == "posix":
        for left in target.parent.glob(f"{glob.escape(prefix)}*"):
            with suppress(OSError):
                handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    if _try_lock(handle):
                        left.unlink()
                finally:
                    os.close(handle)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        path = target.with_name(f"{prefix}{uuid.uuid4().hex[:8]}")
        handle = os.open(path, flags, 0o666)
        if os.name == "posix":
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not path.exists():  # swept up by another run before it was locked
                os.close(handle)
                continue
        return handle, path


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file so that a kill, a full disk or a crowd of writers leaves the old one or a new one, whole.

    A pipe or a device is written, not replaced.

    Raises:
        OSError: It cannot be written; the old one stays.
    """
    data = data.encode() if isinstance(data, str) else data
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    handle, new = stage_of(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def put_in_place(stage: Path, final: Path) -> None:
    """Put a finished directory where it belongs: all on disk first, and never a moment with half of it.

    What was there before moves beside `stage` first, and back where that fails.
    """
    for path in (*stage.rglob("*"), stage):
        _flush(path)
    old = stage.with_stem(f"{stage.stem}-old")
    if final.exists():
        final.rename(old)
    try:
        stage.rename(final)
    except BaseException as error:
        # Without locks another process may just have put its own there.
        if not (isinstance(error, OSError) and final.is_dir()):
            if old.exists():
                old.rename(final)
            raise
    shutil.rmtree(old, ignore_errors=True)
    _flush(final.parent)


def _flush(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return  # other systems cannot open a directory
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path, told: Callable[[int], None] = lambda done: None) -> str:
    """Return the hexadecimal SHA-256 of a file; `told` hears how many bytes are done."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            told(done)
    return digest.hexdigest()


def known_sha256(path: Path, memory: Path) -> str:
    """Return the SHA-256 of a file, from `memory` where the file is as it was when it was last read.

    Raises:
        OSError: The file cannot be read; a memory that cannot be written is none.
    """
    remembered = _recall(path, memory)
    return _read_and_remember(path, memory) if remembered is None else remembered


def _read_and_remember(path: Path, memory: Path, told: Callable[[int], None] = lambda done: None) -> str:
    before = _stamp(path)
    digest = sha256_of(path, told)
    settled = all(abs(time.time_ns() - changed) > _RECENT_NS for changed in before[1:3])
    if settled and _stamp(path) == before:
        _remember(memory, path, [*before, digest])
    return digest


def file_problem(
    path: Path, recorded: Mapping[str, Any], memory: Path, told: Callable[[int], None] | None = None
) -> str | None:
    """Compare a file with its record and return what is wrong, or None.

    Args:
        path: The file.
        recorded: Its `size` and `sha256`.
        memory: File that remembers what was read before.
        told: Hears how many bytes are read; where given, the file is read whatever is remembered.
    """
    try:
        size = path.stat().st_size
        if size != recorded["size"]:
            return f"{path} has {size} bytes instead of {recorded['size']}"
        # What is remembered may acquit a file, but only its content condemns it.
        if told is None and _recall(path, memory) == recorded["sha256"]:
            return None
        same = _read_and_remember(path, memory, told or (lambda done: None)) == recorded["sha256"]
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if same else f"{path} has changed: its SHA-256 is not the recorded one"


def seal(
    directory: Path, names: Iterable[str] | None = None, *, coming: Mapping[str, bytes] | None = None
) -> None:
    """Record what the files of a directory are.

    Args:
        directory: The directory.
        names: The files, with forward slashes; those that are absent are left out. None takes all.
        coming: Files that will be written next, and what will be in them.
    """
    if names is None:
        every = (path for path in directory.rglob("*") if path.is_file())
        names = [path.relative_to(directory).as_posix() for path in every]
    files = {
        name: {"size": (directory / name).stat().st_size, "sha256": sha256_of(directory / name)}
        for name in sorted(set(names) - {RECORD})
        if (directory / name).is_file()
    }
    for name, data in (coming or {}).items():
        files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_atomically(directory / RECORD, json.dumps({"files": files}, indent=1) + "\n")


def sealed_problems(
    directory: Path, memory: Path, told: Callable[[str, int, int], None] | None = None
) -> dict[str, str | None] | None:
    """Compare the files of a directory with their record.

    Args:
        directory: The directory.
        memory: File that remembers what was read before.
        told: Hears file, bytes read and bytes in all; where given, all files are read.

    Returns:
        What is wrong with each recorded file, None for a good one; None for all where there is no record. A
        record that cannot be read is a problem of its own.
    """
    record = directory / RECORD
    try:
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
        sizes = {str(name): int(entry["size"]) for name, entry in files.items() if str(entry["sha256"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {RECORD: f"{record} is damaged"}

    def heard(name: str) -> Callable[[int], None] | None:
        return None if told is None else lambda done: told(name, done, sizes[name])

    return {name: file_problem(directory / name, files[name], memory, heard(name)) for name in sizes}


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _recall(path: Path, memory: Path) -> str | None:
    entry = _entries(memory).get(str(path.absolute()))
    return str(entry[-1]) if entry and entry[:-1] == _stamp(path) else None


def _entries(memory: Path) -> dict[str, list[Any]]:
    """Return what is remembered; nothing where the memory itself is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        content: Any = json.loads(memory.read_text(encoding="utf-8"))
        entries: dict[str, list[Any]] = content["files"]
        if content["check"] == _check(entries):
            return entries
    return {}


def _check(entries: object) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _remember(memory: Path, path: Path, entry: list[Any]) -> None:
    if not memory.parent.is_dir():
        return  # looking makes nothing
    lock = memory.with_name(f"{memory.name}.lock")
    with suppress(OSError), exclusive(lock, required=False):  # else it is read again next time
        entries = {name: old for name, old in _entries(memory).items() if Path(name).exists()}
        entries[str(path.absolute())] = entry
        write_atomically(memory, json.dumps({"check": _check(entries), "files": entries}))
