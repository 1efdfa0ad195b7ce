"""`whyhere map`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._atlas import Out
from whyhere.cli._notes import note
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.atlas import ConceptMap
    from whyhere.cli._atlas import Pieces

FORMATS = ("table", "json", "geojson", "html", "svg", "png")
_OF_ALL = ("type", "release", "region", "resolution", "attribution", "features")


def map_(
    concepts: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONCEPT...", help="Id, name or synonym of a concept; several side by side."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help='Other words, such as "palm beach"; may be repeated.'),
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

    From the embeddings of places alone; several concepts are shown side by side. The table lists the highest
    places; the other formats have the map.
    """
    from whyhere.cli._atlas import checked_file, format_of, load, write
    from whyhere.cli._locate import _checked_region

    if not concepts and not text:
        raise UsageError('name a concept, or give --text "WORDS" (`whyhere concepts list` shows concepts)')
    target, chosen = checked_file("--out", out), format_of(format, out, FORMATS)
    inside = _checked_region(region)
    atlas = load(release)
    maps = [atlas.map(one, region=inside, resolution=resolution) for one in concepts or ()]
    maps += [atlas.map_text(one, region=inside, resolution=resolution) for one in text or ()]
    for found in maps:
        if found.unknown_words:
            left_out = ", ".join(found.unknown_words)
            note(f"{found.release} does not know, and left out: {left_out}")
        if found.uncertain_words:
            guessed = ", ".join(found.uncertain_words)
            note(f"{found.release} knows these words only roughly: {guessed}")
    write(_content(maps, chosen), target)


def _content(maps: list[ConceptMap], format: str) -> Pieces | bytes:
    import json

    from whyhere.atlas import side_by_side
    from whyhere.atlas._pages import map_page, maps_page
    from whyhere.atlas._tables import map_table, plain
    from whyhere.cli._atlas import as_json

    first, *others = maps
    if format in ("png", "svg"):
        drawn = side_by_side(maps) if others else first.plot()
        return drawn.png() if format == "png" else lambda console: iter((drawn.svg,))
    if format == "html":
        return lambda console: iter((maps_page(maps) if others else map_page(first),))
    if format == "json":
        return lambda console: as_json([found.to_dict() for found in maps] if others else first.to_dict())
    if format == "geojson":
        # The cells of several maps are features side by side: `map` says whose each is.
        collection = first.to_geojson()
        for found in maps if others else ():
            features = found.to_geojson()["features"]
            for feature in features:
                feature["properties"] = {"map": found.name, **feature["properties"]}
                del feature["id"]
            collection["features"] = features if found is first else [*collection["features"], *features]
        if others:
            collection = {key: collection[key] for key in _OF_ALL if key in collection}
        return lambda console: iter((json.dumps(collection, ensure_ascii=False) + "\n",))

    def tables(console: dict[str, Any]) -> Iterator[str]:
        for number, found in enumerate(maps):
            if number:
                yield "\n"
            yield from map_table(found, width=console["width"], ascii_only=console["ascii_only"])

    return lambda console: plain(tables(console), ascii_only=console["ascii_only"])
