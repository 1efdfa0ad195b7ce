"""What is trained on: photos found by their names, given features, rows that can be believed, and noise."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere.errors import MissingFileError, UsageError
from whyhere.geo import great_circle_km
from whyhere.tables import read_photos
from whyhere.training import PhotoStore, given_features, jitter, read_features


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path):
    for name in ("a/x.jpg", "a/y.JPEG", "b/y.jpg", "z.png", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a/x.jpg", b"a/x.jpg"),
        ("./a/x.jpg", b"a/x.jpg"),
        ("a\\x.jpg", b"a/x.jpg"),
        ("x.jpg", b"a/x.jpg"),
        ("x", b"a/x.jpg"),
        ("a/y", b"a/y.JPEG"),
        ("y.jpg", b"b/y.jpg"),
        ("elsewhere/z.png", b"z.png"),
    ],
)
def test_photos_in_a_folder_are_found_by_full_and_by_short_names(folder, name, content):
    assert PhotoStore(folder).find(name).read() == content


def test_what_is_not_there_or_not_clear_is_said(folder):
    store = PhotoStore(folder)
    assert "no photo called absent.jpg" in store.find("absent.jpg")
    assert "or more than one" in store.find("y")
    assert "no photo called notes.txt" in store.find("notes.txt")


def test_webdataset_tars_are_read_by_key(tmp_path):
    write_tar(tmp_path / "0.tar", {"000/one.jpg": b"one", "000/one.json": b"{}", "two.jpg": b"two" * 999})
    write_tar(tmp_path / "1.tar", {"./three.seg.jpg": b"three"})
    store = PhotoStore(tmp_path)
    assert store.find("one").read() == b"one"
    assert store.find("000/one.jpg").read() == b"one"
    assert store.find("two.jpg").read() == b"two" * 999
    assert store.find("three").read() == b"three"
    assert PhotoStore(tmp_path / "1.tar").find("three.seg.jpg").read() == b"three"


def test_sources_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="--photos"):
        PhotoStore(tmp_path / "none")
    with pytest.raises(MissingFileError, match="neither photos"):
        PhotoStore(tmp_path)
    (tmp_path / "cut.tar").write_bytes(b"not a tar")
    with pytest.raises(MissingFileError, match=r"cut\.tar"):
        PhotoStore(tmp_path)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_features_need_no_names_and_count_every_row(tmp_path):
    path = write(tmp_path / "t.csv", "lat,lon\n48.85,2.35\n91,0\n48.85,2.35\n40.71,-74.0\n")
    values = np.eye(4, dtype=np.float32)
    values[3] = np.nan
    np.save(tmp_path / "f.npy", values)
    table, examples = given_features(
        read_photos(path, need_photos=False, stray_share=0.3), tmp_path / "f.npy"
    )
    assert [problem.line for problem in table.problems] == [3, 5]
    assert examples.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(examples.take(np.array([1])), values[[2]])
    with pytest.raises(UsageError, match="no column for photo"):
        read_photos(path)


def test_given_features_must_fit_the_table(tmp_path):
    np.save(tmp_path / "f.npy", np.zeros((3, 4), np.float32))
    assert read_features(tmp_path / "f.npy", rows=3).shape == (3, 4)
    with pytest.raises(UsageError, match="each of the 4 rows"):
        read_features(tmp_path / "f.npy", rows=4)
    with pytest.raises(MissingFileError, match="--features"):
        read_features(tmp_path / "none.npy", rows=4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True)), min_size=1, max_size=9))
def test_what_is_kept_is_a_position_on_earth(tmp_path_factory, places):
    rows = "\n".join(f"{i}.jpg,{lat!r},{lon!r}" for i, (lat, lon) in enumerate(places))
    path = write(tmp_path_factory.mktemp("t") / "t.csv", f"file,lat,lon\n{rows}\n")
    try:
        table = read_photos(path)
    except UsageError:
        return
    for query in table.queries:
        lat, lon = places[query.row]
        assert query.lat == lat
        assert abs(query.lat) <= 90
        assert -180 <= query.lon < 180
        assert (query.lon - lon) % 360 == pytest.approx(0, abs=1e-9)


# GPS noise is in metres, everywhere on Earth.


@pytest.mark.parametrize(
    ("lat", "lon"), [(0.0, 0.0), (60.0, 179.9999), (-45.0, -180.0), (89.9999, 30.0), (-90.0, 5.0)]
)
@pytest.mark.parametrize("sigma_m", [150.0, 1000.0])
def test_noise_has_the_same_size_in_metres_everywhere(lat, lon, sigma_m):
    n = 20_000
    lats, lons = np.full(n, lat), np.full(n, lon)
    new_lat, new_lon = jitter(lats, lons, sigma_m=sigma_m, rng=np.random.default_rng(0))
    assert (np.abs(new_lat) <= 90).all()
    assert new_lon.min() >= -180
    assert new_lon.max() < 180
    metres = great_circle_km(lats, lons, new_lat, new_lon) * 1000
    # The distance of a normal step in two directions is Rayleigh distributed.
    assert np.sqrt(np.mean(metres**2)) == pytest.approx(sigma_m * np.sqrt(2), rel=0.02)
    assert np.median(metres) == pytest.approx(sigma_m * np.sqrt(2 * np.log(2)), rel=0.03)


def test_north_and_east_are_independent_normal_steps():
    n, lat = 20_000, 52.0
    new_lat, new_lon = jitter(np.full(n, lat), np.full(n, 13.0), sigma_m=500.0, rng=np.random.default_rng(1))
    north = (new_lat - lat) * 111_195
    east = (new_lon - 13.0) * 111_195 * np.cos(np.radians(lat))
    assert np.std(north) == pytest.approx(500, rel=0.03)
    assert np.std(east) == pytest.approx(500, rel=0.03)
    assert abs(np.corrcoef(north, east)[0, 1]) < 0.03


def test_no_noise_returns_the_positions_and_draws_the_same_amount():
    a, b = np.random.default_rng(2), np.random.default_rng(2)
    lat, lon = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    still = jitter(lat, lon, sigma_m=0.0, rng=a)
    jitter(lat, lon, sigma_m=9.0, rng=b)
    np.testing.assert_array_equal(still[0], lat)
    assert a.random() == b.random()
