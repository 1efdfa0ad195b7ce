"""Direction files: the one that ships fits its bank, and files that do not fit are refused."""

import dataclasses
import json

import msgspec
import numpy as np
import pytest

from whyhere.concepts import SOURCES, load_bank, load_directions, save_directions
from whyhere.errors import MissingFileError, UsageError


@pytest.fixture(scope="module")
def shipped():
    return load_directions()


def test_shipped_directions_match_the_shipped_bank(shipped):
    bank = load_bank()
    assert shipped.tower == "clip-vit-b16"
    assert tuple(concept.id for concept in shipped.concepts) == bank.ids
    assert shipped.ids == tuple(concept.id for concept in shipped.concepts if not concept.weak)
    assert len(shipped) >= 200


def test_shipped_rows_are_finite_and_of_unit_length(shipped):
    assert shipped.directions.shape == (len(shipped), 512)
    assert shipped.directions.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(shipped.directions, axis=1), 1, atol=1e-5)
    assert np.isfinite(shipped.image_mean).all()
    assert np.isfinite(shipped.text_mean).all()
    assert (shipped.activation_sd > 0).all()


def test_no_two_shipped_directions_are_the_same(shipped):
    cosine = shipped.directions @ shipped.directions.T - np.eye(len(shipped))
    assert cosine.max() < 0.99


def test_provenance_is_complete(shipped):
    for concept in shipped.concepts:
        assert concept.source in SOURCES
        assert concept.weak == bool(concept.reason)
        assert bool(concept.words) == (concept.source in ("text-row", "bridged-text", "combined"))
        assert bool(concept.teacher) == (concept.source in ("activation-vector", "combined"))


def test_place_neutral_concepts_are_never_used(shipped):
    neutral = {concept.id for concept in load_bank() if concept.place_neutral}
    assert neutral
    assert neutral.isdisjoint(shipped.ids)


def test_of_names_the_reason_of_a_weak_concept(shipped):
    assert shipped.of("mountain").shape == (512,)
    with pytest.raises(UsageError, match="'hairstyle' has no direction in clip-vit-b16: place-neutral"):
        shipped.of("hairstyle")
    with pytest.raises(UsageError, match="not in the bank"):
        shipped.of("unheard-of")


def test_activations_do_not_depend_on_length_or_batch(shipped):
    embeddings = np.random.default_rng(0).normal(size=(5, 512)).astype(np.float32)
    together = shipped.activations(embeddings)
    alone = np.concatenate([shipped.activations(3 * row[None]) for row in embeddings])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert together.shape == (5, len(shipped))


def test_a_photo_made_of_a_direction_shows_that_concept(shipped):
    j = shipped.ids.index("mosque")
    photo = shipped.image_mean + 0.5 * shipped.directions[j]
    photo = photo / np.linalg.norm(photo)
    cosine = shipped.activations(photo[None])[0]
    assert cosine.argmax() == j


def test_save_and_load_again(shipped, tmp_path):
    for name in ("mine", "mine.safetensors"):
        save_directions(shipped, tmp_path / name)
        again = load_directions(tmp_path / "mine")
        np.testing.assert_array_equal(again.directions, shipped.directions)
        assert again.concepts == shipped.concepts
        assert again.report == shipped.report
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]


def test_refuses_another_tower(shipped, tmp_path):
    save_directions(dataclasses.replace(shipped, tower="tinyvit"), tmp_path / "d")
    with pytest.raises(UsageError, match="'tinyvit', not 'clip-vit-b16'"):
        load_directions(tmp_path / "d")
    assert load_directions(tmp_path / "d", tower=None).tower == "tinyvit"


def test_refuses_another_bank(shipped):
    bank = load_bank()
    shorter = msgspec.structs.replace(bank, concepts=bank.concepts[1:])
    with pytest.raises(UsageError, match="another version of the concept bank"):
        load_directions(bank=shorter)


@pytest.mark.parametrize(
    "changes",
    [
        {"directions": np.ones((3, 512), np.float32)},
        {"image_mean": np.full(512, np.nan, np.float32)},
        {"activation_sd": np.ones(2, np.float32)},
        {"ids": ("mountain",)},
    ],
    ids=["shape", "nan", "statistics", "ids"],
)
def test_refuses_what_does_not_fit_together(shipped, tmp_path, changes):
    save_directions(dataclasses.replace(shipped, **changes), tmp_path / "d")
    with pytest.raises(MissingFileError, match=r"d\.safetensors"):
        load_directions(tmp_path / "d")


def test_refuses_rows_that_are_not_unit(shipped, tmp_path):
    save_directions(dataclasses.replace(shipped, directions=2 * shipped.directions), tmp_path / "d")
    with pytest.raises(MissingFileError, match="unit length"):
        load_directions(tmp_path / "d")


def test_refuses_damage(shipped, tmp_path):
    save_directions(shipped, tmp_path / "d")
    numbers, words = tmp_path / "d.safetensors", tmp_path / "d.json"
    data = bytearray(numbers.read_bytes())
    data[-1] ^= 1
    numbers.write_bytes(data)
    with pytest.raises(MissingFileError, match="does not match"):
        load_directions(tmp_path / "d")
    for content in ("{", "[]", json.dumps({"format": 2})):
        words.write_text(content)
        with pytest.raises(MissingFileError, match="not a direction file"):
            load_directions(tmp_path / "d")
    words.unlink()
    with pytest.raises(MissingFileError, match="no concept directions at"):
        load_directions(tmp_path / "d")
