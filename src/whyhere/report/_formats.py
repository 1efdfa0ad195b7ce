"""Predictions and explanations in every format of files: the one door to all of them.

The formats are documented in `docs/output.md`; the JSON Schemas lie beside this file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any, TypedDict, Unpack

from whyhere._text import SURROGATE, csv_rows, escaped, printable
from whyhere.errors import UsageError
from whyhere.prediction import Answer, Explanation, Prediction, ReleaseCard
from whyhere.report import words
from whyhere.report._maps import AREA_KM2, classify, densities
from whyhere.report._pages import explanation_page, prediction_page
from whyhere.report._templates import rendered
from whyhere.report._terminal import explanation_text, prediction_table
from whyhere.report.geometry import Ring, cell_polygons, circle_polygons

FORMATS: tuple[str, ...] = ("table", "json", "jsonl", "csv", "geojson", "kml", "gpx", "html")
"""Formats of predictions."""

EXPLANATION_FORMATS: tuple[str, ...] = ("table", "json", "html")
"""Formats of an explanation."""

LISTED = {"table": 3, "jsonl": 5, "csv": 5, "geojson": 5, "kml": 5, "gpx": 3}
"""How many concepts for, and how many against each answer a format lists by default; others list all."""

TAILS = {
    "table": "",
    "jsonl": "",
    "csv": "",
    "json": "\n]\n",
    "geojson": "\n]}\n",
    "kml": "</Document>\n</kml>\n",
    "gpx": "</gpx>\n",
}
"""What makes the pieces yielded so far a whole document, where a format is written photo by photo."""

CSV_COLUMNS = (
    "photo", "release", "abstained", "rank", "lat", "lon", "radius_km", "probability", "area", "place",
    "admin1", "country", "country_code", "town_km", "score", "remainder", "concepts_for", "concepts_against",
    "concepts_absent", "concepts_unconfirmed", "concepts_other", "rests_on", "exif_lat", "exif_lon",
    "assuming_region", "hint", "hint_counted", "hint_unknown", "countries", "map",
)  # fmt: skip

_COUNTRIES = 10  # named by a record for machines, the open sea among them
# JSON allows these unescaped, but they move the cursor of a terminal, turn text around or end a line for
# some readers of JSON lines.
_AWKWARD = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


class Look(TypedDict, total=False):
    """How `render` and `stream` write; see `stream`."""

    width: int
    color: bool
    ascii_only: bool
    concepts: int | None
    circles: bool
    surface: bool


def render(predictions: Sequence[Prediction], format: str, *, card: ReleaseCard, **look: Unpack[Look]) -> str:
    """Return the joined pieces of `stream`: text that ends with a newline and is valid UTF-8."""
    return "".join(stream(predictions, format, card=card, **look))


def stream(
    predictions: Iterable[Prediction],
    format: str,
    *,
    card: ReleaseCard,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    concepts: int | None = None,
    circles: bool = False,
    surface: bool = False,
) -> Iterator[str]:
    """Yield predictions in one of `FORMATS`, as soon as the format allows.

    Table, JSON lines, CSV, GeoJSON, KML and GPX yield after each photo; JSON lags one photo behind, because
    one photo is an object and several are an array; HTML reads all predictions before its first piece,
    because the page begins with an overview. With `TAILS` of the format behind it, what was yielded after a
    photo is a whole document.

    Args:
        predictions: What to write, in the order to write it.
        format: One of `FORMATS`; an unknown one is refused at once.
        card: The release that answered, for attribution and for the report's page on its limits.
        width: Columns of the table; at least 40 and at most 120 are used.
        color: Colour the table with ANSI escapes.
        ascii_only: Keep the table to ASCII, for terminals and pipes that cannot show more.
        concepts: How many concepts are listed for, and how many against each answer; the others are one sum.
            By default `LISTED` of the format: all in JSON. The report in HTML always has all.
        circles: Add the disc that each radius spans to GeoJSON and KML.
        surface: Add the cells of the probability surface to GeoJSON and KML.

    Raises:
        UsageError: There is no such format.
        ValueError: A number in a prediction is not finite.
    """
    checked = map(_checked, predictions)
    chosen = LISTED.get(format) if concepts is None else concepts
    listed = chosen or 0
    writers: dict[str, Callable[[], Iterator[str]]] = {
        "table": lambda: prediction_table(
            checked, width=width, color=color, ascii_only=ascii_only, concepts=listed
        ),
        "json": lambda: _json(checked, chosen),
        "jsonl": lambda: (dumps(_listed(prediction, chosen)) + "\n" for prediction in checked),
        "csv": lambda: _csv(checked, listed),
        "geojson": lambda: _geojson(checked, card, listed, circles, surface),
        "kml": lambda: _kml(checked, card, listed, circles, surface),
        "gpx": lambda: _gpx(checked, card, listed),
        "html": lambda: prediction_page(list(checked), card=card),
    }
    return _writer(writers, format)()


def stream_explanation(
    explanation: Explanation,
    format: str,
    *,
    card: ReleaseCard,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
    concepts: int = 3,
) -> Iterator[str]:
    """Yield an explanation in one of `EXPLANATION_FORMATS`.

    Args:
        explanation: What to write.
        format: One of `EXPLANATION_FORMATS`.
        card: The release that answered, for the page.
        width: Columns of the table; at least 40 and at most 120 are used.
        color: Colour the table with ANSI escapes.
        ascii_only: Keep the table to ASCII.
        concepts: How many concepts of each group the table shows.

    Raises:
        UsageError: There is no such format.
        ValueError: A number is not finite.
    """
    writers: dict[str, Callable[[], Iterator[str]]] = {
        "table": lambda: explanation_text(
            explanation, width=width, color=color, ascii_only=ascii_only, concepts=concepts
        ),
        "json": lambda: iter((dumps(explanation.to_dict(), indent=2) + "\n",)),
        "html": lambda: explanation_page(explanation, card=card),
    }
    write = _writer(writers, format)
    for place in words.explained_places(explanation):
        numbers = {"score": place.score, "remainder": place.remainder}
        _refuse_infinite(f"{explanation.prediction.photo!r}, {place.place}", numbers, place.concepts)
    return write()


def _writer(writers: dict[str, Callable[[], Iterator[str]]], format: str) -> Callable[[], Iterator[str]]:
    if format not in writers:
        raise UsageError(f"there is no output format {format!r}; choose one of {', '.join(writers)}")
    return writers[format]


def _checked(prediction: Prediction) -> Prediction:
    for answer in prediction.answers:
        names = ("lat", "lon", "radius_km", "probability", "score", "remainder")
        numbers = {name: getattr(answer, name) for name in names}
        _refuse_infinite(f"{prediction.photo!r}, answer {answer.rank}", numbers, answer.concepts)
    return prediction


def _refuse_infinite(where: str, numbers: dict[str, float], concepts: Iterable[Any]) -> None:
    """Refuse numbers that are not finite: no format can hold them, and they would hide a fault."""
    numbers = numbers | {f"contribution of {concept.id}": concept.contribution for concept in concepts}
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ValueError(f"{where}: {name} is {value}")


def prediction_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one prediction, a line of `jsonl` or the object of `json`."""
    return _schema("prediction.schema.json")


