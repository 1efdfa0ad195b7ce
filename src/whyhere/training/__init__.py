"""Making releases. Nothing here is needed to locate a photo.

Importing this package loads no torch: the closed form, tables, features and configurations work without it,
and names that need it load it when they are first used.
"""

from typing import Any

from whyhere.training._base import BasePhotos, BaseRecipe, Workshop, fit_base
from whyhere.training._batches import Examples as TrainingExamples
from whyhere.training._cells import CellTable
from whyhere.training._closed_form import closed_form_alignment
from whyhere.training._concept_patterns import ConceptPatterns, concept_patterns
from whyhere.training._config import TrainConfig, read_train_config, shipped_configs
from whyhere.training._directions import concept_directions
from whyhere.training._features import features_from_file
from whyhere.training._forecast import forecast_loss
from whyhere.training._grounding import Grounding
from whyhere.training._landmarks import LandmarkRecipe, Titled, make_landmarks
from whyhere.training._noise import jitter
from whyhere.training._photo_code import PhotoCodeRecipe, fit_columns, fit_photo_code, learned_patterns
from whyhere.training._photos import PhotoStore
from whyhere.training._ridge import RidgeHead, fit_ridge
from whyhere.training._run import TrainingReport, train_release
from whyhere.training._selection import Examples, Recipe, choose_recipe
from whyhere.training._table import RowProblem, TrainingTable, read_table
from whyhere.training._temperature import KERNEL_KM, negative_log_densities
from whyhere.training._train_base import BaseReport, landmarks_json, train_base

__all__ = [
    "KERNEL_KM",
    "BasePhotos",
    "BaseRecipe",
    "BaseReport",
    "CellTable",
    "ConceptPatterns",
    "Examples",
    "Grounding",
    "LandmarkRecipe",
    "PhotoCodeRecipe",
    "PhotoStore",
    "Recipe",
    "RidgeHead",
    "RowProblem",
    "Titled",
    "TrainConfig",
    "TrainingExamples",
    "TrainingReport",
    "TrainingTable",
    "Workshop",
    "choose_recipe",
    "closed_form_alignment",
    "concept_directions",
    "concept_patterns",
    "features_from_file",
    "fit_base",
    "fit_columns",
    "fit_photo_code",
    "fit_ridge",
    "forecast_loss",
    "jitter",
    "landmarks_json",
    "learned_patterns",
    "make_landmarks",
    "negative_log_densities",
    "read_table",
    "read_train_config",
    "shipped_configs",
    "train_base",
    "train_release",
]

_NEEDS_TORCH = {
    "ConceptAlignmentModule": "_module",
    "Fitted": "_loop",
    "LocationNet": "_location_net",
    "Start": "_module",
    "fit": "_loop",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in _NEEDS_TORCH:
        from importlib import import_module

        return getattr(import_module(f"whyhere.training.{_NEEDS_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
