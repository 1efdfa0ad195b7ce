"""One self-contained page that explains one photo: why here, why not there, what if.

No script, no font, no request; text from outside is escaped, and the content security policy allows the
images in the page and its one style sheet and nothing else.
"""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files

from whyhere.prediction import Answer, Contrast, Explanation, Intervention, Prediction, ReleaseCard
from whyhere.report._explain_bars import (
    all_concepts,
    bar_scale_of,
    contrast_table,
    equation,
    place_table,
)
from whyhere.report._explain_words import (
    MODEL_ONLY,
    change_texts,
    chosen_text,
    effect_texts,
    explanation_decimals,
    opening,
    place_called,
    rather_text,
    spot_text,
)
from whyhere.report._html import RESPONSIBLE
from whyhere.report._html_photo import _legend, _shot, country_strip
from whyhere.report._map_svg import Pin, shared_definitions, world_map
from whyhere.report._maps import classify
from whyhere.report._page import page
from whyhere.report._reasons import STAR, cautions
from whyhere.report._text import (
    HYPOTHESIS,
    NO_PLACE,
    area_text,
    assumed,
    assumption_texts,
    chance_text,
    exif_text,
    kilometres,
    least_unlikely_text,
    percent,
    printable,
    signed,
    town_text,
)

_NOTES = (
    (
        "Contribution",
        "The score of a place is a sum: every concept adds to it (for) or takes from it (against), and the "
        "unnamed remainder is what no concept names. The parts add up to the score.",
    ),
    (
        "Strength",
        "How much of a concept the model sees in the photo, as a share of the photo's strongest concept. "
        "A strong concept speaks for places that have it and against places that do not; below 0 the photo "
        "shows less of it than usual (less ...), which speaks for places that have little of it.",
    ),
    (
        "Why rather",
        "The difference of two such sums, concept by concept. Positive speaks for the first place.",
    ),
    (
        "What if",
        "The concepts of the photo are changed and the places are scored again by the same model. "
        "It shows how much the answer hangs on them; it does not show a different photo.",
    ),
    (
        "Probability that moves",
        "Half the sum of all differences between the two maps (total variation distance): the largest change "
        "of the probability of any area.",
    ),
)


def explanation_page(explanation: Explanation, *, card: ReleaseCard) -> str:
    """Return the page.

    Args:
        explanation: What to show.
        card: The release that answered.
    """
    sections = [_photo(explanation), _why(explanation)]
    if explanation.contrast:
        sections.append(_versus(explanation, explanation.contrast))
    if explanation.intervention:
        sections.append(_what_if(explanation, explanation.intervention))
    if explanation.regions:
        sections.append(_regions(explanation))
    sections.append(f'<section class="sheet"><p>{escape(RESPONSIBLE)}</p></section>')
    name = printable(explanation.prediction.photo)
    return page(
        title=f"whyhere explain: {name}",
        heading=f"Why {place_called(explanation.here)}?",
        lede=f"{MODEL_ONLY} {HYPOTHESIS}",
        body="\n".join(sections),
        card=card,
        notes=(*_NOTES, STAR) if any(c.unconfirmed for c in explanation.here.concepts) else _NOTES,
        definitions=shared_definitions(),
        style=files("whyhere.report").joinpath("explain.css").read_text("utf-8"),
    )


def _photo(explanation: Explanation) -> str:
    """The photo, what is explained, and the map: before and after where concepts were changed."""
    prediction, here = explanation.prediction, explanation.here
    name = escape(printable(prediction.photo))
    found = explanation.intervention
    maps = _map(explanation, prediction, "before", "As answered" if found else "")
    if found:
        maps += _map(explanation, found.after, "after", "With the change")
    return (
        '<article class="sheet photo" aria-labelledby="photo-h"><div class="top">'
        f'<div><h2 id="photo-h">The photo</h2>{_shot(prediction, name)}</div>'
        f'<div>{_verdict(explanation, here)}</div></div><div class="maps">{maps}</div></article>'
    )


def _verdict(explanation: Explanation, here: Answer) -> str:
    town, _, rest = place_called(here).partition(", ")
    parts = [
        f'<p class="kicker">Explained: {escape(chosen_text(here))}</p>'
        f'<p class="best">{escape(town)}<small>{escape(rest)}</small></p>'
        f'<p class="odds"><strong>{escape(_chance(explanation, here))}</strong> at '
        f'<span class="spot">{spot_text(here)}</span>; {escape(town_text(here.place))}</p>'
    ]
    parts += [f'<p class="reason">{escape(text)}</p>' for text in opening(explanation)]
    parts += [f'<p class="reason">{escape(text)}</p>' for text in cautions(here.reasons)]
    prediction = explanation.prediction
    if prediction.abstained:
        worth = escape(least_unlikely_text(prediction))
        parts.append(f'<p class="abstained">{NO_PLACE} {worth}</p>')
    parts += [f'<p class="reason">{escape(text)}</p>' for text in assumption_texts(prediction.assumptions)]
    parts.append(country_strip(prediction))
    if (gps := exif_text(explanation.prediction)) is not None:
        parts.append(f'<p class="gps"><span><strong>EXIF GPS</strong> {gps}. Not used to answer.</span></p>')
    return "".join(parts)


