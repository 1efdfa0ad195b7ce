"""The picture of a place: what stands out as bars, and the similar places on a map of the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from whyhere.picture import Picture
from whyhere.report import (
    WORLD_WIDTH,
    CellLayer,
    Frame,
    Item,
    Label,
    Shape,
    coordinates,
    map_panel,
    moved,
    panel_height,
    picture,
    rectangle,
)

if TYPE_CHECKING:
    from whyhere.atlas._place import PlaceConcept, PlaceProfile

LISTED = 8
_MORE, _LESS, _TRACK, _SOFT, _INK = "#0072b2", "#d55e00", "#e9e5dc", "#566068", "#222222"
_ROW, _NAME, _BAR = 21.0, 170.0, 230.0


def place_picture(found: PlaceProfile) -> Picture:
    """Draw a profile."""
    where = str(found.place)
    items: list[Item] = [
        Label(6.0, 24.0, where, 19.0, bold=True),
        Label(6.0, 44.0, f"{coordinates(found.lat, found.lon)} ({found.release})", 12.0, colour=_SOFT),
    ]
    rows = LISTED
    items += moved(_bars("More than elsewhere on Earth", found.highest(rows), _MORE), 6.0, 60.0)
    items += moved(
        _bars("Less than elsewhere on Earth", found.lowest(rows), _LESS), 6.0 + WORLD_WIDTH / 2, 60.0
    )
    height = 60.0 + (rows + 1) * _ROW + 14.0
    beside = f"; the mark: percentile in its region ({found.region})" if found.region else ""
    items.append(Label(6.0, height, f"Bars: percentile in the world{beside}", 11.0, colour=_SOFT))
    height += 12.0
    pins = [(str(rank), place.lat, place.lon) for rank, place in enumerate(found.similar, start=1)]
    marks = [*reversed(pins), ("", found.lat, found.lon)]
    empty = CellLayer()
    caption = "Similar places elsewhere" if found.similar else "Where it is"
    items += moved(map_panel(empty, Frame(), caption=caption, pins=marks), 0.0, height)
    height += panel_height(legend=False) + 12.0
    for rank, place in enumerate(found.similar, start=1):
        line = f"{rank}  {place.place} ({place.similarity:.2f}): {', '.join(place.shared)}"
        items.append(Label(6.0, height, line, 12.0))
        height += 17.0
    words = "What stands out: " + ", ".join(concept.name for concept in found.highest(rows))
    return picture(items, width=WORLD_WIDTH, height=height, title=f"whyhere: {where}", words=words)


def _bars(title: str, concepts: Sequence[PlaceConcept], colour: str) -> list[Item]:
    items: list[Item] = [Label(0.0, 13.0, title, 13.0, bold=True)]
    for row, concept in enumerate(concepts, start=1):
        y = row * _ROW
        items.append(Label(0.0, y + 13.0, concept.name, 12.5, colour=_INK))
        items.append(rectangle(_NAME, y + 4.0, _BAR, 11.0, _TRACK))
        items.append(rectangle(_NAME, y + 4.0, max(_BAR * concept.world_percentile / 100, 1.5), 11.0, colour))
        if concept.region_percentile is not None:
            x = _NAME + _BAR * concept.region_percentile / 100
            items.append(
                Shape([np.array([(x, y + 1.0), (x, y + 18.0)])], stroke=_INK, width=2.0, closed=False)
            )
        items.append(
            Label(_NAME + _BAR + 8.0, y + 13.5, f"{concept.world_percentile:.0f}", 12.0, colour=_SOFT)
        )
    return items
