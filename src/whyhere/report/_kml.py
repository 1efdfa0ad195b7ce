"""KML 2.2 (OGC 07-147r2), for Google Earth and its like: a folder a photo, a placemark an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from whyhere.prediction import Answer, Prediction, ReleaseCard
from whyhere.report._rings import Ring, circle_polygons
from whyhere.report._rows import answer_fields
from whyhere.report._text import (
    HYPOTHESIS,
    NO_PLACE,
    coordinates,
    exif_text,
    kilometres,
    percent,
    place_text,
    printable,
    score_decimals,
    signed,
)

# Colours are aabbggrr.
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2">
<Document>
<name>whyhere</name>
<description>{description}</description>
<Style id="answer"><IconStyle><color>ff4b7a0f</color></IconStyle></Style>
<Style id="exif"><IconStyle><color>ff1f49b4</color></IconStyle></Style>
<Style id="radius"><LineStyle><color>ff4b7a0f</color><width>2</width></LineStyle>\
<PolyStyle><color>334b7a0f</color></PolyStyle></Style>
"""


def stream_kml(predictions: Iterable[Prediction], *, card: ReleaseCard, circles: bool) -> Iterator[str]:
    """Yield one document, a piece for each photo."""
    sentences = (HYPOTHESIS, *(printable(sentence) for sentence in card.attribution))
    yield _HEAD.format(description=escape(" ".join(sentences)))
    for prediction in predictions:
        yield _folder(prediction, circles)
    yield "</Document>\n</kml>\n"


def _folder(prediction: Prediction, circles: bool) -> str:
    lines = ["<Folder>", f"<name>{escape(printable(prediction.photo))}</name>"]
    if prediction.abstained:
        lines.append(f"<description>{NO_PLACE}</description>")
    for answer in prediction.answers:
        lines.append(_placemark(prediction, answer))
        if circles:
            lines.append(_disc(answer))
    if prediction.exif_gps is not None:
        gps = prediction.exif_gps
        lines += [
            "<Placemark>",
            "<name>Position in the photo's metadata</name>",
            f"<description>{escape(exif_text(prediction) or '')}. Not used to answer.</description>",
            "<styleUrl>#exif</styleUrl>",
            f"<Point><coordinates>{_position(gps.lat, gps.lon)}</coordinates></Point>",
            "</Placemark>",
        ]
    return "\n".join([*lines, "</Folder>", ""])


def _placemark(prediction: Prediction, answer: Answer) -> str:
    fields = answer_fields(prediction, answer)
    decimals = score_decimals(prediction)
    chance = f"{percent(answer.probability)} within {kilometres(answer.radius_km)}"
    description = [
        f"{coordinates(answer.lat, answer.lon)}: {chance}",
        f"For: {fields['concepts_for'] or 'no named concept'}",
        f"Against: {fields['concepts_against'] or 'no named concept'}",
        f"Unnamed remainder {signed(answer.remainder, decimals)} of score {answer.score:.{decimals}f}",
    ]
    data = "".join(
        f'<Data name="{name}"><value>{escape(_value(value))}</value></Data>\n'
        for name, value in fields.items()
        if value is not None
    )
    return (
        "<Placemark>\n"
        f"<name>{escape(f'{answer.rank}. {place_text(answer)} ({percent(answer.probability)})')}</name>\n"
        f"<description>{escape(chr(10).join(description))}</description>\n"
        "<styleUrl>#answer</styleUrl>\n"
        f"<ExtendedData>\n{data}</ExtendedData>\n"
        f"<Point><coordinates>{_position(answer.lat, answer.lon)}</coordinates></Point>\n"
        "</Placemark>"
    )


def _disc(answer: Answer) -> str:
    polygons = circle_polygons(answer.lat, answer.lon, answer.radius_km)
    return (
        "<Placemark>\n"
        f"<name>{kilometres(answer.radius_km)} around answer {answer.rank}</name>\n"
        "<styleUrl>#radius</styleUrl>\n"
        f"<MultiGeometry>{''.join(map(_polygon, polygons))}</MultiGeometry>\n"
        "</Placemark>"
    )


def _polygon(rings: list[Ring]) -> str:
    parts = []
    for index, ring in enumerate(rings):
        side = "innerBoundaryIs" if index else "outerBoundaryIs"
        positions = " ".join(_position(float(lat), float(lon)) for lat, lon in (*ring, ring[0]))
        parts.append(f"<{side}><LinearRing><coordinates>{positions}</coordinates></LinearRing></{side}>")
    return f"<Polygon>{''.join(parts)}</Polygon>"


def _position(lat: float, lon: float) -> str:
    return f"{lon:.6f},{lat:.6f}"


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
