"""Making release `base`: what `whyhere train --config base` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from whyhere._io import seal, write_atomically
from whyhere.alignment import PhotoCodeAlignment
from whyhere.concepts import ConceptLabel, LandmarkLabel, load_bank, load_directions
from whyhere.errors import UsageError
from whyhere.releases import CREDITS_FILE, Credit, Release, credits_of_table, resolve, write_credits
from whyhere.training._base import (
    ADDED_WEIGHT,
    CELL_RESOLUTION,
    SCALE_KM,
    BasePhotos,
    BaseRecipe,
    Workshop,
    base_photos,
    fit_base,
    read_base_photos,
    rows_of_table,
)
from whyhere.training._base_calibration import (
    RADIUS_KM,
    Calibration,
    best_calibration,
    forecasts,
    rank_answers,
    threshold_to_abstain,
)
from whyhere.training._export import json_bytes
from whyhere.training._features import features_from_file
from whyhere.training._inputs import Progress

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
class BaseReport:
    """What came out of making `base`.

    Attributes:
        photos: Photos learned from.
        landmarks: Landmarks among them.
        calibration: What turns its scores into probabilities.
        abstain_below: Probability of a first answer below which no place stands out.
        release: Directory of the release.
    """

    photos: int
    landmarks: int
    calibration: Calibration
    abstain_below: float
    release: Path


def train_base(
    tables: Sequence[Path],
    out: str | Path,
    *,
    features: Path | None = None,
    recipe: BaseRecipe | None = None,
    progress: Progress | None = None,
) -> BaseReport:
    """Make release `base` from tables of photos.

    Args:
        tables: See `read_base_photos`.
        out: Directory of the release.
        features: In place of photos: `.npy` with unit features for all rows of the tables, one after the
            other.
        recipe: What is chosen; the shipped one by default.
        progress: Told about progress.

    Returns:
        The report.

    Raises:
        MissingFileError: A table, a photo or the weights of `base` are missing.
        UsageError: A table cannot be used, or `out` is taken.
    """
    told = progress or (lambda what, done, total: None)
    out, start, recipe = Path(out).absolute(), resolve("base"), recipe or BaseRecipe()
    if (out / "config.json").exists():
        raise UsageError(f"{out} already holds a release; choose another directory for --release")
    workshop = Workshop.open(start)
    if features is None:
        photos = read_base_photos(tables, start, workshop.gallery, told)
    else:
        rows = [row for table in tables for row in rows_of_table(table)]
        values = features_from_file(features, rows=len(rows)).astype(np.float64)
        photos = base_photos(rows, values, workshop.gallery)
    calibration, abstain_below = _calibrate(photos, workshop, recipe, told)
    alignment, landmarks = fit_base(photos, np.arange(len(photos.files)), workshop, recipe)
    _write(out, start, alignment, landmarks, calibration, abstain_below)
    credits = [one for table in tables for one in credits_of_table(table, default=STREET_CREDIT)]
    write_credits(out / CREDITS_FILE, credits)
    return BaseReport(len(photos.files), len(landmarks), calibration, abstain_below, out)


def _calibrate(
    photos: BasePhotos, workshop: Workshop, recipe: BaseRecipe, told: Progress
) -> tuple[Calibration, float]:
    """Fit what turns scores into probabilities on held-out photos of new places.

    At known places the same numbers claim less than they hold: rather that than the other way round.
    """
    from whyhere.evaluation import assign_folds, near_duplicates, read_protocol

    gallery, cells = workshop.gallery, workshop.cells
    protocol = replace(read_protocol("new-places"), folds=CALIBRATION_FOLDS)
    same = near_duplicates(photos.features, cosine=protocol.duplicate_cosine)
    folds = assign_folds(protocol, photos.lat, photos.lon, kinds=photos.kinds, groups=same)
    some = np.sort(np.random.default_rng(0).permutation(len(folds))[:CALIBRATED_ON])
    scores = np.empty((len(some), len(gallery)), np.float32)
    for fold in range(CALIBRATION_FOLDS):
        told("Calibrating", fold, CALIBRATION_FOLDS)
        alignment, _ = fit_base(photos, np.flatnonzero(folds != fold), workshop, recipe)
        for at in np.flatnonzero(folds[some] == fold):
            code = alignment.encode_image(photos.features[some[at]].astype(np.float32))
            scores[at] = alignment.scores(code, gallery.embeddings)
    lat, lon = photos.lat[some], photos.lon[some]
    calibration = best_calibration(forecasts(scores, lat, lon, gallery, cells))
    answers = [
        rank_answers(one, float(y), float(x), gallery, cells, calibration)
        for one, y, x in zip(scores, lat, lon, strict=True)
    ]
    threshold = threshold_to_abstain(
        [one.places[0].probability for one in answers], [float(one.km[0]) for one in answers]
    )
    return calibration, threshold


def _write(
    out: Path,
    start: Release,
    alignment: PhotoCodeAlignment,
    landmarks: Sequence[LandmarkLabel],
    calibration: Calibration,
    abstain_below: float,
) -> None:
    """Write the release; `config.json`, which makes the directory one, comes last."""
    from safetensors.numpy import save

    out.mkdir(parents=True, exist_ok=True)
    bank, known = {concept.id: concept for concept in load_bank()}, load_directions()
    sources = {entry.id: entry.source for entry in known.concepts}
    labels = [
        ConceptLabel(c.id, c.name, c.group, c.definition, sources[c.id])
        for c in (bank[concept_id] for concept_id in alignment.concept_ids)
    ]
    write_atomically(out / "model.safetensors", save(alignment.tensors()))
    write_atomically(out / "concepts.json", json_bytes([label.to_dict() for label in labels]))
    write_atomically(out / "landmarks.json", landmarks_json(landmarks))
    config = json.loads((start.directory / "config.json").read_text(encoding="utf-8"))
    config["gallery"] |= {"smoothing_km": SCALE_KM, "covers_land": True}
    config["alignment"] = alignment.section()
    config["ranking"] = {
        "temperature": round(calibration.temperature, 6),
        "background": calibration.background,
        "cell_resolution": CELL_RESOLUTION,
        "radius_km": RADIUS_KM,
        "added_weight": ADDED_WEIGHT,
        "abstain_below": round(abstain_below, 4),
    }
    data = json_bytes(config)
    decisive = ("model.safetensors", "concepts.json", "landmarks.json")
    seal(out, decisive, coming={"config.json": data})
    write_atomically(out / "config.json", data)


def landmarks_json(landmarks: Sequence[LandmarkLabel]) -> bytes:
    """Return what `landmarks.json` of a release holds, a line a landmark."""
    lines = ",\n".join(json.dumps(one.to_dict(), ensure_ascii=False) for one in landmarks)
    return f"[\n{lines}\n]\n".encode()
