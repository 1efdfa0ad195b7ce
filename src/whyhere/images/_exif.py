"""Orientation and position from EXIF metadata, which anybody may have written: whatever it holds, no error.

A position is read to be shown beside an answer or to serve as truth in an evaluation, never to answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from PIL import Image

from whyhere.geo import LatLon

_ORIENTATION_TAG: Final = 0x0112
_GPS_IFD_TAG: Final = 0x8825
_ROUNDING_DEG: Final = 1e-9  # 89 degrees 59 minutes 60 seconds are a rounding error more than 90
_GPS_LAT_REF, _GPS_LAT, _GPS_LON_REF, _GPS_LON = 1, 2, 3, 4

# EXIF 2.3, tag Orientation: how to turn the stored pixels upright.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_exif(image: Image.Image) -> tuple[Image.Transpose | None, LatLon | None]:
    """Return the turn that makes a loaded image upright, if any, and the position it claims, if any.

    Call it inside `quiet_image_libraries`.
    """
    turn: Image.Transpose | None = None
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION_TAG)
        if isinstance(orientation, int):
            turn = _TURNS.get(orientation)
        return turn, gps_position(exif.get_ifd(_GPS_IFD_TAG))
    except Exception:  # parsers of metadata raise nearly everything; the pixels are good all the same
        return turn, None


def gps_position(gps: Mapping[Any, Any]) -> LatLon | None:
    """Return the position in a GPS directory, or None where it holds none that can be trusted.

    None comes of missing or odd hemisphere letters, missing, negative or non-finite numbers, zero
    denominators, minutes or seconds beyond 60, values out of range, and of exactly (0, 0), which cameras
    without a fix write.

    Args:
        gps: EXIF GPS tags by number: 1 and 3 are the hemispheres, 2 and 4 degrees, minutes and seconds.
    """
    lat = _signed_degrees(gps.get(_GPS_LAT), gps.get(_GPS_LAT_REF), "NS", limit=90.0)
    lon = _signed_degrees(gps.get(_GPS_LON), gps.get(_GPS_LON_REF), "EW", limit=180.0)
    if lat is None or lon is None or lat == lon == 0.0:
        return None
    return LatLon(lat, lon)


def _signed_degrees(parts: Any, ref: Any, hemispheres: str, *, limit: float) -> float | None:  # noqa: ANN401
    if isinstance(ref, bytes):
        ref = ref.decode("ascii", "replace")
    letter = ref.strip(" \0").upper() if isinstance(ref, str) else ""
    if len(letter) != 1 or letter not in hemispheres:
        return None
    values = parts if isinstance(parts, (tuple, list)) else (parts,)
    if not 1 <= len(values) <= 3:
        return None
    degrees = 0.0
    for position, value in enumerate(values):
        number = _number(value)
        if number is None or number < 0 or (position > 0 and number > 60):
            return None
        degrees += number / 60**position
    if degrees > limit + _ROUNDING_DEG:
        return None
    degrees = min(degrees, limit)
    return degrees if letter == hemispheres[0] else -degrees


def _number(value: Any) -> float | None:  # noqa: ANN401
    """Return a rational, as Pillow gives it or as a pair, as a finite float."""
    try:
        if isinstance(value, (str, bytes, bool)):
            return None
        number = value[0] / value[1] if isinstance(value, tuple) and len(value) == 2 else value
        result = float(number)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return result if math.isfinite(result) else None
