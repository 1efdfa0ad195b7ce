"""Probes: how much of the world do location embeddings, and the concepts read off them, know?

A probe is a small model that learns a target (temperature, country, ...) from the features of places. How
well it does on places it has not seen says what the features hold. Everything in a probe that is learned
or chosen is learned and chosen on training parts alone. Nothing here is needed to locate a photo; it needs
`pip install "whyhere[probe]"`.
"""

from whyhere.evaluation.probing._probes import (
    CONTROLS,
    FEATURES,
    ConceptSpace,
    FeatureMaker,
    Fold,
    Splitter,
    blocks,
    concept_space,
    ridge_predictions,
    spherical_harmonics,
    standardise,
)
from whyhere.evaluation.probing._report import (
    BAR,
    Kept,
    ProbeReport,
    Score,
    Settings,
    markdown,
    plain_table,
    plots,
    run_probes,
    sentence,
)
from whyhere.evaluation.probing._tasks import (
    MissingPackageError,
    Skipped,
    Task,
    coast_km,
    elevations_m,
    finished,
    koppen_classes,
    land_points,
    land_tasks,
    people_within,
    read_table,
    station_tasks,
)

__all__ = [
    "BAR",
    "CONTROLS",
    "FEATURES",
    "ConceptSpace",
    "FeatureMaker",
    "Fold",
    "Kept",
    "MissingPackageError",
    "ProbeReport",
    "Score",
    "Settings",
    "Skipped",
    "Splitter",
    "Task",
    "blocks",
    "coast_km",
    "concept_space",
    "elevations_m",
    "finished",
    "koppen_classes",
    "land_points",
    "land_tasks",
    "markdown",
    "people_within",
    "plain_table",
    "plots",
    "read_table",
    "ridge_predictions",
    "run_probes",
    "sentence",
    "spherical_harmonics",
    "standardise",
    "station_tasks",
]
