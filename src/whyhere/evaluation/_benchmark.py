"""A benchmark: photos with true positions, where their files lie, and whether a gallery gives them away."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from whyhere.errors import MissingFileError, PhotoError, UsageError
from whyhere.evaluation._protocol import Protocol
from whyhere.geo import great_circle_km, wrap_lon
from whyhere.images import display_name, find_photos, open_photo
from whyhere.stats import Doubles
from whyhere.tables import PhotoFolder, PhotoTable, Problem, Query, choose_columns, read_photos, read_rows

Progress = Callable[[int, int], None]

LEAK_KM = 0.025
LEAK_DEG = 1e-4
_WINDOW_DEG = 3e-4  # 25 m are 2.25e-4 degrees of latitude


class Benchmark(PhotoTable, frozen=True):
    """Photos to be located and where they were taken; `PhotoTable` has the other attributes.

    Attributes:
        protocol: How photos are held out and kinds are named; None for all photos as they are.
    """

    protocol: Protocol | None = None

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

    def kinds(self) -> list[str | None]:
        """Return the kind of each photo, None for all where neither table nor protocol knows any."""
        if self.protocol is None and all(query.kind is None for query in self.queries):
            return [None] * len(self.queries)
        default = self.protocol.default_kind if self.protocol else "kind not stated"
        return [query.kind or default for query in self.queries]


def read_benchmark(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    swap_lat_lon: bool = False,
    name: str | None = None,
) -> Benchmark:
    """Read a table of photos with true positions as `whyhere.tables.read_photos` does.

    Args:
        path: CSV, TSV or Parquet.
        columns: What the columns mean, where it is not recognised: field to column, as from `parse_columns`.
        swap_lat_lon: Read latitudes from the column of longitudes and the other way round.
        name: What to call the benchmark; the name of the file by default.

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is no such table, no row of it can be used, or latitude and longitude are swapped.
    """
    table = read_photos(path, columns=columns, swap_lat_lon=swap_lat_lon)
    return Benchmark(name or table.name, table.columns, table.rows, table.queries, table.problems)


def join_benchmarks(benchmarks: list[Benchmark]) -> Benchmark:
    """Join tables into one benchmark.

    Raises:
        UsageError: Two of them name the same photo.
    """
    if len(benchmarks) == 1:
        return benchmarks[0]
    seen: dict[str, Query] = {}
    for benchmark in benchmarks:
        for query in benchmark.queries:
            if query.photo in seen:
                raise UsageError(f"{benchmark.name}: another table has the photo {query.photo!r} already")
            seen[query.photo] = query
    return Benchmark(
        " + ".join(benchmark.name for benchmark in benchmarks),
        benchmarks[0].columns,
        sum(benchmark.rows for benchmark in benchmarks),
        tuple(seen.values()),
        tuple(problem for benchmark in benchmarks for problem in benchmark.problems),
    )


def photos_of(benchmark: Benchmark, folder: Path) -> tuple[Benchmark, dict[str, Path]]:
    """Find the photos of a benchmark.

    Args:
        benchmark: The benchmark.
        folder: Folder that holds them, at any depth.

    Returns:
        The benchmark with only the photos that are there (the others become problems), and their files.

    Raises:
        UsageError: There is no such folder, or none of the photos in it.
    """
    if not folder.is_dir():
        raise UsageError(f"--photos {folder}: there is no such folder")
    there = PhotoFolder(folder)
    found = {query.photo: there.find(query.photo) for query in benchmark.queries}
    files = {photo: path for photo, path in found.items() if path is not None}
    if not files:
        raise UsageError(
            f"--photos {folder}: none of the {len(benchmark.queries)} photos of {benchmark.name} is there; "
            f"the first is called {benchmark.queries[0].photo!r}"
        )
    reason = f"not found in {display_name(folder)}, or more than one file that it may mean"
    missing = [
        Problem("missing photo", query.line or None, query.photo, reason)
        for query in benchmark.queries
        if query.photo not in files
    ]
    kept = tuple(query for query in benchmark.queries if query.photo in files)
    return benchmark.keep(kept, *missing), files


def folder_benchmark(folder: Path) -> tuple[Benchmark, dict[str, Path]]:
    """Make a benchmark of all photos in a folder, with positions still to come from `exif_truth`.

    Raises:
        UsageError: There is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise UsageError(f"--photos {folder}: there is no such folder")
    files: dict[str, Path] = {}
    problems = []
    for found in find_photos([folder]):
        if isinstance(found, PhotoError):
            problems.append(Problem("unreadable photo", None, found.photo, found.reason))
        elif isinstance(found, Path):
            files[found.relative_to(folder).as_posix()] = found
    if not files:
        raise UsageError(f"--photos {folder}: there is no photo in it")
    queries = tuple(Query(photo, 0.0, 0.0) for photo in files)
    return Benchmark(f"{folder.name} (EXIF)", None, len(files), queries, tuple(problems)), files


