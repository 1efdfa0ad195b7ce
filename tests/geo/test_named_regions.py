"""Regions by name: continents and areas by their countries, units by brute force, lists as unions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import UsageError
from whyhere.geo import areas, countries, country_codes, find_area, gazetteer, great_circle_km, parse_region

CODES = sorted(countries())
SPOTS = st.lists(st.tuples(st.floats(-60, 80), st.floats(-180, 180)), min_size=1, max_size=4)


def split(spots):
    return np.array([lat for lat, _ in spots]), np.array([lon for _, lon in spots])


def test_continents_part_the_countries():
    continents = ("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")
    counted = [code for name in continents for code in areas()[name]]
    assert sorted(counted) == sorted([*CODES, "RU"])  # Russia lies in two


def test_every_area_is_made_of_countries_and_is_found_by_name():
    for name, codes in areas().items():
        assert codes <= set(CODES)
        assert find_area(f" the {name.upper()} ") == name


@settings(max_examples=40, deadline=None)
@given(SPOTS)
def test_every_spot_on_land_lies_in_exactly_one_continent(spots):
    lat, lon = split(spots)
    names = ("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")
    inside = np.stack([parse_region(name).contains(lat, lon) for name in names])
    assert inside.sum(axis=0).tolist() == [int(code is not None) for code in country_codes(lat, lon)]


def test_russia_is_parted_at_the_urals_and_reaches_over_the_date_line():
    moscow, omsk, uelen = (55.75, 37.6), (55.0, 73.4), (66.16, -169.81)
    lat, lon = split([moscow, omsk, uelen])
    assert parse_region("Europe").contains(lat, lon).tolist() == [True, False, False]
    assert parse_region("asia").contains(lat, lon).tolist() == [False, True, True]
    assert parse_region("RU").contains(lat, lon).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*CODES, "Europe", "Balkans", "Bavaria"]), min_size=2, max_size=4), SPOTS)
def test_a_list_is_the_union_of_its_parts_in_any_order(names, spots):
    lat, lon = split([*spots, (48.14, 11.58), (42.7, 23.3)])
    expected = np.any([parse_region(name).contains(lat, lon) for name in names], axis=0)
    for text in ("; ".join(names), "; ".join(reversed(names))):
        assert (parse_region(text).contains(lat, lon) == expected).all()


@pytest.mark.parametrize("text", ["FR,DE", "fr, de", "France; Germany", "FRA,germany,"])
def test_ways_to_write_a_list(text):
    region = parse_region(text)
    assert region.name == "France, Germany"
    assert region.contains([48.9, 52.5, 40.4], [2.35, 13.4, -3.7]).tolist() == [True, True, False]


@pytest.mark.parametrize(("text", "code"), [("Bavaria", "DE"), ("Texas", "US"), ("Hokkaido", "JP")])
def test_a_unit_is_what_lies_nearest_to_its_places(text, code):
    table = gazetteer()
    own = np.flatnonzero(table.country == code)
    rng = np.random.default_rng(3)
    near = rng.choice(own, 25)
    lat, lon = table.lat[near] + rng.normal(0, 0.2, 25), table.lon[near] + rng.normal(0, 0.2, 25)
    region = parse_region(text)
    codes = country_codes(lat, lon)
    for row, (y, x) in enumerate(zip(lat, lon, strict=True)):
        nearest = own[int(np.argmin(great_circle_km(y, x, table.lat[own], table.lon[own])))]
        expected = codes[row] == code and table.admin1(int(nearest)) == region.to_dict()["unit"]["name"]
        assert region.contains(y, x).tolist() == [expected]


def test_a_country_wins_over_a_unit_of_its_name_unless_the_country_of_the_unit_is_named():
    tbilisi, atlanta = (41.7, 44.8), (33.75, -84.39)
    lat, lon = split([tbilisi, atlanta])
    assert parse_region("Georgia").contains(lat, lon).tolist() == [True, False]
    assert parse_region("Georgia, US").contains(lat, lon).tolist() == [False, True]
    assert parse_region("Georgia; US").contains(lat, lon).tolist() == [True, True]
    assert parse_region("Scotland").contains([55.95, 51.5], [-3.19, -0.12]).tolist() == [True, False]
    assert parse_region("Berlin").name == "State of Berlin, Germany"


def test_what_is_ambiguous_or_unknown_is_refused_with_what_to_write():
    with pytest.raises(UsageError, match="Punjab, India; Punjab, Pakistan"):
        parse_region("Punjab")
    with pytest.raises(UsageError, match="no country is called 'Atlantis'"):
        parse_region("FR,Atlantis")
    with pytest.raises(UsageError, match="a continent or area"):
        parse_region("Gondor; Mordor")


def test_regions_say_what_they_are_as_json():
    assert parse_region("Balkans").to_dict() == {"name": "Balkans", "area": "Balkans"}
    assert parse_region("Bavaria").to_dict()["unit"] == {"name": "Bavaria", "country_code": "DE"}
    listed = parse_region("FR,DE").to_dict()["regions"]
    assert [region["country_code"] for region in listed] == ["FR", "DE"]
