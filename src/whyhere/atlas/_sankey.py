"""Flows from concepts to the two sides of a comparison, after arXiv 2509.01910, Fig. 4.

The paper's flows are shares of activation over photos. Here they are shares of the mean percentile of the
places: how high the cells of a side rank among those of the world, which is never negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whyhere.picture import Picture
from whyhere.report import Item, Label, Shape, picture, rectangle

if TYPE_CHECKING:
    from whyhere.atlas._compare import ComparedConcept, Comparison

_WIDTH, _TOP, _BAR = 900.0, 74.0, 14.0
_LEFT, _RIGHT = 250.0, 700.0
_PER_POINT = 0.24  # height of a percentile of 1
_GAP = 9.0
_A, _B, _SOFT = "#0072b2", "#d55e00", "#566068"  # blue and vermilion of Okabe and Ito, for colour-blind eyes
_STEPS = 40


def sankey(found: Comparison, *, limit: int) -> Picture:
    """Draw a comparison.

    Args:
        found: The comparison.
        limit: Concepts of each side at most.
    """
    shown = [*found.more_in_a(limit), *found.more_in_b(limit)[::-1]]
    heights = [_height(concept) for concept in shown]
    left_height = sum(heights) + _GAP * max(len(shown) - 1, 0)
    totals = [
        sum(c.percentile_a for c in shown) * _PER_POINT,
        sum(c.percentile_b for c in shown) * _PER_POINT,
    ]
    between = max(left_height - sum(totals), 40.0)
    starts = [_TOP, _TOP + totals[0] + between]
    items: list[Item] = _captions(found)
    y = _TOP
    for concept in shown:
        parts = (concept.percentile_a * _PER_POINT, concept.percentile_b * _PER_POINT)
        items.append(rectangle(_LEFT, y, _BAR, max(sum(parts), 1.0), _SOFT))
        items += _words(concept, y + sum(parts) / 2)
        offset = y
        for side, (part, colour) in enumerate(zip(parts, (_A, _B), strict=True)):
            items.append(
                Shape(
                    [_flow(offset, starts[side], part)],
                    fill=colour,
                    opacity=0.75 if _more(concept, side) else 0.3,
                )
            )
            offset += part
            starts[side] += part
        y += sum(parts) + _GAP
    top = _TOP
    for named, total, colour in zip((found.a, found.b), totals, (_A, _B), strict=True):
        items.append(rectangle(_RIGHT, top, _BAR, max(total, 1.0), colour))
        items.append(
            Label(_RIGHT + _BAR + 8, top + total / 2 + 5, named.name, 16.0, colour=colour, bold=True)
        )
        top += total + between
    height = max(y, top - between) + 54.0
    for below, line in zip((26.0, 12.0), _FOOT, strict=True):
        items.append(Label(10.0, height - below, line, 11.0, colour=_SOFT))
    title = f"{found.a.name} and {found.b.name}, told apart by concepts"
    words = (
        f"Flows from {len(shown)} concepts to {found.a.name} and {found.b.name}; the table has the numbers."
    )
    return picture(items, width=_WIDTH, height=height, title=f"whyhere: {title}", words=words)


_FOOT = (
    "Width of a flow: mean percentile of the side's cells among those of the world.",
    "In brackets: how often a cell of the side in colour ranks above one of the other (AUROC).",
)


def _captions(found: Comparison) -> list[Item]:
    heading = f"{found.a.name} or {found.b.name}? Concepts that tell them apart"
    a, b = found.a, found.b
    below = (
        f"{found.release}, from embeddings of places: {a.points:,} in {a.cells:,} cells against "
        f"{b.points:,} in {b.cells:,}"
    )
    return [Label(10.0, 26.0, heading, 18.0, bold=True), Label(10.0, 46.0, below, 12.0, colour=_SOFT)]


def _words(concept: ComparedConcept, y: float) -> list[Item]:
    share = concept.auroc if concept.effect > 0 else 1 - concept.auroc
    text = f"{concept.name} ({share:.2f})"
    return [Label(_LEFT - 8, y + 4.5, text, 13.0, "end", _A if concept.effect > 0 else _B)]


def _more(concept: ComparedConcept, side: int) -> bool:
    return (concept.effect > 0) == (side == 0)


def _height(concept: ComparedConcept) -> float:
    return (concept.percentile_a + concept.percentile_b) * _PER_POINT


def _flow(left: float, right: float, thickness: float) -> NDArray[np.float64]:
    """Return the outline of a band that leaves and arrives level."""
    t = np.linspace(0.0, 1.0, _STEPS)
    ease = t * t * (3 - 2 * t)
    x = _LEFT + _BAR + t * (_RIGHT - _LEFT - _BAR)
    upper = left + ease * (right - left)
    lower = upper + max(thickness, 0.6)
    return np.vstack((np.column_stack((x, upper)), np.column_stack((x, lower))[::-1]))
