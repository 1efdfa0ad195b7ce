"""Where the truth is known: the module finds it, does better than without, and fails with shuffled names."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from planted import (
    PlantedEncoder,
    auroc,
    concepts_at,
    distance_to_coast_km,
    land_places,
    people_near,
    planted_world,
    score_planted,
)
from whyhere.geo import country_codes
from whyhere.training import TrainConfig

CONFIG = TrainConfig(
    batch_size=128,
    queue_size=256,
    hidden=64,
    negatives="batch",
    epochs=60,
    patience=15,
    validation_share=0.15,
    validation_split="random",
)


def test_places_lie_on_land():
    lat, lon = land_places(300, rng=np.random.default_rng(0))
    assert all(code is not None for code in country_codes(lat, lon, coast_km=0.0))
    assert len(set(country_codes(lat, lon, coast_km=0.0))) > 40
    assert lat.min() > -60


@pytest.mark.parametrize(
    ("lat", "lon", "holds", "fails"),
    [
        (48.8566, 2.3522, {"europe", "temperate", "crowded"}, {"coast", "southern", "africa", "empty"}),
        (-33.8688, 151.2093, {"oceania", "coast", "crowded", "southern", "subtropical"}, {"inland"}),
        (23.0, 5.0, {"africa", "tropical", "inland", "empty"}, {"coast", "hot coast"}),
        (-12.05, -77.04, {"south america", "hot coast", "coast", "tropical", "crowded"}, {"asia"}),
        (66.5, -150.0, {"north america", "boreal", "empty"}, {"temperate", "crowded"}),
        (44.0, 87.0, {"asia", "inland", "temperate"}, {"coast"}),
    ],
)
def test_concepts_hold_where_geography_says(lat, lon, holds, fails):
    names, truth = concepts_at(np.array([lat]), np.array([lon]))
    true = {name for name, value in zip(names, truth[0], strict=True) if value}
    assert holds <= true
    assert not fails & true


def test_distance_to_coast_and_people_near():
    lat, lon = np.array([46.0, 51.5074, 44.3]), np.array([83.0, -0.1278, 87.5])
    km = distance_to_coast_km(lat, lon)
    assert 30 < km[1] < 90  # London
    assert km[2] > 1500  # not far from the place that is farthest from any sea
    people = people_near(lat, lon, radius_km=50)
    assert people[1] > 7e6


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[truth] for b in scores[~truth]]
    assert auroc(scores, truth) == pytest.approx(np.mean(pairs))


@pytest.fixture(scope="module")
def worlds():
    return [planted_world(seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def train(worlds, tmp_path_factory):
    pytest.importorskip("torch")
    from whyhere.training import fit

    def run(order=None, **changes):
        """Return mean scores over the worlds, concepts having the directions of `order`."""
        scores = []
        for seed, world in enumerate(worlds):
            directions = world.directions if order is None else world.directions[:, order]
            config, encoder = dataclasses.replace(CONFIG, seed=seed, **changes), PlantedEncoder()
            fitted = fit(
                world.photos,
                np.ascontiguousarray(directions),
                encoder,
                config,
                folder=tmp_path_factory.mktemp("planted"),
                tensorboard=False,
            )
            alignment, _ = fitted.trainee.alignment.export(world.concepts)
            scores.append(score_planted(alignment, world, encoder))
        return scores

    return run


@pytest.fixture(scope="module")
def with_module(train):
    return train()


def mean(scores, name):
    return np.mean([getattr(score, name) for score in scores])


@pytest.mark.torch
def test_training_recovers_which_concept_holds_where(with_module):
    assert mean(with_module, "mean_auroc") > 0.83
    for score in with_module:
        assert sum(value > 0.75 for value in score.auroc.values()) >= 12
        assert min(score.auroc.values()) > 0.5


@pytest.mark.torch
def test_the_module_does_better_than_the_same_model_without_it(with_module, train):
    without = train(contrast_space="feature")
    assert mean(with_module, "median_km") < 0.92 * mean(without, "median_km")
    assert mean(with_module, "within_2500_km") > mean(without, "within_2500_km") + 0.02
    assert mean(with_module, "mean_auroc") >= mean(without, "mean_auroc") - 0.005


@pytest.mark.torch
def test_shuffled_names_fail_visibly_and_change_nothing_else(with_module, train, worlds):
    order = np.roll(np.arange(len(worlds[0].concepts)), 5)
    shuffled = train(order)
    assert mean(shuffled, "mean_auroc") < 0.65
    assert mean(shuffled, "mean_auroc") < mean(with_module, "mean_auroc") - 0.2
    assert mean(shuffled, "median_km") == pytest.approx(mean(with_module, "median_km"), rel=0.05)


@pytest.mark.torch
def test_training_does_better_than_its_closed_form_start(with_module, train):
    start = train(max_steps=1, learning_rate=1e-12)
    assert mean(with_module, "median_km") < mean(start, "median_km")
