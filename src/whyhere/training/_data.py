"""What a run learns from: tables, photos and features, and which of them a step sees. Needs no torch.

What a step sees is a function of the seed and the step, and of nothing else.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere.embeddings import EmbeddingCache, StoredPhoto
from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import EARTH_RADIUS_KM, lat_lon_of, unit_vectors
from whyhere.images import PHOTO_SUFFIXES
from whyhere.releases import Release
from whyhere.tables import NameIndex, PhotoTable, Problem

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

_ORDER, _SPLIT, _QUEUE, BATCH_NOISE, QUEUE_NOISE, SHARE = range(6)
_BLOCK_DEG = 10.0


@dataclass(frozen=True, slots=True)
class Examples:
    """Photos with their places.

    Attributes:
        features: Image features, float32, shape (m, p); may be a memory map.
        rows: Row of `features` of each photo, shape (n,).
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
    """

    features: NDArray[np.float32]
    rows: Rows
    lat: Doubles
    lon: Doubles

    def __len__(self) -> int:
        return len(self.lat)

    @classmethod
    def of(cls, table: PhotoTable, features: NDArray[np.float32], rows: Rows) -> Examples:
        """Join the photos of a table and the rows of their features."""
        places = np.array([(query.lat, query.lon) for query in table.queries], np.float64).reshape(-1, 2)
        return cls(features, rows, places[:, 0].copy(), places[:, 1].copy())

    def take(self, photos: Rows) -> NDArray[np.float32]:
        """Return the features of some photos, read from the map now."""
        return np.asarray(self.features[self.rows[photos]], np.float32)


def read_features(path: str | Path, *, rows: int) -> NDArray[np.float32]:
    """Open a `.npy` with unit features, as a memory map of shape (rows, p).

    Raises:
        MissingFileError: It cannot be read.
        UsageError: It has another shape.
    """
    try:
        values: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MissingFileError(f"{path}: cannot read the features ({error}); check --features") from error
    if values.ndim != 2 or len(values) != rows or values.dtype.kind != "f":
        raise UsageError(
            f"{path}: features must be floats with one row for each of the {rows} rows of the table, "
            f"not {values.dtype} {values.shape}"
        )
    return values


def given_features(table: PhotoTable, path: str | Path) -> tuple[PhotoTable, Examples]:
    """Take features from a `.npy` with a row for every row of a table, bad rows included.

    Returns:
        The table without the rows whose features are not finite, which become problems; and its examples.

    Raises:
        MissingFileError: The file cannot be read.
        UsageError: It does not belong to the table, or the features are not of unit length.
    """
    values = read_features(path, rows=table.rows)
    rows = np.array([query.row for query in table.queries], np.int64)
    bad: dict[int, str] = {}
    for begin in range(0, len(rows), 65536):
        norms = np.linalg.norm(np.asarray(values[rows[begin : begin + 65536]], np.float64), axis=1)
        known = np.isfinite(norms)
        bad |= {begin + int(i): "its features are not finite" for i in np.flatnonzero(~known)}
        if (np.abs(norms[known] - 1) > 0.01).any():
            raise UsageError(
                f"{path}: features must have unit length, as whyhere computes them: the mean of the unit "
                "embeddings of a photo's views, scaled to length 1"
            )
    table = _without(table, bad, "bad row")
    return table, Examples.of(table, values, np.array([query.row for query in table.queries], np.int64))


def embedded_photos(
    table: PhotoTable, photos: str | Path, start: Release, told: Progress
) -> tuple[PhotoTable, Examples]:
    """Embed the photos of a table, or take them from the cache.

    Args:
        table: The table.
        photos: Folder or tar files with the photos.
        start: The release whose image tower looks at them.
        told: Told about progress.

    Returns:
        The table without missing and unreadable photos, which become problems; and its examples.

    Raises:
        MissingFileError: There are no photos at all, or no weights.
        UsageError: None of the table's photos is there.
    """
    store = PhotoStore(photos)
    found = [store.find(query.photo) for query in table.queries]
    missing = {at: why for at, why in enumerate(found) if isinstance(why, str)}
    if len(missing) == len(found):
        raise UsageError(f"none of the {len(missing)} photos of the table is in {photos}; check --photos")
    table = _without(table, missing, "missing photo")
    stored = [photo for photo in found if isinstance(photo, StoredPhoto)]
    # What is learned from must not depend on which engine this machine prefers.
    cache = EmbeddingCache.open(start, view_average="embeddings", engine="onnxruntime")
    embedded = cache.embed_photos(
        stored,
        [query.photo for query in table.queries],
        progress=lambda done, total: told("Encoding photos", done, total),
    )
    table = _without(table, embedded.unreadable, "unreadable photo")
    return table, Examples.of(table, embedded.values, embedded.rows[embedded.rows >= 0])


def _without(table: PhotoTable, reasons: Mapping[int, str], kind: str) -> PhotoTable:
    """Return a table without some of its photos, which become problems for the reasons given."""
    kept = tuple(query for at, query in enumerate(table.queries) if at not in reasons)
    left_out = [(table.queries[at], why) for at, why in reasons.items()]
    found = [Problem(kind, query.line, query.photo, why) for query, why in left_out]
    problems = sorted((*table.problems, *found), key=lambda problem: problem.line or 0)
    return msgspec.structs.replace(table, queries=kept, problems=tuple(problems))


class PhotoStore:
    """Finds photos by the names that a table uses, in a folder or in tar files as WebDataset writes them.

    A table may name a file as it lies there, without its directory, or without its suffix (as WebDataset's
    keys are); a name that fits two photos finds neither.

    Args:
        source: A folder of photos; a tar file; or a folder of tar files.

    Raises:
        MissingFileError: There is nothing of the kind.
    """

    def __init__(self, source: str | Path) -> None:
        self._source = Path(source)
        if not self._source.exists():
            raise MissingFileError(f"{source}: no such folder or tar file of photos; check --photos")
        tars = [self._source] if self._source.is_file() else sorted(self._source.glob("*.tar"))
        self._photos = dict(_in_tars(tars) if tars else _in_folder(self._source))
        if not self._photos:
            raise MissingFileError(
                f"{source}: neither photos ({' '.join(PHOTO_SUFFIXES)}) nor .tar files in it; check --photos"
            )
        self._names = NameIndex(self._photos)
        self._keys: dict[str, str | None] = {}  # WebDataset's: what stands before the first dot
        for name in self._photos:
            key = PurePosixPath(name).name.partition(".")[0]
            self._keys[key] = None if key in self._keys else name

    def find(self, name: str) -> StoredPhoto | str:
        """Return the photo that a table calls `name`, or in words why there is none."""
        found = self._names.find(name) or self._keys.get(name)
        if found is None:
            return f"no photo called {name} in {self._source}, or more than one"
        return self._photos[found]


def _in_folder(folder: Path) -> Iterator[tuple[str, StoredPhoto]]:
    # Directories that cannot be read are passed over: the table's rows say which photos are not there.
    for path in sorted(Path(where, file) for where, _, files in os.walk(folder) for file in files):
        if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file():
            yield path.relative_to(folder).as_posix(), StoredPhoto.of(path)


def _in_tars(tars: list[Path]) -> Iterator[tuple[str, StoredPhoto]]:
    """Yield the photos in plain tar files; only headers are read, photos are reached by offset."""
    for path in tars:
        modified_ns = path.stat().st_mtime_ns
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isfile() and PurePosixPath(member.name).suffix.lower() in PHOTO_SUFFIXES:
                        name = member.name.removeprefix("./")
                        yield name, StoredPhoto(path, member.offset_data, member.size, modified_ns)
        except (tarfile.TarError, OSError) as error:
            raise MissingFileError(
                f"{path}: not a complete uncompressed tar file ({error}); fetch it again"
            ) from error


def generator(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    """Return the generator of one purpose at one step or epoch."""
    return np.random.default_rng((seed, purpose, number))


def split(lat: Doubles, lon: Doubles, *, share: float, blocks: bool, seed: int) -> tuple[Rows, Rows]:
    """Divide photos into training and validation.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        share: Share of the photos for validation, met from below by whole blocks.
        blocks: Hold out whole fields of 10 by 10 degrees, so that no validation photo has a neighbour in
            training; otherwise single photos.
        seed: Seed.

    Returns:
        Rows of the training and of the validation photos, rising.

    Raises:
        UsageError: Too few photos are left to train on.
    """
    rng, count = generator(seed, _SPLIT), len(lat)
    if blocks:
        columns = int(360 / _BLOCK_DEG)
        block = np.floor((lat + 90) / _BLOCK_DEG) * columns + np.floor((lon + 180) / _BLOCK_DEG)
        names, block_of = np.unique(block, return_inverse=True)
        sizes = np.bincount(block_of)
        held, room = np.zeros(len(names), bool), share * count
        for number in rng.permutation(len(names)):
            if sizes[number] <= room:
                held[number] = True
                room -= sizes[number]
        mask = held[block_of]
    else:
        mask = np.zeros(count, bool)
        mask[rng.permutation(count)[: int(share * count)]] = True
    training, validation = np.flatnonzero(~mask), np.flatnonzero(mask)
    if len(training) < 2:
        raise UsageError(f"{len(training)} photos are too few to train on; at least 2 must be left")
    return training, validation


def thinned(rows: Rows, most: int) -> Rows:
    """Return at most so many rows, evenly spread."""
    kept: Rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]
    return kept


def epoch_order(count: int, *, seed: int, epoch: int) -> Rows:
    """Return the order in which an epoch goes through the photos."""
    return generator(seed, _ORDER, epoch).permutation(count)


class Negatives:
    """A ring of coordinates, embedded anew each step.

    Args:
        size: Coordinates it holds.
        places: Where they come from before the batches, and with `from_places` always: latitude and
            longitude in degrees, shape (m, 2).
        from_places: Replace the oldest by random places instead of by the batch.
        seed: Seed.
    """

    def __init__(self, *, size: int, places: Doubles, from_places: bool, seed: int) -> None:
        self._places, self._from_places, self._seed = places, from_places, seed
        self.ring = places[generator(seed, _QUEUE).integers(len(places), size=size)]

    def push(self, batch: Doubles, *, step: int) -> None:
        """Replace the oldest coordinates after a step by the batch's, or by as many random places."""
        count = min(len(batch), len(self.ring))
        if self._from_places:
            rng = generator(self._seed, _QUEUE, step)
            batch = self._places[rng.integers(len(self._places), size=count)]
        self.ring = np.concatenate((self.ring[count:], batch[:count]))


