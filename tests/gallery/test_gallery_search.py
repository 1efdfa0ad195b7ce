"""Search is exact: the same rows in the same order as adding up every product without rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.gallery import Gallery


def gallery_of(embeddings):
    n = len(embeddings)
    return Gallery(np.zeros(n), np.zeros(n), embeddings, "none")


def unit_rows(n, dim=512, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute_force(embeddings, query, k):
    """Every product is exact in float64; fsum adds without rounding."""
    wide = embeddings.astype(np.float64)
    scores, rows = [], []
    for vector in query.astype(np.float64):
        exact = np.array([math.fsum(row * vector) for row in wide]).astype(np.float32)
        order = sorted(range(len(exact)), key=lambda i: (-exact[i], i))[:k]
        scores.append(exact[order])
        rows.append(order)
    return np.array(scores), np.array(rows)


def assert_exact(embeddings, query, k):
    scores, rows = gallery_of(embeddings).search(query, k)
    expected_scores, expected_rows = brute_force(embeddings, query, k)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(scores, expected_scores)
    assert scores.dtype == np.float32
    assert rows.dtype == np.int64


@pytest.mark.parametrize("n", [1, 2, 511, 4097, 5000])
def test_equals_brute_force(n):
    assert_exact(unit_rows(n), unit_rows(3, seed=1) * np.float32(7.5), min(n, 20))


def test_near_ties_below_float32_are_ordered_exactly():
    """Scores a few float32 roundings apart, where a matrix kernel alone gets the order wrong."""
    base = unit_rows(1)[0].astype(np.float64)
    wiggle = np.random.default_rng(2).standard_normal((3000, 512)) * 1e-7
    rows = base + wiggle
    embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    assert_exact(embeddings, base.astype(np.float32)[None], 50)


def test_equal_places_come_in_the_order_of_the_gallery():
    embeddings = np.repeat(unit_rows(7), 600, axis=0)[np.random.default_rng(3).permutation(4200)]
    scores, rows = gallery_of(embeddings).search(unit_rows(2, seed=4), 4200)
    for score, row in zip(scores, rows, strict=True):
        assert len(np.unique(score)) == 7
        assert (np.diff(score) <= 0).all()
        assert (np.diff(row)[np.diff(score) == 0] > 0).all()


def test_equal_places_are_cut_off_in_the_order_of_the_gallery():
    _, rows = gallery_of(np.repeat(unit_rows(1), 5000, axis=0)).search(unit_rows(1, seed=5), 9)
    np.testing.assert_array_equal(rows, [range(9)])


def test_more_than_there_are_gives_all():
    scores, rows = gallery_of(unit_rows(5)).search(unit_rows(2, seed=1), 50)
    assert scores.shape == rows.shape == (2, 5)
    np.testing.assert_array_equal(np.sort(rows, axis=1), [range(5)] * 2)


def test_no_queries_give_no_answers():
    scores, rows = gallery_of(unit_rows(5)).search(np.empty((0, 512), np.float32), 3)
    assert scores.shape == rows.shape == (0, 3)
    assert gallery_of(unit_rows(5)).scores(np.empty((0, 512), np.float32)).shape == (0, 5)


@pytest.mark.parametrize("n", [3, 4096, 9001])
def test_a_query_does_not_depend_on_the_others(n):
    gallery, queries = gallery_of(unit_rows(n)), unit_rows(37, seed=6)
    scores, rows = gallery.search(queries, 10)
    every = gallery.scores(queries)
    order = np.random.default_rng(7).permutation(37)
    shuffled = gallery.search(queries[order], 10)
    np.testing.assert_array_equal(shuffled[0], scores[order])
    np.testing.assert_array_equal(shuffled[1], rows[order])
    np.testing.assert_array_equal(gallery.scores(queries[order]), every[order])
    for i in (0, 17, 36):
        alone = gallery.search(queries[i : i + 1], 10)
        np.testing.assert_array_equal(alone[0][0], scores[i])
        np.testing.assert_array_equal(alone[1][0], rows[i])
        np.testing.assert_array_equal(gallery.scores(queries[i : i + 1])[0], every[i])
        # a view at another address, with a stride
        strided = np.ascontiguousarray(np.repeat(queries[i : i + 1], 2, axis=1))[:, ::2]
        np.testing.assert_array_equal(gallery.scores(strided)[0], every[i])


def test_queries_are_grouped_without_a_trace(monkeypatch):
    gallery, queries = gallery_of(unit_rows(1000)), unit_rows(11, seed=8)
    expected = gallery.search(queries, 7)
    monkeypatch.setattr("whyhere.gallery._gallery._SCORE_BYTES", 4 * 1000 * 4)
    found = gallery.search(queries, 7)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_scores_are_the_products():
    embeddings, queries = unit_rows(5000), unit_rows(4, seed=9)
    exact = queries.astype(np.float64) @ embeddings.astype(np.float64).T
    np.testing.assert_allclose(gallery_of(embeddings).scores(queries), exact, rtol=0, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_brute_force_on_anything(data):
    n, dim = data.draw(st.integers(1, 40)), data.draw(st.sampled_from([1, 3, 16]))
    seed, levels = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.sampled_from([1, 2, 50]))
    raw = np.random.default_rng(seed).integers(-levels, levels + 1, (n, dim)) + 0.25
    embeddings = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    number = st.floats(-1000, 1000, width=32)
    query = np.array([data.draw(st.lists(number, min_size=dim, max_size=dim))], np.float32)
    assert_exact(embeddings, query, data.draw(st.integers(1, n)))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros((1, 512)), "float32"),
        ([[0.0] * 512], "float32"),
        (np.zeros(512, np.float32), "shape"),
        (np.zeros((1, 511), np.float32), "shape"),
        (np.full((1, 512), np.nan, np.float32), "finite"),
        (np.full((1, 512), 3e38, np.float32), "beyond"),
    ],
)
def test_bad_queries_are_refused(query, message):
    gallery = gallery_of(unit_rows(3))
    with pytest.raises(ValueError, match=message):
        gallery.search(query, 1)
    with pytest.raises(ValueError, match=message):
        gallery.scores(query)


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="k must be 1 or more"):
        gallery_of(unit_rows(3)).search(unit_rows(1), 0)
