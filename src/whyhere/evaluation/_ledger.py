"""The ledger of a run: answers on disk as they come, so that a run that ends anywhere goes on from there.

`predictions.jsonl` is a file of predictions like any other (`read_predictions` reads it), one appended line a
photo. `run.json` says what made it; another release or other options never add to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whyhere._io import exclusive, write_atomically
from whyhere.errors import UsageError
from whyhere.evaluation._guesses import SystemPrediction, parse_prediction

LEDGER_FILE = "predictions.jsonl"
RUN_FILE = "run.json"
_LOCK_FILE = ".lock"


class Ledger:
    """Predictions of one run; `open_ledger` makes one.

    Each line is written by one call and counts once its newline is there: what a killed process leaves behind
    is a shorter line, which is dropped.
    """

    def __init__(self, path: Path, records: dict[str, tuple[int, SystemPrediction]]) -> None:
        self._records = records
        self._handle = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
        )

    def get(self, photo: str, *, size: int) -> SystemPrediction | None:
        """Return what was answered for a photo, or None.

        Args:
            photo: Name of the photo in the benchmark.
            size: Size of its file now, in bytes: where it differs, the photo is another one.
        """
        known = self._records.get(photo)
        return known[1] if known and known[0] == size else None

    def add(self, prediction: SystemPrediction, *, size: int) -> None:
        """Append the answer for a photo; a later line for the same photo counts instead of an earlier one."""
        line = json.dumps({**prediction.to_dict(), "bytes": size}, allow_nan=False) + "\n"
        data = line.encode()
        while data:
            data = data[os.write(self._handle, data) :]
        self._records[prediction.photo] = (size, prediction)

    def close(self) -> None:
        """Make sure that everything is on disk, and close the file."""
        os.fsync(self._handle)
        os.close(self._handle)


@contextmanager
def open_ledger(folder: Path, run: Mapping[str, Any]) -> Iterator[Ledger]:
    """Open the ledger in a folder for writing, and go on where an earlier run ended.

    Args:
        folder: Output folder; made where absent.
        run: What makes the predictions: JSON values, release and options. Must be the same as before.

    Raises:
        UsageError: The folder holds the predictions of another run, another process is writing to it, or it
            cannot be written.
    """

    def busy() -> None:
        raise UsageError(f"--out {folder}: another whyhere evaluate is writing there; wait for it to end")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / _LOCK_FILE, waiting=busy):
            _check_run(folder, run)
            records = _load(folder / LEDGER_FILE)
            ledger = Ledger(folder / LEDGER_FILE, records)
            try:
                yield ledger
            finally:
                ledger.close()
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot write there: {error.strerror or error}") from error


def _check_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Compare with what made the ledger, or write it down before the first prediction."""
    wanted = json.loads(json.dumps(dict(run)))
    path = folder / RUN_FILE
    try:
        known = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        known = None
    except ValueError:
        known = {}
    if known is None:
        if (folder / LEDGER_FILE).exists():
            raise UsageError(
                f"--out {folder}: holds {LEDGER_FILE} without the {RUN_FILE} that says what made it; "
                "choose another folder"
            )
        write_atomically(path, json.dumps(wanted, indent=2, sort_keys=True) + "\n")
    elif known != wanted:
        known = known if isinstance(known, dict) else {}
        names = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
        was = ", ".join(f"{name} {known.get(name)!r}, now {wanted.get(name)!r}" for name in names)
        raise UsageError(
            f"--out {folder}: holds predictions of another run ({was}); choose another folder, or delete it"
        )


def _load(path: Path) -> dict[str, tuple[int, SystemPrediction]]:
    """Read the whole lines; where others are among them, rewrite the file without those."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    records: dict[str, tuple[int, SystemPrediction]] = {}
    kept: dict[str, bytes] = {}
    for line in lines[:-1]:  # what follows the last newline was not written to its end
        parsed = _parsed(line)
        if parsed is not None:
            records[parsed[1].photo] = parsed
            kept[parsed[1].photo] = line
    if len(kept) != len(lines) - 1 or lines[-1]:
        write_atomically(path, b"".join(line + b"\n" for line in kept.values()))
    return records


def _parsed(line: bytes) -> tuple[int, SystemPrediction] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    complaints: list[str] = []
    prediction = parse_prediction(value, complaints)
    if isinstance(prediction, str) or complaints or not isinstance(value.get("bytes"), int):
        return None
    return value["bytes"], prediction
