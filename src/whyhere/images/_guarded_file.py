"""The bytes of a photo as a file that ends a decoder which takes too long.

Decoders of Pillow come back for more bytes every few milliseconds, and here they are stopped: where their
time is over, where they read the same bytes again and again, and where nobody waits for them any more. What
libtiff, libwebp, libavif and libheif do in one go is bounded by `_cost` instead.
"""

from __future__ import annotations

import io
from typing import Final

from whyhere.images._cost import Clock, DecodingEnded

_REREAD: Final = 4
_REREAD_BYTES: Final = 16_000_000
_SCAN: Final = b"\xff\xda"


class GuardedFile(io.BytesIO):
    """Bytes to decode, with a clock.

    Attributes:
        by_scan: Hand out at most one scan of a JPEG at a time: libjpeg goes over the whole picture for each,
            and thousands fit into one block.
    """

    def __init__(self, data: bytes, clock: Clock) -> None:
        super().__init__(data)
        self.by_scan = False
        self._data, self._clock = data, clock
        self._left = _REREAD * len(data) + _REREAD_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does.

        Raises:
            DecodingEnded: The clock says so, or more was read than any sound file makes a decoder read.
        """
        self._clock.check()
        if self.by_scan and size is not None and size > 0:
            start = self.tell()
            scan = self._data.find(_SCAN, start + 1, start + size)
            size = size if scan < 0 else scan - start
        chunk = super().read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise DecodingEnded("its decoder reads the same bytes again and again")
        return chunk
