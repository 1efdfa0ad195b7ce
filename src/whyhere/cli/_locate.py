"""`whyhere locate`: a photo, or a batch that is counted, shown, interrupted in order and gone on with."""

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
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._options import (
    DecodeMemory,
    DecodeSeconds,
    Hint,
    Html,
    Output,
    Regions,
    Release,
    Threads,
    Top,
    load_locator,
    parse_regions,
    say_conditions,
)
from whyhere.cli._output import checked_targets, chosen_format, write_growing, write_output
from whyhere.cli._terminal import note, progress_bar, shown
from whyhere.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from whyhere.images import StdinPhoto
    from whyhere.prediction import Prediction, ReleaseCard

_ON_MAPS = ("geojson", "kml")
RESUMABLE = ("jsonl", "csv")
"""Formats in which a file can be gone on with: a record of them is whole by itself."""


def locate(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photos, directories, or - for standard input.")
    ],
    top: Top = 5,
    radius_km: Annotated[
        float | None,
        typer.Option(
            "--radius-km", help="Points nearer than this are one place.", show_default="the release's"
        ),
    ] = None,
    region: Regions = None,
    hint: Hint = None,
    release: Release = "base",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json, jsonl, csv, geojson, kml, gpx or html.",
            show_default="by the suffix of --output, else table",
        ),
    ] = None,
    output: Output = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the file of --output (jsonl, csv) where a run ended.")
    ] = False,
    html: Html = None,
    circles: Annotated[
        bool, typer.Option("--circles", help="Add the disc of each radius (geojson, kml).")
    ] = False,
    surface: Annotated[
        bool, typer.Option("--surface", help="Add the cells of the probability surface (geojson, kml).")
    ] = False,
    concepts: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=50,
            help="Concepts listed for, and against each answer; the others are one sum.",
            show_default="table 3, json all, others 5",
        ),
    ] = None,
    threads: Threads = None,
    decode_seconds: DecodeSeconds = 5.0,
    decode_memory_mb: DecodeMemory = 1200,
) -> None:
    """Say where photos may have been taken, and which concepts say so.

    Answers are hypotheses with probabilities, not proof. Photos stay on this machine, and their own GPS
    metadata is shown beside the answer but never used.
    """
    from whyhere.report import FORMATS

    target, page = checked_targets(output, html, photos)
    format = chosen_format(format, FORMATS, target)
    for option, wanted in (("--circles", circles), ("--surface", surface)):
        if wanted and format not in _ON_MAPS:
            raise UsageError(f"{option} is for --format {' and '.join(_ON_MAPS)}, not for {format}")
    inside = parse_regions(region)
    done = read_done(target, format) if resume else None
    batch = Batch(keep=page is not None)
    sources = _photos(photos, batch)
    locator = load_locator(
        release, threads=threads, decode_seconds=decode_seconds, decode_memory_mb=decode_memory_mb
    )
    if done is not None:
        if done.releases - {locator.release}:
            others = ", ".join(sorted(done.releases - {locator.release}))
            raise UsageError(f"--resume: {target} holds answers of {others}, not of {locator.release} alone")
        sources = [*done.without(sources, format, batch)]
    total = len(sources) + batch.unreadable
    predictions = locator.locate_many(
        sources,
        top=top,
        radius_km=radius_km,
        region=inside,
        hint=hint,
        with_thumbnail=format == "html" or page is not None,
        on_error=batch.failed,
    )
    say_conditions(locator, region=inside, hint=hint)
    look = {"concepts": concepts, "circles": circles, "surface": surface}
    # Answers on a terminal show how far it is; a bar would be written into them.
    with progress_bar("Locating photos", shown=target is not None or not sys.stdout.isatty()) as progress:
        passing = batch.passing(predictions, lambda count: progress(count, total))
        _write(passing, format, target, locator.card, look, done=done, worth=lambda: batch.located > 0)
    if page is not None and batch.kept:
        from whyhere.report import stream

        write_output(lambda console: stream(batch.kept, "html", card=locator.card), page)
        note(f"report: {page} (open it in a browser)")
    if batch.signal is not None:
        go_on = " (--resume goes on)" if format in RESUMABLE and target is not None else ""
        print(f"whyhere: interrupted: {batch.summary()}{go_on}", file=sys.stderr)
        raise typer.Exit(128 + batch.signal)
    if batch.located + batch.unreadable + batch.already > 1:
        note(batch.summary())
    if batch.unreadable:
        raise typer.Exit(1)


def _write(
    predictions: Iterator[Prediction],
    format: str,
    target: Path | None,
    card: ReleaseCard,
    look: dict[str, Any],
    *,
    done: Done | None,
    worth: Callable[[], bool],
) -> None:
    """Write predictions as they come, where the format can be written so."""
    from whyhere.report import TAILS, stream

    tail = TAILS.get(format)
    if target is None or tail is None or (target.exists() and not target.is_file()):
        write_output(
            lambda console: stream(predictions, format, card=card, **look, **console),
            target,
            worth_keeping=worth,
        )
        return
    pieces = stream(predictions, format, card=card, **look, width=100)
    going_on = done is not None and done.bytes > 0
    if going_on and format == "csv":
        next(pieces)  # the file has its header
    write_growing(
        pieces,
        target,
        tail=tail,
        worth_keeping=worth,
        keep_bytes=done.bytes if done is not None and going_on else None,
    )


def _photos(arguments: list[str], batch: Batch) -> list[Path | StdinPhoto]:
    """Return what can be opened; name the rest."""
    from whyhere.images import find_photos

    found: list[Path | StdinPhoto] = []
    for one in find_photos(arguments):
        if isinstance(one, PhotoError):
            batch.failed(one)
        else:
            found.append(one)
    return found


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
        """Pass predictions on until the last one or an interruption; a format then ends its file in order."""
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
        from whyhere._text import guarded, printable
        from whyhere.images import display_name

        for photo in photos:
            if isinstance(photo, Path):
                name = display_name(photo)
                if (guarded(printable(name)) if format == "csv" else name) in self.photos:
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
