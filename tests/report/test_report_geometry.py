"""Rings and projections, against spherical geometry, shapely and the areas that h3 states."""

import h3
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whyhere.geo import EARTH_RADIUS_KM, great_circle_km
from whyhere.prediction import SurfaceCell
from whyhere.report import classify, density_text
from whyhere.report.geometry import (
    EQUAL_EARTH_X,
    EQUAL_EARTH_Y,
    azimuthal_km,
    circle_polygons,
    circle_ring,
    equal_earth,
    split_ring,
)

LATS, LONS = st.floats(-90, 90), st.floats(-180, 179.999)


def polygon_of(rings):
    return shapely.Polygon(rings[0][:, ::-1], [hole[:, ::-1] for hole in rings[1:]])


@given(LATS, LONS, st.floats(1, 20_000))
@example(90.0, 0.0, 500.0)
@example(-90.0, 0.0, 500.0)
@example(0.0, -180.0, 3000.0)
def test_every_point_of_a_circle_lies_at_its_radius(lat, lon, radius_km):
    ring = circle_ring(lat, lon, radius_km)
    assert great_circle_km(lat, lon, ring[:, 0], ring[:, 1]) == pytest.approx(radius_km, rel=1e-6, abs=1e-3)


@settings(deadline=None)
@given(LATS, LONS, st.floats(5, 19_900))
@example(89.9, 10.0, 200.0)  # over the north pole
@example(-89.9, 10.0, 200.0)
@example(-16.8, 179.98, 200.0)  # over the antimeridian
@example(80.0, 179.0, 10 * 111.19492664455873)  # touches the pole
@example(5.0, 0.0, 9900.0)  # over the pole from beyond the equator
@example(0.0, 0.0, 15_000.0)  # all but the far side
@example(60.0, -180.0, 12_000.0)
def test_disc_polygons_hold_the_points_within_the_radius_and_no_others(lat, lon, radius_km):
    polygons = [polygon_of(rings) for rings in circle_polygons(lat, lon, radius_km, points=720)]
    assert all(polygon.is_valid for polygon in polygons)
    bounds = np.array([polygon.bounds for polygon in polygons])
    assert bounds[:, 0].min() >= -180.0
    assert bounds[:, 2].max() <= 180.0
    assert np.abs(bounds[:, [1, 3]]).max() <= 90.0
    rng = np.random.default_rng(1)
    lats = np.degrees(np.arcsin(rng.uniform(-1, 1, 400)))
    lons = rng.uniform(-180, 180, 400)
    # Points close to small circles too.
    near_km = radius_km * np.sqrt(rng.uniform(0, 4, 200))
    near = [circle_ring(lat, lon, km, points=4)[index % 4] for index, km in enumerate(near_km) if km < 19_900]
    lats, lons = np.concatenate((lats, np.array(near)[:, 0])), np.concatenate((lons, np.array(near)[:, 1]))
    km = great_circle_km(lat, lon, lats, lons)
    # A chord between two points of the edge strays from the circle, more so near a pole.
    clear = (
        (np.abs(km - radius_km) > 0.02 * radius_km + 1.0) & (np.abs(lats) < 89.0) & (np.abs(lons) < 179.99)
    )
    inside = np.zeros(len(lats), bool)
    for polygon in polygons:
        inside |= shapely.intersects_xy(polygon, lons, lats)
    assert np.array_equal(inside[clear], (km < radius_km)[clear])


@given(LATS, LONS, st.floats(5, 9_000))
def test_outer_rings_run_counterclockwise(lat, lon, radius_km):
    for rings in circle_polygons(lat, lon, radius_km):
        assert shapely.is_ccw(shapely.linearrings(rings[0][:, ::-1]))


@pytest.mark.parametrize("resolution", [0, 1, 2])
def test_split_cells_cover_the_earth_once(resolution):
    cells = [c for base in h3.get_res0_cells() for c in h3.cell_to_children(base, resolution)]
    total = 0.0
    for cell in cells:
        parts = split_ring(np.array(h3.cell_to_boundary(cell)))
        polygons = [shapely.Polygon(part[:, ::-1]) for part in parts]
        assert all(polygon.is_valid for polygon in polygons)
        lat, lon = h3.cell_to_latlng(cell)
        assert any(polygon.covers(shapely.Point(lon, lat)) for polygon in polygons), cell
        fine = [shapely.get_coordinates(shapely.segmentize(polygon, 0.25)) for polygon in polygons]
        flat = [shapely.Polygon(np.column_stack(equal_earth(line[:, 1], line[:, 0]))) for line in fine]
        total += sum(polygon.area for polygon in flat)
    # Equal Earth is equal-area, on the unit sphere. Pieces share edges, so nothing is lost between them.
    assert total == pytest.approx(4 * np.pi, rel=1e-4)


