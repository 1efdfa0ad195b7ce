"""Landmarks from photos with titles: which photos show one place, and what is kept of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Landmarks
from whyhere.concepts import LandmarkLabel, PhotoCredit
from whyhere.geo import great_circle_km

Doubles = NDArray[np.float64]

SAME_PLACE_KM = 2.0
"""Photos nearer than this to the first photo of a landmark are photos of it."""

REACH = 0.07
"""How far the part of a landmark reaches, in distances of location embeddings; about 30 km."""

REACH_KM = 30.0


@dataclass(frozen=True, slots=True)
class LandmarkRecipe:
    """How photos look like landmarks; see `Landmarks`.

    Attributes:
        temperature: tau.
        threshold: c_0.
        weight: Largest part of the score.
        least: Activations below it are taken for 0.
    """

    temperature: float = 0.08
    threshold: float = 0.6
    weight: float = 0.55
    least: float = 0.02


@dataclass(frozen=True, slots=True)
class Titled:
    """Photos that may be landmarks.

    Attributes:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).
        precision_km: How far a photo may lie from its position, shape (n,).
        credits: Titles and whom to name; a photo with an empty title is no landmark's.
    """

    lat: Doubles
    lon: Doubles
    precision_km: Doubles
    credits: tuple[PhotoCredit, ...]

    def take(self, rows: NDArray[np.intp]) -> Titled:
        """Return some of the photos."""
        credits = tuple(self.credits[row] for row in rows.tolist())
        return Titled(self.lat[rows], self.lon[rows], self.precision_km[rows], credits)


def make_landmarks(
    photos: Titled, centred: Doubles, targets: Doubles, recipe: LandmarkRecipe
) -> tuple[Landmarks, tuple[LandmarkLabel, ...]]:
    """Group photos with titles by place.

    Args:
        photos: The photos.
        centred: Their centred image features of unit length, shape (n, d).
        targets: Unit location embeddings of the neighbourhoods where they were taken, shape (n, 512).
        recipe: What is chosen.

    Returns:
        Landmarks, and what they are called; photos of one landmark keep their order.
    """
    titled = [row for row, credit in enumerate(photos.credits) if credit.title]
    firsts: list[int] = []
    members: list[list[int]] = []
    for row in titled:
        here = photos.lat[row], photos.lon[row]
        km = great_circle_km(*here, photos.lat[firsts], photos.lon[firsts]) if firsts else np.empty(0)
        nearest = int(km.argmin()) if len(km) else -1
        if nearest >= 0 and km[nearest] <= SAME_PLACE_KM:
            members[nearest].append(row)
        else:
            firsts.append(row)
            members.append([row])
    taken: set[str] = set()
    labels = tuple(
        LandmarkLabel(
            id=_free_id(photos.credits[rows[0]].title, taken),
            name=_name([photos.credits[row].title for row in rows]),
            lat=round(float(photos.lat[rows[0]]), 4),
            lon=round(float(photos.lon[rows[0]]), 4),
            photos=tuple(photos.credits[row] for row in rows),
        )
        for rows in members
    )
    order = np.array([row for rows in members for row in rows], np.intp)
    of_photo = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    precision = np.array([max(photos.precision_km[rows]) for rows in members])
    made = Landmarks(
        photos=centred[order].astype(np.float16),
        of_photo=of_photo.astype(np.int32),
        places=targets[firsts].astype(np.float16),
        reach=(REACH * np.maximum(precision / REACH_KM, 1.0)).astype(np.float32),
        temperature=recipe.temperature,
        threshold=recipe.threshold,
        weight=recipe.weight,
        least=recipe.least,
    )
    return made, labels


def _name(titles: Sequence[str]) -> str:
    """Return the shortest title, without a number in brackets."""
    plain = [re.sub(r"\s*\(\d+\)$|<[^>]*>", "", title).strip() or title for title in titles]
    return min(plain, key=len)


def _free_id(title: str, taken: set[str]) -> str:
    """Return an id of plain letters that no other landmark has."""
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    stem = "landmark-" + (re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:60] or "place")
    free, number = stem, 1
    while free in taken:
        number += 1
        free = f"{stem}-{number}"
    taken.add(free)
    return free
