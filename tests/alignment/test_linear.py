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
        patterns=unit(rng.normal(size=(concepts, embedding))).T.astype(np.float32),
        spread=rng.uniform(0.1, 2.0, concepts).astype(np.float32),
        grounding=unit(rng.normal(size=(concepts, LOCATION_DIM))).T.astype(np.float32),
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
        patterns=unit(np.random.default_rng(8).normal(size=(12, 16))).T.astype(np.float32),
        spread=np.ones(12, np.float32),
        grounding=np.zeros((LOCATION_DIM, 12), np.float32),
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
        patterns=np.ascontiguousarray(alignment.patterns[:, order]),
        spread=alignment.spread[order],
        grounding=np.ascontiguousarray(alignment.grounding[:, order]),
    )
    photo, places = np.random.default_rng(5).normal(size=16).astype(np.float32), make_places(8)
    a = alignment.contributions(alignment.encode_image(photo), places)
    b = permuted.contributions(permuted.encode_image(photo), places)
    np.testing.assert_allclose(a.concepts[:, order], b.concepts, atol=1e-5)
    np.testing.assert_allclose(a.remainder, b.remainder, atol=1e-5)


def test_a_concept_that_the_photo_is_made_of_is_named():
    alignment = make_alignment(concepts=6, penalty=0.01)
    alignment = dataclasses.replace(
        alignment, patterns=alignment.directions, grounding=0 * alignment.grounding
    )
    photo = alignment.feature_mean + 2.0 * alignment.directions[:, 4]
    z_img = alignment.encode_image(photo).z_img
    assert z_img.argmax() == 4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), penalty=st.floats(0.0, 0.3))
def test_a_concept_never_pulls_against_what_the_photo_shows(seed, penalty):
    alignment = make_alignment(seed=seed, concepts=30, penalty=penalty)
    photo = np.random.default_rng(seed + 1).normal(size=16).astype(np.float32)
    shown = alignment.concept_agreements(photo)
    np.testing.assert_allclose(
        shown, (photo - alignment.feature_mean) @ alignment.directions / alignment.spread, atol=1e-4
    )
    assert (alignment.encode_image(photo).z_img * shown >= 0).all()


def test_a_photo_with_less_of_a_concept_is_pulled_away_from_where_it_is():
    alignment = make_alignment(concepts=6, penalty=0.01)
    alignment = dataclasses.replace(
        alignment, patterns=alignment.directions, grounding=0 * alignment.grounding
    )
    photo = alignment.feature_mean - 2.0 * alignment.directions[:, 4]
    code = alignment.encode_image(photo)
    assert code.z_img.argmin() == 4
    here = unit(alignment.basis[:, 4] + alignment.location_mean)[None].astype(np.float32)
    assert alignment.contributions(code, here).concepts[0, 4] < 0


def test_the_code_is_the_best_one_of_its_kind():
    """An independent solver finds the same sparse code: coordinate descent instead of FISTA."""
    alignment = make_alignment(concepts=8, penalty=0.05)
    photo = np.random.default_rng(5).normal(size=16).astype(np.float32)
    shown = alignment.concept_agreements(photo).astype(np.float64)
    query = (alignment.head @ (photo - alignment.feature_mean)).astype(np.float64)
    length = np.linalg.norm(query)
    columns = alignment.basis.astype(np.float64) * np.where(shown < 0, -1, 1)
    prices, z = 0.05 / np.maximum(np.abs(shown), 0.2), np.zeros(8)
    for _ in range(2000):
        for j in range(8):
            rest = query / length - columns @ z + columns[:, j] * z[j]
            z[j] = max(columns[:, j] @ rest - prices[j], 0) / (columns[:, j] @ columns[:, j])
    expected = z * np.where(shown < 0, -1, 1) * length
    np.testing.assert_allclose(alignment.encode_image(photo).z_img, expected, atol=1e-4 * length)


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
        name: getattr(alignment, name)
        for name in ("head", "feature_mean", "location_mean", "directions", "patterns", "spread", "grounding")
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
        ({"patterns": np.zeros((16, 4), np.float32)}, "do not fit"),
        ({"spread": np.zeros(10, np.float32)}, "do not fit"),
        ({"spread": None}, "spread"),
        ({"grounding": np.zeros((3, 3), np.float32)}, "do not fit"),
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


def test_a_map_of_a_concept_is_the_cosine_with_its_direction():
    alignment, places = make_alignment(), make_places(20_000)
    expected = unit(places.astype(np.float64) - alignment.location_mean) @ alignment.basis
    np.testing.assert_allclose(alignment.location_concepts(places), expected, atol=1e-5)
    text = np.random.default_rng(2).normal(size=16).astype(np.float32)
    direction = alignment.location_direction(text)
    np.testing.assert_allclose(direction, unit(alignment.head @ text), atol=1e-5)
    np.testing.assert_allclose(
        alignment.location_cosines(direction, places),
        unit(places.astype(np.float64) - alignment.location_mean) @ direction,
        atol=1e-5,
    )


def test_an_open_map_is_half_of_a_direction_and_no_map_changes_nothing():
    grounded = make_alignment(concepts=3)
    plain = dataclasses.replace(grounded, grounding=np.empty(0, np.float32))
    raw = grounded.head @ grounded.patterns
    np.testing.assert_allclose(plain.basis, raw / np.linalg.norm(raw, axis=0), atol=1e-6)
    half = plain.basis + grounded.grounding
    np.testing.assert_allclose(grounded.basis, half / np.linalg.norm(half, axis=0), atol=1e-6)
    photo, places = np.random.default_rng(5).normal(size=16).astype(np.float32), make_places(30)
    np.testing.assert_allclose(
        plain.scores(plain.encode_image(photo), places),
        grounded.scores(grounded.encode_image(photo), places),
        atol=1e-5,
    )
