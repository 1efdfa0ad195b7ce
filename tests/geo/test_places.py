"""Place names: places everybody knows, exact search against brute force, the sea, the date line, the poles.

`known_places.csv` was written from general knowledge before the rules were tuned; every third row was held
out of the tuning. Of the names, the tuned part may miss 8 in 100 and the held-out part 8 in 100: GeoNames
holds districts as places of their own and has no outlines, so some spots are named after a neighbour.
"""

import csv
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whyhere.geo import country_codes, gazetteer, great_circle_km, place_name, place_names

KNOWN_FILE = Path(__file__).parent / "known_places.csv"
KNOWN = list(csv.DictReader(KNOWN_FILE.read_text(encoding="utf-8").splitlines()))
LATS = st.floats(-90, 90)
LONS = st.floats(-180, 180)


def plain(text):
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold()


@pytest.mark.parametrize("held_out", ["0", "1"])
def test_known_places(held_out):
    rows = [row for row in KNOWN if row["held_out"] == held_out]
    assert len(rows) > 50
    found = place_names([float(row["lat"]) for row in rows], [float(row["lon"]) for row in rows])
    wrong_country, wrong_name = [], []
    for row, place in zip(rows, found, strict=True):
        names = [plain(name) for name in row["names"].split(";") if name]
        if place.country_code not in row["country_codes"].split(";"):
            wrong_country.append((row["spot"], str(place)))
        elif names and plain(place.name) not in names:
            wrong_name.append((row["spot"], str(place)))
    assert len(wrong_country) <= 1, wrong_country
    assert len(wrong_country + wrong_name) <= 0.08 * len(rows), wrong_country + wrong_name


@pytest.mark.parametrize(
    ("lat", "lon", "name", "code"),
    [
        (48.8584, 2.2945, "Paris", "FR"),
        (40.7580, -73.9855, "New York City", "US"),
        (40.5756, -73.9707, "New York City", "US"),  # Coney Island, in Brooklyn, in New York
        (22.2937, 114.1687, "Hong Kong", "HK"),
        (47.5613, 13.6493, "Hallstatt", "AT"),
        (41.9022, 12.4568, "Vatican City", "VA"),
        (-29.3158, 27.4854, "Maseru", "LS"),
        (44.9521, 34.1024, "Simferopol", "UA"),
    ],
)
def test_city_village_and_enclave(lat, lon, name, code):
    place = place_name(lat, lon)
    assert (place.name, place.country_code) == (name, code)


@pytest.mark.parametrize(
    ("lat", "lon", "code"),
    [
        (-17.8, -179.99, "FJ"),
        (-17.8, 180.0, "FJ"),
        (-16.9, 179.99, "FJ"),
        (-16.9, -179.99, "FJ"),
        (66.0, -172.0, "RU"),
        (66.5, 179.999, "RU"),
        (66.5, -180.0, "RU"),
        (71.2, 180.0, "RU"),
        (-90.0, 0.0, "AQ"),
        (-86.0, 180.0, "AQ"),
        (-54.42, 3.36, "BV"),
        (78.2, 15.6, "SJ"),
    ],
)
def test_date_line_and_far_ends(lat, lon, code):
    assert place_name(lat, lon).country_code == code


@pytest.mark.parametrize(
    ("lat", "lon", "near"),
    [(-48.88, -123.39, ""), (0.0, -30.0, ""), (90.0, 0.0, ""), (-21.9, -163.0, "Avarua"), (32.0, -40.0, "")],
)
def test_open_sea(lat, lon, near):
    place = place_name(lat, lon)
    assert place.name.startswith("Open sea, ")
    assert place.name.endswith(f" km from {near}" if near else "")
    assert (place.country, place.country_code, place.admin1) == (None, None, None)


