"""A world whose truth is known: photos show bands of latitude and sectors of longitude, and nothing else.

Concept j points in the image space along column j of an orthonormal matrix; the head sends it to where places
of its band or sector lie in the location space. An alignment with these directions under these names is
faithful.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from whyhere.alignment import LinearAlignment
from whyhere.concepts import ConceptLabel
from whyhere.evaluation.faithfulness import Study
from whyhere.gallery import Gallery
from whyhere.geo import unit_vectors
from whyhere.ranking import CellIndex, RankingConfig

BANDS = (-60.0, -35.0, -12.0, 12.0, 35.0, 60.0)
SECTORS = tuple(np.linspace(-180, 180, 11))
K = len(BANDS) - 1 + len(SECTORS) - 1
DIM, PLACES, PHOTOS = 64, 1200, 50
RANKING = RankingConfig(temperature=0.1, cell_resolution=1, radius_km=2000.0, abstain_below=0.0)


def truth(lat, lon):
    """Which concept holds where, bool, shape (n, k)."""
    lat, lon = np.asarray(lat)[:, None], np.asarray(lon)[:, None]
    bands = (lat >= BANDS[:-1]) & (lat < BANDS[1:])
    sectors = (lon >= SECTORS[:-1]) & (lon < np.array(SECTORS[1:]))
    return np.concatenate((bands, sectors), axis=1)


@dataclass(frozen=True)
class Reference:
    """What `whyhere.references` would know about one concept."""

    column: int
    concept_id: str = ""
    name: str = "where it is"
    kind: str = "binary"
    directness: str = "direct"
    unit: str = ""
    higher_means_more: bool = True
    threshold: float = 0.5

    def values(self, lat, lon):
        return truth(lat, lon)[:, self.column].astype(np.float64)

    @property
    def described(self):
        return self.name

    def present(self, values):
        return np.where(np.isnan(values), np.nan, values >= 0.5)


def lookup(concept_id: str):
    return Reference(int(concept_id.removeprefix("c")), concept_id, f"truth of {concept_id}")


def lookup_shifted(concept_id: str):
    """The names are shuffled: each concept has the reference of another."""
    return Reference((int(concept_id.removeprefix("c")) + 3) % K, concept_id, "another's truth")


def places(count: int, rng: np.random.Generator):
    lat = np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(-59)), np.sin(np.radians(59)), count)))
    return lat, rng.uniform(-180, 180, count)


class ColourTower:
    """Sees which photo an image is by its colour, whatever else was done to it.

    Args:
        features: One row a photo.
        fragile: Whether an image looks like any other photo.
    """

    def __init__(self, features, *, fragile: bool = False) -> None:
        self._features, self._fragile = features, fragile

    def __call__(self, image):
        if self._fragile:
            return self._features[zlib.crc32(image.tobytes()) % len(self._features)]
        return self._features[photo_of(image)]


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (60, 40), (4 * (number % 60),) * 3)


def photo_of(image: Image.Image) -> int:
    return round(float(np.asarray(image)[..., 0].mean()) / 4)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def world(*, seed: int = 0, photos: int = PHOTOS, count: int = PLACES, noise: float = 0.05) -> Study:
    """Make a study that a faithful alignment answers."""
    rng = np.random.default_rng(seed)
    lat, lon = places(count, rng)
    waves = rng.normal(size=(3, 512)) * np.repeat((1.0, 2.0, 4.0, 7.0), 128)
    phases = rng.uniform(0, 2 * np.pi, 512)
    embeddings = unit(np.cos(unit_vectors(lat, lon) @ waves + phases)).astype(np.float32)
    mean = embeddings.mean(axis=0)
    holds = truth(lat, lon).astype(np.float64)
    y = unit((embeddings - mean).astype(np.float64))
    gram = y.T @ y + 3.0 * np.eye(512)
    basis = np.linalg.solve(gram, y.T @ (holds - holds.mean(axis=0)))  # (512, k)
    basis /= np.linalg.norm(basis, axis=0)
    axes = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    directions, rest = axes[:, :K], axes[:, K:]
    photo_lat, photo_lon = places(photos, rng)
    features = truth(photo_lat, photo_lon) @ directions.T
    features += noise * rng.normal(size=(photos, DIM - K)) @ rest.T
    alignment = LinearAlignment(
        concept_ids=tuple(f"c{j}" for j in range(K)),
        head=(basis @ directions.T).astype(np.float32),
        feature_mean=np.zeros(DIM, np.float32),
        location_mean=mean,
        directions=np.ascontiguousarray(directions, np.float32),
        scale=1.0,
        penalty=0.01,
    )
    rows = unit(features).astype(np.float32)
    return Study(
        photos=tuple(f"{i}.png" for i in range(photos)),
        files=tuple(Path(f"{i}.png") for i in range(photos)),
        lat=photo_lat,
        lon=photo_lon,
        features=tuple(rows),
        alignments=(alignment,),
        rankings=(RANKING,),
        fold_of=np.zeros(photos, np.intp),
        labels=tuple(ConceptLabel(f"c{j}", f"Concept {j}", "landform", "A test.", "text") for j in range(K)),
        gallery=Gallery(lat=lat, lon=lon, embeddings=embeddings, fingerprint="test"),
        cells=CellIndex.build(lat, lon, resolution=RANKING.cell_resolution),
        release=alignment,
        held_out=True,
        embed=ColourTower(rows),
        open_image=lambda path: picture(int(path.stem)),
    )


def remainder_only(study: Study) -> Study:
    """The same answers, but what is named are directions that say nothing about the place."""
    alignment = study.alignments[0]
    axes = np.linalg.qr(
        np.concatenate((alignment.directions, np.random.default_rng(5).normal(size=(DIM, DIM - K))), axis=1)
    )[0]
    blind = replace(alignment, directions=np.ascontiguousarray(axes[:, K : 2 * K], np.float32))
    return replace(study, alignments=(blind,), release=blind)
