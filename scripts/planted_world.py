"""Trains on the planted world, where the truth is known, and prints the table of docs/training.md.

    python scripts/planted_world.py [--seeds 3] [--only NAME ...]

Every variant sees the same photos, split and batches. Settings were chosen on seed 100, which is not among
those reported.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))  # the tests need the world too
from planted import (
    PlantedEncoder,
    PlantedScore,
    PlantedWorld,
    land_places,
    planted_world,
    score_planted,
)
from whyhere.training import TrainConfig, fit

CONFIG = TrainConfig(
    batch_size=128,
    queue_size=256,
    hidden=64,
    negatives="batch",
    epochs=60,
    patience=15,
    validation_share=0.15,
    validation_split="random",
)
UNTRAINED = {"max_steps": 1, "learning_rate": 1e-12}

VARIANTS: dict[str, dict[str, object]] = {
    "closed form, feature space": {"contrast_space": "feature", **UNTRAINED},
    "closed form, concept space": UNTRAINED,
    "without the module (feature space)": {"contrast_space": "feature"},
    "with the module (concept space)": {},
    "both spaces": {"contrast_space": "both"},
    "+ divergence mean (Eq. 6)": {"divergence": "mean"},
    "+ divergence Cauchy-Schwarz": {"divergence": "cauchy-schwarz"},
    "+ divergence MMD": {"divergence": "mmd"},
    "+ divergence mean, lambda 10": {"divergence": "mean", "divergence_weight": 10.0},
    "+ divergence Cauchy-Schwarz, lambda 10": {"divergence": "cauchy-schwarz", "divergence_weight": 10.0},
    "+ divergence MMD, lambda 10": {"divergence": "mmd", "divergence_weight": 10.0},
    "+ symmetric loss": {"symmetric": True},
    "+ dot products, not cosines": {"normalise": False},
    "+ negatives from everywhere on land": {"negatives": "gallery"},
    "+ no queue": {"queue_size": 0},
    "+ no residual MLP": {"hidden": 0},
    "+ identity start": {"location_start": "identity"},
    "concept names shuffled": {},
}


def main() -> None:
    """Run every variant on every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="parts of the names of variants to run")
    arguments = parser.parse_args()
    worlds = [planted_world(seed=seed) for seed in range(arguments.seeds)]
    print("| variant | mean AUROC of concepts | median error km | within 2,500 km |\n|---|---|---|---|")
    for name, changes in VARIANTS.items():
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        scores = [run(world, name, changes, seed) for seed, world in enumerate(worlds)]
        columns = (
            [score.mean_auroc for score in scores],
            [score.median_km for score in scores],
            [100 * score.within_2500_km for score in scores],
        )
        cells = (
            f"{np.mean(c):,.{d}f} ± {np.std(c, ddof=1):,.{d}f}"
            for c, d in zip(columns, (3, 0, 1), strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} % |", flush=True)


def run(world: PlantedWorld, name: str, changes: dict[str, object], seed: int) -> PlantedScore:
    """Train one variant and test it."""
    config = dataclasses.replace(CONFIG, seed=seed, **changes)  # type: ignore[arg-type]
    directions, encoder = world.directions, PlantedEncoder()
    if "shuffled" in name:
        directions = shuffled(directions, seed)
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(
            world.photos, directions, encoder, config, folder=Path(folder), gallery=land(), tensorboard=False
        )
    alignment, _ = fitted.trainee.alignment.export(world.concepts)
    score = score_planted(alignment, world, encoder)
    print(
        f"{name}, seed {seed}: step {fitted.state.best_step} of {fitted.state.step}, "
        f"AUROC {score.mean_auroc:.3f}, median {score.median_km:,.0f} km, {score.within_2500_km:.1%}",
        file=sys.stderr,
    )
    return score


def shuffled(directions: np.ndarray, seed: int) -> np.ndarray:
    """Give every name the direction of another."""
    rng, count = np.random.default_rng(seed), directions.shape[1]
    while True:
        order = rng.permutation(count)
        if (order != np.arange(count)).all():
            return np.ascontiguousarray(directions[:, order])


def land() -> np.ndarray:
    """Return places on land that are nobody's photo."""
    return np.stack(land_places(2000, rng=np.random.default_rng(12345)), axis=1)


if __name__ == "__main__":
    main()
