"""Embeddings of neighbourhoods: averages on the sphere, kept apart from those of single places."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.encoders import LocationEncoder
from whyhere.gallery import Neighbourhoods, open_gallery
from whyhere.geo import great_circle_km


class PositionEncoder:
    """Embeds a position as its unit vector, padded: averages can be checked by hand."""

    def embed(self, lat, lon, *, progress=None):
        lat, lon = np.radians(lat), np.radians(lon)
        axes = (np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat))
        return np.pad(np.stack(axes, axis=1), ((0, 0), (0, 509))).astype(np.float32)


def places(count=400, *, seed=0):
    rng = np.random.default_rng(seed)
    return np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)


def by_hand(around, lat, lon):
    """The definition, cell by cell."""
    cells = (
        np.degrees(np.arcsin(around.directions[:, 2])),
        np.degrees(np.arctan2(around.directions[:, 1], around.directions[:, 0])),
    )
    km = np.array([great_circle_km(lat, lon, *cell) for cell in zip(*cells, strict=True)])
    mean = (np.exp(-km / around.scale_km) * around.area_km2) @ around.embeddings
    return mean / np.linalg.norm(mean)


def test_a_neighbourhood_is_the_average_by_area_and_distance():
    around = Neighbourhoods.build(PositionEncoder(), *places(), scale_km=800.0)
    lat, lon = np.array([12.0, -60.0, 0.0]), np.array([34.0, 179.9, -179.9])
    for row, embedding in enumerate(around.embed(lat, lon)):
        np.testing.assert_allclose(embedding, by_hand(around, lat[row], lon[row]), atol=1e-5)


@pytest.mark.parametrize(("lat", "lon"), [(90.0, 0.0), (-90.0, 0.0), (10.0, 180.0)])
def test_poles_and_the_date_line_have_no_seam(lat, lon):
    around = Neighbourhoods.build(PositionEncoder(), *places(), scale_km=300.0)
    same = around.embed(np.array([lat, lat]), np.array([lon, lon - 360.0 if abs(lat) < 90 else 77.0]))
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)


def test_far_from_every_place_the_nearest_count():
    around = Neighbourhoods.build(
        PositionEncoder(), np.array([0.0, 0.0]), np.array([0.0, 20.0]), scale_km=1.0
    )
    (far,) = around.embed(np.array([0.0]), np.array([-150.0]))
    assert np.isfinite(far).all()
    np.testing.assert_allclose(far, around.embeddings[np.argmax(around.directions[:, 0])], atol=1e-6)


def test_crowded_cells_do_not_outweigh_empty_ones():
    lat, lon = np.array([0.0] * 50 + [0.0]), np.array([0.0] * 50 + [8.0])
    crowded = Neighbourhoods.build(PositionEncoder(), lat, lon, scale_km=500.0)
    single = Neighbourhoods.build(PositionEncoder(), lat[-2:], lon[-2:], scale_km=500.0)
    middle = np.array([0.0]), np.array([4.0])
    np.testing.assert_allclose(crowded.embed(*middle), single.embed(*middle), atol=1e-6)


def test_smoothed_and_single_galleries_are_kept_apart(coordinates, weights, tmp_path):
    cache = tmp_path / "galleries"
    single = open_gallery(coordinates, weights, cache)
    calls = []
    smooth = open_gallery(
        coordinates, weights, cache, smoothing_km=500.0, progress=lambda *call: calls.append(call)
    )
    assert single.fingerprint != smooth.fingerprint
    assert calls[0] == (0, 300)
    assert calls[-1] == (300, 300)
    around = Neighbourhoods.build(LocationEncoder.load(weights), single.lat, single.lon, scale_km=500.0)
    np.testing.assert_allclose(smooth.embeddings, around.embed(single.lat, single.lon), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(smooth.embeddings, axis=1), 1, atol=1e-6)
    again = open_gallery(coordinates, weights, cache, smoothing_km=500.0)
    np.testing.assert_array_equal(again.embeddings, smooth.embeddings)
    other = open_gallery(coordinates, weights, cache, smoothing_km=501.0)
    assert other.fingerprint != smooth.fingerprint
