"""Features for the rows of a table, given or computed; rows without become problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.embeddings import EmbeddingCache, StoredPhoto
from whyhere.errors import UsageError
from whyhere.releases import Release
from whyhere.training._features import features_from_file
from whyhere.training._photos import PhotoStore
from whyhere.training._table import TrainingTable

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def given_features(table: TrainingTable, path: str | Path) -> tuple[TrainingTable, NDArray[np.float32]]:
    """Open given features; rows that are not finite become problems."""
    values = features_from_file(path, rows=table.total)
    bad: dict[int, str] = {}
    for begin in range(0, len(table), 65536):
        block = np.asarray(values[table.row[begin : begin + 65536]], np.float64)
        norms = np.linalg.norm(block, axis=1)
        bad |= {
            begin + int(i): "has features that are not finite" for i in np.flatnonzero(~np.isfinite(norms))
        }
        if (np.abs(norms[np.isfinite(norms)] - 1) > 0.01).any():
            raise UsageError(
                f"{path}: features must have unit length, as whyhere computes them: the mean of the unit "
                "embeddings of a photo's views, scaled to length 1"
            )
    return table.without(bad) if bad else table, values


def computed_features(
    table: TrainingTable, photos: str | Path, start: Release, told: Progress
) -> tuple[TrainingTable, NDArray[np.float32], NDArray[np.int64]]:
    """Compute features or take them from the cache; missing and unreadable photos become problems.

    Returns:
        The rows that are left, everything in the cache, and the row in the cache of each photo.
    """
    from whyhere.training import _distributed as parallel

    store = PhotoStore(photos)
    found: list[StoredPhoto] = []
    missing: dict[int, str] = {}
    for position, name in enumerate(table.file):
        photo = store.find(name)
        if isinstance(photo, str):
            missing[position] = photo
        else:
            found.append(photo)
    table = table.without(missing) if missing else table
    if not found:
        raise UsageError(f"none of the {len(missing)} photos of the table is in {photos}; check --photos")
    cache = EmbeddingCache.open(start, view_average="embeddings", engine="onnxruntime")
    for turn in (True, False):  # the first process embeds, the others find everything in the cache
        if turn == (parallel.rank() == 0):
            embedded = cache.embed_photos(
                found, table.file, progress=lambda done, total: told("Encoding photos", done, total)
            )
        parallel.barrier()
    rows = np.arange(len(table))
    table = TrainingTable(rows, table.line, table.file, table.lat, table.lon, table.total, table.problems)
    table = table.without(embedded.unreadable) if embedded.unreadable else table
    return table, embedded.values, embedded.rows[table.row]
