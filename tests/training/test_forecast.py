"""The loss that the temperature is fitted on rewards probabilities that are right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere.ranking import RankedPlace
from whyhere.training import forecast_loss


def places(*probabilities):
    return [RankedPlace(point=i, radius_km=100.0, probability=p) for i, p in enumerate(probabilities)]


def test_takes_the_first_answer_that_holds_the_truth_and_elsewhere_if_none_does():
    answers = places(0.5, 0.2)
    assert forecast_loss(answers, np.array([50.0, 50.0])) == pytest.approx(-np.log(0.5))
    assert forecast_loss(answers, np.array([500.0, 50.0])) == pytest.approx(-np.log(0.2))
    assert forecast_loss(answers, np.array([500.0, 500.0])) == pytest.approx(-np.log(0.3))


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_is_least_in_expectation_for_the_true_probability(truth, claimed):
    def expected(probability):
        hit = forecast_loss(places(probability), np.array([0.0]))
        miss = forecast_loss(places(probability), np.array([1e4]))
        return truth * hit + (1 - truth) * miss

    assert expected(truth) <= expected(claimed) + 1e-12


def test_certainty_that_is_wrong_costs_much_but_not_everything():
    assert 20 < forecast_loss(places(1.0), np.array([1e4])) < 1e3
