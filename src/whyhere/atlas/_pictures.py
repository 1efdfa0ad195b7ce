"""Profiles, maps and comparisons as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.atlas._results import (
    ComparedConcept,
    Comparison,
    ConceptMap,
    MapReference,
    PlaceConcept,
    PlaceProfile,
)
from whyhere.picture import Picture
from whyhere.prediction import UNCONFIRMED
from whyhere.report import (
    INK,
    SCALE,
    SOFT,
    WORLD_WIDTH,
    CellLayer,
    Frame,
    Item,
    Label,
    Shape,
    boundaries,
    coordinates,
    line,
    map_panel,
    moved,
    panel_height,
    picture,
    rectangle,
)
from whyhere.stats import percentiles

_TRACK = "#e9e5dc"
_MORE, _LESS = "#0072b2", "#d55e00"  # blue and vermilion of Okabe and Ito, for colour-blind eyes


def draw(found: Record, *, limit: int = 8) -> Picture:
    """Draw a profile, a map, or a comparison with at most `limit` concepts of each side."""
    if isinstance(found, PlaceProfile):
        return _place_picture(found)
    if isinstance(found, ConceptMap):
        return _map_picture(found)
    assert isinstance(found, Comparison)
    return _sankey(found, limit=limit)


# ------------------------------------------------------------------------------------------ maps

_FOOT = 20.0
_BETWEEN = 24.0
_AGREEMENT = 20.0  # height of the line on how map and reference agree
_FOOTNOTE = "Grey: no place of the gallery, or nothing known there. Map: Natural Earth."


def _map_picture(found: ConceptMap) -> Picture:
    """Draw a concept map, the open reference below it where there is one; without cells only the ground."""
    items, height = _map_items(found)
    words = f"Map of {len(found.cells)} cells, coloured by how much of {found.name} their places have."
    return picture(items, width=WORLD_WIDTH, height=height, title=f"whyhere: {found.title}", words=words)


def side_by_side(maps: Sequence[ConceptMap]) -> Picture:
    """Draw several maps in rows of two, each with its open reference where it has one."""
    items: list[Item] = []
    top = height = 0.0
    for number, found in enumerate(maps):
        right = number % 2
        if not right:
            top, height = top + height, 0.0
        drawn, own_height = _map_items(found)
        items += moved(drawn, right * (WORLD_WIDTH + _BETWEEN), top)
        height = max(height, own_height + _BETWEEN)
    width = WORLD_WIDTH if len(maps) == 1 else 2 * WORLD_WIDTH + _BETWEEN
    words = f"{len(maps)} maps, coloured by how much of each their places have."
    title = f"whyhere: {', '.join(found.title for found in maps)}"
    return picture(items, width=width, height=top + height, title=title, words=words)


def _map_items(found: ConceptMap) -> tuple[list[Item], float]:
    """Return what a map is drawn of, and its height."""
    cells = found.cells
    frame = Frame()
    if found.region is not None and cells:
        frame = Frame.around(np.array([cell.lat for cell in cells]), np.array([cell.lon for cell in cells]))
    names = [cell.cell for cell in cells]
    rings = boundaries(names)
    layer = CellLayer(names, _tenths(np.array([cell.percentile for cell in cells])), rings=rings)
    caption = f"{found.title}: by the embeddings of places ({found.release})"
    legend = [*_unnamed(SCALE[:-1]), (SCALE[-1], "low to high: tenths of the world's cells")]
    items: list[Item] = map_panel(layer, frame, caption=caption, legend=legend)
    height = panel_height()
    if found.reference is not None:
        items += moved(_reference_panel(found, found.reference, frame, rings), 0.0, height)
        height += panel_height()
        agreement = found.reference.agreement_text
        items.append(Label(6.0, height + 8.0, agreement[:1].upper() + agreement[1:], 13.0, bold=True))
        height += _AGREEMENT
    if found.unconfirmed:
        items.append(Label(6.0, height + 12.0, UNCONFIRMED, 11.0, colour=SOFT))
        height += _FOOT - 4.0
    items.append(Label(6.0, height + 12.0, _FOOTNOTE, 11.0, colour=SOFT))
    return items, height + _FOOT


def _reference_panel(
    found: ConceptMap, reference: MapReference, frame: Frame, rings: tuple[NDArray[np.float64], ...]
) -> list[Item]:
    values = np.array([np.nan if cell.reference is None else cell.reference for cell in found.cells])
    known = np.flatnonzero(~np.isnan(values))
    if reference.kind == "binary":
        classes = np.where(values[known] > 0.5, len(SCALE) - 2, 1)
        legend = [(SCALE[1], "no"), (SCALE[-2], "yes")]
    else:
        sign = 1.0 if reference.higher_means_more else -1.0
        classes = _tenths(percentiles(sign * values[known]))
        order = "low to high" if reference.higher_means_more else "high to low"
        legend = [*_unnamed(SCALE[:-1]), (SCALE[-1], f"{order}: tenths of these cells")]
    layer = CellLayer(
        [found.cells[row].cell for row in known], classes, rings=tuple(rings[row] for row in known)
    )
    return map_panel(layer, frame, caption=f"Open reference: {reference.name}", legend=legend)


def _unnamed(colours: Sequence[str]) -> list[tuple[str, str]]:
    return [(colour, "") for colour in colours]


def _tenths(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which tenth each percentile lies in, 0 to 9."""
    return np.clip((shares / 10).astype(np.int64), 0, len(SCALE) - 1)


