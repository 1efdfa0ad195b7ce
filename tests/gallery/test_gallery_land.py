"""Galleries that cover the land: no land cell without a point, the rest as it was."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.gallery import _gallery, empty_land, open_gallery
from whyhere.geo import cells_of, land_cells, populated_cells


@pytest.fixture
def coarse(monkeypatch):
    """Cells large enough that a few hundred of them cover the Earth."""
    monkeypatch.setattr(_gallery, "LAND_RESOLUTION", 0)
    monkeypatch.setattr(_gallery, "TOWN_RESOLUTION", 1)


def test_no_land_cell_is_left_without_a_point(coarse, coordinates):
    lat, lon = np.load(coordinates).T
    added = empty_land(lat, lon)
    for resolution, cells_with in ((0, land_cells), (1, populated_cells)):
        reached = cells_of(np.append(lat, added[0]), np.append(lon, added[1]), resolution)
        assert np.isin(cells_with(resolution)[0], reached).all()
    # A point is added only where a cell of one size or the other was empty; they do not nest exactly.
    empty = [~np.isin(cells_of(*added, r), cells_of(lat, lon, r)) for r in (0, 1)]
    assert np.logical_or(*empty).all()
    again = empty_land(np.append(lat, added[0]), np.append(lon, added[1]))
    assert len(again[0]) == 0


def test_own_points_come_first_and_the_bank_keeps_the_others(
    coarse, coordinates, weights, tmp_path, monkeypatch
):
    cache = tmp_path / "galleries"
    plain = open_gallery(coordinates, weights, cache)
    calls = []
    full = open_gallery(
        coordinates, weights, cache, covers_land=True, progress=lambda *call: calls.append(call)
    )
    assert plain.added == 0
    assert len(full) == 300 + full.added
    assert full.added > 100
    assert calls[0] == (0, 300)
    assert calls[-1] == (len(full), len(full))
    np.testing.assert_array_equal(full.lat[:300], plain.lat)
    np.testing.assert_allclose(full.embeddings[:300], plain.embeddings, atol=1e-6)
    assert full.fingerprint != plain.fingerprint
    monkeypatch.setattr("whyhere.gallery._bank.empty_land", None)  # it is not looked for again
    again = open_gallery(coordinates, weights, cache, covers_land=True)
    np.testing.assert_array_equal(again.lon, full.lon)
    with pytest.raises(ValueError, match="read-only"):
        again.lat[0] = 0


def test_a_bank_that_lost_its_coordinates_is_mended(coarse, coordinates, weights, tmp_path):
    full = open_gallery(coordinates, weights, tmp_path, covers_land=True)
    kept = tmp_path / full.fingerprint / "coordinates.npy"
    moved = np.load(kept)
    moved[-1] += 1  # a point that was added
    for damage in (lambda: kept.write_bytes(b"no array"), lambda: np.save(kept, moved)):
        damage()
        again = open_gallery(coordinates, weights, tmp_path, covers_land=True)
        np.testing.assert_array_equal(again.lat, full.lat)
        np.testing.assert_array_equal(again.embeddings, full.embeddings)
        np.testing.assert_array_equal(np.load(kept)[:, 0], full.lat)
