"""Which concept of a release a person means, and what to say where it has none of that name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import numpy as np

from whyhere._text import name_key
from whyhere.concepts._bank import Concept
from whyhere.concepts._directions import load_directions
from whyhere.concepts._labels import ConceptLabel
from whyhere.concepts._read_bank import load_bank
from whyhere.errors import MissingFileError, UsageError

_SPELT_ALIKE = 0.78  # "dessert" means desert; "monsoon" (0.71) does not mean mansion
_NEAR = 0.5  # cosine of two directions from which on one concept is offered for another
_OFFERED = 5


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
    rows = np.array([directions.of(id) for id in known])
    cosines = rows @ wanted / (np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted))
    return [known[row] for row in np.argsort(-cosines, kind="stable")[:3].tolist() if cosines[row] >= _NEAR]
