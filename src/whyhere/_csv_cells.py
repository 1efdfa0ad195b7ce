"""Cells of CSV files that people open in spreadsheets: the one guard of whyhere against formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

_FORMULA_STARTS = frozenset("=+-@'")


def csv_rows(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV with newlines only at the ends of lines; None is empty, and text runs nothing."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([guarded(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode("utf-8", "backslashreplace").decode()  # half a surrogate pair, from JSON


def guarded(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    """Return a cell that no spreadsheet takes for a formula.

    Spreadsheets run text that begins like a formula; an apostrophe makes them show it (OWASP, "CSV
    injection"). Numbers keep their minus sign: they are no text.

    Example:
        >>> guarded("=cmd|x"), guarded(-1.5), guarded("photo.jpg")
        ("'=cmd|x", -1.5, 'photo.jpg')
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip()[:1] in _FORMULA_STARTS:
        return f"'{value}"
    return value
