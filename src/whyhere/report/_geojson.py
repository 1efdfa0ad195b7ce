"""GeoJSON (RFC 7946): a point for each answer, on request its disc, and the cells of the surface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from whyhere.prediction import Answer, Prediction, ReleaseCard
from whyhere.report._geometry import Ring, circle_polygons
from whyhere.report._json import dumps
from whyhere.report._rows import answer_fields
from whyhere.report._text import HYPOTHESIS, printable


def stream_geojson(
    predictions: Iterable[Prediction], *, card: ReleaseCard, concepts: int, circles: bool, surface: bool
) -> Iterator[str]:
    """Yield one FeatureCollection, a line for each feature."""
    attribution = [printable(sentence) for sentence in card.attribution]
    head = f'"type":"FeatureCollection","note":{dumps(HYPOTHESIS)},"attribution":{dumps(attribution)}'
    yield "{" + head + ',"features":['
    separator = "\n"
    for prediction in predictions:
        features = [
            feature
            for answer in prediction.answers
            for feature in _features(prediction, answer, concepts, circles)
        ]
        if surface:
            features += _cells(prediction)
        if features:
            yield separator + ",\n".join(map(dumps, features))
            separator = ",\n"
    yield "\n]}\n"


def _features(
    prediction: Prediction, answer: Answer, concepts: int, circles: bool
) -> Iterator[dict[str, Any]]:
    # A list of positions turns latitude, longitude into the longitude, latitude that RFC 7946 asks for.
    fields = answer_fields(prediction, answer, concepts)
    fields = {name: value for name, value in fields.items() if name not in {"lat", "lon"}}
    point = {"type": "Point", "coordinates": [answer.lon, answer.lat]}
    yield {"type": "Feature", "geometry": point, "properties": {"kind": "answer", **fields}}
    if circles:
        polygons = circle_polygons(answer.lat, answer.lon, answer.radius_km)
        coordinates = [[_closed(ring) for ring in rings] for rings in polygons]
        disc = {"type": "MultiPolygon", "coordinates": coordinates}
        yield {"type": "Feature", "geometry": disc, "properties": {"kind": "radius", **fields}}


def _cells(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """Yield the cells of the probability surface, the most probable first."""
    from whyhere.report._geometry import cell_polygons
    from whyhere.report._maps import AREA_KM2, densities

    named = {"photo": printable(prediction.photo), "release": printable(prediction.release)}
    for cell, density in zip(prediction.surface, densities(prediction.surface).tolist(), strict=True):
        coordinates = [[_closed(ring)] for ring in cell_polygons(cell.cell)]
        properties = {
            "kind": "cell",
            **named,
            "cell": cell.cell,
            "probability": cell.probability,
            f"probability_per_{AREA_KM2:.0f}_km2": density,
        }
        geometry = {"type": "MultiPolygon", "coordinates": coordinates}
        yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: Ring) -> list[list[float]]:
    positions = [[round(float(lon), 6), round(float(lat), 6)] for lat, lon in ring]
    return [*positions, positions[0]]
