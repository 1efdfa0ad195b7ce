"""Profiles, maps and comparisons as pages, as plain text for a terminal, in notebooks and as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from whyhere._record import Record
from whyhere._text import printable
from whyhere.atlas._pictures import draw, side_by_side
from whyhere.atlas._results import ComparedConcept, Comparison, ConceptMap, PlaceConcept, PlaceProfile
from whyhere.geo import place_names
from whyhere.prediction import UNCONFIRMED
from whyhere.report import (
    PLACE_NAMES,
    Section,
    boundaries,
    coordinates,
    kilometres,
    page,
    signed,
    split_ring,
)

CAUTION = "From embeddings of places, not from photos of them; a hypothesis to be checked."
PEAKS = 10
LISTED = 8

_NAMED, _WIDTH = 3, 100
_NAME = 24  # columns of a name in a table
_MINUS = "\N{MINUS SIGN}"
_COSINE = (
    "How near the embedding of a place lies to the direction of a concept, from -1 to 1, after the mean of "
    "all places is taken off. It tells places apart; it is no share of photos and no probability."
)
_STAR = (
    "A star *",
    "No open map confirms what this concept does in the model; see the model card. Pictures leave such "
    "concepts out.",
)


# ------------------------------------------------------------------- one result, whatever it is


def lines(found: Record) -> tuple[str, str, str]:
    """Return a profile, a map or a comparison in three lines."""
    assert isinstance(found, (PlaceProfile, ConceptMap, Comparison))
    release = printable(found.release)
    if isinstance(found, PlaceProfile):
        far = ", an extrapolation" if found.far else ""
        where = f"{printable(str(found.place))} ({coordinates(found.lat, found.lon)})"
        more, less = _names(found.highest(_NAMED)), _names(found.lowest(_NAMED))
        similar = "; ".join(printable(str(place.place)) for place in found.similar[:_NAMED])
        return (
            f"Profile of {where} by {release}{far}",
            f"more {more}; less {less} than elsewhere on Earth",
            f"similar: {similar or 'none'}",
        )
    if isinstance(found, ConceptMap):
        where = f" in {printable(found.region)}" if found.region else ""
        names = "; ".join(printable(name) for _, name in _peaks(found, _NAMED))
        return (
            f"Map of {printable(found.name)}{where} by {release}: {len(found.cells):,} cells",
            f"highest: {names}",
            found.reference.agreement_text if found.reference else "no open reference",
        )
    a, b = printable(found.a.name), printable(found.b.name)
    return (
        f"{a} or {b}, by {release}: {found.a.points:,} places against {found.b.points:,}",
        f"more in {a}: " + _names(found.more_in_a(_NAMED)),
        f"more in {b}: " + _names(found.more_in_b(_NAMED)),
    )


def files(found: Record) -> dict[str, Callable[[], str | bytes]]:
    """Return what makes a file of a result, by suffix."""
    page: Callable[[], str]
    table: Callable[[], Iterator[str]]
    if isinstance(found, PlaceProfile):
        page, table = partial(place_page, found), partial(place_table, found, limit=LISTED)
    elif isinstance(found, ConceptMap):
        page, table = partial(map_page, found), partial(map_table, found)
    else:
        assert isinstance(found, Comparison)
        page = partial(compare_page, found, limit=LISTED)
        table = partial(compare_table, found, limit=LISTED)
    made: dict[str, Callable[[], str | bytes]] = {
        ".json": lambda: json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n",
        ".html": page,
        ".htm": page,
        ".txt": lambda: "".join(table()),
        ".svg": lambda: draw(found).svg,
        ".png": lambda: draw(found).png(),
    }
    if isinstance(found, ConceptMap):
        made[".geojson"] = lambda: json.dumps(found.to_geojson(), ensure_ascii=False) + "\n"
    return made


def feature_collection(found: ConceptMap) -> dict[str, Any]:
    """Return a map as GeoJSON: a polygon for each cell, cut at the antimeridian (RFC 7946, 3.1.9)."""
    features = []
    for cell, ring in zip(found.cells, boundaries([cell.cell for cell in found.cells]), strict=True):
        # A list of positions turns latitude, longitude into the longitude, latitude that RFC 7946 asks for.
        polygons = [[_closed(part.tolist())] for part in split_ring(ring)]
        several = len(polygons) > 1
        geometry = {
            "type": "MultiPolygon" if several else "Polygon",
            "coordinates": polygons if several else polygons[0],
        }
        digits = {"value": 6, "percentile": 3, "lat": 5, "lon": 5}
        rounded = {name: round(getattr(cell, name), places) for name, places in digits.items()}
        properties = cell.to_dict() | rounded
        features.append({"type": "Feature", "id": cell.cell, "geometry": geometry, "properties": properties})
    about = {key: value for key, value in found.to_dict().items() if key != "cells"}
    attribution = [printable(sentence) for sentence in found.card.attribution]
    return {"type": "FeatureCollection", **about, "attribution": attribution, "features": features}


def _closed(ring: list[list[float]]) -> list[list[float]]:
    positions = [[round(lon, 5), round(lat, 5)] for lat, lon in ring]
    return [*positions, positions[0]]


def _names(concepts: Iterable[PlaceConcept | ComparedConcept]) -> str:
    return ", ".join(printable(concept.name) for concept in concepts) or "nothing"


def _peaks(found: ConceptMap, limit: int) -> list[tuple[Any, str]]:
    """Return the highest cells of a map, each with the name of its place."""
    peaks = found.peaks(limit)
    if not peaks:
        return []
    names = place_names([cell.lat for cell in peaks], [cell.lon for cell in peaks])
    return [(cell, str(name)) for cell, name in zip(peaks, names, strict=True)]


# ----------------------------------------------------------------------------------------- pages


def place_page(found: PlaceProfile) -> str:
    """Return the page of a profile."""
    region = found.region or "region"
    similar = [
        (
            str(place.place),
            coordinates(place.lat, place.lon),
            kilometres(place.distance_km),
            f"{place.similarity:.2f}",
            ", ".join(place.shared),
        )
        for place in found.similar
    ]
    warning = ""
    if found.far:
        warning = (
            f"The nearest place that the release knows is {kilometres(found.nearest_km)} away: "
            "this profile is an extrapolation."
        )
    sections = [Section("picture", "At a glance", picture=found.plot(), warning=warning)]
    if similar:
        columns = ("Place", "position", "distance", "similarity", "shares")
        sections.append(Section("similar", "Similar places elsewhere", head=columns, rows=similar))
    head = ("Concept", "percentile in the world", f"percentile in {region}", "deviations from the mean")
    rows = [
        (
            concept.shown_as,
            f"{concept.world_percentile:.1f}",
            "" if concept.region_percentile is None else f"{concept.region_percentile:.1f}",
            signed(concept.deviation, 2, minus=_MINUS),
        )
        for concept in found.concepts
    ]
    sections.append(Section("numbers", "All concepts", head=head, rows=rows))
    notes = (
        ("Percentile", "Share of the known world, or of the region, by area, that has less of the concept."),
        ("Similarity", "Cosine of the two profiles in standard deviations of the world; 1 is the same."),
        (
            "Region",
            f"Here: {found.region or 'none, too few places are near'} ({found.region_points:,} places).",
        ),
    )
    return page(
        title=f"whyhere: {found.place}",
        heading=str(found.place),
        lede=f"{coordinates(found.lat, found.lon)}. {CAUTION}",
        sections=sections,
        card=found.card,
        notes=(*notes, *_marks(found.concepts)),
    )


def map_page(found: ConceptMap) -> str:
    """Return the page of a map."""
    where = f" in {found.region}" if found.region else ""
    return page(
        title=f"whyhere: {found.name}{where}",
        heading=found.title,
        lede=f"{found.definition.rstrip('.')}. {CAUTION}" if found.definition else CAUTION,
        sections=[
            Section("picture", "Map", picture=found.plot()),
            _peak_section(found, "numbers", "Highest places"),
        ],
        card=found.card,
        notes=[*_map_notes(found), *_reference_notes(found), *_marks([found])],
    )


def maps_page(maps: Sequence[ConceptMap]) -> str:
    """Return the page of several maps side by side."""
    first = maps[0]
    where = f" in {first.region}" if first.region else ""
    names = ", ".join(found.shown_as for found in maps)
    sections = [Section("picture", "Maps", picture=side_by_side(maps))]
    sections += [
        _peak_section(found, f"numbers{number}", f"Highest places: {found.shown_as}")
        for number, found in enumerate(maps)
    ]
    references = [
        (f"{term}: {found.name}", words) for found in maps for term, words in _reference_notes(found)
    ]
    return page(
        title=f"whyhere: {names}{where}",
        heading=f"{names}{where}",
        lede=CAUTION,
        sections=sections,
        card=first.card,
        notes=[*_map_notes(first), *references, *_marks(maps)],
    )


def _peak_section(found: ConceptMap, id: str, title: str) -> Section:
    """Return the section on the highest places of a map."""
    rows = [
        (
            name,
            coordinates(cell.lat, cell.lon),
            f"{cell.percentile:.1f}",
            signed(cell.value, 3, minus=_MINUS),
            f"{cell.points:,}",
        )
        for cell, name in _peaks(found, PEAKS)
    ]
    return Section(id, title, head=("Place", "position", "percentile", "cosine", "places"), rows=rows)


def _map_notes(found: ConceptMap) -> list[tuple[str, str]]:
    return [
        ("Cosine", _COSINE),
        ("Percentile", "Share of the world's cells with a lower mean."),
        ("Cells", f"H3 cells of resolution {found.resolution}; a cell shows the mean of its places."),
    ]


def _reference_notes(found: ConceptMap) -> list[tuple[str, str]]:
    reference = found.reference
    if reference is None:
        return []
    words = f"{reference.name}, from {reference.source} ({reference.licence})."
    return [("Open reference", words), ("Agreement", f"{reference.agreement_text}.")]


def compare_page(found: Comparison, *, limit: int) -> str:
    """Return the page of a comparison."""
    a, b = found.a.name, found.b.name
    shares = (f"percentile {a}", f"percentile {b}")
    head = ("Concept", "difference", "standard error", "effect", "AUROC", *shares)
    rows = [
        (
            concept.shown_as,
            signed(concept.difference, 3, minus=_MINUS),
            "" if concept.standard_error is None else f"{concept.standard_error:.3f}",
            signed(concept.effect, 2, minus=_MINUS),
            f"{concept.auroc:.2f}",
            f"{concept.percentile_a:.0f}",
            f"{concept.percentile_b:.0f}",
        )
        for concept in found.concepts
    ]
    sections = [
        Section("picture", "At a glance", picture=found.plot(limit=limit)),
        Section("numbers", "All concepts", head=head, rows=rows),
    ]
    notes = (
        ("Difference", f"Mean cosine over {a} less that over {b}, every cell by its area. {_COSINE}"),
        ("Standard error", "Over blocks of neighbouring cells; likeness over longer distances is not in it."),
        ("Effect", "The difference in standard deviations of the world's cells."),
        ("AUROC", f"How often a cell of {a} has more of the concept than one of {b}; 0.5 tells nothing."),
        ("Many concepts", f"{len(found.concepts)} concepts are compared at once: a few differ by chance."),
    )
    both = f" {found.shared_points:,} places lie in both." if found.shared_points else ""
    lede = (
        f"{found.a.points:,} places in {found.a.cells:,} cells against {found.b.points:,} in "
        f"{found.b.cells:,}.{both} {CAUTION}"
    )
    return page(
        title=f"whyhere: {a} or {b}",
        heading=f"{a} or {b}?",
        lede=lede,
        sections=sections,
        card=found.card,
        notes=(*notes, *_marks(found.concepts)),
    )


def _marks(concepts: Sequence[PlaceConcept | ComparedConcept | ConceptMap]) -> tuple[tuple[str, str], ...]:
    """Explain the mark of concepts that no open map confirms, where there is one."""
    return (_STAR,) if any(concept.unconfirmed for concept in concepts) else ()


# ---------------------------------------------------------------------------------------- tables


def place_table(
    found: PlaceProfile, *, limit: int, width: int = _WIDTH, ascii_only: bool = False
) -> Iterator[str]:
    """Yield the lines of a profile.

    Args:
        found: The profile.
        limit: Concepts above and below at most.
        width: Columns of the terminal.
        ascii_only: Whether it shows ASCII alone.
    """
    yield from _head(str(found.place), found.release, width, ascii_only)
    yield f"{coordinates(found.lat, found.lon)}\n"
    if found.far:
        yield (
            f"The nearest place that {found.release} knows is {kilometres(found.nearest_km)} away: "
            "this is an extrapolation.\n"
        )
    region, indent = found.region or "", " " * 10
    middle = max(5, min(len(region), 20))
    yield f"\n{indent}{'percentile in':>{_NAME + 14}}\n"
    yield f"{indent}{'the world':>{_NAME + 14}}  {printable(region)}\n"
    for words, concepts in (("more", found.highest(limit)), ("less", found.lowest(limit))):
        for row, concept in enumerate(concepts):
            local = concept.region_percentile
            share = "" if local is None else f"{local:>{middle}.1f}"
            name = f"{_cut(concept.shown_as, _NAME, ascii_only):{_NAME}}"
            yield f"{words if row == 0 else '':10}{name}{concept.world_percentile:14.1f}  {share}\n"
    yield from _unconfirmed(
        [f"{'more' if c.deviation > 0 else 'less'} {c.shown_as}" for c in found.unconfirmed(limit)]
    )
    if not found.region:
        yield "\nToo few places are near to compare it with a region.\n"
    if found.similar:
        yield "\nSimilar places elsewhere, and what they share\n"
    for rank, place in enumerate(found.similar, start=1):
        yield (
            f"{rank:2}  {_cut(str(place.place), 44, ascii_only):44} {kilometres(place.distance_km):>10} "
            f"{place.similarity:5.2f}  {_cut(', '.join(place.shared), max(20, width - 66), ascii_only)}\n"
        )
    yield f"\n{CAUTION}\n{PLACE_NAMES}\n"


def map_table(found: ConceptMap, *, width: int = _WIDTH, ascii_only: bool = False) -> Iterator[str]:
    """Yield the lines of a map: its peaks by name, and how it agrees with open data."""
    yield from _head(found.title, found.release, width, ascii_only)
    if found.definition:
        yield f"{printable(found.definition)}\n"
    heading = "The one cell"
    if len(found.cells) > 1:
        heading = f"Highest of {len(found.cells):,} cells, 500 km apart"
    yield f"\n{heading:59}percentile  cosine\n"
    for rank, (cell, name) in enumerate(_peaks(found, PEAKS), start=1):
        yield (
            f"{rank:2}  {_cut(name, 42, ascii_only):42} {coordinates(cell.lat, cell.lon):>17}"
            f"{cell.percentile:7.1f}  {signed(cell.value, 3)}\n"
        )
    if found.reference is not None:
        reference = found.reference
        yield f"\nOpen reference: {printable(reference.name)} ({reference.directness})\n"
        yield f"{reference.agreement_text}\nSource: {printable(reference.source)}\n"
    elif found.concept_id is not None:
        yield "\nwhyhere has no open reference for this concept.\n"
    yield f"\n{CAUTION}\n{PLACE_NAMES}\n"


def compare_table(
    found: Comparison, *, limit: int, width: int = _WIDTH, ascii_only: bool = False
) -> Iterator[str]:
    """Yield the lines of a comparison, `limit` concepts for each side at most."""
    yield from _head(f"{found.a.name} or {found.b.name}?", found.release, width, ascii_only)
    for side in (found.a, found.b):
        yield (
            f"{printable(side.name)}: {side.points:,} places in {side.cells:,} cells, "
            f"{side.blocks:,} blocks\n"
        )
    if found.shared_points:
        yield f"Places that lie in both: {found.shared_points:,}\n"
    yield f"\n{'':{_NAME + 2}}{'difference':>12}{'error':>9}{'effect':>9}{'AUROC':>8}{'percentiles':>17}\n"
    for side, concepts in ((found.a, found.more_in_a(limit)), (found.b, found.more_in_b(limit))):
        yield f"more in {printable(side.name)}\n"
        for c in concepts:
            error = "-" if c.standard_error is None else f"{c.standard_error:.3f}"
            yield (
                f"  {_cut(c.shown_as, _NAME, ascii_only):{_NAME}}{signed(c.difference, 3):>12}{error:>9}"
                f"{signed(c.effect, 2):>9}{c.auroc:8.2f}{c.percentile_a:10.0f}{c.percentile_b:7.0f}\n"
            )
    yield from _unconfirmed(
        [
            f"{c.shown_as} (more in {(found.a if c.effect > 0 else found.b).name})"
            for c in found.unconfirmed(limit)
        ]
    )
    yield (
        "\nError: standard error over blocks. Effect: difference in standard deviations of the world.\n"
        "AUROC: of the first side over the second. Percentiles: in the world, first and second.\n"
        f"\n{CAUTION}\n"
    )


def _unconfirmed(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"\nNot confirmed by open maps: {printable('; '.join(names))}\n{UNCONFIRMED}\n"


def _head(title: str, release: str, width: int, ascii_only: bool) -> Iterator[str]:
    width = max(40, min(width, 100))
    title = _cut(title, width - len(release) - 2, ascii_only)
    yield f"{title}{release:>{max(width - len(title), 0)}}\n"
    yield f"{('-' if ascii_only else '─') * width}\n"


def _cut(text: str, room: int, ascii_only: bool) -> str:
    """Return a text that is safe to show, cut to the room there is."""
    shown = printable(text)
    if ascii_only:
        shown = shown.encode("ascii", "replace").decode()
    return shown if len(shown) <= room else shown[: max(room - 3, 0)] + "..."
