"""How release `base` is made, shared by the scripts that train and that evaluate it.

Every number here was fixed before the first evaluation, except the 100 km scale of the recipe grid (added for
its held-out density) and the calibration grid with its background (added after a first evaluation had shown
overconfidence); see the model card. What is fitted or chosen (recipe, head, means, temperature) is fitted on
training photos alone.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from whyhere.alignment import LinearAlignment
from whyhere.concepts import load_directions
from whyhere.encoders import LocationEncoder, OnnxImageTower
from whyhere.gallery import Gallery, open_gallery
from whyhere.geo import great_circle_km
from whyhere.images import PreprocessSpec, open_photo, preprocess
from whyhere.ranking import CellIndex, RankedPlace, cell_probabilities, rank_places
from whyhere.releases import asset_path, galleries_dir, home
from whyhere.training import (
    CellTable,
    Examples,
    Grounding,
    Recipe,
    RidgeHead,
    choose_recipe,
    closed_form_alignment,
    fit_ridge,
    forecast_loss,
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns scores into probabilities; see `RankingConfig`."""

    temperature: float
    background: float


VIEWS = 7
"""Views of a photo whose embeddings are averaged."""

SMOOTHING_KM = 100.0
"""Scale of the neighbourhoods that stand for the places of the gallery: that of the targets."""

RECIPES = tuple(Recipe(penalty, scale_km) for scale_km in (0.0, SMOOTHING_KM) for penalty in (0.1, 0.3, 1.0))
"""What cross-validation inside the training photos chooses from."""

FOLDS = 5
SPARSITY = 0.01
"""l1 penalty of the concept code; it changes what is named, never the score."""

LEAST_QUALITY = 0.4
"""Concepts are named only where their direction agrees this well with a scene teacher on held-out photos."""

CELL_RESOLUTION = 3
RADIUS_KM = 300.0
CALIBRATIONS = tuple(
    Calibration(float(temperature), background)
    for background in (0.0, 0.2, 0.4, 0.6)
    for temperature in np.geomspace(0.04, 0.32, 9)
)
"""What is fitted so that the probabilities of the answers are right on held-out photos."""


@dataclass(frozen=True, slots=True)
class TrainingPhotos:
    """The photos, encoded.

    Attributes:
        files: File names, as in the index.
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        examples: Features, targets and distances to learn from.
    """

    files: tuple[str, ...]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    examples: Examples


def load_photos(folder: Path, cells: CellTable) -> TrainingPhotos:
    """Encode the photos of a folder with an `index.csv` (columns file, lat, lon).

    Features are kept in the cache, under a fingerprint of the photos, the tower and the views.
    """
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    files = tuple(row["file"] for row in rows)
    lat = np.array([float(row["lat"]) for row in rows])
    lon = np.array([float(row["lon"]) for row in rows])
    encoder = LocationEncoder.load(asset_path("geoclip") / "location_encoder.safetensors")
    locations = encoder.embed(lat, lon).astype(np.float64)
    targets = {0.0: locations / np.linalg.norm(locations, axis=1, keepdims=True)}
    for scale_km in {recipe.scale_km for recipe in RECIPES} - {0.0}:
        targets[scale_km] = cells.neighbourhood_embeddings(lat, lon, scale_km=scale_km)
    examples = Examples(_features(folder, files), targets, cells.distances_km(lat, lon))
    return TrainingPhotos(files, lat, lon, examples)


def fit_head(
    examples: Examples, cells: CellTable, recipes: tuple[Recipe, ...] = RECIPES
) -> tuple[Recipe, RidgeHead]:
    """Choose a recipe by cross-validation and fit it: all that is learned from these photos."""
    recipe = recipes[0]
    if len(recipes) > 1:
        recipe = choose_recipe(examples, cells, recipes, folds=FOLDS, seed=0)
    return recipe, fit_ridge(examples.features, examples.targets[recipe.scale_km], penalty=recipe.penalty)


def held_out_heads(
    photos: TrainingPhotos, cells: CellTable, recipes: tuple[Recipe, ...] = RECIPES
) -> list[tuple[Recipe, RidgeHead]]:
    """Choose and fit once for every photo, on all the others."""
    rows = np.arange(len(photos.files))
    return [
        fit_head(photos.examples.take(rows[rows != row]), cells, recipes)
        for row in track(rows, "Fitting", console=Console(stderr=True))
    ]


