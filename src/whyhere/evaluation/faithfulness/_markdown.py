"""A scorecard as Markdown: what it found first, then every line with its control."""

from __future__ import annotations

import math
from collections.abc import Iterator

from whyhere._text import markdown_cell
from whyhere.evaluation.faithfulness._scorecard import Cell, Figure, Line, Scorecard, Table
from whyhere.stats import Interval

_MARKS = {"passes": "passes", "fails": "**fails**", "undecided": "undecided", "not run": "not run"}
_DIGITS = {"%": 1, "km": 0, "points": 0, "million km2": 2, "R2": 3, "AUROC": 3, "rho": 3, "": 4}
_WIDE = 1000.0  # from here on numbers get a thousands separator


def markdown(scorecard: Scorecard, *, plots: tuple[str, ...] = ()) -> str:
    """Write a scorecard.

    Args:
        scorecard: The scorecard.
        plots: Names of the SVG files beside it; those of each line are shown with it.

    Returns:
        Markdown that ends with a newline.
    """
    return "".join(_pieces(scorecard, plots))


def _pieces(scorecard: Scorecard, plots: tuple[str, ...]) -> Iterator[str]:
    yield f"# Faithfulness of {markdown_cell(scorecard.release)}\n\n"
    if scorecard.warning:
        yield f"> **{scorecard.warning}**\n\n"
    data = markdown_cell(scorecard.data)
    where = f"{scorecard.photos} photos of {data}; " if scorecard.photos else "no photos; "
    yield (
        f"{scorecard.date}; {where}{scorecard.protocol}; {scorecard.concepts} concepts, alignment of kind "
        f"{scorecard.kind}, {scorecard.dims} features; seed {scorecard.seed}, {scorecard.draws} draws; "
        f"{scorecard.seconds:.0f} s. Intervals are 95 %, by resampling photos (line 4: blocks of the Earth "
        "for a concept, concepts for a median). What the lines mean: docs/faithfulness.md.\n\n"
    )
    yield "| line | | verdict | in short |\n|---|---|---|---|\n"
    for line in scorecard.lines:
        yield f"| {line.number} | {line.title} | {_MARKS[line.verdict]} | {markdown_cell(line.reason)} |\n"
    for line in scorecard.lines:
        yield from _line(line, tuple(name for name in plots if name.startswith(f"line-{line.number}-")))
    if scorecard.exhibits:
        yield "\n## Exhibits\n"
        for table in scorecard.exhibits:
            yield from _table(table)
    pictures = [name for name in plots if not name.startswith("line-")]
    if pictures:
        yield "\n## Pictures of the embeddings\n\n"
        yield "".join(f"![{name.removesuffix('.svg')}]({name})\n" for name in pictures)


def _line(line: Line, plots: tuple[str, ...]) -> Iterator[str]:
    yield f"\n## {line.number}. {line.title}: {line.verdict}\n\n{line.question}\n\n"
    yield f"{markdown_cell(line.reason)}\n"
    if line.rule:
        yield f"\n*Rule.* {line.rule}\n"
    if line.figures:
        yield "\n| measured | value | control | difference |\n|---|---|---|---|\n"
        for figure in line.figures:
            yield _figure(figure)
        controls = dict.fromkeys(figure.control_name for figure in line.figures if figure.control_name)
        if controls:
            yield f"\nControl: {'; '.join(controls)}.\n"
    for table in line.tables:
        yield from _table(table)
    if line.notes:
        yield "\n"
        yield "".join(f"- {markdown_cell(note)}\n" for note in line.notes)
    for name in plots:
        yield f"\n![{line.title}]({name})\n"


def _figure(figure: Figure) -> str:
    unit = f", {figure.unit}" if figure.unit else ""
    columns = (figure.value, figure.control, figure.difference)
    shown = " | ".join(
        show(one, figure.unit, signed=place == 2) if one is not None else ""
        for place, one in enumerate(columns)
    )
    return f"| {markdown_cell(figure.name)}{unit} | {shown} |\n"


def _table(table: Table) -> Iterator[str]:
    if not table.in_report:
        yield f"\n{table.title}: `{table.id}.csv`.\n"
        return
    if not table.rows:
        return
    yield f"\n**{table.title}**\n\n"
    yield f"| {' | '.join(map(markdown_cell, table.columns))} |\n{'|---' * len(table.columns)}|\n"
    for row in table.rows:
        yield "| " + " | ".join(_written(one) for one in row) + " |\n"


def show(interval: Interval, unit: str, *, signed: bool = False) -> str:
    """Write a figure with its interval."""
    digits = _DIGITS.get(unit, 3)

    def one(number: float) -> str:
        if not math.isfinite(number):
            return "?"
        comma = "," if abs(number) >= _WIDE else ""
        return f"{number:{'+' if signed else ''}{comma}.{digits}f}"

    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return one(interval.value)
    return f"{one(interval.value)} ({one(interval.low)} to {one(interval.high)})"


def _written(one: Cell) -> str:
    if one is None:
        return ""
    if isinstance(one, float):
        if not math.isfinite(one):
            return ""
        size = abs(one)
        return (
            f"{one:,.0f}"
            if size >= 100
            else f"{one:.1f}"
            if size >= 10
            else f"{one:.3g}"
            if size >= 1
            else f"{one:.4f}"
        )
    return markdown_cell(str(one))
