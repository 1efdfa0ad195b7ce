"""`whyhere locate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyhere.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from whyhere.geo import Region
    from whyhere.images import StdinPhoto
    from whyhere.locator import Locator
    from whyhere.prediction import Prediction


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
            help="Answer only inside: a country, SOUTH,WEST,NORTH,EAST in degrees, or a GeoJSON file.",
        ),
    ] = None,
    hint: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='What you know of the place in a few words, such as "snow mountains": a bounded nudge.',
        ),
    ] = None,
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json, jsonl, csv, geojson, kml or html.",
            show_default="by the suffix of --output, else table",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to standard output."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a self-contained HTML report there."),
    ] = None,
    concepts: Annotated[int, typer.Option(min=0, max=50, help="Concepts for and against in the table.")] = 3,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the image tower.", show_default="all cores")
    ] = None,
) -> None:
    """Say where photos may have been taken, and which concepts say so.

    Answers are hypotheses with probabilities, not proof. Photos stay on this machine, and their own GPS
    metadata is shown beside the answer but never used.
    """
    from whyhere.cli._output import checked_target, write_output
    from whyhere.report import FORMATS, stream

    target, report_file = checked_target("--output", output, photos), checked_target("--html", html, photos)
    if target is not None and target == report_file:
        raise UsageError("--output and --html name the same file; name two")
    format = _format_of(format, target, FORMATS)
    only_inside = _checked_region(region)
    failed: list[PhotoError] = []

    def report(error: PhotoError) -> None:
        failed.append(error)
        print(f"whyhere: {error}", file=sys.stderr)

    locator = _load(release, threads)
    predictions = locator.locate_many(
        _photos(photos, report),
        top=top,
        radius_km=radius_km,
        region=only_inside,
        hint=hint,
        with_thumbnail=format == "html" or report_file is not None,
        on_error=report,
    )
    _say_conditions(locator, region=only_inside, hint=hint)
    answered = _Answered(keep=report_file is not None)
    write_output(
        lambda console: stream(
            answered.passing(predictions), format, card=locator.card, concepts=concepts, **console
        ),
        target,
        worth_keeping=lambda: answered.count > 0,
    )
    if report_file is not None and answered.kept:
        write_output(lambda console: stream(answered.kept, "html", card=locator.card), report_file)
        print(f"Report: {report_file} (open it in a browser)", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _format_of(format: str | None, output: Path | None, formats: Iterable[str]) -> str:
    """Return the format asked for, else the one that the suffix of the output file means."""
    if format is None:
        suffix = output.suffix.lower().lstrip(".") if output else ""
        meant = {"": "table", "txt": "table", "md": "table", "htm": "html"}.get(suffix, suffix)
        if meant not in formats:
            raise UsageError(f"--output {output}: the suffix names no format; add --format")
        return meant
    if format not in formats:
        raise UsageError(f"--format {format}: there is no such format; choose one of {', '.join(formats)}")
    return format


def _checked_region(regions: list[str] | None) -> Region | None:
    """Parse the region before anything slow happens."""
    if not regions:
        return None
    if len(regions) > 1:
        given = " and ".join(f"--region {region}" for region in regions)
        raise UsageError(
            f"{given}: answers can be restricted to one region; a GeoJSON file may hold several areas"
        )
    (region,) = regions
    from whyhere.geo import parse_region

    return parse_region(region)


def _say_conditions(locator: Locator, *, region: Region | None, hint: str | None) -> None:
    """Say on standard error what answers are given besides the photo."""
    if region is not None:
        inside = f"only inside {region.name}; probabilities assume that the photo was taken there"
        print(f"whyhere: answers {inside}", file=sys.stderr)
    if hint is not None:
        _say_hint(locator, hint)


def _say_hint(locator: Locator, hint: str) -> None:
    """Say on standard error that answers are given a hint, and what of it was understood."""
    from whyhere.ranking import HINT_STRENGTH

    text = locator.hint_words(hint)
    for word in text.unknown:
        print(f"whyhere: --hint: unknown word {word!r} is left out", file=sys.stderr)
    for word in text.uncertain:
        print(f"whyhere: --hint: the direction of {word!r} is uncertain", file=sys.stderr)
    print(
        f"whyhere: answers are given the hint {', '.join(text.known)}, which is your word, not the photo's; "
        f"it changes the odds between two places by a factor of {HINT_STRENGTH:g} at most",
        file=sys.stderr,
    )


def _photos(arguments: list[str], report: Callable[[PhotoError], None]) -> Iterator[Path | StdinPhoto]:
    """Yield what can be opened; report the rest."""
    from whyhere.images import find_photos

    for found in find_photos(arguments):
        if isinstance(found, PhotoError):
            report(found)
        else:
            yield found


class _Answered:
    """Counts predictions on their way, and keeps them where a report needs them."""

    def __init__(self, *, keep: bool) -> None:
        self.count = 0
        self.kept: list[Prediction] = []
        self._keep = keep

    def passing(self, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
        """Pass predictions on."""
        for prediction in predictions:
            self.count += 1
            if self._keep:
                self.kept.append(prediction)
            yield prediction


def _load(release: str, threads: int | None) -> Locator:
    """Load the locator, with a progress bar while a gallery is embedded for the first time."""
    from whyhere.cli._progress import place_progress
    from whyhere.locator import Locator

    with place_progress("Embedding the gallery (first use only)") as progress:
        return Locator.from_release(release, threads=threads, progress=progress)
