"""Draws the regions of a concept over the photo: colour for what raises or lowers it, a line around the rest.

The colours are orange and blue, which people with any common colour blindness tell apart, over the photo in
grey, so that its own colours are not taken for the map's. The line surrounds the area that the deletion test
cuts out (`deletion_insertion`), so that a reader sees what was tested.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from whyhere.alignment import Alignment
from whyhere.encoders._tracing import TracingTower
from whyhere.explain._regions import RegionMap, photo_regions
from whyhere.images import PreprocessSpec
from whyhere.prediction import RegionPicture

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


def draw_regions(
    image: Image.Image,
    region: RegionMap,
    *,
    title: str | None = None,
    area: float = 0.2,
    max_side_px: int = 640,
) -> Image.Image:
    """Draw where a concept is raised and lowered.

    Args:
        image: The photo, upright RGB (`Photo.image`); it is not changed.
        region: The map of one concept.
        title: Words of the legend; the concept's id by default.
        area: Share of the grid that the line surrounds, its hottest patches.
        max_side_px: Longest side of the photo in the result; it is never enlarged.

    Returns:
        The picture, RGB, with a legend below the photo.

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


def regions_png(
    image: Image.Image,
    region: RegionMap,
    *,
    title: str | None = None,
    area: float = 0.2,
    max_side_px: int = 640,
) -> bytes:
    """Return `draw_regions` as a PNG without metadata, for reports."""
    buffer = io.BytesIO()
    picture = draw_regions(image, region, title=title, area=area, max_side_px=max_side_px)
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


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
    """Draw the maps of some concepts for a report.

    Args:
        tower: The tower of the release, opened for tracing.
        image: The photo, upright RGB.
        alignment: The alignment of the release.
        concepts: Ids and names of the concepts.
        spec: How the tower wants its photos.
        unit: As for `photo_regions`.
        max_side_px: Longest side of the photo in the pictures.

    Returns:
        One picture a concept, in their order.

    Raises:
        UsageError: As for `photo_regions`.
    """
    ids = [concept_id for concept_id, _ in concepts]
    regions = photo_regions(tower, image, alignment, ids, spec=spec, unit=unit)
    return tuple(
        RegionPicture(
            concept_id=region.concept_id,
            png=regions_png(image, region, title=name, max_side_px=max_side_px),
            caption=CAPTION,
        )
        for region, (_, name) in zip(regions, concepts, strict=True)
    )


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
