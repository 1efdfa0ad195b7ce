"""Scores against scikit-learn and against resampling done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.evaluation.probing import Kept, sentence
from whyhere.evaluation.probing._report import Resampling, Sampled, score, share
from whyhere.stats import Interval

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_r2_is_scikit_learns_also_under_weights(rng):
    target, block = rng.normal(1000, 3, 200), rng.integers(0, 20, 200)
    predicted = target + rng.normal(size=(3, 200))
    resampling = Resampling.of(20, 3, seed=1, draws=50)
    found, balanced = score("value", target, predicted, block, resampling)
    assert balanced is None
    assert found.repeats == pytest.approx([metrics.r2_score(target, row) for row in predicted])
    assert found.value == pytest.approx(np.mean(found.repeats))
    by_hand = [
        metrics.r2_score(target, predicted[repeat], sample_weight=weights[block])
        for weights, repeat in zip(resampling.weights, resampling.repeat, strict=True)
    ]
    np.testing.assert_allclose(found.draws, by_hand)
    assert found.interval.low == pytest.approx(np.percentile(by_hand, 2.5))


def test_accuracies_are_scikit_learns_also_under_weights(rng):
    target, block = rng.choice(4, 300, p=(0.6, 0.2, 0.15, 0.05)), rng.integers(0, 30, 300)
    predicted = np.where(rng.random((2, 300)) < 0.7, target, rng.integers(0, 4, (2, 300)))
    resampling = Resampling.of(30, 2, seed=2, draws=50)
    found, balanced = score("class", target, predicted, block, resampling)
    assert found.repeats == pytest.approx([metrics.accuracy_score(target, row) for row in predicted])
    assert balanced.repeats == pytest.approx(
        [metrics.balanced_accuracy_score(target, row) for row in predicted]
    )
    for number in range(50):
        weights = resampling.weights[number][block]
        row = predicted[resampling.repeat[number]]
        there = metrics.accuracy_score(target, row, sample_weight=weights)
        assert found.draws[number] == pytest.approx(there)
        counted = weights > 0
        there = metrics.balanced_accuracy_score(target[counted], row[counted], sample_weight=weights[counted])
        assert balanced.draws[number] == pytest.approx(there)


def test_share_of_means():
    half, whole = Sampled(0.4, (0.4,), np.array([0.3, 0.5])), Sampled(0.8, (0.8,), np.array([0.6, 1.0]))
    other = Sampled(0.2, (0.2,), np.array([0.2, 0.2]))
    found = share([half, other], [whole, other])
    assert found.value == pytest.approx(0.6)
    np.testing.assert_allclose(found.draws, [0.5 / 0.8, 0.7 / 1.2])


@pytest.mark.parametrize(
    ("low", "value", "high", "said"),
    [
        (0.955, 0.97, 0.98, "the bar of 95 % is reached."),
        (0.90, 0.949, 0.96, "the bar of 95 % lies inside the interval."),
        (0.90, 0.92, 0.949, "the bar of 95 % is missed."),
    ],
)
def test_a_bar_inside_the_interval_is_neither_reached_nor_missed(low, value, high, said):
    kept = Kept("concepts", "linear", "random", 0.7 * value, 0.7, Interval(value, low, high), {})
    assert sentence(kept).endswith(said)
    assert f"keeps {100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})" in sentence(kept)
