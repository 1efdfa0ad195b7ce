"""Positions and distances: invariants, and two independent geodesy libraries as oracles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere.geo import (
    EARTH_RADIUS_KM,
    LatLon,
    great_circle_km,
    lat_lon_of,
    unit_vectors,
    vector_distance_km,
    wrap_lon,
)

LATS = st.floats(-90, 90)
LONS = st.floats(-180, 180, exclude_max=True)
HALF_TURN_KM = math.pi * EARTH_RADIUS_KM


@given(LATS, LONS, LATS, LONS)
def test_distance_is_symmetric_and_bounded(lat1, lon1, lat2, lon2):
    there, back = great_circle_km(lat1, lon1, lat2, lon2), great_circle_km(lat2, lon2, lat1, lon1)
    assert there == back
    assert 0 <= there <= HALF_TURN_KM + 1e-9


@given(LATS, LONS, LATS, LONS, LATS, LONS)
def test_triangle_inequality(lat1, lon1, lat2, lon2, lat3, lon3):
    direct = great_circle_km(lat1, lon1, lat3, lon3)
    detour = great_circle_km(lat1, lon1, lat2, lon2) + great_circle_km(lat2, lon2, lat3, lon3)
    assert direct <= detour + 1e-3  # near antipodes haversine is good to about half a metre


@given(LATS, LONS, LATS, LONS, st.integers(-2, 2))
def test_whole_turns_of_longitude_change_nothing(lat1, lon1, lat2, lon2, turns):
    assert great_circle_km(lat1, lon1, lat2, lon2 + 360 * turns) == pytest.approx(
        float(great_circle_km(lat1, lon1, lat2, lon2)), abs=1e-3
    )


@given(LONS, LONS, st.sampled_from([-90.0, 90.0]))
def test_every_longitude_of_a_pole_is_the_same_point(lon1, lon2, pole):
    assert great_circle_km(pole, lon1, pole, lon2) == pytest.approx(0, abs=1e-9)
    assert great_circle_km(pole, lon1, 0, lon2) == pytest.approx(HALF_TURN_KM / 2)


@given(LATS, LONS, LATS, LONS)
def test_distance_agrees_with_the_angle_between_unit_vectors(lat1, lon1, lat2, lon2):
    a, b = unit_vectors(lat1, lon1), unit_vectors(lat2, lon2)
    angle = math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))
    assert great_circle_km(lat1, lon1, lat2, lon2) == pytest.approx(angle * EARTH_RADIUS_KM, abs=1e-3)


@given(LATS, LONS, st.floats(1e-3, 1e3))
def test_vectors_round_trip(lat, lon, length):
    back_lat, back_lon = lat_lon_of(unit_vectors(lat, lon) * length)
    assert great_circle_km(lat, lon, back_lat, back_lon) < 1e-6
    assert -180 <= back_lon < 180


@given(st.floats(-1e4, 1e4))
def test_wrapping(lon):
    wrapped = float(wrap_lon(lon))
    assert -180 <= wrapped < 180
    assert math.isclose((wrapped - lon) / 360, round((wrapped - lon) / 360), abs_tol=1e-9)


def test_distance_agrees_with_geographiclib_on_a_sphere():
    geodesic = pytest.importorskip("geographiclib.geodesic").Geodesic(EARTH_RADIUS_KM * 1000, 0)
    rng = np.random.default_rng(7)
    points = np.column_stack((rng.uniform(-90, 90, (200, 2)), rng.uniform(-180, 180, (200, 2))))
    edges = [(90, 90, 0, 50), (-90, 90, 3, 3), (0, 0, 179.9, -179.9), (10, -10, 0, 180), (5, 5, -180, 180)]
    for lat1, lat2, lon1, lon2 in [*points.tolist(), *edges]:
        expected = geodesic.Inverse(lat1, lon1, lat2, lon2)["s12"] / 1000
        assert great_circle_km(lat1, lon1, lat2, lon2) == pytest.approx(expected, abs=1e-3)


def test_distance_stays_within_its_stated_error_of_the_ellipsoid():
    geod = pytest.importorskip("pyproj").Geod(ellps="WGS84")
    rng = np.random.default_rng(8)
    lat1, lat2 = rng.uniform(-90, 90, (2, 2000))
    lon1, lon2 = rng.uniform(-180, 180, (2, 2000))
    exact = geod.inv(lon1, lat1, lon2, lat2)[2] / 1000
    assert np.max(np.abs(great_circle_km(lat1, lon1, lat2, lon2) / exact - 1)) < 0.0056


@given(LATS, st.floats(-1e6, 1e6))
def test_lat_lon_wraps_longitude(lat, lon):
    point = LatLon(lat, lon)
    assert -180 <= point.lon < 180
    assert great_circle_km(lat, lon, point.lat, point.lon) < 1e-3
    assert point.to_dict() == {"lat": point.lat, "lon": point.lon}


@pytest.mark.parametrize(
    ("lat", "lon"),
    [(90.001, 0), (-91, 0), (math.nan, 0), (0, math.nan), (math.inf, 0), (0, -math.inf)],
)
def test_lat_lon_refuses_what_is_no_position(lat, lon):
    with pytest.raises(ValueError, match="latitude"):
        LatLon(lat, lon)


@given(LATS, LONS, LATS, LONS)
def test_distance_between_unit_vectors_is_the_great_circle(lat1, lon1, lat2, lon2):
    km = vector_distance_km(unit_vectors(lat1, lon1), unit_vectors(lat2, lon2))
    assert km == pytest.approx(float(great_circle_km(lat1, lon1, lat2, lon2)), abs=1e-3)
