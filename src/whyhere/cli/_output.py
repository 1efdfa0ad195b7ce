"""Where results go: a file, replaced only once it is whole, or standard output as it comes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from whyhere.errors import UsageError


def write_output(pieces: Callable[[dict[str, Any]], Iterator[str]], output: Path | None) -> None:
    """Write text piece by piece.

    Args:
        pieces: Makes the pieces, given what the destination can show (`width`, `color`, `ascii_only`).
        output: File to write; standard output by default.

    Raises:
        UsageError: The file cannot be written.
    """
    if output is None:
        for piece in pieces(_console()):
            sys.stdout.write(piece)
            sys.stdout.flush()
        return
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write there ({error.strerror})") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.writelines(pieces({"width": 100, "color": False, "ascii_only": False}))
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(output)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write it ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _console() -> dict[str, Any]:
    """Return what standard output can show."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    if encoding == "utf8" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(newline="")
    terminal = sys.stdout.isatty()
    return {
        "width": shutil.get_terminal_size((100, 24)).columns,
        "color": terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb",
        "ascii_only": encoding != "utf8",
    }


def _umask() -> int:
    """Return the process's umask; it can only be read by setting it."""
    umask = os.umask(0)
    os.umask(umask)
    return umask