def test_water_keeps_its_coast_then_its_country_then_nothing():
    """From Lisbon out to sea, the name loses the town, then the country."""
    near, off, far = place_names([38.7] * 3, [-9.6, -10.2, -14.0])
    assert near.country_code == "PT"
    assert "sea" not in near.name
    assert off.country_code == "PT"
    assert off.name.startswith("At sea, ")
    assert far.country_code is None
    assert far.name.startswith("Open sea, ")


def test_a_place_far_from_any_town_says_so():
    place = place_name(23.5, 8.0)
    assert place.country_code == "DZ"
    assert " km from " in place.name
    assert place.admin1 is None


def brute_force(lat, lon, country):
    """The documented rule over the whole table at once."""
    table = gazetteer()
    km = great_circle_km(lat, lon, table.lat, table.lon)
    cost = km / ((table.population + 100.0) / 100.0) ** 0.15
    if country is not None:
        foreign = table.country != country
        cost = np.where(foreign & table.stray & (km > 2), 3 * cost, cost)
        cost = np.where(foreign & (~table.stray | (km > 25)), np.inf, cost)
    return cost


@settings(max_examples=150, deadline=None)
@given(LATS, LONS, st.sampled_from([None, "FR", "FJ", "US", "AQ", "TV"]))
@example(90.0, 0.0, None)
@example(-90.0, 77.0, "FJ")
@example(-17.8, -179.99, None)
@example(-17.8, 179.99, "FJ")
@example(0.0, -150.0, "US")
def test_search_is_exact(lat, lon, country):
    place, km = gazetteer().nearest(lat, lon, country=country)
    cost = brute_force(lat, lon, country)
    if place < 0:
        assert np.isinf(cost).all()
        return
    assert cost[place] <= cost.min() * (1 + 1e-9) + 1e-6
    assert km == pytest.approx(float(great_circle_km(lat, lon, *position(place))), abs=1e-3)


def position(place):
    return gazetteer().lat[place], gazetteer().lon[place]


@settings(max_examples=100, deadline=None)
@given(LATS, LONS, st.floats(0.1, 500))
def test_search_within_a_radius_is_exact(lat, lon, radius_km):
    table = gazetteer()
    place = table.within(lat, lon, radius_km=radius_km)
    km = great_circle_km(lat, lon, table.lat, table.lon)
    if place < 0:
        assert km.min() > radius_km * (1 - 1e-6)
    else:
        assert km[place] <= min(float(km.min()) + 1e-3, radius_km + 1e-3)


@settings(max_examples=60, deadline=None)
@given(LATS, LONS, st.integers(-2, 2))
def test_every_position_has_a_name_and_turns_do_not_matter(lat, lon, turns):
    place = place_name(lat, lon)
    assert place.name
    assert (place.country is None) == (place.country_code is None) == place.name.startswith("Open sea")
    if lon == np.round(lon, 6):  # otherwise a turn may move the point by a rounding error across a border
        assert place_name(lat, lon + 360 * turns).country_code == place.country_code


def test_the_answer_for_one_place_does_not_depend_on_the_others():
    lat = np.array([float(row["lat"]) for row in KNOWN])
    lon = np.array([float(row["lon"]) for row in KNOWN])
    assert place_names(lat, lon) == [place_name(y, x) for y, x in zip(lat, lon, strict=True)]


def test_most_places_are_in_the_country_that_geonames_says():
    table = gazetteer()
    sample = np.random.default_rng(3).choice(len(table.lat), 20_000, replace=False)
    codes = np.array([code or "" for code in country_codes(table.lat[sample], table.lon[sample])])
    assert np.mean(codes == table.country[sample]) > 0.995


@pytest.mark.parametrize(("lat", "lon"), [(91, 0), (np.nan, 0), (0, np.inf)])
def test_refuses_what_is_no_position(lat, lon):
    with pytest.raises(ValueError, match="latitude"):
        place_name(lat, lon)


def test_import_is_light():
    code = "import sys, whyhere.geo; print([m for m in ('shapely', 'h3', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
