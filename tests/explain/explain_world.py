"""A small world for explanations: 400 places, 12 concepts in 3 groups, both kinds of alignment."""

from __future__ import annotations

import numpy as np

from whyhere import Locator
from whyhere._parts import Parts
from whyhere.alignment import ConceptAlignment, Head, ImageCode, LinearAlignment
from whyhere.concepts import ConceptLabel
from whyhere.encoders import TowerOutput
from whyhere.gallery import Gallery
from whyhere.images import PreprocessSpec
from whyhere.prediction import ReleaseCard
from whyhere.ranking import RankingConfig

DIM, CONCEPTS, PLACES = 32, 12, 400
GROUPS = ("water", "landform", "animals")
LABELS = tuple(
    ConceptLabel(f"thing-{j}", f"Thing {j}", GROUPS[j % 3], "A test.", "text") for j in range(CONCEPTS)
)


class NoisyTower:
    """A tower whose embedding is a fixed random projection of the pixels' coarse colours."""

    image_size = 224
    dim = DIM

    def __init__(self) -> None:
        self._projection = np.random.default_rng(0).normal(size=(3 * 49, DIM)).astype(np.float32)

    def embed_only(self, pixels):
        coarse = pixels.reshape(len(pixels), 3, 7, 32, 7, 32).mean(axis=(3, 5)).reshape(len(pixels), -1)
        return np.stack([row @ self._projection for row in coarse])

    def embed(self, pixels):
        return TowerOutput(self.embed_only(pixels), np.zeros((len(pixels), 1, 1), np.float32))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def linear(rng, location_mean):
    return LinearAlignment(
        concept_ids=tuple(label.id for label in LABELS),
        head=rng.normal(size=(512, DIM)).astype(np.float32),
        feature_mean=np.zeros(DIM, np.float32),
        location_mean=location_mean,
        directions=unit(rng.normal(size=(CONCEPTS, DIM))).T.astype(np.float32),
        scale=1.0,
        penalty=0.02,
    )


def caam(rng, location_mean):
    def head(out):
        small = 0.1 * rng.normal(size=(out, 8))
        return Head(*(
            array.astype(np.float32)
            for array in (
                rng.normal(size=(out, DIM)), 0.1 * rng.normal(size=out), rng.normal(size=(8, DIM)),
                rng.normal(size=8), small,
            )
        ))  # fmt: skip

    return ConceptAlignment(
        concept_ids=tuple(label.id for label in LABELS),
        image=head(CONCEPTS),
        feature=head(512),
        directions=unit(rng.normal(size=(CONCEPTS, 64))).T.astype(np.float32),
        delta=0.1 * rng.normal(size=(64, CONCEPTS)).astype(np.float32),
        adapter=rng.normal(size=(64, 512)).astype(np.float32),
        feature_mean=np.zeros(DIM, np.float32),
        location_mean=location_mean,
        concept_weight=1.0,
        feature_weight=0.5,
        normalise=True,
    )


def small_locator(kind: str = "linear", *, abstain_below: float = 0.0, tower_name: str = "") -> Locator:
    rng = np.random.default_rng(1)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, PLACES))), rng.uniform(-180, 180, PLACES)
    embeddings = unit(rng.normal(size=(PLACES, 512))).astype(np.float32)
    make = {"linear": linear, "caam": caam}[kind]
    return Locator(
        Parts(
            tower=NoisyTower(),
            preprocessing=PreprocessSpec(views=1),
            gallery=Gallery(lat=lat, lon=lon, embeddings=embeddings, fingerprint="test"),
            alignment=make(rng, embeddings.mean(axis=0)),
            ranking=RankingConfig(
                temperature=0.05, cell_resolution=3, radius_km=500.0, abstain_below=abstain_below
            ),
            concepts=LABELS,
            card=ReleaseCard("tiny", "1.0", "A test.", "None.", (), ()),
            tower_name=tower_name,
        )
    )


def code_of(locator: Locator, seed: int) -> ImageCode:
    features = unit(np.random.default_rng(seed).normal(size=DIM)).astype(np.float32)
    return locator.parts.alignment.encode_image(features)
