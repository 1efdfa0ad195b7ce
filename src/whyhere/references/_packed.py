"""Reads the files in `references/data`. What they are and where they come from: `data/SOURCES.md`."""

from __future__ import annotations

import csv
import io
import tomllib
import zipfile
import zlib
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError


def _bytes(name: str) -> bytes:
    source = resources.files("whyhere.references") / "data" / name
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(f"{source} is missing from this installation; reinstall whyhere") from error


@cache
def grids() -> dict[str, NDArray[Any]]:
    """Read all packed rasters, once: row 0 at the north pole, column 0 at 180 degrees west."""
    try:
        with np.load(io.BytesIO(_bytes("layers.npz")), allow_pickle=False) as table:
            return {key: table[key] for key in table.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError) as error:
        raise MissingFileError(
            f"layers.npz of this installation is damaged ({error}); reinstall whyhere"
        ) from error


def rows(name: str) -> list[dict[str, str]]:
    """Read one table."""
    return list(csv.DictReader(io.StringIO(_bytes(name).decode())))


def document(name: str) -> dict[str, Any]:
    """Read one TOML file."""
    return tomllib.loads(_bytes(name).decode())
