"""Measures the recipe of release `base` by the shipped protocols: what its model card says.

    python scripts/base_measure.py --data TABLE [--data TABLE] [--out DIR] [--features FILE.npy]

New places, known places and street level, see docs/evaluate.md. Every photo is answered by an alignment that
was fitted on photos of other folds alone, with temperature and background fitted on the held-out answers of
other folds. The numbers are those of `whyhere evaluate --held-out`, all photos of a fold at once.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from whyhere.alignment import PhotoCodeAlignment, sparse_codes
from whyhere.evaluation import Protocol, assign_folds, near_duplicates, read_protocol
from whyhere.evaluation.faithfulness import region
from whyhere.gallery import Gallery
from whyhere.geo import EARTH_RADIUS_KM, great_circle_km, unit_vectors
from whyhere.releases import resolve
from whyhere.stats import bootstrap_interval
from whyhere.training import BaseRecipe
from whyhere.training._base import (
    BasePhotos,
    Workshop,
    base_photos,
    fit_base,
    read_base_photos,
    rows_of_table,
)
from whyhere.training._base_calibration import Calibration, best_calibration, forecasts, rank_answers

Doubles = NDArray[np.float64]
THRESHOLDS_KM = (25, 200, 750, 2500)
STREET_FOLDS = 11
"""Street-level photos are left out in so many folds instead of one by one, which would take a day."""

CALIBRATED_ON = 200
"""Photos of other folds that a calibration is fitted on."""


@dataclass
class Asked:
    """Photos of one protocol, answered.

    Attributes:
        rows: The photos.
        folds: Fold of each.
        scores: Scores of the gallery, shape (m, n).
        alone: Best-scoring point by the named concepts alone, of each.
        codes: Alignment, activations of landmarks, query and concepts of each.
    """

    rows: NDArray[np.intp]
    folds: NDArray[np.intp]
    scores: NDArray[np.float32]
    alone: NDArray[np.intp]
    codes: list[tuple[PhotoCodeAlignment, NDArray[np.float32], Doubles, Doubles]]


class NearSites:
    """Gallery points near landmarks, found once a landmark."""

    def __init__(self, gallery: Gallery) -> None:
        self._embeddings = gallery.embeddings
        self._directions = unit_vectors(gallery.lat, gallery.lon).astype(np.float32)
        self._known: dict[bytes, tuple[NDArray[np.intp], Doubles]] = {}

    def __call__(
        self, place: NDArray[np.float16], here: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], Doubles]:
        """Return points and their distances to a landmark's embedding."""
        key = place.tobytes()
        if key not in self._known:
            y = place.astype(np.float32)
            points = np.flatnonzero(self._directions @ here > np.cos(1500 / EARTH_RADIUS_KM))
            squared = np.maximum(1.0 + y @ y - 2.0 * (self._embeddings[points] @ y), 0.0)
            near = squared < 0.5**2
            self._known[key] = points[near], np.sqrt(squared[near]).astype(np.float64)
        return self._known[key]


