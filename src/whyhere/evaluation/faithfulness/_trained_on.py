"""Whether a release has learned from the photos that it is tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment

FILE = "training_photos.txt"
_CLOSE = 1e-4


def trained_on(
    directory: Path, alignment: Alignment, files: Sequence[Path], features: NDArray[np.float64]
) -> str:
    """Say what the release has learned from.

    A release may list the SHA-256 of its training photos in `training_photos.txt`, one a line. Without it, an
    alignment whose mean of features is the mean of just these photos has learned from them.

    Args:
        directory: The release.
        alignment: Its alignment.
        files: The photos.
        features: Their features, shape (n, p).

    Returns:
        "these photos", "some of these photos", "none of these photos" or "not known".
    """
    path = directory / FILE
    if path.is_file():
        lines = (line.partition("#")[0].strip().lower() for line in path.read_text("utf-8").splitlines())
        known = {line for line in lines if line}
        met = sum(hashlib.sha256(file.read_bytes()).hexdigest() in known for file in files)
        if not met:
            return "none of these photos"
        return "these photos" if met == len(files) else "some of these photos"
    model: Any = alignment
    mean = getattr(model, "feature_mean", None)
    same = mean is not None and mean.shape == features.shape[1:]
    if same and np.abs(features.mean(axis=0) - mean).max() <= _CLOSE:
        return "these photos"
    return "not known"
