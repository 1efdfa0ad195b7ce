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


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), weight=st.floats(0.01, 1.0), background=st.sampled_from([0.0, 0.4]))
def test_cells_that_were_only_filled_weigh_less_and_the_others_keep_their_odds(seed, weight, background):
    lat, lon = make_gallery(300, seed=seed)
    scores = np.random.default_rng(seed).uniform(-1, 1, 300).astype(np.float32)
    options = {"temperature": 0.3, "background": background}
    plain = cell_probabilities(scores, CellIndex.build(lat, lon, resolution=2), **options)
    index = CellIndex.build(lat, lon, resolution=2, added=100, added_weight=weight)
    own = np.isin(np.arange(len(index.cells)), index.cell_of_point[:200])
    np.testing.assert_allclose(index.prior_km2, index.area_km2 * np.where(own, 1.0, weight))
    p = cell_probabilities(scores, index, **options)
    if background == 0.0:
        expected = plain * np.where(own, 1.0, weight)
        np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-9)
    assert p.sum() == pytest.approx(1.0)
    assert p[own].sum() >= plain[own].sum() - 1e-12


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


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), background=st.floats(0.0, 0.9), half=st.booleans())
def test_a_prior_multiplies_the_probability_of_every_point(seed, background, half):
    """Against a plain loop over points: each has its cell's area by its share, times its prior."""
    lat, lon = make_gallery(80, seed=seed)
    rng = np.random.default_rng(seed)
    scores, log_prior = rng.uniform(-1, 1, 80).astype(np.float32), rng.uniform(-3, 3, 80)
    allowed = lat > 0 if half else np.ones(80, bool)
    options = {"allowed": allowed, "background": background, "temperature": 0.3}
    index, p = probabilities(lat, lon, scores, log_prior=log_prior, **options)
    told, untold = np.zeros(len(index.cells)), np.zeros(len(index.cells))
    for name, values in (("told", np.exp(scores / 0.3)), ("untold", np.ones(80))):
        plain, weighed = np.zeros(len(index.cells)), np.zeros(len(index.cells))
        for point in np.flatnonzero(allowed):
            cell = index.cell_of_point[point]
            size = np.sum(allowed & (index.cell_of_point == cell))
            plain[cell] += index.area_km2[cell] / size * values[point]
            weighed[cell] += index.area_km2[cell] / size * values[point] * np.exp(log_prior[point])
        (told if name == "told" else untold)[:] = weighed / plain.sum()
    expected = (1 - background) * told + background * untold
    np.testing.assert_allclose(p, expected / expected.sum(), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("value", [-700.0, 0.0, 700.0])
def test_a_constant_prior_changes_nothing(value):
    lat, lon = make_gallery(200)
    scores = np.random.default_rng(4).uniform(-1, 1, 200).astype(np.float32)
    _, without = probabilities(lat, lon, scores, background=0.3)
    _, with_it = probabilities(lat, lon, scores, background=0.3, log_prior=np.full(200, value))
    np.testing.assert_allclose(with_it, without, rtol=1e-9)


def test_a_prior_that_is_not_finite_is_refused_where_it_counts():
    lat, lon = make_gallery(50)
    scores, prior = np.zeros(50, np.float32), np.zeros(50)
    prior[np.argmin(lat)] = np.nan
    _, p = probabilities(lat, lon, scores, log_prior=prior, allowed=lat > 0)
    assert np.isfinite(p).all()
    with pytest.raises(ValueError, match="not finite"):
        probabilities(lat, lon, scores, log_prior=prior)
