"""Features: the concept space is that of the scores, and controls have its size."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.alignment import LinearAlignment
from whyhere.evaluation.probing import CONTROLS, FEATURES, FeatureMaker, concept_space, spherical_harmonics


class Encoder:
    """Stands in for GeoCLIP's encoder: 12 waves of latitude and longitude."""

    def embed(self, lat, lon):
        angles = np.radians(np.column_stack((lat, lon)))
        waves = [np.sin(k * angles + k) for k in range(1, 7)]
        return np.hstack(waves).astype(np.float32) * 3


def linear(rng, *, rank=5, k=8, width=12):
    head = (rng.normal(size=(width, rank)) @ rng.normal(size=(rank, 20))).astype(np.float32)
    return LinearAlignment(
        concept_ids=tuple(f"c{i}" for i in range(k)),
        head=head,
        feature_mean=rng.normal(size=20).astype(np.float32),
        location_mean=rng.normal(size=width).astype(np.float32) * 0.1,
        directions=rng.normal(size=(20, k)).astype(np.float32),
        scale=1.0,
        penalty=0.01,
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_concept_space_is_what_contributions_are_made_of(rng):
    alignment = linear(rng)
    unit = rng.normal(size=(9, 12)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    z_loc = concept_space(alignment, unit)
    assert z_loc.shape == (9, 8)
    code = alignment.encode_image(rng.normal(size=20).astype(np.float32))
    parts = alignment.contributions(code, unit).concepts
    query = alignment.basis @ code.z_img + code.residual
    norms = np.linalg.norm(query) * np.linalg.norm(unit - alignment.location_mean, axis=1, keepdims=True)
    np.testing.assert_allclose(code.z_img * z_loc / norms, parts, atol=1e-5)


def test_features_of_places(rng):
    pytest.importorskip("scipy")
    maker = FeatureMaker(Encoder(), linear(rng), reference_points=200)
    lat, lon = np.array([10.0, -50.0, 80.0]), np.array([20.0, 170.0, -170.0])
    features = maker(lat, lon)
    assert tuple(features) == FEATURES + CONTROLS == maker.names
    widths = {name: made.shape[1] for name, made in features.items()}
    assert widths == {
        "coordinates": 2, "sines": 28, "harmonics": 441, "geoclip": 12, "geoclip+concepts": 20, "concepts": 8,
        "random": 5, "pca": 5,
    }  # fmt: skip
    np.testing.assert_allclose(np.linalg.norm(features["geoclip"], axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(features["geoclip+concepts"][:, 12:], features["concepts"])
    assert all(np.isfinite(made).all() and made.dtype == np.float32 for made in features.values())
    # A place's features do not depend on the places beside it.
    for name, made in maker(lat[1:2], lon[1:2]).items():
        np.testing.assert_allclose(made[0], features[name][1], atol=1e-6)


def test_the_shape_of_the_concept_space_is_measured(rng):
    space = FeatureMaker(Encoder(), linear(rng, rank=5), reference_points=300).space
    assert (space.concepts, space.embedding_dims, space.rank) == (8, 12, 5)
    assert 1 <= space.dims_90 <= space.dims_99 <= 5
    assert 0 < space.embedding_variance < 1
    full = FeatureMaker(Encoder(), linear(rng, rank=12, k=30), reference_points=300, controls=False)
    assert full.space.rank == 12
    assert full.space.embedding_variance == pytest.approx(1)
    assert full.names == FEATURES


def test_sines_are_periodic_in_longitude(rng):
    maker = FeatureMaker(Encoder(), linear(rng), reference_points=100)
    lat = np.array([12.0])
    west, east = maker(lat, np.array([-180.0])), maker(lat, np.array([180.0]))
    for name in ("sines", "harmonics"):
        np.testing.assert_allclose(west[name], east[name], atol=1e-5)


DEGREE = 20


def test_harmonics_are_orthonormal_on_the_sphere():
    pytest.importorskip("scipy")
    # Gauss-Legendre in sin(lat) and even steps in longitude integrate products of degree 40 exactly.
    nodes, weights = np.polynomial.legendre.leggauss(DEGREE + 1)
    steps = 2 * DEGREE + 1
    lon = -180 + 360 * np.arange(steps) / steps
    lat = np.degrees(np.arcsin(nodes))
    values = spherical_harmonics(np.repeat(lat, steps), np.tile(lon, len(lat)), degree=DEGREE)
    area = np.repeat(weights, steps) * 2 * np.pi / steps
    gram = values.T @ (values * area[:, None])
    np.testing.assert_allclose(gram, np.eye((DEGREE + 1) ** 2), atol=1e-11)


def test_harmonics_of_the_first_degree_are_the_direction():
    pytest.importorskip("scipy")
    values = spherical_harmonics([0.0, 0.0, 90.0], [0.0, 90.0, 12.0], degree=1) * np.sqrt(4 * np.pi / 3)
    np.testing.assert_allclose(values[:, 1:], [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-15)  # y, z, x
