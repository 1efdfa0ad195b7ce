"""Progress bars on standard error, and only where somebody looks: on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from whyhere.cli._console import raw
from whyhere.cli._notes import noisy


@contextmanager
def place_progress(description: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback `(done, total)` that shows a bar from its first call on.

    Args:
        description: What is being done.
        shown: Whether a bar has room here; there is none with -q, and none but on a terminal.
    """
    if not (shown and noisy() and sys.stderr.isatty()):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    bar = Progress(console=Console(file=raw(sys.stderr)), transient=True)
    task: TaskID | None = None

    def update(done: int, total: int) -> None:
        nonlocal task
        if task is None:
            bar.start()
            task = bar.add_task(description, total=total)
        bar.update(task, completed=done)

    try:
        yield update
    finally:
        if task is not None:
            bar.stop()
