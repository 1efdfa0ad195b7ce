"""Folds: every point is tested once, nothing leaks, and blocked folds keep their distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import UsageError
from whyhere.evaluation.probing import Splitter, blocks
from whyhere.geo import great_circle_km

pytest.importorskip("scipy")


@st.composite
def clouds(draw):
    """Positions all over the Earth, crowded around a few centres, with repeated ones."""
    seed = draw(st.integers(0, 2**31))
    count = draw(st.integers(60, 160))
    spread_deg = draw(st.sampled_from((0.0001, 1.0, 40.0)))
    rng = np.random.default_rng(seed)
    centres = np.array([(-89.9, 0.0), (90.0, 77.0), (0.0, 179.99), (0.0, -179.99), (40.0, -100.0)])
    centres = np.vstack((centres, np.column_stack((rng.uniform(-60, 60, 20), rng.uniform(-180, 180, 20)))))
    lat, lon = (centres[rng.integers(0, len(centres), count)] + rng.normal(0, spread_deg, (count, 2))).T
    lat, lon = np.clip(lat, -90, 90), (lon + 180) % 360 - 180
    copies = rng.integers(0, count, 20)
    return np.append(lat, lat[copies]), np.append(lon, lon[copies])


@settings(deadline=None, max_examples=40)
@given(
    cloud=clouds(),
    kind=st.sampled_from(("random", "blocked")),
    count=st.integers(2, 5),
    seed=st.integers(0, 99),
)
def test_every_point_is_tested_once_and_never_learned_from_meanwhile(cloud, kind, count, seed):
    lat, lon = cloud
    folds = Splitter(kind, buffer_km=0).folds(lat, lon, count=count, seed=seed)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(len(lat)))
    for fold in folds:
        assert not set(fold.train.tolist()) & set(fold.test.tolist())
        assert len(fold.train) + len(fold.test) == len(lat)
        assert len(fold.test)


@settings(deadline=None, max_examples=40)
@given(cloud=clouds(), seed=st.integers(0, 99))
def test_equal_positions_share_a_side_of_a_random_fold(cloud, seed):
    lat, lon = cloud
    for fold in Splitter("random").folds(lat, lon, count=3, seed=seed):
        known = set(zip(lat[fold.train].tolist(), lon[fold.train].tolist(), strict=True))
        assert not known & set(zip(lat[fold.test].tolist(), lon[fold.test].tolist(), strict=True))


def test_positions_are_equal_across_the_date_line_and_at_the_poles():
    lat = np.array([90.0, 90.0, 5.0, 5.0, 0.0])
    lon = np.array([10.0, -70.0, 180.0, -180.0, 0.0])
    for fold in Splitter("random").folds(lat, lon, count=3, seed=0):
        assert ({0, 1} <= set(fold.test.tolist())) or not ({0, 1} & set(fold.test.tolist()))
        assert ({2, 3} <= set(fold.test.tolist())) or not ({2, 3} & set(fold.test.tolist()))


@settings(deadline=None, max_examples=40)
@given(cloud=clouds(), seed=st.integers(0, 99), buffer_km=st.sampled_from((1.0, 100.0, 500.0)))
def test_blocked_folds_share_no_block_and_keep_their_distance(cloud, seed, buffer_km):
    lat, lon = cloud
    block = blocks(lat, lon, resolution=1)
    try:
        folds = Splitter("blocked", buffer_km=buffer_km).folds(lat, lon, count=3, seed=seed)
    except UsageError as error:
        assert "leaves nothing to learn from" in str(error)  # noqa: PT017 - only some clouds are that dense
        return
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(lat)))
    for fold in folds:
        assert not set(block[fold.train].tolist()) & set(block[fold.test].tolist())
        y, x = lat[fold.train][:, None], lon[fold.train][:, None]
        assert great_circle_km(y, x, lat[fold.test], lon[fold.test]).min() >= buffer_km * (1 - 1e-6)


def test_the_margin_removes_only_points_within_it():
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-60, 60, 400), rng.uniform(-180, 180, 400)
    splitter = Splitter("blocked", buffer_km=300)
    for fold in splitter.folds(lat, lon, count=4, seed=0):
        neither = np.setdiff1d(np.arange(400), np.concatenate((fold.train, fold.test)))
        assert len(neither)
        km = great_circle_km(lat[neither][:, None], lon[neither][:, None], lat[fold.test], lon[fold.test])
        assert (km.min(axis=1) < 300).all()


def test_folds_are_of_like_size_and_follow_the_seed():
    rng = np.random.default_rng(1)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 2000))), rng.uniform(-180, 180, 2000)
    for kind in ("random", "blocked"):
        one, again, other = (
            [fold.test.tolist() for fold in Splitter(kind).folds(lat, lon, count=5, seed=seed)]
            for seed in (3, 3, 4)
        )
        assert one == again != other
        assert all(abs(len(test) - 400) <= 10 for test in one)


def test_too_few_blocks_are_refused():
    lat, lon = np.full(50, 48.0) + np.linspace(0, 0.1, 50), np.full(50, 2.0)
    with pytest.raises(UsageError, match=r"1 blocks cannot make 4 folds"):
        Splitter("blocked").folds(lat, lon, count=4, seed=0)
    lat, lon = np.linspace(40, 60, 50), np.full(50, 2.0)
    with pytest.raises(UsageError, match="--buffer-km"):
        Splitter("blocked", buffer_km=20_000).folds(lat, lon, count=2, seed=0)
