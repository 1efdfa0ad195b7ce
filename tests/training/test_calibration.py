"""Calibration rewards probabilities that are right; held-out photos say when to abstain, and what was won."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere.gallery import Gallery
from whyhere.ranking import RankedPlace, RankingConfig
from whyhere.training import LEAST_PHOTOS, check_held_out, forecast_loss, ranking_section

PLACES = 60
RANKING = RankingConfig(temperature=0.05, cell_resolution=2, radius_km=300.0, abstain_below=0.0)


class Knows:
    """Scores the place that a photo's feature names best, sure of it."""

    def encode_image(self, features):
        return int(features[0])

    def scores(self, code, embeddings):
        scores = np.zeros(len(embeddings), np.float32)
        scores[code] = 1.0
        return scores


def places():
    rng = np.random.default_rng(3)
    return np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, PLACES))), rng.uniform(-180, 180, PLACES)


def check(right: np.ndarray, start: np.ndarray | None, *, seed: int = 0):
    """Check a release that is right about some photos against one that is right about others."""
    rng = np.random.default_rng(seed)
    lat, lon = places()
    truth = rng.permutation(PLACES)[: len(right)]
    wrong = (truth + PLACES // 2) % PLACES
    gallery = Gallery(lat, lon, np.eye(PLACES, 8, dtype=np.float32), "tiny")
    said = np.stack((np.where(right, truth, wrong), np.arange(len(right))), axis=1).astype(np.float32)

    class Start(Knows):
        def encode_image(self, features):
            row = int(features[1])
            return int(truth[row] if start is not None and start[row] else wrong[row])

    return check_held_out(
        Knows(),
        None if start is None else Start(),
        names=("mine", "base 0.2"),
        features=said,
        lat=lat[truth],
        lon=lon[truth],
        gallery=gallery,
        ranking=RANKING,
        start_ranking=RANKING,
    )


def test_a_bold_release_is_made_modest_and_abstains():
    found = check(np.arange(40) % 4 == 0, None)
    stated = found.evaluation.calibration.reliability
    assert stated.right.value == pytest.approx(0.25)
    assert found.ranking.background > 0
    claimed = stated.probability.value
    assert claimed < 0.5  # the softmax alone says 1
    assert found.ranking.abstain_below >= claimed - 0.05  # wrong more often than not, at any probability
    assert found.comparison is None
    assert found.sentence == ""
    assert "It abstains below" in found.lines()[0]


def test_a_release_that_is_right_keeps_its_probabilities():
    found = check(np.ones(30, bool), None)
    assert (found.ranking.background, found.ranking.abstain_below) == (0.0, 0.0)
    section = ranking_section(found.ranking)
    assert RankingConfig.from_dict(section, where="here") == found.ranking


def test_few_photos_do_not_say_when_to_abstain():
    found = check(np.zeros(LEAST_PHOTOS - 1, bool), None)
    assert found.ranking.abstain_below == 0.0
    assert "cannot say when to abstain" in found.lines()[0]


def test_the_start_is_compared_on_the_same_photos():
    right = np.arange(40) % 2 == 0
    found = check(right, np.zeros(40, bool))
    figure = found.comparison.figures["200 km"]
    assert (figure.first, figure.second, figure.resolved) == (50.0, 0.0, True)
    assert "within 200 km 50 % against 0 % (difference +50" in found.sentence
    assert ": clear" in found.sentence
    assert any(line.startswith("| 200 km | 50.0 | 0.0 | 50.0") for line in found.lines())
    same = check(right, right)
    assert same.comparison.equal == 40
    assert "not clear" in same.sentence


def ranked(*probabilities):
    return [RankedPlace(point=i, radius_km=100.0, probability=p) for i, p in enumerate(probabilities)]


def test_takes_the_first_answer_that_holds_the_truth_and_elsewhere_if_none_does():
    answers = ranked(0.5, 0.2)
    assert forecast_loss(answers, np.array([50.0, 50.0])) == pytest.approx(-np.log(0.5))
    assert forecast_loss(answers, np.array([500.0, 50.0])) == pytest.approx(-np.log(0.2))
    assert forecast_loss(answers, np.array([500.0, 500.0])) == pytest.approx(-np.log(0.3))


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_is_least_in_expectation_for_the_true_probability(truth, claimed):
    def expected(probability):
        hit = forecast_loss(ranked(probability), np.array([0.0]))
        miss = forecast_loss(ranked(probability), np.array([1e4]))
        return truth * hit + (1 - truth) * miss

    assert expected(truth) <= expected(claimed) + 1e-12


def test_certainty_that_is_wrong_costs_much_but_not_everything():
    assert 20 < forecast_loss(ranked(1.0), np.array([1e4])) < 1e3
