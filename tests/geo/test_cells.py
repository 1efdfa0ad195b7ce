"""Cells: membership, areas against the sphere, outlines that can be drawn at the date line and the poles."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whyhere.geo import (
    EARTH_RADIUS_KM,
    cell_area_km2,
    cell_boundary,
    cell_centre,
    cell_number,
    cell_radius_km,
    cell_string,
    cells_of,
    great_circle_km,
)

LATS = st.floats(-90, 90)
LONS = st.floats(-180, 180)


@given(LATS, LONS, st.integers(0, 8))
@example(90.0, 0.0, 0)
@example(-90.0, 0.0, 3)
@example(-17.8, 180.0, 3)
def test_a_point_lies_near_the_centre_of_its_cell(lat, lon, resolution):
    (cell,) = cells_of([lat], [lon], resolution).tolist()
    centre = cell_centre(cell)
    assert great_circle_km(lat, lon, centre.lat, centre.lon) <= cell_radius_km(cell) * 1.01
    assert cells_of([centre.lat], [centre.lon], resolution).tolist() == [cell]


@given(LATS, LONS, st.integers(0, 8))
def test_names_round_trip(lat, lon, resolution):
    (cell,) = cells_of([lat], [lon], resolution).tolist()
    assert cell_number(cell_string(cell)) == cell


def test_known_cell():
    """The example of the H3 documentation."""
    assert cell_string(int(cells_of([37.7752702151959], [-122.418307270836], 9)[0])) == "8928308280fffff"


def test_all_cells_together_cover_the_earth():
    import h3.api.basic_int as h3

    cells = np.array(list(h3.get_res0_cells()), np.uint64)
    assert cell_area_km2(cells).sum() == pytest.approx(4 * np.pi * EARTH_RADIUS_KM**2, rel=1e-6)
    assert cell_area_km2(cells.reshape(2, 61)).shape == (2, 61)


def edge_lengths(corners):
    closed = [*corners, corners[0]]
    return [abs(b[1] - a[1]) for a, b in pairwise(closed)]


@settings(deadline=None)
@given(st.floats(-80, 80), LONS, st.integers(1, 5))
@example(-17.8, 180.0, 1)
@example(66.0, -179.9, 2)
def test_boundaries_do_not_jump(lat, lon, resolution):
    (cell,) = cells_of([lat], [lon], resolution).tolist()
    corners = cell_boundary(cell)
    assert max(edge_lengths(corners)) < 180
    assert shoelace_km2(corners) == pytest.approx(float(cell_area_km2(cell)), rel=0.1)


def shoelace_km2(corners):
    """Area on an equal-area cylinder, edges straight on it: near enough for cells far from a pole."""
    lat, lon = np.radians(np.array([*corners, corners[0]])).T
    x, y = lon, np.sin(lat)
    return abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2 * EARTH_RADIUS_KM**2


@pytest.mark.parametrize("lat", [90.0, -90.0])
@pytest.mark.parametrize("resolution", [0, 1, 2, 3])
def test_the_cell_on_a_pole_is_closed_over_it(lat, resolution):
    (cell,) = cells_of([lat], [0.0], resolution).tolist()
    corners = cell_boundary(cell)
    at_pole = [lon for corner, lon in corners if corner == lat]
    assert len(at_pole) == 2
    assert abs(at_pole[0] - at_pole[1]) == pytest.approx(360)


def test_refuses_what_h3_would_not_understand():
    with pytest.raises(ValueError, match="resolution"):
        cells_of([0], [0], 16)
    with pytest.raises(ValueError, match="finite"):
        cells_of([np.nan], [0], 3)
    with pytest.raises(ValueError, match=r"cell|invalid literal"):
        cell_number("not a cell")
    with pytest.raises(ValueError, match="cell"):
        cell_number("ff")


def test_no_positions_at_all():
    assert cells_of([], [], 3).shape == (0,)
