"""Where results go: a file, replaced only once it is whole, or standard output as it comes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Annotated, Any

import typer

from whyhere._io import stage_of
from whyhere.errors import UsageError

_UNCUT = 10_000  # columns of a table that nobody looks at on a terminal


def checked_target(option: str, target: Path | None, photos: Iterable[str]) -> Path | None:
    """Refuse a target that cannot be meant or cannot be written, before anything slow happens.

    Args:
        option: The option that named it, for messages.
        target: File to write; None or "-" is standard output, but "-" is refused for --html, which goes
            to a file beside what standard output gets.
        photos: What is to be located: never overwritten.

    Returns:
        The file behind links, or None for standard output.

    Raises:
        UsageError: It is a photo, a directory, or lies where nothing can be written.
    """
    from whyhere.images import PHOTO_SUFFIXES

    if option == "--html" and str(target) == "-":
        raise UsageError("--html -: the page goes to a file; for standard output use --format html")
    if target is None or str(target) == "-":
        return None
    file = target.resolve()
    if file.suffix.lower() in PHOTO_SUFFIXES or any(Path(photo).resolve() == file for photo in photos):
        raise UsageError(f"{option} {target}: that is a photo; name another file to write")
    if file.is_dir():
        raise UsageError(f"{option} {target}: that is a directory; name a file in it")
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"{option} {target}: cannot write in {file.parent}")
    return file


def write_output(
    pieces: Callable[[dict[str, Any]], Iterator[str]],
    target: Path | None,
    *,
    worth_keeping: Callable[[], bool] = lambda: True,
) -> None:
    """Write text piece by piece; a file is replaced at the end, whole.

    Args:
        pieces: Makes the pieces, given what the destination can show (`width`, `color`, `ascii_only`).
        target: What `checked_target` returned.
        worth_keeping: Asked at the end; where it says no, a file keeps what it held.

    Raises:
        UsageError: The file cannot be written.
    """
    if target is None:
        for piece in pieces(_console()):
            sys.stdout.write(piece)
            sys.stdout.flush()
        return
    plain = {"width": 100, "color": False, "ascii_only": False}
    try:
        if target.exists() and not target.is_file():  # a pipe or a device: nothing to replace
            with target.open("w", encoding="utf-8", newline="") as stream:
                stream.writelines(pieces(plain))
            return
        handle, temporary = stage_of(target)
    except OSError as error:
        raise UsageError(f"{target}: cannot write there ({error.strerror})") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.writelines(pieces(plain))
        if worth_keeping():
            temporary.replace(target)
    except OSError as error:
        raise UsageError(f"{target}: cannot write it ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_growing(
    pieces: Iterator[str],
    target: Path,
    *,
    tail: str,
    worth_keeping: Callable[[], bool],
    keep_bytes: int | None = None,
) -> None:
    """Write a file that is a whole document after every piece, so that whatever ends the run leaves one.

    A file that is there already is replaced when the first piece is worth it, and not before.

    Args:
        pieces: What to write, the end of the document last.
        target: What `checked_target` returned.
        tail: What ends the document after any piece; written behind each and overwritten by the next.
        worth_keeping: Asked after each piece; until it says yes, the file keeps what it held.
        keep_bytes: Go on behind so many bytes of the file; None starts it anew.

    Raises:
        UsageError: The file cannot be written.
    """
    temporary: Path | None = None
    try:
        if keep_bytes is None:
            handle, temporary = stage_of(target)
        else:
            handle = os.open(target, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            end = keep_bytes or 0
            file.truncate(end)
            for piece in pieces:
                data = piece.encode("utf-8")
                ending = b"" if tail and piece.endswith(tail) else tail.encode("utf-8")
                file.seek(end)
                _write_all(file, data + ending)
                end += len(data)
                if temporary is not None and os.name == "posix" and worth_keeping():
                    temporary.replace(target)
                    temporary = None
            file.truncate(end)
        if temporary is not None and worth_keeping():
            temporary.replace(target)
            temporary = None
    except OSError as error:
        raise UsageError(f"{target}: cannot write it ({error.strerror})") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _write_all(file: RawIOBase, data: bytes) -> None:
    """Write all bytes; a raw file may take fewer at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, fitted to a terminal; piped to a program or a file, no cell is cut or wrapped.

    The first column is what a row is called by: it is never cut.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="ignore" if number == 0 else "fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _UNCUT
    Console(markup=False, highlight=False, width=width).print(table)  # a cell is text, not markup


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
