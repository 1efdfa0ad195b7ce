"""What the tests are made of: against brute force, independent libraries and invariants."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faithful_world import RANKING, K, lookup, picture, unit, world
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from whyhere.alignment import ConceptAlignment, GeoClipAlignment, GeoClipHead, Head, ImageCode
from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation import read_held_out
from whyhere.evaluation.faithfulness import (
    CellReferences,
    Settings,
    random_directions,
    region,
    trained_on,
    with_bank,
)
from whyhere.evaluation.faithfulness._concept_tests import mean_of_means, unit_values
from whyhere.evaluation.faithfulness._controls import (
    CodeScorer,
    best_by_concepts,
    derangements,
)
from whyhere.evaluation.faithfulness._photo_tests import CHANGES, overlap, rank_correlation
from whyhere.evaluation.faithfulness._score_tests import probe_r2, ridge_predictions
from whyhere.evaluation.faithfulness._scorecard import principal_axes

P, D = 24, 40


@pytest.fixture(scope="module")
def study():
    return world(photos=12)


@pytest.fixture(scope="module")
def places():
    return unit(np.random.default_rng(3).normal(size=(500, D))).astype(np.float32)


def caam(rng, *, feature_weight: float, normalise: bool) -> ConceptAlignment:
    def head(out):
        shapes = ((out, P), (out,), (6, P), (6,), (out, 6))
        return Head(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))

    return ConceptAlignment(
        concept_ids=tuple(f"c{j}" for j in range(9)),
        image=head(9),
        feature=head(D),
        directions=rng.normal(size=(P, 9)).astype(np.float32),
        delta=0.1 * rng.normal(size=(P, 9)).astype(np.float32),
        adapter=rng.normal(size=(P, D)).astype(np.float32),
        feature_mean=np.zeros(P, np.float32),
        location_mean=0.1 * rng.normal(size=D).astype(np.float32),
        concept_weight=0.7,
        feature_weight=feature_weight,
        normalise=normalise,
    )


def geoclip(rng) -> GeoClipAlignment:
    shapes = ((16, P), (16,), (D, 16), (D,))
    head = GeoClipHead(*(rng.normal(size=shape).astype(np.float32) for shape in shapes), scale=14.3)
    directions = unit(rng.normal(size=(9, D))).T.astype(np.float32)
    return GeoClipAlignment(tuple(f"c{j}" for j in range(9)), head, directions, 0.02)


KINDS = {
    "caam": lambda rng: caam(rng, feature_weight=0.0, normalise=True),
    "caam with features": lambda rng: caam(rng, feature_weight=0.4, normalise=True),
    "caam with dot products": lambda rng: caam(rng, feature_weight=0.4, normalise=False),
    "geoclip": geoclip,
}


@pytest.mark.parametrize("kind", KINDS)
def test_many_codes_at_once_score_as_one_by_one(kind, places):
    rng = np.random.default_rng(11)
    alignment = KINDS[kind](rng)
    code = alignment.encode_image(unit(rng.normal(size=P)).astype(np.float32))
    changed = np.stack([code.z_img, 2 * code.z_img, code.z_img * (rng.random(9) < 0.5), 0 * code.z_img])
    changed[1, 3] = -1.0
    found = CodeScorer(alignment, places).scores(code, changed)
    for row, z in zip(found, changed, strict=True):
        expected = alignment.scores(ImageCode(z, code.residual), places)
        np.testing.assert_allclose(row, expected, atol=2e-5 * max(1.0, np.abs(expected).max()))


def test_many_codes_at_once_score_as_one_by_one_in_closed_form(study):
    alignment, embeddings = study.alignments[0], study.gallery.embeddings
    code = study.codes[0]
    changed = np.stack([code.z_img, 0 * code.z_img, code.z_img + 0.3])
    found = CodeScorer(alignment, embeddings).scores(code, changed)
    for row, z in zip(found, changed, strict=True):
        expected = alignment.scores(ImageCode(z, code.residual), embeddings)
        np.testing.assert_allclose(row, expected, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_place_by_concepts_is_the_best_score_without_a_remainder(kind, places):
    rng = np.random.default_rng(12)
    alignment = KINDS[kind](rng)
    z = rng.normal(size=(7, 9)).astype(np.float32)
    found = best_by_concepts(alignment, z, places)
    nothing = np.zeros(D, np.float32)
    expected = [alignment.scores(ImageCode(row, nothing), places).argmax() for row in z]
    assert found.tolist() == expected


def test_the_best_places_of_other_banks_are_those_of_their_place_codes(study):
    alignment, embeddings = study.alignments[0], study.gallery.embeddings
    rows = study.feature_rows(range(len(study.photos)))
    banks = [with_bank(alignment, random_directions(64, 5, seed=seed), rows) for seed in range(3)]
    rng = np.random.default_rng(2)
    for bank in banks:
        z = rng.normal(size=(4, 5)).astype(np.float32)
        expected = (bank.place_codes(embeddings) @ z.T).argmax(axis=0)
        assert best_by_concepts(bank, z, embeddings).tolist() == expected.tolist()
    assert [bank.location_mean is alignment.location_mean for bank in banks] == [True] * 3
    assert len({bank.directions.tobytes() for bank in banks}) == 3


def test_directions_of_a_random_bank_are_of_unit_length_and_follow_the_seed():
    first, again, other = (random_directions(20, 6, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.linalg.norm(other, axis=0), 1)
    assert not np.allclose(first, other)


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=40), st.floats(0.05, 0.99), st.integers(0, 9))
def test_a_region_is_the_smallest_that_holds_its_share(weights, share, seed):
    mass = np.array(weights) / sum(weights)
    area = np.random.default_rng(seed).uniform(1, 3, len(mass))
    inside = region(mass, area, share)
    assert mass[inside].sum() >= share - 1e-9
    density = mass / area
    if not inside.all():
        assert density[inside].min() >= density[~inside].max() - 1e-12
    thinnest = np.flatnonzero(inside)[density[inside].argmin()]
    assert mass[inside].sum() - mass[thinnest] < share + 1e-9  # without its thinnest cell it holds too little


@given(st.integers(2, 30), st.integers(0, 5))
def test_no_name_stays_in_its_place(count, seed):
    for order in derangements(count, 3, seed=seed):
        assert sorted(order.tolist()) == list(range(count))
        assert (order != np.arange(count)).all()


def test_the_probe_predicts_as_scikit_learn_does():
    ridge = pytest.importorskip("sklearn.linear_model").Ridge
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(30, 8)), rng.normal(size=(30, 3))
    train, test = np.arange(20), np.arange(20, 30)
    mine = ridge_predictions(x @ x.T, y[None], train, test)[1][0]  # penalty 0.1
    his = ridge(alpha=0.1).fit(x[train], y[train]).predict(x[test])
    np.testing.assert_allclose(mine, his, atol=1e-8)


def test_the_probe_finds_what_is_there_and_nothing_else():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(150, 10))
    y = x @ rng.normal(size=(10, 3)) + 0.1 * rng.normal(size=(150, 3))
    settings = Settings(draws=10, resamples=200)
    found, dealt = probe_r2(x, y, settings)
    assert found.low > 0.95
    assert dealt.high < 0.2
    assert probe_r2(rng.normal(size=(150, 10)), y, settings)[0].value < 0.1


def test_a_mean_over_concepts_leaves_out_those_that_no_photo_shows():
    total, count = np.array([[2.0, 0], [4, 3]]), np.array([[1.0, 0], [1, 1]])
    assert mean_of_means(total, count, np.ones((1, 2)))[0] == pytest.approx((3 + 3) / 2)
    assert mean_of_means(total, count, np.array([[2.0, 0]]))[0] == pytest.approx(2)  # one column is empty
    settings = Settings(resamples=200)
    assert settings.counted(2, lambda times: mean_of_means(total, count, times)).low == 2


def test_overlap_and_rank_correlation():
    before = np.array([3.0, -2, 1, 0, 0], np.float32)
    assert overlap(before, before) == 1
    assert overlap(before, np.array([0, 0, 0, 1, 2], np.float32)) == 0
    assert overlap(before, np.array([3, 0, 0, 5, 6], np.float32)) == pytest.approx(1 / 3)
    assert np.isnan(overlap(np.zeros(3, np.float32), before[:3]))
    assert rank_correlation(before, 2 * before) == pytest.approx(1)
    assert rank_correlation(before, -before) == pytest.approx(-1)
    assert np.isnan(rank_correlation(before[3:], before[3:]))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_keep_the_photo_and_show_no_borders(name):
    image = picture(20)
    changed = CHANGES[name](image)
    assert changed.mode == "RGB"
    assert 0.6 < changed.width / image.width <= 1
    assert np.abs(np.asarray(changed, np.int64) - np.asarray(image)[0, 0]).max() <= 2


def test_references_are_read_as_shares_and_ranks():
    class Height:
        name, kind, higher_means_more = "height", "continuous", False

        def values(self, lat, lon):
            return np.where(lat > 80, np.nan, lat * 100)

    values = unit_values(Height(), np.array([0.0, 10, 20, 85]), np.zeros(4))
    np.testing.assert_allclose(values[:3], [5 / 6, 3 / 6, 1 / 6])
    assert np.isnan(values[3])


def test_means_of_references_leave_unknown_cells_out(study):
    found = CellReferences.read(study.labels, study.cells, lookup)
    assert found.columns == tuple(range(K))
    values = found.values.copy()
    values[0, :3] = np.nan
    mass = np.zeros(len(study.cells.cells))
    mass[:6] = 1 / 6
    means = replace(found, values=values).means(mass[None])
    assert means[0, 0] == pytest.approx(values[0, 3:6].mean())
    assert means[0, 1] == pytest.approx(values[1, :6].mean())


def write_fold(folder: Path, alignment, **more) -> None:
    folder.mkdir(parents=True)
    tensors = alignment.tensors()
    save_file(tensors, folder / "model.safetensors")
    section = {"kind": "linear", "scale": 1.0, "penalty": 0.01, "concept_ids": list(alignment.concept_ids)}
    (folder / "config.json").write_text(json.dumps({"alignment": section, **more}))


def test_held_out_heads_are_read_by_photo(study, tmp_path):
    own = study.alignments[0]
    ranking = {"temperature": 0.5, "cell_resolution": 1, "radius_km": 100.0, "abstain_below": 0.0}
    write_fold(tmp_path / "fold-00", own)
    write_fold(tmp_path / "fold-01", replace(own, scale=1.0), ranking=ranking)
    write_fold(tmp_path / "random" / "00" / "fold-00", own)
    write_fold(tmp_path / "random" / "00" / "fold-01", own)
    (tmp_path / "folds.csv").write_text("photo,fold\nimages/a.jpg,fold-01\nb.jpg,fold-00\n")
    found = read_held_out(tmp_path, ["a.jpg", "b.jpg"], concept_ids=own.concept_ids, ranking=RANKING)
    assert found.fold_of.tolist() == [1, 0]
    assert [one.temperature for one in found.rankings] == [RANKING.temperature, 0.5]
    assert [len(draw) for draw in found.random_sets] == [2]
    with pytest.raises(UsageError, match=r"no fold for the photo 'c.jpg'"):
        read_held_out(tmp_path, ["c.jpg"], concept_ids=own.concept_ids, ranking=RANKING)
    with pytest.raises(UsageError, match="concepts"):
        read_held_out(tmp_path, ["b.jpg"], concept_ids=("other",), ranking=RANKING)
    with pytest.raises(MissingFileError, match=r"folds\.csv"):
        read_held_out(tmp_path / "nowhere", ["b.jpg"], concept_ids=own.concept_ids, ranking=RANKING)
    (tmp_path / "fold-00" / "config.json").unlink()
    with pytest.raises(MissingFileError, match="fold-00"):
        read_held_out(tmp_path, ["b.jpg"], concept_ids=own.concept_ids, ranking=RANKING)


def test_what_a_release_has_learned_from(study, tmp_path):
    files = [tmp_path / f"{number}.bin" for number in range(3)]
    for number, path in enumerate(files):
        path.write_bytes(bytes([number]))
    three = replace(study, photos=study.photos[:3], files=tuple(files), features=study.features[:3])
    assert trained_on(tmp_path, three) == "not known"
    mean = three.feature_rows(range(3)).mean(axis=0).astype(np.float32)
    same = replace(three, release=replace(three.release, feature_mean=mean))
    assert trained_on(tmp_path, same) == "these photos"
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    (tmp_path / "training_photos.txt").write_text(f"# photos\n{sums[0]}  # a note\n")
    assert trained_on(tmp_path, same) == "some of these photos"
    assert trained_on(tmp_path, replace(same, files=three.files[1:])) == "none of these photos"
    (tmp_path / "training_photos.txt").write_text("\n".join(sums))
    assert trained_on(tmp_path, three) == "these photos"


def test_principal_axes_hold_the_most_variance():
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(50, 3)) * (10, 5, 0.1)
    flat = principal_axes(rows)
    pca = pytest.importorskip("sklearn.decomposition").PCA
    np.testing.assert_allclose(np.abs(flat), np.abs(pca(2).fit_transform(rows)), atol=1e-8)
    np.testing.assert_allclose(np.cov(flat.T)[0, 1], 0, atol=1e-9)
    np.testing.assert_array_equal(flat, principal_axes(rows))
    assert principal_axes(rng.normal(size=(5, 1))).shape == (5, 2)
