"""What an atlas is made of: places, their embeddings and what turns both into concepts. No image tower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere._parts import labels_of, prepare_gallery
from whyhere.alignment import Alignment, load_alignment
from whyhere.concepts import ConceptLabel
from whyhere.errors import MissingFileError
from whyhere.gallery import Gallery, interpolate
from whyhere.prediction import ReleaseCard
from whyhere.releases import Release, prepare_heads

Floats = NDArray[np.float32]

_WORDS_FOR = "clip-vit-b16"


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A text as a direction of the image embeddings of a release.

    Attributes:
        vector: How image embeddings change with what the text says: what `Alignment.location_direction`
            takes, float32, shape (d,).
        known: The words that it was made of.
        unknown: Words that the release does not know and that were left out.
        uncertain: Known words whose direction is a guess.
    """

    vector: Floats
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    uncertain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AtlasParts:
    """Everything that an atlas is made of.

    Attributes:
        alignment: What relates places to concepts.
        gallery: The places, embedded.
        concepts: Names of the concepts, in the order of the alignment.
        card: What a reader must know about the release.
        embed: Embeds positions: latitudes and longitudes in degrees, shape (n,), to unit length (n, 512).
        read_text: Turns a text into a direction; raises `UsageError` where no word of it is known, and
            `MissingFileError` where the release has no directions of texts.
    """

    alignment: Alignment
    gallery: Gallery
    concepts: tuple[ConceptLabel, ...]
    card: ReleaseCard
    embed: Callable[[NDArray[np.float64], NDArray[np.float64]], Floats]
    read_text: Callable[[str], TextQuery]


def assemble_atlas(release: Release, *, progress: Callable[[int, int], None] | None = None) -> AtlasParts:
    """Load what an atlas needs of a release; weights of towers and encoders only when they are used.

    Args:
        release: The release.
        progress: Called with places done and places in all while the gallery is embedded at its first use.

    Raises:
        MissingFileError: A file is missing, damaged or does not fit the others.
    """
    alignment = load_alignment(prepare_heads(release), release.config.alignment)
    gallery = prepare_gallery(release, progress=progress)
    smooth = release.config.gallery_smoothing_km > 0
    return AtlasParts(
        alignment=alignment,
        gallery=gallery,
        concepts=labels_of(release, alignment),
        card=release.config.card,
        embed=lambda lat, lon: interpolate(gallery, lat, lon) if smooth else _embed(release, lat, lon),
        read_text=lambda text: _read_text(release, text),
    )


def _embed(release: Release, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Floats:
    from whyhere.encoders import LocationEncoder

    folder = release.part_path(release.config.location_encoder)
    raw = LocationEncoder.load(folder / "location_encoder.safetensors").embed(lat, lon)
    unit: Floats = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return unit


def _read_text(release: Release, text: str) -> TextQuery:
    """Read a text with the release's own text tower, else with the words known for its image tower."""
    config = release.config
    if config.text_tower is not None:
        from whyhere.releases import load_text_tower

        return TextQuery(load_text_tower(release).embed([text])[0], (text,), ())
    if config.image_tower.asset != _WORDS_FOR:
        raise MissingFileError(
            f"release {config.name} has no directions of texts: it has no text tower, and whyhere knows "
            f"words for the image tower {_WORDS_FOR} only; releases that have: base, geoclip-l14"
        )
    from whyhere.concepts import open_vocabulary

    found = open_vocabulary().direction(text)
    # The pattern, not the detector: see docs/text.md.
    return TextQuery(found.pattern, found.known, found.unknown, found.uncertain)
