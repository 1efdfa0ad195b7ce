"""KML 2.2 (OGC 07-147r2), for Google Earth and its like: a folder a photo, a placemark an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from whyhere.prediction import Answer, Prediction, ReleaseCard
from whyhere.report._geometry import Ring, circle_polygons
from whyhere.report._rows import answer_fields, answer_lines, answer_name, photo_lines
from whyhere.report._text import (
    HYPOTHESIS,
    exif_text,
    kilometres,
    map_link,
    percent,
    printable,
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
_DENSITIES = ("8bd8fb", "62b8f8", "4d95f2", "3862df", "3c32b4", "451470")  # as in reports, thin to dense


def stream_kml(
    predictions: Iterable[Prediction], *, card: ReleaseCard, concepts: int, circles: bool, surface: bool
) -> Iterator[str]:
    """Yield one document, a piece for each photo."""
    sentences = (HYPOTHESIS, *(printable(sentence) for sentence in card.attribution))
    head = _HEAD.format(description=escape(" ".join(sentences)))
    if surface:
        head += "".join(
            f'<Style id="density{step}"><LineStyle><width>0</width></LineStyle>'
            f"<PolyStyle><color>99{colour}</color><outline>0</outline></PolyStyle></Style>\n"
            for step, colour in enumerate(_DENSITIES)
        )
    yield head
    for prediction in predictions:
        yield _folder(prediction, concepts, circles, surface)
    yield "</Document>\n</kml>\n"


def _folder(prediction: Prediction, concepts: int, circles: bool, surface: bool) -> str:
    lines = ["<Folder>", f"<name>{escape(printable(prediction.photo))}</name>"]
    if about := photo_lines(prediction):
        lines.append(f"<description>{escape(chr(10).join(about))}</description>")
    for answer in prediction.answers:
        lines.append(_placemark(prediction, answer, concepts))
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
    if surface:
        lines.append(_surface(prediction))
    return "\n".join([*lines, "</Folder>", ""])


def _surface(prediction: Prediction) -> str:
    """Return the cells of the probability surface, coloured by density."""
    from whyhere.report._geometry import cell_polygons
    from whyhere.report._maps import AREA_KM2, classify, densities

    cells = [cell for cell in prediction.surface if cell.probability > 0]
    found = classify(cells)
    classes = [] if found is None else found.classes.tolist()
    marks = [
        "<Placemark>"
        f"<name>{escape(percent(cell.probability))}</name><styleUrl>#density{step}</styleUrl>"
        f'<ExtendedData><Data name="cell"><value>{cell.cell}</value></Data>'
        f'<Data name="probability"><value>{cell.probability!r}</value></Data>'
        f'<Data name="probability_per_{AREA_KM2:.0f}_km2"><value>{density!r}</value></Data></ExtendedData>'
        f"<MultiGeometry>{''.join(_polygon([ring]) for ring in cell_polygons(cell.cell))}</MultiGeometry>"
        "</Placemark>"
        for cell, step, density in zip(cells, classes, densities(cells).tolist(), strict=True)
    ]
    return "\n".join(["<Folder>", "<name>Probability by area</name>", *marks, "</Folder>"])


def _placemark(prediction: Prediction, answer: Answer, concepts: int) -> str:
    fields = answer_fields(prediction, answer, concepts)
    description = [*answer_lines(prediction, answer, concepts), map_link(answer)]
    data = "".join(
        f'<Data name="{name}"><value>{escape(_value(value))}</value></Data>\n'
        for name, value in fields.items()
        if value is not None
    )
    return (
        "<Placemark>\n"
        f"<name>{escape(answer_name(prediction, answer))}</name>\n"
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
