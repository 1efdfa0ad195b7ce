"""What lines 2 and 4 say about each concept together: whether its name may be believed."""

from __future__ import annotations

from collections.abc import Sequence

from whyhere.concepts import ConceptLabel
from whyhere.evaluation.faithfulness._scorecard import Cell, Line, Table

SAYINGS = ("confirmed", "undecided", "contradicted", "untested")
_CHANCE = 0.5  # AUROC of a map that knows nothing


def evidence(labels: Sequence[ConceptLabel], lines: Sequence[Line]) -> tuple[Table, ...]:
    """Join the tables of lines 2 and 4.

    A concept is "confirmed" where every test of it lies clearly on the right side (intervention beyond the
    control, whole interval above 0; AUROC with the whole interval above one half), "contradicted" where one
    lies clearly on the wrong side, "undecided" otherwise, and "untested" without an open reference or with
    too few photos.

    Args:
        labels: The concepts.
        lines: Lines that were run.

    Returns:
        A row a concept (`evidence.csv`), and a summary; nothing where neither line was run.
    """
    by_line = {line.number: _rows(line) for line in lines if line.number in (2, 4) and line.tables}
    if not by_line:
        return ()
    rows: list[tuple[Cell, ...]] = []
    names: dict[str, list[str]] = {saying: [] for saying in SAYINGS}
    for label in labels:
        moved = by_line.get(2, {}).get(label.name, {})
        mapped = by_line.get(4, {}).get(label.name, {})
        said = _said(moved, mapped)
        names[said].append(label.name)
        effects = (moved.get("photos"), moved.get("difference"), moved.get("low"), moved.get("high"))
        rows.append(
            (label.id, label.name, said, *effects, mapped.get("AUROC"), mapped.get("low"), mapped.get("high"))
        )
    columns = (
        "id", "concept", "evidence", "photos", "intervention", "intervention low", "intervention high",
        "AUROC", "AUROC low", "AUROC high",
    )  # fmt: skip
    summary = tuple((said, len(members), ", ".join(members)) for said, members in names.items())
    return (
        Table("evidence", "Evidence for every concept", columns, tuple(rows), in_report=False),
        Table(
            "evidence-summary",
            "What intervention and maps say about the concepts",
            ("evidence", "concepts", "which"),
            summary,
        ),
    )


def _rows(line: Line) -> dict[str, dict[str, Cell]]:
    """Return the rows of a line's table of concepts by concept."""
    table = line.table("concepts")
    return {str(row[0]): dict(zip(table.columns, row, strict=True)) for row in table.rows}


def _said(moved: dict[str, Cell], mapped: dict[str, Cell]) -> str:
    tests = [(row["low"], row["high"], chance) for row, chance in ((moved, 0.0), (mapped, _CHANCE)) if row]
    if not tests:
        return "untested"
    if any(isinstance(high, float) and high < chance for _, high, chance in tests):
        return "contradicted"
    sure = all(isinstance(low, float) and low > chance for low, _, chance in tests)
    return "confirmed" if sure else "undecided"
