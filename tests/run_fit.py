"""Run by tests in processes of their own: trains everything on a small planted world, into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from planted import planted_world
from whyhere.training import Examples, LocationNet, TrainConfig, Trainee, fit, process_group, rank


def train(folder: Path, *, nudge: int | None = None) -> None:
    """Take four steps on the location encoder, both heads and all losses; keep the log and the function.

    Args:
        folder: Where `log.jsonl` goes and `logits.pt`, the scores of every photo at every place in the end.
        nudge: Seed by which every weight begins one float up or down, as rounding might have left it.
    """
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
    encoder = LocationNet(seed=1)
    if nudge is not None:
        move_by_one_float(encoder, seed=nudge)
    fitted = fit(world.photos, world.directions, encoder, config, folder=folder, tensorboard=False)
    if rank() == 0:
        torch.save(logits(fitted.trainee, world.photos), folder / "logits.pt")


def move_by_one_float(module: torch.nn.Module, *, seed: int) -> None:
    """Replace every number of a module by the next one above or below."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in module.state_dict().values():
        up = torch.rand(tensor.shape, generator=generator) < 0.5
        infinity = torch.full_like(tensor, torch.inf)
        tensor.copy_(torch.nextafter(tensor, torch.where(up, infinity, -infinity)))


@torch.no_grad()
def logits(trainee: Trainee, photos: Examples) -> torch.Tensor:
    """Return the scores of every photo at every photo's place, concept and feature term in one."""
    places = trainee.alignment.encode_places(trainee.embed(photos.lat, photos.lon))
    images = trainee.alignment.encode_images(torch.from_numpy(photos.take(np.arange(len(photos)))))
    terms = trainee.alignment.logits(images, places)
    return torch.stack([term for term in terms if term is not None])


if __name__ == "__main__":
    torch.set_num_threads(1)
    with process_group():
        train(Path(sys.argv[1]))
