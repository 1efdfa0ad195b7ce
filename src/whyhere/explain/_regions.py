"""Which parts of a photo raise a concept.

The tower says what every patch of a view adds to the view's embedding (`TracingTower`, after Gandelsman et
al. 2024, arXiv 2310.05916), the alignment says how a concept's agreement changes with the embedding
(`Alignment.concept_gradients`); the product of the two, smoothed a little, is the map. One look of the tower
serves all concepts, and the map of one concept does not depend on which others are asked for.

A map shows what the tower saw, not where the thing named is: a concept may be raised by the sky above it.
Whether the hottest area carries the concept is a matter of measurement: `deletion_insertion`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere.alignment import Alignment
from whyhere.encoders._tracing import PatchShares, TracingTower
from whyhere.errors import UsageError
from whyhere.images import PreprocessSpec, preprocess

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RegionMap:
    """Where in a photo one concept is raised and lowered.

    Attributes:
        concept_id: The concept.
        heat: What every patch adds to (+) or takes from (-) the agreement with the concept, to first order;
            float32, shape (grid, grid), rows from the top.
        agreement: The agreement of the whole view, in the same unit.
        box: The part of the upright photo that the grid lies over: left, top, right and bottom as fractions
            of its width and height.
    """

    concept_id: str
    heat: NDArray[np.float32] = field(repr=False)
    agreement: float
    box: Box = (0.0, 0.0, 1.0, 1.0)

    def order(self) -> NDArray[np.intp]:
        """Return the patches, hottest first: indices into the flattened grid."""
        return np.argsort(-self.heat, axis=None, kind="stable")

    def top(self, area: float = 0.2) -> NDArray[np.bool_]:
        """Return which patches are the hottest, a share of all, at least one.

        Args:
            area: The share, above 0 and at most 1.

        Returns:
            A mask, shape (grid, grid).

        Raises:
            ValueError: `area` is out of range.
        """
        return first_cells(self.order(), area, len(self.heat))

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON knows it."""
        return {
            "concept_id": self.concept_id,
            "heat": [[float(value) for value in row] for row in self.heat],
            "agreement": self.agreement,
            "box": list(self.box),
        }


def photo_regions(
    tower: TracingTower,
    image: Image.Image,
    alignment: Alignment,
    concept_ids: Sequence[str],
    *,
    spec: PreprocessSpec,
    unit: bool = True,
) -> tuple[RegionMap, ...]:
    """Say which parts of a photo raise each of some concepts; the tower looks once.

    It looks at one view: the whole photo, squeezed into the tower's square, or, where the release sees
    nothing but CLIP's centre crop (`spec.views` of 1), at that. So nothing that carried the decision lies
    outside the map, but details that only the finer views of the release show may be missing from it.

    Args:
        tower: The tower of the release, opened for tracing.
        image: The photo, upright RGB (`Photo.image`).
        alignment: The alignment of the release.
        concept_ids: The concepts.
        spec: How the tower wants its photos.
        unit: Whether the alignment takes embeddings of unit length; not so where a release averages scores
            ("logits") over its views.

    Returns:
        One map a concept, in their order.

    Raises:
        UsageError: The release has no such concept, or takes other features than the tower's embedding.
    """
    box = region_box(image.size, spec)
    traced = tower.trace(view_pixels(view_image(image, box, spec), spec))
    return region_maps(traced, alignment, concept_ids, box=box, unit=unit)


def region_maps(
    traced: PatchShares,
    alignment: Alignment,
    concept_ids: Sequence[str],
    *,
    box: Box = (0.0, 0.0, 1.0, 1.0),
    unit: bool = True,
) -> tuple[RegionMap, ...]:
    """Turn the shares of the patches of one view into maps of concepts.

    Args:
        traced: What the tower says about the view.
        alignment: The alignment of the release.
        concept_ids: The concepts.
        box: The part of the photo that the view shows.
        unit: As for `photo_regions`.

    Returns:
        One map a concept, in their order.

    Raises:
        UsageError: The release has no such concept, or takes other features than the tower's embedding.
    """
    columns = [concept_column(alignment, concept_id) for concept_id in concept_ids]
    length = max(float(np.linalg.norm(traced.embedding)), 1e-12) if unit else 1.0
    features = (traced.embedding / np.float32(length)).astype(np.float32)
    agreements = alignment.concept_agreements(features)
    gradients = alignment.concept_gradients(features)[:, columns].astype(np.float64)
    if unit:  # the features are x / |x|: only what turns the embedding counts
        gradients = (gradients - np.outer(features, features @ gradients)) / length
    heat = traced.shares @ gradients  # [patches, concepts]
    grid = round(len(heat) ** 0.5)
    return tuple(
        RegionMap(
            concept_id=concept_id,
            heat=_smooth(heat[:, row].reshape(grid, grid)).astype(np.float32),
            agreement=float(agreements[column]),
            box=box,
        )
        for row, (concept_id, column) in enumerate(zip(concept_ids, columns, strict=True))
    )


def concept_column(alignment: Alignment, concept_id: str) -> int:
    """Return the place of a concept in the arrays of an alignment.

    Raises:
        UsageError: It has no such concept.
    """
    try:
        return alignment.concept_ids.index(concept_id)
    except ValueError:
        raise UsageError(
            f"the release has no concept {concept_id!r}; `whyhere concepts` lists those it has"
        ) from None


def region_box(size: tuple[int, int], spec: PreprocessSpec) -> Box:
    """Return which part of a photo of (width, height) the map lies over."""
    if spec.views != 1:
        return (0.0, 0.0, 1.0, 1.0)
    width, height = size
    short = min(size)
    across, down = (1 - short / width) / 2, (1 - short / height) / 2
    return (across, down, 1 - across, 1 - down)


def view_image(image: Image.Image, box: Box, spec: PreprocessSpec) -> Image.Image:
    """Return a part of a photo, squeezed into the square that the tower sees."""
    pixels = (
        box[0] * image.width,
        box[1] * image.height,
        box[2] * image.width,
        box[3] * image.height,
    )
    return image.resize((spec.size_px, spec.size_px), Image.Resampling[spec.resample.upper()], pixels)


def view_pixels(view: Image.Image, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Return a square view as the tower wants it, float32 of shape (1, 3, size_px, size_px)."""
    return preprocess(view, replace(spec, views=1))


def first_cells(order: NDArray[np.intp], area: float, grid: int) -> NDArray[np.bool_]:
    """Return the mask, shape (grid, grid), of the first share of an order of cells, at least one of them.

    Raises:
        ValueError: `area` is out of range.
    """
    if not 0 < area <= 1:
        raise ValueError(f"area must lie above 0 and at most at 1, not {area}")
    mask = np.zeros(grid * grid, np.bool_)
    mask[order[: max(1, round(area * grid * grid))]] = True
    return mask.reshape(grid, grid)


def _smooth(heat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average every patch with its neighbours, weights 1 2 1 each way; edges repeat. See docs/regions.md."""
    for axis in (0, 1):
        padded = np.pad(heat, [(1, 1) if axis == one else (0, 0) for one in (0, 1)], mode="edge")
        before, after = (np.delete(padded, ends, axis) for ends in ((-1, -2), (0, 1)))
        heat = (before + 2 * heat + after) / 4
    return heat
