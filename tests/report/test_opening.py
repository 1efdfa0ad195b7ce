"""The two sentences that an explanation opens with: quotable, never bolder than the numbers below."""

from __future__ import annotations

import explanation_samples
import pytest
from msgspec.structs import replace

from whyhere.report.words import NO_PLACE, opening, percent


@pytest.fixture
def explanation(kauai):
    return explanation_samples.explanation_of(kauai)


def changed(explanation, **fields):
    return replace(explanation, here=replace(explanation.here, **fields))


def test_they_hold_the_numbers_and_names_of_the_record(explanation):
    first, second = opening(explanation)
    here = explanation.here
    assert percent(here.probability) in first
    assert str(here.area) in first
    assert "hypothesis, not proof" in second
    for concept in here.reasons.speaking[:3]:
        assert concept.name in second


def test_where_no_place_stands_out_they_do_not_name_one_as_the_answer(explanation):
    prediction = replace(explanation.prediction, abstained=True)
    first, _ = opening(replace(explanation, prediction=prediction))
    assert first.startswith(NO_PLACE.removesuffix("."))
    assert "Likely" not in first
    assert "Best guess" not in first


def test_another_place_is_never_called_the_guess(explanation):
    first, _ = opening(changed(explanation, rank=None, probability=0.002))
    assert first.startswith("The model gives ")
    assert "0.2 %" in first


def test_a_score_without_names_is_said_to_have_none(explanation):
    _, second = opening(changed(explanation, remainder=9.0))
    assert "most of the score has no name" in second
    _, silent = opening(changed(explanation, concepts=()))
    assert silent.startswith("No concept")


def test_what_a_concept_means_to_the_release_stands_behind_it(explanation):
    concepts = tuple(replace(c, meaning="mostly Norway") for c in explanation.here.concepts)
    _, second = opening(changed(explanation, concepts=concepts))
    name = explanation.here.reasons.speaking[0].name
    assert f"{name} (mostly Norway)" in second
