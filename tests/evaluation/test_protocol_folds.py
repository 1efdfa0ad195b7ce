"""Folds: nothing that a head must not have seen is ever on the other side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from whyhere.errors import MissingFileError, UsageError
from whyhere.evaluation import (
    Protocol,
    assign_folds,
    check_folds,
    near_duplicates,
    perceptual_hash,
    place_clusters,
    read_benchmark,
    read_folds,
    read_protocol,
    shipped_protocols,
    write_folds,
)
from whyhere.geo import great_circle_km

# Crowded around the antimeridian, both poles and the equator, so that clusters chain across all of them.
positions = st.lists(
    st.tuples(
        st.one_of(st.floats(-90, 90), st.floats(-90, -89.5), st.floats(89.5, 90), st.floats(-0.5, 0.5)),
        st.one_of(st.floats(-180, 180), st.floats(179.5, 180), st.floats(-180, -179.5)),
    ),
    min_size=1,
    max_size=40,
)


def distances(lat, lon):
    return great_circle_km(lat[:, None], lon[:, None], lat[None], lon[None])


def linked(near):
    """Single linkage by brute force: who reaches whom over near pairs."""
    reach = near | np.eye(len(near), dtype=bool)
    for _ in range(len(near)):
        reach = reach @ reach
    return reach


@given(positions, st.floats(1, 500))
def test_clusters_are_what_near_pairs_join_anywhere_on_earth(points, within_km):
    lat, lon = np.array(points).T
    km = distances(lat, lon)
    if (np.abs(km - within_km) < 1e-6).any():
        return  # the two formulas may round a tie differently
    clusters = place_clusters(lat, lon, within_km=within_km)
    assert ((clusters[:, None] == clusters[None]) == linked(km < within_km)).all()


@given(positions, st.integers(0, 2**16))
def test_nothing_near_a_new_place_is_learned_from(points, seed):
    lat, lon = np.array(points).T
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, len(lat), len(lat))
    protocol = Protocol(split="new-places", folds=2, cluster_km=50.0, seed=seed)
    try:
        folds = assign_folds(protocol, lat, lon, groups=groups)
    except UsageError:
        assert len(np.unique(place_clusters(lat, lon, within_km=50.0, groups=groups))) < 2
        return
    apart = folds[:, None] != folds[None]
    assert (distances(lat, lon)[apart] >= 50.0 - 1e-6).all()
    assert not (apart & (groups[:, None] == groups[None])).any()
    assert (folds >= 0).all()
    check_folds(protocol, folds, lat, lon, photos=[str(i) for i in range(len(lat))], groups=groups)


@given(positions, st.integers(0, 2**16), st.sampled_from([0, 2, 5]))
def test_a_known_place_is_learned_from_another_photo_and_never_from_a_copy(points, seed, count):
    lat, lon = np.array(points).T
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 2 * len(lat), len(lat))
    protocol = Protocol(split="known-places", folds=count, known_km=25.0, seed=seed)
    try:
        folds = assign_folds(protocol, lat, lon, groups=groups)
    except UsageError:
        return
    apart, asked = folds[:, None] != folds[None], folds >= 0
    near = distances(lat, lon) < 25.0 + 1e-6
    assert (apart & near)[asked].any(axis=1).all()
    assert not (apart & (groups[:, None] == groups[None])).any()


def test_every_photo_with_an_independent_neighbour_is_asked_about():
    lat, lon = (
        np.array([10.0, 10.1, 10.0, 50.0, 60.0, 60.0]),
        np.array([179.95, -179.95, 30.0, 5.0, 7.0, 7.0]),
    )
    protocol = Protocol(split="known-places", folds=2)
    folds = assign_folds(protocol, lat, lon, groups=[0, 1, 2, 3, 4, 4])  # the last two are one picture twice
    assert (folds >= 0).tolist() == [True, True, False, False, False, False]
    assert folds[0] != folds[1]


def test_folds_are_even_and_the_same_every_time():
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(-60, 60, 400), rng.uniform(-180, 180, 400)
    protocol = Protocol(folds=8)
    folds = assign_folds(protocol, lat, lon)
    sizes = np.bincount(folds)
    assert len(sizes) == 8
    assert sizes.max() - sizes.min() <= 3
    assert (folds == assign_folds(protocol, lat, lon)).all()


def test_street_level_photos_are_left_out_one_at_a_time():
    lat, lon = np.linspace(-50, 50, 6), np.zeros(6)
    kinds = ["street", "town", None, "street", "monument", "town"]
    protocol = read_protocol("street-level")
    folds = assign_folds(protocol, lat, lon, kinds=kinds, groups=[0, 0, 1, 2, 3, 4])
    assert folds[4] == folds[5] == -1
    assert folds[0] == folds[1]  # its copy is held out with it, though nobody asks about a town
    assert len(set(folds[[0, 2, 3]])) == 3
    with pytest.raises(UsageError, match="give kinds"):
        assign_folds(protocol, lat, lon)


@pytest.mark.parametrize(
    ("split", "folds", "lat", "message"),
    [
        ("new-places", [0, 1, 1], [0.0, 0.1, 40.0], "a.jpg and b.jpg lie less than 50 km apart"),
        ("new-places", [0, -1, 1], [0.0, 0.1, 40.0], "a.jpg and b.jpg lie less than 50 km apart"),
        ("known-places", [0, 0, 1], [0.0, 0.1, 40.0], "a.jpg has no photo within 25 km"),
        ("photos", [0, 1, 2], [0.0, 20.0, 40.0], "b.jpg and c.jpg are near-duplicates"),
    ],
)
def test_folds_that_leak_are_refused_by_name(split, folds, lat, message):
    groups = [0, 1, 1] if split == "photos" else None
    with pytest.raises(UsageError, match=message):
        check_folds(
            Protocol(split=split, folds=2),
            folds,
            lat,
            [0.0] * 3,
            photos=["a.jpg", "b.jpg", "c.jpg"],
            groups=groups,
        )


def test_folds_are_read_as_they_were_written(tmp_path):
    write_folds(tmp_path / "folds.csv", ["a.jpg", 'b, "c".jpg', "d.jpg"], [3, -1, 12])
    expected = {"a.jpg": "fold-03", 'b, "c".jpg': "", "d.jpg": "fold-12"}
    assert read_folds(tmp_path / "folds.csv") == expected
    with pytest.raises(MissingFileError, match="which photo belongs to which fold"):
        read_folds(tmp_path / "none.csv")


def pictures():
    rng = np.random.default_rng(3)
    shapes = rng.integers(0, 256, (6, 5, 7, 3), np.uint8)
    return [Image.fromarray(shape).resize((420, 300), Image.Resampling.BICUBIC) for shape in shapes]


def test_a_smaller_or_recompressed_copy_has_the_same_hash(tmp_path):
    hashes = [perceptual_hash(picture) for picture in pictures()]
    assert len(set(hashes)) == len(hashes)
    for picture, known in zip(pictures(), hashes, strict=True):
        picture.resize((210, 150), Image.Resampling.LANCZOS).save(tmp_path / "copy.jpg", quality=90)
        with Image.open(tmp_path / "copy.jpg") as copy:
            assert (perceptual_hash(copy) ^ known).bit_count() <= 1


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 30))
def test_near_duplicates_are_what_cosine_or_hash_joins(seed, count):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 3)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    hashes = rng.integers(0, 6, count).astype(np.uint64)
    equal = (hashes[:, None] == hashes[None]) & (hashes[:, None] != 0)
    groups = near_duplicates(features, cosine=0.9, hashes=hashes)
    assert ((groups[:, None] == groups[None]) == linked((features @ features.T >= 0.9) | equal)).all()


@pytest.mark.parametrize("name", shipped_protocols())
def test_shipped_protocols_load(name):
    protocol = read_protocol(name)
    assert protocol.name == name
    assert protocol.street_kinds == ("street",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folds = 1", "folds must be 2 or more"),
        ("folds = 2.5", "folds must be of type int"),
        ('split = "continents"', "split must be one of new-places"),
        ("cluster_km = 0", "cluster_km must lie between"),
        ("duplicate_cosine = 2", "duplicate_cosine must lie between"),
        ('kinds = "street"', "kinds must be a list of texts"),
        ("radius = 3", "unknown radius; known: name, split"),
        ("=", "not TOML"),
    ],
)
def test_protocols_that_make_no_sense_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_protocol(path)


def test_an_unknown_protocol_names_the_shipped_ones():
    with pytest.raises(MissingFileError, match="known-places, new-places, street-level"):
        read_protocol("newplaces")


def test_tables_say_kind_and_precision(tmp_path):
    table = tmp_path / "index.csv"
    rows = "a.jpg,1,2,monument,8\nb.jpg,3,4,,\nc.jpg,5,6,town,far\n"
    table.write_text("file,lat,lon,kind,precision_km\n" + rows, encoding="utf-8")
    benchmark = read_benchmark(table)
    assert [(q.kind, q.precision_km) for q in benchmark.queries] == [("monument", 8.0), (None, 0.0)]
    assert "precision_km 'far' is not a distance" in benchmark.problems[0].reason
