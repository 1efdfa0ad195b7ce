"""File names as text that is safe to print: one line, valid UTF-8, no terminal tricks."""

from __future__ import annotations

import os
import unicodedata
from typing import Final

# Bidirectional controls can make "gpj.exe" read as "exe.jpg" in a terminal or a report.
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def display_name(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one printable line that can always be encoded as UTF-8.

    Control characters, line separators, bidirectional controls and bytes that are not UTF-8 become
    escapes; all else stays as it is. Backslashes are not doubled, so that Windows paths stay readable.

    Example:
        >>> display_name("two\nlines.jpg")
        'two\\nlines.jpg'
        >>> display_name("caf\udce9.jpg")
        'caf\\xe9.jpg'
    """
    return "".join(map(_escape, os.fspath(path)))


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte of the name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character in _BIDI_CONTROLS or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character
