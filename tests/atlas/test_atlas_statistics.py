"""The statistics of the atlas against brute force and textbook formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whyhere.ranking import CellIndex
from whyhere.stats import (
    auroc,
    mean_ranks,
    percentiles,
    weighted_mean_and_error,
    weighted_percentiles,
)

FEW = st.integers(-4, 4).map(float)  # few values, so that many are equal
LISTS = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, n, elements=FEW))


@given(LISTS)
def test_ranks_and_percentiles_are_those_of_counting(values):
    below = (values[:, None] > values).sum(axis=1)
    equal = (values[:, None] == values).sum(axis=1)
    assert mean_ranks(values) == pytest.approx(below + (equal + 1) / 2)
    assert percentiles(values) == pytest.approx(100 * (below + equal / 2) / len(values))


@given(LISTS)
def test_percentiles_rise_with_the_values(values):
    shares = percentiles(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(shares[order]) >= 0).all()
    assert ((np.diff(values[order]) > 0) == (np.diff(shares[order]) > 0)).all()


@given(LISTS, LISTS)
def test_auroc_is_the_share_of_pairs(above, below):
    pairs = above[:, None] - below
    wanted = ((pairs > 0) + (pairs == 0) / 2).mean()
    scores = np.concatenate((above, below))
    found = auroc(scores, np.arange(len(scores)) < len(above))
    assert found == pytest.approx(wanted)
    assert auroc(-scores, np.arange(len(scores)) < len(above)) == pytest.approx(1 - wanted)


def test_auroc_needs_both_kinds():
    assert auroc(np.arange(3.0), np.ones(3, bool)) is None
    assert auroc(np.arange(3.0), np.zeros(3, bool)) is None


def test_weighted_percentiles_count_rows_as_often_as_they_weigh():
    rng = np.random.default_rng(0)
    population, weights = rng.integers(0, 5, (40, 3)).astype(np.float64), rng.integers(1, 6, 40)
    values = np.array([2.0, 0.0, 9.0])
    repeated = np.repeat(population, weights, axis=0)
    wanted = 100 * ((repeated < values) + (repeated == values) / 2).mean(axis=0)
    assert weighted_percentiles(values, population, weights.astype(float)) == pytest.approx(wanted)


def test_cell_means_average_the_points_that_count():
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-60, 60, 200), rng.uniform(-180, 180, 200)
    values, keep = rng.normal(size=(200, 2)), rng.random(200) < 0.5
    index = CellIndex.build(lat, lon, resolution=0)
    means = index.mean(values, keep)
    for cell in range(len(index.cells)):
        mine = keep & (index.cell_of_point == cell)
        if mine.any():
            assert means[cell] == pytest.approx(values[mine].mean(axis=0))
        else:
            assert (means[cell] == 0).all()


def test_the_standard_error_is_the_textbook_one_where_every_cell_is_a_block():
    values = np.random.default_rng(0).normal(size=(25, 2))
    mean, error = weighted_mean_and_error(values, np.full(25, 3.0), np.arange(25))
    assert mean == pytest.approx(values.mean(axis=0))
    assert error == pytest.approx(values.std(axis=0, ddof=1) / math.sqrt(25))


def test_cells_that_repeat_in_a_block_make_the_mean_no_surer():
    values = np.random.default_rng(0).normal(size=(10, 1))
    once = weighted_mean_and_error(values, np.ones(10), np.arange(10))
    often = weighted_mean_and_error(np.repeat(values, 7, axis=0), np.ones(70), np.repeat(np.arange(10), 7))
    assert often[0] == pytest.approx(once[0])
    assert often[1] == pytest.approx(once[1])


def test_one_block_has_no_standard_error():
    _, error = weighted_mean_and_error(np.arange(4.0)[:, None], np.ones(4), np.zeros(4, int))
    assert np.isnan(error).all()
