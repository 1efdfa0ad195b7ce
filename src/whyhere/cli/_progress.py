"""Progress bars on standard error, and only where somebody looks: on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def place_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback `(done, total)` that shows a bar from its first call on.

    Args:
        description: What is being done.
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID

    bar = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
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