# -------------------------------------------------------------------------------------- profiles

_LISTED = 8
_ROW, _NAME, _LENGTH = 21.0, 170.0, 230.0


def _place_picture(found: PlaceProfile) -> Picture:
    """Draw a profile: what stands out as bars, and the similar places on a map of the world."""
    where = str(found.place)
    items: list[Item] = [
        Label(6.0, 24.0, where, 19.0, bold=True),
        Label(6.0, 44.0, f"{coordinates(found.lat, found.lon)} ({found.release})", 12.0, colour=SOFT),
    ]
    items += moved(_bars("More than elsewhere on Earth", found.highest(_LISTED), _MORE), 6.0, 60.0)
    lowest = _bars("Less than elsewhere on Earth", found.lowest(_LISTED), _LESS)
    items += moved(lowest, 6.0 + WORLD_WIDTH / 2, 60.0)
    height = 60.0 + (_LISTED + 1) * _ROW + 14.0
    beside = f"; the mark: percentile in its region ({found.region})" if found.region else ""
    items.append(Label(6.0, height, f"Bars: percentile in the world{beside}", 11.0, colour=SOFT))
    height += 12.0
    pins = [(str(rank), place.lat, place.lon) for rank, place in enumerate(found.similar, start=1)]
    marks = [*reversed(pins), ("", found.lat, found.lon)]
    caption = "Similar places elsewhere" if found.similar else "Where it is"
    items += moved(map_panel(CellLayer(), Frame(), caption=caption, pins=marks), 0.0, height)
    height += panel_height(legend=False) + 12.0
    for rank, place in enumerate(found.similar, start=1):
        said = f"{rank}  {place.place} ({place.similarity:.2f}): {', '.join(place.shared)}"
        items.append(Label(6.0, height, said, 12.0))
        height += 17.0
    words = "What stands out: " + ", ".join(concept.name for concept in found.highest(_LISTED))
    return picture(items, width=WORLD_WIDTH, height=height, title=f"whyhere: {where}", words=words)


def _bars(title: str, concepts: Sequence[PlaceConcept], colour: str) -> list[Item]:
    items: list[Item] = [Label(0.0, 13.0, title, 13.0, bold=True)]
    for row, concept in enumerate(concepts, start=1):
        y, share = row * _ROW, concept.world_percentile
        items += [
            Label(0.0, y + 13.0, concept.name, 12.5, colour=INK),
            rectangle(_NAME, y + 4.0, _LENGTH, 11.0, _TRACK),
            rectangle(_NAME, y + 4.0, max(_LENGTH * share / 100, 1.5), 11.0, colour),
        ]
        if concept.region_percentile is not None:
            x = _NAME + _LENGTH * concept.region_percentile / 100
            items.append(line((x, y + 1.0), (x, y + 18.0), colour=INK, width=2.0))
        items.append(Label(_NAME + _LENGTH + 8.0, y + 13.5, f"{share:.0f}", 12.0, colour=SOFT))
    return items


