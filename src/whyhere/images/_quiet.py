"""Keep the warnings and log lines of the image libraries away from the user while a photo is read.

Pillow warns about odd metadata and large pictures; whyhere checks sizes itself and shrugs at metadata.
`warnings.catch_warnings` saves and restores the filters of the whole process, so two threads that overlap
can leave each other's filters behind for good. Here one filter, which concerns nothing but these libraries,
goes in with the first reader and out with the last; filters of others are never touched. The same holds for
a log handler that does nothing: without any, Python prints Pillow's log lines to standard error. Where the
application has set up logging, it still gets them.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

_FILTER: Final = ("ignore", None, Warning, re.compile(r"(PIL|pi_heif)\."), 0)
_HANDLER: Final = logging.NullHandler()
_lock: Final = threading.Lock()
_readers = 0


@contextmanager
def quiet_image_libraries() -> Iterator[None]:
    """Silence warnings raised by Pillow and pi_heif code inside the block; safe to overlap in threads."""
    global _readers
    filters = cast("list[Any]", warnings.filters)
    with _lock:
        _readers += 1
        # Another thread's catch_warnings may have dropped it; then it goes in again.
        if _FILTER not in filters:
            filters.insert(0, _FILTER)
        logging.getLogger("PIL").addHandler(_HANDLER)
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                logging.getLogger("PIL").removeHandler(_HANDLER)
                with suppress(ValueError):
                    cast("list[Any]", warnings.filters).remove(_FILTER)
