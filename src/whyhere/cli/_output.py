"""Where results go: a file, replaced only once it is whole, or standard output as it comes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any

from whyhere._io import stage_of
from whyhere.cli._terminal import use_utf8
from whyhere.errors import UsageError

_FILE = {"width": 100, "color": False, "ascii_only": False}
_UNCUT = 10_000  # columns of a table that nobody looks at on a terminal


def checked_target(option: str, target: Path | None, photos: Collection[str] | None = None) -> Path | None:
    """Refuse a target that cannot be meant or cannot be written, before anything slow happens.

    Args:
        option: The option that named it, for messages.
        target: File to write; None or "-" is standard output, but "-" is refused for --html, which goes
            to a file beside what standard output gets.
        photos: what is to be located, never overwritten; None where no photos are.

    Returns:
        The file behind links, or None for standard output.

    Raises:
        UsageError: It is a photo, a directory, or lies where nothing can be written.
    """
    if option == "--html" and str(target) == "-":
        raise UsageError("--html -: the page goes to a file; for standard output use --format html")
    if target is None or str(target) == "-":
        return None
    file = target.resolve()
    if photos is not None:
        from whyhere.images import PHOTO_SUFFIXES

        if file.suffix.lower() in PHOTO_SUFFIXES or any(Path(photo).resolve() == file for photo in photos):
            raise UsageError(f"{option} {target}: that is a photo; name another file to write")
    if file.is_dir():
        raise UsageError(f"{option} {target}: that is a directory; name a file in it")
    if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"{option} {target}: cannot write in {file.parent}")
    return file


def checked_targets(
    output: Path | None, page: Path | None, photos: Collection[str] | None = None
) -> tuple[Path | None, Path | None]:
    """Check the files of --output and --html, which must be two; see `checked_target`."""
    files = checked_target("--output", output, photos), checked_target("--html", page, photos)
    if files[0] is not None and files[0] == files[1]:
        raise UsageError("--output and --html name the same file; name two")
    return files


def chosen_format(format: str | None, formats: Collection[str], target: Path | None = None) -> str:
    """Return the format asked for, else the one that the suffix of the output file means, else a table.

    What programs read is UTF-8 from here on.

    Raises:
        UsageError: There is no such format, the suffix means none, or a picture would go to a terminal.
    """
    chosen = format
    if chosen is None:
        suffix = target.suffix.lower().lstrip(".") if target else ""
        chosen = {"": "table", "txt": "table", "md": "table", "htm": "html"}.get(suffix, suffix)
        if chosen not in formats:
            raise UsageError(f"--output {target}: the suffix names no format; add --format")
    elif chosen not in formats:
        raise UsageError(f"--format {format}: there is no such format; choose one of {', '.join(formats)}")
    if chosen == "png" and target is None and sys.stdout.isatty():
        raise UsageError("--format png: a picture is not for a terminal; add --output FILE")
    if chosen not in ("table", "text"):
        use_utf8()
    return chosen


Content = Callable[[dict[str, Any]], Iterator[str]] | str | bytes
"""What is written: text, a PNG, or what makes pieces of text, given what the destination can show."""


def write_output(
    content: Content, target: Path | None, *, worth_keeping: Callable[[], bool] = lambda: True
) -> None:
    """Write text, piece by piece, or bytes; a file is replaced at the end, whole.

    Args:
        content: What to write; what makes pieces gets `width`, `color` and `ascii_only` of the destination.
        target: What `checked_target` returned.
        worth_keeping: Asked at the end; where it says no, a file keeps what it held.

    Raises:
        UsageError: The file cannot be written.
    """
    pieces = content if callable(content) else lambda _: iter((content,))
    if target is None:
        for piece in pieces(_console()):
            if isinstance(piece, bytes):
                sys.stdout.buffer.write(piece)
            else:
                sys.stdout.write(piece)
            sys.stdout.flush()
        return
    encoded = (piece.encode() if isinstance(piece, str) else piece for piece in pieces(_FILE))
    stage: Path | None = None
    try:
        if target.exists() and not target.is_file():  # a pipe or a device: nothing to replace
            with target.open("wb") as stream:
                stream.writelines(encoded)
            return
        handle, stage = stage_of(target)
        with os.fdopen(handle, "wb") as file:
            file.writelines(encoded)
        if worth_keeping():
            stage.replace(target)
    except OSError as error:
        doing = "write there" if stage is None else "write it"
        raise UsageError(f"{target}: cannot {doing} ({error.strerror})") from error
    finally:
        if stage is not None:
            stage.unlink(missing_ok=True)


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


def plain(pieces: Iterable[str], console: dict[str, Any]) -> Iterator[str]:
    """Yield text in letters that the destination can show."""
    for piece in pieces:
        yield piece.encode("ascii", "replace").decode() if console["ascii_only"] else piece


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