def exif_truth(
    benchmark: Benchmark,
    files: Mapping[str, Path],
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Take the truth from the photos' own GPS metadata instead of from a table, as for Im2GPS.

    Args:
        benchmark: The benchmark; its positions and names of places are dropped.
        files: Its photos.
        limit: Stop after this many photos that have a position.
        progress: Called with photos done and photos in all.

    Returns:
        The benchmark with only the photos that have a position; the others become problems.
    """
    queries: list[Query] = []
    problems = []
    for done, query in enumerate(benchmark.queries):
        if progress:
            progress(done, len(benchmark.queries))
        try:
            gps = open_photo(files[query.photo]).exif_gps
        except PhotoError as error:
            problems.append(unreadable(query, error.reason))
            continue
        if gps is None:
            problems.append(Problem("no position", query.line or None, query.photo, "no GPS in its metadata"))
            continue
        queries.append(replace(query, lat=gps.lat, lon=gps.lon, country=None, region=None, city=None))
        if len(queries) == limit:
            break
    if not queries:
        raise UsageError(
            f"--truth exif: none of the {len(benchmark.queries)} photos has a GPS position in it"
        )
    return benchmark.keep(tuple(queries), *problems)


def unreadable(query: Query, reason: str) -> Problem:
    """Return the problem of a photo that cannot be read."""
    return Problem("unreadable photo", query.line or None, query.photo, reason)


def leaked_queries(
    lat: ArrayLike, lon: ArrayLike, *, gallery_lat: ArrayLike, gallery_lon: ArrayLike
) -> NDArray[np.bool_]:
    """Find the positions that a gallery holds: within 25 m, or within 1e-4 degrees in both coordinates.

    A gallery made from the same photos lets a system answer a position to the metre that nobody could
    see in a photo: it turns the 1 km figure into a test of the gallery.

    Args:
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        gallery_lat: Latitudes that can be answered, shape (m,).
        gallery_lon: Longitudes that can be answered, shape (m,).

    Returns:
        Whether each position is in the gallery, shape (n,).
    """
    lats, lons = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    order = np.argsort(np.asarray(gallery_lat, np.float64), kind="stable")
    sorted_lat = np.asarray(gallery_lat, np.float64)[order]
    sorted_lon = np.asarray(gallery_lon, np.float64)[order]
    starts = np.searchsorted(sorted_lat, lats - _WINDOW_DEG, side="left")
    ends = np.searchsorted(sorted_lat, lats + _WINDOW_DEG, side="right")
    leaked = np.zeros(len(lats), bool)
    for row in np.flatnonzero(ends > starts):
        near = slice(starts[row], ends[row])
        dlat = np.abs(sorted_lat[near] - lats[row])
        dlon = np.abs(wrap_lon(sorted_lon[near] - lons[row]))
        km = great_circle_km(lats[row], lons[row], sorted_lat[near], sorted_lon[near])
        leaked[row] = bool(((dlat <= LEAK_DEG) & (dlon <= LEAK_DEG) | (km <= LEAK_KM)).any())
    return leaked


def read_gallery(path: str | os.PathLike[str]) -> tuple[Doubles, Doubles]:
    """Read the positions that a system can answer, or was trained on.

    Args:
        path: `.npy` with an array of shape (n, 2), latitude and longitude, or a table with columns for them.

    Returns:
        Latitudes and longitudes in degrees, each of shape (n,).

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is neither.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        points = _table_of_points(path)
        return points[:, 0], points[:, 1]
    if not path.is_file():
        raise MissingFileError(f"{path}: there is no such gallery")
    try:
        with path.open("rb") as file:  # NumPy leaves it open where an archive is damaged
            points = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, OverflowError, BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as a NumPy array: {error}") from error
    numeric = isinstance(points, np.ndarray) and points.dtype.kind in "fiu"
    if not numeric or points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise UsageError(f"{path}: expected finite numbers of shape (n, 2), latitude and longitude")
    if len(points) and np.abs(points[:, 0]).max() > 90.0:
        raise UsageError(f"{path}: a latitude lies beyond 90 degrees; are the columns swapped?")
    return points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)


def _table_of_points(path: Path) -> Doubles:
    header, rows = read_rows(path)
    columns = choose_columns(header, needed=("lat", "lon"))
    at_lat, at_lon = header.index(columns.lat), header.index(columns.lon)
    points = []
    for line, fields in rows:
        try:
            lat, lon = float(fields[at_lat]), float(fields[at_lon])
        except (ValueError, IndexError) as error:
            raise UsageError(f"{path}, line {line}: expected a latitude and a longitude") from error
        if not (-90.0 <= lat <= 90.0 and -360.0 <= lon <= 360.0):
            raise UsageError(
                f"{path}, line {line}: {lat:g}, {lon:g} is no position; are latitude and longitude swapped?"
            )
        points.append((lat, lon))
    return np.array(points, np.float64).reshape(-1, 2)
