"""`whyhere place`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyhere.cli._atlas import Format, Out
from whyhere.cli._notes import note
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.atlas import PlaceProfile
    from whyhere.cli._atlas import Pieces
    from whyhere.geo import LatLon

FORMATS = ("table", "json", "html", "svg", "png")
SETTINGS = {"ignore_unknown_options": True}  # or -22.9 would be an option


def place(
    position: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACE",
            help="Latitude and longitude as maps, cameras and gazetteers write them, a link to a map, or a "
            "town.",
        ),
    ],
    similar: Annotated[int, typer.Option(min=0, max=50, help="How many similar places to look for.")] = 5,
    concepts: Annotated[int, typer.Option(min=0, max=50, help="Concepts above and below in the table.")] = 8,
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    format: Format = None,
    out: Out = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a self-contained page there.")
    ] = None,
) -> None:
    """Describe a place by its concepts, against its region and the world, with places like it.

    From the embedding of the place alone; no photo is needed. A hypothesis, not a fact about the place.
    """
    from whyhere.cli._atlas import checked_file, format_of, load, write

    where = _position(position)
    target, report = checked_file("--out", out), checked_file("--html", html)
    if html is not None and report is None:
        raise UsageError(f"--html {html}: the page goes to a file; for standard output use --format html")
    if target is not None and target == report:
        raise UsageError("--out and --html name the same file; name two")
    chosen = format_of(format, out, FORMATS)
    found = load(release).place(where.lat, where.lon, similar=similar)
    if found.far:
        far = f"the nearest place that {found.release} knows is {found.nearest_km:,.0f} km away"
        note(f"{far}; the profile is an extrapolation")
    write(_content(found, chosen, concepts), target)
    if report is not None:
        write(_content(found, "html", concepts), report)
        note(f"report: {report} (open it in a browser)")


def _position(words: list[str]) -> LatLon:
    """Read a position or the name of a town, in one word or several."""
    from whyhere.cli._atlas import refuse_options
    from whyhere.geo import POSITIONS, find_town, read_position

    refuse_options(words, meant="latitude or longitude")
    text = " ".join(words)
    found = read_position(text) or find_town(text)
    if found is None:
        raise UsageError(f"{text[:60]!r} is no position, and no town is called so; positions: {POSITIONS}")
    return found


def _content(found: PlaceProfile, format: str, concepts: int) -> Pieces | bytes:
    from whyhere.atlas._pages import place_page
    from whyhere.atlas._tables import place_table, plain
    from whyhere.cli._atlas import as_json

    if format == "png":
        return found.plot().png()
    if format == "svg":
        return lambda console: iter((found.plot().svg,))
    if format == "html":
        return lambda console: iter((place_page(found),))
    if format == "json":
        return lambda console: as_json(found.to_dict())
    return lambda console: plain(
        place_table(found, limit=concepts, width=console["width"], ascii_only=console["ascii_only"]),
        ascii_only=console["ascii_only"],
    )
