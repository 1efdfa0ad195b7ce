"""Measures what a gallery that covers the land changes, on photos of new places.

    python scripts/land_coverage.py INDEX.csv... --features FEATURES.npy

FEATURES.npy: a row of unit features for each row of the tables. Heads are ridge regressions of
neighbourhoods' location embeddings, one a fold of the protocol `new-places`; places are the cells of the
gallery, each with the mean embedding of at most two of its points. Prints, with GeoCLIP's cells alone and
with the added ones at several weights, how far the densest cell is from the truth and the mean negative log
density there (kernel of 100 km), for photos near and far from GeoCLIP's points; in brackets, paired
differences from GeoCLIP's cells with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import fit_ridge
from whyhere.encoders import LocationEncoder
from whyhere.evaluation import assign_folds, near_duplicates, read_benchmark, read_protocol
from whyhere.gallery import Neighbourhoods, empty_land
from whyhere.geo import (
    EARTH_RADIUS_KM,
    cells_of,
    great_circle_km,
    lat_lon_of,
    unit_vectors,
    vector_distance_km,
)
from whyhere.releases import asset_path
from whyhere.training import KERNEL_KM

SCALE_KM, PENALTY, POINTS, RESOLUTION = 100.0, 1.0, 2, 3
WEIGHTS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
TEMPERATURES = (0.05, 0.08, 0.113, 0.16)
DISTANCES_KM = (200, 750, 2500)
Doubles = NDArray[np.float64]


class Embedded:
    """Hands out embeddings that are known, in order."""

    def __init__(self, embeddings: NDArray) -> None:
        self._rest = embeddings

    def embed(
        self, lat: Doubles, lon: Doubles, *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the next ones."""
        found, self._rest = self._rest[: len(lat)], self._rest[len(lat) :]
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path, nargs="+", help="tables of photos")
    parser.add_argument("--features", type=Path, required=True, help=".npy of unit features, a row a photo")
    arguments = parser.parse_args()
    queries = [query for table in arguments.tables for query in read_benchmark(table).queries]
    lat, lon = np.array([query.lat for query in queries]), np.array([query.lon for query in queries])
    features = np.load(arguments.features).astype(np.float64)
    protocol = read_protocol("new-places")
    kinds = np.array([query.kind or protocol.default_kind for query in queries])
    same = near_duplicates(features, cosine=protocol.duplicate_cosine)
    folds = assign_folds(protocol, lat, lon, groups=same)

    own = np.load(asset_path("geoclip") / "gallery.npy")
    points = np.concatenate((own, np.stack(empty_land(*own.T), axis=1)))
    chosen = few_points(points, len(own))
    is_own = chosen < len(own)
    encoder = LocationEncoder.load(asset_path("geoclip") / "location_encoder.safetensors")
    embeddings = encoder.embed(*points[chosen].T)
    near = nearest_km(lat, lon, own)
    groups = {"all": near >= 0, "within 50 km of a point": near <= 50, "farther than 50": near > 50}
    groups |= {"farther than 100": near > 100, "farther than 200": near > 200, "street": kinds == "street"}

    results = {}
    for name, taken, weights in (("GeoCLIP's cells", is_own, (1.0,)), ("covered", is_own | True, WEIGHTS)):
        cells, around = neighbourhoods(points[chosen][taken], embeddings[taken])
        scores = held_out_scores(around, features, lat, lon, folds)
        old = np.isin(cells, cells_of(*own.T, RESOLUTION))
        for weight in weights:
            found = answers(scores, around, np.where(old, 1.0, weight), lat, lon)
            results[f"{name}, weight {weight:g}"] = found
    report(results, groups)


def few_points(points: Doubles, own: int) -> NDArray[np.intp]:
    """Return at most `POINTS` rows of each cell, GeoCLIP's first."""
    rng = np.random.default_rng(0)
    order = np.concatenate((rng.permutation(own), np.arange(own, len(points))))
    cell = np.unique(cells_of(*points[order].T, RESOLUTION), return_inverse=True)[1]
    by_cell = np.argsort(cell, kind="stable")
    first = np.concatenate(([0], np.cumsum(np.bincount(cell))))[cell[by_cell]]
    return order[by_cell[np.arange(len(order)) - first < POINTS]]


