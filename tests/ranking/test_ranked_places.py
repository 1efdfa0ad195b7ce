"""Answers are different places whose probabilities mean what they say, also at the date line and poles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.geo import great_circle_km
from whyhere.ranking import COVERAGE, CellIndex, cell_probabilities, rank_places


def rank(lat, lon, scores, *, top=5, radius_km=500.0, resolution=3, temperature=0.1, allowed=None):
    lat, lon = np.asarray(lat, float), np.asarray(lon, float)
    scores = np.asarray(scores, np.float32)
    index = CellIndex.build(lat, lon, resolution=resolution)
    p = cell_probabilities(scores, index, temperature=temperature, allowed=allowed)
    return index, p, rank_places(p, scores, index, top=top, radius_km=radius_km, allowed=allowed)


def world(count, seed):
    rng = np.random.default_rng(seed)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)
    return lat, lon, rng.uniform(-1, 1, count).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), radius_km=st.floats(50, 5000), top=st.integers(1, 12))
def test_places_differ_and_are_ordered(seed, radius_km, top):
    lat, lon, scores = world(400, seed)
    _, _, places = rank(lat, lon, scores, top=top, radius_km=radius_km)
    assert 1 <= len(places) <= top
    chances = [place.probability for place in places]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) <= 1 + 1e-9
    for i, a in enumerate(places):
        assert 0 < a.radius_km <= radius_km
        for b in places[:i]:
            assert great_circle_km(lat[a.point], lon[a.point], lat[b.point], lon[b.point]) > radius_km


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), radius_km=st.floats(50, 5000))
def test_the_densest_place_holds_the_probability_that_lies_within_its_radius(seed, radius_km):
    lat, lon, scores = world(300, seed)
    index, p, places = rank(lat, lon, scores, top=1000, radius_km=radius_km)
    best_points = np.array(
        [
            max(np.flatnonzero(index.cell_of_point == row), key=lambda i: (scores[i], -i))
            for row in range(len(index.cells))
        ]
    )
    densest = best_points[(p / index.area_km2).argmax()]
    place = next(place for place in places if place.point == densest)
    km = great_circle_km(lat[densest], lon[densest], lat[best_points], lon[best_points])
    within = p[km <= place.radius_km + 1e-6].sum()
    assert place.probability == pytest.approx(within)
    assert within >= COVERAGE * p[km <= radius_km].sum() - 1e-12


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), turn=st.floats(-360, 360))
def test_turning_the_earth_keeps_the_order_of_places(seed, turn):
    # H3 cells do not turn with the Earth: with one point a cell and scores far apart, their areas (all within
    # a factor of two) cannot change the order.
    rng = np.random.default_rng(seed)
    lat, lon = np.repeat([-60.0, -20.0, 20.0, 60.0], 6), np.tile(np.arange(-180.0, 180.0, 60.0), 4)
    scores = rng.permutation(np.linspace(0, 1, 24))
    _, _, a = rank(lat, lon, scores, top=3, temperature=0.01)
    _, _, b = rank(lat, (lon + turn + 180) % 360 - 180, scores, top=3, temperature=0.01)
    assert [place.point for place in a] == [place.point for place in b]


def test_a_place_is_one_across_the_antimeridian():
    lat, lon = [-17.0, -17.0, 40.0], [179.0, -179.0, 0.0]
    _, _, places = rank(lat, lon, [0.9, 0.9, 0.0], radius_km=300)
    assert len(places) == 2
    assert places[0].probability > 0.99
    assert places[0].radius_km == pytest.approx(great_circle_km(-17, 179, -17, -179))


def test_a_place_is_one_around_the_pole():
    lat, lon = [89.9, 89.9, 89.9, 0.0], [0.0, 120.0, -120.0, 0.0]
    _, _, places = rank(lat, lon, [0.9, 0.9, 0.9, 0.0], radius_km=100)
    assert len(places) == 2
    assert places[0].probability > 0.99


def test_a_broad_place_outranks_a_sharper_one():
    # One lone point scores best; twenty neighbours score a little less each, but together more.
    lat = [0.0, *np.repeat(np.arange(40, 50, 2.0), 4)]
    lon = [0.0, *np.tile(np.arange(100, 108, 2.0), 5)]
    _, _, places = rank(lat, lon, [0.5, *[0.45] * 20], radius_km=800, temperature=0.1)
    assert places[0].point != 0


def test_ties_go_to_the_first_point_whatever_the_order_of_cells():
    lat, lon = [10.0, 10.001, 10.002], [10.0, 10.0, 10.0]
    _, _, places = rank(lat, lon, [0.5, 0.5, 0.5])
    assert [place.point for place in places] == [0]


def test_only_allowed_points_are_answered():
    lat, lon, scores = world(500, 3)
    allowed = lat < -30
    _, _, places = rank(lat, lon, scores, allowed=allowed)
    assert all(allowed[place.point] for place in places)
