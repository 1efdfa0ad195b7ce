"""GPS noise is in metres, everywhere on Earth."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.geo import great_circle_km
from whyhere.training import jitter


@pytest.mark.parametrize(
    ("lat", "lon"), [(0.0, 0.0), (60.0, 179.9999), (-45.0, -180.0), (89.9999, 30.0), (-90.0, 5.0)]
)
@pytest.mark.parametrize("sigma_m", [150.0, 1000.0])
def test_noise_has_the_same_size_in_metres_everywhere(lat, lon, sigma_m):
    n = 20_000
    lats, lons = np.full(n, lat), np.full(n, lon)
    new_lat, new_lon = jitter(lats, lons, sigma_m=sigma_m, rng=np.random.default_rng(0))
    assert (np.abs(new_lat) <= 90).all()
    assert new_lon.min() >= -180
    assert new_lon.max() < 180
    metres = great_circle_km(lats, lons, new_lat, new_lon) * 1000
    # The distance of a normal step in two directions is Rayleigh distributed.
    assert np.sqrt(np.mean(metres**2)) == pytest.approx(sigma_m * np.sqrt(2), rel=0.02)
    assert np.median(metres) == pytest.approx(sigma_m * np.sqrt(2 * np.log(2)), rel=0.03)


def test_north_and_east_are_independent_normal_steps():
    n, lat = 20_000, 52.0
    new_lat, new_lon = jitter(np.full(n, lat), np.full(n, 13.0), sigma_m=500.0, rng=np.random.default_rng(1))
    north = (new_lat - lat) * 111_195
    east = (new_lon - 13.0) * 111_195 * np.cos(np.radians(lat))
    assert np.std(north) == pytest.approx(500, rel=0.03)
    assert np.std(east) == pytest.approx(500, rel=0.03)
    assert abs(np.corrcoef(north, east)[0, 1]) < 0.03


def test_no_noise_returns_the_positions_and_draws_the_same_amount():
    a, b = np.random.default_rng(2), np.random.default_rng(2)
    lat, lon = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    still = jitter(lat, lon, sigma_m=0.0, rng=a)
    jitter(lat, lon, sigma_m=9.0, rng=b)
    np.testing.assert_array_equal(still[0], lat)
    assert a.random() == b.random()
