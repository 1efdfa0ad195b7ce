"""Maps of concepts over photos: a concept painted somewhere lights up there, and is drawn there."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_tower import COLOURS, GRID, SPEC, PaintedTower, colour_alignment
from PIL import Image

from whyhere.encoders import PatchShares
from whyhere.errors import UsageError
from whyhere.explain import (
    RegionMap,
    draw_regions,
    heat_strength,
    photo_regions,
    region_box,
    region_maps,
    region_pictures,
)
from whyhere.images import PreprocessSpec, open_photo

CORNERS = {"top left": (0, 0), "top right": (1, 0), "bottom left": (0, 1), "bottom right": (1, 1)}


def painted(size=(280, 280), corner=(0, 0), colour=(255, 0, 0), ground=(90, 90, 90)):
    """A photo with one colour in a corner, three sevenths of each side wide."""
    image = Image.new("RGB", size, ground)
    width, height = round(size[0] * 3 / 7), round(size[1] * 3 / 7)
    at = ((size[0] - width) * corner[0], (size[1] - height) * corner[1])
    image.paste(colour, (*at, at[0] + width, at[1] + height))
    return image


def maps_of(image, concepts=COLOURS, *, alignment=None, spec=SPEC, **options):
    alignment = colour_alignment() if alignment is None else alignment
    return photo_regions(PaintedTower(), image, alignment, concepts, spec=spec, **options)


def corner_mask(corner, *, cells=3):
    mask = np.zeros((GRID, GRID), bool)
    rows = slice(GRID - cells, None) if corner[1] else slice(cells)
    columns = slice(GRID - cells, None) if corner[0] else slice(cells)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("size", [(280, 280), (560, 210), (140, 420), (37, 61)], ids=str)
@pytest.mark.parametrize("corner", CORNERS.values(), ids=CORNERS)
def test_a_concept_painted_in_a_corner_lights_up_there(corner, size):
    red, green, _ = maps_of(painted(size, corner))
    mask = corner_mask(corner)
    np.testing.assert_array_equal(red.top(9 / 49), mask)
    assert red.heat[mask].min() > red.heat[~mask].max()
    assert green.heat[mask].max() < green.heat[~mask].min()


@pytest.mark.parametrize(("orientation", "lit"), [(1, (0, 0)), (6, (1, 0)), (3, (1, 1)), (8, (0, 1))])
def test_the_map_lies_over_the_upright_photo(orientation, lit):
    """The corner is painted top left in the file; the tag says how the camera was held."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    painted((420, 280)).save(buffer, "PNG", exif=exif)
    photo = open_photo(buffer.getvalue())
    (red,) = maps_of(photo.image, ["red"])
    np.testing.assert_array_equal(red.top(9 / 49), corner_mask(lit))


@pytest.mark.parametrize("size", [(560, 280), (280, 560)], ids=["landscape", "portrait"])
def test_where_only_the_centre_is_seen_the_map_lies_over_the_centre(size):
    """A red square in the middle third of the long side is the corner of nothing else than the crop."""
    spec = PreprocessSpec(**(SPEC.to_dict() | {"views": 1, "mean": SPEC.mean, "std": SPEC.std}))
    left, top, right, bottom = box = region_box(size, spec)
    assert (right - left) * size[0] == pytest.approx((bottom - top) * size[1]) == pytest.approx(280)
    assert (left + right) / 2 == (top + bottom) / 2 == pytest.approx(0.5)
    image = Image.new("RGB", size, (90, 90, 90))
    x, y = round(left * size[0]), round(top * size[1])
    image.paste((255, 0, 0), (x, y, x + 120, y + 120))
    (red,) = maps_of(image, ["red"], spec=spec)
    assert red.box == box
    np.testing.assert_array_equal(red.top(9 / 49), corner_mask((0, 0)))


def test_the_whole_photo_is_seen_where_the_release_sees_several_views():
    assert maps_of(painted((500, 100)), ["red"])[0].box == (0.0, 0.0, 1.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(COLOURS), asked=st.permutations(COLOURS))
