"""Probes: how much of the world do location embeddings, and the concepts read off them, know?

A probe is a small model that learns a target (temperature, country, ...) from the features of places. How
well it does on places it has not seen says what the features hold. Everything in a probe that is learned
or chosen is learned and chosen on training parts alone. Nothing here is needed to locate a photo; it needs
`pip install "whyhere[probe]"`.
"""

from whyhere.evaluation.probing._features import CONTROLS, FEATURES, ConceptSpace, FeatureMaker, concept_space
from whyhere.evaluation.probing._harmonics import spherical_harmonics
from whyhere.evaluation.probing._land import land_points, land_tasks
from whyhere.evaluation.probing._report import BAR, ProbeReport, markdown, plain_table
from whyhere.evaluation.probing._run import Kept, Score, Settings, run_probes
from whyhere.evaluation.probing._splits import Fold, Splitter
from whyhere.evaluation.probing._stations import station_tasks
from whyhere.evaluation.probing._svg import plots
from whyhere.evaluation.probing._table import read_table
from whyhere.evaluation.probing._task import Skipped, Task, finished

__all__ = [
    "BAR",
    "CONTROLS",
    "FEATURES",
    "ConceptSpace",
    "FeatureMaker",
    "Fold",
    "Kept",
    "ProbeReport",
    "Score",
    "Settings",
    "Skipped",
    "Splitter",
    "Task",
    "concept_space",
    "finished",
    "land_points",
    "land_tasks",
    "markdown",
    "plain_table",
    "plots",
    "read_table",
    "run_probes",
    "spherical_harmonics",
    "station_tasks",
]