# ----------------------------------------------------------------------------------- comparisons

_WIDTH, _TOP, _BAR = 900.0, 74.0, 14.0
_LEFT, _RIGHT = 250.0, 700.0
_PER_POINT = 0.24  # height of a percentile of 1
_GAP = 9.0
_STEPS = 40
_FEET = (  # above the lower edge
    (26.0, "Width of a flow: mean percentile of the side's cells among those of the world."),
    (12.0, "In brackets: how often a cell of the side in colour ranks above one of the other (AUROC)."),
)


def _sankey(found: Comparison, *, limit: int) -> Picture:
    """Draw flows from concepts to the two sides of a comparison, after arXiv 2509.01910, Fig. 4.

    The paper's flows are shares of activation over photos. Here they are shares of the mean percentile of the
    places: how high the cells of a side rank among those of the world, which is never negative.

    Args:
        found: The comparison.
        limit: Concepts of each side at most.
    """
    a, b = found.a, found.b
    shown = [*found.more_in_a(limit), *found.more_in_b(limit)[::-1]]
    heights = [_heights(concept) for concept in shown]
    left_height = sum(map(sum, heights)) + _GAP * max(len(shown) - 1, 0)
    totals = [sum(pair[side] for pair in heights) for side in (0, 1)]
    between = max(left_height - sum(totals), 40.0)
    starts = [_TOP, _TOP + totals[0] + between]
    below = (
        f"{found.release}, from embeddings of places: {a.points:,} in {a.cells:,} cells against "
        f"{b.points:,} in {b.cells:,}"
    )
    items: list[Item] = [
        Label(10.0, 26.0, f"{a.name} or {b.name}? Concepts that tell them apart", 18.0, bold=True),
        Label(10.0, 46.0, below, 12.0, colour=SOFT),
    ]
    y = _TOP
    for concept, parts in zip(shown, heights, strict=True):
        height, more = sum(parts), 0 if concept.effect > 0 else 1
        share = 1 - concept.auroc if more else concept.auroc
        items.append(rectangle(_LEFT, y, _BAR, max(height, 1.0), SOFT))
        text = f"{concept.name} ({share:.2f})"
        items.append(Label(_LEFT - 8, y + height / 2 + 4.5, text, 13.0, "end", (_MORE, _LESS)[more]))
        offset = y
        for side, (part, colour) in enumerate(zip(parts, (_MORE, _LESS), strict=True)):
            opacity = 0.75 if side == more else 0.3
            items.append(Shape([_flow(offset, starts[side], part)], fill=colour, opacity=opacity))
            offset += part
            starts[side] += part
        y += height + _GAP
    top = _TOP
    for named, total, colour in zip((a, b), totals, (_MORE, _LESS), strict=True):
        items.append(rectangle(_RIGHT, top, _BAR, max(total, 1.0), colour))
        middle = top + total / 2 + 5
        items.append(Label(_RIGHT + _BAR + 8, middle, named.name, 16.0, colour=colour, bold=True))
        top += total + between
    height = max(y, top - between) + 54.0
    items += [Label(10.0, height - up, said, 11.0, colour=SOFT) for up, said in _FEET]
    title = f"whyhere: {a.name} and {b.name}, told apart by concepts"
    words = f"Flows from {len(shown)} concepts to {a.name} and {b.name}; the table has the numbers."
    return picture(items, width=_WIDTH, height=height, title=title, words=words)


def _heights(concept: ComparedConcept) -> tuple[float, float]:
    return concept.percentile_a * _PER_POINT, concept.percentile_b * _PER_POINT


def _flow(left: float, right: float, thickness: float) -> NDArray[np.float64]:
    """Return the outline of a band that leaves and arrives level."""
    t = np.linspace(0.0, 1.0, _STEPS)
    x = _LEFT + _BAR + t * (_RIGHT - _LEFT - _BAR)
    upper = left + t * t * (3 - 2 * t) * (right - left)
    lower = upper + max(thickness, 0.6)
    return np.vstack((np.column_stack((x, upper)), np.column_stack((x, lower))[::-1]))
