"""Preprocessing: equal to CLIP's own processor, and to torchvision's definition of ten crops."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from whyhere.images import PreprocessSpec, open_photo, preprocess
from whyhere.images import _preprocess as views_module

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_preprocess_oracle.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_preprocess_oracle", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle = load_script()
CASES = json.loads((Path(__file__).parent / "preprocess_oracle.json").read_text(encoding="utf-8"))
# A view whose mean is 0 and deviation 1 / 255 shows the grey levels themselves.
LEVELS = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(width * 10_007 + height)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def levels(image: Image.Image, **options) -> np.ndarray:
    """Return the views of an image as uint8 [views, size, size, 3]."""
    pixels = preprocess(image, PreprocessSpec(**LEVELS, **options))
    return np.rint(pixels).astype(np.uint8).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['width']}x{case['height']}")
def test_agrees_with_the_committed_numbers(case):
    # The file holds float32 exactly, so Pillow may not round a single sample otherwise.
    pixels = preprocess(oracle.synthetic_image(case["width"], case["height"]))[0]
    assert pixels.dtype == np.float32
    assert [float(pixels[channel, y, x]) for channel, y, x, _ in case["samples"]] == [
        value for *_, value in case["samples"]]  # fmt: skip
    assert pixels.mean(axis=(1, 2), dtype=np.float64) == pytest.approx(case["means"], abs=1e-9)


@pytest.mark.parametrize(
    "size",
    [(640, 480), (480, 640), (333, 517), (224, 224), (225, 224), (223, 500), (2000, 301), (97, 1031),
     (31, 17), (1, 1), (1, 50), (100, 1), (7, 3), (5000, 160), (1600, 1201)],
)  # fmt: skip
def test_equals_the_processor_of_transformers_bit_for_bit(size):
    pytest.importorskip("transformers", reason="the reference processor is a development tool")
    image = noise(*size)
    assert np.array_equal(preprocess(image)[0], oracle.reference_pixels(image))


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "P"])
def test_equals_the_processor_of_transformers_in_other_modes(mode):
    pytest.importorskip("transformers", reason="the reference processor is a development tool")
    image = noise(300, 260).convert(mode)
    assert np.array_equal(preprocess(image)[0], oracle.reference_pixels(image))
    assert np.array_equal(preprocess(open_photo(image).image)[0], oracle.reference_pixels(image))


def test_equals_the_processor_of_transformers_at_other_settings():
    pytest.importorskip("transformers", reason="the reference processor is a development tool")
    image = noise(500, 400)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    processor = oracle.clip_processor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_mean=mean, image_std=std,
        resample=Image.Resampling.BILINEAR)  # fmt: skip
    expected = processor(images=image, return_tensors="np")["pixel_values"]
    spec = PreprocessSpec(size_px=64, mean=mean, std=std, resample="bilinear")
    assert np.array_equal(preprocess(image, spec), expected)


def test_equals_the_processor_of_transformers_on_sample_photos(sample_photos):
    pytest.importorskip("transformers", reason="the reference processor is a development tool")
    paths = sorted((sample_photos / "images").glob("*.jpg"))[:8]
    assert paths
    for path in paths:
        with Image.open(path) as image:
            assert np.array_equal(preprocess(open_photo(path).image)[0], oracle.reference_pixels(image))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([1, 7, 10]))
def test_shape_type_and_range(width, height, views):
    pixels = preprocess(noise(width, height), PreprocessSpec(size_px=32, views=views))
    assert pixels.shape == (views, 3, 32, 32)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert np.abs(pixels).max() < 2.2


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (250, 250), (1, 40)])
def test_first_of_seven_views_is_the_single_view(size):
    image = noise(*size)
    assert np.array_equal(preprocess(image, PreprocessSpec(views=7))[0], preprocess(image)[0])


@pytest.mark.parametrize("upright", [False, True])
def test_seven_views_show_the_whole_photo(upright):
    # Each column has its own grey, so a view tells where it was cut.
    image = Image.fromarray(np.arange(96, dtype=np.uint8)[None, :].repeat(32, axis=0)).convert("RGB")
    if upright:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    views = levels(image, size_px=32, views=7)[..., 0]
    lines = views[:, :, 16] if upright else views[:, 16, :]
    assert lines[0].tolist() == list(range(32, 64))  # centre
    assert lines[1].tolist() == list(range(32))  # start
    assert lines[2].tolist() == list(range(64, 96))  # end
    assert lines[3] == pytest.approx(np.arange(32) * 3 + 1, abs=1)  # whole, squashed
    fine = np.arange(32) / 1.5
    assert lines[4] == pytest.approx(fine, abs=1)
    assert lines[5] == pytest.approx(fine + 48 - 32 / 3, abs=1)
    assert lines[6] == pytest.approx(fine + 96 - 64 / 3, abs=1)


@pytest.mark.parametrize("size", [(256, 256), (317, 256), (256, 403), (640, 480), (99, 100), (1000, 301)])
def test_ten_views_are_the_ten_crops_of_torchvision(size):
    """As torchvision documents it: Resize(256), five crops, then those of the mirror image."""
    image = noise(*size)
    short, long = min(size), max(size)
    other = int(256 * long / short)
    width, height = (256, other) if size[0] <= size[1] else (other, 256)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    expected = []
    for picture in (resized, ImageOps.mirror(resized)):
        array = np.asarray(picture)
        top, left = round((height - 224) / 2), round((width - 224) / 2)
        expected += [array[:224, :224], array[:224, -224:], array[-224:, :224], array[-224:, -224:]]
        expected.append(array[top : top + 224, left : left + 224])
    assert np.array_equal(levels(image, views=10), np.stack(expected))


def test_very_long_images_do_not_need_memory_for_their_whole_enlargement():
    # As a whole this would be resized to 224 x 22,400,000 pixels, 20 GB.
    column = np.linspace(0, 255, 100_000).astype(np.uint8)[:, None, None].repeat(3, axis=2)
    for views in (1, 7, 10):
        pixels = levels(Image.fromarray(column), views=views)
        assert pixels.shape == (views, 224, 224, 3)
    assert abs(int(pixels[4].mean()) - 127) <= 1


@pytest.mark.parametrize("views", [1, 7, 10])
@pytest.mark.parametrize("size", [(640, 480), (301, 2000)])
def test_cutting_before_resizing_shows_the_same(monkeypatch, views, size):
    x, y = np.meshgrid(np.linspace(20, 120, size[0]), np.linspace(0, 100, size[1]))
    image = Image.fromarray((x + y).astype(np.uint8)).convert("RGB")
    whole = levels(image, views=views).astype(int)
    monkeypatch.setattr(views_module, "MAX_WHOLE_ASPECT", 0)
    assert np.abs(levels(image, views=views) - whole).max() <= 1


def test_the_image_is_not_changed_and_the_answer_repeats():
    image = noise(50, 40)
    before = image.tobytes()
    assert np.array_equal(preprocess(image), preprocess(image))
    assert image.tobytes() == before


@pytest.mark.parametrize(
    "fields",
    [{"views": 2}, {"views": 0}, {"size_px": 0}, {"resample": "nearest-ish"}, {"std": (0.0, 1.0, 1.0)},
     {"mean": (1.0,)}],
)  # fmt: skip
def test_spec_refuses_nonsense(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        PreprocessSpec(**fields)


def test_spec_survives_json():
    spec = PreprocessSpec(size_px=336, views=7, mean=(0.1, 0.2, 0.3), resample="bilinear")
    assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert PreprocessSpec.from_dict({}) == PreprocessSpec()
    with pytest.raises(TypeError, match="unknown"):
        PreprocessSpec.from_dict({"unknown": 1})
