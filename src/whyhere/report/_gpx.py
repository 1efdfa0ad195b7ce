"""GPX 1.1, for navigation apps and map editors: a waypoint for each answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from whyhere.prediction import Answer, Prediction, ReleaseCard
from whyhere.report._rows import answer_lines, answer_name, photo_lines
from whyhere.report._text import HYPOTHESIS, map_link, printable

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="whyhere" xmlns="http://www.topografix.com/GPX/1/1">
<metadata><name>whyhere</name><desc>{description}</desc></metadata>
"""


def stream_gpx(predictions: Iterable[Prediction], *, card: ReleaseCard, concepts: int) -> Iterator[str]:
    """Yield one document, a piece for each photo, with so many concepts for and against each answer."""
    sentences = (HYPOTHESIS, *(printable(sentence) for sentence in card.attribution))
    yield _HEAD.format(description=escape(" ".join(sentences)))
    for prediction in predictions:
        yield "".join(_waypoint(prediction, answer, concepts) for answer in prediction.answers)
    yield "</gpx>\n"


def _waypoint(prediction: Prediction, answer: Answer, concepts: int) -> str:
    about, own = photo_lines(prediction), answer_lines(prediction, answer, concepts)
    lines = [printable(prediction.photo), *about, *own, f"Release {printable(prediction.release)}"]
    return (
        f'<wpt lat="{answer.lat:.6f}" lon="{answer.lon:.6f}">\n'
        f"<name>{escape(answer_name(prediction, answer))}</name>\n"
        f"<desc>{escape(chr(10).join(lines))}</desc>\n"
        f"<link href={quoteattr(map_link(answer))}><text>OpenStreetMap</text></link>\n"
        f"<type>{'least unlikely' if prediction.abstained else 'answer'}</type>\n</wpt>\n"
    )
