"""What a command says besides its result: notes on standard error, and how much of them is wanted."""

from __future__ import annotations

import logging
import sys

_quiet = False


def note(text: str) -> None:
    """Say something on standard error, unless -q was given; errors are not notes."""
    if not _quiet:
        print(f"whyhere: {text}", file=sys.stderr)


def noisy() -> bool:
    """Tell whether notes and progress are wanted."""
    return not _quiet


def set_loudness(*, quiet: bool, verbose: int) -> None:
    """Apply -q and -v for the rest of the process.

    Args:
        quiet: Print neither notes nor progress.
        verbose: 1 shows what is done (logger "whyhere", level INFO), 2 and more all of it (DEBUG).
    """
    global _quiet
    _quiet = quiet
    if verbose:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("whyhere: %(relativeCreated)6.0f ms  %(message)s"))
        logger = logging.getLogger("whyhere")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)
