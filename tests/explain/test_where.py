"""Places as people write them: answers, positions, countries, boxes, towns."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere import LatLon, UsageError
from whyhere.explain import parse_where
from whyhere.geo import country_codes, great_circle_km, parse_region


@pytest.mark.parametrize(
    "text",
    [
        "48.8584,2.2945",
        " 48.8584 , 2.2945 ",
        "48.8584 2.2945",
        " 48.8584  2.2945",
        (48.8584, 2.2945),
        LatLon(48.8584, 2.2945),
    ],
)
def test_positions_are_latitude_first(text):
    assert parse_where(text).position == LatLon(48.8584, 2.2945)


def test_a_number_is_an_answer_and_four_are_a_box():
    assert parse_where("2").rank == 2
    assert parse_where(2).rank == 2
    assert parse_where("-20,175,-12,-178").region.contains(-17.8, 179.9).all()
    assert parse_where("\u221217.8,179.5").position == LatLon(-17.8, 179.5)


@pytest.mark.parametrize("text", ["JP", "Japan", "japan", "the Netherlands"])
def test_countries_win_over_towns(text):
    assert parse_where(text).region is not None


@pytest.mark.parametrize(
    ("text", "lat", "lon"),
    [
        ("Paris", 48.86, 2.35),
        ("Paris, Texas", 33.66, -95.56),
        ("paris, us", 33.66, -95.56),
        ("Reykjavik", 64.15, -21.94),
        ("São Paulo", -23.55, -46.64),
        ("New York", 40.71, -74.01),
        ("Washington, D.C.", 38.90, -77.04),
        ("Washington, DC, US", 38.90, -77.04),
        ("Springfield, Illinois, United States", 39.80, -89.64),
    ],
)
def test_towns_are_found_by_name_the_largest_first(text, lat, lon):
    found = parse_where(text).position
    assert great_circle_km(found.lat, found.lon, lat, lon) < 20


def test_what_was_parsed_is_taken_as_it_is():
    where, region = parse_where("Paris"), parse_region("FR")
    assert parse_where(where) is where
    assert parse_where(region).region is region


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Xqzzyville", "no country or town is called 'Xqzzyville'"),
        ("Paris, Xqzzyland", "no country or town"),
        ("91,0", "outside -90 to 90"),
        ("0", "numbered from 1"),
        ("", "region is a country"),
        ("1,2,3", "region is a country"),
        ("1 2 3", "region is a country"),
        ("Paris, D.C.", "no country or town"),
        ("absent.geojson", "absent.geojson"),
        ("{}", "GeoJSON"),
    ],
)
def test_what_is_no_place_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        parse_where(text)


def test_the_nearest_point_is_found_across_the_date_line_and_at_a_pole():
    lat, lon = np.array([-17.0, -17.0, 89.0]), np.array([179.0, -170.0, -120.0])
    scores = np.zeros(3, np.float32)
    point, km = parse_where("-17,-179.5").point(lat, lon, scores)
    assert point == 0
    assert km == pytest.approx(great_circle_km(-17, 179, -17, -179.5))
    assert parse_where("90,60").point(lat, lon, scores)[0] == 2


def test_the_best_point_of_a_region_is_that_of_brute_force():
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(30, 60, 3000), rng.uniform(-10, 40, 3000)
    scores = rng.normal(size=3000).astype(np.float32)
    inside = np.array([code == "LU" for code in country_codes(lat, lon)])
    assert 0 < inside.sum() < 20
    scores[inside] -= 10.0  # the best of Luxembourg come last of all
    point, km = parse_where("LU").point(lat, lon, scores)
    assert km is None
    assert point == np.flatnonzero(inside)[scores[inside].argmax()]


def test_a_region_without_points_says_so():
    with pytest.raises(UsageError, match="none of the 1 places"):
        parse_where("FR").point(np.array([0.0]), np.array([0.0]), np.zeros(1, np.float32))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Berlin", "Berlin, State of Berlin, Germany"),
        ("Bavaria", "Bavaria, Germany"),
        ("Scotland", "Scotland, United Kingdom"),
        ("Georgia, US", "Georgia, United States"),
        ("Victoria, Seychelles", "Victoria, La Rivière Anglaise, Seychelles"),
        ("Europe", "Europe"),
    ],
)
def test_a_town_wins_over_the_unit_around_it_and_a_unit_over_towns_elsewhere(text, meant):
    assert parse_where(text).asked == meant
