"""Spherical harmonics: orthonormal, and those of SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from whyhere.evaluation.probing import spherical_harmonics

DEGREE = 20


def test_orthonormal_on_the_sphere():
    # Gauss-Legendre in sin(lat) and even steps in longitude integrate products of degree 40 exactly.
    nodes, weights = np.polynomial.legendre.leggauss(DEGREE + 1)
    steps = 2 * DEGREE + 1
    lon = -180 + 360 * np.arange(steps) / steps
    lat = np.degrees(np.arcsin(nodes))
    values = spherical_harmonics(np.repeat(lat, steps), np.tile(lon, len(lat)), degree=DEGREE)
    area = np.repeat(weights, steps) * 2 * np.pi / steps
    gram = values.T @ (values * area[:, None])
    np.testing.assert_allclose(gram, np.eye((DEGREE + 1) ** 2), atol=1e-11)


def test_equal_to_scipy():
    special = pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-90, 90, 30), rng.uniform(-180, 180, 30)
    values = spherical_harmonics(lat, lon, degree=DEGREE)
    colatitude, azimuth = np.radians(90 - lat), np.radians(lon)
    for n in (0, 1, 2, 7, DEGREE):
        for m in range(-n, n + 1):
            there = special.sph_harm_y(n, abs(m), colatitude, azimuth)
            part = there.imag if m < 0 else there.real
            scale = (1 if m == 0 else np.sqrt(2)) * (-1) ** m  # undo the Condon-Shortley phase
            np.testing.assert_allclose(values[:, n * n + n + m], scale * part, atol=1e-11)


def test_first_degree_is_the_direction():
    values = spherical_harmonics([0.0, 0.0, 90.0], [0.0, 90.0, 12.0], degree=1) * np.sqrt(4 * np.pi / 3)
    np.testing.assert_allclose(values[:, 1:], [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-15)  # y, z, x
