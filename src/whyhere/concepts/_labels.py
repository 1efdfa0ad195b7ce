"""What a release calls its concepts and landmarks, and which of them a person means.

`concepts.json` lies beside the weights of every release; `landmarks.json` where it has learned landmarks.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from whyhere._io import plain
from whyhere._record import Record
from whyhere._text import name_key
from whyhere.concepts._bank import Concept, load_bank
from whyhere.concepts._directions import load_directions
from whyhere.errors import MissingFileError, UsageError

EVIDENCE = ("confirmed", "undecided", "contradicted", "untested")
"""Open maps agree in both intervention and map; not clearly; they disagree; there is no open map."""

LANDMARK_GROUP = "landmark"
"""Group of every landmark."""

_SPELT_ALIKE = 0.78  # "dessert" means desert; "monsoon" (0.71) does not mean mansion
_NEAR = 0.5  # cosine of two directions from which on one concept is offered for another
_OFFERED = 5


class ConceptLabel(Record, frozen=True, forbid_unknown_fields=True):
    """Name of one concept of a release.

    Attributes:
        id: Id, unique in the release.
        name: Name for people.
        group: Group, such as "landform".
        definition: One line: what the concept means.
        source: Where its direction comes from: "text", "bridged", "activation", "combined"...
        evidence: What the faithfulness scorecard says of it: one of `EVIDENCE`, or "" where nobody asked.
    """

    id: str
    name: str
    group: str
    definition: str
    source: str
    evidence: str = ""


class PhotoCredit(Record, frozen=True, forbid_unknown_fields=True):
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


class LandmarkLabel(Record, frozen=True):
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


def read_labels(path: Path) -> tuple[ConceptLabel, ...]:
    """Read the `concepts.json` of a release.

    Args:
        path: The file: a JSON array of objects with the fields of `ConceptLabel`.

    Raises:
        MissingFileError: The file is missing or not such an array, or an id occurs twice.
    """
    entries = _read_json(path, "concepts")
    if not isinstance(entries, list):
        raise MissingFileError(f"{path}: must hold a JSON array of concepts")
    labels = []
    for number, entry in enumerate(entries, start=1):
        try:
            label = msgspec.convert(entry, ConceptLabel)
        except (msgspec.ValidationError, ValueError):  # ValueError: a key that no encoding knows
            label = None
        if label is None or label.evidence not in ("", *EVIDENCE):
            raise MissingFileError(
                f"{path}: concept {number} must have exactly the texts "
                f"{', '.join(sorted(ConceptLabel.__struct_fields__))}; evidence may be left out or is one of "
                f"{', '.join(EVIDENCE)}"
            )
        labels.append(label)
    if len({label.id for label in labels}) != len(labels):
        raise MissingFileError(f"{path}: a concept id occurs twice")
    return tuple(labels)


def read_landmarks(path: Path) -> tuple[LandmarkLabel, ...]:
    """Read the `landmarks.json` of a release; none where there is no such file.

    Raises:
        MissingFileError: The file is damaged, or an id occurs twice.
    """
    if not path.exists():
        return ()
    try:
        labels = msgspec.convert(_read_json(path, "landmarks"), tuple[LandmarkLabel, ...])
    except (msgspec.ValidationError, ValueError) as error:  # ValueError: a key that no encoding knows
        raise MissingFileError(f"{path}: cannot read the landmarks of the release ({error})") from error
    if len({label.id for label in labels}) != len(labels):
        raise MissingFileError(f"{path}: a landmark id occurs twice")
    return labels


def _read_json(path: Path, what: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(plain(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MissingFileError(f"{path}: cannot read the {what} of the release ({error})") from error


def find_concept(text: str, labels: Sequence[ConceptLabel], *, synonyms: bool = True) -> int | None:
    """Return the row of the concept that is meant, or None where the release has none.

    Args:
        text: Its id or its name; case, spaces, hyphens and underscores do not matter.
        labels: The concepts of the release.
        synonyms: Whether to take names and synonyms of the shipped bank as well, where the release has the
            concept; the release's own ids and names win.
    """
    wanted = name_key(text)
    for row, label in enumerate(labels):
        if wanted in (name_key(label.id), name_key(label.name)):
            return row
    meant = _in_bank(text) if synonyms else None
    return next((row for row, label in enumerate(labels) if meant and label.id == meant.id), None)


def unknown_concept(text: str, labels: Sequence[ConceptLabel], *, others: Iterable[str] = ()) -> str:
    """Say of a name that no concept of a release has what may have been meant instead.

    A concept of the shipped bank that the release does not use is no slip of the pen: concepts near in
    meaning are named. For any other word those that are spelt alike are.

    Args:
        text: The name.
        labels: The concepts of the release.
        others: Other names that are understood, such as those of groups.

    Returns:
        Words to follow "there is no concept NAME", which begin with a semicolon; "" where nothing is near.
    """
    if (concept := _in_bank(text)) is not None:
        near = _near_in_meaning(concept, labels)
        meaning = f"; near in meaning: {', '.join(near)}" if near else ""
        return f"; the bank of concepts has it, but this release does not use it{meaning}"
    wanted = name_key(text)[:60]
    known = {name_key(name): label.id for label in labels for name in (label.id, label.name)}
    known |= {name_key(name): name for name in others}
    found = [known[name] for name in sorted(known) if len(wanted) > 2 and (wanted in name or name in wanted)]
    found += [known[name] for name in difflib.get_close_matches(wanted, known, n=4, cutoff=_SPELT_ALIKE)]
    found = list(dict.fromkeys(found))[:_OFFERED]
    return f"; did you mean {', '.join(found)}?" if found else ""


def _in_bank(text: str) -> Concept | None:
    """Return the concept of the shipped bank of that name or synonym."""
    try:
        return load_bank().find(text)
    except UsageError:
        return None


def _near_in_meaning(concept: Concept, labels: Sequence[ConceptLabel]) -> list[str]:
    """Name the concepts whose directions are nearest, three at most."""
    try:
        directions = load_directions()
        wanted = directions.of(concept.id)
    except (MissingFileError, UsageError):  # too weak to have one
        return []
    known = [label.id for label in labels if label.id in directions.ids]
    if not known:
        return []
    cosines = np.array([directions.of(id) for id in known]) @ wanted  # rows of unit length
    return [known[row] for row in np.argsort(-cosines, kind="stable")[:3].tolist() if cosines[row] >= _NEAR]
