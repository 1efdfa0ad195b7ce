"""Features are computed once, go on after a kill, and never mix up photos, towers or settings."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from whyhere.errors import MissingFileError, UsageError
from whyhere.images import PreprocessSpec, open_photo, preprocess
from whyhere.training import PhotoStore, cached_features, feature_fingerprint, features_from_file

SPEC = PreprocessSpec(size_px=32, views=7)


class Tower:
    """Embeds by a fixed projection of the pixels; breaks down after so many photos."""

    image_size, dim = 32, 6

    def __init__(self, *, fail_after=None):
        self.seen, self.fail_after = 0, fail_after

    def embed_only(self, pixels):
        if self.fail_after is not None and self.seen >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += 1
        projection = np.random.default_rng(0).normal(size=(pixels[0].size, self.dim)).astype(np.float32)
        return pixels.reshape(len(pixels), -1) @ projection


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(1)
    names = [f"{i}.png" for i in range(150)]
    for name in names:
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(buffer, "PNG")
        (folder / name).write_bytes(buffer.getvalue())
    (folder / "7.png").write_bytes(b"not a photo")
    store = PhotoStore(folder)
    return names, [store.find(name) for name in names]


def compute(photos, folder, tower, **changes):
    names, found = photos
    options = {"tower": tower, "tower_fingerprint": "t", "spec": SPEC, "folder": folder, **changes}
    return cached_features(found, names, **options)


def test_features_are_those_of_the_locator(photos, tmp_path):
    values, unreadable = compute(photos, tmp_path / "cache", Tower())
    for row in (0, 99):
        views = Tower().embed_only(preprocess(open_photo(photos[1][row].path).image, SPEC))
        mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(values[row], mean / np.linalg.norm(mean), atol=1e-6)
    assert list(unreadable) == [7]
    assert np.isnan(values[7]).all()
    assert not values.flags.writeable


def test_a_second_run_computes_nothing(photos, tmp_path):
    first, _ = compute(photos, tmp_path / "cache", Tower())
    tower = Tower(fail_after=0)
    second, unreadable = compute(photos, tmp_path / "cache", tower)
    np.testing.assert_array_equal(first, second)
    assert list(unreadable) == [7]


@pytest.mark.parametrize("killed_after", [0, 30, 70, 140])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_numbers(photos, tmp_path, killed_after):
    whole, _ = compute(photos, tmp_path / "whole", Tower())
    with pytest.raises(KeyboardInterrupt):
        compute(photos, tmp_path / "cut", Tower(fail_after=killed_after))
    tower = Tower()
    again, unreadable = compute(photos, tmp_path / "cut", tower)
    np.testing.assert_array_equal(whole, again)
    assert list(unreadable) == [7]
    assert tower.seen <= 149 - killed_after // 64 * 64 + 1


def test_another_tower_setting_or_photo_has_another_fingerprint(photos):
    names, found = photos
    base = feature_fingerprint(found, names, tower="t", spec=SPEC)
    assert feature_fingerprint(found, names, tower="t", spec=SPEC) == base
    others = {
        feature_fingerprint(found, names, tower="u", spec=SPEC),
        feature_fingerprint(found, names, tower="t", spec=PreprocessSpec(size_px=32, views=1)),
        feature_fingerprint(found[:-1], names[:-1], tower="t", spec=SPEC),
        feature_fingerprint(found[::-1], names[::-1], tower="t", spec=SPEC),
    }
    found[3].path.write_bytes(b"another photo")
    store = PhotoStore(found[3].path.parent)
    others.add(feature_fingerprint([store.find(n) for n in names], names, tower="t", spec=SPEC))
    assert len(others | {base}) == 6


def test_given_features_must_fit_the_table(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((3, 4), np.float32))
    assert features_from_file(tmp_path / "f.npy", rows=3).shape == (3, 4)
    with pytest.raises(UsageError, match="each of the 4 rows"):
        features_from_file(tmp_path / "f.npy", rows=4)
    with pytest.raises(MissingFileError, match="--features"):
        features_from_file(tmp_path / "none.npy", rows=4)
