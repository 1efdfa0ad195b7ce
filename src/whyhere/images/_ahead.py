"""Photos read ahead of who looks at them, in threads, within one budget of memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from whyhere.errors import PhotoError
from whyhere.images._cost import Room
from whyhere.images._photo import PhotoSource

READ_AHEAD: Final = 2
"""Photos that are read while the ones before them are looked at."""

DECODER = "whyhere-decoder"
"""How the names of threads that decode photos begin."""

_THREADS: Final = 2

T = TypeVar("T")


def prepared_ahead(
    photos: Iterable[PhotoSource],
    prepare: Callable[[PhotoSource, Room], T],
    *,
    on_error: Callable[[PhotoError], None] | None = None,
) -> Iterator[T]:
    """Yield what becomes of photos, in their order; the next ones are read meanwhile.

    Whoever stops early, as by Ctrl-C, does not wait for photos that nobody wants any more.

    Args:
        photos: The photos, read lazily.
        prepare: Reads one photo with `open_photo(..., room=...)` and makes something small of it: several
            photos at full size would not fit into memory. Called in threads.
        on_error: Called with each photo that cannot be read, which is then left out; without it the first
            such photo raises its error.
    """
    waiting = iter(photos)
    ended = threading.Event()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=DECODER)

    def prepared(photo: PhotoSource) -> T:
        with Room(ended) as room:
            return prepare(photo, room)

    def submit() -> list[Future[T]]:
        return [pool.submit(prepared, photo) for photo in islice(waiting, READ_AHEAD)]

    try:
        batch = submit()
        while batch:
            following = submit()
            ready: list[T] = []
            for future in batch:
                try:
                    ready.append(future.result())
                except PhotoError as error:
                    if on_error is None:
                        raise
                    on_error(error)
            yield from ready
            batch = following
    finally:
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
