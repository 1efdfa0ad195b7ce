"""The sparse code solves the problem it says it solves."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.alignment import sparse_codes


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 100_000), k=st.integers(1, 30), penalty=st.floats(0.01, 0.5))
def test_the_code_meets_the_optimality_conditions(seed, k, penalty):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(20, k))
    directions /= np.linalg.norm(directions, axis=0)
    x = rng.normal(size=20)
    x /= np.linalg.norm(x)
    z = sparse_codes(x[None], directions, penalty=penalty, steps=5000, dtype=np.float64)[0]
    # Karush-Kuhn-Tucker: no gradient where a concept is named, none downhill where it is not.
    gradient = directions.T @ (directions @ z - x) + penalty
    assert (z >= 0).all()
    assert gradient.min() > -1e-3
    assert np.abs(gradient[z > 1e-4]).max(initial=0.0) < 1e-3


def test_a_larger_penalty_names_fewer_concepts():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(64, 100))
    directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
    x = rng.normal(size=64).astype(np.float32)
    x /= np.linalg.norm(x)
    named = [int((sparse_codes(x[None], directions, penalty=p) > 1e-6).sum()) for p in (0.01, 0.05, 0.2, 2.0)]
    assert named == sorted(named, reverse=True)
    assert named[0] > named[2] > named[3] == 0
