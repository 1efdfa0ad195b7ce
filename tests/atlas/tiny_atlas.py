"""A tiny world: 600 places, seven concepts that depend smoothly on the position, no weights."""

from __future__ import annotations

import numpy as np

from whyhere.alignment import LinearAlignment
from whyhere.atlas import Atlas, TextQuery
from whyhere.concepts import ConceptLabel
from whyhere.errors import UsageError
from whyhere.gallery import Gallery
from whyhere.geo import unit_vectors
from whyhere.prediction import ReleaseCard

CONCEPTS = (
    "desert", "forest", "coast", "mountain", "tundra", "rice-paddy", "<b>odd</b>",
)  # fmt: skip
WIDTH = 16


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def embed(lat, lon):
    """Embed positions by smooth waves of their unit vectors: near places are alike, no seam anywhere."""
    waves = np.random.default_rng(5).normal(size=(3, 512)) * 2.0
    return unit(np.cos(unit_vectors(lat, lon) @ waves + np.arange(512))).astype(np.float32)


def places():
    """Half of the places anywhere, half of them crowded into France, Spain and Fiji."""
    rng = np.random.default_rng(1)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 300))), rng.uniform(-180, 180, 300)
    france = rng.uniform((44, 0), (49, 6), (130, 2))
    spain = rng.uniform((37.5, -6), (42, -1), (130, 2))
    fiji = rng.uniform((-18.3, 177), (-16.2, 183), (40, 2))
    all_lat = np.concatenate((lat, france[:, 0], spain[:, 0], fiji[:, 0]))
    all_lon = np.concatenate((lon, france[:, 1], spain[:, 1], fiji[:, 1]))
    return all_lat, (all_lon + 180) % 360 - 180


def read_text(text: str) -> TextQuery:
    words = text.split()
    known = tuple(word for word in words if not word.startswith("x"))
    if not known:
        raise UsageError("no word is known")
    vector = np.zeros(WIDTH, np.float32)
    vector[len(known[0]) % WIDTH] = 1.0
    unknown = tuple(word for word in words if word not in known)
    return TextQuery(vector, known, unknown, tuple(word for word in known if word.endswith("?")))


def make_atlas(order=None, lat=None, lon=None, grounded=(), reference=None) -> Atlas:
    """The tiny world is not the Earth: its concepts have no open references but the one that is given."""
    if lat is None:
        lat, lon = places()
    if order is not None:
        lat, lon = lat[order], lon[order]
    embeddings = embed(lat, lon)
    rng = np.random.default_rng(2)
    learned = unit(np.random.default_rng(6).normal(size=(len(CONCEPTS), 512)))
    alignment = LinearAlignment(
        concept_ids=CONCEPTS,
        head=rng.normal(size=(512, WIDTH)).astype(np.float32),
        feature_mean=np.zeros(WIDTH, np.float32),
        location_mean=embed(*places()).mean(axis=0),
        directions=unit(rng.normal(size=(len(CONCEPTS), WIDTH))).T.astype(np.float32),
        scale=1.0,
        penalty=0.02,
        grounding=(learned.T * [id in grounded for id in CONCEPTS]).astype(np.float32),
    )
    return Atlas(
        alignment=alignment,
        gallery=Gallery(lat=lat, lon=lon, embeddings=embeddings, fingerprint="test"),
        concepts=tuple(
            ConceptLabel(id, id.replace("-", " "), "landform", "A test.", "text") for id in CONCEPTS
        ),
        card=ReleaseCard("tiny", "1.0", "A test.", "None.", ("It is tiny.",), ("Map: Natural Earth.",)),
        embed=embed,
        read_text=read_text,
        reference_for=lambda concept_id: reference,
    )
