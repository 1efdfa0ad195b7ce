"""A batch of photos on its way: counted, shown, interrupted between two photos, gone on with later."""

from __future__ import annotations

import csv
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from whyhere.cli._console import shown
from whyhere.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from whyhere.images import StdinPhoto
    from whyhere.prediction import Prediction

RESUMABLE = ("jsonl", "csv")
"""Formats in which a file can be gone on with: a record of them is whole by itself."""


class Batch:
    """Counts photos as they pass, and ends after the current one when it is interrupted.

    Attributes:
        located: Photos answered.
        unreadable: Photos that could not be read.
        already: Photos left out because the output file has them.
        signal: The signal that ended the batch, or None.
        kept: The predictions, where they are kept for a report.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.located = self.unreadable = self.already = 0
        self.signal: int | None = None
        self.kept: list[Prediction] = []
        self._keep = keep
        self._waiting = False
        self._start = time.monotonic()

    def failed(self, error: PhotoError) -> None:
        """Name a photo that cannot be read."""
        self.unreadable += 1
        print(f"whyhere: {shown(error)}", file=sys.stderr)

    def passing(
        self, predictions: Iterator[Prediction], progress: Callable[[int], None]
    ) -> Iterator[Prediction]:
        """Pass predictions on until the last one or an interruption; a format then ends its file in order.

        Args:
            predictions: What is answered, photo by photo.
            progress: Called with how many photos are done.
        """
        with self._interruptible():
            while self.signal is None:
                try:
                    self._waiting = True
                    prediction = next(predictions, None)
                    self._waiting = False
                except KeyboardInterrupt:
                    return
                if prediction is None:
                    return
                self.located += 1
                if self._keep:
                    self.kept.append(prediction)
                yield prediction
                progress(self.located + self.unreadable)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """End the batch in order at the first Ctrl-C or polite kill, and the command at the second.

        While a photo is looked at, that is at once; else after its answer is written.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            again, self.signal = self.signal is not None, number
            if again or self._waiting:
                raise KeyboardInterrupt

        before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as for a job in the background
                    before[number] = signal.signal(number, stop)
        except ValueError:  # not in the main thread, where signals do not arrive
            pass
        try:
            yield
        finally:
            self._waiting = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def summary(self) -> str:
        """Say in one line what became of the photos."""
        parts = [f"{self.located:,} located"]
        if self.already:
            parts.append(f"{self.already:,} already there")
        if self.unreadable:
            parts.append(f"{self.unreadable:,} unreadable")
        return ", ".join([*parts, duration(time.monotonic() - self._start)])


@dataclass(frozen=True, slots=True)
class Done:
    """What a file that is gone on with holds.

    Attributes:
        photos: Names of its photos, as the format writes them.
        bytes: Where its last whole photo ends.
        releases: Releases that answered.
    """

    photos: frozenset[str] = frozenset()
    bytes: int = 0
    releases: frozenset[str] = frozenset()

    def without(
        self, photos: Iterable[Path | StdinPhoto], format: str, batch: Batch
    ) -> Iterator[Path | StdinPhoto]:
        """Yield the photos that are not there yet; standard input is always looked at."""
        from whyhere.images import display_name
        from whyhere.report import csv_text

        for photo in photos:
            if isinstance(photo, Path):
                name = display_name(photo)
                if (csv_text(name) if format == "csv" else name) in self.photos:
                    batch.already += 1
                    continue
            yield photo


def read_done(target: Path | None, format: str) -> Done:
    """Read what an earlier run has written, up to its last whole photo.

    Args:
        target: The file; None for standard output.
        format: Its format.

    Raises:
        UsageError: The format cannot be gone on with, or the file is not what this version writes in it.
    """
    if target is None or format not in RESUMABLE:
        raise UsageError(
            f"--resume needs --output FILE ending in {' or '.join(RESUMABLE)}: only these can go on"
        )
    if not target.exists():
        return Done()
    with target.open("rb") as file:
        lines = file.readlines()
    whole = [line for line in lines if line.endswith(b"\n")]
    try:
        records = _csv_records(whole) if format == "csv" else [_json_record(line) for line in whole]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"--resume: {target} is not {format} as this version writes it ({error}); name another file"
        ) from error
    if format == "csv" and len(whole) < len(lines) and records:
        last = records[-1][0]  # its other rows may be missing
        while records and records[-1][0] == last:
            records.pop()
            whole.pop()
    photos, releases = (frozenset(record[part] for record in records) for part in (0, 1))
    return Done(photos, sum(map(len, whole)), releases)


def duration(seconds: float) -> str:
    """Return how long something took, for people: "8 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _json_record(line: bytes) -> tuple[str, str]:
    record = json.loads(line)
    return str(record["photo"]), str(record["release"])


def _csv_records(lines: list[bytes]) -> list[tuple[str, str]]:
    from whyhere.report import CSV_COLUMNS

    rows = [next(csv.reader([line.decode("utf-8")])) for line in lines]
    if rows and tuple(rows[0]) != CSV_COLUMNS:
        raise ValueError("it has other columns")
    photo, release = CSV_COLUMNS.index("photo"), CSV_COLUMNS.index("release")
    return [(row[photo], row[release]) for row in rows[1:]]
