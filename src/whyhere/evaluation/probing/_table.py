"""Tables of users: a text file with latitude, longitude and a target, read strictly.

Every bad row is named with its line. A table with bad rows is refused unless the caller says to go on
without them: a silently shorter table would change the score.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation.probing._task import Task

LAT_NAMES = ("lat", "latitude", "decimallatitude", "intptlat", "y")
LON_NAMES = ("lon", "lng", "long", "longitude", "decimallongitude", "intptlong", "intptlon", "x")

CENSUS_MARKS = frozenset(float(-111_111_111 * digit) for digit in (2, 3, 5, 6, 8, 9))
"""What the US Census Bureau writes where it publishes no estimate, such as -666666666."""

_SHOWN = 5
_NUMERIC_CLASSES = 30


@dataclass(frozen=True, slots=True)
class Row:
    """One good row: its line in the file, position and target as text."""

    line: int
    lat: float
    lon: float
    target: str


def read_table(
    path: str | Path,
    target: str,
    *,
    kind: Literal["auto", "value", "class"] = "auto",
    skip_bad_rows: bool = False,
) -> Task:
    """Read a table as a task.

    Args:
        path: Text file with a header, separated by commas, semicolons or tabs, UTF-8. Its columns of
            latitude and longitude are found by name: lat, latitude, decimalLatitude, INTPTLAT, ...
        target: Name of the column to predict, in any case.
        kind: "value" for numbers, "class" for classes; "auto" takes a column for classes where it holds
            text, or fewer than 30 different whole numbers.
        skip_bad_rows: Go on without bad rows, and say how many there were.

    Returns:
        The task, all rows.

    Raises:
        MissingFileError: The file is missing.
        UsageError: It is not such a table, or has bad rows; the message names their lines.
    """
    path = Path(path)
    where = f"--table {path}"
    rows, bad, column = _rows(path, target, where)
    if not rows and not bad:
        raise UsageError(f"{where}: there is no row below the header")
    wanted = _kind_of(row.target for row in rows) if kind == "auto" else kind
    if wanted == "value":
        rows, worse = _numbers(rows)
        bad = sorted(bad + worse)
    left_out: tuple[str, ...] = ()
    if bad:
        listed = "; ".join(f"line {line}: {reason}" for line, reason in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        if not skip_bad_rows or not rows:
            raise UsageError(
                f"{where}: {len(bad):,} of {len(bad) + len(rows):,} rows are bad: {listed}{more}. "
                "Correct them, or leave them out with --skip-bad-rows"
            )
        left_out = (f"{len(bad):,} bad rows left out ({listed}{more}).",)
    texts = [row.target for row in rows]
    values = np.array(texts) if wanted == "class" else np.array([float(text) for text in texts])
    return replace(
        Task(
            name=column,
            kind=wanted,
            lat=np.array([row.lat for row in rows]),
            lon=np.array([row.lon for row in rows]),
            target=values,
            meaning=f"column {column}",
            source=path.name,
        ),
        left_out=left_out,
    )


def _rows(path: Path, target: str, where: str) -> tuple[list[Row], list[tuple[int, str]], str]:
    """Read the rows: the good ones, the bad ones with line and reason, and the target column's own name."""
    if not path.is_file():
        raise MissingFileError(f"{where}: there is no such file")
    rows: list[Row] = []
    bad: list[tuple[int, str]] = []
    high_lat = high_lon = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            separator = max(",;\t", key=header.count)
            names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
            lat_at, lon_at, at = _columns(names, target, where)
            reader = csv.reader(file, delimiter=separator)
            for cells in reader:
                if not cells:
                    continue
                line = reader.line_num + 1  # the header was read by hand
                found = _checked(cells, len(names), line, (lat_at, lon_at, at))
                if isinstance(found, Row):
                    rows.append(found)
                else:
                    bad.append((line, found))
                    high_lat += "latitude" in found and "outside" in found
                high_lon += _beyond_90(cells, lon_at)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{where}: not a table in UTF-8 text ({error})") from error
    if high_lat and not high_lon:
        line = next(line for line, reason in bad if "latitude" in reason and "outside" in reason)
        raise UsageError(
            f"{where}: column {names[lat_at]} holds {high_lat:,} values beyond 90 degrees (first in line "
            f"{line}) and column {names[lon_at]} none: latitude and longitude are swapped. Exchange the two "
            "column names"
        )
    return rows, bad, names[at]


def _columns(names: Sequence[str], target: str, where: str) -> tuple[int, int, int]:
    """Find latitude, longitude and target among the column names."""
    folded = [name.casefold() for name in names]
    listed = ", ".join(names[:20])
    found = []
    for what, known in (("latitude", LAT_NAMES), ("longitude", LON_NAMES), ("target", (target.casefold(),))):
        at = next((folded.index(name) for name in known if name in folded), None)
        if at is None:
            expected = f"--target {target}" if what == "target" else f"a {what} ({', '.join(known)})"
            raise UsageError(f"{where}: there is no column for {expected}; columns: {listed}")
        found.append(at)
    return found[0], found[1], found[2]


def _checked(cells: Sequence[str], width: int, line: int, at: tuple[int, int, int]) -> Row | str:
    """Turn the cells of a line into a row, or say what is wrong with them."""
    if len(cells) != width:
        return f"{len(cells)} cells under {width} columns"
    numbers = []
    for what, cell, limit in (("latitude", cells[at[0]], 90), ("longitude", cells[at[1]], 180)):
        number = _number(cell)
        if number is None:
            return f"{what} {cell.strip()!r} is not a number"
        if abs(number) > limit:
            return f"{what} {number:g} lies outside -{limit} to {limit}"
        numbers.append(number)
    target = cells[at[2]].strip()
    if not target or target.casefold() in ("nan", "na", "null", "none"):
        return "the target is empty"
    return Row(line, numbers[0], numbers[1], target)


def _numbers(rows: list[Row]) -> tuple[list[Row], list[tuple[int, str]]]:
    """Keep the rows whose target is a number."""
    good, bad = [], []
    for row in rows:
        number = _number(row.target)
        if number is None:
            bad.append((row.line, f"target {row.target!r} is not a number (use --kind class for classes)"))
        elif number in CENSUS_MARKS:
            bad.append((row.line, f"target {row.target} is the Census Bureau's mark for no estimate"))
        else:
            good.append(row)
    return good, bad


def _number(text: str) -> float | None:
    """Read a finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _beyond_90(cells: Sequence[str], at: int) -> bool:
    """Whether a cell is a number that no latitude can be."""
    number = _number(cells[at]) if at < len(cells) else None
    return number is not None and abs(number) > 90


def _kind_of(texts: Iterable[str]) -> Literal["value", "class"]:
    """Guess what a column holds; a few bad cells do not turn numbers into classes."""
    kept = list(texts)
    numbers = [number for number in map(_number, kept) if number is not None]
    if len(numbers) < 0.9 * len(kept):
        return "class"
    few = len(set(numbers)) < _NUMERIC_CLASSES and len(numbers) >= 10 * len(set(numbers))
    return "class" if few and all(number.is_integer() for number in numbers) else "value"
