"""Making releases. Nothing here is needed to locate a photo.

Two recipes share tables, embeddings, calibration and the writing of a release: `train_release` trains the
Concept-Aware Alignment Module, `train_base` makes release `base` in closed form. Importing this package loads
no torch: names that need it load it when they are first used.
"""

from importlib import import_module
from typing import Any

from whyhere.training._base import (
    BasePhotos,
    Workshop,
    country_weights,
    fit_base,
    folds_of,
    landmarks_json,
    make_landmarks,
    read_base_photos,
    train_base,
)
from whyhere.training._calibration import (
    CALIBRATIONS,
    KERNEL_KM,
    LEAST_PHOTOS,
    best_calibration,
    check_held_out,
    forecast_loss,
    forecasts,
    rank_answers,
    ranking_section,
    threshold_to_abstain,
)
from whyhere.training._config import TrainConfig, read_train_config, shipped_configs
from whyhere.training._data import (
    Examples,
    Negatives,
    PhotoStore,
    epoch_order,
    given_features,
    jitter,
    read_features,
    same_place,
    split,
)
from whyhere.training._release import concept_directions, train_release

_NEEDS_TORCH = {
    "DIVERGENCES": "_module",
    "ConceptAlignmentModule": "_module",
    "Fitted": "_loop",
    "LocationNet": "_module",
    "Start": "_module",
    "Trainee": "_module",
    "contrastive_loss": "_module",
    "fit": "_loop",
    "median_distance": "_module",
    "process_group": "_distributed",
    "rank": "_distributed",
}

__all__ = [
    "CALIBRATIONS",
    "KERNEL_KM",
    "LEAST_PHOTOS",
    "BasePhotos",
    "Examples",
    "Negatives",
    "PhotoStore",
    "TrainConfig",
    "Workshop",
    "best_calibration",
    "check_held_out",
    "concept_directions",
    "country_weights",
    "epoch_order",
    "fit_base",
    "folds_of",
    "forecast_loss",
    "forecasts",
    "given_features",
    "jitter",
    "landmarks_json",
    "make_landmarks",
    "rank_answers",
    "ranking_section",
    "read_base_photos",
    "read_features",
    "read_train_config",
    "same_place",
    "shipped_configs",
    "split",
    "threshold_to_abstain",
    "train_base",
    "train_release",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in _NEEDS_TORCH:
        return getattr(import_module(f"whyhere.training.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
