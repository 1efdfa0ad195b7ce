"""Which concept of a release a person means."""

from __future__ import annotations

from collections.abc import Sequence

from whyhere.concepts._bank import _plain
from whyhere.concepts._labels import ConceptLabel
from whyhere.concepts._read_bank import load_bank
from whyhere.errors import UsageError


def find_concept(text: str, labels: Sequence[ConceptLabel], *, synonyms: bool = True) -> int | None:
    """Return the row of the concept that is meant, or None where the release has none.

    Args:
        text: Its id or its name; case, spaces, hyphens and underscores do not matter.
        labels: The concepts of the release.
        synonyms: Whether to take names and synonyms of the shipped bank as well, where the release has the
            concept; the release's own ids and names win.
    """
    wanted = _plain(text)
    for row, label in enumerate(labels):
        if wanted in (_plain(label.id), _plain(label.name)):
            return row
    if not synonyms:
        return None
    try:
        meant = load_bank().find(text).id
    except UsageError:
        return None
    return next((row for row, label in enumerate(labels) if label.id == meant), None)
