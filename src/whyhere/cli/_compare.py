"""`whyhere compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from whyhere.cli._atlas import Format, Out
from whyhere.cli._notes import note

if TYPE_CHECKING:
    from whyhere.atlas import Comparison
    from whyhere.cli._atlas import Pieces

FORMATS = ("table", "json", "html", "svg", "png")
SETTINGS = {"ignore_unknown_options": True}  # or a box that starts in the south would be an option


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="COUNTRY", help="A country, SOUTH,WEST,NORTH,EAST in degrees, or a GeoJSON file."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="COUNTRY", help="Another one.")],
    concepts: Annotated[int, typer.Option(min=1, max=50, help="Concepts of each side that are shown.")] = 8,
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    format: Format = None,
    out: Out = None,
) -> None:
    """Say which concepts tell two countries, or any two areas, apart.

    From the embeddings of their places alone, every cell of a grid counting by its area.
    """
    from whyhere.cli._atlas import checked_file, format_of, load, refuse_options, write
    from whyhere.geo import parse_region

    refuse_options((a, b), meant="country, box or file")
    target, chosen = checked_file("--out", out), format_of(format, out, FORMATS)
    first, second = parse_region(a), parse_region(b)
    found = load(release).compare(first, second)
    if found.shared_points:
        note(f"{found.a.name} and {found.b.name} share {found.shared_points:,} places")
    write(_content(found, chosen, concepts), target)


def _content(found: Comparison, format: str, concepts: int) -> Pieces | bytes:
    from whyhere.atlas._pages import compare_page
    from whyhere.atlas._tables import compare_table, plain
    from whyhere.cli._atlas import as_json

    if format == "png":
        return found.plot(limit=concepts).png()
    if format == "svg":
        return lambda console: iter((found.plot(limit=concepts).svg,))
    if format == "html":
        return lambda console: iter((compare_page(found, limit=concepts),))
    if format == "json":
        return lambda console: as_json(found.to_dict())
    return lambda console: plain(
        compare_table(found, limit=concepts, width=console["width"], ascii_only=console["ascii_only"]),
        ascii_only=console["ascii_only"],
    )
