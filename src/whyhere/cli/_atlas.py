"""What `whyhere place`, `map` and `compare` share: the format asked for, loading, and writing text or PNG."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._output import chosen_format
from whyhere.cli._terminal import note, use_utf8
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.atlas import Atlas, Comparison, ConceptMap, PlaceProfile
    from whyhere.geo import LatLon

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, json, html, svg or png.",
        show_default="by the suffix of --out, else table",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write there instead of to standard output."),
]

Pieces = Callable[[dict[str, Any]], Iterator[str]]

NUMBER = re.compile(r"[-+\u2212]?(?:\d+\.?\d*|\.\d+)", re.ASCII)


def format_of(format: str | None, out: Path | None, formats: Sequence[str]) -> str:
    """Return the format asked for; what programs read is UTF-8 from here on."""
    chosen = chosen_format(format, formats, option="--out", target=out)
    if format == "png" and (out is None or str(out) == "-") and sys.stdout.isatty():
        raise UsageError("--format png: a picture is not for a terminal; add --out FILE")
    if chosen != "table":
        use_utf8()
    return chosen


def checked_file(option: str, target: Path | None) -> Path | None:
    """Refuse a target that cannot be written, before anything slow happens; None for standard output."""
    if target is None or str(target) == "-":
        return None
    file = target.resolve()
    if file.is_dir():
        raise UsageError(f"{option} {target}: that is a directory; name a file in it")
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"{option} {target}: its directory does not exist or cannot be written")
    return file


def refuse_options(words: Iterable[str], *, meant: str) -> None:
    """Refuse words that look like options: who takes negative numbers is handed unknown options, too."""
    for word in words:
        if word.startswith("-") and not NUMBER.fullmatch(re.split(r"[\s,]+", word)[0]):
            raise UsageError(f"{word}: there is no such option, and it is no {meant}")


def load(release: str) -> Atlas:
    """Load an atlas, with a progress bar while a gallery is embedded for the first time."""
    from whyhere.atlas import Atlas
    from whyhere.cli._terminal import place_progress

    with place_progress("Embedding the gallery (first use only)") as progress:
        return Atlas.from_release(release, progress=progress)


def write(content: Pieces | bytes, target: Path | None) -> None:
    """Write text in pieces, or a PNG, to a file or to standard output."""
    from whyhere.cli._output import write_output

    if not isinstance(content, bytes):
        write_output(content, target)
    elif target is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        _replace(target, content)


def as_json(value: object) -> Iterator[str]:
    """Yield a value as indented JSON."""
    import json

    yield json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _replace(target: Path, content: bytes) -> None:
    """Replace a file once the new one is whole."""
    from whyhere._io import write_atomically

    try:
        write_atomically(target, content)
    except OSError as error:
        raise UsageError(f"{target}: cannot write it ({error.strerror})") from error


PLACE_FORMATS = ("table", "json", "html", "svg", "png")
SETTINGS = {"ignore_unknown_options": True}  # or -22.9, or a box that starts in the south, would be an option


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
    chosen = format_of(format, out, PLACE_FORMATS)
    found = load(release).place(where.lat, where.lon, similar=similar)
    if found.far:
        far = f"the nearest place that {found.release} knows is {found.nearest_km:,.0f} km away"
        note(f"{far}; the profile is an extrapolation")
    write(_place_content(found, chosen, concepts), target)
    if report is not None:
        write(_place_content(found, "html", concepts), report)
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


def _place_content(found: PlaceProfile, format: str, concepts: int) -> Pieces | bytes:
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


MAP_FORMATS = ("table", "json", "geojson", "html", "svg", "png")
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
    target, chosen = checked_file("--out", out), format_of(format, out, MAP_FORMATS)
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
    write(_map_content(maps, chosen), target)


def _map_content(maps: list[ConceptMap], format: str) -> Pieces | bytes:
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
    target, chosen = checked_file("--out", out), format_of(format, out, PLACE_FORMATS)
    first, second = parse_region(a), parse_region(b)
    found = load(release).compare(first, second)
    if found.shared_points:
        note(f"{found.a.name} and {found.b.name} share {found.shared_points:,} places")
    write(_comparison_content(found, chosen, concepts), target)


def _comparison_content(found: Comparison, format: str, concepts: int) -> Pieces | bytes:
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