def answer_protocol(
    protocol: Protocol, photos: BasePhotos, workshop: Workshop, recipe: BaseRecipe, near: NearSites
) -> Asked:
    """Fit every fold and score its photos."""
    same = near_duplicates(photos.features, cosine=protocol.duplicate_cosine)
    folds = assign_folds(protocol, photos.lat, photos.lon, kinds=photos.kinds, groups=same)
    asked = np.flatnonzero((folds >= 0) & _asked(protocol, photos))
    E = workshop.gallery.embeddings
    scores = np.empty((len(asked), len(E)), np.float32)
    alone = np.empty(len(asked), np.intp)
    codes: list[Any] = [None] * len(asked)
    position = {int(row): at for at, row in enumerate(asked)}
    for fold in np.unique(folds[asked]):
        start = time.time()
        test = asked[folds[asked] == fold]
        alignment, marks = fit_base(photos, np.flatnonzero(folds != fold), workshop, recipe)
        where = unit_vectors(np.array([m.lat for m in marks]), np.array([m.lon for m in marks]))
        x = photos.features[test] - alignment.feature_mean
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        query = x @ alignment.head.T
        z = sparse_codes(x, alignment.patterns, penalty=alignment.penalty, most=alignment.most)
        mean = alignment.location_mean
        norms = np.sqrt(np.maximum(1 - 2 * (E @ mean) + mean @ mean, 1e-12))
        at = np.array([position[int(row)] for row in test])
        for first in range(0, len(test), 128):
            part = slice(first, first + 128)
            named = z[part] @ alignment.basis.T
            alone[at[part]] = ((named @ E.T - (named @ mean)[:, None]) / norms).argmax(axis=1)
            q = query[part] / np.linalg.norm(query[part], axis=1, keepdims=True)
            scores[at[part]] = (q @ E.T - (q @ mean)[:, None]) / norms
        for number, row in enumerate(at):
            a = alignment.places.activations(x[number])
            for site in np.flatnonzero(a):
                points, distance = near(alignment.places.places[site], where[site].astype(np.float32))
                scores[row, points] += (
                    alignment.places.weight * a[site] * np.exp(-distance / alignment.places.reach[site])
                )
            codes[row] = (alignment, a, query[number], z[number])
        print(
            f"{protocol.name}: fold {fold}, {len(test)} photos, {time.time() - start:.0f} s", file=sys.stderr
        )
    return Asked(asked, folds[asked], scores, alone, codes)


