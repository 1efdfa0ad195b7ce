"""Where image, location and concept embeddings lie on two axes: PCA, and UMAP where it is installed.

A picture shows, it proves nothing: the numbers beside it (the paper's Fig. 7 has none) say how far the kinds
of embeddings lie apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from whyhere.evaluation.faithfulness._scorecard import Cell, Table
from whyhere.evaluation.faithfulness._study import Doubles, Study

Project = Callable[[Doubles], Doubles]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings on two axes.

    Attributes:
        method: "PCA" or "UMAP".
        photos: Image features, shape (n, 2).
        continents: Continent of every photo's true place, "" where unknown.
        joint_photos: Photos in the location space, shape (n, 2); none where the alignment shows no such
        thing.
        joint_places: Their true places (the nearest of the gallery), shape (n, 2).
        joint_concepts: Concepts, shape (k, 2).
        concepts: Names of the concepts.
        explained: Part of the variance that the two axes hold, of the images and of the joint picture.
    """

    method: str
    photos: Doubles
    continents: tuple[str, ...]
    joint_photos: Doubles
    joint_places: Doubles
    joint_concepts: Doubles
    concepts: tuple[str, ...]
    explained: tuple[float, float] | None


def embeddings(study: Study, *, seed: int) -> tuple[tuple[Embeddings, ...], Table | None]:
    """Project the embeddings of a study, and measure the gap between their kinds.

    Args:
        study: The study, with photos.
        seed: Seed of UMAP.

    Returns:
        PCA, then UMAP where umap-learn is installed; and a table of the gaps.
    """
    if len(study.photos) < 3:
        return (), None
    images = study.feature_rows(np.arange(len(study.photos)))
    photos, places, concepts = _joint(study)
    joint = np.concatenate((photos, places, concepts))
    continents = _continents(study)
    drawn = []
    for method, project in _methods(seed):
        flat = project(joint)
        n = len(photos)
        shares = (_explained(images), _explained(joint)) if method == "PCA" else None
        names = tuple(label.name for label in study.labels)
        drawn.append(
            Embeddings(
                method, project(images), continents, flat[:n], flat[n : 2 * n], flat[2 * n :], names, shares
            )
        )
    return tuple(drawn), _gaps(photos, places, concepts)


def principal_axes(rows: Doubles) -> Doubles:
    """Return rows on their first two principal components, shape (n, 2), signs fixed."""
    centred = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    two = axes[:2]
    if len(two) < 2:
        two = np.vstack((two, np.zeros((2 - len(two), rows.shape[1]))))
    largest = np.abs(two).argmax(axis=1)
    signs = np.sign(two[np.arange(2), largest])
    flat: Doubles = centred @ (two * np.where(signs == 0, 1.0, signs)[:, None]).T
    return flat


def _methods(seed: int) -> list[tuple[str, Project]]:
    from importlib.util import find_spec

    methods: list[tuple[str, Project]] = [("PCA", principal_axes)]
    if find_spec("umap") is not None:

        def project(rows: Doubles) -> Doubles:
            import importlib

            umap: Any = importlib.import_module("umap")
            neighbours = min(15, len(rows) - 1)
            flat: Doubles = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(rows)
            return flat

        methods.append(("UMAP", project))
    return methods


def _explained(rows: Doubles) -> float:
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    return float(values[:2].sum() / max(float(values.sum()), 1e-300))


def _joint(study: Study) -> tuple[Doubles, Doubles, Doubles]:
    """Return photos, their places and the concepts as unit vectors of the location space.

    A photo is what its own alignment scores places with, concepts and remainder together; a held-out one has
    not learned from it, so that the gaps are honest.
    """
    photos = [
        _directions(study.alignment(photo)) @ code.z_img.astype(np.float64) + code.residual
        for photo, code in enumerate(study.codes)
    ]
    release: Any = study.release
    mean = np.asarray(getattr(release, "location_mean", 0.0), np.float64)
    places = study.gallery.embeddings[_nearest(study)].astype(np.float64) - mean
    return _unit(np.array(photos)), _unit(places), _unit(_directions(release).T)


def _directions(alignment: Any) -> Doubles:  # noqa: ANN401 - every kind names them in its own way
    """Return the directions of the concepts in the location space, shape (512, k)."""
    found = getattr(alignment, "basis", None)
    return np.asarray(alignment.concept_directions if found is None else found, np.float64)


def _nearest(study: Study) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the gallery row nearest to each photo's true place."""
    from whyhere.geo import unit_vectors

    here = unit_vectors(study.lat, study.lon)
    return np.array([int((study.cells.directions @ one).argmax()) for one in here], np.intp)


def _unit(rows: Doubles) -> Doubles:
    unit: Doubles = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


def _continents(study: Study) -> tuple[str, ...]:
    from whyhere.geo import countries, country_codes

    table = countries()
    codes = country_codes(study.lat, study.lon)
    return tuple(table[code].continent if code in table else "" for code in codes)


def _gaps(photos: Doubles, places: Doubles, concepts: Doubles) -> Table:
    """Say how far the kinds lie apart in the location space, all at unit length."""
    similar = photos @ places.T
    paired = float(np.diag(similar).mean())
    shuffled = float((similar.sum() - np.trace(similar)) / max(similar.size - len(similar), 1))
    recall = float((similar.argmax(axis=1) == np.arange(len(photos))).mean())
    centre = {"photos": photos.mean(axis=0), "places": places.mean(axis=0), "concepts": concepts.mean(axis=0)}
    rows: list[tuple[Cell, ...]] = [
        ("cosine of photo and its own place, mean", paired),
        ("cosine of photo and another photo's place, mean", shuffled),
        ("photos whose own place is the nearest of all the photos' places, %", 100 * recall),
    ]
    for first, second in (("photos", "places"), ("photos", "concepts"), ("places", "concepts")):
        distance = float(np.linalg.norm(centre[first] - centre[second]))
        rows.append((f"distance between the centres of {first} and {second}", distance))
    return Table("gaps", "How far the kinds of embeddings lie apart", ("what", "value"), tuple(rows))
