"""Tables of photos or places: CSV, TSV and Parquet, whose rows say where something is.

`read_rows` opens any of them, `choose_columns` tells what the columns mean, `parse_position` reads a latitude
and a longitude, `refuse_swapped` finds the two under each other's headers (as in some published copies of
Im2GPS), and `read_photos` does it all. Nothing is dropped in silence: what cannot be used is a `Problem` with
its line. `NameIndex` finds the photo that another spelling of a name means.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Self, TextIO

from msgspec.structs import replace

from whyhere._record import Record
from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import LatLon, country_codes, find_country
from whyhere.images import PHOTO_SUFFIXES

FIELDS = ("photo", "lat", "lon", "country", "region", "city", "kind", "precision_km")
"""What a column can mean; the first three are needed."""

# In falling priority: OSV-5M's `id` names the photo only where nothing better does.
_KNOWN: dict[str, tuple[str, ...]] = {
    "photo": (
        "img_id", "img_file", "file", "filename", "file_name", "image", "image_file", "image_name",
        "image_path", "image_id", "img", "img_path", "img_name", "photo", "photo_id", "path", "pano_id",
        "panoid", "id", "key",
    ),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "long", "longitude"),
    "country": ("country", "country_code", "country_name"),
    "region": ("region", "state", "province", "admin1"),
    "city": ("city", "town"),
    "kind": ("kind",),
    "precision_km": ("precision_km",),
}  # fmt: skip

_DELIMITERS = "\t,;|"
_SWAP_SAMPLE = 500
_ENOUGH = 10
"""Below this many rows only impossible latitudes are evidence of swapped columns."""

Rows = Iterator[tuple[int, list[str]]]
"""Line (text) or row (Parquet), counted from 1, and the fields."""


class Columns(Record, frozen=True):
    """Names of the columns that are read; None where the table has none.

    Attributes:
        layout: What the table looks like, for people.
        photo: Name of the photo; empty where none is needed.
        lat: Latitudes.
        lon: Longitudes.
        country: True country.
        region: True first-level unit.
        city: True city.
        kind: Kind of the photo ("street", "monument", ...).
        precision_km: How far the photo may lie from its position, in km.
    """

    layout: str
    photo: str
    lat: str
    lon: str
    country: str | None = None
    region: str | None = None
    city: str | None = None
    kind: str | None = None
    precision_km: str | None = None


class Query(Record, frozen=True):
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
        row: Number among all rows of the table, bad ones included, from 0.
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
    row: int = 0


class Problem(Record, frozen=True):
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


class PhotoTable(Record, frozen=True):
    """Photos and where they were taken.

    Attributes:
        name: Name of the table.
        columns: What was read from it; None where there is no table.
        rows: Rows of the table, bad ones included.
        queries: The usable ones, in the order of the table; no photo is there twice.
        problems: What is wrong with the others.
    """

    name: str
    columns: Columns | None
    rows: int
    queries: tuple[Query, ...]
    problems: tuple[Problem, ...]

    def keep(self, queries: tuple[Query, ...], *problems: Problem) -> Self:
        """Return the table with only these photos, and with more problems."""
        return replace(self, queries=queries, problems=(*self.problems, *problems))


def read_photos(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    need_photos: bool = True,
    swap_lat_lon: bool = False,
    swap_remedy: str | None = None,
    stray_share: float = 0.0,
) -> PhotoTable:
    """Read a table of photos with true positions.

    Rows that cannot be used are left out and kept as problems with their lines: coordinates that are empty,
    no numbers, not finite, out of range, or exactly 0, 0 (a missing position more often than a photo from the
    Gulf of Guinea); rows without a photo; a photo that comes again. A photo that comes again with another
    position has no truth and is left out altogether.

    Args:
        path: CSV, TSV or Parquet. The layouts of Im2GPS, Im2GPS3k, YFCC4k, YFCC26k, MP-16 (IMG_ID or
            IMG_FILE, LAT, LON), OSV-5M (id, latitude, longitude, country, region, city) and GWS15k, and
            tables with ordinary column names are recognised.
        columns: What the columns mean, where it is not: field to column, as from `parse_columns`.
        need_photos: Whether every row must name a photo, and another one.
        swap_lat_lon: Read latitudes from the column of longitudes and the other way round.
        swap_remedy: What to do about swapped columns, for the message; `--swap-lat-lon` by default.
        stray_share: Share of rows whose latitudes may lie beyond 90 degrees before the columns count as
            swapped; such rows are bad in any case.

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is no such table, no row of it can be used, or latitude and longitude are swapped.
    """
    path = Path(path)
    # Columns named by number mean that the table has no header.
    numbered = columns and all(re.fullmatch("[1-9][0-9]{0,3}", name) for name in columns.values())
    header, rows = read_rows(path, header=not numbered)
    chosen = choose_columns(header, columns, needed=FIELDS[:3] if need_photos else FIELDS[1:3])
    if swap_lat_lon:
        chosen = replace(chosen, lat=chosen.lon, lon=chosen.lat)
    place = {field: header.index(column) for field, column in chosen.to_dict().items() if column in header}
    problems: list[Problem] = []
    read: list[Query] = []
    count = 0
    for line, fields in rows:
        values = {field: fields[i].strip() if i < len(fields) else "" for field, i in place.items()}
        parsed = _query(values, line, count, need_photos)
        count += 1
        if isinstance(parsed, Query):
            read.append(parsed)
        else:
            problems.append(Problem("bad row", line, values.get("photo") or None, parsed))
    remedy = swap_remedy or "add --swap-lat-lon, or correct those lines of the table"
    refuse_swapped(
        path.name,
        chosen,
        [(query.lat, query.lon, query.line, query.country) for query in read],
        remedy="leave out --swap-lat-lon" if swap_lat_lon else remedy,
        stray_share=stray_share,
    )
    queries = _in_range(read, problems)
    kept = tuple(_without_repeats(queries, problems) if need_photos else queries)
    if not kept:
        why = f"; line {problems[0].line}: {problems[0].reason}" if problems else ""
        raise UsageError(f"{path}: none of its {count} rows can be used{why}")
    problems.sort(key=lambda problem: problem.line or 0)
    return PhotoTable(path.name, chosen, count, kept, tuple(problems))


def read_rows(path: Path, *, header: bool = True) -> tuple[list[str], Rows]:
    """Open a table.

    Args:
        path: CSV, TSV (UTF-8, with or without a byte order mark) or Parquet.
        header: Whether the first line names the columns; without, they are called "1", "2" and so on.

    Returns:
        Names of the columns, and the rows, read as they are asked for.

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is empty, is no such table, or Parquet cannot be read for want of pyarrow. The rows
            raise it too, as reading goes on.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: there is no such table")
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path)
    rows = _text_rows(path)
    first = next(rows, None)
    if first is None:
        raise UsageError(f"{path}: the table is empty")
    if header:
        return first[1], rows
    return [str(number + 1) for number in range(len(first[1]))], chain([first], rows)


