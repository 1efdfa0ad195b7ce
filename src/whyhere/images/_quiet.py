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
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

_FILTER: Final = ("ignore", None, Warning, re.compile(r"(PIL|pi_heif)\."), 0)
_HANDLER: Final = logging.NullHandler()
_lock: Final = threading.Lock()
_readers = 0


@cache
def silence_libtiff() -> None:
    """Switch off the lines that the libtiff of Pillow's wheels writes to standard error by itself.

    Its faults come back as exceptions all the same. Where Pillow was built otherwise, it keeps its lines.
    """
    import ctypes

    import PIL

    for folder in ("pillow.libs", "pillow.dylibs", "PIL/.dylibs"):
        for library in (Path(PIL.__file__).parent.parent / folder).glob("libtiff*"):
            with suppress(OSError, AttributeError):
                loaded = ctypes.CDLL(str(library))
                for handler in (loaded.TIFFSetErrorHandler, loaded.TIFFSetWarningHandler):
                    handler.restype, handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
                    handler(None)


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
