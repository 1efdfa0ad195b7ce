"""Covering regions and looking again: exact where the tower only adds up colours."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from painted_tower import GRID, SIDE, SPEC, PaintedTower, colour_alignment
from PIL import Image

from whyhere.errors import UsageError
from whyhere.explain import RegionMap, concept_score, deletion_insertion, photo_regions, random_region


def red(embedding):
    """The mean red of the view."""
    return float(embedding[0])


def painted(size=(280, 280)):
    """Red in the top left three sevenths each way, dark elsewhere."""
    image = Image.new("RGB", size, (40, 40, 40))
    image.paste((240, 40, 40), (0, 0, round(size[0] * 3 / 7), round(size[1] * 3 / 7)))
    return image


def red_map(image):
    (region,) = photo_regions(PaintedTower(), image, colour_alignment(), ["red"], spec=SPEC)
    return region


def heat_of(mask):
    return RegionMap("red", mask.astype(np.float32), 0.0)


def measure(image, region, score=red, *, tower=None, **options):
    return deletion_insertion(tower or PaintedTower(), image, region, score, spec=SPEC, **options)


def test_scores_are_those_of_the_picture_put_together_by_hand():
    """The lower half is named; a tower that averages sees what remains of each half."""
    image = Image.new("RGB", (SIDE, SIDE), (200, 0, 0))
    image.paste((40, 0, 0), (0, 0, SIDE, SIDE // 2))
    mask = np.zeros((GRID, GRID))
    mask[4:] = 1
    found = measure(image, heat_of(mask), areas=(3 / 7,), fill="mean", controls=1)
    named = 200 / 255  # rows 16 to 28 of 28
    rest = (2 * 200 + 14 * 40) / 16 / 255  # rows 0 to 16
    mean = 120 / 255
    assert found.original == pytest.approx(mean, abs=1e-6)
    assert found.blank == pytest.approx(mean, abs=1e-6)
    assert found.deleted == pytest.approx(((16 * rest + 12 * mean) / 28,), abs=1e-6)
    assert found.inserted == pytest.approx(((12 * named + 16 * mean) / 28,), abs=1e-6)


@pytest.mark.parametrize("control", ["region", "shifted"])
@pytest.mark.parametrize("fill", ["blur", "mean"])
def test_the_true_region_beats_random_ones_and_its_opposite_loses(fill, control):
    image = painted()
    region = red_map(image)
    options = {"fill": fill, "control": control, "controls": 8, "areas": (0.18,)}
    right = measure(image, region, **options)
    assert min(right.deletion_effect) > 0.01
    assert min(right.insertion_effect) > 0.01
    assert right.deletion_area < right.random_deletion_area
    assert right.insertion_area > right.random_insertion_area
    if fill == "mean":  # a blur leaves the mean colour of flat ground, all that this tower sees, as it is
        wrong = measure(image, replace(region, heat=-region.heat), **options)
        assert max(wrong.deletion_effect) < 0
        assert max(wrong.insertion_effect) < 0


def test_a_score_that_sees_nothing_knows_no_difference():
    found = measure(painted(), red_map(painted()), lambda embedding: 0.7, areas=(0.2, 0.5))
    assert found.deletion_effect == pytest.approx((0, 0))
    assert found.insertion_effect == pytest.approx((0, 0))
    for area in (found.deletion_area, found.insertion_area, found.random_deletion_area):
        assert area == pytest.approx(0.7)


def test_covering_a_region_is_uncovering_the_others():
    """All hot patches but one half covered: deletion of a half equals insertion of the other half."""
    image, half = painted(), np.zeros((GRID, GRID))
    half.flat[: GRID * GRID // 2] = 1
    first = measure(image, heat_of(half), areas=(24 / 49,))
    second = measure(image, heat_of(1 - half), areas=(25 / 49,))
    assert first.deleted == pytest.approx(second.inserted)
    assert first.inserted == pytest.approx(second.deleted)


def test_effects_and_areas_under_the_curves():
    found = measure(painted(), red_map(painted()), areas=(0.25, 0.5), controls=3)
    fine = (np.arange(4000) + 0.5) / 4000

    def area(start, between, end):
        return np.interp(fine, [0, 0.25, 0.5, 1], [start, *between, end]).mean()

    whole, blank, random = found.original, found.blank, np.mean(found.deleted_random, axis=0)
    assert found.deletion_effect == pytest.approx(random - np.array(found.deleted))
    assert found.deletion_area == pytest.approx(area(whole, found.deleted, blank))
    assert found.random_deletion_area == pytest.approx(area(whole, random, blank))
    random = np.mean(found.inserted_random, axis=0)
    assert found.insertion_effect == pytest.approx(np.array(found.inserted) - random)
    assert found.insertion_area == pytest.approx(area(blank, found.inserted, whole))
    assert found.random_insertion_area == pytest.approx(area(blank, random, whole))
    read = json.loads(json.dumps(found.to_dict()))
    assert read["deleted_random"] == [list(row) for row in found.deleted_random]
    assert read["insertion_effect"] == pytest.approx(found.insertion_effect)


@pytest.mark.parametrize(
    ("areas", "controls", "looks"), [((0.2,), 2, 8), ((0.2,), 1, 6), ((0.1, 0.3), 1, 10)]
)
def test_the_tower_looks_as_often_as_promised(areas, controls, looks):
    tower = PaintedTower()
    measure(painted(), red_map(painted()), tower=tower, areas=areas, controls=controls)
    assert tower.looks == looks


def test_the_same_seed_gives_the_same_regions():
    image, region = painted((300, 200)), red_map(painted((300, 200)))
    assert measure(image, region, seed=4) == measure(image, region, seed=4)
    assert measure(image, region, seed=4).deleted_random != measure(image, region, seed=5).deleted_random


def test_only_the_part_of_the_photo_under_the_map_is_seen():
    image = painted((560, 280))
    left = RegionMap("red", np.eye(GRID, dtype=np.float32), 0.0, (0.0, 0.0, 0.5, 1.0))
    expected = measure(image.crop((0, 0, 280, 280)), replace(left, box=(0.0, 0.0, 1.0, 1.0)))
    assert measure(image, left) == expected


@settings(max_examples=60, deadline=None)
@given(grid=st.integers(1, 15), seed=st.integers(0, 10_000))
def test_every_beginning_of_a_random_region_is_connected(grid, seed):
    region = RegionMap("red", np.zeros((grid, grid), np.float32), 0.0)
    order = random_region(region, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(grid * grid))
    taken = {divmod(int(order[0]), grid)}
    for cell in order[1:].tolist():
        row, column = divmod(cell, grid)
        assert taken & {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)}
        taken.add((row, column))


def test_random_regions_cover_the_whole_view_in_the_mean():
    """No patch is favoured so much that the control would sit where photos have their subject."""
    region = RegionMap("red", np.zeros((GRID, GRID), np.float32), 0.0)
    counts = np.zeros(GRID * GRID)
    for seed in range(400):
        counts[random_region(region, np.random.default_rng(seed))[:10]] += 1
    assert counts.min() > 400 * 10 / 49 / 3
    assert counts.max() < 400 * 10 / 49 * 2


def test_the_score_of_a_concept_is_its_agreement_at_unit_length():
    alignment, embedding = colour_alignment(), np.array([3, 0, 4, 0], np.float32)
    assert concept_score(alignment, "red")(embedding) == pytest.approx(0.6 - 0.1)
    assert concept_score(alignment, "blue")(embedding) == pytest.approx(0.8 - 0.1)
    assert concept_score(alignment, "blue", unit=False)(embedding) == pytest.approx(4 - 0.1)
    with pytest.raises(UsageError, match="no concept 'violet'"):
        concept_score(alignment, "violet")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"controls": 0}, "controls"),
        ({"areas": ()}, "areas"),
        ({"areas": (0.5, 0.2)}, "areas"),
        ({"areas": (0.2, 1.0)}, "areas"),
        ({"fill": "holes"}, "fill"),
        ({"control": "none"}, "control"),
    ],
    ids=str,
)
def test_impossible_tests_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        measure(painted(), red_map(painted()), **options)
