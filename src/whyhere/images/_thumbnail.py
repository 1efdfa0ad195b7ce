"""Small copies of photos for reports."""

from __future__ import annotations

import io

from PIL import Image

from whyhere.images._colour import to_rgb


def thumbnail(image: Image.Image, *, max_side_px: int = 640, quality: int = 82) -> bytes:
    """Return a JPEG of a photo, scaled down to fit, never up, and without any metadata.

    Args:
        image: The photo, upright; it is not changed.
        max_side_px: Longest side of the result.
        quality: JPEG quality, 1 to 95.

    Raises:
        ValueError: `max_side_px` or `quality` is out of range.
    """
    if max_side_px < 1:
        raise ValueError(f"max_side_px must be at least 1, not {max_side_px}")
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must lie in 1 to 95, not {quality}")
    scale = min(1.0, max_side_px / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = to_rgb(image) if image.mode != "RGB" else image
    # reducing_gap skips most of the work for large photos; nobody measures a thumbnail.
    small = small.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info = {}  # resize hands on comments and resolutions, and the JPEG writer would store them
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
