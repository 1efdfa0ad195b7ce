"""Self-contained pages from templates: no script, no font, no request.

The content security policy allows the images in the page and its one style sheet (by hash) and nothing else,
so that a hostile file name could do nothing even if it slipped through the escaping.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whyhere.prediction import Answer, ConceptContribution, Explanation, Prediction, ReleaseCard
from whyhere.report import words
from whyhere.report._maps import classify
from whyhere.report._page_maps import Pin, inset_map, world_ground, world_map
from whyhere.report._templates import rendered, resource
from whyhere.report.words import Sum, place_called

if TYPE_CHECKING:
    from whyhere.picture import Picture

_BADGES = 30  # on the overview; more would hide the map
_LISTED = 5  # concepts shown for and against an answer before the reader asks for all
_LISTED_OF_GROUP = 4
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page: a picture, a table of numbers, or both.

    Attributes:
        id: Unique on the page.
        title: Its heading.
        picture: What it shows first.
        head: Names of the columns of its table; empty for no table.
        rows: The rows of its table; the first cell names the row.
        warning: A sentence above all that.
    """

    id: str
    title: str
    picture: Picture | None = field(default=None, kw_only=True)
    head: Sequence[str] = field(default=(), kw_only=True)
    rows: Sequence[Sequence[str]] = field(default=(), kw_only=True)
    warning: str = field(default="", kw_only=True)


def page(
    *,
    title: str,
    heading: str,
    lede: str,
    sections: Sequence[Section],
    card: ReleaseCard,
    notes: Sequence[tuple[str, str]] = (),
) -> str:
    """Return a page of sections in the manner of the report of `whyhere locate`; all arguments are text.

    Args:
        title: Title of the page.
        heading: Its heading.
        lede: The sentence below the heading.
        sections: What it shows.
        card: The release that answered.
        notes: Terms and what they mean: "How to read this".
    """
    pieces = _page(
        "sections.html.j2",
        ("report.css", "sections.css"),
        title=title,
        heading=heading,
        lede=lede,
        sections=sections,
        card=card,
        notes=notes,
    )
    return "".join(pieces)


def prediction_page(predictions: Sequence[Prediction], *, card: ReleaseCard) -> Iterator[str]:
    """Yield a page: an overview where there are several photos, an article each, and notes for the reader."""
    total = len(predictions)
    one = total == 1
    asked = "was this photo taken, and why here" if one else "were these photos taken, and why there"
    return _page(
        "predictions.html.j2",
        ("report.css",),
        title=f"whyhere: {predictions[0].photo}" if one else f"whyhere: {total} photos",
        heading=f"Where {asked}?",
        overview=None if one else _overview(predictions),
        photos=(_photo(prediction, index, total) for index, prediction in enumerate(predictions, start=1)),
        card=card,
        notes=(),
        fixed_notes=True,
        ground=world_ground(),
    )


def explanation_page(explanation: Explanation, *, card: ReleaseCard) -> Iterator[str]:
    """Yield the page that explains one photo."""
    here, contrast, changed = explanation.here, explanation.contrast, explanation.intervention
    decimals = words.explanation_decimals(explanation)
    maps = [_explained_map(explanation, explanation.prediction, "before", "As answered" if changed else "")]
    if changed:
        maps.append(_explained_map(explanation, changed.after, "after", "With the change"))
    why = _sum(words.sum_of(here, _LISTED_OF_GROUP), here.concepts, decimals)
    versus = None
    if contrast:
        found = words.difference_of(here, contrast, _LISTED_OF_GROUP)
        places = [place_called(place).partition(", ")[0] for place in (here, contrast.there)]
        versus = _sum(found, contrast.concepts, decimals) | {"heads": places, "last_head": "Difference"}
    return _page(
        "explanation.html.j2",
        ("report.css", "explain.css"),
        title=f"whyhere explain: {explanation.prediction.photo}",
        heading=f"Why {place_called(here)}?",
        lede=f"{words.MODEL_ONLY} {words.HYPOTHESIS}",
        explanation=explanation,
        maps=maps,
        why=why,
        versus=versus,
        names={concept.id: concept.name for concept in here.concepts},
        chance=lambda place: words.chance_text(
            place.probability, place.radius_km, explanation.prediction.assumptions
        ),
        card=card,
        notes=(words.STAR,) if any(concept.unconfirmed for concept in here.concepts) else (),
        fixed_notes=True,
        ground=world_ground(),
    )


@dataclass(frozen=True, slots=True)
class BarScale:
    """What the bars of one photo share.

    Attributes:
        axis: Where the zero lies, in percent of the width.
        per_unit: Percent of the width for a contribution of 1.
        decimals: Decimals of contributions and scores.
    """

    axis: float
    per_unit: float
    decimals: int

    @classmethod
    def over(cls, values: Iterable[float], decimals: int) -> BarScale:
        """Return the scale on which every one of some contributions fits."""
        numbers = (0.0, *values)
        highest, lowest = max(numbers), -min(numbers)
        span = highest + lowest
        return cls(100 * lowest / span, 100 / span, decimals) if span else cls(50.0, 0.0, decimals)

    def length(self, value: float) -> float:
        """Return the length of a bar in percent; half a percent keeps the smallest visible."""
        return max(abs(value) * self.per_unit, 0.5)

    def start(self, value: float) -> float:
        """Return where a bar begins, in percent."""
        return max(self.axis if value > 0 else self.axis - self.length(value), 0.0)