def _chance(explanation: Explanation, parts: Answer) -> str:
    return chance_text(parts.probability, parts.radius_km, explanation.prediction.assumptions)


def _map(explanation: Explanation, prediction: Prediction, id: str, caption: str) -> str:
    """The answers on the world map; A and B are the explained places where no answer stands there."""
    pins = [Pin(str(answer.rank), answer.lat, answer.lon, answer.radius_km) for answer in prediction.answers]
    taken = {(pin.lat, pin.lon) for pin in pins}
    places = [("A", explanation.here)]
    if explanation.contrast:
        places.append(("B", explanation.contrast.there))
    marked = [(label, place) for label, place in places if (place.lat, place.lon) not in taken]
    pins += [Pin(label, place.lat, place.lon, None) for label, place in marked]
    surface = classify(prediction.surface)
    named = "; ".join(
        f"{answer.rank}: {area_text(answer)}, "
        + chance_text(answer.probability, answer.radius_km, prediction.assumptions)
        for answer in prediction.answers
    )
    chart = world_map(
        pins,
        surface=surface,
        exif=prediction.exif_gps,
        id=f"map-{id}",
        title=f"World map of the answers{', ' + caption[:1].lower() + caption[1:] if caption else ''}",
        description=f"Answers by number: {named}.",
    )
    head = f"<strong>{caption}</strong>" if caption else ""
    keys = "".join(f"<span><b>{label}</b> {escape(place_called(place))}</span>" for label, place in marked)
    legend = "" if surface is None else _legend(surface)
    return (
        f'<figure class="world">{chart}<figcaption>{head}{legend}'
        f'<div class="keys">{keys}</div></figcaption></figure>'
    )


def _why(explanation: Explanation) -> str:
    here = explanation.here
    decimals = explanation_decimals(explanation)
    scale = bar_scale_of((concept.contribution for concept in here.concepts), decimals)
    table = place_table(here, scale, caption="Concepts by group, and what they add to the score")
    return (
        '<section class="sheet" aria-labelledby="why"><h2 id="why">What the score is made of</h2>'
        f"{table}{equation(here, decimals)}{all_concepts(here, scale)}</section>"
    )


def _versus(explanation: Explanation, contrast: Contrast) -> str:
    here, there = explanation.here, contrast.there
    decimals = explanation_decimals(explanation)
    values = (concept.difference for group in contrast.groups for concept in group.concepts)
    table = contrast_table(
        here, contrast, bar_scale_of(values, decimals), caption="Difference of the two scores, by group"
    )
    return (
        f'<section class="sheet" aria-labelledby="versus"><h2 id="versus">{escape(rather_text(here, there))}'
        f'</h2><p class="facts"><span><b>{escape(_chance(explanation, there))}</b></span>'
        f'<span class="spot">{spot_text(there)}</span><span>{escape(chosen_text(there))}</span></p>'
        f"{table}</section>"
    )


def _what_if(explanation: Explanation, found: Intervention) -> str:
    decimals = explanation_decimals(explanation)
    changes = "".join(f"<li>{escape(text)}</li>" for text in change_texts(found))
    effects = "".join(f'<p class="effect">{escape(text)}</p>' for text in effect_texts(explanation, found))
    before, after = explanation.here, found.here
    scores = (
        f"Score of {escape(place_called(before))}: {signed(before.score, decimals)} before, "
        f"{signed(after.score, decimals)} after."
    )
    return (
        '<section class="sheet" aria-labelledby="what-if"><h2 id="what-if">What if?</h2>'
        f'<ul class="facts-list">{changes}</ul><div class="effects">{effects}<p>{scores}</p></div>'
        f"{_answers(explanation.prediction, found.after)}</section>"
    )


def _answers(before: Prediction, after: Prediction) -> str:
    rows = ""
    for rank in range(max(len(before.answers), len(after.answers))):
        cells = ""
        for prediction in (before, after):
            if rank < len(prediction.answers):
                answer = prediction.answers[rank]
                share = escape(percent(answer.probability))
                within = f"<small>within {kilometres(answer.radius_km)}</small>"
                cells += f'<td>{escape(area_text(answer))} {within}</td><td class="share">{share}</td>'
            else:
                cells += "<td></td><td></td>"
        rows += f'<tr><th scope="row">{rank + 1}</th>{cells}</tr>'
    return (
        f'<table class="answers"><caption>{escape(assumed("Answers", before.assumptions))}</caption>'
        '<thead><tr><th scope="col">Answer</th>'
        '<th scope="colgroup" colspan="2">Before</th><th scope="colgroup" colspan="2">After</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _regions(explanation: Explanation) -> str:
    names = {concept.id: concept.name for concept in explanation.here.concepts}
    figures = ""
    for picture in explanation.regions:
        name = printable(names.get(picture.concept_id, picture.concept_id))
        data = base64.b64encode(picture.png).decode()
        caption = printable(picture.caption) or "parts of the photo that raise it"
        figures += (
            f'<figure><img src="data:image/png;base64,{data}" alt="{escape(f"{name}: {caption}")}">'
            f"<figcaption><strong>{escape(name)}</strong>: {escape(caption)}</figcaption></figure>"
        )
    return (
        '<section class="sheet" aria-labelledby="regions"><h2 id="regions">Where in the photo</h2>'
        f'<div class="regions">{figures}</div></section>'
    )
