"""Agreement of a map with its reference, against scikit-learn and SciPy as oracles."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from whyhere.evaluation.probing import land_points
from whyhere.geo import cells_of
from whyhere.references import agreement, cell_table, forest_by_state, reference_for
from whyhere.stats import mean_ranks, weighted_auroc, weighted_spearman


@pytest.fixture(scope="module")
def places():
    return land_points(4000, seed=11)


def noisy(values, rng, scale):
    values = np.nan_to_num(values.astype(np.float64))
    return values / max(values.std(), 1e-9) + scale * rng.normal(size=len(values))


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60)
def test_auroc_is_scikit_learns(seed, ties):
    rng = np.random.default_rng(seed)
    scores = rng.integers(5, size=30).astype(float) if ties else rng.normal(size=30)
    present = rng.random(30) < 0.4
    present[:2] = True, False
    weights = rng.integers(0, 4, size=(3, 30)).astype(float)
    weights[:, :2] = 1.0
    expected = [roc_auc_score(present, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(weighted_auroc(scores, present, weights), expected, atol=1e-12)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60)
def test_spearman_with_weights_is_scipys_on_repeated_values(seed, ties):
    rng = np.random.default_rng(seed)
    draw = (lambda: rng.integers(4, size=25).astype(float)) if ties else (lambda: rng.normal(size=25))
    a, b = draw(), draw()
    counts = rng.integers(0, 4, size=25)
    counts[:2], a[:2], b[:2] = 1, (0.0, 9.0), (9.0, 0.0)
    expected = spearmanr(np.repeat(a, counts), np.repeat(b, counts)).statistic
    assert weighted_spearman(a, b, counts[None].astype(float))[0] == pytest.approx(expected, abs=1e-12)


def test_ranks_are_scipys():
    from scipy.stats import rankdata

    values = np.random.default_rng(3).integers(6, size=40).astype(float)
    np.testing.assert_allclose(mean_ranks(values), rankdata(values))


def test_numbers_are_those_over_cells(places):
    lat, lon = places
    rng, reference = np.random.default_rng(0), reference_for("arid-climate")
    truth = reference.values(lat, lon)
    scores = noisy(truth, rng, 1.0)
    found = agreement(scores, reference, lat=lat, lon=lon, draws=20)
    cells = cells_of(lat, lon, 3)
    mean_score, mean_truth = [], []
    for cell in np.unique(cells):
        inside = truth[cells == cell]
        if np.isfinite(inside).any():
            mean_score.append(scores[cells == cell].mean())
            mean_truth.append(np.nanmean(inside))
    assert found.cells == len(mean_truth)
    assert found.present_cells == (np.array(mean_truth) >= 0.5).sum()
    assert found.auroc == pytest.approx(roc_auc_score(np.array(mean_truth) >= 0.5, mean_score))
    assert found.spearman == pytest.approx(spearmanr(mean_truth, mean_score).statistic)


def test_the_truth_agrees_perfectly_and_its_opposite_not_at_all(places):
    lat, lon = places
    for concept in ("forest", "beach", "tropical-climate"):
        reference = reference_for(concept)
        truth = np.nan_to_num(reference.values(lat, lon), nan=0.0)
        truth = truth if reference.higher_means_more else -truth
        found = agreement(truth, reference, lat=lat, lon=lon, draws=50)
        assert found.auroc == pytest.approx(1.0)
        assert found.spearman == pytest.approx(1.0)
        assert agreement(-truth, reference, lat=lat, lon=lon, draws=5).auroc == pytest.approx(0.0)


def test_noise_stays_at_one_half_and_inside_its_interval(places):
    lat, lon = places
    scores = np.random.default_rng(4).normal(size=len(lat))
    found = agreement(scores, reference_for("mountain"), lat=lat, lon=lon, draws=300)
    assert found.auroc_low < 0.5 < found.auroc_high
    assert found.spearman_low < 0.0 < found.spearman_high
    assert found.auroc_low < found.auroc < found.auroc_high


def test_many_photos_in_one_cell_count_once(places):
    lat, lon = places
    reference, rng = reference_for("desert"), np.random.default_rng(5)
    scores = noisy(reference.values(lat, lon), rng, 1.0)
    before = agreement(scores, reference, lat=lat, lon=lon, draws=10)
    crowd = np.concatenate((np.arange(len(lat)), np.zeros(5000, np.int64)))
    after = agreement(scores[crowd], reference, lat=lat[crowd], lon=lon[crowd], draws=10)
    assert after.cells == before.cells
    assert abs(after.auroc - before.auroc) < 0.01


def test_the_same_seed_gives_the_same_interval_and_blocks_widen_it(places):
    lat, lon = places
    reference, rng = reference_for("tropical-climate"), np.random.default_rng(6)
    scores = noisy(reference.values(lat, lon), rng, 2.0)
    table = cell_table(lat, lon)
    first = agreement(scores, reference, lat=lat, lon=lon, draws=300)
    again = agreement(scores, reference, lat=lat, lon=lon, cells=table, draws=300)
    assert first == again
    other = agreement(scores, reference, lat=lat, lon=lon, draws=300, seed=1)
    assert other.auroc == first.auroc
    assert other.auroc_low != first.auroc_low
    # Smooth maps have few independent places: with every cell a block the interval would be far too narrow.
    smooth = -np.abs(lat) + 3 * rng.normal(size=len(lat))
    alone = dataclasses.replace(table, block=np.arange(len(table.cells)))
    blocked = agreement(smooth, reference, lat=lat, lon=lon, cells=table, draws=300)
    naive = agreement(smooth, reference, lat=lat, lon=lon, cells=alone, draws=300)
    assert blocked.auroc == naive.auroc
    assert blocked.auroc_high - blocked.auroc_low > 1.3 * (naive.auroc_high - naive.auroc_low)


def test_blocks_have_nearly_equal_area(places):
    rng = np.random.default_rng(7)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, 40_000)))
    lon = rng.uniform(-180, 180, 40_000)
    table = cell_table(lat, lon)
    counts = np.bincount(table.block[table.cell])
    assert 380 < len(counts) < 440  # the Earth has 412 squares of 10 degrees
    assert np.percentile(counts, 95) < 1.6 * np.median(counts)
    assert (np.bincount(table.cell) > 0).all()


def test_too_few_cells_give_no_number():
    lat, lon = land_points(200, seed=1)
    assert agreement(np.zeros(200), reference_for("synagogue"), lat=lat, lon=lon) is None


@pytest.mark.parametrize(("width", "enough"), [(30, False), (90, False), (120, True)])
def test_too_few_blocks_give_no_number_however_many_cells(width, enough):
    grid = np.meshgrid(np.arange(2.0, 8.5, 0.9), np.arange(2.0, width - 1.5, 0.9))
    lat, lon = (each.ravel() for each in grid)
    east = SimpleNamespace(
        concept_id="east", described="east", kind="continuous", directness="direct", higher_means_more=True,
        values=lambda lat, lon: lon, present=lambda values: values > width / 2,
    )  # fmt: skip
    table = cell_table(lat, lon)
    assert len(table.cells) > 100
    assert len(np.unique(table.block)) == width // 10
    scores = lon + width * np.random.default_rng(0).normal(size=len(lon))
    found = agreement(scores, east, lat=lat, lon=lon)
    assert (found is not None) == enough
    if found:
        assert found.blocks == width // 10
        assert found.spearman_low < found.spearman < found.spearman_high


@pytest.mark.parametrize(
    ("scores", "match"), [(np.zeros(3), "3 scores"), (np.array([0.0, np.nan]), "finite")]
)
def test_bad_scores_are_refused(scores, match):
    two = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match=match):
        agreement(scores, reference_for("desert"), lat=two, lon=two)


def test_agreement_becomes_json(places):
    lat, lon = places
    found = agreement(lat.astype(np.float32), reference_for("ice"), lat=lat, lon=lon, draws=10)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_forest_by_state_follows_the_survey():
    rng = np.random.default_rng(8)
    lat, lon = rng.uniform(25, 49, 3000), rng.uniform(-124, -67, 3000)
    forest = np.nan_to_num(reference_for("forest").values(lat, lon))
    found = forest_by_state(forest, lat=lat, lon=lon, draws=200)
    assert found.pearson > 0.6  # the satellites' forest and the foresters' agree, but not in open woodland
    assert found.pearson_low < found.pearson < found.pearson_high
    assert 40 <= len(found.states) <= 49
    assert {"Alaska", "Hawaii"}.isdisjoint(name for name, _, _ in found.states)
    opposite = forest_by_state(-forest, lat=lat, lon=lon, draws=10)
    assert opposite.pearson == pytest.approx(-found.pearson)
    percents, means = np.array([row[1:] for row in found.states]).T
    assert found.spearman == pytest.approx(spearmanr(percents, means).statistic)


def test_forest_by_state_needs_states():
    with pytest.raises(ValueError, match="0 states"):
        forest_by_state(np.zeros(10), lat=np.full(10, 48.0), lon=np.full(10, 2.0))
