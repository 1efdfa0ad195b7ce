"""The Concept-Aware Alignment Module at inference, in NumPy.

Image and location embeddings meet in one score, and every explanation is read off the summands of that
same score (arXiv 2509.01910, Eq. 1 to 3). What a release uses is an `Alignment`, of one of four kinds;
`load_alignment` reads it from the release's `model.safetensors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyhere.alignment._algebra import Alignment
from whyhere.alignment._caam import ConceptAlignment, Head
from whyhere.alignment._closed_form import LinearAlignment, PhotoCodeAlignment
from whyhere.alignment._codes import Contributions, ImageCode, Landmarks, Similar, no_landmarks, sparse_codes
from whyhere.alignment._fit import (
    ConceptPatterns,
    PhotoCodeRecipe,
    RidgeHead,
    concept_patterns,
    fit_columns,
    fit_photo_code,
    fit_ridge,
    learned_patterns,
)
from whyhere.alignment._geoclip import GeoClipAlignment, GeoClipHead, save_geoclip
from whyhere.errors import MissingFileError

__all__ = [
    "Alignment",
    "ConceptAlignment",
    "ConceptPatterns",
    "Contributions",
    "GeoClipAlignment",
    "GeoClipHead",
    "Head",
    "ImageCode",
    "Landmarks",
    "LinearAlignment",
    "PhotoCodeAlignment",
    "PhotoCodeRecipe",
    "RidgeHead",
    "Similar",
    "concept_patterns",
    "fit_columns",
    "fit_photo_code",
    "fit_ridge",
    "learned_patterns",
    "load_alignment",
    "no_landmarks",
    "save_geoclip",
    "sparse_codes",
]

_KINDS = {
    "photo-code": PhotoCodeAlignment.load,
    "linear": LinearAlignment.load,
    "geoclip": GeoClipAlignment.load,
    "caam": ConceptAlignment.load,
}


def load_alignment(path: Path, config: Mapping[str, Any]) -> Alignment:
    """Read the alignment of a release.

    Args:
        path: The release's `model.safetensors`.
        config: The `alignment` section of its `config.json`.

    Raises:
        MissingFileError: The file is missing or does not fit the configuration, or `kind` is unknown.
    """
    load = _KINDS.get(str(config.get("kind")))
    if load is None:
        raise MissingFileError(
            f"{path.parent / 'config.json'}: alignment kind {config.get('kind')!r} is not known to this "
            f"version of whyhere (known: {', '.join(_KINDS)}); update it with: "
            "pip install --upgrade whyhere"
        )
    return load(path, config)
