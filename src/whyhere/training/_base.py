"""What release `base` learns from, and how its alignment is fitted. Needs no torch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import PhotoCodeAlignment
from whyhere.concepts import LandmarkLabel, PhotoCredit, load_directions
from whyhere.embeddings import EmbeddingCache
from whyhere.errors import MissingFileError, UsageError
from whyhere.gallery import Gallery, interpolate, open_gallery
from whyhere.ranking import CellIndex
from whyhere.releases import Release, galleries_dir
from whyhere.training._grounding import Grounding
from whyhere.training._inputs import Progress
from whyhere.training._landmarks import LandmarkRecipe, Titled, make_landmarks
from whyhere.training._photo_code import PhotoCodeRecipe, fit_photo_code
from whyhere.training._photos import PhotoStore

Doubles = NDArray[np.float64]
Rows = NDArray[np.intp]

SCALE_KM = 100.0
"""Scale of the neighbourhoods that stand for the places of the gallery and of the photos."""

CELL_RESOLUTION = 3

ADDED_WEIGHT = 0.05
"""What a square kilometre weighs where only points lie that were added to cover the land: photos are rare."""


@dataclass(frozen=True, slots=True)
class BasePhotos:
    """The photos that `base` learns from, encoded.

    Attributes:
        files: Names of the photos, as their tables have them.
        kinds: What each shows, such as "town"; "street" where a table has no such column.
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        titled: Titles, precision and whom to name.
        features: Unit image features, shape (n, d).
        targets: Unit location embeddings of the neighbourhoods, shape (n, 512).
        countries: ISO codes of the countries; empty where a table has no such column.
    """

    files: tuple[str, ...]
    kinds: tuple[str, ...]
    lat: Doubles
    lon: Doubles
    titled: Titled
    features: Doubles
    targets: Doubles
    countries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """What was chosen before; docs/base.md has the measurements."""

    code: PhotoCodeRecipe = field(default_factory=PhotoCodeRecipe)
    landmarks: LandmarkRecipe = field(default_factory=LandmarkRecipe)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What is needed beside the photos.

    Attributes:
        gallery: The gallery, with the embeddings of neighbourhoods.
        cells: Its cells.
        concept_ids: Ids of the k concepts.
        directions: Their unit detectors, one a column, shape (d, k).
        maps: Unit directions in which they grow on open maps, zeros without one, shape (512, k).
    """

    gallery: Gallery
    cells: CellIndex
    concept_ids: tuple[str, ...]
    directions: Doubles
    maps: Doubles

    @classmethod
    def open(cls, start: Release) -> Workshop:
        """Open it for the gallery of a release, which is made to cover the land."""
        files = (
            start.part_path(start.config.gallery) / "gallery.npy",
            start.part_path(start.config.location_encoder) / "location_encoder.safetensors",
            galleries_dir(),
        )
        gallery = open_gallery(*files, smoothing_km=SCALE_KM, covers_land=True)
        cells = CellIndex.build(
            gallery.lat,
            gallery.lon,
            resolution=CELL_RESOLUTION,
            added=gallery.added,
            added_weight=ADDED_WEIGHT,
        )
        bank = load_directions()
        directions = bank.directions.T.astype(np.float64)
        directions /= np.linalg.norm(directions, axis=0)
        # Maps are regressed where photos come from, and once for all folds: no photo has a part in them.
        own = len(gallery) - gallery.added
        places = replace(
            gallery,
            lat=gallery.lat[:own],
            lon=gallery.lon[:own],
            embeddings=gallery.embeddings[:own],
            added=0,
        )
        grounding = Grounding.build(places, bank.ids)
        maps = grounding.directions(bank.ids, grounding.embeddings.mean(axis=0))
        return cls(gallery, cells, bank.ids, directions, maps)


def read_base_photos(tables: Sequence[Path], start: Release, gallery: Gallery, told: Progress) -> BasePhotos:
    """Read tables with the columns file, lat, lon, and kind, precision_km, title, licence, author, source.

    Args:
        tables: CSV files; their photos lie beside them. Columns beyond the first three may be missing.
        start: The release whose image tower is used.
        gallery: From which targets are taken.
        told: Told about progress.

    Raises:
        MissingFileError: A table or photo is missing.
        UsageError: A table lacks a column, or a photo cannot be read.
    """
    cache = EmbeddingCache.open(start, view_average="embeddings", engine="onnxruntime")
    rows: list[dict[str, str]] = []
    features: list[NDArray[np.float32]] = []
    for table in tables:
        here = rows_of_table(table)
        store = PhotoStore(table.parent)
        stored = [store.find(row["file"]) for row in here]
        missing = [photo for photo in stored if isinstance(photo, str)]
        if missing:
            raise MissingFileError(f"{table}: {missing[0]}; photos are looked for beside the table")
        embedded = cache.embed_photos(
            [photo for photo in stored if not isinstance(photo, str)],
            [row["file"] for row in here],
            progress=lambda done, total: told("Encoding photos", done, total),
        )
        if embedded.unreadable:
            row, why = next(iter(embedded.unreadable.items()))
            raise UsageError(f"{table}: the photo {here[row]['file']} {why}")
        rows += here
        features.append(embedded.values[embedded.rows])
    return base_photos(rows, np.concatenate(features).astype(np.float64), gallery)


def base_photos(rows: Sequence[dict[str, str]], features: Doubles, gallery: Gallery) -> BasePhotos:
    """Join rows of tables and unit features, shape (n, d)."""
    lat = np.array([float(row["lat"]) for row in rows])
    lon = np.array([float(row["lon"]) for row in rows])
    credits = tuple(
        PhotoCredit(*(row.get(name) or "" for name in ("title", "author", "licence", "source")))
        for row in rows
    )
    precision = np.array([float(row.get("precision_km") or 0.0) for row in rows])
    return BasePhotos(
        files=tuple(row["file"] for row in rows),
        kinds=tuple(row.get("kind") or "street" for row in rows),
        lat=lat,
        lon=lon,
        titled=Titled(lat, lon, precision, credits),
        features=features,
        targets=interpolate(gallery, lat, lon).astype(np.float64),
        countries=tuple(row.get("country") or "" for row in rows),
    )


def rows_of_table(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MissingFileError(f"{table}: cannot read the table ({error}); check --data") from error
    if not rows or not {"file", "lat", "lon"} <= rows[0].keys():
        raise UsageError(f"{table}: must have the columns file, lat and lon, and a row a photo")
    return rows


def fit_base(
    photos: BasePhotos, rows: Rows, workshop: Workshop, recipe: BaseRecipe | None = None
) -> tuple[PhotoCodeAlignment, tuple[LandmarkLabel, ...]]:
    """Fit the alignment of `base` on some photos: all that it knows of photos comes from those."""
    recipe = recipe or BaseRecipe()
    features, targets = photos.features[rows], photos.targets[rows]
    centred = features - features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    landmarks, labels = make_landmarks(photos.titled.take(rows), centred, targets, recipe.landmarks)
    alignment = fit_photo_code(
        workshop.concept_ids,
        workshop.directions,
        features,
        targets,
        recipe.code,
        weights=country_weights([photos.countries[row] for row in rows.tolist()]),
        maps=workshop.maps,
        landmarks=landmarks,
    )
    return alignment, labels


def country_weights(countries: Sequence[str]) -> Doubles:
    """Let a country with four times the photos count twice as much: 1 / sqrt(photos), shape (n,)."""
    _, country, counts = np.unique(np.array(countries), return_inverse=True, return_counts=True)
    weights: Doubles = 1.0 / np.sqrt(counts[country])
    return weights
