"""A look at the segments of a JPEG before its decoder gets them."""

from __future__ import annotations

import re
from typing import Final

MAX_SEGMENTS: Final = 20_000
"""Segments before the picture at most; cameras write tens, a profile in pieces hundreds."""

MAX_FILL_BYTES: Final = 1_000_000
"""Bytes of padding or junk between segments at most."""

_FILL: Final = re.compile(rb"[^\xff]*\xff+")


def header_fault(data: bytes) -> str | None:
    """Return what is wrong with the segments before the first scan (ITU-T T.81, B.1.1), or None."""
    at, segments, fill = 2, 0, 0
    while True:
        marker = _FILL.match(data, at)
        if marker is None:
            break
        fill += marker.end() - at - 1
        at = marker.end() + 1
        kind = data[at - 1 : at]
        segments += 1
        if segments > MAX_SEGMENTS:
            return f"more than {MAX_SEGMENTS:,} segments before its picture"
        if fill > MAX_FILL_BYTES:
            return f"more than {MAX_FILL_BYTES:,} bytes of padding before its picture"
        if kind in (b"\xda", b"\xd9", b""):
            break
        if kind in (b"\0", b"\1") or b"\xd0" <= kind <= b"\xd8":  # markers without a segment
            continue
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return None
