"""`whyhere map`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from whyhere.cli._atlas import Out
from whyhere.cli._notes import note
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.atlas import ConceptMap
    from whyhere.cli._atlas import Pieces

FORMATS = ("table", "json", "geojson", "html", "svg", "png")


def map_(
    concept: Annotated[
        str | None, typer.Argument(metavar="CONCEPT", help="Id, name or synonym of a concept.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help='Other words instead, such as "palm beach".')
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION",
            help="Only inside: a country, SOUTH,WEST,NORTH,EAST in degrees, or a GeoJSON file.",
        ),
    ] = None,
    resolution: Annotated[
        int, typer.Option(min=0, max=5, help="H3 resolution of the cells, 0 (coarse) to 5 (fine).")
    ] = 3,
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json, geojson, html, svg or png.",
            show_default="by the suffix of --out, else table",
        ),
    ] = None,
    out: Out = None,
) -> None:
    """Show where on Earth a concept, or a text, is, with an open reference where there is one.

    From the embeddings of places alone. The table lists the highest places; the other formats have the map.
    """
    from whyhere.cli._atlas import checked_file, format_of, load, write
    from whyhere.cli._locate import _checked_region

    if (concept is None) == (text is None):
        raise UsageError('name one concept, or give --text "WORDS" (`whyhere concepts list` shows concepts)')
    target, chosen = checked_file("--out", out), format_of(format, out, FORMATS)
    inside = _checked_region(region)
    atlas = load(release)
    if concept is not None:
        found = atlas.map(concept, region=inside, resolution=resolution)
    else:
        found = atlas.map_text(text or "", region=inside, resolution=resolution)
    if found.unknown_words:
        left_out = ", ".join(found.unknown_words)
        note(f"{found.release} does not know, and left out: {left_out}")
    if found.uncertain_words:
        guessed = ", ".join(found.uncertain_words)
        note(f"{found.release} knows these words only roughly: {guessed}")
    write(_content(found, chosen), target)


def _content(found: ConceptMap, format: str) -> Pieces | bytes:
    import json

    from whyhere.atlas._pages import map_page
    from whyhere.atlas._tables import map_table, plain
    from whyhere.cli._atlas import as_json

    if format == "png":
        return found.plot().png()
    if format == "svg":
        return lambda console: iter((found.plot().svg,))
    if format == "html":
        return lambda console: iter((map_page(found),))
    if format == "json":
        return lambda console: as_json(found.to_dict())
    if format == "geojson":
        return lambda console: iter((json.dumps(found.to_geojson(), ensure_ascii=False) + "\n",))
    return lambda console: plain(
        map_table(found, width=console["width"], ascii_only=console["ascii_only"]),
        ascii_only=console["ascii_only"],
    )
