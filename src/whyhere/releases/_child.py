"""Runs one other program and leaves nothing of it behind, however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 3.0
_LINES_KEPT = 400


def run_child(
    command: Sequence[str], *, scratch: Path, environment: Mapping[str, str], poll: Callable[[], None]
) -> tuple[int, str]:
    """Run a program to its end.

    The program gets no input and a private directory for temporary files, and is ended with everything it
    started when this function is left by an exception, such as Ctrl-C.

    Args:
        command: Program and arguments.
        scratch: Existing directory; the program's temporary files go to `tmp` in it.
        environment: Variables to set on top of this process's own.
        poll: Called about ten times a second while the program runs.

    Returns:
        Exit status, and the last lines of standard output and error together.

    Raises:
        OSError: The program cannot be started.
    """
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    variables = {**os.environ, **{name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}, **environment}
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # not a file: the disk may be what is full
        stderr=subprocess.STDOUT,
        env=variables,
        start_new_session=True,  # a Ctrl-C comes to us alone, and we end the whole group
    )
    said: list[bytes] = []
    listener = threading.Thread(target=_listen, args=(child, said), daemon=True)
    listener.start()
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                status = child.wait(_POLL_SECONDS)
                break
            poll()
    except BaseException:
        _end(child)
        raise
    finally:
        listener.join(_PATIENCE_SECONDS)  # a grandchild that lives on would hold the pipe open
    return status, b"".join(said).decode("utf-8", errors="replace")


def _listen(child: subprocess.Popen[bytes], said: list[bytes]) -> None:
    assert child.stdout is not None
    with child.stdout as stream:
        for line in stream:
            said.append(line)
            del said[:-_LINES_KEPT]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and its own children: first asking, then not."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with suppress(OSError):  # it may be gone already
            if os.name == "posix":
                os.killpg(child.pid, number)
            else:
                child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE_SECONDS)
            return


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory that others may be changing meanwhile."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).stat().st_size
    return total


@contextmanager
def termination_unwinds() -> Iterator[None]:
    """Turn a request to end (SIGTERM, SIGHUP) into `SystemExit`, so that clean-up runs first.

    Only where nothing else handles the signal; threads other than the main one cannot, and do not, set it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
