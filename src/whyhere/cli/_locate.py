"""`whyhere locate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._batch import RESUMABLE, Batch, Done, read_done
from whyhere.cli._console import use_utf8
from whyhere.cli._notes import note
from whyhere.cli._options import DecodeMemory, DecodeSeconds, chosen_format
from whyhere.cli._output import checked_target, write_growing, write_output
from whyhere.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from whyhere.geo import Region
    from whyhere.images import StdinPhoto
    from whyhere.locator import Locator
    from whyhere.prediction import Prediction, ReleaseCard

_ON_MAPS = ("geojson", "kml")


def locate(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photos, directories, or - for standard input.")
    ],
    top: Annotated[int, typer.Option(min=1, max=100, help="How many different places at most.")] = 5,
    radius_km: Annotated[
        float | None,
        typer.Option(
            "--radius-km", help="Points nearer than this are one place.", show_default="the release's"
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION",
            help="Answer only inside: countries, a continent, a state, SOUTH,WEST,NORTH,EAST, GeoJSON.",
        ),
    ] = None,
    hint: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='What you know in a few words, such as "snow, Nordic, left-hand traffic": a bounded nudge.',
        ),
    ] = None,
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json, jsonl, csv, geojson, kml, gpx or html.",
            show_default="by the suffix of --output, else table",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to standard output."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the file of --output (jsonl, csv) where a run ended.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a self-contained HTML report there."),
    ] = None,
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
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the image tower.", show_default="all cores")
    ] = None,
    decode_seconds: DecodeSeconds = 5.0,
    decode_memory_mb: DecodeMemory = 1200,
) -> None:
    """Say where photos may have been taken, and which concepts say so.

    Answers are hypotheses with probabilities, not proof. Photos stay on this machine, and their own GPS
    metadata is shown beside the answer but never used.
    """
    from whyhere.cli._progress import place_progress
    from whyhere.report import FORMATS

    target, report_file = checked_target("--output", output, photos), checked_target("--html", html, photos)
    if target is not None and target == report_file:
        raise UsageError("--output and --html name the same file; name two")
    format = chosen_format(format, FORMATS, option="--output", target=target)
    if format != "table":
        use_utf8()
    for option, wanted in (("--circles", circles), ("--surface", surface)):
        if wanted and format not in _ON_MAPS:
            raise UsageError(f"{option} is for --format {' and '.join(_ON_MAPS)}, not for {format}")
    only_inside = _checked_region(region)
    done = read_done(target, format) if resume else None
    batch = Batch(keep=report_file is not None)
    sources = _photos(photos, batch)
    locator = _load(release, threads, decode_seconds, decode_memory_mb)
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
        region=only_inside,
        hint=hint,
        with_thumbnail=format == "html" or report_file is not None,
        on_error=batch.failed,
    )
    _say_conditions(locator, region=only_inside, hint=hint)
    look = {"concepts": concepts, "circles": circles, "surface": surface}
    # Answers on a terminal show how far it is; a bar would be written into them.
    with place_progress("Locating photos", shown=target is not None or not sys.stdout.isatty()) as progress:
        passing = batch.passing(predictions, lambda count: progress(count, total))
        _write(passing, format, target, locator.card, look, done=done, worth=lambda: batch.located > 0)
    if report_file is not None and batch.kept:
        from whyhere.report import stream

        write_output(lambda console: stream(batch.kept, "html", card=locator.card), report_file)
        note(f"report: {report_file} (open it in a browser)")
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


def _checked_region(regions: list[str] | None) -> Region | None:
    """Parse the region before anything slow happens; several countries and areas are one region."""
    if not regions:
        return None
    from whyhere.geo import parse_region

    if len(regions) == 1:
        return parse_region(regions[0])
    try:
        return parse_region("; ".join(regions))
    except UsageError as error:
        given = " ".join(f"--region {region}" for region in regions)
        raise UsageError(
            f"{given}: only names of countries, areas and units can be joined, such as --region France "
            "--region Spain; a box or a file stands alone, and a GeoJSON file may hold several areas"
        ) from error


def _say_conditions(locator: Locator, *, region: Region | None, hint: str | None) -> None:
    """Say on standard error what answers are given besides the photo."""
    if region is not None:
        note(f"answers only inside {region.name}; probabilities assume that the photo was taken there")
    if hint is not None:
        _say_hint(locator, hint)


def _say_hint(locator: Locator, hint: str) -> None:
    """Say on standard error that answers are given a hint, and what of it was understood."""
    from whyhere.ranking import HINT_STRENGTH

    text = locator.hint_words(hint)
    for word in text.unknown:
        note(f"--hint: unknown word {word!r} is left out")
    for word in text.uncertain:
        note(f"--hint: the direction of {word!r} is uncertain")
    note(
        f"answers are given the hint {', '.join(text.known)}, which is your word, not the photo's; "
        f"it changes the odds between two places by a factor of {HINT_STRENGTH:g} at most"
    )
    if text.places:
        print(f'whyhere: to answer nowhere else: --region "{"; ".join(text.places)}"', file=sys.stderr)


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


def _load(release: str, threads: int | None, decode_seconds: float, decode_memory_mb: int) -> Locator:
    """Load the locator, with a progress bar while a gallery is embedded for the first time."""
    from whyhere.cli._progress import place_progress
    from whyhere.locator import Locator

    with place_progress("Embedding the gallery (first use only)") as progress:
        return Locator.from_release(
            release,
            threads=threads,
            progress=progress,
            decode_seconds=decode_seconds,
            decode_memory_mb=decode_memory_mb,
        )