def nearest_km(lat: Doubles, lon: Doubles, points: Doubles) -> Doubles:
    """Return the distance of positions from the nearest point."""
    directions = unit_vectors(*points.T)
    rows = (directions[(directions @ one).argmax()] for one in unit_vectors(lat, lon))
    return vector_distance_km(unit_vectors(lat, lon), np.array(list(rows)))


def neighbourhoods(points: Doubles, embeddings: NDArray) -> tuple[NDArray[np.uint64], Neighbourhoods]:
    """Return the cells of points and the averages around them."""
    around = Neighbourhoods.build(Embedded(embeddings), *points.T, scale_km=SCALE_KM)
    return np.unique(cells_of(*points.T, RESOLUTION)), around


def held_out_scores(
    around: Neighbourhoods, features: Doubles, lat: Doubles, lon: Doubles, folds: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Score every cell for every photo with the head of its fold, shape (photos, cells)."""
    places = around.embed(*lat_lon_of(around.directions)).astype(np.float64)
    targets = around.embed(lat, lon).astype(np.float64)
    scores = np.empty((len(features), len(places)), np.float32)
    for fold in np.unique(folds):
        rest, asked = folds != fold, folds == fold
        head = fit_ridge(features[rest], targets[rest], penalty=PENALTY)
        query, there = head.predict(features[asked]), places - head.location_mean
        query /= np.linalg.norm(query, axis=1, keepdims=True)
        scores[asked] = query @ (there / np.linalg.norm(there, axis=1, keepdims=True)).T
    return scores


def answers(
    scores: NDArray[np.float32], around: Neighbourhoods, weights: Doubles, lat: Doubles, lon: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the error of the densest cell and the loss, under the temperature of the least mean loss."""
    best: tuple[Doubles, Doubles] | None = None
    cell_lat, cell_lon = lat_lon_of(around.directions)
    cosines = np.clip(unit_vectors(lat, lon) @ around.directions.T, -1.0, 1.0)
    kernel = np.exp(-EARTH_RADIUS_KM / KERNEL_KM * np.arccos(cosines)) / (2 * np.pi * KERNEL_KM**2)
    for temperature in TEMPERATURES:
        density = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature) * weights
        mass = density * around.area_km2
        loss = -np.log(np.maximum((mass * kernel).sum(axis=1) / mass.sum(axis=1), 1e-300))
        if best is None or loss.mean() < best[1].mean():
            top = density.argmax(axis=1)
            best = great_circle_km(lat, lon, cell_lat[top], cell_lon[top]), loss
    assert best is not None
    return best


def report(results: dict[str, tuple[Doubles, Doubles]], groups: dict[str, NDArray[np.bool_]]) -> None:
    """Print a table, and differences from the first row of each group."""
    first = next(iter(results.values()))[0]
    rng = np.random.default_rng(1)
    print("| gallery | photos | n | % within 200 | 750 | 2,500 km | median km | -log density |")
    print("|---|---|--:|---|---|---|--:|--:|")
    for name, (error_km, loss) in results.items():
        for group, members in groups.items():
            rows = np.flatnonzero(members)
            draws = rng.integers(0, len(rows), (2000, len(rows)))
            cells = []
            for km in DISTANCES_KM:
                gain = 100.0 * ((error_km[rows] <= km) * 1.0 - (first[rows] <= km))
                low, high = np.percentile(gain[draws].mean(axis=1), (2.5, 97.5))
                share = 100 * (error_km[rows] <= km).mean()
                cells.append(f"{share:.1f} ({gain.mean():+.1f}; {low:+.1f} to {high:+.1f})")
            middle = f"{np.median(error_km[rows]):,.0f} | {loss[rows].mean():.2f}"
            print(f"| {name} | {group} | {len(rows)} | {' | '.join(cells)} | {middle} |")


if __name__ == "__main__":
    main()
