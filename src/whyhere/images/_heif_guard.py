"""A look at a HEIC file before its decoder gets it.

pi-heif (1.4) turns the types of metadata items into Python text without checking that they are UTF-8, and
one wrong byte there ends the whole process. Such a file is damaged or hostile, so it is refused here.
"""

from __future__ import annotations


def has_sound_item_types(data: bytes) -> bool:
    """Return whether the item entries (`infe`, ISO/IEC 14496-12) of a HEIF file hold only UTF-8 text."""
    meta = _top_level_box(data, b"meta")
    at = meta.find(b"infe")
    while at >= 4:
        size = int.from_bytes(meta[at - 4 : at], "big")
        # Sizes 0 and 1 mean "to the end" and "64 bits follow"; neither belongs here: look at all the rest.
        entry = meta[at + 4 : at - 4 + size if size > 1 else len(meta)]
        # version, 3 bytes of flags, an id of 2 or (version 3) 4 bytes, 2 of protection; then type and names
        text = entry[10 if entry[:1] == b"\3" else 8 :]
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            return False
        at = meta.find(b"infe", at + 4)
    return True


def _top_level_box(data: bytes, kind: bytes) -> bytes:
    """Return the first top-level box of a kind, or nothing where there is none."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        header = 8
        if size == 1:  # the size follows as 64 bits
            size = int.from_bytes(data[at + 8 : at + 16], "big")
            header = 16
        end = len(data) if size == 0 else at + size
        if data[at + 4 : at + 8] == kind:
            return data[at:end]
        if size and size < header:
            break
        at = end
    return b""
