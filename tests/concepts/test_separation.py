"""Pairs held out without refitting, against refitting for every pair; and the interval of the AUROC."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.concepts import pair_separation
from whyhere.stats import auroc_interval, dual_ridge


def brute_force(features, shows, judged, *, ridge):
    """Fit again without each pair; the strength stays that of all photos."""
    centred = features - features.mean(axis=0)
    strength = ridge * np.trace(centred @ centred.T) / len(features)
    wins = []
    for i in np.flatnonzero(shows & judged):
        for j in np.flatnonzero(~shows & judged):
            rest = np.setdiff1d(np.arange(len(features)), [i, j])
            mean, y = features[rest].mean(axis=0), shows[rest].astype(float)
            x = features[rest] - mean
            weights = x.T @ np.linalg.solve(x @ x.T + strength * np.eye(len(rest)), y - y.mean())
            gap = (features[i] - features[j]) @ weights
            wins.append(0.5 if abs(gap) < 1e-12 else float(gap > 0))
    return float(np.mean(wins))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("signal", [0.0, 0.5])
def test_it_equals_refitting_for_every_pair(seed, signal):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(17, 6)) + 0.7
    shows = rng.permutation(17) < 6
    features[shows, 0] += signal
    judged = shows | (rng.random(17) < 0.6)
    found = pair_separation(features, shows, judged, ridge=0.5)
    assert found.value == pytest.approx(brute_force(features, shows, judged, ridge=0.5))


def test_chance_is_a_half():
    """Photos without any signal: no bias either way, unlike pooled leave-one-out."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(150):
        shows = np.arange(16) < 6
        features = rng.normal(size=(16, 20)) + 1
        values.append(pair_separation(features, shows, np.ones(16, bool), ridge=0.5).value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.04)


def test_a_clear_difference_is_seen():
    rng = np.random.default_rng(1)
    shows = np.arange(40) < 15
    features = rng.normal(size=(40, 30)) * 0.2
    features[shows, 3] += 2
    found = pair_separation(features, shows, np.ones(40, bool), ridge=0.5)
    assert found.value == 1.0
    assert 0.8 < found.low < 1.0
    assert found.high == 1.0
    vector = dual_ridge(features - features.mean(axis=0), (shows - shows.mean())[:, None], 0.5, relative=True)
    assert np.argmax(vector) == 3


def test_photos_that_are_all_alike_are_a_coin_toss():
    shows = np.arange(10) < 5
    assert pair_separation(np.ones((10, 4)), shows, np.ones(10, bool), ridge=0.5).value == 0.5


@settings(max_examples=60)
@given(auroc=st.floats(0, 1), positives=st.integers(1, 60), negatives=st.integers(1, 60))
def test_the_interval_holds_the_value_and_shrinks_with_more_photos(auroc, positives, negatives):
    found = auroc_interval(auroc, positives, negatives)
    assert 0 <= found.low <= auroc <= found.high <= 1
    narrow = auroc_interval(auroc, positives * 4, negatives * 4)
    assert narrow.high - narrow.low <= found.high - found.low + 1e-9
    mirrored = auroc_interval(1 - auroc, positives, negatives)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-6)


def test_the_interval_covers_the_truth():
    """Normal scores whose true AUROC is known: 95 of 100 intervals hold it, with 8 photos a side."""
    rng = np.random.default_rng(2)
    true = 0.8
    shift = 2**0.5 * 0.8416212  # Phi(shift / sqrt 2) = 0.8
    held = []
    for _ in range(600):
        a, b = rng.normal(size=8) + shift, rng.normal(size=8)
        found = auroc_interval(float(np.mean(a[:, None] > b)), 8, 8)
        held.append(found.low <= true <= found.high)
    assert 0.92 < np.mean(held) < 0.99
