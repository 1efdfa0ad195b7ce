"""Run by tests in processes of their own: trains everything on a small planted world, into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from whyhere.training import LocationNet, TrainConfig, fit
from whyhere.training._distributed import process_group, rank
from whyhere.training.planted import planted_world


def train(folder: Path) -> None:
    """Take four steps on the location encoder, both heads and all losses; keep log and weights."""
    world = planted_world(photos=60, held_out=4, dims=32)
    config = TrainConfig(
        batch_size=16,
        queue_size=12,
        hidden=8,
        max_steps=4,
        patience=0,
        validation_split="random",
        divergence="cauchy-schwarz",
        contrast_space="both",
        symmetric=True,
        drift_weight=0.5,
        negatives="batch",
        learning_rate=1e-3,
        location_encoder="scratch",
    )
    fitted = fit(
        world.photos, world.directions, LocationNet(seed=1), config, folder=folder, tensorboard=False
    )
    if rank() == 0:
        torch.save(fitted.trainee.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with process_group():
        train(Path(sys.argv[1]))
