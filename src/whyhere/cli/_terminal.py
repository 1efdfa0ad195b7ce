"""Standard output and standard error as the commands see them: nothing that is printed can do anything.

What whyhere prints comes from file names, release directories, regions and tables of strangers. Escapes that
move the cursor, change the title or turn the direction of text are made visible here, where text leaves, so
that no command can forget to.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from whyhere._text import printable, without_controls
from whyhere.errors import WhyhereError


class OutputError(WhyhereError):
    """Standard output cannot be written to, as on a full disk (exit code 1)."""


class SafeText:
    """A text stream whose controls are visible escapes; all else is the stream's own."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self._colour = stream.isatty()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, with controls as escapes, and what the encoding does not know, too."""
        try:
            return self._stream.write(without_controls(text, colour=self._colour))
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise self._refused(error) from error

    def writelines(self, lines: Any) -> None:  # noqa: ANN401 - any iterable of text
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> OutputError:
        return OutputError(f"cannot write to {self._name}: {getattr(error, 'strerror', None) or error}")


def guard_streams() -> None:
    """Put safe streams in the place of standard output and standard error, for the rest of the process."""
    _occupy_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not isinstance(sys.stdout, SafeText):
        sys.stdout = SafeText(sys.stdout, "standard output")
    if not isinstance(sys.stderr, SafeText):
        sys.stderr = SafeText(sys.stderr, "standard error")


def use_utf8() -> None:
    """Write standard output as UTF-8, whatever the terminal: formats for programs have one encoding."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")


def as_json(value: object, *, indent: int | None = 2) -> str:
    """Return a value as JSON."""
    import json

    return json.dumps(value, indent=indent, ensure_ascii=False) + "\n"


def print_json(value: object) -> None:
    """Print a value as indented JSON, in UTF-8."""
    use_utf8()
    sys.stdout.write(as_json(value))


def shown(error: WhyhereError) -> str:
    """Return the message of an error without colours, and with no lines but its own."""
    return "\n".join(printable(str(line)) for line in error.args)


def raw(stream: Any) -> Any:  # noqa: ANN401 - a stream, or a safe one around it
    """Return the stream behind a safe one, for progress bars, which move the cursor."""
    return getattr(stream, "_stream", stream)


def _occupy_closed_streams() -> None:
    """Open the null device in the place of closed streams: the next file would take their numbers."""
    names = ("stdin", "stdout", "stderr")
    missing = [name for name in names if getattr(sys, name) is None]
    if not missing:
        return
    null = os.open(os.devnull, os.O_RDWR)
    while null < len(names):
        null = os.open(os.devnull, os.O_RDWR)
    os.close(null)
    for name in missing:
        if name == "stdout":
            sys.stdout = _Closed()
        else:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115, PTH123


class _Closed(io.StringIO):
    """Standard output of a process that was started without one."""

    def write(self, text: str) -> int:
        if text:
            raise OutputError("standard output is closed; name a file with --output or --out")
        return 0


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


@contextmanager
def progress_bars(
    *, shown: bool = True, in_bytes: bool = False, in_lines: bool = False
) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield a callback `(what, done, total)` with a bar on standard error for each thing that is done.

    Args:
        shown: Whether bars have room here; there are none with -q, and none but on a terminal.
        in_bytes: Whether bytes are counted.
        in_lines: Name each thing in a line where there is no terminal.
    """
    if not (shown and noisy() and sys.stderr.isatty()):
        named: set[str] = set()

        def name(what: str, done: int, total: int | None) -> None:
            if in_lines and what not in named:
                named.add(what)
                print(f"{what} ({megabytes(total)})" if total and in_bytes else what, file=sys.stderr)

        yield name
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TaskProgressColumn, TextColumn

    amount = DownloadColumn() if in_bytes else TaskProgressColumn()
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        amount,
        console=Console(file=raw(sys.stderr)),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def update(what: str, done: int, total: int | None) -> None:
        if not tasks:
            bars.start()
        if what not in tasks:
            tasks[what] = bars.add_task(printable(what), total=total)
        bars.update(tasks[what], completed=done, total=total)

    try:
        yield update
    finally:
        bars.stop()


@contextmanager
def progress_bar(what: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback `(done, total)` that shows one bar; see `progress_bars`."""
    with progress_bars(shown=shown) as update:
        yield lambda done, total: update(what, done, total)


def megabytes(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e6:.1f} MB"
