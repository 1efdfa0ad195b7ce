"""Which concept of a release a user means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from whyhere.concepts import ConceptLabel
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
    known: dict[str, int] = {}
    for row, concept in enumerate(concepts):
        known.setdefault(_plain(concept.id), row)
        known.setdefault(_plain(concept.name), row)
    wanted = _plain(text)
    if wanted in known:
        return known[wanted]
    in_bank = _id_in_bank(text)
    if in_bank is not None and _plain(in_bank) in known:
        return known[_plain(in_bank)]
    near = [name for name in known if len(wanted) > 2 and (wanted in name or name in wanted)]
    near += difflib.get_close_matches(wanted[:60], known, n=4, cutoff=0.7)
    found = list(dict.fromkeys(concepts[known[name]].id for name in near))[:5]
    meant = f"; did you mean {', '.join(found)}?" if found else ""
    weak = " (the bank has it, but its direction is too weak to be used)" if in_bank is not None else ""
    raise UsageError(
        f"{release} has no concept {text[:60]!r}{weak}{meant} (`whyhere concepts list` shows all; other "
        "words: `whyhere map --text`)"
    )


def _id_in_bank(text: str) -> str | None:
    """Return the id that the shipped bank gives a name or synonym, or None."""
    from whyhere.concepts import load_bank

    try:
        return load_bank().find(text).id
    except UsageError:
        return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
