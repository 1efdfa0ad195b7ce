"""The plots of a scorecard: one a line, two of the concepts, and the pictures of embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from whyhere.evaluation.faithfulness._maps_line import BAR
from whyhere.evaluation.faithfulness._pictures import Embeddings
from whyhere.evaluation.faithfulness._scorecard import Line, Scorecard, Table
from whyhere.evaluation.faithfulness._study import Doubles
from whyhere.evaluation.faithfulness._svg import (
    BLUE,
    GREY,
    PALETTE,
    Bar,
    curves,
    document,
    intervals,
    legend,
    text,
)
from whyhere.stats import Interval

_LABELLED = 30  # concept names in a joint picture; more would hide each other
_SIDE, _TOP, _MARGIN = 560, 56, 24


def plots(scorecard: Scorecard, pictures: Sequence[Embeddings] = ()) -> dict[str, str]:
    """Draw a scorecard.

    Args:
        scorecard: The scorecard.
        pictures: Embeddings on two axes, as `embeddings` gives them.

    Returns:
        SVG text by file name.
    """
    drawn: dict[str, str] = {}
    for line in scorecard.lines:
        if line.verdict != "not run":
            drawn |= _line(line)
    for picture in pictures:
        drawn |= _pictures(picture)
    return drawn


def _line(line: Line) -> dict[str, str]:
    stem = f"line-{line.number}"
    if line.number == 1:
        return {f"{stem}-curve.svg": _curve(line.table("curve"))}
    if line.number == 2:
        table = line.table("concepts")
        return {
            f"{stem}-concepts.svg": _concepts(
                table, "difference", "Removing a concept: effect beyond the control", mark=0.0
            )
        }
    if line.number == 4:
        title = "Concept maps against open references: AUROC"
        return {f"{stem}-concepts.svg": _concepts(line.table("concepts"), "AUROC", title, mark=BAR)}
    if line.number == 7:
        return {
            f"{stem}-reliability.svg": _reliability(line.table("reliability")),
            f"{stem}-risk.svg": _risk(line.table("risk")),
        }
    by_unit: dict[str, list[Bar]] = {}
    for figure in line.figures:
        by_unit.setdefault(figure.unit, []).append(Bar(figure.name, figure.value, figure.control))
    names = {"%": "percent", "": "effect"}
    return {
        f"{stem}-{names.get(unit, unit.lower())}.svg": intervals(
            f"{line.title}: {unit or 'effect'}",
            bars,
            label=unit or "effect",
            mark=0.0 if unit in ("", "R2") else None,
        )
        for unit, bars in by_unit.items()
    }


def _curve(table: Table) -> str:
    ticks = [(float(place), str(step)) for place, step in enumerate(table.column("concepts kept"))]
    own = [(float(x), float(y)) for x, y in enumerate(table.column("GeoScore"))]
    lines = [("concepts", BLUE, own)]
    low, high = table.column("GeoScore low"), table.column("GeoScore high")
    bands = [(BLUE, [(float(x), float(a), float(b)) for x, (a, b) in enumerate(zip(low, high, strict=True))])]
    random = table.column("random GeoScore, mean")
    if None not in random:
        lines.append(
            ("random banks, with their range", GREY, [(float(x), float(y)) for x, y in enumerate(random)])
        )
        spread = zip(table.column("random, lowest draw"), table.column("random, highest draw"), strict=True)
        bands.append((GREY, [(float(x), float(a), float(b)) for x, (a, b) in enumerate(spread)]))
    return curves(
        "Accuracy from the strongest concepts alone",
        lines,
        x_label="concepts kept of each photo",
        y_label="mean GeoScore",
        x_ticks=ticks,
        bands=bands,
    )


def _concepts(table: Table, column: str, title: str, *, mark: float) -> str:
    values, low, high = table.column(column), table.column("low"), table.column("high")
    bars = [
        Bar(str(name), Interval(*(float("nan") if x is None else float(x) for x in numbers)))
        for name, *numbers in zip(table.column("concept"), values, low, high, strict=True)
    ]
    return intervals(title, bars, label=column, mark=mark)


def _reliability(table: Table) -> str:
    points = list(zip(table.column("mean claim, %"), table.column("right, %"), strict=True))
    own = [(float(x), float(y)) for x, y in points]
    top = max(5.0, *(max(x, y) for x, y in own))
    return curves(
        "Reliability of first answers",
        [("what is claimed", GREY, [(0.0, 0.0), (top, top)]), ("what is held", BLUE, own)],
        x_label="claimed probability, %",
        y_label="truth within the radius, %",
    )


def _risk(table: Table) -> str:
    points = list(zip(table.column("answered, %"), table.column("right, %"), strict=True))
    own = [(float(x), float(y)) for x, y in points]
    level = own[0][1]
    return curves(
        "Answering only the surest photos",
        [("all photos", GREY, [(min(x for x, _ in own), level), (100.0, level)]), ("the surest", BLUE, own)],
        x_label="photos answered, %",
        y_label="truth within the radius, %",
    )


def _pictures(picture: Embeddings) -> dict[str, str]:
    """Draw the images by continent, and images, places and concepts together."""
    stem, shares = picture.method.lower(), picture.explained
    names = sorted(set(picture.continents) - {""})
    colour = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(names)} | {"": GREY}
    title = f"Image embeddings, {picture.method}"
    if shares:
        title += f": two axes hold {100 * shares[0]:.0f} % of the variance"
    place = _Plane(picture.photos)
    dots = [
        _dot(*place.at(row), colour[name])
        for row, name in zip(picture.photos, picture.continents, strict=True)
    ]
    images = document(_SIDE, _SIDE + _TOP - _MARGIN, title, [*legend([(n, colour[n]) for n in names]), *dots])
    return {f"images-{stem}.svg": images, f"joint-{stem}.svg": _joint(picture)}


def _joint(picture: Embeddings) -> str:
    import numpy as np

    everything = np.concatenate((picture.joint_photos, picture.joint_places, picture.joint_concepts))
    plane = _Plane(everything)
    title = f"Photos, places and concepts in the location space, {picture.method}"
    if picture.explained:
        title += f": two axes hold {100 * picture.explained[1]:.0f} % of the variance"
    parts = legend((("photos", PALETTE[0]), ("their places", PALETTE[1]), ("concepts", PALETTE[2])))
    for photo, own in zip(picture.joint_photos, picture.joint_places, strict=True):
        (x, y), (u, v) = plane.at(photo), plane.at(own)
        parts.append(f'<path d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" stroke="#000" stroke-opacity=".12"/>')
    parts += [_dot(*plane.at(row), PALETTE[0]) for row in picture.joint_photos]
    parts += [_dot(*plane.at(row), PALETTE[1]) for row in picture.joint_places]
    spread = np.linalg.norm(picture.joint_concepts - np.median(picture.joint_concepts, axis=0), axis=1)
    labelled = set(np.argsort(-spread, kind="stable")[:_LABELLED].tolist())
    for number, row in enumerate(picture.joint_concepts):
        x, y = plane.at(row)
        parts.append(_dot(x, y, PALETTE[2]))
        if number in labelled:
            left = x < 0.8 * _SIDE
            anchor = "start" if left else "end"
            parts.append(text(x + (5 if left else -5), y, picture.concepts[number], size=9, anchor=anchor))
    return document(_SIDE, _SIDE + _TOP - _MARGIN, title, parts)


class _Plane:
    """From two coordinates to pixels, the same scale on both axes."""

    def __init__(self, rows: Doubles) -> None:
        self._low = rows.min(axis=0)
        self._span = max(float((rows.max(axis=0) - self._low).max()), 1e-12)

    def at(self, row: Doubles) -> tuple[float, float]:
        """Return x and y in pixels."""
        x, y = (row - self._low) / self._span
        inner = _SIDE - 2 * _MARGIN
        return _MARGIN + float(x) * inner, _TOP + float(1 - y) * inner


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}" fill-opacity=".75"/>'
