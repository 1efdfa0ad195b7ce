"""`whyhere explain`."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from whyhere.cli._output import checked_targets, chosen_format, write_output
from whyhere.cli._terminal import note
from whyhere.errors import MissingFileError, PhotoError, UsageError

if TYPE_CHECKING:
    from whyhere.images import StdinPhoto
    from whyhere.locator import Locator

_REGIONS = 3


def explain(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="One photo, or - for standard input.")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Explain this place: LAT,LON, the number of an answer, a town, or a country, box or GeoJSON "
            "file (its best-scoring point).",
            show_default="the first answer",
        ),
    ] = None,
    versus: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Why there rather than at this other place.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="CONCEPT", help="What if the photo did not show it? A concept or a group."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="What if it showed nothing but the concepts of this group?"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="CONCEPT=STRENGTH",
            help="What if it showed it that much? 1: as its strongest concept, 0: no matter, -1: less.",
        ),
    ] = None,
    remainder: Annotated[
        bool,
        typer.Option("--remainder/--no-remainder", help="What if the unnamed remainder did not count?"),
    ] = True,
    top: Top = 5,
    region: Regions = None,
    hint: Hint = None,
    release: Release = "base",
    format: Annotated[
        str | None,
        typer.Option(
            "--format", help="table, json or html.", show_default="by the suffix of --output, else table"
        ),
    ] = None,
    output: Output = None,
    html: Html = None,
    regions: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=20,
            help="Concepts whose regions of the photo the page shows.",
            show_default=str(_REGIONS),
        ),
    ] = None,
    concepts: Annotated[int, typer.Option(min=0, max=50, help="Concepts of each group in the table.")] = 3,
    threads: Threads = None,
    decode_seconds: DecodeSeconds = 5.0,
    decode_memory_mb: DecodeMemory = 1200,
) -> None:
    """Say why one photo is answered as it is: why here, why not there, and what if.

    The concepts for and against a place add up, with the unnamed remainder, to its score. With --without,
    --only, --set or --no-remainder the photo's concepts are changed and the places scored again; the options
    may be repeated. Explanations show what carried the model's score; they are no proof.
    """
    from whyhere.explain import parse_where
    from whyhere.report import EXPLANATION_FORMATS, stream_explanation

    target, page = checked_targets(output, html, [photo])
    format = chosen_format(format, EXPLANATION_FORMATS, target)
    # What cannot be understood is refused before the model is loaded.
    places = {name: parse_where(text) for name, text in (("at", at), ("versus", versus)) if text is not None}
    strengths, inside = _strengths(set_ or []), parse_regions(region)
    source = _only_photo(photo)
    with_page = format == "html" or page is not None
    if regions and not with_page:
        note(f"--regions {regions}: only a page shows regions; add --html FILE")
    regions = _REGIONS if regions is None else regions
    locator = load_locator(
        release, threads=threads, decode_seconds=decode_seconds, decode_memory_mb=decode_memory_mb
    )
    explanation = locator.explain(
        source,
        at=places.get("at"),
        versus=places.get("versus"),
        without=without or (),
        only=only or (),
        set_=strengths,
        remainder=remainder,
        top=top,
        region=inside,
        hint=hint,
        regions=regions if with_page and _traceable(locator, regions) else 0,
        with_thumbnail=with_page,
    )
    say_conditions(locator, region=inside, hint=hint)
    write_output(
        lambda console: stream_explanation(
            explanation, format, card=locator.card, concepts=concepts, **console
        ),
        target,
    )
    if page is not None:
        write_output(lambda _: stream_explanation(explanation, "html", card=locator.card), page)
        note(f"explanation: {page} (open it in a browser)")


def _traceable(locator: Locator, regions: int) -> bool:
    """Tell whether regions can be shown; say why not."""
    if regions:
        try:
            locator.tracing_tower()
        except MissingFileError as error:
            note(f"no regions in the page: {error}")
            return False
    return True


def _strengths(settings: list[str]) -> dict[str, float]:
    """Read CONCEPT=STRENGTH."""
    strengths: dict[str, float] = {}
    for setting in settings:
        name, _, value = setting.rpartition("=")
        try:
            strength = float(value)
        except ValueError:
            strength = float("nan")
        if not name.strip() or not math.isfinite(strength):
            raise UsageError(f"--set {setting}: write CONCEPT=STRENGTH, such as --set snow=1")
        if name in strengths:
            raise UsageError(f"--set {setting}: {name} is set twice")
        strengths[name] = strength
    return strengths


def _only_photo(argument: str) -> Path | StdinPhoto:
    """Return the one photo that is meant."""
    from whyhere.images import find_photos

    first, *others = islice(find_photos([argument]), 2)
    if others:
        raise UsageError(f"{argument}: several photos; name one (whyhere locate takes many)")
    if isinstance(first, PhotoError):
        raise first
    return first
