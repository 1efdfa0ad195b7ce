"""Checksums of files: recorded beside them, and not taken again while a file stays as it was.

A file is read in full when its size, its times or its inode differ from when it was last read, and on
request; else a look at these is enough. This finds damage, not attackers: who may write the files may write
the records.

    checksums.json     what the files of a directory should be: {"files": {name: {"size", "sha256"}}}
    .checksums.json    a memory: what files of this machine were found to be
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from whyhere._file_lock import exclusive

RECORD, MEMORY = "checksums.json", ".checksums.json"
_CHUNK = 1 << 20
_RECENT_NS = 50_000_000  # a clock of files may stand still for some milliseconds


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
    """Return the SHA-256 of a file, from memory where it is as it was when it was last read.

    Args:
        path: The file.
        memory: File that remembers; nothing is written where it cannot be.

    Raises:
        OSError: The file cannot be read.
    """
    remembered = _recall(path, memory)
    return sha256_and_remember(path, memory) if remembered is None else remembered


def sha256_and_remember(path: Path, memory: Path, told: Callable[[int], None] = lambda done: None) -> str:
    """Read a file whatever is remembered of it, and remember its SHA-256."""
    before = _stamp(path)
    digest = sha256_of(path, told)
    settled = all(abs(time.time_ns() - changed) > _RECENT_NS for changed in before[1:3])
    if settled and _stamp(path) == before:
        _remember(memory, path, [*before, digest])
    return digest


def file_problem(
    path: Path,
    recorded: Mapping[str, Any],
    memory: Path,
    told: Callable[[int], None] | None = None,
) -> str | None:
    """Compare a file with its record.

    Args:
        path: The file.
        recorded: Its `size` and `sha256`.
        memory: File that remembers what was read before.
        told: Hears how many bytes are read; where given, the file is read whatever is remembered.

    Returns:
        What is wrong, or None.
    """
    try:
        size = path.stat().st_size
        if size != recorded["size"]:
            return f"{path} has {size} bytes instead of {recorded['size']}"
        # What is remembered may acquit a file, but only its content condemns it.
        if told is None and _recall(path, memory) == recorded["sha256"]:
            return None
        same = sha256_and_remember(path, memory, told or (lambda done: None)) == recorded["sha256"]
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
    _replace(directory / RECORD, json.dumps({"files": files}, indent=1) + "\n")


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
    """What is remembered; nothing where the memory itself is damaged."""
    try:
        content: Any = json.loads(memory.read_text(encoding="utf-8"))
        if content["check"] == _check(content["files"]):
            entries: dict[str, list[Any]] = content["files"]
            return entries
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return {}


def _check(entries: object) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _remember(memory: Path, path: Path, entry: list[Any]) -> None:
    if not memory.parent.is_dir():
        return  # looking makes nothing
    try:
        with exclusive(memory.with_name(f"{memory.name}.lock"), required=False):
            entries = {name: old for name, old in _entries(memory).items() if Path(name).exists()}
            entries[str(path.absolute())] = entry
            _replace(memory, json.dumps({"check": _check(entries), "files": entries}))
    except OSError:
        return  # it is read again next time


def _replace(path: Path, text: str) -> None:
    """Write a small file whole; what a killed process leaves, the next one overwrites."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
