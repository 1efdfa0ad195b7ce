"""Features for the rows of a table, given or computed; rows without become problems."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere._assembly import preprocessing_of
from whyhere.errors import UsageError
from whyhere.releases import Release, asset_path, home, load_image_tower
from whyhere.training._features import cached_features, features_from_file
from whyhere.training._photos import PhotoStore, StoredPhoto
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
) -> tuple[TrainingTable, NDArray[np.float32]]:
    """Compute features or take them from the cache; missing and unreadable photos become problems."""
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
    # Features are kept: those of two engines must never be mixed.
    tower = load_image_tower(start, engine="onnxruntime")

    def compute() -> tuple[NDArray[np.float32], dict[int, str]]:
        return cached_features(
            found,
            table.file,
            tower=tower,
            tower_fingerprint=tower_fingerprint_of(start),
            spec=preprocessing_of(start, tower),
            folder=home() / "features",
            progress=lambda done, total: told("Encoding photos", done, total),
        )

    if parallel.rank() == 0:
        values, unreadable = compute()
    parallel.barrier()  # the others find everything in the cache
    if parallel.rank() != 0:
        values, unreadable = compute()
    rows = np.arange(len(table))
    table = TrainingTable(rows, table.line, table.file, table.lat, table.lon, table.total, table.problems)
    return table.without(unreadable) if unreadable else table, values


def tower_fingerprint_of(start: Release) -> str:
    """Return what identifies the weights of the image tower."""
    config = start.config.image_tower
    if config.asset:
        files = [asset_path(config.asset) / "manifest.json"]
    elif config.file:
        files = [start.directory / Path(config.file).expanduser()]
    else:
        folder = start.directory / Path(config.folder or "").expanduser()
        files = [folder / "config.json", folder / "model.safetensors"]
    digest = hashlib.sha256(repr(config).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
