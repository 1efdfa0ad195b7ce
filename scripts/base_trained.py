"""The module trained on the folds of the ablations of release `base`, once for every loss."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base_banks import Bank
from base_recipe import SMOOTHING_KM, TrainingPhotos
from whyhere.encoders import LocationEncoder
from whyhere.gallery import Gallery, Neighbourhoods
from whyhere.releases import asset_path
from whyhere.training import TrainingExamples, read_train_config


@dataclass(frozen=True)
class Trained:
    """One way to train: what differs from the configuration `small`."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)


_FIXED = {"validation_share": 0.0}  # nothing is held out, so all 40 epochs of `small` are run
TRAINED = (
    Trained("trained: both spaces, stopped early (small)"),
    Trained("trained: feature space only (no module)", {"contrast_space": "feature", **_FIXED}),
    Trained("trained: concept space", {"contrast_space": "concept", **_FIXED}),
    Trained("trained: both spaces", _FIXED),
    Trained("trained: both spaces, 400 epochs", {"epochs": 400, **_FIXED}),
    Trained("trained: both + mean (Eq. 6)", {"divergence": "mean", **_FIXED}),
    Trained("trained: both + Cauchy-Schwarz", {"divergence": "cauchy-schwarz", **_FIXED}),
    Trained("trained: both + MMD", {"divergence": "mmd", **_FIXED}),
    Trained("trained: both + MMD, lambda 10", {"divergence": "mmd", "divergence_weight": 10.0, **_FIXED}),
)
_ENCODERS: dict[int, Neighbourhoods] = {}


def trained_answers(
    variant: Trained,
    photos: TrainingPhotos,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    bank: Bank,
    gallery: Gallery,
) -> tuple[NDArray[np.intp], float]:
    """Train on some photos and answer others.

    Places are embedded as neighbourhoods, as for the closed form. Nothing is chosen but, where a run stops
    early, when: on a part of the training photos.

    Returns:
        The best-scoring place of each photo to answer, and the mean cos(B_j, E_j).
    """
    from whyhere.training import fit

    config = replace(read_train_config("small"), calibrate=False, **variant.changes)
    examples = TrainingExamples(
        photos.examples.features[train].astype(np.float32),
        np.arange(len(train)),
        photos.lat[train],
        photos.lon[train],
    )
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(
            examples,
            bank.directions.astype(np.float32),
            _neighbourhoods(gallery),
            config,
            folder=Path(folder),
            gallery=np.stack((gallery.lat, gallery.lon), axis=1),
            tensorboard=False,
        )
    alignment, _ = fitted.trainee.alignment.export(bank.ids)
    best = [
        int(alignment.scores(alignment.encode_image(features), gallery.embeddings).argmax())
        for features in photos.examples.features[test].astype(np.float32)
    ]
    return np.array(best), float(alignment.drift.mean())


def _neighbourhoods(gallery: Gallery) -> Neighbourhoods:
    if id(gallery) not in _ENCODERS:
        encoder = LocationEncoder.load(asset_path("geoclip") / "location_encoder.safetensors")
        _ENCODERS[id(gallery)] = Neighbourhoods.build(
            encoder, gallery.lat, gallery.lon, scale_km=SMOOTHING_KM
        )
    return _ENCODERS[id(gallery)]
