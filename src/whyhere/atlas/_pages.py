"""Profiles, maps and comparisons as pages: the picture, the numbers behind it, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whyhere.atlas._map_picture import side_by_side
from whyhere.atlas._tables import CAUTION, PEAKS
from whyhere.geo import place_names
from whyhere.report import Section, coordinates, kilometres, page, signed

if TYPE_CHECKING:
    from whyhere.atlas._compare import ComparedConcept, Comparison
    from whyhere.atlas._map import ConceptMap
    from whyhere.atlas._place import PlaceConcept, PlaceProfile

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
    rows = [_place_row(concept) for concept in found.concepts]
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
        heading=f"{found.shown_as}{where}",
        lede=" ".join(part for part in (found.definition.rstrip(".") + ".", CAUTION) if part != "."),
        sections=[
            Section("picture", "Map", picture=found.plot()),
            _peaks(found, "numbers", "Highest places"),
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
        _peaks(found, f"numbers{number}", f"Highest places: {found.shown_as}")
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


def _peaks(found: ConceptMap, id: str, title: str) -> Section:
    """Return the section on the highest places of a map."""
    peaks = found.peaks(PEAKS)
    names = place_names([cell.lat for cell in peaks], [cell.lon for cell in peaks])
    rows = [
        (
            str(name),
            coordinates(cell.lat, cell.lon),
            f"{cell.percentile:.1f}",
            signed(cell.value, 3, minus=_MINUS),
            f"{cell.points:,}",
        )
        for cell, name in zip(peaks, names, strict=True)
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
    head = (
        "Concept",
        "difference",
        "standard error",
        "effect",
        "AUROC",
        f"percentile {a}",
        f"percentile {b}",
    )
    sections = [
        Section("picture", "At a glance", picture=found.plot(limit=limit)),
        Section("numbers", "All concepts", head=head, rows=[_compared_row(one) for one in found.concepts]),
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


def _place_row(concept: PlaceConcept) -> tuple[str, ...]:
    local = "" if concept.region_percentile is None else f"{concept.region_percentile:.1f}"
    return (
        concept.shown_as,
        f"{concept.world_percentile:.1f}",
        local,
        signed(concept.deviation, 2, minus=_MINUS),
    )


def _compared_row(concept: ComparedConcept) -> tuple[str, ...]:
    error = "" if concept.standard_error is None else f"{concept.standard_error:.3f}"
    return (
        concept.shown_as,
        signed(concept.difference, 3, minus=_MINUS),
        error,
        signed(concept.effect, 2, minus=_MINUS),
        f"{concept.auroc:.2f}",
        f"{concept.percentile_a:.0f}",
        f"{concept.percentile_b:.0f}",
    )
