"""Looking at photos and at changed photos, each once: features are kept in the cache."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere._io import write_atomically
from whyhere.images import open_photo

Floats = NDArray[np.float32]


class CachedLook:
    """Looks at images with an image tower and keeps what it saw, one small file an image.

    A run that was interrupted goes on from what is there; a file is whole or absent.

    Args:
        see: From an RGB image to its features.
        fingerprint: Names everything that the features depend on besides the pixels.
        folder: Where they are kept; nowhere where None.
    """

    def __init__(
        self, see: Callable[[Image.Image], Floats], *, fingerprint: str, folder: Path | None
    ) -> None:
        self._see, self._fingerprint, self._folder = see, fingerprint, folder

    def image(self, path: Path) -> Image.Image:
        """Open a photo, upright, RGB.

        Raises:
            PhotoError: It cannot be read.
        """
        return open_photo(path).image

    def features(self, image: Image.Image, key: str) -> Floats:
        """Return the features of an image; `key` is only for people, the pixels decide."""
        if self._folder is None:
            return self._see(image)
        digest = hashlib.sha256(f"{self._fingerprint}|{image.mode}|{image.size}|".encode())
        digest.update(image.tobytes())
        path = self._folder / f"{digest.hexdigest()[:32]}.npy"
        if path.is_file():
            kept: Floats = np.load(path)
            return kept
        found = self._see(image)
        self._folder.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        np.save(data, found)
        write_atomically(path, data.getvalue())
        return found


def tower_fingerprint(release: Any) -> str:  # noqa: ANN401 - a release, or a stub of one
    """Name what the features of a release depend on: tower, views and preparation."""
    from whyhere.releases import asset_path

    config = release.config.image_tower
    digest = hashlib.sha256(repr(config).encode())
    if config.asset:
        digest.update((asset_path(config.asset) / "manifest.json").read_bytes())
    else:
        for name in sorted(
            path
            for path in release.directory.rglob("*")
            if path.is_file() and path.suffix in {".onnx", ".json"}
        ):
            status = name.stat()
            digest.update(f"{name.name}|{status.st_size}|{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
