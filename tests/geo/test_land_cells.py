"""Every place on land lies in a cell that is known to hold land."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.geo import (
    cell_area_km2,
    cells_of,
    country_codes,
    gazetteer,
    great_circle_km,
    land_cells,
    lat_lon_of,
    outlines,
    populated_cells,
)


@pytest.fixture(scope="module")
def coarse():
    return land_cells(2)


def test_every_point_on_land_lies_in_a_land_cell(coarse):
    rng = np.random.default_rng(5)
    lat, lon = lat_lon_of(rng.normal(size=(5_000, 3)))
    on_land = outlines().containing(lat, lon) >= 0
    assert 0.25 < on_land.mean() < 0.33
    assert np.isin(cells_of(lat[on_land], lon[on_land], 2), coarse[0]).all()


def test_every_corner_of_every_outline_lies_in_a_land_cell(coarse):
    ends = outlines().edges()
    share = np.random.default_rng(6).random((len(ends), 1))
    between = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
    assert np.isin(cells_of(between[:, 1], between[:, 0], 2), coarse[0]).all()
    assert np.abs(np.diff(ends, axis=1)).max() <= 360


def test_every_place_with_a_name_lies_in_a_land_cell(coarse):
    places = gazetteer()
    assert np.isin(cells_of(places.lat[::7], places.lon[::7], 2), coarse[0]).all()


def test_positions_lie_in_their_cells_on_land_or_at_a_coast(coarse):
    cells, lat, lon = coarse
    assert (np.diff(cells.astype(np.int64)) > 0).all()
    assert (cells_of(lat, lon, 2) == cells).all()
    assert None not in country_codes(lat, lon, coast_km=5.0)
    # Land is 149 million km2; cells at coasts hold sea as well.
    assert 149 < cell_area_km2(cells).sum() / 1e6 < 230


@pytest.mark.parametrize(
    ("lat", "lon"),
    [(-90.0, 0.0), (83.4, -33.0), (-16.8, 179.99), (-16.8, -179.99), (-8.52, 179.2), (-25.07, -130.1)],
    ids=["south pole", "north Greenland", "Taveuni west", "Taveuni east", "Funafuti", "Pitcairn"],
)
def test_poles_date_line_and_small_islands_count(coarse, lat, lon):
    assert np.isin(cells_of([lat], [lon], 2), coarse[0]).all()


def test_a_populated_cell_is_stood_for_by_its_largest_place():
    cells, lat, lon = populated_cells(3)
    paris = np.flatnonzero(cells == cells_of([48.8566], [2.3522], 3))
    assert great_circle_km(48.8566, 2.3522, lat[paris], lon[paris])[0] < 5
    assert (cells_of(lat, lon, 3) == cells).all()