def test_a_ring_that_does_not_cross_is_left_as_it_is():
    ring = np.array([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
    (part,) = split_ring(ring)
    assert {tuple(row) for row in part} == {tuple(row) for row in ring}


def test_a_ring_across_the_antimeridian_falls_into_two():
    ring = np.array([(-1.0, 179.0), (-1.0, -179.0), (1.0, -179.0), (1.0, 179.0)])
    parts = sorted(split_ring(ring), key=lambda part: part[:, 1].min())
    assert [(part[:, 1].min(), part[:, 1].max()) for part in parts] == [(-180.0, -179.0), (179.0, 180.0)]


@given(st.floats(-89, 89), st.floats(-179, 179))
def test_equal_earth_keeps_areas(lat, lon):
    step = 1e-3
    x, y = equal_earth(
        np.array([lat, lat, lat + step, lat - step]), np.array([lon + step, lon - step, lon, lon])
    )
    jacobian = ((x[0] - x[1]) * (y[2] - y[3]) - (y[0] - y[1]) * (x[2] - x[3])) / np.radians(2 * step) ** 2
    assert jacobian == pytest.approx(np.cos(np.radians(lat)), rel=1e-4)


def test_equal_earth_has_the_published_shape():
    # Šavrič, Patterson and Jenny 2018: width to height 1 : 0.487, pole line 0.59 times the equator.
    assert pytest.approx(0.487, abs=5e-4) == EQUAL_EARTH_Y / EQUAL_EARTH_X
    assert float(equal_earth(90.0, 180.0)[0]) / EQUAL_EARTH_X == pytest.approx(0.59, abs=5e-3)


@given(LATS, LONS, LATS, LONS)
def test_azimuthal_map_keeps_distances_from_its_centre(lat0, lon0, lat, lon):
    x, y = azimuthal_km(lat, lon, lat0=lat0, lon0=lon0)
    km = float(great_circle_km(lat0, lon0, lat, lon))
    if km < 0.999 * np.pi * EARTH_RADIUS_KM:
        assert float(np.hypot(x, y)) == pytest.approx(km, abs=1e-3)


@given(st.floats(-88, 88), LONS)
def test_azimuthal_map_has_north_up_and_east_right(lat0, lon0):
    x, y = azimuthal_km(np.array([lat0 + 1, lat0]), np.array([lon0, lon0 + 0.5]), lat0=lat0, lon0=lon0)
    assert abs(x[0]) < 1e-6
    assert y[0] > 0
    assert x[1] > 0
    assert azimuthal_km(lat0, lon0, lat0=lat0, lon0=lon0) == pytest.approx((0.0, 0.0), abs=1e-6)


@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=30), st.integers(0, 4))
def test_densities_fall_into_their_classes(masses, resolution):
    cells = sorted(h3.grid_disk(h3.latlng_to_cell(48.0, 2.0, resolution), 3))[: len(masses)]
    surface = classify([SurfaceCell(c, m) for c, m in zip(cells, masses, strict=False)])
    density = [m / h3.cell_area(c, unit="km^2") * 1e4 for c, m in zip(cells, masses, strict=False)]
    edges = (0.0, *surface.limits, np.inf)
    assert list(surface.limits) == sorted(surface.limits)
    for value, level in zip(density, surface.classes, strict=True):
        assert edges[level] <= value < edges[level + 1]
    # The strongest class is used and holds at most a factor of about three.
    assert surface.classes.max() == 5
    assert max(density) < 3.4 * surface.limits[-1]


def test_no_surface_without_mass():
    assert classify([]) is None
    assert classify([SurfaceCell(h3.latlng_to_cell(0, 0, 1), 0.0)]) is None


def test_limits_are_said_in_percent():
    assert [density_text(v) for v in (0.3, 0.01, 3e-4, 1e-6)] == ["30 %", "1 %", "0.03 %", "0.0001 %"]
