"""Profiles: percentiles by brute force, similar places that are elsewhere, odd corners of the Earth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_atlas import embed, make_atlas, places

from whyhere.atlas import place_table
from whyhere.errors import UsageError
from whyhere.geo import cell_area_km2, cells_of, country_codes, great_circle_km

PARIS = (48.86, 2.35)


def brute_percentiles(atlas, lat, lon, inside):
    """Share of the area of the places inside with a lower value, place by place."""
    all_lat, all_lon = places()
    own = atlas.alignment.location_concepts(embed([lat], [lon]))[0]
    values = atlas.alignment.location_concepts(embed(all_lat, all_lon))
    cells = cells_of(all_lat, all_lon, 3)
    weights = np.zeros(len(cells))
    for cell in set(cells[inside].tolist()):
        mine = inside & (cells == cell)
        weights[mine] = cell_area_km2([cell])[0] / mine.sum()
    return {
        id: 100 * weights[values[:, j] < own[j]].sum() / weights.sum()
        for j, id in enumerate(atlas.alignment.concept_ids)
    }


def test_percentiles_are_shares_of_area(atlas):
    found = atlas.place(*PARIS)
    all_lat, all_lon = places()
    world = brute_percentiles(atlas, *PARIS, np.ones(len(all_lat), bool))
    french = np.array([code == "FR" for code in country_codes(all_lat, all_lon)])
    region = brute_percentiles(atlas, *PARIS, french)
    assert found.region == "France"
    assert found.region_points == french.sum()
    for concept in found.concepts:
        assert concept.world_percentile == pytest.approx(world[concept.id], abs=0.01)
        assert concept.region_percentile == pytest.approx(region[concept.id], abs=0.01)


def test_percentiles_and_deviations_rise_with_the_value(atlas):
    rng = np.random.default_rng(0)
    spots = zip(rng.uniform(-80, 80, 25), rng.uniform(-180, 180, 25), strict=True)
    found = [atlas.place(lat, lon, similar=0) for lat, lon in spots]
    for id in ("desert", "coast"):
        rows = sorted(
            (c.value, c.world_percentile, c.deviation) for p in found for c in p.concepts if c.id == id
        )
        values, shares, deviations = np.array(rows).T
        assert (np.diff(shares) >= 0).all()
        assert np.corrcoef(values, deviations)[0, 1] == pytest.approx(1)


def test_what_stands_out_comes_first(atlas):
    found = atlas.place(*PARIS)
    deviations = [concept.deviation for concept in found.concepts]
    assert deviations == sorted(deviations, reverse=True)
    assert all(concept.deviation > 0 for concept in found.highest(7))
    assert all(concept.deviation < 0 for concept in found.lowest(7))
    assert len(found.highest(7)) + len(found.lowest(7)) == 7


def test_similar_places_are_elsewhere_and_different(atlas):
    found = atlas.place(*PARIS, similar=6)
    assert len(found.similar) == 6
    for row, place in enumerate(found.similar):
        assert place.distance_km >= 1000
        assert place.distance_km == pytest.approx(great_circle_km(*PARIS, place.lat, place.lon))
        for other in found.similar[:row]:
            assert great_circle_km(place.lat, place.lon, other.lat, other.lon) >= 500
    similarities = [place.similarity for place in found.similar]
    assert similarities == sorted(similarities, reverse=True)
    assert all(-1 <= s <= 1 for s in similarities)


def test_what_is_shared_is_more_than_usual_in_both(atlas):
    found = atlas.place(*PARIS)
    own = {concept.name: concept.deviation for concept in found.concepts}
    for place in found.similar:
        there = {concept.name: concept.deviation for concept in atlas.place(place.lat, place.lon).concepts}
        both = [own[name] * there[name] for name in place.shared]
        assert all(own[name] > 0 and there[name] > 0 for name in place.shared)
        assert both == sorted(both, reverse=True)
        rest = [own[n] * there[n] for n in own if n not in place.shared and own[n] > 0 and there[n] > 0]
        assert len(place.shared) == 3 or not rest
        assert not rest or max(rest) <= min(both) + 1e-6


def test_the_most_similar_place_is_the_best_of_all_far_ones(atlas):
    lat, lon = places()
    found = atlas.place(*PARIS, similar=1)
    values = atlas.alignment.location_concepts(embed(lat, lon)).astype(float)
    cells = cells_of(lat, lon, 3)
    weights = np.array([cell_area_km2([cell])[0] / (cells == cell).sum() for cell in cells.tolist()])
    mean = np.average(values, axis=0, weights=weights)
    spread = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    own = (atlas.alignment.location_concepts(embed(*np.reshape(PARIS, (2, 1))))[0] - mean) / spread
    others = (values - mean) / spread
    cosines = others @ own / (np.linalg.norm(others, axis=1) * np.linalg.norm(own))
    cosines[great_circle_km(*PARIS, lat, lon) < 1000] = -2
    assert (found.similar[0].lat, found.similar[0].lon) == (lat[cosines.argmax()], lon[cosines.argmax()])
    assert found.similar[0].similarity == pytest.approx(cosines.max(), abs=1e-4)


def test_no_similar_place_is_invented_where_all_are_near():
    lat, lon = np.linspace(10, 11, 30), np.linspace(10, 11, 30)
    assert make_atlas(lat=lat, lon=lon).place(10.5, 10.5).similar == ()


def test_the_date_line_is_no_edge(atlas):
    east, west = atlas.place(-17.0, 180.0), atlas.place(-17.0, -180.0)
    assert east == west
    assert atlas.place(-17.0, 539.0) == atlas.place(-17.0, 179.0)
    assert east.region == "within 500 km"  # 40 places, half of them at sea
    assert east.region_points == (great_circle_km(-17.0, 180.0, *places()) <= 500).sum() >= 40
    assert not east.far
    assert east.nearest_km < 100


@pytest.mark.parametrize("lat", [90.0, -90.0])
def test_a_pole_is_one_place(atlas, lat):
    found = [atlas.place(lat, lon) for lon in (0.0, 123.0)]
    assert found[0].nearest_km == pytest.approx(found[1].nearest_km)
    a, b = ({c.id: c.world_percentile for c in one.concepts} for one in found)
    assert a == pytest.approx(b, abs=1e-6)


def test_far_from_everything_it_says_so():
    lonely = make_atlas(lat=np.linspace(40, 50, 60), lon=np.linspace(0, 10, 60)).place(-40.0, -120.0)
    assert lonely.far
    assert lonely.region is None
    assert all(concept.region_percentile is None for concept in lonely.concepts)
    table = "".join(place_table(lonely, limit=3, width=80, ascii_only=True))
    assert "extrapolation" in table
    assert "Too few places are near" in table
    assert table.isascii()


def test_where_the_country_is_too_empty_the_surroundings_count(atlas):
    found = atlas.place(43.74, 7.42)  # Monaco has no place of its own here
    assert found.place.country_code == "MC"
    assert found.region == "within 500 km"
    km = great_circle_km(43.74, 7.42, *places())
    assert found.region_points == (km <= 500).sum()


def test_json_holds_everything(atlas):
    found = atlas.place(*PARIS)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["place"]["country"] == "France"
    assert len(data["concepts"]) == 7
    assert data["similar"][0]["place"]["name"]


@pytest.mark.parametrize(("lat", "lon"), [(91, 0), (float("nan"), 0), (0, float("inf"))])
def test_a_position_off_the_earth_is_refused(atlas, lat, lon):
    with pytest.raises(UsageError):
        atlas.place(lat, lon)


def test_golden_table(atlas, check_golden):
    table = "".join(place_table(atlas.place(*PARIS), limit=3))
    check_golden("paris.txt", table)
