"""Which parts of a photo raise a concept, and how that is drawn.

The tower says what every patch of a view adds to the view's embedding (`TracingTower`, after Gandelsman et
al. 2024, arXiv 2310.05916), the alignment says how a concept's agreement changes with the embedding
(`Alignment.concept_gradients`); the product of the two, smoothed a little, is the map. One look of the tower
serves all concepts, and the map of one concept does not depend on which others are asked for.

A map shows what the tower saw, not where the thing named is: a concept may be raised by the sky above it.
Whether the hottest area carries the concept is a matter of measurement: `deletion_insertion`.

Drawn, colour over the photo in grey is what raises or lowers a concept, in orange and blue, which people with
any common colour blindness tell apart; a line surrounds the area that the deletion test cuts out.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from whyhere._record import Record
from whyhere.alignment import Alignment
from whyhere.encoders import PatchShares, TracingTower
from whyhere.errors import UsageError
from whyhere.images import PreprocessSpec, preprocess
from whyhere.prediction import RegionPicture

Box = tuple[float, float, float, float]

RAISES: Final = (230, 97, 1)
LOWERS: Final = (64, 130, 214)

CAPTION: Final = (
    "what raised it (orange) and lowered it (blue) in the eyes of the model; the line surrounds the fifth of "
    "the view that raised it most. It need not be where the thing itself is."
)

_STRONGEST = 0.72  # opacity of the strongest patch: the photo stays visible under it
_CONTRAST = 1.5  # exponent of the opacity: weak heat everywhere must not veil the photo
_SATURATED = 0.97  # quantile of |heat| drawn at full strength: one freak patch must not pale the others
_PAPER, _INK = (255, 255, 255), (34, 34, 34)
_LEGEND_PX = 44


class RegionMap(Record, frozen=True):
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
    heat: NDArray[np.float32]
    agreement: float
    box: Box = (0.0, 0.0, 1.0, 1.0)

    def order(self) -> NDArray[np.intp]:
        """Return the patches, hottest first: indices into the flattened grid."""
        return np.argsort(-self.heat, axis=None, kind="stable")

    def top(self, area: float = 0.2) -> NDArray[np.bool_]:
        """Return the mask, (grid, grid), of the hottest patches: a share of all, at least one.

        Raises:
            ValueError: `area` is not above 0 and at most 1.
        """
        return first_cells(self.order(), area, len(self.heat))


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
    """Turn the shares of the patches of one view into maps of concepts; see `photo_regions`.

    `box` is the part of the photo that the view shows.
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


def draw_regions(
    image: Image.Image,
    region: RegionMap,
    *,
    title: str | None = None,
    area: float = 0.2,
    max_side_px: int = 640,
) -> Image.Image:
    """Draw where a concept is raised and lowered, as an RGB picture with a legend below the photo.

    Args:
        image: The photo, upright RGB (`Photo.image`); it is not changed.
        region: The map of one concept.
        title: Words of the legend; the concept's id by default.
        area: Share of the grid that the line surrounds, its hottest patches.
        max_side_px: Longest side of the photo in the result; it is never enlarged.

    Raises:
        ValueError: `max_side_px` or `area` is out of range.
    """
    if max_side_px < 16:
        raise ValueError(f"max_side_px must be at least 16, not {max_side_px}")
    chosen = region.top(area)
    scale = min(1.0, max_side_px / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32)
    grey = (small @ np.array([0.299, 0.587, 0.114], np.float32))[:, :, None].repeat(3, axis=2)

    left, top, right, bottom = _pixel_box(region.box, size)
    strength = heat_strength(region.heat)
    over = _enlarge(strength, (right - left, bottom - top))
    colour = np.where(over[:, :, None] >= 0, np.array(RAISES, np.float32), np.array(LOWERS, np.float32))
    opacity = np.abs(over)[:, :, None] ** _CONTRAST * _STRONGEST
    canvas = 0.45 * grey + 0.2 * small + 0.35 * 255  # paler: the colours of the map must carry
    inside = canvas[top:bottom, left:right]
    canvas[top:bottom, left:right] = inside * (1 - opacity) + colour * opacity

    picture = Image.new("RGB", (size[0], size[1] + _LEGEND_PX), _PAPER)
    picture.paste(Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8)), (0, 0))
    pen = ImageDraw.Draw(picture)
    _outline(pen, chosen, (left, top, right, bottom))
    if (left, top, right, bottom) != (0, 0, *size):
        pen.rectangle((left, top, right - 1, bottom - 1), outline=_INK)
    _legend(pen, size, region.concept_id if title is None else title, area)
    return picture


