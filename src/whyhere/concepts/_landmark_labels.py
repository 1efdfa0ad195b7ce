"""What a release calls its landmarks, and whose photos of them it learned from: `landmarks.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whyhere._io import plain
from whyhere.concepts._labels import ConceptLabel
from whyhere.errors import MissingFileError

LANDMARK_GROUP = "landmark"
"""Group of every landmark."""


@dataclass(frozen=True, slots=True)
class PhotoCredit:
    """A photo that a release learned from.

    Attributes:
        title: What it shows, as its source calls it.
        author: Who took it; "" where the source does not say.
        licence: Licence, as its source names it.
        source: Where it comes from.
    """

    title: str
    author: str
    licence: str
    source: str


@dataclass(frozen=True, slots=True)
class LandmarkLabel:
    """A place that photos can look like.

    Attributes:
        id: Id, unique in the release.
        name: Name for people.
        lat: Latitude in degrees.
        lon: Longitude in degrees.
        photos: The photos of it.
    """

    id: str
    name: str
    lat: float
    lon: float
    photos: tuple[PhotoCredit, ...]

    @property
    def concept(self) -> ConceptLabel:
        """The landmark as the concept that it is."""
        return ConceptLabel(self.id, self.name, LANDMARK_GROUP, f"Looks like {self.name}.", "photos")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def read_landmarks(path: Path) -> tuple[LandmarkLabel, ...]:
    """Read the `landmarks.json` of a release; none where there is no such file.

    Raises:
        MissingFileError: The file is damaged, or an id occurs twice.
    """
    if not path.exists():
        return ()
    try:
        entries = json.loads(plain(path).read_text(encoding="utf-8"))
        labels = tuple(
            LandmarkLabel(
                str(entry["id"]),
                str(entry["name"]),
                float(entry["lat"]),
                float(entry["lon"]),
                tuple(PhotoCredit(**photo) for photo in entry["photos"]),
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingFileError(f"{path}: cannot read the landmarks of the release ({error})") from error
    if len({label.id for label in labels}) != len(labels):
        raise MissingFileError(f"{path}: a landmark id occurs twice")
    return labels
