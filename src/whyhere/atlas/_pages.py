"""Profiles, maps and comparisons as pages: the picture, the numbers behind it, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from whyhere._text import printable
from whyhere.atlas._map_picture import side_by_side
from whyhere.atlas._tables import CAUTION, PEAKS
from whyhere.geo import place_names
from whyhere.picture import Picture
from whyhere.report import coordinates, kilometres, page, signed

if TYPE_CHECKING:
    from whyhere.atlas._compare import ComparedConcept, Comparison
    from whyhere.atlas._map import ConceptMap
    from whyhere.atlas._place import PlaceConcept, PlaceProfile

# Drawings are light; in the dark their ground, ink and bars follow the page. The colours of cells stay.
_IN_THE_DARK = {
    'rect[width="100%"]': "fill: var(--paper)",
    '[fill="#222222"]': "fill: var(--ink)",
    '[fill="#566068"]': "fill: var(--soft)",
    '[fill="#e9e5dc"]': "fill: var(--track)",
    '[fill="#eef3f7"]': "fill: var(--sea)",
    '[fill="#dcd9d2"]': "fill: var(--land)",
    '[fill="#0072b2"]': "fill: #56b4e9",
    '[fill="#d55e00"]': "fill: #f0915a",
    '[stroke="#222222"]': "stroke: var(--ink)",
    '[stroke="#b8c4cc"]': "stroke: var(--rim)",
    '[stroke="#7d8589"]': "stroke: var(--coast)",
}
_STYLE = (
    ".drawing { overflow-x: auto; }\n"
    ".drawing svg { width: 100%; height: auto; border-radius: 8px; }\n"
    # Shrunk to a phone its words could not be read: it keeps a size and scrolls.
    "@media screen and (max-width: 48rem) { .drawing svg { width: 56rem; } }\n"
    "@media screen and (prefers-color-scheme: dark) {\n"
    + "".join(f"  .drawing {what} {{ {look}; }}\n" for what, look in _IN_THE_DARK.items())
    + "}\n"
    ".numbers { width: 100%; border-collapse: collapse; font-size: .92rem; margin-top: .5rem; }\n"
    ".numbers th, .numbers td { padding: .22rem .4rem .22rem 0; text-align: right; font-weight: 400; }\n"
    ".numbers th:first-child, .numbers td:first-child { text-align: left; }\n"
    ".numbers thead th { font-size: .8rem; color: var(--soft); vertical-align: bottom; }\n"
    ".numbers tbody tr { border-top: 1px solid var(--line); }\n"
    ".scroll { overflow-x: auto; overflow-wrap: break-word; }\n"
)
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
    concepts = _table(
        ("Concept", "percentile in the world", f"percentile in {region}", "deviations from the mean"),
        [_place_row(concept) for concept in found.concepts],
    )
    similar = _table(
        ("Place", "position", "distance", "similarity", "shares"),
        [
            (
                str(place.place),
                coordinates(place.lat, place.lon),
                kilometres(place.distance_km),
                f"{place.similarity:.2f}",
                ", ".join(place.shared),
            )
            for place in found.similar
        ],
    )
    warning = ""
    if found.far:
        warning = (
            f'<p class="abstained">The nearest place that the release knows is '
            f"{kilometres(found.nearest_km)} away: this profile is an extrapolation.</p>"
        )
    body = _sheet("picture", "At a glance", warning + _drawing(found.plot()))
    if found.similar:
        body += _sheet("similar", "Similar places elsewhere", similar)
    body += _sheet("numbers", "All concepts", concepts)
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
        body=body,
        card=found.card,
        notes=(*notes, *_marks(found.concepts)),
        style=_STYLE,
    )


def map_page(found: ConceptMap) -> str:
    """Return the page of a map."""
    where = f" in {found.region}" if found.region else ""
    return page(
        title=f"whyhere: {found.name}{where}",
        heading=f"{found.shown_as}{where}",
        lede=" ".join(part for part in (found.definition.rstrip(".") + ".", CAUTION) if part != "."),
        body=_sheet("picture", "Map", _drawing(found.plot()))
        + _sheet("numbers", "Highest places", _peaks(found)),
        card=found.card,
        notes=[*_map_notes(found), *_reference_notes(found), *_marks([found])],
        style=_STYLE,
    )


def maps_page(maps: Sequence[ConceptMap]) -> str:
    """Return the page of several maps side by side."""
    first = maps[0]
    where = f" in {first.region}" if first.region else ""
    names = ", ".join(found.shown_as for found in maps)
    body = _sheet("picture", "Maps", _drawing(side_by_side(maps)))
    for number, found in enumerate(maps):
        body += _sheet(f"numbers{number}", f"Highest places: {_text(found.shown_as)}", _peaks(found))
    references = [
        (f"{term}: {found.name}", words) for found in maps for term, words in _reference_notes(found)
    ]
    return page(
        title=f"whyhere: {names}{where}",
        heading=f"{names}{where}",
        lede=CAUTION,
        body=body,
        card=first.card,
        notes=[*_map_notes(first), *references, *_marks(maps)],
        style=_STYLE,
    )


def _peaks(found: ConceptMap) -> str:
    """Return the table of the highest places of a map."""
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
    return _table(("Place", "position", "percentile", "cosine", "places"), rows)


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
    body = _sheet("picture", "At a glance", _drawing(found.plot(limit=limit)))
    body += _sheet("numbers", "All concepts", _table(head, [_compared_row(one) for one in found.concepts]))
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
        body=body,
        card=found.card,
        notes=(*notes, *_marks(found.concepts)),
        style=_STYLE,
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


def _drawing(drawn: Picture) -> str:
    return f'<figure class="drawing" tabindex="0">{drawn.svg}</figure>'


def _sheet(id: str, title: str, content: str) -> str:
    return f'<section class="sheet" aria-labelledby="{id}"><h2 id="{id}">{title}</h2>{content}</section>\n'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_text(first)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    table = f'<table class="numbers"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _text(text: str) -> str:
    return escape(printable(text))