def test_a_map_depends_on_no_other_concept(order, asked):
    image = painted((300, 200), (1, 0), colour=(200, 40, 90))
    expected = {region.concept_id: region for region in maps_of(image)}
    for region in maps_of(image, asked, alignment=colour_alignment(order)):
        np.testing.assert_allclose(region.heat, expected[region.concept_id].heat, atol=1e-7)
        assert region.agreement == pytest.approx(expected[region.concept_id].agreement)
    alone = maps_of(image, ["green"], alignment=colour_alignment(("green",)))[0]
    np.testing.assert_allclose(alone.heat, expected["green"].heat, atol=1e-7)


def test_one_look_serves_all_concepts():
    tower = PaintedTower()
    photo_regions(tower, painted(), colour_alignment(), COLOURS, spec=SPEC)
    assert tower.looks == 1


@pytest.mark.parametrize("unit", [True, False])
def test_heat_is_the_slope_of_the_agreement(unit):
    """Where all patches add the same, smoothing changes nothing: a finite difference must give the heat."""
    rng = np.random.default_rng(5)
    embedding, share = rng.normal(size=(2, 4))
    alignment = colour_alignment()

    def agreement(x):
        features = x / np.linalg.norm(x) if unit else x
        return (features - alignment.feature_mean) @ alignment.directions

    slope = (agreement(embedding + 1e-5 * share) - agreement(embedding - 1e-5 * share)) / 2e-5
    traced = PatchShares(embedding.astype(np.float32), np.tile(share, (9, 1)).astype(np.float32))
    for column, region in enumerate(region_maps(traced, alignment, COLOURS, unit=unit)):
        np.testing.assert_allclose(region.heat, np.full((3, 3), slope[column]), rtol=1e-4, atol=1e-5)
        assert region.agreement == pytest.approx(agreement(embedding)[column], abs=1e-5)


def test_smoothing_spreads_a_patch_to_its_neighbours_and_keeps_the_sum():
    shares = np.zeros((25, 4), np.float32)
    shares[12, 0] = 1.6
    traced = PatchShares(np.array([0, 0, 0, 1], np.float32), shares)
    (red,) = region_maps(traced, colour_alignment(), ["red"])
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 10
    np.testing.assert_allclose(red.heat, expected, atol=1e-6)


def test_unknown_concepts_and_areas_are_refused():
    with pytest.raises(UsageError, match="no concept 'violet'"):
        maps_of(painted(), ["red", "violet"])
    (red,) = maps_of(painted(), ["red"])
    for area in (0.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="area"):
            red.top(area)


def test_the_top_is_a_share_of_the_grid():
    (red,) = maps_of(painted(), ["red"])
    assert red.top(1e-9).sum() == 1
    assert red.top(0.2).sum() == 10
    assert red.top(1.0).all()
    assert (red.top(0.1) <= red.top(0.5)).all()


def test_a_map_goes_into_json():
    (red,) = maps_of(painted(), ["red"])
    read = json.loads(json.dumps(red.to_dict()))
    assert read["concept_id"] == "red"
    np.testing.assert_allclose(read["heat"], red.heat)
    assert read["box"] == [0.0, 0.0, 1.0, 1.0]


def region(heat, box=(0.0, 0.0, 1.0, 1.0)):
    return RegionMap("red", np.asarray(heat, np.float32), 0.1, box)


def grey_photo(size):
    return Image.new("RGB", size, (128, 128, 128))


