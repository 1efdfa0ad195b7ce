"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from whyhere.errors import UsageError

DecodeSeconds = Annotated[
    float,
    typer.Option("--decode-seconds", min=0.1, help="Processor time that decoding one photo may take."),
]
DecodeMemory = Annotated[
    int,
    typer.Option(
        "--decode-memory-mb", min=50, help="Memory that all photos in decoding may need together, in MB."
    ),
]


def chosen_format(format: str | None, formats: Collection[str], *, option: str, target: Path | None) -> str:
    """Return the format asked for, else the one that the suffix of the output file means, else a table.

    Args:
        format: What `--format` says.
        formats: What there is.
        option: The option that names the file, for messages.
        target: The file; None is standard output.

    Raises:
        UsageError: There is no such format, or the suffix means none.
    """
    if format is None:
        suffix = target.suffix.lower().lstrip(".") if target else ""
        meant = {"": "table", "txt": "table", "md": "table", "htm": "html"}.get(suffix, suffix)
        if meant not in formats:
            raise UsageError(f"{option} {target}: the suffix names no format; add --format")
        return meant
    if format not in formats:
        raise UsageError(f"--format {format}: there is no such format; choose one of {', '.join(formats)}")
    return format
