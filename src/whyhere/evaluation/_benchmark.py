"""A benchmark: photos with true positions, and everything that is wrong with the table they come from."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whyhere.errors import UsageError
from whyhere.evaluation._columns import Columns, choose_columns, is_headless
from whyhere.evaluation._protocol import Protocol
from whyhere.evaluation._rows import read_rows
from whyhere.evaluation._swapped import refuse_swapped
from whyhere.geo import LatLon


@dataclass(frozen=True, slots=True)
class Query:
    """One photo with its truth.

    Attributes:
        photo: Name of the photo as the table has it.
        lat: True latitude in degrees.
        lon: True longitude in degrees.
        line: Line of the table (row for Parquet), from 1; 0 where there is no table.
        country: True country as the table has it, or None.
        region: True first-level unit as the table has it, or None.
        city: True city as the table has it, or None.
        kind: Kind of the photo as the table has it ("street", "monument", ...), or None.
        precision_km: How far the photo may lie from the position, in km; 0 where the table does not say.
    """

    photo: str
    lat: float
    lon: float
    line: int = 0
    country: str | None = None
    region: str | None = None
    city: str | None = None
    kind: str | None = None
    precision_km: float = 0.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that kept a row, a photo or a line from being used, in whole or in part.

    Attributes:
        kind: "bad row", "duplicate", "conflict", "missing photo", "unreadable photo", "no position",
            "bad line", "bad value", "unknown photo" or "repeated photo".
        line: Line of the file it stands in, or None.
        photo: The photo, where it is known.
        reason: What is wrong.
    """

    kind: str
    line: int | None
    photo: str | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {"kind": self.kind, "line": self.line, "photo": self.photo, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Photos to be located and where they were taken.

    Attributes:
        name: Name of the table.
        columns: What was read from it; None where there is no table.
        rows: Rows of the table, bad ones included.
        queries: The usable ones, in the order of the table; no photo is there twice.
        problems: What is wrong with the others.
        protocol: How photos are held out and kinds are named; None for all photos as they are.
    """

    name: str
    columns: Columns | None
    rows: int
    queries: tuple[Query, ...]
    problems: tuple[Problem, ...]
    protocol: Protocol | None = None

    def keep(self, queries: tuple[Query, ...], *problems: Problem) -> Benchmark:
        """Return the benchmark with only these queries, and with more problems."""
        return replace(self, queries=queries, problems=(*self.problems, *problems))

    def to_dict(self) -> dict[str, Any]:
        """Return name, columns and counts as a plain dictionary; problems by kind."""
        return {
            "name": self.name,
            "columns": self.columns.to_dict() if self.columns else None,
            "rows": self.rows,
            "queries": len(self.queries),
            "problems": dict(Counter(problem.kind for problem in self.problems)),
            "protocol": self.protocol.to_dict() if self.protocol else None,
        }


def read_benchmark(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    swap_lat_lon: bool = False,
    name: str | None = None,
) -> Benchmark:
    """Read a table of photos with true positions.

    Rows that cannot be used are left out and kept as `Benchmark.problems` with their lines: coordinates that
    are empty, no numbers, not finite, out of range, or exactly 0, 0 (a missing position more often than a
    photo from the Gulf of Guinea); rows without a photo; a photo that comes again. A photo that comes again
    with another position has no truth and is left out altogether.

    Args:
        path: CSV, TSV or Parquet. The layouts of Im2GPS, Im2GPS3k, YFCC4k, YFCC26k, MP-16 (IMG_ID or
            IMG_FILE, LAT, LON), OSV-5M (id, latitude, longitude, country, region, city) and GWS15k, and
            tables with ordinary column names are recognised.
        columns: What the columns mean, where it is not: field to column, as from `parse_columns`.
        swap_lat_lon: Read latitudes from the column of longitudes and the other way round.
        name: What to call the benchmark; the name of the file by default.

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is no such table, no row of it can be used, or latitude and longitude are swapped.
    """
    path = Path(path)
    header, rows = read_rows(path, header=not is_headless(columns))
    chosen = choose_columns(header, columns)
    if swap_lat_lon:
        chosen = replace(chosen, lat=chosen.lon, lon=chosen.lat)
    place = {field: header.index(column) for field, column in chosen.to_dict().items() if column in header}
    problems: list[Problem] = []
    read: list[Query] = []
    count = 0
    for line, fields in rows:
        count += 1
        values = {field: fields[i].strip() if i < len(fields) else "" for field, i in place.items()}
        parsed = _query(values, line)
        if isinstance(parsed, Query):
            read.append(parsed)
        else:
            problems.append(Problem("bad row", line, values["photo"] or None, parsed))
    refuse_swapped(
        path.name,
        chosen,
        [(query.lat, query.lon, query.line, query.country) for query in read],
        swapped_already=swap_lat_lon,
    )
    queries = tuple(_without_repeats(_in_range(read, problems), problems))
    if not queries:
        why = f"; line {problems[0].line}: {problems[0].reason}" if problems else ""
        raise UsageError(f"{path}: none of its {count} rows can be used{why}")
    problems.sort(key=lambda problem: problem.line or 0)
    return Benchmark(name or path.name, chosen, count, queries, tuple(problems))


def _query(values: Mapping[str, str], line: int) -> Query | str:
    """Return the row as a query whose coordinates are finite (not yet in range), or what is wrong with it."""
    if not values["photo"]:
        return "it names no photo"
    numbers = {}
    for field, word in (("lat", "latitude"), ("lon", "longitude")):
        text = values[field]
        if not text:
            return f"the {word} is empty"
        try:
            number = float(text) if "_" not in text else math.nan  # float() would read 1_0 as 10
        except ValueError:
            return f"the {word} {text[:40]!r} is not a number"
        if not math.isfinite(number):
            return f"the {word} {text[:40]!r} is not a finite number"
        numbers[field] = number
    truth = {field: values.get(field) or None for field in ("country", "region", "city", "kind")}
    try:
        precision_km = float(values.get("precision_km") or 0.0)
    except ValueError:
        precision_km = math.nan
    if not 0.0 <= precision_km < math.inf:
        return f"precision_km {values['precision_km'][:40]!r} is not a distance in km"
    return Query(values["photo"], numbers["lat"], numbers["lon"], line, **truth, precision_km=precision_km)


def _in_range(queries: list[Query], problems: list[Problem]) -> Iterator[Query]:
    """Yield the queries on Earth, with longitudes wrapped; the others become problems."""
    for query in queries:
        reason = None
        if not -90.0 <= query.lat <= 90.0:
            reason = f"the latitude {query.lat:g} lies outside -90 to 90"
        elif not -360.0 <= query.lon <= 360.0:
            reason = f"the longitude {query.lon:g} lies outside -360 to 360"
        elif query.lat == 0.0 and query.lon == 0.0:
            reason = "0, 0 stands for a missing position"
        if reason:
            problems.append(Problem("bad row", query.line, query.photo, reason))
        else:
            yield replace(query, lon=LatLon(query.lat, query.lon).lon)


def _without_repeats(queries: Iterator[Query], problems: list[Problem]) -> Iterator[Query]:
    first: dict[str, Query] = {}
    conflicts: set[str] = set()
    for query in queries:
        known = first.setdefault(query.photo, query)
        if known is query:
            continue
        if (known.lat, known.lon) == (query.lat, query.lon):
            reason = f"the photo came in line {known.line} already, with the same position"
            problems.append(Problem("duplicate", query.line, query.photo, reason))
        else:
            reason = f"the photo came in line {known.line} with another position; neither is used"
            problems.append(Problem("conflict", query.line, query.photo, reason))
            conflicts.add(query.photo)
    yield from (query for photo, query in first.items() if photo not in conflicts)
