"""Measuring answers. Nothing here is needed to locate a photo.

A benchmark is a table of photos with true positions (`read_benchmark`); predictions come from a release
(`predict`) or from any other system (`read_predictions`); `score` turns both into an `Evaluation`, and
`compare` tells two of them apart.
"""

from whyhere.evaluation._accuracy import THRESHOLDS_KM, accuracy_table
from whyhere.evaluation._apart import (
    features_of_photos,
    held_out_description,
    join_benchmarks,
    photos_asked_about,
    predict_apart,
)
from whyhere.evaluation._benchmark import Benchmark, read_benchmark
from whyhere.evaluation._calibration import Calibration, Reliability, RiskCoverage, reliability, risk_coverage
from whyhere.evaluation._charts import bias_map, error_chart, reliability_chart, risk_coverage_chart
from whyhere.evaluation._compare import Comparison, Difference, compare
from whyhere.evaluation._duplicates import near_duplicates, perceptual_hash, photo_hashes
from whyhere.evaluation._evaluation import Evaluation, Leakage, NameFigure, PhotoScore
from whyhere.evaluation._folds import (
    FOLDS_FILE,
    asked_about,
    assign_folds,
    check_folds,
    fold_name,
    place_clusters,
    read_folds,
    write_folds,
)
from whyhere.evaluation._groups import Group
from whyhere.evaluation._guesses import (
    Guess,
    PredictionFile,
    SystemPrediction,
    predictions_schema,
    read_predictions,
    system_prediction,
)
from whyhere.evaluation._held_out import HeldOut, read_held_out
from whyhere.evaluation._kinds import KindFigures
from whyhere.evaluation._leakage import leaked_queries, read_gallery
from whyhere.evaluation._ledger import Ledger, open_ledger
from whyhere.evaluation._markdown import to_markdown
from whyhere.evaluation._protocol import Protocol, read_protocol, shipped_protocols
from whyhere.evaluation._run import exif_truth, folder_benchmark, photos_of, predict, run_description
from whyhere.evaluation._score import accuracy_figures, geoscore, score
from whyhere.evaluation._write import to_json, write_evaluation
from whyhere.tables import Columns, Problem, Query, parse_columns

__all__ = [
    "FOLDS_FILE",
    "THRESHOLDS_KM",
    "Benchmark",
    "Calibration",
    "Columns",
    "Comparison",
    "Difference",
    "Evaluation",
    "Group",
    "Guess",
    "HeldOut",
    "KindFigures",
    "Leakage",
    "Ledger",
    "NameFigure",
    "PhotoScore",
    "PredictionFile",
    "Problem",
    "Protocol",
    "Query",
    "Reliability",
    "RiskCoverage",
    "SystemPrediction",
    "accuracy_figures",
    "accuracy_table",
    "asked_about",
    "assign_folds",
    "bias_map",
    "check_folds",
    "compare",
    "error_chart",
    "exif_truth",
    "features_of_photos",
    "fold_name",
    "folder_benchmark",
    "geoscore",
    "held_out_description",
    "join_benchmarks",
    "leaked_queries",
    "near_duplicates",
    "open_ledger",
    "parse_columns",
    "perceptual_hash",
    "photo_hashes",
    "photos_asked_about",
    "photos_of",
    "place_clusters",
    "predict",
    "predict_apart",
    "predictions_schema",
    "read_benchmark",
    "read_folds",
    "read_gallery",
    "read_held_out",
    "read_predictions",
    "read_protocol",
    "reliability",
    "reliability_chart",
    "risk_coverage",
    "risk_coverage_chart",
    "run_description",
    "score",
    "shipped_protocols",
    "system_prediction",
    "to_json",
    "to_markdown",
    "write_evaluation",
    "write_folds",
]
