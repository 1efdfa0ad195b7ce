"""The reader test on made data: it finds agreement that was planted, and none where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from whyhere.concepts import load_bank
from whyhere.geo import PlaceName
from whyhere.prediction import Answer, ConceptContribution

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TITLES = ("Blue Mosque", "Niagara Falls", "Edinburgh Castle (2)", "Bondi Beach", "A walk on Tuesday")
SHOWN = ("mosque", "waterfall", "castle", "beach", "camel")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import reader_test

    yield reader_test
    sys.modules.pop("reader_test", None)


def answer(*parts):
    concepts = tuple(
        ConceptContribution(id, id, "any", contribution, strength, evidence)
        for id, contribution, strength, evidence in parts
    )
    return Answer(1, 0.0, 0.0, 100.0, 0.5, PlaceName("X", None, None, None), 1.0, concepts, 0.0)


def test_the_words_are_each_of_one_thing_and_the_concepts_are_in_the_bank(script):
    things = script.read_things()
    words = [word for thing in things for word in thing.words]
    assert len(words) == len(set(words))
    assert set().union(*(thing.concepts for thing in things)) <= set(load_bank().ids)


def test_planted_agreement_is_found_and_chance_is_far_below(script):
    titles, told = TITLES * 20, [[id, "camel"] for id in SHOWN] * 20
    found = script.score(titles, told, script.read_things(), reading="told", first=3)
    assert found.things == 80  # the walk names nothing
    assert found.precision == found.recall == (1.0, 1.0, 1.0)
    assert 0.1 < found.chance_precision[0] < 0.4
    assert found.chance_recall[1] < 0.5
    assert found.by_thing["mosque"] == (20, 20, 20)


def test_without_agreement_it_is_no_better_than_chance(script):
    rng = np.random.default_rng(1)
    titles = [TITLES[row] for row in rng.integers(0, 4, 300)]
    told = [[SHOWN[row]] for row in rng.integers(0, 4, 300)]
    found = script.score(titles, told, script.read_things(), reading="told", first=3)
    assert found.precision[0] <= found.chance_precision[1] + 0.03
    assert found.precision[1] < found.chance_precision[0] < found.precision[2]


def test_wrong_concepts_lower_precision_and_missing_ones_recall(script):
    things = script.read_things()
    wrong = script.score(["Blue Mosque"] * 4, [["mosque", "beach"]] * 4, things, reading="told", first=3)
    assert (wrong.precision[0], wrong.recall[0]) == (0.5, 1.0)
    missing = script.score(["Blue Mosque"] * 4, [["mosque"], [], [], []], things, reading="told", first=3)
    assert (missing.precision[0], missing.recall[0]) == (1.0, 0.25)
    first = script.score(["Blue Mosque"], [["beach", "mosque"]], things, reading="told", first=1)
    assert (first.precision[0], first.recall[0]) == (0.0, 0.0)


def test_only_what_a_reader_is_told_counts(script):
    found = answer(
        ("snow-cover", 0.9, -1.0, "confirmed"),
        ("bridge", 0.8, 0.9, "untested"),
        ("mosque", 0.5, 1.0, "confirmed"),
        ("tundra", 0.1, -0.2, "confirmed"),
        ("camel", -0.4, 0.5, "confirmed"),
    )
    assert script.concepts_told(found, "told") == ["", "mosque"]  # the absence decides, and shows nothing
    assert script.concepts_told(found, "with unconfirmed") == ["bridge", "mosque"]
    assert script.concepts_told(found, "any reason") == ["", "bridge", "mosque", ""]
    assert script.concepts_told(found, "with unconfirmed", frozenset({"mosque"})) == ["mosque"]


def test_features_come_from_files_of_views_in_turn(script, tmp_path):
    rng = np.random.default_rng(0)
    views = rng.normal(size=(7, 3, 4)).astype(np.float32)
    paths = []
    for part in (0, 1):
        own = np.zeros_like(views)
        own[part::2] = views[part::2]
        np.save(tmp_path / f"{part}.npy", own)
        paths.append(tmp_path / f"{part}.npy")
    found = script.features_of_table(paths, rows=5, before=2)
    unit = views / np.linalg.norm(views, axis=2, keepdims=True)
    mean = unit.mean(axis=1)[2:]
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), rtol=1e-5)
    with pytest.raises(SystemExit, match="expected 9 rows"):
        script.features_of_table(paths, rows=5, before=4)
