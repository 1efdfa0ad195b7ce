"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

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
