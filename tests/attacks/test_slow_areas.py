"""Regions with very many edges or polygons: the same answer as the plain rule, in little time, or a limit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attacks.attack_areas import boxes_with_slits, comb, multipolygon, spread_positions, squares, wild_star
from whyhere.errors import UsageError
from whyhere.geo import parse_region


def even_odd(ring, lat, lon):
    """The even-odd rule, edge by edge, at every turn."""
    inside = np.zeros(len(lat), bool)
    for turn in (-360, 0, 360):
        x = lon + turn
        for (x1, y1), (x2, y2) in pairwise(ring):
            if y1 != y2:
                inside ^= ((y1 > lat) != (y2 > lat)) & (x < (x2 - x1) * (lat - y1) / (y2 - y1) + x1)
    return inside


@pytest.mark.parametrize("ring", [wild_star(1500, lon=170.0), comb(700)], ids=["star", "comb"])
def test_a_ring_cut_into_strips_holds_what_the_even_odd_rule_says(ring):
    lat, lon = spread_positions(20_000)
    found = parse_region(multipolygon([ring])).contains(lat, lon)
    assert 0.1 < found.mean() < 0.9
    assert (found == even_odd(ring, lat, lon)).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-180, 180))
@example(0, 180.0)
def test_a_hole_that_is_cut_into_strips_is_cut_out_of_its_polygon(seed, lon):
    outer, hole = wild_star(40, seed=seed, lon=lon), wild_star(400, seed=seed + 1, lon=lon) * [0.3, 0.3]
    hole[:, 0] += 0.7 * lon
    text = multipolygon([outer]).replace("]]]]}", f"]], {hole.tolist()}]]}}")
    lats, lons = spread_positions(3000, seed=seed)
    expected = even_odd(outer, lats, lons) & ~even_odd(hole, lats, lons)
    assert (parse_region(text).contains(lats, lons) == expected).all()


@pytest.mark.parametrize("ring", [wild_star(100_000), comb(50_000)], ids=["star", "comb"])
def test_a_hundred_thousand_edges_over_a_gallery_end(ring):
    # Minutes if every position met every edge of its latitude.
    lat, lon = spread_positions(94_100)
    assert 0.1 < parse_region(multipolygon([ring])).contains(lat, lon).mean() < 0.9


def test_very_many_small_polygons_hold_what_each_of_them_holds():
    rings = squares(5000, side_deg=1)
    lat, lon = spread_positions(500)
    expected = np.zeros(len(lat), bool)
    for row in range(len(lat)):
        x, y = (lon[row] - rings[:, 0, 0]) % 360, lat[row] - rings[:, 0, 1]
        expected[row] = ((x <= 1) & (y >= 0) & (y <= 1)).any()
    assert (parse_region(multipolygon(rings)).contains(lat, lon) == expected).all()
    assert expected.any()


def test_polygons_that_overlap_beyond_reason_are_refused():
    region = parse_region(multipolygon(boxes_with_slits(2000)))
    with pytest.raises(UsageError, match="overlap"):
        region.contains(*spread_positions(94_100))


def test_a_ring_that_winds_and_unwinds_is_refused():
    there = [[(lon + 180) % 360 - 180, lat] for lat, lon in enumerate(range(0, 360 * 5, 90))]
    back = [[lon, lat + 0.5] for lon, lat in reversed(there)]
    with pytest.raises(UsageError, match="turns"):
        parse_region(multipolygon([[*there, *back, there[0]]]))


def test_a_text_too_long_to_be_a_region_is_refused(monkeypatch):
    monkeypatch.setattr("whyhere.geo._regions.MAX_CHARACTERS", 10_000)
    with pytest.raises(UsageError, match="simplify"):
        parse_region(multipolygon([wild_star(1000)]))
