"""The recipe of release `base`, in closed form: what it learns from, landmarks, and how it is made.

`whyhere train --config base` runs `train_base`; docs/base.md has what was measured. Needs no torch.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Landmarks, PhotoCodeAlignment, PhotoCodeRecipe, fit_photo_code
from whyhere.concepts import LandmarkLabel, PhotoCredit, load_directions
from whyhere.errors import MissingFileError
from whyhere.evaluation import Protocol, assign_folds, near_duplicates, read_protocol
from whyhere.gallery import Gallery, interpolate, open_gallery
from whyhere.geo import great_circle_km
from whyhere.ranking import CellIndex, RankingConfig
from whyhere.references import Grounding
from whyhere.releases import (
    CREDITS_FILE,
    Credit,
    Release,
    credits_of_table,
    galleries_dir,
    resolve,
    write_credits,
)
from whyhere.tables import read_photos
from whyhere.training._calibration import (
    BASE_RANKING,
    best_calibration,
    forecasts,
    rank_answers,
    ranking_section,
    threshold_to_abstain,
)
from whyhere.training._data import Progress, embedded_photos, read_features
from whyhere.training._release import labels_of_directions, refuse_taken, write_parts

Doubles = NDArray[np.float64]
Rows = NDArray[np.intp]

SCALE_KM = 100.0
"""Scale of the neighbourhoods that stand for the places of the gallery and of the photos."""

SAME_PLACE_KM = 2.0
"""Photos nearer than this to the first photo of a landmark are photos of it."""

REACH, REACH_KM = 0.07, 30.0
"""How far the part of a landmark reaches, in distances of location embeddings; about so many km."""

CALIBRATED_ON = 400
"""Held-out photos of new places that probabilities are made right on."""

CALIBRATION_FOLDS = 4

STREET_CREDIT = Credit(
    author="Mapillary contributors",
    licence="CC BY-SA 4.0",
    source="OpenStreetView-5M (Astruc et al., CVPR 2024)",
)
"""Whom a table without credits of its own owes its photos to: the street-level sample of `base`."""


@dataclass(frozen=True, slots=True)
class BasePhotos:
    """The photos that `base` learns from, encoded.

    Attributes:
        files: Names of the photos, as their tables have them.
        kinds: What each shows, such as "town"; "street" where a table has no such column.
        countries: ISO codes of the countries; empty where a table has no such column.
        credits: Titles and whom to name; a photo with an empty title is no landmark's.
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        precision_km: How far a photo may lie from its position, shape (n,).
        features: Unit image features, shape (n, d).
        targets: Unit location embeddings of the neighbourhoods, shape (n, 512).
    """

    files: tuple[str, ...]
    kinds: tuple[str, ...]
    countries: tuple[str, ...]
    credits: tuple[PhotoCredit, ...]
    lat: Doubles
    lon: Doubles
    precision_km: Doubles
    features: Doubles
    targets: Doubles

    def take(self, rows: Rows) -> BasePhotos:
        """Return some of the photos."""

        def some(values: Any) -> Any:  # noqa: ANN401 - an array or a tuple
            return values[rows] if isinstance(values, np.ndarray) else tuple(values[row] for row in rows)

        return BasePhotos(*(some(getattr(self, one.name)) for one in fields(self)))


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
        gallery = open_gallery(
            start.part_path(start.config.gallery) / "gallery.npy",
            start.part_path(start.config.location_encoder) / "location_encoder.safetensors",
            galleries_dir(),
            smoothing_km=SCALE_KM,
            covers_land=True,
        )
        bank = load_directions()
        directions = bank.directions.T.astype(np.float64)
        directions /= np.linalg.norm(directions, axis=0)
        # Maps are regressed where photos come from, and once for all folds: no photo has a part in them.
        own = slice(len(gallery) - gallery.added)
        places = replace(
            gallery,
            lat=gallery.lat[own],
            lon=gallery.lon[own],
            embeddings=gallery.embeddings[own],
            added=0,
        )
        grounding = Grounding.build(places, bank.ids)
        maps = grounding.directions(bank.ids, grounding.embeddings.mean(axis=0))
        return cls(gallery, BASE_RANKING.cells_of(gallery), bank.ids, directions, maps)


def read_base_photos(
    tables: Sequence[Path],
    start: Release,
    gallery: Gallery,
    told: Progress,
    *,
    features: Path | None = None,
) -> BasePhotos:
    """Read tables, with columns for kind, country, precision_km, title, licence, author and source if any.

    Args:
        tables: CSV files; photos lie beside them. Every row must be good, and every photo readable.
        start: The release whose image tower is used.
        gallery: From which targets are taken.
        told: Told about progress.
        features: In place of photos: `.npy` with unit features for all rows of all tables.

    Raises:
        MissingFileError: A table or photo is missing or cannot be read, or a row is bad.
        UsageError: A table cannot be used, or `features` are not its.
    """
    read = [read_photos(table, swap_remedy="rename the columns in the header line") for table in tables]
    blocks = []
    for path, table in zip(tables, read, strict=True):
        if features is None:
            table, examples = embedded_photos(table, path.parent, start, told)
            blocks.append(examples.take(np.arange(len(examples))))
        if table.problems:
            first = table.problems[0]
            raise MissingFileError(
                f"{path}: line {first.line}: {first.reason}; base needs every row and photo of its tables"
            )
    if features is not None:
        blocks = [read_features(features, rows=sum(table.rows for table in read))]
    queries = [query for table in read for query in table.queries]
    lat, lon = (np.array([getattr(query, name) for query in queries]) for name in ("lat", "lon"))
    found = [one for table in tables for one in credits_of_table(table)]
    credits = [PhotoCredit(one.title, one.author, one.licence, one.source) for one in found]
    return BasePhotos(
        files=tuple(query.photo for query in queries),
        kinds=tuple(query.kind or "street" for query in queries),
        countries=tuple(query.country or "" for query in queries),
        credits=tuple(credits),
        lat=lat,
        lon=lon,
        precision_km=np.array([query.precision_km for query in queries]),
        features=np.concatenate(blocks).astype(np.float64),
        targets=interpolate(gallery, lat, lon).astype(np.float64),
    )


def fit_base(
    photos: BasePhotos, rows: Rows, workshop: Workshop
) -> tuple[PhotoCodeAlignment, tuple[LandmarkLabel, ...]]:
    """Fit the alignment of `base` on some photos: all that it knows of photos comes from those."""
    some = photos.take(rows)
    landmarks, labels = make_landmarks(some)
    alignment = fit_photo_code(
        workshop.concept_ids,
        workshop.directions,
        some.features,
        some.targets,
        PhotoCodeRecipe(),
        weights=country_weights(some.countries),
        maps=workshop.maps,
        landmarks=landmarks,
    )
    return alignment, labels


def country_weights(countries: Sequence[str]) -> Doubles:
    """Let a country with four times the photos count twice as much: 1 / sqrt(photos), shape (n,)."""
    _, country, counts = np.unique(np.array(countries), return_inverse=True, return_counts=True)
    weights: Doubles = 1.0 / np.sqrt(counts[country])
    return weights


def make_landmarks(photos: BasePhotos) -> tuple[Landmarks, tuple[LandmarkLabel, ...]]:
    """Group photos with titles by place.

    Returns:
        Landmarks, and what they are called; photos of one landmark keep their order.
    """
    centred = photos.features - photos.features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    firsts: list[int] = []
    members: list[list[int]] = []
    for row in (row for row, credit in enumerate(photos.credits) if credit.title):
        here = photos.lat[row], photos.lon[row]
        km = great_circle_km(*here, photos.lat[firsts], photos.lon[firsts]) if firsts else np.empty(0)
        nearest = int(km.argmin()) if len(km) else -1
        if nearest >= 0 and km[nearest] <= SAME_PLACE_KM:
            members[nearest].append(row)
        else:
            firsts.append(row)
            members.append([row])
    taken: set[str] = set()
    labels = tuple(
        LandmarkLabel(
            id=_free_id(photos.credits[rows[0]].title, taken),
            name=_landmark_name([photos.credits[row].title for row in rows]),
            lat=round(float(photos.lat[rows[0]]), 4),
            lon=round(float(photos.lon[rows[0]]), 4),
            photos=tuple(photos.credits[row] for row in rows),
        )
        for rows in members
    )
    order = np.array([row for rows in members for row in rows], np.intp)
    of_photo = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    precision = np.array([max(photos.precision_km[rows]) for rows in members])
    made = Landmarks(
        photos=centred[order].astype(np.float16),
        of_photo=of_photo.astype(np.int32),
        places=photos.targets[firsts].astype(np.float16),
        reach=(REACH * np.maximum(precision / REACH_KM, 1.0)).astype(np.float32),
        temperature=0.08,  # chosen before, as PhotoCodeRecipe; docs/base.md has the measurements
        threshold=0.6,
        weight=0.55,
        least=0.02,
    )
    return made, labels


def _landmark_name(titles: Sequence[str]) -> str:
    """Return the shortest title, without a number in brackets."""
    plain = [re.sub(r"\s*\(\d+\)$|<[^>]*>", "", title).strip() or title for title in titles]
    return min(plain, key=len)


def _free_id(title: str, taken: set[str]) -> str:
    """Return an id of plain letters that no other landmark has, and take it."""
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    stem = "landmark-" + (re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:60] or "place")
    free, number = stem, 1
    while free in taken:
        number += 1
        free = f"{stem}-{number}"
    taken.add(free)
    return free


@dataclass(frozen=True, slots=True)
class BaseReport:
    """What came out of making `base`.

    Attributes:
        photos: Photos learned from.
        landmarks: Landmarks among them.
        ranking: What turns its scores into answers: temperature, background, when no place stands out.
        release: Directory of the release.
    """

    photos: int
    landmarks: int
    ranking: RankingConfig
    release: Path


def train_base(
    tables: Sequence[Path],
    out: str | Path,
    *,
    features: Path | None = None,
    progress: Progress | None = None,
) -> BaseReport:
    """Make release `base` from tables of photos.

    Args:
        tables: See `read_base_photos`.
        out: Directory of the release.
        features: See `read_base_photos`.
        progress: Told about progress.

    Raises:
        MissingFileError: A table, a photo or the weights of `base` are missing.
        UsageError: A table cannot be used, or `out` is taken.
    """
    told = progress or (lambda what, done, total: None)
    out, start = Path(out).absolute(), resolve("base")
    refuse_taken(out)
    workshop = Workshop.open(start)
    photos = read_base_photos(tables, start, workshop.gallery, told, features=features)
    ranking = _calibrate(photos, workshop, told)
    alignment, landmarks = fit_base(photos, np.arange(len(photos.files)), workshop)
    config = json.loads((start.directory / "config.json").read_text(encoding="utf-8"))
    config["gallery"] |= {"smoothing_km": SCALE_KM, "covers_land": True}
    config["alignment"] = alignment.section()
    config["ranking"] = ranking_section(ranking)
    labels = labels_of_directions(load_directions(), alignment.concept_ids)
    write_parts(
        out,
        config,
        alignment.tensors(),
        [label.to_dict() for label in labels],
        more={"landmarks.json": landmarks_json(landmarks)},
    )
    credits = [one for table in tables for one in credits_of_table(table, default=STREET_CREDIT)]
    write_credits(out / CREDITS_FILE, credits)
    return BaseReport(len(photos.files), len(landmarks), ranking, out)


def _calibrate(photos: BasePhotos, workshop: Workshop, told: Progress) -> RankingConfig:
    """Fit what turns scores into probabilities on held-out photos of new places.

    At known places the same numbers claim less than they hold: rather that than the other way round.
    """
    gallery, cells = workshop.gallery, workshop.cells
    protocol = msgspec.structs.replace(read_protocol("new-places"), folds=CALIBRATION_FOLDS)
    folds = folds_of(photos, protocol)
    some = np.sort(np.random.default_rng(0).permutation(len(folds))[:CALIBRATED_ON])
    scores = np.empty((len(some), len(gallery)), np.float32)
    for fold in range(CALIBRATION_FOLDS):
        told("Calibrating", fold, CALIBRATION_FOLDS)
        alignment, _ = fit_base(photos, np.flatnonzero(folds != fold), workshop)
        for at in np.flatnonzero(folds[some] == fold):
            code = alignment.encode_image(photos.features[some[at]].astype(np.float32))
            scores[at] = alignment.scores(code, gallery.embeddings)
    lat, lon = photos.lat[some], photos.lon[some]
    ranking = best_calibration(forecasts(scores, lat, lon, gallery, cells))
    answers = [
        rank_answers(one, float(y), float(x), gallery, cells, ranking)
        for one, y, x in zip(scores, lat, lon, strict=True)
    ]
    threshold = threshold_to_abstain(
        [one.places[0].probability for one in answers], [float(one.km[0]) for one in answers]
    )
    return replace(ranking, temperature=round(ranking.temperature, 6), abstain_below=threshold)


def folds_of(photos: BasePhotos, protocol: Protocol) -> Rows:
    """Assign photos to the folds of a protocol; copies of a photo stay together."""
    same = near_duplicates(photos.features, cosine=protocol.duplicate_cosine)
    return assign_folds(protocol, photos.lat, photos.lon, kinds=photos.kinds, groups=same)


def landmarks_json(landmarks: Sequence[LandmarkLabel]) -> bytes:
    """Return what `landmarks.json` of a release holds, a line a landmark."""
    lines = ",\n".join(json.dumps(one.to_dict(), ensure_ascii=False) for one in landmarks)
    return f"[\n{lines}\n]\n".encode()
