"""Probes on made-up targets with known answers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from whyhere.evaluation.probing import (
    Settings,
    Splitter,
    Task,
    blocks,
    ridge_predictions,
    run_probes,
    standardise,
)

pytest.importorskip("sklearn")

N = 600


@pytest.fixture(scope="module")
def places():
    rng = np.random.default_rng(0)
    return np.degrees(np.arcsin(rng.uniform(-0.95, 0.95, N))), rng.uniform(-180, 180, N)


@pytest.fixture(scope="module")
def embedding():
    return np.random.default_rng(1).normal(size=(N, 24))


def made(places, target, kind="value", name="made"):
    return Task(name, kind, *places, np.asarray(target), "made up", "a test")


def scores_of(task, features, **changed):
    settings = Settings(**{"probes": ("linear",), "folds": 3, "repeats": 2} | changed)
    scores, kept = run_probes([task], lambda lat, lon: features, settings)
    return {(score.probe, score.split, score.features): score for score in scores}, kept


@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_a_linear_function_of_the_features_is_found(places, embedding, probe):
    target = 5 + embedding @ np.linspace(-1, 2, 24)
    scores, _ = scores_of(made(places, target), {"x": embedding}, probes=(probe,), splits=("random",))
    score = scores[probe, "random", "x"]
    assert score.metric == "R2"
    assert score.value.value > (0.9999 if probe == "linear" else 0.95)
    assert score.value.low <= score.value.value <= score.value.high <= 1
    assert score.balanced is None


@pytest.mark.parametrize("probe", ["linear", "mlp"])
@pytest.mark.parametrize("split", ["random", "blocked"])
def test_noise_is_not_predicted(places, embedding, probe, split):
    target = np.random.default_rng(2).normal(size=N)
    scores, _ = scores_of(made(places, target), {"x": embedding}, probes=(probe,), splits=(split,))
    assert -0.15 < scores[probe, split, "x"].value.value < 0.05


@pytest.mark.parametrize("probe", ["linear", "mlp"])
def test_classes_that_features_divide_are_found(places, embedding, probe):
    labels = np.array(["dune", "fjord", "steppe"])[np.argmax(embedding[:, :3] * 3, axis=1)]
    scores, _ = scores_of(
        made(places, labels, "class"), {"x": embedding}, probes=(probe,), splits=("random",)
    )
    score = scores[probe, "random", "x"]
    assert score.metric == "accuracy"
    assert score.value.value > 0.85
    assert abs(score.balanced.value - score.value.value) < 0.05
    assert score.reachable == 1.0


def test_classes_that_are_noise_are_guessed(places, embedding):
    labels = np.random.default_rng(3).choice(["a", "b", "c", "d"], N)
    scores, _ = scores_of(made(places, labels, "class"), {"x": embedding}, splits=("random",))
    assert 0.15 < scores["linear", "random", "x"].value.value < 0.35


def test_a_target_constant_within_blocks_shows_the_gap_between_splits(places):
    block = blocks(*places, resolution=0)
    rng = np.random.default_rng(4)
    target = rng.normal(size=block.max() + 1)[block]
    # What a feature knows is which block a place lies in, and nothing about the others.
    onehot = np.eye(block.max() + 1)[block]
    scores, _ = scores_of(made(places, target), {"x": onehot}, resolution=0, buffer_km=0)
    assert scores["linear", "random", "x"].value.value > 0.6
    assert scores["linear", "blocked", "x"].value.value < 0.05


def test_classes_that_lie_in_one_block_cannot_be_reached_when_it_is_tested(places):
    block = blocks(*places, resolution=0)
    labels = np.char.add("land ", block.astype(str))
    scores, _ = scores_of(
        made(places, labels, "class"), {"x": np.eye(block.max() + 1)[block]}, resolution=0, buffer_km=0
    )
    assert scores["linear", "blocked", "x"].reachable == 0.0
    assert scores["linear", "blocked", "x"].value.value == 0.0
    assert scores["linear", "random", "x"].reachable > 0.8


def test_nothing_of_the_test_part_is_learned_from(places, embedding):
    lat, lon = places
    fold = Splitter("random").folds(lat, lon, count=3, seed=0)[0]
    inner = Splitter("random").folds(lat[fold.train], lon[fold.train], count=4, seed=1)
    y = embedding[:, 0] + np.random.default_rng(5).normal(size=N)
    x, changed = embedding, embedding.copy()
    alone = fold.test[:1]
    changed[fold.test[1:]] = 1e6  # the other test points, gone wild
    one, choice = ridge_predictions(x[fold.train], y[fold.train], x[fold.test], inner=inner)
    two, choice_again = ridge_predictions(x[fold.train], y[fold.train], changed[fold.test], inner=inner)
    assert choice == choice_again
    assert one[0] == pytest.approx(two[0], rel=1e-12)
    assert len(alone) == 1


def test_columns_are_standardised_by_the_training_part():
    train, test = np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[5.0, 8.0]])
    first, second = standardise(train, test)
    np.testing.assert_array_equal(first, [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(second, [[3, 1]])


def test_ridge_equals_the_normal_equations(embedding):
    from sklearn.linear_model import Ridge

    y = embedding[:, 0] + np.random.default_rng(6).normal(size=N)
    inner = Splitter("random").folds(np.linspace(-80, 80, 400), np.zeros(400), count=4, seed=0)
    predicted, choice = ridge_predictions(embedding[:400], y[:400], embedding[400:], inner=inner[:2])
    train, test = standardise(embedding[:400], embedding[400:])
    there = Ridge(alpha=choice["penalty"] * 400).fit(train, y[:400]).predict(test)
    np.testing.assert_allclose(predicted, there, atol=1e-9)


def test_what_is_kept_is_the_ratio_of_mean_scores(places, embedding):
    rng = np.random.default_rng(7)
    target = embedding[:, :12].sum(axis=1) + embedding[:, 12:].sum(axis=1)
    features = {"geoclip": embedding, "concepts": embedding[:, :12], "coordinates": rng.normal(size=(N, 2))}
    scores, kept = scores_of(made(places, target), features, splits=("random",))
    (half,) = kept
    assert half.features == "concepts"
    whole = scores["linear", "random", "geoclip"].value.value
    part = scores["linear", "random", "concepts"].value.value
    assert half.share.value == pytest.approx(part / whole)
    assert half.by_task == {"made": pytest.approx(part / whole)}
    assert 0.3 < half.share.low <= half.share.value <= half.share.high < 0.7


def test_runs_repeat_exactly_and_processes_change_nothing(places, embedding):
    labels = np.array(["a", "b"])[(embedding[:, 0] > 0).astype(int)]
    task = made(places, labels, "class")
    settings = Settings(folds=2, repeats=1, splits=("random",))
    features = {"x": embedding.astype(np.float32)}
    one, _ = run_probes([task], lambda lat, lon: features, settings)
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # joblib's, about its own pipes
        two, _ = run_probes(
            [task], lambda lat, lon: features, settings, jobs=2, progress=lambda *step: told.append(step)
        )
    assert [score.to_dict() for score in one] == [score.to_dict() for score in two]
    assert told == [(1, 2), (2, 2)]
