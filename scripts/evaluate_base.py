"""Measures the recipe of release `base` by leave-one-out and prints the table of its model card.

    python scripts/evaluate_base.py --photos FOLDER [--json FILE]

Every photo is answered by a recipe, head, means and calibration chosen and fitted on all the other photos.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from base_recipe import (
    held_out_answers,
    held_out_forecasts,
    held_out_heads,
    held_out_scores,
    load_photos,
    named_concepts,
    open_base_gallery,
    threshold_to_abstain,
)
from whyhere.evaluation import Interval, accuracy_table, bootstrap_interval
from whyhere.geo import great_circle_km
from whyhere.training import Grounding


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with index.csv and photos")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()

    gallery, cells, places, table = open_base_gallery()
    photos = load_photos(arguments.photos, places)
    grounding = Grounding.build(gallery, named_concepts()[0])
    heads = held_out_heads(photos, table)
    scores, named = held_out_scores(photos, heads, gallery, grounding)
    forecasts = held_out_forecasts(photos, scores, gallery, cells)
    # The calibration of a photo is the best one on the others (whose heads did see the photo).
    everyone = np.arange(len(photos.files))
    calibrations = [forecasts.calibration(everyone[everyone != row]) for row in everyone]
    answers = held_out_answers(photos, scores, gallery, cells, calibrations)
    best = scores.argmax(axis=1)
    best_km = great_circle_km(photos.lat, photos.lon, gallery.lat[best], gallery.lon[best])
    nearest_km = nearest_neighbour_km(photos.examples.features, photos.lat, photos.lon)

    rows = {
        "whyhere locate, first answer": accuracy_table(answers.error_km),
        "best-scoring gallery point": accuracy_table(best_km),
        "nearest training photo": accuracy_table(nearest_km),
    }
    calibration = {
        "first answer: mean probability": mean_interval(answers.probability),
        "first answer: truth within radius": mean_interval(answers.within.astype(float)),
        "five answers: mean probability": mean_interval(answers.top_probability),
        "five answers: truth within a radius": mean_interval(answers.top_within.astype(float)),
        "part of the best score that named concepts hold": mean_interval(named),
    }
    # The threshold of a photo comes from the others, too.
    thresholds = [threshold_to_abstain(answers.take(everyone[everyone != row])) for row in everyone]
    abstained = answers.probability < np.array(thresholds)
    for name, group in (("answered", ~abstained), ("abstained", abstained)):
        rows[f"{name} ({group.sum()} photos)"] = accuracy_table(answers.error_km[group])
    columns = list(next(iter(rows.values())))
    print(f"{len(photos.files)} photos, leave-one-out; % within the distance, median in km; 95 % intervals\n")
    print("| answer | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, figures_of in rows.items():
        print(f"| {name} | " + " | ".join(show(figures_of[column]) for column in columns) + " |")
    print("\n| held-out photos | % |\n|---|---|")
    for name, interval in calibration.items():
        print(f"| {name} | {show(interval)} |")
    if arguments.json:
        figures = {
            "photos": len(photos.files),
            "calibrations": Counter(map(str, calibrations)),
            "recipes": Counter(str(recipe) for recipe, _ in heads),
            "accuracy": {
                name: {column: interval.to_dict() for column, interval in figures_of.items()}
                for name, figures_of in rows.items()
            },
            "calibration": {name: interval.to_dict() for name, interval in calibration.items()},
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def mean_interval(values: np.ndarray) -> Interval:
    """Return the mean in percent with its bootstrap interval."""
    return bootstrap_interval(100.0 * values, lambda sample: sample.mean(axis=-1))


def nearest_neighbour_km(features: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return the error of answering with the place of the most similar other photo."""
    similarity = features @ features.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.argmax(axis=1)
    return great_circle_km(lat, lon, lat[nearest], lon[nearest])


def show(interval: Interval) -> str:
    """Format a figure with its interval."""
    digits = 0 if interval.high > 100 else 1
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


if __name__ == "__main__":
    main()
