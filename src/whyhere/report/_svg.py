"""Compact path data: whole numbers in tenths of a map unit, relative to the point before."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PATH_SCALE = 10
"""Path data count tenths of a unit; draw them inside `<g transform="scale(.1)">`."""


def path_data(lines: Iterable[NDArray[np.float64]], *, closed: bool = True) -> str:
    """Return the `d` attribute for rings or open lines.

    Args:
        lines: Each of shape [n, 2]: x to the right, y downwards, in map units.
        closed: Whether each line returns to its start.

    Returns:
        Path data; empty where nothing is left after rounding.
    """
    parts = []
    for line in lines:
        points = np.round(line * PATH_SCALE).astype(np.int64)
        moves = np.diff(points, axis=0)
        moves = moves[np.any(moves != 0, axis=1)]
        if len(moves) == 0:
            continue
        x, y = points[0].tolist()
        numbers = " ".join(map(str, moves.ravel().tolist())).replace(" -", "-")
        parts.append(f"M{x} {y}l{numbers}{'z' if closed else ''}")
    return "".join(parts)


def number(value: float) -> str:
    """Return a coordinate with at most one decimal: 3, 4.5."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")
