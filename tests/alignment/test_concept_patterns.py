"""Patterns say how an embedding changes with a concept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.alignment import concept_patterns


def unit_columns(rng, d, k):
    columns = rng.normal(size=(d, k))
    return columns / np.linalg.norm(columns, axis=0)


def test_recovers_the_patterns_that_photos_are_made_of():
    rng = np.random.default_rng(0)
    true = unit_columns(rng, 30, 5)
    photos = rng.exponential(size=(20_000, 5)) @ true.T
    photos -= photos.mean(axis=0)
    # The best linear detectors of the concepts, which are not the patterns.
    detectors = np.linalg.pinv(true).T
    detectors /= np.linalg.norm(detectors, axis=0)
    patterns = concept_patterns(detectors, photos)
    np.testing.assert_allclose((patterns.columns * true).sum(axis=0), 1.0, atol=0.01)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), photos=st.integers(2, 60), k=st.integers(1, 20))
def test_a_photo_with_more_of_the_pattern_is_detected_more(seed, photos, k):
    rng = np.random.default_rng(seed)
    directions = unit_columns(rng, 40, k)
    embeddings = rng.normal(size=(photos, 40)) * rng.uniform(0.01, 10, 40)
    patterns = concept_patterns(directions, embeddings)
    np.testing.assert_allclose(np.linalg.norm(patterns.columns, axis=0), 1.0)
    assert (patterns.columns * directions).sum(axis=0).min() > 0
    np.testing.assert_allclose(np.sqrt(((embeddings @ directions) ** 2).mean(axis=0)), patterns.spread)


def test_scale_of_the_embeddings_and_order_of_concepts_do_not_matter():
    rng = np.random.default_rng(1)
    directions, photos, order = unit_columns(rng, 20, 8), rng.normal(size=(50, 20)), rng.permutation(8)
    patterns = concept_patterns(directions, photos).columns
    np.testing.assert_allclose(concept_patterns(directions, 7 * photos).columns, patterns)
    np.testing.assert_allclose(
        concept_patterns(directions, 7 * photos).spread, 7 * concept_patterns(directions, photos).spread
    )
    np.testing.assert_allclose(concept_patterns(directions[:, order], photos).columns, patterns[:, order])


def test_directions_of_another_length_are_refused():
    with pytest.raises(ValueError, match="unit length"):
        concept_patterns(np.full((4, 2), 3.0), np.eye(4))


def test_photos_that_are_all_alike_are_refused():
    with pytest.raises(ValueError, match="same amount"):
        concept_patterns(np.eye(4), np.zeros((3, 4)))
