"""The gradient of every concept's agreement, against finite differences, for every kind of alignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from whyhere.alignment import ConceptAlignment, GeoClipAlignment, GeoClipHead, Head, LinearAlignment

P, D, K, PLACES = 10, 7, 6, 8
KINDS = ("linear", "caam", "geoclip")


def make_alignment(kind: str, seed: int = 0):
    """Return an alignment of random float64 weights: a difference quotient needs the digits."""
    rng = np.random.default_rng(seed)
    normal = rng.normal
    ids = tuple(f"c{j}" for j in range(K))
    directions = normal(size=(D, K))
    directions /= np.linalg.norm(directions, axis=0)
    if kind == "linear":
        return LinearAlignment(
            concept_ids=ids,
            head=normal(size=(PLACES, P)),
            feature_mean=0.1 * normal(size=P),
            location_mean=normal(size=PLACES),
            directions=directions,
            scale=1.0,
            penalty=0.01,
        )
    if kind == "geoclip":
        head = GeoClipHead(
            normal(size=(12, P)), normal(size=12), normal(size=(D, 12)), normal(size=D), scale=3.0
        )
        return GeoClipAlignment(ids, head, directions, penalty=0.01)

    def head(out):
        return Head(*(normal(size=shape) for shape in ((out, P), (out,), (5, P), (5,), (out, 5))))

    return ConceptAlignment(
        concept_ids=ids,
        image=head(K),
        feature=head(PLACES),
        directions=directions,
        delta=0.1 * normal(size=(D, K)),
        adapter=normal(size=(D, PLACES)),
        feature_mean=0.1 * normal(size=P),
        location_mean=normal(size=PLACES),
        concept_weight=1.0,
        feature_weight=0.0,
        normalise=True,
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_gradients_agree_with_finite_differences(kind, seed):
    alignment = make_alignment(kind, seed)
    rng = np.random.default_rng(seed + 1)
    # Multiples of 2^-12 of a few bits: their sums are exact in float32, to which some alignments round.
    features = (np.round(rng.normal(size=P) * 1024) / 1024).astype(np.float32)
    step = (np.round(rng.normal(size=P) * 4) / 4096).astype(np.float32)
    below, here, above = (alignment.concept_agreements(features + side * step) for side in (-1, 0, 1))
    found = step.astype(np.float64) @ alignment.concept_gradients(features)
    # At a kink of an MLP the two sides disagree, and no gradient is right.
    assume(np.abs((above - here) - (here - below)).max() < 1e-4)
    np.testing.assert_allclose(found, (above - below) / 2, atol=6e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_have_a_column_a_concept(kind):
    alignment = make_alignment(kind)
    features = np.random.default_rng(3).normal(size=P).astype(np.float32)
    gradients = alignment.concept_gradients(features)
    assert gradients.shape == (P, K)
    assert gradients.dtype == np.float32
    assert alignment.concept_agreements(features).shape == (K,)


def test_features_beyond_the_concept_space_move_no_concept():
    gradients = make_alignment("linear").concept_gradients(np.zeros(P, np.float32))
    np.testing.assert_array_equal(gradients[D:], 0)
    assert np.abs(gradients[:D]).max(axis=0).min() > 0


def test_the_trained_module_agrees_with_its_own_code():
    alignment = make_alignment("caam")
    features = np.random.default_rng(4).normal(size=P).astype(np.float32)
    np.testing.assert_allclose(
        alignment.concept_agreements(features), alignment.encode_image(features).z_img, atol=1e-5
    )


def test_the_sparse_code_has_the_signs_of_the_agreements():
    alignment = make_alignment("linear")
    features = np.random.default_rng(4).normal(size=P).astype(np.float32)
    z_img = alignment.encode_image(features).z_img
    assert z_img.any()
    assert (z_img * alignment.concept_agreements(features) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_is_the_product_of_a_photos_code_and_a_places_code(kind):
    alignment, rng = make_alignment(kind, seed=3), np.random.default_rng(4)
    places = rng.normal(size=(30, len(alignment.basis)))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    code = alignment.encode_image(rng.normal(size=P))
    a, b = alignment.factors(code)
    products = a * alignment.place_codes(places) @ code.z_img + b * alignment.place_rests(
        code.residual, places
    )
    scores = alignment.scores(code, places)
    np.testing.assert_allclose(scores, products, atol=1e-5)
    np.testing.assert_allclose(scores, alignment.contributions(code, places).scores, atol=1e-5)
