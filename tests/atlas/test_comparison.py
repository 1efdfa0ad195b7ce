"""Comparisons: antisymmetric, indifferent to crowding, right about a planted difference."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tiny_atlas import make_atlas, places

from whyhere.atlas import compare_page, compare_table
from whyhere.errors import UsageError
from whyhere.ranking import CellIndex


def rows(found):
    return {concept.id: concept for concept in found.concepts}


def test_swapping_the_sides_swaps_the_signs(atlas):
    there, back = atlas.compare("France", "Spain"), atlas.compare("Spain", "France")
    assert (there.a, there.b) == (back.b, back.a)
    mirrored = rows(back)
    for concept in there.concepts:
        other = mirrored[concept.id]
        assert concept.difference == pytest.approx(-other.difference)
        assert concept.effect == pytest.approx(-other.effect)
        assert concept.auroc == pytest.approx(1 - other.auroc)
        assert concept.standard_error == pytest.approx(other.standard_error)
        assert (concept.mean_a, concept.percentile_a) == (other.mean_b, other.percentile_b)
    assert [c.id for c in there.concepts] == [c.id for c in back.concepts][::-1]


@pytest.mark.parametrize("again", ["FRA", "France"])
def test_a_region_is_not_compared_with_itself(atlas, again):
    with pytest.raises(UsageError, match=r"France and France hold the same \d+ places"):
        atlas.compare("France", again)
    with pytest.raises(UsageError, match="two different regions"):
        atlas.compare("44,0,49,6", "44,0.0000001,49,6")


def test_places_in_both_are_counted_and_told(atlas):
    lat, lon = places()
    found = atlas.compare("-10,-20,10,20", "-5,-20,20,20")
    both = int(((lat >= -5) & (lat <= 10) & (np.abs(lon) <= 20)).sum())
    assert found.shared_points == both > 0
    assert f"both: {both:,}\n" in "".join(compare_table(found, limit=3, width=90, ascii_only=True))
    assert f"{both:,} places lie in both" in compare_page(found, limit=3)
    apart = atlas.compare("France", "Spain")
    assert "both" not in "".join(compare_table(apart, limit=3, width=90, ascii_only=True))
    assert "lie in both" not in compare_page(apart, limit=3)


def test_crowds_in_a_cell_count_no_more_than_the_cell():
    lat, lon = places()
    # Every place of one French cell, twenty times: a city.
    index = CellIndex.build(lat, lon, resolution=3)
    city = index.cell_of_point[np.argmin(np.hypot(lat - 46.5, lon - 3))]
    chosen = np.flatnonzero(index.cell_of_point == city)
    assert len(chosen) > 2
    crowded = make_atlas(
        lat=np.concatenate((lat, *[lat[chosen]] * 20)), lon=np.concatenate((lon, *[lon[chosen]] * 20))
    )
    # Halves of the Earth have enough cells of resolution 3.
    sides = "0,-180,90,180", "-90,-180,-0.0001,180"
    plain, dense = make_atlas().compare(*sides), crowded.compare(*sides)
    assert plain.resolution == dense.resolution == 3
    assert dense.a.points == plain.a.points + 20 * len(chosen)
    assert dense.a.cells == plain.a.cells
    for concept in plain.concepts:
        assert rows(dense)[concept.id].difference == pytest.approx(concept.difference, abs=1e-6)
        assert rows(dense)[concept.id].auroc == pytest.approx(concept.auroc, abs=1e-3)


def test_means_weigh_cells_by_area(atlas):
    found = atlas.compare("0,-180,90,0", "-90,-180,0,0")
    lat, lon = places()
    inside = (lat >= 0) & (lon <= 0)
    index = CellIndex.build(lat[inside], lon[inside], resolution=found.resolution)
    means = index.mean(atlas.values[inside])
    wanted = np.average(means, axis=0, weights=index.area_km2)
    for j, concept in enumerate(atlas.concepts):
        assert rows(found)[concept.id].mean_a == pytest.approx(wanted[j], abs=1e-6)


def test_a_planted_difference_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(-40, 40, 600), rng.uniform(-170, 170, 600)
    atlas = make_atlas(lat=lat, lon=lon)
    planted = rng.normal(size=(600, 7)).astype(np.float32)
    planted[:, 2] += np.where(lat > 0, 2.0, 0.0)
    atlas.values = planted
    found = atlas.compare("0,-180,90,180", "-90,-180,-0.0001,180")
    assert found.concepts[0].id == "coast"
    assert found.concepts[0].auroc > 0.9
    assert found.concepts[0].difference == pytest.approx(2.0, abs=5 * found.concepts[0].standard_error)
    for concept in found.concepts[1:]:
        assert abs(concept.difference) < 4 * concept.standard_error
        assert 0.4 < concept.auroc < 0.6


def test_names_codes_boxes_and_geojson_are_understood(atlas):
    square = {"type": "Polygon", "coordinates": [[[0, 44], [6, 44], [6, 49], [0, 49], [0, 44]]]}
    by_box, by_area = atlas.compare("44,0,49,6", "ESP"), atlas.compare(json.dumps(square), "Spain")
    assert by_box.concepts == by_area.concepts
    with pytest.raises(UsageError, match="Atlantis"):
        atlas.compare("France", "Atlantis")
    with pytest.raises(UsageError, match="none of the 600 places"):
        atlas.compare("France", "0,0,0.001,0.001")


def test_a_side_with_one_block_has_no_standard_error(atlas):
    lat, lon = places()
    one = f"{lat[0] - 0.01},{lon[0] - 0.01},{lat[0] + 0.01},{lon[0] + 0.01}"
    found = atlas.compare(one, "France")
    assert found.a.blocks == 1
    assert all(concept.standard_error is None for concept in found.concepts)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "       -  " in "".join(compare_table(found, limit=3, width=90, ascii_only=True))


def test_golden_table(atlas, check_golden):
    found = atlas.compare("France", "Spain")
    check_golden("france-spain.txt", "".join(compare_table(found, limit=4)))