@pytest.mark.parametrize("size", [(640, 480), (300, 900)], ids=["landscape", "portrait"])
def test_the_picture_is_orange_where_a_concept_is_raised_and_blue_where_it_is_lowered(size):
    heat = np.zeros((14, 14))
    heat[:7, :7], heat[7:, 7:] = 1.0, -1.0
    picture = draw_regions(grey_photo(size), region(heat), max_side_px=max(size))
    pixels = np.asarray(picture, int)[: size[1]]
    middle = {name: pixels[size[1] * y // 4, size[0] * x // 4] for name, (x, y) in
              {"raised": (1, 1), "lowered": (3, 3), "neither": (3, 1)}.items()}  # fmt: skip
    assert middle["raised"][0] > middle["raised"][2] + 60
    assert middle["lowered"][2] > middle["lowered"][0] + 60
    assert np.ptp(middle["neither"]) == 0


def test_the_map_is_drawn_over_its_part_of_the_photo_only():
    picture = draw_regions(grey_photo((600, 300)), region(np.ones((14, 14)), (0.25, 0.0, 0.75, 1.0)))
    colourful = np.ptp(np.asarray(picture, int)[150], axis=1) > 30
    assert not colourful[:149].any()
    assert colourful[155:445].all()
    assert not colourful[451:].any()


def test_a_line_surrounds_the_area_that_is_tested():
    heat = np.zeros((10, 10))
    heat[2:4, 5:9] = 1e-3 * np.arange(1, 9).reshape(2, 4)
    picture = np.asarray(draw_regions(grey_photo((500, 500)), region(heat), area=0.08), int)[:500]
    white = (picture > 250).all(axis=2)
    rows, columns = np.nonzero(white)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx(
        (100, 200, 250, 450), abs=2
    )
    assert white[99:102, 300].any()
    assert not white[110:190, 265:440].any()


def test_a_map_without_heat_colours_nothing():
    picture = draw_regions(grey_photo((200, 200)), region(np.zeros((4, 4))))
    assert np.ptp(np.asarray(picture, int)[:200], axis=2).max() == 0
    np.testing.assert_array_equal(heat_strength(np.zeros((4, 4), np.float32)), 0)


@pytest.mark.parametrize("size", [(3, 900), (900, 3), (20, 20), (5000, 3000)], ids=str)
def test_any_photo_can_be_drawn_on_and_stays_as_it_was(size):
    image = grey_photo(size)
    before = image.tobytes() if size[0] < 1000 else None
    long = "a concept with a very long name that cannot fit any picture of this width at all " * 3
    picture = draw_regions(image, region(np.eye(14)), title=long, max_side_px=200)
    assert picture.mode == "RGB"
    assert max(picture.width, picture.height - 44) <= 200
    assert before is None or image.tobytes() == before


def test_the_png_carries_the_picture_and_nothing_else():
    image = painted((400, 300))
    image.info["comment"] = "private"
    (red,) = maps_of(image, ["red"])
    (made,) = region_pictures(PaintedTower(), image, colour_alignment(), [("red", "Red")], spec=SPEC)
    read, drawn = Image.open(io.BytesIO(made.png)), draw_regions(image, red, title="Red", max_side_px=480)
    np.testing.assert_array_equal(np.asarray(read), np.asarray(drawn))
    assert (read.format, dict(read.info)) == ("PNG", {})


def test_a_report_gets_a_picture_of_each_concept_from_one_look():
    tower, image = PaintedTower(), painted((400, 300), (1, 1))
    named = [("green", "Green things"), ("red", "Red things")]
    pictures = region_pictures(tower, image, colour_alignment(), named, spec=SPEC, max_side_px=200)
    assert tower.looks == 1
    assert [picture.concept_id for picture in pictures] == ["green", "red"]
    green, red = (np.asarray(Image.open(io.BytesIO(picture.png)), int) for picture in pictures)
    assert green.shape == red.shape == (150 + 44, 200, 3)
    for shown, raised in ((green, False), (red, True)):
        corner, opposite = shown[125, 170], shown[20, 20]
        assert (corner[0] - corner[2] > opposite[0] - opposite[2]) == raised
    assert all("orange" in picture.caption for picture in pictures)


def test_pictures_of_impossible_size_are_refused():
    with pytest.raises(ValueError, match="max_side_px"):
        draw_regions(grey_photo((20, 20)), region(np.eye(4)), max_side_px=15)


def test_the_base_release_maps_a_real_photo(base_release, sample_photos):
    from whyhere.alignment import load_alignment
    from whyhere.embeddings import preprocessing_of
    from whyhere.encoders import TracingTower
    from whyhere.releases import asset_path

    tower = TracingTower(asset_path(base_release.config.image_tower.asset) / "image_tower.onnx")
    alignment = load_alignment(base_release.directory / "model.safetensors", base_release.config.alignment)
    image = open_photo(min((sample_photos / "images").glob("*.jpg"))).image
    concepts = alignment.concept_ids[:3]
    spec = preprocessing_of(base_release, SimpleNamespace(image_size=tower.image_size))
    found = photo_regions(tower, image, alignment, concepts, spec=spec)
    assert [one.concept_id for one in found] == list(concepts)
    for one in found:
        assert one.heat.shape == (14, 14)
        assert np.isfinite(one.heat).all()
        assert np.ptp(one.heat) > 0
