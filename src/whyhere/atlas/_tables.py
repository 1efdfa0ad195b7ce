"""Profiles, maps and comparisons as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from whyhere._text import printable
from whyhere.geo import place_names
from whyhere.prediction import UNCONFIRMED
from whyhere.report import PLACE_NAMES, coordinates, kilometres, signed

if TYPE_CHECKING:
    from whyhere.atlas._compare import ComparedConcept, Comparison
    from whyhere.atlas._map import ConceptMap
    from whyhere.atlas._place import PlaceConcept, PlaceProfile

CAUTION = "From embeddings of places, not from photos of them; a hypothesis to be checked."
PEAKS = 10
_NAME = 24


def place_table(found: PlaceProfile, *, limit: int, width: int, ascii_only: bool) -> Iterator[str]:
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
    region = found.region or ""
    indent = " " * 10
    yield f"\n{indent}{'percentile in':>{_NAME + 14}}\n"
    yield f"{indent}{'the world':>{_NAME + 14}}  {printable(region)}\n"
    for words, concepts in (("more", found.highest(limit)), ("less", found.lowest(limit))):
        for row, concept in enumerate(concepts):
            yield f"{words if row == 0 else '':10}{_profile_row(concept, region, ascii_only)}\n"
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


def map_table(found: ConceptMap, *, width: int, ascii_only: bool) -> Iterator[str]:
    """Yield the lines of a map: its peaks by name, and how it agrees with open data."""
    where = f" in {found.region}" if found.region else ""
    yield from _head(f"{found.shown_as}{where}", found.release, width, ascii_only)
    if found.definition:
        yield f"{printable(found.definition)}\n"
    heading = (
        f"Highest of {len(found.cells):,} cells, 500 km apart" if len(found.cells) > 1 else "The one cell"
    )
    yield f"\n{heading:59}percentile  cosine\n"
    peaks = found.peaks(PEAKS)
    names = place_names([cell.lat for cell in peaks], [cell.lon for cell in peaks])
    for rank, (cell, name) in enumerate(zip(peaks, names, strict=True), start=1):
        yield (
            f"{rank:2}  {_cut(str(name), 42, ascii_only):42} {coordinates(cell.lat, cell.lon):>17}"
            f"{cell.percentile:7.1f}  {signed(cell.value, 3)}\n"
        )
    if found.reference is not None:
        reference = found.reference
        yield f"\nOpen reference: {printable(reference.name)} ({reference.directness})\n"
        yield f"{reference.agreement_text}\nSource: {printable(reference.source)}\n"
    elif found.concept_id is not None:
        yield "\nwhyhere has no open reference for this concept.\n"
    yield f"\n{CAUTION}\n{PLACE_NAMES}\n"


def compare_table(found: Comparison, *, limit: int, width: int, ascii_only: bool) -> Iterator[str]:
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
        for concept in concepts:
            yield f"  {_compared_row(concept, ascii_only)}\n"
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


def _profile_row(concept: PlaceConcept, region: str, ascii_only: bool) -> str:
    share = "" if concept.region_percentile is None else f"{concept.region_percentile:>{_mid(region)}.1f}"
    return f"{_cut(concept.shown_as, _NAME, ascii_only):{_NAME}}{concept.world_percentile:14.1f}  {share}"


def _mid(region: str) -> int:
    return max(5, min(len(region), 20))


def _compared_row(concept: ComparedConcept, ascii_only: bool) -> str:
    error = "-" if concept.standard_error is None else f"{concept.standard_error:.3f}"
    return (
        f"{_cut(concept.shown_as, _NAME, ascii_only):{_NAME}}{signed(concept.difference, 3):>12}{error:>9}"
        f"{signed(concept.effect, 2):>9}{concept.auroc:8.2f}"
        f"{concept.percentile_a:10.0f}{concept.percentile_b:7.0f}"
    )


def _cut(text: str, room: int, ascii_only: bool) -> str:
    """Return a text that is safe to show, cut to the room there is."""
    shown = printable(text)
    if ascii_only:
        shown = shown.encode("ascii", "replace").decode()
    return shown if len(shown) <= room else shown[: max(room - 3, 0)] + "..."


def plain(pieces: Sequence[str] | Iterator[str], *, ascii_only: bool) -> Iterator[str]:
    """Yield pieces in letters that the terminal can show."""
    for piece in pieces:
        yield piece.encode("ascii", "replace").decode() if ascii_only else piece
