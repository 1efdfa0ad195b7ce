"""What a probe may look at: raw coordinates, fixed encodings, GeoCLIP's embedding, the concept space.

Everything here is a fixed function of a position: nothing is fitted on a task's points, so nothing can
leak between the parts of a split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment
from whyhere.encoders import LocationEncoder
from whyhere.errors import UsageError
from whyhere.evaluation.probing._harmonics import spherical_harmonics
from whyhere.evaluation.probing._land import land_points

Floats = NDArray[np.float64]

SINE_OCTAVES = 7
"""Waves of 360 degrees and its halves, down to 5.6 degrees."""

HARMONIC_DEGREE = 20
"""441 functions, nearly as many as the embedding has numbers; the finest are 18 degrees long."""

EMBEDDING, CONCEPTS = "geoclip", "concepts"
"""The two whose ratio says what the concept space keeps."""

FEATURES = ("coordinates", "sines", "harmonics", EMBEDDING, f"{EMBEDDING}+{CONCEPTS}", CONCEPTS)
"""What is always compared."""

CONTROLS = ("random", "pca")
"""As many directions as the concept space has dimensions: random ones, and those of most variance."""

_RANK_TOLERANCE = 1e-4  # relative to the largest singular value; float32 weights are good to about 1e-6


def concept_space(alignment: Alignment, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return z_loc: the k named numbers of each place (arXiv 2509.01910, Eq. 3).

    Args:
        alignment: The alignment of a release. Its own `location_code` is used where it has one; else
            z_loc = (embedding - location_mean) @ basis, as in `LinearAlignment`.
        embeddings: Location embeddings of unit length, float32, shape (n, 512).

    Returns:
        float32, shape (n, k), in the order of `alignment.concept_ids`.

    Raises:
        UsageError: The alignment has no concept space that is known here.
    """
    code = getattr(alignment, "location_code", None)
    if code is not None:
        found: NDArray[np.float32] = np.asarray(code(embeddings), np.float32)
        return found
    mean, basis = getattr(alignment, "location_mean", None), getattr(alignment, "basis", None)
    if mean is None or basis is None:
        raise UsageError(
            f"alignment {type(alignment).__name__} has neither location_code nor location_mean and basis; "
            "probe a release of kind linear"
        )
    coded: NDArray[np.float32] = ((embeddings - mean) @ basis).astype(np.float32)
    return coded


@dataclass(frozen=True, slots=True)
class ConceptSpace:
    """The shape of a concept space over places on land that are in no task.

    Attributes:
        concepts: k.
        embedding_dims: Width of the location embedding.
        rank: Dimensions that the k numbers span.
        dims_90: Dimensions that hold 90 % of their variance.
        dims_99: Dimensions that hold 99 %.
        embedding_variance: Share of the embedding's variance that lies in the span.
    """

    concepts: int
    embedding_dims: int
    rank: int
    dims_90: int
    dims_99: int
    embedding_variance: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class FeatureMaker:
    """Makes the features of positions for one release.

    Attributes:
        names: Names of the features it makes.
        space: The shape of the concept space.
    """

    def __init__(
        self,
        encoder: LocationEncoder,
        alignment: Alignment,
        *,
        controls: bool = True,
        reference_points: int = 2000,
        seed: int = 0,
    ) -> None:
        self._encoder, self._alignment = encoder, alignment
        self.names = FEATURES + (CONTROLS if controls else ())
        # Own points: what is learned about the embedding here comes from no point of a task.
        lat, lon = land_points(reference_points, seed=seed + 1_000_003)
        unit = self._unit_embeddings(lat, lon)
        codes = concept_space(alignment, unit).astype(np.float64)
        self._mean = unit.mean(axis=0)
        centred = (unit - self._mean).astype(np.float64)
        self.space = _shape_of(codes, centred)
        _, _, rows = np.linalg.svd(centred, full_matrices=False)
        rank = self.space.rank
        draw = np.random.default_rng(seed).normal(size=(centred.shape[1], rank))
        self._directions = {"pca": rows[:rank].T, "random": np.linalg.qr(draw)[0]}

    def __call__(self, lat: Floats, lon: Floats) -> dict[str, NDArray[np.float32]]:
        """Return the features of positions by name, each float32, shape (n, columns)."""
        unit = self._unit_embeddings(lat, lon)
        z_loc = concept_space(self._alignment, unit)
        made: dict[str, NDArray[Any]] = {
            "coordinates": np.column_stack((lat, lon)),
            "sines": sines(lat, lon),
            "harmonics": spherical_harmonics(lat, lon, degree=HARMONIC_DEGREE),
            EMBEDDING: unit,
            f"{EMBEDDING}+{CONCEPTS}": np.hstack((unit, z_loc)),
            CONCEPTS: z_loc,
        }
        for name, directions in self._directions.items():
            made[name] = (unit - self._mean) @ directions
        return {name: made[name].astype(np.float32) for name in self.names}

    def _unit_embeddings(self, lat: Floats, lon: Floats) -> NDArray[np.float32]:
        raw = self._encoder.embed(lat, lon)
        unit: NDArray[np.float32] = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return unit


def sines(lat: Floats, lon: Floats) -> Floats:
    """Encode positions as sines and cosines of latitude and longitude at rising frequencies.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Shape (n, 4 * SINE_OCTAVES).
    """
    waves = 2.0 ** np.arange(SINE_OCTAVES)
    angles = np.radians(np.stack((lat, lon), axis=1))[:, :, None] * waves
    return np.concatenate((np.sin(angles), np.cos(angles)), axis=2).reshape(len(lat), -1)


def _shape_of(codes: Floats, centred: Floats) -> ConceptSpace:
    """Measure a concept space on codes (n, k) and centred embeddings (n, d) of the same places."""
    left, singular, _ = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    rank = int((singular > _RANK_TOLERANCE * singular[0]).sum())
    share = np.cumsum(singular**2) / (singular**2).sum()
    inside = left[:, :rank].T @ centred
    return ConceptSpace(
        concepts=codes.shape[1],
        embedding_dims=centred.shape[1],
        rank=rank,
        dims_90=int(np.searchsorted(share, 0.90)) + 1,
        dims_99=int(np.searchsorted(share, 0.99)) + 1,
        embedding_variance=float((inside**2).sum() / (centred**2).sum()),
    )
