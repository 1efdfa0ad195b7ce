"""What the concept space loses to its rank: the analysis in docs/probe.md.

    python scripts/probe_rank.py --stations stations.csv

Ridge probes on the tasks that are numbers, with the concept space cut to its leading directions, to half of
its concepts and whitened, beside as many principal directions of the embedding. Prints mean R2 as a share of
the embedding's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import load_alignment
from whyhere.encoders import LocationEncoder
from whyhere.evaluation.probing import (
    FeatureMaker,
    Settings,
    Task,
    finished,
    land_points,
    land_tasks,
    run_probes,
    station_tasks,
)
from whyhere.releases import asset_path, resolve

Arrays = dict[str, NDArray[np.float32]]
SIZES = (16, 32, 64)


def main() -> None:
    """Run the analysis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stations", type=Path)
    parser.add_argument("--release", default="base")
    arguments = parser.parse_args()
    release = resolve(arguments.release)
    encoder = LocationEncoder.load(asset_path("geoclip") / "location_encoder.safetensors")
    alignment = load_alignment(release.directory / "model.safetensors", release.config.alignment)
    maker = FeatureMaker(encoder, alignment, controls=False)
    reference = maker(*land_points(2000, seed=77))
    unit, codes = (reference[name].astype(np.float64) for name in ("geoclip", "concepts"))
    rank, centre = maker.space.rank, codes.mean(axis=0)
    _, spread, rows = np.linalg.svd(codes - centre, full_matrices=False)
    _, _, principal = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    half = np.random.default_rng(0).permutation(codes.shape[1])[: codes.shape[1] // 2]

    def features(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Arrays:
        made = maker(lat, lon)
        x, z = made["geoclip"], made["concepts"]
        found = {
            "geoclip": x,
            "concepts": z,
            "concepts, whitened": (z - centre) @ (rows[:rank].T / spread[:rank]),
        }
        found["half of the concepts"] = z[:, half]
        for size in SIZES:
            found[f"{size} directions of the concepts"] = (z - centre) @ rows[:size].T
        for size in (*SIZES, rank, 2 * rank):
            found[f"{size} principal directions"] = x @ principal[:size].T
        return {name: array.astype(np.float32) for name, array in found.items()}

    loaded = [*station_tasks(arguments.stations), *land_tasks(3000, seed=0)]
    tasks = [finished(task, points=3000, seed=0) for task in loaded if isinstance(task, Task)]
    values = [task for task in tasks if isinstance(task, Task) and task.kind == "value"]
    scores, _ = run_probes(values, features, Settings(probes=("linear",)), jobs=2)
    mean = {
        (name, split): np.mean([s.value.value for s in scores if (s.features, s.split) == (name, split)])
        for name, split in {(s.features, s.split): None for s in scores}
    }
    print("| features | random split | blocked split |\n|---|---|---|")
    for name in dict.fromkeys(name for name, _ in mean):
        shares = (f"{mean[name, split] / mean['geoclip', split]:.3f}" for split in ("random", "blocked"))
        print(f"| {name} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