def same_place(
    lat: Doubles, lon: Doubles, other_lat: Doubles, other_lon: Doubles, *, km: float
) -> NDArray[np.bool_]:
    """Tell which pairs of places lie within `km` of each other, shape (n, m); none for 0 km."""
    if km <= 0:
        return np.zeros((len(lat), len(other_lat)), bool)
    # |a - b|^2 = 2 - 2 <a, b>, and half the chord is the sine of half the angle.
    cosines = unit_vectors(lat, lon) @ unit_vectors(other_lat, other_lon).T
    near: NDArray[np.bool_] = 1 - cosines <= 2 * np.sin(km / (2 * EARTH_RADIUS_KM)) ** 2
    return near


def jitter(
    lat: Doubles, lon: Doubles, *, sigma_m: float, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """Move positions by normal noise, right at any latitude and across the date line.

    The step is taken on the tangent plane and back onto the sphere, which is the same for metres and needs no
    special case where a degree of longitude shrinks to nothing.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        sigma_m: Standard deviation northwards and eastwards, in metres.
        rng: Source of the noise.

    Returns:
        Latitudes in -90 to 90 and longitudes in [-180, 180), shape (n,) each. The generator advances by the
        same amount for any `sigma_m`.
    """
    steps = rng.standard_normal((2, len(lat)))
    if sigma_m == 0:
        return lat.copy(), lon.copy()
    north_m, east_m = steps * (sigma_m / (EARTH_RADIUS_KM * 1000))
    phi, lam = np.radians(lat), np.radians(lon)
    north = np.stack((-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)), axis=1)
    east = np.stack((-np.sin(lam), np.cos(lam), np.zeros_like(lam)), axis=1)
    # lat_lon_of takes vectors of any length: no need to scale back to the sphere.
    return lat_lon_of(unit_vectors(lat, lon) + north_m[:, None] * north + east_m[:, None] * east)
