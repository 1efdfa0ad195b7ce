"""Deletion and insertion: does the region that a map names carry the concept, more than a region by chance?

Part of the view is covered and the image tower looks again (deletion), or everything but that part is covered
(insertion); Petsiuk et al. 2018, arXiv 1806.07421. A map is worth something only where covering its hottest
area costs more than covering random areas of the same size, which are contiguous here, as objects are: loose
random patches are an easy opponent, since covering them leaves a little of everything to be seen. The other
control is the map itself, shifted: as ragged as the map, but in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from whyhere._record import Record
from whyhere.alignment import Alignment
from whyhere.encoders import ImageTower
from whyhere.explain._regions import RegionMap, concept_column, first_cells, view_image, view_pixels
from whyhere.images import PreprocessSpec

Fill = Literal["blur", "mean"]
Control = Literal["region", "shifted"]
_BLUR = 1 / 11  # standard deviation by side of the view: 20 px of 224, which leaves colours and no objects


class DeletionInsertion(Record, frozen=True):
    """Scores of one view with parts of it covered.

    Attributes:
        areas: Shares of the grid that were covered, or uncovered; ascending.
        original: Score of the view as it is.
        blank: Score of the view covered all over.
        deleted: Score with the hottest share covered, by area.
        inserted: Score with all but the hottest share covered, by area.
        deleted_random: The same with a random region covered: one row a control, by area.
        inserted_random: The same with all but a random region covered.
    """

    json_fields: ClassVar[tuple[str, ...]] = (
        *("areas", "original", "blank", "deleted", "inserted", "deleted_random", "inserted_random"),
        *("deletion_effect", "insertion_effect", "deletion_area", "insertion_area"),
        *("random_deletion_area", "random_insertion_area"),
    )

    areas: tuple[float, ...]
    original: float
    blank: float
    deleted: tuple[float, ...]
    inserted: tuple[float, ...]
    deleted_random: tuple[tuple[float, ...], ...]
    inserted_random: tuple[tuple[float, ...], ...]

    @property
    def deletion_effect(self) -> tuple[float, ...]:
        """How much more the score falls by covering the region than by covering random ones, by area."""
        random = np.mean(self.deleted_random, axis=0)
        return tuple((random - self.deleted).tolist())

    @property
    def insertion_effect(self) -> tuple[float, ...]:
        """How much more of the score the region alone brings than random ones alone, by area."""
        random = np.mean(self.inserted_random, axis=0)
        return tuple((self.inserted - random).tolist())

    @property
    def deletion_area(self) -> float:
        """Area under the deletion curve, from the original at 0 to the blank at 1; smaller is better."""
        return self._area(self.original, self.deleted, self.blank)

    @property
    def insertion_area(self) -> float:
        """Area under the insertion curve, from the blank at 0 to the original at 1; larger is better."""
        return self._area(self.blank, self.inserted, self.original)

    @property
    def random_deletion_area(self) -> float:
        """Mean area under the deletion curves of the random regions."""
        return self._area(self.original, np.mean(self.deleted_random, axis=0), self.blank)

    @property
    def random_insertion_area(self) -> float:
        """Mean area under the insertion curves of the random regions."""
        return self._area(self.blank, np.mean(self.inserted_random, axis=0), self.original)

    def _area(self, start: float, between: Sequence[float] | NDArray[np.float64], end: float) -> float:
        x, y = np.array([0.0, *self.areas, 1.0]), np.array([start, *between, end])
        return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())


def deletion_insertion(
    tower: ImageTower,
    image: Image.Image,
    region: RegionMap,
    score: Callable[[NDArray[np.float32]], float],
    *,
    spec: PreprocessSpec,
    areas: Sequence[float] = (0.2,),
    controls: int = 2,
    control: Control = "region",
    seed: int = 0,
    fill: Fill = "blur",
) -> DeletionInsertion:
    """Cover the hottest area of a map, then random areas of the same size, and compare the scores.

    The tower looks 2 + 2 * len(areas) * (1 + controls) times at one view: 8 times by default.

    Args:
        tower: The image tower.
        image: The photo, upright RGB.
        region: The map to be tested, of the same view of the same photo.
        score: From an embedding as the tower gives it, (d,), to a number; see `concept_score`.
        spec: How the tower wants its photos; `views` plays no part.
        areas: Shares of the grid, each above 0 and below 1.
        controls: How many controls, at least 1; nested over the areas as the map is.
        control: What is random: a connected "region", or the place of the map itself, "shifted" by at least
            two patches each way, what leaves it at one side coming back at the other.
        seed: Seed of the controls. Give every photo one of its own.
        fill: What covers: the view itself, heavily blurred, or its mean colour.

    Returns:
        The scores.

    Raises:
        ValueError: An argument is out of range.
    """
    if controls < 1:
        raise ValueError(f"controls must be at least 1, not {controls}")
    if control not in ("region", "shifted"):
        raise ValueError(f"control must be region or shifted, not {control!r}")
    if not areas or any(not 0 < area < 1 for area in areas) or list(areas) != sorted(set(areas)):
        raise ValueError(f"areas must ascend between 0 and 1, not {tuple(areas)}")
    view = view_image(image, region.box, spec)
    shown, cover = view_pixels(view, spec), view_pixels(_cover(view, fill), spec)
    side, grid = spec.size_px, region.heat.shape[0]
    cell = np.arange(side) * grid // side  # cell of every row and column of pixels

    def seen(covered: NDArray[np.bool_]) -> float:
        pixels = np.where(covered[cell][:, cell], cover, shown)
        return float(score(tower.embed_only(pixels)[0]))

    rng = np.random.default_rng(seed)
    draw = random_region if control == "region" else _shifted
    orders = [region.order(), *(draw(region, rng) for _ in range(controls))]
    deleted, inserted = [], []
    for order in orders:
        masks = [first_cells(order, area, grid) for area in areas]
        deleted.append(tuple(seen(mask) for mask in masks))
        inserted.append(tuple(seen(~mask) for mask in masks))
    everything = np.ones((grid, grid), np.bool_)
    return DeletionInsertion(
        areas=tuple(float(area) for area in areas),
        original=seen(~everything),
        blank=seen(everything),
        deleted=deleted[0],
        inserted=inserted[0],
        deleted_random=tuple(deleted[1:]),
        inserted_random=tuple(inserted[1:]),
    )


def concept_score(
    alignment: Alignment, concept_id: str, *, unit: bool = True
) -> Callable[[NDArray[np.float32]], float]:
    """Return the function from an embedding of the tower to its agreement with one concept.

    Args:
        alignment: The alignment of the release.
        concept_id: The concept.
        unit: Whether the alignment takes embeddings of unit length; not so where a release averages scores
            ("logits") over its views.

    Raises:
        UsageError: There is no such concept.
    """
    column = concept_column(alignment, concept_id)

    def score(embedding: NDArray[np.float32]) -> float:
        features = embedding / np.float32(np.linalg.norm(embedding)) if unit else embedding
        return float(alignment.concept_agreements(features)[column])

    return score


def random_region(region: RegionMap, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the patches of a map, (grid * grid,), in an order whose every beginning is one region."""
    grid = len(region.heat)
    taken = np.zeros(grid * grid, np.bool_)
    order, border = [], [int(rng.integers(grid * grid))]
    while border:
        cell = border.pop(int(rng.integers(len(border))))
        if taken[cell]:
            continue
        taken[cell] = True
        order.append(cell)
        row, column = divmod(cell, grid)
        near = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        border += [
            r * grid + c for r, c in near if 0 <= r < grid and 0 <= c < grid and not taken[r * grid + c]
        ]
    return np.array(order, np.intp)


def _shifted(region: RegionMap, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the patches of a map that was moved to another place, hottest first."""
    grid = len(region.heat)
    down, across = rng.integers(min(2, grid - 1), max(grid - 1, 2), 2).tolist()
    return msgspec.structs.replace(region, heat=np.roll(region.heat, (down, across), (0, 1))).order()


def _cover(view: Image.Image, fill: Fill) -> Image.Image:
    """Return what covers a view."""
    if fill == "blur":
        return view.filter(ImageFilter.GaussianBlur(view.width * _BLUR))
    if fill == "mean":
        red, green, blue = np.rint(np.asarray(view, np.float64).mean(axis=(0, 1))).astype(int).tolist()
        return Image.new("RGB", view.size, (red, green, blue))
    raise ValueError(f"fill must be blur or mean, not {fill!r}")
