"""A tower whose truth is known: the embedding is the mean colour of the view, every patch giving its part."""

from __future__ import annotations

import numpy as np

from whyhere.alignment import LinearAlignment
from whyhere.encoders import PatchShares, TowerOutput
from whyhere.images import PreprocessSpec

GRID, SIDE = 7, 28
COLOURS = ("red", "green", "blue")
# Pixels reach the tower as 0 to 1; a fourth feature keeps black from having no direction.
SPEC = PreprocessSpec(size_px=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), views=7)


class PaintedTower:
    """An `ImageTower` that adds up the colours of the patches, and can be traced."""

    image_size, dim = SIDE, 4

    def __init__(self) -> None:
        self.looks = 0

    def trace(self, pixels):
        self.looks += len(pixels)
        size = SIDE // GRID
        patches = pixels[0].reshape(3, GRID, size, GRID, size).mean(axis=(2, 4)).reshape(3, -1).T
        shares = np.pad(patches, ((0, 0), (0, 1)), constant_values=0.2) / len(patches)
        return PatchShares(shares.sum(axis=0).astype(np.float32), shares.astype(np.float32))

    def embed(self, pixels):
        return TowerOutput(self.embed_only(pixels), np.empty((len(pixels), GRID * GRID + 1, 4), np.float32))

    def embed_only(self, pixels):
        return np.stack([self.trace(pixels[i : i + 1]).embedding for i in range(len(pixels))])


def colour_alignment(order=COLOURS) -> LinearAlignment:
    """Concepts that are the colours themselves, as directions of the embedding."""
    directions = np.eye(4, dtype=np.float32)[:, [COLOURS.index(colour) for colour in order]]
    rng = np.random.default_rng(0)
    return LinearAlignment(
        concept_ids=tuple(order),
        head=rng.normal(size=(6, 4)).astype(np.float32),
        feature_mean=np.full(4, 0.1, np.float32),
        location_mean=np.zeros(6, np.float32),
        directions=directions,
        scale=1.0,
        penalty=0.01,
    )
