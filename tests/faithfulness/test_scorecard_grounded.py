"""Releases whose concepts have learned from open maps are tested where they have not learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from faithful_world import K, lookup, unit, world

import whyhere.references._grounding as grounding_module
from whyhere.evaluation.faithfulness import Settings, run_tests
from whyhere.evaluation.faithfulness._controls import (
    HALVES,
    Regrounded,
    dealt_maps,
    grounded_columns,
)

FEW = Settings(draws=4, resamples=200, support=3)


@pytest.fixture(scope="module", autouse=True)
def known_references():
    """References of the planted world instead of those of the Earth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grounding_module, "reference_for", lookup)
        yield


def taught(study, directions):
    """Teach the release's concepts directions of the location space."""
    alignment = replace(study.release, grounding=unit(directions.T).T.astype(np.float32))
    return replace(study, release=alignment, alignments=(alignment,))


@pytest.fixture(scope="module")
def study():
    return world(photos=30, count=1500)


@pytest.fixture(scope="module")
def grounded(study):
    maps = grounding_module.Grounding.build(study.gallery, study.release.concept_ids)
    mean = study.release.location_mean.astype(np.float64)
    return taught(study, maps.directions(study.release.concept_ids, mean))


def test_every_place_is_mapped_by_a_release_that_was_not_taught_there(grounded):
    regrounded = Regrounded(grounded, seed=0)
    part = regrounded.parts(HALVES)
    assert set(part.tolist()) == {0, 1}
    held = part == 0
    first = regrounded.without(grounded.release, held)
    # What the held-out cells say cannot matter: other references there give the same alignment.
    for concept in regrounded._maps.presence:
        regrounded._maps.presence[concept][held] = 0.123
    regrounded._kept.clear()
    np.testing.assert_array_equal(regrounded.without(grounded.release, held).grounding, first.grounding)
    assert not np.array_equal(regrounded.without(grounded.release, ~held).grounding, first.grounding)
    places = regrounded.places(held)
    assert places.any()
    assert not places.all()


def test_memorised_maps_do_not_pass(study):
    """A map that is right only where it was taught: noise that one regression fits and another does not."""
    rng = np.random.default_rng(1)
    cheat = taught(study, rng.normal(size=(512, K)))
    blind = replace(cheat.release, patterns=unit(rng.normal(size=(64, K)).T).T.astype(np.float32))
    cheat = replace(cheat, release=blind, alignments=(blind,))

    def coins(concept_id):
        truth = lookup(concept_id)

        class Coins(type(truth)):
            def values(self, lat, lon):
                mixed = np.sin(lat * 1e4 + 7.0 * self.column) * np.cos(lon * 1e4)
                return (mixed > 0).astype(np.float64)

        return Coins(truth.column, concept_id, "coins")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grounding_module, "reference_for", coins)
        maps = grounding_module.Grounding.build(study.gallery, blind.concept_ids)
        mean = blind.location_mean.astype(np.float64)
        cheat = taught(cheat, maps.directions(blind.concept_ids, mean))
        line = run_tests(cheat, FEW, only=(4,), lookup=coins)[0]
    where_taught = line.figure("median AUROC of the shipped maps, where they were taught").value.value
    held_out = line.figure("median AUROC over concepts").value.value
    assert where_taught > held_out + 0.05
    assert abs(held_out - 0.5) < 0.06
    assert line.verdict == "fails"


def test_a_faithful_grounded_release_still_passes(grounded):
    lines = {line.number: line for line in run_tests(grounded, FEW, only=(1, 2, 4), lookup=lookup)}
    assert lines[2].verdict == "passes"
    assert lines[4].verdict == "passes"
    assert "learned from these very references" in lines[2].notes[0]
    assert "learned from these very references" in lines[4].notes[0]
    for name in ("of maps that photos alone teach", "of the shipped maps, where they were taught"):
        assert lines[4].figure(f"median AUROC {name}").value.value > 0.9
    dealt = lines[1].figure("top 10 concepts, GeoScore, by their own maps")
    assert dealt.difference.low > 0
    assert "each other's maps" in dealt.control_name


def test_held_out_maps_use_the_release_where_it_was_not_taught(grounded):
    regrounded = Regrounded(grounded, seed=0)
    maps = regrounded.held_out_maps()
    assert np.isfinite(maps).all()
    shipped = grounded.release.location_concepts(grounded.gallery.embeddings)
    assert np.corrcoef(maps.ravel(), shipped.ravel())[0, 1] > 0.9
    assert not np.allclose(maps, shipped)


def test_no_map_is_dealt_to_its_own_concept(grounded, study):
    own = grounded.release.grounding
    for dealt in dealt_maps(grounded.release, 3, seed=0):
        assert not (dealt.grounding == own).all(axis=0).any()
        assert sorted(dealt.grounding[0].tolist()) == sorted(own[0].tolist())
    assert len(grounded_columns(study.release)) == 0
    assert dealt_maps(study.release, 3, seed=0) == ()