def _asked(protocol: Protocol, photos: BasePhotos) -> NDArray[np.bool_]:
    return np.array([not protocol.kinds or kind in protocol.kinds for kind in photos.kinds])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_photo_arguments(parser)
    parser.add_argument("--protocol", action="append", help="all three by default")
    parser.add_argument("--out", type=Path, help="also write the answers there")
    arguments = parser.parse_args()
    workshop, photos = read_photos(arguments)
    near = NearSites(workshop.gallery)
    for name in arguments.protocol or ("new-places", "known-places", "street-level"):
        protocol = read_protocol(name)
        if name == "street-level":
            protocol = structs.replace(protocol, folds=STREET_FOLDS)
        measure(protocol, photos, workshop, near, arguments.out)


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Ask for the photos."""
    parser.add_argument("--data", type=Path, action="append", required=True, help="table; photos beside it")
    parser.add_argument("--features", type=Path, help="unit features of all rows of the tables, .npy")


def read_photos(arguments: argparse.Namespace) -> tuple[Workshop, BasePhotos]:
    """Open what is needed and read the photos, or their features."""
    start = resolve("base")
    workshop = Workshop.open(start)
    if arguments.features is None:
        return workshop, read_base_photos(
            arguments.data, start, workshop.gallery, lambda what, done, total: None
        )
    rows = [row for data in arguments.data for row in rows_of_table(data)]
    return workshop, base_photos(rows, np.load(arguments.features).astype(np.float64), workshop.gallery)


def measure(
    protocol: Protocol, photos: BasePhotos, workshop: Workshop, near: NearSites, out: Path | None
) -> None:
    """Measure one protocol and print it."""
    recipe = BaseRecipe()
    asked = answer_protocol(protocol, photos, workshop, recipe, near)
    cells, gallery = workshop.cells, workshop.gallery
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(len(asked.rows))[:CALIBRATED_ON])
    rows = asked.rows[some]
    found = forecasts(asked.scores[some], photos.lat[rows], photos.lon[rows], gallery, cells)
    calibrations = {
        int(fold): best_calibration(found[:, asked.folds[some] != fold]) for fold in np.unique(asked.folds)
    }
    truth = (unit_vectors(photos.lat, photos.lon)[asked.rows] @ cells.centres().T).argmax(axis=1)
    lines: list[dict[str, Any]] = []
    for at, row in enumerate(asked.rows.tolist()):
        calibration = calibrations[int(asked.folds[at])]
        where = float(photos.lat[row]), float(photos.lon[row])
        ranked = rank_answers(asked.scores[at], *where, gallery, cells, calibration)
        places, km, mass = ranked.places, ranked.km, ranked.surface
        best = int(asked.scores[at].argmax())
        point = places[0].point
        alignment, a, query, z = asked.codes[at]
        y = gallery.embeddings[point] - alignment.location_mean
        factor = 1.0 / (np.linalg.norm(query) * np.linalg.norm(y))
        concepts = factor * (y @ alignment.basis) * z
        sites = np.flatnonzero(a)
        marks = alignment.places.place_codes(sites, gallery.embeddings[[point]])[0] * a[sites]
        marks = marks * alignment.places.weight
        lines.append(
            {
                "photo": photos.files[row],
                "kind": photos.kinds[row],
                "fold": int(asked.folds[at]),
                "error_km": float(km[0]),
                "best_point_km": _km(photos, row, gallery, best),
                "concepts_alone_km": _km(photos, row, gallery, int(asked.alone[at])),
                "probability": places[0].probability,
                "within": bool(km[0] <= places[0].radius_km),
                "five_probability": sum(place.probability for place in places),
                "five_within": bool((km <= [place.radius_km for place in places]).any()),
                "in_50": bool(region(mass, cells.area_km2, 0.5)[truth[at]]),
                "in_90": bool(region(mass, cells.area_km2, 0.9)[truth[at]]),
                "led_by_landmark": bool(marks.max(initial=0.0) > max(concepts.max(initial=0.0), 1e-9)),
                "concepts": int((z > 0).sum()),
                "named_share": float(concepts.sum() / max(float(asked.scores[at, point]), 1e-9)),
            }
        )
    report(protocol, lines, calibrations)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        with (out / f"{protocol.name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, lines[0].keys())
            writer.writeheader()
            writer.writerows(lines)


def _km(photos: BasePhotos, row: int, gallery: Gallery, point: int) -> float:
    return float(great_circle_km(photos.lat[row], photos.lon[row], gallery.lat[point], gallery.lon[point]))


def report(protocol: Protocol, lines: list[dict[str, Any]], calibrations: dict[int, Calibration]) -> None:
    """Print the tables of a protocol."""
    print(f"\n## {protocol.name}: {len(lines)} photos, {len(calibrations)} folds\n")
    print("| answer | photos | " + " | ".join(f"{t:,} km" for t in THRESHOLDS_KM) + " | median km |")
    print("|---|--:" + "|--:" * 5 + "|")
    kinds = sorted({line["kind"] for line in lines})
    groups = {"all": lines} | {kind: [line for line in lines if line["kind"] == kind] for kind in kinds}
    groups["led by a landmark"] = [line for line in lines if line["led_by_landmark"]]
    for name, group in groups.items():
        if group:
            print(_row(f"first answer, {name}", group, "error_km"))
    print(_row("best-scoring point", lines, "best_point_km"))
    print(_row("concepts alone", lines, "concepts_alone_km"))
    print()
    for name in ("probability", "within", "five_probability", "five_within", "in_50", "in_90"):
        print(f"- {name}: {_mean(lines, name)}")
    led = groups["led by a landmark"]
    print(f"- led by a landmark: {100 * len(led) / len(lines):.1f} % of photos")
    print(f"- concepts a photo: {np.mean([line['concepts'] for line in lines]):.1f}")
    print(f"- part of the score that named concepts hold: {_mean(lines, 'named_share')}")
    print(f"- calibrations: {json.dumps(sorted({str(c) for c in calibrations.values()}))}", flush=True)


def _row(name: str, lines: list[dict[str, Any]], column: str) -> str:
    km = np.array([line[column] for line in lines])
    cells = []
    for threshold in THRESHOLDS_KM:
        found = bootstrap_interval(100.0 * (km <= threshold), lambda sample: sample.mean(axis=-1))
        cells.append(f"{found.value:.1f} ({found.low:.0f} to {found.high:.0f})")
    return f"| {name} | {len(km)} | " + " | ".join(cells) + f" | {np.median(km):,.0f} |"


def _mean(lines: list[dict[str, Any]], column: str) -> str:
    values = 100.0 * np.array([float(line[column]) for line in lines])
    found = bootstrap_interval(values, lambda sample: sample.mean(axis=-1))
    return f"{found.value:.1f} % ({found.low:.1f} to {found.high:.1f})"


if __name__ == "__main__":
    main()
