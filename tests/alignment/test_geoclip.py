"""GeoCLIP's heads: scores from the definition, contributions that add up, views averaged by their scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from whyhere.alignment import GeoClipAlignment, GeoClipHead, load_alignment, save_geoclip
from whyhere.errors import MissingFileError
from whyhere.ranking import gallery_softmax

P, M, D, K, N = 12, 20, 16, 9, 50
IDS = tuple(f"c{j}" for j in range(K))
CONFIG = {"kind": "geoclip", "penalty": 0.02}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def head_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"0.weight": (M, P), "0.bias": (M,), "2.weight": (D, M), "2.bias": (D,)}
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return tensors | {"logit_scale": np.array(3.68, np.float32)}


def places(seed: int = 1) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(N, D))).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directions = unit(np.random.default_rng(2).normal(size=(K, D))).T
    save_geoclip(tmp_path / "model.safetensors", head_tensors(), directions, IDS)
    return tmp_path / "model.safetensors"


@pytest.fixture
def alignment(path: Path) -> GeoClipAlignment:
    loaded = load_alignment(path, CONFIG)
    assert isinstance(loaded, GeoClipAlignment)
    return loaded


def scores_by_definition(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """exp(s) cos(W2 relu(W1 x + b1) + b2, y) in float64."""
    w = {name: array.astype(np.float64) for name, array in head_tensors().items()}
    q = w["2.weight"] @ np.maximum(w["0.weight"] @ x + w["0.bias"], 0) + w["2.bias"]
    return np.exp(w["logit_scale"]) * (y @ q) / np.linalg.norm(q)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 30.0]))
def test_scores_are_geoclips_and_contributions_add_up(tmp_path_factory, seed, size):
    folder = tmp_path_factory.mktemp("g")
    directions = unit(np.random.default_rng(2).normal(size=(K, D))).T
    save_geoclip(folder / "model.safetensors", head_tensors(), directions, IDS)
    alignment = load_alignment(folder / "model.safetensors", CONFIG)
    x = (np.random.default_rng(seed).normal(size=P) * size).astype(np.float32)
    y = places()
    code = alignment.encode_image(x)
    scores = alignment.scores(code, y)
    np.testing.assert_allclose(scores, scores_by_definition(x, y), atol=1e-4)
    split = alignment.contributions(code, y)
    assert split.concepts.shape == (N, K)
    np.testing.assert_allclose(split.scores, scores, rtol=0, atol=1e-5 * np.exp(3.68))
    assert (code.z_img >= 0).all()


def test_the_length_of_an_embedding_matters(alignment):
    """The head has biases, so that the tower's own lengths must reach it."""
    x = np.random.default_rng(3).normal(size=P).astype(np.float32)
    one, other = (alignment.scores(alignment.encode_image(v), places()) for v in (x, 10 * x))
    assert np.abs(one - other).max() > 0.1


def test_views_are_averaged_by_their_scores(alignment):
    x = np.random.default_rng(4).normal(size=(10, P)).astype(np.float32)
    each = np.stack([scores_by_definition(view, places()) for view in x])
    found = alignment.scores(alignment.encode_image(x), places())
    np.testing.assert_allclose(found, each.mean(axis=0), atol=1e-4)


def test_a_concept_shown_alone_carries_the_score(alignment):
    """A photo whose q is a concept's direction is coded by that concept, but for what the penalty takes."""
    directions = alignment.concept_directions
    code_of = type(alignment)(IDS, _Straight(alignment.head, directions[:, 3]), directions, 0.02)
    code = code_of.encode_image(np.zeros(P, np.float32))
    assert np.argmax(code.z_img) == 3
    assert code.z_img[3] == pytest.approx(0.98, abs=0.02)


class _Straight:
    """A head that answers everything with one direction."""

    def __init__(self, head: GeoClipHead, answer: np.ndarray) -> None:
        self.scale, self._answer = head.scale, answer

    def directions(self, embeddings: np.ndarray) -> np.ndarray:
        return np.tile(self._answer, (len(embeddings), 1))


def test_texts_go_through_the_same_head(alignment):
    texts = np.random.default_rng(5).normal(size=(3, P)).astype(np.float32)
    cosines = places() @ alignment.text_directions(texts).T
    for column, text in enumerate(texts):
        np.testing.assert_allclose(
            cosines[:, column] * np.exp(3.68), scores_by_definition(text, places()), atol=1e-4
        )


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("2.bias", None, "lacks 2.bias"),
        ("0.weight", np.zeros((M, P + 1), np.float32)[:-1], "do not fit"),
        ("2.bias", np.full(D, np.inf, np.float32), "not finite"),
        ("directions", np.zeros((D, K - 1), np.float32), "directions are"),
        ("directions", None, "concepts, or penalty"),
    ],
)
def test_what_does_not_fit_is_refused(path, name, change, says):
    tensors = load_file(path) | {name: change}
    kept = {key: array for key, array in tensors.items() if array is not None}
    save_file(kept, path, metadata={"concept_ids": json.dumps(IDS)})
    with pytest.raises(MissingFileError, match=says):
        load_alignment(path, CONFIG)


def test_a_missing_file_or_penalty_is_named(path, tmp_path):
    with pytest.raises(MissingFileError, match="whyhere releases fetch geoclip-l14"):
        load_alignment(tmp_path / "none.safetensors", CONFIG)
    with pytest.raises(MissingFileError, match="penalty"):
        load_alignment(path, {"kind": "geoclip"})


def test_gallery_softmax_is_a_softmax():
    scores = np.random.default_rng(6).normal(size=1000).astype(np.float32) * 100
    exact = np.exp(scores.astype(np.float128) - scores.max())
    found = gallery_softmax(scores)
    np.testing.assert_allclose(found, (exact / exact.sum()).astype(np.float64), rtol=1e-12)
    assert found.sum() == pytest.approx(1)
    assert np.isfinite(gallery_softmax(scores * 1000)).all()
