"""What all lines work on: photos with their truth, their features, and the alignment that answers each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.alignment import Alignment, ImageCode
from whyhere.concepts import ConceptLabel
from whyhere.gallery import Gallery
from whyhere.ranking import CellIndex, RankingConfig

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run may be asked for.

    Attributes:
        seed: Seed of every draw.
        draws: Random banks, derangements of names and permutations of places.
        resamples: Resampled sets of a bootstrap.
        stability_photos: Photos that line 6 changes and looks at again.
        region_photos: Photos that line 3 blurs regions of.
        support: Photos that a concept must be active in for a row of its own in line 2.
    """

    seed: int = 0
    draws: int = 20
    resamples: int = 2000
    stability_photos: int = 40
    region_photos: int = 24
    support: int = 5


class Look(Protocol):
    """Looks at images: what line 6 and line 3 need beyond the features that are there."""

    def features(self, image: Image.Image, key: str) -> Floats:
        """Return the features of an image as `Alignment.encode_image` takes them.

        Args:
            image: RGB, upright.
            key: Names photo and change, so that the features can be kept.
        """
        ...

    def image(self, path: Path) -> Image.Image:
        """Open a photo, upright, RGB."""
        ...


@dataclass(frozen=True, slots=True)
class Study:
    """Photos of known places and the alignments that answer them.

    Attributes:
        photos: Names of the n photos; none for a study of maps alone.
        files: Their files, or none.
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        features: Features of every photo, as `encode_image` takes them.
        alignments: One a fold; a single one where the release itself answers.
        rankings: How scores become probabilities, one a fold.
        fold_of: Fold of every photo, shape (n,).
        labels: Names of the k concepts.
        gallery: Places that can be answered.
        cells: H3 cells of the gallery.
        release: The release's own alignment, which need not answer any photo: for lines without photos.
        held_out: Whether no alignment has learned from a photo that it answers.
        random_sets: Alignments with random banks, one a draw and fold, for kinds that need training.
        look: Looks at changed images; None where there are no image files.
        codes: Every photo as its alignment sees it; derived.
    """

    photos: tuple[str, ...]
    files: tuple[Path, ...]
    lat: Doubles
    lon: Doubles
    features: tuple[Floats, ...]
    alignments: tuple[Alignment, ...]
    rankings: tuple[RankingConfig, ...]
    fold_of: NDArray[np.intp]
    labels: tuple[ConceptLabel, ...]
    gallery: Gallery
    cells: CellIndex
    release: Alignment
    held_out: bool = False
    random_sets: tuple[tuple[Alignment, ...], ...] = ()
    look: Look | None = None
    codes: tuple[ImageCode, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        codes = tuple(
            self.alignments[fold].encode_image(features)
            for fold, features in zip(self.fold_of, self.features, strict=True)
        )
        object.__setattr__(self, "codes", codes)

    def alignment(self, photo: int) -> Alignment:
        """Return the alignment that answers a photo."""
        return self.alignments[int(self.fold_of[photo])]

    def ranking(self, photo: int) -> RankingConfig:
        """Return how scores of a photo become probabilities."""
        return self.rankings[int(self.fold_of[photo])]

    def members(self, fold: int) -> NDArray[np.intp]:
        """Return the photos that a fold's alignment answers."""
        return np.flatnonzero(self.fold_of == fold)

    def others(self, fold: int) -> NDArray[np.intp]:
        """Return the photos that a fold's alignment may have learned from; all where there are no folds."""
        others = np.flatnonzero(self.fold_of != fold)
        return others if self.held_out and len(others) else np.arange(len(self.photos))

    def feature_rows(self, photos: Sequence[int] | NDArray[np.intp]) -> Doubles:
        """Return features as rows, shape (m, p); several views are averaged at unit length."""
        rows = []
        for photo in photos:
            one = np.atleast_2d(self.features[photo].astype(np.float64))
            rows.append((one / np.linalg.norm(one, axis=1, keepdims=True)).mean(axis=0))
        return np.array(rows)


def active(z_img: Floats, limit: int = 20) -> NDArray[np.intp]:
    """Return the concepts with a coefficient, at most the `limit` largest, largest first."""
    order = np.argsort(-np.abs(z_img), kind="stable")[:limit]
    strong: NDArray[np.intp] = order[z_img[order] != 0]
    return strong