def _overview(predictions: Sequence[Prediction]) -> dict[str, Any]:
    best = [
        (index, prediction.answers[0])
        for index, prediction in enumerate(predictions, start=1)
        if prediction.answers and not prediction.abstained
    ]
    numbered = len(best) <= _BADGES
    pins = [Pin(str(index) if numbered else "", answer.lat, answer.lon, None) for index, answer in best]
    chart = world_map(pins, surface=None, exif=None, emphasise=False)
    return {"predictions": predictions, "map": chart, "count": len(best)}


def _photo(prediction: Prediction, index: int, total: int) -> dict[str, Any]:
    """Return what the article about one photo shows."""
    surface = classify(prediction.surface)
    pins = [Pin(str(a.rank), a.lat, a.lon, a.radius_km) for a in prediction.answers]
    # One more decimal than the table of the command line: here the sum is to be checked.
    decimals = min(6, words.score_decimals(prediction) + 1)
    values = (concept.contribution for answer in prediction.answers for concept in answer.concepts)
    common = {row[0].id for row in words.shared_concepts(prediction, _LISTED)}
    return {
        "prediction": prediction,
        "id": f"p{index}",
        "heading": "The photo" if total == 1 else f"Photo {index} of {total}",
        "surface": surface,
        "scale": BarScale.over(values, decimals),
        "map": world_map(pins, surface=surface, exif=prediction.exif_gps),
        "description": _described(prediction),
        "starred": any(concept.unconfirmed for answer in prediction.answers for concept in answer.concepts),
        "answers": [
            {
                "answer": answer,
                "id": f"p{index}-a{answer.rank}",
                "map": inset_map(pins, position, surface=surface, exif=prediction.exif_gps),
                **_evidence(answer, common, len(prediction.answers), decimals),
            }
            for position, answer in enumerate(prediction.answers)
        ],
    }


def _evidence(answer: Answer, common: set[str], places: int, decimals: int) -> dict[str, Any]:
    """Return what the table of an answer shows: concepts by side, what is folded and what is left."""
    reasons = answer.reasons
    together = [concept for concept in reasons.speaking if concept.id in common]
    supporting = [concept for concept in reasons.speaking if concept.id not in common][:_LISTED]
    opposing = reasons.against[:_LISTED]
    rest: list[tuple[str, float | str]] = [*words.folded_lines(reasons, decimals, minus=_MINUS)]
    told = (*together, *supporting, *opposing, *reasons.absent, *reasons.unconfirmed)
    if others := len(answer.concepts) - len(told):
        named = sum(concept.contribution for concept in answer.concepts)
        label = "one other concept" if others == 1 else f"{others} other concepts"
        rest.append((label, named - sum(concept.contribution for concept in told)))
    return {
        "sides": [
            ("for", f"Speaks for it, as for all {places} places", together),
            ("for", "Speaks for it" + (" and not for all of them" if together else ""), supporting),
            ("against", "Speaks against it", opposing),
        ],
        "rest": [*rest, ("unnamed remainder", answer.remainder)],
    }


def _explained_map(explanation: Explanation, prediction: Prediction, id: str, caption: str) -> dict[str, Any]:
    """Return the answers on the world map; A and B are the explained places where no answer stands there."""
    pins = [Pin(str(answer.rank), answer.lat, answer.lon, answer.radius_km) for answer in prediction.answers]
    taken = {(pin.lat, pin.lon) for pin in pins}
    places = [("A", explanation.here)]
    if explanation.contrast:
        places.append(("B", explanation.contrast.there))
    marked = [(label, place) for label, place in places if (place.lat, place.lon) not in taken]
    pins += [Pin(label, place.lat, place.lon, None) for label, place in marked]
    surface = classify(prediction.surface)
    return {
        "id": id,
        "caption": caption,
        "title": f"World map of the answers{', ' + caption[:1].lower() + caption[1:] if caption else ''}",
        "description": _described(prediction),
        "map": world_map(pins, surface=surface, exif=prediction.exif_gps),
        "surface": surface,
        "marked": marked,
    }


def _sum(found: Sum, concepts: Iterable[ConceptContribution], decimals: int) -> dict[str, Any]:
    scale = BarScale.over((concept.contribution for concept in concepts), decimals)
    return {"sum": found, "scale": scale, "heads": ["Strength"], "last_head": "Contribution to the score"}


def _described(prediction: Prediction) -> str:
    """Say a map of answers in words."""
    places = "; ".join(
        f"{answer.rank}: {words.area_text(answer)}, "
        + words.chance_text(answer.probability, answer.radius_km, prediction.assumptions)
        for answer in prediction.answers
    )
    return f"Answers by number: {places}." if places else "No answers."


def _page(template: str, styles: Sequence[str], **context: Any) -> Iterator[str]:  # noqa: ANN401
    from markupsafe import Markup

    style = "".join(map(resource, styles))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    # Neither holds anything from outside.
    return rendered(template, style=Markup(style), policy=Markup(policy), **context)
