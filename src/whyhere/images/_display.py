"""File names as text that is safe to print: one line, valid UTF-8, no terminal tricks."""

from __future__ import annotations

import os

from whyhere._printable import printable


def display_name(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one printable line that can always be encoded as UTF-8.

    Control characters, line separators, bidirectional controls, noncharacters and bytes that are not UTF-8
    become escapes; all else stays as it is. Backslashes are not doubled, so that Windows paths stay readable.

    Example:
        >>> display_name("two\nlines.jpg")
        'two\\nlines.jpg'
        >>> display_name("caf\udce9.jpg")
        'caf\\xe9.jpg'
    """
    return printable(os.fspath(path))
