"""A hint is a bounded nudge that follows the order of the cosines and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whyhere.errors import UsageError
from whyhere.ranking import HINT_STRENGTH, CellIndex, cell_probabilities, hint_log_prior

COSINES = arrays(np.float32, st.integers(1, 60), elements=st.floats(-1, 1, width=32))


@given(cosines=COSINES, strength=st.floats(1, 1e6))
def test_it_is_bounded_by_its_strength(cosines, strength):
    prior = hint_log_prior(cosines, strength=strength)
    assert prior.shape == cosines.shape
    assert prior.min() >= 0
    assert prior.max() <= np.log(strength) * (1 + 1e-12)


@given(cosines=COSINES)
def test_it_rises_with_the_cosine_and_is_equal_for_equal_ones(cosines):
    prior = hint_log_prior(cosines)
    order = np.argsort(cosines)
    steps, rises = np.diff(prior[order]), np.diff(cosines[order]) > 0
    assert (steps[rises] > 0).all()
    assert (steps[~rises] == 0).all()


@given(cosines=COSINES)
def test_only_the_order_counts(cosines):
    np.testing.assert_array_equal(hint_log_prior(cosines), hint_log_prior(cosines.astype(float) * 7))


def test_ranks_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    cosines = np.random.default_rng(0).integers(0, 20, 200) / 20
    share = (stats.rankdata(cosines) - 1) / 199
    np.testing.assert_allclose(hint_log_prior(cosines, strength=7.0), np.log(7) * share**2)


def test_the_best_fit_gets_the_whole_strength_and_the_worst_nothing():
    prior = hint_log_prior(np.linspace(-1, 1, 11))
    assert prior[-1] == pytest.approx(np.log(HINT_STRENGTH))
    assert prior[0] == 0
    assert prior[5] == pytest.approx(np.log(HINT_STRENGTH) / 4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 500), background=st.floats(0, 0.9), strength=st.floats(1, 100))
def test_no_hint_changes_the_odds_between_two_cells_by_more_than_its_strength(seed, background, strength):
    rng = np.random.default_rng(seed)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 120))), rng.uniform(-180, 180, 120)
    index = CellIndex.build(lat, lon, resolution=1)
    scores = rng.uniform(-1, 1, 120).astype(np.float32)
    options = {"temperature": 0.2, "background": background}
    before = cell_probabilities(scores, index, **options)
    prior = hint_log_prior(rng.normal(size=120), strength=strength)
    after = cell_probabilities(scores, index, log_prior=prior, **options)
    factor = after / before
    assert factor.max() / factor.min() <= strength * (1 + 1e-9)
    assert after.sum() == pytest.approx(1.0)


def test_a_strength_of_one_does_nothing():
    assert not hint_log_prior(np.arange(5.0), strength=1.0).any()


@pytest.mark.parametrize("strength", [0.99, 0.0, -3.0, float("inf"), float("nan")])
def test_a_strength_that_is_no_factor_is_refused(strength):
    with pytest.raises(UsageError, match="1 or more"):
        hint_log_prior(np.arange(3.0), strength=strength)


@pytest.mark.parametrize("cosines", [[], [0.1, float("nan")]])
def test_cosines_must_be_there_and_finite(cosines):
    with pytest.raises(ValueError, match="finite cosine"):
        hint_log_prior(np.array(cosines))
