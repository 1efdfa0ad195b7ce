"""`whyhere place`, `map` and `compare`: what a release knows of places, without any photo."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._options import Html, Output, Regions, Release, parse_regions
from whyhere.cli._output import Content, checked_target, checked_targets, chosen_format, plain, write_output
from whyhere.cli._terminal import as_json, note, progress_bar
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.atlas import Atlas, ConceptMap
    from whyhere.geo import LatLon
    from whyhere.picture import Picture

FORMATS = ("table", "json", "html", "svg", "png")
MAP_FORMATS = ("table", "json", "geojson", "html", "svg", "png")
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}  # or -22.9 would be an option

_NUMBER = re.compile(r"[-+\u2212]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_OF_ALL_MAPS = ("type", "release", "region", "resolution", "attribution", "features")

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, json, html, svg or png.",
        show_default="by the suffix of --output, else table",
    ),
]


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
    release: Release = "base",
    format: Format = None,
    output: Output = None,
    html: Html = None,
) -> None:
    """Describe a place by its concepts, against its region and the world, with places like it.

    From the embedding of the place alone; no photo is needed. A hypothesis, not a fact about the place.
    """
    where = _position(position)
    target, page = checked_targets(output, html)
    chosen = chosen_format(format, FORMATS, target)
    found = _load(release).place(where.lat, where.lon, similar=similar)
    if found.far:
        far = f"the nearest place that {found.release} knows is {found.nearest_km:,.0f} km away"
        note(f"{far}; the profile is an extrapolation")
    from whyhere.atlas import place_page, place_table

    def content(format: str) -> Content:
        return _content(
            format, found.to_dict, found.plot, lambda: place_page(found),
            lambda look: place_table(found, limit=concepts, **look),
        )  # fmt: skip

    write_output(content(chosen), target)
    if page is not None:
        write_output(content("html"), page)
        note(f"report: {page} (open it in a browser)")


def map_(
    concepts: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONCEPT...", help="Id, name or synonym of a concept; several side by side."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help='Other words, such as "palm beach"; may be repeated.'),
    ] = None,
    region: Regions = None,
    resolution: Annotated[
        int, typer.Option(min=0, max=5, help="H3 resolution of the cells, 0 (coarse) to 5 (fine).")
    ] = 3,
    release: Release = "base",
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json, geojson, html, svg or png.",
            show_default="by the suffix of --output, else table",
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Show where on Earth a concept, or a text, is, with an open reference where there is one.

    From the embeddings of places alone; several concepts are shown side by side. The table lists the highest
    places; the other formats have the map.
    """
    if not concepts and not text:
        raise UsageError('name a concept, or give --text "WORDS" (`whyhere concepts list` shows concepts)')
    target = checked_target("--output", output)
    chosen, inside = chosen_format(format, MAP_FORMATS, target), parse_regions(region)
    atlas = _load(release)
    maps = [atlas.map(one, region=inside, resolution=resolution) for one in concepts or ()]
    maps += [atlas.map_text(one, region=inside, resolution=resolution) for one in text or ()]
    for found in maps:
        if found.unknown_words:
            note(f"{found.release} does not know, and left out: {', '.join(found.unknown_words)}")
        if found.uncertain_words:
            note(f"{found.release} knows these words only roughly: {', '.join(found.uncertain_words)}")
    from whyhere.atlas import map_page, map_table, maps_page, side_by_side

    one = maps[0] if len(maps) == 1 else None

    def tables(look: dict[str, Any]) -> Iterator[str]:
        for number, found in enumerate(maps):
            if number:
                yield "\n"
            yield from map_table(found, **look)

    content = (
        as_json(_geojson(maps), indent=None)
        if chosen == "geojson"
        else _content(
            chosen,
            lambda: one.to_dict() if one else [found.to_dict() for found in maps],
            lambda: one.plot() if one else side_by_side(maps),
            lambda: map_page(one) if one else maps_page(maps),
            tables,
        )
    )
    write_output(content, target)


def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="COUNTRY", help="A country, SOUTH,WEST,NORTH,EAST in degrees, or a GeoJSON file."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="COUNTRY", help="Another one.")],
    concepts: Annotated[int, typer.Option(min=1, max=50, help="Concepts of each side that are shown.")] = 8,
    release: Release = "base",
    format: Format = None,
    output: Output = None,
) -> None:
    """Say which concepts tell two countries, or any two areas, apart.

    From the embeddings of their places alone, every cell of a grid counting by its area.
    """
    from whyhere.atlas import compare_page, compare_table
    from whyhere.geo import parse_region

    _refuse_options((a, b), meant="country, box or file")
    target = checked_target("--output", output)
    chosen = chosen_format(format, FORMATS, target)
    first, second = parse_region(a), parse_region(b)
    found = _load(release).compare(first, second)
    if found.shared_points:
        note(f"{found.a.name} and {found.b.name} share {found.shared_points:,} places")
    content = _content(
        chosen,
        found.to_dict,
        lambda: found.plot(limit=concepts),
        lambda: compare_page(found, limit=concepts),
        lambda look: compare_table(found, limit=concepts, **look),
    )
    write_output(content, target)


def _content(
    format: str,
    values: Callable[[], object],
    picture: Callable[[], Picture],
    page: Callable[[], str],
    table: Callable[[dict[str, Any]], Iterator[str]],
) -> Content:
    """Return a result in a format; the table is what is made for the width and the letters of a terminal."""
    if format == "png":
        return picture().png()
    if format == "svg":
        return picture().svg
    if format == "html":
        return page()
    if format == "json":
        return as_json(values())

    def text(console: dict[str, Any]) -> Iterator[str]:
        return plain(table({key: console[key] for key in ("width", "ascii_only")}), console)

    return text


def _geojson(maps: list[ConceptMap]) -> dict[str, Any]:
    """Return maps as one collection; the cells of several lie side by side, `map` says whose each is."""
    if len(maps) == 1:
        return maps[0].to_geojson()
    collections = [found.to_geojson() for found in maps]
    features = [
        {key: value for key, value in feature.items() if key != "id"}
        | {"properties": {"map": found.name, **feature["properties"]}}
        for found, collection in zip(maps, collections, strict=True)
        for feature in collection["features"]
    ]
    whole = {**collections[0], "features": features}
    return {key: whole[key] for key in _OF_ALL_MAPS if key in whole}


def _position(words: list[str]) -> LatLon:
    """Read a position or the name of a town, in one word or several."""
    from whyhere.geo import POSITIONS, find_town, read_position

    _refuse_options(words, meant="latitude or longitude")
    text = " ".join(words)
    found = read_position(text) or find_town(text)
    if found is None:
        raise UsageError(f"{text[:60]!r} is no position, and no town is called so; positions: {POSITIONS}")
    return found


def _refuse_options(words: Iterable[str], *, meant: str) -> None:
    """Refuse words that look like options: who takes negative numbers is handed unknown options, too."""
    for word in words:
        if word.startswith("-") and not _NUMBER.fullmatch(re.split(r"[\s,]+", word)[0]):
            raise UsageError(f"{word}: there is no such option, and it is no {meant}")


def _load(release: str) -> Atlas:
    """Load an atlas, with a progress bar while a gallery is embedded for the first time."""
    from whyhere.atlas import Atlas

    with progress_bar("Embedding the gallery (first use only)") as progress:
        return Atlas.from_release(release, progress=progress)
