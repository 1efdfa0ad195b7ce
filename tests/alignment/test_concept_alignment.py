"""The NumPy twin: parts add up to the score, order and neighbours do not matter, wrong files are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from whyhere.alignment import ConceptAlignment, Head, load_alignment
from whyhere.errors import MissingFileError

P, D, K, PLACES = 20, 16, 9, 24


def make_head(rng, out, inputs, hidden=5) -> Head:
    shapes = ((out, inputs), (out,), (hidden, inputs), (hidden,), (out, hidden))
    return Head(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


def make_alignment(*, seed=0, k=K, weights=(0.7, 0.3), normalise=True) -> ConceptAlignment:
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    directions = normal(D, k)
    return ConceptAlignment(
        concept_ids=tuple(f"c{j}" for j in range(k)),
        image=make_head(rng, k, P),
        feature=make_head(rng, PLACES, P),
        directions=directions / np.linalg.norm(directions, axis=0),
        delta=0.1 * normal(D, k),
        adapter=normal(D, PLACES),
        feature_mean=0.1 * normal(P),
        location_mean=0.1 * normal(PLACES),
        concept_weight=weights[0],
        feature_weight=weights[1],
        normalise=normalise,
    )


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def places(count, *, seed=1):
    return unit(np.random.default_rng(seed).normal(size=(count, PLACES))).astype(np.float32)


def photo(seed=2):
    return unit(np.random.default_rng(seed).normal(size=P)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 40),
    weight=st.sampled_from([0.0, 0.4, 1.0]),
    normalise=st.booleans(),
)
def test_contributions_and_remainder_add_up_to_the_score(seed, k, weight, normalise):
    alignment = make_alignment(seed=seed, k=k, weights=(weight, 1 - weight), normalise=normalise)
    code, where = alignment.encode_image(photo(seed)), places(40, seed=seed)
    parts, scores = alignment.contributions(code, where), alignment.scores(code, where)
    total = parts.concepts.sum(axis=1, dtype=np.float64) + parts.remainder
    # A place that hardly shows any of a handful of concepts divides rounding errors by next to nothing, and
    # dot products have no unit: the tolerance is 1e-5 of the largest number that was added up.
    y = where - alignment.location_mean
    z_loc = np.linalg.norm(y @ alignment.basis, axis=1) if normalise else 1.0
    length = np.linalg.norm(code.z_img) if normalise else 1.0
    size = np.linalg.norm(alignment.basis @ code.z_img) * np.linalg.norm(y, axis=1) / (z_loc * length)
    allowed = 1e-5 * np.maximum(1.0, size + np.abs(parts.remainder))
    assert (np.abs(total - scores) <= allowed).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_bank_of_many_concepts_adds_up_to_1e_5(seed):
    alignment = make_alignment(seed=seed, k=300)
    code, where = alignment.encode_image(photo(seed)), places(200, seed=seed)
    total = alignment.contributions(code, where).scores
    np.testing.assert_allclose(total, alignment.scores(code, where), atol=1e-5, rtol=0)


def test_the_score_is_the_equation():
    alignment, x, y = make_alignment(), photo().astype(np.float64), places(30).astype(np.float64)
    x = unit(x - alignment.feature_mean)
    y = y - alignment.location_mean

    def run(head, x):
        return head.linear @ x + head.bias + head.out @ np.maximum(head.hidden @ x + head.hidden_bias, 0)

    z_img = run(alignment.image, x)
    z_loc = (y @ alignment.adapter.T) @ (alignment.directions + alignment.delta)
    expected = 0.7 * unit(z_loc) @ unit(z_img) + 0.3 * unit(y) @ unit(run(alignment.feature, x))
    got = alignment.scores(alignment.encode_image(photo()), places(30))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_permuting_concepts_permutes_contributions_and_changes_nothing_else():
    alignment = make_alignment()
    order = np.random.default_rng(3).permutation(K)
    image = alignment.image
    permuted = dataclasses.replace(
        alignment,
        concept_ids=tuple(alignment.concept_ids[j] for j in order),
        image=Head(image.linear[order], image.bias[order], image.hidden, image.hidden_bias, image.out[order]),
        directions=alignment.directions[:, order],
        delta=alignment.delta[:, order],
    )
    a = alignment.contributions(alignment.encode_image(photo()), places(8))
    b = permuted.contributions(permuted.encode_image(photo()), places(8))
    np.testing.assert_allclose(a.concepts[:, order], b.concepts, atol=1e-6)
    np.testing.assert_allclose(a.remainder, b.remainder, atol=1e-6)
    np.testing.assert_allclose(
        alignment.scores(alignment.encode_image(photo()), places(8)),
        permuted.scores(permuted.encode_image(photo()), places(8)),
        atol=1e-6,
    )


def test_a_concept_that_is_shut_off_contributes_nothing():
    alignment = make_alignment()
    code = alignment.encode_image(photo())
    z_img = code.z_img.copy()
    z_img[4] = 0
    parts = alignment.contributions(dataclasses.replace(code, z_img=z_img), places(8))
    assert not parts.concepts[:, 4].any()
    assert parts.concepts.any()


def test_norms_are_kept_for_read_only_galleries_and_never_for_another_array():
    alignment, code = make_alignment(), make_alignment().encode_image(photo())
    gallery = places(50)
    gallery.flags.writeable = False
    first = alignment.scores(code, gallery)
    np.testing.assert_array_equal(alignment.scores(code, gallery), first)
    other = places(50, seed=9)
    expected = make_alignment().scores(code, other)
    np.testing.assert_array_equal(alignment.scores(code, other), expected)
    other[:] = places(50, seed=10)  # a writable array may change between two calls
    np.testing.assert_array_equal(alignment.scores(code, other), make_alignment().scores(code, other))


def test_blocks_of_a_large_gallery_agree_with_single_places():
    alignment, code = make_alignment(), make_alignment().encode_image(photo())
    gallery = places(20_000)
    scores = alignment.scores(code, gallery)
    for row in (0, 8191, 8192, 19_999):
        np.testing.assert_allclose(
            alignment.scores(code, gallery[row : row + 1]), scores[row : row + 1], atol=1e-6
        )


def test_drift_tells_how_far_columns_left_their_names():
    alignment = make_alignment()
    assert dataclasses.replace(alignment, delta=0 * alignment.delta).drift == pytest.approx(np.ones(K))
    turned = dataclasses.replace(alignment, delta=-2 * alignment.directions)
    assert turned.drift == pytest.approx(-np.ones(K), abs=1e-6)


def save(alignment, path: Path, **changes) -> dict[str, object]:
    names = ("directions", "delta", "adapter", "feature_mean", "location_mean")
    tensors = {name: np.ascontiguousarray(getattr(alignment, name)) for name in names}
    for side in ("image", "feature"):
        head = getattr(alignment, side)
        tensors |= {f"{side}.{f.name}": getattr(head, f.name) for f in dataclasses.fields(head)}
    tensors.update(changes)
    save_file({name: value for name, value in tensors.items() if value is not None}, path)
    return {
        "kind": "caam",
        "concept_ids": list(alignment.concept_ids),
        "concept_weight": alignment.concept_weight,
        "feature_weight": alignment.feature_weight,
        "normalise": alignment.normalise,
    }


def test_a_saved_alignment_comes_back(tmp_path):
    alignment = make_alignment()
    loaded = load_alignment(tmp_path / "model.safetensors", save(alignment, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(
        loaded.scores(loaded.encode_image(photo()), places(8)),
        alignment.scores(alignment.encode_image(photo()), places(8)),
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adapter": None}, "adapter"),
        ({"image.out": np.zeros((K, 4), np.float32)}, r"image\.out"),
        ({"directions": np.zeros((D, K + 1), np.float32)}, "directions"),
        ({"delta": np.full((D, K), np.nan, np.float32)}, "delta must be finite"),
    ],
)
def test_wrong_weights_are_refused(tmp_path, changes, words):
    config = save(make_alignment(), tmp_path / "model.safetensors", **changes)
    with pytest.raises(MissingFileError, match=words):
        load_alignment(tmp_path / "model.safetensors", config)


def test_missing_files_and_settings_are_refused(tmp_path):
    config = save(make_alignment(), tmp_path / "model.safetensors")
    with pytest.raises(MissingFileError, match=r"absent\.safetensors"):
        load_alignment(tmp_path / "absent.safetensors", config)
    del config["concept_weight"]
    with pytest.raises(MissingFileError, match="concept_weight"):
        load_alignment(tmp_path / "model.safetensors", config)
