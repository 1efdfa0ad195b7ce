"""The alignment that codes the photo first: exact sums, no absences, landmarks that stay silent."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from safetensors.numpy import save_file

from whyhere.alignment import (
    PhotoCodeAlignment,
    PhotoCodeRecipe,
    fit_photo_code,
    load_alignment,
    sparse_codes,
)
from whyhere.concepts import PhotoCredit
from whyhere.errors import MissingFileError
from whyhere.explain import intervene, strengths
from whyhere.training import BasePhotos, make_landmarks

D, K, N, LOCATIONS = 24, 12, 90, 16


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def world():
    """Return features, targets, directions and titled photos of a small made-up world."""
    rng = np.random.default_rng(0)
    features = unit(rng.standard_normal((N, D)) + 2)
    targets = unit(features @ rng.standard_normal((D, LOCATIONS)) + rng.standard_normal((N, LOCATIONS)))
    directions = unit(rng.standard_normal((K, D))).T
    lat = np.linspace(-60, 60, N)
    lat[1] = lat[0]  # two photos of one place
    titles = ["Old Tower", "Old Tower (2)", *(f"Place {row}" for row in range(2, N - 1)), ""]
    photos = BasePhotos(
        files=tuple(titles),
        kinds=("monument",) * N,
        countries=("",) * N,
        credits=tuple(PhotoCredit(title, "A. Author", "CC0", "somewhere") for title in titles),
        lat=lat,
        lon=np.zeros(N),
        precision_km=np.full(N, 5.0),
        features=features,
        targets=targets,
    )
    return features, targets, directions, photos


@pytest.fixture(scope="module")
def fitted(world):
    features, targets, directions, photos = world
    landmarks, labels = make_landmarks(photos)
    ids = [f"concept-{number}" for number in range(K)]
    recipe = PhotoCodeRecipe(most=5, head_penalty=0.1)
    maps = np.zeros((LOCATIONS, K))
    maps[:, 3] = unit(np.ones(LOCATIONS))
    alignment = fit_photo_code(ids, directions, features, targets, recipe, maps=maps, landmarks=landmarks)
    return alignment, labels


def places(seed=1, count=40):
    return unit(np.random.default_rng(seed).standard_normal((count, LOCATIONS))).astype(np.float32)


def test_parts_add_up_to_the_score_whatever_is_changed(world, fitted):
    alignment, _ = fitted
    code = alignment.encode_image(world[0][0].astype(np.float32))
    y = np.concatenate((places(), world[1][:3].astype(np.float32)))
    assert code.landmarks.any()
    for changed in (
        code,
        replace(code, z_img=np.zeros_like(code.z_img)),
        replace(code, landmarks=np.zeros_like(code.landmarks)),
        replace(code, z_img=code.z_img * 3 + 0.1, residual=np.zeros_like(code.residual)),
    ):
        np.testing.assert_allclose(
            alignment.contributions(changed, y).scores, alignment.scores(changed, y), atol=1e-5
        )


def test_the_score_of_a_photo_is_that_of_the_head(world, fitted):
    alignment, _ = fitted
    features = world[0][5].astype(np.float32)
    code = replace(alignment.encode_image(features), landmarks=np.zeros(0, np.float32))
    y = places()
    centred = y - alignment.location_mean
    query = alignment.head @ (features - alignment.feature_mean)
    expected = centred @ query / np.linalg.norm(centred, axis=1) / np.linalg.norm(query)
    np.testing.assert_allclose(alignment.scores(code, y), expected, atol=1e-5)


def test_a_photo_shows_few_concepts_and_no_absences(world, fitted):
    alignment, _ = fitted
    codes = [alignment.encode_image(row.astype(np.float32)).z_img for row in world[0]]
    assert all((z >= 0).all() and 0 < np.count_nonzero(z) <= 5 for z in codes)


def test_a_landmark_speaks_for_its_place_and_only_for_a_photo_like_it(world, fitted):
    alignment, labels = fitted
    features, targets = world[0], world[1]
    own = alignment.encode_image(features[0].astype(np.float32))
    assert labels[int(own.landmarks.argmax())].name == "Old Tower"
    assert {(one.landmark, one.photo) for one in own.similar} >= {(0, 0)}
    parts = alignment.contributions(own, np.stack((targets[0], targets[50])).astype(np.float32))
    column = parts.landmark_rows.tolist().index(0)
    assert parts.landmarks[0, column] > 10 * parts.landmarks[1, column]
    opposite = alignment.feature_mean - (features[0] - alignment.feature_mean)
    stranger = alignment.encode_image(opposite.astype(np.float32))
    assert stranger.landmarks[0] == 0
    assert (own.landmarks <= 1).all()
    assert own.landmarks.sum() <= 1


def test_photos_of_one_place_are_one_landmark_and_untitled_ones_none(world, fitted):
    alignment, labels = fitted
    assert len(labels) == len(alignment.places) == N - 2
    assert [credit.title for credit in labels[0].photos] == ["Old Tower", "Old Tower (2)"]
    assert labels[0].id == "landmark-old-tower"
    assert len({label.id for label in labels}) == len(labels)


def test_a_landmark_can_be_taken_out(world, fitted):
    alignment, labels = fitted
    code = alignment.encode_image(world[0][0].astype(np.float32))
    known = tuple(label.concept for label in labels)
    concepts = tuple(
        structs.replace(known[0], id=name, name=name, group="any") for name in alignment.concept_ids
    )
    changed = intervene(code, (*concepts, *known), without=["landmark-old-tower"]).code
    assert changed.landmarks[0] == 0
    assert not intervene(code, (*concepts, *known), without=["landmark"]).code.landmarks.any()
    np.testing.assert_array_equal(changed.z_img, code.z_img)
    assert strengths(code).shape == (K + len(labels),)


def test_a_release_keeps_all_of_it(world, fitted, tmp_path):
    alignment, _ = fitted
    save_file(alignment.tensors(), tmp_path / "model.safetensors")
    again = load_alignment(tmp_path / "model.safetensors", alignment.section())
    assert isinstance(again, PhotoCodeAlignment)
    assert again.grounded == {"concept-3"}
    code = alignment.encode_image(world[0][7].astype(np.float32))
    np.testing.assert_array_equal(again.encode_image(world[0][7].astype(np.float32)).z_img, code.z_img)
    np.testing.assert_array_equal(again.scores(code, places()), alignment.scores(code, places()))


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("tensors", {"columns": np.zeros((LOCATIONS, K + 1), np.float32)}),
        ("tensors", {"spread": np.zeros(K, np.float32)}),
        ("tensors", {"landmark_reach": np.zeros(N - 2, np.float32)}),
        ("section", {"most": 0}),
        ("section", {"landmarks": {"temperature": 0.0}}),
    ],
)
def test_a_damaged_release_is_refused(fitted, tmp_path, where, change):
    alignment, _ = fitted
    tensors, section = alignment.tensors(), alignment.section()
    (tensors if where == "tensors" else section).update(change)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(MissingFileError):
        load_alignment(tmp_path / "model.safetensors", section)


def test_a_code_does_not_depend_on_the_other_photos(world):
    rng = np.random.default_rng(3)
    x, patterns = unit(rng.standard_normal((6, D))), unit(rng.standard_normal((K, D))).T
    together = sparse_codes(x.astype(np.float32), patterns.astype(np.float32), penalty=0.02, most=4)
    for row in range(6):
        alone = sparse_codes(
            x[row : row + 1].astype(np.float32), patterns.astype(np.float32), penalty=0.02, most=4
        )
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)
