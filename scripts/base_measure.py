"""Measures the recipe of release `base` by the shipped protocols: what its model card says.

    python scripts/base_measure.py --data TABLE [--data TABLE] [--out DIR] [--features FILE.npy]

New places, known places and street level, see docs/evaluate.md. Every photo is answered by an alignment that
was fitted on photos of other folds alone, with temperature and background fitted on the held-out answers of
other folds. Answers are those of `whyhere evaluate --held-out`.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from whyhere.evaluation import Protocol, asked_about, read_protocol
from whyhere.evaluation.faithfulness import region
from whyhere.geo import great_circle_km, unit_vectors
from whyhere.releases import resolve
from whyhere.stats import mean_interval
from whyhere.training import (
    BasePhotos,
    Workshop,
    best_calibration,
    fit_base,
    folds_of,
    forecasts,
    rank_answers,
    read_base_photos,
)

THRESHOLDS_KM = (25, 200, 750, 2500)
STREET_FOLDS = 11
"""Street-level photos are left out in so many folds instead of one by one, which would take a day."""

CALIBRATED_ON = 200
"""Photos of other folds that a calibration is fitted on."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_photo_arguments(parser)
    parser.add_argument("--protocol", action="append", help="all three by default")
    parser.add_argument("--out", type=Path, help="also write the answers there")
    arguments = parser.parse_args()
    workshop, photos = read_photos(arguments)
    for name in arguments.protocol or ("new-places", "known-places", "street-level"):
        protocol = read_protocol(name)
        if name == "street-level":
            protocol = structs.replace(protocol, folds=STREET_FOLDS)
        answers = measure(protocol, photos, workshop)
        report(protocol, answers)
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            with (arguments.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, answers[0].keys())
                writer.writeheader()
                writer.writerows(answers)


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Ask for the photos."""
    parser.add_argument("--data", type=Path, action="append", required=True, help="table; photos beside it")
    parser.add_argument("--features", type=Path, help="unit features of all rows of the tables, .npy")


def read_photos(arguments: argparse.Namespace) -> tuple[Workshop, BasePhotos]:
    """Open what is needed and read the photos, or their features."""

    def told(what: str, done: int, total: int) -> None:
        if done % 100 == 0:
            print(f"{what}: {done} of {total}", file=sys.stderr)

    start = resolve("base")
    workshop = Workshop.open(start)
    photos = read_base_photos(arguments.data, start, workshop.gallery, told, features=arguments.features)
    return workshop, photos


def measure(protocol: Protocol, photos: BasePhotos, workshop: Workshop) -> list[dict[str, Any]]:
    """Fit every fold of a protocol and answer its photos."""
    gallery, cells = workshop.gallery, workshop.cells
    folds = folds_of(photos, protocol)
    asked = np.flatnonzero((folds >= 0) & asked_about(protocol, photos.kinds))
    folds_asked = folds[asked]
    scores = np.empty((len(asked), len(gallery)), np.float32)
    alone = np.empty(len(asked), np.intp)
    parts: list[Any] = [None] * len(asked)
    for fold in np.unique(folds_asked):
        alignment, _ = fit_base(photos, np.flatnonzero(folds != fold), workshop)
        for at in np.flatnonzero(folds_asked == fold).tolist():
            code = alignment.encode_image(photos.features[asked[at]].astype(np.float32))
            scores[at] = alignment.scores(code, gallery.embeddings)
            named = replace(code, residual=0 * code.residual, landmarks=0 * code.landmarks)
            alone[at] = alignment.scores(named, gallery.embeddings).argmax()
            parts[at] = alignment, code
        print(f"{protocol.name}: fold {fold}", file=sys.stderr)
    some = np.sort(np.random.default_rng(0).permutation(len(asked))[:CALIBRATED_ON])
    rows = asked[some]
    found = forecasts(scores[some], photos.lat[rows], photos.lon[rows], gallery, cells)
    calibrations = {
        int(fold): best_calibration(found[:, folds_asked[some] != fold]) for fold in np.unique(folds_asked)
    }
    truth = (unit_vectors(photos.lat, photos.lon)[asked] @ cells.centres().T).argmax(axis=1)
    answers = []
    for at, row in enumerate(asked.tolist()):
        here = float(photos.lat[row]), float(photos.lon[row])
        calibration = calibrations[int(folds_asked[at])]
        ranked = rank_answers(scores[at], *here, gallery, cells, calibration)
        first, (alignment, code) = ranked.places[0], parts[at]
        said = alignment.contributions(code, gallery.embeddings[[first.point]])
        concepts = said.concepts[0]
        others = [int(scores[at].argmax()), alone[at]]
        best_km, alone_km = great_circle_km(*here, gallery.lat[others], gallery.lon[others])
        leading = max(float(concepts.max(initial=0.0)), 1e-9)
        answers.append(
            {
                "photo": photos.files[row],
                "kind": photos.kinds[row],
                "fold": int(folds_asked[at]),
                "error_km": float(ranked.km[0]),
                "best_point_km": float(best_km),
                "concepts_alone_km": float(alone_km),
                "probability": first.probability,
                "within": bool(ranked.km[0] <= first.radius_km),
                "five_probability": ranked.claimed,
                "five_within": ranked.held,
                "in_50": bool(region(ranked.surface, cells.area_km2, 0.5)[truth[at]]),
                "in_90": bool(region(ranked.surface, cells.area_km2, 0.9)[truth[at]]),
                "led_by_landmark": bool(said.landmarks.max(initial=0.0) > leading),
                "concepts": int((code.z_img > 0).sum()),
                "named_share": float(concepts.sum() / max(float(scores[at, first.point]), 1e-9)),
                "calibration": f"{calibration.temperature:.4f}, {calibration.background:g}",
            }
        )
    return answers


def report(protocol: Protocol, answers: list[dict[str, Any]]) -> None:
    """Print the tables of a protocol."""
    print(f"\n## {protocol.name}: {len(answers)} photos\n")
    print("| answer | photos | " + " | ".join(f"{t:,} km" for t in THRESHOLDS_KM) + " | median km |")
    print("|---|--:" + "|--:" * 5 + "|")
    groups = {"all": answers}
    for kind in sorted({one["kind"] for one in answers}):
        groups[kind] = [one for one in answers if one["kind"] == kind]
    groups["led by a landmark"] = led = [one for one in answers if one["led_by_landmark"]]
    for name, group in groups.items():
        if group:
            print(_row(f"first answer, {name}", group, "error_km"))
    print(_row("best-scoring point", answers, "best_point_km"))
    print(_row("concepts alone", answers, "concepts_alone_km"))
    print()
    for name in ("probability", "within", "five_probability", "five_within", "in_50", "in_90"):
        print(f"- {name}: {_share(_column(answers, name))}")
    print(f"- led by a landmark: {100 * len(led) / len(answers):.1f} % of photos")
    print(f"- concepts a photo: {_column(answers, 'concepts').mean():.1f}")
    print(f"- part of the score that named concepts hold: {_share(_column(answers, 'named_share'))}")
    print(f"- calibrations: {json.dumps(sorted({one['calibration'] for one in answers}))}", flush=True)


def _column(answers: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([float(one[name]) for one in answers])


def _row(name: str, answers: list[dict[str, Any]], column: str) -> str:
    km = _column(answers, column)
    cells = " | ".join(_share(1.0 * (km <= threshold)) for threshold in THRESHOLDS_KM)
    return f"| {name} | {len(km)} | {cells} | {np.median(km):,.0f} |"


def _share(values: NDArray[np.float64]) -> str:
    found = mean_interval(100 * values)
    return f"{found.value:.1f} % ({found.low:.1f} to {found.high:.1f})"


if __name__ == "__main__":
    main()