def _text_rows(path: Path) -> Rows:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_delimiter(path, file))
            ended = 0
            for fields in reader:
                started, ended = ended + 1, reader.line_num
                if any(field.strip() for field in fields):
                    yield started, fields
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: the table is not UTF-8 text ({error.reason}); save it as UTF-8, or as Parquet with the "
            "suffix .parquet"
        ) from error
    except (csv.Error, OSError) as error:
        raise UsageError(f"{path}: cannot be read as a table: {error}") from error


def _delimiter(path: Path, file: TextIO) -> str:
    """Return what separates the fields: a tab for .tsv, else what the first line has most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = next((line for line in iter(lambda: file.readline(1 << 16), "") if line.strip()), "")
    file.seek(0)
    return max(_DELIMITERS, key=first.count) if any(sign in first for sign in _DELIMITERS) else ","


def _parquet(path: Path) -> tuple[list[str], Rows]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            f'{path}: Parquet needs pyarrow; run: pip install "whyhere[parquet]" (or save the table as CSV)'
        ) from error

    def rows(file: Any) -> Rows:  # noqa: ANN401 - pyarrow is optional
        row = 0
        try:
            for batch in file.iter_batches():
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    row += 1
                    yield row, ["" if value is None else str(value) for value in values]
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: cannot be read as Parquet after row {row}: {error}") from error

    try:
        file = parquet.ParquetFile(path)
        return list(file.schema_arrow.names), rows(file)
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        raise UsageError(f"{path}: cannot be read as Parquet: {error}") from error


def parse_columns(text: str) -> dict[str, str]:
    """Parse what `--columns` takes.

    Args:
        text: `photo=NAME,lat=NAME,lon=NAME`, and country, region and city where the table has them,
            and kind and precision_km. Numbers count the columns of a table without a header, from 1.

    Raises:
        UsageError: It cannot be understood.

    Example:
        >>> parse_columns("photo=name,lat=y,lon=x")
        {'photo': 'name', 'lat': 'y', 'lon': 'x'}
    """
    mapping: dict[str, str] = {}
    for part in text.split(","):
        field, equals, name = (piece.strip() for piece in part.partition("="))
        if not equals or not name or field not in FIELDS or field in mapping:
            raise UsageError(
                f"--columns {text!r}: expected FIELD=COLUMN pairs with commas between, each field once, "
                f"such as photo=name,lat=y,lon=x; the fields are {', '.join(FIELDS)}"
            )
        mapping[field] = name
    return mapping


def choose_columns(
    header: Sequence[str], mapping: Mapping[str, str] | None = None, *, needed: Sequence[str] = FIELDS[:3]
) -> Columns:
    """Find the columns to read.

    Args:
        header: Names of the columns of the table.
        mapping: What the user says they mean, as from `parse_columns`; it goes before what is recognised.
        needed: Fields that must be there; `photo` is empty where it is neither needed nor there.

    Raises:
        UsageError: A needed column is not there or cannot be told; the message lists the columns there are.
    """
    mapping = dict(mapping or {})
    there = ", ".join(repr(name[:40]) for name in header[:20]) or "none"
    plain = [re.sub(r"[\s\-]+", "_", name.strip().casefold()) for name in header]
    chosen: dict[str, str | None] = {}
    for field in FIELDS:
        if name := mapping.get(field):
            wanted = name.strip().casefold()
            hits = [c for c in header if c == name] or [c for c in header if c.strip().casefold() == wanted]
            if not hits:
                raise UsageError(f"--columns {field}={name}: the table has no such column; it has {there}")
        else:
            hits = [header[plain.index(known)] for known in _KNOWN[field] if known in plain]
            if field in ("lat", "lon") and len(hits) > 1:
                raise UsageError(
                    f"both {' and '.join(map(repr, hits))} may hold the {field}; "
                    f"say which with --columns {field}=NAME"
                )
        chosen[field] = hits[0] if hits else None
    missing = [field for field in needed if chosen[field] is None]
    if missing:
        raise UsageError(
            f"no column for {' and '.join(missing)} is recognised; the table has {there}. "
            "Say what they mean, such as --columns photo=NAME,lat=NAME,lon=NAME "
            "(numbers from 1 for a table without a header)"
        )
    photo = (chosen["photo"] or "").strip().casefold()
    layout = "photo, latitude, longitude"
    if mapping:
        layout = "columns named by the user"
    elif photo in ("img_id", "img_file"):
        layout = "Im2GPS, Im2GPS3k, YFCC4k, YFCC26k or MP-16"
    elif photo == "id" and "latitude" in plain:
        layout = "OSV-5M"
    elif photo in ("pano_id", "panoid") or "heading" in plain:
        layout = "GWS15k (street views)"
    chosen["photo"] = chosen["photo"] or ""
    return Columns(layout, **chosen)  # type: ignore[arg-type]  # the needed ones are not None


def parse_position(lat_text: str, lon_text: str) -> tuple[float, float] | str:
    """Read a latitude and a longitude in degrees, finite but not yet in range, or say what is wrong."""
    numbers = []
    for text, word in ((lat_text.strip(), "latitude"), (lon_text.strip(), "longitude")):
        if not text:
            return f"the {word} is empty"
        try:
            number = float(text) if "_" not in text else math.nan  # float() would read 1_0 as 10
        except ValueError:
            return f"the {word} {text[:40]!r} is not a number"
        if not math.isfinite(number):
            return f"the {word} {text[:40]!r} is not a finite number"
        numbers.append(number)
    return numbers[0], numbers[1]


def _query(values: Mapping[str, str], line: int, row: int, need_photos: bool) -> Query | str:
    """Return the row as a query whose coordinates are finite (not yet in range), or what is wrong with it."""
    photo = values.get("photo", "")
    if need_photos and not photo:
        return "it names no photo"
    position = parse_position(values["lat"], values["lon"])
    if isinstance(position, str):
        return position
    country, region, city, kind = (values.get(field) or None for field in FIELDS[3:7])
    try:
        precision_km = float(values.get("precision_km") or 0.0)
    except ValueError:
        precision_km = math.nan
    if not 0.0 <= precision_km < math.inf:
        return f"precision_km {values['precision_km'][:40]!r} is not a distance in km"
    return Query(photo, *position, line, country, region, city, kind, precision_km, row)


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
            problems.append(Problem("bad row", query.line, query.photo or None, reason))
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


def refuse_swapped(
    table: str,
    columns: Columns,
    rows: Sequence[tuple[float, float, int, str | None]],
    *,
    remedy: str,
    stray_share: float = 0.0,
) -> None:
    """Refuse a table whose latitudes are longitudes.

    Three signs count. Latitudes beyond 90 degrees, where the other column has fewer such values; or, on a
    sample of the rows, positions that lie in the country that the table names, or else on land, far more
    often when they are read the other way round.

    Args:
        table: Name of the table, for the message.
        columns: Its columns.
        rows: Latitude and longitude in degrees (finite), line, and country or None, for each row.
        remedy: What to do, for the message.
        stray_share: As for `read_photos`.

    Raises:
        UsageError: They are swapped.
    """
    beyond = [(lat, line) for lat, lon, line, _ in rows if 90.0 < abs(lat) <= 360.0]
    others = sum(90.0 < abs(lon) <= 360.0 for _, lon, _, _ in rows)
    if len(beyond) > max(others, stray_share * len(rows)):
        lat, line = beyond[0]
        evidence: str | None = (
            f"{len(beyond)} of {len(rows)} latitudes lie beyond 90 degrees (first: {lat:g}, line {line}), "
            f"but {others or 'none'} of the longitudes"
        )
    else:
        evidence = _evidence_on_the_map([row for row in rows if max(abs(row[0]), abs(row[1])) <= 90.0])
    if evidence:
        raise UsageError(
            f"{table}: latitude and longitude are swapped: {evidence}. Latitudes were read from the column "
            f"{columns.lat!r} and longitudes from {columns.lon!r}: {remedy}"
        )


def _evidence_on_the_map(rows: Sequence[tuple[float, float, int, str | None]]) -> str | None:
    """Return what shows that positions which fit either way are swapped, or None."""
    if len(rows) < _ENOUGH:
        return None
    sample = rows[:: -(-len(rows) // _SWAP_SAMPLE)]
    lat, lon = [row[0] for row in sample], [row[1] for row in sample]
    as_read, other_way = country_codes(lat, lon), country_codes(lon, lat)
    stated: dict[int, str] = {}
    for i, row in enumerate(sample):
        try:
            if row[3]:
                stated[i] = find_country(row[3]).code
        except UsageError:
            continue
    if len(stated) >= _ENOUGH:
        right = sum(as_read[i] == code for i, code in stated.items())
        swapped = sum(other_way[i] == code for i, code in stated.items())
        if not (2 * swapped > len(stated) and swapped > 2 * right):
            return None
        where, count = "in the country that the table names", len(stated)
    else:
        right, swapped = (sum(code is not None for code in codes) for codes in (as_read, other_way))
        if not (2 * right < len(sample) and swapped >= 0.9 * len(sample)):
            return None
        where, count = "on land", len(sample)
    return f"of {count} rows looked at, {right} lie {where} as they stand, and {swapped} the other way round"


def parts_of(name: str) -> tuple[str, ...]:
    r"""Split a path, written with either slash, into its parts without `.`."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _stem(name: str) -> str:
    """Drop the suffix of a photo, and nothing else: ids may hold dots."""
    base, dot, suffix = name.rpartition(".")
    return base if dot and base and f".{suffix.lower()}" in PHOTO_SUFFIXES else name


