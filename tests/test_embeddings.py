"""A photo is embedded once; the cache goes on after a kill, and never mixes up photos, towers or settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from whyhere.embeddings import Embedder, EmbeddingCache, StoredPhoto
from whyhere.images import PreprocessSpec, open_photo, preprocess

SPEC = PreprocessSpec(size_px=32, views=7)


class Tower:
    """Embeds by a fixed projection of the pixels; breaks down after so many photos."""

    image_size, dim = 32, 6

    def __init__(self, *, fail_after=None, computes_with="paper"):
        self.seen, self.fail_after, self.computes_with = 0, fail_after, computes_with

    def embed_only(self, pixels):
        if self.fail_after is not None and self.seen >= self.fail_after:
            raise KeyboardInterrupt
        self.seen += 1
        projection = np.random.default_rng(0).normal(size=(pixels[0].size, self.dim)).astype(np.float32)
        return pixels.reshape(len(pixels), -1) @ projection


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(1)
    paths = [tmp_path / "photos" / f"{i}.png" for i in range(150)]
    paths[0].parent.mkdir()
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    paths[7].write_bytes(b"not a photo")
    return [StoredPhoto.of(path) for path in paths]


def cache(folder, tower=None, *, fingerprint="t", spec=SPEC, view_average="embeddings"):
    return EmbeddingCache(
        Embedder(tower or Tower(), spec, view_average), fingerprint=fingerprint, folder=folder
    )


def taken(found, photos):
    return {photo.path.name: found[at] for at, photo in enumerate(photos) if found.rows[at] >= 0}


def test_an_embedding_is_the_unit_mean_of_unit_views(photos, tmp_path):
    found = cache(tmp_path).embed_photos(photos)
    for row in (0, 99):
        views = Tower().embed_only(preprocess(open_photo(photos[row].path).image, SPEC))
        mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
        np.testing.assert_allclose(found[row], mean / np.linalg.norm(mean), atol=1e-6)
    assert list(found.unreadable) == [7]
    assert found.rows[7] == -1
    assert not found.values.flags.writeable


def test_a_release_that_averages_logits_sees_the_raw_views(photos, tmp_path):
    found = cache(tmp_path, view_average="logits").embed_photos(photos[:3])
    views = Tower().embed_only(preprocess(open_photo(photos[2].path).image, SPEC))
    np.testing.assert_array_equal(found[2], views)
    np.testing.assert_array_equal(cache(tmp_path, view_average="logits").embed_photos(photos[:3])[2], views)


def test_a_photo_is_embedded_once_whatever_set_it_is_in(photos, tmp_path):
    first = cache(tmp_path).embed_photos(photos)
    again = cache(tmp_path, Tower(fail_after=0)).embed_photos(photos[::-1])
    assert list(again.unreadable) == [142]
    np.testing.assert_array_equal(again[0], first[149])


def test_an_image_is_known_by_its_pixels(photos, tmp_path):
    image = open_photo(photos[0].path).image
    first = cache(tmp_path).embed(image)
    np.testing.assert_array_equal(cache(tmp_path, Tower(fail_after=0)).embed(image.copy()), first)
    np.testing.assert_array_equal(Embedder(Tower(), SPEC).embed(image), first)
    image.putpixel((3, 3), (1, 2, 3))
    assert not np.array_equal(cache(tmp_path).embed(image), first)


@pytest.mark.parametrize("killed_after", [0, 30, 70, 140])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_numbers(photos, tmp_path, killed_after):
    whole = taken(cache(tmp_path / "whole").embed_photos(photos), photos)
    with pytest.raises(KeyboardInterrupt):
        cache(tmp_path / "cut", Tower(fail_after=killed_after)).embed_photos(photos)
    tower = Tower()
    again = taken(cache(tmp_path / "cut", tower).embed_photos(photos), photos)
    np.testing.assert_equal(again, whole)
    assert tower.seen == 149 - killed_after


@pytest.mark.parametrize("name", ["embeddings.f32", "keys.bin"])
@pytest.mark.parametrize("lost", [1, 5000])
def test_a_torn_write_costs_what_was_in_it_and_nothing_else(photos, tmp_path, name, lost):
    whole = cache(tmp_path)
    values = taken(whole.embed_photos(photos), photos)
    path = whole.folder / name
    path.write_bytes(path.read_bytes()[:-lost])
    np.testing.assert_equal(taken(cache(tmp_path).embed_photos(photos), photos), values)


def test_several_may_write_at_once(photos, tmp_path):
    values = taken(cache(tmp_path / "one").embed_photos(photos), photos)
    parts = [photos[start:] + photos[:start] for start in (0, 40, 80)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda part: cache(tmp_path / "many").embed_photos(part), parts))
    np.testing.assert_equal(
        taken(cache(tmp_path / "many", Tower(fail_after=0)).embed_photos(photos), photos), values
    )


def test_another_tower_engine_or_setting_is_another_cache_and_a_changed_photo_is_embedded_anew(
    photos, tmp_path
):
    kinds = {
        cache(tmp_path, *tower, **changes).folder
        for tower, changes in [
            ((), {}),
            ((Tower(computes_with="fog"),), {}),
            ((), {"fingerprint": "u"}),
            ((), {"spec": PreprocessSpec(size_px=32, views=1)}),
            ((), {"view_average": "logits"}),
        ]
    }
    assert len(kinds) == 5
    first = cache(tmp_path).embed_photos(photos[:4])
    photos[3].path.write_bytes(photos[4].path.read_bytes())
    changed = [*photos[:3], StoredPhoto.of(photos[3].path)]
    tower = Tower()
    second = cache(tmp_path, tower).embed_photos(changed)
    assert tower.seen == 1
    assert not np.array_equal(first[3], second[3])