def _features(folder: Path, files: tuple[str, ...]) -> NDArray[np.float64]:
    tower_path = asset_path("clip-vit-b16") / "image_tower.onnx"
    digest = hashlib.sha256(f"{VIEWS} {tower_path.stat().st_size}".encode())
    digest.update((tower_path.parent / "manifest.json").read_bytes())
    for name in files:
        digest.update((folder / name).read_bytes())
    cached = home() / "features" / f"{digest.hexdigest()[:16]}.npy"
    if cached.is_file():
        return np.load(cached)
    tower, spec = OnnxImageTower(tower_path), PreprocessSpec(views=VIEWS)
    features = []
    for name in track(files, "Encoding photos", console=Console(stderr=True)):
        embeddings = tower.embed_only(preprocess(open_photo(folder / name).image, spec))
        mean = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).mean(axis=0)
        features.append(mean / np.linalg.norm(mean))
    cached.parent.mkdir(parents=True, exist_ok=True)
    np.save(cached, np.array(features, np.float64))
    return np.array(features, np.float64)


def named_concepts() -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return ids and unit directions, one a column, of the concepts that passed the bank's check."""
    bank = load_directions()
    passed = [
        row
        for row, concept_id in enumerate(bank.ids)
        for entry in bank.concepts
        if entry.id == concept_id and not entry.weak and (entry.quality or 0.0) >= LEAST_QUALITY
    ]
    return tuple(bank.ids[row] for row in passed), bank.directions[passed].T.astype(np.float64)


def alignment_of(head: RidgeHead, examples: Examples, grounding: Grounding) -> LinearAlignment:
    """Join a head and the concepts into an alignment; patterns are learned from the head's own photos."""
    ids, directions = named_concepts()
    return closed_form_alignment(
        head, ids, directions, examples.features, penalty=SPARSITY, grounding=grounding
    )


def open_base_gallery() -> tuple[Gallery, CellIndex, CellTable, CellTable]:
    """Open the gallery of `base` and its cells.

    Returns:
        The gallery, its cells, the cells with the embeddings of single places, from which targets are
        averaged, and with those of neighbourhoods, with which a recipe is chosen as the gallery is answered.
    """
    assets = asset_path("geoclip")
    files = assets / "gallery.npy", assets / "location_encoder.safetensors", galleries_dir()
    gallery = open_gallery(*files, smoothing_km=SMOOTHING_KM)
    cells = CellIndex.build(gallery.lat, gallery.lon, resolution=CELL_RESOLUTION)
    places = CellTable.build(open_gallery(*files), cells)
    return gallery, cells, places, places.smoothed(SMOOTHING_KM)


