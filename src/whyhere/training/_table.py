"""The table of a training set: which photo was taken where, and which rows cannot be believed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere._io import plain
from whyhere.errors import MissingFileError, UsageError

FILE_COLUMNS = ("file", "filename", "file_name", "img_file", "img_id", "image", "photo", "path", "id", "key")
LAT_COLUMNS = ("lat", "latitude")
LON_COLUMNS = ("lon", "lng", "long", "longitude")
_SWAP_SAMPLE = 400
_SWAP_HINT = "; are latitude and longitude swapped?"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One row that is left out of training.

    Attributes:
        line: Line in the table; the header is line 1. In Parquet, rows count from line 2 likewise.
        reason: What is wrong with it.
    """

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """The believable rows of a table.

    Attributes:
        row: Number of each row among all data rows, from 0, shape (n,).
        line: Line of each row, shape (n,).
        file: Name of the photo of each row, "" where the table has no such column.
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        total: Data rows, the bad ones included.
        problems: The bad rows.
    """

    row: NDArray[np.int64]
    line: NDArray[np.int64]
    file: tuple[str, ...]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    total: int
    problems: tuple[RowProblem, ...]

    def __len__(self) -> int:
        return len(self.row)

    def without(self, reasons: dict[int, str]) -> TrainingTable:
        """Return the table without some positions, which become problems for the reasons given."""
        kept = np.array([i for i in range(len(self)) if i not in reasons], np.int64)
        found = [RowProblem(int(self.line[i]), reason) for i, reason in reasons.items()]
        problems = sorted((*self.problems, *found), key=lambda problem: problem.line)
        return replace(self.take(kept), problems=tuple(problems))

    def take(self, kept: NDArray[np.int64]) -> TrainingTable:
        """Return some positions of the table."""
        return TrainingTable(
            self.row[kept],
            self.line[kept],
            tuple(self.file[i] for i in kept),
            self.lat[kept],
            self.lon[kept],
            self.total,
            self.problems,
        )


def read_table(path: str | Path, *, need_files: bool = True) -> TrainingTable:
    """Read a CSV or Parquet file with photos and coordinates.

    Column names are taken in any case, MP-16's `IMG_ID, LAT, LON` among them. A bad row (no number, not
    finite, out of range, exactly 0, 0, no file name, a file named twice) is left out and reported.

    Args:
        path: The table; `.parquet` needs the extra `parquet`.
        need_files: Whether it must name photos.

    Raises:
        MissingFileError: The file cannot be read.
        UsageError: A column is missing, no row is left, or latitude and longitude look swapped.
    """
    path = Path(path)
    header, rows = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    lat_at = _column(path, header, LAT_COLUMNS, "latitude")
    lon_at = _column(path, header, LON_COLUMNS, "longitude")
    file_at = _column(path, header, FILE_COLUMNS, "photo") if need_files else None
    numbers: list[int] = []
    lines: list[int] = []
    files: list[str] = []
    places: list[tuple[float, float]] = []
    problems: list[RowProblem] = []
    seen: dict[str, int] = {}
    total = 0
    for number, (line, cells) in enumerate(rows):
        total += 1
        try:
            file = "" if file_at is None else cells[file_at].strip()
            lat, lon = _position(cells[lat_at], cells[lon_at])
            if need_files and not file:
                raise ValueError("names no photo")
            if file and file in seen:
                raise ValueError(f"names the same photo as line {seen[file]}: {file}")
        except IndexError:
            problems.append(RowProblem(line, f"has {len(cells)} of {len(header)} columns"))
            continue
        except ValueError as error:
            problems.append(RowProblem(line, str(error)))
            continue
        seen[file] = line
        numbers.append(number)
        lines.append(line)
        files.append(file)
        places.append((lat, lon))
    if not numbers:
        first = f"; the first: line {problems[0].line} {problems[0].reason}" if problems else ""
        raise UsageError(f"{path}: none of {total} rows can be trained on{first}")
    lats, lons = np.array(places).T
    _refuse_swapped(path, lats, lons, problems)
    return TrainingTable(np.array(numbers), np.array(lines), tuple(files), lats, lons, total, tuple(problems))


