"""The score equals the sum of its parts, whatever the photo, the place and the bank."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from whyhere.alignment import ImageCode, LinearAlignment, load_alignment
from whyhere.errors import MissingFileError

LOCATION_DIM = 24


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def make_alignment(*, seed=0, features=16, embedding=16, concepts=10, penalty=0.05, scale=1.0):
    rng = np.random.default_rng(seed)
    return LinearAlignment(
        concept_ids=tuple(f"concept-{j}" for j in range(concepts)),
        head=rng.normal(size=(LOCATION_DIM, features)).astype(np.float32),
        feature_mean=rng.normal(size=features).astype(np.float32) * 0.1,
        location_mean=rng.normal(size=LOCATION_DIM).astype(np.float32) * 0.1,
        directions=unit(rng.normal(size=(concepts, embedding))).T.astype(np.float32),
        scale=scale,
        penalty=penalty,
    )


def make_places(count, *, seed=1):
    return unit(np.random.default_rng(seed).normal(size=(count, LOCATION_DIM))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    concepts=st.integers(1, 40),
    penalty=st.floats(0.0, 0.5),
    scale=st.floats(0.1, 40.0),
    extra=st.integers(0, 8),
)
def test_contributions_and_remainder_add_up_to_the_score(seed, concepts, penalty, scale, extra):
    alignment = make_alignment(
        seed=seed, features=16 + extra, embedding=16, concepts=concepts, penalty=penalty, scale=scale
    )
    photo = np.random.default_rng(seed + 1).normal(size=16 + extra).astype(np.float32)
    places = make_places(50, seed=seed)
    code = alignment.encode_image(photo)
    parts = alignment.contributions(code, places)
    scores = alignment.scores(code, places)
    np.testing.assert_allclose(
        parts.concepts.sum(axis=1) + parts.remainder, scores, atol=1e-5 * max(scale, 1.0), rtol=0
    )
    np.testing.assert_allclose(parts.scores, scores, atol=1e-5 * max(scale, 1.0), rtol=0)


def test_the_score_is_the_cosine_between_head_and_centred_place():
    alignment = make_alignment(scale=3.0)
    photo, places = np.random.default_rng(5).normal(size=16), make_places(30)
    query = alignment.head @ (photo - alignment.feature_mean)
    centred = places.astype(np.float64) - alignment.location_mean
    expected = 3.0 * unit(centred) @ unit(query)
    code = alignment.encode_image(photo.astype(np.float32))
    np.testing.assert_allclose(alignment.scores(code, places), expected, atol=1e-5)


def test_the_score_does_not_depend_on_the_bank():
    photo, places = np.random.default_rng(5).normal(size=16).astype(np.float32), make_places(30)
    few, many = make_alignment(concepts=3), make_alignment(concepts=3)
    many = dataclasses.replace(
        many,
        concept_ids=tuple(map(str, range(12))),
        directions=unit(np.random.default_rng(9).normal(size=(12, 16))).T.astype(np.float32),
    )
    np.testing.assert_allclose(
        few.scores(few.encode_image(photo), places), many.scores(many.encode_image(photo), places), atol=1e-5
    )


def test_permuting_concepts_permutes_contributions_and_changes_nothing_else():
    alignment = make_alignment(concepts=12)
    order = np.random.default_rng(3).permutation(12)
    permuted = dataclasses.replace(
        alignment,
        concept_ids=tuple(alignment.concept_ids[j] for j in order),
        directions=np.ascontiguousarray(alignment.directions[:, order]),
    )
    photo, places = np.random.default_rng(5).normal(size=16).astype(np.float32), make_places(8)
    a = alignment.contributions(alignment.encode_image(photo), places)
    b = permuted.contributions(permuted.encode_image(photo), places)
    np.testing.assert_allclose(a.concepts[:, order], b.concepts, atol=1e-5)
    np.testing.assert_allclose(a.remainder, b.remainder, atol=1e-5)


def test_a_concept_that_the_photo_is_made_of_is_named():
    alignment = make_alignment(concepts=6, penalty=0.01)
    photo = alignment.feature_mean + 2.0 * alignment.directions[:, 4]
    z_img = alignment.encode_image(photo).z_img
    assert z_img.argmax() == 4
    assert (z_img >= 0).all()


def test_a_code_of_nothing_is_all_remainder():
    alignment, places = make_alignment(penalty=1e6), make_places(5)
    code = alignment.encode_image(np.random.default_rng(0).normal(size=16).astype(np.float32))
    parts = alignment.contributions(code, places)
    assert not parts.concepts.any()
    np.testing.assert_allclose(parts.remainder, alignment.scores(code, places), atol=1e-5)


def test_places_do_not_depend_on_each_other():
    alignment, places = make_alignment(), make_places(100)
    code = alignment.encode_image(np.random.default_rng(0).normal(size=16).astype(np.float32))
    together = alignment.contributions(code, places)
    for row in (0, 57, 99):
        alone = alignment.contributions(code, places[row : row + 1])
        np.testing.assert_allclose(alone.concepts[0], together.concepts[row], atol=1e-6)


def save(alignment: LinearAlignment, path: Path, **changes):
    tensors = {
        name: getattr(alignment, name) for name in ("head", "feature_mean", "location_mean", "directions")
    }
    tensors.update(changes)
    save_file({name: value for name, value in tensors.items() if value is not None}, path)
    return {"kind": "linear", "concept_ids": list(alignment.concept_ids), "scale": 1.0, "penalty": 0.05}


def test_a_saved_alignment_comes_back(tmp_path):
    alignment = make_alignment()
    config = save(alignment, tmp_path / "model.safetensors")
    loaded = load_alignment(tmp_path / "model.safetensors", config)
    photo, places = np.random.default_rng(5).normal(size=16).astype(np.float32), make_places(8)
    code = loaded.encode_image(photo)
    assert isinstance(code, ImageCode)
    np.testing.assert_allclose(
        loaded.scores(code, places), alignment.scores(alignment.encode_image(photo), places), atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"head": None}, "head"),
        ({"feature_mean": np.zeros(3, np.float32)}, "do not fit"),
        ({"directions": np.zeros((16, 4), np.float32)}, "do not fit"),
        ({"location_mean": np.full(LOCATION_DIM, np.nan, np.float32)}, "not finite"),
    ],
)
def test_wrong_weights_are_refused(tmp_path, changes, words):
    config = save(make_alignment(), tmp_path / "model.safetensors", **changes)
    with pytest.raises(MissingFileError, match=words):
        load_alignment(tmp_path / "model.safetensors", config)


def test_missing_weights_and_unknown_kinds_are_refused(tmp_path):
    config = save(make_alignment(), tmp_path / "model.safetensors")
    with pytest.raises(MissingFileError, match=r"absent\.safetensors"):
        load_alignment(tmp_path / "absent.safetensors", config)
    with pytest.raises(MissingFileError, match="pip install --upgrade"):
        load_alignment(tmp_path / "model.safetensors", {**config, "kind": "quantum"})
    with pytest.raises(MissingFileError, match="scale"):
        load_alignment(tmp_path / "model.safetensors", {k: v for k, v in config.items() if k != "scale"})
