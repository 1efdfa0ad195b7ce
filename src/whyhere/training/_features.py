"""Image features of a training set: computed once, kept memory-mapped, continued after a kill."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from whyhere._io import write_atomically
from whyhere.encoders import ImageTower
from whyhere.errors import MissingFileError, PhotoError, UsageError
from whyhere.images import PreprocessSpec, open_photo, preprocess
from whyhere.training._photos import StoredPhoto

_KEEP_EVERY = 64  # photos between two saved states: a kill loses at most their work
_VERSION = 1


def feature_fingerprint(
    photos: Sequence[StoredPhoto], names: Sequence[str], *, tower: str, spec: PreprocessSpec
) -> str:
    """Return what features depend on, as 16 hexadecimal characters.

    Args:
        photos: The photos, in order.
        names: Their names in the table.
        tower: Fingerprint of the image tower.
        spec: How photos are prepared.
    """
    digest = hashlib.sha256(f"{_VERSION}|{tower}|{spec!r}|".encode())
    for name, photo in zip(names, photos, strict=True):
        digest.update(f"{name}|{photo.offset}|{photo.size}|{photo.modified_ns}\n".encode())
    return digest.hexdigest()[:16]


def cached_features(
    photos: Sequence[StoredPhoto],
    names: Sequence[str],
    *,
    tower: ImageTower,
    tower_fingerprint: str,
    spec: PreprocessSpec,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return the features of photos as `Locator` computes them: mean of unit view embeddings, unit length.

    Args:
        photos: The photos.
        names: Their names in the table.
        tower: The image tower.
        tower_fingerprint: What identifies its weights.
        spec: How photos are prepared.
        folder: Cache folder; each set lies in a folder named by its fingerprint.
        progress: Called with photos done and photos in all.

    Returns:
        Read-only memory map, float32, shape (n, p), NaN in the rows of unreadable photos; and by row, why
        they are unreadable.
    """
    fingerprint = feature_fingerprint(photos, names, tower=tower_fingerprint, spec=spec)
    home = folder / fingerprint
    values, manifest = home / "features.npy", home / "manifest.json"
    state = _state(manifest)
    if state is None or not values.is_file():
        home.mkdir(parents=True, exist_ok=True)
        state = {"done": 0, "unreadable": {}, "rows": len(photos), "tower": tower_fingerprint}
        array = open_memmap(values, mode="w+", dtype=np.float32, shape=(len(photos), tower.dim))
    elif state["done"] < len(photos):
        array = open_memmap(values, mode="r+")
    if state["done"] < len(photos):
        for row in range(state["done"], len(photos)):
            try:
                array[row] = _feature(photos[row], names[row], tower, spec)
            except PhotoError as error:
                array[row] = np.nan
                state["unreadable"][str(row)] = error.reason
            state["done"] = row + 1
            if state["done"] % _KEEP_EVERY == 0 or state["done"] == len(photos):
                array.flush()  # the rows first, then the word that they are there
                write_atomically(manifest, json.dumps(state).encode())
            if progress is not None:
                progress(state["done"], len(photos))
        del array
    return np.load(values, mmap_mode="r"), {int(row): why for row, why in state["unreadable"].items()}


def _feature(photo: StoredPhoto, name: str, tower: ImageTower, spec: PreprocessSpec) -> NDArray[np.float32]:
    try:
        data = photo.read()
    except OSError as error:
        raise PhotoError(name, f"cannot be read: {error.strerror or error}") from error
    views = tower.embed_only(preprocess(open_photo(io.BytesIO(data), name=name).image, spec))
    mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
    unit: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return unit


def _state(manifest: Path) -> dict[str, Any] | None:
    """Return the saved state; None where there is none or it was cut short."""
    try:
        state: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state


def features_from_file(path: str | Path, *, rows: int) -> NDArray[np.float32]:
    """Open a `.npy` with one row of features for every data row of the table, bad rows included.

    Args:
        path: The file.
        rows: Data rows of the table.

    Returns:
        Memory map, shape (rows, p).

    Raises:
        MissingFileError: It cannot be read.
        UsageError: It has another shape.
    """
    try:
        array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MissingFileError(f"{path}: cannot read the features ({error}); check --features") from error
    if array.ndim != 2 or len(array) != rows or array.dtype.kind != "f":
        raise UsageError(
            f"{path}: features must be floats with one row for each of the {rows} rows of the table, "
            f"not {array.dtype} {array.shape}"
        )
    return array