def held_out_scores(
    photos: TrainingPhotos,
    heads: list[tuple[Recipe, RidgeHead]],
    gallery: Gallery,
    grounding: Grounding,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Score the gallery for every photo with the head that never saw it.

    Returns:
        Scores, shape (photos, gallery), and which part of the best score the named concepts hold, (photos,).
    """
    named = np.empty(len(photos.files))
    scores = np.empty((len(photos.files), len(gallery.lat)), np.float32)
    rows = np.arange(len(photos.files))
    for row, (_, head) in enumerate(track(heads, "Scoring", console=Console(stderr=True))):
        alignment = alignment_of(head, photos.examples.take(rows[rows != row]), grounding)
        code = alignment.encode_image(photos.examples.features[row].astype(np.float32))
        scores[row] = alignment.scores(code, gallery.embeddings)
        best = int(scores[row].argmax())
        parts = alignment.contributions(code, gallery.embeddings[best : best + 1])
        named[row] = 1.0 - float(parts.remainder[0]) / float(parts.scores[0])
    return scores, named


@dataclass(frozen=True, slots=True)
class Forecasts:
    """How the five answers to held-out photos fare under each of `CALIBRATIONS`.

    Attributes:
        loss: Forecast loss, shape (photos, calibrations).
        claimed: Probability of the five answers together, same shape.
        held: Whether the truth lies within the radius of one of them, same shape.
    """

    loss: NDArray[np.float64]
    claimed: NDArray[np.float64]
    held: NDArray[np.float64]

    def calibration(self, rows: NDArray[np.intp]) -> Calibration:
        """Choose by some of the photos: the least loss among those that claim no more than they hold."""
        claimed, held = self.claimed[rows].mean(axis=0), self.held[rows].mean(axis=0)
        modest = np.flatnonzero(claimed <= held)
        if not len(modest):
            return CALIBRATIONS[int((claimed - held).argmin())]
        return CALIBRATIONS[int(modest[self.loss[rows].mean(axis=0)[modest].argmin()])]


def held_out_forecasts(
    photos: TrainingPhotos, scores: NDArray[np.float32], gallery: Gallery, cells: CellIndex
) -> Forecasts:
    """Answer every photo under each of `CALIBRATIONS`."""
    loss = np.empty((len(photos.files), len(CALIBRATIONS)))
    claimed, held = np.empty_like(loss), np.empty_like(loss)
    for row in track(range(len(loss)), "Calibrating", console=Console(stderr=True)):
        for column, calibration in enumerate(CALIBRATIONS):
            places, km = answer(photos, row, scores[row], gallery, cells, calibration)
            loss[row, column] = forecast_loss(places, km)
            claimed[row, column] = sum(place.probability for place in places)
            held[row, column] = any(km <= [place.radius_km for place in places])
    return Forecasts(loss, claimed, held)


def answer(
    photos: TrainingPhotos,
    row: int,
    scores: NDArray[np.float32],
    gallery: Gallery,
    cells: CellIndex,
    calibration: Calibration,
) -> tuple[tuple[RankedPlace, ...], NDArray[np.float64]]:
    """Rank five places as `whyhere locate` does; return them and their distances to the truth."""
    probabilities = cell_probabilities(
        scores, cells, temperature=calibration.temperature, background=calibration.background
    )
    places = rank_places(probabilities, scores, cells, top=5, radius_km=RADIUS_KM)
    points = [place.point for place in places]
    km = great_circle_km(photos.lat[row], photos.lon[row], gallery.lat[points], gallery.lon[points])
    return places, km


@dataclass(frozen=True, slots=True)
class HeldOutAnswers:
    """What the recipe answers for photos that it was not trained on.

    Attributes:
        error_km: Distance from the first answer to the truth, shape (n,).
        probability: Probability of the first answer, shape (n,).
        within: Whether the truth lies within the first answer's radius, shape (n,).
        top_probability: Probability of the first five answers together, shape (n,).
        top_within: Whether the truth lies within the radius of one of the five, shape (n,).
    """

    error_km: NDArray[np.float64]
    probability: NDArray[np.float64]
    within: NDArray[np.bool_]
    top_probability: NDArray[np.float64]
    top_within: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> HeldOutAnswers:
        """Return the answers for some of the photos."""
        return HeldOutAnswers(*(getattr(self, field.name)[rows] for field in fields(self)))


def held_out_answers(
    photos: TrainingPhotos,
    scores: NDArray[np.float32],
    gallery: Gallery,
    cells: CellIndex,
    calibrations: list[Calibration],
) -> HeldOutAnswers:
    """Rank places for every photo as `whyhere locate` does, with one calibration a photo."""
    columns: list[tuple[float, float, bool, float, bool]] = []
    for row, calibration in enumerate(calibrations):
        places, km = answer(photos, row, scores[row], gallery, cells, calibration)
        inside = km <= np.array([place.radius_km for place in places])
        columns.append(
            (
                float(km[0]),
                places[0].probability,
                bool(inside[0]),
                sum(place.probability for place in places),
                bool(inside.any()),
            )
        )
    return HeldOutAnswers(*(np.array(column) for column in zip(*columns, strict=True)))


def threshold_to_abstain(answers: HeldOutAnswers) -> float:
    """Return the probability of the first answer below which no place stands out.

    The rule: the most probable answers are trusted first; abstaining begins where the next tenth of the
    photos, in falling probability, is on the wrong continent (more than 2500 km off) more often than not.
    """
    order = np.argsort(-answers.probability, kind="stable")
    tenth = max(len(order) // 10, 1)
    for start in range(0, len(order) - tenth + 1, tenth):
        if np.median(answers.error_km[order[start : start + tenth]]) > 2500.0:
            return float(answers.probability[order[start]])
    return 0.0
