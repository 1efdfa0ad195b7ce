"""Which concept of a release a user means, or an error that names close ones."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from whyhere.concepts import ConceptLabel, load_bank
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
    known = {name.casefold(): concept.id for concept in concepts for name in (concept.id, concept.name)}
    wanted = text.strip().casefold()
    near = [name for name in known if len(wanted) > 2 and (wanted in name or name in wanted)]
    near += difflib.get_close_matches(wanted[:60], known, n=4, cutoff=0.7)
    found = list(dict.fromkeys(known[name] for name in near))[:5]
    meant = f"; did you mean {', '.join(found)}?" if found else ""
    weak = " (the bank has it, but its direction is too weak to be used)" if _in_bank(text) else ""
    raise UsageError(
        f"{release} has no concept {text[:60]!r}{weak}{meant} (`whyhere concepts list` shows all; other "
        "words: `whyhere map --text`)"
    )


def _in_bank(text: str) -> bool:
    """Return whether the shipped bank knows a name or synonym."""
    try:
        load_bank().find(text)
    except UsageError:
        return False
    return True
