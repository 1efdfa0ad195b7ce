"""Reads the packed tables in `geo/data`, which `scripts/build_geo_data.py` writes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError

LAT_LON_SCALE = 10_000
"""Places are stored in steps of 1e-4 degrees, 11 m."""


def _bytes(name: str) -> bytes:
    source = resources.files("whyhere.geo") / "data" / name
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(f"{source} is missing from this installation; reinstall whyhere") from error


@cache
def tables_fingerprint() -> str:
    """Return 64 hexadecimal digits that change whenever names, places or outlines do."""
    digest = hashlib.sha256()
    for name in ("places.npz", "outlines.npz", "countries.json"):
        digest.update(hashlib.sha256(_bytes(name)).digest())
    return digest.hexdigest()


def arrays(name: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of one `.npz` table."""
    try:
        with np.load(io.BytesIO(_bytes(name)), allow_pickle=False) as table:
            return {key: table[key] for key in table.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        raise MissingFileError(
            f"{name} of this installation is damaged ({error}); reinstall whyhere"
        ) from error


def document(name: str) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Read one `.json` table."""
    return json.loads(_bytes(name))


def slices(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Offsets, shape (n + 1,), of n runs with the given lengths."""
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
