"""The picture of a concept map: cells by percentile, and the open reference in the same cells below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from whyhere.atlas._statistics import percentiles
from whyhere.picture import Picture
from whyhere.prediction import UNCONFIRMED
from whyhere.report import (
    SCALE,
    WORLD_WIDTH,
    CellLayer,
    Frame,
    Item,
    Label,
    boundaries,
    map_panel,
    moved,
    panel_height,
    picture,
)

if TYPE_CHECKING:
    from whyhere.atlas._map import ConceptMap
    from whyhere.atlas._reference import MapReference

_FOOT = 20.0
_BETWEEN = 24.0
_AGREEMENT = 20.0  # height of the line on how map and reference agree
_FOOTNOTE = "Grey: no place of the gallery, or nothing known there. Map: Natural Earth."


def map_picture(found: ConceptMap) -> Picture:
    """Draw a concept map; without cells only the ground."""
    items, height, title = _map_items(found)
    words = f"Map of {len(found.cells)} cells, coloured by how much of {found.name} their places have."
    return picture(items, width=WORLD_WIDTH, height=height, title=f"whyhere: {title}", words=words)


def side_by_side(maps: Sequence[ConceptMap]) -> Picture:
    """Draw several maps in rows of two, each with its open reference where it has one."""
    items: list[Item] = []
    titles: list[str] = []
    top = height = 0.0
    for number, found in enumerate(maps):
        right = number % 2
        if not right:
            top, height = top + height, 0.0
        drawn, own_height, title = _map_items(found)
        items += moved(drawn, right * (WORLD_WIDTH + _BETWEEN), top)
        height = max(height, own_height + _BETWEEN)
        titles.append(title)
    width = WORLD_WIDTH if len(maps) == 1 else 2 * WORLD_WIDTH + _BETWEEN
    words = f"{len(maps)} maps, coloured by how much of each their places have."
    title = f"whyhere: {', '.join(titles)}"
    return picture(items, width=width, height=top + height, title=title, words=words)


def _map_items(found: ConceptMap) -> tuple[list[Item], float, str]:
    """Return what a map is drawn of, its height, and its title."""
    names = [cell.cell for cell in found.cells]
    frame = Frame()
    if found.region is not None and found.cells:
        frame = Frame.around(
            np.array([cell.lat for cell in found.cells]), np.array([cell.lon for cell in found.cells])
        )
    rings = boundaries(names)
    classes = _tenths(np.array([cell.percentile for cell in found.cells]))
    where = f" in {found.region}" if found.region else ""
    title = f"{found.shown_as}{where}"
    legend = [(colour, "") for colour in SCALE]
    legend[-1] = (SCALE[-1], "low to high: tenths of the world's cells")
    layer = CellLayer(names, classes, rings=rings)
    items: list[Item] = map_panel(
        layer, frame, caption=f"{title}: by the embeddings of places ({found.release})", legend=legend
    )
    height = panel_height()
    if found.reference is not None:
        items += moved(_reference_panel(found, found.reference, frame, rings), 0.0, height)
        height += panel_height()
        items.append(Label(6.0, height + 8.0, _capital(found.reference.agreement_text), 13.0, bold=True))
        height += _AGREEMENT
    if found.unconfirmed:
        items.append(Label(6.0, height + 12.0, UNCONFIRMED, 11.0, colour="#566068"))
        height += _FOOT - 4.0
    items.append(Label(6.0, height + 12.0, _FOOTNOTE, 11.0, colour="#566068"))
    return items, height + _FOOT, title


def _reference_panel(
    found: ConceptMap, reference: MapReference, frame: Frame, rings: tuple[np.ndarray, ...]
) -> list[Item]:
    values = np.array([np.nan if cell.reference is None else cell.reference for cell in found.cells])
    known = np.flatnonzero(~np.isnan(values))
    names = [found.cells[row].cell for row in known]
    legend = [(colour, "") for colour in SCALE]
    if reference.kind == "binary":
        classes = np.where(values[known] > 0.5, len(SCALE) - 2, 1)
        legend = [(SCALE[1], "no"), (SCALE[-2], "yes")]
    else:
        sign = 1.0 if reference.higher_means_more else -1.0
        classes = _tenths(percentiles(sign * values[known]))
        order = "low to high" if reference.higher_means_more else "high to low"
        legend[-1] = (SCALE[-1], f"{order}: tenths of these cells")
    layer = CellLayer(names, classes, rings=tuple(rings[row] for row in known))
    return map_panel(layer, frame, caption=f"Open reference: {reference.name}", legend=legend)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tenths(shares: np.ndarray) -> np.ndarray:
    """Return which tenth each percentile lies in, 0 to 9."""
    return np.clip((shares / 10).astype(np.int64), 0, len(SCALE) - 1)
