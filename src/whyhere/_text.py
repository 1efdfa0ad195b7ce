"""Text: what came from outside made safe to show, and words compared as people compare them.

File names, releases, regions and tables may hold newlines, terminal escapes, right-to-left overrides,
formulas or bytes that are not UTF-8. `printable` makes one line of such a text, `markdown_cell` a cell of a
table and `csv_rows` a table for spreadsheets; `without_controls` cleans whole output on its way out.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a pair of surrogates: a byte of a file name that is not UTF-8, or damage."""

_FORMULA_STARTS = frozenset("=+-@'")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Bidirectional controls can make a name read as another one; U+FEFF is invisible.
_DECEPTIVE = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_COLOUR = r"\x1b\[(?:0|[1-4]|2[1-4]|3\d|4\d|9[0-7]|10[0-7]|[34]8;[25];[\d;]+|;)*m"
_UNSAFE = rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_DECEPTIVE}]"
_CONTROLS = re.compile(f"()({_UNSAFE})")
_CONTROLS_BUT_COLOUR = re.compile(f"({_COLOUR})|({_UNSAFE})")


def printable(text: str) -> str:
    r"""Return `text` with every character that is not safe to show written as a visible escape.

    Escaped are control characters, line and paragraph separators, bidirectional controls, noncharacters and
    lone surrogates (bytes of a file name that are not UTF-8, as `os.fsdecode` returns them). The result
    is one line, valid UTF-8, and valid in XML 1.0.

    Example:
        >>> printable("a\nb\x1b[31m\udcff")
        'a\\nb\\x1b[31m\\xff'
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_visible, text))


def without_controls(text: str, *, colour: bool = False) -> str:
    r"""Return output whose lines stay lines, and whose other controls are visible escapes.

    The escapes have the form `\u009b`, which inside JSON text means the same character.

    Args:
        text: Anything that is about to be shown.
        colour: Leave the sequences that set colours, bold and underlines alone.

    Example:
        >>> without_controls("one\ntwo\x1b[2J")
        'one\ntwo\\u001b[2J'
    """
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    pattern = _CONTROLS_BUT_COLOUR if colour else _CONTROLS
    return pattern.sub(lambda found: found[1] or f"\\u{ord(found[2]):04x}", text)


def markdown_cell(text: str) -> str:
    r"""Return a text as a cell of a Markdown table, which names from tables of users must not break.

    Example:
        >>> print(markdown_cell("one | two"))
        one \| two
    """
    return printable(" ".join(text.split())).replace("|", "\\|")


def escaped(character: str) -> str:
    r"""Return a visible escape: `\n`, `\xNN` for a byte or a code below 256, `\uNNNN` above."""
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _visible(character: str) -> str:
    if character in _DECEPTIVE or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
        return escaped(character)
    code = ord(character)
    noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return escaped(character) if noncharacter else character


def csv_rows(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as CSV with newlines only at the ends of lines; None is empty, and text runs nothing."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([guarded(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode("utf-8", "backslashreplace").decode()  # half a surrogate pair, from JSON


def guarded(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    """Return a cell that no spreadsheet takes for a formula.

    Spreadsheets run text that begins like a formula; an apostrophe makes them show it (OWASP, "CSV
    injection"). Numbers keep their minus sign: they are no text.

    Example:
        >>> guarded("=cmd|x"), guarded(-1.5), guarded("photo.jpg")
        ("'=cmd|x", -1.5, 'photo.jpg')
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip()[:1] in _FORMULA_STARTS:
        return f"'{value}"
    return value


def without_accents(text: str) -> str:
    """Return `text` decomposed and without combining marks: Medellin for Medellín."""
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def to_ascii(text: str) -> str:
    """Return `text` in ASCII: letters without their accents, anything else as a question mark."""
    return without_accents(text).encode("ascii", "replace").decode()


def folded(text: str) -> str:
    """Return a name as it is looked up: case, accents, underscores and punctuation folded away.

    Example:
        >>> folded("Saint-Étienne_du Rouvray")
        'saint etienne du rouvray'
    """
    if text.isascii() and text.isalpha():  # most names; folding a hundred thousand must not take a second
        return text.lower()
    return " ".join(re.sub(r"[\W_]+", " ", without_accents(text).casefold()).split())


def name_key(name: str) -> str:
    """Return a name without case, spaces, underscores and hyphens: `palm_tree` is `Palm tree`."""
    return re.sub(r"[\s_-]+", "", name).casefold()
