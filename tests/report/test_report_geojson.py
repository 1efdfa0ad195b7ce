"""GeoJSON is read back by shapely and by the geojson package."""

import json

import geojson
import h3
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from whyhere._text import printable
from whyhere.geo import great_circle_km
from whyhere.report import render


def test_points_are_longitude_first(everything, card):
    collection = geojson.loads(render(everything, "geojson", card=card))
    assert collection.is_valid, collection.errors()
    answers = [(p, a) for p in everything for a in p.answers]
    assert len(collection.features) == len(answers)
    for feature, (prediction, answer) in zip(collection.features, answers, strict=True):
        assert feature.geometry.coordinates == pytest.approx([answer.lon, answer.lat], abs=1e-6)
        assert feature.properties["photo"] == printable(prediction.photo)
        assert feature.properties["probability"] == answer.probability
        assert "lat" not in feature.properties


def test_shapely_reads_points_and_discs(everything, card):
    text = render(everything, "geojson", card=card, circles=True)
    parts = shapely.get_parts(shapely.from_geojson(text))
    answers = [a for p in everything for a in p.answers]
    assert len(parts) == 2 * len(answers)
    for answer, point, disc in zip(answers, parts[::2], parts[1::2], strict=True):
        assert (point.x, point.y) == (answer.lon, answer.lat)
        assert disc.geom_type == "MultiPolygon"
        assert disc.is_valid
        assert disc.covers(point)
        west, south, east, north = disc.bounds
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90
        for polygon in disc.geoms:
            assert polygon.exterior.is_ccw
            edge = [(x, y) for x, y in polygon.exterior.coords if abs(x) < 180 and abs(y) < 90]
            for x, y in edge:
                assert great_circle_km(answer.lat, answer.lon, y, x) == pytest.approx(
                    answer.radius_km, rel=1e-3
                )


def test_a_disc_across_the_date_line_has_two_parts(fiji, card):
    parts = shapely.get_parts(shapely.from_geojson(render([fiji], "geojson", card=card, circles=True)))
    discs = [part for part in parts if part.geom_type == "MultiPolygon"]
    assert [len(disc.geoms) for disc in discs] == [2, 2 if abs(discs[1].bounds[2]) == 180 else 1, 1]
    assert discs[0].bounds[0] == -180
    assert discs[0].bounds[2] == 180


def test_nothing_to_say_is_still_a_collection(card):
    collection = geojson.loads(render([], "geojson", card=card))
    assert collection.is_valid
    assert collection.features == []
    assert collection["attribution"] == list(card.attribution)


@given(name=st.text(st.characters()))
def test_any_name_survives(name, kauai, card):
    features = json.loads(render([replace(kauai, photo=name)], "geojson", card=card))["features"]
    assert {feature["properties"]["photo"] for feature in features} == {printable(name)}


def test_the_surface_is_its_cells(fiji, card):
    features = json.loads(render([fiji], "geojson", card=card, surface=True))["features"]
    cells = [feature for feature in features if feature["properties"]["kind"] == "cell"]
    assert [cell["properties"]["cell"] for cell in cells] == [cell.cell for cell in fiji.surface]
    total = sum(cell["properties"]["probability"] for cell in cells)
    assert total == pytest.approx(sum(cell.probability for cell in fiji.surface))
    for cell, one in zip(cells, fiji.surface, strict=True):
        shape = shapely.from_geojson(json.dumps(cell["geometry"]))
        assert shape.is_valid
        west, _, east, _ = shape.bounds
        assert -180 <= west < east <= 180
        assert max(part.bounds[2] - part.bounds[0] for part in shape.geoms) < 90
        density = one.probability / h3.cell_area(one.cell, unit="km^2") * 10_000
        assert cell["properties"]["probability_per_10000_km2"] == pytest.approx(density)
    assert any(len(cell["geometry"]["coordinates"]) == 2 for cell in cells)  # across the date line
