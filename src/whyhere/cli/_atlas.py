"""What `whyhere place`, `map` and `compare` share: the format asked for, loading, and writing text or PNG."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._console import use_utf8
from whyhere.cli._options import chosen_format
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.atlas import Atlas

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, json, html, svg or png.",
        show_default="by the suffix of --out, else table",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write there instead of to standard output."),
]

Pieces = Callable[[dict[str, Any]], Iterator[str]]

NUMBER = re.compile(r"[-+\u2212]?(?:\d+\.?\d*|\.\d+)", re.ASCII)


def format_of(format: str | None, out: Path | None, formats: Sequence[str]) -> str:
    """Return the format asked for; what programs read is UTF-8 from here on."""
    chosen = chosen_format(format, formats, option="--out", target=out)
    if format == "png" and (out is None or str(out) == "-") and sys.stdout.isatty():
        raise UsageError("--format png: a picture is not for a terminal; add --out FILE")
    if chosen != "table":
        use_utf8()
    return chosen


def checked_file(option: str, target: Path | None) -> Path | None:
    """Refuse a target that cannot be written, before anything slow happens; None for standard output."""
    if target is None or str(target) == "-":
        return None
    file = target.resolve()
    if file.is_dir():
        raise UsageError(f"{option} {target}: that is a directory; name a file in it")
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"{option} {target}: its directory does not exist or cannot be written")
    return file


def refuse_options(words: Iterable[str], *, meant: str) -> None:
    """Refuse words that look like options: who takes negative numbers is handed unknown options, too."""
    for word in words:
        if word.startswith("-") and not NUMBER.fullmatch(re.split(r"[\s,]+", word)[0]):
            raise UsageError(f"{word}: there is no such option, and it is no {meant}")


def load(release: str) -> Atlas:
    """Load an atlas, with a progress bar while a gallery is embedded for the first time."""
    from whyhere.atlas import Atlas
    from whyhere.cli._progress import place_progress

    with place_progress("Embedding the gallery (first use only)") as progress:
        return Atlas.from_release(release, progress=progress)


def write(content: Pieces | bytes, target: Path | None) -> None:
    """Write text in pieces, or a PNG, to a file or to standard output."""
    from whyhere.cli._output import write_output

    if not isinstance(content, bytes):
        write_output(content, target)
    elif target is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        _replace(target, content)


def as_json(value: object) -> Iterator[str]:
    """Yield a value as indented JSON."""
    import json

    yield json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _replace(target: Path, content: bytes) -> None:
    """Replace a file once the new one is whole."""
    from whyhere._io import write_atomically

    try:
        write_atomically(target, content)
    except OSError as error:
        raise UsageError(f"{target}: cannot write it ({error.strerror})") from error
