"""The map of a concept as GeoJSON: a polygon for each cell, cut at the antimeridian (RFC 7946, 3.1.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whyhere._text import printable
from whyhere.report import boundaries, split_ring

if TYPE_CHECKING:
    from whyhere.atlas._map import ConceptMap


def feature_collection(found: ConceptMap) -> dict[str, Any]:
    """Return the map as a FeatureCollection."""
    names = [cell.cell for cell in found.cells]
    features = []
    for cell, ring in zip(found.cells, boundaries(names), strict=True):
        # A list of positions turns latitude, longitude into the longitude, latitude that RFC 7946 asks for.
        polygons = [[_closed(part.tolist())] for part in split_ring(ring)]
        single = len(polygons) == 1
        geometry = {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        }
        fields = cell.to_dict()
        fields["value"], fields["percentile"] = round(cell.value, 6), round(cell.percentile, 3)
        fields["lat"], fields["lon"] = round(cell.lat, 5), round(cell.lon, 5)
        features.append({"type": "Feature", "id": cell.cell, "geometry": geometry, "properties": fields})
    about = {key: value for key, value in found.to_dict().items() if key != "cells"}
    attribution = [printable(sentence) for sentence in found.card.attribution]
    return {"type": "FeatureCollection", **about, "attribution": attribution, "features": features}


def _closed(ring: list[list[float]]) -> list[list[float]]:
    positions = [[round(lon, 5), round(lat, 5)] for lat, lon in ring]
    return [*positions, positions[0]]
