"""Which concept of a release a user means, or an error that names close ones."""

from __future__ import annotations

from collections.abc import Sequence

from whyhere.concepts import ConceptLabel, unknown_concept
from whyhere.concepts import find_concept as find_label
from whyhere.errors import UsageError


def find_concept(text: str, concepts: Sequence[ConceptLabel], *, release: str) -> int:
    """Return the row of a concept.

    Args:
        text: Its id, its name, or a synonym that the bank of this version knows; case, spaces, hyphens and
            underscores do not matter.
        concepts: The concepts of the release.
        release: What to call the release in messages.

    Raises:
        UsageError: The release has no such concept; the message names close ones.
    """
    row = find_label(text, concepts)
    if row is not None:
        return row
    raise UsageError(
        f"{release} has no concept {text[:60]!r}{unknown_concept(text, concepts)} (`whyhere concepts list` "
        "shows all; other words: `whyhere map --text`)"
    )
