"""What the scorecard holds: frozen records that turn into plain dictionaries and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whyhere.stats import Interval

Verdict = Literal["passes", "fails", "undecided", "not run"]
Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside its control.

    Attributes:
        name: What is measured.
        unit: "%", "km", "R2", "AUROC", "rho", "points", "million km2" or "".
        value: The figure with its 95 % interval.
        control: The same of what explains nothing; None where there is no control.
        control_name: What the control is.
        difference: Value minus control, paired; its interval is not the difference of the two intervals.
    """

    name: str
    unit: str
    value: Interval
    control: Interval | None = None
    control_name: str = ""
    difference: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary; what is not finite becomes None."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": _interval_dict(self.value),
            "control": _interval_dict(self.control),
            "control_name": self.control_name,
            "difference": _interval_dict(self.difference),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Figure:
        """Return the figure that `to_dict` wrote."""
        value = _interval(fields["value"])
        assert value is not None
        return cls(
            fields["name"],
            fields["unit"],
            value,
            _interval(fields["control"]),
            fields["control_name"],
            _interval(fields["difference"]),
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Rows behind the figures: one a concept, a photo or a step of a curve.

    Attributes:
        id: Name in file names and JSON, such as "concepts".
        title: Title for people.
        columns: Heads of the columns.
        rows: As many cells each as there are columns.
        in_report: Whether the Markdown report shows it; long ones are in the JSON and CSV files only.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    in_report: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary; what is not finite becomes None."""
        return {
            "id": self.id,
            "title": self.title,
            "columns": list(self.columns),
            "rows": [[_finite(cell) for cell in row] for row in self.rows],
            "in_report": self.in_report,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Table:
        """Return the table that `to_dict` wrote; numbers that were not finite are None now."""
        rows = tuple(tuple(row) for row in fields["rows"])
        return cls(fields["id"], fields["title"], tuple(fields["columns"]), rows, fields["in_report"])

    def column(self, name: str) -> list[Any]:
        """Return the cells below a head."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the scorecard.

    Attributes:
        number: 1 to 7.
        title: Such as "Concept maps against open data".
        question: What it asks, in one sentence.
        verdict: "passes", "fails" or "undecided" by the rule in `rule`, or "not run".
        reason: The verdict in words and numbers.
        rule: What decides, fixed before any result was seen.
        figures: Measured numbers.
        tables: Rows behind them.
        notes: What a reader must know to read them rightly.
        seconds: Time it took.
    """

    number: int
    title: str
    question: str
    verdict: Verdict
    reason: str
    rule: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {
            "number": self.number,
            "title": self.title,
            "question": self.question,
            "verdict": self.verdict,
            "reason": self.reason,
            "rule": self.rule,
            "figures": [figure.to_dict() for figure in self.figures],
            "tables": [table.to_dict() for table in self.tables],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Line:
        """Return the line that `to_dict` wrote."""
        plain = ("number", "title", "question", "verdict", "reason", "rule", "seconds")
        return cls(
            **{name: fields[name] for name in plain},
            figures=tuple(Figure.from_dict(figure) for figure in fields["figures"]),
            tables=tuple(Table.from_dict(table) for table in fields["tables"]),
            notes=tuple(fields["notes"]),
        )

    def figure(self, name: str) -> Figure:
        """Return the figure of a name."""
        return next(figure for figure in self.figures if figure.name == name)

    def table(self, id: str) -> Table:
        """Return the table of an id."""
        return next(table for table in self.tables if table.id == id)


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Everything that one run found.

    Attributes:
        release: Name and version of the release.
        kind: Kind of its alignment.
        date: Day of the run, ISO 8601.
        data: Name of the table of photos; "" where there is none.
        photos: How many photos were used.
        concepts: k, named concepts.
        dims: Width of the image features.
        protocol: Which alignment answered which photo, in words.
        held_out: Whether no photo was answered by an alignment that has learned from it.
        trained_on: "these photos", "some of these photos", "none of these photos" or "not known": what the
            release itself has learned from.
        seed: Seed of all draws.
        draws: Random banks, permutations and derangements drawn.
        lines: The lines that were run, in order.
        exhibits: The paper's Table 3 and the concepts of every photo.
        seconds: Time of the whole run.
    """

    release: str
    kind: str
    date: str
    data: str
    photos: int
    concepts: int
    dims: int
    protocol: str
    held_out: bool
    trained_on: str
    seed: int
    draws: int
    lines: tuple[Line, ...]
    exhibits: tuple[Table, ...] = ()
    seconds: float = 0.0

    @property
    def warning(self) -> str:
        """What must be said loudly about lines 1, 2, 5 and 7; "" where nothing must."""
        if self.held_out or not self.photos or self.trained_on == "none of these photos":
            return ""
        if self.trained_on == "not known":
            return (
                "It is not known whether the release has learned from these photos. If it has, lines 1, 2, 5 "
                "and 7 are worth nothing; run again with --held-out."
            )
        return (
            f"THE RELEASE HAS LEARNED FROM {self.trained_on.upper()}, AND IT ANSWERED THEM ITSELF. Lines 1, "
            "2, 5 and 7 say how well it remembers, not how good it is. Run again with --held-out."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scorecard in its stable JSON form."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        fields["warning"] = self.warning
        fields["lines"] = [line.to_dict() for line in self.lines]
        fields["exhibits"] = [table.to_dict() for table in self.exhibits]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Scorecard:
        """Return the scorecard that `to_dict` wrote."""
        return cls(
            **{name: fields[name] for name in _PLAIN},
            lines=tuple(Line.from_dict(line) for line in fields["lines"]),
            exhibits=tuple(Table.from_dict(table) for table in fields["exhibits"]),
        )

    def line(self, number: int) -> Line:
        """Return the line of a number."""
        return next(line for line in self.lines if line.number == number)


_PLAIN = (
    "release", "kind", "date", "data", "photos", "concepts", "dims", "protocol", "held_out", "trained_on",
    "seed", "draws", "seconds",
)  # fmt: skip


def _finite(cell: Cell) -> Cell:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _interval_dict(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {name: _finite(value) for name, value in interval.to_dict().items()}


def _interval(fields: Mapping[str, Any] | None) -> Interval | None:
    if fields is None:
        return None
    numbers = (math.nan if fields[name] is None else float(fields[name]) for name in ("value", "low", "high"))
    return Interval(*numbers)
