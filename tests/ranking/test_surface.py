"""Probability goes by area, not by gallery point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.ranking import CellIndex, cell_probabilities


def make_gallery(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)


def probabilities(lat, lon, scores, **options):
    index = CellIndex.build(lat, lon, resolution=2)
    return index, cell_probabilities(scores, index, **{"temperature": 0.1, **options})


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(0.005, 10.0))
def test_probabilities_are_a_distribution(seed, temperature):
    lat, lon = make_gallery(300, seed=seed)
    scores = np.random.default_rng(seed).uniform(-1, 1, 300).astype(np.float32)
    _, p = probabilities(lat, lon, scores, temperature=temperature)
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1.0)


def test_agrees_with_a_plain_loop():
    lat, lon = make_gallery(200)
    scores = np.random.default_rng(1).uniform(-1, 1, 200).astype(np.float32)
    index, p = probabilities(lat, lon, scores, temperature=0.3)
    expected = np.array(
        [
            index.area_km2[row]
            * np.mean([np.exp(scores[i] / 0.3) for i in np.flatnonzero(index.cell_of_point == row)])
            for row in range(len(index.cells))
        ]
    )
    np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-5)


def test_repeating_a_point_a_thousand_times_changes_nothing():
    lat, lon = make_gallery(50)
    scores = np.random.default_rng(1).uniform(-1, 1, 50).astype(np.float32)
    _, once = probabilities(lat, lon, scores)
    again = np.concatenate((np.arange(50), np.full(1000, 7)))
    _, often = probabilities(lat[again], lon[again], scores[again])
    np.testing.assert_allclose(once, often, rtol=1e-6)


def test_without_evidence_probability_is_area():
    lat, lon = make_gallery(400)
    index, p = probabilities(lat, lon, np.zeros(400, np.float32))
    np.testing.assert_allclose(p, index.area_km2 / index.area_km2.sum())


def test_points_that_are_not_allowed_get_nothing_and_change_nothing_else():
    lat, lon = make_gallery(300)
    scores = np.random.default_rng(2).uniform(-1, 1, 300).astype(np.float32)
    allowed = lat > 0
    index, p = probabilities(lat, lon, scores, allowed=allowed)
    kept = np.flatnonzero(allowed)
    small_index, small = probabilities(lat[kept], lon[kept], scores[kept])
    np.testing.assert_allclose(p[np.isin(index.cells, small_index.cells)], small)
    assert not p[~np.isin(index.cells, small_index.cells)].any()


def test_extreme_scores_do_not_overflow():
    lat, lon = make_gallery(20)
    scores = np.linspace(-1e6, 1e6, 20).astype(np.float32)
    _, p = probabilities(lat, lon, scores, temperature=1e-3)
    assert np.isfinite(p).all()
    assert p.max() == pytest.approx(1.0)


def test_nothing_allowed_is_an_error():
    lat, lon = make_gallery(5)
    with pytest.raises(ValueError, match="no gallery point"):
        probabilities(lat, lon, np.zeros(5, np.float32), allowed=np.zeros(5, bool))


def test_background_is_area_whatever_the_photo_says():
    lat, lon = make_gallery(300)
    scores = np.random.default_rng(2).uniform(-1, 1, 300).astype(np.float32)
    allowed = lat > 0
    index, sharp = probabilities(lat, lon, scores, allowed=allowed)
    _, mixed = probabilities(lat, lon, scores, allowed=allowed, background=0.25)
    _, area = probabilities(lat, lon, np.zeros(300, np.float32), allowed=allowed)
    np.testing.assert_allclose(mixed, 0.75 * sharp + 0.25 * area)
    assert not mixed[np.bincount(index.cell_of_point, allowed) == 0].any()