def _position(lat_text: str, lon_text: str) -> tuple[float, float]:
    """Return latitude and longitude, or raise ValueError with what is wrong."""
    try:
        lat, lon = float(lat_text), float(lon_text)
    except ValueError:
        raise ValueError(f"has no numbers as coordinates: {lat_text!r}, {lon_text!r}") from None
    if not (np.isfinite(lat) and np.isfinite(lon)):
        raise ValueError(f"has coordinates that are not finite: {lat}, {lon}")
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        hint = _SWAP_HINT if abs(lat) > 90 and abs(lon) <= 90 and abs(lat) <= 180 else ""
        raise ValueError(f"has latitude {lat} and longitude {lon}, outside -90..90 and -180..180{hint}")
    if lat == 0 == lon:
        raise ValueError("has exactly 0, 0, which is what a device without a fix writes")
    return lat, lon


def _refuse_swapped(
    path: Path, lat: NDArray[np.float64], lon: NDArray[np.float64], problems: Sequence[RowProblem]
) -> None:
    """Refuse a table whose positions lie on land only after latitude and longitude change places."""
    hinted = sum(_SWAP_HINT in problem.reason for problem in problems)
    take = np.linspace(0, len(lat) - 1, min(len(lat), _SWAP_SAMPLE)).astype(int)
    on_land = _share_on_land(lat[take], lon[take])
    swapped = 0.0
    if on_land < 0.6:
        possible = np.abs(lon[take]) <= 90
        swapped = _share_on_land(lon[take][possible], lat[take][possible]) * possible.mean()
    many_hints = hinted >= 3 and hinted > (len(lat) + hinted) / 5
    if many_hints or (len(take) >= 10 and swapped > 0.8 and swapped > on_land + 0.2):
        raise UsageError(
            f"{path}: the columns of latitude and longitude look swapped: {on_land:.0%} of the positions lie "
            f"on land as they are, {swapped:.0%} the other way round, and {hinted} rows have a latitude "
            "beyond 90 degrees; rename the columns in the header line"
        )


def _share_on_land(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> float:
    from whyhere.geo import country_codes

    return float(np.mean([code is not None for code in country_codes(lat, lon)])) if len(lat) else 0.0


def _find_column(header: Sequence[str], names: Iterable[str]) -> int | None:
    lowered = [name.strip().lower() for name in header]
    return next((lowered.index(name) for name in names if name in lowered), None)


def _column(path: Path, header: Sequence[str], names: Sequence[str], what: str) -> int:
    """Return where a column stands."""
    found = _find_column(header, names)
    if found is None:
        raise UsageError(
            f"{path}: no column for the {what}; it has {', '.join(header) or 'no header'}, "
            f"and one must be called {', '.join(names)} (in any case)"
        )
    return found


def _read_csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header, and an iterator of line number and cells."""
    try:
        text = plain(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(f"{path}: cannot read the table ({error}); check --data") from error
    delimiter = "\t" if path.suffix == ".tsv" else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = next(reader, [])
    return header, ((reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))


def _read_parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    try:
        from pyarrow import parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise UsageError(f'{path}: Parquet needs: pip install "whyhere[parquet]"') from error
    try:
        table = parquet.read_table(plain(path))
    except Exception as error:  # pyarrow raises OSError and several classes of its own
        raise MissingFileError(f"{path}: cannot read the table ({error}); check --data") from error
    names = [str(name) for name in table.column_names]
    wanted = [
        found
        for columns in (FILE_COLUMNS, LAT_COLUMNS, LON_COLUMNS)
        if (found := _find_column(names, columns)) is not None
    ]
    columns = [table.column(number).to_pylist() for number in wanted]
    cells = zip(*columns, strict=True)
    rows = ((line, [str(cell) for cell in row]) for line, row in enumerate(cells, start=2))
    return [names[number] for number in wanted], rows
