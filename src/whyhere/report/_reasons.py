"""The short lines about concepts that table, pages and explanations share: what is folded, and cautions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whyhere.prediction import UNCONFIRMED, ConceptContribution, Prediction
from whyhere.reasons import ABSENCES, REMAINDER, Reasons, shared
from whyhere.report._text import printable, signed

NAMED = 3
"""Concepts that a folded line names; the others are counted."""

STAR = ("A star *", UNCONFIRMED.removeprefix("* ").capitalize())
"""What pages say of the mark."""

_CAUTIONS = {
    ABSENCES: "Caution: most of what speaks for it is what the photo shows less of than usual.",
    REMAINDER: "Caution: the unnamed remainder is more than half of this score.",
}


def absent_text(reasons: Reasons[ConceptContribution], decimals: int, *, minus: str = "-") -> str:
    """Return "Less than usual: snow, tile roof and 2 others (+0.031)", or "" where there is nothing."""
    names = [printable(part.name) for part in reasons.absent]
    return _folded("Less than usual", names, reasons.absent, decimals, minus)


def unconfirmed_text(reasons: Reasons[ConceptContribution], decimals: int, *, minus: str = "-") -> str:
    """Return "Not confirmed by open maps: bridge* and less palace* (+0.052)", or "" for nothing."""
    names = [printable(part.shown_as) for part in reasons.unconfirmed]
    return _folded("Not confirmed by open maps", names, reasons.unconfirmed, decimals, minus)


def cautions(reasons: Reasons[ConceptContribution]) -> list[str]:
    """Return sentences of warning about what a score rests on."""
    return [_CAUTIONS[what] for what in reasons.rests_on]


def shared_concepts(prediction: Prediction, limit: int) -> list[tuple[ConceptContribution, ...]]:
    """Return the concepts that are among the first to speak for every answer, each at every answer.

    The one that speaks most for the first answer comes first.
    """
    reasons = [answer.reasons for answer in prediction.answers]
    common = shared(reasons, limit=limit)
    rows = [{part.id: part for part in one.speaking if part.id in common} for one in reasons]
    return [tuple(row[id] for row in rows) for id in (rows[0] if rows else ())]


def listed_text(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _folded(
    label: str, names: Sequence[str], parts: Iterable[ConceptContribution], decimals: int, minus: str
) -> str:
    if not names:
        return ""
    others = len(names) - NAMED
    shown = list(names[:NAMED])
    if others > 0:
        shown.append("1 other" if others == 1 else f"{others} others")
    total = sum(part.contribution for part in parts)
    return f"{label}: {listed_text(shown)} ({signed(total, decimals, minus=minus)})"
