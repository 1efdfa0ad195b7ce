"""Profiles, maps and comparisons in notebooks and at a prompt: three lines, a picture, files of any kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from whyhere._text import printable
from whyhere.atlas._pages import compare_page, map_page, place_page
from whyhere.atlas._tables import compare_table, map_table, place_table
from whyhere.geo import place_names
from whyhere.picture import Picture, as_notebook_html
from whyhere.report import coordinates

if TYPE_CHECKING:
    from whyhere.atlas._compare import Comparison
    from whyhere.atlas._map import ConceptMap
    from whyhere.atlas._place import PlaceProfile

Files = dict[str, Callable[[], str | bytes]]

_NAMED, _LISTED, _WIDTH = 3, 8, 100


def place_lines(found: PlaceProfile) -> tuple[str, str, str]:
    """Return a profile in three lines."""
    where = coordinates(found.lat, found.lon)
    far = ", an extrapolation" if found.far else ""
    return (
        f"Profile of {printable(str(found.place))} ({where}) by {printable(found.release)}{far}",
        _sides("more", found.highest(_NAMED), "less", found.lowest(_NAMED)) + " than elsewhere on Earth",
        "similar: " + ("; ".join(printable(str(place.place)) for place in found.similar[:_NAMED]) or "none"),
    )


def map_lines(found: ConceptMap) -> tuple[str, str, str]:
    """Return a map in three lines."""
    where = f" in {printable(found.region)}" if found.region else ""
    peaks = found.peaks(_NAMED)
    names = place_names([cell.lat for cell in peaks], [cell.lon for cell in peaks]) if peaks else []
    reference = "no open reference" if found.reference is None else found.reference.agreement_text
    return (
        f"Map of {printable(found.name)}{where} by {printable(found.release)}: {len(found.cells):,} cells",
        "highest: " + "; ".join(printable(str(name)) for name in names),
        reference,
    )


def compare_lines(found: Comparison) -> tuple[str, str, str]:
    """Return a comparison in three lines."""
    a, b = printable(found.a.name), printable(found.b.name)
    return (
        f"{a} or {b}, by {printable(found.release)}: {found.a.points:,} places against {found.b.points:,}",
        f"more in {a}: " + _names(found.more_in_a(_NAMED)),
        f"more in {b}: " + _names(found.more_in_b(_NAMED)),
    )


def place_html(found: PlaceProfile) -> str:
    """Return what a notebook shows of a profile."""
    return as_notebook_html(place_lines(found), found.plot())


def map_html(found: ConceptMap) -> str:
    """Return what a notebook shows of a map."""
    return as_notebook_html(map_lines(found), found.plot())


def compare_html(found: Comparison) -> str:
    """Return what a notebook shows of a comparison."""
    return as_notebook_html(compare_lines(found), found.plot())


def place_files(found: PlaceProfile) -> Files:
    """Return what makes a file of a profile, by suffix."""
    return _files(
        found.to_dict,
        lambda: place_page(found),
        lambda: place_table(found, limit=_LISTED, width=_WIDTH, ascii_only=False),
        found.plot,
    )


def map_files(found: ConceptMap) -> Files:
    """Return what makes a file of a map, by suffix."""
    files = _files(
        found.to_dict,
        lambda: map_page(found),
        lambda: map_table(found, width=_WIDTH, ascii_only=False),
        found.plot,
    )
    return files | {".geojson": lambda: json.dumps(found.to_geojson(), ensure_ascii=False) + "\n"}


def compare_files(found: Comparison) -> Files:
    """Return what makes a file of a comparison, by suffix."""
    return _files(
        found.to_dict,
        lambda: compare_page(found, limit=_LISTED),
        lambda: compare_table(found, limit=_LISTED, width=_WIDTH, ascii_only=False),
        found.plot,
    )


def _files(
    data: Callable[[], dict[str, Any]],
    page: Callable[[], str],
    table: Callable[[], Iterable[str]],
    plot: Callable[[], Picture],
) -> Files:
    return {
        ".json": lambda: json.dumps(data(), ensure_ascii=False, indent=2) + "\n",
        ".html": page,
        ".htm": page,
        ".txt": lambda: "".join(table()),
        ".svg": lambda: plot().svg,
        ".png": lambda: plot().png(),
    }


def _sides(more: str, high: Iterable[Any], less: str, low: Iterable[Any]) -> str:
    return f"{more} {_names(high)}; {less} {_names(low)}"


def _names(concepts: Iterable[Any]) -> str:
    return ", ".join(printable(concept.name) for concept in concepts) or "nothing"
