"""The packed tables: what SOURCES.md says of them, their size, the small map."""

import hashlib
import re
from importlib import resources

import numpy as np
import pytest

from whyhere.errors import MissingFileError
from whyhere.geo import _tables, basemap, countries, gazetteer

DATA = resources.files("whyhere.geo") / "data"
SOURCES = (DATA / "SOURCES.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| `([\w.]+)` \|.*\| `([0-9a-f]{64})` \|$", SOURCES, re.MULTILINE)


def test_every_table_is_the_one_that_sources_describes():
    assert {name for name, _ in TABLES} == {"places.npz", "outlines.npz", "basemap.npz", "countries.json"}
    for name, sha256 in TABLES:
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == sha256, name


def test_attribution_ships_with_the_data():
    assert "GeoNames" in SOURCES
    assert "CC BY 4.0" in SOURCES
    assert "Natural Earth" in SOURCES


def test_tables_stay_small():
    assert sum(len((DATA / name).read_bytes()) for name, _ in TABLES) < 4_500_000
    assert len((DATA / "basemap.npz").read_bytes()) < 150_000


def test_places_are_sorted_named_and_in_a_country():
    table = gazetteer()
    assert len(table.lat) > 200_000
    assert (np.diff(table.lat) >= 0).all()
    assert np.abs(table.lat).max() <= 90
    assert np.abs(table.lon).max() <= 180
    assert set(table.country.tolist()) <= set(countries())
    assert (table.city[table.city] == table.city).all()
    cities = np.unique(table.city)
    assert all(table.name(int(city)) for city in cities[:: len(cities) // 5000])
    assert (table.population[table.city] >= table.population).all()
    assert (table.country[table.city] == table.country).all()


def test_the_small_map_is_drawable():
    world = basemap()
    assert len(world.land) > 100
    assert len(world.borders) > 200
    for ring in world.land:
        assert (ring[0] == ring[-1]).all()
        assert len(ring) >= 4
    for line in (*world.land, *world.borders):
        assert np.abs(line[:, 0]).max() <= 90
        assert np.abs(line[:, 1]).max() <= 180
        along_the_bottom = (np.abs(line[1:, 0]) == 90) & (np.abs(line[:-1, 0]) == 90)
        assert np.abs(np.diff(line[:, 1]))[~along_the_bottom].max(initial=0) < 60


def test_the_small_map_shows_land_where_land_is():
    shapely = pytest.importorskip("shapely")
    parts = [shapely.Polygon(ring[:, ::-1]) for ring in basemap().land]
    for lat, lon, is_land in [
        (46, 2, True), (40, -100, True), (-25, 135, True), (-80, 0, True), (66, -175, True), (66, 178, True),
        (0, -30, False), (-40, -120, False), (42, 51, False), (75, 170, False),
    ]:  # fmt: skip
        assert sum(part.contains(shapely.Point(lon, lat)) for part in parts) % 2 == is_land, (lat, lon)


def test_a_missing_table_says_what_to_do():
    with pytest.raises(MissingFileError, match="reinstall"):
        _tables.arrays("nothing.npz")