def region_pictures(
    tower: TracingTower,
    image: Image.Image,
    alignment: Alignment,
    concepts: Sequence[tuple[str, str]],
    *,
    spec: PreprocessSpec,
    unit: bool = True,
    max_side_px: int = 480,
) -> tuple[RegionPicture, ...]:
    """Draw the maps of some concepts, given by id and name, for a report: PNGs without metadata.

    The longest side of the photo has `max_side_px`; the other arguments are those of `photo_regions`.

    Raises:
        UsageError: As for `photo_regions`.
    """
    ids = [concept_id for concept_id, _ in concepts]
    regions = photo_regions(tower, image, alignment, ids, spec=spec, unit=unit)
    pictures = []
    for region, (_, name) in zip(regions, concepts, strict=True):
        buffer = io.BytesIO()
        picture = draw_regions(image, region, title=name, max_side_px=max_side_px)
        picture.save(buffer, "PNG", compress_level=4)
        pictures.append(RegionPicture(region.concept_id, buffer.getvalue(), CAPTION))
    return tuple(pictures)


def heat_strength(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale heat to -1..1, sign kept, its largest magnitudes (3 %) at full strength; zeros stay zeros."""
    limit = float(np.quantile(np.abs(heat), _SATURATED)) or float(np.abs(heat).max())
    if limit == 0:
        return np.zeros_like(heat)
    strength: NDArray[np.float32] = np.clip(heat / np.float32(limit), -1, 1).astype(np.float32)
    return strength


def _pixel_box(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box of fractions in whole pixels, never empty."""
    left, right = round(box[0] * size[0]), round(box[2] * size[0])
    top, bottom = round(box[1] * size[1]), round(box[3] * size[1])
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _enlarge(grid: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate a grid to (width, height); bilinear, which never overshoots the values there are."""
    enlarged = Image.fromarray(grid).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(enlarged, np.float32)


def _outline(pen: ImageDraw.ImageDraw, chosen: NDArray[np.bool_], box: tuple[int, int, int, int]) -> None:
    """Draw the border between chosen patches and others: dark under light, to be seen on any photo."""
    left, top, right, bottom = box
    rows, columns = chosen.shape
    x = np.rint(np.linspace(left, right, columns + 1)).astype(int)
    y = np.rint(np.linspace(top, bottom, rows + 1)).astype(int)
    padded = np.pad(chosen, 1)
    segments = [
        (int(x[j]), int(y[i]), int(x[j]), int(y[i + 1]))
        for i, j in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]).tolist()
    ]
    segments += [
        (int(x[j]), int(y[i]), int(x[j + 1]), int(y[i]))
        for i, j in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]).tolist()
    ]
    for width, colour in ((4, _INK), (2, _PAPER)):
        for segment in segments:
            pen.line(segment, fill=colour, width=width)


def _legend(pen: ImageDraw.ImageDraw, size: tuple[int, int], title: str, area: float) -> None:
    """Write title and key below the photo, as much of it as fits the width."""
    width, height = size
    font = ImageFont.load_default(13)
    pen.text((6, height + 4), _fitting(pen, title, width - 12, font), fill=_INK, font=font)
    at = 6
    for colour, words in (
        (RAISES, "raises"),
        (LOWERS, "lowers"),
        (None, f"line: top {area:.0%} of the area"),
    ):
        end = at + 16 + pen.textlength(words, font=font)
        if end > width - 4:
            return
        if colour is None:
            pen.line((at, height + 33, at + 11, height + 33), fill=_INK, width=2)
        else:
            pen.rectangle((at, height + 27, at + 11, height + 38), fill=colour)
        pen.text((at + 16, height + 24), words, fill=_INK, font=font)
        at = round(end) + 14


def _fitting(
    pen: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """Return a text, cut with dots where it is too wide."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text + "..." if text else ""
