"""Bridge, activation vectors and the rule, on a small world where the truth is known."""

import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from whyhere.concepts import BuildRule, ConceptBank, load_bank
from whyhere.stats import correlation, dual_ridge, unit_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from concept_fit import (
    PhotoPool,
    TextBridge,
    TextSource,
    build_directions,
    held_out_bridge,
    held_out_predictions,
)

sys.path.pop(0)

WIDTH = 24
TRUTH = ("beach", "mountain", "market", "tram", "fog")


def entry(bank, number, **changes):
    return replace(bank.concepts[number], **{"teacher": (), "place_neutral": False, **changes})


@pytest.fixture(scope="module")
def world():
    """Photos made of five orthogonal concepts plus noise; a teacher that scores three of them."""
    rng = np.random.default_rng(7)
    axes = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0][: len(TRUTH)]
    shares = rng.gamma(0.4, size=(200, len(TRUTH)))
    photos = unit_rows(0.8 * axes[0] + shares @ axes + 0.05 * rng.normal(size=(200, WIDTH)))
    features = unit_rows(photos - photos.mean(axis=0))
    seen = features @ axes.T
    scores = np.stack([seen[:, 0], seen[:, 1], -seen[:, 2], rng.normal(size=200)], axis=1)
    pool = PhotoPool(photos, scores, ("places365:beach", "places365:mountain", "sun:wrong", "sun:noise"))
    rows = {word: axes[number] for number, word in enumerate(TRUTH)}
    expected = {"beach": 1.0, "mountain": 0.8, "market": 0.8, "tram": 0.8, "fog": 0.3}
    text = TextSource(rows, frozenset({"beach"}), expected, np.zeros(WIDTH))
    base = load_bank()
    bank = ConceptBank(
        "small",
        (
            entry(base, 0, id="beach", words=("beach",), teacher=("places365:beach",)),
            entry(base, 1, id="mountain", words=("mountain",), teacher=("places365:mountain",)),
            entry(base, 2, id="market", words=("market",), teacher=("sun:wrong",)),
            entry(base, 3, id="tram", words=("tram", "unheard")),
            entry(base, 4, id="fog", words=("fog",)),
            entry(base, 5, id="silent", words=("unheard",), teacher=("places365:mountain",)),
            entry(base, 6, id="noise", words=(), teacher=("sun:noise",)),
            entry(base, 7, id="nothing", words=()),
            entry(base, 8, id="hair", words=("tram",), place_neutral=True),
        ),
        ("{}",),
    )
    return bank, text, pool, axes


def build(world, **changes):
    bank, text, pool, _ = world
    arguments = {"tower": "t", "tower_fingerprint": "f", "report": {}, "rule": BuildRule(), **changes}
    return build_directions(bank, text=text, pool=pool, **arguments)


def test_rule_chooses_and_names_every_reason(world):
    found = {concept.id: (concept.source, concept.reason) for concept in build(world).concepts}
    assert found["beach"] == ("text-row", "")
    assert found["mountain"] == ("combined", "")
    assert found["market"][0] == "combined"
    assert found["market"][1].startswith("text and teacher disagree (correlation -")
    assert found["tram"] == ("bridged-text", "")
    assert found["fog"] == ("bridged-text", "text row too uncertain (expected cosine 0.30)")
    assert found["silent"] == ("activation-vector", "")
    assert found["noise"][0] == "none"
    assert found["noise"][1].startswith("teacher not predictable")
    assert found["nothing"] == ("none", "no known word, no teacher")
    assert found["hair"] == ("bridged-text", "place-neutral")


def test_only_strong_concepts_have_rows(world):
    built = build(world)
    assert built.ids == ("beach", "mountain", "tram", "silent")
    assert built.directions.shape == (4, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(built.directions, axis=1), 1, atol=1e-6)


def test_directions_point_at_the_planted_concepts(world):
    built, axes = build(world), world[3]
    assert built.of("beach") @ axes[0] > 0.999
    assert built.of("mountain") @ axes[1] > 0.9
    assert built.of("silent") @ axes[1] > 0.8


def test_statistics_standardise_the_pool(world):
    built = build(world)
    activations = built.activations(world[2].embeddings.astype(np.float32), standardise=True)
    np.testing.assert_allclose(activations.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(activations.std(axis=0), 1, atol=1e-4)


def test_build_is_deterministic(world):
    first, second = build(world), build(world)
    np.testing.assert_array_equal(first.directions, second.directions)
    assert first.concepts == second.concepts


def test_vector_solves_the_ridge_equation():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 6)), rng.normal(size=(30, 2))
    vectors = dual_ridge(x, y, 0.2, relative=True)
    strength = 0.2 * np.trace(x @ x.T) / 30
    direct = np.linalg.solve(x.T @ x + strength * np.eye(6), x.T @ y)
    np.testing.assert_allclose(vectors, direct, atol=1e-10)


def test_held_out_predictions_do_not_learn_noise():
    rng = np.random.default_rng(2)
    x, y = unit_rows(rng.normal(size=(150, 40))), rng.normal(size=(150, 20))
    predicted = held_out_predictions(x, y, rule=BuildRule())
    fits = [correlation(predicted[:, i], y[:, i]) for i in range(20)]
    assert abs(float(np.mean(fits))) < 0.1


def test_bridge_recovers_a_rotation_and_knows_its_reach():
    rng = np.random.default_rng(3)
    source = rng.normal(size=(60, 30))
    source[:, 20:] = 0  # ten directions that no word of the fit has
    source = unit_rows(source)
    turn = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    held = held_out_bridge(source, source @ turn, ridge=1e-6, folds=10, seed=0)
    assert held["centred_cosine"] > 0.99
    assert held["first"] == 1.0
    assert held["explained"].min() > 0.99
    bridge = TextBridge.fit(source, source @ turn, ridge=1e-6)
    unseen = np.eye(30)[25:26]
    assert bridge.explained(source[:1])[0] > 0.99
    assert bridge.explained(unseen)[0] < 0.9


def test_bridge_does_not_invent_what_is_not_there():
    rng = np.random.default_rng(4)
    source, target = (unit_rows(rng.normal(size=(80, 30))) for _ in range(2))
    held = held_out_bridge(source, target, ridge=0.1, folds=10, seed=0)
    assert abs(held["centred_cosine"]) < 0.1
    assert held["first"] < 0.1


@pytest.mark.parametrize(("n", "m"), [(3, 2), (1, 1)])
def test_bridge_refuses_unpaired_rows(n, m):
    with pytest.raises(ValueError, match="paired rows"):
        TextBridge.fit(np.ones((n, 2)), np.ones((m, 2)), ridge=0.1)


def test_correlation_of_a_constant_is_zero():
    assert correlation(np.ones(5), np.arange(5.0)) == 0.0