def explanation_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `Explanation.to_dict`."""
    return _schema("explanation.schema.json")


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(files("whyhere.report").joinpath(name).read_text("utf-8"))
    return schema


def answer_fields(prediction: Prediction, answer: Answer, concepts: int) -> dict[str, Any]:
    """Return one answer as flat fields, in the order of the CSV columns.

    Args:
        prediction: What was answered.
        answer: The answer to tell of.
        concepts: How many concepts for, and how many against it are named; the others are summed.
    """
    place, gps = answer.place, prediction.exif_gps
    assumptions, hint = prediction.assumptions, prediction.assumptions.hint
    decimals, reasons = words.score_decimals(prediction), answer.reasons
    speaking, against = reasons.speaking[:concepts], reasons.against[:concepts]
    absent, unconfirmed = reasons.absent[:concepts], reasons.unconfirmed[:concepts]
    named = {part.id for part in (*speaking, *against, *absent, *unconfirmed)}
    return {
        "photo": printable(prediction.photo),
        "release": printable(prediction.release),
        "abstained": prediction.abstained,
        "rank": answer.rank,
        "lat": answer.lat,
        "lon": answer.lon,
        "radius_km": answer.radius_km,
        "probability": answer.probability,
        "area": words.area_text(answer),
        "place": printable(place.name),
        "admin1": None if place.admin1 is None else printable(place.admin1),
        "country": None if place.country is None else printable(place.country),
        "country_code": None if place.country_code is None else printable(place.country_code),
        "town_km": place.distance_km,
        "score": answer.score,
        "remainder": answer.remainder,
        "concepts_for": words.concepts_text(speaking, decimals),
        "concepts_against": words.concepts_text(against, decimals),
        "concepts_absent": words.concepts_text(absent, decimals),
        "concepts_unconfirmed": words.concepts_text(unconfirmed, decimals),
        "concepts_other": math.fsum(part.contribution for part in answer.concepts if part.id not in named),
        "rests_on": "; ".join(reasons.rests_on),
        "exif_lat": None if gps is None else gps.lat,
        "exif_lon": None if gps is None else gps.lon,
        "assuming_region": None if assumptions.region is None else printable(assumptions.region),
        "hint": None if hint is None else printable(hint.text),
        "hint_counted": None if hint is None else printable("; ".join(hint.counted)),
        "hint_unknown": None if hint is None else printable("; ".join(hint.unknown)),
        "countries": "; ".join(
            f"{printable(country.name)} ({country.probability:.3f})"
            for country in prediction.countries[:_COUNTRIES]
        ),
    }


def _csv(predictions: Iterable[Prediction], concepts: int) -> Iterator[str]:
    yield csv_rows([CSV_COLUMNS])
    for prediction in predictions:
        rows = []
        for answer in prediction.answers:
            fields = {**answer_fields(prediction, answer, concepts), "map": words.map_link(answer)}
            fields["abstained"] = str(prediction.abstained).lower()
            rows.append([fields[column] for column in CSV_COLUMNS])
        yield csv_rows(rows)


def dumps(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401
    """Return `value` as JSON text that is valid UTF-8 and safe to print, without a newline at its end.

    Args:
        value: Dictionaries, lists, strings, numbers, booleans and None.
        indent: Spaces a level; None for one line.

    Raises:
        ValueError: A number is not finite.
    """
    separators = None if indent is not None else (",", ":")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    # JSON could say "\udcff", but many readers refuse half a pair of surrogates (RFC 7493, section 2.1).
    text = SURROGATE.sub(lambda match: escaped(match.group()).replace("\\", "\\\\"), text)
    return _AWKWARD.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _json(predictions: Iterable[Prediction], concepts: int | None) -> Iterator[str]:
    """Yield one object for one photo, an array for none or several."""
    waiting: str | None = None
    count = 0
    for prediction in predictions:
        if waiting is not None:
            yield ("[\n" if count == 1 else ",\n") + waiting
        waiting = dumps(_listed(prediction, concepts), indent=2)
        count += 1
    if waiting is None:
        yield "[]\n"
    else:
        yield f"{waiting}\n" if count == 1 else f",\n{waiting}\n]\n"


def _listed(prediction: Prediction, concepts: int | None) -> dict[str, Any]:
    """Return `Prediction.to_dict` with so many concepts for, and so many against each answer; None for all.

    Where concepts are left out, each answer has `other_concepts`: how many they are and what they contribute
    together, so that the parts still add up to the score.
    """
    data = prediction.to_dict()
    if concepts is None:
        return data
    for answer, fields in zip(prediction.answers, data["answers"], strict=True):
        shown = {part.id for part in (*answer.supporting(concepts), *answer.opposing(concepts))}
        fields["concepts"] = [part for part in fields["concepts"] if part["id"] in shown]
        others = [part.contribution for part in answer.concepts if part.id not in shown]
        fields["other_concepts"] = {"count": len(others), "contribution": math.fsum(others)}
    return data


def _geojson(
    predictions: Iterable[Prediction], card: ReleaseCard, concepts: int, circles: bool, surface: bool
) -> Iterator[str]:
    """Yield one FeatureCollection (RFC 7946), a line for each feature."""
    attribution = [printable(sentence) for sentence in card.attribution]
    head = f'"type":"FeatureCollection","note":{dumps(words.HYPOTHESIS)},"attribution":{dumps(attribution)}'
    yield "{" + head + ',"features":['
    separator = "\n"
    for prediction in predictions:
        features = [
            feature
            for answer in prediction.answers
            for feature in _answer_features(prediction, answer, concepts, circles)
        ]
        features += _cell_features(prediction) if surface else ()
        if features:
            yield separator + ",\n".join(map(dumps, features))
            separator = ",\n"
    yield "\n]}\n"


def _answer_features(
    prediction: Prediction, answer: Answer, concepts: int, circles: bool
) -> Iterator[dict[str, Any]]:
    # A list of positions turns latitude, longitude into the longitude, latitude that RFC 7946 asks for.
    fields = answer_fields(prediction, answer, concepts)
    del fields["lat"], fields["lon"]
    point = {"type": "Point", "coordinates": [answer.lon, answer.lat]}
    yield {"type": "Feature", "geometry": point, "properties": {"kind": "answer", **fields}}
    if circles:
        polygons = circle_polygons(answer.lat, answer.lon, answer.radius_km)
        disc = _multipolygon([[*map(_closed, rings)] for rings in polygons])
        yield {"type": "Feature", "geometry": disc, "properties": {"kind": "radius", **fields}}


def _cell_features(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """Yield the cells of the probability surface, the most probable first."""
    named = {"photo": printable(prediction.photo), "release": printable(prediction.release)}
    for cell, density in zip(prediction.surface, densities(prediction.surface).tolist(), strict=True):
        geometry = _multipolygon([[_closed(ring)] for ring in cell_polygons(cell.cell)])
        properties = {
            "kind": "cell",
            **named,
            "cell": cell.cell,
            "probability": cell.probability,
            f"probability_per_{AREA_KM2:.0f}_km2": density,
        }
        yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _multipolygon(polygons: list[list[list[list[float]]]]) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: Ring) -> list[list[float]]:
    positions = [[round(float(lon), 6), round(float(lat), 6)] for lat, lon in ring]
    return [*positions, positions[0]]


def _kml(
    predictions: Iterable[Prediction], card: ReleaseCard, concepts: int, circles: bool, surface: bool
) -> Iterator[str]:
    """Yield one KML 2.2 document (OGC 07-147r2): a folder a photo, a placemark an answer."""
    # Colours are aabbggrr; densities as in reports, thin to dense.
    colours = ("8bd8fb", "62b8f8", "4d95f2", "3862df", "3c32b4", "451470") if surface else ()
    yield "".join(rendered("head.kml.xml.j2", sentences=_sentences(card), colours=colours))
    for prediction in predictions:
        cells = [cell for cell in prediction.surface if surface and cell.probability > 0]
        classes = classify(cells)
        folder = rendered(
            "folder.kml.xml.j2",
            prediction=prediction,
            about=photo_lines(prediction),
            answers=[
                {
                    "answer": answer,
                    "name": answer_name(prediction, answer),
                    "lines": [*answer_lines(prediction, answer, concepts), words.map_link(answer)],
                    "fields": {
                        name: str(value).lower() if isinstance(value, bool) else value
                        for name, value in answer_fields(prediction, answer, concepts).items()
                        if value is not None
                    },
                    "disc": circle_polygons(answer.lat, answer.lon, answer.radius_km) if circles else (),
                }
                for answer in prediction.answers
            ],
            surface=surface,
            cells=[]
            if classes is None
            else [
                (cell, step, density, [[ring] for ring in cell_polygons(cell.cell)])
                for cell, step, density in zip(
                    cells, classes.classes.tolist(), densities(cells).tolist(), strict=True
                )
            ],
            per=f"{AREA_KM2:.0f}",
        )
        yield "".join(folder)
    yield TAILS["kml"]


def _gpx(predictions: Iterable[Prediction], card: ReleaseCard, concepts: int) -> Iterator[str]:
    """Yield one GPX 1.1 document, for navigation apps and map editors: a waypoint for each answer."""
    yield "".join(rendered("head.gpx.xml.j2", sentences=_sentences(card)))
    for prediction in predictions:
        about = photo_lines(prediction)
        waypoints = [
            (
                answer,
                answer_name(prediction, answer),
                [
                    prediction.photo,
                    *about,
                    *answer_lines(prediction, answer, concepts),
                    f"Release {prediction.release}",
                ],
            )
            for answer in prediction.answers
        ]
        yield "".join(rendered("waypoints.gpx.xml.j2", prediction=prediction, waypoints=waypoints))
    yield TAILS["gpx"]


def _sentences(card: ReleaseCard) -> str:
    return " ".join((words.HYPOTHESIS, *card.attribution))


def answer_lines(prediction: Prediction, answer: Answer, concepts: int) -> list[str]:
    """Return an answer in five lines, for marks on a map; the arguments are those of `answer_fields`."""
    decimals, reasons = words.score_decimals(prediction), answer.reasons
    chance = words.chance_text(answer.probability, answer.radius_km, prediction.assumptions)
    return [
        f"{words.coordinates(answer.lat, answer.lon)}: {chance}",
        words.town_text(answer.place),
        f"For: {words.concepts_text(reasons.speaking[:concepts], decimals) or 'no named concept'}",
        f"Against: {words.concepts_text(reasons.against[:concepts], decimals) or 'no named concept'}",
        f"Unnamed remainder {words.signed(answer.remainder, decimals)} of score {answer.score:.{decimals}f}",
    ]


def answer_name(prediction: Prediction, answer: Answer) -> str:
    """Return "1. southern Norway (42 % within 262 km, assuming Finland)", for a mark on a map."""
    chance = words.chance_text(answer.probability, answer.radius_km, prediction.assumptions)
    return f"{answer.rank}. {words.area_text(answer)} ({chance})"


def photo_lines(prediction: Prediction) -> list[str]:
    """Say what holds for all answers of a photo: what stands out, what was assumed, which countries."""
    lines = [f"{words.NO_PLACE} {words.least_unlikely_text(prediction)}"] if prediction.abstained else []
    lines += words.assumption_texts(prediction.assumptions)
    return lines + ([f"Countries: {text}."] if (text := words.countries_text(prediction)) else [])