class NameIndex:
    """Finds the one of many names that another spelling means.

    The same path goes first. Then the same file name counts, where several have it the one that also shares
    the most folders before it; then the file name without the suffix of a photo. Two that fit equally well
    are none: a guess would score one photo with the answer for another.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[tuple[str, ...], str] = {}
        self._files: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._stems: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for name in names:
            parts = parts_of(name)
            if parts and parts not in self._exact:
                self._exact[parts] = name
                self._files[parts[-1]].append(parts)
                self._stems[_stem(parts[-1])].append(parts)

    def find(self, name: str) -> str | None:
        """Return the name that is meant, or None where none or more than one fits."""
        parts = parts_of(name)
        if not parts:
            return None
        if parts in self._exact:
            return self._exact[parts]
        candidates = self._files.get(parts[-1]) or self._stems.get(_stem(parts[-1])) or []
        shared = [len(os.path.commonprefix([parts[-2::-1], one[-2::-1]])) for one in candidates]  # noqa: RUF071 - of tuples
        if not shared or shared.count(max(shared)) > 1:
            return None
        return self._exact[candidates[shared.index(max(shared))]]


class PhotoFolder:
    """The photos below a folder, found by the names that a table gives them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Path | None:
        """Return the file of a photo, or None where there is none or it cannot be told which.

        Args:
            name: Path below the folder, or a file name or id anywhere below it. Never leaves the folder.
        """
        parts = parts_of(name)
        if parts and ".." not in parts:
            direct = self._folder.joinpath(*parts)
            for path in (direct, *(direct.with_name(direct.name + end) for end in (".jpg", ".jpeg", ".png"))):
                if os.path.isfile(path):  # noqa: PTH113 - False, not an error, for names no system allows
                    return path
        found = self._index.find(name)
        return None if found is None else self._folder.joinpath(*parts_of(found))

    @cached_property
    def _index(self) -> NameIndex:
        # Walked only when a photo does not lie where its name says: OSV-5M has folders 00 to 04 in between.
        def relative() -> Iterable[str]:
            for where, folders, files in os.walk(self._folder):
                folders.sort()
                inside = os.path.relpath(where, self._folder)
                for file in sorted(files):
                    if os.path.splitext(file)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122
                        yield f"{inside}/{file}"

        return NameIndex(relative())
